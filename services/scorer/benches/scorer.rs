//! Texts a second, on the lines below (French, 5 to 40 tokens), for each model, one and two threads, with and without its first stage.
//!
//! `cargo bench -p vigie-scorer`; needs the library of `deploy/onnxruntime`.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use vigie_scorer::{Cascade, Input, Scorer, testing};

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

/// The lines again and again, each time with another number: no text comes twice, so none is answered from those that came lately.
fn fresh(round: &mut usize) -> Vec<String> {
    *round += 1;
    let line = |(place, text): (usize, &&str)| format!("{text} {}", *round * 64 + place);
    TEXTS.iter().cycle().take(64).enumerate().map(line).collect()
}

fn score(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("score");
    group.throughput(Throughput::Elements(64)).sample_size(10);
    for model in ["abuse-fr-acts", "abuse-fr-e5", "abuse-fr-use"] {
        for threads in [1, 2] {
            let scorer = Scorer::open(&testing::library(), &testing::model(model), threads).expect("the model opens");
            let mut round = 0;
            for (name, cascade) in [("all read", Cascade::Off), ("cascade", Cascade::On)] {
                group.bench_function(format!("{model}, {threads} threads, {name}"), |bencher| {
                    bencher.iter_batched(
                        || fresh(&mut round),
                        |texts| {
                            let inputs: Vec<Input<'_>> = texts.iter().map(|text| Input::alone(text)).collect();
                            black_box(scorer.judge(&inputs, |_| cascade).expect("the model scores"));
                        },
                        BatchSize::SmallInput,
                    );
                });
            }
        }
    }
    group.finish();
}

criterion_group!(benches, score);
criterion_main!(benches);
