//! Reports whose time is over are erased from tables and index, and nothing that comes again brings them back; what somebody keeps stays.

use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan as _};
use vigie_archive::chain;
use vigie_archive::retention::{due, erase};
use vigie_archive::search::{self, Search};
use vigie_archive::service::Archivist;
use vigie_domain::policy::Retention;
use vigie_domain::{LegalBasis, Outcome, ReportId, ReportState, Topic};
use vigie_runtime::{Handler as _, Runtime};

use crate::story::{check, comment, decision, delivery, open, reopen, runtimes, story, time, verdict};

fn days(days: i64) -> Timestamp {
    time(0).checked_add((days * 24).hours()).expect("a constant time")
}

#[tokio::test]
async fn the_time_of_a_report_follows_its_state_and_its_legal_basis() -> anyhow::Result<()> {
    let retention = Retention {
        unflagged_days: 30,
        reviewed_days: 180,
        removed_days: 365,
    };
    let dir = tempfile::tempdir()?;
    for runtime in runtimes(dir.path()).await? {
        let mut archivist = open(&runtime).await?;
        // Published at minute 0, decided at minute 10.
        let cases = [
            ("waits", None, None, None),
            ("kept", Some(Outcome::Keep), None, Some("2027-05-22T21:50:00Z")),
            ("removed", Some(Outcome::Delete), None, Some("2027-11-23T21:50:00Z")),
            (
                "against the charter",
                Some(Outcome::Escalate),
                Some(LegalBasis::Charte),
                Some("2027-11-23T21:50:00Z"),
            ),
            (
                "three months",
                Some(Outcome::Escalate),
                Some(LegalBasis::Injure),
                Some("2027-11-23T21:50:00Z"),
            ),
            (
                "six years",
                Some(Outcome::Escalate),
                Some(LegalBasis::MenaceAgentPublic),
                Some("2032-11-23T21:40:00Z"),
            ),
            ("nobody chose a basis", Some(Outcome::Escalate), None, Some("2032-11-23T21:40:00Z")),
        ];
        let mut expected = BTreeMap::new();
        for (name, outcome, legal_basis, until) in cases {
            let verdict = verdict(comment(name, name, None, None), true);
            archivist.handle(&[delivery(Topic::Verdicts, &verdict)]).await?;
            if let Some(outcome) = outcome {
                let mut decision = decision(&verdict, 0, outcome, None);
                decision.legal_basis = legal_basis;
                archivist.handle(&[delivery(Topic::Decisions, &decision)]).await?;
            }
            expected.insert(ReportId::derive(&verdict.comment.revision), (name, until));
        }
        for report in archivist.store().changed_after(0, 100).await? {
            let (name, until) = expected[&report.id];
            let found = due(&report, &retention).map(|due| due.to_string());
            assert_eq!(found.as_deref(), until, "{name}");
        }
    }
    Ok(())
}

/// Everything that the archive still holds of the words that people wrote: what its tables give, and on SQLite the bytes of their files.
async fn written(runtime: &Runtime, archivist: &Archivist) -> anyhow::Result<String> {
    let mut found = String::new();
    for stored in archivist.store().changed_after(0, 1000).await? {
        let report = archivist.store().report(stored.id.as_str()).await?.expect("the report");
        found += &serde_json::to_string(&report)?;
        for hold in archivist.store().holds(&stored.id).await? {
            found += &hold.reason;
        }
    }
    if runtime.data_dir.join("archive.db").exists() {
        for file in ["archive.db", "archive.db-wal"] {
            found += &String::from_utf8_lossy(&std::fs::read(runtime.data_dir.join(file))?);
        }
    }
    Ok(found)
}

/// Documents that the files of the index hold though they were deleted.
fn deleted_but_there(runtime: &Runtime) -> anyhow::Result<u32> {
    let segments = tantivy::Index::open_in_dir(runtime.data_dir.join("archive-index"))?.searchable_segment_metas()?;
    Ok(segments.iter().map(tantivy::SegmentMeta::num_deleted_docs).sum())
}

#[tokio::test]
async fn what_is_over_is_erased_for_good_and_what_somebody_keeps_stays() -> anyhow::Result<()> {
    let (story, states) = story();
    let dir = tempfile::tempdir()?;
    for mut runtime in runtimes(dir.path()).await? {
        let mut archivist = open(&runtime).await?;
        archivist.handle(&story).await?;
        let store = archivist.store();
        assert_eq!(erase(&store, &runtime.policies, days(100)).await?, 0, "nothing is over yet");
        check(&archivist, &states, 0).await?;

        let confirmed = states
            .iter()
            .find(|(_, state)| **state == ReportState::Escalated)
            .map(|(id, _)| id.clone());
        let kept = confirmed.expect("a report that a person confirmed");
        assert!(store.hold(&kept, 1, "Camille", "plainte 2027/114").await?);
        assert!(!store.hold(&kept, 1, "Camille", "encore").await?, "it is kept already");
        let late = days(20 * 365);
        let decided = states.values().filter(|state| **state != ReportState::Signalled).count() as u64;
        assert_eq!(erase(&store, &runtime.policies, late).await?, decided - 1);
        assert_eq!(erase(&store, &runtime.policies, late).await?, 0, "once");
        archivist.catch_up().await?;
        assert_eq!(deleted_but_there(&runtime)?, 0);
        let waiting = states.len() - usize::try_from(decided)?;
        let found = |archivist: &Archivist, text: &str| {
            let clauses = search::parse(text);
            let found = archivist.searcher().search(
                &Search {
                    clauses,
                    ..Search::default()
                },
                0,
                100,
            );
            found.map(|found| found.total)
        };
        assert_eq!(found(&archivist, "")?, waiting + 1, "what waits, and what is kept");

        assert!(store.lift(&kept, "Camille").await?);
        assert!(!store.lift(&kept, "Camille").await?, "nobody keeps it any more");
        assert_eq!(erase(&store, &runtime.policies, late).await?, 1);
        assert!(!store.hold(&kept, 1, "Camille", "trop tard").await?, "it is gone");

        // Everything again, as after a crash or in a rebuild.
        archivist.handle(&story).await?;
        drop(archivist);
        let mut archivist = reopen(&mut runtime).await?;
        archivist.handle(&story).await?;
        archivist.reindex().await?;
        assert_eq!(found(&archivist, "")?, waiting);
        assert_eq!(found(&archivist, "égorger")?, 0);
        let written = written(&runtime, &archivist).await?;
        for erased in ["égorger", "tuerie", "plainte", "Première menace"] {
            assert!(!written.contains(erased), "`{erased}` is still there");
        }
        assert!(written.contains("brûler"), "what nobody decided on stays");
        let report = archivist.store().report(kept.as_str()).await?.expect("its row stays");
        assert_eq!((report.state, report.verdict.comment.author), (ReportState::Escalated, None));
        assert!(
            report
                .decision
                .is_some_and(|decision| decision.note.is_none() && decision.outcome == Outcome::Escalate)
        );
        assert_eq!(chain::verify(&report.chain), Ok(()));
        assert_eq!(archivist.store().holds(&kept).await?.len(), 1);
    }
    Ok(())
}
