//! Records of bounded length out of a stream: lines, or CSV records whose quoted fields may hold line ends.

use std::io::{BufRead, Read as _};

use super::{ROW_BYTES_MAX, RowError};

/// Splits a stream into lines, and puts bytes back where a record turns out to be none.
pub(super) struct Lines<R> {
    /// Bytes put back, to be read before the stream.
    pending: Vec<u8>,
    read: usize,
    reader: R,
    /// Line that is read next, from 1.
    line: u64,
    failed: bool,
}

/// A record, or why there is none at this place.
pub(super) type Record = Result<(u64, Vec<u8>), RowError>;

impl<R: BufRead> Lines<R> {
    pub const fn new(reader: R) -> Self {
        Self {
            pending: Vec::new(),
            read: 0,
            reader,
            line: 1,
            failed: false,
        }
    }

    /// Puts back all of `record` but its first line.
    pub fn resume_after_first_line(&mut self, start: u64, record: &[u8]) {
        let first = record.iter().position(|byte| *byte == b'\n').map_or(record.len(), |end| end + 1);
        let mut pending = record[first..].to_vec();
        pending.extend_from_slice(&self.pending[self.read..]);
        self.pending = pending;
        self.read = 0;
        self.line = start + 1;
    }

    /// The next line without its end.
    pub fn next_line(&mut self) -> Option<Record> {
        let start = self.line;
        let mut line = Vec::new();
        match self.append_line(&mut line)? {
            Ok(true) => {}
            Ok(false) => return Some(Err(too_long(start))),
            Err(error) => return Some(Err(error)),
        }
        if start == 1 && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
        }
        trim_end(&mut line);
        Some(Ok((start, line)))
    }

    /// The next CSV record: lines up to one that ends outside of quotes.
    pub fn next_record(&mut self, delimiter: u8) -> Option<Record> {
        let start = self.line;
        let mut record = Vec::new();
        let mut quotes = Quotes::default();
        loop {
            let from = record.len();
            match self.append_line(&mut record) {
                None if from == 0 => return None,
                Some(Err(error)) => return Some(Err(error)),
                Some(Ok(false)) if from == 0 => return Some(Err(too_long(start))),
                None | Some(Ok(false)) => {
                    self.resume_after_first_line(start, &record);
                    return Some(Err(RowError {
                        line: start,
                        reason: "a quoted field is not closed; double every quote inside a quoted field".to_owned(),
                    }));
                }
                Some(Ok(true)) => {}
            }
            quotes.walk(&record[from..], delimiter);
            if !quotes.open {
                trim_end(&mut record);
                return Some(Ok((start, record)));
            }
        }
    }

    /// Appends one line with its end. None at the end of the file; false where it is too long: the rest of the line is skipped.
    fn append_line(&mut self, record: &mut Vec<u8>) -> Option<Result<bool, RowError>> {
        if self.failed {
            return None;
        }
        let before = record.len();
        let room = (ROW_BYTES_MAX + 1).saturating_sub(before);
        if self.read < self.pending.len() {
            let rest = &self.pending[self.read..];
            let length = rest
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(rest.len(), |end| end + 1)
                .min(room);
            record.extend_from_slice(&rest[..length]);
            self.read += length;
        }
        // What was put back may end in the middle of a line.
        if record.last() != Some(&b'\n') || record.len() == before {
            let room = (ROW_BYTES_MAX + 1).saturating_sub(record.len()) as u64;
            if let Err(error) = (&mut self.reader).take(room).read_until(b'\n', record) {
                self.failed = true;
                return Some(Err(RowError {
                    line: self.line,
                    reason: format!("the file cannot be read any further: {}", error.kind()),
                }));
            }
        }
        if record.len() == before {
            return None;
        }
        let is_whole = record.len() <= ROW_BYTES_MAX;
        if !is_whole && record.last() != Some(&b'\n') && before == 0 {
            self.skip_line();
        }
        self.line += 1;
        Some(Ok(is_whole))
    }

    fn skip_line(&mut self) {
        if self.read < self.pending.len() {
            if let Some(end) = self.pending[self.read..].iter().position(|byte| *byte == b'\n') {
                self.read += end + 1;
                return;
            }
            self.read = self.pending.len();
        }
        loop {
            let Ok(buffer) = self.reader.fill_buf() else { return };
            if buffer.is_empty() {
                return;
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(buffer.len(), |end| end + 1);
            self.reader.consume(used);
            if end.is_some() {
                return;
            }
        }
    }
}

/// Whether a place in a CSV record lies inside a quoted field.
struct Quotes {
    open: bool,
    at_field_start: bool,
    /// The last byte was a quote inside a quoted field: the end of it, unless another follows.
    after_quote: bool,
}

impl Default for Quotes {
    fn default() -> Self {
        Self {
            open: false,
            at_field_start: true,
            after_quote: false,
        }
    }
}

impl Quotes {
    fn walk(&mut self, bytes: &[u8], delimiter: u8) {
        for byte in bytes {
            if self.open {
                if *byte == b'"' {
                    self.open = false;
                    self.after_quote = true;
                }
                continue;
            }
            match *byte {
                b'"' if self.at_field_start || self.after_quote => self.open = true,
                _ => {}
            }
            self.after_quote = false;
            self.at_field_start = *byte == delimiter || *byte == b'\n';
        }
    }
}

fn too_long(line: u64) -> RowError {
    RowError {
        line,
        reason: format!("the row has more than {} MiB; the longest text kept is 1 MiB", ROW_BYTES_MAX >> 20),
    }
}

fn trim_end(line: &mut Vec<u8>) {
    while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        line.pop();
    }
}
