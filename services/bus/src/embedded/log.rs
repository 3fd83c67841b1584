//! The SQLite file: its tables, and the reads and writes on them. Knows nothing of waiting, members or back-pressure.

use std::path::Path;
use std::time::Duration;

use futures::TryStreamExt as _;
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, Row as _};
use vigie_domain::Topic;

use super::state::{Loaded, Span};
use crate::{BusError, Delivery, Record};

const VERSION: i64 = 1;
const PAGE_BYTES: u64 = 4096;
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
const READERS_MAX: u32 = 4;
const READER_WAIT: Duration = Duration::from_secs(30);
/// Rows that the reading thread is ahead: few, since a row may have 8 MiB.
const ROWS_AHEAD: usize = 8;
const WAL_BYTES_KEPT: &str = "67108864";

/// A row has its payload last, so that what is asked without it stays in the first page of a large record.
const TABLES: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS topics (name TEXT PRIMARY KEY, first_offset INTEGER NOT NULL, next_offset INTEGER NOT NULL, \
     bytes INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS records (topic TEXT NOT NULL, record_offset INTEGER NOT NULL, at_ms INTEGER NOT NULL, \
     bytes INTEGER NOT NULL, record_key TEXT NOT NULL, record_id TEXT NOT NULL, headers TEXT, payload BLOB NOT NULL, \
     PRIMARY KEY (topic, record_offset))",
    "CREATE TABLE IF NOT EXISTS offsets (group_name TEXT NOT NULL, topic TEXT NOT NULL, next_offset INTEGER NOT NULL, \
     unattended_ms INTEGER NOT NULL, PRIMARY KEY (group_name, topic)) WITHOUT ROWID",
];

/// The one connection that writes.
pub(super) struct Log {
    connection: SqliteConnection,
}

/// Connections that read while the other writes.
pub(super) struct Reader {
    pool: SqlitePool,
}

/// The oldest records of a topic that the retention may drop.
pub(super) struct Oldest {
    pub(super) offset: i64,
    pub(super) at_ms: i64,
    pub(super) bytes: i64,
}

impl Log {
    pub(super) async fn open(path: &Path, file_bytes_max: Option<u64>) -> Result<(Self, Loaded), BusError> {
        let mut options = options(path)
            .create_if_missing(true)
            .auto_vacuum(SqliteAutoVacuum::Incremental)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("journal_size_limit", WAL_BYTES_KEPT);
        if let Some(bytes) = file_bytes_max {
            options = options.pragma("max_page_count", (bytes / PAGE_BYTES).max(1).to_string());
        }
        let failed = |error| refused(&error, &format!("could not open the log {}", path.display()));
        let connection = options.connect().await.map_err(failed)?;
        let mut log = Self { connection };
        log.create_tables().await.map_err(failed)?;
        log.check_version(path).await?;
        let loaded = log.load().await.map_err(failed)?;
        Ok((log, loaded))
    }

    async fn create_tables(&mut self) -> Result<(), sqlx::Error> {
        self.begin().await?;
        for table in TABLES {
            self.connection.execute(table).await?;
        }
        for topic in Topic::ALL {
            sqlx::query("INSERT INTO topics (name, first_offset, next_offset, bytes) VALUES (?, 0, 0, 0) ON CONFLICT DO NOTHING")
                .bind(topic.name())
                .execute(&mut self.connection)
                .await?;
        }
        self.commit().await
    }

    async fn check_version(&mut self, path: &Path) -> Result<(), BusError> {
        let failed = |error| refused(&error, "could not read the log's version");
        let version: i64 = sqlx::query_scalar("PRAGMA user_version")
            .fetch_one(&mut self.connection)
            .await
            .map_err(failed)?;
        if version > VERSION {
            return Err(BusError::Permanent(format!(
                "the log {} was written by a newer version (format {version}, this one knows {VERSION}); use that version",
                path.display()
            )));
        }
        self.connection.execute("PRAGMA user_version = 1").await.map_err(failed)?;
        Ok(())
    }

    async fn load(&mut self) -> Result<Loaded, sqlx::Error> {
        let mut loaded = Loaded::default();
        let topics = sqlx::query("SELECT name, first_offset, next_offset FROM topics")
            .fetch_all(&mut self.connection)
            .await?;
        for row in topics {
            // A topic that this version does not know is left alone.
            if let Ok(topic) = row.try_get::<String, _>(0)?.parse() {
                let span = Span {
                    first: row.try_get(1)?,
                    next: row.try_get(2)?,
                };
                loaded.topics.insert(topic, span);
            }
        }
        let groups = sqlx::query("SELECT group_name, topic, next_offset, unattended_ms FROM offsets")
            .fetch_all(&mut self.connection)
            .await?;
        for row in groups {
            if let Ok(topic) = row.try_get::<String, _>(1)?.parse() {
                let unattended = Duration::from_millis(u64::try_from(row.try_get::<i64, _>(3)?).unwrap_or(0));
                loaded.groups.push((row.try_get(0)?, topic, row.try_get(2)?, unattended));
            }
        }
        Ok(loaded)
    }

