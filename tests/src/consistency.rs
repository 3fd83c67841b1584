//! What must hold at the end, whatever happened on the way: nothing lost, nothing twice.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use sqlx::{AnyPool, Row as _};
use vigie_bus::Bus;
use vigie_domain::{Comment, Decision, Enforcement, Outcome, ReportId, Route, Topic, Verdict};

use crate::moderator::Moderator;
use crate::records;

/// What the topics hold, with duplicates of a record folded.
pub struct Topics {
    /// By record id.
    pub comments: Vec<Comment>,
    /// By record id.
    pub verdicts: Vec<Verdict>,
    /// By record id.
    pub decisions: Vec<Decision>,
    /// By record id.
    pub enforcements: Vec<Enforcement>,
    /// Records in the dead letters.
    pub dead_letters: usize,
}

/// Reads every topic.
///
/// # Errors
/// The bus fails, or a record cannot be read.
pub async fn read(bus: &dyn Bus) -> anyhow::Result<Topics> {
    Ok(Topics {
        comments: records::by_id(bus, Topic::Comments)
            .await?
            .into_values()
            .map(|(record, _)| record)
            .collect(),
        verdicts: records::by_id(bus, Topic::Verdicts)
            .await?
            .into_values()
            .map(|(record, _)| record)
            .collect(),
        decisions: records::by_id(bus, Topic::Decisions)
            .await?
            .into_values()
            .map(|(record, _)| record)
            .collect(),
        enforcements: records::by_id(bus, Topic::Enforcements)
            .await?
            .into_values()
            .map(|(record, _)| record)
            .collect(),
        dead_letters: records::deliveries(bus, Topic::DeadLetters).await?.len(),
    })
}

impl Topics {
    /// Every one of the `count` imported comments has one revision and exactly one verdict; nothing went to the dead letters.
    ///
    /// # Errors
    /// What does not hold.
    pub fn every_comment_has_one_verdict(&self, count: usize) -> anyhow::Result<()> {
        let imported: BTreeSet<String> = (0..count).map(|n| format!("c{n}")).collect();
        let collected: BTreeSet<String> = self.comments.iter().map(|comment| comment.native_id.to_string()).collect();
        let missing: Vec<&String> = imported.difference(&collected).take(5).collect();
        ensure!(missing.is_empty(), "comments lost on the way in, such as {missing:?}");
        ensure!(
            self.comments.len() == count,
            "{} revisions of {count} comments",
            self.comments.len()
        );
        let mut verdicts: BTreeMap<&str, usize> = BTreeMap::new();
        for verdict in &self.verdicts {
            *verdicts.entry(verdict.comment.revision.as_str()).or_default() += 1;
        }
        for comment in &self.comments {
            let found = verdicts.get(comment.revision.as_str()).copied().unwrap_or_default();
            ensure!(found == 1, "{found} verdicts on the comment {}", comment.native_id);
        }
        ensure!(self.verdicts.len() == count, "{} verdicts on {count} comments", self.verdicts.len());
        ensure!(self.dead_letters == 0, "{} dead letters", self.dead_letters);
        Ok(())
    }

    /// What was acknowledged to a person, and what the tables of the queue hold, is on the topic; and nothing else.
    ///
    /// # Errors
    /// What does not hold.
    pub async fn every_decision_is_published(&self, acknowledged: &BTreeSet<String>, review: &AnyPool) -> anyhow::Result<()> {
        let published: BTreeSet<String> = self.decisions.iter().map(|decision| decision.id.to_string()).collect();
        ensure!(
            published.len() == self.decisions.len(),
            "one decision was published with two contents"
        );
        let missing: Vec<&String> = acknowledged.difference(&published).take(5).collect();
        ensure!(
            missing.is_empty(),
            "acknowledged decisions are not on the topic, such as {missing:?}"
        );
        let rows = sqlx::query("SELECT id FROM review_decisions").fetch_all(review).await?;
        let recorded: BTreeSet<String> = rows.iter().map(|row| row.try_get::<String, _>(0)).collect::<Result<_, _>>()?;
        ensure!(
            recorded == published,
            "{} decisions in the queue's tables, {} on the topic",
            recorded.len(),
            published.len()
        );
        Ok(())
    }

