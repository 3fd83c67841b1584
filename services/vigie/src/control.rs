//! What a command can ask of the process that holds the data directory, and the endpoint for it.
//!
//! One process at a time holds the embedded bus. A command asks the one that runs, over HTTP with the token of the data directory, or
//! does the same work itself where none runs: [`Operations::answer`] is the only implementation.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use subtle::ConstantTimeEq as _;
use vigie_barometer::edition;
use vigie_barometer::period::Period;
use vigie_domain::{InstitutionId, Pseudonym};
use vigie_runtime::{Runtime, Secret};
use vigie_web::{Language, NewUser, Role, Scope, Web};

use crate::config::Config;
use crate::imports::{Batch, Imports};
use crate::letters::{Letters, Selection};

/// The path of the endpoint.
pub(crate) const PATH: &str = "/control";
/// The largest call, in bytes: a batch of rows with the largest one in it, which stands there twice (as read, and taken apart), escaped.
pub(crate) const CALL_BYTES_MAX: usize = 128 << 20;

/// What can be asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
pub(crate) enum Call {
    /// Answers an [`vigie_collector::import::Outcome`].
    Import(Batch),
    /// Answers a list of [`crate::letters::Listed`].
    DeadLetters { service: Option<String> },
    /// Answers a [`crate::letters::Shown`].
    DeadLetter { id: String },
    /// Answers a [`crate::letters::Replayed`].
    Replay(Selection),
    /// Answers nothing.
    UserAdd(UserAdd),
    /// Answers a list of [`ListedUser`].
    UserList,
    /// Answers nothing.
    UserPassword { login: String, password: String },
    /// Answers nothing.
    UserEnable { login: String, enabled: bool },
    /// Answers an [`Edition`].
    Edition { from: String, to: String },
}

/// Somebody to add.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct UserAdd {
    pub(crate) login: String,
    pub(crate) pseudonym: String,
    pub(crate) role: Role,
    /// None: all of them.
    pub(crate) institutions: Option<Vec<InstitutionId>>,
    pub(crate) language: Language,
    pub(crate) password: String,
}

/// Somebody who was added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ListedUser {
    pub(crate) login: String,
    pub(crate) pseudonym: String,
    pub(crate) role: Role,
    /// None: all of them.
    pub(crate) institutions: Option<Vec<InstitutionId>>,
    pub(crate) disabled: bool,
    pub(crate) created_at: Timestamp,
}

/// A built edition: its files, by path.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Edition {
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) summary: String,
}

/// What it takes to answer. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Operations {
    runtime: Runtime,
    web: Web,
    letters: Letters,
    imports: Imports,
}

impl Operations {
    /// On an opened runtime.
    pub(crate) async fn new(runtime: &Runtime, web: &Web) -> anyhow::Result<Self> {
        Ok(Self {
            runtime: runtime.clone(),
            web: web.clone(),
            letters: Letters::open(runtime).await?,
            imports: Imports::new(runtime),
        })
    }

    /// On the data directory itself: no process may run on it.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        let runtime = Runtime::open(&config.runtime()).await?;
        let web = Web::open(config.web.clone(), &runtime).await?;
        Self::new(&runtime, &web).await
    }

    pub(crate) const fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Does what is asked.
    ///
    /// # Errors
    /// For the person who asked; holds no secret and no comment.
    pub(crate) async fn answer(&self, call: Call) -> anyhow::Result<Value> {
        let users = self.web.users();
        Ok(match call {
            Call::Import(batch) => serde_json::to_value(self.imports.accept(batch).await?)?,
            Call::DeadLetters { service } => serde_json::to_value(self.letters.list(service.as_deref()).await?)?,
            Call::DeadLetter { id } => serde_json::to_value(self.letters.show(&id).await?)?,
            Call::Replay(selection) => serde_json::to_value(self.letters.replay(&selection).await?)?,
            Call::UserAdd(add) => {
                self.add_user(add).await?;
                Value::Null
            }
            Call::UserList => serde_json::to_value(self.list_users().await?)?,
            Call::UserPassword { login, password } => {
                users.set_password(&login, &password).await?;
                Value::Null
            }
            Call::UserEnable { login, enabled: true } => {
                users.enable(&login).await?;
                Value::Null
            }
            Call::UserEnable { login, enabled: false } => {
                users.disable(&login).await?;
                Value::Null
            }
            Call::Edition { from, to } => serde_json::to_value(self.edition(&from, &to).await?)?,
        })
    }

    async fn add_user(&self, add: UserAdd) -> anyhow::Result<()> {
        let institutions = add
            .institutions
            .map_or(Scope::All, |some| Scope::Institutions(some.into_iter().collect()));
        let pseudonym = Pseudonym::new(add.pseudonym)?;
        let new = NewUser {
            login: add.login,
            pseudonym,
            role: add.role,
            institutions,
            language: add.language,
        };
        self.web.users().add(new, &add.password).await?;
        Ok(())
    }

    async fn list_users(&self) -> anyhow::Result<Vec<ListedUser>> {
        let listed = self.web.users().list().await?.into_iter().map(|listed| ListedUser {
            login: listed.user.login,
            pseudonym: listed.user.pseudonym.to_string(),
            role: listed.user.role,
            institutions: match listed.user.institutions {
                Scope::All => None,
                Scope::Institutions(some) => Some(some.into_iter().collect()),
            },
            disabled: listed.disabled,
            created_at: listed.created_at,
        });
        Ok(listed.collect())
    }

    async fn edition(&self, from: &str, to: &str) -> anyhow::Result<Edition> {
        let period = Period::parse(from, to)?;
        let store = vigie_barometer::store::Store::open(&self.runtime).await?;
        let rendered = edition::compose(&store, period).await?;
        let files = rendered
            .files
            .iter()
            .map(|(path, bytes)| Ok(((*path).to_owned(), String::from_utf8(bytes.clone())?)))
            .collect::<anyhow::Result<_>>()?;
        Ok(Edition {
            files,
            summary: rendered.summary(),
        })
    }
}

#[derive(Clone)]
struct Control {
    operations: Operations,
    token: Arc<Secret>,
}

/// `POST /control`, for who knows the token.
pub(crate) fn routes(operations: Operations, token: Secret) -> Router {
    let control = Control {
        operations,
        token: Arc::new(token),
    };
    Router::new()
        .route(PATH, post(answer))
        .layer(DefaultBodyLimit::max(CALL_BYTES_MAX))
        .layer(middleware::from_fn_with_state(control.clone(), authorise))
        .with_state(control)
}

async fn authorise(State(control): State<Control>, request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let known = given.is_some_and(|given| bool::from(given.as_bytes().ct_eq(control.token.expose().as_bytes())));
    if known {
        next.run(request).await
    } else {
        StatusCode::UNAUTHORIZED.into_response()
    }
}

async fn answer(State(control): State<Control>, Json(call): Json<Call>) -> Response {
    // A task of its own: a client that goes away does not drop the work half-way.
    let work = tokio::spawn(async move { control.operations.answer(call).await });
    match work.await {
        Ok(Ok(value)) => Json(value).into_response(),
        Ok(Err(error)) => (
            StatusCode::UNPROCESSABLE_ENTITY,
            Json(serde_json::json!({ "error": format!("{error:#}") })),
        )
            .into_response(),
        Err(error) => {
            tracing::error!(%error, "a command ended abnormally");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
