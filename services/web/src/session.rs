//! The store of tower-sessions on our database. The cookie holds the id, the table only its SHA-256: who reads the table
//! cannot take over a session.

use async_trait::async_trait;
use jiff::Timestamp;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result};
use vigie_domain::sha256_hex;
use vigie_runtime::Database;

#[derive(Clone)]
pub(crate) struct Store {
    database: Database,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    pub(crate) const fn new(database: Database) -> Self {
        Self { database }
    }

    /// Deletes what expired.
    pub(crate) async fn sweep(&self) -> std::result::Result<(), sqlx::Error> {
        let now = Timestamp::now().as_millisecond();
        sqlx::query("DELETE FROM web_sessions WHERE expires_at <= $1")
            .bind(now)
            .execute(self.database.pool())
            .await?;
        Ok(())
    }
}

fn key(id: &Id) -> String {
    sha256_hex(id.to_string().as_bytes())
}

fn backend(error: &sqlx::Error) -> Error {
    Error::Backend(format!("the table of sessions could not be read or written: {error}"))
}

fn data(record: &Record) -> Result<String> {
    serde_json::to_string(&record.data).map_err(|error| Error::Encode(error.to_string()))
}

fn expiry_ms(record: &Record) -> i64 {
    record.expiry_date.unix_timestamp().saturating_mul(1000)
}

#[async_trait]
impl SessionStore for Store {
    async fn create(&self, record: &mut Record) -> Result<()> {
        for _ in 0..8 {
            let inserted = sqlx::query("INSERT INTO web_sessions (id, data, expires_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING")
                .bind(key(&record.id))
                .bind(data(record)?)
                .bind(expiry_ms(record))
                .execute(self.database.pool())
                .await
                .map_err(|error| backend(&error))?;
            if inserted.rows_affected() == 1 {
                return Ok(());
            }
            record.id = Id::default();
        }
        Err(Error::Backend(
            "eight random session ids were all taken: the random generator is broken".to_owned(),
        ))
    }

    async fn save(&self, record: &Record) -> Result<()> {
        // Only what exists: a session that was ended elsewhere must not come back by a late request.
        sqlx::query("UPDATE web_sessions SET data = $2, expires_at = $3 WHERE id = $1")
            .bind(key(&record.id))
            .bind(data(record)?)
            .bind(expiry_ms(record))
            .execute(self.database.pool())
            .await
            .map_err(|error| backend(&error))?;
        Ok(())
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let row: Option<(String, i64)> = sqlx::query_as("SELECT data, expires_at FROM web_sessions WHERE id = $1 AND expires_at > $2")
            .bind(key(id))
            .bind(Timestamp::now().as_millisecond())
            .fetch_optional(self.database.pool())
            .await
            .map_err(|error| backend(&error))?;
        let Some((data, expires_at)) = row else { return Ok(None) };
        let data = serde_json::from_str(&data).map_err(|error| Error::Decode(error.to_string()))?;
        let expiry_date = time::OffsetDateTime::from_unix_timestamp(expires_at / 1000).map_err(|error| Error::Decode(error.to_string()))?;
        Ok(Some(Record {
            id: *id,
            data,
            expiry_date,
        }))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        sqlx::query("DELETE FROM web_sessions WHERE id = $1")
            .bind(key(id))
            .execute(self.database.pool())
            .await
            .map_err(|error| backend(&error))?;
        Ok(())
    }
}
