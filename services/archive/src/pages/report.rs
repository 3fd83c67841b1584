//! The page of one report: text, evidence, verdict, decision, legal basis, limitation, follow-up, who looked.

use jiff::Timestamp;
use maud::{Markup, html};
use vigie_domain::{Act, Decision, ThreatReport, sha256_hex};
use vigie_web::text::{self, Mark, MarkKind};
use vigie_web::{Language, User, words};

use super::keeping::{self, Keeping};
use super::{state_badge, state_name};
use crate::chain;
use crate::export;
use crate::limitation::{self, CAVEAT_EN, CAVEAT_FR};
use crate::store::Access;

pub(super) fn body(user: &User, report: &ThreatReport, accesses: &[Access], keeping: &Keeping, now: Timestamp) -> Markup {
    let is_kept = keeping.erased_at.is_none();
    html! {
        p { a href="/archive" { (user.language.pick("← Tous les signalements", "← All reports")) } }
        @if is_kept { (orientation(user, report)) }
        div.columns {
            div {
                @if let Some(at) = keeping.erased_at { (keeping::erased(user.language, at)) } @else { (comment(user, report)) }
                (decision(user, report))
                (follow_up(user, report))
                (evidence(user, report, is_kept))
                @if !accesses.is_empty() { (consultations(user, accesses)) }
            }
            aside {
                (facts(user, report))
                @if is_kept {
                    (limitation_panel(user, report, now))
                    (keeping::panel(user, report, keeping))
                }
                (verdict(user, report))
            }
        }
    }
}

/// To whom such a thing is taken; the machine writes to nobody.
fn orientation(user: &User, report: &ThreatReport) -> Markup {
    let language = user.language;
    let labelled: Vec<Act> = report.decision.as_ref().map(|decision| decision.acts.clone()).unwrap_or_default();
    let acts: Vec<Act> = if labelled.is_empty() { report.verdict.acts() } else { labelled };
    html! {
        @if acts.contains(&Act::Distress) {
            p.notice.danger {
                (language.pick(
                    "Une personne semble en danger\u{a0}: orientez-la vers le 3114 (prévention du suicide) et ne supprimez pas \
                     le commentaire. Danger immédiat\u{a0}: 15, 17 ou 112 (114 par SMS).",
                    "A person seems in danger: point them to 3114 (suicide prevention) and do not delete the comment. \
                     Immediate danger: 15, 17 or 112 (114 by text message).",
                ))
            }
        } @else if acts.iter().any(|act| matches!(act, Act::Threat | Act::TerrorApology | Act::Doxxing | Act::Incitement)) {
            p.notice.warning {
                (language.pick(
                    "Danger immédiat\u{a0}: 15, 17 ou 112 (114 par SMS). Sinon, signalement à PHAROS. Tout agent public qui, \
                     dans ses fonctions, a connaissance d’un crime ou d’un délit en avise sans délai le procureur de la \
                     République (art. 40, al. 2, du code de procédure pénale). Vigie ne transmet rien.",
                    "Immediate danger: 15, 17 or 112 (114 by text message). Otherwise a report to PHAROS. Every public agent \
                     who learns of a crime or délit in the course of their duties informs the public prosecutor without \
                     delay (art. 40 al. 2 CPP). Vigie sends nothing.",
                ))
            }
        }
    }
}

fn comment(user: &User, report: &ThreatReport) -> Markup {
    let language = user.language;
    let comment = &report.verdict.comment;
    let marks: Vec<Mark> = report
        .verdict
        .rules
        .iter()
        .map(|hit| Mark {
            span: hit.span,
            kind: MarkKind::Found,
            title: format!("{} ({})", words::found(language, hit.act), hit.rule),
        })
        .collect();
    html! {
        section.panel.comment aria-labelledby="text" {
            p.row { span class=(state_badge(report.state)) { (state_name(language, report.state)) } }
            h2 id="text" { (language.pick("Commentaire", "Comment")) }
            @if let Some(post) = &comment.context.post_text { div.context { p.small { (language.pick("Publication", "Post")) } p.text { (text::plain(post)) } } }
            @if let Some(parent) = &comment.context.parent_text { div.context { p.small { (language.pick("En réponse à", "In answer to")) } p.text { (text::plain(parent)) } } }
            p.text lang=[comment.language.as_deref().or(Some("fr"))] { (text::marked(&comment.text, &marks)) }
        }
    }
}

