//! The console of the moderators: the next comment, and one's own last decisions.
//!
//! Everything is a plain form; scripts only add keys and the heartbeat. A comment's text is shown by `vigie_web::text`, which
//! escapes it and makes hidden characters visible.

mod analysis;
mod comment;
mod decisions;
mod form;
mod next;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use maud::{Markup, html};
use vigie_runtime::{Accounts, Policies};
use vigie_web::{Language, Nav, Role, User, csrf_field, page, words};

use crate::queue::{Queue, QueueError};
use crate::reading::Past;

pub(crate) use form::SKIP_REASONS;

/// Who may decide.
const DECIDERS: [Role; 3] = [Role::Moderator, Role::Lead, Role::Admin];

/// What the pages stand on.
#[derive(Clone)]
pub(crate) struct Console {
    pub(crate) queue: Queue,
    pub(crate) accounts: Accounts,
    pub(crate) policies: Policies,
}

pub(crate) fn routes(console: Console) -> Router {
    Router::new()
        .route("/queue", get(next::show))
        .route("/queue/decide", post(form::decide))
        .route("/queue/skip", post(form::skip))
        .route("/queue/resume", post(form::resume))
        .route("/queue/heartbeat", post(form::heartbeat))
        .route("/queue/waiting", get(next::waiting))
        .route("/decisions", get(decisions::show))
        .route("/decisions/undo", post(form::undo))
        .with_state(console)
}

impl Console {
    /// The name of an account, as people know it.
    fn account_name(&self, comment: &vigie_domain::Comment) -> String {
        self.accounts
            .get(&comment.account)
            .map_or_else(|| comment.account.to_string(), |account| account.name.clone())
    }
}

/// The page for an error that is nobody's decision: the log has the cause, the person what to do.
fn failed(user: &User, error: &QueueError) -> Response {
    tracing::error!(error = format!("{error:#}"), user = user.id, "a page of the queue failed");
    let language = user.language;
    let text = language.pick(
        "La file est momentanément indisponible. Rien n’a été perdu\u{202f}; réessayez dans un instant.",
        "The queue is unavailable for the moment. Nothing was lost; try again shortly.",
    );
    let body = html! {
        p.notice.danger role="alert" { (text) }
        p { a.button href="/queue" { (language.pick("Réessayer", "Try again")) } }
    };
    let title = language.pick("File indisponible", "Queue unavailable");
    (StatusCode::SERVICE_UNAVAILABLE, page(Some(user), Nav::Queue, title, body)).into_response()
}

/// What the queue said, in a sentence.
fn saying(language: Language, said: &str) -> Option<(&'static str, &'static str)> {
    let (kind, fr, en) = match said {
        "skipped" => (
            "info",
            "Commentaire passé\u{202f}; il est proposé à quelqu’un d’autre.",
            "Skipped; it is offered to somebody else.",
        ),
        "undone" => (
            "info",
            "Décision annulée\u{202f}; le commentaire vous revient.",
            "Decision taken back; the comment is yours again.",
        ),
        "lost" => (
            "warning",
            "Votre décision n’a pas été enregistrée\u{a0}: la réservation du commentaire avait expiré.",
            "Your decision was not recorded: the comment was no longer reserved for you.",
        ),
        "withdrawn" => (
            "warning",
            "Votre décision n’a pas été enregistrée\u{a0}: le commentaire a été modifié ou supprimé sur la plateforme.",
            "Your decision was not recorded: the comment was edited or deleted on the platform.",
        ),
        "decided" => (
            "warning",
            "Ce commentaire a déjà fait l’objet d’une décision.",
            "There is a decision on this comment already.",
        ),
        "unknown" => (
            "warning",
            "Ce commentaire n’est plus dans la file.",
            "This comment is no longer in the queue.",
        ),
        "closed" => (
            "warning",
            "Cette décision ne peut plus être annulée\u{a0}: le délai est passé ou une autre décision l’a suivie.",
            "This decision can no longer be taken back: the time is over, or another decision followed.",
        ),
        "choose" => (
            "warning",
            "Choisissez une décision\u{a0}: conserver, masquer, supprimer ou transmettre.",
            "Choose a decision: keep, hide, delete or escalate.",
        ),
        "label" => (
            "warning",
            "Contrôle à l’aveugle\u{a0}: cochez la nature des propos, puis confirmez votre décision.",
            "Blind check: tick what the comment does, then confirm your decision.",
        ),
        _ => return None,
    };
    Some((kind, language.pick(fr, en)))
}

/// The form that takes a decision back.
fn undo_form(user: &User, past: &Past, letter: Option<&str>) -> Markup {
    let language = user.language;
    html! {
        form method="post" action="/decisions/undo" {
            (csrf_field(user))
            input type="hidden" name="decision" value=(past.decision.id);
            button.button data-key=[letter] aria-keyshortcuts=[letter] {
                (language.pick("Annuler", "Undo"))
                span.visually-hidden { (language.pick(" la décision", " the decision")) }
                @if let Some(letter) = letter { (key(letter)) }
            }
        }
    }
}

fn time(language: Language, at: Timestamp) -> Markup {
    html! { time datetime=(at) { (words::instant(language, at)) } }
}

fn key(letter: &str) -> Markup {
    html! { kbd aria-hidden="true" { (letter) } }
}