    /// Plain statements instead of the library's transactions: after a full disk SQLite has rolled back by itself, and a second
    /// rollback must not count as a level of nesting.
    pub(super) async fn begin(&mut self) -> Result<(), sqlx::Error> {
        self.connection.execute("BEGIN IMMEDIATE").await.map(|_| ())
    }

    pub(super) async fn commit(&mut self) -> Result<(), sqlx::Error> {
        self.connection.execute("COMMIT").await.map(|_| ())
    }

    pub(super) async fn rollback(&mut self) {
        if let Err(error) = self.connection.execute("ROLLBACK").await {
            tracing::debug!(%error, "SQLite had rolled back by itself");
        }
    }

    /// Appends a batch within a transaction and returns the topic's next offset.
    pub(super) async fn append(&mut self, topic: Topic, batch: &[Record], at_ms: i64) -> Result<i64, sqlx::Error> {
        let bytes: usize = batch.iter().map(Record::bytes).sum();
        let next: i64 =
            sqlx::query_scalar("UPDATE topics SET next_offset = next_offset + ?, bytes = bytes + ? WHERE name = ? RETURNING next_offset")
                .bind(integer(batch.len()))
                .bind(integer(bytes))
                .bind(topic.name())
                .fetch_one(&mut self.connection)
                .await?;
        let first = next - integer(batch.len());
        for (offset, record) in (first..).zip(batch) {
            let headers = (!record.headers.is_empty()).then(|| encode_headers(&record.headers));
            sqlx::query(
                "INSERT INTO records (topic, record_offset, at_ms, bytes, record_key, record_id, headers, payload) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(topic.name())
            .bind(offset)
            .bind(at_ms)
            .bind(integer(record.bytes()))
            .bind(record.key.as_str())
            .bind(record.id.as_str())
            .bind(headers)
            .bind(record.payload.as_slice())
            .execute(&mut self.connection)
            .await?;
        }
        Ok(next)
    }

    /// Commits an offset of a group within a transaction; it never goes back.
    pub(super) async fn commit_offset(&mut self, group: &str, topic: Topic, offset: i64) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO offsets (group_name, topic, next_offset, unattended_ms) VALUES (?, ?, ?, 0) \
             ON CONFLICT (group_name, topic) DO UPDATE SET next_offset = max(next_offset, excluded.next_offset), unattended_ms = 0",
        )
        .bind(group)
        .bind(topic.name())
        .bind(offset)
        .execute(&mut self.connection)
        .await?;
        Ok(())
    }

    /// Bytes in all topics together.
    pub(super) async fn bytes(&mut self) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar("SELECT COALESCE(SUM(bytes), 0) FROM topics")
            .fetch_one(&mut self.connection)
            .await
    }

    /// The oldest records of a topic below `below`.
    pub(super) async fn oldest(&mut self, topic: Topic, below: i64, records_max: i64) -> Result<Vec<Oldest>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT record_offset, at_ms, bytes FROM records WHERE topic = ? AND record_offset < ? ORDER BY record_offset LIMIT ?",
        )
        .bind(topic.name())
        .bind(below)
        .bind(records_max)
        .fetch_all(&mut self.connection)
        .await?;
        let oldest = |row: &SqliteRow| {
            Ok(Oldest {
                offset: row.try_get(0)?,
                at_ms: row.try_get(1)?,
                bytes: row.try_get(2)?,
            })
        };
        rows.iter().map(oldest).collect()
    }

    /// Drops a topic's records below `first`, which hold `bytes`.
    pub(super) async fn drop_below(&mut self, topic: Topic, first: i64, bytes: i64) -> Result<(), sqlx::Error> {
        self.begin().await?;
        sqlx::query("DELETE FROM records WHERE topic = ? AND record_offset < ?")
            .bind(topic.name())
            .bind(first)
            .execute(&mut self.connection)
            .await?;
        sqlx::query("UPDATE topics SET first_offset = ?, bytes = bytes - ? WHERE name = ?")
            .bind(first)
            .bind(bytes)
            .bind(topic.name())
            .execute(&mut self.connection)
            .await?;
        self.commit().await
    }

    /// Gives free pages back to the file system.
    pub(super) async fn shrink(&mut self) -> Result<(), sqlx::Error> {
        self.connection.execute("PRAGMA incremental_vacuum(1000)").await.map(|_| ())
    }

    /// Notes how long a group has had no members.
    pub(super) async fn note_unattended(&mut self, group: &str, topic: Topic, unattended: Duration) -> Result<(), sqlx::Error> {
        sqlx::query("UPDATE offsets SET unattended_ms = ? WHERE group_name = ? AND topic = ?")
            .bind(i64::try_from(unattended.as_millis()).unwrap_or(i64::MAX))
            .bind(group)
            .bind(topic.name())
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    pub(super) async fn forget_group(&mut self, group: &str, topic: Topic) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM offsets WHERE group_name = ? AND topic = ?")
            .bind(group)
            .bind(topic.name())
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }

    pub(super) async fn close(self) -> Result<(), sqlx::Error> {
        self.connection.close().await
    }
}

