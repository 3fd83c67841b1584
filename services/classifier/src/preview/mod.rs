//! What other rule packs would have done to comments that were judged: which rules would have hit, where the comments would have gone,
//! and what of it is dangerous. Pure but for [`score`] and [`Rows`]; the memory does not grow with the comments.
//!
//! Both sides are routed anew by [`route`], with the scores as they were recorded and under the policy in force, so that every
//! difference comes from the rules. The model does not run. Where the recorded scores are of another model than the thresholds, the
//! report names it. What came after the route (daily quotas, decisions of people) is not looked at.

mod report;
mod rows;
#[cfg(test)]
mod tests;

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::hash::{Hash as _, Hasher as _};

use vigie_domain::{Comment, Policy, Reason, Route, RuleHit, Scores, Verdict};
use vigie_rulebook::Rulebook;
use vigie_scorer::{Cascade, Input, Manifest, Scorer, ScorerError};

use crate::engine::{route_context, scope, thresholds};
use crate::routing::{is_urgent, route};
use crate::{language, scoring};

use report::Tally;
pub use report::{Example, Finding, Lane, Report, RouteChange, RuleChange};
pub use rows::{Row, Rows};

/// The most rules that are told apart.
const RULES_MAX: usize = 10_000;
/// A revision that comes again within so many others is counted once.
const REVISIONS_KEPT: usize = 1 << 20;

/// A comment with its scores.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The comment.
    pub comment: Comment,
    /// What the model said of it.
    pub scores: Scores,
    /// Its language (BCP 47), where it is clear.
    pub language: Option<String>,
    /// Whether the model read all of its text.
    pub complete: bool,
    /// Which model.
    pub model: String,
    /// What rules said of it at the time; none where it has no verdict.
    pub recorded: Option<Recorded>,
}

/// What rules said of a comment when it was judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// What they found.
    pub hits: Vec<RuleHit>,
    /// Which packs.
    pub rulebook: String,
}

impl From<Verdict> for Judged {
    fn from(verdict: Verdict) -> Self {
        Self {
            // A verdict says it of a text that is blank or cut as well: those show in the comment itself.
            complete: !verdict.reasons.contains(&Reason::Unreadable),
            comment: verdict.comment,
            scores: verdict.scores,
            language: verdict.language,
            model: verdict.model,
            recorded: Some(Recorded {
                hits: verdict.rules,
                rulebook: verdict.rulebook,
            }),
        }
    }
}

/// Scores comments that have no verdict, as [`crate::Engine::judge`] does; `rulebook` knows disguised words. Blocking.
///
/// # Errors
/// The model failed.
pub fn score(scorer: &Scorer, rulebook: &Rulebook, comments: Vec<Comment>) -> Result<Vec<Judged>, ScorerError> {
    let inputs: Vec<Input<'_>> = comments.iter().map(Input::of).collect();
    let scored = scoring::judge(scorer, rulebook, &inputs, |_| Cascade::Off)?;
    let judged = comments.into_iter().zip(scored).map(|(comment, scored)| Judged {
        language: language::detect(&comment.text).map(str::to_owned),
        comment,
        scores: scored.scores,
        complete: scored.complete,
        model: scorer.version().to_owned(),
        recorded: None,
    });
    Ok(judged.collect())
}

/// What the candidate is compared with.
#[derive(Debug)]
pub enum Baseline {
    /// Other packs.
    Packs(Box<Rulebook>),
    /// What the verdicts recorded, by whatever packs were in force at the time.
    Recorded,
}

/// A comment that cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PreviewError {
    /// It was never judged.
    #[error("it has no verdict to compare with; name the changed packs with --rules DIR, or those before the change with --against DIR")]
    NoVerdict,
    /// Its verdict names rules without end.
    #[error("more than {RULES_MAX} different rules; were all verdicts written by vigie?")]
    Rules,
}

/// Compares packs on comments, one by one.
pub struct Preview {
    manifest: Manifest,
    candidate: Rulebook,
    baseline: Baseline,
    seen: Seen,
    tally: Tally,
}

/// What is found, and where the comment goes.
struct Side {
    hits: Vec<RuleHit>,
    lane: Lane,
}

/// How a rule's hit on a comment changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    New,
    Lost,
    /// It asks for something else.
    Altered,
    Same,
}

