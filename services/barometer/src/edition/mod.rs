//! An edition: the figures of a period as files that anybody can check.
//!
//! The files follow from the frozen inputs alone, byte for byte: [`render`] is pure, [`build`] freezes and writes, [`verify`] computes
//! them again and compares. A period that is over and has labels enough is frozen by its first build; later builds give the same
//! files. Every other period gives a provisional edition, marked as such and not frozen. `internal/inputs.json` is not for publication.

mod csv;
mod html;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use vigie_domain::sha256_hex;

use crate::figures::{self, Figures, Prevalence};
use crate::inputs::{Inputs, SCHEMA};
use crate::period::Period;
use crate::store::Store;

/// Name of the method in figures and manifest.
pub const METHOD: &str = "stratified MOVER-Wilson";
/// Raised when a change of method would change figures.
pub const METHOD_VERSION: &str = "1";

/// Path of the frozen inputs within an edition.
pub const INPUTS: &str = "internal/inputs.json";
/// Path of the manifest within an edition.
pub const MANIFEST: &str = "edition.json";
/// Every figure of the pages.
const FIGURES: &str = "figures.csv";

/// What an edition is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// `barometer-edition/1`.
    pub schema: String,
    /// First day, Europe/Paris.
    pub from: String,
    /// Last day, Europe/Paris.
    pub to: String,
    /// Whether the period was not over, or its labels too few.
    pub provisional: bool,
    /// [`METHOD`].
    pub method: String,
    /// [`METHOD_VERSION`].
    pub method_version: String,
    /// The program that made it.
    pub tool: String,
    /// The frozen inputs.
    pub inputs: FileEntry,
    /// Everything else.
    pub outputs: Vec<FileEntry>,
}

/// One file of an edition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Path within the edition.
    pub path: String,
    /// Of its bytes, hexadecimal.
    pub sha256: String,
    /// Its length.
    pub bytes: usize,
}

/// An edition that was built.
#[derive(Debug, Clone, PartialEq)]
pub struct Built {
    /// Where.
    pub dir: PathBuf,
    /// What it is made of.
    pub manifest: Manifest,
    /// Its figures.
    pub figures: Figures,
}

/// What [`verify`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The manifest read.
    pub manifest: Manifest,
    /// Files that are not what the inputs give, each with what is wrong; empty where all is well.
    pub problems: Vec<String>,
    /// Whether the inputs are those of the manifest and give every figure of `figures.csv`: then only words or their setting differ, as where
    /// a version of the program with other words wrote the pages.
    pub figures_hold: bool,
}

/// An edition before it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// Every file, by its path.
    pub files: BTreeMap<&'static str, Vec<u8>>,
    /// What it is made of.
    pub manifest: Manifest,
    /// Its figures.
    pub figures: Figures,
}

/// Every file of the edition that follows from `inputs`, by path.
///
/// # Errors
/// A figure that cannot be written as CSV or JSON: a bug.
pub fn render(inputs: &Inputs) -> anyhow::Result<Rendered> {
    let figures = figures::figures(inputs);
    let mut inputs_json = serde_json::to_vec_pretty(inputs)?;
    inputs_json.push(b'\n');
    let entry = |path: &str, bytes: &[u8]| FileEntry {
        path: path.to_owned(),
        sha256: sha256_hex(bytes),
        bytes: bytes.len(),
    };
    let inputs_entry = entry(INPUTS, &inputs_json);
    let mut files = BTreeMap::from([
        (FIGURES, csv::figures(&figures)?),
        ("figures.schema.json", csv::table_schema()?),
        ("index.html", html::page(&figures, &inputs_entry.sha256).into_string().into_bytes()),
    ]);
    let manifest = Manifest {
        schema: "barometer-edition/1".to_owned(),
        from: inputs.period.from().to_string(),
        to: inputs.period.to().to_string(),
        provisional: inputs.provisional,
        method: METHOD.to_owned(),
        method_version: METHOD_VERSION.to_owned(),
        tool: concat!("vigie ", env!("CARGO_PKG_VERSION")).to_owned(),
        inputs: inputs_entry,
        outputs: files.iter().map(|(path, bytes)| entry(path, bytes)).collect(),
    };
    files.insert(MANIFEST, manifest_json(&manifest)?);
    files.insert(INPUTS, inputs_json);
    Ok(Rendered { files, manifest, figures })
}

fn manifest_json(manifest: &Manifest) -> anyhow::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(manifest)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Builds the edition of `period` into `dir`, as [`compose`] makes it.
///
/// # Errors
/// The database failed, or the folder cannot be written.
pub async fn build(store: &Store, period: Period, dir: &Path) -> anyhow::Result<Built> {
    let Rendered { files, manifest, figures } = compose(store, period).await?;
    write(&files, dir)?;
    Ok(Built {
        dir: dir.to_owned(),
        manifest,
        figures,
    })
}

