//! The enforcer on a simulated platform: redelivery, crashes at every step, superseding, undo, dry-run, limits, what fails and why.
//! Everything runs on SQLite, and on PostgreSQL where there is one.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use support::{
    ACCOUNT, AUTHOR, Draws, Fake, Fault, On, TEXT, account, decide, deliver, fast, finish, open, plenty, published, set_accounts, states,
    verdict,
};
use vigie_domain::{AccountId, Action, Decision, EnforcementState, Outcome, Topic};
use vigie_enforcer::sender::Step;
use vigie_enforcer::{Config, state};
use vigie_platforms::PlatformError;
use vigie_runtime::units::Interval;
use vigie_runtime::{Handler as _, Runtime, publish, record};

const SOON: Duration = Duration::from_secs(20);
const EVERYTHING: [Action; 3] = [Action::Hide, Action::Unhide, Action::Report];

fn transient() -> PlatformError {
    PlatformError::Transient("answered 503".to_owned())
}

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

/// One decision, and a fault of each kind in each of the first calls: the process dies, or an answer is lost, at every step.
#[tokio::test]
async fn a_crash_at_any_step_neither_loses_nor_repeats_an_action() -> anyhow::Result<()> {
    for on in On::both() {
        let faults = [
            Fault::CrashBefore,
            Fault::CrashAfter,
            Fault::Before(transient()),
            Fault::After(transient()),
            Fault::After(PlatformError::Malformed("not JSON".to_owned())),
            Fault::Before(PlatformError::Throttled { until: None }),
            Fault::Before(PlatformError::Unauthorized("refused".to_owned())),
        ];
        for fault in faults {
            // Calls 0 and 2 are acts (hide, report), 1 and 3 look.
            for call in 0..4 {
                let dir = tempfile::tempdir()?;
                let fake = Fake::new(&EVERYTHING);
                let mut runtime = on.runtime(dir.path(), false).await?;
                let mut enforcer = open(&mut runtime, plenty(), &fake).await?;
                let grave = decide(&verdict(&runtime, "c1", 0), 0, Outcome::Escalate, None);
                fake.world().faults = (0..call).map(|_| None).chain([Some(fault.clone())]).collect();
                deliver(&enforcer, &[&grave]).await?;
                let mut crashes = 0;
                while tokio::time::timeout(Duration::from_millis(400), finish(&enforcer, SOON))
                    .await
                    .is_err()
                {
                    // Its future dropped in mid-await, as by kill -9; claims in PostgreSQL run out by themselves.
                    crashes += 1;
                    assert!(crashes < 4, "{on:?} {fault:?} {call}: it never ends");
                    enforcer = open(&mut runtime, plenty(), &fake).await?;
                    deliver(&enforcer, &[&grave]).await?;
                }
                enforcer.publish_unsent(&runtime).await?;
                let context = format!("{on:?} {fault:?} in call {call}: {:?}", fake.world().calls);
                assert!(fake.world().hidden.contains("c1"), "{context}");
                assert_eq!(fake.world().reports.len(), 1, "{context}");
                assert!(fake.world().faults.is_empty(), "{context}");
                let all = published(&runtime).await?;
                for action in [Action::Hide, Action::Report] {
                    assert_eq!(states(&all, &grave, action).last(), Some(&"confirmed"), "{context}");
                }
            }
        }
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
        assert!(tokio::time::timeout(Duration::from_millis(100), &mut calling).await.is_err());
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

#[tokio::test]
async fn what_cannot_be_done_fails_and_says_what_to_do() -> anyhow::Result<()> {
    let permanent = PlatformError::Permanent("not allowed (403)".to_owned());
    for on in On::both() {
        for (can, fault, expected) in [
            (vec![], None, "Act on the platform yourself"),
            (EVERYTHING.to_vec(), Some(Fault::Before(permanent.clone())), "not allowed (403)"),
            (
                EVERYTHING.to_vec(),
                Some(Fault::Before(PlatformError::Gone)),
                "see whether the comment still exists",
            ),
        ] {
            let dir = tempfile::tempdir()?;
            let fake = Fake::new(&can);
            fake.world().faults = fault.clone().into_iter().map(Some).collect();
            let mut runtime = on.runtime(dir.path(), false).await?;
            let enforcer = open(&mut runtime, plenty(), &fake).await?;
            let hide = decide(&verdict(&runtime, "c1", 0), 0, Outcome::Hide, None);
            deliver(&enforcer, &[&hide]).await?;
            finish(&enforcer, SOON).await?;
            // It certainly did not happen: a later decision to keep has nothing to take back.
            deliver(&enforcer, &[&decide(&hide.verdict, 1, Outcome::Keep, None)]).await?;
            finish(&enforcer, SOON).await?;
            enforcer.publish_unsent(&runtime).await?;
            let all = published(&runtime).await?;
            assert_eq!(
                states(&all, &hide, Action::Hide),
                ["requested", "failed", "superseded"],
                "{on:?} {fault:?}"
            );
            assert_eq!(all.len(), 1, "{on:?} {fault:?}");
            let error = all.values().flatten().find_map(|step| step.error.clone()).unwrap_or_default();
            assert!(error.to_lowercase().contains(&expected.to_lowercase()), "{error}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_never_shows_and_what_never_answers_is_given_up() -> anyhow::Result<()> {
    for on in On::both() {
        let dir = tempfile::tempdir()?;
        let fake = Fake::new(&EVERYTHING);
        fake.world().blind = true;
        let mut runtime = on.runtime(dir.path(), false).await?;
        let enforcer = open(&mut runtime, plenty(), &fake).await?;
        let hide = decide(&verdict(&runtime, "c1", 0), 0, Outcome::Hide, None);
        deliver(&enforcer, &[&hide]).await?;
        finish(&enforcer, SOON).await?;
        assert_eq!(fake.acts(), 2, "{on:?}: sent again once, then a person must look");
        let impatient = Config {
            give_up_after: Interval::milliseconds(0),
            ..plenty()
        };
        let enforcer = open(&mut runtime, impatient, &fake).await?;
        let late = decide(&verdict(&runtime, "c2", 0), 0, Outcome::Hide, None);
        fake.world().faults = [Some(Fault::Before(transient()))].into();
        deliver(&enforcer, &[&late]).await?;
        finish(&enforcer, SOON).await?;
        enforcer.publish_unsent(&runtime).await?;
        let all = published(&runtime).await?;
        assert_eq!(states(&all, &hide, Action::Hide), ["requested", "sent", "failed"], "{on:?}");
        assert_eq!(states(&all, &late, Action::Hide), ["requested", "failed"], "{on:?}");
    }
    Ok(())
}

#[tokio::test]
async fn limits_hold_over_a_restart_and_the_gravest_goes_first() -> anyhow::Result<()> {
    for on in On::both() {
        let dir = tempfile::tempdir()?;
        let fake = Fake::new(&EVERYTHING);
        let mut runtime = on.runtime(dir.path(), false).await?;
        let three = Config {
            actions_per_5_min: 3,
            ..Config::default()
        };
        let mut enforcer = open(&mut runtime, three.clone(), &fake).await?;
        let decisions: Vec<Decision> = (0..8)
            .map(|number| {
                let mut verdict = verdict(&runtime, &format!("c{number}"), 0);
                verdict.priority = number * 10;
                let outcome = if number == 0 { Outcome::Escalate } else { Outcome::Hide };
                decide(&verdict, 0, outcome, None)
            })
            .collect();
        deliver(&enforcer, &decisions.iter().collect::<Vec<_>>()).await?;
        let id = AccountId::new(ACCOUNT)?;
        for _ in 0..2 {
            let mut until = None;
            while until.is_none() {
                match enforcer.step(&id).await? {
                    Step::Done => {}
                    Step::Wait(at) => until = Some(at.expect("more waits")),
                }
            }
            // It looks again at what may be sent, but sends nothing more, not even after a crash.
            enforcer = open(&mut runtime, three.clone(), &fake).await?;
        }
        let sent: Vec<String> = fake
            .world()
            .calls
            .iter()
            .filter(|(kind, action, _)| *kind == "act" && *action == Action::Hide)
            .map(|(_, _, comment)| comment.clone())
            .collect();
        assert_eq!(sent, ["c0", "c7", "c6"], "{on:?}");
        assert!(
            fake.world().calls.iter().filter(|(kind, ..)| *kind == "look").count() <= 3,
            "{on:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_platform_is_left_alone_until_the_time_it_names() -> anyhow::Result<()> {
    for on in On::both() {
        let dir = tempfile::tempdir()?;
        let fake = Fake::new(&EVERYTHING);
        let mut runtime = on.runtime(dir.path(), false).await?;
        let enforcer = open(&mut runtime, plenty(), &fake).await?;
        let until = Timestamp::now() + jiff::SignedDuration::from_secs(3600);
        fake.world().faults = [Some(Fault::Before(PlatformError::Throttled { until: Some(until) }))].into();
        let first = decide(&verdict(&runtime, "c1", 0), 0, Outcome::Hide, None);
        let second = decide(&verdict(&runtime, "c2", 0), 0, Outcome::Hide, None);
        deliver(&enforcer, &[&first, &second]).await?;
        let id = AccountId::new(ACCOUNT)?;
        assert_eq!(enforcer.step(&id).await?, Step::Done);
        // The pause is the credential's, and survives a restart.
        let enforcer = open(&mut runtime, plenty(), &fake).await?;
        for _ in 0..3 {
            let Step::Wait(Some(at)) = enforcer.step(&id).await? else {
                panic!("{on:?}: something was sent")
            };
            assert_eq!(at, until.as_millisecond(), "{on:?}");
        }
        assert_eq!(fake.acts(), 1);
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

/// Random decisions on a few comments, delivered again and again, random faults and crashes of platform and bus: in the end every
/// comment stands as the last decision on it says, nothing is reported twice, and the topic tells one lawful story per request.
#[tokio::test]
async fn any_mixture_ends_as_decided() -> anyhow::Result<()> {
    for on in On::both() {
        let seeds = if matches!(on, On::Sqlite) { 12 } else { 4 };
        for seed in 0..seeds {
            mixture(&on, seed).await?;
        }
    }
    Ok(())
}

async fn mixture(on: &On, seed: u64) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let fake = Fake::new(&EVERYTHING);
    let mut runtime = on.runtime(dir.path(), false).await?;
    let mut enforcer = open(&mut runtime, plenty(), &fake).await?;
    let mut draws = Draws(seed);
    let mut last: BTreeMap<String, Outcome> = BTreeMap::new();
    let mut taken: Vec<Decision> = Vec::new();
    for _ in 0..25 {
        let name = format!("c{}", draws.below(4));
        let comment = verdict(&runtime, &name, 0);
        let sequence = u32::try_from(
            taken
                .iter()
                .filter(|decision| decision.verdict.comment.id == comment.comment.id)
                .count(),
        )?;
        let outcome = Outcome::ALL[draws.below(4)];
        let decision = decide(&comment, sequence, outcome, None);
        last.insert(name, outcome);
        taken.push(decision);
        let again = taken.len().saturating_sub(1 + draws.below(6));
        deliver(&enforcer, &taken[again..].iter().collect::<Vec<_>>()).await?;
        fake.world().faults = (0..draws.below(4))
            .map(|_| match draws.below(7) {
                0 => Some(Fault::CrashBefore),
                1 => Some(Fault::CrashAfter),
                2 => Some(Fault::Before(transient())),
                3 => Some(Fault::After(transient())),
                4 => Some(Fault::Before(PlatformError::Throttled { until: None })),
                _ => None,
            })
            .collect();
        let patience = Duration::from_millis(20 + draws.below(60) as u64);
        if tokio::time::timeout(patience, finish(&enforcer, SOON)).await.is_err() {
            enforcer = open(&mut runtime, plenty(), &fake).await?;
        }
        if draws.below(3) == 0 {
            enforcer.publish_unsent(&runtime).await?;
        }
    }
    fake.world().faults.clear();
    finish(&enforcer, SOON).await?;
    enforcer.publish_unsent(&runtime).await?;
    let context = format!("{on:?} seed {seed}");
    for (name, outcome) in &last {
        assert_eq!(
            fake.world().hidden.contains(name),
            *outcome != Outcome::Keep,
            "{context}: {name} {outcome:?}"
        );
        let reports = fake.world().reports.iter().filter(|(comment, _)| comment == name).count();
        assert!(reports <= 1, "{context}: {name} was reported {reports} times");
    }
    for (id, steps) in published(&runtime).await? {
        let mut before = None;
        for step in &steps {
            let lawful = state::Event::ALL
                .into_iter()
                .any(|event| state::next(before, event) == Some(step.state));
            assert!(lawful, "{context}: {id} goes from {before:?} to {:?}", step.state);
            before = Some(step.state);
        }
        let over = matches!(before, Some(EnforcementState::Confirmed | EnforcementState::Superseded));
        assert!(over, "{context}: {id} ends {before:?}");
    }
    Ok(())
}

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
