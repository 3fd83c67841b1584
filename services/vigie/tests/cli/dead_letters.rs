//! Records that cannot be processed: they are listed without their text, shown escaped, given back.

use std::sync::Arc;

use vigie_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use vigie_bus::kafka::{KafkaBus, KafkaConfig};
use vigie_bus::{Bus, Record};
use vigie_domain::Topic;

use crate::support::{Place, Process, eventually};

const POISON: &str = "{\"schema\":\"comment/1\",\"text\":\"Un secret \u{1b}[31m rouge\"}";

#[test]
fn are_listed_shown_and_given_back() -> anyhow::Result<()> {
    check(&Place::new()?, None)
}

#[test]
fn are_listed_shown_and_given_back_on_kafka() -> anyhow::Result<()> {
    let Some(brokers) = vigie_runtime::testing::peer("KAFKA_BROKERS") else {
        return Ok(());
    };
    let place = Place::new()?;
    let prefix = format!("cli-{}.", hex::encode(rand::random::<[u8; 6]>()));
    place.configure(&format!(
        "[bus.kafka]\nbrokers = \"{brokers}\"\nprefix = \"{prefix}\"\npartitions = 3\n"
    ))?;
    check(
        &place,
        Some(KafkaConfig {
            brokers,
            prefix,
            ..KafkaConfig::default()
        }),
    )
}

fn check(place: &Place, kafka: Option<KafkaConfig>) -> anyhow::Result<()> {
    place.up()?.stop()?;
    poison(place, kafka)?;
    let process = place.up()?;
    eventually(|| given_up(&process) >= 1.0)?;

    let listed = place.run(&["dead-letters", "list"])?.success()?;
    assert!(
        listed.contains("classifier  comments/") && listed.contains("1 dead letters, 0 of them given back"),
        "{listed}"
    );
    assert!(
        !listed.contains("secret") && !process.log().contains("secret"),
        "the text is in the list or the log"
    );
    let letters = place.run(&["dead-letters", "list", "--service", "classifier", "--json"])?.json()?;
    let id = letters[0]["id"].as_str().unwrap_or_default().to_owned();
    assert!(
        place
            .run(&["dead-letters", "list", "--service", "archive", "--json"])?
            .json()?
            .as_array()
            .is_some_and(Vec::is_empty)
    );

    let shown = place.run(&["dead-letters", "show", &id[..12]])?.success()?;
    assert!(
        shown.contains("Un secret \\u{1b}[31m rouge") && !shown.contains('\u{1b}'),
        "{shown}"
    );
    let stderr = place.run(&["dead-letters", "show", "ffffff-none"])?.failure(1)?;
    assert!(stderr.contains("there is no dead letter"), "{stderr}");

    assert!(place.run(&["dead-letters", "replay", &id])?.success()?.contains("1 given back"));
    eventually(|| given_up(&process) >= 2.0)?;
    process.stop()?;

    // Without a process, the same answers.
    let listed = place.run(&["dead-letters", "list"])?.success()?;
    assert!(listed.contains("2 dead letters, 1 of them given back"), "{listed}");
    assert!(place.run(&["dead-letters", "replay", "--all"])?.success()?.contains("1 given back"));
    assert!(place.run(&["dead-letters", "replay", "--all"])?.success()?.contains("0 given back"));
    Ok(())
}

fn given_up(process: &Process) -> f64 {
    process.metric("vigie_dead_letters_total").unwrap_or_default()
}

/// Puts a record that is no comment into the topic, as a foreign producer could.
fn poison(place: &Place, kafka: Option<KafkaConfig>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let bus: Arc<dyn Bus> = match kafka {
            Some(kafka) => KafkaBus::connect(kafka).await?,
            None => EmbeddedBus::open(&place.data().join("bus.db"), EmbeddedOptions::default()).await?,
        };
        let record = Record {
            key: "k".to_owned(),
            id: String::new(),
            headers: Vec::new(),
            payload: POISON.as_bytes().to_vec(),
        };
        bus.publish(Topic::Comments, vec![record]).await?;
        bus.close().await?;
        Ok(())
    })
}
