//! The states of a queue item and the table of what may follow what. Pure.

/// Where an item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Waits for a person.
    Queued,
    /// Somebody looks at it.
    Leased,
    /// Decided: kept, hidden or deleted.
    Decided,
    /// Decided: a threat report.
    Escalated,
    /// Edited or deleted upstream before anybody decided.
    Withdrawn,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Queued, Self::Leased, Self::Decided, Self::Escalated, Self::Withdrawn];

    /// The name in the database and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Leased => "leased",
            Self::Decided => "decided",
            Self::Escalated => "escalated",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl std::str::FromStr for State {
    type Err = anyhow::Error;
    fn from_str(name: &str) -> anyhow::Result<Self> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == name)
            .ok_or_else(|| anyhow::anyhow!("unknown state `{name}` of a queue item"))
    }
}

/// What happens to an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// A verdict asks for a person.
    Arrive,
    /// The policy hides without a person.
    Automatic,
    /// An automatic decision was drawn for a blind look.
    Check,
    /// Handed to somebody.
    Lease,
    /// Nobody renewed the lease in time.
    Expire,
    /// Given back with a reason.
    Skip,
    /// Kept, hidden or deleted.
    Decide,
    /// Made a threat report.
    Escalate,
    /// The decision was taken back.
    Undo,
    /// Edited or deleted upstream.
    Withdraw,
    /// The author went back to this revision.
    Return,
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 11] = [
        Self::Arrive,
        Self::Automatic,
        Self::Check,
        Self::Lease,
        Self::Expire,
        Self::Skip,
        Self::Decide,
        Self::Escalate,
        Self::Undo,
        Self::Withdraw,
        Self::Return,
    ];

    /// The name in the audit trail.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Arrive => "arrive",
            Self::Automatic => "automatic",
            Self::Check => "check",
            Self::Lease => "lease",
            Self::Expire => "expire",
            Self::Skip => "skip",
            Self::Decide => "decide",
            Self::Escalate => "escalate",
            Self::Undo => "undo",
            Self::Withdraw => "withdraw",
            Self::Return => "return",
        }
    }
}

/// The state after `event`; none where it may not happen. `from` is none before an item exists.
#[must_use]
pub const fn next(from: Option<State>, event: Event) -> Option<State> {
    match (from, event) {
        (None, Event::Arrive)
        | (Some(State::Decided), Event::Check)
        | (Some(State::Leased), Event::Expire | Event::Skip)
        | (Some(State::Decided | State::Escalated), Event::Undo)
        | (Some(State::Withdrawn), Event::Return) => Some(State::Queued),
        (None, Event::Automatic) | (Some(State::Leased), Event::Decide) => Some(State::Decided),
        (Some(State::Queued), Event::Lease) => Some(State::Leased),
        (Some(State::Leased), Event::Escalate) => Some(State::Escalated),
        (Some(State::Queued | State::Leased), Event::Withdraw) => Some(State::Withdrawn),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole table, as people read it; what is not in it is refused.
    const TABLE: [(&str, &str, &str); 13] = [
        ("-", "arrive", "queued"),
        ("-", "automatic", "decided"),
        ("queued", "lease", "leased"),
        ("queued", "withdraw", "withdrawn"),
        ("leased", "expire", "queued"),
        ("leased", "skip", "queued"),
        ("leased", "decide", "decided"),
        ("leased", "escalate", "escalated"),
        ("leased", "withdraw", "withdrawn"),
        ("decided", "check", "queued"),
        ("decided", "undo", "queued"),
        ("escalated", "undo", "queued"),
        ("withdrawn", "return", "queued"),
    ];

    #[test]
    fn the_table_is_complete() {
        for from in [None].into_iter().chain(State::ALL.map(Some)) {
            for event in Event::ALL {
                let name = from.map_or("-", State::as_str);
                let expected = TABLE
                    .iter()
                    .find(|(state, on, _)| *state == name && *on == event.as_str())
                    .map(|(_, _, to)| *to);
                assert_eq!(next(from, event).map(State::as_str), expected, "{name} on {}", event.as_str());
            }
        }
    }

    #[test]
    fn only_a_leased_item_is_decided_and_a_decision_is_never_withdrawn() {
        for state in State::ALL {
            assert_eq!(next(Some(state), Event::Decide).is_some(), state == State::Leased);
            assert!(next(Some(state), Event::Arrive).is_none(), "one item per revision");
        }
        assert!(next(Some(State::Escalated), Event::Withdraw).is_none(), "evidence stays");
    }
}
