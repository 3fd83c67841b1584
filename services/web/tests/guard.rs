//! Signing in, sessions, anti-forgery and headers, over HTTP, on SQLite and PostgreSQL.

mod browser;

use std::collections::BTreeSet;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::routing::{get, post};
use browser::{Browser, PASSWORD, location, on_each_engine, value_of};
use vigie_domain::{InstitutionId, Pseudonym};
use vigie_web::{Config, Language, Nav, NewUser, Role, Scope, User, UsersError, Web, csrf_field, page};

async fn who(user: User) -> maud::Markup {
    let body = maud::html! { form method="post" action="/change" { (csrf_field(&user)) } p { (user.login) } };
    page(Some(&user), Nav::None, user.language.pick("Moi", "Me"), body)
}

async fn leads_only(user: User) -> axum::response::Response {
    use axum::response::IntoResponse as _;
    match user.require(&[Role::Lead]) {
        Ok(()) => "welcome".into_response(),
        Err(refusal) => refusal,
    }
}

async fn open(runtime: &vigie_runtime::Runtime) -> anyhow::Result<(Web, Router)> {
    let web = Web::open(Config::default(), runtime).await?;
    let routes = Router::new()
        .route("/who", get(who))
        .route("/leads", get(leads_only))
        .route("/change", post(|_: User| async { "changed" }))
        .route("/import", post(|| async { "imported" }))
        .route(
            "/panic",
            get(|| async {
                if true {
                    panic!("a bug")
                }
            }),
        );
    let wrapped = web.wrap(routes);
    Ok((web, wrapped))
}

fn jeanne() -> Result<NewUser, vigie_domain::IdError> {
    Ok(NewUser {
        login: "Jeanne".to_owned(),
        pseudonym: Pseudonym::new("Vigie 1")?,
        role: Role::Moderator,
        institutions: Scope::Institutions(BTreeSet::from([InstitutionId::new("musee-test")?])),
        language: Language::Fr,
    })
}

