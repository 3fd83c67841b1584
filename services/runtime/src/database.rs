//! Database handles: SQLite by default, PostgreSQL by URL, one SQL text for both.
//!
//! A service opens its own database by name and owns its tables. On SQLite each service has a file of its own, so that no service
//! waits for another's writes; on PostgreSQL they share a schema. The shared subset: BIGINT, TEXT, DOUBLE PRECISION; `$1`
//! placeholders; ON CONFLICT; RETURNING. Bytes are TEXT in base64.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use sqlx::any::AnyPoolOptions;
use sqlx::{Any, AnyPool, Executor as _, Row as _, Transaction};
use vigie_domain::sha256_hex;

use crate::config::DatabaseConfig;
use crate::secret::Secret;

const CONNECTIONS_MAX: u32 = 16;
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);

/// Which engine answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// One file per service.
    Sqlite,
    /// One schema for all.
    Postgres,
}

/// One change of a service's tables. Once released it never changes; a checksum watches over that.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// 1, 2, 3 …
    pub version: i64,
    /// For people.
    pub name: &'static str,
    /// Statements, each ending with `;` at the end of a line.
    pub sql: &'static str,
}

/// Opens the databases of services. Cheap to clone.
#[derive(Clone)]
pub struct Databases {
    data_dir: PathBuf,
    postgres: Option<(Secret, Option<String>)>,
}

/// An open database with its tables up to date. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    pool: AnyPool,
    engine: Engine,
}

impl Databases {
    /// Reads the configuration; connects to nothing yet.
    ///
    /// # Errors
    /// A secret that cannot be read, or a URL that is not PostgreSQL's.
    pub fn new(config: &DatabaseConfig, data_dir: &Path) -> anyhow::Result<Self> {
        sqlx::any::install_default_drivers();
        let postgres = match &config.url {
            None => None,
            Some(source) => {
                let url = source.read().context("[database] url")?;
                anyhow::ensure!(
                    url.expose().starts_with("postgres://") || url.expose().starts_with("postgresql://"),
                    "[database] url must start with postgres://; leave it out to use SQLite in the data directory"
                );
                Some((url, config.schema.clone()))
            }
        };
        Ok(Self {
            data_dir: data_dir.to_owned(),
            postgres,
        })
    }

    /// On the PostgreSQL of `url`, in `schema`.
    #[must_use]
    pub fn with_postgres(url: Secret, schema: Option<String>, data_dir: &Path) -> Self {
        sqlx::any::install_default_drivers();
        Self {
            data_dir: data_dir.to_owned(),
            postgres: Some((url, schema)),
        }
    }

    /// Opens the database of `service` and brings its tables up to date.
    ///
    /// # Errors
    /// The database cannot be reached or written, or a released migration was changed.
    pub async fn open(&self, service: &'static str, migrations: &'static [Migration]) -> anyhow::Result<Database> {
        let database = match &self.postgres {
            None => open_sqlite(&self.data_dir.join(format!("{service}.db"))).await?,
            Some((url, schema)) => open_postgres(url, schema.as_deref()).await?,
        };
        migrate(&database, service, migrations)
            .await
            .with_context(|| format!("could not bring the tables of `{service}` up to date"))?;
        Ok(database)
    }
}

impl Database {
    /// The connection pool.
    #[must_use]
    pub const fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// Which engine answers.
    #[must_use]
    pub const fn engine(&self) -> Engine {
        self.engine
    }

    /// Begins a transaction that will write: on SQLite it takes the write lock at once, since a read that turns into a write can
    /// fail half-way.
    ///
    /// # Errors
    /// No connection, or the lock was not had in time.
    pub async fn begin(&self) -> Result<Transaction<'static, Any>, sqlx::Error> {
        match self.engine {
            Engine::Sqlite => self.pool.begin_with("BEGIN IMMEDIATE").await,
            Engine::Postgres => self.pool.begin().await,
        }
    }

    /// Takes what was erased out of the log of SQLite too, which keeps earlier pages until they are written over. Where somebody
    /// reads them all the while, they stay until the next call. On PostgreSQL autovacuum does it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn forget_erased(&self) -> Result<(), sqlx::Error> {
        if self.engine == Engine::Sqlite {
            self.pool.execute("PRAGMA wal_checkpoint(TRUNCATE)").await?;
        }
        Ok(())
    }

    /// To be put at the end of a SELECT that claims rows: on PostgreSQL claimers pass over each other's rows; on SQLite there is
    /// one writer at a time anyway.
    #[must_use]
    pub const fn skip_locked(&self) -> &'static str {
        match self.engine {
            Engine::Sqlite => "",
            Engine::Postgres => " FOR UPDATE SKIP LOCKED",
        }
    }
}

