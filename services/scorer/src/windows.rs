//! A text as windows of tokens, bounded: a comment of 1 MiB costs no more than [`WINDOWS_MAX`] windows.
//!
//! A text of at most [`WHOLE_BYTES_MAX`] bytes is read from end to end, in windows that overlap by a quarter, as long as that takes
//! at most [`WINDOWS_MAX`] windows (about 1,500 tokens, 6,000 characters of French). Of what is longer, the beginning, the end and
//! evenly spaced places between them are read, and the result says that it is not complete. The rulebook reads every text whole.
//!
//! Where a model reads what a comment answers (a comment or the post), that text follows the comment in the same window, as far as
//! there is room: a comment that fills a window by itself says enough. `models/training/inputs.py` lays out the same.

use tokenizers::Tokenizer;

/// At most this many windows a text.
pub const WINDOWS_MAX: usize = 32;

/// Texts of more bytes are not even tokenised whole.
pub const WHOLE_BYTES_MAX: usize = 16 * 1024;

/// At most this many tokens of what a comment answers, and no fewer than `PARENT_TOKENS_MIN`; of the rest of it nothing is read.
pub const PARENT_TOKENS_MAX: usize = 32;
const PARENT_TOKENS_MIN: usize = 4;
/// More bytes than that many tokens have, but for text that no person writes.
const PARENT_BYTES_MAX: usize = 1024;

const EDGE_BYTES: usize = 4 * 1024;
const SAMPLE_BYTES: usize = 512;
const SAMPLES: usize = 16;

/// The windows of one text, each a complete input of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    /// Token ids, with the special ones.
    pub windows: Vec<Vec<i64>>,
    /// Whether every part of the text is in one of them.
    pub complete: bool,
}

/// Cuts texts into windows.
pub struct Cutter {
    tokenizer: Tokenizer,
    before: Vec<i64>,
    after: Vec<i64>,
    content_max: usize,
}

impl Cutter {
    /// Reads the tokenizer; windows have at most `max_tokens` tokens, with the special ones.
    ///
    /// # Errors
    /// What the tokenizer library says, or `max_tokens` leaves no room.
    pub fn new(json: &[u8], max_tokens: usize) -> Result<Self, String> {
        let mut tokenizer = Tokenizer::from_bytes(json).map_err(|error| error.to_string())?;
        tokenizer.with_truncation(None).map_err(|error| error.to_string())?;
        tokenizer.with_padding(None);
        let probe = tokenizer.encode("a", true).map_err(|error| error.to_string())?;
        let special = probe.get_special_tokens_mask();
        let ids: Vec<i64> = probe.get_ids().iter().map(|id| i64::from(*id)).collect();
        let leading = special.iter().take_while(|flag| **flag == 1).count();
        let trailing = special.iter().rev().take_while(|flag| **flag == 1).count();
        if leading + trailing >= ids.len() {
            return Err("it gives no token for \"a\"".to_owned());
        }
        let content_max = max_tokens
            .checked_sub(leading + trailing)
            .filter(|room| *room >= 4)
            .ok_or("max_tokens leaves no room for text")?;
        Ok(Self {
            tokenizer,
            before: ids[..leading].to_vec(),
            after: ids[ids.len() - trailing..].to_vec(),
            content_max,
        })
    }

    /// The windows of `text`; at least one, even of an empty text. `parent`, what it answers, is read where the text is one window.
    ///
    /// # Errors
    /// What the tokenizer library says.
    pub fn cut(&self, text: &str, parent: Option<&str>) -> Result<Windows, String> {
        let pieces = pieces(text);
        let mut complete = pieces.len() == 1;
        let mut windows = Vec::new();
        for piece in pieces {
            let encoding = self.tokenizer.encode_fast(piece, false).map_err(|error| error.to_string())?;
            let ids = encoding.get_ids();
            for start in starts(ids.len(), self.content_max) {
                let content = ids[start..(start + self.content_max).min(ids.len())]
                    .iter()
                    .map(|id| i64::from(*id));
                windows.push(
                    self.before
                        .iter()
                        .copied()
                        .chain(content)
                        .chain(self.after.iter().copied())
                        .collect(),
                );
            }
        }
        if windows.len() > WINDOWS_MAX {
            complete = false;
            windows = spread(windows.len())
                .into_iter()
                .map(|index| std::mem::take(&mut windows[index]))
                .collect();
        }
        if let (Some(parent), [window]) = (parent, windows.as_mut_slice()) {
            self.append_parent(window, parent)?;
        }
        Ok(Windows { windows, complete })
    }

