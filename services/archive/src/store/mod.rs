//! The threat reports in SQL: what is known of each, in whatever order it arrived, and the state that follows.
//!
//! Promises: applying the same facts again, in any order and any batches, changes nothing; the text of a comment is kept only once
//! it was escalated; every change of a report takes the next number of one counter, so that the index can ask for what it lacks.

mod keeping;
mod read;
mod schema;

use std::collections::BTreeSet;

use anyhow::Context as _;
use jiff::Timestamp;
use sqlx::{Any, Row as _, Transaction};
use vigie_domain::{Comment, Decision, Enforcement, Outcome, ReportId, RevisionId, Verdict, WireRecord as _, evidence};
use vigie_runtime::{Database, Runtime};

use crate::chain::{self, Succession};
use crate::state::{self, DecisionFact};

pub use keeping::Hold;
pub use read::{Access, Stored};

/// Something that a topic says.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// From the topic of verdicts.
    Verdict(Box<Verdict>),
    /// From the topic of decisions.
    Decision(Box<Decision>),
    /// From the topic of enforcements.
    Enforcement(Box<Enforcement>),
}

/// What applying facts did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// Reports opened.
    pub opened: u64,
    /// Reports changed, the opened ones included.
    pub changed: u64,
}

/// The tables.
#[derive(Clone)]
pub struct Store {
    database: Database,
}

impl Store {
    /// Opens the tables of the archive.
    ///
    /// # Errors
    /// The database cannot be opened.
    pub async fn open(runtime: &Runtime) -> anyhow::Result<Self> {
        let database = runtime.databases.open("archive", schema::MIGRATIONS).await?;
        let origin = vigie_domain::RecordId::derive(&["archive", &Timestamp::now().to_string(), &std::process::id().to_string()]);
        sqlx::query("INSERT INTO archive_changes (id, value, origin) VALUES (1, 0, $1) ON CONFLICT (id) DO NOTHING")
            .bind(origin.as_str())
            .execute(database.pool())
            .await
            .context("could not write to the database of the archive")?;
        Ok(Self { database })
    }

    /// Applies facts in one transaction.
    ///
    /// # Errors
    /// The database failed; nothing was applied.
    pub async fn apply(&self, facts: &[Fact]) -> anyhow::Result<Applied> {
        let mut applied = Applied::default();
        if facts.iter().all(is_irrelevant) {
            return Ok(applied);
        }
        let mut transaction = self.database.begin().await?;
        be_alone(&mut transaction).await?;
        let mut touched: BTreeSet<RevisionId> = BTreeSet::new();
        for fact in facts {
            match fact {
                Fact::Verdict(verdict) => note_verdict(&mut transaction, verdict, false, &mut touched).await?,
                Fact::Decision(decision) => note_decision(&mut transaction, decision, &mut touched).await?,
                Fact::Enforcement(enforcement) => note_enforcement(&mut transaction, enforcement, &mut touched).await?,
            }
        }
        for revision in &touched {
            let (opened, changed) = settle(&mut transaction, revision).await?;
            applied.opened += u64::from(opened);
            applied.changed += u64::from(changed);
        }
        transaction.commit().await?;
        Ok(applied)
    }

    pub(crate) const fn database(&self) -> &Database {
        &self.database
    }
}

