//! The archive as a whole: facts in any order, twice, over crashes; what the index holds; what it must never hold.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::{Timestamp, ToSpan as _};
use vigie_archive::analysis;
use vigie_archive::chain;
use vigie_archive::search::{self, Search};
use vigie_archive::service::Archivist;
use vigie_bus::Delivery;
use vigie_domain::{
    Act, Action, Comment, Decision, DecisionAuthor, DecisionId, Enforcement, EnforcementId, EnforcementState, InstitutionId, LegalBasis,
    NativeCommentId, NewComment, Outcome, Platform, Pseudonym, ReportId, ReportState, Route, Target, Tombstone, Topic, Verdict, VerdictId,
    WireRecord,
};
use vigie_runtime::{Handler as _, Runtime, record, testing};

const SECRET: &str = "ornithorynque";

fn delivery<T: WireRecord>(topic: Topic, wire: &T) -> Delivery {
    Delivery {
        topic,
        partition: 0,
        offset: 0,
        timestamp_ms: 0,
        record: record(wire),
    }
}

fn time(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_795_470_000 + minutes * 60).expect("a constant time")
}

/// A revision of comment `name`; `edited` and `deleted` in minutes.
fn comment(name: &str, text: &str, edited: Option<i64>, deleted: Option<i64>) -> Comment {
    let sample = testing::sample_comment(text);
    NewComment {
        platform: Platform::Mastodon,
        account: sample.account,
        institution: sample.institution,
        post: sample.post,
        native_id: NativeCommentId::new(name).expect("a name"),
        parent: None,
        author: Some(vigie_domain::AuthorPseudonym::new(format!("{:0>64}", name.len())).expect("a pseudonym")),
        author_sealed: None,
        text: text.to_owned(),
        context: sample.context,
        created_at: time(0),
        edited_at: edited.map(time),
        collected_at: time(1 + edited.unwrap_or_default()),
        deleted: deleted.map(|at| Tombstone {
            at: time(at),
            source: "poll".to_owned(),
        }),
        permalink: None,
        language: None,
        evidence: None,
    }
    .build()
}

fn verdict(comment: Comment, escalate: bool) -> Verdict {
    let id = VerdictId::derive(&comment.revision, "model", "rulebook", "policy");
    Verdict {
        id,
        comment,
        escalate,
        route: Route::Review,
        ..testing::sample_verdict("x", Route::Review)
    }
}

fn decision(verdict: &Verdict, sequence: u32, outcome: Outcome, undoes: Option<u32>) -> Decision {
    Decision {
        id: DecisionId::derive(&verdict.comment.revision, sequence),
        sequence,
        verdict: verdict.clone(),
        outcome,
        acts: vec![Act::Threat],
        targets: vec![Target::PublicAgent],
        legal_basis: Some(LegalBasis::MenaceAgentPublic),
        note: Some("à transmettre".to_owned()),
        author: DecisionAuthor::Moderator {
            pseudonym: Pseudonym::new("Camille").expect("a name"),
        },
        decided_at: time(10 + i64::from(sequence)),
        blind: false,
        undoes: undoes.map(|sequence| DecisionId::derive(&verdict.comment.revision, sequence)),
    }
}

fn enforcement(decision: &Decision, state: EnforcementState) -> Enforcement {
    let comment = &decision.verdict.comment;
    Enforcement {
        id: EnforcementId::derive(&decision.id, "report"),
        decision: decision.id.clone(),
        comment: comment.id.clone(),
        revision: comment.revision.clone(),
        platform: comment.platform,
        account: comment.account.clone(),
        action: Action::Report,
        state,
        dry_run: true,
        attempts: 1,
        at: time(20),
        error: None,
    }
}

