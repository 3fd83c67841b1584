//! Whether each rule still hits as large a part of the comments as it used to: the exact binomial test against its own history. Pure.
//!
//! A rule that suddenly hits more is a raid, a topic, or an innocent phrase that it mistakes; one that hits less has been evaded, or the
//! comments no longer arrive as they did. Comments are counted in windows of up to [`WINDOW_COMMENTS`]; the last [`HISTORY_WINDOWS`]
//! closed ones are the history. Nothing here reads a clock: the pace is that of the comments.
//!
//! **The test.** A rule hit x of the n comments of the open window and h of the N of its history. If its rate is one and the same, each of
//! the x + h comments fell into the window with the share n / (n + N): x is binomial, and a p-value is exact, twice the smaller tail
//! ([`binomial`]). The history counts as what it is, a sample, so that a short one, or one without a single hit, needs no care. (Exact for
//! rare hits, cautious for frequent ones, where x is hypergeometric and varies less.)
//!
//! **Many rules, several looks.** The open window is looked at when it has 500, 1,000, 2,000, 4,000 and 8,000 comments: what is gross shows
//! early, what is slight at the end. Each look has an equal part of [`FALSE_ALARMS_PER_WINDOW`], divided among the rules by Holm's
//! procedure. Holm, because one comment is hit by several rules and a look contains the one before: its promise holds however the tests
//! depend on each other, as Bonferroni's does, and it misses less. The rate of false discoveries (Benjamini, Hochberg) is no promise to
//! somebody who is called: nearly always nothing has changed, and then each discovery is false.
//!
//! **Promise.** While nothing changes and comments are independent, at most one window in a hundred brings any false departure, over all
//! rules and looks. Comments are not quite independent, since those under one post are alike. So a significant departure counts only
//! where the rate is also at least [`FACTOR_MIN`] times the expected one, or at most its half. What is found in return: among 70 rules, one
//! that hits 2 comments in 1,000 and triples, 19 times in 20 within a full window; a rarer one takes a larger change, or more windows.
//!
//! **History.** A window that departs is kept apart, so that a raid does not become what is expected. After [`ADOPTED_AFTER_WINDOWS`]
//! windows in a row on the same side the new rate is the history. A rule that is new or looks for something else begins anew
//! ([`RuleRates::follow`]); the others go on. The first window closes after 500 comments and the next ones double, so that no window is
//! longer than what came before it: tests begin with the 1,000th comment.
//!
//! Cost: one counter per hit. Memory: at most 25 pairs of numbers per rule.

pub mod binomial;
mod file;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use vigie_domain::RuleHit;

use binomial::real;
pub use file::{open, save};

/// Comments of a window at its first look.
pub const LOOK_COMMENTS: u64 = 500;

/// Comments of the longest window: [`LOOK_COMMENTS`] doubled four times.
pub const WINDOW_COMMENTS: u64 = 16 * LOOK_COMMENTS;

/// Closed windows that are the history, at most.
pub const HISTORY_WINDOWS: usize = 20;

/// The chance that a window without any change brings a departure.
pub const FALSE_ALARMS_PER_WINDOW: f64 = 0.01;

/// A departure is a rate of at least so many times the expected one, or at most that part of it.
pub const FACTOR_MIN: f64 = 2.0;

/// After so many departing windows in a row, on the same side, their rate is the history.
pub const ADOPTED_AFTER_WINDOWS: usize = 5;

/// The counts of every rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleRates {
    /// Comments of closed windows, up to [`WINDOW_COMMENTS`]: how long the open window becomes.
    closed: u64,
    /// Comments of the open window.
    open: u64,
    rules: BTreeMap<String, Watched>,
}

/// One rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Watched {
    /// What it looks for.
    digest: String,
    /// Comments of the open window that came before the rule.
    missed: u64,
    /// Comments of the open window that it hit.
    hits: u64,
    /// Closed windows, the oldest first.
    history: VecDeque<Tally>,
    /// Closed windows that departed, in a row and to the same side.
    apart: Vec<Tally>,
    apart_side: Option<Side>,
    latest: Option<Finding>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Tally {
    comments: u64,
    hits: u64,
}

/// To which side a rate departs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The rule hits more comments than its history says.
    More,
    /// The rule hits fewer.
    Fewer,
}

/// What the last look found of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Hits in the window over those that the history lets expect, half a hit added to both.
    pub ratio: f64,
    /// None where the rate is as it was.
    pub departs: Option<Side>,
}

