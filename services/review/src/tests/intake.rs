//! Verdicts: redelivered, out of order, edited, deleted, hidden by policy.

use vigie_domain::{Comment, Outcome, Route, Verdict};

use super::{Stand, drawn, judged_by, on_each_engine, person, revision, tombstone, verdict};
use crate::Config;
use crate::item::Origin;
use crate::queue::QueueError;
use crate::state::State;

#[tokio::test]
async fn redelivery_of_every_verdict_changes_nothing() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        let edited = revision("edited", "deux", Some(60), 60);
        let all = [
            verdict(&revision("kept", "rien", None, 0), Route::Keep),
            drawn(verdict(&revision("drawn", "rien", None, 0), Route::Keep)),
            verdict(&revision("review", "texte", None, 0), Route::Review),
            verdict(&revision("hide", "texte", None, 0), Route::Hide),
            drawn(verdict(&revision("check", "texte", None, 0), Route::Hide)),
            verdict(&revision("edited", "un", None, 0), Route::Review),
            verdict(&edited, Route::Review),
            verdict(&revision("deleted", "texte", None, 0), Route::Review),
            verdict(&tombstone("deleted", 60), Route::Keep),
        ];
        stand.feed(&all).await?;
        let before = stand.dump().await?;
        for _ in 0..2 {
            stand.feed(&all).await?;
            for one in &all {
                stand.feed(std::slice::from_ref(one)).await?;
            }
        }
        assert_eq!(stand.dump().await?, before);
        assert_eq!(stand.number("SELECT COUNT(*) FROM review_decisions").await?, 2);

        // And once people have decided.
        let ann = person(1);
        while let Some(lease) = stand.queue.next(&ann).await? {
            stand.decide(&ann, &lease, Outcome::Hide).await?;
        }
        let before = stand.dump().await?;
        stand.feed(&all).await?;
        assert_eq!(stand.dump().await?, before);
        assert!(stand.queue.next(&ann).await?.is_none());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_record_that_is_no_verdict_is_rejected_and_the_rest_flows_on() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        use vigie_runtime::Handler as _;
        let good = verdict(&revision("c", "texte", None, 0), Route::Review);
        let delivery = |payload: Vec<u8>| vigie_bus::Delivery {
            topic: vigie_domain::Topic::Verdicts,
            partition: 0,
            offset: 0,
            timestamp_ms: 0,
            record: vigie_bus::Record {
                payload,
                ..vigie_runtime::record(&good)
            },
        };
        let newer = String::from_utf8(vigie_domain::encode(&good))?.replace("verdict/1", "verdict/2");
        let batch = [
            delivery(b"{".to_vec()),
            delivery(newer.into_bytes()),
            delivery(vigie_domain::encode(&good)),
        ];
        let rejected = stand.intake.handle(&batch).await?;
        assert_eq!(rejected.iter().map(|rejected| rejected.index).collect::<Vec<_>>(), [0, 1]);
        assert!(rejected[1].error.contains("verdict/2") && !rejected[0].error.contains("texte"));
        assert_eq!(stand.state(&good.comment).await?, Some(State::Queued));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_edit_takes_the_old_revision_out_of_somebodys_hands() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        let (old, new) = (revision("c", "un", None, 0), revision("c", "deux", Some(60), 60));
        stand.feed(&[verdict(&old, Route::Review)]).await?;
        let ann = person(1);
        let lease = stand.take(&ann).await?;
        stand.feed(&[verdict(&new, Route::Review)]).await?;
        assert!(matches!(
            stand.decide(&ann, &lease, Outcome::Hide).await,
            Err(QueueError::Withdrawn)
        ));
        let next = stand.take(&ann).await?;
        assert_eq!(next.item.revision, new.revision);
        assert_eq!(stand.state(&old).await?, Some(State::Withdrawn));
        assert_eq!(stand.trail(&old).await?, ["arrive", "lease", "withdraw"]);
        assert_eq!(stand.number("SELECT COUNT(*) FROM review_decisions").await?, 0);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_edit_to_something_harmless_withdraws_too() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        let old = revision("c", "un", None, 0);
        stand
            .feed(&[
                verdict(&old, Route::Review),
                verdict(&revision("c", "merci", Some(60), 60), Route::Keep),
            ])
            .await?;
        assert_eq!(stand.state(&old).await?, Some(State::Withdrawn));
        assert!(stand.queue.next(&person(1)).await?.is_none());
        Ok(())
    })
    .await
}

/// Feeds the revisions of one comment in every order and expects the same one to be open at the end.
async fn check_orders(stand: &mut Stand, label: &str, revisions: &[Comment], open: Option<&Comment>) -> anyhow::Result<()> {
    for (number, order) in permutations(revisions.len()).into_iter().enumerate() {
        stand.run("DELETE FROM review_items").await?;
        stand.run("DELETE FROM review_heads").await?;
        stand.run("DELETE FROM review_audit").await?;
        for index in &order {
            stand.feed(&[verdict(&revisions[*index], Route::Review)]).await?;
        }
        let waiting: Vec<String> = sqlx::query_scalar("SELECT revision FROM review_items WHERE state = 'queued'")
            .fetch_all(stand.queue.database.pool())
            .await?;
        let expected: Vec<String> = open.iter().map(|comment| comment.revision.to_string()).collect();
        assert_eq!(waiting, expected, "{label}, order {number}: {order:?}");
    }
    Ok(())
}

fn permutations(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for shorter in permutations(count - 1) {
        for place in 0..count {
            let mut longer = shorter.clone();
            longer.insert(place, count - 1);
            all.push(longer);
        }
    }
    all
}

