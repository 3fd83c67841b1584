//! The frame of every page: head, skip link, banner, navigation, main part, foot.
//!
//! Pages give the content of `<main>` below its `<h1>`, and use these classes of `vigie.css`: `panel` (a framed block), `row`
//! (children side by side, wrapping), `notice` with `info`, `warning` or `danger` (a message), `badge` with the same, `button`
//! with `primary`, `danger` or `quiet`, `data` on tables inside a `scroll` block, `field` (a label and its control), `muted`,
//! `text` (text of a comment: line breaks kept), `kbd`. `data-key="k"` on a button or link makes the key k press it, where scripts
//! run and no field has the focus. No inline style or script is ever executed: the content security policy forbids it.

use maud::{DOCTYPE, Markup, html};

use crate::assets;
use crate::user::{Language, Role, User};

/// Which entry of the navigation is the present page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nav {
    /// The next comment.
    Queue,
    /// My decisions.
    Decisions,
    /// What was asked of the platforms.
    Actions,
    /// Threat reports.
    Archive,
    /// Editions.
    Barometer,
    /// Who may sign in.
    Users,
    /// A page outside the navigation.
    None,
}

const ENTRIES: [(Nav, &str, &str, &str, &[Role]); 6] = [
    (
        Nav::Queue,
        "/queue",
        "À traiter",
        "Queue",
        &[Role::Moderator, Role::Lead, Role::Admin],
    ),
    (
        Nav::Decisions,
        "/decisions",
        "Mes décisions",
        "My decisions",
        &[Role::Moderator, Role::Lead, Role::Admin],
    ),
    (Nav::Actions, "/actions", "Actions", "Actions", &Role::ALL),
    (Nav::Archive, "/archive", "Signalements", "Threat reports", &Role::ALL),
    (Nav::Barometer, "/barometer", "Baromètre", "Barometer", &Role::ALL),
    (Nav::Users, "/users", "Utilisateurs", "Users", &[Role::Admin]),
];

/// The whole document. `title` is the heading of level 1, and the title of the window.
#[must_use]
#[expect(clippy::needless_pass_by_value, reason = "callers build the body in place")]
pub fn page(user: Option<&User>, nav: Nav, title: &str, body: Markup) -> Markup {
    document(user.map_or(Language::Fr, |user| user.language), user, nav, title, &body)
}

/// The hidden field that every POST form must hold.
#[must_use]
pub fn csrf_field(user: &User) -> Markup {
    html! { input type="hidden" name="csrf" value=(user.csrf); }
}

pub(crate) fn document(language: Language, user: Option<&User>, nav: Nav, title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang=(language.as_str()) {
            head {
                meta charset="utf-8";
                title { (title) " — Vigie" }
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex, nofollow";
                link rel="stylesheet" href=(assets::css_url());
                link rel="icon" type="image/svg+xml" href="/assets/vigie.svg";
                script src=(assets::js_url()) defer {}
            }
            body {
                a.skip href="#main" { (language.pick("Aller au contenu", "Skip to content")) }
                (banner(language, user, nav))
                main id="main" tabindex="-1" {
                    h1 { (title) }
                    (body)
                }
                (foot(language, user))
            }
        }
    }
}

fn banner(language: Language, user: Option<&User>, nav: Nav) -> Markup {
    html! {
        header.banner role="banner" {
            div.inner {
                a.brand href="/queue" aria-label=(language.pick("Vigie, accueil", "Vigie, home")) {
                    svg.mark viewBox="0 0 32 32" width="28" height="28" aria-hidden="true" focusable="false" {
                        path d="M16 6C8 6 3 16 3 16s5 10 13 10 13-10 13-10S24 6 16 6Z" fill="none" stroke="currentColor" stroke-width="2.5" {}
                        circle cx="16" cy="16" r="4.5" fill="currentColor" {}
                    }
                    span.name { "Vigie" }
                    span.tag { (language.pick("Modération des comptes officiels", "Moderation of official accounts")) }
                }
                @if let Some(user) = user {
                    div.who {
                        a href="/account" { span.visually-hidden { (language.pick("Mon compte\u{a0}: ", "My account: ")) } (user.pseudonym) }
                        form method="post" action="/language" {
                            (csrf_field(user))
                            input type="hidden" name="language" value=(language.other().as_str());
                            button.button.quiet lang=(language.other().as_str()) { (language.pick("English", "Français")) }
                        }
                        form method="post" action="/sign-out" {
                            (csrf_field(user))
                            button.button.quiet { (language.pick("Se déconnecter", "Sign out")) }
                        }
                    }
                }
            }
            @if let Some(user) = user {
                nav.inner aria-label=(language.pick("Navigation principale", "Main navigation")) {
                    ul {
                        @for (entry, href, fr, en, roles) in ENTRIES {
                            @if roles.contains(&user.role) {
                                li { a href=(href) aria-current=[(entry == nav).then_some("page")] { (language.pick(fr, en)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn foot(language: Language, user: Option<&User>) -> Markup {
    html! {
        footer.foot role="contentinfo" {
            div.inner {
                p {
                    (language.pick(
                        "Vigie aide à décider\u{202f}; chaque décision reste humaine ou encadrée par la politique de l’institution.",
                        "Vigie helps to decide; every decision is a person’s, or within the policy of the institution.",
                    ))
                }
                @if user.is_some() {
                    button.button.quiet type="button" hidden data-shortcuts
                        data-on=(language.pick("Raccourcis clavier\u{a0}: activés", "Keyboard shortcuts: on"))
                        data-off=(language.pick("Raccourcis clavier\u{a0}: désactivés", "Keyboard shortcuts: off")) {}
                }
            }
        }
    }
}
