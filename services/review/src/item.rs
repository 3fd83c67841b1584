//! Rows of the queue: reading one under a lock, and moving one through the table of transitions with its audit row.

use anyhow::Context as _;
use sqlx::any::AnyRow;
use sqlx::{Any, Row as _, Transaction};
use vigie_domain::{RevisionId, Verdict, decode};
use vigie_runtime::{Database, Engine};

use crate::state::{Event, State, next};

/// A database transaction.
pub(crate) type Tx = Transaction<'static, Any>;

/// Who caused a transition: a pseudonym, or one of these.
pub(crate) const BY_POLICY: &str = "policy";
pub(crate) const BY_INTAKE: &str = "intake";
pub(crate) const BY_CLOCK: &str = "clock";

/// Why an item came to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Escalated by the classifier.
    Urgent,
    /// Routed to review.
    Review,
    /// Would be hidden automatically, but today's quota is used up.
    Quota,
    /// Kept by the classifier and drawn for the blind audit.
    Audit,
    /// Hidden automatically and drawn for the blind audit.
    Check,
}

impl Origin {
    const ALL: [Self; 5] = [Self::Urgent, Self::Review, Self::Quota, Self::Audit, Self::Check];

    /// The name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::Review => "review",
            Self::Quota => "quota",
            Self::Audit => "audit",
            Self::Check => "check",
        }
    }
}

/// Bands of the order of the queue, for metrics; within a band the priority decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Band {
    /// Escalated: goes before everything.
    Urgent,
    /// Priority 60 and more.
    High,
    /// Priority 20 to 59.
    Normal,
    /// Below.
    Low,
}

impl Band {
    /// Every band, first to last.
    pub const ALL: [Self; 4] = [Self::Urgent, Self::High, Self::Normal, Self::Low];

    /// The name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// The band of an item.
    #[must_use]
    pub const fn of(urgent: bool, priority: u8) -> Self {
        match (urgent, priority) {
            (true, _) => Self::Urgent,
            (false, 60..) => Self::High,
            (false, 20..) => Self::Normal,
            (false, _) => Self::Low,
        }
    }

    /// The columns `urgent` and `priority` of its items: urgent, lowest, highest.
    pub(crate) const fn columns(self) -> (i64, i64, i64) {
        match self {
            Self::Urgent => (1, 0, 255),
            Self::High => (0, 60, 255),
            Self::Normal => (0, 20, 59),
            Self::Low => (0, 0, 19),
        }
    }
}

/// One row of the queue.
#[derive(Debug, Clone)]
pub struct Item {
    /// The revision to decide on: one item each.
    pub revision: RevisionId,
    /// Where it stands.
    pub state: State,
    /// Why it is here.
    pub origin: Origin,
    /// Whether it goes first.
    pub urgent: bool,
    /// Place in the queue, 0 (last) to 100 (first).
    pub priority: u8,
    /// Whether its text may distress who reads it.
    pub severe: bool,
    /// The verdict, with the comment.
    pub verdict: Verdict,
    /// When it came, in milliseconds since the epoch.
    pub queued_at: i64,
    pub(crate) comment: String,
    pub(crate) selected: bool,
    pub(crate) exposed: bool,
    pub(crate) verdict_id: String,
    pub(crate) fence: i64,
    pub(crate) lease_user: i64,
    pub(crate) lease_until: i64,
    pub(crate) lease_blind: bool,
    pub(crate) sequence: i64,
    pub(crate) steps: i64,
}

pub(crate) const COLUMNS: &str = "revision, comment, state, origin, urgent, priority, severe, selected, exposed, verdict_id, verdict, queued_at, \
     fence, lease_user, lease_until, lease_blind, sequence, steps";

impl Item {
    pub(crate) fn read(row: &AnyRow) -> anyhow::Result<Self> {
        let text = |column: &str| row.try_get::<String, _>(column);
        let number = |column: &str| row.try_get::<i64, _>(column);
        let origin = text("origin")?;
        Ok(Self {
            revision: RevisionId::new(text("revision")?)?,
            state: text("state")?.parse()?,
            origin: Origin::ALL
                .into_iter()
                .find(|known| known.as_str() == origin)
                .with_context(|| format!("unknown origin `{origin}` of a queue item"))?,
            urgent: number("urgent")? != 0,
            priority: u8::try_from(number("priority")?)?,
            severe: number("severe")? != 0,
            verdict: decode(text("verdict")?.as_bytes())?,
            queued_at: number("queued_at")?,
            comment: text("comment")?,
            selected: number("selected")? != 0,
            exposed: number("exposed")? != 0,
            verdict_id: text("verdict_id")?,
            fence: number("fence")?,
            lease_user: number("lease_user")?,
            lease_until: number("lease_until")?,
            lease_blind: number("lease_blind")? != 0,
            sequence: number("sequence")?,
            steps: number("steps")?,
        })
    }
}

