//! What tests of services share: a runtime on the embedded bus, samples, and peers that are skipped loudly.

use std::path::Path;

use anyhow::Context as _;
use jiff::Timestamp;
use sqlx::Executor as _;
use vigie_domain::{
    AccountId, Audit, Comment, Context, InstitutionId, NativeCommentId, NewComment, Platform, PostId, Reason, Route, Scores, Verdict,
    VerdictId, sha256_hex,
};

use crate::accounts::AccountConfig;
use crate::config::{DataConfig, RuntimeConfig};
use crate::{Databases, Keys, Runtime};

/// A runtime on the embedded bus and SQLite in `dir`, with fixed keys and one generic account `musee-test`.
///
/// # Errors
/// As [`Runtime::open`].
pub async fn runtime(dir: &Path) -> anyhow::Result<Runtime> {
    let config = RuntimeConfig {
        data: DataConfig { dir: dir.to_owned() },
        accounts: vec![account()],
        ..RuntimeConfig::default()
    };
    let mut runtime = Runtime::open(&config).await?;
    runtime.keys = Keys::from_bytes([1; 32], [2; 32], [3; 32]);
    Ok(runtime)
}

/// As [`runtime`], on PostgreSQL, in a fresh schema of its own.
///
/// # Errors
/// The server cannot be reached.
pub async fn runtime_on_postgres(dir: &Path, url: &str) -> anyhow::Result<Runtime> {
    let mut runtime = runtime(dir).await?;
    let schema = format!("test_{}", hex::encode(rand::random::<[u8; 8]>()));
    let pool = sqlx::AnyPool::connect(url)
        .await
        .context("could not connect to the test PostgreSQL")?;
    pool.execute(sqlx::AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).await?;
    pool.close().await;
    runtime.databases = Databases::with_postgres(crate::Secret::new(url), Some(schema), dir);
    Ok(runtime)
}

/// The value of `variable`, which points to a peer. Where it is absent the test is skipped loudly; under `tests/run`, which
/// starts every peer, that is a failure.
///
/// # Panics
/// The variable is absent and `VIGIE_TEST_REQUIRE_PEERS` is 1.
#[must_use]
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
pub fn peer(variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        let required = std::env::var("VIGIE_TEST_REQUIRE_PEERS").is_ok_and(|required| required == "1");
        assert!(!required, "{variable} is not set, and this run requires every peer");
        eprintln!("SKIPPED: {variable} is not set; `tests/run` starts this peer");
    }
    value
}

/// The value of an environment variable that a test may need.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn account() -> AccountConfig {
    AccountConfig {
        id: "musee-test".to_owned(),
        platform: "generic".to_owned(),
        institution: "musee-test".to_owned(),
        name: Some("Musée d'essai".to_owned()),
        policy: "default".to_owned(),
        base_url: None,
        handle: None,
        watch: false,
        dry_run: true,
        token: None,
        login: None,
        labeler_did: None,
        webhook_secrets: Vec::new(),
    }
}

/// A comment under the account `musee-test`; its native id is a digest of the text.
#[must_use]
pub fn sample_comment(text: &str) -> Comment {
    NewComment {
        platform: Platform::Generic,
        account: AccountId::new("musee-test").expect("a constant id"),
        institution: InstitutionId::new("musee-test").expect("a constant id"),
        post: PostId::new("p1").expect("a constant id"),
        native_id: NativeCommentId::new(&sha256_hex(text.as_bytes())[..12]).expect("a digest is an id"),
        parent: None,
        author: None,
        author_sealed: None,
        text: text.to_owned(),
        context: Context::default(),
        created_at: Timestamp::from_second(1_795_470_000).expect("a constant time"),
        edited_at: None,
        collected_at: Timestamp::now(),
        deleted: None,
        permalink: None,
        language: Some("fr".to_owned()),
        evidence: None,
    }
    .build()
}

/// A verdict on [`sample_comment`] without hits or scores, not drawn for the audit.
#[must_use]
pub fn sample_verdict(text: &str, route: Route) -> Verdict {
    let comment = sample_comment(text);
    Verdict {
        id: VerdictId::derive(&comment.revision, "model", "rulebook", "policy"),
        comment,
        route,
        escalate: false,
        urgent: Vec::new(),
        priority: 50,
        reasons: vec![Reason::Harmless],
        rules: Vec::new(),
        scores: Scores::default(),
        language: Some("fr".to_owned()),
        model: "model".to_owned(),
        rulebook: "rulebook".to_owned(),
        policy: "default@test".to_owned(),
        audit: Audit {
            stratum: "low".to_owned(),
            probability: 0.1,
            selected: false,
        },
        explanation: None,
    }
}
