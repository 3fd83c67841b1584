//! The pages of the archive: search, one report, exports.
//!
//! Everybody sees the reports of their institutions only. Every report that is listed, opened or exported is written down first,
//! with who asked; where that fails nothing is shown. Leads and administrators may keep a report beyond its time.

mod keeping;
mod list;
mod report;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::civil::Date;
use maud::html;
use serde::{Deserialize, Serialize};
use vigie_domain::{Act, InstitutionId, Platform, ReportId, ReportState, Target, ThreatReport};
use vigie_runtime::{Accounts, Policies};
use vigie_web::{Language, Nav, Role, Scope, User, page};

use crate::export;
use crate::index::Searcher;
use crate::search::{self, Order, Search};
use crate::store::{Store, Stored};

const PAGE_REPORTS: usize = 20;
const OFFSET_MAX: usize = 10_000;

/// What the pages need.
pub(crate) struct Pages {
    pub(crate) store: Store,
    pub(crate) searcher: Searcher,
    pub(crate) accounts: Accounts,
    pub(crate) policies: Policies,
    pub(crate) export_reports_max: usize,
}

/// The routes.
pub(crate) fn routes(pages: Pages) -> Router {
    Router::new()
        .route("/archive", get(list))
        .route("/archive/export.csv", get(export_csv))
        .route("/archive/export.jsonl", get(export_jsonl))
        .route("/archive/{id}", get(one))
        .route("/archive/{id}/hold", post(keeping::hold))
        .route("/archive/{id}/lift", post(keeping::lift))
        .with_state(Arc::new(pages))
}

/// The form of the search, as typed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Typed {
    q: String,
    institution: String,
    account: String,
    platform: String,
    state: String,
    act: String,
    target: String,
    author: String,
    from: String,
    to: String,
    sort: String,
    page: String,
}

impl Typed {
    /// The search; what is not understood is left out. Without a word to look for, the newest come first.
    fn search(&self, user: &User) -> Search {
        let some = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let day = |text: &str| text.trim().parse::<Date>().ok();
        let clauses = search::parse(&self.q);
        let order = if self.sort == "date" || clauses.is_empty() {
            Order::Newest
        } else {
            Order::Relevance
        };
        Search {
            clauses,
            institution: some(&self.institution),
            account: some(&self.account),
            platform: self.platform.parse::<Platform>().ok(),
            state: ReportState::ALL.into_iter().find(|state| state.as_str() == self.state),
            act: self.act.parse::<Act>().ok(),
            target: self.target.parse::<Target>().ok(),
            author: some(&self.author),
            from: day(&self.from),
            to: day(&self.to),
            order,
            visible: visible(user),
        }
    }

    /// From 1.
    fn page(&self) -> usize {
        self.page.parse().unwrap_or(1).clamp(1, OFFSET_MAX / PAGE_REPORTS)
    }

    /// The same form on another page, as a query.
    fn query(&self, page: Option<usize>) -> String {
        let fields = [
            ("q", &self.q),
            ("institution", &self.institution),
            ("account", &self.account),
            ("platform", &self.platform),
            ("state", &self.state),
            ("act", &self.act),
            ("target", &self.target),
            ("author", &self.author),
            ("from", &self.from),
            ("to", &self.to),
            ("sort", &self.sort),
        ];
        let mut query: Vec<String> = fields
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}={}", encode(value)))
            .collect();
        query.extend(page.map(|page| format!("page={page}")));
        query.join("&")
    }
}

/// Percent-encoding of everything but letters, digits and `-_.`.
fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

fn visible(user: &User) -> Option<BTreeSet<InstitutionId>> {
    match &user.institutions {
        Scope::All => None,
        Scope::Institutions(some) => Some(some.clone()),
    }
}

async fn list(State(pages): State<Arc<Pages>>, user: User, Query(typed): Query<Typed>) -> Response {
    let found = async {
        let (found, reports) = find(&pages, &user, &typed, (typed.page() - 1) * PAGE_REPORTS, PAGE_REPORTS).await?;
        let shown: Vec<ReportId> = reports.iter().map(|report| report.id.clone()).collect();
        pages.store.record_access(user.id, user.pseudonym.as_str(), "list", &shown).await?;
        anyhow::Ok((found, reports))
    };
    match found.await {
        Ok((found, reports)) => {
            let title = user.language.pick("Signalements", "Threat reports");
            page(
                Some(&user),
                Nav::Archive,
                title,
                list::body(&pages, &user, &typed, &found, &reports),
            )
            .into_response()
        }
        Err(error) => failure(&user, &error),
    }
}

/// One page of results, with the reports as the tables have them now.
async fn find(
    pages: &Pages,
    user: &User,
    typed: &Typed,
    offset: usize,
    limit: usize,
) -> anyhow::Result<(crate::index::Found, Vec<Stored>)> {
    let (searcher, search) = (pages.searcher.clone(), typed.search(user));
    let found = tokio::task::spawn_blocking(move || searcher.search(&search, offset, limit)).await??;
    let mut reports = Vec::with_capacity(found.reports.len());
    for id in &found.reports {
        reports.extend(
            pages
                .store
                .stored(id)
                .await?
                .filter(|report| report.erased_at.is_none() && user.may_see(&report.verdict.comment.institution)),
        );
    }
    Ok((found, reports))
}

