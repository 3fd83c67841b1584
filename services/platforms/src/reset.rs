//! When a rate limit ends: every platform says it in a form of its own.

use jiff::{SignedDuration, Timestamp};
use reqwest::header::HeaderMap;

/// Nobody is believed who asks for more than this: a wrong header must not silence an account for years.
const WAIT_MAX: SignedDuration = SignedDuration::from_hours(24);

/// A moment at which requests are welcome again, in the forms that platforms use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResetAt(pub Timestamp);

impl ResetAt {
    /// Reads a header's value: seconds or milliseconds since the epoch, ISO 8601, an HTTP date, or seconds left from `now`.
    /// At least `now`, at most a day later; none where it is neither form.
    #[must_use]
    pub fn parse(value: &str, now: Timestamp) -> Option<Self> {
        let value = value.trim();
        let at = match value.parse::<f64>() {
            Ok(number) if !number.is_finite() || number < 0.0 => return None,
            Ok(number) => from_number(number, now)?,
            Err(_) => value.parse::<Timestamp>().ok().or_else(|| http_date(value))?,
        };
        Some(Self(at.clamp(now, now.saturating_add(WAIT_MAX).ok()?)))
    }

    /// What the headers of an answer say: `Retry-After` first, then the reset headers of the platforms.
    #[must_use]
    pub fn of(headers: &HeaderMap, now: Timestamp) -> Option<Self> {
        ["retry-after", "x-ratelimit-reset", "ratelimit-reset", "x-rate-limit-reset"]
            .iter()
            .filter_map(|name| headers.get(*name)?.to_str().ok())
            .find_map(|value| Self::parse(value, now))
    }
}

/// An HTTP date, such as `Mon, 23 Nov 2026 23:19:04 GMT`.
pub(crate) fn http_date(value: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(value).ok().map(|zoned| zoned.timestamp())
}

fn from_number(number: f64, now: Timestamp) -> Option<Timestamp> {
    const EPOCH_SECONDS_MIN: f64 = 1e9;
    const EPOCH_MILLISECONDS_MIN: f64 = 1e12;
    #[expect(clippy::cast_possible_truncation, reason = "saturates, and is clamped to a day by the caller")]
    if number >= EPOCH_MILLISECONDS_MIN {
        Timestamp::from_millisecond(number as i64).ok()
    } else if number >= EPOCH_SECONDS_MIN {
        Timestamp::from_second(number.ceil() as i64).ok()
    } else {
        now.checked_add(SignedDuration::from_millis((number * 1000.0).ceil() as i64)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn check(value: &str, expected: Option<i64>) {
        let now = Timestamp::from_second(1_795_475_940).expect("in range");
        let seconds = ResetAt::parse(value, now).map(|reset| reset.0.as_second() - now.as_second());
        assert_eq!(seconds, expected, "{value}");
    }

    #[test]
    fn reads_every_form() {
        check("1795476000", Some(60)); // epoch: X, AT, mastodon_mock
        check("1795476000123", Some(60)); // milliseconds
        check("2026-11-23T23:20:00.000Z", Some(60)); // Mastodon, GoToSocial
        check("2026-11-24T00:20:00+01:00", Some(60));
        check("Mon, 23 Nov 2026 23:20:00 GMT", Some(60)); // Retry-After as a date
        check(" 7 ", Some(7)); // Retry-After in seconds
        check("0.5", Some(0));
        check("1795475000", Some(0)); // over already
        check("9795475000", Some(86_400)); // nobody is believed for years
        check("2999-01-01T00:00:00Z", Some(86_400));
        for nonsense in ["", "soon", "-5", "NaN", "inf", "2026-13-45"] {
            check(nonsense, None);
        }
    }

    #[test]
    fn retry_after_goes_before_the_window() {
        let now = Timestamp::from_second(1_795_475_940).expect("in range");
        let mut headers = HeaderMap::new();
        assert_eq!(ResetAt::of(&headers, now), None);
        headers.insert("x-ratelimit-reset", HeaderValue::from_static("1795476000"));
        assert_eq!(ResetAt::of(&headers, now).map(|reset| reset.0.as_second()), Some(1_795_476_000));
        headers.insert("retry-after", HeaderValue::from_static("5"));
        assert_eq!(ResetAt::of(&headers, now).map(|reset| reset.0.as_second()), Some(1_795_475_945));
    }
}
