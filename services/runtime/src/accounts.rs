//! The accounts that are watched, as configured.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use url::Url;
use vigie_domain::{AccountId, InstitutionId, Platform};

use crate::policies::Policies;
use crate::secret::{Secret, SecretSource};

/// One `[[accounts]]` entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountConfig {
    /// Short name, used in records, files and addresses.
    pub id: String,
    /// Platform, as listed in the manual.
    pub platform: String,
    /// Short name of the institution.
    pub institution: String,
    /// Name shown to people; the id where absent.
    #[serde(default)]
    pub name: Option<String>,
    /// Policy by name.
    #[serde(default = "default_policy")]
    pub policy: String,
    /// Server, such as `https://mastodon.social`.
    #[serde(default)]
    pub base_url: Option<Url>,
    /// Handle of the account on its platform.
    #[serde(default)]
    pub handle: Option<String>,
    /// Whether the collector polls it.
    #[serde(default)]
    pub watch: bool,
    /// Whether actions are only recorded.
    #[serde(default = "yes")]
    pub dry_run: bool,
    /// Access token or app password.
    #[serde(default)]
    pub token: Option<SecretSource>,
    /// Login that goes with an app password.
    #[serde(default)]
    pub login: Option<String>,
    /// Moderation service that reports go to (Bluesky).
    #[serde(default)]
    pub labeler_did: Option<String>,
    /// Secrets of the signed webhook; two while one is being replaced.
    #[serde(default)]
    pub webhook_secrets: Vec<SecretSource>,
}

fn default_policy() -> String {
    "default".to_owned()
}

const fn yes() -> bool {
    true
}

/// A configured account, validated, with its secrets read.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields of `AccountConfig`")]
pub struct Account {
    pub id: AccountId,
    pub platform: Platform,
    pub institution: InstitutionId,
    pub name: String,
    pub policy: String,
    pub base_url: Option<Url>,
    pub handle: Option<String>,
    pub watch: bool,
    pub dry_run: bool,
    pub token: Option<Secret>,
    pub login: Option<String>,
    pub labeler_did: Option<String>,
    pub webhook_secrets: Vec<Secret>,
}

/// Every configured account. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Accounts(Arc<BTreeMap<AccountId, Account>>);

impl Accounts {
    /// Validates the entries and reads their secrets.
    ///
    /// # Errors
    /// An unusable id, platform or policy name, a double id, a secret that cannot be read.
    pub fn read(entries: &[AccountConfig], policies: &Policies) -> anyhow::Result<Self> {
        let mut accounts = BTreeMap::new();
        for entry in entries {
            let account = validate(entry, policies).with_context(|| format!("[[accounts]] `{}` cannot be used", entry.id))?;
            if let Some(double) = accounts.insert(account.id.clone(), account) {
                anyhow::bail!("[[accounts]] `{}` is there twice: remove one", double.id);
            }
        }
        Ok(Self(Arc::new(accounts)))
    }

    /// An account by id.
    #[must_use]
    pub fn get(&self, id: &AccountId) -> Option<&Account> {
        self.0.get(id)
    }

    /// Every account, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Account> {
        self.0.values()
    }
}

fn validate(entry: &AccountConfig, policies: &Policies) -> anyhow::Result<Account> {
    if policies.named(&entry.policy).is_none() {
        let known: Vec<&str> = policies.names().collect();
        anyhow::bail!("there is no policy `{}`; known: {}", entry.policy, known.join(", "));
    }
    if let Some(url) = &entry.base_url {
        anyhow::ensure!(
            matches!(url.scheme(), "https" | "http") && url.has_host(),
            "base_url must be an http or https address"
        );
    }
    Ok(Account {
        id: AccountId::new(&entry.id)?,
        platform: entry.platform.parse()?,
        institution: InstitutionId::new(&entry.institution)?,
        name: entry.name.clone().unwrap_or_else(|| entry.id.clone()),
        policy: entry.policy.clone(),
        base_url: entry.base_url.clone(),
        handle: entry.handle.clone(),
        watch: entry.watch,
        dry_run: entry.dry_run,
        token: entry.token.as_ref().map(SecretSource::read).transpose()?,
        login: entry.login.clone(),
        labeler_did: entry.labeler_did.clone(),
        webhook_secrets: entry.webhook_secrets.iter().map(SecretSource::read).collect::<Result<_, _>>()?,
    })
}
