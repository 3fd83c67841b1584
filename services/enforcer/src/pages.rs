//! What was asked of the platforms: what failed and what to do, what waits, what was done last. No text of a comment is shown.

use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use sqlx::Row as _;
use vigie_domain::EnforcementState;
use vigie_web::{Language, Nav, Role, Scope, User, csrf_field, page, words};

use crate::Enforcer;
use crate::request::{self, Request};
use crate::retry::Retried;

const RETRIERS: [Role; 2] = [Role::Lead, Role::Admin];
const LISTED_MAX: i64 = 100;

pub(crate) fn routes(enforcer: Enforcer) -> Router {
    Router::new()
        .route("/actions", get(show))
        .route("/enforcement", get(|| async { Redirect::permanent("/actions") }))
        .route("/actions/retry", post(retry))
        .with_state(enforcer)
}

/// The three lists of the page, and how many there are of the first two.
struct Lists {
    failed: Vec<Request>,
    failed_total: i64,
    waiting: Vec<Request>,
    waiting_total: i64,
    over: Vec<Request>,
}

#[derive(Deserialize)]
struct Asked {
    said: Option<String>,
}

async fn show(State(enforcer): State<Enforcer>, user: User, Query(asked): Query<Asked>) -> Response {
    match enforcer.lists(&user.institutions).await {
        Ok(lists) => page(
            Some(&user),
            Nav::Actions,
            "Actions",
            body(&enforcer, &user, &lists, asked.said.as_deref()),
        )
        .into_response(),
        Err(error) => failed(&user, &error),
    }
}

async fn retry(State(enforcer): State<Enforcer>, user: User, Form(fields): Form<Vec<(String, String)>>) -> Response {
    if let Err(refusal) = user.require(&RETRIERS) {
        return refusal;
    }
    let id = fields
        .iter()
        .find(|(key, _)| key == "request")
        .map_or("", |(_, value)| value.as_str());
    match enforcer.retry(id, &user).await {
        Ok(Retried::Yes) => Redirect::to("/actions?said=retried").into_response(),
        Ok(Retried::Unknown) => Redirect::to("/actions?said=unknown").into_response(),
        Ok(Retried::NotFailed) => Redirect::to("/actions?said=not-failed").into_response(),
        Err(error) => failed(&user, &error),
    }
}

fn failed(user: &User, error: &anyhow::Error) -> Response {
    tracing::error!(error = format!("{error:#}"), user = user.id, "the page of actions failed");
    let language = user.language;
    let text = language.pick(
        "Les actions sont momentanément indisponibles. Rien n’a été perdu\u{202f}; réessayez dans un instant.",
        "The actions are unavailable for the moment. Nothing was lost; try again shortly.",
    );
    let body =
        html! { p.notice.danger role="alert" { (text) } p { a.button href="/actions" { (language.pick("Réessayer", "Try again")) } } };
    (
        StatusCode::SERVICE_UNAVAILABLE,
        page(
            Some(user),
            Nav::Actions,
            language.pick("Actions indisponibles", "Actions unavailable"),
            body,
        ),
    )
        .into_response()
}

impl Enforcer {
    async fn lists(&self, scope: &Scope) -> anyhow::Result<Lists> {
        Ok(Lists {
            failed: self.list("state = 'failed'", "changed_at DESC", scope).await?,
            failed_total: self.total("state = 'failed'", scope).await?,
            waiting: self
                .list("state IN ('requested', 'sent')", "severity DESC, requested_at", scope)
                .await?,
            waiting_total: self.total("state IN ('requested', 'sent')", scope).await?,
            over: self
                .list("state IN ('confirmed', 'superseded')", "changed_at DESC, step DESC", scope)
                .await?,
        })
    }

    async fn list(&self, what: &str, order: &str, scope: &Scope) -> anyhow::Result<Vec<Request>> {
        let (condition, institutions) = scope.clause(2);
        let mut query = sqlx::query(request::select(&format!("WHERE {what}{condition} ORDER BY {order}, id LIMIT $1"))).bind(LISTED_MAX);
        for institution in institutions {
            query = query.bind(institution);
        }
        query.fetch_all(self.database.pool()).await?.iter().map(Request::read).collect()
    }