fn facts(user: &User, report: &ThreatReport) -> Markup {
    let language = user.language;
    let comment = &report.verdict.comment;
    let both = |at: Timestamp| format!("{} ({})", words::instant(language, at), at.strftime("%Y-%m-%d %H:%M:%S UTC"));
    let web = comment
        .permalink
        .as_deref()
        .filter(|link| link.starts_with("https://") || link.starts_with("http://"));
    html! {
        section.panel aria-labelledby="facts" {
            h2 id="facts" { (language.pick("Repères", "Facts")) }
            dl.facts {
                dt { (language.pick("Référence", "Reference")) } dd { code { (report.id) } }
                dt { (language.pick("Institution", "Institution")) } dd { (comment.institution) }
                dt { (language.pick("Compte", "Account")) } dd { (comment.account) " (" (words::platform(language, comment.platform)) ")" }
                dt { (language.pick("Auteur", "Author")) } dd {
                    @match &comment.author {
                        Some(author) => a href=(format!("/archive?author={author}")) { code { (author.as_str().chars().take(16).collect::<String>()) "…" } },
                        None => (language.pick("inconnu", "unknown")),
                    }
                }
                dt { (language.pick("Publié", "Published")) } dd { (both(comment.created_at)) }
                dt { (language.pick("Recueilli", "Captured")) } dd { (both(comment.collected_at)) }
                dt { (language.pick("Connu depuis", "Known since")) } dd { (both(report.opened_at)) }
                @if let Some(link) = web { dt { (language.pick("Adresse", "Address")) } dd { a href=(link) rel="noreferrer noopener nofollow" { (link) } } }
            }
        }
    }
}

/// What follows the number of days left.
const fn days_left_words(language: Language, days: i64) -> &'static str {
    let french = if days > 1 { "jours restants" } else { "jour restant" };
    language.pick(french, if days == 1 { "day left" } else { "days left" })
}

fn limitation_panel(user: &User, report: &ThreatReport, now: Timestamp) -> Markup {
    let language = user.language;
    let decision = report.decision.as_ref();
    let basis = decision.and_then(|decision| decision.legal_basis);
    let targets = decision.map(|decision| decision.targets.as_slice()).unwrap_or_default();
    let period = limitation::limitation(basis, targets, report.verdict.comment.created_at);
    html! {
        section.panel aria-labelledby="limitation" {
            h2 id="limitation" { (language.pick("Prescription", "Limitation")) }
            @match period {
                Some(period) => {
                    @let days = limitation::days_left(&period, now);
                    p {
                        strong {
                            @if days < 0 { (language.pick("délai dépassé", "period over")) }
                            @else { (days) "\u{a0}" (days_left_words(language, days)) }
                        }
                    }
                    p { (language.pick("jusqu’au ", "until ")) (words::instant(language, period.until)) }
                    p.small { (period.rule) }
                }
                None => p {
                    (language.pick(
                        "Sans objet\u{a0}: contraire à la charte, pas à la loi.",
                        "None: against the charter, not against the law.",
                    ))
                },
            }
            p.muted.small { (language.pick(CAVEAT_FR, CAVEAT_EN)) "." }
        }
    }
}

fn verdict(user: &User, report: &ThreatReport) -> Markup {
    let language = user.language;
    let verdict = &report.verdict;
    html! {
        section.panel aria-labelledby="verdict" {
            h2 id="verdict" { (language.pick("Analyse automatique", "What the classifier says")) }
            ul.plain { @for reason in &verdict.reasons { li { (words::reason(language, *reason)) } } }
            dl.facts {
                @for (label, score) in &verdict.scores.0 {
                    @if *score >= 0.05 { dt { (words::score(language, *label)) } dd { (format!("{:.0}", f64::from(*score) * 100.0)) "\u{202f}%" } }
                }
                dt { (language.pick("Modèle", "Model")) } dd { (verdict.model) }
                dt { (language.pick("Règles", "Rules")) } dd { (verdict.rulebook) }
                dt { (language.pick("Politique", "Policy")) } dd { (verdict.policy) }
            }
        }
    }
}

fn decision(user: &User, report: &ThreatReport) -> Markup {
    let language = user.language;
    html! {
        section.panel aria-labelledby="decision" {
            h2 id="decision" { (language.pick("Décision", "Decision")) }
            @match &report.decision {
                None => p { (language.pick("Personne n’a encore décidé.", "Nobody has decided yet.")) },
                Some(decision) => (decided(user, decision)),
            }
        }
    }
}

