//! The search form and its results.

use jiff::Timestamp;
use maud::{Markup, html};
use vigie_domain::{Act, Platform, ReportState, Target};
use vigie_web::{Role, User, text, words};

use super::{OFFSET_MAX, PAGE_REPORTS, Pages, Typed, state_badge, state_name};
use crate::analysis::{self, Wanted};
use crate::index::Found;
use crate::limitation;
use crate::search;
use crate::store::Stored;

const EXCERPT_CHARACTERS: usize = 280;

pub(super) fn body(pages: &Pages, user: &User, typed: &Typed, found: &Found, reports: &[Stored]) -> Markup {
    let language = user.language;
    let wanted = search::wanted(&search::parse(&typed.q));
    let only_stop_words = !typed.q.trim().is_empty() && wanted == Wanted::default();
    html! {
        (form(pages, user, typed, found))
        @if only_stop_words {
            p.notice.info {
                (language.pick(
                    "Ces mots sont trop courants pour être cherchés\u{a0}: tous les signalements sont affichés.",
                    "These words are too common to look for: all reports are shown.",
                ))
            }
        }
        section aria-labelledby="results" {
            div.row.spread {
                h2 id="results" aria-live="polite" { (found.total) " " (language.pick(if found.total > 1 { "signalements" } else { "signalement" }, if found.total == 1 { "report" } else { "reports" })) }
                @if user.role != Role::Moderator && found.total > 0 {
                    p.row {
                        a.button.quiet href=(format!("/archive/export.csv?{}", typed.query(None))) { (language.pick("Exporter en CSV", "Export as CSV")) }
                        a.button.quiet href=(format!("/archive/export.jsonl?{}", typed.query(None))) { (language.pick("Exporter en JSONL", "Export as JSONL")) }
                    }
                }
            }
            @if reports.is_empty() {
                div.panel.empty {
                    p {
                        (language.pick(
                            "Aucun signalement ne correspond. Élargissez la recherche\u{a0}: moins de mots, ou moins de filtres.",
                            "No report matches. Widen the search: fewer words, or fewer filters.",
                        ))
                    }
                }
            }
            @for report in reports { (card(user, report, &wanted)) }
            (pager(user, typed, found.total))
        }
    }
}

fn form(pages: &Pages, user: &User, typed: &Typed, found: &Found) -> Markup {
    let language = user.language;
    let mut institutions: Vec<String> = pages
        .accounts
        .iter()
        .filter(|account| user.may_see(&account.institution))
        .map(|account| account.institution.to_string())
        .collect();
    institutions.sort();
    institutions.dedup();
    let institutions = institutions.into_iter().map(|name| (name.clone(), name)).collect();
    let accounts: Vec<(String, String)> = pages
        .accounts
        .iter()
        .filter(|account| user.may_see(&account.institution))
        .map(|account| (account.id.to_string(), account.name.clone()))
        .collect();
    let counted = |name: &str, facet: String| {
        found
            .facets
            .get(&facet)
            .map_or_else(|| name.to_owned(), |count| format!("{name} ({count})"))
    };
    let acts = Act::ALL
        .iter()
        .map(|act| {
            (
                act.as_str().to_owned(),
                counted(words::act(language, *act), format!("/act/{}", act.as_str())),
            )
        })
        .collect();
    let targets = Target::ALL
        .iter()
        .map(|target| {
            (
                target.as_str().to_owned(),
                counted(words::target(language, *target), format!("/target/{}", target.as_str())),
            )
        })
        .collect();
    let states = ReportState::ALL
        .iter()
        .map(|state| (state.as_str().to_owned(), state_name(language, *state).to_owned()))
        .collect();
    let platforms = Platform::ALL
        .iter()
        .map(|platform| (platform.as_str().to_owned(), words::platform(language, *platform).to_owned()))
        .collect();
    let orders = vec![(
        "date".to_owned(),
        language.pick("les plus récents d’abord", "newest first").to_owned(),
    )];
    let by_relevance = language.pick("par pertinence", "by relevance");
    let (any, any_feminine) = (language.pick("tous", "all"), language.pick("toutes", "all"));
    html! {
        form.panel method="get" action="/archive" role="search" {
            div.field {
                label for="q" { (language.pick("Rechercher dans les signalements", "Search the reports")) }
                input type="search" id="q" name="q" value=(typed.q) autocomplete="off" aria-describedby="q-help" maxlength="500";
                p.muted.small id="q-help" {
                    (language.pick(
                        "Les accents et les formes des mots ne comptent pas. \
                         Exemples\u{a0}: menac*, «\u{a0}mort aux\u{a0}», -publicité.",
                        "Accents and word forms do not matter. Examples: menac*, “mort aux”, -publicité.",
                    ))
                }
            }
            details open[has_filters(typed)] {
                summary { (language.pick("Filtres", "Filters")) }
                div.inline-form {
                    (select("institution", "Institution", any_feminine, &typed.institution, institutions))
                    (select("account", language.pick("Compte", "Account"), any, &typed.account, accounts))
                    (select("platform", language.pick("Plateforme", "Platform"), any_feminine, &typed.platform, platforms))
                    (select("state", language.pick("État", "State"), any, &typed.state, states))
                    (select("act", language.pick("Acte", "Act"), any, &typed.act, acts))
                    (select("target", language.pick("Cible", "Target"), any_feminine, &typed.target, targets))
                    div.field { label for="author" { (language.pick("Auteur (pseudonyme)", "Author (pseudonym)")) } input type="text" id="author" name="author" value=(typed.author); }
                    div.field { label for="from" { (language.pick("Ouvert à partir du", "Opened from")) } input type="date" id="from" name="from" value=(typed.from); }
                    div.field { label for="to" { (language.pick("Ouvert jusqu’au", "Opened until")) } input type="date" id="to" name="to" value=(typed.to); }
                    (select("sort", language.pick("Ordre", "Order"), by_relevance, &typed.sort, orders))
                }
            }
            p.row {
                button.button.primary { (language.pick("Rechercher", "Search")) }
                a.button.quiet href="/archive" { (language.pick("Tout afficher", "Show all")) }
            }
        }
    }
}

