//! French and English words for the closed lists of the domain.

use vigie_domain::{Act, Action, EnforcementState, LegalBasis, Outcome, Platform, Reason, ScoreLabel, Target};

use crate::user::{Language, Role};

/// What a comment does.
#[must_use]
pub const fn act(language: Language, act: Act) -> &'static str {
    match act {
        Act::Threat => language.pick("menace", "threat"),
        Act::Incitement => language.pick("incitation à la haine ou à la violence", "incitement"),
        Act::Denial => language.pick("négationnisme", "denial of crimes against humanity"),
        Act::TerrorApology => language.pick("apologie du terrorisme", "praise of terrorism"),
        Act::Doxxing => language.pick("divulgation de données personnelles", "doxxing"),
        Act::Harassment => language.pick("harcèlement", "harassment"),
        Act::Insult => language.pick("injure", "insult"),
        Act::Sexual => language.pick("propos sexuel ou sexiste", "sexual or sexist remark"),
        Act::Spam => language.pick("publicité ou fraude", "spam"),
        Act::Distress => language.pick("détresse", "distress"),
        Act::Vulgar => language.pick("vulgarité", "vulgar"),
        Act::Criticism => language.pick("critique", "criticism"),
        Act::CounterSpeech => language.pick("contre-discours", "counter-speech"),
        Act::None => language.pick("rien de tout cela", "none of these"),
    }
}

/// What a rule found: an act, or words that are only noted.
#[must_use]
pub const fn found(language: Language, found: Act) -> &'static str {
    match found {
        Act::None => language.pick("mots à noter", "words to note"),
        found => act(language, found),
    }
}

/// Whom a comment aims at.
#[must_use]
pub const fn target(language: Language, target: Target) -> &'static str {
    match target {
        Target::Origin => language.pick("origine", "origin"),
        Target::Antisemitic => language.pick("personnes juives", "Jews"),
        Target::AntiMuslim => language.pick("personnes musulmanes", "Muslims"),
        Target::AntiChristian => language.pick("personnes chrétiennes", "Christians"),
        Target::ReligionOther => language.pick("autre religion", "another religion"),
        Target::Sex => language.pick("sexe", "sex"),
        Target::Orientation => language.pick("orientation sexuelle", "sexual orientation"),
        Target::GenderIdentity => language.pick("identité de genre", "gender identity"),
        Target::Disability => language.pick("handicap", "disability"),
        Target::PublicAgent => language.pick("agent public", "public agent"),
        Target::Elected => language.pick("élu ou membre du Gouvernement", "elected person"),
        Target::Journalist => language.pick("journaliste", "journalist"),
        Target::Institution => language.pick("institution", "institution"),
        Target::User => language.pick("autre internaute", "another user"),
        Target::None => language.pick("aucune cible", "nobody"),
    }
}

/// What was decided, as a participle: « conservé ».
#[must_use]
pub const fn outcome(language: Language, outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Keep => language.pick("conservé", "kept"),
        Outcome::Hide => language.pick("masqué", "hidden"),
        Outcome::Delete => language.pick("supprimé", "deleted"),
        Outcome::Escalate => language.pick("transmis", "escalated"),
    }
}

/// What is asked of a platform, as a verb.
#[must_use]
pub const fn action(language: Language, action: Action) -> &'static str {
    match action {
        Action::Hide => language.pick("masquer", "hide"),
        Action::Unhide => language.pick("réafficher", "show again"),
        Action::Delete => language.pick("supprimer", "delete"),
        Action::Report => language.pick("signaler à la plateforme", "report to the platform"),
    }
}

/// How far an action got.
#[must_use]
pub const fn enforcement_state(language: Language, state: EnforcementState) -> &'static str {
    match state {
        EnforcementState::Requested => language.pick("demandée", "requested"),
        EnforcementState::Sent => language.pick("envoyée", "sent"),
        EnforcementState::Confirmed => language.pick("confirmée", "confirmed"),
        EnforcementState::Failed => language.pick("en échec", "failed"),
        EnforcementState::Superseded => language.pick("remplacée", "superseded"),
    }
}

