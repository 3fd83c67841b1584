//! What the pages share: layout, sessions, roles, anti-forgery, French and English words, assets.
//!
//! A page is a route of a service's own router; it takes [`User`] as an extractor and answers with [`page`]. [`Web::wrap`] puts
//! the guard round all routes of the process. Sessions, users and failed sign-ins are in the database: a restart signs nobody out.
//! What this crate does not do: it knows nothing of comments beyond the words for their categories.

mod account;
mod assets;
mod guard;
mod layout;
mod password;
mod people;
mod schema;
mod session;
mod signin;
pub mod text;
mod throttle;
mod user;
mod users;
pub mod words;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use serde::{Deserialize, Serialize};
use tower_http::catch_panic::CatchPanicLayer;
use tower_sessions::cookie::SameSite;
use tower_sessions::{Expiry, SessionManagerLayer};
use vigie_domain::InstitutionId;
use vigie_runtime::Runtime;
use vigie_runtime::units::Interval;

pub use layout::{Nav, csrf_field, page};
pub use password::{PASSWORD_BYTES_MAX, PASSWORD_CHARACTERS_MIN, PasswordError};
pub use user::{Language, Role, Scope, User};
pub use users::{Listed, NewUser, Users, UsersError};

/// Section `[web]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The address under which people reach the pages, such as `https://vigie.example.fr`. With https, cookies are sent over TLS
    /// only and browsers are told to insist on it.
    pub public_url: Option<String>,
    /// The header in which the reverse proxy names the client, such as `x-forwarded-for`. Only set it behind a proxy that writes it.
    pub client_address_header: Option<String>,
    /// A session ends when nothing was asked for this long.
    pub session_idle: Interval,
    /// A session ends after this long in any case.
    pub session_longest: Interval,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            public_url: None,
            client_address_header: None,
            session_idle: Interval::seconds(2 * 3600),
            session_longest: Interval::seconds(12 * 3600),
        }
    }
}

impl Config {
    fn is_https(&self) -> bool {
        self.public_url.as_deref().is_some_and(|url| url.starts_with("https://"))
    }
}

/// The shared part of the pages. Cheap to clone.
#[derive(Clone)]
pub struct Web {
    config: Arc<Config>,
    users: Users,
    store: session::Store,
    throttle: throttle::Throttle,
    /// Those that have an account, to choose from.
    institutions: Arc<BTreeSet<InstitutionId>>,
}

impl Web {
    /// Opens the tables of users and sessions.
    ///
    /// # Errors
    /// A public address that is none, or a database that cannot be opened.
    pub async fn open(config: Config, runtime: &Runtime) -> anyhow::Result<Self> {
        if let Some(url) = &config.public_url {
            let sound = url
                .strip_prefix("https://")
                .or_else(|| url.strip_prefix("http://"))
                .is_some_and(|host| !host.trim_end_matches('/').is_empty());
            anyhow::ensure!(
                sound,
                "[web] public_url is `{url}`: write it with its scheme, such as https://vigie.example.fr"
            );
        }
        let database = users::database(&runtime.databases).await?;
        let users = Users::new(database.clone()).await?;
        let institutions = runtime.accounts.iter().map(|account| account.institution.clone()).collect();
        Ok(Self {
            config: Arc::new(config),
            users,
            store: session::Store::new(database.clone()),
            throttle: throttle::Throttle::new(database),
            institutions: Arc::new(institutions),
        })
    }

    /// The people.
    #[must_use]
    pub const fn users(&self) -> &Users {
        &self.users
    }

    /// Puts sessions, anti-forgery and headers round `routes`, and adds the pages of this crate and the assets.
    pub fn wrap(&self, routes: Router) -> Router {
        let idle = time::Duration::try_from(self.config.session_idle.0).unwrap_or(time::Duration::hours(2));
        let sessions = SessionManagerLayer::new(self.store.clone())
            .with_name("vigie-session")
            .with_http_only(true)
            .with_same_site(SameSite::Lax)
            .with_secure(self.config.is_https())
            .with_expiry(Expiry::OnInactivity(idle));
        routes
            .merge(signin::routes(self.clone()))
            .merge(account::routes(self.clone()))
            .merge(people::routes(self.clone()))
            .merge(assets::routes())
            .layer(from_fn_with_state(self.clone(), guard::guard))
            .layer(sessions)
            .layer(CatchPanicLayer::new())
            .layer(from_fn_with_state(self.clone(), guard::headers))
    }
}
