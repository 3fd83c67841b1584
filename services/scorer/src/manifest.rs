//! `models/<name>/manifest.toml`: what a model is made of, what its outputs mean, and from which scores something happens.
//!
//! Everything is checked when it is read: files present and of the right hash, labels and weights over known heads, thresholds in
//! range for every caution level. Later code trusts it. The top of the file is written by hand; from the line that says so,
//! `models/training/calibrate.py` writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use vigie_domain::policy::{Caution, Threshold};
use vigie_domain::{ScoreLabel, sha256_hex};

use crate::error::ScorerError;
use crate::first::PREFIX;
use crate::lexical::Lexical;

/// The layout of manifests that this build reads.
pub const SCHEMA: &str = "model/1";

/// A manifest as written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: String,
    /// Name, the same as the folder's.
    pub name: String,
    /// Raised with every release of the model.
    pub version: String,
    /// One sentence for people.
    pub description: String,
    /// Date of the release, `2026-11-24`.
    pub created: String,
    /// SPDX expression.
    pub licence: String,
    /// Languages that it was trained on (BCP 47).
    pub languages: Vec<String>,
    /// Longest input in tokens, with the special ones.
    pub max_tokens: usize,
    /// Whether it was trained with the text that a comment answers. Where false, that text is not given to it.
    pub context: bool,
    /// Beside comments of up to so many words that answer no other the post is read in the place of one: they may mean nothing without it
    /// (« j'y serai »). 0, the default: never.
    #[serde(default)]
    pub post_words: usize,
    /// Names of the outputs, in their order.
    pub heads: Vec<String>,
    /// Names of the inputs.
    pub inputs: Inputs,
    /// The output.
    pub output: Output,
    /// How texts may be scored together.
    pub batching: Batching,
    /// The files.
    pub files: Files,
    /// Where the weights and the training data come from.
    pub provenance: BTreeMap<String, toml::Value>,
    /// How labels and thresholds were fitted, for people.
    pub calibration: BTreeMap<String, toml::Value>,
    /// What the outputs mean.
    pub labels: Vec<Label>,
    /// Thresholds per caution level and label.
    pub thresholds: BTreeMap<Caution, BTreeMap<ScoreLabel, Threshold>>,
    /// The first stage of the cascade; without it the network reads everything alone.
    #[serde(default)]
    pub first_stage: Option<FirstStage>,
    /// How the scores of ordinary comments are distributed; without it nobody can say whether they drift.
    #[serde(default)]
    pub drift: Option<Drift>,
    /// Texts and the scores that the training code computed for them: a test compares.
    #[serde(default)]
    pub examples: Vec<Example>,
}

impl Manifest {
    /// As [`crate::Scorer::thresholds`].
    #[must_use]
    pub fn thresholds_of(&self, caution: Caution) -> BTreeMap<ScoreLabel, Threshold> {
        self.thresholds.get(&caution).cloned().unwrap_or_default()
    }

    /// Whether the model was trained on a language (BCP 47; the region does not matter).
    #[must_use]
    pub fn knows_language(&self, language: &str) -> bool {
        let primary = language.split('-').next().unwrap_or(language);
        self.languages.iter().any(|known| known.eq_ignore_ascii_case(primary))
    }
}

/// A text of our own and its scores.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// The text.
    pub text: String,
    /// What it answers.
    #[serde(default)]
    pub parent: Option<String>,
    /// Some of its scores.
    pub scores: BTreeMap<ScoreLabel, f32>,
}

/// Names of the two inputs, both int64 of shape [texts, tokens].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// Token ids.
    pub ids: String,
    /// 1 for a token, 0 for padding.
    pub mask: String,
}

/// The output: float32 of shape [texts, heads].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Its name.
    pub name: String,
    /// What the numbers are.
    pub kind: OutputKind,
}

/// What a head gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputKind {
    /// Probabilities: turned back into logits before calibration.
    Probabilities,
    /// Logits.
    Logits,
}

/// How many texts are run at once. Dynamic quantisation takes one scale per run, so the scores of a text change with its
/// neighbours and its padding: such a model says `texts_max = 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batching {
    /// At most this many texts.
    pub texts_max: usize,
    /// At most this many tokens, padding included.
    pub padded_tokens_max: usize,
}

/// The files, in the folder of the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// The network.
    pub network: File,
    /// The tokenizer, in the JSON of Hugging Face tokenizers.
    pub tokenizer: File,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Name in the folder.
    pub path: String,
    /// Its hash, in lower-case hexadecimal.
    pub sha256: String,
}

