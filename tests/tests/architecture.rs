//! What the documents promise about the shape of the sources, held to: who may depend on whom, which crate alone may know a
//! library, which sources are pure, how long a file may be. Each failure names the file and the rule.
//!
//! It reads manifests and sources as text and links nothing of Vigie. What Clippy or rustdoc can check is left to them; licences and
//! duplicate versions are checked by cargo-deny, see `.deny.toml`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The crates of each layer, and the crates of Vigie that they may use. Services are the crates that no line names.
const LAYERS: [(&[&str], &[&str]); 5] = [
    (&["domain"], &[]),
    (&["rulebook", "scorer", "bus", "platforms"], &["domain"]),
    (&["runtime"], &["domain", "bus"]),
    (&["web"], &["domain", "runtime"]),
    (
        &["vigie"],
        &["domain", "rulebook", "scorer", "bus", "platforms", "runtime", "web", "SERVICES"],
    ),
];
const SERVICES_MAY_USE: &[&str] = &["domain", "rulebook", "scorer", "bus", "platforms", "runtime", "web"];

/// Libraries that one crate wraps for all others. Tests and benchmarks may use them too.
const WRAPPED: [(&str, &str); 5] = [
    ("ort", "scorer"),
    ("tokenizers", "scorer"),
    ("rdkafka", "bus"),
    ("reqwest", "platforms"),
    ("tantivy", "archive"),
];

/// Sources that compute and do nothing else, and the one file of each that reads what they compute on.
const PURE: [(&str, &str); 5] = [
    ("services/domain/src", ""),
    ("services/rulebook/src", "load.rs"),
    ("services/barometer/src/estimate", ""),
    ("services/classifier/src/evaluation", ""),
    ("services/classifier/src/rates", "file.rs"),
];
/// What a pure source does not contain: files, network, processes, threads, clocks, output.
const IMPURE: [&str; 12] = [
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "tokio",
    "Instant::now",
    "SystemTime",
    "Timestamp::now",
    "Zoned::now",
    "println!",
    "tracing::",
];

const LINES_MAX: usize = 600;

/// The visible entries of the top level.
const TOP: [&str; 10] = [
    "Cargo.toml",
    "Cargo.lock",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "deploy",
    "models",
    "rules",
    "services",
    "tests",
];
/// Top-level entries that are not part of the repository, or that a tool wants there.
const TOP_BESIDES: [&str; 2] = ["rust-toolchain.toml", "target"];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A crate of the workspace.
struct Crate {
    /// Folder in `services`, or `tests`.
    name: String,
    manifest: toml::Table,
}

impl Crate {
    fn read(dir: &Path) -> Self {
        let path = dir.join("Cargo.toml");
        let manifest = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self {
            name: dir
                .file_name()
                .and_then(|name| name.to_str())
                .expect("a folder with a name")
                .to_owned(),
            manifest: manifest.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        }
    }

    /// The dependencies of one kind, by name.
    fn dependencies(&self, kind: &str) -> Vec<&str> {
        let table = self.manifest.get(kind).and_then(toml::Value::as_table);
        table.map(|table| table.keys().map(String::as_str).collect()).unwrap_or_default()
    }
}

fn crates() -> Vec<Crate> {
    let mut dirs: Vec<PathBuf> = entries(&root().join("services"))
        .into_iter()
        .filter(|path| path.join("Cargo.toml").exists())
        .collect();
    dirs.sort();
    assert!(dirs.len() >= 14, "only {} crates found in services", dirs.len());
    dirs.iter().map(|dir| Crate::read(dir)).collect()
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let listed = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    listed.map(|entry| entry.expect("a readable folder").path()).collect()
}

