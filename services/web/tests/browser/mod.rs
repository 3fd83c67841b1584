//! What the tests of the pages share: a browser without scripts that keeps cookies, on SQLite and PostgreSQL.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode, header};
use tower::ServiceExt as _;
use vigie_runtime::testing;

pub const PASSWORD: &str = "quatre mots au hasard";

/// A browser: keeps cookies.
pub struct Browser {
    pub routes: Router,
    pub cookies: Vec<(String, String)>,
}

pub struct Page {
    pub status: StatusCode,
    pub headers: axum::http::HeaderMap,
    pub body: String,
}

impl Browser {
    pub fn new(routes: &Router) -> Self {
        Self {
            routes: routes.clone(),
            cookies: Vec::new(),
        }
    }

    pub async fn get(&mut self, path: &str) -> anyhow::Result<Page> {
        self.send(Request::get(path), Body::empty()).await
    }

    pub async fn post(&mut self, path: &str, form: &str) -> anyhow::Result<Page> {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request, Body::from(form.to_owned())).await
    }

    pub async fn send(&mut self, request: axum::http::request::Builder, body: Body) -> anyhow::Result<Page> {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request
            .header(header::HOST, "vigie.test")
            .header(header::COOKIE, cookies.join("; "))
            .body(body)?;
        let response: Response<Body> = self.routes.clone().oneshot(request).await?;
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let (name, rest) = cookie.to_str()?.split_once('=').unwrap_or_default();
            self.cookies.retain(|(known, _)| known != name);
            let value = rest.split(';').next().unwrap_or_default();
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        let (parts, body) = response.into_parts();
        Ok(Page {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(to_bytes(body, 1 << 20).await?.to_vec())?,
        })
    }

    pub async fn sign_in(&mut self, login: &str, password: &str) -> anyhow::Result<Page> {
        let shown = self.get("/sign-in").await?;
        let form = value_of(&shown.body, "form");
        self.post(
            "/sign-in",
            &format!("login={login}&password={}&form={form}&next=/who", password.replace(' ', "+")),
        )
        .await
    }
}

pub fn value_of(body: &str, name: &str) -> String {
    let marker = format!("name=\"{name}\" value=\"");
    let start = body.find(&marker).map(|at| at + marker.len()).unwrap_or_default();
    body[start..].split('"').next().unwrap_or_default().to_owned()
}

pub fn location(page: &Page) -> &str {
    page.headers
        .get(header::LOCATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

pub async fn on_each_engine<F: Future<Output = anyhow::Result<()>>>(check: impl Fn(vigie_runtime::Runtime) -> F) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    check(testing::runtime(dir.path()).await?).await?;
    if let Some(url) = testing::peer("VIGIE_TEST_POSTGRES") {
        let dir = tempfile::tempdir()?;
        check(testing::runtime_on_postgres(dir.path(), &url).await?).await?;
    }
    Ok(())
}
