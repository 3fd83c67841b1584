//! The rulebook beside simpler ways to look for the same terms, in one run on one corpus.
//!
//! `cargo bench -p vigie-rulebook --bench compare`
//!
//! Corpus: 100,000 comments with natural repetition, 3 % of them abusive (see `corpus.rs`), most of the others as an account receives
//! them. Compared on it:
//!
//! - the rulebook, with one thread and with two: terms, patterns, allow-lists, guards and spans, in every normalised copy of a text;
//! - one alternation of the terms, `(?i)(?:…)`, by the regex crate, with a look at both sides of each find. Terms only, only as they are
//!   written. (With `\b`, what one writes first, it would be several hundred times slower: the crate's fast engines do not know
//!   Unicode's boundaries beside an accent.) It gets every tenth comment, and its time is scaled up;
//! - Python's `re` with `(?i)\b(?:…)\b`, and pyahocorasick over the terms in lower case with the same look, by `peers.py`. Skipped, and said so, where `python3` has no pyahocorasick (`pip install pyahocorasick`).
//!
//! What counts is the processor time of the thread, the best of five runs in turn: other processes on the machine cost caches, but
//! are not counted. Two threads are measured by the clock on the wall. Compare within a run only: the machine below was half as fast
//! at times.
//!
//! Measured on 26 November 2026 in eight runs, on two virtual cores (Intel Xeon, 2 MiB of second-level cache each) of which training and
//! compilers used one at times:
//!
//! | | comments/s | time beside one thread of the rulebook |
//! |---|---|---|
//! | rulebook, one thread | 225,000 to 248,000 (13 to 14 MB/s) | 1 |
//! | rulebook, two threads | 274,000 to 318,000 (16 to 19 MB/s) | 0.73 to 0.82 |
//! | alternation, regex crate | 1,700,000 to 3,900,000 | 0.06 to 0.13 |
//! | alternation, Python's `re` | 850 to 1,010 | 245 to 265 |
//! | pyahocorasick | 425,000 to 487,000 | 0.51 to 0.53 |
//!
//! That was on the hard page, with nine rules fewer. On 27 November in one run: usual page 321,000 with one thread and 394,000 with two, the
//! alternation of the regex crate 2,151,000; hard page 253,000 with one thread.
//!
//! The alternation of the regex crate and pyahocorasick do a small part of the work: no patterns, no guards, no other spelling. The
//! matcher that tried every pattern whose first or last words stand in the text took eight times as long as this one, alternating with
//! it on this corpus.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "writes its result there")]

mod corpus;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use regex::{Regex, RegexBuilder};
use vigie_rulebook::{Rulebook, Scope, testing};

const ROUNDS: usize = 5;
/// The alternation gets one comment in so many.
const SHARE: u32 = 10;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let rulebook = Rulebook::load(&root.join("rules")).expect("the packs are valid");
    let [comments, hard] = [corpus::Page::Usual, corpus::Page::Hard].map(|page| corpus::comments(&root, &rulebook, page));
    let terms: Vec<String> = testing::terms(&rulebook).into_iter().collect();
    let alternation = alternation(&terms);
    let distinct: BTreeSet<&String> = comments.iter().collect();
    let with_hit = comments
        .iter()
        .filter(|comment| !rulebook.matches(comment, &Scope::default()).is_empty());
    let share = 100.0 * with_hit.count() as f64 / comments.len() as f64;
    let bytes: usize = comments.iter().map(String::len).sum();
    let corpus = Corpus {
        comments: &comments,
        bytes,
    };
    println!(
        "{} comments, {:.1} MB, {} of them distinct, {share:.1} % with a hit; {} terms",
        comments.len(),
        bytes as f64 / 1e6,
        distinct.len(),
        terms.len()
    );
    let mut best = [Duration::MAX; 4];
    for _ in 0..ROUNDS {
        let times = [
            processor_time(|| rules(&rulebook, &comments)),
            wall_time(|| in_two_threads(&rulebook, &comments)),
            SHARE
                * processor_time(|| {
                    comments
                        .iter()
                        .step_by(SHARE as usize)
                        .map(|comment| words(&alternation, comment))
                        .sum()
                }),
            processor_time(|| rules(&rulebook, &hard)),
        ];
        best.iter_mut().zip(times).for_each(|(best, time)| *best = time.min(*best));
    }
    let rules = best[0];
    let names = [
        "rulebook, one thread",
        "rulebook, two threads",
        "alternation, regex crate",
        "rulebook, on a hard page",
    ];
    for (name, time) in names.into_iter().zip(best) {
        corpus.show(name, time, rules);
    }
    if let Err(why) = peers(&corpus, &terms, rules) {
        eprintln!("SKIPPED: Python's re and pyahocorasick: {why}");
    }
}

