//! The configuration file: `deploy/vigie.toml` shows every key with its default and is embedded here as the manual.

use std::path::Path;

use serde::{Deserialize, Serialize};
use vigie_runtime::accounts::AccountConfig;
use vigie_runtime::config::{BusConfig, DataConfig, DatabaseConfig, KeysConfig, PoliciesConfig, RuntimeConfig};
use vigie_runtime::logs::LogConfig;
use vigie_runtime::units::Interval;

/// The manual: every key, its default, a comment.
pub const MANUAL: &str = include_str!("../../../deploy/vigie.toml");

/// The whole configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "one field per section of the manual")]
pub struct Config {
    pub server: ServerConfig,
    pub log: LogConfig,
    pub data: DataConfig,
    pub bus: BusConfig,
    pub database: DatabaseConfig,
    pub keys: KeysConfig,
    pub policies: PoliciesConfig,
    pub web: vigie_web::Config,
    pub collector: vigie_collector::Config,
    pub classifier: vigie_classifier::Config,
    pub review: vigie_review::Config,
    pub enforcer: vigie_enforcer::Config,
    pub archive: vigie_archive::Config,
    pub barometer: vigie_barometer::Config,
    pub accounts: Vec<AccountConfig>,
}

/// `[server]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// `HOST:PORT` of pages, webhooks, metrics and health.
    pub listen: String,
    /// After SIGTERM, how long services may take to finish what is in hand.
    pub drain: Interval,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            drain: Interval::seconds(20),
        }
    }
}

impl Config {
    /// Reads a file, or gives the defaults.
    ///
    /// # Errors
    /// The file cannot be read, holds an unknown key or a value of the wrong kind.
    pub fn read(path: Option<&Path>) -> anyhow::Result<Self> {
        path.map_or_else(|| Ok(Self::default()), vigie_runtime::config::read)
    }

    /// The part that every service shares.
    #[must_use]
    pub fn runtime(&self) -> RuntimeConfig {
        RuntimeConfig {
            data: self.data.clone(),
            bus: self.bus.clone(),
            database: self.database.clone(),
            keys: self.keys.clone(),
            policies: self.policies.clone(),
            accounts: self.accounts.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_shows_the_defaults() -> anyhow::Result<()> {
        let manual: Config = vigie_runtime::config::parse(MANUAL)?;
        assert_eq!(manual, Config::default());
        Ok(())
    }

    #[test]
    fn the_manual_names_every_key_and_no_other() -> anyhow::Result<()> {
        let mut full: Config = vigie_runtime::config::parse(&uncommented())?;
        // An address prints as its parts, some of which are absent.
        let addressed = full.accounts.iter_mut().all(|account| account.base_url.take().is_some());
        assert!(addressed, "deploy/vigie.toml does not show accounts.base_url");
        let absent: Vec<String> = format!("{full:#?}")
            .lines()
            .filter(|line| line.ends_with(": None,") && line.trim() != "base_url: None,")
            .map(|line| line.trim().to_owned())
            .collect();
        assert!(absent.is_empty(), "deploy/vigie.toml does not show {absent:?}");
        let shown: toml::Table = toml::from_str(&uncommented())?;
        let shown = leaves(&shown, "");
        let missing: Vec<String> = leaves(&toml::Table::try_from(full)?, "")
            .into_iter()
            .filter(|key| !shown.contains(key))
            .collect();
        assert!(missing.is_empty(), "deploy/vigie.toml does not show {missing:?}");
        Ok(())
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest() {
        let error = vigie_runtime::config::parse::<Config>("[server]\nlisten_on = \"x\"")
            .expect_err("unknown key")
            .to_string();
        assert!(error.contains("`listen`"), "{error}");
        let error = vigie_runtime::config::parse::<Config>("[sever]\nlisten = \"x\"")
            .expect_err("unknown section")
            .to_string();
        assert!(error.contains("did you mean `server`?"), "{error}");
    }

    /// The manual with the keys that have no default: a comment has a space after its `#`, such a key has none.
    fn uncommented() -> String {
        let line = |line: &str| match line.strip_prefix('#') {
            Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        };
        MANUAL.lines().map(line).collect()
    }

    fn leaves(table: &toml::Table, section: &str) -> Vec<String> {
        let leaf = |key: &String, value: &toml::Value| match value {
            toml::Value::Table(inner) => leaves(inner, &format!("{section}{key}.")),
            toml::Value::Array(items) => match items.first() {
                Some(toml::Value::Table(inner)) => leaves(inner, &format!("{section}{key}.")),
                _ => vec![format!("{section}{key}")],
            },
            _ => vec![format!("{section}{key}")],
        };
        table.iter().flat_map(|(key, value)| leaf(key, value)).collect()
    }
}
