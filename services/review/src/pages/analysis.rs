//! What rules and model say of a comment, in words, and what must be known before deciding. A blind check shows none of it.

use maud::{Markup, html};
use vigie_domain::{Act, Comment, Explanation, LegalBasis, Reason, RuleHit, ScoreLabel, Target, Verdict};
use vigie_web::{Language, text, words};

use super::{Console, time};
use crate::item::Origin;
use crate::queue::Lease;

const SCORES_MAX: usize = 6;
const RULES_MAX: usize = 20;
/// Words shown of an explanation.
pub(crate) const WORDS_MAX: usize = 5;
const QUOTED_CHARACTERS_MAX: usize = 60;
/// Scores from which a bar has the colour of danger. For the eye only; routing uses the policy's thresholds.
const SCORE_HIGH: f32 = 0.5;

pub(crate) fn aside(console: &Console, language: Language, lease: &Lease) -> Markup {
    let verdict = &lease.item.verdict;
    html! {
        aside aria-label=(language.pick("Analyse et provenance", "Analysis and source")) {
            @if lease.blind {
                (blind_notice(language))
            } @else {
                (advice(console, language, verdict))
                (reasons(language, lease))
                (rules(language, lease))
                (scores(language, verdict))
            }
            (facts(language, &verdict.comment))
        }
    }
}

fn blind_notice(language: Language) -> Markup {
    html! {
        section.panel {
            h2 { (language.pick("Contrôle à l’aveugle", "Blind check")) }
            p { (language.pick(
                "Ce commentaire a été tiré au sort. L’analyse automatique n’est pas montrée, pour que votre avis mesure sa justesse. \
                 Décidez d’après le texte et son contexte, et cochez la nature des propos.",
                "This comment was drawn by lot. The automatic analysis is not shown, so that your view measures how right it is. \
                 Decide from the text and its context, and tick what the comment does.",
            )) }
            p.muted.small { (language.pick(
                "Si une personne vous paraît en danger immédiat\u{a0}: 15, 17 ou 112 (114 par SMS)\u{202f}; \
                 prévention du suicide\u{a0}: 3114.",
                "If somebody seems to be in immediate danger: 15, 17 or 112 (114 by text message); suicide prevention: 3114.",
            )) }
        }
    }
}

/// What must be known before deciding on a threat or on somebody in danger.
fn advice(console: &Console, language: Language, verdict: &Verdict) -> Markup {
    let contact = &console.policies.for_account(&verdict.comment.account).legal_contact;
    html! {
        @if verdict.acts().contains(&Act::Distress) {
            p.notice.danger { (language.pick(
                "Une personne semble en danger. Ne supprimez pas le commentaire\u{202f}; transmettez-le\u{a0}: il reste visible, \
                 sauf s’il attaque aussi quelqu’un. Numéro national de prévention du suicide\u{a0}: 3114. \
                 Danger immédiat\u{a0}: 15, 17 ou 112 (114 par SMS).",
                "Somebody seems to be in danger. Do not delete the comment; escalate it: it stays visible, \
                 unless it attacks somebody as well. National suicide prevention line: 3114. \
                 Immediate danger: 15, 17 or 112 (114 by text message).",
            )) }
        } @else if verdict.escalate {
            p.notice.danger {
                (language.pick(
                    "Danger immédiat\u{a0}: 15, 17 ou 112 (114 par SMS). Contact juridique\u{a0}: ",
                    "Immediate danger: 15, 17 or 112 (114 by text message). Legal contact: ",
                ))
                (contact) "."
            }
        }
    }
}

fn reasons(language: Language, lease: &Lease) -> Markup {
    let verdict = &lease.item.verdict;
    let over_quota = lease.item.origin == Origin::Quota && !verdict.reasons.contains(&Reason::AutomationOff);
    html! {
        section.panel {
            h2 { (language.pick("Motifs de l’examen", "Why it is here")) }
            ul.plain {
                @for reason in &verdict.reasons { li { (why(language, verdict, *reason)) } }
                @if over_quota { li { (words::reason(language, Reason::AutomationOff)) } }
                @if lease.item.origin == Origin::Audit { li { (language.pick("Tiré au sort pour le contrôle.", "Drawn for the audit.")) } }
                @if lease.item.origin == Origin::Check { li { (language.pick("Masqué automatiquement, à vérifier.", "Hidden automatically, to be checked.")) } }
            }
        }
    }
}

