//! The barometer as a whole: counting whatever is delivered twice and in any order, and editions that anybody can compute again.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::{Timestamp, ToSpan as _};
use vigie_barometer::edition;
use vigie_barometer::figures::{Count, Prevalence, Reason};
use vigie_barometer::inputs::{Kind, Scope};
use vigie_barometer::period::Period;
use vigie_barometer::service::Counter;
use vigie_barometer::store::Store;
use vigie_bus::Delivery;
use vigie_domain::{
    AccountId, Act, AuthorPseudonym, Comment, Decision, DecisionAuthor, DecisionId, InstitutionId, NativeCommentId, NewComment, Outcome,
    Platform, PostId, Pseudonym, Route, Target, Tombstone, Topic, Verdict, VerdictId, WireRecord,
};
use vigie_runtime::{Handler as _, Runtime, record, testing};

/// A runtime on SQLite, and one on PostgreSQL where there is one.
async fn runtimes(dir: &Path) -> anyhow::Result<Vec<Runtime>> {
    let mut runtimes = vec![testing::runtime(&dir.join("sqlite")).await?];
    if let Some(url) = testing::peer("POSTGRES_URL") {
        runtimes.push(testing::runtime_on_postgres(&dir.join("postgres"), &url).await?);
    }
    Ok(runtimes)
}

fn delivery<T: WireRecord>(topic: Topic, wire: &T) -> Delivery {
    Delivery {
        topic,
        partition: 0,
        offset: 0,
        timestamp_ms: 0,
        record: record(wire),
    }
}

/// 2026-11-10 12:00 in Paris, plus minutes.
fn time(minutes: i64) -> Timestamp {
    "2026-11-10T11:00:00Z".parse::<Timestamp>().expect("a constant time") + minutes.minutes()
}

struct Of<'a> {
    name: &'a str,
    institution: &'a str,
    author: usize,
    at: Timestamp,
    edited: Option<Timestamp>,
    deleted: Option<Timestamp>,
}

fn comment(of: &Of<'_>) -> Comment {
    NewComment {
        platform: Platform::Generic,
        account: AccountId::new(format!("compte-{}", of.institution)).expect("a name"),
        institution: InstitutionId::new(of.institution).expect("a name"),
        post: PostId::new(format!("post{}", of.author % 7)).expect("a name"),
        native_id: NativeCommentId::new(of.name).expect("a name"),
        parent: None,
        author: Some(AuthorPseudonym::new(format!("{:0>64x}", of.author)).expect("a pseudonym")),
        author_sealed: None,
        text: format!("texte {} {:?}", of.name, of.edited),
        context: vigie_domain::Context::default(),
        created_at: of.at,
        edited_at: of.edited,
        collected_at: of.at + 1.minutes(),
        deleted: of.deleted.map(|at| Tombstone {
            at,
            source: "poll".to_owned(),
        }),
        permalink: None,
        language: None,
        evidence: None,
    }
    .build()
}

fn verdict(comment: Comment, stratum: &str, selected: bool, route: Route) -> Verdict {
    let id = VerdictId::derive(&comment.revision, "model", "rulebook", "policy");
    let mut verdict = Verdict {
        id,
        comment,
        route,
        ..testing::sample_verdict("x", route)
    };
    verdict.audit.stratum = stratum.to_owned();
    verdict.audit.probability = if stratum == "low" { 0.1 } else { 0.5 };
    verdict.audit.selected = selected;
    let score = if stratum == "low" { 0.05 } else { 0.8 };
    verdict.scores.0.insert(vigie_domain::ScoreLabel::Abusive, score);
    verdict
}

fn decision(verdict: &Verdict, sequence: u32, outcome: Outcome, act: Act, undoes: Option<u32>) -> Decision {
    Decision {
        id: DecisionId::derive(&verdict.comment.revision, sequence),
        sequence,
        verdict: verdict.clone(),
        outcome,
        acts: vec![act],
        targets: vec![Target::Origin],
        legal_basis: None,
        note: None,
        author: DecisionAuthor::Moderator {
            pseudonym: Pseudonym::new("Camille").expect("a name"),
        },
        decided_at: verdict.comment.collected_at + 1.hours(),
        blind: true,
        undoes: undoes.map(|sequence| DecisionId::derive(&verdict.comment.revision, sequence)),
    }
}

