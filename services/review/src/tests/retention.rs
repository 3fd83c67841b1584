//! Texts whose time is over, and what is late.

use vigie_domain::{Outcome, Route};

use super::{Stand, on_each_engine, person, revision, tombstone, verdict};
use crate::Config;
use crate::clock;
use crate::queue::now;
use crate::retention::erase;
use crate::state::State;

const DAY_MS: i64 = 24 * 3_600_000;
const WORDS: &str = "des mots à oublier";

/// What of the words is left in the tables.
async fn traces(stand: &Stand) -> anyhow::Result<i64> {
    let items = stand
        .number("SELECT COUNT(*) FROM review_items WHERE verdict LIKE '%des mots à oublier%'")
        .await?;
    Ok(items
        + stand
            .number("SELECT COUNT(*) FROM review_decisions WHERE record LIKE '%des mots à oublier%'")
            .await?)
}

#[tokio::test]
async fn a_text_goes_when_the_policy_says_and_the_decision_stays() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        let ann = person(1);
        let comment = |native: &str| revision(native, WORDS, None, 0);
        stand
            .feed(&["kept", "hidden", "gone"].map(|native| verdict(&comment(native), Route::Review)))
            .await?;
        stand.feed(&[verdict(&tombstone("gone", 60), Route::Keep)]).await?;
        for _ in 0..2 {
            let lease = stand.take(&ann).await?;
            let kept = lease.item.verdict.comment.native_id.as_str() == "kept";
            stand.decide(&ann, &lease, if kept { Outcome::Keep } else { Outcome::Hide }).await?;
        }
        stand.feed(&[verdict(&comment("waits"), Route::Review)]).await?;
        let policies = &stand.runtime.policies;
        let after = |days: i64| now() + days * DAY_MS + 1_000;
        assert_eq!(
            erase(&stand.queue, policies, after(400)).await?,
            1,
            "only the withdrawn one: nobody was told of the decisions"
        );
        stand.run("UPDATE review_outbox SET sent_at = 1").await?;
        let mut left = traces(&stand).await?;
        for (days, erased) in [(29, 0), (179, 0), (180, 1), (364, 0), (365, 1), (1_000, 0)] {
            assert_eq!(erase(&stand.queue, policies, after(days)).await?, erased, "after {days} days");
            let now_left = traces(&stand).await?;
            assert_eq!(now_left < left, erased > 0, "after {days} days");
            left = now_left;
        }
        assert_eq!(stand.state(&comment("kept")).await?, Some(State::Decided));
        assert_eq!(stand.number("SELECT COUNT(*) FROM review_decisions").await?, 2);
        assert_eq!(stand.queue.decisions(&ann, 10).await?.len(), 0);
        let waits = stand.item(&comment("waits")).await?.expect("nobody decided on it");
        assert_eq!(waits.verdict.comment.text, WORDS);
        assert!(stand.queue.neighbours(&waits, 8).await?.is_empty());
        // An author who goes back to what was withdrawn is read anew.
        stand
            .feed(&[verdict(&revision("gone", WORDS, Some(120), 120), Route::Review)])
            .await?;
        left += 1;
        // A verdict that comes again neither fails nor brings the text back.
        stand.feed(&[verdict(&comment("kept"), Route::Review)]).await?;
        assert_eq!(traces(&stand).await?, left);
        assert_eq!(stand.state(&comment("kept")).await?, Some(State::Decided));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_waits_longer_than_the_policy_allows_is_counted_as_late() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        let mut urgent = verdict(&revision("urgent", "texte", None, 0), Route::Review);
        urgent.escalate = true;
        stand
            .feed(&[urgent, verdict(&revision("normal", "texte", None, 0), Route::Review)])
            .await?;
        for (minutes, expected) in [(0, (0, 0)), (16, (1, 0)), (241, (1, 1))] {
            let queued = now() - minutes * 60_000;
            sqlx::query("UPDATE review_items SET queued_at = $1")
                .bind(queued)
                .execute(stand.queue.database.pool())
                .await?;
            clock::late(&stand.queue, &stand.runtime.policies).await?;
            let late = |level: &str| stand.queue.metrics.late.with_label_values(&[level]).get();
            assert_eq!((late("urgent"), late("normal")), expected, "after {minutes} minutes");
        }
        Ok(())
    })
    .await
}
