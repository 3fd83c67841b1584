//! The two axes of a comment: what it does (act) and whom it aims at (target). Several may hold at once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a comment does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Announces harm to a person or a thing.
    Threat,
    /// Calls others to hatred, discrimination or violence.
    Incitement,
    /// Denies crimes against humanity.
    Denial,
    /// Praises terrorism.
    TerrorApology,
    /// Gives personal data that expose somebody.
    Doxxing,
    /// Hounds a person, alone or in a wave.
    Harassment,
    /// Insults.
    Insult,
    /// Sexual or sexist remark.
    Sexual,
    /// Advertising, fraud, link farms.
    Spam,
    /// The author is in danger from themself or others.
    Distress,
    /// Coarse words without an attack on a person.
    Vulgar,
    /// Criticism, however harsh, of a policy, an institution or a public person's acts.
    Criticism,
    /// Answers hate.
    CounterSpeech,
    /// None of these.
    None,
}

impl Act {
    /// Every act.
    pub const ALL: [Self; 14] = [
        Self::Threat,
        Self::Incitement,
        Self::Denial,
        Self::TerrorApology,
        Self::Doxxing,
        Self::Harassment,
        Self::Insult,
        Self::Sexual,
        Self::Spam,
        Self::Distress,
        Self::Vulgar,
        Self::Criticism,
        Self::CounterSpeech,
        Self::None,
    ];

    /// The name used in records, rules and policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Threat => "threat",
            Self::Incitement => "incitement",
            Self::Denial => "denial",
            Self::TerrorApology => "terror-apology",
            Self::Doxxing => "doxxing",
            Self::Harassment => "harassment",
            Self::Insult => "insult",
            Self::Sexual => "sexual",
            Self::Spam => "spam",
            Self::Distress => "distress",
            Self::Vulgar => "vulgar",
            Self::Criticism => "criticism",
            Self::CounterSpeech => "counter-speech",
            Self::None => "none",
        }
    }

    /// Acts that always reach a human at once, whatever the scores say.
    #[must_use]
    pub const fn always_escalates(self) -> bool {
        matches!(self, Self::Threat | Self::Doxxing | Self::TerrorApology | Self::Distress)
    }
}

/// Whom a comment aims at. The first nine are the protected targets: an attack on one of them is hate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Origin, nationality, supposed race, Travellers.
    Origin,
    /// Jews.
    Antisemitic,
    /// Muslims.
    AntiMuslim,
    /// Christians.
    AntiChristian,
    /// Another religion.
    ReligionOther,
    /// Sex: misogyny, misandry.
    Sex,
    /// Sexual orientation.
    Orientation,
    /// Gender identity.
    GenderIdentity,
    /// Disability.
    Disability,
    /// A public agent.
    PublicAgent,
    /// An elected person or a member of the government.
    Elected,
    /// A journalist.
    Journalist,
    /// An institution.
    Institution,
    /// Another user.
    User,
    /// Nobody.
    None,
}

impl Target {
    /// Every target.
    pub const ALL: [Self; 15] = [
        Self::Origin,
        Self::Antisemitic,
        Self::AntiMuslim,
        Self::AntiChristian,
        Self::ReligionOther,
        Self::Sex,
        Self::Orientation,
        Self::GenderIdentity,
        Self::Disability,
        Self::PublicAgent,
        Self::Elected,
        Self::Journalist,
        Self::Institution,
        Self::User,
        Self::None,
    ];

    /// The name used in records, rules and policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Antisemitic => "antisemitic",
            Self::AntiMuslim => "anti-muslim",
            Self::AntiChristian => "anti-christian",
            Self::ReligionOther => "religion-other",
            Self::Sex => "sex",
            Self::Orientation => "orientation",
            Self::GenderIdentity => "gender-identity",
            Self::Disability => "disability",
            Self::PublicAgent => "public-agent",
            Self::Elected => "elected",
            Self::Journalist => "journalist",
            Self::Institution => "institution",
            Self::User => "user",
            Self::None => "none",
        }
    }

    /// Whether an attack on this target is hate (loi du 29 juillet 1881, art. 24 al. 7-8: origin, religion, sex, orientation,
    /// identity, disability).
    #[must_use]
    pub const fn is_protected(self) -> bool {
        matches!(
            self,
            Self::Origin
                | Self::Antisemitic
                | Self::AntiMuslim
                | Self::AntiChristian
                | Self::ReligionOther
                | Self::Sex
                | Self::Orientation
                | Self::GenderIdentity
                | Self::Disability
        )
    }
}

/// A name that is neither an act nor a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {kind} `{name}`; known: {known}")]
pub struct UnknownCategory {
    /// `act` or `target`.
    pub kind: &'static str,
    /// What was given.
    pub name: String,
    /// What there is.
    pub known: String,
}

impl std::str::FromStr for Act {
    type Err = UnknownCategory;
    fn from_str(name: &str) -> Result<Self, UnknownCategory> {
        Self::ALL
            .into_iter()
            .find(|act| act.as_str() == name)
            .ok_or_else(|| UnknownCategory {
                kind: "act",
                name: name.to_owned(),
                known: Self::ALL.map(Self::as_str).join(", "),
            })
    }
}

impl std::str::FromStr for Target {
    type Err = UnknownCategory;
    fn from_str(name: &str) -> Result<Self, UnknownCategory> {
        Self::ALL
            .into_iter()
            .find(|target| target.as_str() == name)
            .ok_or_else(|| UnknownCategory {
                kind: "target",
                name: name.to_owned(),
                known: Self::ALL.map(Self::as_str).join(", "),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_in_text_and_json() {
        for act in Act::ALL {
            assert_eq!(act.as_str().parse(), Ok(act));
            assert_eq!(serde_json::to_value(act).ok(), Some(act.as_str().into()));
        }
        for target in Target::ALL {
            assert_eq!(target.as_str().parse(), Ok(target));
            assert_eq!(serde_json::to_value(target).ok(), Some(target.as_str().into()));
        }
    }
}