/// A label: `probability = 1 / (1 + exp(-(bias + Σ weight · logit(head))))`. One head with a weight and a bias is Platt scaling;
/// several are a probe.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// Which label.
    pub label: ScoreLabel,
    /// Constant term.
    pub bias: f64,
    /// Weight per head; heads that are absent weigh nothing.
    pub weights: BTreeMap<String, f64>,
    /// Area under the ROC curve on comments that were not fitted on, for people.
    #[serde(default)]
    pub auc: Option<f64>,
}

/// A smaller model whose heads help to score, named `first:HEAD` among the weights of a label, and which may let texts go.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstStage {
    /// Folder of the model, beside this one's.
    pub model: String,
    /// Hash of its network, in lower-case hexadecimal: with another one the weights would mean nothing.
    pub network_sha256: String,
    /// A regression over n-grams beside it, as `models/training/lexical.py` wrote it.
    #[serde(default)]
    pub lexical: Option<LexicalPart>,
    /// When it lets a text go, as `models/training/cascade.py` wrote it; never where absent.
    #[serde(default)]
    pub let_go: Option<LetGo>,
}

/// The lexical part of a first stage: [`crate::lexical`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LexicalPart {
    /// The weights, in the folder of the manifest: one signed byte per bucket, their number a power of two.
    pub file: File,
    /// What each weight is times.
    pub scale: f64,
    /// Constant term.
    pub bias: f64,
    /// Texts and the values that the training code computed for them: a test compares.
    #[serde(default)]
    pub examples: Vec<LexicalExample>,
}

/// A text of our own and its value.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LexicalExample {
    /// The text.
    pub text: String,
    /// In logits.
    pub value: f64,
}

/// A text is let go where `bias + Σ weight · logit(head of the first stage) + lexical · value of the lexical part` is below `below`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LetGo {
    /// Weight per head of the first stage; heads that are absent weigh nothing.
    pub weights: BTreeMap<String, f64>,
    /// Weight of the lexical part.
    #[serde(default)]
    pub lexical: f64,
    /// Constant term.
    pub bias: f64,
    /// The cut.
    pub below: f64,
    /// From the value to the logit of `abusive`.
    pub abusive: Line,
}

/// A straight line.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Slope.
    pub slope: f64,
    /// Value at 0.
    pub bias: f64,
}

/// The distribution of the scores on ordinary comments, as `models/training/drift.py` froze it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// How many comments.
    pub comments: u64,
    /// Which comments, for people.
    pub source: String,
    /// The distribution of each label.
    pub labels: BTreeMap<ScoreLabel, Bins>,
}

/// A distribution in bins: bin `i` holds the scores from `edges[i - 1]` on and below `edges[i]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bins {
    /// Rising; none of them a score that can occur.
    pub edges: Vec<f64>,
    /// Share of the comments per bin, one more than edges; none is 0, together 1.
    pub shares: Vec<f64>,
}

/// A manifest and the bytes of its files, read once and checked.
#[derive(Debug)]
pub struct Bundle {
    /// The manifest.
    pub manifest: Manifest,
    /// `name@version+` and the first 12 hexadecimal digits of the manifest's SHA-256, which covers the files by their hashes.
    pub version: String,
    /// Bytes of the network.
    pub network: Vec<u8>,
    /// Bytes of the tokenizer.
    pub tokenizer: Vec<u8>,
    /// The first stage, where there is one.
    pub first: Option<Box<Bundle>>,
    /// Its lexical part, where it has one.
    pub lexical: Option<Lexical>,
}

impl Bundle {
    /// Reads and checks the folder of a model. Needs no ONNX Runtime.
    ///
    /// # Errors
    /// A missing or unreadable file, a wrong hash, or a manifest that cannot be right.
    pub fn read(dir: &Path) -> Result<Self, ScorerError> {
        let model = dir
            .file_name()
            .map_or_else(|| dir.display().to_string(), |name| name.to_string_lossy().into_owned());
        let path = dir.join("manifest.toml");
        let content = read(&model, &path)?;
        let refuse = |message: String| ScorerError::Manifest {
            model: model.clone(),
            path: path.clone(),
            message,
        };
        let text = std::str::from_utf8(&content).map_err(|error| refuse(error.to_string()))?;
        let manifest: Manifest = toml::from_str(text).map_err(|error| refuse(error.to_string().trim_end().to_owned()))?;
        manifest.validate(&model).map_err(refuse)?;
        let network = read_checked(&model, dir, &manifest.files.network)?;
        let tokenizer = read_checked(&model, dir, &manifest.files.tokenizer)?;
        let mut first = None;
        if let Some(stage) = &manifest.first_stage {
            let bundle = read_first(dir, stage).map_err(|error| match error {
                FirstError::Own(message) => refuse(message),
                FirstError::Its(error) => *error,
            })?;
            manifest.validate_first(stage, &bundle.manifest.heads).map_err(refuse)?;
            first = Some(Box::new(bundle));
        }
        let part = manifest.first_stage.as_ref().and_then(|stage| stage.lexical.as_ref());
        let lexical = match part {
            None => None,
            Some(part) => Some(read_lexical(&model, dir, part)?.ok_or_else(|| {
                refuse(format!(
                    "first_stage.lexical: the size of `{}` must be a power of two; run `models/training/lexical.py` again",
                    part.file.path
                ))
            })?),
        };
        let version = format!("{}@{}+{}", manifest.name, manifest.version, &sha256_hex(&content)[..12]);
        Ok(Self {
            manifest,
            version,
            network,
            tokenizer,
            first,
            lexical,
        })
    }
}

