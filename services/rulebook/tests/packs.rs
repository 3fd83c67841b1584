//! The packs of `rules/`: nothing to complain of, every entry has cases, every case holds.

use std::path::{Path, PathBuf};

use vigie_rulebook::{CaseKind, Rulebook, check, run_cases};

fn rules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules")
}

#[test]
fn the_packs_check_without_an_error_or_a_warning() -> Result<(), Box<dyn std::error::Error>> {
    let files = Rulebook::read(&rules())?;
    let problems: Vec<String> = check(&files).iter().map(ToString::to_string).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(())
}

#[test]
fn every_case_of_the_packs_holds() -> Result<(), Box<dyn std::error::Error>> {
    let results = run_cases(&Rulebook::load(&rules())?);
    let failed: Vec<String> = results
        .iter()
        .filter(|result| !result.passed)
        .map(|result| {
            let wanted = match result.kind {
                CaseKind::Match => "must match",
                CaseKind::NoMatch => "must not match",
            };
            format!("{}:{}: {} {wanted}: {}", result.file, result.line, result.entry, result.text)
        })
        .collect();
    assert!(failed.is_empty(), "{} of {}\n{}", failed.len(), results.len(), failed.join("\n"));
    Ok(())
}

#[test]
fn the_packs_are_as_large_as_they_claim() -> Result<(), Box<dyn std::error::Error>> {
    let counts = Rulebook::load(&rules())?.counts();
    assert!(counts.terms >= 1200 && counts.patterns >= 150 && counts.cases >= 700, "{counts:?}");
    Ok(())
}