/// Everything that can happen to a comment, with the reports that must follow.
fn story() -> (Vec<Delivery>, BTreeMap<ReportId, ReportState>) {
    let mut deliveries = Vec::new();
    let mut expected = BTreeMap::new();
    let mut expect = |verdict: &Verdict, state| {
        expected.insert(ReportId::derive(&verdict.comment.revision), state);
    };

    let waiting = verdict(comment("waiting", "Je vais brûler le musée", None, None), true);
    deliveries.push(delivery(Topic::Verdicts, &waiting));
    expect(&waiting, ReportState::Signalled);

    let confirmed = verdict(comment("confirmed", "On va vous égorger", None, None), true);
    let escalation = decision(&confirmed, 0, Outcome::Escalate, None);
    deliveries.push(delivery(Topic::Verdicts, &confirmed));
    deliveries.push(delivery(Topic::Decisions, &escalation));
    deliveries.extend(
        [EnforcementState::Requested, EnforcementState::Confirmed]
            .map(|state| delivery(Topic::Enforcements, &enforcement(&escalation, state))),
    );
    expect(&confirmed, ReportState::Escalated);

    let dismissed = verdict(comment("dismissed", "Ce film est une tuerie", None, None), true);
    deliveries.push(delivery(Topic::Verdicts, &dismissed));
    deliveries.push(delivery(Topic::Decisions, &decision(&dismissed, 0, Outcome::Keep, None)));
    expect(&dismissed, ReportState::Dismissed);

    let undone = verdict(comment("undone", "Menace à revoir", None, None), true);
    deliveries.push(delivery(Topic::Verdicts, &undone));
    deliveries.push(delivery(Topic::Decisions, &decision(&undone, 0, Outcome::Keep, None)));
    deliveries.push(delivery(Topic::Decisions, &decision(&undone, 1, Outcome::Keep, Some(0))));
    expect(&undone, ReportState::Signalled);

    let by_person = verdict(comment("by-person", "Je sais où habite le gardien", None, None), false);
    deliveries.push(delivery(Topic::Verdicts, &by_person));
    deliveries.push(delivery(Topic::Decisions, &decision(&by_person, 0, Outcome::Escalate, None)));
    expect(&by_person, ReportState::Escalated);

    let deleted = verdict(comment("deleted", "Effacé avant examen", None, None), true);
    deliveries.push(delivery(Topic::Verdicts, &deleted));
    deliveries.push(delivery(Topic::Verdicts, &verdict(comment("deleted", "", None, Some(30)), false)));
    expect(&deleted, ReportState::Withdrawn);

    let first = verdict(comment("edited", "Première menace", None, None), true);
    let second = verdict(comment("edited", "Seconde menace", Some(5), None), true);
    deliveries.push(delivery(Topic::Verdicts, &first));
    deliveries.push(delivery(Topic::Verdicts, &second));
    expect(&first, ReportState::Withdrawn);
    expect(&second, ReportState::Signalled);

    for number in 0..10 {
        let harmless = verdict(
            comment(&format!("harmless{number}"), &format!("{SECRET} numéro {number}"), None, None),
            false,
        );
        let hidden = decision(&harmless, 0, Outcome::Hide, None);
        deliveries.push(delivery(Topic::Verdicts, &harmless));
        deliveries.push(delivery(Topic::Decisions, &hidden));
        deliveries.push(delivery(Topic::Enforcements, &enforcement(&hidden, EnforcementState::Confirmed)));
    }
    (deliveries, expected)
}

/// SplitMix64.
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % bound as u64).expect("below the bound")
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

async fn open(runtime: &Runtime) -> anyhow::Result<Archivist> {
    Archivist::open(runtime, &runtime.data_dir.join("archive-index")).await
}

async fn states(archivist: &Archivist) -> anyhow::Result<BTreeMap<ReportId, ReportState>> {
    let stored = archivist.store().changed_after(0, 1000).await?;
    Ok(stored.into_iter().map(|report| (report.id, report.state)).collect())
}

