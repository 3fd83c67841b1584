//! Comments to verdicts: rules, scores, language, route and audit draw. Used by the service and by `vigie classify` alike.
//!
//! Synchronous and deterministic: the same comments, rules, model, policy and audit key give the same verdicts, in the order of the
//! comments, however they are cut into batches. It blocks for as long as the model computes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use vigie_domain::policy::Threshold;
use vigie_domain::{AccountId, Comment, CommentId, Explanation, Policy, Reason, Route, RuleHit, ScoreLabel, Scores, Verdict, VerdictId};
use vigie_rulebook::{Rulebook, Scope};
use vigie_scorer::{Cascade, Input, Manifest, Scored, Scorer, ScorerError};

use crate::routing::{Automation, LanguageFit, Reading, RouteContext, Routing, most_over, route};
use crate::{audit, explain, language, scoring};

type Draw = Box<dyn Fn(&CommentId) -> f64 + Send + Sync>;

/// A rulebook, a model and the key of the audit draw.
pub struct Engine {
    rulebook: RwLock<Arc<Rulebook>>,
    scorer: Scorer,
    cascade: Cascade,
    draw: Draw,
}

/// A policy, with what follows from it and the model.
struct Applied {
    policy: Arc<Policy>,
    version: String,
    thresholds: BTreeMap<ScoreLabel, Threshold>,
}

impl Engine {
    /// An engine; `draw` gives the audit draw of a comment in [0, 1).
    #[must_use]
    pub fn new(rulebook: Rulebook, scorer: Scorer, cascade: Cascade, draw: impl Fn(&CommentId) -> f64 + Send + Sync + 'static) -> Self {
        Self {
            rulebook: RwLock::new(Arc::new(rulebook)),
            scorer,
            cascade,
            draw: Box::new(draw),
        }
    }

    /// The rulebook in force.
    #[must_use]
    pub fn rulebook(&self) -> Arc<Rulebook> {
        Arc::clone(&self.rulebook.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another rulebook in force, from the next call of [`Engine::judge`] on.
    pub fn replace_rulebook(&self, rulebook: Rulebook) {
        *self.rulebook.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rulebook);
    }

    /// The model.
    #[must_use]
    pub const fn scorer(&self) -> &Scorer {
        &self.scorer
    }

    /// One verdict per comment, in order. `policy` gives the policy of an account.
    ///
    /// # Errors
    /// The model failed; no comment of the call has a verdict then.
    pub fn judge(&self, comments: Vec<Comment>, policy: impl Fn(&AccountId) -> Arc<Policy>) -> Result<Vec<Verdict>, ScorerError> {
        let rulebook = self.rulebook();
        let living: Vec<&Comment> = comments.iter().filter(|comment| comment.deleted.is_none()).collect();
        let inputs: Vec<Input<'_>> = living.iter().copied().map(Input::of).collect();
        let read: Vec<(Option<&'static str>, Vec<RuleHit>)> = living.iter().map(|comment| read(comment, &rulebook)).collect();
        let grave = grave_posts(&living, &rulebook);
        let under_grave = |input: &Input<'_>| self.scorer.beside(input).is_some_and(|post| grave.contains(post));
        // What a rule finds is never let go: whether the model agrees is a question to the network. Nor is what the network would read beside a
        // grave post: the first stage reads no posts.
        let may_go = |place: usize| read[place].1.is_empty() && !under_grave(&inputs[place]);
        let cascade = |place: usize| if may_go(place) { self.cascade } else { Cascade::Off };
        let scored = scoring::judge(&self.scorer, &rulebook, &inputs, cascade)?;
        let mut found = read.into_iter().zip(scored);
        let mut applied: BTreeMap<AccountId, Applied> = BTreeMap::new();
        let mut verdicts = Vec::with_capacity(comments.len());
        for comment in comments {
            let applied = applied
                .entry(comment.account.clone())
                .or_insert_with_key(|account| self.apply(policy(account)));
            let verdict = if comment.deleted.is_some() {
                self.judge_deleted(comment, applied, &rulebook)
            } else {
                let ((language, hits), scored) = found.next().expect("the scorer gives one score per text");
                self.judge_one(comment, language, hits, scored, applied, &rulebook)
            };
            verdicts.push(verdict);
        }
        Ok(verdicts)
    }

    /// The thresholds of a policy: those of its caution level, overlaid by its own.
    #[must_use]
    pub fn thresholds(&self, policy: &Policy) -> BTreeMap<ScoreLabel, Threshold> {
        thresholds(self.scorer.manifest(), policy)
    }

    /// Whether scores come from the first stage of the cascade, which scores one label.
    #[must_use]
    pub fn was_let_go(&self, scores: &Scores) -> bool {
        scores.0.len() == 1 && self.scorer.manifest().labels.len() > 1
    }

    /// Scores of the first stage with 0 for every label that only the network scores, so that figures count what was let go.
    pub(crate) fn complete_scores(&self, scores: &mut Scores) {
        if self.was_let_go(scores) {
            for label in &self.scorer.manifest().labels {
                scores.0.entry(label.label).or_insert(0.0);
            }
        }
    }

    /// The words that moved the score that a verdict is most about; none where no word stands out, or the text is too long. Costs at
    /// most [`explain::STRETCH_WORDS`] + [`explain::STRETCHES_MAX`] short texts, twice as many where words are disguised.
    ///
    /// # Errors
    /// The model failed.
    pub fn explain(&self, verdict: &Verdict, policy: Arc<Policy>) -> Result<Option<Explanation>, ScorerError> {
        let label = most_over(&verdict.scores, &self.apply(policy).thresholds);
        let Some(whole) = verdict.scores.get(label) else {
            return Ok(None);
        };
        let rulebook = self.rulebook();
        // However many words are left out, the rest is read beside the same.
        let beside = self.scorer.beside(&Input::of(&verdict.comment));
        let words = explain::explain(&verdict.comment.text, whole, |texts| {
            let inputs: Vec<Input<'_>> = texts
                .iter()
                .map(|text| Input {
                    parent: beside,
                    ..Input::alone(text)
                })
                .collect();
            let scored = scoring::judge(&self.scorer, &rulebook, &inputs, |_| Cascade::Off)?;
            Ok(scored.iter().map(|scored| scored.scores.get(label).unwrap_or(0.0)).collect())
        })?;
        Ok((!words.is_empty()).then_some(Explanation { label, words }))
    }

    fn apply(&self, policy: Arc<Policy>) -> Applied {
        Applied {
            version: policy.version(),
            thresholds: self.thresholds(&policy),
            policy,
        }
    }

    fn judge_one(
        &self,
        comment: Comment,
        language: Option<&str>,
        hits: Vec<RuleHit>,
        scored: Scored,
        applied: &Applied,
        rulebook: &Rulebook,
    ) -> Verdict {
        let context = route_context(self.scorer.manifest(), &comment, language, scored.complete);
        let routing = route(&hits, &scored.scores, &applied.policy, &applied.thresholds, &context);
        let audit = audit::audit(&applied.policy, &scored.scores, (self.draw)(&comment.id));
        self.verdict(comment, routing, hits, scored.scores, language, audit, applied, rulebook)
    }

    /// A deletion keeps nothing back and needs nobody: what waits for the comment is withdrawn.
    fn judge_deleted(&self, comment: Comment, applied: &Applied, rulebook: &Rulebook) -> Verdict {
        let routing = Routing {
            route: Route::Keep,
            escalate: false,
            urgent: Vec::new(),
            priority: 0,
            reasons: vec![Reason::DeletedUpstream],
        };
        self.verdict(
            comment,
            routing,
            Vec::new(),
            Scores::default(),
            None,
            audit::deleted(),
            applied,
            rulebook,
        )
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a verdict, put together in one place")]
    fn verdict(
        &self,
        comment: Comment,
        routing: Routing,
        rules: Vec<RuleHit>,
        scores: Scores,
        language: Option<&str>,
        audit: vigie_domain::Audit,
        applied: &Applied,
        rulebook: &Rulebook,
    ) -> Verdict {
        let (model, rulebook, policy) = (
            self.scorer.version().to_owned(),
            rulebook.version().to_owned(),
            applied.version.clone(),
        );
        Verdict {
            id: VerdictId::derive(&comment.revision, &model, &rulebook, &policy),
            comment,
            route: routing.route,
            escalate: routing.escalate,
            urgent: routing.urgent,
            priority: routing.priority,
            reasons: routing.reasons,
            rules,
            scores,
            language: language.map(str::to_owned),
            model,
            rulebook,
            policy,
            audit,
            explanation: None,
        }
    }
}

/// The posts of `comments` that are grave, each asked for once.
fn grave_posts<'a>(comments: &[&'a Comment], rulebook: &Rulebook) -> BTreeSet<&'a str> {
    let mut posts: BTreeSet<&str> = comments.iter().filter_map(|comment| comment.context.post_text.as_deref()).collect();
    posts.retain(|post| rulebook.is_grave(post));
    posts
}

