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

#[test]
fn grave_posts_are_told_from_others() -> Result<(), Box<dyn std::error::Error>> {
    let rulebook = Rulebook::load(&rules())?;
    for post in [
        "Il y a dix ans, treize personnes étaient assassinées. La ministre leur a rendu hommage ce matin.",
        "L'auteur de l'ATTENTAT de mardi est jugé à partir de lundi.",
        "Troisième féminicide en un mois dans le département",
        "La synagogue de Troyes a été incendiée cette nuit.",
        "Vous n'allez pas bien ? Le 3114 répond jour et nuit.",
    ] {
        assert!(rulebook.is_grave(post), "{post}");
    }
    for post in [
        "Visite guidée gratuite samedi à 15 h, sans réservation.",
        "La billetterie de l'exposition Berthe Morisot ouvre demain à midi !",
        "Déclaration de revenus : le service en ligne est ouvert jusqu'au 8 juin.",
        "Une exposition en collaboration avec le musée de Rennes, jusqu'au 3 mai.",
        "Nos apprentis cuisiniers ont remporté la médaille d'or. Bravo à eux !",
        "",
    ] {
        assert!(!rulebook.is_grave(post), "{post}");
    }
    let without = [("a.toml".to_owned(), "description = \"x\"\n".to_owned())].into();
    assert!(
        !Rulebook::parse(&without).is_ok_and(|rulebook| rulebook.is_grave("attentat")),
        "without the class no post is"
    );
    let broken = [("a.toml".to_owned(), "description = \"x\"\n[classes]\ngrave = ['(']\n".to_owned())].into();
    let problems = Rulebook::parse(&broken).err().unwrap_or_default();
    assert!(
        problems.iter().any(|problem| problem.to_string().contains("class `grave`")),
        "{problems:?}"
    );
    Ok(())
}
