//! From texts to calibrated scores: the tokenizer, the ONNX sessions and the labels of one model. The only crate that knows `ort`.
//!
//! Promises. A model is opened whole or refused with one error that names the file and the way out: missing or changed files, a
//! network that does not fit its manifest, a library that is missing, truncated or too old all show in [`Scorer::open`]. The score
//! of a text depends on the text and the model alone, whatever it is scored together with (see [`manifest::Batching`]). The time
//! for a text is bounded, whatever its length ([`windows`]).
//!
//! [`Scorer::judge`] is the cascade, for models that name a first stage: a small network lets the clearly harmless go with a score for
//! `abusive` alone (`first`); the rest is read by both and scored from the heads of both. [`Scorer::score`] lets nothing go.
//!
//! It does not decide anything, and does not detect languages.

mod batches;
mod calibration;
mod error;
mod first;
pub mod lexical;
mod library;
pub mod manifest;
mod network;
mod reader;
mod recent;
#[doc(hidden)]
pub mod testing;
pub mod windows;

use std::collections::BTreeMap;
use std::path::Path;

use vigie_domain::policy::{Caution, Threshold};
use vigie_domain::{Comment, ScoreLabel, Scores};

pub use error::ScorerError;
pub use manifest::{Bundle, Manifest};

use calibration::Calibration;
use first::Gate;
use reader::Reader;
use recent::Recent;

/// What is scored.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The comment.
    pub text: &'a str,
    /// The comment that it answers: read by models whose manifest says `context = true`.
    pub parent: Option<&'a str>,
    /// The post it stands under: read where a comment of few words answers no other, by models whose manifest says up to how many (`post_words`).
    pub post: Option<&'a str>,
}

impl<'a> Input<'a> {
    /// A text without anything around it.
    #[must_use]
    pub const fn alone(text: &'a str) -> Self {
        Self {
            text,
            parent: None,
            post: None,
        }
    }

    /// A comment with what it stands under.
    #[must_use]
    pub fn of(comment: &'a Comment) -> Self {
        Self {
            text: &comment.text,
            parent: comment.context.parent_text.as_deref(),
            post: comment.context.post_text.as_deref(),
        }
    }

    /// What `manifest` says is read after the text.
    fn beside(&self, manifest: &Manifest) -> Option<&'a str> {
        let is_short = || self.text.split_whitespace().take(manifest.post_words + 1).count() <= manifest.post_words;
        let post = || self.post.filter(is_written).filter(|_| manifest.post_words > 0 && is_short());
        self.parent.filter(is_written).or_else(post).filter(|_| manifest.context)
    }
}

fn is_written(text: &&str) -> bool {
    !text.trim().is_empty()
}

/// The scores of a text, and whether they cover all of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Calibrated probabilities.
    pub scores: Scores,
    /// False for a text so long that only parts of it were read.
    pub complete: bool,
    /// Which stage of the cascade they come from.
    pub stage: Stage,
}

/// A stage of the cascade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Let go as clearly harmless, with a score for `abusive` alone.
    First,
    /// Read by the network, with a score for every label.
    Network,
}

/// Whether the first stage may let comments go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cascade {
    /// Where the model has a first stage that may.
    On,
    /// The network reads everything.
    Off,
}

/// One opened model.
pub struct Scorer {
    version: String,
    reader: Reader,
    first: Option<First>,
    calibration: Calibration,
    recent: Recent,
}

struct First {
    reader: Reader,
    gate: Option<Gate>,
}

impl Scorer {
    /// Opens the model of the folder `model_dir` on the ONNX Runtime at `library`, with `threads` sessions of one thread each.
    ///
    /// # Errors
    /// Everything that could fail later, as [`ScorerError`] says.
    pub fn open(library: &Path, model_dir: &Path, threads: usize) -> Result<Self, ScorerError> {
        let mut bundle = Bundle::read(model_dir)?;
        let environment = library::environment(library)?;
        let first = match bundle.first.take().zip(bundle.manifest.first_stage.clone()) {
            None => None,
            Some((first, stage)) => Some(First {
                gate: Gate::new(&stage, &first.manifest.heads, bundle.lexical.take()),
                reader: Reader::open(&environment, *first, threads)?,
            }),
        };
        let heads = first.as_ref().map_or(&[][..], |first| &first.reader.manifest().heads);
        Ok(Self {
            calibration: Calibration::new(&bundle.manifest, heads),
            version: bundle.version.clone(),
            reader: Reader::open(&environment, bundle, threads)?,
            first,
            recent: Recent::default(),
        })
    }