/// Every file below `dir` whose name ends so, in order; build folders and installed packages are left out.
fn files(dir: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(dir) = waiting.pop() {
        for path in entries(&dir) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_symlink() || name.starts_with('.') || name == "target" || name == "node_modules" {
                continue;
            }
            if path.is_dir() {
                waiting.push(path);
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The Rust sources below a folder of the repository, with their text and their path in it.
fn sources(dir: &str) -> Vec<(String, String)> {
    let found = files(&root().join(dir), &[".rs"]);
    assert!(!found.is_empty(), "no sources in {dir}");
    found.into_iter().map(|path| (relative(&path), read(&path))).collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// The code of a source, with line numbers, without its comments and without its trailing module of tests.
fn product_code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines
        .windows(2)
        .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{'));
    let end = tests.unwrap_or(lines.len());
    lines
        .into_iter()
        .take(end)
        .enumerate()
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or(line)))
}

/// Whether a source is only compiled for tests, or is there to serve them.
fn serves_tests(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.ends_with("/testing.rs") || path.ends_with("/properties.rs") || path.contains("/testing/")
}

fn check(rule: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{rule}\n  {}", violations.join("\n  "));
}

#[test]
fn dependencies_point_one_way() {
    let crates = crates();
    let layered: BTreeSet<&str> = LAYERS.iter().flat_map(|(names, _)| names.iter().copied()).collect();
    let services: BTreeSet<&str> = crates
        .iter()
        .map(|one| one.name.as_str())
        .filter(|name| !layered.contains(name))
        .collect();
    let mut violations = Vec::new();
    for one in &crates {
        let layer = LAYERS.iter().find(|(names, _)| names.contains(&one.name.as_str()));
        let may_use = layer.map_or(SERVICES_MAY_USE, |(_, may_use)| may_use);
        for used in ["dependencies", "dev-dependencies", "build-dependencies"]
            .iter()
            .flat_map(|kind| one.dependencies(kind))
        {
            let Some(used) = used.strip_prefix("vigie-").or((used == "vigie").then_some("vigie")) else {
                continue;
            };
            let is_allowed = may_use.contains(&used) || (may_use.contains(&"SERVICES") && services.contains(used));
            if !is_allowed {
                violations.push(format!("{} uses {used}", one.name));
            }
        }
    }
    check(
        "domain <- {rulebook, scorer, bus, runtime, platforms, web} <- services <- vigie <- tests; services never use each other",
        &violations,
    );
}

#[test]
fn one_crate_knows_each_wrapped_library() {
    let mut violations = Vec::new();
    for one in crates() {
        for (library, owner) in WRAPPED {
            if one.name != owner && one.dependencies("dependencies").contains(&library) {
                violations.push(format!("{} uses {library}, which only {owner} may know", one.name));
            }
        }
    }
    check("a library with a wrapper is used through it", &violations);
}

#[test]
fn every_crate_takes_lints_and_versions_from_the_workspace() {
    let mut violations = Vec::new();
    let tests = Crate::read(&root().join("tests"));
    for one in crates().iter().chain([&tests]) {
        let inherited =
            |table: Option<&toml::Value>| table.and_then(|value| value.get("workspace")).and_then(toml::Value::as_bool) == Some(true);
        if !inherited(one.manifest.get("lints")) {
            violations.push(format!("{} does not say [lints] workspace = true", one.name));
        }
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for name in one.dependencies(kind) {
                if !inherited(one.manifest.get(kind).and_then(|table| table.get(name))) {
                    violations.push(format!("{}: {name} has a version of its own", one.name));
                }
            }
        }
    }
    check("one version and one set of lints for all crates", &violations);
}

#[test]
fn pure_sources_do_nothing_but_compute() {
    let mut violations = Vec::new();
    for (dir, shell) in PURE {
        for (path, text) in sources(dir) {
            if !shell.is_empty() && path.ends_with(shell) {
                continue;
            }
            for (number, line) in product_code(&text) {
                if let Some(word) = IMPURE.iter().find(|word| line.contains(**word)) {
                    violations.push(format!("{path}:{number}: {word}"));
                }
            }
        }
    }
    check(
        "domain, rulebook and the estimators do no IO, do not sleep and read no clock",
        &violations,
    );
}

#[test]
fn only_the_runtime_reads_the_environment() {
    let reading = [
        "env::var",
        "env::set_var",
        "env::remove_var",
        "env::temp_dir",
        "env::home_dir",
        "option_env!",
    ];
    let mut violations = Vec::new();
    for (path, text) in sources("services") {
        let product = path.contains("/src/") && !path.starts_with("services/runtime/") && !serves_tests(&path);
        if product {
            let found = product_code(&text).filter(|(_, line)| reading.iter().any(|word| line.contains(word)));
            violations.extend(found.map(|(number, line)| format!("{path}:{number}: {}", line.trim())));
        }
    }
    check(
        "configuration comes from the configuration file; only the runtime reads the environment",
        &violations,
    );
}

#[test]
fn every_section_of_the_configuration_refuses_unknown_keys() {
    let mut violations = Vec::new();
    let mut sections = 0;
    for (path, text) in sources("services") {
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let is_section = line.starts_with("pub struct ") && line.contains("Config {");
            // The attributes stand between the documentation and the name.
            let attributes: Vec<&&str> = lines[..at].iter().rev().take_while(|line| line.starts_with("#[")).collect();
            if is_section && attributes.iter().any(|line| line.contains("Deserialize")) {
                sections += 1;
                if !attributes.iter().any(|line| line.contains("deny_unknown_fields")) {
                    violations.push(format!("{path}:{}: {line}", at + 1));
                }
            }
        }
    }
    assert!(sections > 10, "only {sections} sections found");
    check("an unknown key is refused, never ignored", &violations);
}

