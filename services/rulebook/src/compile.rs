//! Packs to a rulebook: every error of every file at once, or a matcher.

use std::collections::BTreeMap;

use aho_corasick::AhoCorasick;
use regex::bytes::Regex;
use vigie_domain::{Act, Platform, RuleAction, Target};

use crate::context::Context;
use crate::find::{automaton, automaton_of_squeezed};
use crate::identity;
use crate::notation::expand;
use crate::pack::{Accents, Pack, RawCases, RawContext, RawScope, line_of, read};
use crate::pattern::{Classes, PatternError, any_of, compile, source};
use crate::prefilter::Prefilter;
use crate::problem::Problem;
use crate::view::{Lexicon, View};
use crate::vocabulary::Vocabulary;

/// A compiled set of packs. Cheap to share, never changes.
#[derive(Debug)]
pub struct Rulebook {
    version: String,
    pub(crate) entries: Vec<Entry>,
    pub(crate) softens: Vec<Soften>,
    pub(crate) terms: Vec<Term>,
    /// Over `terms`.
    pub(crate) automaton: AhoCorasick,
    /// Over `terms`, every run of a letter squeezed to one.
    pub(crate) squeezed: AhoCorasick,
    pub(crate) patterns: Vec<CompiledPattern>,
    /// Over `patterns` and `terms`.
    pub(crate) prefilter: Prefilter,
    pub(crate) lexicon: MaskedWords,
    pub(crate) vocabulary: Vocabulary,
    /// The class [`GRAVE`].
    pub(crate) grave: Option<Regex>,
}

/// The class of words that make a post grave, in whatever pack it stands.
const GRAVE: &str = "grave";

/// How much a rulebook holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Rules, without allow-lists.
    pub rules: usize,
    /// Entries of allow-lists.
    pub allows: usize,
    /// Terms as written, in the compact notation.
    pub terms: usize,
    /// Forms that the terms stand for.
    pub forms: usize,
    /// Patterns.
    pub patterns: usize,
    /// Cases, of rules, allow-lists and softening contexts.
    pub cases: usize,
}

/// A rule or an entry of an allow-list.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) effect: Effect,
    pub(crate) scope: ScopeLimit,
    pub(crate) guards: Context,
    pub(crate) accents: Accents,
    pub(crate) cases: RawCases,
    pub(crate) terms_written: usize,
    /// See [`Rulebook::rules`].
    pub(crate) digest: String,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Effect {
    Hit {
        act: Act,
        target: Option<Target>,
        severity: u8,
        action: RuleAction,
    },
    Allow {
        overlap: bool,
    },
}

/// A context that lowers what hits ask for.
#[derive(Debug)]
pub(crate) struct Soften {
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) acts: Vec<Act>,
    pub(crate) to: RuleAction,
    pub(crate) quoted: bool,
    pub(crate) context: Context,
    pub(crate) cases: RawCases,
}

/// One form of a term.
#[derive(Debug)]
pub(crate) struct Term {
    pub(crate) entry: usize,
    /// As written: lower case, with accents.
    pub(crate) written: String,
    /// As looked for.
    pub(crate) folded: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct CompiledPattern {
    pub(crate) entry: usize,
    pub(crate) regex: Regex,
}

/// Where an entry holds.
#[derive(Debug, Default)]
pub(crate) struct ScopeLimit {
    pub(crate) institution: Vec<String>,
    pub(crate) account: Vec<String>,
    pub(crate) platform: Vec<Platform>,
    pub(crate) language: Vec<String>,
}

/// Words that a mask may hide, by first letter and length.
#[derive(Debug, Default)]
pub(crate) struct MaskedWords(BTreeMap<(u8, usize), Vec<Vec<u8>>>);

impl Lexicon for MaskedWords {
    fn unmask(&self, masked: &[u8]) -> Option<&[u8]> {
        let words = self.0.get(&(*masked.first()?, masked.len()))?;
        let fits = |word: &&Vec<u8>| word.iter().zip(masked).all(|(letter, mask)| letter == mask || *mask == b'*');
        words.iter().find(fits).map(Vec::as_slice)
    }
}

impl MaskedWords {
    fn add(&mut self, word: &[u8]) {
        if let Some(first) = word.first()
            && word.len() >= 3
            && word.iter().all(u8::is_ascii_lowercase)
        {
            let words = self.0.entry((*first, word.len())).or_default();
            if !words.iter().any(|known| known == word) {
                words.push(word.to_vec());
            }
        }
    }
}

impl Rulebook {
    /// Compiles packs: file name to content.
    ///
    /// # Errors
    /// Every error found, by file and line.
    pub fn parse(files: &BTreeMap<String, String>) -> Result<Self, Vec<Problem>> {
        Compiler::default().run(files)
    }

