//! What each credential may still send: one bucket per kind of request, in the database, taken from before anything is sent.
//!
//! Delivery: a request that fails, or a crash right after the entry, has cost its token all the same; the platform may have counted
//! it too. A bucket is one number (the instant until which it is spent, the generic cell rate algorithm), so that it needs no clock
//! work of its own. Pauses that a platform asks for, and those of a credential that is refused or fails again and again, stand
//! beside them under the endpoint `all`.

use sqlx::Row as _;
use vigie_domain::{Platform, sha256_hex};
use vigie_runtime::{Account, Database};

use crate::request::{Tx, for_update};

const FIVE_MINUTES_MS: i64 = 300_000;
/// The row of pauses.
const ALL: &str = "all";

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// Hide and show again.
    Hide,
    /// Delete.
    Delete,
    /// Report.
    Report,
    /// Read back.
    Read,
}

impl Endpoint {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Hide, Self::Delete, Self::Report, Self::Read];

    /// The name in the database and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hide => "hide",
            Self::Delete => "delete",
            Self::Report => "report",
            Self::Read => "read",
        }
    }
}

/// How much of a kind is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// At most this many at once, and within the window.
    pub most: i64,
    /// In milliseconds.
    pub window_ms: i64,
}

/// What a platform bears in five minutes, kept below what it grants because the collector reads with the same credential: Mastodon
/// grants 300 requests in five minutes, and one report costs up to four of them, one reading up to three; Bluesky grants 5,000
/// points an hour, and hiding costs three. A full bucket that refills while it is used gives twice as much within one window: that
/// is counted in.
#[must_use]
pub const fn bearable(platform: Platform, endpoint: Endpoint) -> i64 {
    match (platform, endpoint) {
        (Platform::Mastodon, _) => 20,
        (Platform::Bluesky, Endpoint::Hide | Endpoint::Read) => 60,
        _ => 30,
    }
}

/// What limits a rate: the platform and the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    /// What a platform bears in five minutes.
    pub bearable: fn(Platform, Endpoint) -> i64,
    /// Of the configuration, in five minutes.
    pub configured: u32,
}

impl Rate {
    /// The lower of what the platform bears and what the configuration allows; at least one.
    #[must_use]
    pub fn of(platform: Platform, endpoint: Endpoint, most: Most) -> Self {
        let most = i64::from(most.configured)
            .min((most.bearable)(platform, endpoint))
            .clamp(1, FIVE_MINUTES_MS);
        Self {
            most,
            window_ms: FIVE_MINUTES_MS,
        }
    }

    const fn interval_ms(self) -> i64 {
        self.window_ms / self.most
    }

    /// How many are left.
    #[must_use]
    pub fn left(self, spent_until: i64, now: i64) -> i64 {
        ((self.window_ms - self.spent(spent_until, now)) / self.interval_ms()).clamp(0, self.most)
    }

    /// The bucket after one more, or when there is one.
    ///
    /// # Errors
    /// The instant from which one is left.
    pub fn take(self, spent_until: i64, now: i64) -> Result<i64, i64> {
        let after = now + self.spent(spent_until, now) + self.interval_ms();
        if after - now <= self.interval_ms() * self.most {
            Ok(after)
        } else {
            Err(after - self.interval_ms() * self.most)
        }
    }

    /// Never more than the window, even if the clock was set back.
    fn spent(self, spent_until: i64, now: i64) -> i64 {
        (spent_until - now).clamp(0, self.interval_ms() * self.most)
    }
}

/// The name of an account's credential in the ledger: accounts with the same token share their buckets.
#[must_use]
pub(crate) fn credential(account: &Account) -> String {
    let host = account.base_url.as_ref().map_or("", |url| url.as_str());
    let secret = account
        .token
        .as_ref()
        .map_or_else(|| account.id.to_string(), |token| token.expose().to_owned());
    let login = account.login.as_deref().or(account.handle.as_deref()).unwrap_or_default();
    let parts = [account.platform.as_str(), host, login, &secret];
    let mut lengths_and_parts = String::from("ledger");
    for part in parts {
        lengths_and_parts.push_str(&format!("\0{}\0{part}", part.len()));
    }
    sha256_hex(lengths_and_parts.as_bytes())[..24].to_owned()
}

