//! Accounts of people, and the tables behind the pages.

use std::path::Path;

use anyhow::Context as _;
use sqlx::AnyPool;

use crate::process;

/// The password of everybody here.
pub const PASSWORD: &str = "girouette-cormoran-72";

/// Adds somebody, as an administrator would.
///
/// # Errors
/// The command fails; it says why.
pub fn add(executable: &str, config: &str, login: &str, role: &str) -> anyhow::Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), PASSWORD)?;
    let path = file.path().to_str().context("a UTF-8 path")?;
    let said = process::command(
        executable,
        &["user", "add", login, "--role", role, "--password-file", path, "--config", config],
        b"",
    )?;
    anyhow::ensure!(said.status.success(), "vigie user add failed: {}", said.err);
    Ok(())
}

/// Opens a SQLite file that no process uses.
///
/// # Errors
/// It cannot be opened.
pub async fn open_sqlite(path: &Path) -> anyhow::Result<AnyPool> {
    sqlx::any::install_default_drivers();
    Ok(AnyPool::connect(&format!("sqlite://{}", path.display())).await?)
}

/// Opens a schema of a PostgreSQL; it is made when missing, as an administrator would before the first start.
///
/// # Errors
/// The server cannot be reached.
pub async fn open_postgres(url: &str, schema: &str) -> anyhow::Result<AnyPool> {
    use sqlx::Executor as _;
    sqlx::any::install_default_drivers();
    let path = format!("SET search_path TO {schema}");
    let pool = sqlx::any::AnyPoolOptions::new()
        .max_connections(2)
        .after_connect(move |connection, _| {
            let path = path.clone();
            Box::pin(async move { connection.execute(sqlx::AssertSqlSafe(path)).await.map(drop) })
        })
        .connect(url)
        .await?;
    pool.execute(sqlx::AssertSqlSafe(format!("CREATE SCHEMA IF NOT EXISTS {schema}")))
        .await?;
    Ok(pool)
}
