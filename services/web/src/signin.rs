//! Signing in and out, and the language.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Form, FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Router, extract::Request};
use maud::{Markup, html};
use serde::Deserialize;
use tower_sessions::Session;

use crate::Web;
use crate::guard::{begin_session, same};
use crate::layout::{self, Nav};
use crate::user::{Language, User};

const FORM_COOKIE: &str = "vigie-form";

pub(crate) fn routes(web: Web) -> Router {
    Router::new()
        .route("/sign-in", get(show).post(sign_in))
        .route("/sign-out", post(sign_out))
        .route("/language", post(set_language))
        .with_state(web)
}

/// Where a request comes from, for the limit on failures.
pub(crate) struct Address(pub(crate) String);

impl FromRequestParts<Web> for Address {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Self::Rejection> {
        let forwarded = web
            .config
            .client_address_header
            .as_deref()
            .and_then(|name| parts.headers.get(name))
            .and_then(|value| value.to_str().ok());
        // The last entry is the one that our own proxy wrote; those before are the client's word.
        if let Some(address) = forwarded.and_then(|list| list.rsplit(',').next()) {
            return Ok(Self(address.trim().chars().take(64).collect()));
        }
        let peer = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|info| info.0.ip().to_string());
        Ok(Self(peer.unwrap_or_else(|| "unknown".to_owned())))
    }
}

#[derive(Deserialize)]
struct Asked {
    next: Option<String>,
    lang: Option<String>,
    ended: Option<String>,
}

#[derive(Deserialize)]
struct Credentials {
    login: String,
    password: String,
    form: String,
    #[serde(default)]
    next: String,
    #[serde(default)]
    lang: String,
}

#[derive(Deserialize)]
struct Choice {
    language: String,
}

/// What the page of signing in shows.
struct Shown<'a> {
    language: Language,
    next: &'a str,
    login: &'a str,
    message: Option<&'a str>,
    nobody_yet: bool,
}

async fn show(State(web): State<Web>, user: Option<User>, Query(asked): Query<Asked>) -> Response {
    let next = asked.next.as_deref().unwrap_or_default();
    if user.is_some() {
        return Redirect::to(local(next)).into_response();
    }
    let language: Language = asked.lang.as_deref().and_then(|tag| tag.parse().ok()).unwrap_or_default();
    let nobody_yet = web.users.is_empty().await.unwrap_or(false);
    let message = asked.ended.is_some().then(|| {
        language.pick(
            "Votre session est terminée. Connectez-vous de nouveau.",
            "Your session has ended. Sign in again.",
        )
    });
    answer(
        &web,
        StatusCode::OK,
        &Shown {
            language,
            next: local(next),
            login: "",
            message,
            nobody_yet,
        },
    )
}

async fn sign_in(
    State(web): State<Web>,
    session: Session,
    Address(address): Address,
    headers: HeaderMap,
    Form(given): Form<Credentials>,
) -> Response {
    let language: Language = given.lang.parse().unwrap_or_default();
    let next = local(&given.next);
    let login: String = given.login.chars().take(64).collect();
    let again = |status, message| {
        answer(
            &web,
            status,
            &Shown {
                language,
                next,
                login: &login,
                message: Some(message),
                nobody_yet: false,
            },
        )
    };
    if !cookie(&headers, FORM_COOKIE).is_some_and(|known| same(&given.form, known)) {
        return again(
            StatusCode::FORBIDDEN,
            language.pick("La page était trop ancienne. Recommencez.", "The page was too old. Try again."),
        );
    }
    match attempt(&web, &session, &login, &given.password, &address).await {
        Ok(Attempt::Right) => Redirect::to(next).into_response(),
        Ok(Attempt::Wrong) => again(
            StatusCode::UNAUTHORIZED,
            language.pick("Identifiant ou mot de passe incorrect.", "Wrong login or password."),
        ),
        Ok(Attempt::TooMany) => again(
            StatusCode::TOO_MANY_REQUESTS,
            language.pick(
                "Trop d’essais. Patientez quinze minutes avant de recommencer.",
                "Too many attempts. Wait a quarter of an hour before you try again.",
            ),
        ),
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "a sign-in could not be handled");
            again(
                StatusCode::SERVICE_UNAVAILABLE,
                language.pick(
                    "Le service est momentanément indisponible.",
                    "The service is unavailable for the moment.",
                ),
            )
        }
    }
}

enum Attempt {
    Right,
    Wrong,
    TooMany,
}

async fn attempt(web: &Web, session: &Session, login: &str, password: &str, address: &str) -> anyhow::Result<Attempt> {
    if !web.throttle.admit(login, address).await? {
        tracing::warn!("refused a sign-in: too many failures");
        return Ok(Attempt::TooMany);
    }
    let Some(known) = web.users.authenticate(login, password).await? else {
        tracing::info!("a sign-in failed");
        return Ok(Attempt::Wrong);
    };
    web.throttle.succeeded(login, address).await?;
    web.store.sweep().await?;
    begin_session(session, &known).await?;
    tracing::info!(user = known.user.id, "signed in");
    Ok(Attempt::Right)
}

