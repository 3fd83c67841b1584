//! Why a request waits or was given up, and what a person can do about it.

use vigie_web::Language;

/// A reason. The technical detail of the platform's answer stands beside it, never instead of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// The platform, or this build, has no such action.
    Unsupported,
    /// The account has no token.
    NoToken,
    /// The token is refused.
    TokenRefused,
    /// The platform says that it is not there.
    Gone,
    /// The platform refused for good.
    Refused,
    /// Not possible so far; tried again.
    Unavailable,
    /// Too many requests; tried again when the platform allows.
    Throttled,
    /// Tried for as long as allowed.
    GaveUp,
    /// Accepted again and again, and never seen when read back.
    NeverSeen,
    /// The author's sealed id cannot be opened.
    Sealed,
    /// The account was set to dry-run after the request was sent.
    DryRunSince,
}

impl Why {
    /// Every reason.
    pub const ALL: [Self; 11] = [
        Self::Unsupported,
        Self::NoToken,
        Self::TokenRefused,
        Self::Gone,
        Self::Refused,
        Self::Unavailable,
        Self::Throttled,
        Self::GaveUp,
        Self::NeverSeen,
        Self::Sealed,
        Self::DryRunSince,
    ];

    /// The name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unsupported => "unsupported",
            Self::NoToken => "no-token",
            Self::TokenRefused => "token-refused",
            Self::Gone => "gone",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Throttled => "throttled",
            Self::GaveUp => "gave-up",
            Self::NeverSeen => "never-seen",
            Self::Sealed => "sealed",
            Self::DryRunSince => "dry-run-since",
        }
    }

    /// Whether it is certain that the last attempt changed nothing on the platform.
    #[must_use]
    pub const fn changed_nothing(self) -> bool {
        matches!(self, Self::Unsupported | Self::NoToken | Self::Gone | Self::Refused | Self::Sealed)
    }

    /// What happened.
    #[must_use]
    pub const fn cause(self, language: Language) -> &'static str {
        match self {
            Self::Unsupported => language.pick(
                "Cette plateforme ne permet pas cette action à Vigie.",
                "This platform does not let Vigie do this.",
            ),
            Self::NoToken => language.pick(
                "Le compte n’a pas de jeton d’accès pour agir.",
                "The account has no access token to act with.",
            ),
            Self::TokenRefused => language.pick("La plateforme refuse le jeton d’accès.", "The platform refuses the access token."),
            Self::Gone => language.pick(
                "La plateforme ne trouve plus ce commentaire.",
                "The platform does not find this comment any more.",
            ),
            Self::Refused => language.pick("La plateforme a refusé.", "The platform refused."),
            Self::Unavailable => language.pick(
                "La plateforme ne répond pas comme prévu.",
                "The platform does not answer as expected.",
            ),
            Self::Throttled => language.pick("La plateforme demande d’attendre.", "The platform asks to wait."),
            Self::GaveUp => language.pick(
                "Tentée aussi longtemps que possible, sans succès.",
                "Tried for as long as allowed, without success.",
            ),
            Self::NeverSeen => language.pick(
                "Acceptée par la plateforme, mais sans effet visible à la relecture.",
                "Accepted by the platform, but never seen when read back.",
            ),
            Self::Sealed => language.pick(
                "L’identifiant scellé de l’auteur ne peut pas être ouvert.",
                "The sealed id of the author cannot be opened.",
            ),
            Self::DryRunSince => language.pick(
                "Le compte est passé en mode d’essai à blanc après l’envoi.",
                "The account was set to dry-run after it was sent.",
            ),
        }
    }

    /// What to do.
    #[must_use]
    pub const fn remedy(self, language: Language) -> &'static str {
        match self {
            Self::Unsupported => language.pick("Agissez vous-même sur la plateforme.", "Act on the platform yourself."),
            Self::NoToken => language.pick(
                "Ajoutez `token` au compte dans la configuration, redémarrez, puis réessayez.",
                "Add `token` to the account in the configuration, restart, then try again.",
            ),
            Self::TokenRefused => language.pick(
                "Créez un nouveau jeton et mettez-le dans la configuration\u{202f}; \
                 les demandes en attente repartent d’elles-mêmes.",
                "Make a new token and set it in the configuration; what waits goes on by itself.",
            ),
            Self::Gone => language.pick(
                "Vérifiez que le commentaire existe encore\u{202f}; s’il a disparu, il n’y a rien à faire.",
                "See whether the comment still exists; if it is gone, there is nothing to do.",
            ),
            Self::Refused => language.pick(
                "Vérifiez les droits du jeton, ou agissez vous-même sur la plateforme.",
                "Check what the token may do, or act on the platform yourself.",
            ),
            Self::Unavailable | Self::Throttled => {
                language.pick("Rien à faire\u{a0}: Vigie réessaie d’elle-même.", "Nothing: Vigie tries again.")
            }
            Self::GaveUp | Self::NeverSeen => language.pick(
                "Vérifiez l’état de la plateforme, puis réessayez ou agissez vous-même.",
                "See how the platform is, then try again or act yourself.",
            ),
            Self::Sealed => language.pick(
                "Remettez la clé `[keys] seal` avec laquelle il a été scellé, redémarrez, puis réessayez.",
                "Put back the key `[keys] seal` that sealed it, restart, then try again.",
            ),
            Self::DryRunSince => language.pick(
                "Vérifiez sur la plateforme si l’action a eu lieu.",
                "See on the platform whether it happened.",
            ),
        }
    }

    /// For the record on the topic: English, without the text of any comment.
    #[must_use]
    pub fn record(self, detail: &str) -> String {
        let base = format!("{} {}", self.cause(Language::En), self.remedy(Language::En));
        if detail.is_empty() { base } else { format!("{base} ({detail})") }
    }
}

impl std::str::FromStr for Why {
    type Err = anyhow::Error;
    fn from_str(name: &str) -> anyhow::Result<Self> {
        Self::ALL
            .into_iter()
            .find(|why| why.as_str() == name)
            .ok_or_else(|| anyhow::anyhow!("unknown reason `{name}` of a request"))
    }
}
