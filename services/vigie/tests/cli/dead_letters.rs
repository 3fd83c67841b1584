//! Records that cannot be processed: they are listed without their text, shown escaped, given back.

use vigie_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use vigie_bus::{Bus as _, Record};
use vigie_domain::Topic;

use crate::support::{Place, Process, eventually};

const POISON: &str = "{\"schema\":\"comment/1\",\"text\":\"Un secret \u{1b}[31m rouge\"}";

#[test]
fn are_listed_shown_and_given_back() -> anyhow::Result<()> {
    let place = Place::new()?;
    place.up()?.stop()?;
    poison(&place)?;
    let process = place.up()?;
    eventually(|| given_up(&process) >= 1.0)?;

    let listed = place.run(&["dead-letters", "list"])?.success()?;
    assert!(
        listed.contains("classifier  comments/0@") && listed.contains("1 dead letters, 0 of them given back"),
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
fn poison(place: &Place) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let bus = EmbeddedBus::open(&place.data().join("bus.db"), EmbeddedOptions::default()).await?;
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
