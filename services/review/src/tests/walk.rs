//! Random walks: whatever people, clock and platforms do in whatever order, the tables tell a possible story.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use sqlx::Row as _;
use vigie_domain::{Outcome, Route};

use super::{Stand, drawn, judged_by, on_each_engine, person, revision, ruling, tombstone, verdict};
use crate::queue::{Lease, QueueError};
use crate::state::{Event, State, next};
use crate::{Config, clock};

const STEPS: usize = 150;
const PEOPLE: i64 = 3;
const COMMENTS: usize = 6;

#[derive(Debug, Clone, Copy)]
enum Step {
    Arrive,
    Claim,
    Decide,
    Skip,
    Undo,
    Expire,
    Heartbeat,
}

const STEPS_ALL: [Step; 8] = [
    Step::Arrive,
    Step::Arrive,
    Step::Claim,
    Step::Claim,
    Step::Decide,
    Step::Skip,
    Step::Undo,
    Step::Expire,
];

async fn act(stand: &mut Stand, random: &mut StdRng, pages: &mut Vec<(i64, Lease)>, step_number: i64) -> anyhow::Result<()> {
    let who = random.random_range(1..=PEOPLE);
    let step = if random.random_bool(0.05) {
        Step::Heartbeat
    } else {
        *STEPS_ALL.choose(random).unwrap_or(&Step::Arrive)
    };
    // Any page that was ever open is used again at times, also one of somebody else: most such attempts must fail.
    let page = pages.choose(random).cloned();
    let refused = |result: Result<(), QueueError>| match result {
        Err(QueueError::Other(error)) => Err(error),
        _ => Ok(()),
    };
    match (step, page) {
        (Step::Arrive, _) => arrive(stand, random, step_number).await?,
        (Step::Claim, _) => {
            if let Some(lease) = stand.queue.next(&person(who)).await? {
                pages.push((who, lease));
            }
        }
        (Step::Decide, Some((whose, lease))) => {
            let by = if random.random_bool(0.9) { whose } else { who };
            let outcome = *Outcome::ALL.choose(random).unwrap_or(&Outcome::Keep);
            refused(
                stand
                    .queue
                    .decide(&person(by), lease.item.revision.as_str(), lease.fence, ruling(outcome))
                    .await
                    .map(|_| ()),
            )?;
        }
        (Step::Skip, Some((whose, lease))) => {
            refused(
                stand
                    .queue
                    .skip(&person(whose), lease.item.revision.as_str(), lease.fence, "doubt")
                    .await,
            )?;
            stand.queue.resume(&person(whose)).await?;
        }
        (Step::Heartbeat, Some((whose, lease))) => {
            refused(
                stand
                    .queue
                    .heartbeat(&person(whose), lease.item.revision.as_str(), lease.fence)
                    .await,
            )?;
        }
        (Step::Undo, _) => {
            let past = stand.queue.decisions(&person(who), 5).await?;
            if let Some(past) = past.choose(random) {
                refused(stand.queue.undo(&person(who), past.decision.id.as_str()).await)?;
            }
        }
        (Step::Expire, _) => {
            if random.random_bool(0.5) {
                stand.run("UPDATE review_items SET lease_until = 1 WHERE state = 'leased'").await?;
            }
            clock::expire(&stand.queue).await?;
        }
        (_, None) => {}
    }
    Ok(())
}

async fn arrive(stand: &mut Stand, random: &mut StdRng, step: i64) -> anyhow::Result<()> {
    let number = random.random_range(0..COMMENTS);
    let native = format!("c{number}");
    // Mostly in the order of time, now and then late.
    let at = (step + random.random_range(-15..=5)).max(1);
    let comment = if random.random_bool(0.05) {
        tombstone(&native, at)
    } else if number % 2 == 0 {
        // A platform that gives no time of edits, and an author who goes back and forth.
        revision(&native, if random.random_bool(0.5) { "un" } else { "deux" }, None, at)
    } else {
        revision(&native, &format!("texte {}", at / 20), Some(at / 20), at)
    };
    let route = *Route::ALL.choose(random).unwrap_or(&Route::Review);
    let mut one = if random.random_bool(0.3) {
        judged_by(&comment, route, "newer")
    } else {
        verdict(&comment, route)
    };
    one.escalate = random.random_bool(0.2);
    if random.random_bool(0.3) {
        one = drawn(one);
    }
    stand.feed(&[one.clone()]).await?;
    if random.random_bool(0.3) {
        stand.feed(&[one]).await?;
    }
    Ok(())
}

