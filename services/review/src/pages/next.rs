//! The page of the next comment: what surrounds it, the messages, and the empty queue.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;
use vigie_web::{Language, Nav, Role, User, csrf_field, page, words};

use super::comment::CommentPage;
use super::{Console, DECIDERS, failed, saying, undo_form};
use crate::queue::{Person, QueueError, Ruling};
use crate::reading::{Past, Waiting};

#[derive(Default, Deserialize)]
pub(crate) struct Asked {
    done: Option<String>,
    said: Option<String>,
}

/// What the page shows besides the comment.
struct Surroundings<'a> {
    console: &'a Console,
    user: &'a User,
    waiting: Waiting,
    severe_lately: i64,
    just_done: Option<Past>,
    said: Option<String>,
}

pub(crate) async fn show(State(console): State<Console>, user: User, Query(asked): Query<Asked>) -> Response {
    if user.role == Role::Analyst {
        return Redirect::to("/archive").into_response();
    }
    if let Err(refusal) = user.require(&DECIDERS) {
        return refusal;
    }
    match build(&console, &user, asked, None).await {
        Ok(markup) => markup.into_response(),
        Err(error) => failed(&user, &error),
    }
}

/// The same comment again, with what the person had entered, because the decision lacks something.
pub(crate) async fn again(console: &Console, user: &User, said: &str, entered: &Ruling) -> Response {
    let asked = Asked {
        done: None,
        said: Some(said.to_owned()),
    };
    match build(console, user, asked, Some(entered)).await {
        Ok(markup) => (StatusCode::UNPROCESSABLE_ENTITY, markup).into_response(),
        Err(error) => failed(user, &error),
    }
}

pub(crate) async fn waiting(State(console): State<Console>, user: User) -> Response {
    if let Err(refusal) = user.require(&DECIDERS) {
        return refusal;
    }
    match console.queue.waiting(&Person::from(&user)).await {
        Ok(waiting) => Json(serde_json::json!({ "waiting": waiting.for_me() })).into_response(),
        Err(error) => failed(&user, &error),
    }
}

async fn build(console: &Console, user: &User, asked: Asked, entered: Option<&Ruling>) -> Result<Markup, QueueError> {
    let person = Person::from(user);
    let just_done = match asked.done {
        Some(id) => console
            .queue
            .decisions(&person, 1)
            .await?
            .into_iter()
            .find(|past| past.decision.id.as_str() == id),
        None => None,
    };
    let lease = console.queue.next(&person).await?;
    let around = Surroundings {
        console,
        user,
        waiting: console.queue.waiting(&person).await?,
        severe_lately: console.queue.severe_lately(&person).await?,
        just_done,
        said: asked.said,
    };
    let language = user.language;
    Ok(match lease {
        Some(lease) => {
            let neighbours = console.queue.neighbours(&lease.item, 3).await?;
            let shown = CommentPage {
                console,
                user,
                lease: &lease,
                neighbours: &neighbours,
                waiting: around.waiting,
                entered,
            };
            let title = language.pick("Commentaire à traiter", "Comment to decide on");
            page(Some(user), Nav::Queue, title, html! { (around.messages()) (shown.body()) })
        }
        None => page(Some(user), Nav::Queue, language.pick("File d’attente", "Queue"), around.empty()),
    })
}

impl Surroundings<'_> {
    fn messages(&self) -> Markup {
        let language = self.user.language;
        html! {
            @if let Some((kind, sentence)) = self.said.as_deref().and_then(|said| saying(language, said)) {
                p class={ "notice " (kind) } role="status" { (sentence) }
            }
            @if let Some(past) = &self.just_done {
                div.notice.done.row.spread role="status" {
                    span {
                        (language.pick("Commentaire précédent\u{a0}: ", "Previous comment: "))
                        strong { (words::outcome(language, past.decision.outcome)) } "."
                    }
                    @if past.can_undo { (undo_form(self.user, past, Some(&self.console.queue.config.keys.undo))) }
                }
            }
            @if self.severe_lately >= i64::from(self.console.queue.config.severe_per_hour) {
                p.notice.warning role="status" {
                    @if language == Language::Fr {
                        "Vous avez traité " (self.severe_lately) " textes éprouvants en une heure. "
                        "Une pause de dix minutes est conseillée\u{202f}; "
                        "rien ne sera perdu\u{a0}: les commentaires attendront ou seront confiés à un ou une collègue."
                    } @else {
                        "You have handled " (self.severe_lately) " distressing texts within an hour. A break of ten minutes is advised: "
                        "nothing is lost, the queue will wait or go to a colleague."
                    }
                }
            }
        }
    }

    fn empty(&self) -> Markup {
        let language = self.user.language;
        let skipped = self.waiting.skipped;
        html! {
            (self.messages())
            div.panel.empty {
                h2 { (language.pick("Rien à traiter pour le moment", "Nothing to do for the moment")) }
                p.muted {
                    (language.pick(
                        "Dès qu’un commentaire attend votre avis, cette page vous en avertit d’elle-même.",
                        "As soon as a comment waits for you, this page says so by itself.",
                    ))
                }
                @if skipped > 0 {
                    form method="post" action="/queue/resume" {
                        (csrf_field(self.user))
                        p {
                            (language.pick(
                                "Commentaires que vous avez passés et qui attendent encore\u{a0}: ",
                                "Comments that you skipped and that still wait: ",
                            ))
                            strong { (skipped) } "."
                        }
                        button.button { (language.pick("Les reprendre", "Take them back")) }
                    }
                } @else {
                    p { a.button href="/queue" { (language.pick("Actualiser", "Refresh")) } }
                }
                div role="status" {
                    a.button.primary href="/queue" hidden data-poll="/queue/waiting" {
                        (language.pick("Traiter les nouveaux commentaires", "New comments have come: handle them"))
                    }
                }
            }
        }
    }
}
