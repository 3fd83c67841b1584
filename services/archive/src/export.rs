//! Reports as CSV, for a spreadsheet, and as JSONL, for a program. Pure.
//!
//! Cells that a spreadsheet would run as formulas are made texts. Sealed fields (native id of the author, raw record) stay here.

use serde_json::json;
use vigie_domain::spreadsheet::neutralise;
use vigie_domain::{DecisionAuthor, ThreatReport, sha256_hex};

use crate::limitation::limitation;

const COLUMNS: [&str; 25] = [
    "report",
    "state",
    "opened_at",
    "institution",
    "account",
    "platform",
    "post",
    "comment",
    "revision",
    "permalink",
    "author_pseudonym",
    "published_at",
    "collected_at",
    "text",
    "text_sha256",
    "raw_sha256",
    "acts",
    "targets",
    "outcome",
    "decided_at",
    "decided_by",
    "legal_basis",
    "limitation_until_to_verify",
    "last_enforcement",
    "chain_head",
];

/// One report a line, with a header.
///
/// # Errors
/// None that depends on the reports.
pub fn csv(reports: &[ThreatReport]) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for report in reports {
        writer.write_record(row(report).iter().map(|cell| neutralise(cell).into_owned()))?;
    }
    writer.into_inner().map_err(|error| anyhow::anyhow!("{error}"))
}

fn row(report: &ThreatReport) -> [String; 25] {
    let comment = &report.verdict.comment;
    let decision = report.decision.as_ref();
    let join = |names: Vec<&'static str>| names.join(" ");
    let basis = decision.and_then(|decision| decision.legal_basis);
    let targets = decision.map(|decision| decision.targets.as_slice()).unwrap_or_default();
    [
        report.id.to_string(),
        report.state.as_str().to_owned(),
        report.opened_at.to_string(),
        comment.institution.to_string(),
        comment.account.to_string(),
        comment.platform.to_string(),
        comment.post.to_string(),
        comment.id.to_string(),
        comment.revision.to_string(),
        comment.permalink.clone().unwrap_or_default(),
        comment.author.as_ref().map(ToString::to_string).unwrap_or_default(),
        comment.created_at.to_string(),
        comment.collected_at.to_string(),
        comment.text.clone(),
        sha256_hex(comment.text.as_bytes()),
        comment
            .evidence
            .as_ref()
            .map(|evidence| evidence.raw_sha256.clone())
            .unwrap_or_default(),
        join(
            decision
                .map(|decision| decision.acts.iter().map(|act| act.as_str()).collect())
                .unwrap_or_default(),
        ),
        join(targets.iter().map(|target| target.as_str()).collect()),
        decision.map(|decision| decision.outcome.as_str().to_owned()).unwrap_or_default(),
        decision.map(|decision| decision.decided_at.to_string()).unwrap_or_default(),
        decision.map(|decision| author(&decision.author)).unwrap_or_default(),
        basis.map(|basis| basis.as_str().to_owned()).unwrap_or_default(),
        limitation(basis, targets, comment.created_at)
            .map(|limitation| limitation.until.to_string())
            .unwrap_or_default(),
        report
            .enforcements
            .last()
            .map(|last| format!("{} {}", last.action.as_str(), last.state.as_str()))
            .unwrap_or_default(),
        report.chain.last().map(|link| link.hash.clone()).unwrap_or_default(),
    ]
}

/// Under which name a decision was taken.
#[must_use]
pub fn author(author: &DecisionAuthor) -> String {
    match author {
        DecisionAuthor::Policy { policy } => policy.clone(),
        DecisionAuthor::Moderator { pseudonym } => pseudonym.to_string(),
    }
}

/// One report a line, as JSON with `"schema":"threat-report/1"`.
///
/// # Errors
/// None that depends on the reports.
pub fn jsonl(reports: &[ThreatReport]) -> anyhow::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for report in reports {
        let mut report = report.clone();
        unseal(&mut report.verdict.comment);
        if let Some(decision) = &mut report.decision {
            decision.verdict = report.verdict.clone();
        }
        let mut line = json!({ "schema": "threat-report/1" });
        if let (Some(fields), serde_json::Value::Object(report)) = (line.as_object_mut(), serde_json::to_value(&report)?) {
            fields.extend(report);
        }
        serde_json::to_writer(&mut lines, &line)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

fn unseal(comment: &mut vigie_domain::Comment) {
    comment.author_sealed = None;
    if let Some(evidence) = &mut comment.evidence {
        evidence.raw_sealed = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vigie_domain::{Evidence, ReportId, ReportState, Route};
    use vigie_runtime::testing::sample_verdict;

    fn report(text: &str) -> ThreatReport {
        let mut verdict = sample_verdict(text, Route::Review);
        verdict.comment.author_sealed = Some("SEALED".to_owned());
        verdict.comment.evidence = Some(Evidence {
            raw_sha256: sha256_hex(b"raw"),
            raw_sealed: Some("SEALED".to_owned()),
        });
        ThreatReport {
            id: ReportId::derive(&verdict.comment.revision),
            state: ReportState::Signalled,
            opened_at: verdict.comment.collected_at,
            verdict,
            decision: None,
            enforcements: vec![],
            chain: vec![],
        }
    }

    #[test]
    fn hostile_texts_are_exported_harmlessly_and_whole() -> anyhow::Result<()> {
        for text in ["=cmd()", "+1", "@x", "-1", "\t=1", "a,\"b\"\nc;d", "<script>"] {
            let bytes = csv(&[report(text)])?;
            let mut reader = csv::Reader::from_reader(bytes.as_slice());
            let place = COLUMNS.iter().position(|name| *name == "text").expect("a column");
            let cell = reader.records().next().expect("a row")?[place].to_owned();
            assert_eq!(cell.trim_start_matches('\''), text);
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t']), "{cell}");
        }
        Ok(())
    }

    #[test]
    fn sealed_fields_are_not_exported() -> anyhow::Result<()> {
        let reports = [report("texte"), report("deux\nlignes")];
        let lines = String::from_utf8(jsonl(&reports)?)?;
        assert_eq!(lines.lines().count(), 2);
        assert!(!lines.contains("SEALED") && !String::from_utf8(csv(&reports)?)?.contains("SEALED"));
        let first: serde_json::Value = serde_json::from_str(lines.lines().next().expect("a line"))?;
        assert_eq!(
            (first["schema"].as_str(), first["verdict"]["comment"]["text"].as_str()),
            (Some("threat-report/1"), Some("texte"))
        );
        Ok(())
    }
}
