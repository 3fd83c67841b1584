//! Comments to verdicts: rules, scores, routing and the audit sample.
//!
//! [`engine::Engine`] judges; [`routing::route`] is the pure heart of it. [`start`] runs it on the bus, [`offline::classify`] on a
//! stream of lines. Both give the same verdict for the same comment, rules, model, policy and audit key; only the service explains
//! some ([`explain`]), which decides nothing, and watches the scores ([`drift`]) and the rules ([`rates`]).
//!
//! [`labelled::evaluate`] compares verdicts with labels, and [`evaluation`] makes figures of the comparison. [`preview`] says what other
//! rule packs would have done to comments that were judged.
//!
//! It does not act, keep quotas or group raids: review and enforcer do.

pub mod audit;
pub mod drift;
pub mod engine;
pub mod evaluation;
pub mod explain;
pub mod labelled;
pub mod language;
mod metrics;
pub mod offline;
mod packs;
pub mod preview;
pub mod rates;
pub mod routing;
mod scoring;
mod service;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use vigie_domain::{CommentId, Topic};
use vigie_rulebook::Rulebook;
use vigie_runtime::{Runtime, Started, consume};
use vigie_scorer::{Cascade, Scorer};

pub use engine::Engine;

/// `[classifier]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Folder of the rule packs; changes are taken up while running.
    pub rules: PathBuf,
    /// Folder of the model.
    pub model: PathBuf,
    /// The shared library of ONNX Runtime, as `deploy/onnxruntime` prints it.
    pub onnxruntime: PathBuf,
    /// Scoring threads; 0: one per core.
    pub threads: usize,
    /// Comments judged together at most; nothing waits for a batch to fill.
    pub batch_records_max: usize,
    /// Whether the first stage of the model, where it has one, lets the clearly harmless go without asking the network.
    pub cascade: bool,
    /// Whether comments that the model sends to a person come with the words that moved its score, 2 a second at most.
    pub explain: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rules: PathBuf::from("rules"),
            model: PathBuf::from("models/abuse-fr-acts"),
            onnxruntime: PathBuf::from("deploy/.cache/onnxruntime/1.24.4/libonnxruntime.so"),
            threads: 0,
            batch_records_max: 256,
            cascade: true,
            explain: true,
        }
    }
}

impl Config {
    /// Opens the model. Blocking, for about a second.
    ///
    /// # Errors
    /// The model or ONNX Runtime cannot be used; the error names the file and the way out.
    pub fn open_scorer(&self) -> anyhow::Result<Scorer> {
        let threads = if self.threads == 0 {
            std::thread::available_parallelism().map_or(1, usize::from)
        } else {
            self.threads
        };
        Ok(Scorer::open(&self.onnxruntime, &self.model, threads)?)
    }

    const fn stages(&self) -> Cascade {
        if self.cascade { Cascade::On } else { Cascade::Off }
    }

    /// An engine for offline use; `draw` as in [`Engine::new`], [`audit::keyless_draw`] where there is no key.
    ///
    /// # Errors
    /// A rule pack, the model or ONNX Runtime cannot be used.
    pub fn open_engine(&self, draw: impl Fn(&CommentId) -> f64 + Send + Sync + 'static) -> anyhow::Result<Engine> {
        let rulebook = Rulebook::load(&self.rules).with_context(|| no_rules(&self.rules))?;
        Ok(Engine::new(rulebook, self.open_scorer()?, self.stages(), draw))
    }
}

fn no_rules(dir: &Path) -> String {
    format!(
        "could not use the rule packs of {}; check [classifier] rules, and the packs with `vigie rules check`",
        dir.display()
    )
}

/// Starts the service.
///
/// # Errors
/// A rule pack, the model or ONNX Runtime cannot be used: nothing is consumed then.
pub async fn start(config: Config, runtime: Runtime) -> anyhow::Result<Started> {
    anyhow::ensure!(
        (1..=4096).contains(&config.batch_records_max),
        "[classifier] batch_records_max is {}, it must be in 1..4096",
        config.batch_records_max
    );
    let metrics = metrics::Metrics::register(&runtime.registry)?;
    let keys = runtime.keys.clone();
    let opening = config.clone();
    let (packs, engine) = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
        let (packs, rulebook) = packs::Packs::open(&opening.rules).with_context(|| no_rules(&opening.rules))?;
        let engine = Engine::new(rulebook, opening.open_scorer()?, opening.stages(), move |id| keys.audit_draw(id));
        Ok((packs, Arc::new(engine)))
    })
    .await
    .context("opening the model panicked")??;
    tracing::info!(
        model = engine.scorer().version(),
        rulebook = engine.rulebook().version(),
        "the classifier is ready"
    );
    let task_runtime = runtime.clone();
    let task = tokio::spawn(async move {
        let handler = service::Classifier::new(task_runtime.clone(), engine, packs, metrics, config.explain);
        consume(&task_runtime, "classifier", &[Topic::Comments], config.batch_records_max, handler).await
    });
    Ok(Started {
        name: "classifier",
        routes: axum::Router::new(),
        tasks: vec![task],
    })
}