    async fn total(&self, what: &str, scope: &Scope) -> anyhow::Result<i64> {
        let (condition, institutions) = scope.clause(1);
        let sql = format!("SELECT COUNT(*) AS total FROM enforcer_requests WHERE {what}{condition}");
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for institution in institutions {
            query = query.bind(institution);
        }
        Ok(query.fetch_one(self.database.pool()).await?.try_get("total")?)
    }
}

fn body(enforcer: &Enforcer, user: &User, lists: &Lists, said: Option<&str>) -> Markup {
    let language = user.language;
    html! {
        @if let Some((kind, sentence)) = said.and_then(|said| saying(language, said)) { p class={ "notice " (kind) } role="status" { (sentence) } }
        @if enforcer.accounts.iter().all(|account| account.dry_run) {
            p.notice.info {
                (language.pick(
                    "Tous les comptes sont en mode d’essai à blanc\u{a0}: rien n’est envoyé aux plateformes. \
                     Pour que les actions soient exécutées, indiquez dry_run = false pour le compte concerné.",
                    "All accounts are in dry-run: nothing is sent to the platforms. To act for real, set dry_run = false on an account.",
                ))
            }
        }
        (section(language, "failed", language.pick("À reprendre", "To be looked at"), lists.failed_total, language.pick("Aucune action n’a échoué.", "No action has failed."), lists.failed.is_empty(), &html! {
            (head(language, &[("Pourquoi, et que faire", "Why, and what to do")], user.role))
            tbody { @for one in &lists.failed { (failed_row(enforcer, user, one)) } }
        }))
        (section(language, "waiting", language.pick("En attente", "Waiting"), lists.waiting_total, language.pick("Rien n’attend.", "Nothing waits."), lists.waiting.is_empty(), &html! {
            (head(language, &[("Essais", "Attempts"), ("Prochain essai", "Next attempt"), ("Pourquoi", "Why")], Role::Analyst))
            tbody { @for one in &lists.waiting { (waiting_row(enforcer, language, one)) } }
        }))
        (section(language, "over", language.pick("Terminées, les plus récentes d’abord", "Over, newest first"), -1, language.pick("Rien n’a encore été demandé à une plateforme.", "Nothing was asked of a platform yet."), lists.over.is_empty(), &html! {
            (head(language, &[("Comment on le sait", "How it is known")], Role::Analyst))
            tbody { @for one in &lists.over { (over_row(enforcer, language, one)) } }
        }))
    }
}

fn section(language: Language, id: &str, title: &str, total: i64, nothing: &str, is_empty: bool, table: &Markup) -> Markup {
    html! {
        section.panel aria-labelledby=(id) {
            h2 id=(id) { (title) @if total >= 0 { " (" (total) ")" } }
            @if is_empty { p.muted { (nothing) } }
            @else {
                div.scroll tabindex="0" role="region" aria-labelledby=(id) { table.data { (table) } }
                @if total > LISTED_MAX { p.muted.small { (language.pick("Seules les cent premières sont montrées.", "Only the first hundred are shown.")) } }
            }
        }
    }
}

fn head(language: Language, more: &[(&'static str, &'static str)], role: Role) -> Markup {
    html! {
        thead { tr {
            th scope="col" { (language.pick("Depuis", "Since")) }
            th scope="col" { (language.pick("Compte", "Account")) }
            th scope="col" { "Action" }
            th scope="col" { (language.pick("État", "State")) }
            @for (fr, en) in more { th scope="col" { (language.pick(fr, en)) } }
            @if RETRIERS.contains(&role) { th scope="col" { span.visually-hidden { (language.pick("Reprise", "Retry")) } } }
        } }
    }
}

