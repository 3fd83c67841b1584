//! Names from the data, numbered in the order of their appearance.

use std::collections::BTreeMap;

use super::EvaluationError;

/// Names and their numbers.
#[derive(Debug, Default)]
pub(super) struct Names {
    numbers: BTreeMap<String, u16>,
    names: Vec<String>,
}

impl Names {
    /// The number of a name, a new one where it is new.
    pub(super) fn number(&mut self, name: &str, what: &'static str, limit: usize, hint: &'static str) -> Result<u16, EvaluationError> {
        if let Some(number) = self.numbers.get(name) {
            return Ok(*number);
        }
        let number = u16::try_from(self.names.len()).ok().filter(|number| usize::from(*number) < limit);
        let number = number.ok_or(EvaluationError::TooMany { what, limit, hint })?;
        self.numbers.insert(name.to_owned(), number);
        self.names.push(name.to_owned());
        Ok(number)
    }

    pub(super) fn name(&self, number: u16) -> &str {
        &self.names[usize::from(number)]
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }
}