/// What must hold at every moment.
async fn check(stand: &Stand) -> anyhow::Result<()> {
    let pool = stand.queue.database.pool();
    // Every audit row is a transition of the table, follows the row before it, and the last one is where the item stands.
    let rows = sqlx::query("SELECT revision, step, event, from_state, to_state, fence FROM review_audit ORDER BY revision, step")
        .fetch_all(pool)
        .await?;
    let mut last: Option<(String, i64, String, i64)> = None;
    for row in &rows {
        let revision: String = row.try_get("revision")?;
        let (step, fence): (i64, i64) = (row.try_get("step")?, row.try_get("fence")?);
        let (event, from, to): (String, String, String) = (row.try_get("event")?, row.try_get("from_state")?, row.try_get("to_state")?);
        let known = Event::ALL
            .into_iter()
            .find(|known| known.as_str() == event)
            .ok_or_else(|| anyhow::anyhow!("event {event}"))?;
        let from_state = if from.is_empty() { None } else { Some(from.parse::<State>()?) };
        assert_eq!(next(from_state, known).map(State::as_str), Some(to.as_str()), "{from} on {event}");
        match &last {
            Some((before, number, state, fence_before)) if *before == revision => {
                assert_eq!((step, from.as_str()), (number + 1, state.as_str()), "a gap in the trail");
                assert!(fence >= *fence_before, "fencing numbers never fall");
            }
            _ => assert_eq!((step, from.as_str()), (0, ""), "a trail begins at the beginning"),
        }
        last = Some((revision, step, to, fence));
    }
    for (what, sql, expected) in [
        (
            "items that stand elsewhere than their trail says",
            "SELECT COUNT(*) FROM review_items i WHERE NOT EXISTS
                (SELECT 1 FROM review_audit a WHERE a.revision = i.revision AND a.step = i.steps - 1 AND a.to_state = i.state)",
            0,
        ),
        (
            "comments with two open revisions",
            "SELECT COUNT(*) FROM (SELECT comment FROM review_items WHERE state IN ('queued', 'leased') GROUP BY comment HAVING COUNT(*) > 1) AS t",
            0,
        ),
        (
            "open items that are not the revision in effect",
            "SELECT COUNT(*) FROM review_items i JOIN review_heads h ON h.comment = i.comment WHERE i.state IN ('queued', 'leased') AND i.revision <> h.revision",
            0,
        ),
        (
            "leases without a holder",
            "SELECT COUNT(*) FROM review_items WHERE state = 'leased' AND lease_user = 0",
            0,
        ),
        (
            "holders without a lease",
            "SELECT COUNT(*) FROM review_items WHERE state <> 'leased' AND lease_user <> 0",
            0,
        ),
        (
            "decisions without an outbox row",
            "SELECT COUNT(*) FROM review_decisions d WHERE NOT EXISTS (SELECT 1 FROM review_outbox o WHERE o.decision = d.id)",
            0,
        ),
        (
            "items whose sequence is not the number of their decisions",
            "SELECT COUNT(*) FROM review_items i WHERE i.sequence <> (SELECT COUNT(*) FROM review_decisions d WHERE d.revision = i.revision)",
            0,
        ),
        (
            "decisions and undos that differ from the trail",
            "SELECT (SELECT COUNT(*) FROM review_decisions) - (SELECT COUNT(*) FROM review_audit WHERE event IN ('decide', 'escalate', 'undo', 'automatic'))",
            0,
        ),
        (
            "revisions with two standing decisions of people",
            "SELECT COUNT(*) FROM (SELECT revision FROM review_decisions WHERE undone_by = '' AND undoes = '' AND user_id <> 0
                GROUP BY revision HAVING COUNT(*) > 1) AS t",
            0,
        ),
    ] {
        let found: i64 = sqlx::query_scalar(sql).fetch_one(pool).await?;
        assert_eq!(found, expected, "{what}");
    }
    Ok(())
}

#[tokio::test]
async fn random_walks_tell_possible_stories() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..6_u64 {
            for table in [
                "review_items",
                "review_heads",
                "review_audit",
                "review_decisions",
                "review_outbox",
                "review_skips",
            ] {
                sqlx::query(sqlx::AssertSqlSafe(format!("DELETE FROM {table}")))
                    .execute(stand.queue.database.pool())
                    .await?;
            }
            let mut random = StdRng::seed_from_u64(seed);
            let mut pages = Vec::new();
            for step in 0..STEPS {
                act(&mut stand, &mut random, &mut pages, i64::try_from(step)?).await?;
                if step % 10 == 0 {
                    check(&stand)
                        .await
                        .map_err(|error| error.context(format!("seed {seed}, step {step}")))?;
                }
            }
            check(&stand).await?;
            let events: Vec<String> = sqlx::query_scalar("SELECT DISTINCT event FROM review_audit")
                .fetch_all(stand.queue.database.pool())
                .await?;
            seen.extend(events);
        }
        // A walk that goes nowhere would prove nothing.
        let missing: Vec<_> = Event::ALL
            .into_iter()
            .map(Event::as_str)
            .filter(|event| !seen.contains(*event))
            .collect();
        assert!(missing.is_empty(), "no walk ever came by {missing:?}");
        Ok(())
    })
    .await
}
