//! The page of users and one's own account.

mod browser;

use axum::Router;
use axum::http::StatusCode;
use browser::{Browser, PASSWORD, location, on_each_engine, value_of};
use vigie_domain::Pseudonym;
use vigie_runtime::Runtime;
use vigie_web::{Config, Language, NewUser, Role, Scope, Users, UsersError, Web};

const OTHER: &str = "encore quatre autres mots";

async fn open(runtime: &Runtime) -> anyhow::Result<(Web, Router)> {
    let web = Web::open(Config::default(), runtime).await?;
    let routes = web.wrap(Router::new());
    for (login, role) in [("jeanne", Role::Admin), ("paul", Role::Moderator)] {
        web.users().add(new(login, role)?, PASSWORD).await?;
    }
    Ok((web, routes))
}

fn new(login: &str, role: Role) -> anyhow::Result<NewUser> {
    Ok(NewUser {
        login: login.to_owned(),
        pseudonym: Pseudonym::new(format!("Vigie {login}"))?,
        role,
        institutions: Scope::All,
        language: Language::Fr,
    })
}

/// Signs in, opens `path` and returns the token of its forms.
async fn csrf(browser: &mut Browser, login: &str, password: &str, path: &str) -> anyhow::Result<String> {
    let answer = browser.sign_in(login, password).await?;
    anyhow::ensure!(answer.status == StatusCode::SEE_OTHER, "{login} cannot sign in");
    Ok(value_of(&browser.get(path).await?.body, "csrf"))
}

fn plus(text: &str) -> String {
    text.replace(' ', "+")
}