    /// `<s> comment </s>` to `<s> comment </s></s> parent </s>`, within the longest input.
    fn append_parent(&self, window: &mut Vec<i64>, parent: &str) -> Result<(), String> {
        let tokens_max = self.before.len() + self.content_max + self.after.len();
        let room = tokens_max
            .saturating_sub(window.len() + 2 * self.after.len())
            .min(PARENT_TOKENS_MAX);
        let parent = parent.trim();
        if room < PARENT_TOKENS_MIN || parent.is_empty() {
            return Ok(());
        }
        let read = &parent[..parent.floor_char_boundary(PARENT_BYTES_MAX)];
        let encoding = self.tokenizer.encode_fast(read, false).map_err(|error| error.to_string())?;
        window.extend(&self.after);
        window.extend(encoding.get_ids().iter().take(room).map(|id| i64::from(*id)));
        window.extend(&self.after);
        Ok(())
    }
}

/// Where windows of `content` tokens begin in `tokens` tokens: three quarters apart, the last one flush with the end.
fn starts(tokens: usize, content: usize) -> Vec<usize> {
    if tokens <= content {
        return vec![0];
    }
    let step = content - content / 4;
    let last = tokens - content;
    (0..last).step_by(step).chain([last]).collect()
}

/// The text itself, or the parts of a long one: beginning, evenly spaced samples, end.
fn pieces(text: &str) -> Vec<&str> {
    if text.len() <= WHOLE_BYTES_MAX {
        return vec![text];
    }
    let slice = |start: usize, bytes: usize| {
        let from = text.floor_char_boundary(start);
        &text[from..text.floor_char_boundary((start + bytes).min(text.len()))]
    };
    let between = text.len() - 2 * EDGE_BYTES;
    let sample = |index: usize| slice(EDGE_BYTES + between / SAMPLES * index, SAMPLE_BYTES.min(between / SAMPLES));
    let mut pieces = vec![slice(0, EDGE_BYTES)];
    pieces.extend((0..SAMPLES).map(sample));
    pieces.push(slice(text.len() - EDGE_BYTES, EDGE_BYTES));
    pieces
}

/// [`WINDOWS_MAX`] indices below `count`: a quarter at the beginning, a quarter at the end, the rest evenly between.
fn spread(count: usize) -> Vec<usize> {
    let edge = WINDOWS_MAX / 4;
    let middle = WINDOWS_MAX - 2 * edge;
    let between = count - 2 * edge;
    (0..edge)
        .chain((0..middle).map(|index| edge + index * between / middle))
        .chain(count - edge..count)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(tokens: usize, content: usize) {
        let starts = starts(tokens, content);
        let mut reached = 0;
        for start in &starts {
            assert!(*start <= reached, "a gap before {start} in {tokens}");
            reached = start + content;
        }
        assert!(reached >= tokens, "the end of {tokens} is not read");
        assert_eq!(
            starts.iter().collect::<std::collections::BTreeSet<_>>().len(),
            starts.len(),
            "a window twice in {tokens}"
        );
    }

    #[test]
    fn windows_overlap_and_reach_the_end() {
        for tokens in 0..400 {
            covers(tokens, 62);
        }
        assert_eq!(starts(62, 62), [0]);
        assert_eq!(starts(63, 62), [0, 1]);
    }

    #[test]
    fn a_selection_has_no_window_twice() {
        for count in WINDOWS_MAX + 1..400 {
            let chosen = spread(count);
            assert_eq!(chosen.len(), WINDOWS_MAX);
            assert!(
                chosen.is_sorted_by(|a, b| a < b) && chosen[0] == 0 && chosen[WINDOWS_MAX - 1] == count - 1,
                "{count}: {chosen:?}"
            );
        }
    }

    #[test]
    fn long_texts_are_sampled_on_character_boundaries() {
        assert_eq!(pieces(&"é".repeat(WHOLE_BYTES_MAX / 2)).len(), 1);
        for text in ["é".repeat(10_000), "🤡".repeat(200_000), format!("a{}", "é".repeat(500_000))] {
            let pieces = pieces(&text);
            assert_eq!(pieces.len(), SAMPLES + 2);
            assert!(pieces.iter().map(|piece| piece.len()).sum::<usize>() <= WHOLE_BYTES_MAX + 8);
            assert!(text.starts_with(pieces[0]) && text.ends_with(pieces[SAMPLES + 1]));
        }
    }
}
