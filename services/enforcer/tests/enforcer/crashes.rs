//! Crashes and faults of the platform and of the bus at every step, and kill -9.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use vigie_bus::{Bus, BusError, Consumer, Lag, Record};
use vigie_domain::{AccountId, Action, Decision, EnforcementState, Outcome, Topic};
use vigie_enforcer::{Actors, Enforcer, state};
use vigie_platforms::{Actor, Confirmation, PlatformError, Subject};
use vigie_runtime::testing;

use crate::support::{
    ACCOUNT, Draws, EVERYTHING, Fake, Fault, On, SOON, account, decide, deliver, fast, finish, open, plenty, published, set_accounts,
    states, transient, verdict,
};

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
                    assert!(crashes < 25, "{on:?} {fault:?} {call}: it never ends");
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

/// What goes wrong in one publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Before,
    After,
    CrashBefore,
    CrashAfter,
}

/// The bus, which fails when told to.
struct Flaky {
    inner: Arc<dyn Bus>,
    troubles: Mutex<VecDeque<Option<Trouble>>>,
}

#[async_trait]
impl Bus for Flaky {
    async fn publish(&self, topic: Topic, batch: Vec<Record>) -> Result<(), BusError> {
        let trouble = self.troubles.lock().unwrap_or_else(PoisonError::into_inner).pop_front().flatten();
        let lost = BusError::Transient("the answer is lost".to_owned());
        match trouble {
            None => self.inner.publish(topic, batch).await,
            Some(Trouble::Before) => Err(lost),
            Some(Trouble::CrashBefore) => std::future::pending().await,
            Some(Trouble::After) => self.inner.publish(topic, batch).await.and(Err(lost)),
            Some(Trouble::CrashAfter) => {
                self.inner.publish(topic, batch).await?;
                std::future::pending().await
            }
        }
    }

    async fn subscribe(&self, group: &str, topics: &[Topic]) -> Result<Box<dyn Consumer>, BusError> {
        self.inner.subscribe(group, topics).await
    }

    async fn lag(&self, group: &str, topics: &[Topic]) -> Result<Vec<Lag>, BusError> {
        self.inner.lag(group, topics).await
    }

    async fn ping(&self) -> Result<(), BusError> {
        self.inner.ping().await
    }

    async fn close(&self) -> Result<(), BusError> {
        self.inner.close().await
    }
}

#[tokio::test]
async fn a_crash_in_the_relay_loses_no_change_of_state() -> anyhow::Result<()> {
    for on in On::both() {
        for trouble in [Trouble::Before, Trouble::After, Trouble::CrashBefore, Trouble::CrashAfter] {
            let dir = tempfile::tempdir()?;
            let fake = Fake::new(&EVERYTHING);
            let mut runtime = on.runtime(dir.path(), false).await?;
            let troubles = Mutex::new([Some(trouble), None, Some(trouble)].into());
            runtime.bus = Arc::new(Flaky {
                inner: Arc::clone(&runtime.bus),
                troubles,
            });
            let mut enforcer = open(&mut runtime, plenty(), &fake).await?;
            let decisions: Vec<Decision> = (0..3)
                .map(|number| decide(&verdict(&runtime, &format!("c{number}"), 0), 0, Outcome::Escalate, None))
                .collect();
            for decision in &decisions {
                deliver(&enforcer, &[decision]).await?;
                finish(&enforcer, SOON).await?;
                let mut crashes = 0;
                while tokio::time::timeout(Duration::from_millis(700), enforcer.publish_unsent(&runtime))
                    .await
                    .is_err()
                {
                    crashes += 1;
                    assert!(crashes < 25, "{on:?} {trouble:?}");
                    enforcer = open(&mut runtime, plenty(), &fake).await?;
                }
            }
            let all = published(&runtime).await?;
            for decision in &decisions {
                for action in [Action::Hide, Action::Report] {
                    assert_eq!(
                        states(&all, decision, action),
                        ["requested", "sent", "confirmed"],
                        "{on:?} {trouble:?}"
                    );
                }
            }
        }
    }
    Ok(())
}

/// A platform that outlives the process: a file with a line for each thing done.
struct OnDisk(PathBuf);

