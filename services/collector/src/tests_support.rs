//! What the unit tests of this crate share.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use vigie_bus::Bus;
use vigie_domain::{AccountId, Comment, InstitutionId, Platform, Topic, decode};
use vigie_runtime::accounts::AccountConfig;
use vigie_runtime::config::{DataConfig, RuntimeConfig};
use vigie_runtime::{Account, Runtime, Secret};

use crate::import::Row;

/// The account `musee-test`, as [`vigie_runtime::testing`] configures it, with a webhook secret.
pub fn account() -> Account {
    Account {
        id: AccountId::new("musee-test").expect("a constant id"),
        platform: Platform::Generic,
        institution: InstitutionId::new("musee-test").expect("a constant id"),
        name: "Musée d'essai".to_owned(),
        policy: "default".to_owned(),
        base_url: None,
        handle: None,
        watch: false,
        dry_run: true,
        token: None,
        login: None,
        labeler_did: None,
        webhook_secrets: vec![Secret::new("s3cret")],
    }
}

/// A moment near those of the samples.
pub fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().expect("a constant time")
}

/// A row with this id and text.
pub fn row(id: &str, text: &str) -> Row {
    Row {
        platform: Platform::Generic,
        account_id: "musee-test".to_owned(),
        post_id: "p1".to_owned(),
        comment_id: id.to_owned(),
        created_at: "2026-11-24T10:00:00Z".parse().expect("a constant time"),
        text: text.to_owned(),
        parent_id: None,
        author_id: None,
        edited_at: None,
        deleted_at: None,
        permalink: None,
        language: None,
        parent_text: None,
        post_text: None,
        raw: format!("{{\"comment_id\":\"{id}\"}}"),
    }
}

/// A runtime on the embedded bus and SQLite in `dir`, with these accounts besides `musee-test`.
pub async fn runtime_with(dir: &Path, more: Vec<AccountConfig>) -> anyhow::Result<Runtime> {
    let accounts = std::iter::once(account_config("musee-test", "generic")).chain(more).collect();
    let config = RuntimeConfig {
        data: DataConfig { dir: dir.to_owned() },
        accounts,
        ..RuntimeConfig::default()
    };
    Runtime::open(&config).await
}

/// The entry of an account without anything particular.
pub fn account_config(id: &str, platform: &str) -> AccountConfig {
    AccountConfig {
        id: id.to_owned(),
        platform: platform.to_owned(),
        institution: "musee-test".to_owned(),
        name: None,
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

/// Everything on [comments], in order of each key.
pub async fn published(bus: &dyn Bus) -> anyhow::Result<Vec<Comment>> {
    let group = format!("test-{}", rand::random::<u32>());
    let mut consumer = bus.subscribe(&group, &[Topic::Comments]).await?;
    let mut comments = Vec::new();
    loop {
        let batch = consumer.receive(500, Duration::from_millis(200)).await?;
        if batch.is_empty() {
            return Ok(comments);
        }
        for delivery in batch {
            comments.push(decode(&delivery.record.payload)?);
        }
    }
}
