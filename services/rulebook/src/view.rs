//! Copies of a text in which it is easy to find words, each byte with the place in the original that it came from.
//!
//! - `folded`: NFKC, without zero-width characters, look-alikes and accents; lower case; words apart by one space (so that `l'abruti`
//!   is two words and `fils-de-pute` three); no space before punctuation; repeated punctuation once; a blank line is a line feed.
//! - `revealed`: leet digits and signs read as letters, masked letters (`c*nnard`) guessed from the lexicon.
//! - `joined`: letters that stand alone (`c o n n a r d`, `s.a.l.o.p.e`) joined to words.
//! - `parted`: the same where those letters spell several words that are known (`j e v a i s t e t u e r`).
//! - `squeezed`: in words with a letter three times in a row or more, every run of a letter is one letter.
//!
//! The others exist only where there is something for them to do, and know what they changed.
//! Every step is one pass: the cost is linear in the length of the text.

use std::cell::Cell;
use std::ops::Range;

use crate::folding::folded;
use crate::vocabulary::Vocabulary;

/// A normalised copy. `text` is UTF-8, but handled as bytes.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct View {
    /// The normalised text.
    pub(crate) text: Vec<u8>,
    /// For each byte, where the original character that gave it starts.
    pub(crate) from: Vec<u32>,
    /// For each byte, where the last original character that gave it ends.
    pub(crate) to: Vec<u32>,
    /// What differs from the view this one was made of, in ascending order. Empty for the first view.
    pub(crate) changed: Vec<Range<usize>>,
}

/// Which runs of a letter are squeezed in a word that holds a letter.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Runs {
    /// Of three and more: `coooonnard` is `connard`.
    Held,
    /// All: `coonnnnaard` is `conard`.
    All,
}

/// Guesses masked words.
pub(crate) trait Lexicon {
    /// The word that `masked` (lower-case letters and `*`) stands for, of the same length.
    fn unmask(&self, masked: &[u8]) -> Option<&[u8]>;
}

impl View {
    /// The span of the original that gave `range` of this view, which must not be empty.
    pub(crate) fn original(&self, range: &Range<usize>) -> [usize; 2] {
        [self.from[range.start] as usize, self.to[range.end - 1] as usize]
    }

    /// The part of this view that a span of the original gave.
    pub(crate) fn range_of(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.from.partition_point(|from| (*from as usize) < span.start);
        let end = self.to.partition_point(|to| (*to as usize) <= span.end);
        start..end.max(start)
    }

