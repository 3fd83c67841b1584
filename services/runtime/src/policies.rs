//! The policies in force: the built-in ones, or those of a folder.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use vigie_domain::{AccountId, Policy};

const BUILT_IN: [(&str, &str); 1] = [("default", include_str!("../../../deploy/policies/default.toml"))];

/// The policies, and which account uses which. Cheap to clone.
#[derive(Clone)]
pub struct Policies {
    named: Arc<BTreeMap<String, Arc<Policy>>>,
    accounts: Arc<BTreeMap<AccountId, String>>,
}

impl Policies {
    /// Reads the `*.toml` of `dir`, or the built-in policies.
    ///
    /// # Errors
    /// A file that cannot be read or used, or no policy named `default`.
    pub fn open(dir: Option<&Path>) -> anyhow::Result<Self> {
        let files = match dir {
            Some(dir) => read_dir(dir)?,
            None => BUILT_IN
                .iter()
                .map(|(id, content)| ((*id).to_owned(), (*content).to_owned()))
                .collect(),
        };
        let named: BTreeMap<String, Arc<Policy>> = Policy::read_all(&files)?
            .into_iter()
            .map(|(id, policy)| (id, Arc::new(policy)))
            .collect();
        anyhow::ensure!(
            named.contains_key("default"),
            "there is no policy `default`: add default.toml to the policies folder"
        );
        Ok(Self {
            named: Arc::new(named),
            accounts: Arc::default(),
        })
    }

    /// The same policies, with the choice of each account.
    #[must_use]
    pub fn with_accounts<'a>(mut self, accounts: impl Iterator<Item = &'a crate::Account>) -> Self {
        self.accounts = Arc::new(accounts.map(|account| (account.id.clone(), account.policy.clone())).collect());
        self
    }

    /// The policy of an account; the default one where the account is not configured.
    #[must_use]
    pub fn for_account(&self, id: &AccountId) -> Arc<Policy> {
        self.accounts
            .get(id)
            .and_then(|name| self.named(name))
            .unwrap_or_else(|| self.default_policy())
    }

    /// A policy by name.
    #[must_use]
    pub fn named(&self, id: &str) -> Option<Arc<Policy>> {
        self.named.get(id).cloned()
    }

    /// The policy `default`.
    #[must_use]
    pub fn default_policy(&self) -> Arc<Policy> {
        Arc::clone(self.named.get("default").expect("checked when opened"))
    }

    /// Every name, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.named.keys().map(String::as_str)
    }
}

fn read_dir(dir: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let context = || format!("could not read the policies folder {}; check [policies] dir", dir.display());
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(dir).with_context(context)? {
        let path = entry.with_context(context)?.path();
        if path.extension().is_some_and(|extension| extension == "toml")
            && let Some(id) = path.file_stem().and_then(std::ffi::OsStr::to_str)
        {
            let content = std::fs::read_to_string(&path).with_context(|| format!("could not read the policy {}", path.display()))?;
            files.insert(id.to_owned(), content);
        }
    }
    Ok(files)
}