async fn sign_out(session: Session) -> Response {
    match session.flush().await {
        Ok(()) => Redirect::to("/sign-in").into_response(),
        Err(error) => {
            tracing::error!(%error, "a session could not be ended");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

async fn set_language(State(web): State<Web>, user: User, request: Request) -> Response {
    let back = request
        .headers()
        .get(header::REFERER)
        .and_then(|value| value.to_str().ok())
        .and_then(path_of)
        .unwrap_or_else(|| "/queue".to_owned());
    let Ok(Form(choice)) = <Form<Choice> as axum::extract::FromRequest<()>>::from_request(request, &()).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let Ok(language) = choice.language.parse() else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    match web.users.set_language(user.id, language).await {
        Ok(()) => Redirect::to(local(&back)).into_response(),
        Err(error) => {
            tracing::error!(%error, "the language could not be kept");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

/// The page, with a fresh token in the form and in a cookie: signing in is protected from forgery before there is a session.
fn answer(web: &Web, status: StatusCode, shown: &Shown<'_>) -> Response {
    let token = hex::encode(rand::random::<[u8; 16]>());
    let secure = if web.config.is_https() { "; Secure" } else { "" };
    let cookie = format!("{FORM_COOKIE}={token}; Path=/sign-in; HttpOnly; SameSite=Strict; Max-Age=3600{secure}");
    let mut response = (status, document(shown, &token)).into_response();
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}

fn document(shown: &Shown<'_>, token: &str) -> Markup {
    let language = shown.language;
    let other = language.other();
    let body = html! {
        div.narrow {
            @if let Some(message) = shown.message { p.notice.warning role="alert" { (message) } }
            @if shown.nobody_yet { (first_user(language)) }
            form.panel method="post" action="/sign-in" {
                input type="hidden" name="form" value=(token);
                input type="hidden" name="next" value=(shown.next);
                input type="hidden" name="lang" value=(language.as_str());
                div.field {
                    label for="login" { (language.pick("Identifiant", "Login")) }
                    input id="login" name="login" value=(shown.login) required maxlength="64" autocomplete="username" autocapitalize="none" spellcheck="false" autofocus[shown.login.is_empty()];
                }
                div.field {
                    label for="password" { (language.pick("Mot de passe", "Password")) }
                    input id="password" name="password" type="password" required maxlength="1024" autocomplete="current-password" autofocus[!shown.login.is_empty()];
                }
                button.button.primary { (language.pick("Se connecter", "Sign in")) }
            }
            p { a href={ "/sign-in?lang=" (other.as_str()) "&next=" (crate::guard::encode_component(shown.next)) } lang=(other.as_str()) hreflang=(other.as_str()) { (other.pick("Français", "English")) } }
        }
    };
    layout::document(language, None, Nav::None, language.pick("Connexion", "Sign in"), &body)
}

fn first_user(language: Language) -> Markup {
    html! {
        div.notice.info {
            p { strong { (language.pick("Personne n’est encore inscrit.", "Nobody has been added yet.")) } }
            p { (language.pick(
                "Il n’existe pas de mot de passe par défaut. Sur le serveur, créez le premier compte\u{202f}; la commande demande le mot de passe\u{a0}:",
                "There is no default password. On the server, create the first account; the command asks for the password:",
            )) }
            pre { code { "vigie user add jeanne --role admin" } }
        }
    }
}

/// A path on this site, whatever was asked: an open redirection would lend our name to others.
fn local(next: &str) -> &str {
    let plain = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains('\\')
        && !next.chars().any(char::is_control)
        && next.len() <= 1024;
    if plain && !next.starts_with("/sign-") { next } else { "/queue" }
}

/// Path and query of an absolute address.
fn path_of(address: &str) -> Option<String> {
    let rest = address.split_once("://")?.1;
    rest.find('/').map(|slash| rest[slash..].to_owned())
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_only_to_this_site() {
        for (next, expected) in [
            ("/archive?q=x", "/archive?q=x"),
            ("", "/queue"),
            ("//evil.example", "/queue"),
            ("/\\evil.example", "/queue"),
            ("https://evil.example", "/queue"),
            ("/a\r\nSet-Cookie: x", "/queue"),
            ("/sign-in?next=/sign-in", "/queue"),
        ] {
            assert_eq!(local(next), expected, "{next:?}");
        }
        assert_eq!(path_of("http://127.0.0.1:8080/decisions?x=1").as_deref(), Some("/decisions?x=1"));
        assert_eq!(path_of("http://127.0.0.1:8080"), None);
    }
}
