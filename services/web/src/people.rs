//! The page of users, for those who administer Vigie: who there is, adding, roles and institutions, passwords, shutting out.
//!
//! Nobody can shut themself out or give up their own role here, so that there is always one administrator left.

use std::collections::BTreeSet;

use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use serde::Deserialize;
use vigie_domain::{InstitutionId, Pseudonym};

use crate::Web;
use crate::layout::{Nav, csrf_field, page};
use crate::password::PASSWORD_CHARACTERS_MIN;
use crate::user::{Language, Role, Scope, User};
use crate::users::{Listed, NewUser, UsersError};
use crate::words;

type Fields = Vec<(String, String)>;

pub(crate) fn routes(web: Web) -> Router {
    Router::new()
        .route("/users", get(show))
        .route("/users/add", post(add))
        .route("/users/change", post(change))
        .route("/users/password", post(password))
        .route("/users/disable", post(disable))
        .route("/users/enable", post(enable))
        .with_state(web)
}

#[derive(Deserialize)]
struct Asked {
    said: Option<String>,
    change: Option<String>,
}

/// What the page shows besides the table.
#[derive(Default)]
struct Shown<'a> {
    status: StatusCode,
    message: Option<(&'static str, String)>,
    /// What was typed into the form for a new person that was refused.
    entered: &'a [(String, String)],
    /// The login of the person whose forms are open.
    changing: Option<&'a str>,
}

impl<'a> Shown<'a> {
    fn refusal(message: String) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            message: Some(("danger", message)),
            ..Self::default()
        }
    }
}

async fn show(State(web): State<Web>, user: User, Query(asked): Query<Asked>) -> Response {
    if let Err(refusal) = user.require(&[Role::Admin]) {
        return refusal;
    }
    let language = user.language;
    let message = asked.said.as_deref().and_then(|said| {
        Some(match said {
            "added" => language.pick(
                "Compte créé. Transmettez l’identifiant et le mot de passe par deux voies différentes.",
                "Account created. Pass on login and password by two different ways.",
            ),
            "changed" => language.pick("Modification enregistrée.", "Change recorded."),
            "password" => language.pick(
                "Mot de passe remplacé\u{202f}; les sessions ouvertes de cette personne sont terminées.",
                "Password replaced; the open sessions of this person have ended.",
            ),
            _ => return None,
        })
    });
    let shown = Shown {
        message: message.map(|message| ("info", message.to_owned())),
        changing: asked.change.as_deref(),
        ..Shown::default()
    };
    list(&web, &user, &shown).await
}

async fn add(State(web): State<Web>, user: User, Form(fields): Form<Fields>) -> Response {
    if let Err(refusal) = user.require(&[Role::Admin]) {
        return refusal;
    }
    let language = user.language;
    let new = match read_new(&fields, language) {
        Ok(new) => new,
        Err(message) => {
            return list(
                &web,
                &user,
                &Shown {
                    entered: &fields,
                    ..Shown::refusal(message)
                },
            )
            .await;
        }
    };
    match web.users.add(new, field(&fields, "password")).await {
        Ok(added) => {
            tracing::info!(by = user.id, user = added.id, role = added.role.as_str(), "added a user");
            Redirect::to("/users?said=added").into_response()
        }
        Err(error) => {
            refused(
                &web,
                &user,
                &error,
                &Shown {
                    entered: &fields,
                    ..Shown::default()
                },
            )
            .await
        }
    }
}

async fn change(State(web): State<Web>, user: User, Form(fields): Form<Fields>) -> Response {
    let login = match others_login(&user, &fields) {
        Ok(login) => login,
        Err(refusal) => return *refusal,
    };
    let language = user.language;
    let (role, institutions) = match (field(&fields, "role").parse(), read_scope(&fields, language)) {
        (Ok(role), Ok(institutions)) => (role, institutions),
        (Err(_), _) => return StatusCode::BAD_REQUEST.into_response(),
        (_, Err(message)) => {
            return list(
                &web,
                &user,
                &Shown {
                    changing: Some(login),
                    ..Shown::refusal(message)
                },
            )
            .await;
        }
    };
    let changed = web.users.change_rights(login, role, &institutions).await;
    after(&web, &user, login, changed, "changed a user's rights", "changed").await
}

