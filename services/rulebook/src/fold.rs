//! One character to its plain form: NFKD without marks, look-alikes of Latin letters to the Latin letter, lower case.
//!
//! What this promises: the folding of a character depends on nothing but the character, and is at most [`EXPANSION_BYTES_MAX`] bytes long.

use unicode_normalization::char::{decompose_canonical, decompose_compatible, is_combining_mark};

/// A single character never grows beyond this: a few ligatures of whole phrases are cut.
pub(crate) const EXPANSION_BYTES_MAX: usize = 12;

/// What a character becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Dropped: zero-width, bidirectional controls, variation selectors, marks, skin tones, control characters.
    Nothing,
    /// Separates words: white space, hyphens, apostrophes, underscores.
    Space,
    /// Ends a line.
    NewLine,
    /// Everything else: see [`fold`].
    Visible,
}

/// What sort of ASCII character this is.
pub(crate) const fn ascii_kind(byte: u8) -> Kind {
    match byte {
        b'\n' => Kind::NewLine,
        b' ' | b'\t' | b'\r' | b'\'' | b'-' | b'_' | b'`' => Kind::Space,
        b'!'..=b'~' => Kind::Visible,
        _ => Kind::Nothing,
    }
}

/// What sort of character this is.
pub(crate) fn kind(c: char) -> Kind {
    match c {
        '\0'..='\x7f' => ascii_kind(c as u8),
        c if is_latin_letter(c) || is_picture(c) => Kind::Visible,
        '\u{2028}' | '\u{2029}' | '\u{85}' => Kind::NewLine,
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' | '\u{2800}' => Kind::Space,
        '\u{b4}' | '\u{2b9}'..='\u{2bf}' | '\u{2c8}' | '\u{2018}'..='\u{201b}' | '\u{2032}' | '\u{2035}' | '\u{ff07}' => Kind::Space,
        '\u{2010}' | '\u{2011}' | '\u{2212}' | '\u{fe63}' | '\u{ff0d}' | '\u{ff3f}' => Kind::Space,
        c if is_ignorable(c) || c.is_control() || is_combining_mark(c) => Kind::Nothing,
        _ => Kind::Visible,
    }
}

/// The letters of Western European languages: answered first, because they are frequent.
const fn is_latin_letter(c: char) -> bool {
    matches!(c, 'À'..='Ö' | 'Ø'..='ö' | 'ø'..='ÿ' | 'œ' | 'Œ')
}

/// Emoji that fold to themselves, skin tones aside: answered first, because they are frequent.
const fn is_picture(c: char) -> bool {
    matches!(c, '\u{1f300}'..='\u{1f3fa}' | '\u{1f400}'..='\u{1faff}')
}

/// Characters that show nothing.
fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0000}'..='\u{e0fff}')
}

/// Feeds the bytes of the plain form of a visible character to `push`.
pub(crate) fn fold(c: char, mut push: impl FnMut(u8)) {
    if c.is_ascii() {
        push(c.to_ascii_lowercase() as u8);
        return;
    }
    if let Some(plain) = common(c) {
        plain.bytes().for_each(push);
        return;
    }
    if is_picture(c) {
        c.encode_utf8(&mut [0; 4]).bytes().for_each(push);
        return;
    }
    let mut left = EXPANSION_BYTES_MAX;
    decompose_compatible(c, |part| {
        if is_combining_mark(part) || is_ignorable(part) {
            return;
        }
        let mut emit = |bytes: &[u8]| {
            if bytes.len() <= left {
                left -= bytes.len();
                bytes.iter().for_each(|byte| push(*byte));
            }
        };
        if part.is_ascii() {
            emit(&[part.to_ascii_lowercase() as u8]);
        } else if let Some(plain) = common(part) {
            emit(plain.as_bytes());
        } else if let Some(letter) = latin_look_alike(part) {
            emit(&[letter]);
        } else {
            let mut buffer = [0; 4];
            let lower = part.to_lowercase().next().unwrap_or(part);
            emit(lower.encode_utf8(&mut buffer).as_bytes());
        }
    });
}

/// The letters and signs of French text, and letters that do not decompose.
fn common(c: char) -> Option<&'static str> {
    Some(match c {
        'é' | 'è' | 'ê' | 'ë' | 'É' | 'È' | 'Ê' | 'Ë' => "e",
        'à' | 'â' | 'ä' | 'À' | 'Â' | 'Ä' | 'á' | 'ã' | 'å' => "a",
        'î' | 'ï' | 'Î' | 'Ï' | 'í' | 'ı' => "i",
        'ô' | 'ö' | 'Ô' | 'Ö' | 'ó' | 'ø' | 'Ø' => "o",
        'ù' | 'û' | 'ü' | 'Ù' | 'Û' | 'Ü' | 'ú' => "u",
        'ç' | 'Ç' => "c",
        'ñ' | 'Ñ' | 'ŋ' => "n",
        'œ' | 'Œ' => "oe",
        'æ' | 'Æ' => "ae",
        'ß' | 'ẞ' => "ss",
        'ł' | 'Ł' => "l",
        'đ' | 'Đ' | 'ð' | 'Ð' => "d",
        'ħ' | 'Ħ' => "h",
        'þ' | 'Þ' => "th",
        '…' => ".",
        '–' | '—' | '―' => ",",
        '«' | '»' | '“' | '”' | '„' | '‟' | '‹' | '›' => "\"",
        _ => return None,
    })
}

