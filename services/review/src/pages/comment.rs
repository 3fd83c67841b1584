//! One comment in somebody's hands: its context, the text with the hits marked, the decision, the labels, skipping.

use maud::{Markup, html};
use vigie_domain::{Act, Comment, Explanation, LegalBasis, Outcome, RuleHit, Target, Verdict};
use vigie_web::text::{self, Mark, MarkKind};
use vigie_web::{Language, User, csrf_field, words};

use super::analysis::{self, weighed};
use super::form::SKIP_REASONS;
use super::{Console, key, time};
use crate::item::Origin;
use crate::queue::{Lease, NOTE_CHARACTERS_MAX, Ruling, now};
use crate::reading::{Neighbour, Waiting};

const HEARTBEAT_SECONDS: u32 = 30;
/// A neighbour is there to be understood from, not to be judged.
const NEIGHBOUR_CHARACTERS: usize = 400;

/// What the page of one comment shows.
pub(crate) struct CommentPage<'a> {
    pub(crate) console: &'a Console,
    pub(crate) user: &'a User,
    pub(crate) lease: &'a Lease,
    pub(crate) neighbours: &'a [Neighbour],
    pub(crate) waiting: Waiting,
    /// What the person entered before the decision was found to lack something.
    pub(crate) entered: Option<&'a Ruling>,
}