fn decided(user: &User, decision: &Decision) -> Markup {
    let language = user.language;
    let acts: Vec<&str> = decision.acts.iter().map(|act| words::act(language, *act)).collect();
    let targets: Vec<&str> = decision.targets.iter().map(|target| words::target(language, *target)).collect();
    html! {
        dl.facts {
            dt { (language.pick("Issue", "Outcome")) } dd { (words::outcome(language, decision.outcome)) }
            dt { (language.pick("Par", "By")) } dd { (export::author(&decision.author)) ", " (words::instant(language, decision.decided_at)) }
            @if !acts.is_empty() { dt { (language.pick("Acte", "Act")) } dd { (acts.join(", ")) } }
            @if !targets.is_empty() { dt { (language.pick("Cible", "Target")) } dd { (targets.join(", ")) } }
            dt { (language.pick("Fondement juridique retenu", "Legal basis chosen")) }
            dd {
                @match decision.legal_basis {
                    Some(basis) => { (words::legal_basis(basis)) br; span.muted.small { (basis.text()) " — " (language.pick("à vérifier", "to verify")) } }
                    None => (language.pick("aucun", "none")),
                }
            }
            @if let Some(note) = &decision.note { dt { (language.pick("Note", "Note")) } dd.text { (text::plain(note)) } }
        }
    }
}

fn follow_up(user: &User, report: &ThreatReport) -> Markup {
    let language = user.language;
    html! {
        section.panel aria-labelledby="follow-up" {
            h2 id="follow-up" { (language.pick("Suites sur la plateforme", "Follow-up on the platform")) }
            @if report.enforcements.is_empty() { p { (language.pick("Rien n’a été demandé à la plateforme.", "Nothing was asked of the platform.")) } }
            @else {
                div.scroll { table.data {
                    thead { tr { th scope="col" { (language.pick("Quand", "When")) } th scope="col" { (language.pick("Action", "Action")) } th scope="col" { (language.pick("État", "State")) } } }
                    tbody { @for step in &report.enforcements {
                        tr {
                            td { (words::instant(language, step.at)) }
                            td { (words::action(language, step.action)) @if step.dry_run { " " span.badge { (language.pick("à blanc", "dry run")) } } }
                            td { (words::enforcement_state(language, step.state)) }
                        }
                    } }
                } }
            }
        }
    }
}

fn evidence(user: &User, report: &ThreatReport, is_kept: bool) -> Markup {
    let language = user.language;
    let comment = &report.verdict.comment;
    let links = report.chain.len();
    html! {
        section.panel aria-labelledby="evidence" {
            h2 id="evidence" { (language.pick("Preuves", "Evidence")) }
            @if is_kept { dl.facts {
                dt { (language.pick("SHA-256 du texte", "SHA-256 of the text")) } dd { code { (sha256_hex(comment.text.as_bytes())) } }
                @if let Some(evidence) = &comment.evidence { dt { (language.pick("SHA-256 de l’enregistrement brut", "SHA-256 of the raw record")) } dd { code { (evidence.raw_sha256) } } }
            } }
            @match chain::verify(&report.chain) {
                Ok(()) => p {
                    span.badge.info { (language.pick("chaîne intacte", "chain intact")) } " " (links) "\u{a0}"
                    (language.pick(if links > 1 { "maillons" } else { "maillon" }, if links == 1 { "link" } else { "links" }))
                },
                Err(place) => p.notice.danger { (language.pick("La chaîne de preuves est rompue au maillon ", "The evidence chain is broken at link ")) (place) "." },
            }
            details {
                summary { (language.pick("Chaîne de preuves", "Evidence chain")) }
                ol { @for link in &report.chain { li { code { (link.entry) } br; span.muted.small { "→ " (link.hash) } } } }
            }
        }
    }
}

fn consultations(user: &User, accesses: &[Access]) -> Markup {
    let language = user.language;
    let kind = |kind: &str| match kind {
        "list" => language.pick("vu dans une liste", "seen in a list"),
        "export" => language.pick("exporté", "exported"),
        "hold" => language.pick("conservé au-delà de l’échéance", "kept beyond its time"),
        "lift" => language.pick("conservation levée", "no longer kept beyond its time"),
        _ => language.pick("ouvert", "opened"),
    };
    html! {
        section.panel aria-labelledby="accesses" {
            h2 id="accesses" { (language.pick("Consultations", "Who looked")) }
            div.scroll { table.data {
                thead { tr { th scope="col" { (language.pick("Quand", "When")) } th scope="col" { (language.pick("Qui", "Who")) } th scope="col" { (language.pick("Quoi", "What")) } } }
                tbody { @for access in accesses { tr { td { (words::instant(language, access.at)) } td { (access.pseudonym) } td { (kind(&access.kind)) } } } }
            } }
        }
    }
}
