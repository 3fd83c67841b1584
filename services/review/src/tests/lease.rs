//! Leases: nobody gets what another has, and what ran out is worth nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use vigie_domain::{InstitutionId, Outcome, Route, Verdict};
use vigie_runtime::units::Interval;
use vigie_web::Scope;

use super::{on_each_engine, person, revision, ruling, verdict};
use crate::queue::QueueError;
use crate::state::State;
use crate::{Config, clock};

fn many(count: usize) -> Vec<Verdict> {
    (0..count)
        .map(|number| verdict(&revision(&format!("c{number}"), "texte", None, 0), Route::Review))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_claimers_never_get_the_same_item() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        // Fewer items than claimers: the last fifty must come away empty, not with somebody else's.
        stand.feed(&many(150)).await?;
        let claims: Vec<_> = (1..=200)
            .map(|id| {
                let queue = stand.queue.clone();
                tokio::spawn(async move { queue.next(&person(id)).await })
            })
            .collect();
        let mut got = Vec::new();
        for claim in claims {
            if let Some(lease) = claim.await?? {
                assert_eq!(lease.fence, 1);
                got.push(lease.item.revision);
            }
        }
        let distinct: BTreeSet<_> = got.iter().collect();
        assert_eq!((got.len(), distinct.len()), (150, 150));
        assert_eq!(stand.number("SELECT COUNT(*) FROM review_items WHERE state = 'leased'").await?, 150);
        assert_eq!(stand.number("SELECT COUNT(DISTINCT lease_user) FROM review_items").await?, 150);
        assert_eq!(stand.number("SELECT COUNT(*) FROM review_audit WHERE event = 'lease'").await?, 150);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_person_keeps_what_they_hold() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        stand.feed(&many(2)).await?;
        let first = stand.take(&person(1)).await?;
        let again = stand.take(&person(1)).await?;
        assert_eq!((&first.item.revision, first.fence), (&again.item.revision, again.fence));
        assert_ne!(stand.take(&person(2)).await?.item.revision, first.item.revision);
        assert!(stand.queue.next(&person(3)).await?.is_none());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_expired_lease_cannot_be_used() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        let comment = revision("c", "texte", None, 0);
        stand.feed(&[verdict(&comment, Route::Review)]).await?;
        let (ann, bob) = (person(1), person(2));
        let lease = stand.take(&ann).await?;
        let id = comment.revision.as_str();
        stand.run("UPDATE review_items SET lease_until = 1").await?;

        let lost = |result: Result<(), QueueError>| matches!(result, Err(QueueError::LeaseLost));
        assert!(
            lost(stand.decide(&ann, &lease, Outcome::Hide).await.map(|_| ())),
            "before the clock came by"
        );
        assert!(
            lost(stand.queue.heartbeat(&ann, id, lease.fence).await),
            "what ended does not come back to life"
        );
        assert!(lost(stand.queue.skip(&ann, id, lease.fence, "doubt").await));
        clock::expire(&stand.queue).await?;
        assert_eq!(stand.state(&comment).await?, Some(State::Queued));
        assert!(
            lost(stand.decide(&ann, &lease, Outcome::Hide).await.map(|_| ())),
            "while it waits again"
        );

        let second = stand.take(&bob).await?;
        assert!(second.fence > lease.fence);
        assert!(
            lost(stand.decide(&ann, &lease, Outcome::Hide).await.map(|_| ())),
            "while another holds it"
        );
        assert!(
            lost(stand.queue.decide(&ann, id, second.fence, ruling(Outcome::Hide)).await.map(|_| ())),
            "nor by a guessed number"
        );
        stand.queue.skip(&bob, id, second.fence, "doubt").await?;
        let third = stand.take(&ann).await?;
        assert!(
            lost(stand.decide(&ann, &lease, Outcome::Hide).await.map(|_| ())),
            "an old page of the same person"
        );
        stand.decide(&ann, &third, Outcome::Keep).await?;
        assert!(matches!(
            stand.decide(&bob, &second, Outcome::Hide).await,
            Err(QueueError::AlreadyDecided)
        ));
        assert_eq!(stand.number("SELECT COUNT(*) FROM review_decisions").await?, 1);
        let expected = ["arrive", "lease", "expire", "lease", "skip", "lease", "decide"];
        assert_eq!(stand.trail(&comment).await?, expected);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_heartbeat_keeps_a_lease_but_not_for_ever() -> anyhow::Result<()> {
    let config = Config {
        lease: Interval::seconds(60),
        lease_longest: Interval::seconds(90),
        ..Config::default()
    };
    on_each_engine(config, |mut stand| async move {
        let comment = revision("c", "texte", None, 0);
        stand.feed(&[verdict(&comment, Route::Review)]).await?;
        let ann = person(1);
        let lease = stand.take(&ann).await?;
        let id = comment.revision.as_str();
        stand
            .run("UPDATE review_items SET lease_until = lease_until - 50000, leased_at = leased_at - 50000")
            .await?;
        stand.queue.heartbeat(&ann, id, lease.fence).await?;
        let item = stand.item(&comment).await?.expect("it is there");
        // 90 seconds after the lease began, fifty of which are over, not sixty from now.
        let left = Duration::from_millis(u64::try_from(item.lease_until - crate::queue::now())?);
        assert!(left > Duration::from_secs(30) && left <= Duration::from_secs(40), "{left:?}");
        assert!(stand.queue.heartbeat(&person(2), id, lease.fence).await.is_err());
        assert!(stand.queue.heartbeat(&ann, id, lease.fence + 1).await.is_err());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_skipped_goes_to_somebody_else_at_once() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        stand.feed(&many(1)).await?;
        let (ann, bob) = (person(1), person(2));
        let lease = stand.take(&ann).await?;
        stand
            .queue
            .skip(&ann, lease.item.revision.as_str(), lease.fence, "language")
            .await?;
        assert!(stand.queue.next(&ann).await?.is_none(), "not to the same person again");
        let waiting = stand.queue.waiting(&ann).await?;
        assert_eq!((waiting.waiting, waiting.skipped, waiting.for_me()), (1, 1, 0));
        let other = stand.take(&bob).await?;
        stand.queue.skip(&bob, other.item.revision.as_str(), other.fence, "hard").await?;
        stand.queue.resume(&ann).await?;
        assert_eq!(stand.take(&ann).await?.fence, 3);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn urgent_goes_first_then_priority_then_age() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        let ranked = |native: &str, escalate: bool, priority: u8| {
            let mut verdict = verdict(&revision(native, "texte", None, 0), Route::Review);
            (verdict.escalate, verdict.priority) = (escalate, priority);
            verdict
        };
        let batch = [
            ranked("low", false, 5),
            ranked("high", false, 90),
            ranked("urgent", true, 50),
            ranked("middle", false, 50),
        ];
        stand.feed(&batch).await?;
        let mut order = Vec::new();
        for id in 1..=4 {
            order.push(stand.take(&person(id)).await?.item.verdict.comment.native_id.to_string());
        }
        assert_eq!(order, ["urgent", "high", "middle", "low"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn nobody_sees_or_decides_outside_their_institutions() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        stand.feed(&many(1)).await?;
        let some = |ids: &[&str]| Scope::Institutions(ids.iter().map(|id| institution(id)).collect());
        let mut ann = person(1);
        for scope in [some(&[]), some(&["ailleurs"])] {
            ann.institutions = scope;
            assert!(stand.queue.next(&ann).await?.is_none());
            assert_eq!(stand.queue.waiting(&ann).await?.waiting, 0);
        }
        ann.institutions = some(&["ailleurs", "musee-test"]);
        let lease = stand.take(&ann).await?;
        // Their rights change while they hold it.
        ann.institutions = some(&["ailleurs"]);
        assert!(stand.queue.next(&ann).await?.is_none());
        assert!(matches!(stand.decide(&ann, &lease, Outcome::Keep).await, Err(QueueError::Unknown)));
        ann.institutions = Scope::All;
        let decision = stand.decide(&ann, &lease, Outcome::Keep).await?;
        ann.institutions = some(&["ailleurs"]);
        assert!(matches!(stand.queue.undo(&ann, decision.as_str()).await, Err(QueueError::Unknown)));
        Ok(())
    })
    .await
}

fn institution(id: &str) -> InstitutionId {
    InstitutionId::new(id).expect("a constant id")
}
