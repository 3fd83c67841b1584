//! `vigie load`: a closed-loop stress run over the whole: import, bus, classifier, queue.
//!
//! What it measures: this process runs every service on a fresh directory within the data directory, imports generated comments batch by batch, never
//! with more than `--in-flight` of them unanswered, and reads the verdicts as one more consumer. Comments per second: from the first
//! import to the last verdict. Latency: from arrival (`collected_at`) to the verdict here, and to the queue by the queue's own clock. Since
//! the loop is closed, the latency is that of a system kept busy by so many comments; with `--in-flight 1` it is that of a quiet one.
//! With `--pace` comments arrive by the clock instead, whether the earlier ones are answered or not: the latency under a given load, such as
//! half of what the first run reached. A pace that cannot be kept is a limit missed, since then the latency is no longer that of the pace.
//! Memory and CPU are those of the process, the generator included.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde::Serialize;
use sqlx::Row as _;
use tokio::net::TcpListener;
use vigie_bus::Consumer;
use vigie_collector::import::{Importer, Row, read_json};
use vigie_domain::{AccountId, Route, Topic, Verdict, decode};
use vigie_runtime::Runtime;
use vigie_runtime::accounts::AccountConfig;
use vigie_runtime::config::{DatabaseConfig, KeysConfig};

use super::terminal;
use crate::cli::Place;
use crate::config::Config;
use crate::process::{self, Running, Service};

const ACCOUNT: &str = "load";
const IMPORT_ROWS_MAX: usize = 64;
const RECEIVE_WAIT: Duration = Duration::from_millis(200);
/// How often comments arrive with `--pace`.
const PACE_WAIT: Duration = Duration::from_millis(5);
/// The share of the pace asked for below which it was not kept.
const PACE_KEPT: f64 = 0.95;
/// Without a verdict for this long the run has failed.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// How many comments.
    #[arg(long, default_value_t = 2000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    comments: u32,
    /// How many of them may be unanswered at a time.
    #[arg(long, default_value_t = 128, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    in_flight: u32,
    /// Let so many arrive per second, instead of as many as are answered.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pace: Option<u32>,
    /// Fail below so many comments per second.
    #[arg(long, value_name = "N")]
    rate_min: Option<f64>,
    /// Fail where the median from arrival to the queue is above so many milliseconds.
    #[arg(long, value_name = "MS")]
    p50_max_ms: Option<i64>,
    /// Fail where one in a hundred takes longer than so many milliseconds from arrival to the queue.
    #[arg(long, value_name = "MS")]
    p99_max_ms: Option<i64>,
    /// Fail where the process ever held more than so many MiB.
    #[arg(long, value_name = "MIB")]
    memory_max_mib: Option<u64>,
    /// One line of JSON instead of text.
    #[arg(long)]
    json: bool,
    /// With [bus.kafka] in the configuration the run is on Kafka, under a prefix of its own. Its topics stay there.
    #[command(flatten)]
    place: Place,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Measured {
    bus: &'static str,
    comments: usize,
    in_flight: u32,
    pace: Option<u32>,
    seconds: f64,
    comments_per_second: f64,
    /// How many arrived per second, from the first to the last import.
    arrivals_per_second: f64,
    verdict_ms: Option<Quantiles>,
    queue_ms: Option<Quantiles>,
    queued: usize,
    keep: usize,
    review: usize,
    hide: usize,
    memory_peak_mib: u64,
    cpu_seconds: f64,
    missed: Vec<String>,
}

/// Of latencies, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Quantiles {
    p50: i64,
    p90: i64,
    p99: i64,
    max: i64,
}

pub(crate) async fn load(args: LoadArgs) -> anyhow::Result<ExitCode> {
    let mut config = args.place.read_for_command()?;
    let scratch = Scratch::new(&config.data.dir)?;
    config.data.dir.clone_from(&scratch.dir);
    isolate(&mut config);
    let runtime = process::open(&config).await?;
    vigie_runtime::signals::watch(runtime.stop.clone())?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("could not listen on 127.0.0.1")?;
    let running = process::start(&config, &Service::ALL, listener, runtime).await?;
    let measured = measure(&args, &config, &running).await;
    running.stop().await?;
    let measured = measured?;
    if args.json {
        terminal::json(&measured)?;
    } else {
        show(&measured)?;
    }
    if measured.missed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    terminal::complain(&format!("error: missed {}", measured.missed.join("; ")));
    Ok(ExitCode::FAILURE)
}

