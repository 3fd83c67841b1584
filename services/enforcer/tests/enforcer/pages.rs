//! The page of actions through the whole web layer: who sees what, what it says, and trying again.

use std::collections::BTreeSet;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use tower::ServiceExt as _;
use vigie_domain::{InstitutionId, Outcome, Pseudonym};
use vigie_platforms::PlatformError;
use vigie_web::{Language, NewUser, Role, Scope, Web};

use crate::support::{ACCOUNT, AUTHOR, EVERYTHING, Fake, Fault, On, TEXT, decide, deliver, fast, plenty, verdict};

const PASSWORD: &str = "une phrase assez longue pour essayer";

struct Browser {
    app: Router,
    cookie: String,
}

impl Browser {
    /// Signs in through the form, as people do.
    async fn sign_in(app: &Router, login: &str) -> anyhow::Result<Self> {
        let mut browser = Self {
            app: app.clone(),
            cookie: String::new(),
        };
        let (_, headers, page) = browser.send(Request::get("/sign-in"), String::new()).await?;
        browser.cookie = cookie(&headers, "vigie-form")?;
        let form = format!(
            "form={}&login={login}&password={}",
            value(&page, "form"),
            PASSWORD.replace(' ', "+")
        );
        let (_, headers, _) = browser.send(Request::post("/sign-in"), form).await?;
        browser.cookie = cookie(&headers, "vigie-session")?;
        Ok(browser)
    }

    async fn get(&self, path: &str) -> anyhow::Result<(StatusCode, String)> {
        let (status, _, body) = self.send(Request::get(path), String::new()).await?;
        Ok((status, body))
    }

    async fn retry(&self, csrf: &str, request: &str) -> anyhow::Result<(StatusCode, String)> {
        let (status, headers, _) = self
            .send(Request::post("/actions/retry"), format!("csrf={csrf}&request={request}"))
            .await?;
        let to = headers
            .get(header::LOCATION)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        Ok((status, to.to_owned()))
    }

    async fn send(&self, request: axum::http::request::Builder, body: String) -> anyhow::Result<(StatusCode, HeaderMap, String)> {
        let request = request
            .header(header::COOKIE, &self.cookie)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(body))?;
        let (parts, body) = self.app.clone().oneshot(request).await?.into_parts();
        Ok((
            parts.status,
            parts.headers,
            String::from_utf8(to_bytes(body, 4 << 20).await?.to_vec())?,
        ))
    }
}

