//! Until when a report is kept, and the form with which a lead keeps it longer.

use std::sync::Arc;

use axum::extract::{Form, Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use vigie_domain::{ReportId, ReportState, ThreatReport};
use vigie_web::{Language, Role, User, csrf_field, text, words};

use super::{Pages, failure, unknown};
use crate::retention;
use crate::store::{Hold, Stored};

/// Who may keep a report beyond its time.
pub(super) const KEEPERS: [Role; 2] = [Role::Lead, Role::Admin];
const REASON_CHARS_MAX: usize = 500;

/// How long a report is kept.
pub(super) struct Keeping {
    /// When it was erased.
    pub(super) erased_at: Option<Timestamp>,
    /// From when it may be; none as long as it waits for a person.
    due: Option<Timestamp>,
    /// Who keeps or kept it longer, latest first.
    holds: Vec<Hold>,
}

impl Keeping {
    pub(super) async fn of(pages: &Pages, stored: &Stored) -> anyhow::Result<Self> {
        let retention = &pages.policies.for_account(&stored.verdict.comment.account).retention;
        Ok(Self {
            due: retention::due(stored, retention),
            erased_at: stored.erased_at,
            holds: pages.store.holds(&stored.id).await?,
        })
    }

    fn held(&self) -> Option<&Hold> {
        self.holds.iter().find(|hold| hold.lifted.is_none())
    }
}

/// What the last form led to.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Said {
    said: String,
}