#[tokio::test]
async fn signs_in_and_out() -> anyhow::Result<()> {
    on_each_engine(|runtime| async move {
        let (web, routes) = open(&runtime).await?;
        let mut browser = Browser::new(&routes);
        assert!(
            browser.get("/sign-in").await?.body.contains("vigie user add"),
            "an empty table says how to add somebody"
        );
        web.users().add(jeanne()?, PASSWORD).await?;
        assert!(!browser.get("/sign-in").await?.body.contains("vigie user add"));

        let refused = browser.get("/who?x=1").await?;
        assert_eq!(
            (refused.status, location(&refused)),
            (StatusCode::SEE_OTHER, "/sign-in?next=/who%3Fx%3D1")
        );
        assert_eq!(
            browser.sign_in("jeanne", "autre chose de faux").await?.status,
            StatusCode::UNAUTHORIZED
        );
        assert_eq!(browser.sign_in("personne", PASSWORD).await?.status, StatusCode::UNAUTHORIZED);
        let welcome = browser.sign_in("JEANNE", PASSWORD).await?;
        assert_eq!((welcome.status, location(&welcome)), (StatusCode::SEE_OTHER, "/who"));
        let me = browser.get("/who").await?;
        assert_eq!(me.status, StatusCode::OK);
        assert!(me.body.contains("<p>jeanne</p>") && me.body.contains("lang=\"fr\""));

        // The session is in the database: another instance knows it.
        let (_, elsewhere) = open(&runtime).await?;
        browser.routes = elsewhere;
        assert_eq!(browser.get("/who").await?.status, StatusCode::OK);
        let stolen = browser.cookies.clone();

        let csrf = value_of(&me.body, "csrf");
        let left = browser.post("/sign-out", &format!("csrf={csrf}")).await?;
        assert_eq!(location(&left), "/sign-in");
        browser.cookies = stolen;
        assert_eq!(
            browser.get("/who").await?.status,
            StatusCode::SEE_OTHER,
            "the old cookie is worth nothing"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn refuses_forged_forms() -> anyhow::Result<()> {
    on_each_engine(|runtime| async move {
        let (web, routes) = open(&runtime).await?;
        web.users().add(jeanne()?, PASSWORD).await?;
        let mut browser = Browser::new(&routes);
        assert_eq!(location(&browser.post("/change", "").await?), "/sign-in?ended=yes");
        browser.sign_in("jeanne", PASSWORD).await?;
        let csrf = value_of(&browser.get("/who").await?.body, "csrf");
        assert_eq!(csrf.len(), 64);
        assert_eq!(browser.post("/change", "").await?.status, StatusCode::FORBIDDEN);
        assert_eq!(
            browser.post("/change", &format!("csrf={}", "0".repeat(64))).await?.status,
            StatusCode::FORBIDDEN
        );
        assert_eq!(browser.post("/change", &format!("csrf={csrf}")).await?.body, "changed");
        let other_site = Request::post("/change")
            .header("sec-fetch-site", "cross-site")
            .header("x-csrf-token", &csrf);
        assert_eq!(browser.send(other_site, Body::empty()).await?.status, StatusCode::FORBIDDEN);
        let multipart = Request::post("/change")
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=x")
            .header("x-csrf-token", &csrf);
        assert_eq!(
            browser.send(multipart, Body::empty()).await?.status,
            StatusCode::UNSUPPORTED_MEDIA_TYPE
        );
        assert_eq!(
            browser.post("/change", &"x".repeat(300 << 10)).await?.status,
            StatusCode::PAYLOAD_TOO_LARGE
        );
        assert_eq!(Browser::new(&routes).post("/import", "").await?.body, "imported");

        // A sign-in without the token of the page, as another site would send it.
        let mut victim = Browser::new(&routes);
        let forged = victim
            .post("/sign-in", &format!("login=jeanne&password={}&form=", PASSWORD.replace(' ', "+")))
            .await?;
        assert_eq!(forged.status, StatusCode::FORBIDDEN);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_disabled_person_or_a_changed_password_ends_sessions() -> anyhow::Result<()> {
    on_each_engine(|runtime| async move {
        let (web, routes) = open(&runtime).await?;
        web.users().add(jeanne()?, PASSWORD).await?;
        assert!(matches!(web.users().add(jeanne()?, PASSWORD).await, Err(UsersError::Taken { .. })));
        let mut browser = Browser::new(&routes);
        browser.sign_in("jeanne", PASSWORD).await?;
        web.users().set_password("jeanne", "un autre secret long").await?;
        assert_eq!(browser.get("/who").await?.status, StatusCode::SEE_OTHER);
        browser.sign_in("jeanne", "un autre secret long").await?;
        assert_eq!(browser.get("/who").await?.status, StatusCode::OK);
        web.users().disable("jeanne").await?;
        assert_eq!(browser.get("/who").await?.status, StatusCode::SEE_OTHER);
        assert_eq!(
            browser.sign_in("jeanne", "un autre secret long").await?.status,
            StatusCode::UNAUTHORIZED
        );
        web.users().enable("jeanne").await?;
        assert_eq!(location(&browser.sign_in("jeanne", "un autre secret long").await?), "/who");
        assert!(matches!(web.users().disable("paul").await, Err(UsersError::Unknown(_))));
        let listed = web.users().list().await?;
        assert_eq!(listed.len(), 1);
        assert!(listed[0].user.may_see(&InstitutionId::new("musee-test")?) && !listed[0].user.may_see(&InstitutionId::new("autre")?));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn too_many_failures_are_refused_even_with_the_right_password() -> anyhow::Result<()> {
    on_each_engine(|runtime| async move {
        let (web, routes) = open(&runtime).await?;
        web.users().add(jeanne()?, PASSWORD).await?;
        let mut browser = Browser::new(&routes);
        for _ in 0..5 {
            assert_eq!(
                browser.sign_in("jeanne", "un mot de passe faux").await?.status,
                StatusCode::UNAUTHORIZED
            );
        }
        assert_eq!(browser.sign_in("jeanne", PASSWORD).await?.status, StatusCode::TOO_MANY_REQUESTS);
        let (_, restarted) = open(&runtime).await?;
        assert_eq!(
            Browser::new(&restarted).sign_in("jeanne", PASSWORD).await?.status,
            StatusCode::TOO_MANY_REQUESTS,
            "a restart lifts nothing"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn roles_language_and_headers() -> anyhow::Result<()> {
    on_each_engine(|runtime| async move {
        let (web, routes) = open(&runtime).await?;
        web.users().add(jeanne()?, PASSWORD).await?;
        let mut browser = Browser::new(&routes);
        browser.sign_in("jeanne", PASSWORD).await?;
        assert_eq!(browser.get("/leads").await?.status, StatusCode::FORBIDDEN);
        let me = browser.get("/who").await?;
        let policy = me
            .headers
            .get(header::CONTENT_SECURITY_POLICY)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(
            me.headers.get(header::CACHE_CONTROL).map(|value| value.as_bytes()),
            Some(b"no-store".as_slice())
        );
        assert!(
            !me.body.contains("style=\"") && !me.body.contains("<style") && !me.body.contains("onclick"),
            "nothing inline"
        );
        let csrf = value_of(&me.body, "csrf");
        browser.post("/language", &format!("csrf={csrf}&language=en")).await?;
        let me = browser.get("/who").await?;
        assert!(me.body.contains("lang=\"en\"") && me.body.contains("<h1>Me</h1>") && me.body.contains("Skip to content"));
        let css = browser.get("/assets/vigie.css").await?;
        assert!(
            css.body.contains(".banner")
                && css
                    .headers
                    .get(header::CONTENT_TYPE)
                    .is_some_and(|kind| kind == "text/css; charset=utf-8")
        );
        assert_eq!(browser.get("/panic").await?.status, StatusCode::INTERNAL_SERVER_ERROR);
        let secure = Web::open(
            Config {
                public_url: Some("https://vigie.example.fr".to_owned()),
                ..Config::default()
            },
            &runtime,
        )
        .await?;
        let over_tls = Browser::new(&secure.wrap(Router::new())).get("/sign-in").await?;
        assert!(over_tls.headers.contains_key(header::STRICT_TRANSPORT_SECURITY));
        assert!(
            over_tls
                .headers
                .get(header::SET_COOKIE)
                .and_then(|value| value.to_str().ok())
                .is_some_and(|cookie| cookie.contains("; Secure"))
        );
        Ok(())
    })
    .await
}
