//! The states of a request and the table of what may follow what. Pure.

use vigie_domain::EnforcementState as State;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// A decision asks for it.
    Request,
    /// The platform accepted it; also where it is repeated because it could not be seen.
    Accept,
    /// It was read back, or its receipt is all that the platform gives.
    Confirm,
    /// The account is in dry-run: it would have been sent.
    Rehearse,
    /// Given up; a person must look.
    Fail,
    /// A person asks to try again.
    Retry,
    /// A newer decision on the comment made it pointless.
    Supersede,
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 7] = [
        Self::Request,
        Self::Accept,
        Self::Confirm,
        Self::Rehearse,
        Self::Fail,
        Self::Retry,
        Self::Supersede,
    ];

    /// The name in messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Accept => "accept",
            Self::Confirm => "confirm",
            Self::Rehearse => "rehearse",
            Self::Fail => "fail",
            Self::Retry => "retry",
            Self::Supersede => "supersede",
        }
    }
}

/// The state after `event`; none where it may not happen. `from` is none before a request exists.
#[must_use]
pub const fn next(from: Option<State>, event: Event) -> Option<State> {
    match (from, event) {
        (None, Event::Request) | (Some(State::Failed), Event::Retry) => Some(State::Requested),
        (Some(State::Requested | State::Sent), Event::Accept) => Some(State::Sent),
        (Some(State::Requested | State::Sent), Event::Confirm) | (Some(State::Requested), Event::Rehearse) => Some(State::Confirmed),
        (Some(State::Requested | State::Sent), Event::Fail) => Some(State::Failed),
        (Some(State::Requested | State::Sent | State::Failed), Event::Supersede) => Some(State::Superseded),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole table, as people read it; what is not in it is refused.
    const TABLE: [(&str, &str, &str); 12] = [
        ("-", "request", "requested"),
        ("requested", "accept", "sent"),
        ("requested", "confirm", "confirmed"),
        ("requested", "rehearse", "confirmed"),
        ("requested", "fail", "failed"),
        ("requested", "supersede", "superseded"),
        ("sent", "accept", "sent"),
        ("sent", "confirm", "confirmed"),
        ("sent", "fail", "failed"),
        ("sent", "supersede", "superseded"),
        ("failed", "retry", "requested"),
        ("failed", "supersede", "superseded"),
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
    fn nothing_follows_by_itself_once_it_is_over() {
        for state in State::ALL.into_iter().filter(|state| state.is_final()) {
            for event in Event::ALL {
                let by_people_only = state == State::Failed && matches!(event, Event::Retry | Event::Supersede);
                assert_eq!(
                    next(Some(state), event).is_some(),
                    by_people_only,
                    "{} on {}",
                    state.as_str(),
                    event.as_str()
                );
            }
        }
    }
}
