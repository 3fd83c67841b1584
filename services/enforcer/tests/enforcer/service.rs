//! The service on the bus, what it counts, and what it keeps.

use vigie_domain::{Action, Decision, Outcome, Topic};
use vigie_runtime::{Handler as _, Runtime, publish, record};

use crate::support::{
    self, AUTHOR, EVERYTHING, Fake, On, SOON, TEXT, decide, deliver, fast, finish, open, plenty, published, states, verdict,
};

#[tokio::test]
async fn the_service_acts_on_what_the_bus_brings_and_stops_when_asked() -> anyhow::Result<()> {
    for on in On::both() {
        let dir = tempfile::tempdir()?;
        let fake = Fake::new(&EVERYTHING);
        let runtime = on.runtime(dir.path(), false).await?;
        let started = vigie_enforcer::start_with(plenty(), runtime.clone(), fake.actors(), fast()).await?;
        let decisions: Vec<Decision> = (0..20)
            .map(|number| decide(&verdict(&runtime, &format!("c{number}"), 0), 0, Outcome::Hide, None))
            .collect();
        for _ in 0..2 {
            publish(&runtime, Topic::Decisions, decisions.iter().map(record).collect()).await?;
        }
        let all_confirmed = async {
            loop {
                let all = published(&runtime).await?;
                if decisions
                    .iter()
                    .all(|decision| states(&all, decision, Action::Hide) == ["requested", "sent", "confirmed"])
                {
                    return anyhow::Ok(());
                }
            }
        };
        tokio::time::timeout(SOON, all_confirmed).await??;
        assert_eq!((fake.acts(), fake.world().hidden.len()), (20, 20), "{on:?}");
        check_metrics(&runtime)?;
        runtime.stop.cancel();
        for task in started.tasks {
            task.await??;
        }
    }
    Ok(())
}

fn check_metrics(runtime: &Runtime) -> anyhow::Result<()> {
    let text = prometheus::TextEncoder::new().encode_to_string(&runtime.registry.gather())?;
    for expected in [
        "vigie_enforcer_actions_total{platform=\"generic\",state=\"confirmed\"} 20",
        "vigie_enforcer_actions_total{platform=\"generic\",state=\"failed\"} 0",
        "vigie_enforcer_queue_items{state=\"requested\"}",
        "vigie_enforcer_oldest_pending_seconds",
        "vigie_enforcer_quota_left{endpoint=\"hide\",platform=\"generic\"}",
        "vigie_enforcer_paused_accounts 0",
        "vigie_enforcer_outbox_unsent",
    ] {
        assert!(text.contains(expected), "{expected} is missing from\n{text}");
    }
    Ok(())
}

#[tokio::test]
async fn no_table_holds_the_text_and_the_author_leaves_the_seal_only_to_act() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let fake = Fake::new(&EVERYTHING);
    let mut runtime = On::Sqlite.runtime(dir.path(), false).await?;
    let enforcer = open(&mut runtime, plenty(), &fake).await?;
    let done = decide(&verdict(&runtime, "c1", 0), 0, Outcome::Escalate, None);
    deliver(&enforcer, &[&done]).await?;
    finish(&enforcer, SOON).await?;
    let mut spoilt = verdict(&runtime, "c2", 0);
    spoilt.comment.author_sealed = Some(vigie_runtime::Keys::from_bytes([9; 32], [9; 32], [9; 32]).seal(AUTHOR.as_bytes()));
    let spoilt = decide(&spoilt, 0, Outcome::Hide, None);
    deliver(&enforcer, &[&spoilt]).await?;
    finish(&enforcer, SOON).await?;
    assert_eq!(fake.world().authors.iter().flatten().collect::<Vec<_>>(), [AUTHOR]);
    enforcer.publish_unsent(&runtime).await?;
    let all = published(&runtime).await?;
    assert_eq!(states(&all, &spoilt, Action::Hide), ["requested", "failed"]);
    for name in ["enforcer.db", "enforcer.db-wal"] {
        let bytes = std::fs::read(dir.path().join(name))?;
        for secret in [TEXT, AUTHOR] {
            assert!(
                !bytes.windows(secret.len()).any(|window| window == secret.as_bytes()),
                "{name} holds {secret}"
            );
        }
    }
    let on_topic = serde_json::to_string(&all.values().flatten().collect::<Vec<_>>())?;
    assert!(!on_topic.contains(TEXT) && !on_topic.contains(AUTHOR));
    Ok(())
}

#[tokio::test]
async fn a_poison_record_is_rejected_and_the_rest_flows_on() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let fake = Fake::new(&EVERYTHING);
    let mut runtime = On::Sqlite.runtime(dir.path(), false).await?;
    let enforcer = open(&mut runtime, plenty(), &fake).await?;
    let good = decide(&verdict(&runtime, "c1", 0), 0, Outcome::Hide, None);
    let mut poison = support::delivery(&good);
    poison.record.payload = format!("{{\"schema\":\"decision/1\",\"id\":\"{TEXT}\"}}").into_bytes();
    let rejected = enforcer.intake().handle(&[poison, support::delivery(&good)]).await?;
    assert_eq!(rejected.iter().map(|rejected| rejected.index).collect::<Vec<_>>(), [0]);
    assert!(!rejected[0].error.contains(TEXT), "{}", rejected[0].error);
    finish(&enforcer, SOON).await?;
    assert!(fake.world().hidden.contains("c1"));
    Ok(())
}
