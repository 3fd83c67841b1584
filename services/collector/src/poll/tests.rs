//! One account against a platform that misbehaves, a bus that fails and a process that dies.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use vigie_bus::Bus;
use vigie_bus::faults::{Faults, FaultyBus};
use vigie_domain::{AccountId, Comment};
use vigie_platforms::{Pace, Page, RawComment};
use vigie_runtime::Runtime;
use vigie_runtime::units::Interval;

use super::*;
use crate::config::PresenceConfig;
use crate::tests_support::{account_config, published, runtime_with};

const PAGES: usize = 40;
const PER_PAGE: usize = 5;

/// What the platform holds, and how it misbehaves.
#[derive(Default)]
struct World {
    pages: Vec<Vec<RawComment>>,
    /// Comments as they stand now; those that are in a page and not here are gone.
    standing: BTreeMap<String, RawComment>,
    /// Given instead of an answer, first come first.
    errors: VecDeque<PlatformError>,
    refuses: Option<PlatformError>,
    unknown: BTreeSet<String>,
    polls: usize,
}

#[derive(Clone, Default)]
struct Platform(Arc<Mutex<World>>);

impl Platform {
    fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().expect("no test panics while it holds this")
    }

    fn polls(&self) -> usize {
        self.lock().polls
    }

    fn add_page(&self, comments: Vec<RawComment>) {
        let mut world = self.lock();
        world
            .standing
            .extend(comments.iter().map(|comment| (comment.native_id.clone(), comment.clone())));
        world.pages.push(comments);
    }
}

struct Reader(Platform);

#[async_trait]
impl Source for Reader {
    async fn poll(&mut self, cursor: Option<&str>) -> Result<Page, PlatformError> {
        tokio::task::yield_now().await;
        let mut world = self.0.lock();
        world.polls += 1;
        if let Some(error) = world.refuses.clone().or_else(|| world.errors.pop_front()) {
            return Err(error);
        }
        let at: usize = cursor.map_or(0, |cursor| cursor.parse().expect("a cursor of this source"));
        let Some(comments) = world.pages.get(at).cloned() else {
            return Ok(Page {
                cursor: cursor.map(str::to_owned),
                ..Page::default()
            });
        };
        Ok(Page {
            comments,
            cursor: Some((at + 1).to_string()),
            more: at + 1 < world.pages.len(),
        })
    }

    async fn presence(&mut self, ids: &[String]) -> Result<Vec<Presence>, PlatformError> {
        let world = self.0.lock();
        let answer = |id: &String| match world.standing.get(id) {
            _ if world.unknown.contains(id) => Presence::Unknown,
            Some(comment) => Presence::Present(Box::new(RawComment {
                post: "parent".to_owned(),
                ..comment.clone()
            })),
            None => Presence::Gone,
        };
        Ok(ids.iter().map(answer).collect())
    }

    fn set_pace(&mut self, _: Pace) {}
}

fn comment(id: &str, text: &str) -> RawComment {
    RawComment {
        native_id: id.to_owned(),
        post: "p".to_owned(),
        parent: None,
        author_native: Some("a".to_owned()),
        text: text.to_owned(),
        parent_text: None,
        post_text: Some("Le post".to_owned()),
        created_at: Timestamp::now(),
        edited_at: None,
        deleted: false,
        permalink: None,
        language: None,
        raw: b"{}".to_vec(),
    }
}

fn config() -> Config {
    Config {
        rest: Interval::milliseconds(5),
        back_off_max: Interval::milliseconds(20),
        paused_retry: Interval::milliseconds(50),
        presence: PresenceConfig {
            every: Interval::milliseconds(10),
            day: Interval::milliseconds(10),
            ..PresenceConfig::default()
        },
        ..Config::default()
    }
}

async fn runtime(dir: &std::path::Path, accounts: &[&str]) -> anyhow::Result<Runtime> {
    runtime_with(dir, accounts.iter().map(|id| account_config(id, "mastodon")).collect()).await
}

