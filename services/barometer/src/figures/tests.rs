use super::*;
use crate::inputs::{CellRow, Piece, Received, SCHEMA, ScopeCell};
use crate::period::PeriodError;

/// Strata as (name, probability, received, audited, abusive, hate); everything under one account, a post per ten labels.
fn inputs(strata: &[(&str, &str, u64, u64, u64, u64)]) -> Result<Inputs, PeriodError> {
    let total: u64 = strata.iter().map(|stratum| stratum.2).sum();
    let safe = CellRow {
        count: total,
        authors: 50.min(total),
        largest: 1,
    };
    let scope = Scope::All;
    let mut labels = Vec::new();
    for (name, probability, _, audited, abusive, hate) in strata {
        for number in 0..*audited {
            labels.push(LabelledComment {
                institution: "musee".to_owned(),
                account: "compte".to_owned(),
                post: format!("post{}", number / 10),
                stratum: (*name).to_owned(),
                probability: (*probability).to_owned(),
                label: Label {
                    abusive: number < *abusive,
                    hate: number < *hate,
                },
            });
        }
    }
    let row = |(place, (name, probability, count, ..)): (u64, &(&str, &str, u64, u64, u64, u64))| Received {
        institution: "musee".to_owned(),
        account: "compte".to_owned(),
        stratum: (*name).to_owned(),
        probability: (*probability).to_owned(),
        count: *count,
        selected: *count,
        score_millionths: count * (place + 1) * 1000,
    };
    Ok(Inputs {
        schema: SCHEMA.to_owned(),
        period: Period::parse("2026-11-01", "2026-11-30")?,
        provisional: false,
        received: (0_u64..).zip(strata).map(row).collect(),
        cells: vec![ScopeCell {
            scope,
            kind: Kind::Received,
            cell: safe,
        }],
        pieces: vec![],
        labels,
    })
}

fn abusive(inputs: &Inputs) -> Prevalence {
    figures(inputs).scopes[0].abusive.clone()
}

#[test]
fn the_headline_is_the_published_vector() -> Result<(), PeriodError> {
    let inputs = inputs(&[
        ("low", "0.005", 90_000, 400, 4, 0),
        ("middle", "0.04", 8000, 300, 66, 0),
        ("high", "0.15", 2000, 300, 228, 0),
    ])?;
    let Prevalence::Estimated(abusive) = abusive(&inputs) else {
        panic!("no estimate")
    };
    assert!((abusive.value - 0.0418).abs() < 1e-12);
    assert!(
        (abusive.interval.lower - 0.035_229_5).abs() < 5e-8 && (abusive.interval.upper - 0.056_282_0).abs() < 5e-8,
        "{:?}",
        abusive.interval
    );
    assert_eq!((abusive.audited, abusive.received), (1000, 100_000));
    let clustered = abusive.clustered.expect("many posts");
    assert!(clustered.interval.contains(0.0418) && clustered.posts == 40);
    let Prevalence::Estimated(hate) = figures(&inputs).scopes[0].hate.clone() else {
        panic!("no estimate")
    };
    assert!(
        hate.value.abs() < f64::EPSILON && hate.interval.upper > 0.0,
        "no positive found is not none there: {hate:?}"
    );
    Ok(())
}

#[test]
fn too_few_labels_say_so() -> Result<(), PeriodError> {
    assert_eq!(
        abusive(&inputs(&[("low", "0.1", 1000, 29, 1, 0)])?),
        Prevalence::Withheld(Reason::FewLabels { have: 29 })
    );
    let lacking = inputs(&[("low", "0.02", 1000, 0, 0, 0), ("high", "0.2", 200, 40, 10, 0)])?;
    assert_eq!(
        abusive(&lacking),
        Prevalence::Withheld(Reason::EmptyStratum { stratum: "low".to_owned() })
    );
    Ok(())
}

#[test]
fn neighbours_of_the_same_probability_are_merged() -> Result<(), PeriodError> {
    let inputs = inputs(&[
        ("low", "0.02", 1000, 30, 1, 0),
        ("high", "0.2", 200, 40, 10, 0),
        ("top", "0.2", 50, 1, 1, 0),
    ])?;
    let all = &figures(&inputs).scopes[0];
    assert_eq!(
        all.strata.iter().map(|stratum| stratum.names.join("+")).collect::<Vec<_>>(),
        ["low", "high+top"]
    );
    let Prevalence::Estimated(estimate) = &all.abusive else {
        panic!("no estimate")
    };
    let expected = (1000.0 * (1.0 / 30.0) + 250.0 * (11.0 / 41.0)) / 1250.0;
    assert!((estimate.value - expected).abs() < 1e-12 && estimate.audited == 71);
    Ok(())
}

#[test]
fn a_stratum_labelled_whole_needs_no_second_label() -> Result<(), PeriodError> {
    assert!(matches!(
        abusive(&inputs(&[("low", "0.02", 1000, 30, 1, 0), ("top", "1", 1, 1, 1, 0)])?),
        Prevalence::Estimated(_)
    ));
    Ok(())
}

fn institution(name: &str) -> Scope {
    Scope::Institution {
        institution: name.to_owned(),
    }
}

#[test]
fn small_cells_are_hidden_and_cannot_be_found_by_subtraction() -> Result<(), PeriodError> {
    let mut inputs = inputs(&[("low", "0.02", 1000, 30, 1, 0)])?;
    let row = |scope: Scope, count, authors| ScopeCell {
        scope,
        kind: Kind::Received,
        cell: CellRow {
            count,
            authors,
            largest: 1,
        },
    };
    inputs.cells = vec![
        row(Scope::All, 343, 100),
        row(institution("musee"), 3, 3),
        row(institution("b"), 240, 60),
        row(institution("c"), 100, 40),
    ];
    let figures = figures(&inputs);
    let shown = figures.shown();
    assert_eq!(
        shown,
        BTreeSet::from([Scope::All, institution("b")]),
        "the museum is small, and c goes with it"
    );
    assert_eq!(figures.scopes[0].counts[&Kind::Received], Count::Shown(345));
    assert_eq!(figures.scopes[1].abusive, Prevalence::Withheld(Reason::Confidential));
    Ok(())
}

#[test]
fn what_an_earlier_edition_would_isolate_is_not_shown() -> Result<(), PeriodError> {
    let mut inputs = inputs(&[("low", "0.02", 1000, 30, 1, 0)])?;
    let small = Piece {
        scope: Scope::All,
        from_day: 0,
        to_day: 1,
        cell: CellRow {
            count: 2,
            authors: 1,
            largest: 2,
        },
    };
    inputs.pieces = vec![small.clone()];
    assert!(figures(&inputs).shown().is_empty());
    inputs.pieces = vec![
        Piece {
            cell: CellRow {
                count: 20,
                authors: 15,
                largest: 2,
            },
            ..small.clone()
        },
        Piece {
            cell: CellRow::default(),
            ..small
        },
    ];
    assert_eq!(figures(&inputs).shown(), BTreeSet::from([Scope::All]));
    Ok(())
}
