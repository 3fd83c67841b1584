//! From the tables to the frozen inputs of an edition, and what the pages show.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::Row as _;
use vigie_domain::{Outcome, Route, sha256_hex};

use super::Store;
use crate::estimate::disclosure::{self, Days};
use crate::inputs::{CellRow, Inputs, Kind, LabelledComment, Piece, Received, SCHEMA, Scope, ScopeCell};
use crate::labels::{Label, Remembered, standing};
use crate::period::{Period, midnight};

/// An edition as the tables know it.
#[derive(Debug, Clone, PartialEq)]
pub struct EditionRow {
    /// Its period.
    pub period: Period,
    /// When it was frozen, microseconds.
    pub built_us: i64,
}

/// Comments received in one hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hour {
    /// Start, seconds.
    pub hour_s: i64,
    /// Institution.
    pub institution: String,
    /// Route.
    pub route: String,
    /// Comments.
    pub received: i64,
}

/// One comment, as far as an edition counts it.
struct Counted {
    comment_id: String,
    revision: String,
    institution: String,
    account: String,
    post: String,
    author: Option<String>,
    stratum: String,
    probability: f64,
    selected: bool,
    score_millionths: i64,
    route: String,
    deleted: bool,
}

impl Store {
    /// The inputs of an edition: the frozen ones where the period was frozen before, else as the tables are now.
    ///
    /// # Errors
    /// The database failed.
    pub async fn inputs(&self, period: Period, provisional: bool) -> anyhow::Result<Inputs> {
        if let Some(frozen) = self.frozen(period).await? {
            return Ok(frozen);
        }
        let comments = self.counted(period.days()).await?;
        let decisions = self.decisions_in(period.days()).await?;
        let mut inputs = Inputs {
            schema: SCHEMA.to_owned(),
            period,
            provisional,
            received: received(&comments),
            cells: cells(&comments, &decisions),
            pieces: Vec::new(),
            labels: labelled(&comments, &decisions),
        };
        inputs.pieces = self.pieces(period, &inputs.cells).await?;
        Ok(inputs)
    }

    /// The frozen inputs of a period.
    ///
    /// # Errors
    /// The database failed.
    pub async fn frozen(&self, period: Period) -> anyhow::Result<Option<Inputs>> {
        let row = sqlx::query("SELECT inputs FROM barometer_editions WHERE period_from = $1 AND period_to = $2")
            .bind(period.from().to_string())
            .bind(period.to().to_string())
            .fetch_optional(self.database.pool())
            .await?;
        row.map(|row| Ok(serde_json::from_str(&row.try_get::<String, _>(0)?)?)).transpose()
    }

    /// Freezes a finished period with the scopes whose counts it shows. What was frozen first stays.
    ///
    /// # Errors
    /// The database failed.
    pub async fn freeze(&self, inputs: &Inputs, shown: &BTreeSet<Scope>) -> anyhow::Result<()> {
        let days = inputs.period.days();
        sqlx::query(
            "INSERT INTO barometer_editions (period_from, period_to, from_day, to_day, inputs, shown, built_us) VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (period_from, period_to) DO NOTHING",
        )
        .bind(inputs.period.from().to_string())
        .bind(inputs.period.to().to_string())
        .bind(days.0)
        .bind(days.1)
        .bind(serde_json::to_string(inputs)?)
        .bind(serde_json::to_string(shown)?)
        .bind(jiff::Timestamp::now().as_microsecond())
        .execute(self.database.pool())
        .await?;
        Ok(())
    }