/// The language of a comment, and what the rules find in it.
fn read(comment: &Comment, rulebook: &Rulebook) -> (Option<&'static str>, Vec<RuleHit>) {
    let language = language::detect(&comment.text);
    (language, rulebook.matches(&comment.text, &scope(comment, language)))
}

/// As [`Engine::thresholds`].
pub(crate) fn thresholds(manifest: &Manifest, policy: &Policy) -> BTreeMap<ScoreLabel, Threshold> {
    let mut thresholds = manifest.thresholds_of(policy.caution);
    thresholds.extend(policy.thresholds.iter().map(|(label, threshold)| (*label, *threshold)));
    thresholds
}

/// What the route of a comment depends on besides rules and scores; `complete` says whether the model read all of it.
pub(crate) fn route_context(manifest: &Manifest, comment: &Comment, language: Option<&str>, complete: bool) -> RouteContext {
    RouteContext {
        automation: Automation::On,
        language: if language.is_none_or(|language| manifest.knows_language(language)) {
            LanguageFit::Known
        } else {
            LanguageFit::Unknown
        },
        reading: reading(comment, complete),
    }
}

/// Where the rules that a comment is judged by may hold.
pub(crate) fn scope<'a>(comment: &'a Comment, language: Option<&'a str>) -> Scope<'a> {
    Scope {
        institution: Some(&comment.institution),
        account: Some(&comment.account),
        platform: Some(comment.platform),
        language,
    }
}

/// How much of the text could be judged.
fn reading(comment: &Comment, complete: bool) -> Reading {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
    };
    if comment.text.trim().is_empty() {
        Reading::Empty
    } else if comment.text.chars().all(|c| c.is_whitespace() || hidden(c)) {
        Reading::Invisible
    } else if comment.truncated || !complete {
        Reading::Partial
    } else {
        Reading::Whole
    }
}