async fn open_sqlite(path: &Path) -> anyhow::Result<Database> {
    let url = format!("sqlite://{}?mode=rwc", path.display());
    let pool = AnyPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute("PRAGMA busy_timeout = 20000").await?;
                connection.execute("PRAGMA journal_mode = WAL").await?;
                connection.execute("PRAGMA synchronous = FULL").await?;
                connection.execute("PRAGMA foreign_keys = ON").await?;
                // What is erased is overwritten, not only given free.
                connection.execute("PRAGMA secure_delete = ON").await?;
                Ok(())
            })
        })
        .connect(&url)
        .await
        .with_context(|| {
            format!(
                "could not open the database {}; is the directory writable and the disk not full?",
                path.display()
            )
        })?;
    Ok(Database {
        pool,
        engine: Engine::Sqlite,
    })
}

async fn open_postgres(url: &Secret, schema: Option<&str>) -> anyhow::Result<Database> {
    if let Some(schema) = schema {
        let plain = !schema.is_empty() && schema.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        anyhow::ensure!(plain, "[database] schema `{schema}` may hold only a-z, 0-9 and _");
    }
    let schema = schema.map(str::to_owned);
    let created = schema.clone();
    let pool = AnyPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(move |connection, _| {
            let schema = schema.clone();
            Box::pin(async move {
                connection.execute("SET client_min_messages TO warning").await?;
                if let Some(schema) = schema {
                    connection
                        .execute(sqlx::AssertSqlSafe(format!("SET search_path TO {schema}")))
                        .await?;
                }
                Ok(())
            })
        })
        .connect(url.expose())
        .await
        .map_err(|error| anyhow::anyhow!("could not connect to PostgreSQL: {error}; check [database] url"))?;
    if let Some(schema) = created {
        create_schema(&pool, &schema).await.with_context(|| {
            format!("could not create the PostgreSQL schema `{schema}`; create it, or choose another in [database] schema")
        })?;
    }
    Ok(Database {
        pool,
        engine: Engine::Postgres,
    })
}

async fn create_schema(pool: &AnyPool, schema: &str) -> anyhow::Result<()> {
    let exists = || async {
        let found: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM pg_catalog.pg_namespace WHERE nspname = $1")
            .bind(schema)
            .fetch_one(pool)
            .await?;
        Ok::<_, sqlx::Error>(found > 0)
    };
    if exists().await? {
        return Ok(());
    }
    match pool
        .execute(sqlx::AssertSqlSafe(format!("CREATE SCHEMA IF NOT EXISTS {schema}")))
        .await
    {
        // Another process may have been faster.
        Err(error) if !exists().await? => Err(error.into()),
        _ => Ok(()),
    }
}

/// Applies what is missing, in one transaction per migration, while holding a lock against other processes.
async fn migrate(database: &Database, service: &str, migrations: &[Migration]) -> anyhow::Result<()> {
    create_bookkeeping(database).await?;
    for migration in migrations {
        let mut transaction = database.begin().await?;
        if database.engine == Engine::Postgres {
            transaction.execute("LOCK TABLE vigie_migrations IN EXCLUSIVE MODE").await?;
        }
        let checksum = sha256_hex(migration.sql.as_bytes());
        let applied = sqlx::query("SELECT checksum FROM vigie_migrations WHERE service = $1 AND version = $2")
            .bind(service)
            .bind(migration.version)
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some(row) = applied {
            let before: String = row.try_get(0)?;
            anyhow::ensure!(
                before == checksum,
                "migration {} `{}` was changed after its release; add a new one instead",
                migration.version,
                migration.name
            );
            continue;
        }
        for statement in migration.sql.split(";\n").map(str::trim).filter(|statement| !statement.is_empty()) {
            transaction
                .execute(statement.trim_end_matches(';'))
                .await
                .with_context(|| format!("migration {} `{}`", migration.version, migration.name))?;
        }
        sqlx::query("INSERT INTO vigie_migrations (service, version, name, checksum, applied_at_ms) VALUES ($1, $2, $3, $4, $5)")
            .bind(service)
            .bind(migration.version)
            .bind(migration.name)
            .bind(checksum)
            .bind(jiff::Timestamp::now().as_millisecond())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
    }
    Ok(())
}

async fn create_bookkeeping(database: &Database) -> anyhow::Result<()> {
    const TABLE: &str = "CREATE TABLE IF NOT EXISTS vigie_migrations (service TEXT NOT NULL, version BIGINT NOT NULL, name TEXT NOT NULL, \
         checksum TEXT NOT NULL, applied_at_ms BIGINT NOT NULL, PRIMARY KEY (service, version))";
    // Two processes that create it at once can collide on PostgreSQL even with IF NOT EXISTS; the loser finds it there.
    let mut attempts = 0;
    loop {
        match database.pool.execute(TABLE).await {
            Ok(_) => return Ok(()),
            Err(error) if attempts < 5 => {
                attempts += 1;
                tracing::debug!(%error, attempts, "creating the table of migrations again");
                tokio::time::sleep(Duration::from_millis(50 * attempts)).await;
            }
            Err(error) => return Err(error).context("could not create the table of migrations; is the database writable?"),
        }
    }
}