/// 400 comments of `institution` at `at`: 300 low (30 labelled, 1 abusive), 100 high (50 labelled, 20 abusive), by 40 people.
fn audit(institution: &str, at: Timestamp) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    for number in 0..400_usize {
        let (stratum, place) = if number < 300 { ("low", number) } else { ("high", number - 300) };
        let labelled = if stratum == "low" { 30 } else { 50 };
        let name = format!("{institution}-{}-{number}", at.as_second());
        let of = Of {
            name: &name,
            institution,
            author: number % 40,
            at,
            edited: None,
            deleted: None,
        };
        let verdict = verdict(
            comment(&of),
            stratum,
            place < labelled,
            if stratum == "low" { Route::Keep } else { Route::Review },
        );
        deliveries.push(delivery(Topic::Verdicts, &verdict));
        if place < labelled {
            let abusive = place < if stratum == "low" { 1 } else { 20 };
            let (outcome, act) = if abusive {
                (Outcome::Hide, Act::Insult)
            } else {
                (Outcome::Keep, Act::None)
            };
            deliveries.push(delivery(Topic::Decisions, &decision(&verdict, 0, outcome, act, None)));
        }
    }
    deliveries
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

async fn count(store: &Store, deliveries: &[Delivery]) -> anyhow::Result<()> {
    let mut counter = Counter::new(store.clone());
    for batch in deliveries.chunks(97) {
        assert_eq!(counter.handle(batch).await?, []);
    }
    Ok(())
}

async fn hours(store: &Store) -> anyhow::Result<BTreeMap<(String, String), i64>> {
    let mut sums = BTreeMap::new();
    for hour in store.hours(0).await? {
        assert!(hour.received > 0, "{hour:?}");
        *sums.entry((hour.institution, hour.route)).or_default() += hour.received;
    }
    Ok(sums)
}

/// Comments plain, edited (once, to another route), deleted; one tombstone of a comment never seen.
fn story() -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    for number in 0..60_usize {
        let name = format!("c{number}");
        let of = Of {
            name: &name,
            institution: "musee",
            author: number,
            at: time(0),
            edited: None,
            deleted: None,
        };
        deliveries.push(delivery(Topic::Verdicts, &verdict(comment(&of), "low", false, Route::Keep)));
        if number % 3 == 0 {
            let edited = Of {
                edited: Some(time(30)),
                ..of
            };
            deliveries.push(delivery(Topic::Verdicts, &verdict(comment(&edited), "high", false, Route::Review)));
        }
        if number % 5 == 0 {
            let gone = Of {
                deleted: Some(time(90)),
                name: &name,
                institution: "musee",
                author: number,
                at: time(0),
                edited: None,
            };
            deliveries.push(delivery(Topic::Verdicts, &verdict(comment(&gone), "low", false, Route::Keep)));
        }
    }
    let unseen = Of {
        name: "unseen",
        institution: "musee",
        author: 1,
        at: time(0),
        edited: None,
        deleted: Some(time(90)),
    };
    deliveries.push(delivery(Topic::Verdicts, &verdict(comment(&unseen), "low", false, Route::Keep)));
    deliveries
}

async fn counted_once(runtime: &Runtime, seed: u64) -> anyhow::Result<()> {
    let store = Store::open(runtime).await?;
    let story = story();
    let mut deliveries: Vec<Delivery> = story.iter().chain(&story).cloned().collect();
    if seed > 0 {
        Draws(seed).shuffle(&mut deliveries);
    }
    count(&store, &deliveries).await?;
    let expected = BTreeMap::from([
        (("musee".to_owned(), "keep".to_owned()), 40),
        (("musee".to_owned(), "review".to_owned()), 20),
    ]);
    assert_eq!(
        hours(&store).await?,
        expected,
        "seed {seed}: an edit counts once, a tombstone not at all"
    );
    let inputs = store.inputs(Period::parse("2026-11-10", "2026-11-10")?, true).await?;
    let cell = |kind| {
        inputs
            .cells
            .iter()
            .find(|cell| cell.scope == Scope::All && cell.kind == kind)
            .map(|cell| cell.cell.count)
    };
    assert_eq!(
        (cell(Kind::Received), cell(Kind::DeletedUpstream)),
        (Some(60), Some(12)),
        "seed {seed}"
    );
    Ok(())
}

#[tokio::test]
async fn each_comment_counts_once_in_any_order() -> anyhow::Result<()> {
    for seed in 0..6 {
        let dir = tempfile::tempdir()?;
        for runtime in runtimes(dir.path()).await? {
            counted_once(&runtime, seed).await?;
        }
    }
    Ok(())
}

fn read_all(dir: &Path) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for path in [
        "index.html",
        "figures.csv",
        "figures.schema.json",
        "edition.json",
        "internal/inputs.json",
    ] {
        files.insert(path.to_owned(), std::fs::read(dir.join(path))?);
    }
    Ok(files)
}

