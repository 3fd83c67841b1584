//! The page of an edition: French, for the screen and for paper, with nothing fetched from elsewhere.
//!
//! Every figure stands with its interval, n, N and a link to its method; counts of activity stand apart and are never called prevalence.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{MANIFEST, METHOD_VERSION};
use crate::figures::{Count, Estimated, Figures, LABELS_MIN, Prevalence, Reason, ScopeFigures};
use crate::french::{count, date, percent};
use crate::inputs::{Kind, Scope};

pub(super) const STYLE: &str = "
:root { color-scheme: light; }
body { font: 1rem/1.5 system-ui, sans-serif; color: #161616; background: #fff; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; border-bottom: 2px solid #000091; padding-bottom: .25rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; } caption { text-align: left; font-weight: bold; padding: .25rem 0; }
th, td { border: 1px solid #929292; padding: .4rem .6rem; text-align: left; vertical-align: top; } td.n { text-align: right; white-space: nowrap; }
thead th { background: #eee; } .note { color: #3a3a3a; font-size: .9rem; } .warn { border-left: 6px solid #b34000; background: #ffe9e6; padding: .75rem 1rem; }
.headline { font-size: 1.25rem; } code { overflow-wrap: anywhere; } a { color: #000091; } a:focus { outline: 3px solid #0a76f6; outline-offset: 2px; }
.scroll { overflow-x: auto; } svg { max-width: 100%; height: auto; }
@media print { body { max-width: none; padding: 0; font-size: 10pt; } h2 { break-after: avoid; } table, figure { break-inside: avoid; } a { color: inherit; } }
";

/// The page.
pub(super) fn page(figures: &Figures, inputs_sha256: &str) -> Markup {
    let (from, to) = (date(figures.period.from()), date(figures.period.to()));
    let title = format!("Baromètre des commentaires injurieux et haineux, du {from} au {to}");
    html! {
        (DOCTYPE)
        html lang="fr" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header { h1 { (title) } }
                main {
                    @if figures.provisional {
                        p.warn {
                            strong { "Édition provisoire, à ne pas publier." }
                            " La période n’est pas terminée, ou trop peu de commentaires ont été contrôlés à l’aveugle\u{a0}: "
                            "ces chiffres changeront."
                        }
                    }
                    (headline(figures))
                    (institutions(figures))
                    (activity(figures))
                    (other_indicators())
                    (method(figures))
                    (data(inputs_sha256))
                }
            }
        }
    }
}

fn headline(figures: &Figures) -> Markup {
    let Some(all) = figures.scopes.first() else { return html! {} };
    html! {
        section aria-labelledby="prevalence" {
            h2 id="prevalence" { "Part des commentaires reçus, avant modération" }
            @match &all.abusive {
                Prevalence::Estimated(abusive) => {
                    p.headline {
                        "Environ " strong { (percent(abusive.value)) } " des commentaires reçus sont injurieux ou menaçants "
                        "(intervalle à 95\u{202f}%\u{a0}: de " (percent(abusive.interval.lower))
                        " à " (percent(abusive.interval.upper)) ")."
                    }
                }
                Prevalence::Withheld(reason @ (Reason::FewLabels { .. } | Reason::EmptyStratum { .. })) => {
                    p.warn {
                        strong { "Trop peu de commentaires contrôlés à l’aveugle pour publier ce chiffre." } " "
                        (explain(reason))
                    }
                }
                Prevalence::Withheld(reason) => { p.warn { strong { "Ce chiffre n’est pas publié." } " " (explain(reason)) } }
            }
            div.scroll { (prevalence_table("Prévalence estimée, ensemble des comptes", &[all])) }
            (chart(figures))
        }
    }
}

fn institutions(figures: &Figures) -> Markup {
    let institutions: Vec<&ScopeFigures> = figures
        .scopes
        .iter()
        .filter(|scope| matches!(scope.scope, Scope::Institution { .. }))
        .collect();
    let accounts: Vec<&ScopeFigures> = figures
        .scopes
        .iter()
        .filter(|scope| matches!(scope.scope, Scope::Account { .. }))
        .collect();
    html! {
        @if !institutions.is_empty() {
            section aria-labelledby="institutions" {
                h2 id="institutions" { "Par institution et par compte" }
                p.note {
                    "Lorsque leurs intervalles se chevauchent, deux institutions ne peuvent pas être classées "
                    "l’une par rapport à l’autre. Une valeur est couverte par le secret statistique "
                    "(«\u{a0}secret\u{a0}») lorsqu’elle repose sur moins de onze personnes ou que l’une d’elles "
                    "en représente plus de 85\u{202f}%."
                }
                div.scroll { (prevalence_table("Prévalence estimée par institution", &institutions)) }
                div.scroll { (prevalence_table("Prévalence estimée par compte", &accounts)) }
            }
        }
    }
}

fn prevalence_table(caption: &str, scopes: &[&ScopeFigures]) -> Markup {
    html! {
        table {
            caption { (caption) }
            thead { tr {
                th scope="col" { "Périmètre" } th scope="col" { "Indicateur" } th scope="col" { "Estimation" }
                th scope="col" { "Intervalle à 95\u{202f}%" } th scope="col" { "n contrôlés à l’aveugle" }
                th scope="col" { "N reçus" } th scope="col" { "Méthode" }
            } }
            tbody {
                @for scope in scopes {
                    @for (indicator, prevalence) in [("Injurieux ou menaçant", &scope.abusive), ("Haineux", &scope.hate)] {
                        tr {
                            th scope="row" { (name(&scope.scope)) }
                            td { (indicator) }
                            @match prevalence {
                                Prevalence::Estimated(estimated) => (estimated_cells(estimated)),
                                Prevalence::Withheld(reason) => td colspan="5" { (withheld(reason)) },
                            }
                        }
                    }
                }
            }
        }
    }
}

fn estimated_cells(estimated: &Estimated) -> Markup {
    html! {
        td.n { (percent(estimated.value)) }
        td.n { (percent(estimated.interval.lower)) " – " (percent(estimated.interval.upper)) }
        td.n { (count(estimated.audited)) }
        td.n { (count(estimated.received)) }
        td { a href="#methode" { "MOVER-Wilson stratifié, v" (METHOD_VERSION) } }
    }
}

fn name(scope: &Scope) -> String {
    match scope {
        Scope::All => "Ensemble".to_owned(),
        Scope::Institution { institution } => institution.clone(),
        Scope::Account { institution, account } => format!("{institution} / {account}"),
    }
}

fn withheld(reason: &Reason) -> Markup {
    html! {
        @match reason {
            Reason::Confidential => "secret",
            Reason::Nothing => "aucun commentaire reçu",
            Reason::FewLabels { .. } | Reason::EmptyStratum { .. } => {
                "trop peu de commentaires contrôlés à l’aveugle pour publier ce chiffre. " span.note { (explain(reason)) }
            },
        }
    }
}

fn explain(reason: &Reason) -> String {
    match reason {
        Reason::Nothing => "Aucun commentaire n’a été reçu.".to_owned(),
        Reason::Confidential => "Il renseignerait sur trop peu de personnes (secret statistique).".to_owned(),
        Reason::FewLabels { have } => {
            let checked = if *have > 1 {
                "commentaires ont été contrôlés"
            } else {
                "commentaire a été contrôlé"
            };
            format!("{have}\u{a0}{checked} à l’aveugle\u{202f}; il en faut au moins {LABELS_MIN}.")
        }
        Reason::EmptyStratum { stratum } => format!(
            "La strate «\u{a0}{}\u{a0}» compte trop peu de commentaires contrôlés à l’aveugle, et aucune strate voisine \
             n’a été tirée avec la même probabilité.",
            strata_names(stratum)
        ),
    }
}

/// Joined names of strata, those of the default policy in French; any other name as the policy gives it.
fn strata_names(joined: &str) -> String {
    joined.split(" + ").map(stratum_name).collect::<Vec<&str>>().join(" + ")
}

fn stratum_name(name: &str) -> &str {
    match name {
        "low" => "très bas",
        "middle" => "moyen",
        "high" => "élevé",
        "top" => "très élevé",
        other => other,
    }
}

fn chart(figures: &Figures) -> Markup {
    let bars: Vec<(String, &Estimated)> = figures
        .scopes
        .iter()
        .filter(|scope| !matches!(scope.scope, Scope::Account { .. }))
        .filter_map(|scope| match &scope.abusive {
            Prevalence::Estimated(estimated) => Some((name(&scope.scope), estimated)),
            Prevalence::Withheld(_) => None,
        })
        .collect();
    let most = bars.iter().map(|(_, bar)| bar.interval.upper).fold(0.0, f64::max);
    if most <= 0.0 {
        return html! {};
    }
    let x = |value: f64| format!("{:.1}", 220.0 + 480.0 * value / most);
    let height = 30 * bars.len() + 10;
    html! {
        figure {
            svg viewBox=(format!("0 0 720 {height}")) role="img"
                aria-label="Estimations et intervalles à 95\u{202f}%, mêmes valeurs que dans les tableaux" {
                line x1="220" x2="220" y1="0" y2=(height) stroke="#929292" {}
                @for (place, (label, bar)) in bars.iter().enumerate() {
                    @let y = 30 * place + 20;
                    text x="0" y=(y + 4) font-size="13" { (label.chars().take(30).collect::<String>()) }
                    line x1=(x(bar.interval.lower)) x2=(x(bar.interval.upper)) y1=(y) y2=(y) stroke="#000091" stroke-width="3" {}
                    circle cx=(x(bar.value)) cy=(y) r="5" fill="#000091" {}
                }
            }
            figcaption.note {
                "Injurieux ou menaçant\u{a0}: estimation (point) et intervalle à 95\u{202f}% (trait), de 0 à " (percent(most)) "."
            }
        }
    }
}

fn activity(figures: &Figures) -> Markup {
    let title = |kind: Kind| match kind {
        Kind::Received => "Reçus",
        Kind::HiddenAutomatically => "Masqués automatiquement",
        Kind::SentToReview => "Soumis à une personne",
        Kind::RemovedByPerson => "Masqués ou supprimés par une personne",
        Kind::Reported => "Signalements ouverts (menaces, danger)",
        Kind::DeletedUpstream => "Supprimés sur la plateforme",
    };
    html! {
        section aria-labelledby="activite" {
            h2 id="activite" { "Activité de modération" }
            p {
                "Ces décomptes décrivent l’activité de modération. "
                strong { "Ils ne mesurent pas la part des commentaires haineux." }
                " Ils sont arrondis au multiple de 5 le plus proche."
            }
            div.scroll { table {
                caption { "Décomptes d’activité" }
                thead { tr { th scope="col" { "Périmètre" } @for kind in Kind::ALL { th scope="col" { (title(kind)) } } } }
                tbody {
                    @for scope in figures.scopes.iter() {
                        tr {
                            th scope="row" { (name(&scope.scope)) }
                            @for kind in Kind::ALL {
                                @match scope.counts.get(&kind) {
                                    Some(Count::Shown(number)) => td.n { (count(*number)) },
                                    _ => td.n { "secret" },
                                }
                            }
                        }
                    }
                }
            } }
        }
    }
}

fn other_indicators() -> Markup {
    html! {
        section aria-labelledby="non-mesure" {
            h2 id="non-mesure" { "Ce que cette édition ne mesure pas" }
            ul {
                li { strong { "Encore visible après modération" } "\u{a0}: non mesuré dans cette édition." }
                li {
                    strong { "Vu par le public" }
                    "\u{a0}: les plateformes suivies ne donnent pas le nombre de vues de chaque commentaire."
                }
                li {
                    strong { "Évolution" }
                    "\u{a0}: aucune tendance n’est indiquée sans test statistique\u{202f}; la comparaison de deux périodes n’est "
                    "pas dans cette édition."
                }
            }
        }
    }
}

fn method(figures: &Figures) -> Markup {
    let all = figures.scopes.first();
    let shown = all.is_some_and(|all| matches!(all.counts.get(&Kind::Received), Some(Count::Shown(_))));
    html! {
        section aria-labelledby="methode" {
            h2 id="methode" { "Méthode (version " (METHOD_VERSION) ")" }
            p {
                "Chaque commentaire reçu a une probabilité connue et non nulle d’être tiré au sort puis contrôlé à l’aveugle, "
                "c’est-à-dire examiné par une personne qui ne voit ni le score ni les règles. "
                "Les signalements et les retraits n’entrent pas dans ce tirage. Le tirage est stratifié par score du modèle."
            }
            p {
                "Estimation\u{a0}: p̂ = Σ W" sub { "h" } " p̂" sub { "h" } ", avec W" sub { "h" } " = N" sub { "h" } "/N. "
                "Intervalle MOVER-Wilson à 95\u{202f}%\u{a0}: L = p̂ − √Σ W" sub { "h" } "²(p̂" sub { "h" }
                " − l" sub { "h" } ")², "
                "U = p̂ + √Σ W" sub { "h" } "²(u" sub { "h" } " − p̂" sub { "h" } ")², où (l" sub { "h" } ", u" sub { "h" } ") est l’intervalle de Wilson de la strate h. "
                "Il porte sur les commentaires reçus pendant la période."
            }
            p {
                "«\u{a0}Injurieux ou menaçant\u{a0}»\u{a0}: menace, incitation à la haine ou à la violence, négationnisme, "
                "apologie du terrorisme, divulgation de données, harcèlement, injure, propos sexuel ou sexiste. "
                "«\u{a0}Haineux\u{a0}»\u{a0}: l’un de ces actes, visant l’origine, la religion, le sexe, l’orientation sexuelle, "
                "l’identité de genre ou le handicap. "
                "La critique, même vive, et les mots grossiers n’en font pas partie."
            }
            p {
                "Un commentaire compte une fois, au jour de sa publication (heure de Paris), dans son dernier état. "
                "Il faut au moins " (LABELS_MIN) " commentaires contrôlés à l’aveugle, et deux dans chaque strate. Une strate "
                "qui n’en compte pas assez n’est réunie à sa voisine que si toutes deux ont été tirées avec la même "
                "probabilité\u{202f}; sinon rien n’est publié."
            }
            @if let (Some(all), true) = (all, shown) {
                div.scroll { table {
                    caption { "Contrôle à l’aveugle par strate, des scores les plus bas aux plus élevés" }
                    thead { tr {
                        th scope="col" { "Strate" } th scope="col" { "Probabilité de tirage" } th scope="col" { "N reçus" }
                        th scope="col" { "tirés" } th scope="col" { "n contrôlés à l’aveugle" }
                    } }
                    tbody {
                        @for stratum in &all.strata {
                            tr {
                                th scope="row" { (strata_names(&stratum.names.join(" + "))) }
                                td.n { (stratum.probability.replace('.', ",")) }
                                td.n { (count(crate::estimate::disclosure::round(stratum.received))) }
                                td.n { (count(stratum.selected)) }
                                td.n { (count(stratum.audited)) }
                            }
                        }
                    }
                } }
            }
            @if let Some(share) = all.and_then(labelled_share) {
                p.note {
                    (percent(share)) " des commentaires tirés ont été contrôlés à l’aveugle. L’estimation suppose que les autres "
                    "leur ressemblent, strate par strate."
                }
            }
            @if let Some(Prevalence::Estimated(Estimated { clustered: Some(clustered), .. })) = all.map(|all| &all.abusive) {
                p.note {
                    "Vérification\u{a0}: les commentaires d’une même publication se ressemblent. Pour une population plus large "
                    "que les commentaires reçus, l’intervalle (t de Student sur " (count(clustered.posts as u64))
                    " publications) irait de " (percent(clustered.interval.lower)) " à " (percent(clustered.interval.upper)) "."
                }
            }
        }
    }
}

/// Of the comments drawn, the share that has a label.
fn labelled_share(all: &ScopeFigures) -> Option<f64> {
    let (selected, audited) = all.strata.iter().fold((0, 0), |(selected, audited), stratum| {
        (selected + stratum.selected, audited + stratum.audited)
    });
    (selected > 0).then(|| crate::estimate::real(audited) / crate::estimate::real(selected))
}

fn data(inputs_sha256: &str) -> Markup {
    html! {
        section aria-labelledby="donnees" {
            h2 id="donnees" { "Données et vérification" }
            ul {
                li {
                    a href="figures.csv" { "figures.csv" } "\u{a0}: tous les chiffres de cette page\u{202f}; "
                    a href="figures.schema.json" { "figures.schema.json" } "\u{a0}: description des colonnes (Table Schema)."
                }
                li { a href=(MANIFEST) { (MANIFEST) } "\u{a0}: empreintes de tous les fichiers." }
                li {
                    "Données d’entrée figées, SHA-256\u{a0}: " code { (inputs_sha256) } ". "
                    "Elles ne sont pas publiées\u{202f}; quiconque les détient peut reproduire cette édition à l’octet près avec "
                    code { "vigie barometer verify" } "."
                }
            }
        }
    }
}
