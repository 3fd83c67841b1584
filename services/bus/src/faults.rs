//! A decorator that makes any bus fail as buses do, from a seed: for tests that prove the retries of a service.
//!
//! Delivery: as the bus within, but transient failures come before and after the effect (after part of it, for a batch),
//! deliveries repeat from an earlier record on, a commit is lost although it was acknowledged, and every call may be slow. All of
//! it is what at-least-once allows; a consumer that loses a record here has a defect. The same seed and the same order of calls
//! give the same faults.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use vigie_domain::Topic;

use crate::{Bus, BusError, Consumer, Delivery, Lag, Record};

/// How often what fails; probabilities per call, in 0..=1.
#[derive(Debug, Clone, PartialEq)]
pub struct Faults {
    /// Where the randomness starts.
    pub seed: u64,
    /// A transient failure without effect.
    pub fail_before: f64,
    /// A transient failure after the effect; after a prefix of it, for a published batch.
    pub fail_after: f64,
    /// A commit that is acknowledged and has no effect.
    pub commit_lost: f64,
    /// A received batch comes again, from one of its records on.
    pub duplicate: f64,
    /// A call that waits before it does anything.
    pub delay: f64,
    /// The longest such wait.
    pub delay_max: Duration,
}

impl Default for Faults {
    /// One call in ten fails before, one after; one commit in ten is lost, one batch in five repeats, one call in ten is slow.
    fn default() -> Self {
        Self {
            seed: 0,
            fail_before: 0.1,
            fail_after: 0.1,
            commit_lost: 0.1,
            duplicate: 0.2,
            delay: 0.1,
            delay_max: Duration::from_millis(5),
        }
    }
}

/// How often each fault happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Injected {
    /// Failures without effect.
    pub failed_before: u64,
    /// Failures after the effect.
    pub failed_after: u64,
    /// Commits lost.
    pub commits_lost: u64,
    /// Batches repeated.
    pub duplicated: u64,
    /// Calls delayed.
    pub delayed: u64,
}

/// A bus that fails.
pub struct FaultyBus {
    inner: Arc<dyn Bus>,
    dice: Dice,
}

struct FaultyConsumer {
    inner: Box<dyn Consumer>,
    dice: Dice,
    repeated: VecDeque<Delivery>,
}

#[derive(Clone)]
struct Dice {
    faults: Arc<Faults>,
    state: Arc<Mutex<(StdRng, Injected)>>,
}

impl FaultyBus {
    /// Wraps `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Bus>, faults: Faults) -> Arc<Self> {
        let random = StdRng::seed_from_u64(faults.seed);
        let dice = Dice {
            faults: Arc::new(faults),
            state: Arc::new(Mutex::new((random, Injected::default()))),
        };
        Arc::new(Self { inner, dice })
    }

    /// What happened so far: a test that saw no fault proved nothing.
    #[must_use]
    pub fn injected(&self) -> Injected {
        self.dice.with(|_, injected| *injected)
    }
}

impl Dice {
    fn with<T>(&self, act: impl FnOnce(&mut StdRng, &mut Injected) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (random, injected) = &mut *state;
        act(random, injected)
    }

    fn happens(&self, probability: f64, count: impl FnOnce(&mut Injected)) -> bool {
        self.with(|random, injected| {
            let happens = random.random_bool(probability.clamp(0.0, 1.0));
            if happens {
                count(injected);
            }
            happens
        })
    }

    fn below(&self, end: usize) -> usize {
        self.with(|random, _| random.random_range(0..end.max(1)))
    }

    /// What may happen before any effect.
    async fn before(&self, doing: &str) -> Result<(), BusError> {
        if self.happens(self.faults.delay, |injected| injected.delayed += 1) {
            let share = self.with(|random, _| random.random::<f64>());
            tokio::time::sleep(self.faults.delay_max.mul_f64(share)).await;
        }
        if self.happens(self.faults.fail_before, |injected| injected.failed_before += 1) {
            return Err(BusError::Transient(format!("injected before {doing}")));
        }
        Ok(())
    }

    fn fails_after(&self) -> bool {
        self.happens(self.faults.fail_after, |injected| injected.failed_after += 1)
    }

    fn after(&self, doing: &str) -> Result<(), BusError> {
        if self.fails_after() {
            return Err(BusError::Transient(format!("injected after {doing}")));
        }
        Ok(())
    }
}

#[async_trait]
impl Bus for FaultyBus {
    async fn publish(&self, topic: Topic, mut batch: Vec<Record>) -> Result<(), BusError> {
        self.dice.before("publishing").await?;
        if self.dice.fails_after() {
            let durable = self.dice.below(batch.len() + 1);
            batch.truncate(durable);
            self.inner.publish(topic, batch).await?;
            return Err(BusError::Transient("injected after publishing a part".to_owned()));
        }
        self.inner.publish(topic, batch).await
    }

    async fn subscribe(&self, group: &str, topics: &[Topic]) -> Result<Box<dyn Consumer>, BusError> {
        self.dice.before("subscribing").await?;
        let inner = self.inner.subscribe(group, topics).await?;
        Ok(Box::new(FaultyConsumer {
            inner,
            dice: self.dice.clone(),
            repeated: VecDeque::new(),
        }))
    }

    async fn lag(&self, group: &str, topics: &[Topic]) -> Result<Vec<Lag>, BusError> {
        self.dice.before("asking for the lag").await?;
        self.inner.lag(group, topics).await
    }

    async fn ping(&self) -> Result<(), BusError> {
        self.dice.before("asking for an answer").await?;
        self.inner.ping().await
    }

    async fn close(&self) -> Result<(), BusError> {
        self.inner.close().await
    }
}

#[async_trait]
impl Consumer for FaultyConsumer {
    async fn receive(&mut self, records_max: usize, wait: Duration) -> Result<Vec<Delivery>, BusError> {
        self.dice.before("receiving").await?;
        let batch = if self.repeated.is_empty() {
            let batch = self.inner.receive(records_max, wait).await?;
            let repeats = !batch.is_empty() && self.dice.happens(self.dice.faults.duplicate, |injected| injected.duplicated += 1);
            if repeats {
                let from = self.dice.below(batch.len());
                self.repeated.extend(batch[from..].iter().cloned());
            }
            batch
        } else {
            let count = self.repeated.len().min(records_max);
            self.repeated.drain(..count).collect()
        };
        self.dice.after("receiving")?;
        Ok(batch)
    }

    async fn commit(&mut self) -> Result<(), BusError> {
        self.dice.before("committing").await?;
        if self
            .dice
            .happens(self.dice.faults.commit_lost, |injected| injected.commits_lost += 1)
        {
            return Ok(());
        }
        self.inner.commit().await?;
        self.dice.after("committing")
    }
}
