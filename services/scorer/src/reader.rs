//! One network with its tokenizer: texts to the logits of its heads, window by window.

use ort::environment::Environment;

use crate::Input;
use crate::error::ScorerError;
use crate::manifest::{Bundle, Manifest, OutputKind};
use crate::network::Network;
use crate::windows::{Cutter, Windows};

/// Probabilities closer than this to 0 or 1 are brought back to it, so that a logit is finite. `calibrate.py` has the same.
const PROBABILITY_MIN: f64 = 1e-6;

/// See the head of the module.
pub struct Reader {
    manifest: Manifest,
    cutter: Cutter,
    network: Network,
}

/// What a network says of one text.
pub struct Reading {
    /// Logits of the heads per window.
    pub windows: Vec<Vec<f64>>,
    /// Whether every part of the text is in a window.
    pub complete: bool,
}

impl Reading {
    /// The most that any window reaches, per head.
    pub fn most(&self) -> Vec<f64> {
        let heads = self.windows.first().map_or(0, Vec::len);
        let most = |head: usize| self.windows.iter().map(|window| window[head]).fold(f64::NEG_INFINITY, f64::max);
        (0..heads).map(most).collect()
    }
}

impl Reader {
    /// Opens a model with `threads` sessions of one thread each.
    ///
    /// # Errors
    /// The tokenizer or the network does not fit the manifest.
    pub fn open(environment: &Environment, bundle: Bundle, threads: usize) -> Result<Self, ScorerError> {
        let model = || bundle.manifest.name.clone();
        let cutter = Cutter::new(&bundle.tokenizer, bundle.manifest.max_tokens)
            .map_err(|message| ScorerError::Tokenizer { model: model(), message })?;
        let network = Network::new(environment, &bundle.network, bundle.manifest.clone(), threads)
            .map_err(|message| ScorerError::Network { model: model(), message })?;
        Ok(Self {
            manifest: bundle.manifest,
            cutter,
            network,
        })
    }

    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What the network says of each text, in order.
    ///
    /// # Errors
    /// The tokenizer or the runtime failed.
    pub fn read(&self, texts: &[Input<'_>]) -> Result<Vec<Reading>, ScorerError> {
        let failed = |message: String| ScorerError::Run {
            model: self.manifest.name.clone(),
            message,
        };
        let cut: Vec<Windows> = texts
            .iter()
            .map(|input| self.cutter.cut(input.text, input.beside(&self.manifest)))
            .collect::<Result<_, _>>()
            .map_err(failed)?;
        let windows: Vec<&[i64]> = cut.iter().flat_map(|text| text.windows.iter().map(Vec::as_slice)).collect();
        let outputs = self.network.run(&windows).map_err(failed)?;
        let mut logits = outputs.iter().map(|row| row.iter().map(|output| self.logit(*output)).collect());
        let of_text = |text: Windows| Reading {
            windows: logits.by_ref().take(text.windows.len()).collect(),
            complete: text.complete,
        };
        Ok(cut.into_iter().map(of_text).collect())
    }

    fn logit(&self, output: f32) -> f64 {
        match self.manifest.output.kind {
            OutputKind::Logits => f64::from(output),
            OutputKind::Probabilities => {
                let probability = f64::from(output).clamp(PROBABILITY_MIN, 1.0 - PROBABILITY_MIN);
                (probability / (1.0 - probability)).ln()
            }
        }
    }
}
