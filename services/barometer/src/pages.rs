//! The pages of the barometer: what is coming in, the editions, and a form to build one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use jiff::{Timestamp, ToSpan as _};
use maud::{Markup, html};
use serde::Deserialize;
use vigie_domain::{InstitutionId, Route};
use vigie_web::{Language, Nav, Role, User, csrf_field, page, words};

use crate::edition::{self, Manifest};
use crate::french;
use crate::period::Period;
use crate::store::{Hour, Store};

/// Who may build an edition.
const BUILDERS: [Role; 3] = [Role::Analyst, Role::Lead, Role::Admin];
/// The files of an edition that are shown; the frozen inputs are not among them.
const FILES: [(&str, &str); 4] = [
    ("index.html", "text/html; charset=utf-8"),
    ("figures.csv", "text/csv; charset=utf-8"),
    ("figures.schema.json", "application/json"),
    (edition::MANIFEST, "application/json"),
];
const HOURS_SHOWN: i64 = 24;

/// What the pages need.
pub(crate) struct Pages {
    pub(crate) store: Store,
    pub(crate) editions_dir: PathBuf,
}

/// The routes.
pub(crate) fn routes(pages: Pages) -> Router {
    Router::new()
        .route("/barometer", get(list))
        .route("/barometer/build", post(build))
        .route("/barometer/{edition}/{file}", get(file))
        .with_state(Arc::new(pages))
}

async fn list(State(pages): State<Arc<Pages>>, user: User) -> Response {
    show(&pages, &user, None).await
}

async fn show(pages: &Pages, user: &User, problem: Option<String>) -> Response {
    let now = Timestamp::now();
    let hours = match pages.store.hours(now.as_second() - HOURS_SHOWN * 3600).await {
        Ok(hours) => hours,
        Err(error) => return failure(user, &error),
    };
    let status = if problem.is_some() {
        StatusCode::UNPROCESSABLE_ENTITY
    } else {
        StatusCode::OK
    };
    let editions = editions(&pages.editions_dir);
    let body = html! {
        @if let Some(problem) = problem { p.notice.danger role="alert" { (problem) } }
        (editions_panel(user, &editions))
        @if BUILDERS.contains(&user.role) { (build_panel(user, now)) }
        (hours_panel(user, &hours))
    };
    (
        status,
        page(Some(user), Nav::Barometer, user.language.pick("Baromètre", "Barometer"), body),
    )
        .into_response()
}

/// The editions in the folder, latest period first. A folder without a readable manifest is none.
fn editions(dir: &std::path::Path) -> Vec<(Period, Manifest)> {
    let Ok(folders) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut editions: Vec<(Period, Manifest)> = folders
        .flatten()
        .filter_map(|folder| {
            let manifest: Manifest = serde_json::from_slice(&std::fs::read(folder.path().join(edition::MANIFEST)).ok()?).ok()?;
            Some((Period::parse(&manifest.from, &manifest.to).ok()?, manifest))
        })
        .collect();
    editions.sort_by_key(|(period, _)| std::cmp::Reverse((period.to(), period.from())));
    editions
}

fn editions_panel(user: &User, editions: &[(Period, Manifest)]) -> Markup {
    let language = user.language;
    html! {
        section.panel aria-labelledby="editions" {
            h2 id="editions" { (language.pick("Éditions", "Editions")) }
            @if editions.is_empty() { p { (language.pick("Aucune édition pour l’instant.", "No edition yet.")) } }
            @else {
                div.scroll { table.data {
                    thead { tr {
                        th scope="col" { (language.pick("Période", "Period")) } th scope="col" { (language.pick("État", "State")) }
                        th scope="col" { (language.pick("Fichiers", "Files")) } th scope="col" { (language.pick("Entrées (SHA-256)", "Inputs (SHA-256)")) }
                    } }
                    tbody { @for (period, manifest) in editions {
                        tr {
                            th scope="row" { a href=(format!("/barometer/{}/index.html", period.name())) { (name(language, *period)) } }
                            td {
                                @if manifest.provisional { span.badge.warning { (language.pick("provisoire", "provisional")) } }
                                @else { span.badge.info { (language.pick("figée", "frozen")) } }
                            }
                            td {
                                a href=(format!("/barometer/{}/figures.csv", period.name())) { "CSV" } " · "
                                a href=(format!("/barometer/{}/edition.json", period.name())) { (language.pick("manifeste", "manifest")) }
                            }
                            td { code { (&manifest.inputs.sha256[..12.min(manifest.inputs.sha256.len())]) "…" } }
                        }
                    } }
                } }
            }
        }
    }
}

fn name(language: Language, period: Period) -> String {
    match language {
        Language::Fr => format!("du {} au {}", french::date(period.from()), french::date(period.to())),
        Language::En => format!("{} to {}", period.from(), period.to()),
    }
}

fn build_panel(user: &User, now: Timestamp) -> Markup {
    let language = user.language;
    let today = now.to_zoned(words::paris()).date();
    let from = today.checked_sub(7.days()).unwrap_or(today);
    let to = today.yesterday().unwrap_or(today);
    html! {
        section.panel aria-labelledby="build" {
            h2 id="build" { (language.pick("Établir une édition", "Build an edition")) }
            form.inline-form method="post" action="/barometer/build" {
                (csrf_field(user))
                div.field { label for="from" { (language.pick("Du", "From")) } input type="date" id="from" name="from" value=(from) required; }
                div.field { label for="to" { (language.pick("Au (inclus)", "To (included)")) } input type="date" id="to" name="to" value=(to) required; }
                button.button.primary { (language.pick("Établir", "Build")) }
            }
            p.muted.small {
                (language.pick(
                    "Une édition est figée dès que sa période est terminée et compte assez de commentaires contrôlés \
                     à l’aveugle\u{a0}: ses chiffres ne changeront plus. Sinon, elle est provisoire et peut être refaite.",
                    "A period that is over and has labels enough is frozen by its first edition: its figures will not change \
                     any more. Otherwise the edition is provisional, and can be built again.",
                ))
            }
        }
    }
}

