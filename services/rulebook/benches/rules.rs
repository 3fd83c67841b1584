//! Comments a second through the packs of `rules/`, and the cost of one text by its length.
//!
//! Corpus: the lines of `deploy/samples/comments.jsonl` (about 330 short French comments, most of them ordinary), one thread. The long
//! texts repeat these lines up to 1 KiB, 32 KiB and 1 MiB, and so do hostile ones, in which every word is found, quoted, spelled out,
//! held or hidden: the cost per byte must not grow with the length.
//!
//! `cargo bench -p vigie-rulebook --bench rules`; the bench `compare` sets the rulebook beside simpler ways.

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vigie_rulebook::{Rulebook, Scope};

const SAMPLES: &str = include_str!("../../../deploy/samples/comments.jsonl");

/// Says so much about so little that every step of the matcher has work at every word.
const HOSTILE: &str =
    "\"con\" c o n n a r d, coooonnard \"c0n\" je vais te tuer ! s.a.l.o.p.e, c*nn*rd \u{ab} sale con \u{bb} tg fdp #MortAuxCons ";

fn texts() -> Vec<String> {
    SAMPLES
        .lines()
        .filter_map(|line| {
            serde_json::from_str::<serde_json::Value>(line).ok()?["text"]
                .as_str()
                .map(str::to_owned)
        })
        .collect()
}

fn rules(criterion: &mut Criterion) {
    let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../rules"));
    let rulebook = Rulebook::load(dir).expect("the packs are valid");
    let texts = texts();
    let scope = Scope::default();
    let mut group = criterion.benchmark_group("rules");
    group.sample_size(10);
    group.bench_function("open the packs", |bencher| {
        bencher.iter(|| Rulebook::load(black_box(dir)).expect("the packs are valid"))
    });
    group.throughput(Throughput::Elements(texts.len() as u64));
    group.bench_function("sample comments", |bencher| {
        bencher.iter(|| {
            texts
                .iter()
                .map(|text| rulebook.matches(black_box(text), &scope).len())
                .sum::<usize>()
        });
    });
    let usual = texts.join("\n");
    for (kind, long) in [("usual", usual.as_str()), ("hostile", HOSTILE)] {
        for bytes in [1 << 10, 32 << 10, 1 << 20] {
            let mut text = long.repeat(bytes / long.len() + 1);
            text.truncate(text.floor_char_boundary(bytes));
            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_function(format!("one {kind} text of {bytes} bytes"), |bencher| {
                bencher.iter(|| rulebook.matches(black_box(&text), &scope).len());
            });
        }
    }
    group.finish();
}

criterion_group!(benches, rules);
criterion_main!(benches);
