//! 100,000 comments as an official account receives them, built from texts of this repository, the same every time.
//!
//! A quarter is short praise, repeated as people repeat it: the n-th most frequent wording comes about 1/n times as often as the first.
//! 3 % are abusive: the comments of `tests/corpora/acceptance.tsv` and of `models/training/written` that are labelled so, and those
//! that a rule must find. The rest is acceptable: the sample comments of `deploy/samples`, the ordinary, angry and deceptive ones of
//! `acceptance.tsv`, and the acceptable ones of `written`; one in six is followed by a second one, so that most are distinct.

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

/// Of the acceptable comments that are no praise, so many in a hundred come from the samples and `acceptance.tsv`, where comments are
/// as an account receives them; those of `written` are chosen to be hard.
const USUAL_PERCENT: u64 = 60;

const ACCEPTABLE: [&str; 5] = ["ordinary", "criticism", "trap", "vulgar", "ambiguous"];

/// The comments, in the order in which they come.
pub fn comments(root: &Path, rulebook: &Rulebook) -> Vec<String> {
    let mut usual = samples(&root.join("deploy/samples/comments.jsonl"));
    let mut hard = Vec::new();
    let mut abusive = Vec::new();
    for (category, text) in acceptance(&root.join("tests/corpora/acceptance.tsv")) {
        let acceptable = ACCEPTABLE.contains(&category.as_str());
        if acceptable { &mut usual } else { &mut abusive }.push(text);
    }
    for (labels, text) in written(&root.join("models/training/written")) {
        let acceptable = labels
            .split(',')
            .all(|label| ["-", "criticism", "counter-speech", "vulgar"].contains(&label));
        if acceptable { &mut hard } else { &mut abusive }.push(text);
    }
    let must_match = run_cases(rulebook)
        .into_iter()
        .filter(|case| case.kind == CaseKind::Match && !case.entry.starts_with("allow/"));
    abusive.extend(must_match.map(|case| case.text));

    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let praise: Vec<&str> = PRAISE.split(" | ").collect();
    let acceptable = |random: &mut Random| {
        let pool = if random.below(100) < USUAL_PERCENT { &usual } else { &hard };
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

/// Labels and text of each line of each file, by the names of the files.
fn written(folder: &Path) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("could not read {}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "tsv"));
    paths.sort();
    let fields = |line: &str| {
        let mut fields = line.split('\t');
        let text = fields.next()?.to_owned();
        Some((fields.next()?.to_owned(), text))
    };
    paths
        .iter()
        .flat_map(|path| read(path).lines().filter_map(fields).collect::<Vec<_>>())
        .collect()
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
