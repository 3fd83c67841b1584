//! Comments a second through rules, model and route together, in batches of 256 as the service takes a backlog, on 100,000 comments as an account receives them (the
//! corpus of the rulebook's benchmark, see its head, and once the same with more hard ones), and the time that the explanation of a
//! comment takes.
//!
//! Every comment but short praise is made different from all others by a number, so that it is answered from those that came lately
//! only where people repeat themselves. `cargo bench -p vigie-classifier`; needs the library of `deploy/onnxruntime`.

#[path = "../../rulebook/benches/compare/corpus.rs"]
mod corpus;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use vigie_classifier::routing::{Automation, LanguageFit, Reading, RouteContext, route};
use vigie_classifier::{Config, audit};
use vigie_domain::{Comment, Policy};
use vigie_rulebook::Rulebook;
use vigie_runtime::testing::sample_comment;
use vigie_scorer::testing;

const BATCH: usize = 256;
/// Longer comments come once.
const REPEATED_BYTES_MAX: usize = 30;
/// Under each of them stand so many comments in a row. A short one that the first stage does not let go is read with it by models that say so.
const UNDER_A_POST: usize = 200;
const POSTS: [&str; 4] = [
    "🎨 Ouverture ce samedi de l'exposition « Lumières du Nord » : 80 toiles, dont douze jamais montrées en France. Réservation en ligne conseillée.",
    "La ministre présente aujourd'hui le plan pour l'hôpital public : 15 000 recrutements sur cinq ans et des gardes mieux payées.",
    "Un agent de police a été blessé cette nuit à Lyon. Tout notre soutien à sa famille et à ses collègues.",
    "Rentrée scolaire : ce qui change pour les élèves, les familles et les enseignants. Toutes les réponses sur notre site.",
];
const INSULT: &str = "Quel connard, ce vigile";

fn page(page: corpus::Page) -> Vec<Comment> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let rulebook = Rulebook::load(&root.join("rules")).expect("the packs are valid");
    let once = |(number, text): (usize, String)| match text.len() {
        0..=REPEATED_BYTES_MAX => sample_comment(&text),
        _ => sample_comment(&format!("{text} {number}")),
    };
    let mut comments: Vec<Comment> = corpus::comments(&root, &rulebook, page).into_iter().enumerate().map(once).collect();
    for (run, post) in comments.chunks_mut(UNDER_A_POST).zip(POSTS.iter().cycle()) {
        for comment in run {
            comment.context.post_text = Some((*post).to_owned());
        }
    }
    comments
}

fn judge(criterion: &mut Criterion) {
    let files = BTreeMap::from([(
        "default".to_owned(),
        include_str!("../../../deploy/policies/default.toml").to_owned(),
    )]);
    let policy = Arc::new(
        Policy::read_all(&files)
            .expect("a valid policy")
            .remove("default")
            .expect("it is there"),
    );
    let (usual, hard) = (page(corpus::Page::Usual), page(corpus::Page::Hard));
    let mut group = criterion.benchmark_group("judge");
    group.sample_size(20).measurement_time(Duration::from_secs(12));
    for (model, cascade, comments, which) in [
        ("abuse-fr-acts", true, &usual, ""),
        ("abuse-fr-acts", true, &hard, ", on a hard page"),
        ("abuse-fr-acts", false, &usual, ""),
        ("abuse-fr-e5", false, &usual, ""),
        ("abuse-fr-use", false, &usual, ""),
    ] {
        let mut batches = comments.chunks_exact(BATCH).cycle();
        let config = Config {
            cascade,
            rules: concat!(env!("CARGO_MANIFEST_DIR"), "/../../rules").into(),
            model: testing::model(model),
            onnxruntime: testing::library(),
            threads: 2,
            ..Config::default()
        };
        let engine = config.open_engine(audit::keyless_draw).expect("the engine opens");
        let name = if cascade { "with its first stage letting go" } else { "all read" };
        group.throughput(Throughput::Elements(BATCH as u64));
        group.bench_function(format!("{model}, 2 threads, {name}{which}"), |bencher| {
            bencher.iter_batched(
                || batches.next().expect("the corpus is no empty one").to_vec(),
                |batch| engine.judge(batch, |_| Arc::clone(&policy)).expect("the engine judges"),
                BatchSize::LargeInput,
            );
        });
        if cascade {
            continue;
        }
        let (mut number, judged) = (0, |comment| {
            engine.judge(vec![comment], |_| Arc::clone(&policy)).expect("the engine judges")
        });
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("{model}, 2 threads, an explanation"), |bencher| {
            bencher.iter_batched(
                || {
                    number += 1;
                    judged(sample_comment(&format!("{INSULT} {number}"))).remove(0)
                },
                |insult| engine.explain(&insult, Arc::clone(&policy)).expect("the engine explains"),
                BatchSize::LargeInput,
            );
        });
        if model == "abuse-fr-use" {
            let verdicts = engine
                .judge(comments[..64].to_vec(), |_| Arc::clone(&policy))
                .expect("the engine judges");
            let thresholds = engine.scorer().thresholds(policy.caution);
            let context = RouteContext {
                automation: Automation::On,
                language: LanguageFit::Known,
                reading: Reading::Whole,
            };
            group.bench_function("route alone", |bencher| {
                bencher.iter(|| {
                    for verdict in &verdicts {
                        black_box(route(&verdict.rules, &verdict.scores, &policy, &thresholds, &context));
                    }
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, judge);
criterion_main!(benches);
