//! Texts a second, on the lines below (French, 5 to 40 tokens), for both models and one and two threads.
//!
//! `cargo bench -p vigie-scorer`; needs the library of `deploy/onnxruntime`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vigie_scorer::{Input, Scorer, testing};

const TEXTS: [&str; 8] = [
    "Bravo !",
    "Très belle exposition, nous reviendrons avec les enfants.",
    "Deux heures de queue sous la pluie et la moitié des salles fermées, à ce prix-là c'est du vol.",
    "Est-ce que le musée est ouvert le lundi de Pâques ?",
    "Encore un ministre qui n'écoute personne. Vous verrez aux prochaines élections, les gens en ont assez de ce mépris permanent.",
    "😍😍😍",
    "Il est où le parking pour les cars scolaires ? On arrive de Montcuq à 10 h avec deux classes.",
    "Merci à la dame de l'accueil qui a retrouvé le doudou de ma fille !!",
];

fn score(criterion: &mut Criterion) {
    let inputs: Vec<Input<'_>> = TEXTS.iter().cycle().take(64).map(|text| Input { text, parent: None }).collect();
    let mut group = criterion.benchmark_group("score");
    group.throughput(Throughput::Elements(inputs.len() as u64)).sample_size(10);
    for model in ["abuse-fr-acts", "abuse-fr-e5", "abuse-fr-use"] {
        for threads in [1, 2] {
            let scorer = Scorer::open(&testing::library(), &testing::model(model), threads).expect("the model opens");
            group.bench_function(format!("{model}, {threads} threads"), |bencher| {
                bencher.iter(|| scorer.score(black_box(&inputs)).expect("the model scores"));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, score);
criterion_main!(benches);
