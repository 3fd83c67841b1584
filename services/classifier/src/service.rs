//! Consume [comments], decide, publish [verdicts], commit.
//!
//! Delivery: at least once. A verdict is published before its comment is committed; a comment delivered again gets the same verdict
//! with the same id, unless rules, model or policy changed in between. A record that is no comment, or that makes the engine fail on
//! its own, goes to the dead letters, and the rest of its batch flows on. An explanation that fails is left out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context as _;
use async_trait::async_trait;
use vigie_bus::{BusError, Delivery};
use vigie_domain::{Comment, Topic, Verdict, decode};
use vigie_runtime::{Handler, Policies, Rejected, Runtime, publish, record};

use crate::drift::DriftMeter;
use crate::engine::Engine;
use crate::explain::{Allowance, is_wanted};
use crate::metrics::Metrics;
use crate::packs::Packs;
use crate::watch::{self, RateWatch};

/// The handler of the consumer loop.
pub struct Classifier {
    runtime: Runtime,
    engine: Arc<Engine>,
    packs: Packs,
    metrics: Metrics,
    /// None where the model has no reference.
    drift: Option<DriftMeter>,
    rates: RateWatch,
    /// None where nothing is explained.
    allowance: Option<Arc<Mutex<Allowance>>>,
}

impl Classifier {
    /// A handler on an opened engine; `packs` are those that its rulebook came from.
    #[must_use]
    pub fn new(runtime: Runtime, engine: Arc<Engine>, packs: Packs, metrics: Metrics, explain: bool) -> Self {
        Self {
            drift: engine.scorer().manifest().drift.as_ref().map(DriftMeter::new),
            rates: RateWatch::open(runtime.data_dir.join(watch::FILE), &engine.rulebook(), metrics.clone()),
            allowance: explain.then(|| Arc::new(Mutex::new(Allowance::new(Instant::now())))),
            runtime,
            engine,
            packs,
            metrics,
        }
    }

    fn watch_scores(&mut self, verdicts: &[(usize, Verdict)]) {
        let let_go = verdicts
            .iter()
            .filter(|(_, verdict)| self.engine.was_let_go(&verdict.scores))
            .count();
        self.metrics.let_go(let_go as u64);
        if let Some(drift) = &mut self.drift {
            for (_, verdict) in verdicts {
                drift.observe(&verdict.scores);
            }
            self.metrics.drifted(drift.indices());
        }
    }

    /// Deletions say nothing about the rules.
    fn watch_rules(&mut self, verdicts: &[(usize, Verdict)]) {
        let living = verdicts.iter().filter(|(_, verdict)| verdict.comment.deleted.is_none());
        self.rates.observe(living.map(|(_, verdict)| verdict.rules.as_slice()));
    }

    fn reload_packs(&mut self) {
        match self.packs.changed() {
            None => {}
            Some(Ok(rulebook)) => {
                tracing::info!(
                    from = self.engine.rulebook().version(),
                    to = rulebook.version(),
                    "changed rule packs are in force"
                );
                self.rates.follow(&rulebook);
                self.engine.replace_rulebook(rulebook);
                self.metrics.reloaded(true);
            }
            Some(Err(error)) => {
                let kept = self.engine.rulebook();
                tracing::error!(%error, kept = kept.version(), "changed rule packs are broken; the old ones stay in force, see `vigie rules check`");
                self.metrics.reloaded(false);
            }
        }
    }

