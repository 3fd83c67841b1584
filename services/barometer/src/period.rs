//! A period of whole days in Europe/Paris, first and last day included. Pure.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _, Unit};
use serde::{Deserialize, Serialize};
use vigie_web::words::paris;

use crate::estimate::disclosure::Days;

/// A period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Period {
    from: Date,
    to: Date,
}

/// Why there is no such period.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// Not a day.
    #[error("`{0}` is not a day; write YYYY-MM-DD, such as 2026-11-01")]
    Day(String),
    /// It ends before it starts.
    #[error("the period ends on {to}, before it starts on {from}")]
    Backwards {
        /// First day.
        from: Date,
        /// Last day.
        to: Date,
    },
    /// Longer than [`DAYS_MAX`].
    #[error("the period has {0} days, {DAYS_MAX} is the most")]
    TooLong(i64),
}

/// The longest period: a leap year.
pub const DAYS_MAX: i64 = 366;

impl Period {
    /// From the first to the last day, both included.
    ///
    /// # Errors
    /// It ends before it starts, or is longer than [`DAYS_MAX`].
    pub fn new(from: Date, to: Date) -> Result<Self, PeriodError> {
        if to < from {
            return Err(PeriodError::Backwards { from, to });
        }
        let days = day_number(to) - day_number(from) + 1;
        if days > DAYS_MAX {
            return Err(PeriodError::TooLong(days));
        }
        Ok(Self { from, to })
    }

    /// From two days as YYYY-MM-DD.
    ///
    /// # Errors
    /// As [`Period::new`], or one of them is no day.
    pub fn parse(from: &str, to: &str) -> Result<Self, PeriodError> {
        let day = |text: &str| {
            text.trim()
                .parse::<Date>()
                .map_err(|_| PeriodError::Day(text.chars().take(40).collect()))
        };
        Self::new(day(from)?, day(to)?)
    }

    /// First day.
    #[must_use]
    pub const fn from(self) -> Date {
        self.from
    }

    /// Last day.
    #[must_use]
    pub const fn to(self) -> Date {
        self.to
    }

    /// The instants: from midnight of the first day to midnight after the last, that one excluded.
    #[must_use]
    pub fn instants(self) -> (Timestamp, Timestamp) {
        (midnight(day_number(self.from)), midnight(day_number(self.to) + 1))
    }

    /// Day numbers, the end excluded.
    #[must_use]
    pub fn days(self) -> Days {
        (day_number(self.from), day_number(self.to) + 1)
    }

    /// Whether the last day is not over at `now`.
    #[must_use]
    pub fn is_unfinished(self, now: Timestamp) -> bool {
        now < self.instants().1
    }

    /// `2026-11-01_2026-11-30`: the name of its folder and its address.
    #[must_use]
    pub fn name(self) -> String {
        format!("{}_{}", self.from, self.to)
    }
}

/// Days since 1970-01-01.
#[must_use]
pub fn day_number(date: Date) -> i64 {
    date.since((Unit::Day, Date::constant(1970, 1, 1)))
        .map_or(0, |span| i64::from(span.get_days()))
}

/// The instant at which day number `day` begins in Paris.
#[must_use]
pub fn midnight(day: i64) -> Timestamp {
    Date::constant(1970, 1, 1)
        .checked_add(day.days())
        .and_then(|date| date.to_zoned(paris()))
        .map_or(Timestamp::MAX, |zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_paris() -> Result<(), PeriodError> {
        let (start, end) = Period::parse("2026-10-01", "2026-10-31")?.instants();
        assert_eq!(
            (start.to_string(), end.to_string()),
            ("2026-09-30T22:00:00Z".to_owned(), "2026-10-31T23:00:00Z".to_owned())
        );
        let one = Period::parse("2026-10-25", "2026-10-25")?;
        assert_eq!(
            one.instants().1.as_second() - one.instants().0.as_second(),
            25 * 3600,
            "the day on which the clock goes back"
        );
        assert_eq!(one.days().1 - one.days().0, 1);
        Ok(())
    }

    #[test]
    fn refuses_what_is_no_period() {
        assert!(matches!(Period::parse("2026-11-31", "2026-12-01"), Err(PeriodError::Day(_))));
        assert!(matches!(
            Period::parse("2026-11-02", "2026-11-01"),
            Err(PeriodError::Backwards { .. })
        ));
        assert_eq!(Period::parse("2025-01-01", "2026-11-01"), Err(PeriodError::TooLong(670)));
    }
}
