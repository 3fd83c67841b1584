//! The compact notation of terms: `[x]` may be absent, `{a,b}` is one of several, both may nest.
//!
//! `connard[e][s]` is connard, connarde, connards, connardes; `{gros,sale} con[s]` is four phrases.

/// A term stands for at most this many forms.
pub(crate) const FORMS_MAX: usize = 512;

/// Brackets stand in brackets at most so deep.
const DEPTH_MAX: usize = 16;

/// Every form that `term` stands for, in order, with accents and capitals as written.
///
/// # Errors
/// An unbalanced bracket, brackets too deep in each other, or more than [`FORMS_MAX`] forms.
pub(crate) fn expand(term: &str) -> Result<Vec<String>, String> {
    let mut reader = Reader { rest: term, depth: 0 };
    let forms = reader.sequence(&[])?;
    if !reader.rest.is_empty() {
        return Err(format!("`{term}` closes a bracket that it does not open"));
    }
    Ok(forms
        .into_iter()
        .map(|form| form.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|form| !form.is_empty())
        .collect())
}

struct Reader<'a> {
    rest: &'a str,
    /// Brackets open.
    depth: usize,
}

impl Reader<'_> {
    /// Reads until one of `stops` (left in place) or the end.
    fn sequence(&mut self, stops: &[char]) -> Result<Vec<String>, String> {
        let mut forms = vec![String::new()];
        while let Some(c) = self.rest.chars().next() {
            if stops.contains(&c) || (stops.is_empty() && matches!(c, ']' | '}')) {
                break;
            }
            self.rest = &self.rest[c.len_utf8()..];
            let choices = match c {
                '[' => {
                    let mut choices = vec![String::new()];
                    choices.extend(self.group(']')?);
                    choices
                }
                '{' => self.group('}')?,
                c => vec![c.to_string()],
            };
            if forms.len() * choices.len() > FORMS_MAX {
                return Err(format!("stands for more than {FORMS_MAX} forms: split it"));
            }
            forms = forms
                .iter()
                .flat_map(|form| choices.iter().map(move |choice| format!("{form}{choice}")))
                .collect();
        }
        Ok(forms)
    }

    fn group(&mut self, close: char) -> Result<Vec<String>, String> {
        if self.depth == DEPTH_MAX {
            return Err(format!("has brackets more than {DEPTH_MAX} deep in each other"));
        }
        self.depth += 1;
        let mut choices = self.sequence(&[',', close])?;
        while let Some(rest) = self.rest.strip_prefix(',') {
            self.rest = rest;
            choices.extend(self.sequence(&[',', close])?);
        }
        match self.rest.strip_prefix(close) {
            Some(rest) => {
                self.rest = rest;
                self.depth -= 1;
                Ok(choices)
            }
            None => Err(format!("lacks a closing `{close}`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expands_optional_and_alternative_parts() {
        let cases: [(&str, &[&str]); 5] = [
            ("connard[e][s]", &["connard", "connards", "connarde", "connardes"]),
            ("{gros,sale} con[s]", &["gros con", "gros cons", "sale con", "sale cons"]),
            ("salop{e[s],ard[s]}", &["salope", "salopes", "salopard", "salopards"]),
            ("nique[[r]] ta", &["nique ta", "nique ta", "niquer ta"]),
            ("[vieux ]con", &["con", "vieux con"]),
        ];
        for (term, expected) in cases {
            assert_eq!(
                expand(term).as_deref(),
                Ok(expected.iter().map(ToString::to_string).collect::<Vec<_>>().as_slice()),
                "{term}"
            );
        }
    }

    #[test]
    fn refuses_what_does_not_balance_or_explodes() {
        assert!(expand("con[s").is_err());
        assert!(expand("con}s").is_err());
        assert!(expand(&"[a]".repeat(12)).is_err());
        let nested = |depth: usize| format!("{}a{}", "[".repeat(depth), "]".repeat(depth));
        assert!(expand(&nested(16)).is_ok());
        assert!(expand(&nested(100_000)).is_err_and(|message| message.contains("deep")));
    }
}
