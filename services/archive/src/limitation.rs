//! The limitation period of a report, counted from publication. A reminder for the lawyers, never a decision: every entry is "to
//! verify", and the interface says so.

use jiff::{Span, Timestamp, ToSpan as _};
use vigie_domain::{LegalBasis, Target};
use vigie_web::words::paris;

/// What the interface shows beside every period.
pub const CAVEAT_FR: &str = "à vérifier par le service juridique\u{a0}: décompte indicatif, à partir de la publication";
/// The same in English.
pub const CAVEAT_EN: &str = "to be verified by the legal department: indicative, counted from publication";

const DISCRIMINATORY_FR: &str = "délit de presse à caractère discriminatoire\u{a0}: 1\u{a0}an";
const SEXIST_CONTEMPT_FR: &str = "délit si l’outrage est aggravé\u{a0}: 6\u{a0}ans\u{202f}; sinon contravention\u{a0}: 1\u{a0}an";

/// A limitation period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limitation {
    /// Last day on which to act.
    pub until: Timestamp,
    /// Why this long, in French.
    pub rule: &'static str,
}

/// The period for `basis` on a comment published at `published`. Without a basis the shortest is shown: three months. None for what
/// is no offence.
#[must_use]
pub fn limitation(basis: Option<LegalBasis>, targets: &[Target], published: Timestamp) -> Option<Limitation> {
    let discriminatory = targets.iter().any(|target| target.is_protected());
    let (span, rule): (Span, &'static str) = match basis {
        None => (
            3.months(),
            "aucun fondement choisi\u{a0}: délai le plus court, 3\u{a0}mois (délit de presse)",
        ),
        Some(LegalBasis::Charte) => return None,
        Some(LegalBasis::ProvocationHaine | LegalBasis::Negationnisme) => (1.year(), DISCRIMINATORY_FR),
        Some(LegalBasis::Diffamation | LegalBasis::Injure) if discriminatory => (1.year(), DISCRIMINATORY_FR),
        Some(LegalBasis::Diffamation | LegalBasis::Injure) => (3.months(), "délit de presse\u{a0}: 3\u{a0}mois"),
        Some(LegalBasis::ProposNonPublics) => (1.year(), "contravention\u{a0}: 1\u{a0}an"),
        Some(LegalBasis::OutrageSexiste) => (6.years(), SEXIST_CONTEMPT_FR),
        Some(_) => (6.years(), "délit\u{a0}: 6\u{a0}ans"),
    };
    let until = published.to_zoned(paris()).checked_add(span).ok()?.timestamp();
    Some(Limitation { until, rule })
}

/// The end of the longest period of an offence in the catalogue: six years.
#[must_use]
pub fn longest(published: Timestamp) -> Option<Timestamp> {
    Some(published.to_zoned(paris()).checked_add(6.years()).ok()?.timestamp())
}

/// Whole days left at `now`; negative once over.
#[must_use]
pub fn days_left(limitation: &Limitation, now: Timestamp) -> i64 {
    (limitation.until.as_second() - now.as_second()).div_euclid(86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_follow_the_basis_and_the_target() -> Result<(), jiff::Error> {
        let published: Timestamp = "2026-08-31T22:30:00Z".parse()?;
        let cases = [
            (None, vec![], Some("2026-11-30T23:30:00Z")),
            (Some(LegalBasis::Injure), vec![Target::PublicAgent], Some("2026-11-30T23:30:00Z")),
            (Some(LegalBasis::Injure), vec![Target::Origin], Some("2027-08-31T22:30:00Z")),
            (Some(LegalBasis::ProvocationHaine), vec![], Some("2027-08-31T22:30:00Z")),
            (Some(LegalBasis::MenaceAgentPublic), vec![], Some("2032-08-31T22:30:00Z")),
            (Some(LegalBasis::Charte), vec![], None),
        ];
        for (basis, targets, expected) in cases {
            let until = limitation(basis, &targets, published).map(|limitation| limitation.until.to_string());
            assert_eq!(until.as_deref(), expected, "{basis:?} {targets:?}");
        }
        let three_months = limitation(None, &[], published).expect("a period");
        assert_eq!(days_left(&three_months, "2026-11-29T23:30:00Z".parse()?), 1);
        assert_eq!(days_left(&three_months, "2026-12-01T00:00:00Z".parse()?), -1);
        Ok(())
    }
}
