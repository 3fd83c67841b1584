//! The consumer: verdicts and decisions into the tables of the barometer.
//!
//! Delivery: at least once in, counted once (see [`crate::store`]).

use async_trait::async_trait;
use vigie_bus::Delivery;
use vigie_domain::{Topic, WireError, decode};
use vigie_runtime::{Handler, Rejected};

use crate::store::{Fact, Store};

/// Records of one batch.
pub const BATCH_RECORDS_MAX: usize = 256;

/// What the barometer reads.
pub const TOPICS: [Topic; 2] = [Topic::Verdicts, Topic::Decisions];

/// Counts what is delivered.
pub struct Counter {
    store: Store,
}

impl Counter {
    /// Counts into `store`.
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self { store }
    }
}

fn fact(delivery: &Delivery) -> Result<Option<Fact>, WireError> {
    Ok(match delivery.topic {
        Topic::Verdicts => Some(Fact::Verdict(Box::new(decode(&delivery.record.payload)?))),
        Topic::Decisions => Some(Fact::Decision(Box::new(decode(&delivery.record.payload)?))),
        Topic::Comments | Topic::Enforcements | Topic::DeadLetters => None,
    })
}

#[async_trait]
impl Handler for Counter {
    async fn handle(&mut self, batch: &[Delivery]) -> anyhow::Result<Vec<Rejected>> {
        let mut facts = Vec::with_capacity(batch.len());
        let mut rejected = Vec::new();
        for (index, delivery) in batch.iter().enumerate() {
            match fact(delivery) {
                Ok(fact) => facts.extend(fact),
                Err(error) => rejected.push(Rejected {
                    index,
                    error: error.to_string(),
                }),
            }
        }
        self.store.apply(&facts).await?;
        Ok(rejected)
    }
}