impl OnDisk {
    fn lines(&self) -> Vec<String> {
        std::fs::read_to_string(&self.0)
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    fn actors(self) -> anyhow::Result<Actors> {
        let actor: Arc<dyn Actor> = Arc::new(self);
        Ok(Actors::from_map(BTreeMap::from([(AccountId::new(ACCOUNT)?, actor)])))
    }
}

#[async_trait]
impl Actor for OnDisk {
    fn supports(&self, action: Action) -> bool {
        EVERYTHING.contains(&action)
    }

    async fn act(&self, action: Action, on: &Subject) -> Result<Option<String>, PlatformError> {
        let broken = |error: std::io::Error| PlatformError::Transient(error.to_string());
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.0)
            .map_err(broken)?;
        file.write_all(format!("{} {}\n", action.as_str(), on.native_id).as_bytes())
            .map_err(broken)?;
        Ok(None)
    }

    async fn confirm(&self, action: Action, on: &Subject) -> Result<Confirmation, PlatformError> {
        let done = |action: Action| {
            self.lines()
                .iter()
                .rposition(|line| *line == format!("{} {}", action.as_str(), on.native_id))
        };
        let holds = match action {
            Action::Hide => done(Action::Hide) > done(Action::Unhide),
            Action::Unhide => done(Action::Unhide) >= done(Action::Hide),
            other => done(other).is_some(),
        };
        Ok(if holds { Confirmation::Holds } else { Confirmation::Absent })
    }
}

const CRASH_DIR: &str = "VIGIE_TEST_ENFORCER_CRASH_DIR";
const COMMENTS: usize = 40;

/// Delivers everything and carries it out.
async fn enforce_all(dir: &Path) -> anyhow::Result<(vigie_runtime::Runtime, Vec<Decision>)> {
    let mut runtime = testing::runtime(dir).await?;
    set_accounts(&mut runtime, &[account(false)])?;
    let enforcer = Enforcer::open(plenty(), &runtime, OnDisk(dir.join("platform")).actors()?, fast()).await?;
    std::fs::write(dir.join("started"), b"")?;
    let mut decisions = Vec::new();
    for number in 0..COMMENTS {
        let comment = verdict(&runtime, &format!("c{number}"), 0);
        decisions.push(decide(
            &comment,
            0,
            if number % 2 == 0 { Outcome::Escalate } else { Outcome::Hide },
            None,
        ));
    }
    for batch in decisions.chunks(4) {
        deliver(&enforcer, &batch.iter().collect::<Vec<_>>()).await?;
        finish(&enforcer, SOON).await?;
        enforcer.publish_unsent(&runtime).await?;
    }
    Ok((runtime, decisions))
}

/// The process that is killed. Does nothing as a test of its own.
#[tokio::test]
async fn crash_child() -> anyhow::Result<()> {
    let Some(dir) = testing::variable(CRASH_DIR) else { return Ok(()) };
    enforce_all(Path::new(&dir)).await.map(drop)
}

#[tokio::test]
async fn kill_9_at_random_moments_neither_loses_nor_repeats_an_action() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let mut draws = Draws(u64::from(std::process::id()));
    let mut killed = 0;
    for _ in 0..20 {
        let started = dir.path().join("started");
        std::fs::remove_file(&started).ok();
        let mut child = std::process::Command::new(std::env::current_exe()?)
            .args(["crashes::crash_child", "--exact", "--quiet"])
            .env(CRASH_DIR, dir.path())
            .stdout(std::process::Stdio::null())
            .spawn()?;
        while !started.exists() && child.try_wait()?.is_none() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        tokio::time::sleep(Duration::from_micros(draws.below(80_000) as u64)).await;
        // SIGKILL on Unix: nothing is flushed, nothing is dropped.
        killed += i32::from(child.try_wait()?.is_none());
        child.kill()?;
        child.wait()?;
    }
    assert!(killed >= 3, "only {killed} of 20 were killed at work");
    let (runtime, decisions) = enforce_all(dir.path()).await?;
    let mut lines = OnDisk(dir.path().join("platform")).lines();
    lines.sort();
    let mut expected: Vec<String> = (0..COMMENTS).map(|number| format!("hide c{number}")).collect();
    expected.extend((0..COMMENTS).step_by(2).map(|number| format!("report c{number}")));
    expected.sort();
    assert_eq!(lines, expected, "each thing is done once");
    let all = published(&runtime).await?;
    for decision in &decisions {
        let told = states(&all, decision, Action::Hide);
        assert!(told.first() == Some(&"requested") && told.last() == Some(&"confirmed"), "{told:?}");
    }
    Ok(())
}
