//! Text of comments on pages: escaped, with highlighted spans, and with characters that hide or reorder others made visible.
//!
//! maud escapes everything; nothing here is ever marked as safe. Control characters, bidirectional controls, zero-width and tag
//! characters appear as a framed code point, since their whole purpose in a hostile comment is not to be seen.

use maud::{Markup, html};

/// The most characters shown at once; the rest is behind a fold.
pub const SHOWN_CHARACTERS_MAX: usize = 8_000;

/// What a highlight says, and so how it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkKind {
    /// A rule found it: on coloured ground.
    Found,
    /// It weighed in a score: underlined with dots.
    Weighed,
}

/// A highlighted part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Byte offsets [start, end). Those that are not on character boundaries or out of range are moved inwards.
    pub span: [usize; 2],
    /// Why it is marked.
    pub kind: MarkKind,
    /// What the pointer or a screen reader is told.
    pub title: String,
}

/// The text without highlights.
#[must_use]
pub fn plain(text: &str) -> Markup {
    marked(text, &[])
}

/// The text with `marks`, which may overlap: where they do, their titles are joined, and it looks like both kinds.
#[must_use]
pub fn marked(text: &str, marks: &[Mark]) -> Markup {
    let cut = text.char_indices().nth(SHOWN_CHARACTERS_MAX).map_or(text.len(), |(index, _)| index);
    let left = text[cut..].chars().count();
    html! {
        (range(text, 0, cut, marks))
        @if cut < text.len() {
            details.rest {
                summary lang="fr" {
                    "Afficher la suite (" (left) (if left > 1 { "\u{a0}caractères)" } else { "\u{a0}caractère)" })
                }
                (range(text, cut, text.len(), marks))
            }
        }
    }
}

fn range(text: &str, from: usize, to: usize, marks: &[Mark]) -> Markup {
    let mut edges = vec![from, to];
    let sound: Vec<Sound<'_>> = marks
        .iter()
        .filter_map(|mark| {
            let (start, end) = (
                text.ceil_char_boundary(mark.span[0].min(text.len())),
                text.floor_char_boundary(mark.span[1].min(text.len())),
            );
            (start < end).then_some((start, end, mark))
        })
        .collect();
    edges.extend(
        sound
            .iter()
            .flat_map(|(start, end, _)| [*start, *end])
            .filter(|edge| (from..to).contains(edge)),
    );
    edges.sort_unstable();
    edges.dedup();
    html! {
        @for pair in edges.windows(2) {
            @let (titles, found, weighed) = titles(&sound, pair[0], pair[1]);
            @if found { mark class=[weighed.then_some("weighed")] title=(titles.join(" ; ")) { (visible(text, pair[0], pair[1])) } }
            @else if weighed { u.weighed title=(titles.join(" ; ")) { (visible(text, pair[0], pair[1])) } }
            @else { (visible(text, pair[0], pair[1])) }
        }
    }
}

/// A mark with its offsets on character boundaries.
type Sound<'a> = (usize, usize, &'a Mark);

/// The titles of the marks over a part, and whether any of them is found or weighed.
fn titles<'a>(marks: &[Sound<'a>], start: usize, end: usize) -> (Vec<&'a str>, bool, bool) {
    let (mut titles, mut found, mut weighed): (Vec<&str>, bool, bool) = (Vec::new(), false, false);
    for (_, _, mark) in marks.iter().filter(|(from, to, _)| *from <= start && end <= *to) {
        found |= mark.kind == MarkKind::Found;
        weighed |= mark.kind == MarkKind::Weighed;
        if !titles.contains(&mark.title.as_str()) {
            titles.push(&mark.title);
        }
    }
    (titles, found, weighed)
}

/// Characters in sight, the hidden ones as framed code points.
fn visible(text: &str, from: usize, to: usize) -> Markup {
    let mut pieces: Vec<Piece<'_>> = Vec::new();
    let mut start = from;
    for (offset, c) in text[from..to].char_indices() {
        let at = from + offset;
        let Some(name) = hidden(c).filter(|_| !joins_emoji(text, at, c)) else {
            continue;
        };
        pieces.push(Piece::Plain(&text[start..at]));
        pieces.push(Piece::Hidden(c, name));
        start = at + c.len_utf8();
    }
    pieces.push(Piece::Plain(&text[start..to]));
    html! {
        @for piece in pieces {
            @match piece {
                Piece::Plain(text) => (text),
                Piece::Hidden(c, name) => span.hidden-character title=(name) { (format!("U+{:04X}", u32::from(c))) },
            }
        }
    }
}