/// The rows of one credential, locked until the transaction ends.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    credential: String,
    platform: Platform,
    most: Most,
    spent: Vec<(Endpoint, i64)>,
    paused_until: i64,
}

/// Reads the rows; makes those that are missing.
pub(crate) async fn open(database: &Database, tx: &mut Tx, account: &Account, most: Most) -> anyhow::Result<Ledger> {
    let credential = credential(account);
    let rows = rows(database, tx, &credential).await?;
    let rows = if rows.len() == Endpoint::ALL.len() + 1 {
        rows
    } else {
        for name in Endpoint::ALL.map(Endpoint::as_str).into_iter().chain([ALL]) {
            sqlx::query(
                "INSERT INTO enforcer_ledger (credential, endpoint, spent_until, paused_until, failures) VALUES ($1, $2, 0, 0, 0) \
                 ON CONFLICT (credential, endpoint) DO NOTHING",
            )
            .bind(credential.clone())
            .bind(name)
            .execute(&mut **tx)
            .await?;
        }
        self::rows(database, tx, &credential).await?
    };
    let mut ledger = Ledger {
        credential,
        platform: account.platform,
        most,
        spent: Vec::new(),
        paused_until: 0,
    };
    for (name, spent_until, paused_until) in rows {
        match Endpoint::ALL.into_iter().find(|endpoint| endpoint.as_str() == name) {
            Some(endpoint) => ledger.spent.push((endpoint, spent_until)),
            None => ledger.paused_until = paused_until,
        }
    }
    Ok(ledger)
}

async fn rows(database: &Database, tx: &mut Tx, credential: &str) -> anyhow::Result<Vec<(String, i64, i64)>> {
    let sql = format!(
        "SELECT endpoint, spent_until, paused_until FROM enforcer_ledger WHERE credential = $1 ORDER BY endpoint{}",
        for_update(database)
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(credential.to_owned())
        .fetch_all(&mut **tx)
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get("endpoint")?, row.try_get("spent_until")?, row.try_get("paused_until")?)))
        .collect()
}

impl Ledger {
    /// The kinds of which one can be sent now, or when the first can.
    pub(crate) fn open_now(&self, now: i64) -> Result<Vec<Endpoint>, i64> {
        if self.paused_until > now {
            return Err(self.paused_until);
        }
        let mut open = Vec::new();
        let mut earliest = i64::MAX;
        for (endpoint, spent_until) in &self.spent {
            match self.rate(*endpoint).take(*spent_until, now) {
                Ok(_) => open.push(*endpoint),
                Err(at) => earliest = earliest.min(at),
            }
        }
        if open.is_empty() { Err(earliest) } else { Ok(open) }
    }

    /// When a kind that is used up can be sent again; none where every kind can.
    pub(crate) fn next_opening(&self, now: i64) -> Option<i64> {
        self.spent
            .iter()
            .filter_map(|(endpoint, spent_until)| self.rate(*endpoint).take(*spent_until, now).err())
            .min()
    }

    /// How many of each kind are left.
    pub(crate) fn left(&self, now: i64) -> Vec<(Endpoint, i64)> {
        self.spent
            .iter()
            .map(|(endpoint, spent_until)| (*endpoint, self.rate(*endpoint).left(*spent_until, now)))
            .collect()
    }

    /// Whether the credential pauses.
    pub(crate) const fn is_paused(&self, now: i64) -> bool {
        self.paused_until > now
    }

    /// Enters one request, before it is sent.
    pub(crate) async fn spend(&self, tx: &mut Tx, endpoint: Endpoint, now: i64) -> anyhow::Result<()> {
        let spent_until = self
            .spent
            .iter()
            .find(|(known, _)| *known == endpoint)
            .map_or(0, |(_, spent_until)| *spent_until);
        let after = self
            .rate(endpoint)
            .take(spent_until, now)
            .map_err(|_| anyhow::anyhow!("the bucket `{}` is empty", endpoint.as_str()))?;
        sqlx::query("UPDATE enforcer_ledger SET spent_until = $3 WHERE credential = $1 AND endpoint = $2")
            .bind(self.credential.clone())
            .bind(endpoint.as_str())
            .bind(after)
            .execute(&mut **tx)
            .await?;
        Ok(())
    }

