//! JSON Lines.

use std::io::BufRead;

use super::fields::read_json;
use super::lines::{Lines, Record};
use super::{Row, RowError};

pub(super) struct Rows<R> {
    lines: Lines<R>,
}

impl<R: BufRead> Rows<R> {
    pub const fn new(reader: R) -> Self {
        Self { lines: Lines::new(reader) }
    }
}

impl<R: BufRead> Iterator for Rows<R> {
    type Item = Result<(u64, Row), RowError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.lines.next_line()? {
                Ok((_, line)) if line.iter().all(u8::is_ascii_whitespace) => {}
                record => return Some(read(record)),
            }
        }
    }
}

fn read(record: Record) -> Result<(u64, Row), RowError> {
    let (line, bytes) = record?;
    let row = utf8(&bytes).and_then(read_json).map_err(|reason| RowError { line, reason })?;
    Ok((line, row))
}

/// The text of a record.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "not UTF-8 but UTF-16; save the file as UTF-8".to_owned(),
        _ => format!("not UTF-8 at byte {} of the row; save the file as UTF-8", error.valid_up_to() + 1),
    })
}