fn first_cells(enforcer: &Enforcer, language: Language, one: &Request) -> Markup {
    let account = enforcer
        .accounts
        .get(&one.account)
        .map_or_else(|| one.account.to_string(), |account| account.name.clone());
    let web = one
        .on
        .permalink
        .as_deref()
        .filter(|link| link.starts_with("https://") || link.starts_with("http://"));
    html! {
        td { (time(language, one.changed_at)) }
        td { (account) br; span.muted.small { (words::platform(language, one.platform)) } }
        td {
            (words::action(language, one.action))
            @if one.dry_run { " " span.badge { (language.pick("à blanc", "dry run")) } }
            @if let Some(link) = web { br; a.small href=(link) rel="noreferrer noopener nofollow" { (language.pick("voir le commentaire", "see the comment")) } }
        }
        td { span class=(badge(one.state)) { (words::enforcement_state(language, one.state)) } }
    }
}

fn failed_row(enforcer: &Enforcer, user: &User, one: &Request) -> Markup {
    let language = user.language;
    html! {
        tr {
            (first_cells(enforcer, language, one))
            td { (why(language, one, true)) }
            @if RETRIERS.contains(&user.role) {
                td {
                    form method="post" action="/actions/retry" {
                        (csrf_field(user))
                        input type="hidden" name="request" value=(one.id);
                        button.button { (language.pick("Réessayer", "Try again")) }
                    }
                }
            }
        }
    }
}

fn waiting_row(enforcer: &Enforcer, language: Language, one: &Request) -> Markup {
    html! {
        tr {
            (first_cells(enforcer, language, one))
            td.number { (one.attempts) }
            td { (time(language, one.due_at)) }
            td { (why(language, one, false)) }
        }
    }
}

fn over_row(enforcer: &Enforcer, language: Language, one: &Request) -> Markup {
    let known = match (one.state, one.proof.as_str()) {
        (EnforcementState::Superseded, _) => language.pick("une décision plus récente l’a remplacée", "a newer decision replaced it"),
        (_, "read") => language.pick("relue sur la plateforme", "read back from the platform"),
        (_, "receipt") => language.pick(
            "reçu de la plateforme, qui ne permet pas de relire",
            "receipt of the platform, which offers no way to read back",
        ),
        _ if !vigie_platforms::supports(one.platform, one.action) => language.pick(
            "rien n’a été envoyé\u{202f}; sans connecteur pour cette action, elle serait à faire à la main",
            "nothing was sent; without a connector for this action it would be done by hand",
        ),
        _ => language.pick("rien n’a été envoyé", "nothing was sent"),
    };
    html! { tr { (first_cells(enforcer, language, one)) td { (known) } } }
}

fn why(language: Language, one: &Request, with_remedy: bool) -> Markup {
    html! {
        @if let Some(why) = one.why {
            (why.cause(language))
            @if with_remedy { " " strong { (why.remedy(language)) } }
            @if !one.detail.is_empty() { br; code.small lang="en" { (one.detail) } }
        }
    }
}

const fn badge(state: EnforcementState) -> &'static str {
    match state {
        EnforcementState::Requested | EnforcementState::Sent => "badge warning",
        EnforcementState::Confirmed => "badge info",
        EnforcementState::Failed => "badge danger",
        EnforcementState::Superseded => "badge",
    }
}

fn time(language: Language, at_ms: i64) -> Markup {
    let at = Timestamp::from_millisecond(at_ms).unwrap_or_default();
    html! { time datetime=(at) { (words::instant(language, at)) } }
}

fn saying(language: Language, said: &str) -> Option<(&'static str, &'static str)> {
    let (kind, fr, en) = match said {
        "retried" => ("info", "L’action est de nouveau en attente.", "The action waits again."),
        "not-failed" => (
            "warning",
            "Cette action n’est plus en échec, ou une décision plus récente l’a remplacée.",
            "This action has not failed any more, or a newer decision replaced it.",
        ),
        "unknown" => ("warning", "Cette action n’existe pas.", "There is no such action."),
        _ => return None,
    };
    Some((kind, language.pick(fr, en)))
}