impl Preview {
    /// A comparison of `candidate` with `baseline`. `manifest` is that of the model in force, which gives the thresholds; at most
    /// `examples` are kept of each kind of change.
    #[must_use]
    pub fn new(manifest: Manifest, candidate: Rulebook, baseline: Baseline, examples: usize) -> Self {
        Self {
            manifest,
            candidate,
            baseline,
            seen: Seen::default(),
            tally: Tally::new(examples),
        }
    }

    /// The packs that are tried.
    #[must_use]
    pub const fn candidate(&self) -> &Rulebook {
        &self.candidate
    }

    /// What they are compared with.
    #[must_use]
    pub const fn baseline(&self) -> &Baseline {
        &self.baseline
    }

    /// Compares on one comment, under the policy of its account. A deleted comment is not counted, and no longer shown; a revision that
    /// was judged twice is counted once.
    ///
    /// # Errors
    /// It cannot be compared.
    pub fn observe(&mut self, judged: &Judged, policy: &Policy) -> Result<(), PreviewError> {
        let comment = &judged.comment;
        if comment.deleted.is_some() {
            self.tally.forget(&comment.id);
            return Ok(());
        }
        if !self.seen.is_new(comment.revision.as_str()) {
            self.tally.repeated();
            return Ok(());
        }
        let scope = scope(comment, judged.language.as_deref());
        let hits = match (&self.baseline, &judged.recorded) {
            (Baseline::Packs(packs), _) => packs.matches(&comment.text, &scope),
            (Baseline::Recorded, Some(recorded)) => recorded.hits.clone(),
            (Baseline::Recorded, None) => return Err(PreviewError::NoVerdict),
        };
        let before = self.side(hits, judged, policy);
        let after = self.side(self.candidate.matches(&comment.text, &scope), judged, policy);
        self.tally.count(judged, &before, &after);
        if self.tally.rules() > RULES_MAX {
            return Err(PreviewError::Rules);
        }
        Ok(())
    }

    /// What was found so far.
    #[must_use]
    pub fn report(&self) -> Report {
        self.tally.report()
    }

    fn side(&self, hits: Vec<RuleHit>, judged: &Judged, policy: &Policy) -> Side {
        let context = route_context(&self.manifest, &judged.comment, judged.language.as_deref(), judged.complete);
        let routing = route(&hits, &judged.scores, policy, &thresholds(&self.manifest, policy), &context);
        Side {
            hits,
            lane: Lane {
                route: routing.route,
                escalate: routing.escalate,
            },
        }
    }
}

impl Side {
    /// The hit of each rule that asks for most.
    fn by_rule(&self) -> BTreeMap<&str, &RuleHit> {
        let mut rules: BTreeMap<&str, &RuleHit> = BTreeMap::new();
        for hit in &self.hits {
            let most = rules.entry(&hit.rule).or_insert(hit);
            if hit.action > most.action {
                *most = hit;
            }
        }
        rules
    }

    /// What the rules escalate for.
    fn urgent(&self) -> Vec<&RuleHit> {
        self.hits.iter().filter(|hit| is_urgent(hit)).collect()
    }
}

/// Every rule that hits on either side, and how its hit changes; the hit is that of the candidate, where it has one.
fn changes<'a>(before: &'a Side, after: &'a Side) -> Vec<(Change, &'a RuleHit)> {
    let (before, after) = (before.by_rule(), after.by_rule());
    let lost = before
        .iter()
        .filter(|(rule, _)| !after.contains_key(*rule))
        .map(|(_, hit)| (Change::Lost, *hit));
    let others = after.iter().map(|(rule, hit)| {
        let asks = |hit: &RuleHit| (hit.act, hit.target, hit.severity, hit.action);
        match before.get(rule) {
            None => (Change::New, *hit),
            Some(earlier) if asks(earlier) != asks(hit) => (Change::Altered, *hit),
            Some(_) => (Change::Same, *hit),
        }
    });
    lost.chain(others).collect()
}

/// The revisions seen last.
#[derive(Default)]
struct Seen {
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Seen {
    fn is_new(&mut self, revision: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        revision.hash(&mut hasher);
        let hash = hasher.finish();
        if !self.known.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > REVISIONS_KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

/// Whether a person, or the machine, would look at a comment or hide it.
const fn is_seen(lane: Lane) -> bool {
    !matches!(lane.route, Route::Keep)
}
