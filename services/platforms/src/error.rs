//! Why a platform could not be read or acted on. No variant ever holds a token, a text of a comment or a person's name.

use jiff::Timestamp;

/// Why a platform could not be read or acted on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// Too many requests. Transient: wait until the time given, or back off.
    #[error("the platform asks to wait{}", until.map(|at| format!(" until {at}")).unwrap_or_default())]
    Throttled {
        /// When to try again, by our clock.
        until: Option<Timestamp>,
    },
    /// May work later: back off and try again.
    #[error("{0}")]
    Transient(String),
    /// The token or password is refused: pause the account and tell people.
    #[error("{0}")]
    Unauthorized(String),
    /// What was asked for is not there (any more).
    #[error("not there (any more)")]
    Gone,
    /// Will never work as it is.
    #[error("{0}")]
    Permanent(String),
    /// The answer makes no sense: not JSON, fields missing, too large. May be a passing fault of a server in between.
    #[error("{0}")]
    Malformed(String),
}

impl PlatformError {
    /// Whether trying the same again later can help, without anybody changing anything.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Throttled { .. } | Self::Transient(_) | Self::Malformed(_))
    }
}
