//! What an institution wants: caution, what may be done automatically, quotas, audit rates, service levels, retention.
//!
//! A policy is a TOML file that people who are not programmers can change. It may inherit from another: what it does not say,
//! the parent says. Every verdict names the policy and the version (a digest of its resolved content).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::category::Act;
use crate::ids::sha256_hex;
use crate::verdict::ScoreLabel;

/// A resolved, validated policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct Policy {
    /// Name, as accounts refer to it.
    pub id: String,
    /// Which of the model's named threshold sets applies.
    pub caution: Caution,
    /// Thresholds that differ from the named set, per label.
    #[serde(default)]
    pub thresholds: BTreeMap<ScoreLabel, Threshold>,
    /// What may be done without a human.
    pub automatic: Automatic,
    /// The blind audit.
    pub audit: AuditPlan,
    /// How fast people must look.
    pub service_levels: ServiceLevels,
    /// How long texts are kept.
    pub retention: Retention,
    /// Who is told of a threat; shown in the interface, never written to by the machine.
    pub legal_contact: String,
}

/// A named caution level. The model's manifest gives the thresholds of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Caution {
    /// Little is hidden automatically, much goes to people.
    Careful,
    /// The default.
    Balanced,
    /// More is hidden automatically: for a raid, for a few days.
    Firm,
}

impl Caution {
    /// Every level.
    pub const ALL: [Self; 3] = [Self::Careful, Self::Balanced, Self::Firm];

    /// The name used in policies and manifests.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Careful => "careful",
            Self::Balanced => "balanced",
            Self::Firm => "firm",
        }
    }
}

/// Scores from which a comment goes to review, or may be hidden.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// To a human from this score.
    pub review: f32,
    /// Hidden from this score; never by score alone where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hide: Option<f32>,
}

/// What may be done without a human.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Automatic {
    /// Acts that may be hidden automatically. Threat, doxxing, terror apology, distress, criticism and counter-speech never may.
    pub hide: Vec<Act>,
    /// At most this many automatic hidings a day (Europe/Paris) and institution; what is over it goes to people.
    pub hide_per_day: u32,
}

/// The blind audit: strata of the abusive score, each with its sampling rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditPlan {
    /// In ascending order of `below`; the last one has `below` = 1.01 or more, so that every score has a stratum.
    pub strata: Vec<Stratum>,
}

/// One stratum of the audit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stratum {
    /// Name in records and reports.
    pub name: String,
    /// Scores strictly below this belong to it, if they belong to none before.
    pub below: f64,
    /// Probability in (0, 1] that a comment of this stratum is labelled blind.
    pub probability: f64,
}

/// How fast people must look, in minutes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceLevels {
    /// Escalated comments.
    pub urgent_minutes: u32,
    /// All others.
    pub normal_minutes: u32,
}

/// How long texts are kept, in days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Text that nobody decided on before it was edited or deleted upstream.
    pub unflagged_days: u32,
    /// Text kept after review.
    pub reviewed_days: u32,
    /// Text that was removed.
    pub removed_days: u32,
}

/// Why a policy cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Not TOML, an unknown key, or a value of the wrong type.
    #[error("policy `{id}` cannot be read: {message}")]
    Syntax {
        /// Which policy.
        id: String,
        /// The parser's words, with the line.
        message: String,
    },
    /// It inherits from a policy that is not there, or from itself.
    #[error("policy `{id}` inherits from `{parent}`, which {problem}")]
    Parent {
        /// Which policy.
        id: String,
        /// The name it gives.
        parent: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A value that cannot be right.
    #[error("policy `{id}`: {message}")]
    Value {
        /// Which policy.
        id: String,
        /// What is wrong and what would be right.
        message: String,
    },
}

impl Policy {
    /// Name and version: `default@1a2b3c4d5e6f`, the first 12 hexadecimal digits of the SHA-256 of the resolved content.
    #[must_use]
    pub fn version(&self) -> String {
        let content = serde_json::to_vec(self).expect("a policy has string keys and finite numbers");
        format!("{}@{}", self.id, &sha256_hex(&content)[..12])
    }

    /// Reads the policies of one folder: `files` are (name without `.toml`, content).
    ///
    /// # Errors
    /// The first policy that cannot be read, inherited or used.
    pub fn read_all(files: &BTreeMap<String, String>) -> Result<BTreeMap<String, Self>, PolicyError> {
        let mut tables = BTreeMap::new();
        for (id, content) in files {
            let table: toml::Table = toml::from_str(content).map_err(|error| PolicyError::Syntax {
                id: id.clone(),
                message: error.to_string(),
            })?;
            tables.insert(id.clone(), table);
        }
        tables.keys().map(|id| Ok((id.clone(), resolve(id, &tables)?))).collect()
    }

    /// The stratum of a score in [0, 1].
    #[must_use]
    pub fn stratum(&self, score: f64) -> &Stratum {
        self.audit
            .strata
            .iter()
            .find(|stratum| score < stratum.below)
            .unwrap_or_else(|| self.audit.strata.last().expect("validated: at least one stratum"))
    }
}

/// Acts that a policy may never hide without a human.
#[must_use]
pub const fn needs_human(act: Act) -> bool {
    act.always_escalates() || matches!(act, Act::Criticism | Act::CounterSpeech | Act::Vulgar | Act::None)
}

