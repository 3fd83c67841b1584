//! From a decision to the topic: nothing is lost where the process or the bus fails in between, and what comes twice is the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use vigie_bus::{Bus, BusError, Consumer, Delivery, Lag, Record};
use vigie_domain::{Decision, Outcome, Route, Topic, decode};

use super::{Stand, on_each_engine, person, revision, verdict};
use crate::{Config, outbox};

/// A bus that takes batches and then loses its answer, `losses` times.
struct Forgetful {
    inner: Arc<dyn Bus>,
    losses: AtomicU32,
}

#[async_trait]
impl Bus for Forgetful {
    async fn publish(&self, topic: Topic, batch: Vec<Record>) -> Result<(), BusError> {
        self.inner.publish(topic, batch).await?;
        let lost = self
            .losses
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_ok();
        if lost {
            Err(BusError::Transient("the answer was lost".to_owned()))
        } else {
            Ok(())
        }
    }

    async fn subscribe(&self, group: &str, topics: &[Topic]) -> Result<Box<dyn Consumer>, BusError> {
        self.inner.subscribe(group, topics).await
    }

    async fn lag(&self, group: &str, topics: &[Topic]) -> Result<Vec<Lag>, BusError> {
        self.inner.lag(group, topics).await
    }

    async fn ping(&self) -> Result<(), BusError> {
        self.inner.ping().await
    }

    async fn close(&self) -> Result<(), BusError> {
        self.inner.close().await
    }
}

/// Everything in `decisions`, in order.
async fn published(stand: &Stand) -> anyhow::Result<Vec<Delivery>> {
    let group = format!("look-{}", hex::encode(rand::random::<[u8; 4]>()));
    let mut consumer = stand.runtime.bus.subscribe(&group, &[Topic::Decisions]).await?;
    let mut all = Vec::new();
    loop {
        let some = consumer.receive(100, Duration::from_millis(300)).await?;
        if some.is_empty() {
            return Ok(all);
        }
        all.extend(some);
    }
}

/// Decides on `count` comments without a relay: what a process leaves behind that is killed right after.
async fn decide_some(stand: &mut Stand, count: usize) -> anyhow::Result<()> {
    let verdicts: Vec<_> = (0..count)
        .map(|number| verdict(&revision(&format!("c{number}"), "texte", None, 0), Route::Review))
        .collect();
    stand.feed(&verdicts).await?;
    let ann = person(1);
    while let Some(lease) = stand.queue.next(&ann).await? {
        stand.decide(&ann, &lease, Outcome::Hide).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_crash_between_decision_and_relay_loses_nothing() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        decide_some(&mut stand, 3).await?;
        assert_eq!(published(&stand).await?.len(), 0);
        assert_eq!(stand.number("SELECT COUNT(*) FROM review_outbox WHERE sent_at = 0").await?, 3);
        // The next process.
        outbox::send_unsent(&stand.runtime, &stand.queue.database).await?;
        let first = published(&stand).await?;
        assert_eq!(first.len(), 3);
        assert_eq!(stand.number("SELECT COUNT(*) FROM review_outbox WHERE sent_at = 0").await?, 0);
        outbox::send_unsent(&stand.runtime, &stand.queue.database).await?;
        assert_eq!(published(&stand).await?.len(), 3, "what is sent is not sent again");

        // Killed after the publication, before the mark: the same records again, under the same ids.
        stand.run("UPDATE review_outbox SET sent_at = 0").await?;
        outbox::send_unsent(&stand.runtime, &stand.queue.database).await?;
        let all = published(&stand).await?;
        assert_eq!(all.len(), 6);
        let mut by_id: BTreeMap<&str, Vec<&[u8]>> = BTreeMap::new();
        for delivery in &all {
            by_id.entry(&delivery.record.id).or_default().push(&delivery.record.payload);
        }
        assert!(by_id.len() == 3 && by_id.values().all(|copies| copies.len() == 2 && copies[0] == copies[1]));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_bus_that_loses_its_answers_gets_the_decisions_again() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        decide_some(&mut stand, 2).await?;
        let forgetful = Forgetful {
            inner: Arc::clone(&stand.runtime.bus),
            losses: AtomicU32::new(2),
        };
        stand.runtime.bus = Arc::new(forgetful);
        outbox::send_unsent(&stand.runtime, &stand.queue.database).await?;
        let all = published(&stand).await?;
        assert_eq!(all.len(), 6, "two lost answers, then a good one");
        assert_eq!(stand.number("SELECT COUNT(*) FROM review_outbox WHERE sent_at > 0").await?, 2);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_undo_after_the_relay_is_published_after_what_it_undoes() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        let comment = revision("c", "texte", None, 0);
        stand.feed(&[verdict(&comment, Route::Review)]).await?;
        let ann = person(1);
        let lease = stand.take(&ann).await?;
        let hidden = stand.decide(&ann, &lease, Outcome::Hide).await?;
        outbox::send_unsent(&stand.runtime, &stand.queue.database).await?;
        stand.queue.undo(&ann, hidden.as_str()).await?;
        let again = stand.take(&ann).await?;
        stand.decide(&ann, &again, Outcome::Delete).await?;
        outbox::send_unsent(&stand.runtime, &stand.queue.database).await?;
        let mut decisions = Vec::new();
        for delivery in published(&stand).await? {
            assert_eq!(delivery.record.key, comment.id.as_str());
            decisions.push(decode::<Decision>(&delivery.record.payload)?);
        }
        let steps: Vec<_> = decisions
            .iter()
            .map(|decision| (decision.sequence, decision.outcome, decision.undoes.clone()))
            .collect();
        assert_eq!(
            steps,
            [
                (0, Outcome::Hide, None),
                (1, Outcome::Keep, Some(hidden)),
                (2, Outcome::Delete, None)
            ]
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_was_sent_long_ago_is_forgotten_and_what_was_not_is_kept() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        decide_some(&mut stand, 2).await?;
        stand
            .run("UPDATE review_outbox SET sent_at = 1 WHERE decision = (SELECT MIN(decision) FROM review_outbox)")
            .await?;
        outbox::forget_sent(&stand.queue.database).await?;
        assert_eq!(stand.number("SELECT COUNT(*) FROM review_outbox WHERE sent_at = 0").await?, 1);
        assert_eq!(stand.number("SELECT COUNT(*) FROM review_outbox").await?, 1);
        assert!(stand.queue.decisions(&person(1), 10).await?.iter().filter(|past| past.sent).count() == 1);
        Ok(())
    })
    .await
}
