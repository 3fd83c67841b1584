//! What labelled data say of a comment.
//!
//! Read from the fields of a line:
//! - `labels`: an object of 1 / 0 (or true / false; null is unknown) by name: those of [`ScoreLabel`], `toxic` for `abusive`, `doxx` for
//!   `doxxing`, with `_` or `-`; names of targets (`race`, `muslim`, …) say whom a comment is about; some labels of public data that
//!   nothing here scores are left aside.
//! - groups, that is whom the comment is about, whether it attacks them or not: `targets`, `target`, `target_ident`, `group`, or
//!   `mentions`, a name or a list of names, in the line itself or in its `meta`.
//! - `functionality` or `category`, a name, in the line itself or in its `meta`: which test of a suite of functional tests it is.
//! - `twin`, a name: the contrast set, that is comments in nearly the same words of which some are acceptable and some are not.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use vigie_domain::ScoreLabel;

use super::labels::LabelSet;

/// Names longer than this are no names.
const NAME_CHARS_MAX: usize = 100;
/// How alike two names must be for one to be proposed for the other.
const SIMILARITY_MIN: f64 = 0.75;

/// What the data say of a comment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Truth {
    /// Labels that the data state.
    pub known: LabelSet,
    /// Those that they affirm.
    pub positive: LabelSet,
    /// Whom the comment is about.
    pub groups: BTreeSet<String>,
    /// Which functional test it is.
    pub functionality: Option<String>,
    /// The contrast set that it belongs to.
    pub contrast: Option<String>,
}

/// What a name in `labels` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Label(ScoreLabel),
    Group(&'static str),
    Aside,
}

/// Other names for labels.
const LABEL_ALIASES: [(&str, ScoreLabel); 3] = [
    ("toxic", ScoreLabel::Abusive),
    ("doxx", ScoreLabel::Doxxing),
    ("hateful", ScoreLabel::Hate),
];
/// Labels of public data that nothing here scores.
const ASIDE: [&str; 2] = ["obscene", "political"];
/// Names of targets in data, and ours for them. Other names are taken as they are.
const GROUP_ALIASES: [(&str, &str); 14] = [
    ("race", "origin"),
    ("immigrant", "origin"),
    ("religion", "religion-other"),
    ("jew", "antisemitic"),
    ("religion-antisemitic", "antisemitic"),
    ("muslim", "anti-muslim"),
    ("religion-antimuslim", "anti-muslim"),
    ("christian", "anti-christian"),
    ("religion-antichristian", "anti-christian"),
    ("gender", "sex"),
    ("misogyny", "sex"),
    ("orientation", "orientation"),
    ("trans", "gender-identity"),
    ("disability", "disability"),
];
const FUNCTIONALITY_FIELDS: [&str; 2] = ["functionality", "category"];
const GROUP_FIELDS: [&str; 5] = ["targets", "target", "target_ident", "group", "mentions"];
/// Targets that are no protected group, in our names and in those of public data.
const UNPROTECTED: [&str; 14] = [
    "public-agent",
    "elected",
    "journalist",
    "institution",
    "user",
    "none",
    "political",
    "individual",
    "other",
    "class",
    "body",
    "age",
    "left_wing_people",
    "right_wing_people",
];
const TARGET_LABELS: [(ScoreLabel, &[&str]); 7] = [
    (ScoreLabel::TargetOrigin, &["origin"]),
    (
        ScoreLabel::TargetReligion,
        &["antisemitic", "anti-muslim", "anti-christian", "religion-other"],
    ),
    (ScoreLabel::TargetSex, &["sex"]),
    (ScoreLabel::TargetOrientation, &["orientation"]),
    (ScoreLabel::TargetGenderIdentity, &["gender-identity"]),
    (ScoreLabel::TargetDisability, &["disability"]),
    (ScoreLabel::TargetPolitical, &["elected"]),
];