    /// Which packs these are: `rules@` and 12 hexadecimal digits of the digest of their names and content.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// How much it holds.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let rules = self
            .entries
            .iter()
            .filter(|entry| matches!(entry.effect, Effect::Hit { .. }))
            .count();
        let cases = |cases: &RawCases| cases.positive.len() + cases.negative.len();
        Counts {
            rules,
            allows: self.entries.len() - rules,
            terms: self
                .entries
                .iter()
                .filter(|entry| matches!(entry.effect, Effect::Hit { .. }))
                .map(|entry| entry.terms_written)
                .sum(),
            forms: self.terms.len(),
            patterns: self.patterns.len(),
            cases: self
                .entries
                .iter()
                .map(|entry| cases(&entry.cases))
                .chain(self.softens.iter().map(|soften| cases(&soften.cases)))
                .sum(),
        }
    }
}

/// What is known while packs are compiled.
#[derive(Default)]
struct Compiler {
    problems: Vec<Problem>,
    classes: Classes,
    /// Where the class [`GRAVE`] stands.
    grave_file: String,
    entries: Vec<Entry>,
    softens: Vec<Soften>,
    terms: Vec<Term>,
    patterns: Vec<CompiledPattern>,
    sources: Vec<String>,
    lexicon: MaskedWords,
    vocabulary: Vocabulary,
}

/// Where an entry stands, for its problems.
#[derive(Clone, Copy)]
struct Place<'a> {
    file: &'a str,
    line: usize,
}

/// The parts that rules and allow-lists share.
struct Body<'a> {
    place: Place<'a>,
    id: &'a str,
    effect: Effect,
    terms: &'a [String],
    patterns: &'a [String],
    scope: RawScope,
    guards: &'a RawContext,
    accents: Accents,
    cases: RawCases,
}

impl Compiler {
    fn run(mut self, files: &BTreeMap<String, String>) -> Result<Rulebook, Vec<Problem>> {
        let mut packs = Vec::new();
        for (file, content) in files {
            match read(file, content) {
                Ok(pack) => packs.push((file.as_str(), content.as_str(), pack)),
                Err(problem) => self.problems.push(problem),
            }
        }
        for (file, _, pack) in &packs {
            if pack.classes.contains_key(GRAVE) {
                (*file).clone_into(&mut self.grave_file);
            }
            for (name, items) in &pack.classes {
                if self.classes.insert(name.clone(), items.clone()).is_some() {
                    self.problems
                        .push(Problem::error(file, 1, format!("class `{name}` is defined twice")));
                }
            }
        }
        for (file, content, pack) in packs {
            self.pack(file, content, pack);
        }
        if self.problems.is_empty() {
            self.finish(files)
        } else {
            Err(self.problems)
        }
    }

