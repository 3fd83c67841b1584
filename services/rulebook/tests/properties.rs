//! What the rulebook promises, on texts made of what the packs look for, on any text, and on any pack. The fuzz targets in `fuzz/` run the
//! same checks for as long as one likes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use vigie_domain::RuleHit;
use vigie_rulebook::testing::{Choices, Pieces, check_copies, check_hits, check_pack, check_plain, disguised, pack, trying_every_pattern};
use vigie_rulebook::{CaseKind, Rulebook, Scope, run_cases};

/// The packs of `rules/`, the same without the prefilter, and what they are made of.
struct Shipped {
    rulebook: Rulebook,
    unfiltered: Rulebook,
    pieces: Pieces,
    /// Comments that an allow-list holds.
    allowed: Vec<String>,
    texts: Vec<String>,
}

static SHIPPED: LazyLock<Shipped> = LazyLock::new(|| {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let load = || Rulebook::load(&root.join("rules")).expect("the packs are valid");
    let rulebook = load();
    let corpus = std::fs::read_to_string(root.join("tests/corpora/acceptance.tsv")).expect("the corpus");
    let cases = run_cases(&rulebook);
    let is_allow = |entry: &str, kind| entry.starts_with("allow/") && kind == CaseKind::Match;
    Shipped {
        pieces: Pieces::of(&rulebook),
        unfiltered: trying_every_pattern(load()),
        rulebook,
        allowed: cases
            .iter()
            .filter(|case| is_allow(&case.entry, case.kind))
            .map(|case| case.text.clone())
            .collect(),
        texts: cases
            .into_iter()
            .map(|case| case.text)
            .chain(corpus.lines().map(str::to_owned))
            .collect(),
    }
});

fn hits(rulebook: &Rulebook, text: &str) -> Vec<RuleHit> {
    rulebook.matches(text, &Scope::default())
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..80)
}

#[test]
fn the_promises_hold_on_the_corpora() {
    let shipped = &*SHIPPED;
    assert!(shipped.texts.len() > 1_400, "{}", shipped.texts.len());
    for text in &shipped.texts {
        let found = check_hits(&shipped.rulebook, text);
        check_copies(&shipped.rulebook, text);
        check_plain(&shipped.rulebook, text);
        assert_eq!(found, hits(&shipped.unfiltered, text), "{text}");
    }
}

/// Each pattern of the packs, on texts that it matches: the prefilter must not leave it out.
#[test]
fn no_pattern_is_left_out_where_it_matches() {
    let shipped = &*SHIPPED;
    let mut found = 0;
    for pattern in 0..shipped.pieces.patterns() {
        for seed in 0..4_u8 {
            let bytes: Vec<u8> = (0..64_u8)
                .map(|at| at.wrapping_mul(97).wrapping_add(seed.wrapping_mul(59)))
                .collect();
            let text = shipped.pieces.of_pattern(pattern, &mut Choices::new(&bytes));
            let expected = hits(&shipped.unfiltered, &text);
            assert_eq!(hits(&shipped.rulebook, &text), expected, "{text}");
            found += usize::from(!expected.is_empty());
        }
    }
    let texts = 4 * shipped.pieces.patterns();
    assert!(found * 2 > texts, "the texts are made to be found: {found} of {texts}");
}

/// So many times the usual number of cases, which the environment variable `PROPTEST_CASES` sets.
fn times(factor: u32) -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig {
        cases: factor * usual.cases,
        failure_persistence: None,
        ..usual
    }
}

proptest! {
    #![proptest_config(times(1))]

    #[test]
    fn spans_and_places_hold_on_texts_made_of_the_packs(bytes in bytes()) {
        let text = SHIPPED.pieces.text(&mut Choices::new(&bytes));
        let _ = check_hits(&SHIPPED.rulebook, &text);
        check_copies(&SHIPPED.rulebook, &text);
        check_plain(&SHIPPED.rulebook, &text);
    }

    #[test]
    fn spans_and_places_hold_on_any_text(
        text in any::<String>(), letters in "[a-z0-9@$*|+!€£ .#A-Z'éœ\u{200b}\u{301}\n\"«»-]{0,80}",
    ) {
        for text in [text, letters] {
            let _ = check_hits(&SHIPPED.rulebook, &text);
            check_copies(&SHIPPED.rulebook, &text);
            check_plain(&SHIPPED.rulebook, &text);
        }
    }

    #[test]
    fn the_prefilter_changes_nothing(bytes in bytes()) {
        let text = SHIPPED.pieces.text(&mut Choices::new(&bytes));
        prop_assert_eq!(hits(&SHIPPED.rulebook, &text), hits(&SHIPPED.unfiltered, &text), "{}", text);
    }

    /// In a paragraph of its own before or after: what is written around can hide a hit, never make one.
    #[test]
    fn an_allowed_paragraph_adds_no_hit(bytes in bytes(), which in any::<prop::sample::Index>()) {
        let text = SHIPPED.pieces.text(&mut Choices::new(&bytes));
        prop_assume!(text.len() <= 400);
        let allowed = which.get(&SHIPPED.allowed);
        let alone = |text: &str, from: usize| -> Vec<(String, [usize; 2])> {
            let hits = hits(&SHIPPED.rulebook, text).into_iter();
            hits.map(|hit| (hit.rule, hit.span.map(|at| at + from))).collect()
        };
        for (first, second) in [(allowed, &text), (&text, allowed)] {
            let mut known = alone(first, 0);
            known.extend(alone(second, first.len() + 2));
            let both = format!("{first}\n\n{second}");
            for (rule, span) in alone(&both, 0) {
                let is_known = known.iter().any(|(other, around)| *other == rule && around[0] <= span[0] && span[1] <= around[1]);
                prop_assert!(is_known, "{} at {:?} of {:?}", rule, span, both);
            }
        }
    }

    #[test]
    fn any_pack_is_refused_or_keeps_the_promises(bytes in prop::collection::vec(any::<u8>(), 0..200), text in ".{0,200}") {
        let mut choices = Choices::new(&bytes);
        let content = pack(&mut choices);
        if let Some(rulebook) = check_pack(&content, &mut choices) {
            let _ = check_hits(&rulebook, &text);
        }
        check_pack(&text, &mut choices);
    }
}