/// One writer at a time, also across processes: records of one comment arrive on three topics, perhaps in three processes.
async fn be_alone(transaction: &mut Transaction<'static, Any>) -> anyhow::Result<()> {
    sqlx::query("UPDATE archive_changes SET value = value WHERE id = 1")
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// The number of the change that this transaction makes.
async fn next_change(transaction: &mut Transaction<'static, Any>) -> anyhow::Result<i64> {
    let row = sqlx::query("UPDATE archive_changes SET value = value + 1 WHERE id = 1 RETURNING value")
        .fetch_one(&mut **transaction)
        .await?;
    Ok(row.try_get(0)?)
}

/// Most verdicts: neither escalated, nor an edit, nor a deletion. They cost the archive nothing.
fn is_irrelevant(fact: &Fact) -> bool {
    matches!(fact, Fact::Verdict(verdict) if !verdict.escalate && !succeeds(&verdict.comment))
}

/// Whether a revision can take the place of an earlier one.
const fn succeeds(comment: &Comment) -> bool {
    comment.edited_at.is_some() || comment.deleted.is_some()
}

async fn note_verdict(
    transaction: &mut Transaction<'static, Any>,
    verdict: &Verdict,
    escalated_by_person: bool,
    touched: &mut BTreeSet<RevisionId>,
) -> anyhow::Result<()> {
    let comment = &verdict.comment;
    if succeeds(comment) {
        sqlx::query(
            "INSERT INTO archive_successions (comment_id, revised_us, revision, deleted) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (comment_id) DO UPDATE SET revised_us = excluded.revised_us, revision = excluded.revision, deleted = excluded.deleted \
             WHERE excluded.revised_us > archive_successions.revised_us \
             OR (excluded.revised_us = archive_successions.revised_us AND excluded.revision > archive_successions.revision)",
        )
        .bind(comment.id.as_str())
        .bind(comment.revised_at().as_microsecond())
        .bind(comment.revision.as_str())
        .bind(i64::from(comment.deleted.is_some()))
        .execute(&mut **transaction)
        .await?;
        let rows = sqlx::query("SELECT revision FROM archive_reports WHERE comment_id = $1")
            .bind(comment.id.as_str())
            .fetch_all(&mut **transaction)
            .await?;
        for row in rows {
            touched.insert(RevisionId::new(row.try_get::<String, _>(0)?)?);
        }
    }
    if comment.deleted.is_none() && (verdict.escalate || escalated_by_person) {
        offer(transaction, verdict).await?;
        touched.insert(comment.revision.clone());
    }
    Ok(())
}

/// Opens the report, or gives it this verdict. Several verdicts on one revision (a new model) leave the same one in place whatever
/// their order: one that escalates before one that does not, then the smallest id.
async fn offer(transaction: &mut Transaction<'static, Any>, verdict: &Verdict) -> anyhow::Result<()> {
    let comment = &verdict.comment;
    sqlx::query(
        "INSERT INTO archive_reports (id, revision, comment_id, institution, account, platform, state, opened_us, revised_us, verdict_id, escalates, \
         verdict, decision, changed) VALUES ($1, $2, $3, $4, $5, $6, 'signalled', $7, $8, $9, $10, $11, NULL, 0) \
         ON CONFLICT (id) DO UPDATE SET verdict_id = excluded.verdict_id, escalates = excluded.escalates, verdict = excluded.verdict \
         WHERE archive_reports.erased_us = 0 AND (excluded.escalates > archive_reports.escalates \
         OR (excluded.escalates = archive_reports.escalates AND excluded.verdict_id < archive_reports.verdict_id))",
    )
    .bind(ReportId::derive(&comment.revision).as_str())
    .bind(comment.revision.as_str())
    .bind(comment.id.as_str())
    .bind(comment.institution.as_str())
    .bind(comment.account.as_str())
    .bind(comment.platform.as_str())
    .bind(comment.collected_at.as_microsecond())
    .bind(comment.revised_at().as_microsecond())
    .bind(verdict.id.as_str())
    .bind(i64::from(verdict.escalate))
    .bind(serde_json::to_string(verdict).context("a verdict is JSON")?)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn note_decision(
    transaction: &mut Transaction<'static, Any>,
    decision: &Decision,
    touched: &mut BTreeSet<RevisionId>,
) -> anyhow::Result<()> {
    let escalates = decision.outcome == Outcome::Escalate && decision.undoes.is_none();
    note_verdict(transaction, &decision.verdict, escalates, touched).await?;
    let revision = &decision.verdict.comment.revision;
    let mut fact = DecisionFact::of(decision);
    // Perhaps no report, or an erased one: then nothing that a person wrote about the comment is kept here.
    let known = sqlx::query("SELECT 1 FROM archive_reports WHERE revision = $1 AND erased_us = 0")
        .bind(revision.as_str())
        .fetch_optional(&mut **transaction)
        .await?;
    if known.is_none() {
        fact.note = None;
    }
    sqlx::query("INSERT INTO archive_decisions (id, revision, body) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING")
        .bind(decision.id.as_str())
        .bind(revision.as_str())
        .bind(serde_json::to_string(&fact).context("a decision is JSON")?)
        .execute(&mut **transaction)
        .await?;
    touched.insert(revision.clone());
    Ok(())
}

async fn note_enforcement(
    transaction: &mut Transaction<'static, Any>,
    enforcement: &Enforcement,
    touched: &mut BTreeSet<RevisionId>,
) -> anyhow::Result<()> {
    sqlx::query("INSERT INTO archive_enforcements (record_id, revision, body) VALUES ($1, $2, $3) ON CONFLICT (record_id) DO NOTHING")
        .bind(enforcement.record_id().as_str())
        .bind(enforcement.revision.as_str())
        .bind(serde_json::to_string(enforcement).context("an enforcement is JSON")?)
        .execute(&mut **transaction)
        .await?;
    touched.insert(enforcement.revision.clone());
    Ok(())
}

/// Brings the report of a revision, where there is one, in line with everything known. Returns (opened, changed).
async fn settle(transaction: &mut Transaction<'static, Any>, revision: &RevisionId) -> anyhow::Result<(bool, bool)> {
    let Some(row) =
        sqlx::query("SELECT id, verdict, revised_us, state, opened_us, changed, decision FROM archive_reports WHERE revision = $1")
            .bind(revision.as_str())
            .fetch_optional(&mut **transaction)
            .await?
    else {
        return Ok((false, false));
    };
    let id: String = row.try_get(0)?;
    let verdict: Verdict = serde_json::from_str(&row.try_get::<String, _>(1)?).context("the stored verdict of a report cannot be read")?;
    let decisions = read::decisions(&mut **transaction, revision).await?;
    let enforcements = read::enforcements(&mut **transaction, revision).await?;
    let succession = read::succession(&mut **transaction, &verdict.comment.id, revision, row.try_get(2)?).await?;
    let events = chain::events(&verdict, &decisions, &enforcements, succession.as_ref());
    let linked = append_links(transaction, &id, &events).await?;
    let state = state::state(verdict.escalate, &decisions, succession.is_some());
    let opened_us = state::opened_at(&verdict, &decisions).as_microsecond();
    let decision = state::in_effect(&decisions).map(serde_json::to_string).transpose()?;
    let before: (String, i64, Option<String>) = (row.try_get(3)?, row.try_get(4)?, row.try_get(6)?);
    let opened = row.try_get::<i64, _>(5)? == 0;
    if !linked && !opened && before == (state.as_str().to_owned(), opened_us, decision.clone()) {
        return Ok((false, false));
    }
    let changed = next_change(transaction).await?;
    sqlx::query("UPDATE archive_reports SET state = $2, opened_us = $3, decision = $4, changed = $5 WHERE id = $1")
        .bind(id)
        .bind(state.as_str())
        .bind(opened_us)
        .bind(decision)
        .bind(changed)
        .execute(&mut **transaction)
        .await?;
    Ok((opened, true))
}

/// Appends a link for every event that has none yet.
async fn append_links(transaction: &mut Transaction<'static, Any>, report: &str, events: &[chain::Event]) -> anyhow::Result<bool> {
    let rows = sqlx::query("SELECT event, hash FROM archive_links WHERE report_id = $1 ORDER BY sequence")
        .bind(report)
        .fetch_all(&mut **transaction)
        .await?;
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut last = evidence::GENESIS.to_owned();
    for row in &rows {
        known.insert(row.try_get(0)?);
        last = row.try_get(1)?;
    }
    let (mut sequence, before) = (rows.len(), rows.len());
    for event in events.iter().filter(|event| !known.contains(&event.name)) {
        sequence += 1;
        let link = chain::link(&last, sequence, &event.entry).context("a stored hash is damaged")?;
        sqlx::query("INSERT INTO archive_links (report_id, sequence, event, entry, hash) VALUES ($1, $2, $3, $4, $5)")
            .bind(report)
            .bind(i64::try_from(sequence)?)
            .bind(event.name.as_str())
            .bind(link.entry.as_str())
            .bind(link.hash.as_str())
            .execute(&mut **transaction)
            .await?;
        last = link.hash;
    }
    Ok(sequence > before)
}

/// A succession as stored, if it takes the place of `revision`.
fn succession_of(revision: &RevisionId, revised_us: i64, later: (i64, String, i64)) -> anyhow::Result<Option<Succession>> {
    let (later_us, later_revision, deleted) = later;
    if (later_us, later_revision.as_str()) <= (revised_us, revision.as_str()) && deleted == 0 || later_revision == revision.as_str() {
        return Ok(None);
    }
    Ok(Some(Succession {
        revision: RevisionId::new(later_revision)?,
        at: Timestamp::from_microsecond(later_us)?,
        deleted: deleted != 0,
    }))
}
