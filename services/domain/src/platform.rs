//! The social platforms, as a closed list: metric labels and connectors are named by it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A social platform. `Generic` is whatever arrives by file or by the signed webhook without a connector of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Platform {
    Facebook,
    Instagram,
    Threads,
    Youtube,
    X,
    Tiktok,
    Linkedin,
    Mastodon,
    Bluesky,
    Telegram,
    Wordpress,
    Discourse,
    Rss,
    Generic,
}

impl Platform {
    /// Every platform, in the order of their declaration.
    pub const ALL: [Self; 14] = [
        Self::Facebook,
        Self::Instagram,
        Self::Threads,
        Self::Youtube,
        Self::X,
        Self::Tiktok,
        Self::Linkedin,
        Self::Mastodon,
        Self::Bluesky,
        Self::Telegram,
        Self::Wordpress,
        Self::Discourse,
        Self::Rss,
        Self::Generic,
    ];

    /// The name used in records, metrics and configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Facebook => "facebook",
            Self::Instagram => "instagram",
            Self::Threads => "threads",
            Self::Youtube => "youtube",
            Self::X => "x",
            Self::Tiktok => "tiktok",
            Self::Linkedin => "linkedin",
            Self::Mastodon => "mastodon",
            Self::Bluesky => "bluesky",
            Self::Telegram => "telegram",
            Self::Wordpress => "wordpress",
            Self::Discourse => "discourse",
            Self::Rss => "rss",
            Self::Generic => "generic",
        }
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is no platform's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown platform `{0}`; known: facebook, instagram, threads, youtube, x, tiktok, linkedin, mastodon, bluesky, telegram, wordpress, discourse, rss, generic"
)]
pub struct UnknownPlatform(pub String);

impl std::str::FromStr for Platform {
    type Err = UnknownPlatform;
    fn from_str(text: &str) -> Result<Self, UnknownPlatform> {
        let lower = text.trim().to_lowercase();
        Self::ALL
            .into_iter()
            .find(|platform| platform.as_str() == lower)
            .ok_or_else(|| UnknownPlatform(text.chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_in_text_and_json() {
        for platform in Platform::ALL {
            assert_eq!(platform.as_str().parse(), Ok(platform));
            assert_eq!(serde_json::to_value(platform).ok(), Some(platform.as_str().into()));
        }
        assert!("minitel".parse::<Platform>().is_err());
    }
}