/// Tables, index and evidence agree with what must follow from the story.
async fn check(archivist: &Archivist, expected: &BTreeMap<ReportId, ReportState>, seed: u64) -> anyhow::Result<()> {
    assert_eq!(&states(archivist).await?, expected, "seed {seed}");
    let searcher = archivist.searcher();
    assert_eq!(searcher.search(&Search::default(), 0, 100)?.total, expected.len(), "seed {seed}");
    for (id, state) in expected {
        assert_eq!(searcher.occurrences(id)?, 1, "seed {seed}");
        let found = searcher.search(
            &Search {
                state: Some(*state),
                ..Search::default()
            },
            0,
            100,
        )?;
        assert!(found.reports.contains(&id.to_string()), "seed {seed}: {state:?} in the index");
        let report = archivist.store().report(id.as_str()).await?.expect("the report");
        assert_eq!(chain::verify(&report.chain), Ok(()), "seed {seed}");
        let entries: BTreeSet<&str> = report.chain.iter().map(|link| link.entry.as_str()).collect();
        assert_eq!(entries.len(), report.chain.len(), "seed {seed}: nothing is chained twice");
    }
    assert_eq!(
        searcher
            .search(
                &Search {
                    clauses: search::parse(SECRET),
                    ..Search::default()
                },
                0,
                100
            )?
            .total,
        0,
        "seed {seed}"
    );
    Ok(())
}

async fn twice_in_any_order(runtimes: impl AsyncFn(&Path) -> anyhow::Result<Runtime>, seeds: u64) -> anyhow::Result<()> {
    let (story, expected) = story();
    for seed in 0..seeds {
        let dir = tempfile::tempdir()?;
        let runtime = runtimes(dir.path()).await?;
        let mut archivist = open(&runtime).await?;
        let mut draws = Draws(seed);
        let mut deliveries: Vec<Delivery> = story.iter().chain(&story).cloned().collect();
        // The first seed keeps the order; the others know none.
        if seed > 0 {
            draws.shuffle(&mut deliveries);
        }
        let mut rest = deliveries.as_slice();
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(1 + draws.below(rest.len().min(9)));
            assert_eq!(archivist.handle(batch).await?, []);
            rest = later;
        }
        check(&archivist, &expected, seed).await?;
        let before = archivist.store().position().await?;
        archivist.handle(&story).await?;
        assert_eq!(
            archivist.store().position().await?,
            before,
            "seed {seed}: a redelivery changes nothing"
        );
    }
    Ok(())
}

#[tokio::test]
async fn everything_twice_in_shuffled_batches() -> anyhow::Result<()> {
    twice_in_any_order(testing::runtime, 6).await
}

#[tokio::test]
async fn everything_twice_in_shuffled_batches_on_postgres() -> anyhow::Result<()> {
    let Some(url) = testing::peer("POSTGRES_URL") else {
        return Ok(());
    };
    twice_in_any_order(async |dir: &Path| testing::runtime_on_postgres(dir, &url).await, 2).await
}

#[tokio::test]
async fn a_crash_between_tables_and_index_loses_and_doubles_nothing() -> anyhow::Result<()> {
    let (story, expected) = story();
    let dir = tempfile::tempdir()?;
    let mut draws = Draws(7);
    let mut rest = story.as_slice();
    while !rest.is_empty() {
        let (batch, later) = rest.split_at(1 + draws.below(rest.len().min(4)));
        let runtime = testing::runtime(dir.path()).await?;
        let mut archivist = open(&runtime).await?;
        // The tables commit, then the process is gone; half of the time the batch is delivered again.
        archivist.apply(batch).await?;
        drop((archivist, runtime));
        if draws.below(2) == 0 {
            let runtime = testing::runtime(dir.path()).await?;
            archivist = open(&runtime).await?;
            archivist.handle(batch).await?;
        }
        rest = later;
    }
    let runtime = testing::runtime(dir.path()).await?;
    check(&open(&runtime).await?, &expected, 7).await
}