struct Corpus<'a> {
    comments: &'a [String],
    bytes: usize,
}

impl Corpus<'_> {
    /// One line of the result: `time` for the whole corpus, beside that of the rulebook.
    fn show(&self, name: &str, time: Duration, rulebook: Duration) {
        let seconds = time.as_secs_f64();
        println!(
            "{name:26} {:>10.0} comments/s {:>8.2} MB/s {:>8.2} times the time of the rulebook",
            self.comments.len() as f64 / seconds,
            self.bytes as f64 / seconds / 1e6,
            seconds / rulebook.as_secs_f64()
        );
    }
}

fn rules(rulebook: &Rulebook, comments: &[String]) -> usize {
    comments
        .iter()
        .map(|comment| rulebook.matches(comment, &Scope::default()).len())
        .sum()
}

fn in_two_threads(rulebook: &Rulebook, comments: &[String]) -> usize {
    let (first, second) = comments.split_at(comments.len() / 2);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| rules(rulebook, second));
        rules(rulebook, first) + other.join().expect("the rulebook does not panic")
    })
}

fn alternation(terms: &[String]) -> Regex {
    let escaped: Vec<String> = terms.iter().map(|term| regex::escape(term)).collect();
    RegexBuilder::new(&escaped.join("|"))
        .case_insensitive(true)
        .size_limit(1 << 30)
        .dfa_size_limit(1 << 28)
        .build()
        .expect("an alternation of escaped terms")
}

/// How many finds in `text` begin and end where words do.
fn words(alternation: &Regex, text: &str) -> usize {
    let is_word = |range: std::ops::Range<usize>| {
        let before = text[..range.start].chars().next_back().is_some_and(char::is_alphanumeric);
        let after = text[range.end..].chars().next().is_some_and(char::is_alphanumeric);
        !before && !after
    };
    alternation.find_iter(text).filter(|found| is_word(found.range())).count()
}

fn wall_time(run: impl FnOnce() -> usize) -> Duration {
    let start = Instant::now();
    std::hint::black_box(run());
    start.elapsed()
}

/// The time that this thread was running, where the system tells (Linux); else the time on the wall.
fn processor_time(run: impl FnOnce() -> usize) -> Duration {
    let running = || -> Option<Duration> {
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        Some(Duration::from_nanos(stat.split(' ').next()?.parse().ok()?))
    };
    let (start, before) = (Instant::now(), running());
    std::hint::black_box(run());
    match (before, running()) {
        (Some(before), Some(after)) => after - before,
        _ => start.elapsed(),
    }
}

/// Runs `peers.py` on the same comments and terms, and shows its lines: a name and the seconds that the whole corpus takes.
fn peers(corpus: &Corpus<'_>, terms: &[String], rulebook: Duration) -> Result<(), String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/compare/peers.py");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compare");
    let write = |name: &str, lines: &[String]| {
        let path = folder.join(name);
        std::fs::write(&path, lines.join("\n"))
            .map(|()| path)
            .map_err(|error| error.to_string())
    };
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let (comments, terms) = (write("comments.txt", corpus.comments)?, write("terms.txt", terms)?);
    let output = Command::new("python3")
        .arg(script)
        .arg(comments)
        .arg(terms)
        .output()
        .map_err(|error| format!("python3: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let (name, seconds) = line.split_once('\t').ok_or("peers.py wrote no name and seconds")?;
        let seconds: f64 = seconds.parse().map_err(|_| format!("no seconds: {line}"))?;
        corpus.show(name, Duration::from_secs_f64(seconds), rulebook);
    }
    Ok(())
}