fn hours_panel(user: &User, hours: &[Hour]) -> Markup {
    let language = user.language;
    let mut rows: BTreeMap<i64, BTreeMap<&str, i64>> = BTreeMap::new();
    let visible = |hour: &&Hour| InstitutionId::new(hour.institution.clone()).is_ok_and(|institution| user.may_see(&institution));
    for hour in hours.iter().filter(visible) {
        *rows.entry(hour.hour_s).or_default().entry(hour.route.as_str()).or_default() += hour.received;
    }
    let route = |route: Route| match route {
        Route::Keep => language.pick("conservés", "kept"),
        Route::Review => language.pick("à examiner", "to review"),
        Route::Hide => language.pick("masqués automatiquement", "hidden by policy"),
    };
    html! {
        section.panel aria-labelledby="hours" {
            h2 id="hours" { (language.pick("Commentaires des dernières 24 heures", "Comments of the last 24 hours")) }
            p.muted.small { (language.pick("Décomptes internes par heure de publication. Ils ne mesurent pas la part des commentaires haineux.", "Internal counts by hour of publication. They do not measure the share of hate.")) }
            @if rows.is_empty() { p { (language.pick("Aucun commentaire.", "No comments.")) } }
            @else {
                div.scroll { table.data {
                    thead { tr {
                        th scope="col" { (language.pick("Heure (Paris)", "Hour (Paris)")) } th scope="col" { (language.pick("Reçus", "Received")) }
                        @for one in Route::ALL { th scope="col" { (route(one)) } }
                    } }
                    tbody { @for (hour_s, counts) in rows.iter().rev() {
                        tr {
                            th scope="row" { (Timestamp::from_second(*hour_s).map(|at| words::instant(language, at)).unwrap_or_default()) }
                            td { (counts.values().sum::<i64>()) }
                            @for one in Route::ALL { td { (counts.get(one.as_str()).copied().unwrap_or_default()) } }
                        }
                    } }
                } }
            }
        }
    }
}

#[derive(Deserialize)]
struct BuildForm {
    from: String,
    to: String,
}

async fn build(State(pages): State<Arc<Pages>>, user: User, Form(form): Form<BuildForm>) -> Response {
    if let Err(refusal) = user.require(&BUILDERS) {
        return refusal;
    }
    let period = match Period::parse(&form.from, &form.to) {
        Ok(period) => period,
        Err(_) => {
            let problem = user.language.pick(
                "Cette période ne convient pas\u{a0}: deux jours au format AAAA-MM-JJ, le second après le premier, \
                 un an au plus.",
                "This period will not do: two days as YYYY-MM-DD, the second after the first, a year at most.",
            );
            return show(&pages, &user, Some(problem.to_owned())).await;
        }
    };
    match edition::build(&pages.store, period, &pages.editions_dir.join(period.name())).await {
        Ok(_) => Redirect::to(&format!("/barometer/{}/index.html", period.name())).into_response(),
        Err(error) => failure(&user, &error),
    }
}

async fn file(State(pages): State<Arc<Pages>>, user: User, Path((edition, file)): Path<(String, String)>) -> Response {
    let Some((name, kind)) = FILES.iter().find(|(name, _)| *name == file) else {
        return absent(&user);
    };
    // The folder is named by a period that was parsed: nothing else reaches the file system.
    let Some(period) = edition.split_once('_').and_then(|(from, to)| Period::parse(from, to).ok()) else {
        return absent(&user);
    };
    match tokio::fs::read(pages.editions_dir.join(period.name()).join(name)).await {
        Ok(bytes) => {
            let policy = format!(
                "default-src 'none'; style-src '{}'; frame-ancestors 'none'; base-uri 'none'",
                edition::style_hash()
            );
            (
                [
                    (header::CONTENT_TYPE, (*kind).to_owned()),
                    (header::CONTENT_SECURITY_POLICY, policy),
                ],
                bytes,
            )
                .into_response()
        }
        Err(_) => absent(&user),
    }
}

fn absent(user: &User) -> Response {
    let text = user.language.pick("Cette édition n’existe pas.", "There is no such edition.");
    let title = user.language.pick("Introuvable", "Not found");
    (
        StatusCode::NOT_FOUND,
        page(Some(user), Nav::Barometer, title, html! { p { (text) } }),
    )
        .into_response()
}

fn failure(user: &User, error: &anyhow::Error) -> Response {
    tracing::error!(error = format!("{error:#}"), "a page of the barometer failed");
    let title = user.language.pick("Baromètre indisponible", "Barometer unavailable");
    let text = user.language.pick(
        "Le baromètre ne répond pas. Réessayez dans un instant\u{202f}; si cela persiste, le disque est peut-être plein.",
        "The barometer does not answer. Try again in a moment; if it goes on, the disk may be full.",
    );
    (
        StatusCode::SERVICE_UNAVAILABLE,
        page(Some(user), Nav::Barometer, title, html! { p { (text) } }),
    )
        .into_response()
}