/// Why a comment was routed as it was, as a sentence.
#[must_use]
pub const fn reason(language: Language, reason: Reason) -> &'static str {
    match reason {
        Reason::Harmless => language.pick("Rien d’inquiétant n’a été relevé.", "Nothing worrying was found."),
        Reason::RuleHide => language.pick(
            "Une règle demande le masquage et le modèle va dans le même sens.",
            "A rule asks for hiding, and the model agrees.",
        ),
        Reason::RuleReview => language.pick("Une règle demande l’avis d’une personne.", "A rule asks for a person’s view."),
        Reason::ScoreHide => language.pick(
            "Un score dépasse le seuil de masquage de la politique.",
            "A score is over the policy’s threshold for hiding.",
        ),
        Reason::ScoreReview => language.pick(
            "Un score dépasse le seuil d’examen de la politique.",
            "A score is over the policy’s threshold for review.",
        ),
        Reason::Disagreement => language.pick("Les règles et le modèle se contredisent.", "Rules and model contradict each other."),
        Reason::Urgent => language.pick(
            "Menace, divulgation, harcèlement, appel à la violence, apologie du terrorisme ou détresse possible\u{a0}: à voir tout de suite.",
            "Possible threat, doxxing, harassment, call to violence, praise of terrorism or distress: to be seen at once.",
        ),
        Reason::ProtectedSpeech => language.pick(
            "Critique ou éloge vulgaire\u{a0}: jamais masqués automatiquement.",
            "Criticism or vulgar praise: never hidden automatically.",
        ),
        Reason::AutomationOff => language.pick(
            "La politique n’autorise pas l’action automatique, ou le quota du jour est épuisé.",
            "The policy does not allow the automatic action, or today’s quota is used up.",
        ),
        Reason::UnknownLanguage => language.pick("Langue que le modèle ne connaît pas.", "A language that the model does not know."),
        Reason::Unreadable => language.pick(
            "Trop court, trop long ou illisible pour être évalué.",
            "Too short, too long or unreadable for a judgement.",
        ),
        Reason::DeletedUpstream => language.pick("Supprimé sur la plateforme.", "Deleted on the platform."),
    }
}

/// What a score measures.
#[must_use]
pub const fn score(language: Language, label: ScoreLabel) -> &'static str {
    match label {
        ScoreLabel::Abusive => language.pick("propos injurieux ou menaçant", "abusive"),
        ScoreLabel::Hate => language.pick("haine", "hate"),
        ScoreLabel::Threat => act(language, Act::Threat),
        ScoreLabel::Incitement => language.pick("incitation", "incitement"),
        ScoreLabel::Denial => act(language, Act::Denial),
        ScoreLabel::TerrorApology => act(language, Act::TerrorApology),
        ScoreLabel::Doxxing => language.pick("divulgation", "doxxing"),
        ScoreLabel::Harassment => act(language, Act::Harassment),
        ScoreLabel::Insult => act(language, Act::Insult),
        ScoreLabel::Sexual => language.pick("sexuel ou sexiste", "sexual or sexist"),
        ScoreLabel::Spam => act(language, Act::Spam),
        ScoreLabel::Distress => act(language, Act::Distress),
        ScoreLabel::Vulgar => act(language, Act::Vulgar),
        ScoreLabel::Criticism => act(language, Act::Criticism),
        ScoreLabel::CounterSpeech => act(language, Act::CounterSpeech),
        ScoreLabel::TargetOrigin => language.pick("vise l’origine", "aims at origin"),
        ScoreLabel::TargetReligion => language.pick("vise la religion", "aims at religion"),
        ScoreLabel::TargetSex => language.pick("vise le sexe", "aims at sex"),
        ScoreLabel::TargetOrientation => language.pick("vise l’orientation sexuelle", "aims at sexual orientation"),
        ScoreLabel::TargetGenderIdentity => language.pick("vise l’identité de genre", "aims at gender identity"),
        ScoreLabel::TargetDisability => language.pick("vise le handicap", "aims at disability"),
        ScoreLabel::TargetPolitical => language.pick("vise les opinions politiques", "aims at political views"),
    }
}

/// A legal basis, in French in both languages: it is French law.
#[must_use]
pub const fn legal_basis(basis: LegalBasis) -> &'static str {
    match basis {
        LegalBasis::ProvocationHaine => "provocation à la haine, à la discrimination ou à la violence",
        LegalBasis::Negationnisme => "contestation de crimes contre l’humanité",
        LegalBasis::Diffamation => "diffamation publique",
        LegalBasis::Injure => "injure publique",
        LegalBasis::Menace => "menace de crime ou de délit",
        LegalBasis::MenaceCondition => "menace avec ordre de remplir une condition",
        LegalBasis::MenaceDiscriminatoire => "menace à raison de l’appartenance de la victime",
        LegalBasis::MenaceAgentPublic => "menace contre un élu ou un agent public",
        LegalBasis::FausseAlerte => "fausse alerte",
        LegalBasis::MenaceDestruction => "menace de destruction",
        LegalBasis::Divulgation => "divulgation de données exposant une personne",
        LegalBasis::Harcelement => "harcèlement moral en ligne",
        LegalBasis::ApologieTerrorisme => "apologie du terrorisme",
        LegalBasis::OutrageSexiste => "outrage sexiste et sexuel",
        LegalBasis::ProposNonPublics => "provocation, diffamation ou injure non publiques à caractère raciste ou discriminatoire",
        LegalBasis::Charte => "contraire à la charte de la page",
    }
}