    fn pack(&mut self, file: &str, content: &str, pack: Pack) {
        for word in &pack.unmask {
            let folded = View::folded(word).text;
            self.lexicon.add(&folded);
            self.vocabulary.add(&folded);
        }
        let at = |offset: usize| Place {
            file,
            line: line_of(content, offset),
        };
        for rule in pack.rules {
            let place = at(rule.id.span().start);
            if !(1..=5).contains(&rule.severity) {
                self.error(place, format!("severity is {}, it must be 1 to 5", rule.severity));
            }
            if rule.act.always_escalates() && rule.action == RuleAction::Hide {
                self.error(
                    place,
                    format!("a `{}` always reaches a human: ask for review, not hide", rule.act.as_str()),
                );
            }
            let effect = Effect::Hit {
                act: rule.act,
                target: rule.target,
                severity: rule.severity,
                action: rule.action,
            };
            let (id, guards) = (rule.id.get_ref(), &rule.guards);
            let (terms, patterns) = (&rule.terms, &rule.patterns);
            self.entry(Body {
                place,
                id,
                effect,
                terms,
                patterns,
                scope: rule.scope,
                guards,
                accents: rule.accents,
                cases: rule.cases,
            });
        }
        for allow in pack.allows {
            let place = at(allow.id.span().start);
            let effect = Effect::Allow { overlap: allow.overlap };
            let (id, guards) = (allow.id.get_ref(), &allow.guards);
            let (terms, patterns) = (&allow.terms, &allow.patterns);
            self.entry(Body {
                place,
                id,
                effect,
                terms,
                patterns,
                scope: allow.scope,
                guards,
                accents: Accents::Free,
                cases: allow.cases,
            });
        }
        for soften in pack.softens {
            let place = at(soften.id.span().start);
            let name = self.name(place, soften.id.get_ref());
            let Some(context) = self.checked(place, Context::compile(&soften.context, &self.classes)) else {
                continue;
            };
            let (acts, to, quoted, cases) = (soften.acts, soften.to, soften.quoted, soften.cases);
            if !quoted && context.is_empty() {
                self.error(place, "softens everything: say `quoted = true` or give a context".to_owned());
            }
            self.softens.push(Soften {
                name,
                file: file.to_owned(),
                line: place.line,
                acts,
                to,
                quoted,
                context,
                cases,
            });
        }
    }

    fn entry(&mut self, body: Body<'_>) {
        let Body {
            place,
            id,
            effect,
            terms,
            patterns,
            scope,
            guards,
            accents,
            cases,
        } = body;
        let name = self.name(place, id);
        if terms.is_empty() && patterns.is_empty() {
            self.error(place, format!("`{id}` has neither terms nor patterns"));
        }
        let (index, first_term) = (self.entries.len(), self.terms.len());
        for term in terms {
            match expand(term) {
                Ok(forms) => forms.iter().for_each(|form| self.form(place, index, form)),
                Err(message) => self.error(place, format!("term `{term}`: {message}")),
            }
        }
        if matches!(effect, Effect::Hit { .. }) {
            // Not the words of allow-lists: a mask read as one of them, or letters parted into them, could complete a pattern.
            for term in &self.terms[first_term..] {
                self.lexicon.add(&term.folded);
                self.vocabulary.add(&term.folded);
            }
        }
        for pattern in patterns {
            self.pattern(place, index, pattern);
        }
        let scope = ScopeLimit {
            institution: scope.institution,
            account: scope.account,
            platform: scope.platform,
            language: scope.language,
        };
        let digest = identity::of_entry(terms, patterns, guards, &scope, accents, &self.classes);
        let guards = self.checked(place, Context::compile(guards, &self.classes)).unwrap_or_default();
        let (file, line) = (place.file.to_owned(), place.line);
        self.entries.push(Entry {
            name,
            file,
            line,
            effect,
            scope,
            guards,
            accents,
            cases,
            terms_written: terms.len(),
            digest,
        });
    }

    fn form(&mut self, place: Place<'_>, entry: usize, form: &str) {
        let folded = View::folded(form).text.trim_ascii().to_vec();
        if folded.is_empty() {
            return self.error(place, format!("term `{form}` is empty once normalised"));
        }
        if self
            .terms
            .iter()
            .rev()
            .take_while(|term| term.entry == entry)
            .any(|term| term.folded == folded && term.written == form)
        {
            return;
        }
        self.terms.push(Term {
            entry,
            written: form.to_lowercase(),
            folded,
        });
    }

    fn pattern(&mut self, place: Place<'_>, entry: usize, pattern: &str) {
        let compiled = source(pattern, &self.classes).and_then(|source| Ok((compile(&source)?, source)));
        if let Some((regex, source)) = self.checked(place, compiled) {
            if regex.is_match(b"") {
                return self.error(place, format!("pattern `{pattern}` matches the empty text"));
            }
            self.patterns.push(CompiledPattern { entry, regex });
            self.sources.push(source);
        }
    }

