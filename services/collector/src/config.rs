//! The section `[collector]`.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vigie_platforms::Pace;
use vigie_runtime::units::{Interval, Size};

/// `[collector]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long an account rests when nothing is due; what is due when, `[collector.pace]` says.
    pub rest: Interval,
    /// After an error without a time to wait given by the platform: the longest wait, reached by doubling from 1 s.
    pub back_off_max: Interval,
    /// An account whose token is refused, or that cannot be read at all, is paused; it is tried again this often.
    pub paused_retry: Interval,
    /// What was collected is remembered this long after it was last seen to change, so that it is recognised when it comes again.
    pub remember: Interval,
    /// `[collector.pace]`
    pub pace: PaceConfig,
    /// `[collector.presence]`
    pub presence: PresenceConfig,
    /// `[collector.webhook]`
    pub webhook: WebhookConfig,
    /// `[collector.replay]`
    pub replay: ReplayConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rest: Interval::seconds(2),
            back_off_max: Interval::seconds(300),
            paused_retry: Interval::seconds(3600),
            remember: Interval::seconds(400 * 86_400),
            pace: PaceConfig::default(),
            presence: PresenceConfig::default(),
            webhook: WebhookConfig::default(),
            replay: ReplayConfig::default(),
        }
    }
}

/// `[collector.pace]`: how often the platforms are asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PaceConfig {
    /// The threads of posts up to a day old.
    pub day: Interval,
    /// Up to a week old.
    pub week: Interval,
    /// Up to 30 days old.
    pub month: Interval,
    /// Older ones.
    pub older: Interval,
    /// The list of posts.
    pub posts: Interval,
    /// The notifications, where there is a token.
    pub notifications: Interval,
}

impl Default for PaceConfig {
    fn default() -> Self {
        let pace = Pace::default();
        Self {
            day: Interval(pace.day),
            week: Interval(pace.week),
            month: Interval(pace.month),
            older: Interval(pace.older),
            posts: Interval(pace.posts),
            notifications: Interval(pace.notifications),
        }
    }
}

impl PaceConfig {
    /// As the connectors want it.
    #[must_use]
    pub const fn pace(&self) -> Pace {
        Pace {
            day: self.day.0,
            week: self.week.0,
            month: self.month.0,
            older: self.older.0,
            posts: self.posts.0,
            notifications: self.notifications.0,
        }
    }
}

/// `[collector.presence]`: known comments are looked at again, for edits and deletions that no page shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PresenceConfig {
    /// Between two looks of one account.
    pub every: Interval,
    /// Comments at one look; 0 turns the looks off.
    pub batch_comments_max: u32,
    /// Between two looks at one comment that is up to a day old.
    pub day: Interval,
    /// Up to a week old.
    pub week: Interval,
    /// Up to 30 days old; older ones are left alone.
    pub month: Interval,
}

impl Default for PresenceConfig {
    fn default() -> Self {
        Self {
            every: Interval::seconds(60),
            batch_comments_max: 20,
            day: Interval::seconds(1800),
            week: Interval::seconds(6 * 3600),
            month: Interval::seconds(2 * 86_400),
        }
    }
}

impl PresenceConfig {
    /// How long after a look at a comment of this age the next one is due; none: never again.
    #[must_use]
    pub fn next_in(&self, age: jiff::SignedDuration) -> Option<Duration> {
        match age.as_hours() {
            ..24 => Some(self.day.0),
            24..168 => Some(self.week.0),
            168..720 => Some(self.month.0),
            _ => None,
        }
    }
}

/// `[collector.webhook]`: `POST /webhooks/generic/{account}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookConfig {
    /// The largest body.
    pub body_max: Size,
    /// Comments in one request.
    pub comments_max: u32,
    /// Requests handled at once; further ones are answered 503.
    pub requests_max: u32,
    /// Both for the body to arrive and for the bus to accept; after that the answer is 408 or 503.
    pub timeout: Interval,
}

impl Default for WebhookConfig {
    fn default() -> Self {
        Self {
            body_max: Size::mebibytes(8),
            comments_max: 1000,
            requests_max: 16,
            timeout: Interval::seconds(10),
        }
    }
}

/// `[collector.replay]`: a JSONL file fed as if its comments arrived now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReplayConfig {
    /// The file, in the form of `vigie import`; absent: no replay.
    pub file: Option<PathBuf>,
    /// The account that the comments come in under.
    pub account: String,
    /// Between two comments.
    pub interval: Interval,
    /// Where set: the whole file is spread evenly over this time, whatever `interval` says.
    pub spread: Option<Interval>,
    /// At the end: begin again, as other comments.
    #[serde(rename = "loop")]
    pub loops: bool,
}

impl Default for ReplayConfig {
    fn default() -> Self {
        Self {
            file: None,
            account: "demo".to_owned(),
            interval: Interval::seconds(2),
            spread: None,
            loops: false,
        }
    }
}

impl Config {
    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// Names the key and what it may hold.
    pub fn validate(&self) -> anyhow::Result<()> {
        anyhow::ensure!(!self.rest.0.is_zero(), "[collector] rest must be longer than 0 s");
        anyhow::ensure!(
            self.presence.batch_comments_max <= 100,
            "[collector.presence] batch_comments_max is {}, it must be in 0..100",
            self.presence.batch_comments_max
        );
        anyhow::ensure!(
            (1 << 10..=64 << 20).contains(&self.webhook.body_max.0),
            "[collector.webhook] body_max must be in 1 KiB..64 MiB"
        );
        anyhow::ensure!(
            (1..=10_000).contains(&self.webhook.comments_max),
            "[collector.webhook] comments_max is {}, it must be in 1..10000",
            self.webhook.comments_max
        );
        anyhow::ensure!(
            (1..=1024).contains(&self.webhook.requests_max),
            "[collector.webhook] requests_max is {}, it must be in 1..1024",
            self.webhook.requests_max
        );
        Ok(())
    }
}
