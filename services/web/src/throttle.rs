//! The limit on failed sign-ins, in the database, so that a restart or a second process does not lift it.
//!
//! Three counters over one window: login and address together (low), an address (middle), a login (high, so that a stranger
//! cannot easily lock somebody out). An attempt is counted before the password is looked at: attempts at the same time do not slip
//! through. A success takes its counts back.

use jiff::Timestamp;
use vigie_domain::sha256_hex;
use vigie_runtime::Database;

/// Length of the window, in milliseconds: fifteen minutes.
pub(crate) const WINDOW_MS: i64 = 15 * 60 * 1000;
const PAIR_MAX: i64 = 5;
const ADDRESS_MAX: i64 = 30;
const LOGIN_MAX: i64 = 60;

#[derive(Clone)]
pub(crate) struct Throttle {
    database: Database,
}

impl Throttle {
    pub(crate) const fn new(database: Database) -> Self {
        Self { database }
    }

    /// Counts an attempt; false when it must not be made.
    pub(crate) async fn admit(&self, login: &str, address: &str) -> Result<bool, sqlx::Error> {
        let now = Timestamp::now().as_millisecond();
        let mut admitted = true;
        for (who, most) in keys(login, address) {
            admitted &= self.count(&who, now).await? <= most;
        }
        Ok(admitted)
    }

    /// Forgets the failures of login and address together, and the attempt that succeeded of the others.
    pub(crate) async fn succeeded(&self, login: &str, address: &str) -> Result<(), sqlx::Error> {
        let [(pair, _), (by_address, _), (by_login, _)] = keys(login, address);
        sqlx::query("DELETE FROM web_sign_in_failures WHERE who = $1 OR until <= $2")
            .bind(pair)
            .bind(Timestamp::now().as_millisecond())
            .execute(self.database.pool())
            .await?;
        for who in [by_address, by_login] {
            sqlx::query("UPDATE web_sign_in_failures SET failures = failures - 1 WHERE who = $1 AND failures > 0")
                .bind(who)
                .execute(self.database.pool())
                .await?;
        }
        Ok(())
    }

    async fn count(&self, who: &str, now: i64) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar(
            "INSERT INTO web_sign_in_failures (who, failures, until) VALUES ($1, 1, $2)
             ON CONFLICT (who) DO UPDATE SET
                failures = CASE WHEN web_sign_in_failures.until <= $3 THEN 1 ELSE web_sign_in_failures.failures + 1 END,
                until = CASE WHEN web_sign_in_failures.until <= $3 THEN $2 ELSE web_sign_in_failures.until END
             RETURNING failures",
        )
        .bind(who.to_owned())
        .bind(now + WINDOW_MS)
        .bind(now)
        .fetch_one(self.database.pool())
        .await
    }
}

/// Hashed: what strangers typed is not kept.
fn keys(login: &str, address: &str) -> [(String, i64); 3] {
    let login = login.trim().to_lowercase();
    let key = |kind: &str, text: &str| sha256_hex(format!("{kind}\n{text}").as_bytes());
    [
        (key("pair", &format!("{login}\n{address}")), PAIR_MAX),
        (key("address", address), ADDRESS_MAX),
        (key("login", &login), LOGIN_MAX),
    ]
}
