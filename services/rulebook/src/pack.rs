//! The text of a pack to its parts, with the line of each.
//!
//! A pack is one TOML file: `description`, named `classes` for patterns, words to `unmask`, and any number of `[[rule]]`, `[[allow]]` and
//! `[[soften]]`. Unknown keys are refused with the nearest known one. What the keys mean is written in `rules/README.md`.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;
use vigie_domain::{Act, Platform, RuleAction, Target};

use crate::problem::Problem;

/// One file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pack {
    #[serde(rename = "description")]
    pub(crate) _description: String,
    #[serde(default)]
    pub(crate) classes: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub(crate) unmask: Vec<String>,
    #[serde(default, rename = "rule")]
    pub(crate) rules: Vec<RawRule>,
    #[serde(default, rename = "allow")]
    pub(crate) allows: Vec<RawAllow>,
    #[serde(default, rename = "soften")]
    pub(crate) softens: Vec<RawSoften>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRule {
    pub(crate) id: Spanned<String>,
    #[serde(default)]
    pub(crate) terms: Vec<String>,
    #[serde(default)]
    pub(crate) patterns: Vec<String>,
    pub(crate) act: Act,
    pub(crate) target: Option<Target>,
    pub(crate) severity: u8,
    pub(crate) action: RuleAction,
    #[serde(default)]
    pub(crate) scope: RawScope,
    #[serde(default)]
    pub(crate) guards: RawContext,
    #[serde(default)]
    pub(crate) accents: Accents,
    #[serde(default, rename = "note")]
    pub(crate) _note: String,
    #[serde(default)]
    pub(crate) cases: RawCases,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAllow {
    pub(crate) id: Spanned<String>,
    #[serde(default)]
    pub(crate) terms: Vec<String>,
    #[serde(default)]
    pub(crate) patterns: Vec<String>,
    /// Cancels what it overlaps, not only what it holds.
    #[serde(default)]
    pub(crate) overlap: bool,
    #[serde(default)]
    pub(crate) scope: RawScope,
    #[serde(default)]
    pub(crate) guards: RawContext,
    #[serde(default, rename = "note")]
    pub(crate) _note: String,
    #[serde(default)]
    pub(crate) cases: RawCases,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSoften {
    pub(crate) id: Spanned<String>,
    pub(crate) acts: Vec<Act>,
    pub(crate) to: RuleAction,
    /// Only hits that stand inside quotation marks; `before` and `after` then look outside the marks.
    #[serde(default)]
    pub(crate) quoted: bool,
    #[serde(default)]
    pub(crate) context: RawContext,
    #[serde(default, rename = "note")]
    pub(crate) _note: String,
    #[serde(default)]
    pub(crate) cases: RawCases,
}

/// Where a rule holds; an empty list is everywhere.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawScope {
    #[serde(default)]
    pub(crate) institution: Vec<String>,
    #[serde(default)]
    pub(crate) account: Vec<String>,
    #[serde(default)]
    pub(crate) platform: Vec<Platform>,
    #[serde(default)]
    pub(crate) language: Vec<String>,
}

/// Words (as patterns) around a hit.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawContext {
    #[serde(default)]
    pub(crate) before: Vec<String>,
    #[serde(default)]
    pub(crate) after: Vec<String>,
    #[serde(default)]
    pub(crate) anywhere: Vec<String>,
    /// How many words before and after are looked at.
    pub(crate) within: Option<usize>,
}

/// What an accent in the text means.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Accents {
    /// Nothing.
    #[default]
    Free,
    /// An accent that the term does not have makes it another word; one that is missing is forgiven.
    Strict,
}

/// Comments that an entry must find, and must not.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawCases {
    #[serde(default, rename = "match")]
    pub(crate) positive: Vec<String>,
    #[serde(default, rename = "no_match")]
    pub(crate) negative: Vec<String>,
}

/// Reads one file.
pub(crate) fn read(file: &str, content: &str) -> Result<Pack, Problem> {
    toml::from_str(content).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(content, span.start));
        Problem::error(file, line, error.message().to_owned()).suggest(nearest_in_message(error.message()))
    })
}

/// The line, from 1, of a byte offset.
pub(crate) fn line_of(content: &str, offset: usize) -> usize {
    content.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// From the parser's `unknown field `x`, expected one of `a`, `b``: the nearest of the expected.
fn nearest_in_message(message: &str) -> Option<String> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let wrong = quoted.next()?;
    if !message.starts_with("unknown ") {
        return None;
    }
    nearest(wrong, quoted)
}

/// The most similar candidate, if one is similar enough to be what was meant.
pub(crate) fn nearest<'a>(wrong: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    candidates
        .map(|candidate| (strsim::jaro_winkler(wrong, candidate), candidate))
        .filter(|(similarity, _)| *similarity > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}
