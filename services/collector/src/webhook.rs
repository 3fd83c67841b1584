//! The generic signed webhook: `POST /webhooks/generic/{account}`.
//!
//! Delivery: at least once for a sender that repeats until it gets 202; what is answered 202 is on the bus. The raw bytes are checked
//! before anything in them is read. A request repeated with its `Idempotency-Key` is answered without being looked at again; without
//! a key its comments are recognised one by one.
//!
//! The body holds comments in the form of `vigie import`: JSON objects one after the other, or arrays of them. Comments that cannot
//! be used are named in the answer and stop no other; where none can be used the answer is 400.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use vigie_domain::{AccountId, sha256_hex};
use vigie_platforms::webhook::{HEADER, SignatureError, verify};
use vigie_runtime::{Account, Runtime};

use crate::accept::{Acceptor, Fate, Manner, Patience};
use crate::config::WebhookConfig;
use crate::import::{Row, RowError, read_json};
use crate::incoming::{Incoming, Origin};
use crate::store::Mark;

const KEY_HEADER: &str = "idempotency-key";
const KEY_BYTES_MAX: usize = 255;

#[derive(Clone)]
struct Webhook {
    acceptor: Acceptor,
    runtime: Runtime,
    config: Arc<WebhookConfig>,
    places: Arc<Semaphore>,
    /// Checked against where there is no such account, so that the time of the answer does not tell.
    nobodys_secret: Arc<[u8; 32]>,
}

/// A refusal: what the sender is told.
struct Refusal {
    status: StatusCode,
    error: String,
    rows: Vec<RowError>,
}

/// The route.
pub fn routes(acceptor: Acceptor, runtime: Runtime, config: WebhookConfig) -> Router {
    let places = Arc::new(Semaphore::new(config.requests_max as usize));
    let webhook = Webhook {
        acceptor,
        runtime,
        config: Arc::new(config),
        places,
        nobodys_secret: Arc::new(rand::random()),
    };
    Router::new()
        .route("/webhooks/generic/{account}", post(receive))
        .with_state(webhook)
}

async fn receive(State(webhook): State<Webhook>, Path(account): Path<String>, headers: HeaderMap, body: Body) -> Response {
    let response = webhook
        .handle(&account, &headers, body)
        .await
        .unwrap_or_else(IntoResponse::into_response);
    webhook.acceptor.metrics().answered(response.status().as_u16());
    response
}

