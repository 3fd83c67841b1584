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

/// Writes a value to standard output as one line of JSON. What [`escape`] writes out is written out here in the way of JSON, which means
/// the same to whoever reads it.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(&escape_json(&serde_json::to_string(value)?))
}

/// Only a string can hold such a character: the rest of JSON is plain.
fn escape_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if obeyed(c) {
            let mut units = [0; 2];
            escaped.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            escaped.push(c);
        }
    }
    escaped
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

/// Adds a title and a table to `text`; nothing where the table has no row but its head. Cells are escaped already.
pub(crate) fn section(text: &mut String, title: &str, rows: &[Vec<String>]) {
    if rows.len() < 2 {
        return;
    }
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    text.push('\n');
    text.push_str(title);
    text.push('\n');
    for row in rows {
        let mut line = String::from(" ");
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            // The head of a row is a name, the rest are figures.
            line.push_str(&if column == 0 {
                format!(" {cell:<width$}")
            } else {
                format!("  {cell:>width$}")
            });
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
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

    #[test]
    fn json_obeys_nothing_and_means_the_same() -> anyhow::Result<()> {
        let text = "é \u{1b}[31m \u{9b}31m \u{7f} \u{202e}x \u{e0041} \"\\";
        let json = escape_json(&serde_json::to_string(text)?);
        assert!(!json.chars().any(obeyed), "{json}");
        assert!(
            json.contains("\\u202e") && json.contains("\\udb40\\udc41") && json.contains('é'),
            "{json}"
        );
        assert_eq!(serde_json::from_str::<String>(&json)?, text);
        Ok(())
    }

    #[test]
    fn names_stand_left_and_figures_right() {
        let mut text = String::new();
        let rows = [["é", "n"], ["abc", "12345"], ["a", "—"]].map(|row| row.map(str::to_owned).to_vec());
        section(&mut text, "T", &rows);
        assert_eq!(text, "\nT\n  é        n\n  abc  12345\n  a        —\n");
        section(&mut text, "nothing", &rows[..1]);
        assert!(!text.contains("nothing"));
    }
}