/// Makes the files of the edition of `period`. Where the period is over and its prevalence can be told, its inputs are frozen; else
/// the edition is provisional and may be made again.
///
/// # Errors
/// The database failed.
pub async fn compose(store: &Store, period: Period) -> anyhow::Result<Rendered> {
    let mut inputs = store.inputs(period, period.is_unfinished(jiff::Timestamp::now())).await?;
    let figures = figures::figures(&inputs);
    // Labels come after the comments: freezing now would shut them out for good.
    inputs.provisional = inputs.provisional || figures.lacks_labels();
    if !inputs.provisional {
        store.freeze(&inputs, &figures.shown()).await?;
        // Another process may have frozen it first: what was frozen first is the edition.
        inputs = store.frozen(period).await?.context("the frozen inputs of the edition are gone")?;
    }
    render(&inputs)
}

/// Writes every file beside its place and moves it there, the manifest last.
///
/// # Errors
/// The folder cannot be written.
pub fn write<Name: AsRef<str> + Ord, Bytes: AsRef<[u8]>>(files: &BTreeMap<Name, Bytes>, dir: &Path) -> anyhow::Result<()> {
    let context = || {
        format!(
            "could not write the edition to {}; is the folder writable and the disk not full?",
            dir.display()
        )
    };
    std::fs::create_dir_all(dir.join("internal")).with_context(context)?;
    let is_manifest = |path: &Name| path.as_ref() == MANIFEST;
    let manifest_last = files
        .iter()
        .filter(|(path, _)| !is_manifest(path))
        .chain(files.iter().filter(|(path, _)| is_manifest(path)));
    for (path, bytes) in manifest_last {
        let target = dir.join(path.as_ref());
        let beside = target.with_extension("part");
        std::fs::write(&beside, bytes).with_context(context)?;
        std::fs::rename(&beside, &target).with_context(context)?;
    }
    Ok(())
}

/// The hash of the style in the page of an edition, as a content security policy names it.
#[must_use]
pub fn style_hash() -> String {
    use base64::Engine as _;
    use sha2::Digest as _;
    format!(
        "sha256-{}",
        base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(html::STYLE.as_bytes()))
    )
}

/// Computes an edition again from its inputs and compares every byte.
///
/// # Errors
/// The folder holds no edition that this version can read.
pub fn verify(dir: &Path) -> anyhow::Result<Verified> {
    let read =
        |path: &str| std::fs::read(dir.join(path)).with_context(|| format!("could not read {} of the edition {}", path, dir.display()));
    let manifest: Manifest =
        serde_json::from_slice(&read(MANIFEST)?).with_context(|| format!("{MANIFEST} is not the manifest of an edition"))?;
    let inputs_json = read(INPUTS)?;
    let mut problems = Vec::new();
    let mut figures_hold = sha256_hex(&inputs_json) == manifest.inputs.sha256;
    if !figures_hold {
        problems.push(format!("{INPUTS}: its sha256 is not the one in {MANIFEST}"));
    }
    let inputs: Inputs =
        serde_json::from_slice(&inputs_json).with_context(|| format!("{INPUTS} holds no inputs that this version reads"))?;
    anyhow::ensure!(
        inputs.schema == SCHEMA,
        "{INPUTS} is `{}`, this version reads `{SCHEMA}`",
        inputs.schema
    );
    let rendered = render(&inputs)?;
    let mut files = rendered.files;
    // A later version of the program may verify: its name in the manifest is the only thing that may differ.
    files.insert(
        MANIFEST,
        manifest_json(&Manifest {
            tool: manifest.tool.clone(),
            ..rendered.manifest
        })?,
    );
    for (path, bytes) in files {
        let problem = match std::fs::read(dir.join(path)) {
            Ok(found) if found == bytes => continue,
            Ok(_) => format!("{path}: it is not what the inputs give"),
            Err(error) => format!("{path}: it cannot be read ({error})"),
        };
        problems.push(problem);
        figures_hold &= path != FIGURES;
    }
    Ok(Verified {
        manifest,
        problems,
        figures_hold,
    })
}

impl Built {
    /// One line for a terminal, in English.
    #[must_use]
    pub fn summary(&self) -> String {
        summary(&self.manifest, &self.figures)
    }
}

impl Rendered {
    /// One line for a terminal, in English.
    #[must_use]
    pub fn summary(&self) -> String {
        summary(&self.manifest, &self.figures)
    }
}

fn summary(manifest: &Manifest, figures: &Figures) -> String {
    let all = figures.scopes.first();
    let abusive = match all.map(|all| &all.abusive) {
        Some(Prevalence::Estimated(abusive)) => format!(
            "abusive {:.2} % [{:.2}, {:.2}], {} audited, {} received",
            abusive.value * 100.0,
            abusive.interval.lower * 100.0,
            abusive.interval.upper * 100.0,
            abusive.audited,
            abusive.received
        ),
        Some(Prevalence::Withheld(reason)) => format!("no prevalence: {reason:?}"),
        None => "no comments".to_owned(),
    };
    let state = if manifest.provisional { "provisional" } else { "frozen" };
    format!("edition {} to {} ({state}): {abusive}", manifest.from, manifest.to)
}