/// A reason, and of an urgent one what is urgent.
fn why(language: Language, verdict: &Verdict, reason: Reason) -> String {
    if reason != Reason::Urgent || verdict.urgent.is_empty() {
        return words::reason(language, reason).to_owned();
    }
    let acts: Vec<&str> = verdict.urgent.iter().map(|act| words::act(language, *act)).collect();
    format!(
        "{}{}.",
        language.pick("À voir tout de suite\u{a0}: ", "To be seen at once: "),
        acts.join(", ")
    )
}

fn rules(language: Language, lease: &Lease) -> Markup {
    let hits = &lease.item.verdict.rules;
    html! {
        @if !hits.is_empty() {
            section.panel {
                h2 { (language.pick("Règles", "Rules")) }
                ul.plain { @for hit in hits.iter().take(RULES_MAX) { li { (rule(language, lease, hit)) } } }
                @if hits.len() > RULES_MAX {
                    p.muted.small { (language.pick("Autres occurrences\u{a0}: ", "More hits: ")) (hits.len() - RULES_MAX) "." }
                }
            }
        }
    }
}

fn rule(language: Language, lease: &Lease, hit: &RuleHit) -> Markup {
    let [start, end] = hit.span;
    let quoted = lease.item.verdict.comment.text.get(start..end).unwrap_or_default();
    html! {
        (words::found(language, hit.act))
        @if let Some(target) = hit.target { " → " (words::target(language, target)) }
        @if !quoted.is_empty() && !lease.item.severe {
            (language.pick("\u{a0}: ", ": ")) q { (text::plain(&quoted.chars().take(QUOTED_CHARACTERS_MAX).collect::<String>())) }
        }
        div.muted.small { (language.pick("gravité ", "severity ")) (hit.severity) (language.pick(" sur 5 · règle ", " of 5 · rule ")) (hit.rule) }
    }
}

fn scores(language: Language, verdict: &Verdict) -> Markup {
    let mut scores: Vec<(ScoreLabel, f32)> = verdict.scores.0.iter().map(|(label, score)| (*label, *score)).collect();
    scores.sort_by(|a, b| b.1.total_cmp(&a.1));
    scores.truncate(SCORES_MAX);
    html! {
        @if !scores.is_empty() {
            section.panel {
                h2 { (language.pick("Ce que le modèle estime", "What the model estimates")) }
                ul.scores {
                    @for (label, score) in scores {
                        li {
                            span { (words::score(language, label)) }
                            span.value { (words::likelihood(language, score)) " · " (percent(language, score)) }
                            svg aria-hidden="true" focusable="false" preserveAspectRatio="none" viewBox="0 0 100 4" {
                                rect.bar-ground width="100" height="4" {}
                                rect class=(if score >= SCORE_HIGH && is_harm(label) { "bar high" } else { "bar" }) width=(format!("{:.1}", score.clamp(0.0, 1.0) * 100.0)) height="4" {}
                            }
                        }
                    }
                }
                p.muted.small { (language.pick("Probabilités estimées\u{a0}: le modèle peut se tromper.", "Estimated probabilities: the model may err.")) }
            }
        }
    }
}

/// The words that moved the score, in a sentence: what the underlining shows, for those who do not see it.
pub(crate) fn weighed(language: Language, explanation: &Explanation, text: &str) -> Markup {
    let words: Vec<(&str, f32)> = explanation
        .words
        .iter()
        .take(WORDS_MAX)
        .filter_map(|word| Some((text.get(word.span[0]..word.span[1])?, word.weight)))
        .collect();
    html! {
        @if !words.is_empty() {
            p.muted.small {
                span.weighed { (language.pick("Mots qui ont pesé sur le score", "Words that weighed in the score")) }
                (language.pick(" «\u{a0}", " “")) (words::score(language, explanation.label)) (language.pick("\u{a0}»\u{a0}: ", "”: "))
                @for (index, (word, weight)) in words.iter().enumerate() {
                    @if index > 0 { ", " }
                    q { (text::plain(&word.chars().take(QUOTED_CHARACTERS_MAX).collect::<String>())) }
                    " (" (points(language, *weight)) ")"
                }
                ". "
                (language.pick("Sans le mot, le score change d’autant.", "Without the word the score changes by as much."))
            }
        }
    }
}

