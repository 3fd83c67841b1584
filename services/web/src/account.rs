//! One's own account: who one is here, and one's password.

use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use maud::html;
use serde::Deserialize;
use tower_sessions::Session;

use crate::Web;
use crate::guard::begin_session;
use crate::layout::{Nav, csrf_field, page};
use crate::people::password_field;
use crate::signin::Address;
use crate::user::{Scope, User};
use crate::users::UsersError;
use crate::words;

pub(crate) fn routes(web: Web) -> Router {
    Router::new()
        .route("/account", get(show))
        .route("/account/password", post(change_password))
        .with_state(web)
}

#[derive(Deserialize)]
struct Asked {
    said: Option<String>,
}

#[derive(Deserialize)]
struct Change {
    current: String,
    password: String,
}

async fn show(user: User, Query(asked): Query<Asked>) -> Response {
    let message = user.language.pick(
        "Mot de passe modifié\u{202f}; vos autres sessions sont terminées.",
        "Password changed; your other sessions have ended.",
    );
    answer(
        &user,
        StatusCode::OK,
        (asked.said.as_deref() == Some("changed")).then_some(("info", message)),
    )
}

async fn change_password(
    State(web): State<Web>,
    user: User,
    session: Session,
    Address(address): Address,
    Form(change): Form<Change>,
) -> Response {
    let language = user.language;
    let refuse = |text: &str| answer(&user, StatusCode::UNPROCESSABLE_ENTITY, Some(("danger", text)));
    match attempt(&web, &user, &session, &address, &change).await {
        Ok(()) => {
            tracing::info!(user = user.id, "changed their password");
            Redirect::to("/account?said=changed").into_response()
        }
        Err(Refusal::WrongPassword) => refuse(language.pick("Le mot de passe actuel est incorrect.", "The present password is wrong.")),
        Err(Refusal::TooMany) => refuse(language.pick(
            "Trop d’essais. Patientez quinze minutes.",
            "Too many attempts. Wait a quarter of an hour.",
        )),
        Err(Refusal::NotAccepted(error)) => refuse(&error.say(language)),
        Err(Refusal::Failed(error)) => {
            tracing::error!(error = format!("{error:#}"), "a password could not be changed");
            refuse(language.pick(
                "Le service est momentanément indisponible.",
                "The service is unavailable for the moment.",
            ))
        }
    }
}

enum Refusal {
    WrongPassword,
    TooMany,
    NotAccepted(UsersError),
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

async fn attempt(web: &Web, user: &User, session: &Session, address: &str, change: &Change) -> Result<(), Refusal> {
    if !web.throttle.admit(&user.login, address).await? {
        return Err(Refusal::TooMany);
    }
    if web.users.authenticate(&user.login, &change.current).await?.is_none() {
        return Err(Refusal::WrongPassword);
    }
    web.throttle.succeeded(&user.login, address).await?;
    match web.users.set_password(&user.login, &change.password).await {
        Err(error @ UsersError::Password(_)) => return Err(Refusal::NotAccepted(error)),
        other => other?,
    }
    if let Some(known) = web.users.by_id(user.id).await? {
        begin_session(session, &known).await?;
    }
    Ok(())
}

fn answer(user: &User, status: StatusCode, message: Option<(&str, &str)>) -> Response {
    let language = user.language;
    let body = html! {
        div.narrow {
            @if let Some((kind, text)) = message { p class={ "notice " (kind) } role=(if kind == "danger" { "alert" } else { "status" }) { (text) } }
            section.panel {
                dl.facts {
                    dt { (language.pick("Identifiant", "Login")) } dd { (user.login) }
                    dt { (language.pick("Pseudonyme", "Pseudonym")) } dd { (user.pseudonym) }
                    dt { (language.pick("Rôle", "Role")) } dd { (words::role(language, user.role)) }
                    dt { (language.pick("Institutions", "Institutions")) }
                    dd {
                        @match &user.institutions {
                            Scope::All => { (language.pick("toutes", "all")) }
                            Scope::Institutions(some) => { @for (index, id) in some.iter().enumerate() { @if index > 0 { ", " } (id) } }
                        }
                    }
                }
            }
            form.panel method="post" action="/account/password" {
                h2 { (language.pick("Changer de mot de passe", "Change the password")) }
                (csrf_field(user))
                input type="hidden" name="username" value=(user.login) autocomplete="username";
                div.field {
                    label for="current" { (language.pick("Mot de passe actuel", "Present password")) }
                    input id="current" name="current" type="password" required maxlength="1024" autocomplete="current-password";
                }
                (password_field(language, "password", language.pick("Nouveau mot de passe", "New password")))
                button.button.primary { (language.pick("Changer", "Change")) }
            }
        }
    };
    (status, page(Some(user), Nav::None, language.pick("Mon compte", "My account"), body)).into_response()
}