/// The Latin letter that a letter of another script looks like. Unicode's own table of confusables answers first; what it maps to
/// letters outside ASCII (small capitals, some Cyrillic and Greek) is completed here.
fn latin_look_alike(c: char) -> Option<u8> {
    if !c.is_alphabetic() && !matches!(c, '\u{1f150}'..='\u{1f189}') {
        return None;
    }
    if let Some(letter) = completed(c) {
        return Some(letter);
    }
    let mut skeleton = unicode_security::confusable_detection::skeleton(c.encode_utf8(&mut [0; 4])).collect::<Vec<_>>();
    match (skeleton.pop(), skeleton.pop()) {
        (Some(letter), None) if letter.is_ascii_alphanumeric() => Some(letter.to_ascii_lowercase() as u8),
        _ => None,
    }
}

/// Whether the character shows Latin letters without being one, an accented one among them: of another script, or of a style.
pub(crate) fn is_look_alike(c: char) -> bool {
    if c.is_ascii() || is_latin_letter(c) || is_picture(c) || common(c).is_some() {
        return false;
    }
    let (mut base, mut shown) = (None, Vec::new());
    decompose_canonical(c, |part| base = base.or(Some(part)));
    if base.is_some_and(|base| base.is_ascii()) || kind(c) != Kind::Visible {
        return false;
    }
    fold(c, |byte| shown.push(byte));
    !shown.is_empty() && shown.iter().all(u8::is_ascii_lowercase)
}

fn completed(c: char) -> Option<u8> {
    Some(match c {
        'к' | 'κ' | 'К' | 'Κ' | 'ᴋ' => b'k',
        'м' | 'М' | 'Μ' | 'ᴍ' => b'm',
        'т' | 'τ' | 'Т' | 'Τ' | 'ᴛ' => b't',
        'н' | 'Н' | 'Η' | 'ʜ' => b'h',
        'в' | 'В' | 'Β' | 'β' | 'ʙ' => b'b',
        'п' | 'η' | 'ɴ' => b'n',
        'г' | 'ʀ' | 'Я' | 'я' => b'r',
        'ε' | 'е' | 'є' | 'ᴇ' | 'ə' => b'e',
        'ι' | 'ɪ' | 'і' => b'i',
        'ο' | 'о' | 'σ' | 'ᴏ' => b'o',
        'υ' | 'и' | 'ᴜ' | 'μ' => b'u',
        'α' | 'ᴀ' | 'ɑ' => b'a',
        'ᴄ' | 'с' | 'ς' => b'c',
        'ᴅ' | 'ԁ' => b'd',
        'ɢ' | 'ɡ' => b'g',
        'ʟ' | 'ⅼ' => b'l',
        'ρ' | 'р' | 'ᴘ' => b'p',
        'ѕ' | 'ꜱ' => b's',
        'ν' | 'ᴠ' | 'ѵ' => b'v',
        'ω' | 'ш' | 'ᴡ' => b'w',
        'χ' | 'х' => b'x',
        'γ' | 'у' | 'ʏ' => b'y',
        'ᴢ' => b'z',
        'ᴊ' | 'ј' => b'j',
        // Squared and circled letters of emoji keyboards, white on black.
        '\u{1f150}'..='\u{1f169}' => b'a' + u8::try_from(c as u32 - 0x1f150).unwrap_or(0),
        '\u{1f170}'..='\u{1f189}' => b'a' + u8::try_from(c as u32 - 0x1f170).unwrap_or(0),
        _ => return None,
    })
}

/// Whether the character carries an accent: it decomposes to a letter and a mark.
pub(crate) fn accented(c: char) -> bool {
    let mut marks = false;
    decompose_compatible(c, |part| marks |= is_combining_mark(part));
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_to_plain_letters() {
        let folded = |text: &str| {
            let mut bytes = Vec::new();
            text.chars()
                .filter(|c| kind(*c) == Kind::Visible)
                .for_each(|c| fold(c, |byte| bytes.push(byte)));
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let cases = [
            ("ÉÀÇœ", "eacoe"),
            ("Ｐｕｔｅ", "pute"),
            ("𝓼𝓪𝓵𝓮 𝕡𝕕", "salepd"),
            ("саlореs", "calopes"),
            ("tuеr", "tuer"),
            ("cön\u{200b}nàrd", "connard"),
            ("🅲🅾🅽 🅿🆄🆃🅴", "conpute"),
            ("ﬁls", "fils"),
            ("ᴄᴏɴ", "con"),
        ];
        for (text, expected) in cases {
            assert_eq!(folded(text), expected, "{text}");
        }
    }

    /// Frequent characters are answered first: as the tables would.
    #[test]
    fn frequent_characters_are_as_the_tables_say() {
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            if is_latin_letter(c) || is_picture(c) {
                assert!(!is_ignorable(c) && !c.is_control() && !is_combining_mark(c), "{c:?}");
            }
            if is_picture(c) {
                let (mut parts, mut lower) = (Vec::new(), c.to_lowercase());
                decompose_compatible(c, |part| parts.push(part));
                assert!(parts == [c] && (lower.next(), lower.next()) == (Some(c), None), "{c:?}");
                assert!(common(c).is_none() && latin_look_alike(c).is_none(), "{c:?}");
            }
        }
        for byte in 0..128 {
            let c = char::from(byte);
            assert!(ascii_kind(byte) != Kind::Visible || !c.is_control(), "{c:?}");
        }
    }

    #[test]
    fn no_character_grows_beyond_the_limit() {
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            let mut bytes = Vec::new();
            fold(c, |byte| bytes.push(byte));
            assert!(bytes.len() <= EXPANSION_BYTES_MAX, "{c:?} {}", bytes.len());
            assert!(std::str::from_utf8(&bytes).is_ok(), "{c:?}");
        }
    }
}