async fn one(State(pages): State<Arc<Pages>>, user: User, Path(id): Path<String>, Query(said): Query<keeping::Said>) -> Response {
    let report = async {
        let stored = pages.store.stored(&id).await?;
        let Some(stored) = stored.filter(|report| user.may_see(&report.verdict.comment.institution)) else {
            return Ok(None);
        };
        pages
            .store
            .record_access(user.id, user.pseudonym.as_str(), "report", std::slice::from_ref(&stored.id))
            .await?;
        let accesses = if keeping::KEEPERS.contains(&user.role) {
            pages.store.accesses(&id, 50).await?
        } else {
            Vec::new()
        };
        let keeping = keeping::Keeping::of(&pages, &stored).await?;
        anyhow::Ok(Some((pages.store.whole(stored).await?, accesses, keeping)))
    };
    match report.await {
        Ok(Some((report, accesses, keeping))) => {
            let title = format!(
                "{} {}",
                user.language.pick("Signalement", "Threat report"),
                &report.id.as_str()[..8.min(report.id.as_str().len())]
            );
            page(
                Some(&user),
                Nav::Archive,
                &title,
                html! {
                    (keeping::notice(user.language, &said))
                    (report::body(&user, &report, &accesses, &keeping, jiff::Timestamp::now()))
                },
            )
            .into_response()
        }
        Ok(None) => unknown(&user),
        Err(error) => failure(&user, &error),
    }
}

async fn export_csv(State(pages): State<Arc<Pages>>, user: User, Query(typed): Query<Typed>) -> Response {
    export(
        &pages,
        &user,
        &typed,
        "text/csv; charset=utf-8",
        "vigie-signalements.csv",
        export::csv,
    )
    .await
}

async fn export_jsonl(State(pages): State<Arc<Pages>>, user: User, Query(typed): Query<Typed>) -> Response {
    export(
        &pages,
        &user,
        &typed,
        "application/x-ndjson",
        "vigie-signalements.jsonl",
        export::jsonl,
    )
    .await
}

async fn export(
    pages: &Pages,
    user: &User,
    typed: &Typed,
    kind: &'static str,
    file: &'static str,
    write: fn(&[ThreatReport]) -> anyhow::Result<Vec<u8>>,
) -> Response {
    if let Err(refusal) = user.require(&[Role::Lead, Role::Analyst, Role::Admin]) {
        return refusal;
    }
    let bytes = async {
        let (_, stored) = find(pages, user, typed, 0, pages.export_reports_max).await?;
        let ids: Vec<ReportId> = stored.into_iter().map(|report| report.id).collect();
        pages.store.record_access(user.id, user.pseudonym.as_str(), "export", &ids).await?;
        let mut reports = Vec::with_capacity(ids.len());
        for id in &ids {
            reports.extend(pages.store.report(id.as_str()).await?);
        }
        write(&reports)
    };
    match bytes.await {
        Ok(bytes) => (
            [
                (header::CONTENT_TYPE, kind.to_owned()),
                (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{file}\"")),
            ],
            bytes,
        )
            .into_response(),
        Err(error) => failure(user, &error),
    }
}

fn unknown(user: &User) -> Response {
    let text = user.language.pick(
        "Ce signalement n’existe pas, ou concerne une autre institution.",
        "There is no such report, or it belongs to another institution.",
    );
    let title = user.language.pick("Introuvable", "Not found");
    (StatusCode::NOT_FOUND, page(Some(user), Nav::Archive, title, html! { p { (text) } })).into_response()
}

fn failure(user: &User, error: &anyhow::Error) -> Response {
    tracing::error!(error = format!("{error:#}"), "a page of the archive failed");
    let title = user.language.pick("Archive indisponible", "Archive unavailable");
    let text = user.language.pick(
        "L’archive ne répond pas. Réessayez dans un instant.",
        "The archive does not answer. Try again in a moment.",
    );
    (
        StatusCode::SERVICE_UNAVAILABLE,
        page(Some(user), Nav::Archive, title, html! { p { (text) } }),
    )
        .into_response()
}

/// The name of a state.
pub(crate) const fn state_name(language: Language, state: ReportState) -> &'static str {
    match state {
        ReportState::Signalled => language.pick("à examiner", "to be examined"),
        ReportState::Escalated => language.pick("confirmé", "confirmed"),
        ReportState::Dismissed => language.pick("écarté", "dismissed"),
        ReportState::Withdrawn => language.pick("supprimé ou modifié avant examen", "deleted or edited before anybody looked"),
    }
}

pub(crate) const fn state_badge(state: ReportState) -> &'static str {
    match state {
        ReportState::Signalled => "badge warning",
        ReportState::Escalated => "badge danger",
        ReportState::Dismissed | ReportState::Withdrawn => "badge",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_survives_the_way_through_an_address() {
        let typed = Typed {
            q: "« égorger » & <b>=1".to_owned(),
            state: "escalated".to_owned(),
            ..Typed::default()
        };
        let uri = format!("/archive?{}", typed.query(Some(3))).parse().expect("an address");
        let Query(back) = Query::<Typed>::try_from_uri(&uri).expect("a query");
        assert_eq!((back.q, back.state, back.page.as_str()), (typed.q, typed.state, "3"));
    }
}