/// What is wrong with a first stage: what the manifest that names it says, or the stage itself.
enum FirstError {
    Own(String),
    Its(Box<ScorerError>),
}

/// The first stage, from the folder beside `dir`.
fn read_first(dir: &Path, stage: &FirstStage) -> Result<Bundle, FirstError> {
    if Path::new(&stage.model).file_name().is_none_or(|name| name != stage.model.as_str()) {
        return Err(FirstError::Own(format!(
            "first_stage: `{}` must be the name of a folder beside this one",
            stage.model
        )));
    }
    // A model that is given as `.` has no parent that a path would show.
    let beside = dir.join("..").join(&stage.model);
    let bundle = Bundle::read(&beside).map_err(|error| FirstError::Its(Box::new(error)))?;
    if bundle.first.is_some() {
        return Err(FirstError::Own(format!(
            "first_stage: `{}` has a first stage itself; take one without",
            stage.model
        )));
    }
    if bundle.manifest.files.network.sha256 != stage.network_sha256 {
        return Err(FirstError::Own(format!(
            "first_stage: the network of `{}` is another one than this model was fitted with; take both folders from the same release",
            stage.model
        )));
    }
    Ok(bundle)
}

/// The lexical part of a first stage; none where its size cannot be right.
fn read_lexical(model: &str, dir: &Path, part: &LexicalPart) -> Result<Option<Lexical>, ScorerError> {
    Ok(Lexical::new(&read_checked(model, dir, &part.file)?, part.scale, part.bias))
}

fn read(model: &str, path: &Path) -> Result<Vec<u8>, ScorerError> {
    std::fs::read(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => ScorerError::Missing {
            model: model.to_owned(),
            path: path.to_owned(),
        },
        _ => ScorerError::Unreadable {
            model: model.to_owned(),
            path: path.to_owned(),
            source,
        },
    })
}

fn read_checked(model: &str, dir: &Path, file: &File) -> Result<Vec<u8>, ScorerError> {
    let path: PathBuf = dir.join(&file.path);
    let bytes = read(model, &path)?;
    let found = sha256_hex(&bytes);
    if found != file.sha256 {
        return Err(ScorerError::Hash {
            model: model.to_owned(),
            path,
            expected: file.sha256.clone(),
            found,
        });
    }
    Ok(bytes)
}

impl Manifest {
    fn validate(&self, folder: &str) -> Result<(), String> {
        if self.schema != SCHEMA {
            return Err(format!(
                "schema is \"{}\", this build reads \"{SCHEMA}\": upgrade vigie or take a model made for it",
                self.schema
            ));
        }
        if self.name != folder {
            return Err(format!("name is `{}`, the folder is `{folder}`: they must be the same", self.name));
        }
        let lexical = self.first_stage.as_ref().and_then(|stage| stage.lexical.as_ref());
        for file in [&self.files.network, &self.files.tokenizer]
            .into_iter()
            .chain(lexical.map(|part| &part.file))
        {
            if Path::new(&file.path).file_name().is_none_or(|name| name != file.path.as_str()) {
                return Err(format!(
                    "files: `{}` must be the name of a file in the folder of the manifest",
                    file.path
                ));
            }
        }
        if !(8..=8192).contains(&self.max_tokens) {
            return Err(format!("max_tokens is {}, it must be in 8..8192", self.max_tokens));
        }
        if self.batching.texts_max == 0 || self.batching.padded_tokens_max < self.max_tokens {
            return Err("batching: texts_max must be at least 1 and padded_tokens_max at least max_tokens".to_owned());
        }
        self.validate_labels()?;
        self.validate_thresholds()?;
        self.validate_drift()
    }

