//! Packs of any content, most of them nearly right.

use std::fmt::Write as _;

use super::Choices;

/// Parts of terms, patterns and ids.
const PARTS: [&str; 44] = [
    "a", "b", "con", "sot", "é", "œ", "'", "-", " ", " ", "[s]", "[", "]", "{a,b}", "{", "}", ",", "<c>", "<d>", "<0-3>", "<3-0>", "<..>",
    "<", ">", "(", ")", "(?:a|b)", "|", "*", "+", "?", r"\w", r"\b", r"\", "^", "$", ".", "{2}", "{200}", "\u{200b}", "\"", "\n", "💣",
    "(?i)",
];

/// The text of a pack.
#[must_use]
pub fn pack(choices: &mut Choices<'_>) -> String {
    let mut out = String::from("description = \"x\"\n");
    if choices.below(2) == 1 {
        let _ = writeln!(out, "classes = {{ c = {}, d = {} }}", list(choices), list(choices));
    }
    if choices.below(4) == 1 {
        let _ = writeln!(out, "unmask = {}", list(choices));
    }
    for index in 0..=choices.below(4) {
        match choices.below(5) {
            3 => allow(&mut out, index, choices),
            4 => soften(&mut out, index, choices),
            _ => rule(&mut out, index, choices),
        }
        if choices.is_used_up() {
            break;
        }
    }
    out
}

fn rule(out: &mut String, index: usize, choices: &mut Choices<'_>) {
    let act = choices.of(&["insult", "threat", "spam", "no-act"]).unwrap_or(&"insult");
    let action = choices.of(&["signal", "review", "hide"]).unwrap_or(&"signal");
    let severity = choices.below(7);
    let _ = writeln!(
        out,
        "[[rule]]\nid = \"r{index}\"\nact = \"{act}\"\nseverity = {severity}\naction = \"{action}\""
    );
    body(out, choices);
    if choices.below(3) == 1 {
        out.push_str("accents = \"strict\"\n");
    }
    cases(out, "rule", choices);
}

fn allow(out: &mut String, index: usize, choices: &mut Choices<'_>) {
    let overlap = choices.below(2) == 1;
    let _ = writeln!(out, "[[allow]]\nid = \"a{index}\"\noverlap = {overlap}");
    body(out, choices);
    cases(out, "allow", choices);
}

fn soften(out: &mut String, index: usize, choices: &mut Choices<'_>) {
    let quoted = choices.below(2) == 1;
    let _ = writeln!(
        out,
        "[[soften]]\nid = \"s{index}\"\nacts = [\"insult\"]\nto = \"signal\"\nquoted = {quoted}"
    );
    let _ = writeln!(out, "context = {}", context(choices));
    cases(out, "soften", choices);
}

/// What rules and allow-lists share.
fn body(out: &mut String, choices: &mut Choices<'_>) {
    let _ = writeln!(out, "terms = {}", list(choices));
    if choices.below(2) == 1 {
        let _ = writeln!(out, "patterns = {}", list(choices));
    }
    if choices.below(3) == 1 {
        let _ = writeln!(out, "guards = {}", context(choices));
    }
}

fn cases(out: &mut String, of: &str, choices: &mut Choices<'_>) {
    if choices.below(2) == 1 {
        let _ = writeln!(out, "[{of}.cases]\nmatch = {}\nno_match = {}", list(choices), list(choices));
    }
}

fn context(choices: &mut Choices<'_>) -> String {
    let within = choices
        .of(&["0", "1", "4", "50", "51", "9223372036854775807", "-1"])
        .unwrap_or(&"4");
    let (before, after, anywhere) = (list(choices), list(choices), list(choices));
    format!("{{ before = {before}, after = {after}, anywhere = {anywhere}, within = {within} }}")
}

/// Up to three strings of up to six parts.
fn list(choices: &mut Choices<'_>) -> String {
    let strings = (0..choices.below(4)).map(|_| {
        let parts: String = (0..=choices.below(6)).filter_map(|_| choices.of(&PARTS)).copied().collect();
        toml::Value::String(parts).to_string()
    });
    format!("[{}]", strings.collect::<Vec<_>>().join(", "))
}
