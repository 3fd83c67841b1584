//! What the forms send. Every answer is a redirection, so that reloading a page never sends a form twice.

use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use vigie_domain::Outcome;
use vigie_web::User;

use super::next::again;
use super::{Console, DECIDERS, failed};
use crate::queue::{Person, QueueError, Ruling};

/// Why somebody skips: code, French, English.
pub(crate) const SKIP_REASONS: [(&str, &str, &str); 5] = [
    (
        "conflict",
        "Je connais la personne ou le sujet me touche",
        "I know the person, or the subject touches me",
    ),
    (
        "doubt",
        "J’hésite\u{202f}; un autre avis est utile",
        "I hesitate; another view would help",
    ),
    (
        "language",
        "Je ne comprends pas la langue ou le contexte",
        "I do not understand the language or the context",
    ),
    ("hard", "Je préfère ne pas traiter ce texte", "I would rather not handle this text"),
    (
        "later",
        "Il me faut une information que je n’ai pas",
        "I need information that I do not have",
    ),
];

type Fields = Form<Vec<(String, String)>>;

fn field<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
}

/// The values of a repeated field that are known; unknown ones are not ours and are dropped.
fn list<T: std::str::FromStr>(fields: &[(String, String)], name: &str) -> Vec<T> {
    fields
        .iter()
        .filter(|(key, _)| key == name)
        .filter_map(|(_, value)| value.parse().ok())
        .collect()
}

fn fence(fields: &[(String, String)]) -> i64 {
    field(fields, "fence").parse().unwrap_or(-1)
}

pub(crate) async fn decide(State(console): State<Console>, user: User, Form(fields): Fields) -> Response {
    if let Err(refusal) = user.require(&DECIDERS) {
        return refusal;
    }
    let outcome = Outcome::ALL
        .into_iter()
        .find(|outcome| outcome.as_str() == field(&fields, "outcome"));
    let note = field(&fields, "note").trim();
    let ruling = Ruling {
        outcome: outcome.unwrap_or(Outcome::Keep),
        acts: list(&fields, "act"),
        targets: list(&fields, "target"),
        legal_basis: field(&fields, "legal_basis").parse().ok(),
        note: (!note.is_empty()).then(|| note.replace('\r', "")),
    };
    if outcome.is_none() {
        return again(&console, &user, "choose", &ruling).await;
    }
    let decided = console
        .queue
        .decide(&Person::from(&user), field(&fields, "item"), fence(&fields), ruling.clone())
        .await;
    match decided {
        Err(QueueError::LabelMissing) => again(&console, &user, "label", &ruling).await,
        Ok(id) => Redirect::to(&format!("/queue?done={id}")).into_response(),
        Err(error) => refused(&user, "/queue", &error),
    }
}

pub(crate) async fn skip(State(console): State<Console>, user: User, Form(fields): Fields) -> Response {
    if let Err(refusal) = user.require(&DECIDERS) {
        return refusal;
    }
    let Some((reason, _, _)) = SKIP_REASONS.into_iter().find(|(code, _, _)| *code == field(&fields, "reason")) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    match console
        .queue
        .skip(&Person::from(&user), field(&fields, "item"), fence(&fields), reason)
        .await
    {
        Ok(()) => Redirect::to("/queue?said=skipped").into_response(),
        Err(error) => refused(&user, "/queue", &error),
    }
}

pub(crate) async fn resume(State(console): State<Console>, user: User) -> Response {
    if let Err(refusal) = user.require(&DECIDERS) {
        return refusal;
    }
    match console.queue.resume(&Person::from(&user)).await {
        Ok(()) => Redirect::to("/queue").into_response(),
        Err(error) => failed(&user, &error),
    }
}

pub(crate) async fn heartbeat(State(console): State<Console>, user: User, Form(fields): Fields) -> Response {
    match console
        .queue
        .heartbeat(&Person::from(&user), field(&fields, "item"), fence(&fields))
        .await
    {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(QueueError::Other(error)) => {
            tracing::error!(error = format!("{error:#}"), "a heartbeat could not be kept");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
        Err(_) => StatusCode::CONFLICT.into_response(),
    }
}

pub(crate) async fn undo(State(console): State<Console>, user: User, Form(fields): Fields) -> Response {
    if let Err(refusal) = user.require(&DECIDERS) {
        return refusal;
    }
    match console.queue.undo(&Person::from(&user), field(&fields, "decision")).await {
        Ok(()) => Redirect::to("/queue?said=undone").into_response(),
        Err(error) => refused(&user, "/decisions", &error),
    }
}

/// Sends the person on with a word on why; a failure of the database is a page of its own.
fn refused(user: &User, to: &str, error: &QueueError) -> Response {
    let said = match error {
        QueueError::LeaseLost => "lost",
        QueueError::Withdrawn => "withdrawn",
        QueueError::AlreadyDecided => "decided",
        QueueError::Unknown => "unknown",
        QueueError::UndoClosed => "closed",
        QueueError::LabelMissing => "label",
        QueueError::Other(_) => return failed(user, error),
    };
    tracing::info!(user = user.id, said, "the queue refused");
    Redirect::to(&format!("{to}?said={said}")).into_response()
}
