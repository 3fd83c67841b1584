//! The list of metrics in deploy/ against what a started process exports.

use std::collections::BTreeMap;

use crate::support::{Place, root};
use anyhow::Context as _;

#[test]
fn a_started_process_exports_what_the_list_says() -> anyhow::Result<()> {
    let listed: BTreeMap<String, toml::Table> = toml::from_str(&std::fs::read_to_string(root().join("deploy/metrics.toml"))?)?;
    let place = Place::new()?;
    let process = place.up()?;
    let mut wrong = Vec::new();
    crate::support::eventually(|| {
        process.metric("vigie_bus_lag").is_ok() && process.get("/metrics").is_ok_and(|(_, text)| text.contains("vigie_bus_lag{"))
    })?;
    let (_, text) = process.get("/metrics")?;
    let exported: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .filter(|(name, _)| name.starts_with("vigie_"))
        .collect();
    for (name, entry) in &listed {
        let kind = entry.get("type").and_then(toml::Value::as_str).context("every metric has a type")?;
        if entry.contains_key("appears") && !exported.contains_key(name.as_str()) {
            continue;
        }
        if exported.get(name.as_str()) != Some(&kind) {
            wrong.push(format!("{name} ({kind}) is listed, exported as {:?}", exported.get(name.as_str())));
        }
        let labels = entry
            .get("labels")
            .and_then(toml::Value::as_array)
            .context("every metric has labels, perhaps none")?;
        for label in labels.iter().filter_map(toml::Value::as_str) {
            if !text
                .lines()
                .any(|line| line.starts_with(name.as_str()) && line.contains(&format!("{label}=\"")))
            {
                wrong.push(format!("{name}: no sample has the label `{label}`"));
            }
        }
    }
    for (name, kind) in exported {
        if !listed.contains_key(name) {
            wrong.push(format!("{name} ({kind}) is exported and not listed"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    process.stop()
}