proptest! {
    #![proptest_config(times(12))]

    #[test]
    fn an_allow_list_or_a_guard_only_takes_hits_away(bytes in prop::collection::vec(any::<u8>(), 40..160)) {
        let mut choices = Choices::new(&bytes);
        let plain = small_pack(&mut choices);
        let text = small_text(&mut choices);
        let (guarded, allowed) = (with_guard(&plain, &mut choices), with_allow(&plain, &mut choices));
        let before = hits(&parsed(&plain), &text);
        for pack in [guarded, allowed] {
            for hit in hits(&parsed(&pack), &text) {
                let is_known = before.iter().any(|known| {
                    known.rule == hit.rule && known.span[0] <= hit.span[0] && hit.span[1] <= known.span[1] && known.action >= hit.action
                });
                prop_assert!(is_known, "{:?} in {:?}, where there was {:?}, with {}", hit, text, before, pack);
            }
        }
    }
}

/// An allow-list once taught the machine to read `c*n` as its own word, which completed a pattern.
#[test]
fn a_mask_is_not_read_as_an_allowed_word() {
    let pack = "description = \"x\"\n[[rule]]\nid = \"r\"\nact = \"insult\"\nseverity = 1\naction = \"review\"\npatterns = ['con tuer?']\n";
    let allow = "[[allow]]\nid = \"a\"\nterms = ['con']\n";
    assert_eq!(hits(&parsed(pack), "c*n tuer"), []);
    assert_eq!(hits(&parsed(&format!("{pack}{allow}")), "c*n tuer"), []);
    assert_eq!(hits(&parsed(pack), "con tuer").len(), 1);
}

/// Few words, so that rules, allow-lists, guards and texts meet often.
const WORDS: [&str; 8] = ["con", "pute", "rat", "sale", "tuer", "vieux", "conne", "rats"];

fn word(choices: &mut Choices<'_>) -> &'static str {
    WORDS[choices.below(WORDS.len())]
}

fn phrase(choices: &mut Choices<'_>) -> String {
    (0..=choices.below(3)).map(|_| word(choices)).collect::<Vec<_>>().join(" ")
}

fn small_pack(choices: &mut Choices<'_>) -> String {
    let mut pack = "description = \"x\"\n".to_owned();
    for index in 0..3 {
        let (term, first, second) = (phrase(choices), word(choices), word(choices));
        let pattern = [
            format!("{first}<0-2> {second}"),
            format!(r"{first}\w*"),
            format!("{first}.?{second}?"),
        ];
        let action = ["review", "hide"][choices.below(2)];
        pack.push_str(&format!(
            "[[rule]]\nid = \"r{index}\"\nact = \"insult\"\nseverity = 1\naction = \"{action}\"\nterms = ['{term}']\npatterns = ['{}']\n",
            pattern[choices.below(3)]
        ));
    }
    pack
}

fn with_guard(pack: &str, choices: &mut Choices<'_>) -> String {
    let side = ["before", "after", "anywhere"][choices.below(3)];
    format!("{pack}guards = {{ {side} = ['{}'] }}\n", word(choices))
}

fn with_allow(pack: &str, choices: &mut Choices<'_>) -> String {
    let overlap = choices.below(2) == 1;
    format!(
        "{pack}[[allow]]\nid = \"a\"\noverlap = {overlap}\nterms = ['{}']\n",
        phrase(choices)
    )
}

/// At most eight words: fewer than are reported of one rule.
fn small_text(choices: &mut Choices<'_>) -> String {
    let words: Vec<String> = (0..=choices.below(8))
        .map(|_| {
            let word = word(choices);
            let between = [" ", " ", ". ", ", ", "\""][choices.below(5)];
            format!("{}{between}", disguised(word, choices))
        })
        .collect();
    words.concat()
}

fn parsed(pack: &str) -> Rulebook {
    let files = BTreeMap::from([("p.toml".to_owned(), pack.to_owned())]);
    Rulebook::parse(&files).unwrap_or_else(|problems| panic!("{problems:?} in {pack}"))
}