#[test]
fn sources_are_documented_short_and_finished() {
    // Split, so that this file does not contain what it looks for.
    let unfinished = [concat!("TO", "DO"), concat!("FIX", "ME")];
    let ignored = concat!("#[ig", "nore");
    let mut violations = Vec::new();
    for (path, text) in sources("services").into_iter().chain(sources("tests")) {
        if !text.starts_with("//!") && !path.ends_with("/tests.rs") {
            violations.push(format!("{path} does not begin with what it does and promises (//!)"));
        }
        let lines = text.lines().count();
        if lines > LINES_MAX {
            violations.push(format!(
                "{path} has {lines} lines, {LINES_MAX} are the limit: split it by responsibility"
            ));
        }
        let mut words = text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        if let Some(word) = words.find(|word| unfinished.contains(word)) {
            violations.push(format!("{path} contains {word}"));
        }
        if text.contains(ignored) {
            violations.push(format!("{path} contains {ignored}"));
        }
    }
    check("a source says what it does, fits a head and leaves nothing for later", &violations);
}

#[test]
fn names_say_what_is_inside() {
    let empty = ["util", "utils", "common", "manager", "helper", "helpers", "misc"];
    let violations: Vec<String> = sources("services")
        .into_iter()
        .chain(sources("tests"))
        .map(|(path, _)| path)
        .filter(|path| path.trim_end_matches(".rs").split('/').any(|part| empty.contains(&part)))
        .collect();
    check("no grab bags: a module is named after what it holds", &violations);
}

#[test]
fn the_top_level_is_the_agreed_one() {
    let found: Vec<String> = entries(root())
        .iter()
        .filter_map(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()))
        .filter(|name| !name.starts_with('.'))
        .collect();
    let missing = TOP
        .iter()
        .filter(|name| !found.iter().any(|entry| entry == **name))
        .map(|name| format!("{name} is missing"));
    let more = found
        .iter()
        .filter(|name| !TOP.contains(&name.as_str()) && !TOP_BESIDES.contains(&name.as_str()));
    let violations: Vec<String> = missing.chain(more.map(|name| format!("{name} does not belong here"))).collect();
    check("the visible top level is fixed", &violations);
}

#[test]
fn scripts_are_strict_and_explain_themselves() {
    let mut violations = Vec::new();
    let scripts: Vec<PathBuf> = ["deploy", "tests", ".ci"]
        .iter()
        .map(|dir| root().join(dir))
        .filter(|dir| dir.exists())
        .flat_map(|dir| files(&dir, &[""]))
        .collect();
    let mut seen = 0;
    for path in scripts {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if !text.starts_with("#!/usr/bin/env bash\n") {
            continue;
        }
        seen += 1;
        let name = relative(&path);
        if !text.contains("\nset -euo pipefail\n") {
            violations.push(format!("{name} does not say set -euo pipefail"));
        }
        if !text.lines().nth(1).is_some_and(|line| line.starts_with("# ")) {
            violations.push(format!("{name} does not begin with what it does"));
        }
        let lines = text.lines().count();
        if lines > LINES_MAX {
            violations.push(format!("{name} has {lines} lines"));
        }
    }
    assert!(seen >= 8, "only {seen} scripts found");
    check("a script stops at the first error and says what it is for", &violations);
}
