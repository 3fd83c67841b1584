//! Crashes between any two steps, and the order of revisions.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use vigie_bus::faults::{Faults, FaultyBus};
use vigie_runtime::testing;

use super::*;
use crate::tests_support::{account, row, runtime_with};

fn incoming(id: &str, text: &str, edited_at: Option<&str>) -> Incoming {
    let mut row = row(id, text);
    row.edited_at = edited_at.map(|at| at.parse().expect("a time"));
    Incoming::from_row(&account(), row, Timestamp::now()).expect("a row")
}

fn deletion(id: &str, at: &str) -> Incoming {
    Incoming {
        deleted_at: at.parse().ok(),
        ..incoming(id, "", None)
    }
}

fn manner(mark: Option<&str>) -> Manner {
    let mark = mark.map(|position| Mark::Position {
        source: "test",
        position: position.to_owned(),
    });
    Manner {
        origin: Origin::Import,
        patience: Patience::UntilStopped,
        mark,
        look_after: None,
    }
}

/// Everything on [comments], in order.
async fn published(runtime: &Runtime) -> anyhow::Result<Vec<Comment>> {
    crate::tests_support::published(runtime.bus.as_ref()).await
}

/// The revisions of each comment in the order in which they were published, each once.
fn histories(published: &[Comment]) -> BTreeMap<String, Vec<String>> {
    let mut histories: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for comment in published {
        let shown = if comment.deleted.is_some() {
            "†".to_owned()
        } else {
            comment.text.clone()
        };
        let history = histories.entry(comment.native_id.to_string()).or_default();
        if !history.contains(&shown) {
            history.push(shown);
        }
    }
    histories
}

#[tokio::test]
async fn what_is_known_is_not_published_again() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let runtime = testing::runtime(dir.path()).await?;
    let acceptor = Acceptor::open(&runtime).await?;
    let batch = || vec![incoming("1", "un", None), incoming("2", "deux", None), incoming("1", "un", None)];
    assert_eq!(
        acceptor.accept(&account(), batch(), manner(None)).await?,
        [Fate::New, Fate::New, Fate::Known]
    );
    assert_eq!(
        acceptor.accept(&account(), batch(), manner(None)).await?,
        [Fate::Known, Fate::Known, Fate::Known]
    );
    assert_eq!(published(&runtime).await?.len(), 2);
    let again = Acceptor::open(&runtime).await?;
    assert!(Arc::ptr_eq(&acceptor.0, &again.0), "one acceptor for a process");
    Ok(())
}

#[tokio::test]
async fn an_older_revision_never_overrides_a_newer_one() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    revisions_stay_in_order(testing::runtime(dir.path()).await?).await
}

#[tokio::test]
async fn the_same_holds_on_postgresql() -> anyhow::Result<()> {
    let Some(url) = testing::peer("POSTGRES_URL") else {
        return Ok(());
    };
    let dir = tempfile::tempdir()?;
    let runtime = testing::runtime_on_postgres(dir.path(), &url).await?;
    revisions_stay_in_order(runtime.clone()).await?;
    let acceptor = Acceptor::open(&runtime).await?;
    let (store, id) = (acceptor.store(), account().id);
    // What is looked at again, and when.
    let look = Manner {
        look_after: Some(Duration::ZERO),
        ..manner(None)
    };
    acceptor
        .accept(&account(), vec![incoming("watched", "a", None), incoming("gone", "a", None)], look)
        .await?;
    let soon = Timestamp::now().checked_add(SignedDuration::from_secs(1))?;
    let due = store.due(&id, soon, 10).await?;
    assert_eq!(due.len(), 2);
    assert_eq!((due[0].post.as_str(), due[0].platform), ("p1", vigie_domain::Platform::Generic));
    let next: Vec<_> = due.iter().map(|watched| (watched.comment_id.clone(), None)).collect();
    store.looked_at(&next).await?;
    assert!(store.due(&id, soon, 10).await?.is_empty());
    // A request, and forgetting.
    let mark = Mark::Request {
        key: "k".to_owned(),
        body_sha256: "s".to_owned(),
    };
    let asked = Manner {
        mark: Some(mark),
        ..manner(None)
    };
    acceptor.accept(&account(), Vec::new(), asked).await?;
    assert_eq!(store.request(&id, "k").await?.as_deref(), Some("s"));
    assert!(store.created_at(&due[0].comment_id).await?.is_some());
    assert!(!store.forget(soon, soon).await?);
    assert_eq!(
        (store.request(&id, "k").await?, store.created_at(&due[0].comment_id).await?),
        (None, None)
    );
    Ok(())
}

