//! What is on the topics, read as any other consumer group would.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use vigie_bus::{Bus, Delivery};
use vigie_domain::{Topic, WireRecord, decode};

/// The embedded bus of a data directory that no process uses.
///
/// # Errors
/// It cannot be opened.
pub async fn embedded(data: &Path) -> anyhow::Result<Arc<dyn Bus>> {
    let bus = vigie_bus::embedded::EmbeddedBus::open(&data.join("bus.db"), vigie_bus::embedded::EmbeddedOptions::default()).await?;
    Ok(bus)
}

/// Every delivery on `topic`, in order per key.
///
/// # Errors
/// The bus fails.
pub async fn deliveries(bus: &dyn Bus, topic: Topic) -> anyhow::Result<Vec<Delivery>> {
    let group = format!("check-{}", hex::encode(rand::random::<[u8; 6]>()));
    let mut consumer = bus.subscribe(&group, &[topic]).await?;
    let mut all = Vec::new();
    let mut quiet = 0;
    // A Kafka group needs a moment to be assigned its partitions: one empty answer is not the end.
    while quiet < 3 {
        let batch = consumer.receive(1000, Duration::from_secs(2)).await?;
        if batch.is_empty() {
            quiet += 1;
        } else {
            quiet = 0;
            all.extend(batch);
            consumer.commit().await?;
        }
    }
    Ok(all)
}

/// Every record of a topic by its record id, with the number of times it is there.
///
/// # Errors
/// The bus fails, or a record cannot be read.
pub async fn by_id<T: WireRecord>(bus: &dyn Bus, topic: Topic) -> anyhow::Result<BTreeMap<String, (T, usize)>> {
    let mut records = BTreeMap::new();
    for delivery in deliveries(bus, topic).await? {
        let record: T = decode(&delivery.record.payload)?;
        records.entry(record.record_id().to_string()).or_insert((record, 0)).1 += 1;
    }
    Ok(records)
}