enum Piece<'a> {
    Plain(&'a str),
    Hidden(char, &'static str),
}

/// What a character that is not seen, or that reorders others, is called.
fn hidden(c: char) -> Option<&'static str> {
    match c {
        '\n' | '\t' => None,
        '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{200E}' | '\u{200F}' | '\u{061C}' => Some("changement de sens d’écriture"),
        '\u{200B}'..='\u{200D}'
        | '\u{2060}'..='\u{2064}'
        | '\u{FEFF}'
        | '\u{00AD}'
        | '\u{034F}'
        | '\u{180E}'
        | '\u{115F}'
        | '\u{1160}'
        | '\u{3164}'
        | '\u{FFA0}' => Some("caractère de largeur nulle"),
        '\u{E0000}'..='\u{E007F}' | '\u{FFF9}'..='\u{FFFB}' | '\u{206A}'..='\u{206F}' => Some("caractère invisible"),
        '\u{2028}' | '\u{2029}' => Some("saut de ligne ou de paragraphe"),
        c if c.is_control() => Some("caractère de commande"),
        _ => None,
    }
}

/// Whether a zero-width joiner or a tag character stands inside an emoji, where it belongs.
fn joins_emoji(text: &str, at: usize, c: char) -> bool {
    let pictures = |c: char| matches!(u32::from(c), 0x2190..=0x2BFF | 0x1F000..=0x1FAFF | 0xFE0F);
    let before = text[..at].chars().next_back();
    match c {
        '\u{200D}' => before.is_some_and(pictures) && text[at + c.len_utf8()..].chars().next().is_some_and(pictures),
        '\u{E0020}'..='\u{E007F}' => before.is_some_and(|c| c == '\u{1F3F4}' || ('\u{E0020}'..='\u{E007E}').contains(&c)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, marks: &[([usize; 2], &str)], expected: &str) {
        let marks: Vec<Mark> = marks
            .iter()
            .map(|(span, title)| Mark {
                span: *span,
                kind: if *title == "w" { MarkKind::Weighed } else { MarkKind::Found },
                title: (*title).to_owned(),
            })
            .collect();
        assert_eq!(marked(text, &marks).into_string(), expected);
    }

    #[test]
    fn words_that_weighed_look_different() {
        check(
            "<b> mot",
            &[([0, 3], "w"), ([2, 7], "a")],
            "<u class=\"weighed\" title=\"w\">&lt;b</u><mark class=\"weighed\" title=\"w ; a\">&gt;</mark><mark title=\"a\"> mot</mark>",
        );
    }

    #[test]
    fn escapes_and_marks() {
        check("<script>alert(1)</script>", &[], "&lt;script&gt;alert(1)&lt;/script&gt;");
        check(
            "un gros <b> mot",
            &[([3, 11], "\"x\"")],
            "un <mark title=\"&quot;x&quot;\">gros &lt;b&gt;</mark> mot",
        );
        check(
            "abcdef",
            &[([1, 4], "a"), ([3, 6], "b")],
            "a<mark title=\"a\">bc</mark><mark title=\"a ; b\">d</mark><mark title=\"b\">ef</mark>",
        );
        check("été", &[([1, 4], "x")], "é<mark title=\"x\">t</mark>é");
        check(
            "abc",
            &[([2, 99], "x"), ([9, 12], "y"), ([2, 1], "z")],
            "ab<mark title=\"x\">c</mark>",
        );
        check("", &[([0, 0], "x")], "");
    }

    #[test]
    fn shows_what_hides() {
        check(
            "a\u{202E}b",
            &[],
            "a<span class=\"hidden-character\" title=\"changement de sens d’écriture\">U+202E</span>b",
        );
        check(
            "\u{7}",
            &[],
            "<span class=\"hidden-character\" title=\"caractère de commande\">U+0007</span>",
        );
        check(
            "x\u{200B}y",
            &[([0, 5], "m")],
            "<mark title=\"m\">x<span class=\"hidden-character\" title=\"caractère de largeur nulle\">U+200B</span>y</mark>",
        );
        check(
            "👩\u{200D}👧 a\u{200D}b",
            &[],
            "👩\u{200D}👧 a<span class=\"hidden-character\" title=\"caractère de largeur nulle\">U+200D</span>b",
        );
    }

    #[test]
    fn folds_the_rest_of_a_long_text() {
        for (more, expected) in [
            (1, "<summary lang=\"fr\">Afficher la suite (1\u{a0}caractère)</summary>é</details>"),
            (
                3,
                "<summary lang=\"fr\">Afficher la suite (3\u{a0}caractères)</summary>ééé</details>",
            ),
        ] {
            let shown = plain(&"é".repeat(SHOWN_CHARACTERS_MAX + more)).into_string();
            assert!(shown.ends_with(expected), "{more}: {}", &shown[shown.len() - 80..]);
        }
    }
}