#[tokio::test]
async fn a_damaged_or_foreign_index_is_made_again() -> anyhow::Result<()> {
    let (story, expected) = story();
    let dir = tempfile::tempdir()?;
    let index = dir.path().join("archive-index");
    let runtime = testing::runtime(dir.path()).await?;
    let mut archivist = open(&runtime).await?;
    archivist.handle(&story).await?;
    assert_eq!(archivist.reindex().await?, expected.len());
    check(&archivist, &expected, 0).await?;
    drop((archivist, runtime));
    type Damage = fn(&Path) -> std::io::Result<()>;
    let damages: [Damage; 4] = [
        |index| std::fs::write(index.join("meta.json"), b"{"),
        |index| std::fs::remove_dir_all(index),
        |index| {
            let segment = std::fs::read_dir(index)?
                .flatten()
                .find(|file| file.path().extension().is_some_and(|name| name == "idx"));
            let path = segment.ok_or(std::io::ErrorKind::NotFound)?.path();
            let mut bytes = std::fs::read(&path)?;
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0xff;
            std::fs::remove_file(&path)?;
            std::fs::write(path, bytes)
        },
        |index| {
            let meta = std::fs::read_to_string(index.join("meta.json"))?;
            std::fs::write(index.join("meta.json"), meta.replace("origin\\\":\\\"", "origin\\\":\\\"another"))
        },
    ];
    for damage in damages {
        damage(&index)?;
        let runtime = testing::runtime(dir.path()).await?;
        check(&open(&runtime).await?, &expected, 0).await?;
    }
    Ok(())
}

#[tokio::test]
async fn texts_never_escalated_are_kept_nowhere() -> anyhow::Result<()> {
    let (story, _) = story();
    let dir = tempfile::tempdir()?;
    let runtime = testing::runtime(dir.path()).await?;
    open(&runtime).await?.handle(&story).await?;
    let mut files: Vec<_> = std::fs::read_dir(dir.path())?
        .chain(std::fs::read_dir(dir.path().join("archive-index"))?)
        .flatten()
        .collect();
    files.retain(|file| file.path().is_file());
    assert!(files.iter().any(|file| file.file_name() == "archive.db"));
    for file in files {
        let bytes = std::fs::read(file.path())?;
        let held = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        assert!(!held, "{} holds the text of a comment that nobody escalated", file.path().display());
    }
    Ok(())
}

