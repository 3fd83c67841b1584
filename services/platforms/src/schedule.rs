//! Which posts are read again, and when: young ones often, old ones seldom.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How often things are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The threads of posts up to a day old.
    pub day: Duration,
    /// Up to a week old.
    pub week: Duration,
    /// Up to 30 days old.
    pub month: Duration,
    /// Older ones.
    pub older: Duration,
    /// The list of posts.
    pub posts: Duration,
    /// The notifications, where there is a token.
    pub notifications: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            day: Duration::from_mins(1),
            week: Duration::from_mins(15),
            month: Duration::from_hours(1),
            older: Duration::from_hours(24),
            posts: Duration::from_mins(1),
            notifications: Duration::from_secs(5),
        }
    }
}

impl Pace {
    /// Everything as often as this: for tests.
    #[must_use]
    pub const fn every(interval: Duration) -> Self {
        Self {
            day: interval,
            week: interval,
            month: interval,
            older: interval,
            posts: interval,
            notifications: interval,
        }
    }

    fn of(&self, age: SignedDuration) -> Duration {
        match age.as_hours() {
            ..24 => self.day,
            24..168 => self.week,
            168..720 => self.month,
            _ => self.older,
        }
    }
}

/// Whether something last read at `read_at` is due.
pub(crate) fn is_due(read_at: Option<Timestamp>, every: Duration, now: Timestamp) -> bool {
    read_at.is_none_or(|at| overdue(at, every, now) >= SignedDuration::ZERO)
}

/// How long ago it should have been read. A clock that went backwards makes it due.
fn overdue(at: Timestamp, every: Duration, now: Timestamp) -> SignedDuration {
    let since = now.duration_since(at);
    if since.is_negative() {
        return SignedDuration::ZERO;
    }
    since.saturating_sub(SignedDuration::try_from(every).unwrap_or(SignedDuration::MAX))
}

/// At most this many posts of an account are watched; the oldest go first.
const POSTS_MAX: usize = 200;

/// A post whose thread is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Post {
    pub id: String,
    pub created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<Timestamp>,
    /// Of the thread as it was read: where it is unchanged, no comment is given again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// The posts of an account, newest first. Part of the cursor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Posts(Vec<Post>);

impl Posts {
    /// Adds posts that are not known yet; gives how many there were.
    pub fn merge(&mut self, seen: Vec<(String, Timestamp)>) -> usize {
        let mut added = 0;
        for (id, created_at) in seen {
            if !self.0.iter().any(|post| post.id == id) {
                self.0.push(Post {
                    id,
                    created_at,
                    read_at: None,
                    digest: None,
                });
                added += 1;
            }
        }
        self.0.sort_by_key(|post| std::cmp::Reverse(post.created_at));
        self.0.truncate(POSTS_MAX);
        added
    }

    pub fn is_full(&self) -> bool {
        self.0.len() >= POSTS_MAX
    }

    pub fn contains(&self, id: &str) -> bool {
        self.0.iter().any(|post| post.id == id)
    }

    /// The post that is due, longest first; those never read go before all others, newest first.
    pub fn due(&self, pace: &Pace, later: &Later, now: Timestamp) -> Option<&Post> {
        let mut best: Option<(&Post, SignedDuration)> = None;
        for post in &self.0 {
            let every = pace.of(now.duration_since(post.created_at));
            if !is_due(post.read_at, every, now) || later.holds(&post.id, now) {
                continue;
            }
            let overdue = post.read_at.map_or(SignedDuration::MAX, |at| overdue(at, every, now));
            if best.is_none_or(|(_, most)| overdue > most) {
                best = Some((post, overdue));
            }
        }
        best.map(|(post, _)| post)
    }

    /// Notes that the thread of `id` was read; gives whether it changed.
    pub fn was_read(&mut self, id: &str, at: Timestamp, digest: String) -> bool {
        let Some(post) = self.0.iter_mut().find(|post| post.id == id) else {
            return true;
        };
        post.read_at = Some(at);
        let changed = post.digest.as_ref() != Some(&digest);
        post.digest = Some(digest);
        changed
    }

    pub fn remove(&mut self, id: &str) {
        self.0.retain(|post| post.id != id);
    }
}

/// Posts whose thread could not be read: they wait, so that one of them does not hold up the others. Kept in memory only, because it
/// changes the order of reading and nothing else.
#[derive(Debug, Default)]
pub(crate) struct Later(HashMap<String, (u32, Timestamp)>);

impl Later {
    const WAIT_MAX: SignedDuration = SignedDuration::from_hours(1);

    pub fn failed(&mut self, id: &str, now: Timestamp) {
        let entry = self.0.entry(id.to_owned()).or_insert((0, now));
        entry.0 = (entry.0 + 1).min(10);
        let wait = SignedDuration::from_secs(5 << entry.0).min(Self::WAIT_MAX);
        entry.1 = now.saturating_add(wait).unwrap_or(now);
    }

    pub fn succeeded(&mut self, id: &str) {
        self.0.remove(id);
    }

    fn holds(&self, id: &str, now: Timestamp) -> bool {
        self.0.get(id).is_some_and(|(_, until)| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_470_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(NOW + seconds).expect("in range")
    }

    #[test]
    fn young_posts_are_read_often_and_old_ones_seldom() {
        let check = |age_hours: i64, read_seconds_ago: i64, expected: bool| {
            let mut posts = Posts::default();
            posts.merge(vec![("p".to_owned(), at(-age_hours * 3600))]);
            posts.was_read("p", at(-read_seconds_ago), String::new());
            assert_eq!(
                posts.due(&Pace::default(), &Later::default(), at(0)).is_some(),
                expected,
                "{age_hours} h, read {read_seconds_ago} s ago"
            );
        };
        check(1, 59, false);
        check(1, 60, true);
        check(25, 899, false);
        check(25, 900, true);
        check(24 * 8, 3599, false);
        check(24 * 8, 3600, true);
        check(24 * 31, 86_399, false);
        check(24 * 31, 86_400, true);
        check(-5, 60, true); // dated in the future
        check(1, -30, true); // a clock that went backwards
    }

    #[test]
    fn the_longest_overdue_goes_first_and_a_failing_post_steps_aside() {
        let mut posts = Posts::default();
        assert_eq!(
            posts.merge(vec![
                ("a".to_owned(), at(-100)),
                ("b".to_owned(), at(-200)),
                ("a".to_owned(), at(-100))
            ]),
            2
        );
        let mut later = Later::default();
        let due = |posts: &Posts, later: &Later, now| posts.due(&Pace::default(), later, now).map(|post| post.id.clone());
        assert_eq!(due(&posts, &later, at(0)).as_deref(), Some("a"));
        later.failed("a", at(0));
        assert_eq!(due(&posts, &later, at(0)).as_deref(), Some("b"));
        assert!(posts.was_read("b", at(0), "1".to_owned()));
        assert!(!posts.was_read("b", at(1), "1".to_owned()));
        assert_eq!(due(&posts, &later, at(5)), None);
        assert_eq!(due(&posts, &later, at(11)).as_deref(), Some("a"));
    }

    #[test]
    fn the_oldest_posts_are_let_go() {
        let mut posts = Posts::default();
        posts.merge((0..300).map(|index| (index.to_string(), at(-index))).collect());
        assert!(posts.is_full() && posts.contains("0") && posts.contains("199") && !posts.contains("200"));
    }
}
