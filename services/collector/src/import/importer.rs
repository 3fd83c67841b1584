//! Brings rows into `[comments]`.

use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use vigie_domain::AccountId;
use vigie_runtime::{Accounts, Runtime};

use super::{Row, RowError};
use crate::accept::{Acceptor, Fate, Manner, Patience};
use crate::incoming::{Incoming, Origin};

/// How long an import waits for a bus that is away or full.
const BUS_WAIT_MAX: Duration = Duration::from_secs(30);

/// What became of the rows of one call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Published.
    pub new: u64,
    /// Nothing new in them.
    pub known: u64,
    /// Cannot be used, each with its line and why.
    pub rejected: Vec<RowError>,
}

/// Takes rows in. Cheap to clone.
#[derive(Clone)]
pub struct Importer {
    acceptor: Acceptor,
    accounts: Accounts,
}

impl Importer {
    /// The importer of this process, beside its collector where one runs.
    ///
    /// # Errors
    /// The collector's tables cannot be opened.
    pub async fn open(runtime: &Runtime) -> anyhow::Result<Self> {
        Ok(Self {
            acceptor: Acceptor::open(runtime).await?,
            accounts: runtime.accounts.clone(),
        })
    }

    /// Takes rows of `account` in, in order; each with its line. What it returns is durable; rows that were accepted once are `known`.
    ///
    /// # Errors
    /// The account is not configured, the bus refuses for good or is away for longer than 30 s, the process stops, or the
    /// database fails: the same rows can be given again.
    pub async fn accept(&self, account: &AccountId, rows: Vec<(u64, Row)>) -> anyhow::Result<Outcome> {
        let account = self
            .accounts
            .get(account)
            .with_context(|| format!("there is no account `{account}`; add it to [[accounts]] of the configuration"))?;
        let now = Timestamp::now();
        let mut outcome = Outcome::default();
        let mut lines = Vec::with_capacity(rows.len());
        let mut comments = Vec::with_capacity(rows.len());
        for (line, row) in rows {
            match Incoming::from_row(account, row, now) {
                Ok(incoming) => {
                    lines.push(line);
                    comments.push(incoming);
                }
                Err(reason) => outcome.rejected.push(RowError { line, reason }),
            }
        }
        self.acceptor.metrics().rejected(account.platform, outcome.rejected.len() as u64);
        let manner = Manner {
            origin: Origin::Import,
            patience: Patience::For(BUS_WAIT_MAX),
            mark: None,
            look_after: None,
        };
        let fates = self
            .acceptor
            .accept(account, comments, manner)
            .await
            .context("the import was cut short; what was accepted is recognised when it is started again")?;
        for (line, fate) in lines.into_iter().zip(fates) {
            match fate {
                Fate::New => outcome.new += 1,
                Fate::Known => outcome.known += 1,
                Fate::Rejected(reason) => outcome.rejected.push(RowError { line, reason }),
            }
        }
        outcome.rejected.sort_by_key(|error| error.line);
        Ok(outcome)
    }

    /// Counts rows that could not even be read, so that /metrics knows of them.
    pub fn count_unreadable(&self, account: &AccountId, rows: u64) {
        if let Some(account) = self.accounts.get(account) {
            self.acceptor.metrics().rejected(account.platform, rows);
        }
    }
}
