//! What somebody looks for: words, filters, order, and whose reports they may see. Pure.

use std::collections::BTreeSet;

use jiff::civil::Date;
use vigie_domain::{Act, InstitutionId, Platform, ReportState, Target};

use crate::analysis::{self, Wanted};

/// A search.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Search {
    /// All of these must hold.
    pub clauses: Vec<Clause>,
    /// Only this institution.
    pub institution: Option<String>,
    /// Only this account.
    pub account: Option<String>,
    /// Only this platform.
    pub platform: Option<Platform>,
    /// Only this state.
    pub state: Option<ReportState>,
    /// Only this act.
    pub act: Option<Act>,
    /// Only this target.
    pub target: Option<Target>,
    /// Only this author.
    pub author: Option<String>,
    /// Opened on this day (Europe/Paris) or later.
    pub from: Option<Date>,
    /// Opened on this day (Europe/Paris) or before.
    pub to: Option<Date>,
    /// The order.
    pub order: Order,
    /// Whose reports may be seen; none: everybody's.
    pub visible: Option<BTreeSet<InstitutionId>>,
}

/// The order of results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// Last opened first.
    #[default]
    Newest,
    /// Best match first.
    Relevance,
}

/// One condition on the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clause {
    /// The words in this order (one word: the word).
    Phrase(String),
    /// A word that begins so.
    Prefix(String),
    /// None of this.
    Not(String),
}

/// Reads what was typed: words (all must occur), `"a phrase"`, `begin*`, `-without`.
#[must_use]
pub fn parse(typed: &str) -> Vec<Clause> {
    let mut clauses = Vec::new();
    // What stands between quotation marks is at odd places.
    for (place, part) in typed.replace(['«', '»', '“', '”'], "\"").split('"').enumerate() {
        if place % 2 == 1 {
            clauses.extend((!part.trim().is_empty()).then(|| Clause::Phrase(part.trim().to_owned())));
            continue;
        }
        for word in part.split_whitespace() {
            let clause = match (word.strip_prefix('-'), word.strip_suffix('*')) {
                (Some(rest), _) if !rest.is_empty() => Clause::Not(rest.to_owned()),
                (_, Some(begin)) if begin.chars().filter(|c| c.is_alphanumeric()).count() >= 2 => Clause::Prefix(begin.to_owned()),
                _ => Clause::Phrase(word.to_owned()),
            };
            clauses.push(clause);
        }
    }
    clauses.truncate(CLAUSES_MAX);
    clauses
}

/// The most conditions that one search holds; what is typed beyond is left out.
pub const CLAUSES_MAX: usize = 32;

/// The words to mark in the results.
#[must_use]
pub fn wanted(clauses: &[Clause]) -> Wanted {
    let mut wanted = Wanted::default();
    for clause in clauses {
        match clause {
            Clause::Phrase(text) => wanted.stems.extend(
                analysis::words(&analysis::compose(text))
                    .into_iter()
                    .flat_map(|word| [word.accented, word.folded]),
            ),
            Clause::Prefix(begin) => wanted.prefixes.extend(prefix_term(begin)),
            Clause::Not(_) => {}
        }
    }
    wanted
}

/// The beginning of a word as it stands in the index: lower case, without accents, not stemmed.
#[must_use]
pub fn prefix_term(begin: &str) -> Option<String> {
    let mut analyser = tantivy::tokenizer::TextAnalyzer::builder(tantivy::tokenizer::SimpleTokenizer::default())
        .filter(tantivy::tokenizer::LowerCaser)
        .filter(tantivy::tokenizer::AsciiFoldingFilter)
        .build();
    let mut last = None;
    let begin = analysis::compose(begin);
    analyser.token_stream(&begin).process(&mut |token| last = Some(token.text.clone()));
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_words_phrases_beginnings_and_exclusions() {
        let phrase = |text: &str| Clause::Phrase(text.to_owned());
        let cases = [
            ("", vec![]),
            ("menace mort", vec![phrase("menace"), phrase("mort")]),
            ("\"menace de mort\" musée", vec![phrase("menace de mort"), phrase("musée")]),
            ("« brûler le musée »", vec![phrase("brûler le musée")]),
            (
                "égorg* -spam - *",
                vec![
                    Clause::Prefix("égorg".to_owned()),
                    Clause::Not("spam".to_owned()),
                    phrase("-"),
                    phrase("*"),
                ],
            ),
            ("\"sans fin", vec![phrase("sans fin")]),
        ];
        for (typed, expected) in cases {
            assert_eq!(parse(typed), expected, "{typed}");
        }
        assert_eq!(prefix_term("ÉgorG"), Some("egorg".to_owned()));
        assert_eq!(parse(&"mot ".repeat(1000)).len(), CLAUSES_MAX);
    }
}