/// Neither accounts nor database nor topics of the deployment are touched.
fn isolate(config: &mut Config) {
    config.database = DatabaseConfig::default();
    config.keys = KeysConfig::default();
    config.accounts = vec![AccountConfig {
        id: ACCOUNT.to_owned(),
        platform: "generic".to_owned(),
        institution: ACCOUNT.to_owned(),
        name: None,
        policy: "default".to_owned(),
        base_url: None,
        handle: None,
        watch: false,
        dry_run: true,
        token: None,
        login: None,
        labeler_did: None,
        webhook_secrets: Vec::new(),
    }];
    if let Some(kafka) = &mut config.bus.kafka {
        kafka.prefix = format!("{}load-{}.", kafka.prefix, hex::encode(rand::random::<[u8; 4]>()));
    }
}

async fn measure(args: &LoadArgs, config: &Config, running: &Running) -> anyhow::Result<Measured> {
    let runtime = &running.runtime;
    let group = "load";
    let mut verdicts = runtime.bus.subscribe(group, &[Topic::Verdicts]).await?;
    let bar = progress_bar(u64::from(args.comments));
    let started = Instant::now();
    let cpu_before = cpu_seconds(runtime);
    let flow = drive(args, runtime, verdicts.as_mut(), &bar).await?;
    let seconds = started.elapsed().as_secs_f64();
    let cpu_seconds = cpu_seconds(runtime) - cpu_before;
    bar.finish_and_clear();
    drained(runtime, "review", Topic::Verdicts).await?;
    let queue_ms = queue_latencies(runtime, &flow.verdicts).await?;
    let count = |route| flow.verdicts.iter().filter(|verdict| verdict.route == route).count();
    let mut measured = Measured {
        bus: if config.bus.kafka.is_some() { "kafka" } else { "embedded" },
        comments: flow.verdicts.len(),
        in_flight: args.in_flight,
        pace: args.pace,
        seconds,
        comments_per_second: flow.verdicts.len() as f64 / seconds,
        arrivals_per_second: flow.verdicts.len() as f64 / flow.arriving.as_secs_f64(),
        verdict_ms: quantiles(flow.latencies_ms),
        queued: queue_ms.len(),
        queue_ms: quantiles(queue_ms),
        keep: count(Route::Keep),
        review: count(Route::Review),
        hide: count(Route::Hide),
        memory_peak_mib: memory_peak_mib()?,
        cpu_seconds,
        missed: Vec::new(),
    };
    measured.missed = missed(args, &measured);
    Ok(measured)
}

/// What came back.
#[derive(Default)]
struct Flow {
    verdicts: Vec<Judged>,
    latencies_ms: Vec<i64>,
    /// From the start to the last import.
    arriving: Duration,
}

/// A verdict, as far as it is measured.
struct Judged {
    revision: String,
    arrived_ms: i64,
    route: Route,
}

/// Imports and reads until every comment has its verdict.
async fn drive(args: &LoadArgs, runtime: &Runtime, verdicts: &mut dyn Consumer, bar: &ProgressBar) -> anyhow::Result<Flow> {
    let importer = Importer::open(runtime).await?;
    let account = AccountId::new(ACCOUNT)?;
    let total = args.comments as usize;
    let in_flight = args.in_flight as usize;
    let mut flow = Flow::default();
    let mut sent = 0;
    let started = Instant::now();
    let mut heard = started;
    while flow.verdicts.len() < total {
        anyhow::ensure!(!runtime.stop.is_cancelled(), "stopped after {} comments", flow.verdicts.len());
        let due = args.pace.map_or(total, |pace| {
            total.min((started.elapsed().as_secs_f64() * f64::from(pace)) as usize)
        });
        let room = in_flight
            .saturating_sub(sent - flow.verdicts.len())
            .min(due.saturating_sub(sent))
            .min(IMPORT_ROWS_MAX);
        // Without a pace a quarter of the window at a time: the services never run dry, and a batch is not a single row.
        let least = if args.pace.is_some() {
            1
        } else {
            (in_flight / 4).clamp(1, IMPORT_ROWS_MAX)
        };
        if room > 0 && (room >= least || sent + room == total) {
            let rows = (sent..sent + room).map(row).collect::<anyhow::Result<Vec<_>>>()?;
            let outcome = importer.accept(&account, rows).await?;
            anyhow::ensure!(
                outcome.rejected.is_empty() && outcome.known == 0,
                "the import took generated comments for something else"
            );
            sent += room;
            flow.arriving = started.elapsed();
        }
        let wait = if args.pace.is_some() && sent < total {
            PACE_WAIT
        } else {
            RECEIVE_WAIT
        };
        let batch = verdicts.receive(IMPORT_ROWS_MAX, wait).await?;
        let now_ms = Timestamp::now().as_millisecond();
        if batch.is_empty() {
            anyhow::ensure!(
                heard.elapsed() < PATIENCE,
                "no verdict for {} s, {} of {total} are there",
                PATIENCE.as_secs(),
                flow.verdicts.len()
            );
            continue;
        }
        heard = Instant::now();
        for delivery in &batch {
            let verdict: Verdict = decode(&delivery.record.payload)?;
            let arrived_ms = verdict.comment.collected_at.as_millisecond();
            flow.latencies_ms.push(now_ms - arrived_ms);
            flow.verdicts.push(Judged {
                revision: verdict.comment.revision.to_string(),
                arrived_ms,
                route: verdict.route,
            });
        }
        verdicts.commit().await?;
        bar.set_position(flow.verdicts.len() as u64);
    }
    Ok(flow)
}

