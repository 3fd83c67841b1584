//! From texts to calibrated scores: the tokenizer, the ONNX sessions and the labels of one model. The only crate that knows `ort`.
//!
//! Promises. A model is opened whole or refused with one error that names the file and the way out: missing or changed files, a
//! network that does not fit its manifest, a library that is missing, truncated or too old all show in [`Scorer::open`]. The score
//! of a text depends on the text and the model alone, whatever it is scored together with (see [`manifest::Batching`]). The time
//! for a text is bounded, whatever its length ([`windows`]).
//!
//! It does not decide anything, and does not detect languages.

mod batches;
mod calibration;
mod error;
mod library;
pub mod manifest;
mod network;
#[doc(hidden)]
pub mod testing;
pub mod windows;

use std::collections::BTreeMap;
use std::path::Path;

use vigie_domain::policy::{Caution, Threshold};
use vigie_domain::{ScoreLabel, Scores};

pub use error::ScorerError;
pub use manifest::{Bundle, Manifest};

use calibration::Calibration;
use network::Network;
use windows::{Cutter, Windows};

/// What is scored.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The comment.
    pub text: &'a str,
    /// What it answers; unused by models whose manifest says `context = false`, as the first two do.
    pub parent: Option<&'a str>,
}

/// The scores of a text, and whether they cover all of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Calibrated probabilities.
    pub scores: Scores,
    /// False for a text so long that only parts of it were read.
    pub complete: bool,
}

/// One opened model.
pub struct Scorer {
    manifest: Manifest,
    version: String,
    cutter: Cutter,
    calibration: Calibration,
    network: Network,
}

impl Scorer {
    /// Opens the model of the folder `model_dir` on the ONNX Runtime at `library`, with `threads` sessions of one thread each.
    ///
    /// # Errors
    /// Everything that could fail later, as [`ScorerError`] says.
    pub fn open(library: &Path, model_dir: &Path, threads: usize) -> Result<Self, ScorerError> {
        let bundle = Bundle::read(model_dir)?;
        let model = || bundle.manifest.name.clone();
        if bundle.manifest.context {
            let message = "it was trained with the parent text (context = true), which this build cannot feed; upgrade vigie".to_owned();
            return Err(ScorerError::Network { model: model(), message });
        }
        let cutter = Cutter::new(&bundle.tokenizer, bundle.manifest.max_tokens)
            .map_err(|message| ScorerError::Tokenizer { model: model(), message })?;
        let environment = library::environment(library)?;
        let network = Network::new(&environment, &bundle.network, bundle.manifest.clone(), threads)
            .map_err(|message| ScorerError::Network { model: model(), message })?;
        Ok(Self {
            calibration: Calibration::new(&bundle.manifest),
            manifest: bundle.manifest,
            version: bundle.version,
            cutter,
            network,
        })
    }

    /// The scores of `texts`, in order. Blocking, on at most as many threads as the model was opened with.
    ///
    /// # Errors
    /// The tokenizer or the runtime failed.
    pub fn score(&self, texts: &[Input<'_>]) -> Result<Vec<Scores>, ScorerError> {
        Ok(self.score_covered(texts)?.into_iter().map(|scored| scored.scores).collect())
    }

    /// As [`Scorer::score`], and whether each text was read whole.
    ///
    /// # Errors
    /// The tokenizer or the runtime failed.
    pub fn score_covered(&self, texts: &[Input<'_>]) -> Result<Vec<Scored>, ScorerError> {
        let failed = |message: String| ScorerError::Run {
            model: self.manifest.name.clone(),
            message,
        };
        let cut: Vec<Windows> = texts
            .iter()
            .map(|input| self.cutter.cut(input.text))
            .collect::<Result<_, _>>()
            .map_err(failed)?;
        let windows: Vec<&[i64]> = cut.iter().flat_map(|text| text.windows.iter().map(Vec::as_slice)).collect();
        let outputs = self.network.run(&windows).map_err(failed)?;
        let mut rest = outputs.as_slice();
        let mut scored = Vec::with_capacity(texts.len());
        for text in &cut {
            let (own, others) = rest.split_at(text.windows.len());
            rest = others;
            scored.push(Scored {
                scores: self.calibration.scores(own.iter().map(Vec::as_slice)),
                complete: text.complete,
            });
        }
        Ok(scored)
    }

    /// `name@version+digest`, as verdicts name it.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What the manifest says.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The thresholds of a caution level. Those of `vulgar`, `criticism` and `counter-speech` say from which score a comment counts
    /// as protected speech.
    #[must_use]
    pub fn thresholds(&self, caution: Caution) -> BTreeMap<ScoreLabel, Threshold> {
        self.manifest.thresholds_of(caution)
    }
}
