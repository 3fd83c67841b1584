//! What the unit tests of this crate share.

use jiff::Timestamp;
use vigie_domain::{AccountId, InstitutionId, Platform};
use vigie_runtime::{Account, Secret};

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
