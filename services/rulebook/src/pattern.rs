//! The patterns of the packs to regular expressions over folded text.
//!
//! On top of the syntax of the `regex` crate: `<name>` is the class of that name (one of its items, each a pattern), `<0-3>` is up to
//! three whole words, `<..>` is anything in the same sentence. Accents are folded, an apostrophe is a space, a space also
//! matches a comma and a space, and the pattern begins and ends at
//! the boundary of a word.

use std::collections::BTreeMap;

use regex::bytes::{Regex, RegexBuilder};

use crate::fold::{Kind, fold, kind};
use crate::pack::nearest;

/// Items of each class, not yet expanded, over all packs.
pub(crate) type Classes = BTreeMap<String, Vec<String>>;

const DEPTH_MAX: usize = 8;

/// A pattern with its classes filled in may be this long.
const EXPANDED_BYTES_MAX: usize = 64 << 10;

/// Why a pattern is none.
#[derive(Debug)]
pub(crate) struct PatternError {
    pub(crate) message: String,
    pub(crate) suggestion: Option<String>,
}

impl PatternError {
    pub(crate) fn new(message: String) -> Self {
        Self { message, suggestion: None }
    }
}

/// The whole expression of a pattern, boundaries included.
pub(crate) fn source(pattern: &str, classes: &Classes) -> Result<String, PatternError> {
    Ok(format!(r"\b{{start-half}}(?:{})\b{{end-half}}", expand(pattern, classes, 0)?))
}

/// One expression for any of several patterns; none for no patterns.
pub(crate) fn any_of(patterns: &[String], classes: &Classes) -> Result<Option<Regex>, PatternError> {
    if patterns.is_empty() {
        return Ok(None);
    }
    compile(&source(&patterns.join("|"), classes)?).map(Some)
}

/// Compiles an expression over bytes: ASCII classes, because folded text has ASCII letters only.
pub(crate) fn compile(source: &str) -> Result<Regex, PatternError> {
    RegexBuilder::new(source)
        .unicode(false)
        .size_limit(SIZE_LIMIT_BYTES)
        .dfa_size_limit(DFA_CACHE_BYTES)
        .build()
        .map_err(|error| PatternError::new(format!("not a pattern: {}", error.to_string().lines().last().unwrap_or_default())))
}

/// Compiled expressions may be this large.
const SIZE_LIMIT_BYTES: usize = 64 << 20;

/// What the automaton of one expression may cache: beyond it, searching becomes slow, not wrong.
const DFA_CACHE_BYTES: usize = 2 << 20;

fn expand(pattern: &str, classes: &Classes, depth: usize) -> Result<String, PatternError> {
    if depth > DEPTH_MAX {
        return Err(PatternError::new("its classes refer to each other in a circle".to_owned()));
    }
    let mut out = String::with_capacity(pattern.len() * 2);
    let mut rest = pattern;
    let mut in_set = false;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\\' => {
                out.push('\\');
                if let Some(next) = rest.chars().next() {
                    out.push(next);
                    rest = &rest[next.len_utf8()..];
                }
            }
            '<' => {
                let end = rest.find('>').ok_or_else(|| PatternError::new("`<` lacks its `>`".to_owned()))?;
                let name = &rest[..end];
                rest = &rest[end + 1..];
                match gap(name) {
                    Some(words) => rest = push_gap(&mut out, words, rest),
                    None => out.push_str(&named(name, classes, depth)?),
                }
                within_limit(&out)?;
            }
            '[' if !in_set => {
                in_set = true;
                out.push(c);
            }
            ']' if in_set => {
                in_set = false;
                out.push(c);
            }
            // A comma may stand where a pattern has a space: « dehors, les … ».
            ' ' | '\'' | '\u{2019}' if !in_set && !rest.starts_with(['?', '*', '+', '{']) => out.push_str(",? "),
            '\'' | '\u{2019}' => out.push(' '),
            c if c.is_ascii() => out.push(c),
            // Nothing is left to repeat: `❤️?` would make the heart optional.
            c if kind(c) == Kind::Nothing => rest = if in_set { rest } else { after_repetition(rest) },
            c => {
                let mut bytes = Vec::new();
                fold(c, |byte| bytes.push(byte));
                let folded = String::from_utf8_lossy(&bytes);
                if !in_set && folded.chars().count() > 1 {
                    out.extend(["(?:", &folded, ")"]);
                } else {
                    out.push_str(&folded);
                }
            }
        }
    }
    Ok(out)
}

/// What follows a repetition at the beginning of `pattern`, if there is one.
fn after_repetition(pattern: &str) -> &str {
    let after = match pattern.strip_prefix('{') {
        Some(inside) => inside.split_once('}').map_or(pattern, |(_, after)| after),
        None => pattern.strip_prefix(['?', '*', '+']).unwrap_or(pattern),
    };
    if after.len() < pattern.len() {
        after.strip_prefix('?').unwrap_or(after)
    } else {
        pattern
    }
}

/// Classes of classes grow fast.
fn within_limit(expanded: &str) -> Result<(), PatternError> {
    if expanded.len() <= EXPANDED_BYTES_MAX {
        return Ok(());
    }
    let most = EXPANDED_BYTES_MAX >> 10;
    Err(PatternError::new(format!(
        "is longer than {most} KiB with its classes filled in: split it"
    )))
}

