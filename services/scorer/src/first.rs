//! The first stage of the cascade: a small model and a lexical part beside it that let go what the large one would find harmless. The heads
//! of the small model help to score the rest. Pure: which texts may be let go at all, and from which value.
//!
//! Only short texts in plain Latin letters are let go, in one window, that answer nothing the large model would read. Whatever could be
//! a disguise (other scripts, invisible characters) is read by both.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use crate::lexical::Lexical;
use crate::manifest::{FirstStage, LetGo};

/// Heads of the first stage are named so among the weights of a label.
pub const PREFIX: &str = "first:";
/// Longer texts go on.
const TEXT_BYTES_MAX: usize = 600;

/// When the first stage lets a text go.
#[derive(Debug, Clone)]
pub struct Gate {
    weights: Vec<f64>,
    lexical: Option<Lexical>,
    rule: LetGo,
}

impl Gate {
    /// The rule of a validated manifest over the heads of its first stage and its lexical part; none where it has no rule.
    pub fn new(stage: &FirstStage, heads: &[String], lexical: Option<Lexical>) -> Option<Self> {
        let rule = stage.let_go.clone()?;
        let weights = heads.iter().map(|head| rule.weights.get(head).copied().unwrap_or(0.0)).collect();
        Some(Self { weights, lexical, rule })
    }

    /// The probability that a text is abusive, in [0, 1], where the logits of the first stage say that it is clearly harmless; none where the
    /// network has to read it.
    pub fn lets_go(&self, text: &str, logits: &[f64]) -> Option<f64> {
        if !is_plain(text) {
            return None;
        }
        let heads: f64 = self.weights.iter().zip(logits).map(|(weight, logit)| weight * logit).sum();
        let lexical = self.lexical.as_ref().map_or(0.0, |lexical| lexical.value(text));
        let value = self.rule.lexical.mul_add(lexical, self.rule.bias + heads);
        let logit = self.rule.abusive.slope.mul_add(value, self.rule.abusive.bias);
        (value < self.rule.below).then(|| 1.0 / (1.0 + (-logit).exp()))
    }
}

/// Whether a text is short, visible and in Latin letters, so that a small model reads what people read.
fn is_plain(text: &str) -> bool {
    let latin = |c: char| !c.is_alphabetic() || c.is_ascii() || matches!(c, 'œ' | 'Œ' | 'æ' | 'Æ' | 'ß' | 'ø' | 'Ø' | 'ª' | 'º');
    text.len() <= TEXT_BYTES_MAX
        && text.chars().any(|c| !c.is_whitespace())
        && !text.chars().any(is_hidden)
        && text.nfkd().filter(|c| !is_combining_mark(*c)).all(latin)
}

/// Characters that nobody sees, but for the joiner of emoji: a word that holds one may not be the word that is read.
fn is_hidden(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::manifest::Line;

    fn gate(lexical: Option<Lexical>) -> Gate {
        let rule = LetGo {
            weights: BTreeMap::from([("toxic".to_owned(), 2.0)]),
            lexical: 0.5,
            bias: -1.0,
            below: 0.0,
            abusive: Line { slope: 1.0, bias: 0.0 },
        };
        let stage = FirstStage {
            model: "small".to_owned(),
            network_sha256: String::new(),
            lexical: None,
            let_go: Some(rule),
        };
        Gate::new(&stage, &["spam".to_owned(), "toxic".to_owned()], lexical).expect("it has a rule")
    }

    #[test]
    fn what_is_over_the_cut_goes_on() {
        let score = gate(None).lets_go("Bravo", &[9.0, 0.0]).expect("2 · 0 - 1 is below 0");
        assert!((score - 1.0 / (1.0 + 1_f64.exp())).abs() < 1e-9, "{score}");
        assert_eq!(gate(None).lets_go("Bravo", &[-9.0, 0.5]), None);
    }

    #[test]
    fn the_lexical_part_weighs_too() {
        let constant = |bias| Lexical::new(&[0], 1.0, bias);
        // 2 · 0.2 - 1 + 0.5 · bias
        assert!(gate(constant(1.1)).lets_go("Bravo", &[0.0, 0.2]).is_some());
        assert_eq!(gate(constant(1.3)).lets_go("Bravo", &[0.0, 0.2]), None);
    }

    #[test]
    fn only_plain_short_texts_are_let_go() {
        for text in ["Bravo à toute l'équipe ❤️👩‍👧", "ﬁn d'été", "C'est\nbeau", "1234 !", "œuvre n° 5 ²"] {
            assert!(gate(None).lets_go(text, &[0.0, 0.0]).is_some(), "{text:?}");
        }
        let long = "mot ".repeat(200);
        for text in [
            "",
            " \n",
            "cоnnard à la cyrillique",
            "sal\u{200b}ope",
            "\u{202e}abc",
            "漢字",
            "a\u{7}",
            long.as_str(),
        ] {
            assert_eq!(gate(None).lets_go(text, &[0.0, 0.0]), None, "{text:?}");
        }
    }
}