    /// Frozen editions, latest period first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn editions(&self) -> anyhow::Result<Vec<EditionRow>> {
        let rows =
            sqlx::query("SELECT period_from, period_to, built_us FROM barometer_editions ORDER BY to_day DESC, from_day DESC LIMIT 500")
                .fetch_all(self.database.pool())
                .await?;
        rows.iter()
            .map(|row| {
                let period = Period::parse(&row.try_get::<String, _>(0)?, &row.try_get::<String, _>(1)?)?;
                Ok(EditionRow {
                    period,
                    built_us: row.try_get(2)?,
                })
            })
            .collect()
    }

    /// Comments received per hour, institution and route from `from_s` on, latest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn hours(&self, from_s: i64) -> anyhow::Result<Vec<Hour>> {
        // SUM of BIGINT is NUMERIC on PostgreSQL: the cast keeps one type on both engines.
        let rows = sqlx::query(
            "SELECT hour_s, institution, route, CAST(SUM(received) AS BIGINT) FROM barometer_hours WHERE hour_s >= $1 \
             GROUP BY hour_s, institution, route HAVING SUM(received) <> 0 ORDER BY hour_s DESC, institution, route",
        )
        .bind(from_s)
        .fetch_all(self.database.pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Hour {
                    hour_s: row.try_get(0)?,
                    institution: row.try_get(1)?,
                    route: row.try_get(2)?,
                    received: row.try_get(3)?,
                })
            })
            .collect()
    }

    async fn counted(&self, days: Days) -> anyhow::Result<Vec<Counted>> {
        let rows = sqlx::query(
            "SELECT c.comment_id, c.revision, c.institution, c.account, c.post, c.author, c.stratum, c.probability, c.selected, c.score_millionths, \
             c.route, CASE WHEN d.comment_id IS NULL THEN 0 ELSE 1 END FROM barometer_comments c \
             LEFT JOIN barometer_deletions d ON d.comment_id = c.comment_id WHERE c.at_s >= $1 AND c.at_s < $2 ORDER BY c.comment_id",
        )
        .bind(midnight(days.0).as_second())
        .bind(midnight(days.1).as_second())
        .fetch_all(self.database.pool())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Counted {
                    comment_id: row.try_get(0)?,
                    revision: row.try_get(1)?,
                    institution: row.try_get(2)?,
                    account: row.try_get(3)?,
                    post: row.try_get(4)?,
                    author: row.try_get(5)?,
                    stratum: row.try_get(6)?,
                    probability: row.try_get(7)?,
                    selected: row.try_get::<i64, _>(8)? != 0,
                    score_millionths: row.try_get(9)?,
                    route: row.try_get(10)?,
                    deleted: row.try_get::<i32, _>(11).map(i64::from).or_else(|_| row.try_get::<i64, _>(11))? != 0,
                })
            })
            .collect()
    }

    /// Decisions on comments of these days, per revision.
    async fn decisions_in(&self, days: Days) -> anyhow::Result<BTreeMap<String, Vec<Remembered>>> {
        let rows = sqlx::query(
            "SELECT d.revision, d.id, d.sequence, d.outcome, d.human, d.undoes, d.label FROM barometer_decisions d \
             JOIN barometer_comments c ON c.comment_id = d.comment_id AND c.revision = d.revision WHERE c.at_s >= $1 AND c.at_s < $2",
        )
        .bind(midnight(days.0).as_second())
        .bind(midnight(days.1).as_second())
        .fetch_all(self.database.pool())
        .await?;
        let mut decisions: BTreeMap<String, Vec<Remembered>> = BTreeMap::new();
        for row in rows {
            let outcome: String = row.try_get(3)?;
            let label: Option<String> = row.try_get(6)?;
            decisions.entry(row.try_get(0)?).or_default().push(Remembered {
                id: row.try_get(1)?,
                sequence: row.try_get(2)?,
                outcome: Outcome::ALL
                    .into_iter()
                    .find(|known| known.as_str() == outcome)
                    .ok_or_else(|| anyhow::anyhow!("unknown outcome {outcome}"))?,
                human: row.try_get::<i64, _>(4)? != 0,
                undoes: row.try_get(5)?,
                label: label.map(|label| serde_json::from_str::<Label>(&label)).transpose()?,
            });
        }
        Ok(decisions)
    }

    /// What this period and the frozen ones can isolate, per scope; only where there is more than the period itself.
    async fn pieces(&self, period: Period, cells: &[ScopeCell]) -> anyhow::Result<Vec<Piece>> {
        let rows = sqlx::query("SELECT from_day, to_day, shown FROM barometer_editions")
            .fetch_all(self.database.pool())
            .await?;
        let mut published: Vec<(Days, BTreeSet<Scope>)> = Vec::new();
        for row in rows {
            published.push((
                (row.try_get(0)?, row.try_get(1)?),
                serde_json::from_str(&row.try_get::<String, _>(2)?)?,
            ));
        }
        let mut pieces = Vec::new();
        let mut days: BTreeMap<Days, Vec<Counted>> = BTreeMap::new();
        for scope in cells.iter().filter(|cell| cell.kind == Kind::Received).map(|cell| &cell.scope) {
            let shown: Vec<Days> = published
                .iter()
                .filter(|(_, scopes)| scopes.contains(scope))
                .map(|(days, _)| *days)
                .collect();
            let isolated = disclosure::pieces(&shown, period.days());
            for piece in isolated.iter().filter(|_| isolated.len() > 1) {
                if !days.contains_key(piece) {
                    days.insert(*piece, self.counted(*piece).await?);
                }
                let inside = days[piece]
                    .iter()
                    .filter(|comment| scope.holds(&comment.institution, &comment.account));
                pieces.push(Piece {
                    scope: scope.clone(),
                    from_day: piece.0,
                    to_day: piece.1,
                    cell: cell(inside),
                });
            }
        }
        pieces.sort();
        Ok(pieces)
    }
}