async fn edition_of_a_finished_month(runtime: &Runtime) -> anyhow::Result<()> {
    let store = Store::open(runtime).await?;
    count(&store, &audit("musee", "2026-10-15T10:00:00Z".parse()?)).await?;
    count(&store, &audit("ministere", "2026-10-16T10:00:00Z".parse()?)).await?;
    let period = Period::parse("2026-10-01", "2026-10-31")?;
    let (one, two) = (runtime.data_dir.join("one"), runtime.data_dir.join("two"));
    let built = edition::build(&store, period, &one).await?;
    assert!(!built.manifest.provisional);
    let Prevalence::Estimated(abusive) = &built.figures.scopes[0].abusive else {
        panic!("no estimate: {:?}", built.figures.scopes[0].abusive)
    };
    // 3/4 of the comments are low (1 in 30 abusive), 1/4 high (20 in 50).
    assert!((abusive.value - (0.75 / 30.0 + 0.25 * 0.4)).abs() < 1e-12, "{abusive:?}");
    assert!(abusive.interval.lower < abusive.value && abusive.value < abusive.interval.upper);
    assert_eq!((abusive.audited, abusive.received), (160, 800));

    // What comes late, and building again, change nothing of a frozen edition.
    let late = Of {
        name: "late",
        institution: "musee",
        author: 99,
        at: "2026-10-20T10:00:00Z".parse()?,
        edited: None,
        deleted: None,
    };
    count(
        &store,
        &[delivery(Topic::Verdicts, &verdict(comment(&late), "low", false, Route::Keep))],
    )
    .await?;
    edition::build(&store, period, &two).await?;
    assert_eq!(read_all(&one)?, read_all(&two)?, "byte for byte");

    let verified = edition::verify(&one)?;
    assert_eq!(verified.problems, Vec::<String>::new());
    for (path, bytes) in read_all(&one)? {
        let mut changed = bytes.clone();
        let last = changed.len() - 2;
        changed[last] = changed[last].wrapping_add(1);
        std::fs::write(one.join(&path), &changed)?;
        if let Ok(verified) = edition::verify(&one) {
            assert!(!verified.problems.is_empty(), "a change of {path} went unnoticed");
            assert!(
                !verified.figures_hold || !["figures.csv", edition::INPUTS].contains(&path.as_str()),
                "a change of {path} was taken for other words"
            );
            assert!(
                verified.figures_hold || path != "index.html",
                "other words were taken for other figures"
            );
        }
        std::fs::write(one.join(&path), &bytes)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_finished_month_is_frozen_and_can_be_computed_again() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    for runtime in runtimes(dir.path()).await? {
        edition_of_a_finished_month(&runtime).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_page_says_what_it_must() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    for runtime in runtimes(dir.path()).await? {
        let store = Store::open(&runtime).await?;
        let hostile = "=cmd()|<script>";
        count(&store, &audit(hostile, "2026-10-15T10:00:00Z".parse()?)).await?;
        count(&store, &audit("musee", "2026-10-15T10:00:00Z".parse()?)).await?;
        let out = runtime.data_dir.join("out");
        edition::build(&store, Period::parse("2026-10-01", "2026-10-31")?, &out).await?;
        let html = std::fs::read_to_string(out.join("index.html"))?;
        for needed in [
            "lang=\"fr\"",
            "du 1er octobre 2026 au 31 octobre 2026",
            "12,50\u{202f}%",
            "MOVER-Wilson",
            "Ils ne mesurent pas",
            "non mesuré",
            "800",
        ] {
            assert!(html.contains(needed), "{needed} is missing");
        }
        assert!(
            !html.contains("<script") && !html.contains("http://") && !html.contains("src="),
            "nothing runs and nothing is fetched"
        );
        let mut csv = csv_rows(&std::fs::read(out.join("figures.csv"))?)?;
        assert!(csv.iter().flatten().all(|cell| !cell.starts_with('=')), "no cell is a formula");
        csv.retain(|row| row[6] == "prevalence-abusive" && row[3] == "all");
        assert_eq!(
            csv[0][7..13],
            ["published", "0.1250", csv[0][9].as_str(), csv[0][10].as_str(), "160", "800"]
        );
    }
    Ok(())
}

fn csv_rows(bytes: &[u8]) -> anyhow::Result<Vec<Vec<String>>> {
    let mut reader = csv::Reader::from_reader(bytes);
    reader.records().map(|row| Ok(row?.iter().map(str::to_owned).collect())).collect()
}

#[tokio::test]
async fn without_labels_there_is_no_prevalence_and_the_page_says_so() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    for runtime in runtimes(dir.path()).await? {
        let store = Store::open(&runtime).await?;
        count(&store, &story()).await?;
        let out = runtime.data_dir.join("out");
        let today = Timestamp::now().to_zoned(vigie_web::words::paris()).date();
        let built = edition::build(&store, Period::new("2026-11-10".parse()?, today.max("2026-11-10".parse()?))?, &out).await?;
        assert!(built.manifest.provisional, "a running period is not frozen");
        assert_eq!(built.figures.scopes[0].abusive, Prevalence::Withheld(Reason::FewLabels { have: 0 }));
        let html = std::fs::read_to_string(out.join("index.html"))?;
        assert!(html.contains("Trop peu de commentaires contrôlés à l’aveugle pour publier ce chiffre."));
        assert!(html.contains("Édition provisoire, à ne pas publier."));
        assert_eq!(edition::verify(&out)?.problems, Vec::<String>::new());
    }
    Ok(())
}

#[tokio::test]
async fn labels_follow_undo_and_edits() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    for runtime in runtimes(dir.path()).await? {
        let store = Store::open(&runtime).await?;
        let of = |name: &'static str, edited| Of {
            name,
            institution: "musee",
            author: 1,
            at: time(0),
            edited,
            deleted: None,
        };
        let drawn = |of: &Of<'_>| verdict(comment(of), "low", true, Route::Keep);
        let kept = drawn(&of("kept", None));
        let undone = drawn(&of("undone", None));
        let (first, second) = (drawn(&of("edited", None)), drawn(&of("edited", Some(time(5)))));
        let not_drawn = verdict(comment(&of("flagged", None)), "low", false, Route::Review);
        let mut deliveries: Vec<Delivery> = [&kept, &undone, &first, &second, &not_drawn]
            .map(|verdict| delivery(Topic::Verdicts, verdict))
            .to_vec();
        for decision in [
            decision(&kept, 0, Outcome::Hide, Act::Insult, None),
            decision(&undone, 0, Outcome::Hide, Act::Insult, None),
            decision(&undone, 1, Outcome::Keep, Act::None, Some(0)),
            decision(&first, 0, Outcome::Hide, Act::Insult, None),
            decision(&not_drawn, 0, Outcome::Hide, Act::Insult, None),
        ] {
            deliveries.push(delivery(Topic::Decisions, &decision));
        }
        for seed in 0..4 {
            Draws(seed).shuffle(&mut deliveries);
            count(&store, &deliveries).await?;
        }
        let inputs = store.inputs(Period::parse("2026-11-10", "2026-11-10")?, true).await?;
        assert_eq!(inputs.labels.len(), 1, "{:?}", inputs.labels);
        assert!(inputs.labels[0].label.abusive && inputs.labels[0].label.hate);
    }
    Ok(())
}

