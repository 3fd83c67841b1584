//! A process that starts reads nothing before all of it stands.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use vigie_bus::Delivery;
use vigie_domain::Topic;
use vigie_runtime::testing::{self, sample_comment};
use vigie_runtime::{Handler, Rejected, Runtime, consume, publish, record};

struct Count(Arc<AtomicUsize>, Runtime);

#[async_trait]
impl Handler for Count {
    async fn handle(&mut self, batch: &[Delivery]) -> anyhow::Result<Vec<Rejected>> {
        self.0.fetch_add(batch.len(), Ordering::SeqCst);
        self.1.stop.cancel();
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn nothing_is_read_while_the_process_starts() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let seen = Arc::new(AtomicUsize::new(0));
    let runtime = testing::runtime(dir.path()).await?;
    publish(&runtime, Topic::Comments, vec![record(&sample_comment("Bonjour"))]).await?;
    runtime.hold();
    let held = tokio::spawn({
        let (runtime, handler) = (runtime.clone(), Count(Arc::clone(&seen), runtime.clone()));
        async move { consume(&runtime, "classifier", &[Topic::Comments], 10, handler).await }
    });
    while runtime.health.waiting().is_empty() {
        tokio::task::yield_now().await;
    }
    runtime.stop.cancel();
    held.await??;
    assert_eq!(seen.load(Ordering::SeqCst), 0, "a record was read before the start was over");
    runtime.bus.close().await?;
    drop(runtime);

    let runtime = testing::runtime(dir.path()).await?;
    runtime.hold();
    let reader = tokio::spawn({
        let (runtime, handler) = (runtime.clone(), Count(Arc::clone(&seen), runtime.clone()));
        async move { consume(&runtime, "classifier", &[Topic::Comments], 10, handler).await }
    });
    runtime.release();
    reader.await??;
    assert_eq!(seen.load(Ordering::SeqCst), 1);
    Ok(())
}