impl RuleRates {
    /// Counts the rules in force, [`vigie_rulebook::Rulebook::rules`], from now on: those that look for what they looked for go on, others
    /// begin anew.
    pub fn follow<'a>(&mut self, rules: impl Iterator<Item = (&'a str, &'a str)>) {
        let mut before = std::mem::take(&mut self.rules);
        let fresh = |digest: &str| Watched {
            digest: digest.to_owned(),
            missed: self.open,
            ..Watched::default()
        };
        self.rules = rules
            .map(|(name, digest)| {
                let kept = before.remove(name).filter(|rule| rule.digest == digest);
                (name.to_owned(), kept.unwrap_or_else(|| fresh(digest)))
            })
            .collect();
    }

    /// Counts one comment and what was found in it. True where the window was looked at: [`RuleRates::findings`] are new then.
    pub fn observe(&mut self, hits: &[RuleHit]) -> bool {
        self.open += 1;
        for (index, hit) in hits.iter().enumerate() {
            // A rule that hits two places hits one comment.
            let is_first = hits[..index].iter().all(|earlier| earlier.rule != hit.rule);
            if is_first && let Some(rule) = self.rules.get_mut(&hit.rule) {
                rule.hits += 1;
            }
        }
        let is_due = self.open.is_multiple_of(LOOK_COMMENTS) && (self.open / LOOK_COMMENTS).is_power_of_two();
        if is_due {
            self.look();
            if self.open >= self.length() {
                self.close();
            }
        }
        is_due
    }

    /// What the last look found, by rule. Rules without a history have no finding.
    pub fn findings(&self) -> impl Iterator<Item = (&str, Finding)> {
        self.rules.iter().filter_map(|(name, rule)| Some((name.as_str(), rule.latest?)))
    }

    /// How long the open window becomes.
    fn length(&self) -> u64 {
        self.closed.clamp(LOOK_COMMENTS, WINDOW_COMMENTS)
    }

    fn look(&mut self) {
        let looks = f64::from((self.length() / LOOK_COMMENTS).ilog2() + 1);
        let open = self.open;
        let mut tested: Vec<&mut Watched> = self.rules.values_mut().filter(|rule| rule.is_comparable(open)).collect();
        let p_values: Vec<f64> = tested.iter().map(|rule| rule.p_value(open)).collect();
        for rule in &mut tested {
            let ratio = rule.ratio(open);
            rule.latest = Some(Finding { ratio, departs: None });
        }
        for index in binomial::rejected(&p_values, FALSE_ALARMS_PER_WINDOW / looks) {
            if let Some(finding) = &mut tested[index].latest {
                finding.departs = match finding.ratio {
                    ratio if ratio >= FACTOR_MIN => Some(Side::More),
                    ratio if ratio <= 1.0 / FACTOR_MIN => Some(Side::Fewer),
                    _ => None,
                };
            }
        }
    }

    fn close(&mut self) {
        for rule in self.rules.values_mut() {
            rule.close(self.open);
        }
        self.closed = (self.closed + self.open).min(WINDOW_COMMENTS);
        self.open = 0;
    }

    /// Whether these are counts that [`RuleRates::observe`] can have made: what is read from a file may be anything.
    fn is_sound(&self) -> bool {
        let length = self.length();
        let window = |tally: &Tally| tally.hits <= tally.comments && (1..=WINDOW_COMMENTS).contains(&tally.comments);
        let sound = |rule: &Watched| {
            rule.missed <= self.open
                && rule.hits <= self.open - rule.missed
                && rule.history.len() <= HISTORY_WINDOWS
                && rule.apart.len() < ADOPTED_AFTER_WINDOWS
                && rule.apart.is_empty() == rule.apart_side.is_none()
                && rule.history.iter().chain(&rule.apart).all(window)
        };
        let doubled = length.is_multiple_of(LOOK_COMMENTS) && (length / LOOK_COMMENTS).is_power_of_two();
        self.closed <= WINDOW_COMMENTS && doubled && self.open < length && self.rules.values().all(sound)
    }
}

impl Watched {
    fn now(&self, open: u64) -> Tally {
        Tally {
            comments: open - self.missed,
            hits: self.hits,
        }
    }

    fn before(&self) -> Tally {
        self.history.iter().fold(Tally::default(), |sum, window| Tally {
            comments: sum.comments + window.comments,
            hits: sum.hits + window.hits,
        })
    }

    fn is_comparable(&self, open: u64) -> bool {
        open > self.missed && !self.history.is_empty()
    }

    fn p_value(&self, open: u64) -> f64 {
        let (now, before) = (self.now(open), self.before());
        let share = real(now.comments) / real(now.comments + before.comments);
        binomial::two_sided(now.hits, now.hits + before.hits, share)
    }

    fn ratio(&self, open: u64) -> f64 {
        let (now, before) = (self.now(open), self.before());
        let expected = real(before.hits) * real(now.comments) / real(before.comments);
        (real(now.hits) + 0.5) / (expected + 0.5)
    }

    /// The open window becomes history, or is kept apart.
    fn close(&mut self, open: u64) {
        let window = self.now(open);
        let departs = self.latest.and_then(|finding| finding.departs);
        if departs != self.apart_side {
            self.apart.clear();
        }
        self.apart_side = departs;
        if departs.is_some() {
            self.apart.push(window);
            if self.apart.len() == ADOPTED_AFTER_WINDOWS {
                self.history = std::mem::take(&mut self.apart).into();
                self.apart_side = None;
            }
        } else {
            if self.history.len() == HISTORY_WINDOWS {
                self.history.pop_front();
            }
            self.history.push_back(window);
        }
        (self.hits, self.missed) = (0, 0);
    }
}