fn received(comments: &[Counted]) -> Vec<Received> {
    let mut cells: BTreeMap<(String, String, String, String), Received> = BTreeMap::new();
    for comment in comments {
        let probability = comment.probability.to_string();
        let key = (
            comment.institution.clone(),
            comment.account.clone(),
            comment.stratum.clone(),
            probability.clone(),
        );
        let cell = cells.entry(key).or_insert_with(|| Received {
            institution: comment.institution.clone(),
            account: comment.account.clone(),
            stratum: comment.stratum.clone(),
            probability,
            count: 0,
            selected: 0,
            score_millionths: 0,
        });
        cell.count += 1;
        cell.selected += u64::from(comment.selected);
        cell.score_millionths += u64::try_from(comment.score_millionths).unwrap_or_default();
    }
    cells.into_values().collect()
}

fn cells(comments: &[Counted], decisions: &BTreeMap<String, Vec<Remembered>>) -> Vec<ScopeCell> {
    let mut scopes: BTreeSet<Scope> = BTreeSet::from([Scope::All]);
    for comment in comments {
        scopes.insert(Scope::Institution {
            institution: comment.institution.clone(),
        });
        scopes.insert(Scope::Account {
            institution: comment.institution.clone(),
            account: comment.account.clone(),
        });
    }
    let mut cells = Vec::new();
    for scope in scopes {
        let inside: Vec<&Counted> = comments
            .iter()
            .filter(|comment| scope.holds(&comment.institution, &comment.account))
            .collect();
        for kind in Kind::ALL {
            let counted = inside.iter().copied().filter(|comment| counts(kind, comment, decisions));
            cells.push(ScopeCell {
                scope: scope.clone(),
                kind,
                cell: cell(counted),
            });
        }
    }
    cells
}

fn counts(kind: Kind, comment: &Counted, decisions: &BTreeMap<String, Vec<Remembered>>) -> bool {
    let outcome = || {
        let decisions = decisions.get(&comment.revision)?;
        standing(decisions)
            .into_iter()
            .find(|decision| decision.human)
            .map(|decision| decision.outcome)
    };
    match kind {
        Kind::Received => true,
        Kind::HiddenAutomatically => comment.route == Route::Hide.as_str(),
        Kind::SentToReview => comment.route == Route::Review.as_str(),
        Kind::RemovedByPerson => matches!(outcome(), Some(Outcome::Hide | Outcome::Delete)),
        Kind::Reported => outcome() == Some(Outcome::Escalate),
        Kind::DeletedUpstream => comment.deleted,
    }
}

/// Unknown authors count as one: a cell of unknown authors is never safe to publish.
fn cell<'a>(comments: impl Iterator<Item = &'a Counted>) -> CellRow {
    let mut authors: BTreeMap<Option<&str>, u64> = BTreeMap::new();
    for comment in comments {
        *authors.entry(comment.author.as_deref()).or_default() += 1;
    }
    CellRow {
        count: authors.values().sum(),
        authors: authors.len() as u64,
        largest: authors.values().copied().max().unwrap_or_default(),
    }
}

fn labelled(comments: &[Counted], decisions: &BTreeMap<String, Vec<Remembered>>) -> Vec<LabelledComment> {
    let mut labels = Vec::new();
    for comment in comments.iter().filter(|comment| comment.selected) {
        let Some(decisions) = decisions.get(&comment.revision) else {
            continue;
        };
        let Some(label) = standing(decisions).into_iter().find_map(|decision| decision.label) else {
            continue;
        };
        let post = sha256_hex(format!("{}\n{}\n{}", comment.institution, comment.account, comment.post).as_bytes());
        // Sorted by a digest, so that the order of the list does not follow the order of arrival.
        labels.push((
            sha256_hex(comment.comment_id.as_bytes()),
            LabelledComment {
                institution: comment.institution.clone(),
                account: comment.account.clone(),
                post: post[..16].to_owned(),
                stratum: comment.stratum.clone(),
                probability: comment.probability.to_string(),
                label,
            },
        ));
    }
    labels.sort_by(|left, right| left.0.cmp(&right.0));
    labels.into_iter().map(|(_, label)| label).collect()
}