async fn password(State(web): State<Web>, user: User, Form(fields): Form<Fields>) -> Response {
    let login = match others_login(&user, &fields) {
        Ok(login) => login,
        Err(refusal) => return *refusal,
    };
    let changed = web.users.set_password(login, field(&fields, "password")).await;
    after(&web, &user, login, changed, "replaced a user's password", "password").await
}

async fn disable(State(web): State<Web>, user: User, Form(fields): Form<Fields>) -> Response {
    let login = match others_login(&user, &fields) {
        Ok(login) => login,
        Err(refusal) => return *refusal,
    };
    let changed = web.users.disable(login).await;
    after(&web, &user, login, changed, "shut a user out", "changed").await
}

async fn enable(State(web): State<Web>, user: User, Form(fields): Form<Fields>) -> Response {
    let login = match others_login(&user, &fields) {
        Ok(login) => login,
        Err(refusal) => return *refusal,
    };
    let changed = web.users.enable(login).await;
    after(&web, &user, login, changed, "let a user in again", "changed").await
}

/// The login that a form names, if an administrator sent it and it is not their own.
fn others_login<'a>(user: &User, fields: &'a Fields) -> Result<&'a str, Box<Response>> {
    user.require(&[Role::Admin]).map_err(Box::new)?;
    let login = field(fields, "login");
    if login.trim().to_lowercase() == user.login {
        Err(Box::new(StatusCode::CONFLICT.into_response()))
    } else {
        Ok(login)
    }
}

async fn after(web: &Web, user: &User, login: &str, changed: Result<(), UsersError>, what: &'static str, said: &str) -> Response {
    match changed {
        Ok(()) => {
            tracing::info!(by = user.id, "{what}");
            Redirect::to(&format!("/users?said={said}")).into_response()
        }
        Err(error) => {
            refused(
                web,
                user,
                &error,
                &Shown {
                    changing: Some(login),
                    ..Shown::default()
                },
            )
            .await
        }
    }
}

async fn refused(web: &Web, user: &User, error: &UsersError, shown: &Shown<'_>) -> Response {
    if matches!(error, UsersError::Database(_) | UsersError::Other(_)) {
        return unavailable(user, error);
    }
    let (entered, changing) = (shown.entered, shown.changing);
    list(
        web,
        user,
        &Shown {
            entered,
            changing,
            ..Shown::refusal(error.say(user.language))
        },
    )
    .await
}

fn unavailable(user: &User, error: &UsersError) -> Response {
    tracing::error!(error = format!("{error:#}"), "the table of users failed");
    let language = user.language;
    let title = language.pick("Service indisponible", "Service unavailable");
    let text = language.pick(
        "Réessayez dans un instant\u{202f}; rien n’a été modifié.",
        "Try again shortly; nothing was changed.",
    );
    (
        StatusCode::SERVICE_UNAVAILABLE,
        page(Some(user), Nav::Users, title, html! { p { (text) } }),
    )
        .into_response()
}

fn field<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
}

fn read_new(fields: &[(String, String)], language: Language) -> Result<NewUser, String> {
    let pseudonym = Pseudonym::new(field(fields, "pseudonym").trim())
        .ok()
        .filter(|name| name.as_str().chars().count() <= 64);
    let pseudonym = pseudonym.ok_or_else(|| {
        language
            .pick(
                "Indiquez un pseudonyme de 64 caractères au plus.",
                "Give a pseudonym of at most 64 characters.",
            )
            .to_owned()
    })?;
    let role = field(fields, "role")
        .parse()
        .map_err(|_| language.pick("Choisissez un rôle.", "Choose a role.").to_owned())?;
    Ok(NewUser {
        login: field(fields, "login").to_owned(),
        pseudonym,
        role,
        institutions: read_scope(fields, language)?,
        language: Language::Fr,
    })
}