    fn rate(&self, endpoint: Endpoint) -> Rate {
        Rate::of(self.platform, endpoint, self.most)
    }
}

/// What a call taught of the credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lesson {
    /// The platform answered.
    Works,
    /// Nothing may be sent until then.
    Pause(i64),
    /// It failed; after `failures_max` in a row the credential pauses for `pause_ms`.
    Failed { failures_max: i64, pause_ms: i64 },
}

/// Writes a lesson down. A pause is never shortened, except by an answer.
pub(crate) async fn learn(tx: &mut Tx, account: &Account, lesson: Lesson, now: i64) -> anyhow::Result<()> {
    let credential = credential(account);
    let (sql, first, second) = match lesson {
        Lesson::Works => (
            "UPDATE enforcer_ledger SET failures = 0 WHERE credential = $1 AND endpoint = $2 AND failures > $3 + $4",
            0,
            0,
        ),
        Lesson::Pause(until) => (
            "UPDATE enforcer_ledger SET paused_until = CASE WHEN paused_until > $3 THEN paused_until ELSE $3 END, failures = failures + $4 \
             WHERE credential = $1 AND endpoint = $2",
            until,
            0,
        ),
        Lesson::Failed { failures_max, pause_ms } => (
            "UPDATE enforcer_ledger SET failures = failures + 1, \
             paused_until = CASE WHEN failures + 1 >= $3 AND paused_until < $4 THEN $4 ELSE paused_until END \
             WHERE credential = $1 AND endpoint = $2",
            failures_max,
            now + pause_ms,
        ),
    };
    sqlx::query(sqlx::AssertSqlSafe(sql.to_owned()))
        .bind(credential)
        .bind(ALL)
        .bind(first)
        .bind(second)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { most: 3, window_ms: 3_000 };

    #[test]
    fn gives_what_is_there_at_once_and_then_one_an_interval() {
        let mut bucket = 0;
        for left in [2, 1, 0] {
            bucket = RATE.take(bucket, 10_000).expect("three at once");
            assert_eq!(RATE.left(bucket, 10_000), left);
        }
        assert_eq!(RATE.take(bucket, 10_000), Err(11_000));
        assert_eq!(RATE.take(bucket, 10_999), Err(11_000));
        assert!(RATE.take(bucket, 11_000).is_ok());
        assert_eq!(RATE.left(bucket, 13_000), 3);
    }

    #[test]
    fn never_more_than_the_limit_in_any_window() {
        let mut bucket = 0;
        let mut given: Vec<i64> = Vec::new();
        for now in (0..20_000).step_by(37) {
            if let Ok(after) = RATE.take(bucket, now) {
                bucket = after;
                given.push(now);
            }
        }
        // The burst and what refills while it is used: at most twice the limit in a window, the limit in the long run.
        assert!((given.len() as i64) <= RATE.most + 20_000 / 1_000, "{}", given.len());
        assert!(given.windows(7).all(|seven| seven[6] - seven[0] >= RATE.window_ms), "{given:?}");
    }

    #[test]
    fn a_clock_set_back_blocks_for_a_window_at_most() {
        let bucket = RATE.take(0, 1_000_000_000).expect("a token");
        let until = (0..4)
            .try_fold(bucket, |bucket, _| RATE.take(bucket, 5_000))
            .expect_err("the window is spent");
        assert!(until - 5_000 <= RATE.window_ms, "{until}");
    }

    #[test]
    fn the_configuration_only_lowers_what_a_platform_bears() {
        let of = |platform, endpoint, configured| Rate::of(platform, endpoint, Most { bearable, configured }).most;
        assert_eq!(of(Platform::Mastodon, Endpoint::Report, 1_000), 20);
        assert_eq!(of(Platform::Mastodon, Endpoint::Report, 5), 5);
        assert_eq!(of(Platform::Bluesky, Endpoint::Hide, 0), 1);
    }
}
