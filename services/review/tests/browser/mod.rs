//! A browser without scripts: keeps cookies, follows what a person would click.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use tower::ServiceExt as _;
use vigie_domain::Pseudonym;
use vigie_runtime::{Runtime, Started};
use vigie_web::{Language, NewUser, Role, Scope, Web};

pub const PASSWORD: &str = "quatre mots au hasard";

/// The service with its pages.
pub struct Stand {
    pub runtime: Runtime,
    pub web: Web,
    pub app: Router,
    tasks: Vec<tokio::task::JoinHandle<anyhow::Result<()>>>,
}

impl Stand {
    pub async fn start(runtime: Runtime) -> anyhow::Result<Self> {
        let web = Web::open(vigie_web::Config::default(), &runtime).await?;
        let Started { routes, tasks, .. } = vigie_review::start(vigie_review::Config::default(), runtime.clone(), web.clone()).await?;
        let app = web.wrap(routes).merge(vigie_runtime::server::operations(&runtime));
        Ok(Self { runtime, web, app, tasks })
    }

    pub async fn stop(self) -> anyhow::Result<()> {
        self.runtime.stop.cancel();
        for task in self.tasks {
            tokio::time::timeout(Duration::from_secs(30), task).await???;
        }
        Ok(())
    }

    /// Somebody who has signed in.
    pub async fn person(&self, login: &str, role: Role) -> anyhow::Result<Browser> {
        let new = NewUser {
            login: login.to_owned(),
            pseudonym: Pseudonym::new(format!("Vigie {login}"))?,
            role,
            institutions: Scope::All,
            language: Language::Fr,
        };
        self.web.users().add(new, PASSWORD).await?;
        let mut browser = Browser {
            app: self.app.clone(),
            cookies: Vec::new(),
        };
        let shown = browser.get("/sign-in").await?;
        let form = [("login", login), ("password", PASSWORD), ("form", &shown.value("form"))];
        let answer = browser.post("/sign-in", &form).await?;
        anyhow::ensure!(
            answer.status == StatusCode::SEE_OTHER,
            "{login} could not sign in: {}",
            answer.status
        );
        Ok(browser)
    }

    /// The value of a metric line that begins with `name`.
    pub async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let mut nobody = Browser {
            app: self.app.clone(),
            cookies: Vec::new(),
        };
        let text = nobody.get("/metrics").await?.body;
        let line = text
            .lines()
            .find(|line| line.starts_with(name) && line[name.len()..].starts_with(' '));
        let value = line.and_then(|line| line.rsplit(' ').next());
        Ok(value.ok_or_else(|| anyhow::anyhow!("no metric {name}"))?.parse()?)
    }
}

pub struct Browser {
    app: Router,
    cookies: Vec<(String, String)>,
}

pub struct Page {
    pub status: StatusCode,
    headers: HeaderMap,
    pub body: String,
}

impl Page {
    pub fn location(&self) -> &str {
        self.headers
            .get(header::LOCATION)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The value of the first field `name`.
    pub fn value(&self, name: &str) -> String {
        let marker = format!("name=\"{name}\" value=\"");
        let value = self.body.split_once(&marker).and_then(|(_, rest)| rest.split('"').next());
        value.unwrap_or_default().to_owned()
    }
}

impl Browser {
    /// Lets go of the application, so that it can end.
    pub fn leave(&mut self) {
        self.app = Router::new();
    }

    /// Goes on at another start of the application, with the same cookies.
    pub fn visit(&mut self, stand: &Stand) {
        self.app = stand.app.clone();
    }

    pub async fn get(&mut self, path: &str) -> anyhow::Result<Page> {
        self.send(Request::get(path), Body::empty()).await
    }

    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> anyhow::Result<Page> {
        let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request, Body::from(pairs.join("&"))).await
    }

    /// Sends a form with what its page hides in it.
    pub async fn submit(&mut self, page: &Page, path: &str, fields: &[(&str, &str)]) -> anyhow::Result<Page> {
        let (csrf, item, fence) = (page.value("csrf"), page.value("item"), page.value("fence"));
        let mut all = vec![("csrf", csrf.as_str()), ("item", item.as_str()), ("fence", fence.as_str())];
        all.extend_from_slice(fields);
        self.post(path, &all).await
    }

    /// Opens the queue until it shows `text`.
    pub async fn await_queue(&mut self, text: &str) -> anyhow::Result<Page> {
        for _ in 0..300 {
            let page = self.get("/queue").await?;
            if page.body.contains(text) {
                return Ok(page);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!("the queue never showed what was awaited")
    }

    async fn send(&mut self, request: axum::http::request::Builder, body: Body) -> anyhow::Result<Page> {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request
            .header(header::HOST, "vigie.test")
            .header(header::COOKIE, cookies.join("; "))
            .body(body)?;
        let (parts, body) = self.app.clone().oneshot(request).await?.into_parts();
        for cookie in parts.headers.get_all(header::SET_COOKIE) {
            let (name, rest) = cookie.to_str()?.split_once('=').unwrap_or_default();
            self.cookies.retain(|(known, _)| known != name);
            self.cookies
                .push((name.to_owned(), rest.split(';').next().unwrap_or_default().to_owned()));
        }
        let body = String::from_utf8(to_bytes(body, 8 << 20).await?.to_vec())?;
        Ok(Page {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
