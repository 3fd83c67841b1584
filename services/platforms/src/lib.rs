//! One module per social platform: read comments, receive pushes, act. The only crate that makes HTTP requests.
//!
//! A [`Source`] reads comments page by page. It keeps nothing of its own that matters: the cursor says all, the caller stores it
//! after the page is durable, and a page read twice gives the same comments. Delivery is therefore at least once; the caller
//! recognises what it knows by the ids it derives. An [`Actor`] carries one action out and reads back whether it holds.
//!
//! Deliberately not here: any state on disk, any retry beyond what a single answer needs, and any decision. Requests go only to the
//! configured host; see [`http`].

mod bluesky;
mod error;
mod html;
pub mod http;
mod mastodon;
mod reset;
mod schedule;
pub mod webhook;

use async_trait::async_trait;
use jiff::Timestamp;
use url::Url;
use vigie_domain::{Action, Platform};

pub use error::PlatformError;
pub use html::to_text as html_to_text;
pub use reset::ResetAt;
pub use schedule::Pace;

/// A comment as a platform gives it, its HTML already turned into plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawComment {
    /// The platform's id, opaque.
    pub native_id: String,
    /// The platform's id of the post at the root of the thread.
    pub post: String,
    /// The platform's id of what it answers: the post, or another comment.
    pub parent: Option<String>,
    /// The author's native id. Personal data: never logged, pseudonymised by the collector.
    pub author_native: Option<String>,
    /// Plain text.
    pub text: String,
    /// Text of the comment it answers; none where it answers the post itself.
    pub parent_text: Option<String>,
    /// Text of the post.
    pub post_text: Option<String>,
    /// Publication, by the platform's clock.
    pub created_at: Timestamp,
    /// Last edit, by the platform's clock.
    pub edited_at: Option<Timestamp>,
    /// Whether the platform says that it is deleted.
    pub deleted: bool,
    /// Public address, always http or https.
    pub permalink: Option<String>,
    /// Language claimed by the platform (BCP 47).
    pub language: Option<String>,
    /// The JSON that it was read from.
    pub raw: Vec<u8>,
}

/// What a source read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Comments, oldest first where the platform gives an order. May hold comments that were given before.
    pub comments: Vec<RawComment>,
    /// Opaque JSON; to be stored after the comments are durable, and given to the next [`Source::poll`].
    pub cursor: Option<String>,
    /// Whether more can be read at once.
    pub more: bool,
}

/// Whether a comment is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// It is, as it stands now: an edit shows in `edited_at` and `text`. The thread around it is not read again, so `parent_text`
    /// and `post_text` are empty, and `post` may name the parent where the platform does not say the root: keep what you know.
    Present(Box<RawComment>),
    /// It is not: asked for twice, while our own account could be read.
    Gone,
    /// It cannot be told: no permission, blocked, or the platform did not answer for it.
    Unknown,
}

/// Reads the comments under one account.
#[async_trait]
pub trait Source: Send {
    /// Reads the next page after `cursor`; none starts from the recent past. An empty page without `more` means: nothing is due.
    ///
    /// # Errors
    /// Transient and permanent ones, see [`PlatformError`]. The cursor given stays good.
    async fn poll(&mut self, cursor: Option<&str>) -> Result<Page, PlatformError>;

    /// Looks whether comments are still there: one answer for each id, in order.
    ///
    /// # Errors
    /// When nothing at all could be learnt; otherwise what could not be learnt is [`Presence::Unknown`].
    async fn presence(&mut self, native_ids: &[String]) -> Result<Vec<Presence>, PlatformError>;

    /// Changes how often things are read.
    fn set_pace(&mut self, pace: Pace);
}

/// What an action is done on.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Subject {
    /// The post at the root of the thread.
    pub post: String,
    /// The comment.
    pub native_id: String,
    /// Its author, where the platform needs one. Personal data.
    pub author_native: Option<String>,
    /// What a report says to the platform's moderators, at most 1,000 characters.
    pub comment: String,
    /// Names the action; goes into a report, so that a repeated one can be recognised.
    pub idempotency_key: String,
}

/// What reading back says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// It holds.
    Holds,
    /// It does not, or not yet.
    Absent,
    /// The platform offers no way to see: its receipt is all there is.
    Unreadable,
}

/// Carries actions out for one account.
#[async_trait]
pub trait Actor: Send + Sync {
    /// Whether the platform knows the action; the same as [`supports`].
    fn supports(&self, action: Action) -> bool;

    /// Carries `action` out. Doing it again does no harm where the platform can be read back. Gives the platform's id of what it
    /// made, where there is one.
    ///
    /// # Errors
    /// See [`PlatformError`]. After a transient one it may have happened all the same: call [`Actor::confirm`] before doing it again.
    async fn act(&self, action: Action, on: &Subject) -> Result<Option<String>, PlatformError>;

    /// Reads back whether `action` holds.
    ///
    /// # Errors
    /// See [`PlatformError`].
    async fn confirm(&self, action: Action, on: &Subject) -> Result<Confirmation, PlatformError>;
}

/// What a connector needs to know of an account.
#[derive(Clone)]
pub struct ConnectorAccount {
    /// Which connector.
    pub platform: Platform,
    /// The server. Mastodon: the instance, always needed. Bluesky: the PDS of an account with a login (default bsky.social), the
    /// `AppView` of one without (default the public one).
    pub base_url: Option<Url>,
    /// `name`, `@name@server`, `name.bsky.social` or a DID.
    pub handle: Option<String>,
    /// Access token, or app password.
    pub token: Option<String>,
    /// Bluesky: handle or address to sign in with; the handle where absent.
    pub login: Option<String>,
    /// Bluesky: the labeler that reports go to; that of the PDS where absent.
    pub labeler_did: Option<String>,
}

impl std::fmt::Debug for ConnectorAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let secret = self.token.as_ref().map(|_| "***");
        f.debug_struct("ConnectorAccount")
            .field("platform", &self.platform)
            .field("handle", &self.handle)
            .field("token", &secret)
            .finish_non_exhaustive()
    }
}

/// The reader of `account`; none where the platform has no reading connector (its comments arrive by webhook or by file).
///
/// # Errors
/// Permanent: what is missing or wrong in the configuration of the account.
pub fn source(account: &ConnectorAccount) -> Result<Option<Box<dyn Source>>, PlatformError> {
    Ok(match account.platform {
        Platform::Mastodon => Some(Box::new(mastodon::Reader::new(account, http::Limits::default())?)),
        Platform::Bluesky => Some(Box::new(bluesky::Reader::new(account, http::Limits::default())?)),
        _ => None,
    })
}

/// The actor of `account`; none where the platform has no acting connector, or the account has no token.
///
/// # Errors
/// Permanent: what is wrong in the configuration of the account.
pub fn actor(account: &ConnectorAccount) -> Result<Option<Box<dyn Actor>>, PlatformError> {
    if account.token.is_none() {
        return Ok(None);
    }
    Ok(match account.platform {
        Platform::Mastodon => Some(Box::new(mastodon::Moderator::new(account, http::Limits::default())?)),
        Platform::Bluesky => Some(Box::new(bluesky::Moderator::new(account, http::Limits::default())?)),
        _ => None,
    })
}

/// Whether this build can carry `action` out on `platform`.
#[must_use]
pub const fn supports(platform: Platform, action: Action) -> bool {
    match platform {
        Platform::Mastodon => matches!(action, Action::Report),
        Platform::Bluesky => matches!(action, Action::Hide | Action::Unhide | Action::Report),
        _ => false,
    }
}
