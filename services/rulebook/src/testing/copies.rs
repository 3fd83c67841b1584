//! Normalised copies made the plain way: character by character, token by token, with nothing left out beforehand.

use std::ops::Range;

use crate::compile::Rulebook;
use crate::find::CopyKind;
use crate::fold::{Kind, fold, kind};
use crate::folding::folded_text;
use crate::view::{Lexicon, MoreViews, View};

/// The copies of a text are those that the plain way makes, and where one pass over the text says that there are no more than the
/// first, there are none.
///
/// # Panics
/// One of these does not hold.
pub fn check_copies_against_plain_ones(rulebook: &Rulebook, text: &str) {
    let plain = plain_copies(rulebook, text);
    let copies = rulebook.copies(text);
    let kinds: Vec<CopyKind> = copies.iter().map(|copy| copy.kind).collect();
    assert_eq!(kinds, plain.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), "{text:?}");
    for (copy, (kind, view)) in copies.iter().zip(&plain) {
        assert_eq!(copy.view, *view, "{kind:?} of {text:?}");
    }
    assert_eq!(folded_text(text), plain[0].1.text, "without places, {text:?}");
    assert!(
        plain.len() == 1 || !MoreViews::of(&plain[0].1.text).is_none(),
        "more than one view, {text:?}"
    );
}

fn plain_copies(rulebook: &Rulebook, text: &str) -> Vec<(CopyKind, View)> {
    let folded = folded(text);
    let revealed = revealed(&folded, b'i', &rulebook.lexicon);
    let second = match revealed {
        Some(_) if folded.text.iter().any(|byte| b"1|!".contains(byte)) => self::revealed(&folded, b'l', &rulebook.lexicon),
        _ => None,
    };
    let base = revealed.as_ref().unwrap_or(&folded);
    let (held, squeezed) = (squeezed(base, 3), squeezed(base, 2));
    let later = [
        (CopyKind::Revealed, revealed),
        (CopyKind::Revealed, second),
        (CopyKind::Joined, joined(&folded)),
        (CopyKind::Joined, joined(&folded).and_then(|joined| parted(rulebook, &joined))),
        (CopyKind::Held, held),
        (CopyKind::Squeezed, squeezed),
    ];
    let mut copies = vec![(CopyKind::Folded, folded)];
    copies.extend(later.into_iter().filter_map(|(kind, view)| view.map(|view| (kind, view))));
    copies
}

fn push(view: &mut View, byte: u8, from: usize, to: usize) {
    view.text.push(byte);
    view.from.push(u32::try_from(from).expect("a short text"));
    view.to.push(u32::try_from(to).expect("a short text"));
}

fn pop(view: &mut View) {
    view.text.pop();
    view.from.pop();
    view.to.pop();
}

fn stretch(view: &mut View, to: usize) {
    if let Some(last) = view.to.last_mut() {
        *last = u32::try_from(to).expect("a short text");
    }
}

fn copy(view: &mut View, of: &View, at: usize) {
    view.text.push(of.text[at]);
    view.from.push(of.from[at]);
    view.to.push(of.to[at]);
}

fn folded(text: &str) -> View {
    let mut view = View::default();
    let mut lines = 0;
    // Whether a hashtag goes on, and whether its last letter was a small one.
    let mut hashtag = None;
    for (from, c) in text.char_indices() {
        let to = from + c.len_utf8();
        match kind(c) {
            Kind::Nothing => {}
            Kind::Space | Kind::NewLine => {
                match view.text.last() {
                    Some(b' ' | b'\n') => stretch(&mut view, to),
                    _ => push(&mut view, b' ', from, to),
                }
                if kind(c) == Kind::NewLine {
                    lines += 1;
                }
                if let (true, 2.., Some(last)) = (kind(c) == Kind::NewLine, lines, view.text.last_mut()) {
                    *last = b'\n';
                }
                hashtag = None;
            }
            Kind::Visible => {
                lines = 0;
                if c != '#' && hashtag == Some(true) && c.is_uppercase() {
                    push(&mut view, b' ', from, from);
                }
                hashtag = match hashtag {
                    _ if c == '#' => Some(false),
                    Some(_) if c.is_alphanumeric() => Some(c.is_lowercase()),
                    _ => None,
                };
                let mut bytes = Vec::new();
                fold(c, |byte| bytes.push(byte));
                visible(&mut view, &bytes, from, to);
            }
        }
    }
    view
}

fn visible(view: &mut View, bytes: &[u8], from: usize, to: usize) {
    let Some(first) = bytes.first() else { return };
    let [earlier, previous] = [2, 1].map(|back| view.text.len().checked_sub(back).map(|at| view.text[at]));
    if !b".,;:!?".contains(first) {
        bytes.iter().for_each(|byte| push(view, *byte, from, to));
    } else if previous == Some(*first) || (previous, earlier) == (Some(b' '), Some(*first)) {
        stretch(view, to);
    } else if previous == Some(b' ') {
        pop(view);
        push(view, *first, from, to);
    } else {
        bytes.iter().for_each(|byte| push(view, *byte, from, to));
    }
}

fn letter_of(text: &[u8], one: u8) -> Option<(u8, usize)> {
    let euro = text.starts_with("€".as_bytes()).then_some((b'e', 3));
    let pound = text.starts_with("£".as_bytes()).then_some((b'l', 2));
    let signs = [b"0o", b"3e", b"4a", b"@a", b"5s", b"$s", b"6b", b"8b", b"7t", b"+t", b"9g"];
    let sign = signs.iter().find(|sign| text.first() == Some(&sign[0])).map(|sign| (sign[1], 1));
    let other = text.first().filter(|byte| b"1|!".contains(byte)).map(|_| (one, 1));
    euro.or(pound).or(sign).or(other)
}

