//! The style sheet, the script and the icon, embedded. Their addresses carry a digest, so that browsers may keep them for good.

use std::sync::LazyLock;

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use vigie_domain::sha256_hex;

const CSS: &str = include_str!("assets/vigie.css");
const JS: &str = include_str!("assets/vigie.js");
const ICON: &str = include_str!("assets/vigie.svg");

static CSS_URL: LazyLock<String> = LazyLock::new(|| format!("/assets/vigie.css?v={}", &sha256_hex(CSS.as_bytes())[..12]));
static JS_URL: LazyLock<String> = LazyLock::new(|| format!("/assets/vigie.js?v={}", &sha256_hex(JS.as_bytes())[..12]));

pub(crate) fn css_url() -> &'static str {
    &CSS_URL
}

pub(crate) fn js_url() -> &'static str {
    &JS_URL
}

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/assets/vigie.css", get(|| async { asset("text/css; charset=utf-8", CSS) }))
        .route("/assets/vigie.js", get(|| async { asset("text/javascript; charset=utf-8", JS) }))
        .route("/assets/vigie.svg", get(|| async { asset("image/svg+xml", ICON) }))
}

fn asset(kind: &'static str, content: &'static str) -> impl IntoResponse {
    (
        [
            (header::CONTENT_TYPE, kind),
            (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        ],
        content,
    )
}
