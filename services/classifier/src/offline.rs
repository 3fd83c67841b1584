//! `vigie classify`: a stream of JSON lines in, one verdict a line out, in order, in constant memory.
//!
//! A line is either a whole record (`"schema":"comment/1"`) or an object with at least `text`. Fields it may have, as in an import:
//! `platform`, `account_id`, `institution`, `post_id`, `comment_id`, `parent_id`, `parent_text`, `post_text`, `created_at`,
//! `edited_at`, `deleted_at` (RFC 3339), `permalink`, `language`. Other fields are ignored. What is missing is replaced by values
//! that do not depend on the clock, so that the same input gives the same output: platform `generic`; account, institution and post
//! `offline`; comment id `line-<number>`; created and collected at 1970-01-01T00:00:00Z.
//!
//! Empty lines are skipped. A line that is not UTF-8, not an object, longer than [`LINE_BYTES_MAX`] or with a field that cannot be
//! right has no verdict: it is reported with its number, and the run stops there or goes on, as asked. No report quotes the input.

use std::io::{BufRead, Write};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};
use vigie_domain::{
    AccountId, Comment, Context, InstitutionId, NativeCommentId, NewComment, Platform, Policy, PostId, Route, Tombstone, decode, encode,
};

use crate::engine::Engine;

/// The longest line accepted: a text of 1 MiB with every character escaped, and as much again for the other fields.
pub const LINE_BYTES_MAX: usize = 16 << 20;

/// Comments are judged together up to this many, or up to [`BATCH_BYTES_MAX`] of text.
pub(crate) const BATCH_COMMENTS_MAX: usize = 64;
pub(crate) const BATCH_BYTES_MAX: usize = 4 << 20;

/// What to do with a line that cannot be judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnInvalid {
    /// The verdicts of the lines before it are written, then the run ends with the error.
    #[default]
    Stop,
    /// It is reported and skipped.
    Continue,
}

/// What happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Lines read, empty ones included.
    pub lines: u64,
    /// Verdicts written.
    pub verdicts: u64,
    /// Lines that could not be judged.
    pub invalid: u64,
    /// Verdicts that keep.
    pub keep: u64,
    /// Verdicts that ask for a person.
    pub review: u64,
    /// Verdicts that hide.
    pub hide: u64,
    /// Verdicts that are escalated.
    pub escalated: u64,
}

/// A line that cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct InvalidLine {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong, without its content.
    pub message: String,
}

/// Judges every line of `input` under `policy` and writes the verdicts to `output`. `report` is told of each invalid line that is
/// skipped, and `progress` of the state after each batch.
///
/// # Errors
/// Reading or writing fails, the model fails, or a line is invalid and the run is to stop there ([`InvalidLine`]).
pub fn classify(
    mut input: impl BufRead,
    mut output: impl Write,
    engine: &Engine,
    policy: &Arc<Policy>,
    on_invalid: OnInvalid,
    mut report: impl FnMut(&InvalidLine),
    mut progress: impl FnMut(&Summary),
) -> anyhow::Result<Summary> {
    let mut summary = Summary::default();
    let mut batch = Batch::default();
    let mut line = Vec::new();
    loop {
        let size = read_line(&mut input, &mut line)?;
        if size == Line::End {
            break;
        }
        summary.lines += 1;
        match parse(&line, size, summary.lines) {
            Ok(Some(comment)) => batch.push(comment),
            Ok(None) => {}
            Err(message) => {
                let invalid = InvalidLine {
                    line: summary.lines,
                    message,
                };
                summary.invalid += 1;
                if on_invalid == OnInvalid::Stop {
                    batch.judge(engine, policy, &mut output, &mut summary)?;
                    output.flush()?;
                    return Err(invalid.into());
                }
                report(&invalid);
            }
        }
        if batch.is_full() {
            batch.judge(engine, policy, &mut output, &mut summary)?;
            progress(&summary);
        }
    }
    batch.judge(engine, policy, &mut output, &mut summary)?;
    output.flush()?;
    progress(&summary);
    Ok(summary)
}