/// The token that begins at `at`: an exclamation mark belongs to it between letters only, an asterisk everywhere.
fn token(text: &[u8], at: usize) -> Range<usize> {
    let mut end = at;
    while end < text.len() {
        let width = match text[end] {
            b'a'..=b'z' | b'*' | b'2' => 1,
            b'!' if end == at || !text.get(end + 1).is_some_and(u8::is_ascii_lowercase) => break,
            _ => match letter_of(&text[end..], b'i') {
                Some((_, width)) => width,
                None => break,
            },
        };
        end += width;
    }
    at..end
}

fn revealed(folded: &View, one: u8, lexicon: &dyn Lexicon) -> Option<View> {
    let mut view = View::default();
    let mut at = 0;
    while at < folded.text.len() {
        let range = token(&folded.text, at);
        let token = &folded.text[range.clone()];
        let letters = token.iter().filter(|byte| byte.is_ascii_lowercase()).count();
        if letters == 0 || letters == token.len() {
            let end = range.end.max(at + 1);
            (at..end).for_each(|at| copy(&mut view, folded, at));
            at = end;
            continue;
        }
        let start = view.text.len();
        let is_mask = letters >= 2 && token.contains(&b'*') && token.is_ascii() && token.len() <= 40;
        let mask: Vec<u8> = (0..token.len())
            .map(|at| letter_of(&token[at..], one).map_or(token[at], |(letter, _)| letter))
            .collect();
        let word = if is_mask { lexicon.unmask(&mask) } else { None };
        at = range.start;
        while at < range.end {
            let read = match word {
                Some(word) => Some((word[at - range.start], 1)),
                None => letter_of(&folded.text[at..range.end], one),
            };
            let (from, to) = (folded.from[at] as usize, folded.to[at] as usize);
            push(&mut view, read.map_or(folded.text[at], |(letter, _)| letter), from, to);
            at += read.map_or(1, |(_, width)| width);
        }
        view.changed.push(start..view.text.len());
    }
    (!view.changed.is_empty()).then_some(view)
}

fn joined(folded: &View) -> Option<View> {
    let text = &folded.text;
    let is_word = |at: usize| text.get(at).is_some_and(u8::is_ascii_alphanumeric);
    let is_alone = |at: usize| is_word(at) && !is_word(at + 1) && (at == 0 || !is_word(at - 1));
    let next = |at: usize| {
        let next = (at + 1..text.len()).find(|next| is_word(*next))?;
        let is_gap = text[at + 1..next].iter().all(|byte| byte.is_ascii() && *byte != b'\n');
        (next - at <= 4 && is_gap && is_alone(next)).then_some(next)
    };
    let mut view = View::default();
    let mut at = 0;
    while at < text.len() {
        let run: Vec<usize> = match is_alone(at) {
            true => std::iter::successors(Some(at), |at| next(*at)).collect(),
            false => Vec::new(),
        };
        let digits = run.iter().filter(|at| text[**at].is_ascii_digit()).count();
        match run.last() {
            Some(last) if run.len() >= 3 && digits * 2 < run.len() => {
                let start = view.text.len();
                for at in &run {
                    let letter = letter_of(&text[*at..], b'i').map_or(text[*at], |(letter, _)| letter);
                    push(&mut view, letter, folded.from[*at] as usize, folded.to[*at] as usize);
                }
                view.changed.push(start..view.text.len());
                at = last + 1;
            }
            last => {
                let end = last.map_or(at, |last| *last) + 1;
                (at..end).for_each(|at| copy(&mut view, folded, at));
                at = end;
            }
        }
    }
    (!view.changed.is_empty()).then_some(view)
}

/// The joined copy with a space where a word ends; the space stands for what separates the letters around it.
fn parted(rulebook: &Rulebook, joined: &View) -> Option<View> {
    let mut view = View::default();
    let mut any = false;
    let runs = joined.changed.clone();
    for at in 0..joined.text.len() {
        let run = runs.iter().find(|run| run.contains(&at));
        let ends = run
            .and_then(|run| rulebook.vocabulary.ends(&joined.text[run.clone()]))
            .unwrap_or_default();
        if run.is_some_and(|run| ends.contains(&(at - run.start))) {
            push(&mut view, b' ', joined.to[at - 1] as usize, joined.from[at] as usize);
            any = true;
        }
        match run {
            Some(run) if run.start == at => view.changed.push(view.text.len()..view.text.len() + 1),
            Some(_) => view.changed.last_mut().expect("begun before").end = view.text.len() + 1,
            None => {}
        }
        push(&mut view, joined.text[at], joined.from[at] as usize, joined.to[at] as usize);
    }
    any.then_some(view)
}

/// Words with a letter three times in a row, with every run of at least `least` of a letter as one.
fn squeezed(base: &View, least: usize) -> Option<View> {
    let text = &base.text;
    let run_end = |at: usize, end: usize| (at..end).find(|next| text[*next] != text[at]).unwrap_or(end);
    let mut view = View::default();
    let mut at = 0;
    while at < text.len() {
        let end = (at..text.len()).find(|at| !text[*at].is_ascii_lowercase()).unwrap_or(text.len());
        let is_held = (at..end).any(|at| run_end(at, end) - at >= 3);
        if !is_held {
            let end = end.max(at + 1);
            (at..end).for_each(|at| copy(&mut view, base, at));
            at = end;
            continue;
        }
        let start = view.text.len();
        while at < end {
            let next = run_end(at, end);
            if next - at >= least {
                push(&mut view, text[at], base.from[at] as usize, base.to[next - 1] as usize);
            } else {
                (at..next).for_each(|at| copy(&mut view, base, at));
            }
            at = next;
        }
        view.changed.push(start..view.text.len());
    }
    (!view.changed.is_empty()).then_some(view)
}