fn resolve(id: &str, tables: &BTreeMap<String, toml::Table>) -> Result<Policy, PolicyError> {
    let mut chain = vec![id.to_owned()];
    let mut merged = toml::Table::new();
    let mut current = id.to_owned();
    loop {
        let table = &tables[&current];
        merge_missing(&mut merged, table);
        let Some(parent) = table.get("inherits").and_then(toml::Value::as_str) else {
            break;
        };
        if !tables.contains_key(parent) {
            return Err(PolicyError::Parent {
                id: id.to_owned(),
                parent: parent.to_owned(),
                problem: "is not there: add the file or correct the name",
            });
        }
        if chain.iter().any(|seen| seen == parent) {
            return Err(PolicyError::Parent {
                id: id.to_owned(),
                parent: parent.to_owned(),
                problem: "inherits from it in turn: break the circle",
            });
        }
        chain.push(parent.to_owned());
        current = parent.to_owned();
    }
    merged.remove("inherits");
    merged.insert("id".to_owned(), toml::Value::String(id.to_owned()));
    let policy: Policy = merged.try_into().map_err(|error: toml::de::Error| PolicyError::Syntax {
        id: id.to_owned(),
        message: error.to_string(),
    })?;
    validate(&policy).map_err(|message| PolicyError::Value {
        id: id.to_owned(),
        message,
    })?;
    Ok(policy)
}

/// Adds what `into` lacks; tables are merged key by key.
fn merge_missing(into: &mut toml::Table, from: &toml::Table) {
    for (key, value) in from {
        match (into.get_mut(key), value) {
            (Some(toml::Value::Table(own)), toml::Value::Table(parent)) => merge_missing(own, parent),
            (Some(_), _) => {}
            (None, _) => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

fn validate(policy: &Policy) -> Result<(), String> {
    if let Some(act) = policy.automatic.hide.iter().find(|act| needs_human(**act)) {
        return Err(format!(
            "automatic.hide names `{}`, which always needs a human: remove it",
            act.as_str()
        ));
    }
    let strata = &policy.audit.strata;
    let last = strata
        .last()
        .ok_or("audit.strata is empty: name at least one stratum with below = 1.01")?;
    if last.below <= 1.0 {
        return Err(format!(
            "audit.strata: the last stratum `{}` ends at {}: scores above have none; set below = 1.01",
            last.name, last.below
        ));
    }
    if !strata.is_sorted_by(|a, b| a.below < b.below) {
        return Err("audit.strata must be in ascending order of `below`".to_owned());
    }
    for stratum in strata {
        if !(stratum.probability > 0.0 && stratum.probability <= 1.0) {
            return Err(format!(
                "audit.strata `{}`: probability is {}, it must be over 0 and at most 1: every comment can be drawn",
                stratum.name, stratum.probability
            ));
        }
    }
    for (label, threshold) in &policy.thresholds {
        let in_range =
            (0.0..=1.0).contains(&threshold.review) && threshold.hide.is_none_or(|hide| (threshold.review..=1.0).contains(&hide));
        if !in_range {
            return Err(format!(
                "thresholds.{}: review and hide must be in 0..1, hide not below review",
                label.as_str()
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: &str = r#"
caution = "balanced"
legal_contact = "service juridique"
[automatic]
hide = ["insult", "spam"]
hide_per_day = 200
[audit]
strata = [{ name = "low", below = 0.2, probability = 0.01 }, { name = "high", below = 1.01, probability = 0.2 }]
[service_levels]
urgent_minutes = 15
normal_minutes = 240
[retention]
unflagged_days = 30
reviewed_days = 180
removed_days = 365
"#;

    fn read(museum: &str) -> Result<BTreeMap<String, Policy>, PolicyError> {
        Policy::read_all(&BTreeMap::from([
            ("default".to_owned(), DEFAULT.to_owned()),
            ("museum".to_owned(), museum.to_owned()),
        ]))
    }

    #[test]
    fn inherits_what_it_does_not_say() -> Result<(), PolicyError> {
        let policies = read("inherits = \"default\"\n[automatic]\nhide_per_day = 5\n")?;
        let museum = &policies["museum"];
        assert_eq!((museum.automatic.hide_per_day, museum.automatic.hide.len()), (5, 2));
        assert_eq!(
            (museum.stratum(0.0).name.as_str(), museum.stratum(1.0).name.as_str()),
            ("low", "high")
        );
        assert_ne!(museum.version(), policies["default"].version());
        Ok(())
    }

    #[test]
    fn refuses_what_cannot_be_right() {
        let cases = [
            ("inherits = \"nowhere\"", "is not there"),
            ("inherits = \"museum\"", "circle"),
            ("inherits = \"default\"\n[automatic]\nhide = [\"threat\"]", "always needs a human"),
            (
                "inherits = \"default\"\n[audit]\nstrata = [{ name = \"x\", below = 0.5, probability = 0.1 }]",
                "set below = 1.01",
            ),
            (
                "inherits = \"default\"\n[audit]\nstrata = [{ name = \"x\", below = 1.5, probability = 0.0 }]",
                "must be over 0",
            ),
            (
                "inherits = \"default\"\n[thresholds.hate]\nreview = 0.9\nhide = 0.5",
                "not below review",
            ),
            ("inherits = \"default\"\ncaution = \"reckless\"", "careful"),
            ("inherits = \"default\"\ncautoin = \"firm\"", "cautoin"),
        ];
        for (museum, expected) in cases {
            let error = read(museum).expect_err(museum).to_string();
            assert!(error.contains(expected), "{museum}: {error}");
        }
    }
}
