//! The figures as CSV, one figure a line, and the Table Schema that describes the columns.

use serde_json::json;
use vigie_domain::spreadsheet::neutralise;

use super::{METHOD, METHOD_VERSION};
use crate::figures::{Count, Figures, Prevalence, Reason, ScopeFigures};
use crate::inputs::Scope;

/// Columns with their type and description.
const COLUMNS: [(&str, &str, &str); 14] = [
    ("from", "date", "Premier jour de la période (Europe/Paris)"),
    ("to", "date", "Dernier jour de la période, inclus (Europe/Paris)"),
    (
        "provisional",
        "boolean",
        "Vrai si la période n’était pas terminée ou si trop peu de commentaires avaient été contrôlés à l’aveugle\u{a0}: \
         à ne pas publier",
    ),
    (
        "level",
        "string",
        "all\u{a0}: ensemble\u{202f}; institution\u{202f}; account\u{a0}: compte",
    ),
    ("institution", "string", "Institution, vide pour l’ensemble"),
    ("account", "string", "Compte, vide hors du niveau account"),
    (
        "indicator",
        "string",
        "prevalence-abusive, prevalence-hate\u{a0}: part des commentaires reçus\u{202f}; \
         les autres sont des décomptes d’activité",
    ),
    (
        "status",
        "string",
        "published\u{a0}: publié\u{202f}; suppressed\u{a0}: secret statistique\u{202f}; \
         insufficient\u{a0}: trop peu de commentaires contrôlés à l’aveugle",
    ),
    (
        "value",
        "number",
        "Estimation (proportion) ou décompte arrondi au multiple de 5 le plus proche",
    ),
    ("lower", "number", "Borne inférieure de l’intervalle à 95\u{202f}%"),
    ("upper", "number", "Borne supérieure de l’intervalle à 95\u{202f}%"),
    ("audited", "integer", "n\u{a0}: commentaires contrôlés à l’aveugle"),
    (
        "received",
        "integer",
        "N\u{a0}: commentaires reçus, arrondi au multiple de 5 le plus proche",
    ),
    ("method", "string", "Méthode et version"),
];

/// The figures.
pub(super) fn figures(figures: &Figures) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS.map(|(name, ..)| name))?;
    for scope in &figures.scopes {
        for (indicator, prevalence) in [("prevalence-abusive", &scope.abusive), ("prevalence-hate", &scope.hate)] {
            let (status, numbers) = prevalence_cells(prevalence);
            writer.write_record(row(
                figures,
                scope,
                indicator,
                status,
                numbers,
                &format!("{METHOD}, v{METHOD_VERSION}"),
            ))?;
        }
        for (kind, count) in &scope.counts {
            let (status, value) = match count {
                Count::Shown(count) => ("published", count.to_string()),
                Count::Suppressed => ("suppressed", String::new()),
            };
            let numbers = [value, String::new(), String::new(), String::new(), String::new()];
            writer.write_record(row(
                figures,
                scope,
                kind.as_str(),
                status,
                numbers,
                &format!("count, rounded to 5, v{METHOD_VERSION}"),
            ))?;
        }
    }
    writer.into_inner().map_err(|error| anyhow::anyhow!("{error}"))
}

fn prevalence_cells(prevalence: &Prevalence) -> (&'static str, [String; 5]) {
    match prevalence {
        Prevalence::Estimated(estimated) => {
            let digits = |number: f64| format!("{number:.4}");
            let interval = estimated.interval;
            let numbers = [
                digits(estimated.value),
                digits(interval.lower),
                digits(interval.upper),
                estimated.audited.to_string(),
                estimated.received.to_string(),
            ];
            ("published", numbers)
        }
        Prevalence::Withheld(Reason::Confidential) => ("suppressed", Default::default()),
        Prevalence::Withheld(Reason::Nothing | Reason::FewLabels { .. } | Reason::EmptyStratum { .. }) => {
            ("insufficient", Default::default())
        }
    }
}

fn row(figures: &Figures, scope: &ScopeFigures, indicator: &str, status: &str, numbers: [String; 5], method: &str) -> Vec<String> {
    let (level, institution, account) = match &scope.scope {
        Scope::All => ("all", "", ""),
        Scope::Institution { institution } => ("institution", institution.as_str(), ""),
        Scope::Account { institution, account } => ("account", institution.as_str(), account.as_str()),
    };
    let period = figures.period;
    let mut cells = vec![period.from().to_string(), period.to().to_string(), figures.provisional.to_string()];
    cells.extend([level, institution, account, indicator, status].map(|cell| neutralise(cell).into_owned()));
    cells.extend(numbers);
    cells.push(method.to_owned());
    cells
}

/// The Table Schema (frictionless) of `figures.csv`.
pub(super) fn table_schema() -> anyhow::Result<Vec<u8>> {
    let fields: Vec<_> = COLUMNS
        .iter()
        .map(|(name, kind, description)| json!({ "name": name, "type": kind, "description": description }))
        .collect();
    let schema = json!({
        "$schema": "https://specs.frictionlessdata.io/schemas/table-schema.json",
        "fields": fields,
        "missingValues": [""],
        "primaryKey": ["from", "to", "level", "institution", "account", "indicator"],
    });
    let mut bytes = serde_json::to_vec_pretty(&schema)?;
    bytes.push(b'\n');
    Ok(bytes)
}