#[derive(Default)]
struct Batch {
    comments: Vec<Comment>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, comment: Comment) {
        self.bytes += comment.text.len();
        self.comments.push(comment);
    }

    const fn is_full(&self) -> bool {
        self.comments.len() >= BATCH_COMMENTS_MAX || self.bytes >= BATCH_BYTES_MAX
    }

    fn judge(&mut self, engine: &Engine, policy: &Arc<Policy>, output: &mut impl Write, summary: &mut Summary) -> anyhow::Result<()> {
        self.bytes = 0;
        for verdict in engine.judge(std::mem::take(&mut self.comments), |_| Arc::clone(policy))? {
            let mut bytes = encode(&verdict);
            bytes.push(b'\n');
            output.write_all(&bytes)?;
            summary.verdicts += 1;
            summary.escalated += u64::from(verdict.escalate);
            match verdict.route {
                Route::Keep => summary.keep += 1,
                Route::Review => summary.review += 1,
                Route::Hide => summary.hide += 1,
            }
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    Read,
    TooLong,
    End,
}

/// Reads a line without its end into `line`; of one that is too long, no more than the limit is kept in memory.
pub(crate) fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<Line> {
    line.clear();
    let mut any = false;
    let mut too_long = false;
    loop {
        let available = match input.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() {
            break;
        }
        any = true;
        let end = available.iter().position(|byte| *byte == b'\n');
        let part = &available[..end.unwrap_or(available.len())];
        too_long |= line.len() + part.len() > LINE_BYTES_MAX;
        if !too_long {
            line.extend_from_slice(part);
        }
        let used = part.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            break;
        }
    }
    Ok(match (any, too_long) {
        (false, _) => Line::End,
        (true, true) => Line::TooLong,
        (true, false) => Line::Read,
    })
}

/// The comment of a line; none for an empty one.
pub(crate) fn parse(line: &[u8], size: Line, number: u64) -> Result<Option<Comment>, String> {
    let Some(fields) = object(line, size, number)? else {
        return Ok(None);
    };
    if fields.contains_key("schema") {
        return decode::<Comment>(unmarked(line, number))
            .map(Some)
            .map_err(|error| error.to_string());
    }
    from_fields(&fields, number).map(Some)
}

/// A line without the byte order mark that a file may begin with.
pub(crate) fn unmarked(line: &[u8], number: u64) -> &[u8] {
    let mark = "\u{feff}".as_bytes();
    line.strip_prefix(mark).filter(|_| number == 1).unwrap_or(line)
}

/// The object of a line; none for an empty one.
pub(crate) fn object(line: &[u8], size: Line, number: u64) -> Result<Option<Map<String, Value>>, String> {
    if size == Line::TooLong {
        return Err(format!(
            "longer than {} MiB; a comment has at most 1 MiB of text",
            LINE_BYTES_MAX >> 20
        ));
    }
    let text =
        std::str::from_utf8(line).map_err(|error| format!("not UTF-8 at byte {}; convert the file to UTF-8", error.valid_up_to() + 1))?;
    let text = if number == 1 { text.trim_start_matches('\u{feff}') } else { text };
    if text.trim().is_empty() {
        return Ok(None);
    }
    match serde_json::from_str(text).map_err(|error| format!("not JSON at column {}", error.column()))? {
        Value::Object(fields) => Ok(Some(fields)),
        _ => Err("not a JSON object; expected {\"text\": \"…\"}".to_owned()),
    }
}

/// The comment that the fields of a line make.
pub(crate) fn from_fields(fields: &Map<String, Value>, number: u64) -> Result<Comment, String> {
    let id = |key: &str, missing: &str| Ok::<_, String>(string(fields, key)?.unwrap_or_else(|| missing.to_owned()));
    let named = |key: &str, error: String| format!("the field `{key}` cannot be used: {error}");
    let deleted = time(fields, "deleted_at")?.map(|at| Tombstone {
        at,
        source: "import".to_owned(),
    });
    let text = string(fields, "text")?;
    let created_at = time(fields, "created_at")?.unwrap_or(Timestamp::UNIX_EPOCH);
    let platform = match string(fields, "platform")? {
        Some(name) => name
            .parse()
            .map_err(|_| named("platform", "no platform has this name".to_owned()))?,
        None => Platform::Generic,
    };
    let parent = string(fields, "parent_id")?
        .map(NativeCommentId::new)
        .transpose()
        .map_err(|error| named("parent_id", error.to_string()))?;
    let comment = NewComment {
        platform,
        account: AccountId::new(id("account_id", "offline")?).map_err(|error| named("account_id", error.to_string()))?,
        institution: InstitutionId::new(id("institution", "offline")?).map_err(|error| named("institution", error.to_string()))?,
        post: PostId::new(id("post_id", "offline")?).map_err(|error| named("post_id", error.to_string()))?,
        native_id: NativeCommentId::new(id("comment_id", &format!("line-{number}"))?)
            .map_err(|error| named("comment_id", error.to_string()))?,
        parent,
        author: None,
        author_sealed: None,
        text: if deleted.is_some() {
            text.unwrap_or_default()
        } else {
            text.ok_or("the field `text` is missing")?
        },
        context: Context {
            parent_text: string(fields, "parent_text")?,
            post_text: string(fields, "post_text")?,
        },
        created_at,
        edited_at: time(fields, "edited_at")?,
        collected_at: created_at,
        deleted,
        permalink: string(fields, "permalink")?,
        language: string(fields, "language")?,
        evidence: None,
    };
    Ok(comment.build())
}

fn string(fields: &Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    match fields.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("the field `{key}` is not a string")),
    }
}