    pub(crate) fn push(&mut self, byte: u8, from: u32, to: u32) {
        self.text.push(byte);
        self.from.push(from);
        self.to.push(to);
    }

    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self {
            text: Vec::with_capacity(bytes),
            from: Vec::with_capacity(bytes),
            to: Vec::with_capacity(bytes),
            ..Self::default()
        }
    }

    fn copy(&mut self, of: &Self, range: Range<usize>) {
        self.text.extend_from_slice(&of.text[range.clone()]);
        self.from.extend_from_slice(&of.from[range.clone()]);
        self.to.extend_from_slice(&of.to[range]);
    }

    /// The first view of a text. Texts beyond 4 GiB are cut.
    pub(crate) fn folded(text: &str) -> Self {
        folded(text)
    }

    /// The second view, with `one` for the digit 1; none where nothing is hidden.
    pub(crate) fn revealed(&self, one: u8, lexicon: &dyn Lexicon) -> Option<Self> {
        self.rewritten(mixed_token, |view, token| view.reveal_token(self, token, one, lexicon))
    }

    /// The view in which three letters or more that stand alone in a row are one word; none where there are none.
    pub(crate) fn joined(&self) -> Option<Self> {
        self.rewritten(spelled_word, |view, run| {
            for at in self.alone(run) {
                view.push(self.spelled(at), self.from[at], self.to[at]);
            }
        })
    }

    /// The view in which they are several words; none where they are nowhere.
    pub(crate) fn parted(&self, vocabulary: &Vocabulary) -> Option<Self> {
        let any = Cell::new(false);
        let parted = self.rewritten(spelled_word, |view, run| {
            let places: Vec<usize> = self.alone(run).collect();
            let letters: Vec<u8> = places.iter().map(|at| self.spelled(*at)).collect();
            let ends = vocabulary.ends(&letters).unwrap_or_default();
            any.set(any.get() || !ends.is_empty());
            let mut ends = ends.into_iter().peekable();
            for (index, (at, letter)) in places.iter().zip(letters).enumerate() {
                if ends.next_if(|end| *end == index).is_some() {
                    view.push(b' ', self.to[places[index - 1]], self.from[*at]);
                }
                view.push(letter, self.from[*at], self.to[*at]);
            }
        });
        parted.filter(|_| any.get())
    }

    /// The letters and digits of a run.
    fn alone(&self, run: Range<usize>) -> impl Iterator<Item = usize> {
        run.filter(|at| self.text[*at].is_ascii_alphanumeric())
    }

    /// The letter that a letter or digit of a run is.
    fn spelled(&self, at: usize) -> u8 {
        leet(self.text[at], b'i').unwrap_or(self.text[at])
    }

    /// A copy in which `rewrite` has written the parts anew that `next` finds from a place on; none where there are none.
    fn rewritten(&self, next: impl Fn(&[u8], usize) -> Option<Range<usize>>, rewrite: impl Fn(&mut Self, Range<usize>)) -> Option<Self> {
        let mut part = next(&self.text, 0)?;
        let mut view = Self::with_capacity(self.text.len());
        let mut copied = 0;
        loop {
            view.copy(self, copied..part.start);
            let start = view.text.len();
            copied = part.end;
            rewrite(&mut view, part);
            view.changed.push(start..view.text.len());
            match next(&self.text, copied) {
                Some(found) => part = found,
                None => break,
            }
        }
        view.copy(self, copied..self.text.len());
        Some(view)
    }

    /// Copies a mixed token with its leet and masks read as letters.
    fn reveal_token(&mut self, of: &Self, range: Range<usize>, one: u8, lexicon: &dyn Lexicon) {
        let token = &of.text[range.clone()];
        let letters = token.iter().filter(|byte| byte.is_ascii_lowercase()).count();
        if letters >= 2 && token.contains(&b'*') && token.is_ascii() && token.len() <= 40 {
            let masked: Vec<u8> = token.iter().map(|byte| leet(*byte, one).unwrap_or(*byte)).collect();
            if let Some(word) = lexicon.unmask(&masked) {
                for (byte, at) in word.iter().zip(range) {
                    self.push(*byte, of.from[at], of.to[at]);
                }
                return;
            }
        }
        let mut at = range.start;
        while at < range.end {
            let (letter, width) = match (of.text[at], &of.text[at..range.end]) {
                (0xe2, [0xe2, 0x82, 0xac, ..]) => (Some(b'e'), 3),
                (0xc2, [0xc2, 0xa3, ..]) => (Some(b'l'), 2),
                (byte, _) => (leet(byte, one), 1),
            };
            match letter {
                Some(letter) => self.push(letter, of.from[at], of.to[at]),
                None => self.copy(of, at..at + width),
            }
            at += width;
        }
    }

    /// The view in which words with a held letter have their runs squeezed to one letter: the held runs only, or all of them. None where
    /// no letter is held.
    pub(crate) fn squeezed(&self, runs: Runs) -> Option<Self> {
        if !holds_a_letter(&self.text) {
            return None;
        }
        let mut view = Self::with_capacity(self.text.len());
        let mut at = 0;
        while at < self.text.len() {
            let end = at + self.text[at..].iter().take_while(|byte| byte.is_ascii_lowercase()).count();
            if end == at {
                view.copy(self, at..at + 1);
                at += 1;
                continue;
            }
            if holds_a_letter(&self.text[at..end]) {
                let start = view.text.len();
                view.squeeze(self, at..end, runs);
                view.changed.push(start..view.text.len());
            } else {
                view.copy(self, at..end);
            }
            at = end;
        }
        Some(view)
    }

    fn squeeze(&mut self, of: &Self, range: Range<usize>, runs: Runs) {
        let mut at = range.start;
        while at < range.end {
            let letter = of.text[at];
            let end = at + of.text[at..range.end].iter().take_while(|byte| **byte == letter).count();
            if end - at >= 3 || matches!(runs, Runs::All) {
                self.push(letter, of.from[at], of.to[end - 1]);
            } else {
                self.copy(of, at..end);
            }
            at = end;
        }
    }

    /// Whether `range` overlaps one of the ascending `ranges`.
    pub(crate) fn touches(ranges: &[Range<usize>], range: &Range<usize>) -> bool {
        let after = ranges.partition_point(|known| known.end <= range.start);
        ranges.get(after).is_some_and(|known| known.start < range.end)
    }
}

/// Which views a text may have beside the first: what one pass over it tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct MoreViews {
    /// A letter stands beside a digit or sign that may stand for a letter.
    pub(crate) revealed: bool,
    /// Three letters or digits stand alone, not far from each other.
    pub(crate) joined: bool,
    /// A letter stands three times in a row.
    pub(crate) squeezed: bool,
}

