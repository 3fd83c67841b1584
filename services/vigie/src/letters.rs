//! Dead letters: listing, showing, giving back.
//!
//! Delivery of a replay: at least once. The original record is published to the topic it came from, under its key; that it was is noted
//! afterwards, so that a crash in between gives it back twice, which every consumer allows.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use vigie_domain::{Comment, DeadLetter, Decision, Enforcement, RecordId, Topic, Verdict, WireRecord, decode};
use vigie_runtime::{Database, Migration, Record, Runtime, publish};

const RECEIVE_RECORDS_MAX: usize = 500;
const RECEIVE_WAIT: Duration = Duration::from_secs(2);
/// Receives without a record before the reading is given up; a group on Kafka takes some seconds to form.
const RECEIVES_EMPTY_MAX: u32 = 15;
/// The most letters that are held at once; the latest are kept.
const LETTERS_MAX: usize = 10_000;

pub(crate) const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "replays",
    sql: "CREATE TABLE operations_replays (letter TEXT NOT NULL PRIMARY KEY, replayed_at BIGINT NOT NULL);\n",
}];

/// A dead letter without its payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listed {
    pub(crate) id: String,
    pub(crate) service: String,
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) error: String,
    pub(crate) attempts: u32,
    pub(crate) at: Timestamp,
    /// Of the original record.
    pub(crate) bytes: usize,
    pub(crate) replayed_at: Option<Timestamp>,
}

/// A dead letter with its payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shown {
    #[serde(flatten)]
    pub(crate) listed: Listed,
    /// Base64: it may not be UTF-8.
    pub(crate) payload: String,
}

/// Which letters to give back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Selection {
    /// By id, or by its beginning; empty: all that were not given back yet.
    pub(crate) ids: Vec<String>,
    /// Of this service only.
    pub(crate) service: Option<String>,
}

/// What a replay did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Replayed {
    pub(crate) replayed: usize,
}

/// The topic of dead letters and what is known of replays. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Letters {
    runtime: Runtime,
    database: Database,
}

impl Letters {
    pub(crate) async fn open(runtime: &Runtime) -> anyhow::Result<Self> {
        let database = runtime.databases.open("operations", MIGRATIONS).await?;
        Ok(Self {
            runtime: runtime.clone(),
            database,
        })
    }

    /// Every letter, or those of a service, oldest first.
    pub(crate) async fn list(&self, service: Option<&str>) -> anyhow::Result<Vec<Listed>> {
        let replays = self.replays().await?;
        let letters = self.read().await?;
        Ok(letters
            .iter()
            .filter(|letter| service.is_none_or(|service| letter.service == service))
            .map(|letter| listed(letter, &replays))
            .collect())
    }

    /// One letter, by its id or the beginning of it.
    pub(crate) async fn show(&self, id: &str) -> anyhow::Result<Shown> {
        let replays = self.replays().await?;
        let letter = one(self.read().await?, id)?;
        Ok(Shown {
            listed: listed(&letter, &replays),
            payload: letter.payload,
        })
    }

    /// Gives letters back to the topics they came from.
    pub(crate) async fn replay(&self, selection: &Selection) -> anyhow::Result<Replayed> {
        let replays = self.replays().await?;
        let letters = self.read().await?;
        let of_service = |letter: &DeadLetter| selection.service.as_ref().is_none_or(|service| letter.service == *service);
        let chosen: Vec<DeadLetter> = if selection.ids.is_empty() {
            letters
                .into_iter()
                .filter(|letter| of_service(letter) && !replays.contains_key(letter.record_id().as_str()))
                .collect()
        } else {
            selection.ids.iter().map(|id| one(letters.clone(), id)).collect::<Result<_, _>>()?
        };
        for letter in &chosen {
            self.give_back(letter).await?;
        }
        Ok(Replayed { replayed: chosen.len() })
    }

