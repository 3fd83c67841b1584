//! Comments a second through rules, model and route together, as one core batch of 64, on the cases below; and the time that the
//! explanation of one of them takes.
//!
//! `cargo bench -p vigie-classifier`; needs the library of `deploy/onnxruntime`.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vigie_classifier::routing::{Automation, LanguageFit, Reading, RouteContext, route};
use vigie_classifier::{Config, audit};
use vigie_domain::{Comment, Policy};
use vigie_runtime::testing::sample_comment;
use vigie_scorer::testing;

const TEXTS: [&str; 8] = [
    "Bravo !",
    "Très belle exposition, nous reviendrons avec les enfants.",
    "Deux heures de queue sous la pluie et la moitié des salles fermées, à ce prix-là c'est du vol.",
    "Est-ce que le musée est ouvert le lundi de Pâques ?",
    "Encore un ministre qui n'écoute personne. Vous verrez aux prochaines élections, les gens en ont assez de ce mépris permanent.",
    "Quel connard, ce vigile",
    "Il est où le parking pour les cars scolaires ? On arrive de Montcuq à 10 h avec deux classes.",
    "Merci à la dame de l'accueil qui a retrouvé le doudou de ma fille !!",
];

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
    let comments: Vec<Comment> = TEXTS.iter().cycle().take(64).map(|text| sample_comment(text)).collect();
    let mut group = criterion.benchmark_group("judge");
    group.throughput(Throughput::Elements(comments.len() as u64)).sample_size(10);
    for model in ["abuse-fr-acts", "abuse-fr-e5", "abuse-fr-use"] {
        let config = Config {
            rules: concat!(env!("CARGO_MANIFEST_DIR"), "/../../rules").into(),
            model: testing::model(model),
            onnxruntime: testing::library(),
            threads: 2,
            ..Config::default()
        };
        let engine = config.open_engine(audit::keyless_draw).expect("the engine opens");
        group.bench_function(format!("{model}, 2 threads"), |bencher| {
            bencher.iter(|| {
                engine
                    .judge(black_box(comments.clone()), |_| Arc::clone(&policy))
                    .expect("the engine judges")
            });
        });
        let insult = engine
            .judge(vec![sample_comment(TEXTS[5])], |_| Arc::clone(&policy))
            .expect("the engine judges");
        group.bench_function(format!("{model}, 2 threads, explanations"), |bencher| {
            bencher.iter(|| {
                (0..64).for_each(|_| {
                    let explanation = engine.explain(black_box(&insult[0]), Arc::clone(&policy));
                    black_box(explanation.expect("the engine explains"));
                });
            });
        });
        if model == "abuse-fr-use" {
            let verdicts = engine.judge(comments.clone(), |_| Arc::clone(&policy)).expect("the engine judges");
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