async fn revisions_stay_in_order(runtime: Runtime) -> anyhow::Result<()> {
    let acceptor = Acceptor::open(&runtime).await?;
    let (first, second, third) = (None, Some("2026-11-24T11:00:00Z"), Some("2026-11-24T12:00:00Z"));
    let steps = [
        (incoming("edited", "a", first), Fate::New),
        (incoming("edited", "c", third), Fate::New),
        (incoming("edited", "b", second), Fate::Known),
        (incoming("edited", "a", first), Fate::Known),
        // A source without edit times shows an edit by the text alone.
        (incoming("silent", "a", first), Fate::New),
        (incoming("silent", "b", first), Fate::New),
        (incoming("silent", "a", first), Fate::Known),
        // A deletion is final, until a later edit shows that it was none.
        (incoming("deleted", "a", third), Fate::New),
        (deletion("deleted", "2026-11-24T09:00:00Z"), Fate::New),
        (deletion("deleted", "2026-11-24T13:00:00Z"), Fate::Known),
        (incoming("deleted", "b", third), Fate::Known),
        (incoming("deleted", "a", third), Fate::Known),
        (incoming("deleted", "d", Some("2026-11-24T14:00:00Z")), Fate::New),
        // A deletion may come first.
        (deletion("late", "2026-11-24T13:00:00Z"), Fate::New),
        (incoming("late", "a", first), Fate::Known),
    ];
    for (index, (incoming, expected)) in steps.into_iter().enumerate() {
        let fates = acceptor.accept(&account(), vec![incoming], manner(None)).await?;
        assert_eq!(fates, [expected], "step {index}");
    }
    let comments = published(&runtime).await?;
    let of = |id: &str| histories(&comments)[id].join(" ");
    assert_eq!(
        (of("edited"), of("silent"), of("deleted"), of("late")),
        ("a c".into(), "a b".into(), "a † d".into(), "†".into())
    );
    for (before, after) in comments.iter().zip(&comments[1..]).filter(|(before, after)| before.id == after.id) {
        assert!(before.revised_at() <= after.revised_at(), "{} {}", before.native_id, before.text);
    }
    Ok(())
}

/// The same in one batch: what is decided about a comment sees those before it.
#[tokio::test]
async fn a_batch_is_taken_in_order() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let runtime = testing::runtime(dir.path()).await?;
    let acceptor = Acceptor::open(&runtime).await?;
    let edit = Some("2026-11-24T12:00:00Z");
    let batch = vec![
        incoming("1", "b", edit),
        incoming("1", "a", None),
        deletion("1", "2026-11-24T12:30:00Z"),
        deletion("1", "2026-11-24T12:40:00Z"),
    ];
    let fates = acceptor.accept(&account(), batch, manner(None)).await?;
    assert_eq!(fates, [Fate::New, Fate::Known, Fate::New, Fate::Known]);
    assert_eq!(histories(&published(&runtime).await?)["1"], ["b", "†"]);
    Ok(())
}

#[tokio::test]
async fn ids_that_are_none_are_rejected_and_the_rest_goes_on() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let runtime = testing::runtime(dir.path()).await?;
    let acceptor = Acceptor::open(&runtime).await?;
    let bad = |id: &str, post: &str| Incoming {
        native_id: id.to_owned(),
        post: post.to_owned(),
        ..incoming("x", "texte", None)
    };
    let batch = vec![
        bad("a\nb", "p"),
        bad("c", ""),
        incoming("1", "un", None),
        bad(&"x".repeat(600), "p"),
    ];
    let fates = acceptor.accept(&account(), batch, manner(Some("1"))).await?;
    assert_eq!(
        fates
            .iter()
            .filter(|fate| matches!(fate, Fate::Rejected(reason) if !reason.contains("texte")))
            .count(),
        3
    );
    assert_eq!(fates[2], Fate::New);
    assert_eq!(acceptor.store().position(&account().id, "test").await?.as_deref(), Some("1"));
    Ok(())
}

/// A future that is dropped after so many polls: what kill -9 does between two steps, as far as one process can do it to itself.
struct Killed<F> {
    inner: Pin<Box<F>>,
    polls_left: u32,
}