    /// The full name `pack/id`, unique.
    fn name(&mut self, place: Place<'_>, id: &str) -> String {
        let name = format!("{}/{id}", place.file.strip_suffix(".toml").unwrap_or(place.file));
        let sound = !id.is_empty()
            && id
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !sound {
            self.error(place, format!("id `{id}` must be lower-case letters, digits and hyphens"));
        }
        let earlier = self
            .entries
            .iter()
            .map(|entry| (&entry.name, entry.line))
            .chain(self.softens.iter().map(|soften| (&soften.name, soften.line)));
        if let Some((_, line)) = earlier.into_iter().find(|(known, _)| **known == name) {
            self.error(place, format!("id `{id}` is already used in line {line}"));
        }
        name
    }

    fn error(&mut self, place: Place<'_>, message: String) {
        self.problems.push(Problem::error(place.file, place.line, message));
    }

    fn checked<T>(&mut self, place: Place<'_>, result: Result<T, PatternError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.problems
                    .push(Problem::error(place.file, place.line, error.message).suggest(error.suggestion));
                None
            }
        }
    }

    fn finish(self, files: &BTreeMap<String, String>) -> Result<Rulebook, Vec<Problem>> {
        let whole = |message: String| vec![Problem::error("rules", 1, format!("the packs are too large together: {message}"))];
        let automaton = automaton(self.terms.iter().map(|term| term.folded.clone())).map_err(|error| whole(error.to_string()))?;
        let prefilter = Prefilter::build(&self.sources, self.terms.iter().map(|term| term.folded.as_slice()));
        let squeezed = automaton_of_squeezed(&self.terms).map_err(|error| whole(error.to_string()))?;
        let grave = any_of(self.classes.get(GRAVE).map_or(&[], Vec::as_slice), &self.classes);
        let grave = grave.map_err(|error| vec![Problem::error(&self.grave_file, 1, format!("class `{GRAVE}`: {}", error.message))])?;
        Ok(Rulebook {
            version: version(files),
            entries: self.entries,
            softens: self.softens,
            terms: self.terms,
            automaton,
            squeezed,
            patterns: self.patterns,
            prefilter,
            lexicon: self.lexicon,
            vocabulary: self.vocabulary,
            grave,
        })
    }
}

fn version(files: &BTreeMap<String, String>) -> String {
    let texts = files.iter().flat_map(|(name, content)| [name.as_str(), content.as_str()]);
    format!("rules@{}", identity::of_texts(texts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Runs;

    #[test]
    fn terms_are_squeezed_as_texts_are() {
        let view = View::folded("connnnnardd").squeezed(Runs::All).expect("a held letter");
        let mut bytes = View::folded("connnnnardd").text;
        bytes.dedup_by(|a, b| a == b && a.is_ascii_lowercase());
        assert_eq!(view.text, bytes);
    }

    #[test]
    fn problems_name_file_line_and_the_nearest_known() {
        let rule = "description = \"x\"\n\n[[rule]]\nid = \"a\"\nact = \"insult\"\nseverity = 1\naction = \"signal\"\nterms = [\"x\"]\n";
        let cases = [
            (rule.replace("severity", "severty"), "severity", 6),
            (rule.replace("insult", "insulte"), "insult", 5),
            (rule.replace("severity = 1", "severity = 9"), "1 to 5", 4),
            (rule.replace("\"x\"]", "\"x[\"]"), "closing", 4),
            (rule.replace("terms = [\"x\"]", "patterns = [\"<qui>\"]"), "class `qui`", 4),
            (rule.replace("terms = [\"x\"]", "patterns = [\"(\"]"), "not a pattern", 4),
            (rule.replace("terms = [\"x\"]", "patterns = [\"x*\"]"), "empty text", 4),
            (
                rule.replace("insult", "threat").replace("signal", "hide"),
                "always reaches a human",
                4,
            ),
            (
                format!("{rule}{}", rule.replace("description = \"x\"", "")),
                "already used in line 4",
                12,
            ),
        ];
        for (content, expected, line) in cases {
            let problems = Rulebook::parse(&BTreeMap::from([("p.toml".to_owned(), content)])).expect_err(expected);
            let shown = problems[0].to_string();
            assert!(shown.contains(expected) && problems[0].line == line, "{shown}");
        }
    }

    #[test]
    fn the_version_follows_the_content() {
        let version = |content: &str| version(&BTreeMap::from([("a.toml".to_owned(), content.to_owned())]));
        assert_ne!(version("a"), version("b"));
        assert_eq!(version("a"), version("a"));
    }
}
