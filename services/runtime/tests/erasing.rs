//! What is erased from a database on SQLite is in none of its files afterwards.

use vigie_runtime::testing;

const WORDS: &str = "des mots à oublier";

#[tokio::test]
async fn erased_words_are_in_no_file() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let runtime = testing::runtime(dir.path()).await?;
    let database = runtime.databases.open("erasing", &[]).await?;
    let run = async |sql: &'static str| sqlx::query(sql).execute(database.pool()).await;
    let held = || -> anyhow::Result<bool> {
        let mut held = false;
        for file in ["erasing.db", "erasing.db-wal"] {
            held |= String::from_utf8_lossy(&std::fs::read(dir.path().join(file))?).contains(WORDS);
        }
        Ok(held)
    };
    run("CREATE TABLE texts (id BIGINT PRIMARY KEY, words TEXT NOT NULL)").await?;
    for id in 0..200 {
        sqlx::query("INSERT INTO texts (id, words) VALUES ($1, $2)")
            .bind(id)
            .bind(WORDS)
            .execute(database.pool())
            .await?;
    }
    run("UPDATE texts SET words = '' WHERE id < 100").await?;
    run("DELETE FROM texts WHERE id >= 100").await?;
    assert!(held()?, "the log still has them, else this test shows nothing");
    database.forget_erased().await?;
    assert!(!held()?);
    Ok(())
}
