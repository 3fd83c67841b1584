//! The topics of the bus.

/// A topic. Its full name is the configured prefix and [`Topic::name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// What was collected: [`crate::Comment`].
    Comments,
    /// What the classifier says: [`crate::Verdict`].
    Verdicts,
    /// What was decided: [`crate::Decision`].
    Decisions,
    /// What was asked of the platforms: [`crate::Enforcement`].
    Enforcements,
    /// What could not be processed: [`crate::DeadLetter`].
    DeadLetters,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 5] = [
        Self::Comments,
        Self::Verdicts,
        Self::Decisions,
        Self::Enforcements,
        Self::DeadLetters,
    ];

    /// The name without prefix.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Comments => "comments",
            Self::Verdicts => "verdicts",
            Self::Decisions => "decisions",
            Self::Enforcements => "enforcements",
            Self::DeadLetters => "dead-letters",
        }
    }
}

impl std::fmt::Display for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Topic {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|topic| topic.name() == name)
            .ok_or_else(|| format!("unknown topic `{name}`"))
    }
}