    async fn give_back(&self, letter: &DeadLetter) -> anyhow::Result<()> {
        let id = letter.record_id();
        let topic: Topic = letter
            .topic
            .parse()
            .map_err(anyhow::Error::msg)
            .with_context(|| format!("dead letter {id}"))?;
        let payload = STANDARD
            .decode(&letter.payload)
            .with_context(|| format!("dead letter {id}: its payload is not base64"))?;
        let record_id = original_id(topic, &payload).unwrap_or_else(|| id.clone());
        let record = Record {
            key: letter.key.to_string(),
            id: record_id.to_string(),
            headers: Vec::new(),
            payload,
        };
        publish(&self.runtime, topic, vec![record]).await?;
        sqlx::query("INSERT INTO operations_replays (letter, replayed_at) VALUES ($1, $2) ON CONFLICT (letter) DO UPDATE SET replayed_at = excluded.replayed_at")
            .bind(id.as_str())
            .bind(Timestamp::now().as_millisecond())
            .execute(self.database.pool())
            .await?;
        Ok(())
    }

    /// When which letter was given back.
    async fn replays(&self) -> anyhow::Result<BTreeMap<String, Timestamp>> {
        let rows = sqlx::query("SELECT letter, replayed_at FROM operations_replays")
            .fetch_all(self.database.pool())
            .await?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, Timestamp::from_millisecond(row.try_get(1)?)?)))
            .collect()
    }

    /// The letters of the topic, each once, oldest first; the latest [`LETTERS_MAX`] of them. Read as a group of its own that never
    /// commits, so that it leaves nothing behind and disturbs nobody.
    async fn read(&self) -> anyhow::Result<Vec<DeadLetter>> {
        let group = format!("dead-letters-reader-{}", hex::encode(rand::random::<[u8; 8]>()));
        let topics = [Topic::DeadLetters];
        let mut consumer = self.runtime.bus.subscribe(&group, &topics).await?;
        let mut outstanding: u64 = self.runtime.bus.lag(&group, &topics).await?.iter().map(|lag| lag.records).sum();
        let mut letters: BTreeMap<(Timestamp, RecordId), DeadLetter> = BTreeMap::new();
        let mut empty = 0;
        while outstanding > 0 {
            let batch = consumer.receive(RECEIVE_RECORDS_MAX, RECEIVE_WAIT).await?;
            if batch.is_empty() {
                empty += 1;
                anyhow::ensure!(
                    empty < RECEIVES_EMPTY_MAX,
                    "the bus holds {outstanding} more dead letters and does not deliver them; try again"
                );
                continue;
            }
            empty = 0;
            outstanding = outstanding.saturating_sub(batch.len() as u64);
            for delivery in batch {
                // What is no dead letter was not written by vigie, and cannot be given back.
                if let Ok(letter) = decode::<DeadLetter>(&delivery.record.payload) {
                    letters.insert((letter.at, letter.record_id()), letter);
                }
            }
            while letters.len() > LETTERS_MAX {
                letters.pop_first();
            }
        }
        Ok(letters.into_values().collect())
    }
}

fn listed(letter: &DeadLetter, replays: &BTreeMap<String, Timestamp>) -> Listed {
    let id = letter.record_id().to_string();
    Listed {
        replayed_at: replays.get(&id).copied(),
        id,
        service: letter.service.clone(),
        topic: letter.topic.clone(),
        partition: letter.partition,
        offset: letter.offset,
        error: letter.error.clone(),
        attempts: letter.attempts,
        at: letter.at,
        bytes: letter.payload.len() / 4 * 3,
    }
}

fn one(letters: Vec<DeadLetter>, id: &str) -> anyhow::Result<DeadLetter> {
    let mut found = letters
        .into_iter()
        .filter(|letter| !id.is_empty() && letter.record_id().as_str().starts_with(id));
    let letter = found
        .next()
        .with_context(|| format!("there is no dead letter `{id}`; `vigie dead-letters list` shows them"))?;
    let twin = found.any(|other| other.record_id() != letter.record_id());
    anyhow::ensure!(!twin, "several dead letters begin with `{id}`: give more of the id");
    Ok(letter)
}

/// The id that the record had, where it can be read.
fn original_id(topic: Topic, payload: &[u8]) -> Option<RecordId> {
    match topic {
        Topic::Comments => decode::<Comment>(payload).ok().map(|record| record.record_id()),
        Topic::Verdicts => decode::<Verdict>(payload).ok().map(|record| record.record_id()),
        Topic::Decisions => decode::<Decision>(payload).ok().map(|record| record.record_id()),
        Topic::Enforcements => decode::<Enforcement>(payload).ok().map(|record| record.record_id()),
        Topic::DeadLetters => decode::<DeadLetter>(payload).ok().map(|record| record.record_id()),
    }
}