/// A poller in a task of its own.
fn start(
    runtime: &Runtime,
    acceptor: &Acceptor,
    account: &str,
    platform: &Platform,
    config: Config,
) -> tokio::task::JoinHandle<anyhow::Result<()>> {
    let id = AccountId::new(account).expect("an id");
    let poller = Poller {
        acceptor: acceptor.clone(),
        account: runtime.accounts.get(&id).expect("configured").clone(),
        source: Box::new(Reader(platform.clone())),
        config: Arc::new(config),
        stop: runtime.stop.clone(),
    };
    tokio::spawn(poller.run())
}

async fn until<F: Future<Output = anyhow::Result<bool>>>(what: &str, mut holds: impl FnMut() -> F) -> anyhow::Result<()> {
    for _ in 0..1500 {
        if holds().await? {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    anyhow::bail!("waited 30 s in vain until {what}")
}

fn ids(comments: &[Comment]) -> BTreeSet<String> {
    comments.iter().map(|comment| comment.native_id.to_string()).collect()
}

fn gauge(runtime: &Runtime, name: &str, account: &str) -> f64 {
    let families = runtime.registry.gather();
    let family = families.iter().find(|family| family.name() == name).expect("registered");
    let labelled = |metric: &&prometheus::proto::Metric| metric.get_label().iter().any(|label| label.value() == account);
    family
        .get_metric()
        .iter()
        .find(labelled)
        .map_or(f64::NAN, |metric| metric.get_gauge().get_value())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_arrives_whatever_fails_and_whenever_the_process_dies() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let mut runtime = runtime(dir.path(), &["musee"]).await?;
    let faulty = FaultyBus::new(
        Arc::clone(&runtime.bus),
        Faults {
            seed: 11,
            fail_before: 0.1,
            fail_after: 0.1,
            ..Faults::default()
        },
    );
    let whole = std::mem::replace(&mut runtime.bus, Arc::clone(&faulty) as Arc<dyn Bus>);
    let platform = Platform::default();
    for page in 0..PAGES {
        platform.add_page((0..PER_PAGE).map(|index| comment(&format!("{page}-{index}"), "Bravo")).collect());
    }
    let until_soon = Timestamp::now().checked_add(jiff::SignedDuration::from_millis(30))?;
    platform.lock().errors = [
        PlatformError::Transient("500".to_owned()),
        PlatformError::Malformed("<html>".to_owned()),
        PlatformError::Throttled { until: None },
        PlatformError::Throttled { until: Some(until_soon) },
        PlatformError::Transient("no answer in time".to_owned()),
    ]
    .into();
    // The process dies every few milliseconds: a new poller goes on from what is stored.
    let acceptor = Acceptor::open(&runtime).await?;
    let mut kills = 0;
    for life in 1..400 {
        let task = start(&runtime, &acceptor, "musee", &platform, config());
        tokio::time::sleep(Duration::from_millis(3 + life % 17)).await;
        task.abort();
        let _ = task.await;
        kills += 1;
        if acceptor.store().position(&AccountId::new("musee")?, SOURCE).await? == Some(PAGES.to_string()) {
            break;
        }
    }
    assert!(kills > 5, "only {kills} deaths: the test proves nothing");
    assert!(
        faulty.injected().failed_before + faulty.injected().failed_after > 0,
        "the bus never failed"
    );
    let comments = published(whole.as_ref()).await?;
    assert_eq!(ids(&comments).len(), PAGES * PER_PAGE);
    let revisions: BTreeSet<_> = comments.iter().map(|comment| &comment.revision).collect();
    assert_eq!(revisions.len(), PAGES * PER_PAGE, "one revision each");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_token_pauses_its_account_and_no_other() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let runtime = runtime(dir.path(), &["dead", "alive"]).await?;
    let acceptor = Acceptor::open(&runtime).await?;
    let (dead, alive) = (Platform::default(), Platform::default());
    dead.add_page(vec![comment("d", "Bravo")]);
    alive.add_page(vec![comment("a", "Bravo")]);
    dead.lock().refuses = Some(PlatformError::Unauthorized("401".to_owned()));
    let tasks = [
        start(&runtime, &acceptor, "dead", &dead, config()),
        start(&runtime, &acceptor, "alive", &alive, config()),
    ];
    until("the other account is read", || async {
        Ok(alive.polls() > 5 && ids(&published(runtime.bus.as_ref()).await?).contains("a"))
    })
    .await?;
    assert_eq!(
        (
            gauge(&runtime, "vigie_collector_paused", "dead"),
            gauge(&runtime, "vigie_collector_paused", "alive")
        ),
        (1.0, 0.0)
    );
    assert!(dead.polls() < alive.polls(), "a paused account is asked seldom");
    until("the age of its position grows", || async {
        Ok(gauge(&runtime, "vigie_collector_cursor_age_seconds", "dead") > 0.2)
    })
    .await?;
    dead.lock().refuses = None;
    until("it goes on with a new token", || async {
        Ok(ids(&published(runtime.bus.as_ref()).await?).contains("d"))
    })
    .await?;
    until("the pause is over", || async {
        Ok(gauge(&runtime, "vigie_collector_paused", "dead") == 0.0)
    })
    .await?;
    runtime.stop.cancel();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_and_deletions_are_found_by_looking() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let runtime = runtime(dir.path(), &["musee"]).await?;
    let acceptor = Acceptor::open(&runtime).await?;
    let platform = Platform::default();
    platform.add_page(["same", "edited", "gone", "unknown"].map(|id| comment(id, "avant")).to_vec());
    {
        let mut world = platform.lock();
        world.standing.remove("gone");
        world.standing.remove("unknown");
        world.unknown.insert("unknown".to_owned());
        let edited = world.standing.get_mut("edited").expect("there");
        edited.text = "après".to_owned();
        edited.edited_at = Some(Timestamp::now());
    }
    let task = start(&runtime, &acceptor, "musee", &platform, config());
    until("both are seen", || async { Ok(published(runtime.bus.as_ref()).await?.len() >= 6) }).await?;
    let polls = platform.polls();
    until("it looks again", || async { Ok(platform.polls() > polls + 20) }).await?;
    runtime.stop.cancel();
    task.await??;
    let comments = published(runtime.bus.as_ref()).await?;
    let of = |id: &str| {
        comments
            .iter()
            .filter(|comment| comment.native_id.as_str() == id)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (of("same").len(), of("unknown").len(), of("edited").len(), of("gone").len()),
        (1, 1, 2, 2)
    );
    let (edit, deletion) = (of("edited")[1], of("gone")[1]);
    assert_eq!(
        (edit.text.as_str(), edit.post.as_str()),
        ("après", "p"),
        "the post that is known stays"
    );
    assert_eq!(deletion.deleted.as_ref().map(|tombstone| tombstone.source.as_str()), Some("poll"));
    assert_eq!((deletion.text.as_str(), deletion.post.as_str()), ("", "p"));
    assert!(deletion.revised_at() > of("gone")[0].revised_at());
    Ok(())
}

#[tokio::test]
async fn stopping_lets_go_of_a_platform_that_does_not_answer() -> anyhow::Result<()> {
    struct Silent;
    #[async_trait]
    impl Source for Silent {
        async fn poll(&mut self, _: Option<&str>) -> Result<Page, PlatformError> {
            std::future::pending().await
        }
        async fn presence(&mut self, _: &[String]) -> Result<Vec<Presence>, PlatformError> {
            std::future::pending().await
        }
        fn set_pace(&mut self, _: Pace) {}
    }
    let dir = tempfile::tempdir()?;
    let runtime = runtime(dir.path(), &["musee"]).await?;
    let account = runtime.accounts.get(&AccountId::new("musee")?).expect("configured").clone();
    let acceptor = Acceptor::open(&runtime).await?;
    let poller = Poller {
        acceptor,
        account,
        source: Box::new(Silent),
        config: Arc::new(config()),
        stop: runtime.stop.clone(),
    };
    let task = tokio::spawn(poller.run());
    tokio::task::yield_now().await;
    runtime.stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), task).await???;
    Ok(())
}