impl MoreViews {
    pub(crate) fn of(text: &[u8]) -> Self {
        let pairs = || text.iter().zip(text.get(1..).unwrap_or_default());
        let threes = || pairs().zip(text.get(2..).unwrap_or_default());
        // Without a way out early, so that many bytes are looked at in one step.
        let revealed = pairs().fold(0, |any, (a, b)| {
            any | (is_letter(*a) & hides_after_letter(*b)) | (hides_before_letter(*a) & is_letter(*b))
        });
        let squeezed = threes().fold(0, |any, ((a, b), c)| any | (u8::from(a == b) & u8::from(b == c) & is_letter(*c)));
        Self {
            revealed: revealed != 0,
            joined: may_be_spelled(text),
            squeezed: squeezed != 0,
        }
    }

    pub(crate) fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// 1 for a lower-case letter, else 0; so do the following answer.
const fn is_letter(byte: u8) -> u8 {
    byte.is_ascii_lowercase() as u8
}

const fn is_word(byte: u8) -> u8 {
    ((byte | 0x20).is_ascii_lowercase() | byte.is_ascii_digit()) as u8
}

/// What is in one token with a letter right before it: the first bytes of the signs of euro and pound among it.
const fn hides_after_letter(byte: u8) -> u8 {
    (byte.is_ascii_digit()
        | (byte == b'@')
        | (byte == b'$')
        | (byte == b'*')
        | (byte == b'|')
        | (byte == b'+')
        | (byte == 0xe2)
        | (byte == 0xc2)) as u8
}

/// What is in one token with a letter right after it: the last bytes of the signs of euro and pound among it.
const fn hides_before_letter(byte: u8) -> u8 {
    (byte.is_ascii_digit()
        | (byte == b'@')
        | (byte == b'$')
        | (byte == b'*')
        | (byte == b'|')
        | (byte == b'+')
        | (byte == b'!')
        | (byte == 0xac)
        | (byte == 0xa3)) as u8
}

/// Whether three letters or digits stand alone and not further apart than those of a word that is spelled out.
fn may_be_spelled(text: &[u8]) -> bool {
    /// A bit for each byte from the first letter on to the last.
    const SPAN: u32 = (1 << (2 * (SEPARATORS_MAX + 1) + 1)) - 1;
    let (mut words, mut alone) = (0_u32, 0_u32);
    text.iter().chain(b" ").any(|byte| {
        words = words << 1 | u32::from(is_word(*byte));
        alone = alone << 1 | u32::from(words & 0b111 == 0b010);
        (alone & SPAN).count_ones() >= 3
    })
}

/// The first token from `at` on in which letters stand beside digits or signs that may stand for letters.
fn mixed_token(text: &[u8], mut at: usize) -> Option<Range<usize>> {
    while at < text.len() {
        let end = token_end(text, at);
        let letters = text[at..end].iter().filter(|byte| byte.is_ascii_lowercase()).count();
        if letters > 0 && letters < end - at {
            return Some(at..end);
        }
        at = end.max(at + 1);
    }
    None
}

/// Where the token that starts at `at` ends: letters, digits and the signs that stand for letters. `at` itself where there is none.
fn token_end(text: &[u8], at: usize) -> usize {
    let mut end = at;
    while let Some(byte) = text.get(end) {
        end += match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'@' | b'$' | b'*' | b'|' | b'+' => 1,
            b'!' if end > at && text.get(end + 1).is_some_and(u8::is_ascii_lowercase) => 1,
            0xe2 if text[end..].starts_with("€".as_bytes()) => 3,
            0xc2 if text[end..].starts_with("£".as_bytes()) => 2,
            _ => break,
        };
    }
    end
}

/// The letter that a digit or sign stands for; `one` says what 1 is.
fn leet(byte: u8, one: u8) -> Option<u8> {
    Some(match byte {
        b'0' => b'o',
        b'1' | b'|' | b'!' => one,
        b'3' => b'e',
        b'4' | b'@' => b'a',
        b'5' | b'$' => b's',
        b'6' | b'8' => b'b',
        b'7' | b'+' => b't',
        b'9' => b'g',
        _ => return None,
    })
}

/// Whether some letter stands three times in a row.
fn holds_a_letter(text: &[u8]) -> bool {
    text.windows(3)
        .any(|three| three[0].is_ascii_lowercase() && three[0] == three[1] && three[1] == three[2])
}

/// So many bytes may stand between two letters of a word that is spelled out.
const SEPARATORS_MAX: usize = 3;

