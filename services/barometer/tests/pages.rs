//! The pages of the barometer through the whole web layer: building, reading, and what is not served.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode, header};
use tower::ServiceExt as _;
use vigie_barometer::Config;
use vigie_domain::Pseudonym;
use vigie_runtime::testing;
use vigie_web::{Language, NewUser, Role, Scope, Web};

const PASSWORD: &str = "une phrase assez longue pour essayer";

async fn send(app: &Router, request: Request<Body>) -> anyhow::Result<(Response<()>, String)> {
    let (parts, body) = app.clone().oneshot(request).await?.into_parts();
    Ok((
        Response::from_parts(parts, ()),
        String::from_utf8(to_bytes(body, 4 << 20).await?.to_vec())?,
    ))
}

fn get(cookie: &str, path: &str) -> anyhow::Result<Request<Body>> {
    Ok(Request::get(path).header(header::COOKIE, cookie).body(Body::empty())?)
}

fn post(cookie: &str, path: &str, form: String) -> anyhow::Result<Request<Body>> {
    let kind = "application/x-www-form-urlencoded";
    Ok(Request::post(path)
        .header(header::COOKIE, cookie)
        .header(header::CONTENT_TYPE, kind)
        .body(Body::from(form))?)
}

async fn sign_in(web: &Web, app: &Router, login: &str, role: Role) -> anyhow::Result<String> {
    let new = NewUser {
        login: login.to_owned(),
        pseudonym: Pseudonym::new(login)?,
        role,
        institutions: Scope::All,
        language: Language::Fr,
    };
    web.users().add(new, PASSWORD).await?;
    let (page, html) = send(app, get("", "/sign-in")?).await?;
    let form_cookie = set_cookie(page.headers(), "vigie-form")?;
    let token = html
        .split("name=\"form\" value=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap_or_default();
    let form = format!("form={token}&login={login}&password={}", PASSWORD.replace(' ', "+"));
    let (response, _) = send(app, post(&form_cookie, "/sign-in", form)?).await?;
    set_cookie(response.headers(), "vigie-session")
}

/// `name=value` of a cookie that the answer sets.
fn set_cookie(headers: &axum::http::HeaderMap, name: &str) -> anyhow::Result<String> {
    let set = headers
        .get_all(header::SET_COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok()?.split(';').next());
    let found = set
        .into_iter()
        .find(|cookie| cookie.starts_with(&format!("{name}=")))
        .map(str::to_owned);
    found.ok_or_else(|| anyhow::anyhow!("the answer sets no cookie {name}"))
}

#[tokio::test]
async fn an_analyst_builds_an_edition_and_reads_it() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    builds_and_reads(testing::runtime(&dir.path().join("sqlite")).await?).await?;
    if let Some(url) = testing::peer("POSTGRES_URL") {
        builds_and_reads(testing::runtime_on_postgres(&dir.path().join("postgres"), &url).await?).await?;
    }
    Ok(())
}

async fn builds_and_reads(runtime: vigie_runtime::Runtime) -> anyhow::Result<()> {
    let web = Web::open(vigie_web::Config::default(), &runtime).await?;
    let started = vigie_barometer::start(Config::default(), runtime.clone(), web.clone()).await?;
    let app = web.wrap(started.routes);
    let cookie = sign_in(&web, &app, "analyste", Role::Analyst).await?;
    let (_, page) = send(&app, get(&cookie, "/barometer")?).await?;
    assert!(page.contains("Aucune édition") && page.contains("Établir"));
    let token = page
        .split("name=\"csrf\" value=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap_or_default()
        .to_owned();

    let (refused, page) = send(
        &app,
        post(&cookie, "/barometer/build", format!("csrf={token}&from=2026-10-31&to=2026-10-01"))?,
    )
    .await?;
    assert!(refused.status() == StatusCode::UNPROCESSABLE_ENTITY && page.contains("Cette période ne convient pas"));
    let (built, _) = send(
        &app,
        post(&cookie, "/barometer/build", format!("csrf={token}&from=2026-10-01&to=2026-10-31"))?,
    )
    .await?;
    let place = built
        .headers()
        .get(header::LOCATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    assert_eq!(place, "/barometer/2026-10-01_2026-10-31/index.html", "{}", built.status());
    let (response, edition) = send(&app, get(&cookie, &place)?).await?;
    assert!(edition.contains("Ce chiffre n’est pas publié.") && edition.contains("Aucun commentaire n’a été reçu."));
    let policy = response
        .headers()
        .get(header::CONTENT_SECURITY_POLICY)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    assert!(policy.contains("style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    let (_, page) = send(&app, get(&cookie, "/barometer")?).await?;
    assert!(page.contains("du 1er octobre 2026 au 31 octobre 2026") && page.contains("provisoire"));

    for hidden in ["internal/inputs.json", "inputs.json", "..%2F..%2Fvigie.lock", "index.html.part"] {
        let (response, _) = send(&app, get(&cookie, &format!("/barometer/2026-10-01_2026-10-31/{hidden}"))?).await?;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{hidden}");
    }
    let (response, _) = send(&app, get(&cookie, "/barometer/..%2F..%2Fetc_x/index.html")?).await?;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);

    let moderator = sign_in(&web, &app, "moderatrice", Role::Moderator).await?;
    let (_, page) = send(&app, get(&moderator, "/barometer")?).await?;
    assert!(!page.contains("/barometer/build"));
    let token = page
        .split("name=\"csrf\" value=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap_or_default()
        .to_owned();
    let (refused, _) = send(
        &app,
        post(
            &moderator,
            "/barometer/build",
            format!("csrf={token}&from=2026-10-01&to=2026-10-31"),
        )?,
    )
    .await?;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    runtime.stop.cancel();
    for task in started.tasks {
        task.await??;
    }
    Ok(())
}
