//! Comments for a preview from JSON lines: verdicts as `vigie classify` writes them, or comments as it reads them. Nothing in memory
//! but the line in hand.

use std::io::BufRead;

use vigie_domain::{Comment, Verdict, decode};

use crate::offline::{InvalidLine, Line, object, parse, read_line, unmarked};

/// A line.
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    /// A verdict, with its scores.
    Verdict(Box<Verdict>),
    /// A comment that the model has not seen.
    Comment(Box<Comment>),
}

/// Reads lines. The first that cannot be used ends it: counts of a part would pass for counts of the whole.
pub struct Rows<R> {
    input: R,
    line: Vec<u8>,
    number: u64,
    bytes: u64,
}

impl<R: BufRead> Rows<R> {
    /// Of an input.
    pub const fn new(input: R) -> Self {
        Self {
            input,
            line: Vec::new(),
            number: 0,
            bytes: 0,
        }
    }

    /// How many bytes were read.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next row; none at the end.
    ///
    /// # Errors
    /// Reading fails, or the line cannot be used ([`InvalidLine`]).
    pub fn read(&mut self) -> anyhow::Result<Option<(u64, Row)>> {
        loop {
            let size = read_line(&mut self.input, &mut self.line)?;
            if size == Line::End {
                return Ok(None);
            }
            self.number += 1;
            self.bytes += self.line.len() as u64 + 1;
            let line = self.number;
            if let Some(row) = row(&self.line, size, line).map_err(|message| InvalidLine { line, message })? {
                return Ok(Some((line, row)));
            }
        }
    }
}

fn row(line: &[u8], size: Line, number: u64) -> Result<Option<Row>, String> {
    let Some(fields) = object(line, size, number)? else {
        return Ok(None);
    };
    let schema = fields.get("schema").and_then(serde_json::Value::as_str);
    if schema.is_some_and(|schema| schema.starts_with("verdict/")) {
        let verdict = decode::<Verdict>(unmarked(line, number)).map_err(|error| error.to_string())?;
        return Ok(Some(Row::Verdict(Box::new(verdict))));
    }
    Ok(parse(line, size, number)?.map(|comment| Row::Comment(Box::new(comment))))
}