impl CommentPage<'_> {
    pub(crate) fn body(&self) -> Markup {
        let language = self.user.language;
        html! {
            p.notice.warning role="alert" hidden data-heartbeat-lost {
                (language.pick("Ce commentaire n’est plus réservé pour vous. ", "This comment is no longer reserved for you. "))
                a href="/queue" { (language.pick("Reprendre la file", "Back to the queue")) }
            }
            (self.status_line())
            form id="lease" hidden data-heartbeat="/queue/heartbeat" data-heartbeat-seconds=(HEARTBEAT_SECONDS) { (self.hidden_fields()) }
            div.columns {
                div {
                    (self.comment())
                    form id="decide" method="post" action="/queue/decide" data-no-enter {
                        (self.hidden_fields())
                        // Enter in a field presses the first button of a form: this one, which decides nothing, and not "keep".
                        button hidden name="outcome" value="" {}
                        (self.labels())
                        (self.buttons())
                    }
                    (self.skip_form())
                }
                (analysis::aside(self.console, language, self.lease))
            }
        }
    }

    fn verdict(&self) -> &Verdict {
        &self.lease.item.verdict
    }

    fn status_line(&self) -> Markup {
        let language = self.user.language;
        let item = &self.lease.item;
        let minutes = (now() - item.queued_at).max(0) / 60_000;
        let policy = self.console.policies.for_account(&item.verdict.comment.account);
        let levels = &policy.service_levels;
        let allowed = if item.urgent {
            levels.urgent_minutes
        } else {
            levels.normal_minutes
        };
        html! {
            div.row.status-line {
                @if self.lease.blind {
                    span.badge.info { (language.pick("Contrôle à l’aveugle", "Blind check")) }
                } @else {
                    @if item.urgent { span.badge.danger { (language.pick("Urgent", "Urgent")) } }
                    @if minutes >= i64::from(allowed) {
                        span.badge.warning { (language.pick("En retard", "Late")) }
                    }
                    @if item.origin == Origin::Quota {
                        span.badge.warning { (language.pick("Quota automatique du jour épuisé", "Today’s automatic quota is used up")) }
                    }
                }
                span.muted {
                    (language.pick("En attente depuis ", "Waiting for ")) (words::minutes(language, minutes)) " · "
                    (others(language, self.waiting))
                }
            }
        }
    }

    fn comment(&self) -> Markup {
        let language = self.user.language;
        let verdict = self.verdict();
        let comment = &verdict.comment;
        let blind = self.lease.blind;
        let explanation = verdict.explanation.as_ref().filter(|_| !blind);
        let mut marks: Vec<Mark> = if blind {
            Vec::new()
        } else {
            verdict.rules.iter().map(|hit| mark(language, hit)).collect()
        };
        marks.extend(explanation.into_iter().flat_map(|explanation| weights(language, explanation)));
        let shown = html! {
            div.text dir="auto" lang=[verdict.language.as_deref()] { (text::marked(&comment.text, &marks)) }
            @if let Some(explanation) = explanation { (weighed(language, explanation, &comment.text)) }
        };
        let reveal = &self.console.queue.config.keys.reveal;
        html! {
            article.panel.comment aria-label=(language.pick("Commentaire", "Comment")) {
                p.byline.muted {
                    strong { (self.console.account_name(comment)) } " · " (words::platform(language, comment.platform)) " · "
                    (time(language, comment.created_at))
                    @if comment.edited_at.is_some() { " · " (language.pick("modifié", "edited")) }
                }
                (context(language, comment))
                @if blind || self.lease.item.severe {
                    details.veil {
                        summary data-key=(reveal) aria-keyshortcuts=(reveal) {
                            @if blind { (language.pick("Afficher le texte (replié, comme pour tout contrôle à l’aveugle)", "Show the text (folded, as for every blind check)")) }
                            @else { (language.pick("Afficher le texte (il peut heurter)", "Show the text (it may distress)")) }
                            (key(reveal))
                        }
                        (shown)
                    }
                } @else { (shown) }
                @if comment.text.trim().is_empty() { p.muted { em { (language.pick("Commentaire sans texte.", "Comment without text.")) } } }
                @if comment.truncated { p.muted { (language.pick("Texte coupé à la collecte\u{a0}: il dépassait 1\u{a0}Mio.", "Text cut when collected: it was over 1 MiB.")) } }
                (self.thread())
            }
        }
    }

    /// Other comments under the same post. Severe ones are folded; nothing says what was decided on them.
    fn thread(&self) -> Markup {
        let language = self.user.language;
        html! {
            @if !self.neighbours.is_empty() {
                details.thread {
                    summary {
                        (language.pick("Autres commentaires de cette publication passés par la file", "Other comments on this post that came through the queue"))
                        " (" (self.neighbours.len()) ")"
                    }
                    ul {
                        @for neighbour in self.neighbours {
                            li {
                                span.muted.small {
                                    (time(language, neighbour.comment.created_at))
                                    @if self.same_author(&neighbour.comment) { " · " (language.pick("même auteur", "same author")) }
                                }
                                @let excerpt = excerpt(&neighbour.comment.text, NEIGHBOUR_CHARACTERS);
                                @if neighbour.severe {
                                    details { summary.small { (language.pick("Texte susceptible de heurter", "Text that may distress")) } div.text { (text::plain(&excerpt)) } }
                                } @else { div.text dir="auto" { (text::plain(&excerpt)) } }
                            }
                        }
                    }
                }
            }
        }
    }

    fn same_author(&self, other: &Comment) -> bool {
        let author = self.verdict().comment.author.as_ref();
        author.is_some() && author == other.author.as_ref()
    }

    fn buttons(&self) -> Markup {
        let language = self.user.language;
        let keys = &self.console.queue.config.keys;
        let distress = !self.lease.blind && self.verdict().acts().contains(&Act::Distress);
        let button = |outcome: Outcome, class: &str, letter: &str, fr: &'static str, en: &'static str| {
            html! {
                button class={ "button " (class) } name="outcome" value=(outcome.as_str()) data-key=(letter) aria-keyshortcuts=(letter) {
                    (language.pick(fr, en)) (key(letter))
                }
            }
        };
        html! {
            div.decide {
                div.row role="group" aria-label=(language.pick("Décision", "Decision")) {
                    (button(Outcome::Keep, "primary", &keys.keep, "Conserver", "Keep"))
                    (button(Outcome::Hide, "", &keys.hide, "Masquer", "Hide"))
                    @if !distress { (button(Outcome::Delete, "", &keys.delete, "Supprimer", "Delete")) }
                    (button(Outcome::Escalate, "danger", &keys.escalate, "Transmettre", "Escalate"))
                }
                p.muted.small { (what_escalating_does(language, distress)) }
            }
        }
    }

    fn labels(&self) -> Markup {
        let language = self.user.language;
        let keys = &self.console.queue.config.keys;
        let blind = self.lease.blind;
        let open = blind || self.entered.is_some();
        html! {
            details.panel.labels open[open] {
                summary data-key=(keys.labels) aria-keyshortcuts=(keys.labels) {
                    @if blind { (language.pick("Préciser la décision", "Give details")) }
                    @else { (language.pick("Préciser la décision (facultatif)", "Give details (optional)")) }
                    (key(&keys.labels))
                }
                fieldset {
                    legend { (language.pick("Nature des propos", "What the comment does")) }
                    @if blind {
                        p.muted.small {
                            (language.pick(
                                "Nécessaire pour masquer, supprimer ou transmettre\u{202f}; si rien n’est coché, \
                                 «\u{a0}Conserver\u{a0}» signifie\u{a0}: rien de tout cela.",
                                "Needed to hide, delete or escalate; without a tick, “Keep” means: none of these.",
                            ))
                        }
                    }
                    div.choices {
                        @for act in Act::ALL {
                            label {
                                input type="checkbox" name="act" value=(act.as_str()) checked[self.entered.is_some_and(|ruling| ruling.acts.contains(&act))];
                                (words::act(language, act))
                            }
                        }
                    }
                }
                fieldset {
                    legend { (language.pick("Personnes visées", "Whom it aims at")) }
                    div.choices {
                        @for target in Target::ALL {
                            label {
                                input type="checkbox" name="target" value=(target.as_str()) checked[self.entered.is_some_and(|ruling| ruling.targets.contains(&target))];
                                (words::target(language, target))
                            }
                        }
                    }
                }
                (self.legal_basis())
                div.field {
                    label for="note" { (language.pick("Note (facultative)", "Note (optional)")) (key(&keys.note)) }
                    textarea id="note" name="note" maxlength=(NOTE_CHARACTERS_MAX) data-key=(keys.note) aria-keyshortcuts=(keys.note) {
                        (self.entered.and_then(|ruling| ruling.note.as_deref()).unwrap_or_default())
                    }
                }
            }
        }
    }

    fn legal_basis(&self) -> Markup {
        let language = self.user.language;
        let proposed = if self.lease.blind {
            Vec::new()
        } else {
            analysis::proposed(self.verdict())
        };
        let entered = self.entered.and_then(|ruling| ruling.legal_basis);
        let option = |basis: LegalBasis| {
            html! { option value=(basis.as_str()) selected[entered == Some(basis)] { (words::legal_basis(basis)) " — " (basis.text()) } }
        };
        html! {
            div.field {
                label for="legal_basis" { (language.pick("Fondement juridique, si vous transmettez", "Legal basis, where you escalate")) }
                select id="legal_basis" name="legal_basis" {
                    option value="" { (language.pick("À qualifier plus tard", "To be qualified later")) }
                    @if !proposed.is_empty() {
                        optgroup label=(language.pick("Proposés d’après l’analyse", "Proposed after the analysis")) {
                            @for basis in &proposed { (option(*basis)) }
                        }
                    }
                    optgroup label=(language.pick("Tous les autres", "All others")) {
                        @for basis in LegalBasis::ALL { @if !proposed.contains(&basis) { (option(basis)) } }
                    }
                }
            }
        }
    }

    fn skip_form(&self) -> Markup {
        let language = self.user.language;
        let letter = &self.console.queue.config.keys.skip;
        html! {
            details.panel {
                summary data-key=(letter) aria-keyshortcuts=(letter) { (language.pick("Passer ce commentaire", "Skip this comment")) (key(letter)) }
                form.inline-form method="post" action="/queue/skip" {
                    (self.hidden_fields())
                    div.field {
                        label for="reason" { (language.pick("Raison", "Reason")) }
                        select id="reason" name="reason" required {
                            option value="" { (language.pick("Choisir une raison", "Choose a reason")) }
                            @for (code, fr, en) in SKIP_REASONS { option value=(code) { (language.pick(fr, en)) } }
                        }
                    }
                    button.button { (language.pick("Passer", "Skip")) }
                }
            }
        }
    }

    fn hidden_fields(&self) -> Markup {
        html! {
            (csrf_field(self.user))
            input type="hidden" name="item" value=(self.lease.item.revision);
            input type="hidden" name="fence" value=(self.lease.fence);
        }
    }
}