impl Reader {
    pub(super) async fn open(path: &Path) -> Result<Self, BusError> {
        let pool = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .acquire_timeout(READER_WAIT)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_with(options(path).read_only(true).row_buffer_size(ROWS_AHEAD))
            .await
            .map_err(|error| refused(&error, &format!("could not read the log {}", path.display())))?;
        Ok(Self { pool })
    }

    /// The records of a topic from `from`, below `below`: at most `records_max`, and no more once `bytes_max` is reached.
    pub(super) async fn read(
        &self,
        topic: Topic,
        from: i64,
        below: i64,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Delivery>, BusError> {
        let failed = |error| refused(&error, "could not read the log");
        let mut rows = sqlx::query(
            "SELECT record_offset, at_ms, record_key, record_id, headers, payload FROM records \
             WHERE topic = ? AND record_offset >= ? AND record_offset < ? ORDER BY record_offset LIMIT ?",
        )
        .bind(topic.name())
        .bind(from)
        .bind(below)
        .bind(integer(records_max))
        .fetch(&self.pool);
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            let delivery = delivery(topic, &row).map_err(failed)?;
            bytes += delivery.record.bytes();
            batch.push(delivery);
            if bytes >= bytes_max {
                break;
            }
        }
        Ok(batch)
    }

    /// The offsets that a topic has.
    pub(super) async fn span(&self, topic: Topic) -> Result<Span, BusError> {
        let failed = |error| refused(&error, "could not read the log");
        let row = sqlx::query("SELECT first_offset, next_offset FROM topics WHERE name = ?")
            .bind(topic.name())
            .fetch_optional(&self.pool)
            .await
            .map_err(failed)?;
        row.map_or(Ok(Span { first: 0, next: 0 }), |row| {
            Ok(Span {
                first: row.try_get(0).map_err(failed)?,
                next: row.try_get(1).map_err(failed)?,
            })
        })
    }

    /// The first record of a topic from `from` on: its offset and when it was appended.
    pub(super) async fn first_from(&self, topic: Topic, from: i64) -> Result<Option<(i64, i64)>, BusError> {
        sqlx::query_as("SELECT record_offset, at_ms FROM records WHERE topic = ? AND record_offset >= ? ORDER BY record_offset LIMIT 1")
            .bind(topic.name())
            .bind(from)
            .fetch_optional(&self.pool)
            .await
            .map_err(|error| refused(&error, "could not read the log"))
    }

    pub(super) async fn ping(&self) -> Result<(), BusError> {
        sqlx::query("SELECT name FROM topics LIMIT 1")
            .execute(&self.pool)
            .await
            .map(|_| ())
            .map_err(|error| refused(&error, "could not read the log"))
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
}

fn delivery(topic: Topic, row: &SqliteRow) -> Result<Delivery, sqlx::Error> {
    let headers = match row.try_get::<Option<&str>, _>(4)? {
        Some(text) => serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        None => Vec::new(),
    };
    Ok(Delivery {
        topic,
        partition: 0,
        offset: row.try_get(0)?,
        timestamp_ms: row.try_get(1)?,
        record: Record {
            key: row.try_get(2)?,
            id: row.try_get(3)?,
            headers,
            payload: row.try_get(5)?,
        },
    })
}

fn encode_headers(headers: &[(String, Vec<u8>)]) -> String {
    serde_json::to_string(headers).expect("names and bytes are always JSON")
}

fn integer(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// What SQLite's refusal means, and what to do about it.
pub(super) fn refused(error: &sqlx::Error, doing: &str) -> BusError {
    let code = match error {
        sqlx::Error::Database(error) => error.code().and_then(|code| code.parse::<i32>().ok()),
        _ => None,
    };
    // The low byte is the kind, the rest its details: https://www.sqlite.org/rescode.html
    match code.map(|code| code & 0xff) {
        Some(8) => BusError::Permanent(format!("{doing}: {error}; the file or its folder is read-only, make it writable")),
        Some(11 | 26) => BusError::Permanent(format!(
            "{doing}: {error}; the file is damaged or is no log, restore it from a backup or move it away"
        )),
        Some(13) => BusError::Transient(format!("{doing}: {error}; free some space, or raise the limit of the file")),
        Some(14) => BusError::Permanent(format!("{doing}: {error}; does its folder exist, and is it writable?")),
        Some(10) => BusError::Transient(format!("{doing}: {error}; check the disk")),
        Some(1 | 19 | 20 | 21 | 25) => BusError::Permanent(format!("{doing}: {error}")),
        _ => BusError::Transient(format!("{doing}: {error}")),
    }
}
