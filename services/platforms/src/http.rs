//! The one HTTP client of the connectors.
//!
//! What it promises: requests go to the configured host and to no other (redirects are not followed, no address found in an answer
//! is ever asked for, no proxy is taken from the environment); connecting takes at most 5 s and the whole at most 30 s; an answer is
//! read up to a limit, counted after decompression; a token goes over plain http to this machine or a neighbour without a domain
//! only; no error holds a token, a query or a body. A limit that the server announces as used up is respected before it is hit.

use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, DATE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use url::{Host, Url};

use crate::error::PlatformError;
use crate::reset::{ResetAt, http_date};

/// Limits of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// To open the connection.
    pub connect: Duration,
    /// From the start to the last byte.
    pub total: Duration,
    /// The largest answer, in bytes.
    pub body_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            total: Duration::from_secs(30),
            body_bytes_max: 16 << 20,
        }
    }
}

/// A client for one host.
pub(crate) struct Http {
    client: reqwest::Client,
    base: Url,
    body_bytes_max: usize,
    paused_until: Mutex<Option<Timestamp>>,
}

/// A request.
pub(crate) struct Ask<'a> {
    pub method: Method,
    /// Segments of the path; each is encoded, so an id cannot lead anywhere else.
    pub path: &'a [&'a str],
    pub query: &'a [(&'a str, &'a str)],
    pub bearer: Option<&'a str>,
    pub headers: &'a [(&'static str, &'a str)],
    pub json: Option<&'a serde_json::Value>,
}

impl<'a> Ask<'a> {
    pub const fn get(path: &'a [&'a str], query: &'a [(&'a str, &'a str)]) -> Self {
        Self {
            method: Method::GET,
            path,
            query,
            bearer: None,
            headers: &[],
            json: None,
        }
    }

    pub const fn post(path: &'a [&'a str], json: &'a serde_json::Value) -> Self {
        Self {
            method: Method::POST,
            path,
            query: &[],
            bearer: None,
            headers: &[],
            json: Some(json),
        }
    }

    pub const fn bearer(mut self, token: Option<&'a str>) -> Self {
        self.bearer = token;
        self
    }
}

/// An answer of any status.
#[derive(Debug)]
pub(crate) struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// What was asked, for messages: method, host and path shape, without ids or query.
    asked: String,
}