#[tokio::test]
async fn revisions_in_any_order_end_the_same() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        let one = revision("c", "un", None, 0);
        let two = revision("c", "deux", Some(60), 60);
        let three = revision("c", "trois", Some(120), 120);
        check_orders(&mut stand, "edits", &[one.clone(), two.clone(), three.clone()], Some(&three)).await?;
        check_orders(&mut stand, "a deletion", &[one.clone(), two.clone(), tombstone("c", 200)], None).await?;
        // A platform that gives no time of edits: what we saw last holds.
        let seen_later = revision("c", "deux", None, 60);
        check_orders(&mut stand, "no edit times", &[one.clone(), seen_later.clone()], Some(&seen_later)).await?;
        // A deletion within the second of the writing.
        check_orders(&mut stand, "deleted at once", &[one.clone(), tombstone("c", 0)], None).await?;
        // Nothing tells: any, but always the same.
        let twin = revision("c", "autre", None, 0);
        let last = if twin.revision > one.revision { &twin } else { &one };
        check_orders(&mut stand, "twins", &[one.clone(), twin.clone()], Some(last)).await
    })
    .await
}

#[tokio::test]
async fn an_author_who_goes_back_is_looked_at_again() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        let first = revision("c", "un", None, 0);
        let second = revision("c", "deux", None, 60);
        let back = revision("c", "un", None, 120);
        assert_eq!(first.revision, back.revision);
        stand
            .feed(&[
                verdict(&first, Route::Review),
                verdict(&second, Route::Review),
                verdict(&back, Route::Review),
            ])
            .await?;
        assert_eq!(stand.state(&first).await?, Some(State::Queued));
        assert_eq!(stand.state(&second).await?, Some(State::Withdrawn));
        assert_eq!(stand.trail(&first).await?, ["arrive", "withdraw", "return"]);
        stand.feed(&[verdict(&second, Route::Review)]).await?;
        assert_eq!(
            stand.state(&first).await?,
            Some(State::Queued),
            "the late one is older than what holds"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn policy_hides_once_and_within_its_quota() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        let quota = stand.runtime.policies.default_policy().automatic.hide_per_day;
        let verdicts: Vec<Verdict> = (0..quota + 5)
            .map(|number| verdict(&revision(&format!("c{number}"), "texte", None, 0), Route::Hide))
            .collect();
        stand.feed(&verdicts).await?;
        stand.feed(&verdicts).await?;
        let hidden = stand
            .number("SELECT COUNT(*) FROM review_decisions WHERE user_id = 0 AND outcome = 'hide' AND sequence = 0")
            .await?;
        assert_eq!(hidden, i64::from(quota));
        assert_eq!(stand.number("SELECT COUNT(*) FROM review_outbox").await?, hidden);
        assert_eq!(
            stand
                .number("SELECT COUNT(*) FROM review_items WHERE origin = 'quota' AND state = 'queued'")
                .await?,
            5
        );
        assert_eq!(stand.queue.metrics.automatic.get(), u64::from(quota));
        assert_eq!(stand.queue.metrics.over_quota.get(), 5);
        // Another day.
        stand.run("UPDATE review_quotas SET day = '2020-01-01'").await?;
        let tomorrow = revision("tomorrow", "texte", None, 0);
        stand.feed(&[verdict(&tomorrow, Route::Hide)]).await?;
        assert_eq!(stand.state(&tomorrow).await?, Some(State::Decided));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_must_be_seen_by_a_person_is_never_hidden_by_policy() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        let comment = revision("c", "texte", None, 0);
        let mut urgent = verdict(&comment, Route::Hide);
        urgent.escalate = true;
        stand.feed(&[urgent]).await?;
        let item = stand.item(&comment).await?.expect("it waits");
        assert_eq!(
            (item.state, item.origin, item.urgent, item.severe),
            (State::Queued, Origin::Urgent, true, true)
        );

        // Hidden first, found to be a threat by newer rules: a person looks.
        let hidden = revision("h", "texte", None, 0);
        stand.feed(&[verdict(&hidden, Route::Hide)]).await?;
        assert_eq!(stand.state(&hidden).await?, Some(State::Decided));
        let mut newer = judged_by(&hidden, Route::Review, "newer");
        newer.escalate = true;
        stand.feed(&[newer.clone()]).await?;
        stand.feed(&[newer]).await?;
        let item = stand.item(&hidden).await?.expect("it waits");
        assert_eq!((item.state, item.urgent), (State::Queued, true));
        assert_eq!(stand.trail(&hidden).await?, ["automatic", "check"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_newer_verdict_replaces_what_waits_but_not_what_is_looked_at() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        let comment = revision("c", "texte", None, 0);
        stand.feed(&[verdict(&comment, Route::Review)]).await?;
        let mut second = judged_by(&comment, Route::Review, "second");
        second.priority = 70;
        stand.feed(&[second.clone()]).await?;
        let lease = stand.take(&person(1)).await?;
        assert_eq!((lease.item.verdict.model.as_str(), lease.item.priority), ("second", 70));
        stand.feed(&[judged_by(&comment, Route::Review, "third")]).await?;
        let held = stand.take(&person(1)).await?;
        assert_eq!(
            (held.item.verdict.model.as_str(), held.fence),
            ("second", lease.fence),
            "the page does not change under their eyes"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_drawn_comment_has_its_place_and_its_verdict_stays_as_published() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        let mut low = drawn(verdict(&revision("c", "texte", None, 0), Route::Keep));
        low.priority = 3;
        stand.feed(std::slice::from_ref(&low)).await?;
        let item = stand.item(&low.comment).await?.expect("it waits");
        assert_eq!((item.priority, &item.verdict), (Config::default().audit_priority, &low));
        Ok(())
    })
    .await
}
