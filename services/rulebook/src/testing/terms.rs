//! What the packs look for, for those who look for the same in another way.

use std::collections::BTreeSet;

use crate::compile::Rulebook;

/// Every form of every term as it is written, in lower case.
#[must_use]
pub fn terms(rulebook: &Rulebook) -> BTreeSet<String> {
    rulebook.terms.iter().map(|term| term.written.clone()).collect()
}
