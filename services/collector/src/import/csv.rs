//! CSV with a header line: `,` or `;`, fields quoted with `"` where they hold one of these or a line end.

use std::collections::BTreeSet;
use std::io::BufRead;

use super::fields::{Fields, REQUIRED};
use super::jsonl::utf8;
use super::lines::Lines;
use super::{Row, RowError};

pub(super) struct Rows<R> {
    lines: Lines<R>,
    header: Option<Header>,
    ended: bool,
}

struct Header {
    delimiter: u8,
    names: Vec<String>,
}

impl<R: BufRead> Rows<R> {
    pub const fn new(reader: R) -> Self {
        Self {
            lines: Lines::new(reader),
            header: None,
            ended: false,
        }
    }

    /// Without a header that can be used, no row can be.
    fn read_header(&mut self) -> Result<Header, RowError> {
        let Some(record) = self.lines.next_line() else {
            return Err(RowError {
                line: 1,
                reason: "the file is empty; its first line must name the columns".to_owned(),
            });
        };
        let (line, bytes) = record?;
        utf8(&bytes).and_then(Header::read).map_err(|reason| RowError { line, reason })
    }
}

impl<R: BufRead> Iterator for Rows<R> {
    type Item = Result<(u64, Row), RowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let header = match self.header.take() {
            Some(header) => header,
            None => match self.read_header() {
                Ok(header) => header,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            },
        };
        let item = loop {
            match self.lines.next_record(header.delimiter) {
                None => break None,
                Some(Err(error)) => break Some(Err(error)),
                Some(Ok((_, bytes))) if bytes.is_empty() => {}
                Some(Ok((line, bytes))) => {
                    break Some(
                        utf8(&bytes)
                            .and_then(|text| header.row(text))
                            .map(|row| (line, row))
                            .map_err(|reason| RowError { line, reason }),
                    );
                }
            }
        };
        self.header = Some(header);
        item
    }
}

impl Header {
    /// Takes the separator that gives more of the columns that must be there.
    fn read(line: &str) -> Result<Self, String> {
        let read = |delimiter: u8| {
            let names: Vec<String> = split(line, delimiter)
                .into_iter()
                .flatten()
                .map(|name| name.trim().to_lowercase())
                .collect();
            Self { delimiter, names }
        };
        let header = [b',', b';']
            .map(read)
            .into_iter()
            .min_by_key(|header| header.missing().len())
            .expect("there are two");
        let missing = header.missing();
        if !missing.is_empty() {
            return Err(format!(
                "the first line must name the columns, separated by , or ; and lacks {}",
                missing.join(", ")
            ));
        }
        let distinct: BTreeSet<&String> = header.names.iter().filter(|name| !name.is_empty()).collect();
        if distinct.len() < header.names.iter().filter(|name| !name.is_empty()).count() {
            return Err("the first line names a column twice".to_owned());
        }
        Ok(header)
    }

    fn missing(&self) -> Vec<&'static str> {
        REQUIRED
            .into_iter()
            .filter(|name| !self.names.iter().any(|known| known == name))
            .collect()
    }

    fn row(&self, text: &str) -> Result<Row, String> {
        let values = split(text, self.delimiter).ok_or("not a CSV record")?;
        if values.len() != self.names.len() {
            return Err(format!(
                "the row has {} fields, the header {}; quote fields that hold the separator",
                values.len(),
                self.names.len()
            ));
        }
        let mut fields = Fields::default();
        let mut raw = serde_json::Map::new();
        for (name, value) in self.names.iter().zip(values) {
            raw.insert(name.clone(), value.clone().into());
            if let Some(field) = fields.get_mut(name) {
                *field = (name == "text" || !value.is_empty()).then_some(value);
            }
        }
        fields.into_row(serde_json::Value::Object(raw).to_string())
    }
}

/// The fields of one record; none where it is none.
fn split(record: &str, delimiter: u8) -> Option<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .delimiter(delimiter)
        .from_reader(record.as_bytes());
    let mut fields = csv::StringRecord::new();
    let is_there = reader.read_record(&mut fields).ok()?;
    is_there.then(|| fields.iter().map(str::to_owned).collect())
}
