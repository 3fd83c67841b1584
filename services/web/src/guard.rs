//! What stands before every page: who asks (session), whether the request was made here (anti-forgery), and the headers that
//! tell the browser to run nothing else.
//!
//! A request that changes something must come from our own pages (Sec-Fetch-Site or Origin) and carry the token of its session in
//! the field `csrf` or the header `x-csrf-token`. /webhooks/* and /import carry signatures or keys of their own and are let through.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use tower_sessions::Session;

use crate::Web;
use crate::layout::{self, Nav};
use crate::user::{Language, User};
use crate::users::Known;

/// The largest form accepted, in bytes.
const FORM_BYTES_MAX: usize = 256 << 10;
const SESSION_KEY: &str = "sign-in";
/// A session is written again only when it was last seen this long ago.
const SEEN_EVERY_MS: i64 = 60_000;
/// What a page asks by itself carries this header and does not count as somebody being there.
const BACKGROUND: &str = "x-background";

/// What a session holds.
#[derive(Clone, Serialize, Deserialize)]
struct SignIn {
    user: i64,
    generation: i64,
    csrf: String,
    since_ms: i64,
    seen_ms: i64,
}

/// Begins the session of `known`, under a fresh id.
pub(crate) async fn begin_session(session: &Session, known: &Known) -> Result<(), tower_sessions::session::Error> {
    session.flush().await?;
    let now = Timestamp::now().as_millisecond();
    let csrf = hex::encode(rand::random::<[u8; 32]>());
    session
        .insert(
            SESSION_KEY,
            SignIn {
                user: known.user.id,
                generation: known.generation,
                csrf,
                since_ms: now,
                seen_ms: now,
            },
        )
        .await
}

/// The middleware.
pub(crate) async fn guard(State(web): State<Web>, session: Session, mut request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let exempt = path.starts_with("/webhooks/") || path == "/import" || path.starts_with("/assets/");
    if exempt {
        return next.run(request).await;
    }
    let user = match identify(&web, &session, request.headers()).await {
        Ok(user) => user,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "a session could not be read");
            return unavailable();
        }
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        request = match admit(&web, &path, user.as_ref(), request).await {
            Ok(request) => request,
            Err(refusal) => return *refusal,
        };
    }
    if let Some(user) = user {
        request.extensions_mut().insert(user);
    }
    next.run(request).await
}

/// The person of the session, if it still holds: not idle for too long, not too old, password and account unchanged.
async fn identify(web: &Web, session: &Session, headers: &HeaderMap) -> anyhow::Result<Option<User>> {
    if !headers.contains_key(header::COOKIE) {
        return Ok(None);
    }
    let Some(mut sign_in) = session.get::<SignIn>(SESSION_KEY).await? else {
        return Ok(None);
    };
    let now = Timestamp::now().as_millisecond();
    let too_old = now - sign_in.since_ms > ms(web.config.session_longest.0);
    let known = web.users.by_id(sign_in.user).await?;
    let Some(known) = known.filter(|known| !too_old && !known.disabled && known.generation == sign_in.generation) else {
        session.flush().await?;
        return Ok(None);
    };
    let mut user = known.user;
    user.csrf.clone_from(&sign_in.csrf);
    if now - sign_in.seen_ms > SEEN_EVERY_MS && !headers.contains_key(BACKGROUND) {
        sign_in.seen_ms = now;
        session.insert(SESSION_KEY, sign_in).await?;
    }
    Ok(Some(user))
}

/// Lets a changing request through, or says why not.
async fn admit(web: &Web, path: &str, user: Option<&User>, request: Request) -> Result<Request, Box<Response>> {
    let language = user.map_or(Language::Fr, |user| user.language);
    if !from_here(request.headers(), web.config.public_url.as_deref()) {
        tracing::warn!(path, "refused a form sent from another site");
        return Err(Box::new(refuse(user, language, StatusCode::FORBIDDEN)));
    }
    if path == "/sign-in" {
        return Ok(request);
    }
    let Some(user) = user else {
        return Err(Box::new(Redirect::to("/sign-in?ended=yes").into_response()));
    };
    let (parts, body) = request.into_parts();
    let is_form = parts
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_none_or(|value| value.starts_with("application/x-www-form-urlencoded"));
    if !is_form {
        return Err(Box::new(refuse(Some(user), language, StatusCode::UNSUPPORTED_MEDIA_TYPE)));
    }
    let Ok(bytes) = to_bytes(body, FORM_BYTES_MAX).await else {
        return Err(Box::new(refuse(Some(user), language, StatusCode::PAYLOAD_TOO_LARGE)));
    };
    let given = match parts.headers.get("x-csrf-token").and_then(|value| value.to_str().ok()) {
        Some(token) => Some(token.to_owned()),
        None => field(&bytes, "csrf"),
    };
    if !given.is_some_and(|given| same(&given, &user.csrf)) {
        tracing::warn!(path, user = user.id, "refused a form without the token of its session");
        return Err(Box::new(refuse(Some(user), language, StatusCode::FORBIDDEN)));
    }
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

/// Whether the browser says that the request was made on one of our own pages. Clients that are no browsers send neither header;
/// they have no session of a victim either.
fn from_here(headers: &HeaderMap, public_url: Option<&str>) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text(HeaderName::from_static("sec-fetch-site")) {
        return site == "same-origin" || site == "none";
    }
    let Some(origin) = text(header::ORIGIN) else { return true };
    let host = text(header::HOST);
    let origin_host = origin.split_once("://").map(|(_, host)| host);
    (host.is_some() && origin_host == host) || public_url.is_some_and(|url| url.trim_end_matches('/') == origin)
}

