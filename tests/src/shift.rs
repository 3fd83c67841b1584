//! A moderator who goes on working while processes die and come back.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use vigie_domain::Outcome;

use crate::moderator::{Answer, Moderator};

/// Somebody at work.
pub struct Shift {
    address: watch::Sender<Option<SocketAddr>>,
    done: Arc<Mutex<BTreeSet<String>>>,
    task: JoinHandle<()>,
}

impl Shift {
    /// Begins to decide whatever comes, at the address last given.
    #[must_use]
    pub fn begin(person: Moderator) -> Self {
        let (address, seen) = watch::channel(None);
        let done = Arc::new(Mutex::new(BTreeSet::new()));
        let task = tokio::spawn(work(person, seen, Arc::clone(&done)));
        Self { address, done, task }
    }

    /// Where the pages are now; none while they are nowhere.
    pub fn move_to(&self, address: Option<SocketAddr>) {
        self.address.send_replace(address);
    }

    /// Ends the shift. Gives the ids of the decisions that were acknowledged.
    pub fn end(self) -> BTreeSet<String> {
        self.task.abort();
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.clone()
    }

    /// How many decisions were acknowledged so far.
    #[must_use]
    pub fn decisions(&self) -> usize {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

async fn work(person: Moderator, mut seen: watch::Receiver<Option<SocketAddr>>, done: Arc<Mutex<BTreeSet<String>>>) {
    let mut count = 0_usize;
    loop {
        let Some(address) = *seen.borrow_and_update() else {
            if seen.changed().await.is_err() {
                return;
            }
            continue;
        };
        match one(&person.at(address), count).await {
            Ok(Some(id)) => {
                done.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
                count += 1;
            }
            // Nothing waits, a refusal, or the process just died: a person would look again in a moment.
            Ok(None) | Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn one(person: &Moderator, count: usize) -> anyhow::Result<Option<String>> {
    let Some(hand) = person.next().await? else { return Ok(None) };
    let outcome = match count % 5 {
        0 => Outcome::Hide,
        3 => Outcome::Escalate,
        _ => Outcome::Keep,
    };
    match person.decide(&hand, outcome).await? {
        Answer::Done(id) => Ok(Some(id)),
        Answer::Refused(_) => Ok(None),
    }
}