impl<F: Future> Future for Killed<F> {
    type Output = Option<F::Output>;
    fn poll(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<Self::Output> {
        if self.polls_left == 0 {
            return Poll::Ready(None);
        }
        self.polls_left -= 1;
        self.inner.as_mut().poll(context).map(Some)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_step_loses_nothing_and_leaves_no_gap() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let runtime = testing::runtime(dir.path()).await?;
    let acceptor = Acceptor::open(&runtime).await?;
    let account = account();
    let mut crashes = 0;
    for step in 1..200_u32 {
        let (one, two) = (format!("{step}-1"), format!("{step}-2"));
        let mark = format!("after {step}");
        let batch = || {
            vec![
                incoming(&one, "a", None),
                incoming(&two, "a", None),
                incoming(&one, "b", Some("2026-11-24T12:00:00Z")),
                deletion(&two, "2026-11-24T12:30:00Z"),
            ]
        };
        let ended = Killed {
            inner: Box::pin(acceptor.accept(&account, batch(), manner(Some(&mark)))),
            polls_left: step,
        }
        .await;
        if ended.is_none() {
            crashes += 1;
            // Whatever is under way in other threads: it either happened or it did not. Nothing may be marked that is not there.
            if acceptor.store().position(&account.id, "test").await?.as_ref() == Some(&mark) {
                assert!(
                    histories(&published(&runtime).await?).contains_key(&two),
                    "{step}: marked and not published"
                );
            }
            acceptor.accept(&account, batch(), manner(Some(&mark))).await?;
        }
        assert_eq!(acceptor.store().position(&account.id, "test").await?, Some(mark));
        if ended.is_some() {
            break;
        }
    }
    assert!(crashes >= 4, "only {crashes} crashes: the test proves nothing");
    let comments = published(&runtime).await?;
    let histories = histories(&comments);
    for step in 1..=crashes {
        assert_eq!(histories[&format!("{step}-1")], ["a", "b"], "{step}");
        assert_eq!(histories[&format!("{step}-2")], ["a", "†"], "{step}");
    }
    let revisions: BTreeSet<_> = comments.iter().map(|comment| comment.revision.clone()).collect();
    assert_eq!(
        revisions.len(),
        4 * histories.len() / 2,
        "the same revision has the same id after a crash"
    );
    Ok(())
}

#[tokio::test]
async fn a_bus_that_fails_is_tried_again_or_said_to_have_failed() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let mut runtime = runtime_with(dir.path(), vec![]).await?;
    let faulty = FaultyBus::new(
        Arc::clone(&runtime.bus),
        Faults {
            seed: 7,
            fail_before: 0.3,
            fail_after: 0.3,
            ..Faults::default()
        },
    );
    let whole = std::mem::replace(&mut runtime.bus, Arc::clone(&faulty) as Arc<dyn vigie_bus::Bus>);
    let acceptor = Acceptor::open(&runtime).await?;
    let mut impatient_failures = 0;
    for index in 0..30 {
        let id = index.to_string();
        let batch = || vec![incoming(&id, "a", None), incoming(&id, "b", Some("2026-11-24T12:00:00Z"))];
        if index % 2 == 0 {
            assert_eq!(
                acceptor.accept(&account(), batch(), manner(Some(&id))).await?,
                [Fate::New, Fate::New]
            );
            continue;
        }
        // A sender that repeats until it is told 202.
        while acceptor
            .accept(
                &account(),
                batch(),
                Manner {
                    patience: Patience::Once,
                    ..manner(Some(&id))
                },
            )
            .await
            .is_err()
        {
            impatient_failures += 1;
            assert_ne!(
                acceptor.store().position(&account().id, "test").await?.as_ref(),
                Some(&id),
                "marked although the bus did not take it"
            );
        }
    }
    assert!(
        impatient_failures > 0 && faulty.injected().failed_after > 0,
        "no fault: the test proves nothing"
    );
    let histories = histories(&crate::tests_support::published(whole.as_ref()).await?);
    assert_eq!(histories.len(), 30);
    assert!(histories.values().all(|history| *history == ["a", "b"]), "{histories:?}");
    Ok(())
}

#[tokio::test]
async fn old_comments_are_forgotten_a_bounded_number_at_a_time() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let runtime = testing::runtime(dir.path()).await?;
    let acceptor = Acceptor::open(&runtime).await?;
    let many = (0..700).map(|index| incoming(&index.to_string(), "a", None)).collect();
    acceptor.accept(&account(), many, manner(None)).await?;
    let future = Timestamp::now().checked_add(SignedDuration::from_hours(1))?;
    assert!(!acceptor.store().forget(Timestamp::MIN, future).await?, "nothing is that old");
    assert_eq!(
        acceptor.accept(&account(), vec![incoming("699", "a", None)], manner(None)).await?,
        [Fate::Known]
    );
    assert!(acceptor.store().forget(future, future).await?);
    assert!(!acceptor.store().forget(future, future).await?);
    assert_eq!(
        acceptor.accept(&account(), vec![incoming("699", "a", None)], manner(None)).await?,
        [Fate::New]
    );
    Ok(())
}
