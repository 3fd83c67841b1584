//! Decisions: one per revision, blind where drawn, taken back while there is time.

use vigie_domain::{Act, Decision, DecisionAuthor, LegalBasis, Outcome, Route, Target, decode};
use vigie_runtime::units::Interval;

use super::{Stand, drawn, judged_by, on_each_engine, person, revision, ruling, tombstone, verdict};
use crate::Config;
use crate::queue::{QueueError, Ruling};
use crate::state::State;

async fn decisions(stand: &Stand) -> anyhow::Result<Vec<Decision>> {
    let records: Vec<String> = sqlx::query_scalar("SELECT record FROM review_decisions ORDER BY revision, sequence")
        .fetch_all(stand.queue.database.pool())
        .await?;
    Ok(records.iter().map(|record| decode(record.as_bytes())).collect::<Result<_, _>>()?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_form_sent_twenty_times_at_once_decides_once() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        stand.feed(&[verdict(&revision("c", "texte", None, 0), Route::Review)]).await?;
        let lease = stand.take(&person(1)).await?;
        let tries: Vec<_> = (0..20)
            .map(|number| {
                let (queue, lease) = (stand.queue.clone(), lease.clone());
                let outcome = if number % 2 == 0 { Outcome::Keep } else { Outcome::Hide };
                tokio::spawn(async move {
                    queue
                        .decide(&person(1), lease.item.revision.as_str(), lease.fence, ruling(outcome))
                        .await
                })
            })
            .collect();
        let mut accepted = 0;
        for one in tries {
            match one.await? {
                Ok(_) => accepted += 1,
                Err(QueueError::AlreadyDecided) => {}
                Err(error) => return Err(error.into()),
            }
        }
        assert_eq!(accepted, 1);
        assert_eq!(stand.number("SELECT COUNT(*) FROM review_decisions").await?, 1);
        assert_eq!(stand.number("SELECT COUNT(*) FROM review_outbox").await?, 1);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_index_refuses_a_second_decision_whatever_the_code_does() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        stand.feed(&[verdict(&revision("c", "texte", None, 0), Route::Review)]).await?;
        let lease = stand.take(&person(1)).await?;
        stand.decide(&person(1), &lease, Outcome::Keep).await?;
        let copy = stand
            .run(
                "INSERT INTO review_decisions (id, revision, sequence, user_id, outcome, severe, decided_at, undoes, undone_by, record)
                 SELECT 'another', revision, sequence, 2, 'hide', severe, decided_at, undoes, undone_by, record FROM review_decisions",
            )
            .await;
        let error = copy.expect_err("the unique index holds").to_string().to_lowercase();
        assert!(error.contains("unique"), "{error}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_decision_carries_what_the_person_said() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        let comment = revision("c", "texte", None, 0);
        stand.feed(&[verdict(&comment, Route::Review)]).await?;
        let ann = person(1);
        let lease = stand.take(&ann).await?;
        let said = Ruling {
            outcome: Outcome::Escalate,
            acts: vec![Act::Threat, Act::Insult],
            targets: vec![Target::Elected],
            legal_basis: Some(LegalBasis::MenaceAgentPublic),
            note: Some("é".repeat(2_500)),
        };
        let id = stand
            .queue
            .decide(&ann, comment.revision.as_str(), lease.fence, said.clone())
            .await?;
        assert_eq!(stand.state(&comment).await?, Some(State::Escalated));
        let all = decisions(&stand).await?;
        let [decision] = all.as_slice() else {
            anyhow::bail!("one decision, not {}", all.len())
        };
        assert_eq!((&decision.id, decision.sequence, decision.outcome), (&id, 0, Outcome::Escalate));
        assert_eq!(
            (&decision.acts, &decision.targets, decision.legal_basis),
            (&said.acts, &said.targets, said.legal_basis)
        );
        assert_eq!(decision.note.as_ref().map(|note| note.chars().count()), Some(2_000));
        assert_eq!(
            decision.author,
            DecisionAuthor::Moderator {
                pseudonym: ann.pseudonym.clone()
            }
        );
        assert!(!decision.blind && decision.verdict.comment == comment);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_the_audit_drew_is_labelled_blind() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        let kept = revision("kept", "rien", None, 0);
        let passed = revision("passed", "rien", None, 0);
        stand
            .feed(&[drawn(verdict(&kept, Route::Keep)), verdict(&passed, Route::Keep)])
            .await?;
        assert!(stand.item(&passed).await?.is_none(), "what is kept and not drawn waits for nobody");
        let ann = person(1);
        let lease = stand.take(&ann).await?;
        assert!(lease.blind);
        let unlabelled = Ruling {
            acts: Vec::new(),
            ..ruling(Outcome::Hide)
        };
        let refused = stand.queue.decide(&ann, kept.revision.as_str(), lease.fence, unlabelled).await;
        assert!(matches!(refused, Err(QueueError::LabelMissing)));
        let harmless = Ruling {
            acts: Vec::new(),
            ..ruling(Outcome::Keep)
        };
        let id = stand.queue.decide(&ann, kept.revision.as_str(), lease.fence, harmless).await?;
        assert!(decisions(&stand).await?[0].blind);
        // A slip of the key must not cost the label: nothing was shown in between.
        stand.queue.undo(&ann, id.as_str()).await?;
        let again = stand.take(&ann).await?;
        assert!(again.blind);
        stand.decide(&ann, &again, Outcome::Hide).await?;
        let blind: Vec<bool> = decisions(&stand).await?.iter().map(|decision| decision.blind).collect();
        assert_eq!(blind, [true, false, true], "an undo is no label");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_somebody_saw_with_its_scores_is_blind_no_more() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        let comment = revision("c", "texte", None, 0);
        stand.feed(&[verdict(&comment, Route::Review)]).await?;
        let seen = stand.take(&person(1)).await?;
        stand.queue.skip(&person(1), comment.revision.as_str(), seen.fence, "doubt").await?;
        stand.feed(&[drawn(judged_by(&comment, Route::Review, "newer"))]).await?;
        assert!(!stand.take(&person(2)).await?.blind);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_decision_can_be_taken_back_for_a_while() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        let comment = revision("c", "texte", None, 0);
        stand.feed(&[verdict(&comment, Route::Review)]).await?;
        let (ann, bob) = (person(1), person(2));
        let lease = stand.take(&ann).await?;
        let hidden = stand.decide(&ann, &lease, Outcome::Hide).await?;
        assert!(
            matches!(stand.queue.undo(&bob, hidden.as_str()).await, Err(QueueError::Unknown)),
            "not another's"
        );
        stand.queue.undo(&ann, hidden.as_str()).await?;
        assert!(
            matches!(stand.queue.undo(&ann, hidden.as_str()).await, Err(QueueError::UndoClosed)),
            "not twice"
        );
        let again = stand.take(&ann).await?;
        assert!(
            again.item.revision == comment.revision && again.fence > lease.fence,
            "it is theirs again"
        );
        assert!(
            matches!(stand.decide(&ann, &lease, Outcome::Hide).await, Err(QueueError::LeaseLost)),
            "the old page is worth nothing"
        );
        let kept = stand.decide(&ann, &again, Outcome::Keep).await?;
        let shown = stand.queue.decisions(&ann, 10).await?;
        let shown: Vec<_> = shown
            .iter()
            .map(|past| (past.decision.outcome, past.undone, past.can_undo))
            .collect();
        assert_eq!(shown, [(Outcome::Keep, false, true), (Outcome::Hide, true, false)]);
        let all = decisions(&stand).await?;
        let steps: Vec<_> = all
            .iter()
            .map(|decision| (decision.sequence, decision.outcome, decision.undoes.is_some()))
            .collect();
        assert_eq!(
            steps,
            [(0, Outcome::Hide, false), (1, Outcome::Keep, true), (2, Outcome::Keep, false)]
        );

        stand
            .run("UPDATE review_decisions SET decided_at = decided_at - 16 * 60000")
            .await?;
        assert!(
            matches!(stand.queue.undo(&ann, kept.as_str()).await, Err(QueueError::UndoClosed)),
            "a quarter of an hour is over"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_undo_returns_to_what_held_before() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        // Hidden by policy, drawn for a blind look, shown again by a person, who takes that back: hidden it is.
        let comment = revision("c", "texte", None, 0);
        stand.feed(&[drawn(verdict(&comment, Route::Hide))]).await?;
        let ann = person(1);
        let lease = stand.take(&ann).await?;
        assert!(lease.blind);
        let kept = stand.decide(&ann, &lease, Outcome::Keep).await?;
        stand.queue.undo(&ann, kept.as_str()).await?;
        let all = decisions(&stand).await?;
        let steps: Vec<_> = all
            .iter()
            .map(|decision| (decision.sequence, decision.outcome, decision.undoes.is_some()))
            .collect();
        assert_eq!(
            steps,
            [(0, Outcome::Hide, false), (1, Outcome::Keep, false), (2, Outcome::Hide, true)]
        );
        assert!(matches!(&all[0].author, DecisionAuthor::Policy { policy } if policy == "default@test"));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_undo_after_a_change_upstream_leaves_the_old_revision_withdrawn() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        let comment = revision("c", "texte", None, 0);
        stand.feed(&[verdict(&comment, Route::Review)]).await?;
        let ann = person(1);
        let lease = stand.take(&ann).await?;
        let hidden = stand.decide(&ann, &lease, Outcome::Hide).await?;
        stand.feed(&[verdict(&tombstone("c", 60), Route::Keep)]).await?;
        assert_eq!(
            stand.state(&comment).await?,
            Some(State::Decided),
            "a decision stays: it is evidence"
        );
        stand.queue.undo(&ann, hidden.as_str()).await?;
        assert_eq!(stand.state(&comment).await?, Some(State::Withdrawn));
        assert!(stand.queue.next(&ann).await?.is_none());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_is_gone_upstream_is_no_neighbour_even_if_decided() -> anyhow::Result<()> {
    on_each_engine(Config::default(), |mut stand| async move {
        let (stays, goes, waits) = (
            revision("stays", "un", None, 0),
            revision("goes", "deux", None, 0),
            revision("waits", "trois", None, 0),
        );
        let ann = person(1);
        stand.feed(&[verdict(&stays, Route::Review), verdict(&goes, Route::Review)]).await?;
        for _ in 0..2 {
            let lease = stand.take(&ann).await?;
            stand.decide(&ann, &lease, Outcome::Keep).await?;
        }
        stand.feed(&[verdict(&waits, Route::Review)]).await?;
        let item = stand.item(&waits).await?.expect("it waits");
        assert_eq!(stand.queue.neighbours(&item, 8).await?.len(), 2);
        stand.feed(&[verdict(&tombstone("goes", 60), Route::Keep)]).await?;
        let neighbours = stand.queue.neighbours(&item, 8).await?;
        let texts: Vec<_> = neighbours.iter().map(|neighbour| neighbour.comment.text.as_str()).collect();
        assert_eq!(texts, ["un"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn severe_texts_count_towards_a_break() -> anyhow::Result<()> {
    let config = Config {
        undo: Interval::seconds(0),
        ..Config::default()
    };
    on_each_engine(config, |mut stand| async move {
        let severe = |native: &str| {
            let mut verdict = verdict(&revision(native, "texte", None, 0), Route::Review);
            verdict.escalate = true;
            verdict
        };
        stand
            .feed(&[severe("a"), severe("b"), verdict(&revision("c", "texte", None, 0), Route::Review)])
            .await?;
        let ann = person(1);
        for _ in 0..3 {
            let lease = stand.take(&ann).await?;
            stand.decide(&ann, &lease, Outcome::Keep).await?;
        }
        assert_eq!(stand.queue.severe_lately(&ann).await?, 2);
        stand.run("UPDATE review_decisions SET decided_at = decided_at - 3600001").await?;
        assert_eq!(stand.queue.severe_lately(&ann).await?, 0);
        Ok(())
    })
    .await
}
