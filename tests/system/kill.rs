//! kill -9 of the whole process at 20 random moments while 5,000 comments flow.

use std::time::Duration;

use rand::Rng as _;
use vigie_tests::consistency;
use vigie_tests::moderator::Moderator;
use vigie_tests::process::{self, Process};
use vigie_tests::shift::Shift;
use vigie_tests::{comments, metrics, people, records};

use crate::VIGIE;

const COMMENTS: usize = 5_000;
const KILLS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_when_the_process_is_killed() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let config = dir.path().join("vigie.toml");
    process::write_config(&process::config(&data)?, &config)?;
    let file = dir.path().join("comments.jsonl");
    comments::write_jsonl(&file, COMMENTS)?;
    let (config, file) = (config.to_str().expect("a UTF-8 path"), file.to_str().expect("a UTF-8 path"));
    let log = dir.path().join("vigie.log");
    people::add(VIGIE, config, "camille", "lead")?;

    let up = ["up", "--config", config];
    let start = || Process::start(VIGIE, &up, &data, &log);
    let mut running = start().await?;
    let person = Moderator::sign_in(running.address, "camille", people::PASSWORD).await?;
    let shift = Shift::begin(person.clone());
    let mut imported = false;
    for kill in 0..KILLS {
        shift.move_to(Some(running.address));
        // The import runs beside, as somebody would run it, until it once got through; it dies with the process.
        let import = (!imported).then(|| {
            std::thread::spawn({
                let arguments = ["import", file, "--account", comments::ACCOUNT, "--config", config].map(str::to_owned);
                move || process::command(VIGIE, &arguments.each_ref().map(String::as_str), b"")
            })
        });
        let moment = rand::rng().random_range(20..1_500);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        shift.move_to(None);
        running.kill()?;
        if let Some(import) = import {
            let said = import.join().expect("the thread of the import does not panic")?;
            imported |= said.status.success();
        }
        running = start().await.map_err(|error| error.context(format!("after kill {kill}")))?;
    }
    shift.move_to(Some(running.address));
    let said = process::command(VIGIE, &["import", file, "--account", comments::ACCOUNT, "--config", config], b"")?;
    anyhow::ensure!(said.status.success(), "the last import failed: {}", said.err);

    metrics::settled(&[&running]).await?;
    let acknowledged = shift.end();
    anyhow::ensure!(!acknowledged.is_empty(), "nobody decided anything: the test tests nothing");
    metrics::settled(&[&running]).await?;
    let status = running.stop(Duration::from_secs(30)).await?;
    anyhow::ensure!(status.success(), "SIGTERM ended it with {status}: {}", running.tail());
    let bus = records::embedded(&data).await?;
    let topics = consistency::read(bus.as_ref()).await?;
    bus.close().await?;
    drop(bus);
    topics.every_comment_has_one_verdict(COMMENTS)?;
    let review = people::open_sqlite(&data.join("review.db")).await?;
    topics.every_decision_is_published(&acknowledged, &review).await?;
    topics.nothing_is_queued_twice(&review).await?;
    topics.every_action_ends_once()?;
    review.close().await;
    let running = start().await?;
    // The session of before the first kill still holds.
    topics.every_escalation_is_archived_once(&person.at(running.address)).await
}