/// A comment of a museum's or ministry's page, most of them ordinary; no two are the same.
fn row(number: usize) -> anyhow::Result<(u64, Row)> {
    const OPENINGS: [&str; 8] = [
        "Très belle exposition, nous y sommes allés samedi en famille",
        "Bonjour, à quelle heure ferme la billetterie le dimanche ?",
        "Encore une réforme décidée sans écouter les gens de terrain, c'est lamentable",
        "Merci aux médiateurs pour leur accueil et leur patience avec les enfants",
        "Je ne comprends pas pourquoi la démarche en ligne ne marche pas depuis trois jours",
        "Franchement le tarif est beaucoup trop cher pour ce que c'est",
        "Bande d'incapables, vous êtes vraiment des guignols",
        "Quelqu'un sait si l'audioguide existe en langue des signes ?",
    ];
    const ENDINGS: [&str; 5] = [
        "",
        ", vivement la suite",
        ". Bonne journée à toute l'équipe !",
        ". Voilà, c'est dit.",
        " — je reviendrai avec mes élèves au printemps, si c'est encore ouvert",
    ];
    let text = format!(
        "{}{} ({number})",
        OPENINGS[number % OPENINGS.len()],
        ENDINGS[(number / OPENINGS.len()) % ENDINGS.len()]
    );
    let row = serde_json::json!({
        "platform": "generic",
        "account_id": ACCOUNT,
        "post_id": format!("post-{}", number / 50),
        "comment_id": format!("load-{number}"),
        "author_id": format!("author-{}", number % 997),
        "created_at": "2026-11-01T12:00:00Z",
        "text": text,
    });
    Ok((number as u64 + 1, read_json(&row.to_string()).map_err(anyhow::Error::msg)?))
}