impl Truth {
    /// Reads the fields of a line.
    ///
    /// # Errors
    /// `labels` is missing, names a label that does not exist, or a field is of the wrong kind; in words, without the text.
    pub fn read(fields: &Map<String, Value>) -> Result<Self, String> {
        let Some(labels) = fields.get("labels") else {
            return Err("the field `labels` is missing; expected {\"text\": \"…\", \"labels\": {\"abusive\": 1}}".to_owned());
        };
        let Value::Object(labels) = labels else {
            return Err("the field `labels` is no object such as {\"abusive\": 1, \"threat\": 0}".to_owned());
        };
        let mut truth = Self::default();
        for (name, value) in labels {
            let meaning = meaning(name).ok_or_else(|| unknown(name))?;
            let Some(value) = boolean(name, value)? else { continue };
            match meaning {
                Meaning::Label(label) => truth.state(label, value),
                Meaning::Group(group) if value => {
                    truth.groups.insert(group.to_owned());
                }
                Meaning::Group(_) | Meaning::Aside => {}
            }
        }
        let meta = match fields.get("meta") {
            Some(Value::Object(meta)) => Some(meta),
            _ => None,
        };
        for source in [Some(fields), meta].into_iter().flatten() {
            for key in GROUP_FIELDS {
                truth.read_groups(key, source.get(key))?;
            }
            for key in FUNCTIONALITY_FIELDS {
                truth.read_functionality(key, source.get(key))?;
            }
        }
        truth.contrast = match fields.get("twin") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => name("twin", text)?,
            Some(_) => return Err("the field `twin` is not a string".to_owned()),
        };
        truth.state_targets(fields.contains_key("targets"));
        Ok(truth)
    }

    /// Protected groups among those that the comment is about: a name that is not known as something else is one.
    pub(super) fn is_identity(group: &str) -> bool {
        !UNPROTECTED.contains(&group)
    }

    const fn state(&mut self, label: ScoreLabel, value: bool) {
        self.known.insert(label);
        if value {
            self.positive.insert(label);
        }
    }

    fn read_groups(&mut self, key: &str, value: Option<&Value>) -> Result<(), String> {
        let items = match value {
            None | Some(Value::Null) => return Ok(()),
            Some(Value::Array(items)) => items.as_slice(),
            Some(one) => std::slice::from_ref(one),
        };
        for item in items {
            let Value::String(text) = item else {
                return Err(format!("the field `{key}` is neither a name nor a list of names"));
            };
            if let Some(group) = name(key, text)? {
                let ours = GROUP_ALIASES.iter().find(|(alias, _)| *alias == group);
                self.groups.insert(ours.map_or(group, |(_, ours)| (*ours).to_owned()));
            }
        }
        Ok(())
    }

    /// The first field that names one.
    fn read_functionality(&mut self, key: &str, value: Option<&Value>) -> Result<(), String> {
        match value {
            None | Some(Value::Null) => Ok(()),
            Some(Value::String(text)) => {
                if let Some(functionality) = name(key, text)? {
                    self.functionality.get_or_insert(functionality);
                }
                Ok(())
            }
            Some(_) => Err(format!("the field `{key}` is not a string")),
        }
    }

    /// The labels `target-…`: what is acceptable attacks nobody; what is abusive attacks those it names, where the line names any.
    fn state_targets(&mut self, named: bool) {
        let abusive = self.positive.contains(ScoreLabel::Abusive);
        if !named || !self.known.contains(ScoreLabel::Abusive) || (abusive && self.groups.is_empty()) {
            return;
        }
        for (label, groups) in TARGET_LABELS {
            if !self.known.contains(label) {
                self.state(label, abusive && groups.iter().any(|group| self.groups.contains(*group)));
            }
        }
    }
}

fn meaning(name: &str) -> Option<Meaning> {
    let plain = name.replace('_', "-");
    let label = ScoreLabel::ALL.into_iter().find(|label| label.as_str() == plain);
    let alias = || LABEL_ALIASES.iter().find(|(alias, _)| *alias == plain).map(|(_, label)| *label);
    if let Some(label) = label.or_else(alias) {
        return Some(Meaning::Label(label));
    }
    if ASIDE.contains(&plain.as_str()) {
        return Some(Meaning::Aside);
    }
    GROUP_ALIASES
        .iter()
        .find(|(alias, _)| *alias == plain)
        .map(|(_, group)| Meaning::Group(group))
}

fn unknown(wrong: &str) -> String {
    let aliases = LABEL_ALIASES.iter().map(|(alias, _)| *alias);
    let groups = GROUP_ALIASES.iter().map(|(alias, _)| *alias);
    let known = ScoreLabel::ALL
        .into_iter()
        .map(ScoreLabel::as_str)
        .chain(aliases)
        .chain(groups)
        .chain(ASIDE);
    let nearest = known
        .map(|known| (strsim::jaro_winkler(&wrong.replace('_', "-"), known), known))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let shown: String = wrong.chars().take(NAME_CHARS_MAX).collect();
    match nearest {
        Some((similarity, nearest)) if similarity >= SIMILARITY_MIN => format!("unknown label `{shown}`; did you mean `{nearest}`?"),
        _ => format!(
            "unknown label `{shown}`; known: {}",
            ScoreLabel::ALL.map(ScoreLabel::as_str).join(", ")
        ),
    }
}

fn boolean(name: &str, value: &Value) -> Result<Option<bool>, String> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(value) => Ok(Some(*value)),
        Value::Number(number) if number.as_f64() == Some(0.0) => Ok(Some(false)),
        Value::Number(number) if number.as_f64() == Some(1.0) => Ok(Some(true)),
        _ => Err(format!("the label `{name}` is neither 0 nor 1; leave it out where it is unknown")),
    }
}

