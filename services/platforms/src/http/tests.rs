//! A server on this machine that misbehaves in every way the client must survive.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::Response;
use axum::routing::get;
use tokio::net::TcpListener;

use super::*;

const FAST: Limits = Limits {
    connect: Duration::from_millis(500),
    total: Duration::from_millis(500),
    body_bytes_max: 10_000,
};

async fn serve(router: Router) -> anyhow::Result<Url> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?).parse()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

fn answer(status: u16, headers: &[(&'static str, &'static str)], body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.into()).expect("a constant answer")
}

async fn ask(base: &Url, path: &str) -> Result<serde_json::Value, PlatformError> {
    Http::new(base, false, FAST)?.send(Ask::get(&[path], &[])).await?.json()
}

#[tokio::test]
async fn every_misbehaviour_has_its_class() -> anyhow::Result<()> {
    let router = Router::new()
        .route("/good", get(|| async { answer(200, &[], "{\"a\":1}") }))
        .route("/429-seconds", get(|| async { answer(429, &[("retry-after", "7")], "") }))
        .route("/429-bare", get(|| async { answer(429, &[], "") }))
        .route("/500", get(|| async { answer(500, &[], "<html>oops") }))
        .route("/503", get(|| async { answer(503, &[("retry-after", "3")], "") }))
        .route("/401", get(|| async { answer(401, &[], "{}") }))
        .route("/403", get(|| async { answer(403, &[], "{}") }))
        .route("/410", get(|| async { answer(410, &[], "{}") }))
        .route("/422", get(|| async { answer(422, &[], "{}") }))
        .route("/garbage", get(|| async { answer(200, &[], "<html>SECRET") }))
        .route("/empty", get(|| async { answer(200, &[], "") }))
        .route(
            "/not-gzip",
            get(|| async { answer(200, &[("content-encoding", "gzip")], "SECRET") }),
        )
        .route("/large", get(|| async { answer(200, &[], " ".repeat(20_000)) }))
        .route(
            "/endless",
            get(|| async {
                answer(
                    200,
                    &[],
                    Body::from_stream(futures::stream::repeat_with(|| Ok::<_, std::io::Error>(" ".repeat(1000)))),
                )
            }),
        )
        .route("/slow", get(|| async { tokio::time::sleep(Duration::from_secs(60)).await }));
    let base = serve(router).await?;
    let check = async |path: &str, expected: &str| {
        let error = match ask(&base, path).await {
            Ok(_) => "ok".to_owned(),
            Err(error) => format!("{error:?}"),
        };
        assert!(error.starts_with(expected), "{path}: {error}");
        assert!(!error.contains("SECRET"), "{path}: the body is in the message: {error}");
    };
    check("good", "ok").await;
    check("429-seconds", "Throttled { until: Some").await;
    check("429-bare", "Throttled { until: None").await;
    check("500", "Transient").await;
    check("503", "Throttled { until: Some").await;
    check("401", "Unauthorized").await;
    check("403", "Permanent").await;
    check("404", "Gone").await;
    check("410", "Gone").await;
    check("422", "Permanent").await;
    check("garbage", "Malformed").await;
    check("empty", "Malformed").await;
    check("not-gzip", "Malformed").await;
    check("large", "Malformed").await;
    check("endless", "Malformed").await;
    check("slow", "Transient").await;
    Ok(())
}

#[tokio::test]
async fn a_server_that_says_nothing_is_transient() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let base: Url = format!("http://{}", listener.local_addr()?).parse()?;
    let hangs_up = tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            drop(socket);
        }
    });
    assert!(matches!(ask(&base, "x").await, Err(PlatformError::Transient(_))));
    hangs_up.abort();
    let _ = hangs_up.await;
    assert!(matches!(ask(&base, "x").await, Err(PlatformError::Transient(_))));
    Ok(())
}

#[tokio::test]
async fn redirects_are_not_followed() -> anyhow::Result<()> {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let elsewhere = serve(Router::new().fallback(move || {
        count.fetch_add(1, Ordering::SeqCst);
        async { "{}" }
    }))
    .await?;
    let target: &'static str = String::from(elsewhere).leak();
    let base = serve(Router::new().fallback(move || async move { answer(302, &[("location", target)], "") })).await?;
    let error = ask(&base, "x").await.expect_err("a redirect is no answer");
    assert!(
        matches!(&error, PlatformError::Permanent(message) if message.contains("base_url")),
        "{error:?}"
    );
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    Ok(())
}

#[tokio::test]
async fn a_limit_announced_as_used_up_is_not_hit() -> anyhow::Result<()> {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let base = serve(Router::new().fallback(move || {
        count.fetch_add(1, Ordering::SeqCst);
        async { answer(200, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "60")], "{}") }
    }))
    .await?;
    let http = Http::new(&base, false, FAST)?;
    http.send(Ask::get(&["x"], &[])).await?;
    assert!(matches!(
        http.send(Ask::get(&["x"], &[])).await,
        Err(PlatformError::Throttled { until: Some(_) })
    ));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    Ok(())
}

#[test]
fn an_id_cannot_lead_elsewhere() -> anyhow::Result<()> {
    let http = Http::new(&"https://example.org/mastodon/".parse()?, true, FAST)?;
    let url = http.url(&["api", "v1", "statuses", "../../admin?x#y"], &[("q", "a&b=c")])?;
    assert_eq!(
        url.as_str(),
        "https://example.org/mastodon/api/v1/statuses/..%2F..%2Fadmin%3Fx%23y?q=a%26b%3Dc"
    );
    assert!(http.url(&["api", ".."], &[]).is_err());
    Ok(())
}

#[test]
fn a_token_does_not_travel_in_clear() -> anyhow::Result<()> {
    for (base, accepted) in [
        ("https://example.org", true),
        ("http://localhost:3000", true),
        ("http://127.0.0.1:3000", true),
        ("http://[::1]:3000", true),
        ("http://mastodon:3000", true),
        ("http://example.org", false),
        ("http://192.0.2.1", false),
        ("ftp://example.org", false),
    ] {
        assert_eq!(Http::new(&base.parse()?, true, FAST).is_ok(), accepted, "{base}");
    }
    assert!(Http::new(&"http://example.org".parse()?, false, FAST).is_ok());
    Ok(())
}