/// A platform's own name.
#[must_use]
pub const fn platform(language: Language, platform: Platform) -> &'static str {
    match platform {
        Platform::Facebook => "Facebook",
        Platform::Instagram => "Instagram",
        Platform::Threads => "Threads",
        Platform::Youtube => "YouTube",
        Platform::X => "X",
        Platform::Tiktok => "TikTok",
        Platform::Linkedin => "LinkedIn",
        Platform::Mastodon => "Mastodon",
        Platform::Bluesky => "Bluesky",
        Platform::Telegram => "Telegram",
        Platform::Wordpress => "WordPress",
        Platform::Discourse => "Discourse",
        Platform::Rss => "RSS",
        Platform::Generic => language.pick("Import", "Import"),
    }
}

/// A role.
#[must_use]
pub const fn role(language: Language, role: Role) -> &'static str {
    match role {
        Role::Moderator => language.pick("modération", "moderator"),
        Role::Lead => language.pick("responsable de modération", "lead"),
        Role::Analyst => language.pick("analyse", "analyst"),
        Role::Admin => language.pick("administration", "admin"),
    }
}

/// An instant in Paris, as people write it: `24/11/2026 à 10:02` or `24 Nov 2026, 10:02`.
#[must_use]
pub fn instant(language: Language, at: jiff::Timestamp) -> String {
    at.to_zoned(paris())
        .strftime(language.pick("%d/%m/%Y à %H:%M", "%d %b %Y, %H:%M"))
        .to_string()
}

/// A probability in words; the number stands beside it.
#[must_use]
pub fn likelihood(language: Language, probability: f32) -> &'static str {
    match probability {
        p if p >= 0.8 => language.pick("très probable", "very likely"),
        p if p >= 0.5 => language.pick("probable", "likely"),
        p if p >= 0.2 => language.pick("possible", "possible"),
        _ => language.pick("peu probable", "unlikely"),
    }
}

/// A duration of whole minutes: `moins d’une minute`, `12 min`, `3 h 05`, `2 j`.
#[must_use]
pub fn minutes(language: Language, minutes: i64) -> String {
    match minutes {
        ..1 => language.pick("moins d’une minute", "less than a minute").to_owned(),
        1..60 => format!("{minutes}\u{a0}min"),
        60..1440 => format!("{}\u{a0}h\u{a0}{:02}", minutes / 60, minutes % 60),
        _ => format!("{}\u{a0}{}", minutes / 1440, language.pick("j", "d")),
    }
}

/// The rules of Europe/Paris in force since 1996, as a POSIX rule: correct without a time zone database on the machine.
#[must_use]
pub fn paris() -> jiff::tz::TimeZone {
    jiff::tz::TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a constant rule")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_probabilities_read_like_words() {
        for (given, expected) in [
            (0, "moins d’une minute"),
            (1, "1\u{a0}min"),
            (59, "59\u{a0}min"),
            (65, "1\u{a0}h\u{a0}05"),
            (3000, "2\u{a0}j"),
        ] {
            assert_eq!(minutes(Language::Fr, given), expected);
        }
        for (given, expected) in [(0.0, "peu probable"), (0.2, "possible"), (0.5, "probable"), (0.99, "très probable")] {
            assert_eq!(likelihood(Language::Fr, given), expected);
        }
    }

    #[test]
    fn paris_has_summer_and_winter() -> Result<(), jiff::Error> {
        for (at, expected) in [
            ("2026-07-14T10:00:00Z", "14/07/2026 à 12:00"),
            ("2026-11-24T23:30:00Z", "25/11/2026 à 00:30"),
            ("2026-10-25T01:00:00Z", "25/10/2026 à 02:00"),
        ] {
            assert_eq!(instant(Language::Fr, at.parse()?), expected);
        }
        Ok(())
    }
}