/// To be put at the end of a SELECT whose row is changed next.
pub(crate) fn for_update(database: &Database) -> &'static str {
    match database.engine() {
        Engine::Sqlite => "",
        Engine::Postgres => " FOR UPDATE",
    }
}

/// The item of `revision`, locked until the transaction ends.
pub(crate) async fn lock(database: &Database, tx: &mut Tx, revision: &str) -> anyhow::Result<Option<Item>> {
    let sql = format!("SELECT {COLUMNS} FROM review_items WHERE revision = $1{}", for_update(database));
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(revision.to_owned())
        .fetch_optional(&mut **tx)
        .await?;
    row.as_ref().map(Item::read).transpose()
}

/// Moves `item` by `event` and writes the audit row. Ends the lease, unless the event begins one.
pub(crate) async fn advance(tx: &mut Tx, item: &mut Item, event: Event, actor: &str, now: i64, detail: &str) -> anyhow::Result<()> {
    let to =
        next(Some(item.state), event).with_context(|| format!("a queue item that is {} cannot {}", item.state.as_str(), event.as_str()))?;
    let changed = sqlx::query(
        "UPDATE review_items SET state = $2, steps = steps + 1, lease_user = 0, lease_until = 0, leased_at = 0, lease_blind = 0 WHERE revision = $1 AND steps = $3",
    )
    .bind(item.revision.as_str().to_owned())
    .bind(to.as_str())
    .bind(item.steps)
    .execute(&mut **tx)
    .await?;
    anyhow::ensure!(
        changed.rows_affected() == 1,
        "a queue item was changed by somebody else at the same time"
    );
    trail(tx, item, event, Some(item.state), to, actor, now, detail).await?;
    item.state = to;
    item.steps += 1;
    Ok(())
}

/// Writes the audit row of one transition.
#[expect(clippy::too_many_arguments, reason = "the columns of one row")]
pub(crate) async fn trail(
    tx: &mut Tx,
    item: &Item,
    event: Event,
    from: Option<State>,
    to: State,
    actor: &str,
    now: i64,
    detail: &str,
) -> anyhow::Result<()> {
    sqlx::query("INSERT INTO review_audit (revision, step, happened_at, actor, event, from_state, to_state, fence, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
        .bind(item.revision.as_str().to_owned())
        .bind(item.steps)
        .bind(now)
        .bind(actor.to_owned())
        .bind(event.as_str())
        .bind(from.map_or("", State::as_str))
        .bind(to.as_str())
        .bind(item.fence)
        .bind(detail.to_owned())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Adds `item`, which is not there yet, by `event`.
pub(crate) async fn insert(tx: &mut Tx, item: &mut Item, event: Event, actor: &str, now: i64) -> anyhow::Result<()> {
    let to = next(None, event).with_context(|| format!("no queue item begins by {}", event.as_str()))?;
    item.state = to;
    let comment = &item.verdict.comment;
    sqlx::query(
        "INSERT INTO review_items (revision, comment, institution, account, post, created_ms, state, origin, urgent, priority, severe,
            selected, exposed, verdict_id, verdict, queued_at, fence, lease_user, lease_until, leased_at, lease_blind, sequence, steps)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, $13, $14, $15, 0, 0, 0, 0, 0, 0, 1)",
    )
    .bind(item.revision.as_str().to_owned())
    .bind(item.comment.clone())
    .bind(comment.institution.as_str().to_owned())
    .bind(comment.account.as_str().to_owned())
    .bind(comment.post.as_str().to_owned())
    .bind(comment.created_at.as_millisecond())
    .bind(to.as_str())
    .bind(item.origin.as_str())
    .bind(i64::from(item.urgent))
    .bind(i64::from(item.priority))
    .bind(i64::from(item.severe))
    .bind(i64::from(item.selected))
    .bind(item.verdict_id.clone())
    .bind(json(&item.verdict)?)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    trail(tx, item, event, None, to, actor, now, "").await?;
    item.steps = 1;
    Ok(())
}

/// A record as text for the database.
pub(crate) fn json<T: vigie_domain::WireRecord>(record: &T) -> anyhow::Result<String> {
    Ok(String::from_utf8(vigie_domain::encode(record))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_in_the_columns_of_its_band_and_no_other() {
        for urgent in [false, true] {
            for priority in 0..=100_u8 {
                let within = |band: Band| {
                    let (first, lowest, highest) = band.columns();
                    i64::from(urgent) == first && (lowest..=highest).contains(&i64::from(priority))
                };
                let found: Vec<Band> = Band::ALL.into_iter().filter(|band| within(*band)).collect();
                assert_eq!(found, [Band::of(urgent, priority)], "urgent {urgent}, priority {priority}");
            }
        }
    }
}
