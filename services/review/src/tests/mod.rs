//! Tests of the queue, each on SQLite and, where there is one, on a real PostgreSQL.

mod intake;
mod lease;
mod outbox;
mod retention;
mod ruling;
mod walk;

use std::sync::Arc;

use jiff::Timestamp;
use sqlx::Row as _;
use vigie_bus::Delivery;
use vigie_domain::{
    AccountId, Act, Audit, Comment, Context, InstitutionId, NativeCommentId, NewComment, Outcome, Platform, PostId, Pseudonym, Reason,
    Route, Scores, Tombstone, Topic, Verdict, VerdictId,
};
use vigie_runtime::{Handler as _, Rejected, Runtime, record, testing};
use vigie_web::Scope;

use crate::intake::Intake;
use crate::item::{COLUMNS, Item};
use crate::queue::{Lease, Person, Queue, Ruling};
use crate::{Config, Keys, state};

/// When the comments of the tests were written, in seconds since the epoch.
const WRITTEN: i64 = 1_795_470_000;

/// A queue with its intake, without tasks: a test moves it step by step.
struct Stand {
    runtime: Runtime,
    queue: Queue,
    intake: Intake,
}

impl Stand {
    async fn open(runtime: Runtime, config: Config) -> anyhow::Result<Self> {
        let queue = Queue::open(config, &runtime).await?;
        let intake = Intake {
            database: queue.database.clone(),
            policies: runtime.policies.clone(),
            metrics: queue.metrics.clone(),
            entered: Arc::clone(&queue.entered),
            audit_priority: queue.config.audit_priority,
        };
        Ok(Self { runtime, queue, intake })
    }

    /// Delivers verdicts as one batch.
    async fn feed(&mut self, verdicts: &[Verdict]) -> anyhow::Result<Vec<Rejected>> {
        let batch: Vec<Delivery> = verdicts
            .iter()
            .zip(0_i64..)
            .map(|(verdict, offset)| Delivery {
                topic: Topic::Verdicts,
                partition: 0,
                offset,
                timestamp_ms: 0,
                record: record(verdict),
            })
            .collect();
        self.intake.handle(&batch).await
    }

    async fn item(&self, comment: &Comment) -> anyhow::Result<Option<Item>> {
        let sql = format!("SELECT {COLUMNS} FROM review_items WHERE revision = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(comment.revision.to_string())
            .fetch_optional(self.queue.database.pool())
            .await?;
        row.as_ref().map(Item::read).transpose()
    }

    async fn state(&self, comment: &Comment) -> anyhow::Result<Option<state::State>> {
        Ok(self.item(comment).await?.map(|item| item.state))
    }

    /// The events of an item, in order.
    async fn trail(&self, comment: &Comment) -> anyhow::Result<Vec<String>> {
        let events = sqlx::query_scalar("SELECT event FROM review_audit WHERE revision = $1 ORDER BY step")
            .bind(comment.revision.to_string())
            .fetch_all(self.queue.database.pool())
            .await?;
        Ok(events)
    }

    async fn number(&self, sql: &'static str) -> anyhow::Result<i64> {
        Ok(sqlx::query_scalar(sql).fetch_one(self.queue.database.pool()).await?)
    }

    async fn run(&self, sql: &'static str) -> anyhow::Result<()> {
        sqlx::query(sql).execute(self.queue.database.pool()).await?;
        Ok(())
    }

    /// Everything that redelivery must not change.
    async fn dump(&self) -> anyhow::Result<Vec<String>> {
        const TABLES: [&str; 5] = [
            "SELECT revision || ' ' || state || ' ' || verdict_id || ' ' || steps || ' ' || sequence || ' ' || priority AS line FROM review_items ORDER BY 1",
            "SELECT comment || ' ' || revision AS line FROM review_heads ORDER BY 1",
            "SELECT id || ' ' || outcome || ' ' || record AS line FROM review_decisions ORDER BY 1",
            "SELECT decision || ' ' || sequence AS line FROM review_outbox ORDER BY 1",
            "SELECT institution || ' ' || used AS line FROM review_quotas ORDER BY 1",
        ];
        let mut lines = Vec::new();
        for table in TABLES {
            for row in sqlx::query(table).fetch_all(self.queue.database.pool()).await? {
                lines.push(row.try_get("line")?);
            }
        }
        Ok(lines)
    }

    /// The next item of `person`, who must get one.
    async fn take(&self, person: &Person) -> anyhow::Result<Lease> {
        self.queue
            .next(person)
            .await?
            .ok_or_else(|| anyhow::anyhow!("{} gets nothing", person.pseudonym))
    }

    async fn decide(&self, person: &Person, lease: &Lease, outcome: Outcome) -> Result<vigie_domain::DecisionId, crate::QueueError> {
        self.queue
            .decide(person, lease.item.revision.as_str(), lease.fence, ruling(outcome))
            .await
    }
}

/// Runs `check` on SQLite, and on PostgreSQL where the environment names one.
async fn on_each_engine<F: Future<Output = anyhow::Result<()>>>(config: Config, check: impl Fn(Stand) -> F) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    check(Stand::open(testing::runtime(dir.path()).await?, config.clone()).await?).await?;
    if let Some(url) = testing::peer("VIGIE_TEST_POSTGRES") {
        let dir = tempfile::tempdir()?;
        check(Stand::open(testing::runtime_on_postgres(dir.path(), &url).await?, config).await?).await?;
    }
    Ok(())
}