/// The value of a field of a form.
pub(crate) fn field(form: &[u8], name: &str) -> Option<String> {
    url::form_urlencoded::parse(form)
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// Whether two secrets are equal, in a time that tells nothing of where they differ.
pub(crate) fn same(a: &str, b: &str) -> bool {
    !b.is_empty() && bool::from(a.as_bytes().ct_eq(b.as_bytes()))
}

/// Percent-encodes everything but letters, digits, `-`, `_`, `.` and `/`.
pub(crate) fn encode_component(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_./".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn refuse(user: Option<&User>, language: Language, status: StatusCode) -> Response {
    let title = language.pick("Demande refusée", "Request refused");
    let text = match status {
        StatusCode::PAYLOAD_TOO_LARGE => language.pick("Le formulaire est trop volumineux.", "The form is too large."),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => language.pick(
            "Ce type de formulaire n’est pas accepté ici.",
            "This type of form is not accepted here.",
        ),
        _ => language.pick(
            "Le formulaire ne venait pas de cette page, ou la page était trop ancienne. Rechargez la page et recommencez.",
            "The form did not come from this page, or the page was too old. Reload the page and try again.",
        ),
    };
    (
        status,
        layout::document(
            language,
            user,
            Nav::None,
            title,
            &maud::html! { p { (text) } p { a href="/" { (language.pick("Revenir à l’accueil", "Back to the start")) } } },
        ),
    )
        .into_response()
}

fn unavailable() -> Response {
    let body = maud::html! { p { "Le service est momentanément indisponible. Réessayez dans un instant." } };
    (
        StatusCode::SERVICE_UNAVAILABLE,
        layout::document(Language::Fr, None, Nav::None, "Service indisponible", &body),
    )
        .into_response()
}

/// Milliseconds of a duration.
pub(crate) fn ms(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The headers of every answer. A route that needs others of these sets them itself.
pub(crate) async fn headers(State(web): State<Web>, request: Request, next: Next) -> Response {
    let asset = request.uri().path().starts_with("/assets/");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    );
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::REFERRER_POLICY, "same-origin");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(
        HeaderName::from_static("permissions-policy"),
        "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    );
    if !asset {
        set(header::CACHE_CONTROL, "no-store");
    }
    if web.config.is_https() {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_where_a_form_was_sent_from() -> Result<(), header::InvalidHeaderValue> {
        let cases: [(&[(&'static str, &str)], bool); 8] = [
            (&[], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("host", "vigie.fr"),
                    ("origin", "http://vigie.fr"),
                ],
                false,
            ),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:8080")], true),
            (&[("host", "127.0.0.1:8080"), ("origin", "http://evil.example")], false),
            (&[("host", "127.0.0.1:8080"), ("origin", "null")], false),
            (&[("host", "inside:80"), ("origin", "https://vigie.example.fr")], true),
        ];
        for (given, expected) in cases {
            let mut headers = HeaderMap::new();
            for (name, value) in given {
                headers.insert(*name, HeaderValue::from_str(value)?);
            }
            assert_eq!(from_here(&headers, Some("https://vigie.example.fr/")), expected, "{given:?}");
        }
        Ok(())
    }

    #[test]
    fn reads_fields_and_compares() {
        assert_eq!(field(b"a=1&csrf=x%2By&csrf=z", "csrf").as_deref(), Some("x+y"));
        assert_eq!(field(b"a=1", "csrf"), None);
        assert_eq!(field("note=é&csrf=x".as_bytes(), "csrf").as_deref(), Some("x"));
        assert_eq!(
            field(format!("note={}&csrf=x", "n".repeat(100_000)).as_bytes(), "csrf").as_deref(),
            Some("x")
        );
        assert!(same("abc", "abc") && !same("abc", "abd") && !same("", ""));
        assert_eq!(encode_component("/archive?q=a b"), "/archive%3Fq%3Da%20b");
    }
}