#[tokio::test]
async fn an_administrator_adds_changes_and_shuts_out() -> anyhow::Result<()> {
    on_each_engine(|runtime| async move {
        let (web, routes) = open(&runtime).await?;
        let mut jeanne = Browser::new(&routes);
        let token = csrf(&mut jeanne, "jeanne", PASSWORD, "/users").await?;
        let add = |rest: &str| {
            format!(
                "csrf={token}&login=Marie&pseudonym=Vigie+3&role=lead&password={}{rest}",
                plus(OTHER)
            )
        };
        let without = jeanne.post("/users/add", &add("")).await?;
        assert_eq!(without.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(
            without.body.contains("Cochez au moins une institution")
                && without.body.contains("value=\"Marie\"")
                && !without.body.contains(OTHER)
        );
        assert_eq!(
            location(&jeanne.post("/users/add", &add("&institution=musee-test")).await?),
            "/users?said=added"
        );
        let taken = jeanne.post("/users/add", &add("&institution=*")).await?;
        assert!(taken.body.contains("déjà pris"));
        let short = jeanne
            .post(
                "/users/add",
                &format!("csrf={token}&login=luc&pseudonym=Luc&role=lead&password=court&institution=*"),
            )
            .await?;
        assert!(short.body.contains("trop court"));

        let mut marie = Browser::new(&routes);
        csrf(&mut marie, "marie", OTHER, "/account").await?;
        assert!(marie.get("/account").await?.body.contains("responsable de modération"));
        assert!(jeanne.get("/users?change=marie").await?.body.contains("Modifier le compte marie"));
        let nowhere = jeanne
            .post("/users/change", &format!("csrf={token}&login=marie&role=analyst"))
            .await?;
        assert!(nowhere.status == StatusCode::UNPROCESSABLE_ENTITY && nowhere.body.contains("Modifier le compte marie"));
        let change = format!("csrf={token}&login=marie&role=analyst&institution=*");
        assert_eq!(location(&jeanne.post("/users/change", &change).await?), "/users?said=changed");
        assert!(marie.get("/account").await?.body.contains("<dd>analyse</dd>"), "in effect at once");
        jeanne
            .post(
                "/users/password",
                &format!("csrf={token}&login=marie&password={}", plus("mots sortis du chapeau")),
            )
            .await?;
        assert_eq!(
            marie.get("/account").await?.status,
            StatusCode::SEE_OTHER,
            "a replaced password ends sessions"
        );
        csrf(&mut marie, "marie", "mots sortis du chapeau", "/account").await?;
        jeanne.post("/users/disable", &format!("csrf={token}&login=marie")).await?;
        assert_eq!(marie.get("/account").await?.status, StatusCode::SEE_OTHER);
        assert!(jeanne.get("/users").await?.body.contains("désactivé"));
        jeanne.post("/users/enable", &format!("csrf={token}&login=marie")).await?;
        csrf(&mut marie, "marie", "mots sortis du chapeau", "/account").await?;
        assert_eq!(web.users().list().await?.len(), 3);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn nobody_else_administers_and_no_administrator_shuts_themself_out() -> anyhow::Result<()> {
    on_each_engine(|runtime| async move {
        let (web, routes) = open(&runtime).await?;
        let mut paul = Browser::new(&routes);
        let token = csrf(&mut paul, "paul", PASSWORD, "/account").await?;
        assert_eq!(paul.get("/users").await?.status, StatusCode::FORBIDDEN);
        assert!(!paul.get("/account").await?.body.contains("href=\"/users\""));
        let promoted = format!(
            "csrf={token}&login=paul&role=admin&institution=*&pseudonym=x&password={}",
            plus(OTHER)
        );
        for path in ["/users/add", "/users/change", "/users/password", "/users/disable", "/users/enable"] {
            let body = promoted.replace("login=paul", "login=jeanne");
            assert_eq!(paul.post(path, &body).await?.status, StatusCode::FORBIDDEN, "{path}");
            assert_eq!(paul.post(path, &promoted).await?.status, StatusCode::FORBIDDEN, "{path}");
        }
        let mut jeanne = Browser::new(&routes);
        let token = csrf(&mut jeanne, "jeanne", PASSWORD, "/users").await?;
        for path in ["/users/change", "/users/password", "/users/disable"] {
            let body = format!("csrf={token}&login=JEANNE&role=analyst&institution=*&password={}", plus(OTHER));
            assert_eq!(jeanne.post(path, &body).await?.status, StatusCode::CONFLICT, "{path}");
        }
        let listed = web.users().list().await?;
        assert!(
            listed
                .iter()
                .all(|one| !one.disabled && (one.user.role == Role::Admin) == (one.user.login == "jeanne"))
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn people_change_their_own_password() -> anyhow::Result<()> {
    on_each_engine(|runtime| async move {
        let (_web, routes) = open(&runtime).await?;
        let (mut here, mut elsewhere) = (Browser::new(&routes), Browser::new(&routes));
        csrf(&mut elsewhere, "paul", PASSWORD, "/account").await?;
        let token = csrf(&mut here, "paul", PASSWORD, "/account").await?;
        let wrong = here
            .post("/account/password", &format!("csrf={token}&current=faux&password={}", plus(OTHER)))
            .await?;
        assert!(wrong.status == StatusCode::UNPROCESSABLE_ENTITY && wrong.body.contains("actuel est incorrect"));
        let weak = here
            .post(
                "/account/password",
                &format!("csrf={token}&current={}&password=paulpaulpaul", plus(PASSWORD)),
            )
            .await?;
        assert!(weak.body.contains("trop facile à deviner"));
        let changed = here
            .post(
                "/account/password",
                &format!("csrf={token}&current={}&password={}", plus(PASSWORD), plus(OTHER)),
            )
            .await?;
        assert_eq!(location(&changed), "/account?said=changed");
        assert_eq!(here.get("/account").await?.status, StatusCode::OK, "who changed it stays signed in");
        assert_eq!(elsewhere.get("/account").await?.status, StatusCode::SEE_OTHER);
        assert_eq!(
            Browser::new(&routes).sign_in("paul", PASSWORD).await?.status,
            StatusCode::UNAUTHORIZED
        );
        csrf(&mut Browser::new(&routes), "paul", OTHER, "/account").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_command_adds_the_first_person_beside_a_running_process() -> anyhow::Result<()> {
    on_each_engine(|runtime| async move {
        let web = Web::open(Config::default(), &runtime).await?;
        let routes = web.wrap(Router::new());
        let command = Users::open(&runtime.databases).await?;
        assert!(command.is_empty().await?);
        command.add(new("jeanne", Role::Admin)?, PASSWORD).await?;
        csrf(&mut Browser::new(&routes), "jeanne", PASSWORD, "/users").await?;
        let rights = command.change_rights("personne", Role::Lead, &Scope::All).await;
        assert!(matches!(rights, Err(UsersError::Unknown(_))));
        Ok(())
    })
    .await
}
