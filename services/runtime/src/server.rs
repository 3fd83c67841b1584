//! The HTTP listener: pages of the services, /metrics, /healthz, /readyz.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::Encoder as _;
use tokio::net::TcpListener;

use crate::Runtime;

/// Binds the address.
///
/// # Errors
/// The address is in use or cannot be had; says what to do.
pub async fn bind(address: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("the address {address} is in use; stop what uses it, or choose another with --listen")
        }
        _ => anyhow::anyhow!("could not listen on {address}: {error}; choose another with --listen HOST:PORT"),
    })
}

/// /metrics, /healthz and /readyz.
pub fn operations(runtime: &Runtime) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz))
        .with_state(runtime.clone())
}

/// Serves until the process stops; requests in hand are finished, for `drain` at most.
///
/// # Errors
/// The listener fails.
pub async fn serve(listener: TcpListener, routes: Router, runtime: Runtime, drain: Duration) -> anyhow::Result<()> {
    let stop = runtime.stop.clone();
    let finished = axum::serve(listener, routes.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async move { stop.cancelled().await });
    let stop = runtime.stop.clone();
    tokio::select! {
        result = finished => result.context("the HTTP listener failed"),
        () = async { stop.cancelled().await; tokio::time::sleep(drain).await } => Ok(()),
    }
}

async fn metrics(State(runtime): State<Runtime>) -> Response {
    let encoder = prometheus::TextEncoder::new();
    let mut text = Vec::new();
    let families = runtime.registry.gather();
    match encoder.encode(&families, &mut text) {
        Ok(()) => ([(header::CONTENT_TYPE, encoder.format_type().to_owned())], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be encoded");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn readyz(State(runtime): State<Runtime>) -> Response {
    let mut waiting = runtime.health.waiting();
    if let Err(error) = runtime.bus.ping().await {
        waiting.push(("bus", error.to_string()));
    }
    if runtime.stop.is_cancelled() {
        waiting.push(("process", "stopping".to_owned()));
    }
    let ready = waiting.is_empty();
    let components: serde_json::Map<String, serde_json::Value> =
        waiting.into_iter().map(|(name, reason)| (name.to_owned(), reason.into())).collect();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(serde_json::json!({ "ready": ready, "waiting": components }))).into_response()
}
