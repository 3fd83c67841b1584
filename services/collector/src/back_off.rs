//! How long to wait after a failure: what the platform asks for, else twice as long each time, with full jitter.

use std::time::Duration;

use jiff::Timestamp;
use rand::Rng as _;

const FIRST: Duration = Duration::from_secs(1);

/// Failures in a row.
pub struct BackOff {
    attempts: u32,
    max: Duration,
}

impl BackOff {
    /// None yet.
    #[must_use]
    pub const fn new(max: Duration) -> Self {
        Self { attempts: 0, max }
    }

    /// It worked.
    pub const fn reset(&mut self) {
        self.attempts = 0;
    }

    /// Failures in a row so far.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The next wait: at random up to 1 s, 2 s, 4 s … up to the longest.
    pub fn next(&mut self) -> Duration {
        let ceiling = FIRST.saturating_mul(2_u32.saturating_pow(self.attempts.min(20))).min(self.max);
        self.attempts = self.attempts.saturating_add(1);
        // Never at once: a server in trouble is not helped by it.
        let floor = (ceiling / 10).max(Duration::from_millis(1));
        rand::rng().random_range(floor..=ceiling.max(floor))
    }

    /// Until the moment that the platform names, and a little at random after it; the next wait where it names none.
    pub fn until(&mut self, at: Option<Timestamp>, now: Timestamp) -> Duration {
        let Some(at) = at else { return self.next() };
        self.attempts = self.attempts.saturating_add(1);
        let left = Duration::try_from(at.duration_since(now)).unwrap_or_default();
        left + Duration::from_millis(rand::rng().random_range(10..500))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_are_never_nothing() {
        let mut back_off = BackOff::new(Duration::from_secs(300));
        for attempt in 0..40_u32 {
            let wait = back_off.next();
            let ceiling = Duration::from_secs(1 << attempt.min(9)).min(Duration::from_secs(300));
            assert!(wait <= ceiling && wait >= ceiling / 10, "{attempt}: {wait:?}");
        }
        back_off.reset();
        assert!(back_off.next() <= FIRST);
    }

    #[test]
    fn the_platform_is_believed_first() {
        let now = Timestamp::from_second(1_795_470_000).expect("in range");
        let mut back_off = BackOff::new(Duration::from_secs(300));
        let wait = back_off.until(now.checked_add(jiff::SignedDuration::from_secs(900)).ok(), now);
        assert!((Duration::from_secs(900)..Duration::from_secs(901)).contains(&wait), "{wait:?}");
        assert!(back_off.until(Some(Timestamp::MIN), now) < Duration::from_secs(1), "over already");
        assert!(back_off.until(None, now) <= Duration::from_secs(4));
    }
}
