//! Sets of labels, and the label of a target.

use vigie_domain::{ScoreLabel, Target};

/// A set of labels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LabelSet(u32);

impl LabelSet {
    /// Adds a label.
    pub const fn insert(&mut self, label: ScoreLabel) {
        self.0 |= 1 << label as u32;
    }

    /// Whether it holds a label.
    #[must_use]
    pub const fn contains(self, label: ScoreLabel) -> bool {
        self.0 & (1 << label as u32) != 0
    }

    /// Whether it holds none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The place of a label in [`ScoreLabel::ALL`], which is in the order of the declaration.
pub(super) const fn position(label: ScoreLabel) -> usize {
    label as usize
}

/// The label that says that a comment attacks `target`.
pub(super) const fn of_target(target: Target) -> Option<ScoreLabel> {
    match target {
        Target::Origin => Some(ScoreLabel::TargetOrigin),
        Target::Antisemitic | Target::AntiMuslim | Target::AntiChristian | Target::ReligionOther => Some(ScoreLabel::TargetReligion),
        Target::Sex => Some(ScoreLabel::TargetSex),
        Target::Orientation => Some(ScoreLabel::TargetOrientation),
        Target::GenderIdentity => Some(ScoreLabel::TargetGenderIdentity),
        Target::Disability => Some(ScoreLabel::TargetDisability),
        Target::Elected => Some(ScoreLabel::TargetPolitical),
        Target::PublicAgent | Target::Journalist | Target::Institution | Target::User | Target::None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_has_its_own_place() {
        let mut all = LabelSet::default();
        for (expected, label) in ScoreLabel::ALL.into_iter().enumerate() {
            assert_eq!(position(label), expected);
            assert!(!all.contains(label));
            all.insert(label);
            assert!(all.contains(label) && !all.is_empty());
        }
    }
}
