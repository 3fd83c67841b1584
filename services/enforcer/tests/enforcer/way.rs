//! Redelivery, superseding, undo, dry-run: what is asked for, and what is not.

use std::time::Duration;

use vigie_domain::{AccountId, Action, Outcome};
use vigie_enforcer::Step;

use crate::support::{
    ACCOUNT, EVERYTHING, Fake, Fault, On, SOON, account, decide, deliver, finish, open, plenty, published, set_accounts, states, transient,
    verdict,
};

#[tokio::test]
async fn a_decision_delivered_again_asks_for_nothing() -> anyhow::Result<()> {
    for on in On::both() {
        let dir = tempfile::tempdir()?;
        let fake = Fake::new(&EVERYTHING);
        let mut runtime = on.runtime(dir.path(), false).await?;
        let enforcer = open(&mut runtime, plenty(), &fake).await?;
        let hide = decide(&verdict(&runtime, "c1", 0), 0, Outcome::Hide, None);
        let grave = decide(&verdict(&runtime, "c2", 0), 0, Outcome::Escalate, None);
        deliver(&enforcer, &[&hide, &hide, &grave]).await?;
        finish(&enforcer, SOON).await?;
        deliver(&enforcer, &[&grave, &hide]).await?;
        finish(&enforcer, SOON).await?;
        let enforcer = open(&mut runtime, plenty(), &fake).await?;
        deliver(&enforcer, &[&hide, &grave]).await?;
        finish(&enforcer, SOON).await?;
        enforcer.publish_unsent(&runtime).await?;
        assert_eq!(fake.acts(), 3, "{on:?}: {:?}", fake.world().calls);
        assert_eq!(fake.world().hidden.iter().collect::<Vec<_>>(), ["c1", "c2"]);
        let all = published(&runtime).await?;
        assert_eq!(all.len(), 3);
        for (decision, action) in [(&hide, Action::Hide), (&grave, Action::Hide), (&grave, Action::Report)] {
            assert_eq!(states(&all, decision, action), ["requested", "sent", "confirmed"]);
        }
        let last = all.values().filter_map(|steps| steps.last());
        assert!(
            last.into_iter()
                .all(|step| !step.dry_run && step.attempts == 1 && step.error.is_none())
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_report_that_cannot_be_read_back_rests_on_its_receipt() -> anyhow::Result<()> {
    for on in On::both() {
        let dir = tempfile::tempdir()?;
        let fake = Fake::new(&[Action::Report]);
        fake.world().reports_unreadable = true;
        // The second time nobody can tell whether the first was heard: better twice than never, under the same key.
        fake.world().faults = [None, None, Some(Fault::After(transient()))].into();
        let mut runtime = on.runtime(dir.path(), false).await?;
        let enforcer = open(&mut runtime, plenty(), &fake).await?;
        let first = decide(&verdict(&runtime, "c1", 0), 0, Outcome::Hide, None);
        let second = decide(&verdict(&runtime, "c2", 0), 0, Outcome::Hide, None);
        deliver(&enforcer, &[&first]).await?;
        finish(&enforcer, SOON).await?;
        deliver(&enforcer, &[&second]).await?;
        finish(&enforcer, SOON).await?;
        enforcer.publish_unsent(&runtime).await?;
        let all = published(&runtime).await?;
        for decision in [&first, &second] {
            assert_eq!(states(&all, decision, Action::Report), ["requested", "sent", "confirmed"], "{on:?}");
        }
        let reports = fake.world().reports.clone();
        assert_eq!(
            reports.iter().map(|(comment, _)| comment.as_str()).collect::<Vec<_>>(),
            ["c1", "c2", "c2"]
        );
        assert_eq!(reports[1].1, reports[2].1, "the key tells that they are one");
    }
    Ok(())
}

#[tokio::test]
async fn a_newer_decision_supersedes_and_an_undo_restores() -> anyhow::Result<()> {
    for on in On::both() {
        let dir = tempfile::tempdir()?;
        let fake = Fake::new(&EVERYTHING);
        let mut runtime = on.runtime(dir.path(), false).await?;
        let enforcer = open(&mut runtime, plenty(), &fake).await?;
        // Taken back before anything was sent: nothing is.
        let unsent = verdict(&runtime, "unsent", 0);
        let (hide, undo) = (decide(&unsent, 0, Outcome::Hide, None), decide(&unsent, 1, Outcome::Keep, Some(0)));
        deliver(&enforcer, &[&hide, &undo]).await?;
        finish(&enforcer, SOON).await?;
        assert_eq!(fake.acts(), 0, "{on:?}");
        // Taken back after it was done: shown again.
        let done = verdict(&runtime, "done", 0);
        let (done_hide, done_undo) = (decide(&done, 0, Outcome::Escalate, None), decide(&done, 1, Outcome::Keep, Some(0)));
        deliver(&enforcer, &[&done_hide]).await?;
        finish(&enforcer, SOON).await?;
        assert!(fake.world().hidden.contains("done"), "{on:?}");
        deliver(&enforcer, &[&done_undo]).await?;
        finish(&enforcer, SOON).await?;
        assert!(fake.world().hidden.is_empty(), "{on:?}");
        assert_eq!(fake.world().reports.len(), 1, "a report cannot be taken back, and is not repeated");
        // A change of mind about the revision, then an edit decided on: hidden once.
        let third = decide(&done, 2, Outcome::Hide, None);
        let edited = decide(&verdict(&runtime, "done", 5), 0, Outcome::Escalate, None);
        deliver(&enforcer, &[&third]).await?;
        finish(&enforcer, SOON).await?;
        let acts = fake.acts();
        deliver(&enforcer, &[&edited, &done_undo, &done_hide]).await?;
        finish(&enforcer, SOON).await?;
        assert_eq!(fake.acts(), acts, "{on:?}: hidden and reported already, and the old ones are known");
        enforcer.publish_unsent(&runtime).await?;
        let all = published(&runtime).await?;
        assert_eq!(states(&all, &hide, Action::Hide), ["requested", "superseded"]);
        assert_eq!(states(&all, &undo, Action::Unhide), [""; 0]);
        assert_eq!(states(&all, &done_undo, Action::Unhide), ["requested", "sent", "confirmed"]);
        assert_eq!(states(&all, &third, Action::Hide), ["requested", "sent", "confirmed"]);
    }
    Ok(())
}

/// An undo that arrives while the platform is being called waits for the answer: the comment is never left hidden.
#[tokio::test]
async fn an_undo_in_the_middle_of_the_call_comes_after_it() -> anyhow::Result<()> {
    for on in On::both() {
        let dir = tempfile::tempdir()?;
        let fake = Fake::new(&EVERYTHING);
        let mut runtime = on.runtime(dir.path(), false).await?;
        let enforcer = open(&mut runtime, plenty(), &fake).await?;
        let comment = verdict(&runtime, "c1", 0);
        let (hide, undo) = (
            decide(&comment, 0, Outcome::Hide, None),
            decide(&comment, 1, Outcome::Keep, Some(0)),
        );
        fake.world().faults = [Some(Fault::CrashAfter)].into();
        deliver(&enforcer, &[&hide]).await?;
        let id = AccountId::new(ACCOUNT)?;
        let mut calling = Box::pin(enforcer.step(&id));
        while fake.acts() == 0 {
            assert!(tokio::time::timeout(Duration::from_millis(10), &mut calling).await.is_err());
        }
        deliver(&enforcer, &[&undo]).await?;
        assert!(
            matches!(enforcer.step(&id).await?, Step::Wait(Some(_))),
            "{on:?}: nobody else touches the comment meanwhile"
        );
        drop(calling);
        finish(&enforcer, SOON).await?;
        assert!(fake.world().hidden.is_empty(), "{on:?}");
        enforcer.publish_unsent(&runtime).await?;
        let all = published(&runtime).await?;
        assert_eq!(states(&all, &hide, Action::Hide), ["requested", "superseded"]);
        assert_eq!(states(&all, &undo, Action::Unhide), ["requested", "sent", "confirmed"]);
    }
    Ok(())
}

#[tokio::test]
async fn a_dry_run_sends_nothing_and_is_confirmed() -> anyhow::Result<()> {
    for on in On::both() {
        let dir = tempfile::tempdir()?;
        let fake = Fake::new(&EVERYTHING);
        let mut runtime = on.runtime(dir.path(), true).await?;
        let enforcer = open(&mut runtime, plenty(), &fake).await?;
        let comment = verdict(&runtime, "c1", 0);
        let decisions = [
            decide(&comment, 0, Outcome::Hide, None),
            decide(&comment, 1, Outcome::Keep, Some(0)),
            decide(&comment, 2, Outcome::Keep, None),
        ];
        deliver(&enforcer, &decisions.iter().collect::<Vec<_>>()).await?;
        finish(&enforcer, SOON).await?;
        enforcer.publish_unsent(&runtime).await?;
        assert!(fake.world().calls.is_empty(), "{on:?}");
        let all = published(&runtime).await?;
        assert_eq!(states(&all, &decisions[0], Action::Hide), ["requested", "confirmed"]);
        assert_eq!(
            states(&all, &decisions[1], Action::Unhide),
            ["requested", "confirmed"],
            "an undo is rehearsed too"
        );
        assert_eq!(all.len(), 2, "what was kept and shown asks for nothing");
        assert!(all.values().flatten().all(|step| step.dry_run && step.attempts == 0));
        // For real from now on: what was only rehearsed has changed nothing, so that there is nothing to undo.
        set_accounts(&mut runtime, &[account(false)])?;
        let enforcer = open(&mut runtime, plenty(), &fake).await?;
        let rehearsed = verdict(&runtime, "c2", 0);
        deliver(
            &enforcer,
            &[
                &decide(&comment, 3, Outcome::Keep, None),
                &decide(&rehearsed, 0, Outcome::Hide, None),
            ],
        )
        .await?;
        finish(&enforcer, SOON).await?;
        assert_eq!(fake.world().hidden.iter().collect::<Vec<_>>(), ["c2"]);
        assert_eq!(fake.acts(), 1, "{on:?}");
    }
    Ok(())
}

/// What waits to be sent is not sent once the account is set to dry-run.
#[tokio::test]
async fn dry_run_set_later_stops_what_waits() -> anyhow::Result<()> {
    for on in On::both() {
        let dir = tempfile::tempdir()?;
        let fake = Fake::new(&EVERYTHING);
        let mut runtime = on.runtime(dir.path(), false).await?;
        let enforcer = open(&mut runtime, plenty(), &fake).await?;
        let hide = decide(&verdict(&runtime, "c1", 0), 0, Outcome::Hide, None);
        deliver(&enforcer, &[&hide]).await?;
        set_accounts(&mut runtime, &[account(true)])?;
        let enforcer = open(&mut runtime, plenty(), &fake).await?;
        finish(&enforcer, SOON).await?;
        enforcer.publish_unsent(&runtime).await?;
        assert!(fake.world().calls.is_empty(), "{on:?}");
        let all = published(&runtime).await?;
        assert_eq!(states(&all, &hide, Action::Hide), ["requested", "confirmed"]);
        assert!(all.values().filter_map(|steps| steps.last()).all(|step| step.dry_run));
    }
    Ok(())
}
