//! The PostgreSQL schema of the configuration is made where it is missing, also by two processes at once.

use vigie_runtime::{Databases, Secret, testing};

#[tokio::test]
async fn a_schema_that_is_missing_is_made_once() -> anyhow::Result<()> {
    let Some(url) = testing::peer("POSTGRES_URL") else {
        return Ok(());
    };
    let dir = tempfile::tempdir()?;
    let schema = format!("test_{}", hex::encode(rand::random::<[u8; 8]>()));
    let open = || {
        let databases = Databases::with_postgres(Secret::new(url.as_str()), Some(schema.clone()), dir.path());
        async move { databases.open("one", &[]).await }
    };
    let (first, second) = tokio::join!(open(), open());
    let database = first?;
    second?;
    let path: String = sqlx::query_scalar("SELECT CAST(current_schema() AS TEXT)")
        .fetch_one(database.pool())
        .await?;
    assert_eq!(path, schema);
    open().await?;
    Ok(())
}
