//! Which language a comment is in, where that is clear. Pure and cheap: common words for languages in Latin letters, the script for
//! the others.
//!
//! It exists to send what the model cannot read to people, so it keeps silent rather than guess: « Bravo ! » has no language.

/// Words that are frequent in one language and rare in the others listed here.
const COMMON_WORDS: [(&str, &[&str]); 6] = [
    (
        "fr",
        &[
            "le", "les", "des", "du", "une", "est", "et", "pas", "que", "qui", "dans", "pour", "sur", "vous", "nous", "je", "il", "ils",
            "elle", "ce", "cette", "ces", "avec", "au", "aux", "plus", "mais", "mon", "ma", "mes", "votre", "vos", "notre", "nos", "leur",
            "être", "sont", "c'est", "j'ai", "ça", "très", "bien", "quand", "même", "fait", "faire", "où", "ou", "on", "ne", "n'est",
            "qu'on", "à", "tout", "tous", "merci", "avez", "sans", "toi", "moi", "tu", "ta", "ton", "tes", "comme", "encore", "trop",
            "ont", "bravo", "un", "la",
        ],
    ),
    (
        "en",
        &[
            "the", "and", "of", "to", "is", "are", "was", "were", "this", "that", "these", "you", "your", "with", "for", "it", "it's",
            "not", "have", "has", "be", "my", "they", "their", "what", "who", "from", "at", "we", "our", "will", "would", "can", "don't",
            "i'm", "if", "he", "she", "his", "her", "there", "so", "by", "an", "all", "just", "about", "when", "how", "very", "in",
        ],
    ),
    (
        "es",
        &[
            "el", "los", "las", "y", "que", "es", "una", "por", "con", "para", "muy", "pero", "más", "este", "esta", "está", "como", "lo",
            "del", "su", "sus", "yo", "mi", "qué", "porque", "también", "todo", "todos", "hay", "ser", "gracias", "museo", "son", "nos",
            "usted", "no",
        ],
    ),
    (
        "de",
        &[
            "der", "die", "das", "und", "ist", "nicht", "ein", "eine", "ich", "du", "wir", "ihr", "sie", "mit", "auf", "für", "von", "zu",
            "den", "dem", "auch", "sind", "war", "wie", "aber", "oder", "noch", "nur", "hat", "haben", "sehr", "im", "bei", "aus", "was",
            "werden",
        ],
    ),
    (
        "it",
        &[
            "il",
            "gli",
            "di",
            "che",
            "è",
            "non",
            "per",
            "una",
            "con",
            "sono",
            "della",
            "del",
            "nel",
            "questo",
            "questa",
            "molto",
            "anche",
            "più",
            "come",
            "ma",
            "mi",
            "ho",
            "hai",
            "si",
            "lo",
            "grazie",
            "bellissimo",
            "perché",
            "alla",
            "dei",
            "delle",
            "ci",
        ],
    ),
    (
        "pt",
        &[
            "o", "os", "as", "um", "uma", "e", "que", "não", "com", "para", "por", "do", "da", "dos", "das", "em", "no", "na", "muito",
            "mas", "mais", "você", "este", "esta", "está", "são", "foi", "ser", "também", "eu", "obrigado", "obrigada", "ao", "isso",
        ],
    ),
];

/// Scripts that tell the language, or at least that it is none in Latin letters.
const SCRIPTS: [(&str, std::ops::RangeInclusive<u32>); 9] = [
    ("ru", 0x0400..=0x04ff),
    ("el", 0x0370..=0x03ff),
    ("he", 0x0590..=0x05ff),
    ("ar", 0x0600..=0x06ff),
    ("hi", 0x0900..=0x097f),
    ("th", 0x0e00..=0x0e7f),
    ("ja", 0x3040..=0x30ff),
    ("zh", 0x4e00..=0x9fff),
    ("ko", 0xac00..=0xd7af),
];

/// So many common words must be found, and twice as many as of the next language, before a language other than French is claimed.
const WORDS_MIN: usize = 3;

