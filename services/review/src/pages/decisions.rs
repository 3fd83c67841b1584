//! One's own last decisions, with undo while there is time.

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;
use vigie_domain::Outcome;
use vigie_web::{Nav, User, page, text, words};

use super::comment::excerpt;
use super::{Console, DECIDERS, failed, saying, time, undo_form};
use crate::queue::Person;
use crate::reading::Past;

const LISTED_MAX: i64 = 100;
const EXCERPT_CHARACTERS: usize = 240;

#[derive(Deserialize)]
pub(crate) struct Asked {
    said: Option<String>,
}

pub(crate) async fn show(State(console): State<Console>, user: User, Query(asked): Query<Asked>) -> Response {
    if let Err(refusal) = user.require(&DECIDERS) {
        return refusal;
    }
    match console.queue.decisions(&Person::from(&user), LISTED_MAX).await {
        Ok(past) => page(
            Some(&user),
            Nav::Decisions,
            user.language.pick("Mes décisions", "My decisions"),
            list(&console, &user, &past, asked.said.as_deref()),
        )
        .into_response(),
        Err(error) => failed(&user, &error),
    }
}

fn list(console: &Console, user: &User, past: &[Past], said: Option<&str>) -> Markup {
    let language = user.language;
    let minutes = i64::try_from(console.queue.config.undo.0.as_secs() / 60).unwrap_or(i64::MAX);
    html! {
        @if let Some((kind, sentence)) = said.and_then(|said| saying(language, said)) { p class={ "notice " (kind) } role="status" { (sentence) } }
        @if past.is_empty() {
            div.panel.empty {
                p { (language.pick("Vous n’avez encore rien décidé.", "You have not decided anything yet.")) }
                p { a.button.primary href="/queue" { (language.pick("Commencer", "Begin")) } }
            }
        } @else {
            p.muted {
                (language.pick(
                    "Les cent dernières, de la plus récente à la plus ancienne. Une décision peut être annulée pendant ",
                    "The last hundred, newest first. A decision can be taken back for ",
                ))
                (words::minutes(language, minutes)) "."
            }
            ol.panel.past { @for one in past { (row(console, user, one)) } }
        }
    }
}

fn row(console: &Console, user: &User, past: &Past) -> Markup {
    let language = user.language;
    let decision = &past.decision;
    let comment = &decision.verdict.comment;
    let account = console.account_name(comment);
    let excerpt = excerpt(&comment.text, EXCERPT_CHARACTERS);
    let class = match decision.outcome {
        Outcome::Keep => "badge info",
        Outcome::Hide | Outcome::Delete => "badge warning",
        Outcome::Escalate => "badge danger",
    };
    html! {
        li {
            div.when.muted { (time(language, decision.decided_at)) }
            div {
                @if past.severe {
                    details { summary { (language.pick("Texte susceptible de heurter", "Text that may distress")) } div.text { (text::plain(&excerpt)) } }
                } @else {
                    div.text.excerpt { (text::plain(&excerpt)) }
                }
                div.muted.small { (account) " · " (words::platform(language, comment.platform)) }
            }
            div {
                span class=(class) { (words::outcome(language, decision.outcome)) }
                " "
                span.small {
                    @if past.undone { (language.pick("Annulée", "Taken back")) }
                    @else if past.sent { (language.pick("Envoyée", "Passed on")) }
                    @else { (language.pick("En cours d’envoi", "Being passed on")) }
                }
                @if !decision.acts.is_empty() { div.small { @for (index, act) in decision.acts.iter().enumerate() { @if index > 0 { ", " } (words::act(language, *act)) } } }
                @if let Some(basis) = decision.legal_basis { div.small { (words::legal_basis(basis)) } }
                @if let Some(note) = &decision.note { div.small.muted.text { (text::plain(note)) } }
            }
            div.undo { @if past.can_undo { (undo_form(user, past, None)) } }
        }
    }
}
