//! The configuration that the services share, and how a file becomes one: unknown keys are refused with the nearest known one.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::accounts::AccountConfig;
use crate::secret::SecretSource;
use crate::units::{Interval, Size};

/// What the services share.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RuntimeConfig {
    /// `[data]`
    pub data: DataConfig,
    /// `[bus]`
    pub bus: BusConfig,
    /// `[database]`
    pub database: DatabaseConfig,
    /// `[keys]`
    pub keys: KeysConfig,
    /// `[policies]`
    pub policies: PoliciesConfig,
    /// `[[accounts]]`
    pub accounts: Vec<AccountConfig>,
}

/// `[data]`: where this process keeps its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// The data directory; one process at a time.
    pub dir: PathBuf,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("vigie-data"),
        }
    }
}

/// `[bus]`: Kafka where `[bus.kafka]` is present, else the embedded log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BusConfig {
    /// `[bus.embedded]`
    pub embedded: EmbeddedConfig,
    /// `[bus.kafka]`
    pub kafka: Option<KafkaConfig>,
}

/// `[bus.embedded]`: the durable log in this process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmbeddedConfig {
    /// Records older than this are dropped once every group has committed them.
    pub retention: Interval,
    /// The oldest records are dropped over this size, once every group has committed them.
    pub size_max: Size,
    /// Publishing waits while any group is this many records behind.
    pub backlog_records_max: u64,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        Self {
            retention: Interval::seconds(30 * 86_400),
            size_max: Size::mebibytes(4096),
            backlog_records_max: 1_000_000,
        }
    }
}

impl EmbeddedConfig {
    /// As the adapter wants it.
    #[must_use]
    pub fn options(&self) -> vigie_bus::embedded::EmbeddedOptions {
        vigie_bus::embedded::EmbeddedOptions {
            retention: self.retention.0,
            size_bytes_max: self.size_max.0,
            backlog_records_max: self.backlog_records_max,
            ..Default::default()
        }
    }
}

/// `[bus.kafka]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaConfig {
    /// `host:port,host:port`
    pub brokers: String,
    /// Put before every topic and group name.
    pub prefix: String,
    /// Partitions of a topic created here.
    pub partitions: i32,
    /// Replicas of a topic created here.
    pub replication: i32,
    /// TLS authority certificates (PEM); TLS is used where this or `tls` is set.
    pub ca_file: Option<PathBuf>,
    /// Whether to use TLS.
    pub tls: bool,
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub sasl_mechanism: Option<String>,
    /// SASL user.
    pub username: Option<String>,
    /// SASL password.
    pub password: Option<SecretSource>,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".to_owned(),
            prefix: "vigie.".to_owned(),
            partitions: 6,
            replication: 1,
            ca_file: None,
            tls: false,
            sasl_mechanism: None,
            username: None,
            password: None,
        }
    }
}

impl KafkaConfig {
    /// As the adapter wants it, with the secret read.
    ///
    /// # Errors
    /// The password cannot be read.
    pub fn resolve(&self) -> anyhow::Result<vigie_bus::kafka::KafkaConfig> {
        let password = self
            .password
            .as_ref()
            .map(SecretSource::read)
            .transpose()
            .context("[bus.kafka] password")?;
        Ok(vigie_bus::kafka::KafkaConfig {
            brokers: self.brokers.clone(),
            prefix: self.prefix.clone(),
            partitions: self.partitions,
            replication: self.replication,
            tls: self.tls || self.ca_file.is_some(),
            ca_file: self.ca_file.clone(),
            sasl_mechanism: self.sasl_mechanism.clone(),
            username: self.username.clone(),
            password: password.map(|password| password.expose().to_owned()),
            ..Default::default()
        })
    }
}

/// `[database]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseConfig {
    /// Where a PostgreSQL URL is, which may hold a password; absent: one SQLite file per service in the data directory.
    pub url: Option<SecretSource>,
    /// PostgreSQL schema, created when missing.
    pub schema: Option<String>,
}

/// `[keys]`: 32 bytes each, in hexadecimal. Absent: made on first start and kept in the data directory, mode 0600.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeysConfig {
    /// Pseudonymises authors; a key derived from it changes every quarter.
    pub author: Option<SecretSource>,
    /// Seals native author ids and raw records.
    pub seal: Option<SecretSource>,
    /// Draws the audit sample.
    pub audit: Option<SecretSource>,
}

/// `[policies]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PoliciesConfig {
    /// Folder of policy files; absent: the built-in ones.
    pub dir: Option<PathBuf>,
}

/// Reads `content` (TOML) into a configuration.
///
/// # Errors
/// The place and the cause; for an unknown key also the nearest known one.
pub fn parse<T: DeserializeOwned>(content: &str) -> anyhow::Result<T> {
    toml::from_str(content).map_err(|error| {
        let message = error.to_string();
        match suggestion(error.message()) {
            Some(hint) => anyhow::anyhow!("{message}{hint}"),
            None => anyhow::anyhow!("{message}"),
        }
    })
}

/// Reads a configuration file.
///
/// # Errors
/// As [`parse`], with the file named.
pub fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let content = std::fs::read_to_string(path).with_context(|| format!("could not read the configuration file {}", path.display()))?;
    parse(&content).with_context(|| format!("the configuration file {} cannot be used", path.display()))
}

/// serde says "unknown field `lisen`, expected one of `listen`, `drain`": picks the nearest.
fn suggestion(message: &str) -> Option<String> {
    let rest = message.strip_prefix("unknown field `")?;
    let (unknown, rest) = rest.split_once('`')?;
    let known = rest.split('`').skip(1).step_by(2);
    let nearest = known.max_by(|a, b| strsim::jaro_winkler(unknown, a).total_cmp(&strsim::jaro_winkler(unknown, b)))?;
    (strsim::jaro_winkler(unknown, nearest) > 0.7).then(|| format!("did you mean `{nearest}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let error = parse::<EmbeddedConfig>("retentoin = \"1 d\"").expect_err("unknown key").to_string();
        assert!(error.contains("did you mean `retention`?"), "{error}");
    }

    #[test]
    fn a_wrong_unit_says_what_to_write() {
        let error = parse::<EmbeddedConfig>("retention = \"1 fortnight\"")
            .expect_err("wrong unit")
            .to_string();
        assert!(error.contains("5 min"), "{error}");
    }
}