pub(super) async fn hold(
    State(pages): State<Arc<Pages>>,
    user: User,
    Path(id): Path<String>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Response {
    let reason = fields.iter().find(|(key, _)| key == "reason").map_or("", |(_, value)| value.trim());
    let said = match reason.chars().count() {
        0 => Some("no-reason"),
        count if count > REASON_CHARS_MAX => Some("long-reason"),
        _ => None,
    };
    change(&pages, &user, &id, "hold", said, async |id| {
        let done = pages.store.hold(id, user.id, user.pseudonym.as_str(), reason).await?;
        Ok(if done { "held" } else { "not-held" })
    })
    .await
}

pub(super) async fn lift(State(pages): State<Arc<Pages>>, user: User, Path(id): Path<String>) -> Response {
    change(&pages, &user, &id, "lift", None, async |id| {
        let done = pages.store.lift(id, user.pseudonym.as_str()).await?;
        Ok(if done { "lifted" } else { "not-lifted" })
    })
    .await
}

/// Does something to a report that the user may see, writes down who did it, and shows the report again. `refused`: what is said instead.
async fn change(
    pages: &Pages,
    user: &User,
    id: &str,
    kind: &'static str,
    refused: Option<&'static str>,
    of: impl AsyncFnOnce(&ReportId) -> anyhow::Result<&'static str>,
) -> Response {
    if let Err(refusal) = user.require(&KEEPERS) {
        return refusal;
    }
    let changed = async {
        let stored = pages.store.stored(id).await?;
        let Some(report) = stored.filter(|report| user.may_see(&report.verdict.comment.institution)) else {
            return Ok(None);
        };
        if let Some(said) = refused {
            return Ok(Some((report.id, said)));
        }
        pages
            .store
            .record_access(user.id, user.pseudonym.as_str(), kind, std::slice::from_ref(&report.id))
            .await?;
        let said = of(&report.id).await?;
        anyhow::Ok(Some((report.id, said)))
    };
    match changed.await {
        Ok(Some((id, said))) => Redirect::to(&format!("/archive/{id}?said={said}")).into_response(),
        Ok(None) => unknown(user),
        Err(error) => failure(user, &error),
    }
}

pub(super) fn notice(language: Language, said: &Said) -> Markup {
    let (class, fr, en) = match said.said.as_str() {
        "held" => (
            "notice info",
            "Ce dossier est conservé jusqu’à ce qu’un responsable lève la conservation.",
            "This report is kept until a lead lifts that.",
        ),
        "lifted" => (
            "notice info",
            "La conservation est levée\u{a0}: la durée ordinaire s’applique de nouveau.",
            "The ordinary time applies again.",
        ),
        "no-reason" => (
            "notice warning",
            "Indiquez le motif, par exemple le numéro de la plainte\u{a0}: rien n’a été changé.",
            "Give the reason, for example the number of the complaint: nothing was changed.",
        ),
        "long-reason" => (
            "notice warning",
            "Le motif dépasse 500\u{a0}caractères\u{a0}: rien n’a été changé.",
            "The reason is longer than 500 characters: nothing was changed.",
        ),
        "not-held" => (
            "notice warning",
            "Ce dossier est déjà conservé, ou a été effacé.",
            "This report is kept already, or was erased.",
        ),
        "not-lifted" => ("notice warning", "Personne ne conserve ce dossier.", "Nobody keeps this report."),
        _ => return html! {},
    };
    html! { p class=(class) role="status" { (language.pick(fr, en)) } }
}

pub(super) fn erased(language: Language, at: Timestamp) -> Markup {
    html! {
        section.panel aria-labelledby="erased" {
            h2 id="erased" { (language.pick("Dossier effacé", "Erased report")) }
            p {
                (language.pick("Le texte, l’auteur et les notes ont été effacés le ", "Text, author and notes were erased on "))
                (words::instant(language, at))
                (language.pick(
                    "\u{a0}: leur durée de conservation était atteinte. Restent les dates, les étiquettes et la chaîne de preuves.",
                    ": their time was over. Dates, labels and the evidence chain remain.",
                ))
            }
        }
    }
}

pub(super) fn panel(user: &User, report: &ThreatReport, keeping: &Keeping) -> Markup {
    let language = user.language;
    let (may_keep, held) = (KEEPERS.contains(&user.role), keeping.held());
    let action = |what: &str| format!("/archive/{}/{what}", report.id);
    html! {
        section.panel aria-labelledby="keeping" {
            h2 id="keeping" { (language.pick("Conservation", "How long it is kept")) }
            @if let Some(hold) = held {
                p {
                    strong { (language.pick("conservé au-delà de l’échéance", "kept beyond its time")) }
                    ", " (hold.pseudonym) ", " (words::instant(language, hold.held_at))
                }
                p.text { (text::plain(&hold.reason)) }
                @if may_keep {
                    form method="post" action=(action("lift")) {
                        (csrf_field(user))
                        button.button { (language.pick("Lever la conservation", "Keep it no longer")) }
                    }
                }
            }
            (rule(language, report.state, keeping.due))
            @if may_keep && held.is_none() {
                details {
                    summary { (language.pick("Conserver plus longtemps", "Keep it longer")) }
                    form method="post" action=(action("hold")) {
                        (csrf_field(user))
                        p {
                            label for="reason" { (language.pick("Motif (plainte, procédure, réquisition)", "Reason (complaint, proceedings, request of a court)")) }
                            textarea id="reason" name="reason" rows="3" maxlength=(REASON_CHARS_MAX) required {}
                        }
                        button.button { (language.pick("Conserver", "Keep")) }
                    }
                }
            }
            @if keeping.holds.iter().any(|hold| hold.lifted.is_some()) {
                ul.plain.small { @for (hold, (at, by)) in keeping.holds.iter().filter_map(|hold| Some((hold, hold.lifted.as_ref()?))) {
                    li {
                        (language.pick("conservé du ", "kept from ")) (words::instant(language, hold.held_at)) " (" (hold.pseudonym) ")"
                        (language.pick(" au ", " to ")) (words::instant(language, *at)) " (" (by) ")"
                    }
                } }
            }
        }
    }
}

fn rule(language: Language, state: ReportState, due: Option<Timestamp>) -> Markup {
    html! {
        @match due {
            None => p { (language.pick("Conservé tant que personne n’a décidé.", "Kept as long as nobody has decided.")) },
            Some(due) => p { (language.pick("Durée ordinaire\u{a0}: jusqu’au ", "Ordinary time: until ")) (words::instant(language, due)) },
        }
        @if state == ReportState::Escalated {
            p.muted.small {
                (language.pick(
                    "Au moins jusqu’à la fin de la prescription\u{a0}; six ans si aucun fondement n’est retenu. Le texte est ensuite effacé.",
                    "At least to the end of the limitation period; six years where no legal basis was chosen. Then the text is erased.",
                ))
            }
        }
    }
}