/// Waits until `group` has committed all of `topic`.
async fn drained(runtime: &Runtime, group: &str, topic: Topic) -> anyhow::Result<()> {
    let started = Instant::now();
    while runtime.bus.lag(group, &[topic]).await?.iter().any(|lag| lag.records > 0) {
        anyhow::ensure!(
            started.elapsed() < PATIENCE,
            "`{group}` is still behind on {topic} after {} s",
            PATIENCE.as_secs()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// From arrival to the queue, for each comment that is in it. Reads two columns of the queue's table, which it alone writes: the run
/// measures the queue by its own clock, and no interface shows that to people.
async fn queue_latencies(runtime: &Runtime, verdicts: &[Judged]) -> anyhow::Result<Vec<i64>> {
    let database = runtime.databases.open("review", &[]).await?;
    let rows = sqlx::query("SELECT revision, queued_at FROM review_items")
        .fetch_all(database.pool())
        .await?;
    let arrivals: std::collections::HashMap<&str, i64> = verdicts
        .iter()
        .map(|verdict| (verdict.revision.as_str(), verdict.arrived_ms))
        .collect();
    let mut latencies = Vec::new();
    for row in rows {
        let (revision, queued_at): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
        if let Some(arrived) = arrivals.get(revision.as_str()) {
            latencies.push(queued_at - arrived);
        }
    }
    Ok(latencies)
}

/// Nearest-rank quantiles; none of nothing.
fn quantiles(mut values: Vec<i64>) -> Option<Quantiles> {
    values.sort_unstable();
    let at = |percent: usize| values.get((values.len() * percent).div_ceil(100).saturating_sub(1)).copied();
    Some(Quantiles {
        p50: at(50)?,
        p90: at(90)?,
        p99: at(99)?,
        max: at(100)?,
    })
}

fn missed(args: &LoadArgs, measured: &Measured) -> Vec<String> {
    let queue = measured.queue_ms;
    let mut missed = Vec::new();
    if let Some(pace) = args.pace
        && measured.arrivals_per_second < PACE_KEPT * f64::from(pace)
    {
        missed.push(format!(
            "the pace: {:.1} comments/s could arrive with at most {} unanswered, {pace} were asked for; lower --pace or raise --in-flight",
            measured.arrivals_per_second, args.in_flight
        ));
    }
    if let Some(limit) = args.rate_min
        && measured.comments_per_second < limit
    {
        missed.push(format!(
            "{:.1} comments/s, at least {limit} were asked for",
            measured.comments_per_second
        ));
    }
    for (name, limit, found) in [
        ("p50", args.p50_max_ms, queue.map(|queue| queue.p50)),
        ("p99", args.p99_max_ms, queue.map(|queue| queue.p99)),
    ] {
        match (limit, found) {
            (Some(limit), Some(found)) if found > limit => {
                missed.push(format!("{name} {found} ms to the queue, at most {limit} were asked for"))
            }
            (Some(_), None) => missed.push(format!("{name} to the queue: no comment was queued; ask for more comments")),
            _ => {}
        }
    }
    if let Some(limit) = args.memory_max_mib
        && measured.memory_peak_mib > limit
    {
        missed.push(format!(
            "{} MiB of memory, at most {limit} were asked for",
            measured.memory_peak_mib
        ));
    }
    missed
}

fn show(measured: &Measured) -> anyhow::Result<()> {
    let latency = |name: &str, quantiles: Option<Quantiles>| {
        quantiles.map_or_else(
            || format!("arrival to {name}: none"),
            |q| {
                format!(
                    "arrival to {name}: p50 {} ms, p90 {} ms, p99 {} ms, max {} ms",
                    q.p50, q.p90, q.p99, q.max
                )
            },
        )
    };
    let Measured {
        bus,
        comments,
        in_flight,
        pace,
        seconds,
        comments_per_second,
        keep,
        review,
        hide,
        queued,
        memory_peak_mib,
        cpu_seconds,
        ..
    } = measured;
    let paced = pace.map_or_else(String::new, |pace| format!(", {pace} arriving per second"));
    terminal::line(&format!(
        "{comments} comments in {seconds:.1} s on the {bus} bus, at most {in_flight} in flight{paced}: {comments_per_second:.1} comments/s"
    ))?;
    terminal::line(&latency("verdict", measured.verdict_ms))?;
    terminal::line(&latency("queue", measured.queue_ms))?;
    terminal::line(&format!(
        "routes: keep {keep}, review {review}, hide {hide}; {queued} in the queue, the blind audit included"
    ))?;
    terminal::line(&format!(
        "memory {memory_peak_mib} MiB at most, CPU {cpu_seconds:.1} s ({:.0} % of one core)",
        100.0 * cpu_seconds / seconds
    ))
}

fn progress_bar(total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} comments, {per_sec}, {eta} left").expect("the template is constant"));
    bar
}

/// User and system time of this process, from the metric that every scrape shows.
fn cpu_seconds(runtime: &Runtime) -> f64 {
    let families = runtime.registry.gather();
    let cpu = families.iter().find(|family| family.name() == "process_cpu_seconds_total");
    cpu.and_then(|family| family.get_metric().first())
        .map_or(0.0, |metric| metric.get_counter().get_value())
}

/// The most memory that this process ever held resident.
fn memory_peak_mib() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("could not read the memory of this process")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .context("the system does not tell the memory of this process")?;
    let kib: u64 = line
        .trim()
        .trim_end_matches("kB")
        .trim()
        .parse()
        .context("the memory of this process is no number")?;
    Ok(kib / 1024)
}

/// A directory that goes with the run, beside the data of the deployment: the run measures the disk that counts.
struct Scratch {
    dir: PathBuf,
}

impl Scratch {
    fn new(data_dir: &Path) -> anyhow::Result<Self> {
        let dir = data_dir.join(format!("load-{}", hex::encode(rand::random::<[u8; 6]>())));
        std::fs::create_dir_all(&dir)
            .with_context(|| format!("could not create {}; choose a writable directory with --data DIR", dir.display()))?;
        Ok(Self { dir })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed does no harm; the data directory goes only where it is empty, which this run then made.
        std::fs::remove_dir_all(&self.dir).ok();
        self.dir.parent().map(std::fs::remove_dir);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_nearest_rank() {
        assert_eq!(quantiles(Vec::new()), None);
        assert_eq!(
            quantiles(vec![7]),
            Some(Quantiles {
                p50: 7,
                p90: 7,
                p99: 7,
                max: 7
            })
        );
        assert_eq!(
            quantiles((1..=200).rev().collect()),
            Some(Quantiles {
                p50: 100,
                p90: 180,
                p99: 198,
                max: 200
            })
        );
    }
}