    /// Checks what is said of the heads of the first stage.
    fn validate_first(&self, stage: &FirstStage, heads: &[String]) -> Result<(), String> {
        let first = |name: &str| heads.iter().any(|head| head == name);
        let named = |name: &String| name.strip_prefix(PREFIX).is_some_and(|head| !first(head));
        if let Some(name) = self.labels.iter().flat_map(|label| label.weights.keys()).find(|name| named(name)) {
            return Err(format!(
                "labels: `{name}` is no head of the first stage; its heads: {}",
                heads.join(", ")
            ));
        }
        let Some(rule) = &stage.let_go else { return Ok(()) };
        if let Some(name) = rule.weights.keys().find(|name| !first(name)) {
            return Err(format!(
                "first_stage.let_go: `{name}` is no head of the first stage; run `models/training/cascade.py` again"
            ));
        }
        if rule.lexical != 0.0 && stage.lexical.is_none() {
            return Err(
                "first_stage.let_go: it weighs a lexical part that is not there; run `models/training/lexical.py`, then `cascade.py`"
                    .to_owned(),
            );
        }
        let part = stage.lexical.as_ref().map_or([0.0, 0.0], |part| [part.scale, part.bias]);
        let numbers = [rule.bias, rule.below, rule.lexical, rule.abusive.slope, rule.abusive.bias];
        if numbers
            .iter()
            .chain(&part)
            .chain(rule.weights.values())
            .any(|number| !number.is_finite())
        {
            return Err("first_stage.let_go: every number must be finite; run `models/training/cascade.py` again".to_owned());
        }
        Ok(())
    }

    fn validate_labels(&self) -> Result<(), String> {
        let heads: BTreeSet<&str> = self.heads.iter().map(String::as_str).collect();
        if heads.is_empty() || heads.len() != self.heads.len() {
            return Err("heads is empty or names one twice".to_owned());
        }
        let mut seen = BTreeSet::new();
        for label in &self.labels {
            let name = label.label.as_str();
            if !seen.insert(label.label) {
                return Err(format!("label `{name}` is there twice"));
            }
            if label.weights.is_empty() || !label.bias.is_finite() || label.weights.values().any(|weight| !weight.is_finite()) {
                return Err(format!("label `{name}` needs a finite bias and at least one finite weight"));
            }
            let known = |head: &str| heads.contains(head) || (self.first_stage.is_some() && head.starts_with(PREFIX));
            if let Some(head) = label.weights.keys().find(|head| !known(head)) {
                return Err(format!(
                    "label `{name}` weighs the head `{head}`, which the network does not have; heads: {}",
                    self.heads.join(", ")
                ));
            }
        }
        if !seen.contains(&ScoreLabel::Abusive) {
            return Err("the label `abusive` is missing: every model must score it, the audit is stratified by it".to_owned());
        }
        Ok(())
    }

    fn validate_thresholds(&self) -> Result<(), String> {
        for caution in Caution::ALL {
            let set = self
                .thresholds
                .get(&caution)
                .ok_or_else(|| format!("thresholds.{} is missing", caution.as_str()))?;
            if !set.contains_key(&ScoreLabel::Abusive) {
                return Err(format!("thresholds.{}: the label `abusive` is missing", caution.as_str()));
            }
            for (label, threshold) in set {
                let place = format!("thresholds.{}.{}", caution.as_str(), label.as_str());
                if !self.labels.iter().any(|known| known.label == *label) {
                    return Err(format!("{place}: the model has no such label"));
                }
                let right =
                    (0.0..=1.0).contains(&threshold.review) && threshold.hide.is_none_or(|hide| (threshold.review..=1.0).contains(&hide));
                if !right {
                    return Err(format!("{place}: review and hide must be in 0..1, hide not below review"));
                }
            }
        }
        Ok(())
    }

    fn validate_drift(&self) -> Result<(), String> {
        for (label, bins) in self.drift.iter().flat_map(|drift| &drift.labels) {
            let place = format!("drift.labels.{}", label.as_str());
            if !self.labels.iter().any(|known| known.label == *label) {
                return Err(format!(
                    "{place}: the model has no such label; run `models/training/drift.py` again"
                ));
            }
            let total: f64 = bins.shares.iter().sum();
            let right = bins.edges.iter().all(|edge| (0.0..=1.0).contains(edge))
                && bins.edges.is_sorted_by(|a, b| a < b)
                && bins.shares.len() == bins.edges.len() + 1
                && bins.shares.iter().all(|share| *share > 0.0)
                && (0.99..=1.01).contains(&total);
            if !right {
                return Err(format!(
                    "{place}: edges must rise within 0..1, shares be one more, none 0, together 1; run `models/training/drift.py` again"
                ));
            }
        }
        Ok(())
    }
}
