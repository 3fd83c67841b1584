//! Who looks at a page: the signed-in person, their role, the institutions they may see and their language.

use std::collections::BTreeSet;
use std::convert::Infallible;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::{Deserialize, Serialize};
use vigie_domain::{InstitutionId, Pseudonym};

use crate::layout::{self, Nav};

/// The signed-in person. As an extractor it sends everybody else to /sign-in; `Option<User>` does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Row in the table of users.
    pub id: i64,
    /// What they type to sign in; shown to nobody else.
    pub login: String,
    /// The name under which others see them.
    pub pseudonym: Pseudonym,
    /// What they may do.
    pub role: Role,
    /// Whose comments they may see.
    pub institutions: Scope,
    /// Language of the pages.
    pub language: Language,
    /// Anti-forgery token of this session; empty outside a request.
    pub(crate) csrf: String,
}

/// What a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Decides on comments.
    Moderator,
    /// Moderates and looks after the work of moderators.
    Lead,
    /// Reads the archive and the barometer.
    Analyst,
    /// Everything.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Moderator, Self::Lead, Self::Analyst, Self::Admin];

    /// The name used in the database and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Moderator => "moderator",
            Self::Lead => "lead",
            Self::Analyst => "analyst",
            Self::Admin => "admin",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == name)
            .ok_or_else(|| format!("unknown role `{name}`; known: moderator, lead, analyst, admin"))
    }
}

/// Whose comments a person may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Every institution, also those added later.
    All,
    /// These only.
    Institutions(BTreeSet<InstitutionId>),
}

impl Scope {
    /// Whether `institution` is within.
    #[must_use]
    pub fn contains(&self, institution: &InstitutionId) -> bool {
        match self {
            Self::All => true,
            Self::Institutions(some) => some.contains(institution),
        }
    }

    /// What a query adds to its conditions on a table with a column `institution`: the clause, its placeholders beginning with `first`,
    /// and what to bind to them.
    #[must_use]
    pub fn clause(&self, first: usize) -> (String, Vec<String>) {
        match self {
            Self::All => (String::new(), Vec::new()),
            Self::Institutions(some) if some.is_empty() => (" AND 1 = 0".to_owned(), Vec::new()),
            Self::Institutions(some) => {
                let places: Vec<String> = (first..first + some.len()).map(|place| format!("${place}")).collect();
                (
                    format!(" AND institution IN ({})", places.join(", ")),
                    some.iter().map(ToString::to_string).collect(),
                )
            }
        }
    }

    /// The form kept in the database: `*`, or a JSON list.
    pub(crate) fn to_text(&self) -> String {
        match self {
            Self::All => "*".to_owned(),
            Self::Institutions(some) => serde_json::to_string(some).expect("a list of strings is JSON"),
        }
    }

    pub(crate) fn from_text(text: &str) -> anyhow::Result<Self> {
        if text == "*" {
            Ok(Self::All)
        } else {
            Ok(Self::Institutions(serde_json::from_str(text)?))
        }
    }
}

/// Language of the pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Language {
    /// French, the first language.
    #[default]
    Fr,
    /// English.
    En,
}

impl Language {
    /// The text in this language.
    #[must_use]
    pub const fn pick(self, fr: &'static str, en: &'static str) -> &'static str {
        match self {
            Self::Fr => fr,
            Self::En => en,
        }
    }

    /// The tag in the database, in `lang` and in addresses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.pick("fr", "en")
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Fr => Self::En,
            Self::En => Self::Fr,
        }
    }
}

impl std::str::FromStr for Language {
    type Err = String;
    fn from_str(tag: &str) -> Result<Self, String> {
        match tag {
            "fr" => Ok(Self::Fr),
            "en" => Ok(Self::En),
            other => Err(format!("unknown language `{other}`; known: fr, en")),
        }
    }
}

impl User {
    /// Whether this person has one of the `allowed` roles.
    ///
    /// # Errors
    /// The page that says no, status 403.
    #[expect(
        clippy::result_large_err,
        reason = "the error is the answer to the browser, made once per refused request"
    )]
    pub fn require(&self, allowed: &[Role]) -> Result<(), Response> {
        if allowed.contains(&self.role) {
            return Ok(());
        }
        let text = self.language.pick(
            "Votre rôle ne donne pas accès à cette page. Adressez-vous à la personne qui administre Vigie.",
            "Your role does not give access to this page. Ask the person who administers Vigie.",
        );
        let title = self.language.pick("Accès refusé", "Access refused");
        Err((
            StatusCode::FORBIDDEN,
            layout::page(Some(self), Nav::None, title, maud::html! { p { (text) } }),
        )
            .into_response())
    }

    /// Whether this person may see what belongs to `institution`.
    #[must_use]
    pub fn may_see(&self, institution: &InstitutionId) -> bool {
        self.institutions.contains(institution)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for User {
    type Rejection = Redirect;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Redirect> {
        if let Some(user) = parts.extensions.get::<Self>() {
            return Ok(user.clone());
        }
        let wanted = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        if parts.method == Method::GET && wanted != "/" {
            Err(Redirect::to(&format!("/sign-in?next={}", crate::guard::encode_component(wanted))))
        } else {
            Err(Redirect::to("/sign-in"))
        }
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for User {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clause_keeps_to_the_institutions() -> Result<(), vigie_domain::IdError> {
        let some = Scope::Institutions(BTreeSet::from([InstitutionId::new("louvre")?, InstitutionId::new("orsay")?]));
        assert_eq!(
            some.clause(3),
            (
                " AND institution IN ($3, $4)".to_owned(),
                vec!["louvre".to_owned(), "orsay".to_owned()]
            )
        );
        assert_eq!(Scope::All.clause(1), (String::new(), Vec::new()));
        assert_eq!(
            Scope::Institutions(BTreeSet::new()).clause(1),
            (" AND 1 = 0".to_owned(), Vec::new()),
            "nobody's comments, not everybody's"
        );
        Ok(())
    }
}
