//! What a search finds, and for whom.

use std::collections::BTreeSet;

use jiff::ToSpan as _;
use vigie_archive::analysis;
use vigie_archive::search::{self, Search};
use vigie_domain::{Act, InstitutionId, Platform, Target};
use vigie_runtime::Handler as _;

use crate::story::{open, runtimes, story, time};

#[tokio::test]
async fn searches_find_what_people_mean_and_only_what_they_may_see() -> anyhow::Result<()> {
    let (story, _) = story();
    let dir = tempfile::tempdir()?;
    for runtime in runtimes(dir.path()).await? {
        let mut archivist = open(&runtime).await?;
        archivist.handle(&story).await?;
        let searcher = archivist.searcher();
        let total = |typed: &str| {
            searcher
                .search(
                    &Search {
                        clauses: search::parse(typed),
                        ..Search::default()
                    },
                    0,
                    100,
                )
                .map(|found| found.total)
        };
        for (typed, expected) in [
            ("menaces", 3),
            ("MENACE -seconde", 2),
            ("egorgera", 1),
            ("egorg*", 1),
            ("égorger", 1),
            ("egorger", 1),
            ("bruler", 1),
            ("brûlerait musées", 1),
            ("\"première menace\"", 1),
            ("\"menace première\"", 0),
            ("le la les", 8),
            ("le gardien", 1),
            ("inconnu", 0),
            ("<script>alert(1)</script>", 0),
        ] {
            assert_eq!(total(typed)?, expected, "{typed}");
        }
        for typed in ["\" ) OR AND : ^ ~ *", "a:b", "[", "-", "*", "\"\"", "\u{0}\u{202e}"] {
            assert!(total(typed).is_ok(), "{typed} is no syntax error");
        }
        let with = |search: Search| searcher.search(&search, 0, 100).map(|found| found.total);
        assert_eq!(
            with(Search {
                act: Some(Act::Threat),
                ..Search::default()
            })?,
            3,
            "those that a person labelled"
        );
        assert_eq!(
            with(Search {
                target: Some(Target::Origin),
                ..Search::default()
            })?,
            0
        );
        assert_eq!(
            with(Search {
                platform: Some(Platform::Bluesky),
                ..Search::default()
            })?,
            0
        );
        assert_eq!(
            with(Search {
                from: Some("2030-01-01".parse()?),
                ..Search::default()
            })?,
            0
        );
        let day = time(1).to_zoned(vigie_web::words::paris()).date();
        assert_eq!(
            with(Search {
                from: Some(day),
                to: Some(day.checked_add(1.day())?),
                ..Search::default()
            })?,
            8
        );
        assert_eq!(
            with(Search {
                visible: Some(BTreeSet::new()),
                ..Search::default()
            })?,
            0,
            "who may see nothing sees nothing"
        );
        assert_eq!(
            with(Search {
                visible: Some(BTreeSet::from([InstitutionId::new("autre")?])),
                ..Search::default()
            })?,
            0
        );
        assert_eq!(
            with(Search {
                visible: Some(BTreeSet::from([InstitutionId::new("musee-test")?])),
                ..Search::default()
            })?,
            8
        );
        let marked = analysis::excerpt("On va vous égorger", &search::wanted(&search::parse("egorg*")), 100);
        assert!(marked.iter().any(|piece| piece.found && piece.text == "égorger"), "{marked:?}");
    }
    Ok(())
}