fn name(key: &str, text: &str) -> Result<Option<String>, String> {
    let text = text.trim();
    if text.chars().count() > NAME_CHARS_MAX {
        return Err(format!(
            "the field `{key}` has more than {NAME_CHARS_MAX} characters: it should be a name"
        ));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Truth, String> {
        let Ok(Value::Object(fields)) = serde_json::from_str(line) else {
            panic!("not an object: {line}");
        };
        Truth::read(&fields)
    }

    fn listed(set: LabelSet) -> Vec<&'static str> {
        let held = ScoreLabel::ALL.into_iter().filter(|label| set.contains(*label));
        held.map(ScoreLabel::as_str).collect()
    }

    #[test]
    fn labels_are_known_by_all_their_names_and_absent_is_unknown() -> Result<(), String> {
        let truth = read(
            r#"{"labels":{"toxic":1,"hate":0,"terror_apology":true,"counter-speech":false,"doxx":1.0,"threat":null,"obscene":1,"jew":1,"muslim":0}}"#,
        )?;
        assert_eq!(
            listed(truth.known),
            ["abusive", "hate", "terror-apology", "doxxing", "counter-speech"]
        );
        assert_eq!(listed(truth.positive), ["abusive", "terror-apology", "doxxing"]);
        assert_eq!(truth.groups.iter().collect::<Vec<_>>(), ["antisemitic"]);
        assert!(read(r#"{"labels":{}}"#)?.known.is_empty());
        Ok(())
    }

    #[test]
    fn groups_and_functionality_are_found_in_the_line_and_in_meta() -> Result<(), String> {
        let truth = read(
            r#"{"labels":{"hate":0},"target_ident":" women ","meta":{"mentions":["race","muslim"],"functionality":"ident_neutral_nh","id":3}}"#,
        )?;
        assert_eq!(truth.groups.iter().collect::<Vec<_>>(), ["anti-muslim", "origin", "women"]);
        assert_eq!(truth.functionality.as_deref(), Some("ident_neutral_nh"));
        let other = read(r#"{"labels":{},"functionality":" ","category":"praise"}"#)?;
        assert_eq!(other.functionality.as_deref(), Some("praise"));
        assert_eq!(read(r#"{"labels":{},"twin":"s1:3"}"#)?.contrast.as_deref(), Some("s1:3"));
        assert!(["women", "origin", "noirs"].into_iter().all(Truth::is_identity));
        assert!(!["elected", "user", "political"].into_iter().any(Truth::is_identity));
        Ok(())
    }

    #[test]
    fn targets_are_stated_by_what_is_acceptable_and_by_what_names_them() -> Result<(), String> {
        let targets = |line| read(line).map(|truth| (listed(truth.known).len(), listed(truth.positive)));
        let attack = targets(r#"{"labels":{"toxic":1},"targets":["religion-antimuslim","elected"]}"#)?;
        assert_eq!(attack, (8, vec!["abusive", "target-religion", "target-political"]));
        assert_eq!(targets(r#"{"labels":{"toxic":0},"targets":["sex"]}"#)?, (8, vec![]));
        assert_eq!(targets(r#"{"labels":{"toxic":1},"targets":[]}"#)?, (1, vec!["abusive"]));
        assert_eq!(targets(r#"{"labels":{"toxic":0}}"#)?, (1, vec![]));
        assert_eq!(targets(r#"{"labels":{"hate":1},"targets":["sex"]}"#)?, (1, vec!["hate"]));
        Ok(())
    }

    #[test]
    fn what_is_wrong_is_said_with_the_nearest_label() {
        let long = "x".repeat(101);
        let cases = [
            (r#"{"text":"x"}"#.to_owned(), "the field `labels` is missing"),
            (r#"{"labels":[1]}"#.to_owned(), "the field `labels` is no object"),
            (r#"{"labels":{"toxc":1}}"#.to_owned(), "unknown label `toxc`; did you mean `toxic`?"),
            (r#"{"labels":{"counter_spech":1}}"#.to_owned(), "did you mean `counter-speech`?"),
            (r#"{"labels":{"zzz":1}}"#.to_owned(), "known: abusive, hate, threat"),
            (r#"{"labels":{"hate":0.5}}"#.to_owned(), "the label `hate` is neither 0 nor 1"),
            (r#"{"labels":{"hate":"1"}}"#.to_owned(), "the label `hate` is neither 0 nor 1"),
            (r#"{"labels":{},"targets":[3]}"#.to_owned(), "the field `targets` is neither"),
            (
                r#"{"labels":{},"meta":{"functionality":3}}"#.to_owned(),
                "the field `functionality` is not a string",
            ),
            (
                format!(r#"{{"labels":{{}},"group":"{long}"}}"#),
                "the field `group` has more than 100 characters",
            ),
        ];
        for (line, expected) in cases {
            let error = read(&line).expect_err(&line);
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
