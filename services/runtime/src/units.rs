//! Durations and sizes as people write them: `"10s"`, `"5 min"`, `"24 h"`, `"30 d"`, `"5 MiB"`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A duration, written as a whole number and a unit: ms, s, min, h, d.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Interval(pub Duration);

/// A size in bytes, written as a whole number and a unit: B, KiB, MiB, GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size(pub u64);

/// Text that is no quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {kind}; write a whole number and a unit, such as {example}")]
pub struct QuantityError {
    text: String,
    kind: &'static str,
    example: &'static str,
}

const DURATIONS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)];
const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let trimmed = text.trim();
    let split = trimmed.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = trimmed.split_at(split);
    let factor = units.iter().find(|(name, _)| *name == unit.trim())?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

fn print(value: u64, units: &[(&str, u64)]) -> String {
    let (name, factor) = units
        .iter()
        .find(|(_, factor)| value >= *factor && value.is_multiple_of(*factor))
        .unwrap_or(&units[units.len() - 1]);
    format!("{} {name}", value / factor)
}

impl TryFrom<String> for Interval {
    type Error = QuantityError;
    fn try_from(text: String) -> Result<Self, QuantityError> {
        parse(&text, &DURATIONS)
            .map(|ms| Self(Duration::from_millis(ms)))
            .ok_or(QuantityError {
                text,
                kind: "duration",
                example: "\"10s\", \"5 min\" or \"24 h\"",
            })
    }
}

impl From<Interval> for String {
    fn from(interval: Interval) -> Self {
        print(u64::try_from(interval.0.as_millis()).unwrap_or(u64::MAX), &DURATIONS)
    }
}

impl TryFrom<String> for Size {
    type Error = QuantityError;
    fn try_from(text: String) -> Result<Self, QuantityError> {
        parse(&text, &SIZES).map(Self).ok_or(QuantityError {
            text,
            kind: "size",
            example: "\"5 MiB\"",
        })
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        print(size.0, &SIZES)
    }
}

impl Interval {
    /// A number of seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// A number of milliseconds.
    #[must_use]
    pub const fn milliseconds(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }
}

impl Size {
    /// A number of mebibytes.
    #[must_use]
    pub const fn mebibytes(mebibytes: u64) -> Self {
        Self(mebibytes << 20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints() {
        for (text, ms, printed) in [
            ("10s", 10_000, "10 s"),
            ("5 min", 300_000, "5 min"),
            ("24h", 86_400_000, "1 d"),
            ("250 ms", 250, "250 ms"),
        ] {
            let interval = Interval::try_from(text.to_owned());
            assert_eq!(interval, Ok(Interval(Duration::from_millis(ms))));
            assert_eq!(interval.map(String::from).as_deref(), Ok(printed));
        }
        assert_eq!(Size::try_from("5 MiB".to_owned()), Ok(Size(5 << 20)));
        for wrong in ["10", "s", "-1 s", "1.5 h", "10 parsecs", ""] {
            assert!(Interval::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