/// `+32 points`, `−5 points`.
fn points(language: Language, weight: f32) -> String {
    let sign = if weight < 0.0 { '−' } else { '+' };
    let points = format!("{:.0}", weight.abs().min(1.0) * 100.0);
    let unit = if points == "1" || (points == "0" && language == Language::Fr) {
        "point"
    } else {
        "points"
    };
    format!("{sign}{points}\u{a0}{unit}")
}

/// Whether a high score is bad news. Criticism, coarse words and answers to hate are speech.
const fn is_harm(label: ScoreLabel) -> bool {
    !matches!(label, ScoreLabel::Criticism | ScoreLabel::CounterSpeech | ScoreLabel::Vulgar)
}

fn facts(language: Language, comment: &Comment) -> Markup {
    let link = comment
        .permalink
        .as_deref()
        .filter(|link| link.starts_with("https://") || link.starts_with("http://"));
    html! {
        section.panel {
            h2 { (language.pick("Provenance", "Source")) }
            dl.facts {
                dt { (language.pick("Publié", "Published")) } dd { (time(language, comment.created_at)) }
                @if let Some(edited) = comment.edited_at { dt { (language.pick("Modifié", "Edited")) } dd { (time(language, edited)) } }
                dt { (language.pick("Reçu", "Received")) } dd { (time(language, comment.collected_at)) }
                @if let Some(author) = &comment.author {
                    dt { (language.pick("Auteur", "Author")) }
                    dd { code { (author.as_str().chars().take(8).collect::<String>()) } " " span.muted.small { (language.pick("(pseudonyme)", "(pseudonym)")) } }
                }
                dt { (language.pick("Institution", "Institution")) } dd { (comment.institution) }
            }
            @if let Some(link) = link {
                p { a href=(link) target="_blank" rel="noreferrer noopener" { (language.pick("Voir sur la plateforme (nouvelle fenêtre)", "See on the platform (new window)")) } }
            }
        }
    }
}

fn percent(language: Language, score: f32) -> String {
    let number = format!("{:.0}", score.clamp(0.0, 1.0) * 100.0);
    match language {
        Language::Fr => format!("{number}\u{202F}%"),
        Language::En => format!("{number}%"),
    }
}

/// Legal bases that the rules point to. A proposal: none is ever chosen for the person.
pub(crate) fn proposed(verdict: &Verdict) -> Vec<LegalBasis> {
    let mut bases: Vec<LegalBasis> = Vec::new();
    for hit in &verdict.rules {
        let protected = hit.target.is_some_and(Target::is_protected);
        let public = matches!(hit.target, Some(Target::PublicAgent | Target::Elected));
        let these: &[LegalBasis] = match hit.act {
            Act::Threat if protected => &[LegalBasis::MenaceDiscriminatoire, LegalBasis::Menace],
            Act::Threat if public => &[LegalBasis::MenaceAgentPublic, LegalBasis::Menace],
            Act::Threat => &[LegalBasis::Menace, LegalBasis::MenaceCondition, LegalBasis::MenaceDestruction],
            Act::Incitement => &[LegalBasis::ProvocationHaine],
            Act::Denial => &[LegalBasis::Negationnisme],
            Act::TerrorApology => &[LegalBasis::ApologieTerrorisme],
            Act::Doxxing => &[LegalBasis::Divulgation],
            Act::Harassment => &[LegalBasis::Harcelement],
            Act::Insult if protected => &[LegalBasis::Injure, LegalBasis::ProvocationHaine],
            Act::Insult => &[LegalBasis::Injure],
            Act::Sexual => &[LegalBasis::OutrageSexiste],
            Act::Spam => &[LegalBasis::Charte],
            Act::Distress | Act::Vulgar | Act::Criticism | Act::CounterSpeech | Act::None => &[],
        };
        for basis in these {
            if !bases.contains(basis) {
                bases.push(*basis);
            }
        }
    }
    bases
}