#[tokio::test]
async fn a_poison_record_is_rejected_and_the_rest_flows_on() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let runtime = testing::runtime(dir.path()).await?;
    let mut archivist = open(&runtime).await?;
    let good = verdict(comment("good", "Je vous tuerai", None, None), true);
    let mut poison = delivery(Topic::Verdicts, &good);
    poison.record.payload = format!("{{\"schema\":\"verdict/1\",\"id\":\"{SECRET}\"}}").into_bytes();
    let rejected = archivist.handle(&[poison, delivery(Topic::Verdicts, &good)]).await?;
    assert_eq!(rejected.iter().map(|rejected| rejected.index).collect::<Vec<_>>(), [0]);
    assert!(!rejected[0].error.contains(SECRET), "{}", rejected[0].error);
    assert_eq!(states(&archivist).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn searches_find_what_people_mean_and_only_what_they_may_see() -> anyhow::Result<()> {
    let (story, _) = story();
    let dir = tempfile::tempdir()?;
    let runtime = testing::runtime(dir.path()).await?;
    let mut archivist = open(&runtime).await?;
    archivist.handle(&story).await?;
    let searcher = archivist.searcher();
    let total = |typed: &str| {
        searcher
            .search(
                &Search {
                    clauses: search::parse(typed),
                    ..Search::default()
                },
                0,
                100,
            )
            .map(|found| found.total)
    };
    for (typed, expected) in [
        ("menaces", 3),
        ("MENACE -seconde", 2),
        ("egorgera", 1),
        ("egorg*", 1),
        ("égorger", 1),
        ("egorger", 1),
        ("bruler", 1),
        ("brûlerait musées", 1),
        ("\"première menace\"", 1),
        ("\"menace première\"", 0),
        ("le la les", 8),
        ("le gardien", 1),
        ("inconnu", 0),
        ("<script>alert(1)</script>", 0),
    ] {
        assert_eq!(total(typed)?, expected, "{typed}");
    }
    for typed in ["\" ) OR AND : ^ ~ *", "a:b", "[", "-", "*", "\"\"", "\u{0}\u{202e}"] {
        assert!(total(typed).is_ok(), "{typed} is no syntax error");
    }
    let with = |search: Search| searcher.search(&search, 0, 100).map(|found| found.total);
    assert_eq!(
        with(Search {
            act: Some(Act::Threat),
            ..Search::default()
        })?,
        3,
        "those that a person labelled"
    );
    assert_eq!(
        with(Search {
            target: Some(Target::Origin),
            ..Search::default()
        })?,
        0
    );
    assert_eq!(
        with(Search {
            platform: Some(Platform::Bluesky),
            ..Search::default()
        })?,
        0
    );
    assert_eq!(
        with(Search {
            from: Some("2030-01-01".parse()?),
            ..Search::default()
        })?,
        0
    );
    let day = time(1).to_zoned(vigie_web::words::paris()).date();
    assert_eq!(
        with(Search {
            from: Some(day),
            to: Some(day.checked_add(1.day())?),
            ..Search::default()
        })?,
        8
    );
    assert_eq!(
        with(Search {
            visible: Some(BTreeSet::new()),
            ..Search::default()
        })?,
        0,
        "who may see nothing sees nothing"
    );
    assert_eq!(
        with(Search {
            visible: Some(BTreeSet::from([InstitutionId::new("autre")?])),
            ..Search::default()
        })?,
        0
    );
    assert_eq!(
        with(Search {
            visible: Some(BTreeSet::from([InstitutionId::new("musee-test")?])),
            ..Search::default()
        })?,
        8
    );
    let marked = analysis::excerpt("On va vous égorger", &search::wanted(&search::parse("egorg*")), 100);
    assert!(marked.iter().any(|piece| piece.found && piece.text == "égorger"), "{marked:?}");
    Ok(())
}

#[tokio::test]
async fn the_service_archives_what_the_bus_brings_and_stops_when_asked() -> anyhow::Result<()> {
    let (story, expected) = story();
    let dir = tempfile::tempdir()?;
    let runtime = testing::runtime(dir.path()).await?;
    let web = vigie_web::Web::open(vigie_web::Config::default(), &runtime).await?;
    let started = vigie_archive::start(vigie_archive::Config::default(), runtime.clone(), web).await?;
    // Every topic twice, the follow-up before what it follows.
    for _ in 0..2 {
        for topic in [Topic::Enforcements, Topic::Decisions, Topic::Verdicts] {
            let records = story
                .iter()
                .filter(|delivery| delivery.topic == topic)
                .map(|delivery| delivery.record.clone())
                .collect();
            vigie_runtime::publish(&runtime, topic, records).await?;
        }
    }
    let store = vigie_archive::store::Store::open(&runtime).await?;
    let arrived = async {
        loop {
            let stored = store.changed_after(0, 1000).await?;
            if stored.len() == expected.len() && stored.iter().all(|report| expected.get(&report.id) == Some(&report.state)) {
                return anyhow::Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), arrived).await??;
    runtime.stop.cancel();
    for task in started.tasks {
        task.await??;
    }
    let mut runtime = runtime;
    runtime.registry = prometheus::Registry::new();
    check(&open(&runtime).await?, &expected, 0).await
}

#[tokio::test]
async fn an_archive_that_is_lost_is_made_again_from_the_topics() -> anyhow::Result<()> {
    let (story, expected) = story();
    let dir = tempfile::tempdir()?;
    let runtime = testing::runtime(dir.path()).await?;
    for topic in [Topic::Verdicts, Topic::Decisions, Topic::Enforcements] {
        let records = story
            .iter()
            .filter(|delivery| delivery.topic == topic)
            .map(|delivery| delivery.record.clone())
            .collect();
        vigie_runtime::publish(&runtime, topic, records).await?;
    }
    // The archive has read and committed everything, then its files are gone.
    let mut consumer = runtime.bus.subscribe("archive", &vigie_archive::service::TOPICS).await?;
    let mut archivist = open(&runtime).await?;
    let mut read = 0;
    while read < story.len() {
        let batch = consumer.receive(100, std::time::Duration::from_secs(5)).await?;
        read += batch.len();
        archivist.handle(&batch).await?;
        consumer.commit().await?;
    }
    drop((consumer, archivist, runtime));
    for name in ["archive.db", "archive.db-wal", "archive.db-shm"] {
        std::fs::remove_file(dir.path().join(name)).ok();
    }
    std::fs::remove_dir_all(dir.path().join("archive-index"))?;

    for _ in 0..2 {
        let mut runtime = testing::runtime(dir.path()).await?;
        let mut told = Vec::new();
        let rebuilt =
            vigie_archive::rebuild_telling(&vigie_archive::Config::default(), &runtime, |read, total| told.push((read, total))).await?;
        assert_eq!(rebuilt.records, story.len() as u64);
        assert_eq!(rebuilt.reports, expected.len());
        assert_eq!(told.last(), Some(&(rebuilt.records, rebuilt.records)));
        runtime.registry = prometheus::Registry::new();
        check(&open(&runtime).await?, &expected, 0).await?;
        // The place of the running archive is where it was.
        let lag = runtime.bus.lag("archive", &vigie_archive::service::TOPICS).await?;
        assert!(lag.iter().all(|lag| lag.records == 0), "{lag:?}");
    }
    Ok(())
}

const CRASH_DIR: &str = "VIGIE_TEST_ARCHIVE_CRASH_DIR";

/// The process that is killed: handles the story in shuffled batches, again and again. Does nothing as a test of its own.
#[tokio::test]
async fn crash_child() -> anyhow::Result<()> {
    let Some(dir) = testing::variable(CRASH_DIR) else { return Ok(()) };
    let runtime = testing::runtime(Path::new(&dir)).await?;
    let mut archivist = open(&runtime).await?;
    std::fs::write(Path::new(&dir).join("started"), b"")?;
    let (mut story, _) = story();
    let mut draws = Draws(u64::from(std::process::id()));
    loop {
        draws.shuffle(&mut story);
        for batch in story.chunks(3) {
            archivist.handle(batch).await?;
        }
    }
}

#[tokio::test]
async fn kill_9_at_random_moments_loses_and_doubles_nothing() -> anyhow::Result<()> {
    let (story, expected) = story();
    let dir = tempfile::tempdir()?;
    let mut draws = Draws(9);
    for _ in 0..12 {
        let started = dir.path().join("started");
        std::fs::remove_file(&started).ok();
        let mut child = std::process::Command::new(std::env::current_exe()?)
            .args(["crash_child", "--exact", "--quiet"])
            .env(CRASH_DIR, dir.path())
            .stdout(std::process::Stdio::null())
            .spawn()?;
        while !started.exists() {
            assert_eq!(child.try_wait()?, None, "the child stopped by itself");
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        std::thread::sleep(std::time::Duration::from_micros(draws.below(60_000) as u64));
        // SIGKILL on Unix: nothing is flushed, nothing is dropped.
        child.kill()?;
        child.wait()?;
    }
    let runtime = testing::runtime(dir.path()).await?;
    let mut archivist = open(&runtime).await?;
    for id in states(&archivist).await?.keys() {
        assert_eq!(
            archivist.searcher().occurrences(id)?,
            1,
            "what the tables have, the index has once, before anything is delivered again"
        );
    }
    archivist.handle(&story).await?;
    check(&archivist, &expected, 9).await
}