/// A month is out. The same month less its last day must not show the museum's count, if that day had one author only.
#[tokio::test]
async fn an_edition_does_not_give_away_the_day_that_another_leaves_out() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    for runtime in runtimes(dir.path()).await? {
        let store = Store::open(&runtime).await?;
        count(&store, &audit("musee", "2026-10-15T10:00:00Z".parse()?)).await?;
        let lonely = Of {
            name: "lonely",
            institution: "musee",
            author: 3,
            at: "2026-10-31T10:00:00Z".parse()?,
            edited: None,
            deleted: None,
        };
        count(
            &store,
            &[delivery(Topic::Verdicts, &verdict(comment(&lonely), "low", false, Route::Keep))],
        )
        .await?;
        let month = edition::build(&store, Period::parse("2026-10-01", "2026-10-31")?, &runtime.data_dir.join("month")).await?;
        let received = |built: &edition::Built| built.figures.scopes[0].counts[&Kind::Received];
        assert_eq!(received(&month), Count::Shown(400));
        let less = edition::build(&store, Period::parse("2026-10-01", "2026-10-30")?, &runtime.data_dir.join("less")).await?;
        assert_eq!(received(&less), Count::Suppressed);
        assert_eq!(less.figures.scopes[0].abusive, Prevalence::Withheld(Reason::Confidential));
        // No label in it: not frozen, so that labels can still come.
        let other = edition::build(&store, Period::parse("2026-09-01", "2026-10-14")?, &runtime.data_dir.join("other")).await?;
        assert_eq!(received(&other), Count::Suppressed, "nothing was received in it");
        assert!(other.manifest.provisional && !month.manifest.provisional);
    }
    Ok(())
}

#[tokio::test]
async fn the_service_counts_what_the_bus_brings_and_stops_when_asked() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    for runtime in runtimes(dir.path()).await? {
        let web = vigie_web::Web::open(vigie_web::Config::default(), &runtime).await?;
        let started = vigie_barometer::start(vigie_barometer::Config::default(), runtime.clone(), web).await?;
        let story = story();
        for _ in 0..2 {
            let records = story.iter().map(|delivery| delivery.record.clone()).collect();
            vigie_runtime::publish(&runtime, Topic::Verdicts, records).await?;
        }
        let store = Store::open(&runtime).await?;
        let arrived = async {
            while hours(&store).await?.values().sum::<i64>() < 60 {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), arrived).await??;
        runtime.stop.cancel();
        for task in started.tasks {
            task.await??;
        }
        assert_eq!(hours(&store).await?.values().sum::<i64>(), 60);
    }
    Ok(())
}
