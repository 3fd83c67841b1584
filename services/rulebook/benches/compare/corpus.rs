//! 100,000 comments as an official account receives them, built from texts of this repository, the same every time.
//!
//! A quarter is short praise, repeated as people repeat it: the n-th most frequent wording comes about 1/n times as often as the first.
//! 3 % are abusive: the comments of `tests/corpora/acceptance.tsv` and of `models/training/written` that are labelled so, and those
//! that a rule must find. The rest is acceptable: most of it the sample comments of `deploy/samples`, the ordinary and angry ones of
//! `acceptance.tsv` and those of `models/training/unseen/unseen_ordinary.tsv`, which no model was trained on; the other part, by
//! [`Page`], the deceptive ones of `acceptance.tsv` and those of `written`, which are chosen to be hard. One in six is followed by a second
//! one; a fifth of all are distinct.

use std::path::Path;

use vigie_rulebook::{CaseKind, Rulebook, run_cases};

/// How many comments.
pub const COMMENTS: usize = 100_000;

/// Short praise, the most frequent first.
const PRAISE: &str = "❤️ | Magnifique | Bravo | 👏👏👏 | Merci | 😍 | Superbe | Bravo ! | Magnifique ! | 👍 | Merci beaucoup | \
                      Très beau | Superbe ! | Magnifique 😍 | 🙏 | Bravo 👏👏 | Sublime | J'adore | Merci pour le partage | \
                      Trop beau ❤️ | Top | Génial | Très belle photo | ❤️❤️❤️ | Félicitations | Bravo à tous | Excellent | \
                      Hâte d'y être ! | Belle initiative | Merci 🙏 | Quelle merveille | Bravo à toute l'équipe 👏 | \
                      Magnifique exposition | Très intéressant, merci | Splendide ✨ | 😂😂😂 | Courage à vous | \
                      Bonne journée à tous | Vivement samedi | Merci pour l'info";

/// How many of the acceptable comments that are no praise are chosen to be hard.
#[derive(Clone, Copy)]
pub enum Page {
    /// One in ten.
    Usual,
    /// Four in ten, as on a day of quarrel.
    Hard,
}

const USUAL: [&str; 2] = ["ordinary", "criticism"];
const DECEPTIVE: [&str; 3] = ["trap", "vulgar", "ambiguous"];

/// The comments, in the order in which they come.
pub fn comments(root: &Path, rulebook: &Rulebook, page: Page) -> Vec<String> {
    let mut usual = samples(&root.join("deploy/samples/comments.jsonl"));
    let mut hard = Vec::new();
    let mut abusive = Vec::new();
    for (category, text) in acceptance(&root.join("tests/corpora/acceptance.tsv")) {
        match category.as_str() {
            category if USUAL.contains(&category) => usual.push(text),
            category if DECEPTIVE.contains(&category) => hard.push(text),
            _ => abusive.push(text),
        }
    }
    for (acceptable, text) in own(&root.join("models/training/unseen/unseen_ordinary.tsv")) {
        if acceptable { &mut usual } else { &mut abusive }.push(text);
    }
    for (acceptable, text) in written(&root.join("models/training/written")) {
        if acceptable { &mut hard } else { &mut abusive }.push(text);
    }
    let must_match = run_cases(rulebook)
        .into_iter()
        .filter(|case| case.kind == CaseKind::Match && !case.entry.starts_with("allow/"));
    abusive.extend(must_match.map(|case| case.text));

    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let praise: Vec<&str> = PRAISE.split(" | ").collect();
    let acceptable = |random: &mut Random| {
        let hard_percent = match page {
            Page::Usual => 10,
            Page::Hard => 40,
        };
        let pool = if random.below(100) < hard_percent { &hard } else { &usual };
        random.of(pool).to_owned()
    };
    (0..COMMENTS)
        .map(|_| match random.below(100) {
            0..25 => random.by_rank(&praise).to_owned(),
            25..28 => random.of(&abusive).to_owned(),
            _ if random.below(6) == 0 => format!("{} {}", acceptable(&mut random), acceptable(&mut random)),
            _ => acceptable(&mut random),
        })
        .map(|comment| comment.replace(['\n', '\r'], " "))
        .collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("could not read {}: {error}", path.display()))
}

fn samples(path: &Path) -> Vec<String> {
    let text = |line: &str| Some(serde_json::from_str::<serde_json::Value>(line).ok()?["text"].as_str()?.to_owned());
    read(path).lines().filter_map(text).filter(|text| !text.is_empty()).collect()
}

/// Category and text of each line.
fn acceptance(path: &Path) -> Vec<(String, String)> {
    let fields = |line: &str| line.split_once('\t').map(|(category, text)| (category.to_owned(), text.to_owned()));
    read(path).lines().skip(1).filter_map(fields).collect()
}

/// The lines of the files of a folder, by the names of the files.
fn written(folder: &Path) -> Vec<(bool, String)> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("could not read {}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "tsv"));
    paths.sort();
    paths.iter().flat_map(|path| own(path)).collect()
}

/// Of each line of a file of our own, whether it is acceptable, and its text.
fn own(path: &Path) -> Vec<(bool, String)> {
    let fields = |line: &str| {
        let mut fields = line.split('\t');
        let text = fields.next()?.to_owned();
        let mut labels = fields.next()?.split(',');
        let acceptable = labels.all(|label| ["-", "criticism", "counter-speech", "vulgar"].contains(&label));
        Some((acceptable, text))
    };
    read(path).lines().filter_map(fields).collect()
}

/// Numbers by xorshift: the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % bound
    }

    fn of<'a>(&mut self, texts: &'a [String]) -> &'a str {
        &texts[usize::try_from(self.below(texts.len() as u64)).expect("an index")]
    }

    /// One of several, by their rank: with weights 1, 1/2, 1/3, …
    fn by_rank<'a>(&mut self, several: &[&'a str]) -> &'a str {
        let weight = |rank: usize| 1_000_000 / (rank as u64 + 1);
        let mut left = self.below((0..several.len()).map(weight).sum());
        let chosen = (0..several.len()).find(|rank| match left.checked_sub(weight(*rank)) {
            Some(rest) => {
                left = rest;
                false
            }
            None => true,
        });
        several[chosen.expect("less than all weights")]
    }
}