fn time(fields: &Map<String, Value>, key: &str) -> Result<Option<Timestamp>, String> {
    let parse = |text: String| {
        text.parse()
            .map_err(|_| format!("the field `{key}` is no RFC 3339 time such as 2026-11-24T08:00:00Z"))
    };
    string(fields, key)?.map(parse).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comment(line: &[u8]) -> Result<Option<Comment>, String> {
        parse(line, Line::Read, 7)
    }

    #[test]
    fn text_suffices() -> Result<(), String> {
        let comment = comment(br#"{"text":"bonjour","labels":{"toxic":0},"meta":[1]}"#)?.ok_or("empty")?;
        assert_eq!(
            (comment.text.as_str(), comment.native_id.as_str(), comment.account.as_str()),
            ("bonjour", "line-7", "offline")
        );
        assert_eq!(comment.created_at, Timestamp::UNIX_EPOCH);
        Ok(())
    }

    #[test]
    fn every_field_is_taken() -> Result<(), String> {
        let line = r#"{"text":"x","platform":"mastodon","account_id":"a","institution":"i","post_id":"p","comment_id":"c","parent_id":"q",
            "parent_text":"avant","post_text":"billet","created_at":"1850-01-01T00:00:00Z","edited_at":"9998-12-31T00:00:00+00:00","permalink":"u","language":"fr"}"#;
        let comment = comment(line.replace('\n', " ").as_bytes())?.ok_or("empty")?;
        assert_eq!(
            (comment.platform, comment.post.as_str(), comment.native_id.as_str()),
            (Platform::Mastodon, "p", "c")
        );
        assert_eq!(
            (
                comment.context.parent_text.as_deref(),
                comment.parent.as_ref().map(NativeCommentId::as_str)
            ),
            (Some("avant"), Some("q"))
        );
        assert_eq!(comment.created_at.to_string(), "1850-01-01T00:00:00Z");
        let tombstone = self::comment(br#"{"comment_id":"c","deleted_at":"2026-11-24T08:00:00Z"}"#)?.ok_or("empty")?;
        assert!(tombstone.deleted.is_some());
        let record = self::comment(&encode(&comment))?.ok_or("empty")?;
        assert_eq!(record, comment);
        Ok(())
    }

    #[test]
    fn what_is_wrong_is_said_without_quoting_it() {
        let cases: [(&[u8], &str); 10] = [
            (b"{\"text\":\"secret", "not JSON at column 15"),
            (b"[\"secret\"]", "not a JSON object"),
            (b"{\"text\":\"secret \xff\"}", "not UTF-8 at byte 17"),
            (b"{\"texte\":\"secret\"}", "the field `text` is missing"),
            (b"{\"text\":12}", "the field `text` is not a string"),
            (
                b"{\"text\":\"x\",\"created_at\":\"secret\"}",
                "the field `created_at` is no RFC 3339 time",
            ),
            (b"{\"text\":\"x\",\"platform\":\"secret\"}", "the field `platform` cannot be used"),
            (
                b"{\"text\":\"x\",\"comment_id\":\"\"}",
                "the field `comment_id` cannot be used: comment id is empty",
            ),
            (
                b"{\"text\":\"secret\",\"schema\":\"comment/9\"}",
                "schema `comment/9` cannot be read here",
            ),
            (b"{\"text\":\"secret\",\"schema\":\"comment/1\"}", "not a comment record"),
        ];
        for (line, expected) in cases {
            let error = comment(line).expect_err(expected);
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
        assert_eq!(comment(b" \t"), Ok(None));
        assert_eq!(comment(b"\r"), Ok(None));
        assert!(parse(b"", Line::TooLong, 1).is_err());
    }

    #[test]
    fn lines_are_bounded_and_a_missing_end_is_fine() -> std::io::Result<()> {
        let mut input = Vec::new();
        input.extend_from_slice(b"un\r\n");
        input.extend(std::iter::repeat_n(b'a', LINE_BYTES_MAX + 1));
        input.extend_from_slice(b"\n\ndeux");
        let mut reader = std::io::BufReader::new(input.as_slice());
        let mut line = Vec::new();
        assert_eq!(
            (read_line(&mut reader, &mut line)?, line.as_slice()),
            (Line::Read, b"un\r".as_slice())
        );
        assert_eq!(read_line(&mut reader, &mut line)?, Line::TooLong);
        assert!(line.capacity() <= 2 * LINE_BYTES_MAX);
        assert_eq!((read_line(&mut reader, &mut line)?, line.is_empty()), (Line::Read, true));
        assert_eq!(
            (read_line(&mut reader, &mut line)?, line.as_slice()),
            (Line::Read, b"deux".as_slice())
        );
        assert_eq!(read_line(&mut reader, &mut line)?, Line::End);
        Ok(())
    }
}
