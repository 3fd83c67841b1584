//! The catalogue of legal bases (French law). A human qualifies; nothing here decides.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A legal basis, as a code of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "see `text`")]
pub enum LegalBasis {
    ProvocationHaine,
    Negationnisme,
    Diffamation,
    Injure,
    Menace,
    MenaceCondition,
    MenaceDiscriminatoire,
    MenaceAgentPublic,
    FausseAlerte,
    MenaceDestruction,
    Divulgation,
    Harcelement,
    ApologieTerrorisme,
    OutrageSexiste,
    ProposNonPublics,
    /// Not illegal: against the page's charter.
    Charte,
}

impl LegalBasis {
    /// Every basis.
    pub const ALL: [Self; 16] = [
        Self::ProvocationHaine,
        Self::Negationnisme,
        Self::Diffamation,
        Self::Injure,
        Self::Menace,
        Self::MenaceCondition,
        Self::MenaceDiscriminatoire,
        Self::MenaceAgentPublic,
        Self::FausseAlerte,
        Self::MenaceDestruction,
        Self::Divulgation,
        Self::Harcelement,
        Self::ApologieTerrorisme,
        Self::OutrageSexiste,
        Self::ProposNonPublics,
        Self::Charte,
    ];

    /// The code used in records and forms.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProvocationHaine => "provocation-haine",
            Self::Negationnisme => "negationnisme",
            Self::Diffamation => "diffamation",
            Self::Injure => "injure",
            Self::Menace => "menace",
            Self::MenaceCondition => "menace-condition",
            Self::MenaceDiscriminatoire => "menace-discriminatoire",
            Self::MenaceAgentPublic => "menace-agent-public",
            Self::FausseAlerte => "fausse-alerte",
            Self::MenaceDestruction => "menace-destruction",
            Self::Divulgation => "divulgation",
            Self::Harcelement => "harcelement",
            Self::ApologieTerrorisme => "apologie-terrorisme",
            Self::OutrageSexiste => "outrage-sexiste",
            Self::ProposNonPublics => "propos-non-publics",
            Self::Charte => "charte",
        }
    }

    /// The text of law, as cited in French.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::ProvocationHaine => "loi du 29 juillet 1881, art. 24 al. 7-8",
            Self::Negationnisme => "loi du 29 juillet 1881, art. 24 bis",
            Self::Diffamation => "loi du 29 juillet 1881, art. 29 al. 1 et 32",
            Self::Injure => "loi du 29 juillet 1881, art. 29 al. 2 et 33",
            Self::Menace => "code pénal, art. 222-17",
            Self::MenaceCondition => "code pénal, art. 222-18",
            Self::MenaceDiscriminatoire => "code pénal, art. 222-18-1",
            Self::MenaceAgentPublic => "code pénal, art. 433-3",
            Self::FausseAlerte => "code pénal, art. 322-14",
            Self::MenaceDestruction => "code pénal, art. 322-12 et 322-13",
            Self::Divulgation => "code pénal, art. 223-1-1",
            Self::Harcelement => "code pénal, art. 222-33-2-2",
            Self::ApologieTerrorisme => "code pénal, art. 421-2-5",
            Self::OutrageSexiste => "code pénal, art. 222-33-1-1 et R. 625-8-3",
            Self::ProposNonPublics => "code pénal, art. R. 625-7, R. 625-8 et R. 625-8-1",
            Self::Charte => "charte de modération de la page",
        }
    }
}

impl std::str::FromStr for LegalBasis {
    type Err = String;
    fn from_str(code: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|basis| basis.as_str() == code)
            .ok_or_else(|| format!("unknown legal basis `{code}`"))
    }
}