fn read_scope(fields: &[(String, String)], language: Language) -> Result<Scope, String> {
    let chosen = fields
        .iter()
        .filter(|(key, _)| key == "institution")
        .map(|(_, value)| value.as_str());
    if chosen.clone().any(|value| value == "*") {
        return Ok(Scope::All);
    }
    let some: BTreeSet<InstitutionId> = chosen.filter_map(|value| InstitutionId::new(value).ok()).collect();
    if some.is_empty() {
        return Err(language
            .pick(
                "Cochez au moins une institution, ou «\u{a0}toutes\u{a0}».",
                "Tick at least one institution, or “all”.",
            )
            .to_owned());
    }
    Ok(Scope::Institutions(some))
}

async fn list(web: &Web, user: &User, shown: &Shown<'_>) -> Response {
    let everybody = match web.users.list().await {
        Ok(everybody) => everybody,
        Err(error) => return unavailable(user, &error),
    };
    let language = user.language;
    let body = html! {
        @if let Some((kind, text)) = &shown.message { p class={ "notice " (kind) } role=(if *kind == "danger" { "alert" } else { "status" }) { (text) } }
        div.panel.scroll tabindex="0" role="region" aria-label=(language.pick("Utilisateurs", "Users")) {
            table.data {
                caption { (language.pick("Les autres ne voient que le pseudonyme.", "Others see only the pseudonym.")) }
                thead { tr {
                    th scope="col" { (language.pick("Identifiant", "Login")) }
                    th scope="col" { (language.pick("Pseudonyme", "Pseudonym")) }
                    th scope="col" { (language.pick("Rôle", "Role")) }
                    th scope="col" { (language.pick("Institutions", "Institutions")) }
                    th scope="col" { (language.pick("Créé le", "Added")) }
                    th scope="col" { (language.pick("État", "State")) }
                    th scope="col" { (language.pick("Modifier", "Change")) }
                } }
                tbody { @for one in &everybody { (row(user, one)) } }
            }
        }
        @if let Some(one) = everybody.iter().find(|one| Some(one.user.login.as_str()) == shown.changing && one.user.id != user.id) {
            (changes(web, user, one))
        }
        (add_form(web, user, shown.entered))
    };
    (
        shown.status,
        page(Some(user), Nav::Users, language.pick("Utilisateurs", "Users"), body),
    )
        .into_response()
}

fn row(user: &User, one: &Listed) -> Markup {
    let language = user.language;
    let other = &one.user;
    html! {
        tr {
            th scope="row" { (other.login) }
            td { (other.pseudonym) }
            td { (words::role(language, other.role)) }
            td {
                @match &other.institutions {
                    Scope::All => { (language.pick("toutes", "all")) }
                    Scope::Institutions(some) => { @for (index, id) in some.iter().enumerate() { @if index > 0 { ", " } (id) } }
                }
            }
            td.when { (words::instant(language, one.created_at)) }
            td {
                @if one.disabled { span.badge.warning { (language.pick("désactivé", "disabled")) } }
                @else { span.badge.info { (language.pick("actif", "active")) } }
            }
            td {
                @if other.id == user.id { a href="/account" { (language.pick("Mon compte", "My account")) } }
                @else {
                    a href={ "/users?change=" (crate::guard::encode_component(&other.login)) "#change" } {
                        (language.pick("Modifier", "Change")) span.visually-hidden { " " (other.login) }
                    }
                }
            }
        }
    }
}

