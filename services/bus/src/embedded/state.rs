//! What the embedded bus knows in memory: how far each topic and each group is, who is active, and who waits for a change.
//!
//! It only ever says what is durable already: the writer updates it after its transaction.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use vigie_domain::Topic;

/// Cheap to clone; all clones are one state.
#[derive(Clone)]
pub(super) struct State {
    inner: Arc<Mutex<Inner>>,
    changes: watch::Sender<u64>,
}

/// As the log has it when it is opened.
#[derive(Default)]
pub(super) struct Loaded {
    /// First and next offset per topic.
    pub(super) topics: BTreeMap<Topic, Span>,
    /// Group, topic, committed offset and time without members.
    pub(super) groups: Vec<(String, Topic, i64, Duration)>,
}

/// The offsets that a topic holds: from `first`, below `next`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: i64,
    pub(super) next: i64,
}

/// A group that is too far behind.
pub(super) struct Behind {
    pub(super) name: String,
    pub(super) records: u64,
    pub(super) advanced: Instant,
}

struct Inner {
    topics: BTreeMap<Topic, Span>,
    groups: BTreeMap<(String, Topic), Group>,
    members_ever: u64,
}

struct Group {
    committed: i64,
    /// Whether `committed` is in the log; else the group is forgotten with its last member.
    durable: bool,
    members: u32,
    active: Option<u64>,
    advanced: Instant,
    unattended: Duration,
}

impl State {
    pub(super) fn new(loaded: Loaded) -> Self {
        let group = |(name, topic, committed, unattended)| {
            let group = Group {
                committed,
                durable: true,
                members: 0,
                active: None,
                advanced: Instant::now(),
                unattended,
            };
            ((name, topic), group)
        };
        let inner = Inner {
            topics: loaded.topics,
            groups: loaded.groups.into_iter().map(group).collect(),
            members_ever: 0,
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
            changes: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self) {
        self.changes.send_modify(|version| *version = version.wrapping_add(1));
    }

    /// Changes after each append, commit and departure.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(super) fn span(&self, topic: Topic) -> Span {
        self.lock().span(topic)
    }

    /// Adds a member to a group and returns its number.
    pub(super) fn join(&self, name: &str, topics: &[Topic]) -> u64 {
        let mut inner = self.lock();
        inner.members_ever += 1;
        for topic in topics {
            let first = inner.span(*topic).first;
            let group = inner.groups.entry((name.to_owned(), *topic)).or_insert_with(|| Group {
                committed: first,
                durable: false,
                members: 0,
                active: None,
                advanced: Instant::now(),
                unattended: Duration::ZERO,
            });
            group.members += 1;
        }
        inner.members_ever
    }

    /// Makes `member` the active one where there is none, and returns the committed offset it starts at.
    pub(super) fn activate(&self, name: &str, topic: Topic, member: u64) -> Option<i64> {
        let mut inner = self.lock();
        let group = inner.groups.get_mut(&(name.to_owned(), topic))?;
        if group.active.is_some() {
            return None;
        }
        group.active = Some(member);
        group.advanced = Instant::now();
        Some(group.committed)
    }

    /// Removes a member; another may become active.
    pub(super) fn leave(&self, name: &str, topics: &[Topic], member: u64) {
        let mut inner = self.lock();
        for topic in topics {
            let place = (name.to_owned(), *topic);
            let Some(group) = inner.groups.get_mut(&place) else { continue };
            group.members = group.members.saturating_sub(1);
            if group.active == Some(member) {
                group.active = None;
            }
            if group.members == 0 && !group.durable {
                inner.groups.remove(&place);
            }
        }
        drop(inner);
        self.announce();
    }

    /// After a transaction: where topics end and what groups committed.
    pub(super) fn written(&self, nexts: &[(Topic, i64)], commits: &[(String, Topic, i64)]) {
        let mut inner = self.lock();
        for (topic, next) in nexts {
            inner.topics.entry(*topic).or_default().next = *next;
        }
        for (name, topic, offset) in commits {
            let Some(group) = inner.groups.get_mut(&(name.clone(), *topic)) else {
                // Its last member left while the commit was on its way.
                let group = Group {
                    committed: *offset,
                    durable: true,
                    members: 0,
                    active: None,
                    advanced: Instant::now(),
                    unattended: Duration::ZERO,
                };
                inner.groups.insert((name.clone(), *topic), group);
                continue;
            };
            group.durable = true;
            if *offset > group.committed {
                group.committed = *offset;
                group.advanced = Instant::now();
            }
        }
        drop(inner);
        self.announce();
    }

    /// After the retention dropped records.
    pub(super) fn dropped(&self, topic: Topic, first: i64) {
        self.lock().topics.entry(topic).or_default().first = first;
    }

    pub(super) fn lag(&self, name: &str, topic: Topic) -> u64 {
        let inner = self.lock();
        let span = inner.span(topic);
        let committed = inner
            .groups
            .get(&(name.to_owned(), topic))
            .map_or(span.first, |group| group.committed);
        records_between(committed.max(span.first), span.next)
    }

    /// The groups with members that are at least `records_max` behind on `topic`.
    pub(super) fn behind(&self, topic: Topic, records_max: u64) -> Vec<Behind> {
        let inner = self.lock();
        let span = inner.span(topic);
        let mut behind = Vec::new();
        for ((name, group_topic), group) in &inner.groups {
            let records = records_between(group.committed.max(span.first), span.next);
            if *group_topic == topic && group.members > 0 && records >= records_max.max(1) {
                behind.push(Behind {
                    name: name.clone(),
                    records,
                    advanced: group.advanced,
                });
            }
        }
        behind
    }

    /// The offset below which every group has committed; none where the topic has no group.
    pub(super) fn floor(&self, topic: Topic) -> Option<i64> {
        let inner = self.lock();
        let groups = inner.groups.iter().filter(|((_, group_topic), _)| *group_topic == topic);
        groups.map(|(_, group)| group.committed).min()
    }

    /// Counts `elapsed` for groups without members, and returns every durable group with its time without members.
    pub(super) fn count_unattended(&self, elapsed: Duration) -> Vec<(String, Topic, Duration)> {
        let mut inner = self.lock();
        let mut groups = Vec::new();
        for ((name, topic), group) in &mut inner.groups {
            let counted = if group.members > 0 {
                Duration::ZERO
            } else {
                group.unattended + elapsed
            };
            if group.durable && (counted != group.unattended) {
                groups.push((name.clone(), *topic, counted));
            }
            group.unattended = counted;
        }
        groups
    }

    /// Forgets a group that still has no members; false when one came back.
    pub(super) fn forget(&self, name: &str, topic: Topic) -> bool {
        let mut inner = self.lock();
        let place = (name.to_owned(), topic);
        if inner.groups.get(&place).is_some_and(|group| group.members > 0) {
            return false;
        }
        inner.groups.remove(&place);
        true
    }
}

impl Inner {
    fn span(&self, topic: Topic) -> Span {
        self.topics.get(&topic).copied().unwrap_or_default()
    }
}

fn records_between(from: i64, to: i64) -> u64 {
    u64::try_from(to - from).unwrap_or(0)
}
