//! `vigie evaluate`: a stream of labelled lines through the whole classifier, into an [`Evaluation`].
//!
//! A line is an object with `text` and `labels`, see [`Truth`] for what is read of it; `parent`, or `parent_text`, is what the comment
//! answers; other fields are as in [`crate::offline`]. Lines are judged in batches, as `vigie classify` judges them. The first line
//! that cannot be used ends the run: figures of a part would pass for figures of the whole.

use std::io::BufRead;
use std::sync::Arc;

use serde_json::{Map, Value};
use vigie_domain::{Comment, Policy};

use crate::engine::Engine;
use crate::evaluation::{Evaluation, Truth};
use crate::offline::{BATCH_BYTES_MAX, BATCH_COMMENTS_MAX, InvalidLine, Line, from_fields, object, read_line};

/// Judges every line of `input` under `policy` and adds it to `evaluation` as a comment of `file`; `progress` is told after each batch
/// how many bytes and comments of the file are done. Gives the number of comments.
///
/// # Errors
/// Reading fails, the model fails, or a line cannot be used ([`InvalidLine`]).
pub fn evaluate(
    mut input: impl BufRead,
    file: &str,
    engine: &Engine,
    policy: &Arc<Policy>,
    evaluation: &mut Evaluation,
    mut progress: impl FnMut(u64, u64),
) -> anyhow::Result<u64> {
    let (mut number, mut bytes, mut comments) = (0, 0, 0);
    let mut batch = Batch::default();
    let mut line = Vec::new();
    loop {
        let size = read_line(&mut input, &mut line)?;
        let ended = size == Line::End;
        if !ended {
            number += 1;
            bytes += u64::try_from(line.len())? + 1;
            let parsed = parse(&line, size, number).map_err(|message| InvalidLine { line: number, message })?;
            batch.push(number, parsed);
        }
        if ended || batch.is_full() {
            comments += batch.judge(file, engine, policy, evaluation)?;
            progress(bytes, comments);
        }
        if ended {
            return Ok(comments);
        }
    }
}

#[derive(Default)]
struct Batch {
    comments: Vec<Comment>,
    truths: Vec<(u64, Truth)>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, line: u64, parsed: Option<(Comment, Truth)>) {
        if let Some((comment, truth)) = parsed {
            self.bytes += comment.text.len();
            self.comments.push(comment);
            self.truths.push((line, truth));
        }
    }

    const fn is_full(&self) -> bool {
        self.comments.len() >= BATCH_COMMENTS_MAX || self.bytes >= BATCH_BYTES_MAX
    }

    fn judge(&mut self, file: &str, engine: &Engine, policy: &Arc<Policy>, evaluation: &mut Evaluation) -> anyhow::Result<u64> {
        self.bytes = 0;
        let mut verdicts = engine.judge(std::mem::take(&mut self.comments), |_| Arc::clone(policy))?;
        for verdict in &mut verdicts {
            engine.complete_scores(&mut verdict.scores);
        }
        let mut judged = 0;
        for ((line, truth), verdict) in self.truths.drain(..).zip(&verdicts) {
            evaluation.add(file, &truth, verdict).map_err(|error| InvalidLine {
                line,
                message: error.to_string(),
            })?;
            judged += 1;
        }
        Ok(judged)
    }
}

fn parse(line: &[u8], size: Line, number: u64) -> Result<Option<(Comment, Truth)>, String> {
    let Some(mut fields) = object(line, size, number)? else {
        return Ok(None);
    };
    let truth = Truth::read(&fields)?;
    take_parent(&mut fields)?;
    // A tombstone has no text to judge.
    fields.remove("deleted_at");
    Ok(Some((from_fields(&fields, number)?, truth)))
}

fn take_parent(fields: &mut Map<String, Value>) -> Result<(), String> {
    match fields.remove("parent") {
        None | Some(Value::Null) => {}
        Some(text @ Value::String(_)) => {
            fields.entry("parent_text").or_insert(text);
        }
        Some(_) => return Err("the field `parent` is not a string".to_owned()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Option<(Comment, Truth)>, String> {
        parse(line.as_bytes(), Line::Read, 3)
    }

    #[test]
    fn a_labelled_line_is_a_comment_and_its_truth() -> Result<(), String> {
        let line = r#"{"text":"x","parent":"avant","labels":{"toxic":1},"deleted_at":"2026-01-01T00:00:00Z","source":"s"}"#;
        let (comment, truth) = read(line)?.ok_or("empty")?;
        assert_eq!(
            (
                comment.native_id.as_str(),
                comment.context.parent_text.as_deref(),
                comment.deleted.is_some()
            ),
            ("line-3", Some("avant"), false)
        );
        assert!(!truth.positive.is_empty());
        assert!(read(" ")?.is_none());
        Ok(())
    }

    #[test]
    fn what_is_wrong_is_said_without_quoting_the_text() {
        for (line, expected) in [
            (r#"{"text":"secret"}"#, "the field `labels` is missing"),
            (r#"{"labels":{"toxic":1}}"#, "the field `text` is missing"),
            (r#"{"text":"secret","labels":{"insul":1}}"#, "did you mean `insult`?"),
            (
                r#"{"text":"secret","labels":{},"parent":["secret"]}"#,
                "the field `parent` is not a string",
            ),
            (r#"{"text":"secret"#, "not JSON"),
        ] {
            let error = read(line).expect_err(line);
            assert!(error.contains(expected) && !error.contains("secret"), "{error}");
        }
    }
}