/// How much waits besides this comment.
fn others(language: Language, waiting: Waiting) -> Markup {
    let Waiting { waiting, urgent, .. } = waiting;
    html! {
        @if language == Language::Fr {
            (waiting) (if waiting > 1 { "\u{a0}autres commentaires" } else { "\u{a0}autre commentaire" })
            @if urgent > 0 { ", dont " strong { (urgent) } (if urgent > 1 { "\u{a0}urgents" } else { "\u{a0}urgent" }) }
        } @else {
            "after this one: " (waiting)
            @if urgent > 0 { ", urgent ones: " strong { (urgent) } }
        }
    }
}

/// What follows from escalating, as the enforcer plans it: the word alone does not say it. A blind check never sets `distress`.
const fn what_escalating_does(language: Language, distress: bool) -> &'static str {
    if distress {
        return language.pick(
            "Transmettre\u{a0}: le commentaire reste visible (sauf s’il attaque aussi quelqu’un\u{a0}: il est alors masqué), \
             rien d’autre n’est demandé à la plateforme et un dossier est ouvert.",
            "Escalate: the comment stays visible (unless it attacks somebody as well: it is hidden), \
             nothing else is asked of the platform, and a report is opened.",
        );
    }
    language.pick(
        "Transmettre\u{a0}: le commentaire est masqué, signalé à la plateforme et un dossier est ouvert. Si vous ne cochez que \
         «\u{a0}détresse\u{a0}», il reste visible et rien n’est demandé à la plateforme.",
        "Escalate: the comment is hidden and reported to the platform, and a report is opened. If you tick only “distress”, \
         it stays visible and nothing is asked of the platform.",
    )
}