impl Http {
    pub fn new(base: &Url, has_token: bool, limits: Limits) -> Result<Self, PlatformError> {
        if !matches!(base.scheme(), "https" | "http") || base.host().is_none() {
            return Err(PlatformError::Permanent("base_url must be an http or https address".to_owned()));
        }
        if has_token && base.scheme() != "https" && !is_near(base) {
            return Err(PlatformError::Permanent(
                "base_url must begin with https, because a token is sent there".to_owned(),
            ));
        }
        let client = reqwest::Client::builder()
            .user_agent(concat!("Vigie/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(limits.connect)
            .timeout(limits.total)
            .pool_idle_timeout(Duration::from_secs(20))
            .build()
            .map_err(|error| {
                PlatformError::Permanent(format!(
                    "could not set up TLS: {}; is the package ca-certificates installed?",
                    error.without_url()
                ))
            })?;
        Ok(Self {
            client,
            base: base.clone(),
            body_bytes_max: limits.body_bytes_max,
            paused_until: Mutex::new(None),
        })
    }

    pub fn host(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }

    /// Sends one request and reads the answer, whatever its status.
    pub async fn send(&self, ask: Ask<'_>) -> Result<Reply, PlatformError> {
        let asked = format!("{} {}", ask.method, self.base.host_str().unwrap_or_default());
        if let Some(until) = self.paused() {
            return Err(PlatformError::Throttled { until: Some(until) });
        }
        let mut request = self.client.request(ask.method, self.url(ask.path, ask.query)?);
        if let Some(token) = ask.bearer {
            let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| {
                PlatformError::Permanent("the token holds characters that no token has: copy it again, without line breaks".to_owned())
            })?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        for (name, value) in ask.headers {
            request = request.header(*name, *value);
        }
        if let Some(json) = ask.json {
            request = request.json(json);
        }
        let response = request.send().await.map_err(|error| failed(&asked, error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        self.note(&headers);
        let body = self.read(&asked, response).await?;
        Ok(Reply {
            status,
            headers,
            body,
            asked,
        })
    }

    async fn read(&self, asked: &str, mut response: reqwest::Response) -> Result<Vec<u8>, PlatformError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(asked, error))? {
            if body.len() + chunk.len() > self.body_bytes_max {
                return Err(PlatformError::Malformed(format!(
                    "{asked}: the answer has more than {} bytes",
                    self.body_bytes_max
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Url, PlatformError> {
        if path.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
            return Err(PlatformError::Malformed(
                "an id of the platform is empty or made of dots".to_owned(),
            ));
        }
        let mut url = self.base.clone();
        url.set_query(None);
        url.set_fragment(None);
        url.path_segments_mut()
            .map_err(|()| PlatformError::Permanent("base_url must be an http or https address".to_owned()))?
            .pop_if_empty()
            .extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    fn paused(&self) -> Option<Timestamp> {
        let until = *self.paused_until.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        until.filter(|until| *until > Timestamp::now())
    }

    /// Learns from the headers whether the limit is used up.
    fn note(&self, headers: &HeaderMap) {
        let is_used_up = ["x-ratelimit-remaining", "ratelimit-remaining", "x-rate-limit-remaining"]
            .iter()
            .any(|name| {
                headers
                    .get(*name)
                    .and_then(|value| value.to_str().ok()?.trim().parse::<f64>().ok())
                    .is_some_and(|left| left < 1.0)
            });
        if is_used_up {
            *self.paused_until.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = reset_at(headers);
        }
    }
}

/// When requests are welcome again, by our clock: the platform's own clock, as its answer gives it, may be minutes away from ours.
fn reset_at(headers: &HeaderMap) -> Option<Timestamp> {
    let ours = Timestamp::now();
    let theirs = headers.get(DATE).and_then(|value| http_date(value.to_str().ok()?)).unwrap_or(ours);
    let reset = ResetAt::of(headers, theirs)?;
    ours.checked_add(reset.0.duration_since(theirs)).ok()
}

impl Reply {
    /// The answer itself where the status says success.
    pub fn ok(self) -> Result<Self, PlatformError> {
        if self.status.is_success() { Ok(self) } else { Err(self.refusal()) }
    }

    /// The JSON of a successful answer.
    pub fn json<T: DeserializeOwned>(self) -> Result<T, PlatformError> {
        let reply = self.ok()?;
        serde_json::from_slice(&reply.body).map_err(|error| {
            // The parser's own words may quote the content: only the place is told.
            PlatformError::Malformed(format!(
                "{}: not the JSON expected, at line {} column {}",
                reply.asked,
                error.line(),
                error.column()
            ))
        })
    }

    /// What a status that is no success means.
    pub fn refusal(&self) -> PlatformError {
        let asked = &self.asked;
        let status = self.status.as_u16();
        let until = || reset_at(&self.headers);
        match status {
            429 => PlatformError::Throttled { until: until() },
            503 if self.headers.contains_key("retry-after") => PlatformError::Throttled { until: until() },
            408 | 425 | 500..=599 => PlatformError::Transient(format!("{asked}: answered {status}")),
            401 => PlatformError::Unauthorized(format!(
                "{asked}: the token is refused (401): make a new one and set it for this account"
            )),
            403 => PlatformError::Permanent(format!(
                "{asked}: not allowed (403): the token lacks a permission, or this is not ours to act on"
            )),
            404 | 410 => PlatformError::Gone,
            300..=399 => PlatformError::Permanent(format!(
                "{asked}: redirects elsewhere ({status}); redirects are not followed: set base_url to the final address"
            )),
            _ => PlatformError::Permanent(format!("{asked}: refused the request ({status})")),
        }
    }
}

fn failed(asked: &str, error: reqwest::Error) -> PlatformError {
    let what = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "cannot be reached"
    } else if error.is_decode() {
        return PlatformError::Malformed(format!("{asked}: the answer is not compressed as it says"));
    } else if error.is_builder() {
        return PlatformError::Permanent(format!("{asked}: the request cannot be built"));
    } else {
        "the connection broke off"
    };
    PlatformError::Transient(format!("{asked}: {what}"))
}

/// Whether plain http stays on this machine or in a private network of containers.
fn is_near(base: &Url) -> bool {
    match base.host() {
        Some(Host::Domain(name)) => name == "localhost" || !name.contains('.'),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests;
