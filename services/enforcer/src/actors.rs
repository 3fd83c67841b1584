//! Who acts for which account.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use vigie_domain::AccountId;
use vigie_platforms::{Actor, ConnectorAccount};
use vigie_runtime::{Account, Accounts};

/// The actors of the accounts. Cheap to clone.
#[derive(Clone, Default)]
pub struct Actors(Arc<BTreeMap<AccountId, Arc<dyn Actor>>>);

impl Actors {
    /// The actors of every account that is not in dry-run.
    ///
    /// # Errors
    /// The configuration of such an account cannot be used; names the account and what to change.
    pub fn of(accounts: &Accounts) -> anyhow::Result<Self> {
        let mut actors: BTreeMap<AccountId, Arc<dyn Actor>> = BTreeMap::new();
        for account in accounts.iter().filter(|account| !account.dry_run) {
            let actor = vigie_platforms::actor(&connector(account))
                .with_context(|| format!("[[accounts]] `{}` cannot act; correct it, or set dry_run = true", account.id))?;
            match actor {
                Some(actor) => {
                    actors.insert(account.id.clone(), Arc::from(actor));
                }
                None => tracing::warn!(
                    account = %account.id,
                    platform = %account.platform,
                    "dry_run is off, but this account cannot act: it has no token, or its platform has no acting connector"
                ),
            }
        }
        Ok(Self(Arc::new(actors)))
    }

    /// These actors.
    #[must_use]
    pub fn from_map(actors: BTreeMap<AccountId, Arc<dyn Actor>>) -> Self {
        Self(Arc::new(actors))
    }

    /// The actor of an account.
    #[must_use]
    pub fn get(&self, account: &AccountId) -> Option<Arc<dyn Actor>> {
        self.0.get(account).cloned()
    }
}

fn connector(account: &Account) -> ConnectorAccount {
    ConnectorAccount {
        platform: account.platform,
        base_url: account.base_url.clone(),
        handle: account.handle.clone(),
        token: account.token.as_ref().map(|token| token.expose().to_owned()),
        login: account.login.clone(),
        labeler_did: account.labeler_did.clone(),
    }
}
