//! Memory of the offline run, in a process of its own: what is resident is counted for the whole process.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::sync::Arc;

use serde_json::json;
use vigie_classifier::offline::{OnInvalid, Summary, classify};
use vigie_classifier::{Config, Engine, audit};
use vigie_domain::Policy;
use vigie_scorer::testing;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn engine() -> anyhow::Result<Engine> {
    let config = Config {
        rules: concat!(env!("CARGO_MANIFEST_DIR"), "/../../rules").into(),
        model: testing::model("abuse-fr-use"),
        onnxruntime: testing::library(),
        threads: 2,
        ..Config::default()
    };
    config.open_engine(audit::keyless_draw)
}

fn policy() -> anyhow::Result<Arc<Policy>> {
    let files = BTreeMap::from([(
        "default".to_owned(),
        include_str!("../../../deploy/policies/default.toml").to_owned(),
    )]);
    let policy = Policy::read_all(&files)?.remove("default");
    policy.map(Arc::new).ok_or_else(|| anyhow::anyhow!("no default policy"))
}

#[test]
fn memory_does_not_grow_with_the_input() -> Outcome {
    let engine = engine()?;
    let line = format!("{}\n", json!({"text": "Bonjour le musée"}));
    let resident = || -> std::io::Result<u64> {
        let pages = std::fs::read_to_string("/proc/self/statm")?;
        Ok(pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096)
    };
    let pass = |lines: usize| -> anyhow::Result<Summary> {
        let input = std::iter::repeat_n(line.as_bytes(), lines).fold(Box::new(std::io::empty()) as Box<dyn Read>, |chain, line| {
            Box::new(chain.chain(line))
        });
        classify(
            BufReader::new(input),
            std::io::sink(),
            &engine,
            &policy()?,
            OnInvalid::Stop,
            |_| {},
            |_| {},
        )
    };
    pass(300)?;
    let before = resident()?;
    assert_eq!(pass(2000)?.verdicts, 2000);
    let grown = resident()?.saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes more after 2000 lines");
    Ok(())
}
