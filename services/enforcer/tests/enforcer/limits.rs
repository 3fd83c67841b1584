//! What is refused, what never answers, and how much is sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use vigie_domain::{AccountId, Action, Decision, Outcome, Platform};
use vigie_enforcer::{Actors, Config, Enforcer, Step};
use vigie_platforms::{Actor, PlatformError};
use vigie_runtime::accounts::AccountConfig;
use vigie_runtime::units::Interval;

use crate::support::{
    ACCOUNT, EVERYTHING, Fake, Fault, On, SOON, account, decide, deliver, fast, finish, open, plenty, published, set_accounts, states,
    transient, verdict,
};

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

/// What was imported from another platform under the name of an account that acts is never named to that account's platform.
#[tokio::test]
async fn an_account_acts_on_its_own_platform_only() -> anyhow::Result<()> {
    for on in On::both() {
        let dir = tempfile::tempdir()?;
        let fake = Fake::new(&EVERYTHING);
        let mut runtime = on.runtime(dir.path(), false).await?;
        let enforcer = open(&mut runtime, plenty(), &fake).await?;
        let mut imported = verdict(&runtime, "c1", 0);
        imported.comment.platform = Platform::Mastodon;
        let hide = decide(&imported, 0, Outcome::Hide, None);
        deliver(&enforcer, &[&hide]).await?;
        finish(&enforcer, SOON).await?;
        enforcer.publish_unsent(&runtime).await?;
        assert!(fake.world().calls.is_empty(), "{on:?}");
        assert_eq!(
            states(&published(&runtime).await?, &hide, Action::Report),
            ["requested", "failed"],
            "{on:?}"
        );
    }
    Ok(())
}

/// A token that is refused stops its account and no other; once it is good again, what waits goes on by itself.
#[tokio::test]
async fn a_refused_token_stops_its_account_only() -> anyhow::Result<()> {
    for on in On::both() {
        let dir = tempfile::tempdir()?;
        let mut runtime = on.runtime(dir.path(), false).await?;
        let other = AccountConfig {
            id: "autre".to_owned(),
            ..account(false)
        };
        set_accounts(&mut runtime, &[account(false), other])?;
        let (refused, accepted) = (Fake::new(&EVERYTHING), Fake::new(&EVERYTHING));
        refused.world().faults = vec![Some(Fault::Before(PlatformError::Unauthorized("refused (401)".to_owned()))); 3].into();
        let (first, second) = (AccountId::new(ACCOUNT)?, AccountId::new("autre")?);
        let actors: BTreeMap<AccountId, Arc<dyn Actor>> = BTreeMap::from([
            (first.clone(), Arc::new(refused.clone()) as Arc<dyn Actor>),
            (second.clone(), Arc::new(accepted.clone())),
        ]);
        let pace = vigie_enforcer::Pace {
            refused_ms: 1_500,
            ..fast()
        };
        let enforcer = Enforcer::open(plenty(), &runtime, Actors::from_map(actors), pace).await?;
        let mut elsewhere = verdict(&runtime, "c2", 0);
        elsewhere.comment.account = second.clone();
        let here = decide(&verdict(&runtime, "c1", 0), 0, Outcome::Hide, None);
        deliver(&enforcer, &[&here, &decide(&elsewhere, 0, Outcome::Hide, None)]).await?;
        assert_eq!(enforcer.step(&first).await?, Step::Done);
        let Step::Wait(Some(_)) = enforcer.step(&first).await? else {
            panic!("{on:?}: the account does not rest")
        };
        assert_eq!(enforcer.step(&second).await?, Step::Done);
        assert!(accepted.world().hidden.contains("c2"), "{on:?}");
        finish(&enforcer, SOON).await?;
        enforcer.publish_unsent(&runtime).await?;
        assert_eq!(
            states(&published(&runtime).await?, &here, Action::Hide),
            ["requested", "sent", "confirmed"],
            "{on:?}"
        );
    }
    Ok(())
}

/// A server that is down is not asked once for each of many comments.
#[tokio::test]
async fn a_server_that_is_down_is_left_alone_for_a_while() -> anyhow::Result<()> {
    for on in On::both() {
        let dir = tempfile::tempdir()?;
        let mut runtime = on.runtime(dir.path(), false).await?;
        let fake = Fake::new(&EVERYTHING);
        fake.world().faults = vec![Some(Fault::Before(transient())); 1000].into();
        runtime.registry = prometheus::Registry::new();
        let pace = vigie_enforcer::Pace {
            retry_first_ms: 60_000,
            retry_longest_ms: 60_000,
            ..fast()
        };
        let enforcer = Enforcer::open(plenty(), &runtime, fake.actors(), pace.clone()).await?;
        for number in 0..40 {
            deliver(
                &enforcer,
                &[&decide(&verdict(&runtime, &format!("c{number}"), 0), 0, Outcome::Hide, None)],
            )
            .await?;
        }
        let id = AccountId::new(ACCOUNT)?;
        while enforcer.step(&id).await? == Step::Done {}
        assert_eq!(i64::try_from(fake.acts())?, pace.failures_max, "{on:?}");
    }
    Ok(())
}
