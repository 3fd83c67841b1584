//! What operators are given, held to what Vigie is: the metrics that alerts and dashboards name, the files that documents point to, the
//! configuration examples of the README.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The metrics of the contract, with the names under which histograms are asked for.
fn known_metrics() -> BTreeSet<String> {
    let listed: toml::Table = read("deploy/metrics.toml").parse().expect("deploy/metrics.toml is TOML");
    let mut names = BTreeSet::new();
    for (name, entry) in &listed {
        if entry.get("type").and_then(toml::Value::as_str) == Some("histogram") {
            names.extend(["_bucket", "_sum", "_count"].map(|part| format!("{name}{part}")));
        }
        names.insert(name.clone());
    }
    names
}

/// Every word of `text` that looks like a metric of Vigie's.
fn named_metrics(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("vigie_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn alerts_and_dashboards_name_metrics_that_exist() {
    let known = known_metrics();
    for path in [
        "deploy/prometheus/vigie.rules.yml",
        "deploy/prometheus/vigie.rules.test.yml",
        "deploy/grafana/vigie.json",
    ] {
        let named = named_metrics(&read(path));
        assert!(named.len() > 4, "{path} names only {named:?}");
        let unknown: Vec<&String> = named.difference(&known).collect();
        assert!(
            unknown.is_empty(),
            "{path} names {unknown:?}, which deploy/metrics.toml does not list"
        );
    }
}

#[test]
fn every_alert_says_what_how_bad_and_what_to_do() {
    let rules = read("deploy/prometheus/vigie.rules.yml");
    let alerts: Vec<&str> = rules.split("- alert: ").skip(1).collect();
    assert!(alerts.len() > 10, "only {} alerts found", alerts.len());
    for alert in alerts {
        let name = alert.lines().next().unwrap_or_default();
        for part in ["expr:", "severity:", "summary:", "impact:", "action:"] {
            assert!(alert.contains(part), "alert {name} has no {part}");
        }
    }
}

/// Alerts that the dashboard speaks of exist, so that somebody who reads one finds the other.
#[test]
fn the_dashboard_names_alerts_that_exist() {
    let rules = read("deploy/prometheus/vigie.rules.yml");
    let dashboard = read("deploy/grafana/vigie.json");
    serde_json::from_str::<serde_json::Value>(&dashboard).expect("the dashboard is JSON");
    let named = dashboard
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| word.starts_with("Vigie") && word.len() > 5);
    for alert in named {
        assert!(
            rules.contains(&format!("- alert: {alert}\n")),
            "the dashboard names {alert}, which is no alert"
        );
    }
}

/// The targets of the Markdown links of `text` that point into the repository.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets
        .filter(|target| !target.contains("://") && !target.starts_with('#'))
        .collect()
}

#[test]
fn documents_point_to_files_that_exist() {
    for document in ["README.md", "services/README.md", "models/training/README.md"] {
        let folder: PathBuf = root().join(document).parent().expect("a file has a folder").to_owned();
        for target in links(&read(document)) {
            let path = folder.join(target.split('#').next().unwrap_or(target));
            assert!(path.exists(), "{document} points to {target}, which is not there");
        }
    }
}

/// The blocks of `text` between ```` ```toml ```` and its end, without the indentation of the first line.
fn toml_blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in text.lines() {
        match (&mut block, line.trim()) {
            (None, "```toml") => block = Some(String::new()),
            (Some(_), "```") => blocks.extend(block.take()),
            (Some(block), line) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, _) => {}
        }
    }
    blocks
}

#[test]
fn the_configurations_that_are_shown_can_be_used() {
    let mut blocks = toml_blocks(&read("README.md"));
    assert!(blocks.len() >= 2, "{} blocks found", blocks.len());
    blocks.push(read("deploy/demo.toml"));
    for block in blocks {
        vigie_runtime::config::parse::<vigie::Config>(&block).unwrap_or_else(|error| panic!("{error}\nin\n{block}"));
    }
}