    /// The verdicts of a batch, or of its comments one by one where the batch fails as a whole.
    async fn judge(&self, comments: Vec<(usize, Comment)>, rejected: &mut Vec<Rejected>) -> Vec<(usize, Verdict)> {
        if comments.is_empty() {
            return Vec::new();
        }
        let started = Instant::now();
        let (indices, batch): (Vec<usize>, Vec<Comment>) = comments.iter().cloned().unzip();
        let verdicts = match self.judge_blocking(batch).await {
            Ok(verdicts) => indices.into_iter().zip(verdicts).collect(),
            Err(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    comments = comments.len(),
                    "a batch could not be judged; judging one by one"
                );
                let mut verdicts = Vec::new();
                for (index, comment) in comments {
                    match self.judge_blocking(vec![comment]).await {
                        Ok(judged) => verdicts.extend(judged.into_iter().map(|verdict| (index, verdict))),
                        Err(error) => rejected.push(Rejected {
                            index,
                            error: format!("{error:#}"),
                        }),
                    }
                }
                verdicts
            }
        };
        self.metrics.judged(started.elapsed().as_secs_f64());
        verdicts
    }

    /// On a thread that may block; a panic there is an error here.
    async fn judge_blocking(&self, comments: Vec<Comment>) -> anyhow::Result<Vec<Verdict>> {
        let (engine, policies) = (Arc::clone(&self.engine), self.runtime.policies.clone());
        let allowance = self.allowance.clone();
        let judged = tokio::task::spawn_blocking(move || {
            let mut verdicts = engine.judge(comments, |account| policies.for_account(account))?;
            if let Some(allowance) = allowance {
                explain(&engine, &policies, &mut verdicts, &allowance);
            }
            Ok::<_, vigie_scorer::ScorerError>(verdicts)
        });
        // The panic's message could quote the text.
        judged
            .await
            .ok()
            .context("the engine panicked on it")?
            .context("the engine failed on it")
    }

    /// Publishes the verdicts; one that the bus refuses for good is rejected alone.
    async fn publish(&self, verdicts: &[(usize, Verdict)], rejected: &mut Vec<Rejected>) -> anyhow::Result<()> {
        let records = verdicts.iter().map(|(_, verdict)| record(verdict)).collect();
        match publish(&self.runtime, Topic::Verdicts, records).await {
            Ok(()) => verdicts.iter().for_each(|(_, verdict)| self.metrics.published(verdict)),
            Err(error @ BusError::Transient(_)) => return Err(error.into()),
            Err(BusError::Permanent(_)) => {
                for (index, verdict) in verdicts {
                    match publish(&self.runtime, Topic::Verdicts, vec![record(verdict)]).await {
                        Ok(()) => self.metrics.published(verdict),
                        Err(error @ BusError::Transient(_)) => return Err(error.into()),
                        Err(BusError::Permanent(error)) => {
                            rejected.push(Rejected {
                                index: *index,
                                error: format!("its verdict could not be published: {error}"),
                            });
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// Explains the verdicts that are worth it, as long as the allowance lasts.
fn explain(engine: &Engine, policies: &Policies, verdicts: &mut [Verdict], allowance: &Mutex<Allowance>) {
    for verdict in verdicts.iter_mut().filter(|verdict| is_wanted(verdict)) {
        if !allowance.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now()) {
            return;
        }
        match engine.explain(verdict, policies.for_account(&verdict.comment.account)) {
            Ok(explanation) => verdict.explanation = explanation,
            Err(error) => tracing::warn!(%error, "a verdict goes out without its explanation"),
        }
    }
}

#[async_trait]
impl Handler for Classifier {
    async fn handle(&mut self, batch: &[Delivery]) -> anyhow::Result<Vec<Rejected>> {
        self.reload_packs();
        let mut rejected = Vec::new();
        let mut comments = Vec::with_capacity(batch.len());
        for (index, delivery) in batch.iter().enumerate() {
            match decode::<Comment>(&delivery.record.payload) {
                Ok(comment) => comments.push((index, comment)),
                Err(error) => rejected.push(Rejected {
                    index,
                    error: error.to_string(),
                }),
            }
        }
        let verdicts = self.judge(comments, &mut rejected).await;
        self.publish(&verdicts, &mut rejected).await?;
        self.watch_scores(&verdicts);
        self.watch_rules(&verdicts);
        Ok(rejected)
    }

    async fn idle(&mut self) -> anyhow::Result<()> {
        self.reload_packs();
        self.rates.idle();
        Ok(())
    }
}