    /// The scores of `texts`, in order, none let go. Blocking, on at most as many threads as the model was opened with.
    ///
    /// # Errors
    /// The tokenizer or the runtime failed.
    pub fn score(&self, texts: &[Input<'_>]) -> Result<Vec<Scores>, ScorerError> {
        let scored = self.judge(texts, |_| Cascade::Off)?;
        Ok(scored.into_iter().map(|scored| scored.scores).collect())
    }

    /// The scores of `texts`, in order; the first stage may let those go, by their place, that `cascade` says. Blocking as
    /// [`Scorer::score`].
    ///
    /// # Errors
    /// The tokenizer or the runtime failed.
    pub fn judge(&self, texts: &[Input<'_>], cascade: impl Fn(usize) -> Cascade) -> Result<Vec<Scored>, ScorerError> {
        // What a comment answers is read by the network alone.
        let answers = |input: &Input<'_>| self.beside(&Input { post: None, ..*input }).is_some();
        let cascade = |place: usize| if answers(&texts[place]) { Cascade::Off } else { cascade(place) };
        let lately = |(place, input): (usize, &Input<'_>)| self.recent.get(cascade(place), input.text, self.beside(input));
        let mut scored: Vec<Option<Scored>> = texts.iter().enumerate().map(lately).collect();
        let new: Vec<usize> = (0..texts.len()).filter(|place| scored[*place].is_none()).collect();
        let inputs: Vec<Input<'_>> = new.iter().map(|place| texts[*place]).collect();
        let judged = self.judge_new(&inputs, |index| cascade(new[index]))?;
        for (place, judged) in new.iter().copied().zip(judged) {
            let input = &texts[place];
            self.recent.put(cascade(place), input.text, self.beside(input), judged.clone());
            scored[place] = Some(judged);
        }
        Ok(scored.into_iter().flatten().collect())
    }

    fn judge_new(&self, texts: &[Input<'_>], cascade: impl Fn(usize) -> Cascade) -> Result<Vec<Scored>, ScorerError> {
        let first: Vec<Vec<f64>> = match &self.first {
            None => vec![Vec::new(); texts.len()],
            Some(first) => first.reader.read(texts)?.iter().map(reader::Reading::most).collect(),
        };
        let gate = self.first.as_ref().and_then(|first| first.gate.as_ref());
        let let_go = |place: usize| {
            let abusive = gate
                .filter(|_| cascade(place) == Cascade::On)?
                .lets_go(texts[place].text, &first[place])?;
            Some(Scored {
                scores: Scores(BTreeMap::from([(ScoreLabel::Abusive, calibration::round(abusive))])),
                complete: true,
                stage: Stage::First,
            })
        };
        let mut scored: Vec<Option<Scored>> = (0..texts.len()).map(let_go).collect();
        let left: Vec<usize> = (0..texts.len()).filter(|place| scored[*place].is_none()).collect();
        let inputs: Vec<Input<'_>> = left.iter().map(|place| texts[*place]).collect();
        for (place, reading) in left.into_iter().zip(self.reader.read(&inputs)?) {
            scored[place] = Some(Scored {
                scores: self.calibration.scores(&reading.windows, &first[place]),
                complete: reading.complete,
                stage: Stage::Network,
            });
        }
        Ok(scored.into_iter().flatten().collect())
    }

    /// What the model reads beside the text of `input`.
    #[must_use]
    pub fn beside<'a>(&self, input: &Input<'a>) -> Option<&'a str> {
        input.beside(self.manifest())
    }

    /// `name@version+digest`, as verdicts name it.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What the manifest says.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        self.reader.manifest()
    }

    /// The thresholds of a caution level. Those of `vulgar`, `criticism` and `counter-speech` say from which score a comment counts
    /// as protected speech.
    #[must_use]
    pub fn thresholds(&self, caution: Caution) -> BTreeMap<ScoreLabel, Threshold> {
        self.manifest().thresholds_of(caution)
    }
}
