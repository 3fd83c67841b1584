//! How a command reaches what it asks for: the process that runs on the data directory, or the directory itself.

use std::time::Duration;

use anyhow::Context as _;
use axum::body::Bytes;
use axum::http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::TcpStream;
use vigie_runtime::Secret;

use crate::config::Config;
use crate::control::{Call, Operations, PATH};
use crate::instance::{self, Instance};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// What to do where the data directory is not there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// Make it: the first user, the first import.
    Create,
    /// Refuse: there is nothing to show.
    Refuse,
}

/// Whoever answers.
pub(crate) enum Vigie {
    /// A running process.
    Running { instance: Instance, token: Secret },
    /// This one.
    Here(Box<Operations>),
}

impl Vigie {
    /// Finds who answers for the data directory of `config`.
    ///
    /// # Errors
    /// The directory is not there and is not to be made, is in use by a process that does not answer, or cannot be opened.
    pub(crate) async fn find(config: &Config, absent: Absent) -> anyhow::Result<Self> {
        let dir = &config.data.dir;
        let elsewhere = config.bus.kafka.is_some() || config.database.url.is_some();
        anyhow::ensure!(
            absent == Absent::Create || elsewhere || dir.is_dir(),
            "there is no data directory {}; name it with --data DIR, or its configuration with --config FILE",
            dir.display()
        );
        Ok(match Instance::find(dir)? {
            Some(instance) => Self::Running {
                token: instance::token(dir)?,
                instance,
            },
            None => Self::Here(Box::new(Operations::open(config).await?)),
        })
    }

    /// Asks.
    ///
    /// # Errors
    /// What was asked for could not be done, or the process does not answer.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, call: Call) -> anyhow::Result<T> {
        let value = match self {
            Self::Here(operations) => operations.answer(call).await?,
            Self::Running { instance, token } => tokio::time::timeout(ANSWER_TIMEOUT, post(instance, token, &call))
                .await
                .with_context(|| {
                    format!(
                        "the vigie at {} (process {}) did not answer in {} s",
                        instance.addr,
                        instance.pid,
                        ANSWER_TIMEOUT.as_secs()
                    )
                })?
                .with_context(|| format!("asked the running vigie (process {})", instance.pid))?,
        };
        serde_json::from_value(value).context("the running vigie answered in a form that this one does not know; use the same version")
    }

    /// Flushes and closes what this process opened.
    ///
    /// # Errors
    /// The bus did not close cleanly.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        if let Self::Here(operations) = self {
            operations.runtime().stop.cancel();
            operations.runtime().bus.close().await?;
        }
        Ok(())
    }
}

async fn post(instance: &Instance, token: &Secret, call: &Call) -> anyhow::Result<Value> {
    let body = Bytes::from(serde_json::to_vec(call)?);
    let request = Request::builder()
        .method(Method::POST)
        .uri(PATH)
        .header(header::HOST, instance.addr.to_string())
        .header(header::AUTHORIZATION, format!("Bearer {}", token.expose()))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))?;
    let (status, body) = exchange(instance, request).await?;
    match status {
        StatusCode::OK => serde_json::from_slice(&body).context("the answer is not JSON"),
        StatusCode::UNPROCESSABLE_ENTITY => {
            let refusal: Value = serde_json::from_slice(&body).unwrap_or_default();
            anyhow::bail!("{}", refusal["error"].as_str().unwrap_or("it refused"))
        }
        status => anyhow::bail!("it answered {status}; use the same version for both"),
    }
}

/// Reads a page of a running process, such as /metrics.
///
/// # Errors
/// It does not answer.
pub(crate) async fn get(instance: &Instance, path: &str) -> anyhow::Result<(StatusCode, Bytes)> {
    let request = Request::builder()
        .uri(path)
        .header(header::HOST, instance.addr.to_string())
        .body(Full::new(Bytes::new()))?;
    tokio::time::timeout(CONNECT_TIMEOUT, exchange(instance, request))
        .await
        .context("it did not answer")?
}

async fn exchange(instance: &Instance, request: Request<Full<Bytes>>) -> anyhow::Result<(StatusCode, Bytes)> {
    let address = instance.local();
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
        .await
        .map_err(std::io::Error::from)
        .and_then(|connected| connected)
        .with_context(|| format!("could not connect to {address}"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await.context("the connection broke")?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?;
    drop(sender);
    connection.abort();
    Ok((status, body.to_bytes()))
}