    /// What must wait for a person is in the queue once, and nowhere twice.
    ///
    /// # Errors
    /// What does not hold.
    pub async fn nothing_is_queued_twice(&self, review: &AnyPool) -> anyhow::Result<()> {
        let rows = sqlx::query("SELECT revision, comment, state FROM review_items")
            .fetch_all(review)
            .await?;
        let mut items = BTreeMap::new();
        let mut open: BTreeMap<String, usize> = BTreeMap::new();
        for row in rows {
            let (revision, comment, state): (String, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            if matches!(state.as_str(), "queued" | "leased") {
                *open.entry(comment).or_default() += 1;
            }
            ensure!(
                items.insert(revision.clone(), state).is_none(),
                "the revision {revision} is in the queue twice"
            );
        }
        let twice: Vec<_> = open.iter().filter(|(_, count)| **count > 1).take(3).collect();
        ensure!(twice.is_empty(), "open twice: {twice:?}");
        for verdict in &self.verdicts {
            let needed = verdict.escalate || verdict.audit.selected || verdict.route != Route::Keep;
            let there = items.contains_key(verdict.comment.revision.as_str());
            ensure!(
                needed == there,
                "comment {}: needed in the queue {needed}, there {there}",
                verdict.comment.native_id
            );
        }
        Ok(())
    }

    /// Each escalated comment has one threat report, found once by the search.
    ///
    /// # Errors
    /// What does not hold.
    pub async fn every_escalation_is_archived_once(&self, person: &Moderator) -> anyhow::Result<()> {
        let by_machine = self
            .verdicts
            .iter()
            .filter(|verdict| verdict.escalate)
            .map(|verdict| &verdict.comment.revision);
        let by_people = self
            .decisions
            .iter()
            .filter(|decision| decision.outcome == Outcome::Escalate)
            .map(|decision| &decision.verdict.comment.revision);
        let expected: BTreeSet<String> = by_machine
            .chain(by_people)
            .map(|revision| ReportId::derive(revision).to_string())
            .collect();
        ensure!(!expected.is_empty(), "nothing was escalated: the test tests nothing");
        let exported = person.page("/archive/export.jsonl").await?;
        let mut found = BTreeSet::new();
        for line in exported.lines().filter(|line| !line.trim().is_empty()) {
            let report: serde_json::Value = serde_json::from_str(line)?;
            let id = report["id"]
                .as_str()
                .or_else(|| report["report"].as_str())
                .context("an exported report has no id")?;
            ensure!(found.insert(id.to_owned()), "the report {id} is in the index twice");
        }
        ensure!(found == expected, "{} reports found, {} expected", found.len(), expected.len());
        Ok(())
    }

    /// Each action has one end, and each comment that is to be hidden or deleted had one.
    ///
    /// # Errors
    /// What does not hold.
    pub fn every_action_ends_once(&self) -> anyhow::Result<()> {
        let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
        for enforcement in &self.enforcements {
            *ends.entry(enforcement.id.as_str()).or_default() += usize::from(enforcement.state.is_final());
        }
        for (id, count) in &ends {
            ensure!(*count == 1, "the action {id} ended {count} times");
        }
        // By comment, not by decision: hiding what is hidden already asks for nothing.
        let acted: BTreeSet<&str> = self.enforcements.iter().map(|enforcement| enforcement.comment.as_str()).collect();
        for decision in self
            .decisions
            .iter()
            .filter(|decision| matches!(decision.outcome, Outcome::Hide | Outcome::Delete))
        {
            let comment = &decision.verdict.comment;
            ensure!(
                acted.contains(comment.id.as_str()),
                "nothing was asked of the platform for the comment {}",
                comment.native_id
            );
        }
        Ok(())
    }
}
