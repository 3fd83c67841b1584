//! The first view of a text: see `folded` in [`crate::view`].
//!
//! ASCII is folded by a table, other characters one by one. The text can be folded without the places that its bytes came from: most
//! texts hold nothing of which a place is asked.

use crate::fold::{Kind, ascii_kind, fold, kind};
use crate::view::View;

/// The first view of a text. Texts beyond 4 GiB are cut.
pub(crate) fn folded(text: &str) -> View {
    let capacity = capacity(text);
    let mut folding = Folding::<true> {
        view: View::with_capacity(capacity),
        lines: 0,
        hashtag: Hashtag::Outside,
    };
    folding.text(text);
    folding.view
}

/// The text of the first view.
pub(crate) fn folded_text(text: &str) -> Vec<u8> {
    let mut folding = Folding::<false> {
        view: View {
            text: Vec::with_capacity(capacity(text)),
            ..View::default()
        },
        lines: 0,
        hashtag: Hashtag::Outside,
    };
    folding.text(text);
    folding.view.text
}

/// A character grows at times, a text hardly ever.
const fn capacity(text: &str) -> usize {
    text.len() + 8
}

/// What ASCII characters become: their kind, and the visible ones in lower case.
const ASCII: [(Kind, u8); 128] = {
    let mut table = [(Kind::Nothing, 0); 128];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = (ascii_kind(byte), byte.to_ascii_lowercase());
        byte += 1;
    }
    table
};

/// A place in a text, which was cut where places end.
#[expect(clippy::cast_possible_truncation, reason = "the text is cut there")]
const fn place(at: usize) -> u32 {
    at as u32
}

struct Folding<const PLACES: bool> {
    view: View,
    /// Ends of lines in a row.
    lines: u8,
    hashtag: Hashtag,
}

impl<const PLACES: bool> Folding<PLACES> {
    fn text(&mut self, text: &str) {
        let text = &text[..text.floor_char_boundary(u32::MAX as usize)];
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            let word = match self.hashtag {
                Hashtag::Outside => &text.as_bytes()[at..],
                Hashtag::Inside { .. } => &[],
            };
            let letters = word.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
            if letters > 0 {
                self.word(&word[..letters], place(at));
                at += letters;
                continue;
            }
            let from = place(at);
            at += c.len_utf8();
            match ASCII.get(c as usize) {
                Some((Kind::Visible, lower)) => self.visible(c, from, place(at), |push| push(*lower)),
                Some((kind, _)) => self.invisible(*kind, from, place(at)),
                None => match kind(c) {
                    Kind::Visible => self.visible(c, from, place(at), |push| fold(c, push)),
                    kind => self.invisible(kind, from, place(at)),
                },
            }
        }
    }

    /// Takes letters and digits of ASCII outside of hashtags.
    fn word(&mut self, letters: &[u8], from: u32) {
        self.lines = 0;
        self.view.text.extend(letters.iter().map(u8::to_ascii_lowercase));
        if PLACES {
            let places = (from..).take(letters.len());
            self.view.from.extend(places.clone());
            self.view.to.extend(places.map(|place| place + 1));
        }
    }

    fn invisible(&mut self, kind: Kind, from: u32, to: u32) {
        match kind {
            Kind::Nothing | Kind::Visible => return,
            Kind::Space => self.space(from, to),
            Kind::NewLine => {
                self.space(from, to);
                self.lines = self.lines.saturating_add(1);
                if self.lines > 1
                    && let Some(last) = self.view.text.last_mut()
                {
                    *last = b'\n';
                }
            }
        }
        self.hashtag = Hashtag::Outside;
    }

    /// Takes a visible character; `fold` gives the bytes of its plain form.
    fn visible(&mut self, c: char, from: u32, to: u32, fold: impl FnOnce(&mut dyn FnMut(u8))) {
        self.lines = 0;
        if self.hashtag.splits_before(c) {
            self.push(b' ', from, from);
        }
        let before = self.view.text.len();
        fold(&mut |byte| self.push(byte, from, to));
        let Some(&first) = self.view.text.get(before) else { return };
        if !matches!(first, b'.' | b',' | b';' | b':' | b'!' | b'?') {
            return;
        }
        // `toi !` and `toi!` are the same; `!!!` is `!`.
        let previous = before.checked_sub(1).map(|at| self.view.text[at]);
        let earlier = before.checked_sub(2).map(|at| self.view.text[at]);
        if previous == Some(first) || (previous == Some(b' ') && earlier == Some(first)) {
            self.truncate(before);
            self.stretch(to);
        } else if previous == Some(b' ') {
            self.truncate(before - 1);
            self.push(first, from, to);
        }
    }

    fn space(&mut self, from: u32, to: u32) {
        match self.view.text.last() {
            Some(b' ' | b'\n') => self.stretch(to),
            _ => self.push(b' ', from, to),
        }
    }

    fn push(&mut self, byte: u8, from: u32, to: u32) {
        if PLACES {
            self.view.push(byte, from, to);
        } else {
            self.view.text.push(byte);
        }
    }

    /// Lets the last byte stand for what ends at `to`.
    fn stretch(&mut self, to: u32) {
        if let Some(last) = self.view.to.last_mut() {
            *last = to;
        }
    }

    fn truncate(&mut self, length: usize) {
        self.view.text.truncate(length);
        self.view.from.truncate(length);
        self.view.to.truncate(length);
    }
}

/// Follows hashtags, whose words begin with capitals.
enum Hashtag {
    Outside,
    Inside { after_small: bool },
}

impl Hashtag {
    fn splits_before(&mut self, c: char) -> bool {
        match self {
            _ if c == '#' => {
                *self = Self::Inside { after_small: false };
                false
            }
            Self::Inside { .. } if !c.is_alphanumeric() => {
                *self = Self::Outside;
                false
            }
            Self::Inside { after_small } => {
                let splits = *after_small && c.is_uppercase();
                *after_small = c.is_lowercase();
                splits
            }
            Self::Outside => false,
        }
    }
}
