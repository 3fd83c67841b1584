//! What commands print. Text that came from outside is escaped first: a comment must not move the cursor, set colours or hide what
//! follows it.

use std::io::{IsTerminal as _, Write as _};

use anyhow::Context as _;
use serde::Serialize;

/// Writes a text to standard output.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .context("could not write to standard output")
}

/// Writes a line to standard output.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    print(&format!("{text}\n"))
}

/// Writes a value to standard output as one line of JSON.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(&serde_json::to_string(value)?)
}

/// Writes a line to standard error. Where that is closed nobody listens, and nothing can be done about it.
pub(crate) fn complain(text: &str) {
    writeln!(std::io::stderr().lock(), "{text}").ok();
}

/// Whether a person sees standard error.
pub(crate) fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}

/// `text` on one line, with everything that a terminal would obey, or that would change the order of letters, written out.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => escaped.push_str("\\n"),
            '\t' => escaped.push_str("\\t"),
            '\r' => escaped.push_str("\\r"),
            c if obeyed(c) => escaped.extend(c.escape_unicode()),
            c => escaped.push(c),
        }
    }
    escaped
}

/// As [`escape`], keeping the ends of lines.
pub(crate) fn escape_lines(text: &str) -> String {
    text.lines().map(escape).collect::<Vec<_>>().join("\n")
}

fn obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let cases = [
            ("Très beau musée !", "Très beau musée !"),
            ("a\u{1b}[31mb\u{7}", "a\\u{1b}[31mb\\u{7}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("x\u{202e}gnp.exe", "x\\u{202e}gnp.exe"),
            ("un\ndeux\r\ttrois", "un\\ndeux\\r\\ttrois"),
        ];
        for (text, expected) in cases {
            assert_eq!(escape(text), expected);
        }
        assert_eq!(escape_lines("un\n\u{1b}deux"), "un\n\\u{1b}deux");
    }
}