/// Only so much of a text is looked at.
const BYTES_MAX: usize = 4096;

/// The language of `text` (BCP 47), where it is clear.
#[must_use]
pub fn detect(text: &str) -> Option<&'static str> {
    let text = &text[..text.floor_char_boundary(BYTES_MAX)];
    if let Some(language) = by_script(text) {
        return Some(language);
    }
    let lower = text.to_lowercase().replace('’', "'");
    let mut counts = [0_usize; COMMON_WORDS.len()];
    for word in lower.split(|c: char| !c.is_alphabetic() && c != '\'') {
        for (count, (_, words)) in counts.iter_mut().zip(COMMON_WORDS) {
            // French elides: « l'accueil », « qu'il »; the part after the apostrophe is no common word.
            *count += usize::from(words.contains(&word));
        }
        let elided = word
            .split_once('\'')
            .is_some_and(|(before, _)| matches!(before, "l" | "d" | "j" | "qu" | "n" | "s" | "c" | "m" | "t"));
        counts[0] += usize::from(elided && !COMMON_WORDS[0].1.contains(&word));
    }
    let best = (0..counts.len()).max_by_key(|index| (counts[*index], std::cmp::Reverse(*index)))?;
    let next = (0..counts.len())
        .filter(|index| *index != best)
        .map(|index| counts[index])
        .max()
        .unwrap_or(0);
    let french = best == 0;
    let clear = if french {
        counts[0] >= 2 && counts[0] > next
    } else {
        counts[best] >= WORDS_MIN && counts[best] >= 2 * next
    };
    clear.then_some(COMMON_WORDS[best].0)
}

/// The language of a script that more than half of the letters belong to. Kana wins over Han, which Japanese uses too.
fn by_script(text: &str) -> Option<&'static str> {
    let mut letters = 0_usize;
    let mut counts = [0_usize; SCRIPTS.len()];
    for c in text.chars().filter(|c| c.is_alphabetic()) {
        letters += 1;
        if let Some(script) = SCRIPTS.iter().position(|(_, range)| range.contains(&u32::from(c))) {
            counts[script] += 1;
        }
    }
    let total: usize = counts.iter().sum();
    if letters < 4 || 2 * total <= letters {
        return None;
    }
    let position = |name: &str| SCRIPTS.iter().position(|(language, _)| *language == name);
    if position("ja").is_some_and(|japanese| 5 * counts[japanese] > total) {
        return Some("ja");
    }
    (0..counts.len()).max_by_key(|index| counts[*index]).map(|index| SCRIPTS[index].0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clear_languages_are_named_and_the_others_are_not() {
        let cases = [
            ("Deux heures de queue et la moitié des salles fermées, c'est du vol.", Some("fr")),
            ("jvai cramé ta prefecture avc vous tous dedans", Some("fr")),
            ("Est-ce que le musée est ouvert le lundi ?", Some("fr")),
            ("J’en ai plein le cul de vos formulaires.", Some("fr")),
            ("The queue was two hours long and half of the rooms were closed.", Some("en")),
            ("Una exposición preciosa, gracias por todo, el personal es muy amable.", Some("es")),
            ("Die Ausstellung ist sehr schön, aber die Schlange war zu lang.", Some("de")),
            ("Una mostra bellissima, il personale è molto gentile e non costa molto.", Some("it")),
            (
                "A exposição é muito bonita, mas os bilhetes são caros e não há desconto para as crianças.",
                Some("pt"),
            ),
            ("Прекрасная выставка, спасибо!", Some("ru")),
            ("معرض جميل جدا شكرا لكم", Some("ar")),
            ("とても素敵な展示でした", Some("ja")),
            ("非常精彩的展览", Some("zh")),
            ("Bravo !", None),
            ("😍😍😍", None),
            ("", None),
            ("\u{202e}\u{0}", None),
            ("Wow museum love Paris", None),
        ];
        for (text, expected) in cases {
            assert_eq!(detect(text), expected, "{text}");
        }
    }
}