fn has_filters(typed: &Typed) -> bool {
    let filters = [
        &typed.institution,
        &typed.account,
        &typed.platform,
        &typed.state,
        &typed.act,
        &typed.target,
        &typed.author,
        &typed.from,
        &typed.to,
    ];
    filters.iter().any(|filter| !filter.is_empty())
}

/// A list with `any` for no choice.
fn select(name: &str, label: &str, any: &str, chosen: &str, options: Vec<(String, String)>) -> Markup {
    html! {
        div.field {
            label for=(name) { (label) }
            select id=(name) name=(name) {
                option value="" { (any) }
                @for (value, title) in &options { option value=(value) selected[value == chosen] { (title) } }
            }
        }
    }
}

fn card(user: &User, report: &Stored, wanted: &Wanted) -> Markup {
    let language = user.language;
    let comment = &report.verdict.comment;
    let basis = report.decision.as_ref().and_then(|decision| decision.legal_basis);
    let targets = report
        .decision
        .as_ref()
        .map(|decision| decision.targets.as_slice())
        .unwrap_or_default();
    let left = limitation::limitation(basis, targets, comment.created_at).map(|period| limitation::days_left(&period, Timestamp::now()));
    html! {
        article.panel {
            p.row {
                span class=(state_badge(report.state)) { (state_name(language, report.state)) }
                @for category in report.categories() { span.badge { (category_name(user, &category)) } }
                @if let Some(days) = left.filter(|days| *days < 30) {
                    span class=(if days < 15 { "badge danger" } else { "badge warning" }) {
                        (language.pick("prescription (à vérifier)\u{a0}: ", "limitation (to verify): "))
                        @if days < 0 { (language.pick("délai dépassé", "period over")) }
                        @else {
                            (days) "\u{a0}"
                            (language.pick(if days > 1 { "jours" } else { "jour" }, if days == 1 { "day" } else { "days" }))
                        }
                    }
                }
            }
            p.text lang=[comment.language.as_deref().or(Some("fr"))] {
                @for piece in analysis::excerpt(&comment.text, wanted, EXCERPT_CHARACTERS) {
                    @if piece.found { mark { (text::plain(&piece.text)) } } @else { (text::plain(&piece.text)) }
                }
            }
            p.row.spread {
                span.muted.small {
                    (comment.institution) " · " (comment.account) " · " (words::platform(language, comment.platform)) " · "
                    (language.pick("ouvert le ", "opened ")) (words::instant(language, report.opened_at))
                }
                a.button.quiet href=(format!("/archive/{}", report.id)) {
                    (language.pick("Ouvrir", "Open")) span.visually-hidden { " " (language.pick("le signalement ", "report ")) (&report.id.as_str()[..8.min(report.id.as_str().len())]) }
                }
            }
        }
    }
}

/// `/act/threat` in words.
pub(super) fn category_name(user: &User, category: &str) -> String {
    let act = category
        .strip_prefix("/act/")
        .and_then(|name| name.parse::<Act>().ok())
        .map(|act| words::act(user.language, act));
    let target = category
        .strip_prefix("/target/")
        .and_then(|name| name.parse::<Target>().ok())
        .map(|target| words::target(user.language, target));
    act.or(target).unwrap_or(category).to_owned()
}

fn pager(user: &User, typed: &Typed, total: usize) -> Markup {
    let (page, last) = (typed.page(), total.min(OFFSET_MAX).div_ceil(PAGE_REPORTS).max(1));
    html! {
        @if last > 1 {
            nav.row aria-label=(user.language.pick("Pages de résultats", "Pages of results")) {
                @if page > 1 { a.button href=(format!("/archive?{}", typed.query(Some(page - 1)))) rel="prev" { (user.language.pick("Précédents", "Previous")) } }
                span { (user.language.pick("page ", "page ")) (page) " / " (last) }
                @if page < last { a.button href=(format!("/archive?{}", typed.query(Some(page + 1)))) rel="next" { (user.language.pick("Suivants", "Next")) } }
            }
        }
    }
}