impl Webhook {
    async fn handle(&self, account: &str, headers: &HeaderMap, body: Body) -> Result<Response, Refusal> {
        let signature = headers.get(HEADER).and_then(|value| value.to_str().ok()).ok_or_else(unsigned)?;
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| unavailable("too many requests at once"))?;
        let body = self.read(headers, body).await?;
        let account = self.authenticate(account, signature, &body)?;
        let key = idempotency_key(headers)?;
        let digest = sha256_hex(&body);
        if let Some(key) = &key
            && let Some(before) = self
                .acceptor
                .store()
                .request(&account.id, key)
                .await
                .map_err(|_| unavailable("the database does not answer"))?
        {
            if before != digest {
                return Err(Refusal::new(
                    StatusCode::BAD_REQUEST,
                    "this Idempotency-Key came with another body before",
                ));
            }
            return Ok((StatusCode::ACCEPTED, Json(json!({ "repeated": true }))).into_response());
        }
        let (comments, numbers, mut rejected) = self.parse(&account, &body)?;
        let mark = key.map(|key| Mark::Request { key, body_sha256: digest });
        let fates = self.publish(account, comments, mark, place).await?;
        let count = |wanted: &Fate| fates.iter().filter(|fate| *fate == wanted).count();
        let (new, known) = (count(&Fate::New), count(&Fate::Known));
        rejected.extend(fates.into_iter().zip(numbers).filter_map(|(fate, line)| match fate {
            Fate::Rejected(reason) => Some(RowError { line, reason }),
            Fate::New | Fate::Known => None,
        }));
        Ok((
            StatusCode::ACCEPTED,
            Json(json!({ "new": new, "known": known, "rejected": rejected })),
        )
            .into_response())
    }

    async fn read(&self, headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Refusal> {
        let too_large = || {
            Refusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the body may have {} at most", String::from(self.config.body_max)),
            )
        };
        let announced: Option<u64> = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        if announced.is_some_and(|bytes| bytes > self.config.body_max.0) {
            return Err(too_large());
        }
        let limit = usize::try_from(self.config.body_max.0).unwrap_or(usize::MAX);
        match tokio::time::timeout(self.config.timeout.0, axum::body::to_bytes(body, limit)).await {
            Ok(Ok(bytes)) => Ok(bytes.into()),
            Ok(Err(error)) if is_limit(&error) => Err(too_large()),
            Ok(Err(_)) => Err(Refusal::new(StatusCode::BAD_REQUEST, "the body broke off")),
            Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")),
        }
    }

    /// The account whose secret signed the body. The sender learns nothing about why it is refused; the log does.
    fn authenticate(&self, account: &str, signature: &str, body: &[u8]) -> Result<Account, Refusal> {
        let known = AccountId::new(account)
            .ok()
            .and_then(|id| self.runtime.accounts.get(&id))
            .filter(|account| !account.webhook_secrets.is_empty());
        let Some(known) = known else {
            // The outcome is the same in any case.
            let _ = verify(signature, body, &[self.nobodys_secret.as_slice()], Timestamp::now());
            tracing::warn!("a webhook request names an account that is not configured for it: set webhook_secrets of the account");
            return Err(unsigned());
        };
        let secrets: Vec<&str> = known.webhook_secrets.iter().map(vigie_runtime::Secret::expose).collect();
        verify(signature, body, &secrets, Timestamp::now()).map_err(|error: SignatureError| {
            tracing::warn!(account = %known.id, %error, "a webhook request for `{}` is refused", known.id);
            unsigned()
        })?;
        Ok(known.clone())
    }

    /// The comments of the body with their numbers, from 1, and those that cannot be used.
    #[expect(clippy::type_complexity, reason = "three lists that are taken apart at once")]
    fn parse(&self, account: &Account, body: &[u8]) -> Result<(Vec<Incoming>, Vec<u64>, Vec<RowError>), Refusal> {
        let values = values(body).ok_or_else(|| {
            Refusal::new(
                StatusCode::BAD_REQUEST,
                "the body is not JSON: send objects one after the other, or arrays of them",
            )
        })?;
        if values.is_empty() {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "the body holds no comment"));
        }
        if values.len() > self.config.comments_max as usize {
            return Err(Refusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("a request may hold {} comments at most", self.config.comments_max),
            ));
        }
        let now = Timestamp::now();
        let (mut comments, mut numbers, mut rejected) = (Vec::new(), Vec::new(), Vec::new());
        for (line, value) in (1..).zip(values) {
            match read_json(value.get()).and_then(|row: Row| Incoming::from_row(account, row, now)) {
                Ok(incoming) => {
                    comments.push(incoming);
                    numbers.push(line);
                }
                Err(reason) => rejected.push(RowError { line, reason }),
            }
        }
        self.acceptor.metrics().rejected(account.platform, rejected.len() as u64);
        if comments.is_empty() {
            return Err(Refusal {
                rows: rejected,
                ..Refusal::new(StatusCode::BAD_REQUEST, "no comment of the body can be used")
            });
        }
        Ok((comments, numbers, rejected))
    }

    /// In a task of its own: a sender that hangs up, or an answer that is late, leaves nothing half done. The task keeps the place of
    /// the request, so that no more of them wait for a bus that is away than there are places.
    async fn publish(
        &self,
        account: Account,
        comments: Vec<Incoming>,
        mark: Option<Mark>,
        place: OwnedSemaphorePermit,
    ) -> Result<Vec<Fate>, Refusal> {
        let acceptor = self.acceptor.clone();
        let task = tokio::spawn(async move {
            let manner = Manner {
                origin: Origin::Webhook,
                patience: Patience::Once,
                mark,
                look_after: None,
            };
            let accepted = acceptor.accept(&account, comments, manner).await;
            if let Err(error) = &accepted {
                acceptor.metrics().accept_error(account.platform, error);
                tracing::warn!(account = %account.id, %error, "a webhook request for `{}` could not be passed on; the sender is told to repeat it", account.id);
            }
            drop(place);
            accepted
        });
        match tokio::time::timeout(self.config.timeout.0, task).await {
            Ok(Ok(Ok(fates))) => Ok(fates),
            Ok(Ok(Err(_)) | Err(_)) => Err(unavailable("the comments could not be stored")),
            Err(_) => Err(unavailable("the comments could not be stored in time")),
        }
    }
}

/// Every value of the body; arrays give their elements. None where it is no JSON.
fn values(body: &[u8]) -> Option<Vec<&RawValue>> {
    let mut values = Vec::new();
    for value in serde_json::Deserializer::from_slice(body).into_iter::<&RawValue>() {
        let value = value.ok()?;
        if value.get().starts_with('[') {
            values.extend(serde_json::from_str::<Vec<&RawValue>>(value.get()).ok()?);
        } else {
            values.push(value);
        }
    }
    Some(values)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(value) = headers.get(KEY_HEADER) else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()));
    match key {
        Some(key) => Ok(Some(key.to_owned())),
        None => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            format!("Idempotency-Key must have 1 to {KEY_BYTES_MAX} visible ASCII characters"),
        )),
    }
}

fn is_limit(error: &axum::Error) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if error.to_string().contains("length limit exceeded") {
            return true;
        }
        source = error.source();
    }
    false
}

fn unsigned() -> Refusal {
    Refusal::new(
        StatusCode::UNAUTHORIZED,
        format!("sign the body: {HEADER}: t=<unix seconds>,v1=<hex HMAC-SHA256(secret, t \".\" body)>"),
    )
}

fn unavailable(error: &str) -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, format!("{error}; send the request again"))
}

impl Refusal {
    fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self {
            status,
            error: error.into(),
            rows: Vec::new(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = if self.rows.is_empty() {
            json!({ "error": self.error })
        } else {
            json!({ "error": self.error, "rejected": self.rows })
        };
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}