/// The first word from `at` on, where a word or the text begins, that is spelled out: at least three letters and digits that stand
/// alone, most of them letters, with at most [`SEPARATORS_MAX`] separating bytes between two. From the first to the last of them.
fn spelled_word(text: &[u8], mut at: usize) -> Option<Range<usize>> {
    while at < text.len() {
        let word = text[at..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        if word != 1 {
            at += word.max(1);
            continue;
        }
        let (start, mut last, mut count, mut digits) = (at, at, 1, usize::from(text[at].is_ascii_digit()));
        while let Some(next) = next_alone(text, last) {
            last = next;
            count += 1;
            digits += usize::from(text[next].is_ascii_digit());
        }
        at = last + 1;
        if count >= 3 && digits * 2 < count {
            return Some(start..at);
        }
    }
    None
}

/// The letter or digit that stands alone next after the one at `last`, with at most [`SEPARATORS_MAX`] separating bytes between.
fn next_alone(text: &[u8], last: usize) -> Option<usize> {
    let gap = text[last + 1..]
        .iter()
        .take(SEPARATORS_MAX + 1)
        .take_while(|byte| byte.is_ascii() && !byte.is_ascii_alphanumeric() && **byte != b'\n')
        .count();
    let next = last + 1 + gap;
    let is_word = |at: usize| text.get(at).is_some_and(u8::is_ascii_alphanumeric);
    ((1..=SEPARATORS_MAX).contains(&gap) && is_word(next) && !is_word(next + 1)).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Words(&'static [&'static str]);

    impl Lexicon for Words {
        fn unmask(&self, masked: &[u8]) -> Option<&[u8]> {
            self.0
                .iter()
                .map(|word| word.as_bytes())
                .find(|word| word.len() == masked.len() && word.iter().zip(masked).all(|(letter, mask)| letter == mask || *mask == b'*'))
        }
    }

    fn text(view: &View) -> String {
        String::from_utf8_lossy(&view.text).into_owned()
    }

    #[test]
    fn folds_words_and_punctuation() {
        let cases = [
            ("L’Abruti, fils-de-pute\u{a0}!!!", "l abruti, fils de pute!"),
            ("un\ndeux\n\ntrois", "un deux\ntrois"),
            ("#MortAuxCons", "#mort aux cons"),
            ("You\u{200b}pin", "youpin"),
            ("bon… bien ... sûr", "bon. bien. sur"),
        ];
        for (original, expected) in cases {
            assert_eq!(text(&View::folded(original)), expected, "{original}");
        }
    }

    #[test]
    fn reveals_what_hides() {
        let words = Words(&["connard", "pute"]);
        let cases = [
            ("b0ugn0ul3s", Some("bougnoules")),
            ("c*nn*rd", Some("connard")),
            ("sa1ope", Some("saiope")),
            ("100 € le 12", None),
            ("s@l€", Some("sale")),
            ("Afr!cains", Some("africains")),
        ];
        for (original, expected) in cases {
            let revealed = View::folded(original).revealed(b'i', &words);
            assert_eq!(revealed.as_ref().map(text).as_deref(), expected, "{original}");
        }
    }

    #[test]
    fn joins_letters_and_squeezes_runs() {
        let cases = [
            ("quel c o n n a r d", Some("quel connard")),
            ("s.a.l.o.p.e !", Some("salope!")),
            ("0 6 1 2 3 4", None),
            ("a b", None),
            ("s 4 l e", Some("sale")),
        ];
        for (original, expected) in cases {
            assert_eq!(
                View::folded(original).joined().as_ref().map(text).as_deref(),
                expected,
                "{original}"
            );
        }
        let squeezed = View::folded("Coooonnaaaard bonne").squeezed(Runs::Held);
        assert_eq!(squeezed.as_ref().map(text).as_deref(), Some("connard bonne"));
        let squeezed = View::folded("Coonnnnaard bonne").squeezed(Runs::All);
        assert_eq!(squeezed.as_ref().map(text).as_deref(), Some("conard bonne"));
    }

    #[test]
    fn parts_letters_into_words() {
        let vocabulary = Vocabulary::default();
        let cases = [
            ("oh j e v a i s b i e n", Some("oh je vais bien")),
            ("b i e n", None),
            ("x x x x x x x", None),
        ];
        for (original, expected) in cases {
            let parted = View::folded(original).parted(&vocabulary);
            assert_eq!(parted.as_ref().map(text).as_deref(), expected, "{original}");
        }
        let parted = View::folded("é t a i t  b i e n").parted(&vocabulary).expect("two words");
        assert_eq!(text(&parted), "etait bien");
        assert_eq!(parted.original(&(5..6)), [10, 12], "what stands between");
        assert_eq!((parted.changed.len(), parted.changed.first()), (1, Some(&(0..10))));
    }

    #[test]
    fn spans_point_into_the_original() {
        let original = "Ah l’É\u{200b}nnnnorme C  O";
        let view = View::folded(original);
        let at = text(&view).find("ennnnorme").expect("folded");
        let [from, to] = view.original(&(at..at + 9));
        assert_eq!(&original[from..to], "É\u{200b}nnnnorme");
        let squeezed = view.squeezed(Runs::All).expect("a held letter");
        let at = text(&squeezed).find("enorme").expect("squeezed");
        let [from, to] = squeezed.original(&(at..at + 6));
        assert_eq!(&original[from..to], "É\u{200b}nnnnorme");
    }
}
