//! The pages of the archive through the whole web layer: who sees what, that hostile text stays text, that looking is written down.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use tower::ServiceExt as _;
use vigie_archive::{Config, store};
use vigie_bus::Delivery;
use vigie_domain::{InstitutionId, Pseudonym, ReportId, Route, Topic, Verdict};
use vigie_runtime::{Handler as _, Runtime, record, testing};
use vigie_web::{Language, NewUser, Role, Scope, Web};

use crate::story::{open, runtimes};

const PASSWORD: &str = "une phrase assez longue pour essayer";
const HOSTILE: &str = "=cmd() <script>alert(1)</script> je vais vous égorger";

async fn person(web: &Web, login: &str, role: Role, institutions: Scope) -> anyhow::Result<()> {
    let new = NewUser {
        login: login.to_owned(),
        pseudonym: Pseudonym::new(format!("P-{login}"))?,
        role,
        institutions,
        language: Language::Fr,
    };
    web.users().add(new, PASSWORD).await?;
    Ok(())
}

/// Signs in through the form, as a browser would, and returns the cookie of the session.
async fn sign_in(app: &Router, login: &str) -> anyhow::Result<String> {
    let page = app.clone().oneshot(Request::get("/sign-in").body(Body::empty())?).await?;
    let form_cookie = cookie(page.headers(), "vigie-form")?;
    let page = String::from_utf8(to_bytes(page.into_body(), 1 << 20).await?.to_vec())?;
    let token = page
        .split("name=\"form\" value=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap_or_default();
    let form = format!("form={token}&login={login}&password={}", PASSWORD.replace(' ', "+"));
    let kind = "application/x-www-form-urlencoded";
    let request = Request::post("/sign-in")
        .header(header::CONTENT_TYPE, kind)
        .header(header::COOKIE, form_cookie)
        .body(Body::from(form))?;
    cookie(app.clone().oneshot(request).await?.headers(), "vigie-session")
}

/// `name=value` of a cookie that the answer sets.
fn cookie(headers: &axum::http::HeaderMap, name: &str) -> anyhow::Result<String> {
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

async fn get(app: &Router, cookie: &str, path: &str) -> anyhow::Result<(StatusCode, String)> {
    let response = app
        .clone()
        .oneshot(Request::get(path).header(header::COOKIE, cookie).body(Body::empty())?)
        .await?;
    let status = response.status();
    Ok((status, String::from_utf8(to_bytes(response.into_body(), 4 << 20).await?.to_vec())?))
}

/// Sends a form as the page of `path` would, and follows where it leads: the status, and the page that is shown then.
async fn send(app: &Router, cookie: &str, path: &str, action: &str, fields: &str) -> anyhow::Result<(StatusCode, String)> {
    let (_, page) = get(app, cookie, path).await?;
    let token = page
        .split("name=\"csrf\" value=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap_or_default();
    let request = Request::post(action)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::COOKIE, cookie)
        .body(Body::from(format!("csrf={token}&{fields}")))?;
    let answer = app.clone().oneshot(request).await?;
    let status = answer.status();
    match answer.headers().get(header::LOCATION) {
        Some(place) => Ok((status, get(app, cookie, place.to_str()?).await?.1)),
        None => Ok((status, String::from_utf8(to_bytes(answer.into_body(), 1 << 20).await?.to_vec())?)),
    }
}

struct Site {
    app: Router,
    store: store::Store,
    report: ReportId,
    _runtime: Runtime,
    _dir: Arc<tempfile::TempDir>,
}

async fn sites() -> anyhow::Result<Vec<Site>> {
    let dir = Arc::new(tempfile::tempdir()?);
    let mut sites = Vec::new();
    for runtime in runtimes(dir.path()).await? {
        sites.push(site(runtime, Arc::clone(&dir)).await?);
    }
    Ok(sites)
}

async fn site(mut runtime: Runtime, dir: Arc<tempfile::TempDir>) -> anyhow::Result<Site> {
    let mut archivist = open(&runtime).await?;
    let verdict = Verdict {
        escalate: true,
        ..testing::sample_verdict(HOSTILE, Route::Review)
    };
    let delivery = Delivery {
        topic: Topic::Verdicts,
        partition: 0,
        offset: 0,
        timestamp_ms: 0,
        record: record(&verdict),
    };
    archivist.handle(&[delivery]).await?;
    let store = archivist.store();
    drop(archivist);
    // The metric of the first archivist would collide: the service starts on a registry of its own.
    runtime.registry = prometheus::Registry::new();
    let web = Web::open(vigie_web::Config::default(), &runtime).await?;
    let other = Scope::Institutions(BTreeSet::from([InstitutionId::new("autre")?]));
    person(&web, "analyste", Role::Analyst, Scope::All).await?;
    person(&web, "responsable", Role::Lead, Scope::All).await?;
    person(
        &web,
        "moderatrice",
        Role::Moderator,
        Scope::Institutions(BTreeSet::from([InstitutionId::new("musee-test")?])),
    )
    .await?;
    person(&web, "ailleurs", Role::Admin, other).await?;
    let started = vigie_archive::start(Config::default(), runtime.clone(), web.clone()).await?;
    let app = web.wrap(started.routes);
    Ok(Site {
        app,
        store,
        report: ReportId::derive(&verdict.comment.revision),
        _runtime: runtime,
        _dir: dir,
    })
}

#[tokio::test]
async fn hostile_text_is_shown_as_text_and_looking_is_written_down() -> anyhow::Result<()> {
    for site in sites().await? {
        let cookie = sign_in(&site.app, "responsable").await?;
        let (status, list) = get(&site.app, &cookie, "/archive?q=egorger").await?;
        assert_eq!(status, StatusCode::OK);
        assert!(
            list.contains("&lt;script&gt;") && !list.contains("<script>alert"),
            "the text is escaped"
        );
        assert!(list.contains("<mark>égorger</mark>"), "the word is marked");
        let (status, one) = get(&site.app, &cookie, &format!("/archive/{}", site.report)).await?;
        assert_eq!(status, StatusCode::OK);
        for needed in ["&lt;script&gt;", "chaîne intacte", "à vérifier", "jours restants", "Consultations"] {
            assert!(one.contains(needed), "{needed} is missing");
        }
        assert!(!one.contains("<script>alert"));
        let (status, csv) = get(&site.app, &cookie, "/archive/export.csv?q=egorger").await?;
        assert!(status == StatusCode::OK && csv.contains("'=cmd() <script>") && !csv.contains(",=cmd()"));
        let (status, lines) = get(&site.app, &cookie, "/archive/export.jsonl").await?;
        assert!(status == StatusCode::OK && lines.lines().count() == 1);
        let kinds: Vec<String> = site
            .store
            .accesses(site.report.as_str(), 10)
            .await?
            .into_iter()
            .map(|access| access.kind)
            .collect();
        assert_eq!(kinds, ["export", "export", "report", "list"]);
    }
    Ok(())
}

#[tokio::test]
async fn people_see_the_reports_of_their_institutions_only() -> anyhow::Result<()> {
    for site in sites().await? {
        let path = format!("/archive/{}", site.report);
        let cookie = sign_in(&site.app, "ailleurs").await?;
        let (status, list) = get(&site.app, &cookie, "/archive?q=egorger").await?;
        assert!(status == StatusCode::OK && !list.contains("égorger</mark>") && list.contains("Aucun signalement"));
        let (status, body) = get(&site.app, &cookie, &path).await?;
        assert!(status == StatusCode::NOT_FOUND && !body.contains("égorger"));
        let (_, csv) = get(&site.app, &cookie, "/archive/export.csv").await?;
        assert_eq!(csv.lines().count(), 1, "a header and nothing else");
        assert_eq!(site.store.accesses(site.report.as_str(), 10).await?, []);

        let cookie = sign_in(&site.app, "moderatrice").await?;
        assert_eq!(get(&site.app, &cookie, &path).await?.0, StatusCode::OK);
        assert_eq!(
            get(&site.app, &cookie, "/archive/export.csv").await?.0,
            StatusCode::FORBIDDEN,
            "moderators do not export"
        );
        let cookie = sign_in(&site.app, "analyste").await?;
        assert_eq!(get(&site.app, &cookie, "/archive/export.jsonl").await?.0, StatusCode::OK);
        for odd in [
            "/archive/absent",
            "/archive?page=999999999",
            "/archive?state=nothing&from=hier",
            "/archive?q=%00%FF",
            "/archive?q=%22",
        ] {
            let (status, _) = get(&site.app, &cookie, odd).await?;
            assert!(
                status != StatusCode::INTERNAL_SERVER_ERROR && status != StatusCode::SERVICE_UNAVAILABLE,
                "{odd}: {status}"
            );
        }
        let nobody = site.app.clone().oneshot(Request::get(path).body(Body::empty())?).await?;
        assert!(nobody.status().is_redirection(), "{}", nobody.status());
    }
    Ok(())
}

#[tokio::test]
async fn a_lead_keeps_a_report_longer_and_an_erased_one_says_so() -> anyhow::Result<()> {
    for site in sites().await? {
        let path = format!("/archive/{}", site.report);
        let (hold, lift) = (format!("{path}/hold"), format!("{path}/lift"));
        let cookie = sign_in(&site.app, "moderatrice").await?;
        let (status, page) = send(&site.app, &cookie, &path, &hold, "reason=plainte").await?;
        assert!(status == StatusCode::FORBIDDEN && !page.contains("plainte"));
        let elsewhere = sign_in(&site.app, "ailleurs").await?;
        assert_eq!(
            send(&site.app, &elsewhere, "/archive", &hold, "reason=plainte").await?.0,
            StatusCode::NOT_FOUND
        );
        assert_eq!(site.store.holds(&site.report).await?, []);

        let cookie = sign_in(&site.app, "responsable").await?;
        let (_, page) = get(&site.app, &cookie, &path).await?;
        assert!(page.contains("Conservé tant que personne n’a décidé") && page.contains("Conserver plus longtemps"));
        let (_, page) = send(&site.app, &cookie, &path, &hold, "reason=+++").await?;
        assert!(page.contains("Indiquez le motif") && page.contains("Conserver plus longtemps"));
        let (_, page) = send(&site.app, &cookie, &path, &hold, &format!("reason={}", "x".repeat(501))).await?;
        assert!(page.contains("dépasse 500"));
        let (status, page) = send(&site.app, &cookie, &path, &hold, "reason=plainte+%3Cb%3E114").await?;
        assert!(status.is_redirection() && page.contains("plainte &lt;b&gt;114") && page.contains("Lever la conservation"));
        assert!(page.contains("conservé au-delà de l’échéance"), "it is written down who kept it");
        let (_, page) = send(&site.app, &cookie, &path, &lift, "").await?;
        assert!(page.contains("La conservation est levée") && page.contains("Conserver plus longtemps"));

        assert!(site.store.erase(&site.report, jiff::Timestamp::now(), |_| true).await?);
        let (status, page) = get(&site.app, &cookie, &path).await?;
        assert!(status == StatusCode::OK && page.contains("Dossier effacé") && page.contains("chaîne intacte"));
        assert!(!page.contains("égorger") && !page.contains("plainte") && !page.contains("SHA-256 du texte"));
        // The index may not have followed yet: neither list nor export show it.
        for list in ["/archive?q=egorger", "/archive/export.csv", "/archive/export.jsonl"] {
            assert!(!get(&site.app, &cookie, list).await?.1.contains(site.report.as_str()), "{list}");
        }
        let (_, page) = send(&site.app, &cookie, "/archive", &hold, "reason=trop+tard").await?;
        assert!(page.contains("a été effacé"), "{page}");
    }
    Ok(())
}