fn person(id: i64) -> Person {
    Person {
        id,
        pseudonym: Pseudonym::new(format!("Vigie {id}")).expect("a constant name"),
        institutions: Scope::All,
    }
}

fn ruling(outcome: Outcome) -> Ruling {
    Ruling {
        outcome,
        acts: vec![Act::Insult],
        targets: Vec::new(),
        legal_basis: None,
        note: None,
    }
}

/// The comment `native`, as it reads after the edit at second `edited` (none: as first written), seen at second `seen`.
fn revision(native: &str, text: &str, edited: Option<i64>, seen: i64) -> Comment {
    build(native, text, edited, seen, None)
}

/// The deletion of the comment `native` at second `at`.
fn tombstone(native: &str, at: i64) -> Comment {
    let deleted = Tombstone {
        at: second(at),
        source: "poll".to_owned(),
    };
    build(native, "", None, at, Some(deleted))
}

fn build(native: &str, text: &str, edited: Option<i64>, seen: i64, deleted: Option<Tombstone>) -> Comment {
    NewComment {
        platform: Platform::Generic,
        account: AccountId::new("musee-test").expect("a constant id"),
        institution: InstitutionId::new("musee-test").expect("a constant id"),
        post: PostId::new("p1").expect("a constant id"),
        native_id: NativeCommentId::new(native).expect("an id"),
        parent: None,
        author: None,
        author_sealed: None,
        text: text.to_owned(),
        context: Context::default(),
        created_at: second(0),
        edited_at: edited.map(second),
        collected_at: second(seen),
        deleted,
        permalink: None,
        language: None,
        evidence: None,
    }
    .build()
}

fn second(offset: i64) -> Timestamp {
    Timestamp::from_second(WRITTEN + offset).expect("a time of this century")
}

fn verdict(comment: &Comment, route: Route) -> Verdict {
    judged_by(comment, route, "model")
}

fn judged_by(comment: &Comment, route: Route, model: &str) -> Verdict {
    Verdict {
        id: VerdictId::derive(&comment.revision, model, "rulebook", "policy"),
        comment: comment.clone(),
        route,
        escalate: false,
        urgent: Vec::new(),
        priority: 50,
        reasons: vec![Reason::Harmless],
        rules: Vec::new(),
        scores: Scores::default(),
        language: Some("fr".to_owned()),
        model: model.to_owned(),
        rulebook: "rulebook".to_owned(),
        policy: "default@test".to_owned(),
        audit: Audit {
            stratum: "low".to_owned(),
            probability: 0.1,
            selected: false,
        },
        explanation: None,
    }
}

fn drawn(mut verdict: Verdict) -> Verdict {
    verdict.audit.selected = true;
    verdict
}

#[test]
fn refuses_keys_that_clash_or_are_no_letters() {
    assert!(Config::default().check().is_ok());
    for (keep, expected) in [
        ("m", "of another action"),
        ("G", "one small letter"),
        ("", "one small letter"),
        ("é", "one small letter"),
    ] {
        let config = Config {
            keys: Keys {
                keep: keep.to_owned(),
                ..Keys::default()
            },
            ..Config::default()
        };
        let error = config.check().expect_err(keep).to_string();
        assert!(error.contains(expected), "{keep}: {error}");
    }
}