/// `0-3`: from no word to three.
fn gap(name: &str) -> Option<(u8, u8)> {
    let (least, most) = name.split_once('-')?;
    Some((least.parse().ok()?, most.parse().ok()?))
}

/// Signs that may stand between two words of a pattern.
const BETWEEN: &str = r#"[,;:"()]* ["(]?"#;

/// Words of a gap: written `a<0-3> b` or `a <0-3>b`, the words come with the spaces they need and may have signs between them.
/// Gives the rest of the pattern.
fn push_gap<'a>(out: &mut String, (least, most): (u8, u8), rest: &'a str) -> &'a str {
    let after_each = format!("(?:[a-z0-9]+{BETWEEN}){{{least},{most}}}");
    let before_each = format!(r"(?:{BETWEEN}[a-z0-9]+\b){{{least},{most}}}");
    match rest.strip_prefix(' ') {
        Some(next) if !next.starts_with('?') => {
            out.push_str(&before_each);
            out.push_str(BETWEEN);
            next
        }
        Some(_) => {
            out.push_str(&before_each);
            rest
        }
        None if out.ends_with(' ') => {
            out.push_str(&after_each);
            rest
        }
        None if rest.is_empty() || rest.starts_with(['|', ')']) => {
            out.push_str(&before_each);
            rest
        }
        None => {
            out.push_str(&format!("(?:{before_each}|{after_each})"));
            rest
        }
    }
}

fn named(name: &str, classes: &Classes, depth: usize) -> Result<String, PatternError> {
    if name == ".." {
        return Ok(r"[^.!?\n]*?".to_owned());
    }
    let items = classes.get(name).ok_or_else(|| PatternError {
        message: format!("there is no class `{name}`"),
        suggestion: nearest(name, classes.keys().map(String::as_str)),
    })?;
    let mut out = String::from("(?:");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push('|');
        }
        out.push_str(&expand(item, classes, depth + 1)?);
        within_limit(&out)?;
    }
    out.push(')');
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str, text: &str) -> bool {
        let classes = Classes::from([
            ("tuer".to_owned(), vec!["tuer".to_owned(), "cr[ee]ver".to_owned()]),
            ("menace".to_owned(), vec!["je vais te <tuer>".to_owned()]),
        ]);
        source(pattern, &classes)
            .and_then(|source| compile(&source))
            .expect(pattern)
            .is_match(text.as_bytes())
    }

    #[test]
    fn classes_gaps_and_boundaries() {
        assert!(found("<menace>", "oui je vais te crever"));
        assert!(!found("<menace>", "je vais te tuerai"));
        assert!(found("je vais<0-2> <tuer>", "je vais tous les tuer"));
        assert!(!found("je vais<0-2> <tuer>", "je vais tous un par un les tuer"));
        assert!(found("je vais <0-2>tuer", "je vais, vous \"tous\" tuer"));
        assert!(found("(?:vont |va )<0-2>payer", "ta fille va vite payer"));
        assert!(found("dehors les <tuer>", "dehors, les tuer"));
        assert!(!found("dehors[ ;]les", "dehors, les"));
        assert!(found("demain<0-3>", "demain, je viens"));
        assert!(!found("juifs<0-2> ?nez", "juifs ou pas, venez"));
        assert!(found("bombe<..>musée", "une bombe dans votre musee"));
        assert!(!found("bombe<..>musée", "quelle bombe. le musee"));
        assert!(found("l'été", "vive l ete"));
        assert!(found("💣+ demain", "toi 💣💣 demain"));
        assert!(found("adieu (?:❤\u{fe0f}?|💀)", "adieu ❤") && !found("adieu (?:❤\u{fe0f}?|💀)", "adieu "));
        assert!(found("❤\u{fe0f}{0,1}? adieu", "❤ adieu") && !found("❤\u{fe0f}{0,1}? adieu", " adieu"));
        assert!(found("sœ?ur", "sur") && !found("sœ?ur", "sour"));
    }

    #[test]
    fn says_what_is_wrong() {
        let classes = Classes::from([("tuer".to_owned(), vec!["<tuer>".to_owned()])]);
        assert!(source("<tuer>", &classes).is_err_and(|error| error.message.contains("circle")));
        assert!(source("<teur>", &classes).is_err_and(|error| error.suggestion.as_deref() == Some("tuer")));
        assert!(source("<tuer", &classes).is_err());
        let tenfold = |name: &str| vec![format!("<{name}>").repeat(10)];
        let classes = Classes::from([
            ("a".to_owned(), tenfold("b")),
            ("b".to_owned(), tenfold("c")),
            ("c".to_owned(), tenfold("d")),
            ("d".to_owned(), tenfold("e")),
            ("e".to_owned(), vec!["mot ".repeat(10)]),
        ]);
        assert!(source("<c>", &classes).is_ok());
        assert!(source("<a>", &classes).is_err_and(|error| error.message.contains("64 KiB")));
        assert!(compile("a(").is_err());
    }
}