/// The forms that change one person, below the table.
fn changes(web: &Web, user: &User, one: &Listed) -> Markup {
    let language = user.language;
    let other = &one.user;
    let own = html! { (csrf_field(user)) input type="hidden" name="login" value=(other.login); };
    html! {
        section.panel id="change" aria-labelledby="change-title" {
            h2 id="change-title" { (language.pick("Modifier le compte ", "Change the account ")) (other.login) }
            form method="post" action="/users/change" {
                (own)
                (role_field(language, "change-role", Some(other.role)))
                (scope_field(web, language, |value| match &other.institutions {
                    Scope::All => value == "*",
                    Scope::Institutions(some) => some.iter().any(|id| id.as_str() == value),
                }))
                button.button { (language.pick("Enregistrer", "Save")) }
            }
            hr;
            form method="post" action="/users/password" {
                (own)
                (password_field(language, "change-password", language.pick("Nouveau mot de passe provisoire", "New temporary password")))
                button.button { (language.pick("Remplacer le mot de passe", "Replace the password")) }
            }
            hr;
            @if one.disabled {
                form method="post" action="/users/enable" { (own) button.button { (language.pick("Réactiver le compte", "Enable the account")) } }
            } @else {
                form method="post" action="/users/disable" { (own) button.button.danger { (language.pick("Désactiver le compte", "Disable the account")) } }
            }
        }
    }
}

fn add_form(web: &Web, user: &User, entered: &[(String, String)]) -> Markup {
    let language = user.language;
    html! {
        form.panel method="post" action="/users/add" {
            h2 { (language.pick("Ajouter une personne", "Add somebody")) }
            (csrf_field(user))
            div.field {
                label for="login" { (language.pick("Identifiant", "Login")) }
                p.muted.small id="login-help" { (language.pick("De 2 à 64 lettres sans accent, chiffres, «\u{a0}.\u{a0}», «\u{a0}-\u{a0}», «\u{a0}_\u{a0}» ou «\u{a0}@\u{a0}».", "2 to 64 unaccented letters, digits, “.”, “-”, “_” or “@”.")) }
                input id="login" name="login" required minlength="2" maxlength="64" autocomplete="off" autocapitalize="none" spellcheck="false"
                    aria-describedby="login-help" value=(field(entered, "login"));
            }
            div.field {
                label for="pseudonym" { (language.pick("Pseudonyme, visible des autres", "Pseudonym, seen by others")) }
                input id="pseudonym" name="pseudonym" required maxlength="64" autocomplete="off" value=(field(entered, "pseudonym"));
            }
            (role_field(language, "role", field(entered, "role").parse().ok()))
            (scope_field(web, language, |value| entered.iter().any(|(key, given)| key == "institution" && given == value)))
            (password_field(language, "password", language.pick("Mot de passe provisoire", "Temporary password")))
            button.button.primary { (language.pick("Créer le compte", "Create the account")) }
        }
    }
}

fn role_field(language: Language, id: &str, chosen: Option<Role>) -> Markup {
    html! {
        div.field {
            label for=(id) { (language.pick("Rôle", "Role")) }
            select id=(id) name="role" required {
                @for role in Role::ALL { option value=(role.as_str()) selected[chosen == Some(role)] { (words::role(language, role)) } }
            }
        }
    }
}

fn scope_field(web: &Web, language: Language, is_chosen: impl Fn(&str) -> bool) -> Markup {
    html! {
        fieldset {
            legend { (language.pick("Institutions dont la personne voit les commentaires", "Institutions whose comments the person sees")) }
            div.choices {
                label { input type="checkbox" name="institution" value="*" checked[is_chosen("*")]; (language.pick("toutes, présentes et à venir", "all, present and future")) }
                @for id in web.institutions.iter() { label { input type="checkbox" name="institution" value=(id) checked[is_chosen(id.as_str())]; (id) } }
            }
        }
    }
}

/// A field for a new password, with the rule that it must follow.
pub(crate) fn password_field(language: Language, id: &str, label: &str) -> Markup {
    html! {
        div.field {
            label for=(id) { (label) }
            p.muted.small id={ (id) "-help" } {
                @if language == Language::Fr { "Au moins " (PASSWORD_CHARACTERS_MIN) " caractères, par exemple quatre mots au hasard." }
                @else { "At least " (PASSWORD_CHARACTERS_MIN) " characters, for instance four random words." }
            }
            input id=(id) name="password" type="password" required minlength=(PASSWORD_CHARACTERS_MIN) maxlength="1024" autocomplete="new-password" aria-describedby={ (id) "-help" };
        }
    }
}