/// The beginning of a text.
pub(crate) fn excerpt(text: &str, characters: usize) -> String {
    let mut excerpt: String = text.chars().take(characters).collect();
    if excerpt.len() < text.len() {
        excerpt.push('…');
    }
    excerpt
}

fn context(language: Language, comment: &Comment) -> Markup {
    html! {
        @if let Some(post) = &comment.context.post_text {
            div.context { h2 { (language.pick("Publication", "Post")) } div.text dir="auto" { (text::plain(post)) } }
        }
        @if let Some(parent) = &comment.context.parent_text {
            div.context { h2 { (language.pick("En réponse à", "In answer to")) } div.text dir="auto" { (text::plain(parent)) } }
        }
    }
}

fn mark(language: Language, hit: &RuleHit) -> Mark {
    let target = hit
        .target
        .map(|target| format!(" → {}", words::target(language, target)))
        .unwrap_or_default();
    Mark {
        span: hit.span,
        kind: MarkKind::Found,
        title: format!("{}{target} ({})", words::found(language, hit.act), hit.rule),
    }
}

/// The words that moved the score.
fn weights(language: Language, explanation: &Explanation) -> Vec<Mark> {
    let words = explanation.words.iter().take(analysis::WORDS_MAX);
    let mark = |word: &vigie_domain::WordWeight| Mark {
        span: word.span,
        kind: MarkKind::Weighed,
        title: if word.weight < 0.0 {
            language.pick("abaisse le score", "lowers the score").to_owned()
        } else {
            language.pick("relève le score", "raises the score").to_owned()
        },
    };
    words.map(mark).collect()
}