/// `name=value` of a cookie that the answer sets.
fn cookie(headers: &HeaderMap, name: &str) -> anyhow::Result<String> {
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

fn value(page: &str, field: &str) -> String {
    let rest = page.split(&format!("name=\"{field}\" value=\"")).nth(1);
    rest.and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned()
}

async fn person(web: &Web, login: &str, role: Role, institution: &str) -> anyhow::Result<()> {
    let new = NewUser {
        login: login.to_owned(),
        pseudonym: Pseudonym::new(format!("P-{login}"))?,
        role,
        institutions: Scope::Institutions(BTreeSet::from([InstitutionId::new(institution)?])),
        language: Language::Fr,
    };
    web.users().add(new, PASSWORD).await?;
    Ok(())
}

#[tokio::test]
async fn a_failed_action_is_explained_and_tried_again_by_who_may() -> anyhow::Result<()> {
    for on in On::both() {
        let dir = tempfile::tempdir()?;
        let fake = Fake::new(&EVERYTHING);
        let refusal = PlatformError::Permanent("not allowed (403)".to_owned());
        fake.world().faults = [Some(Fault::Before(refusal))].into();
        let runtime = on.runtime(dir.path(), false).await?;
        let web = Web::open(vigie_web::Config::default(), &runtime).await?;
        person(&web, "responsable", Role::Lead, ACCOUNT).await?;
        person(&web, "moderatrice", Role::Moderator, ACCOUNT).await?;
        person(&web, "ailleurs", Role::Admin, "autre").await?;
        let mut hostile = verdict(&runtime, "c1", 0);
        hostile.comment.permalink = Some("javascript:alert(1)".to_owned());
        let hide = decide(&hostile, 0, Outcome::Hide, None);
        let enforcer = vigie_enforcer::start_with(plenty(), runtime.clone(), fake.actors(), fast()).await?;
        let app = web.wrap(enforcer.routes);
        vigie_runtime::publish(&runtime, vigie_domain::Topic::Decisions, vec![vigie_runtime::record(&hide)]).await?;

        let lead = Browser::sign_in(&app, "responsable").await?;
        let page = shows(&lead, "À reprendre (1)").await?;
        for needed in [
            "La plateforme a refusé.",
            "Vérifiez les droits du jeton",
            "not allowed (403)",
            "masquer",
            "en échec",
            "Réessayer",
        ] {
            assert!(page.contains(needed), "{on:?}: {needed} is missing from {page}");
        }
        for hidden in [TEXT, AUTHOR, "javascript:"] {
            assert!(!page.contains(hidden), "{on:?}: {hidden} is shown");
        }
        let (csrf, request) = (value(&page, "csrf"), value(&page, "request"));

        let moderator = Browser::sign_in(&app, "moderatrice").await?;
        let (status, page) = moderator.get("/actions").await?;
        assert!(status == StatusCode::OK && page.contains("À reprendre (1)") && !page.contains("Réessayer"));
        assert_eq!(moderator.retry(&value(&page, "csrf"), &request).await?.0, StatusCode::FORBIDDEN);
        let elsewhere = Browser::sign_in(&app, "ailleurs").await?;
        let (_, page) = elsewhere.get("/actions").await?;
        assert!(page.contains("À reprendre (0)") && page.contains("Aucune action n’a échoué."));
        assert_eq!(elsewhere.retry(&value(&page, "csrf"), &request).await?.1, "/actions?said=unknown");
        assert_eq!(
            lead.retry("false", &request).await?.0,
            StatusCode::FORBIDDEN,
            "a form of another site"
        );
        assert_eq!(fake.acts(), 1, "{on:?}: nobody has tried again");

        assert_eq!(lead.retry(&csrf, &request).await?.1, "/actions?said=retried");
        let page = shows(&lead, "relue sur la plateforme").await?;
        assert!(page.contains("À reprendre (0)") && page.contains("confirmée"));
        assert!(fake.world().hidden.contains("c1"), "{on:?}");
        assert_eq!(lead.retry(&csrf, &request).await?.1, "/actions?said=not-failed");
        assert_eq!(lead.retry(&csrf, "nothing").await?.1, "/actions?said=unknown");
        let (_, said) = lead.get("/actions?said=not-failed").await?;
        assert!(said.contains("Cette action n’est plus en échec"));
        assert_eq!(lead.get("/enforcement").await?.0, StatusCode::PERMANENT_REDIRECT);
        runtime.stop.cancel();
        for task in enforcer.tasks {
            task.await??;
        }
    }
    Ok(())
}

/// The page, once it shows `expected`.
async fn shows(browser: &Browser, expected: &str) -> anyhow::Result<String> {
    let shown = async {
        loop {
            let (status, page) = browser.get("/actions").await?;
            anyhow::ensure!(status == StatusCode::OK, "{status}");
            if page.contains(expected) {
                return Ok(page);
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::support::SOON, shown).await?
}

/// A newer decision makes a retry pointless, also where the older request had failed before.
#[tokio::test]
async fn what_a_newer_decision_replaced_is_not_tried_again() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let fake = Fake::new(&EVERYTHING);
    fake.world().faults = [Some(Fault::Before(PlatformError::Gone))].into();
    let mut runtime = On::Sqlite.runtime(dir.path(), false).await?;
    let web = Web::open(vigie_web::Config::default(), &runtime).await?;
    person(&web, "responsable", Role::Lead, ACCOUNT).await?;
    let enforcer = crate::support::open(&mut runtime, plenty(), &fake).await?;
    let comment = verdict(&runtime, "c1", 0);
    let hide = decide(&comment, 0, Outcome::Hide, None);
    deliver(&enforcer, &[&hide]).await?;
    crate::support::finish(&enforcer, crate::support::SOON).await?;
    let user = web.users().list().await?.into_iter().next().expect("a person").user;
    let id = vigie_domain::EnforcementId::derive(&hide.id, "hide");
    deliver(&enforcer, &[&decide(&comment, 1, Outcome::Keep, None)]).await?;
    assert_eq!(enforcer.retry(id.as_str(), &user).await?, vigie_enforcer::Retried::NotFailed);
    crate::support::finish(&enforcer, crate::support::SOON).await?;
    assert_eq!(fake.acts(), 1);
    Ok(())
}
