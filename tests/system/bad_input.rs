//! What users, disks and platforms do to a running system: each gets a clear answer, and nothing is lost.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::json;
use vigie_domain::{Topic, Verdict};
use vigie_tests::process::{self, Process};
use vigie_tests::{comments, metrics, records};

use crate::VIGIE;

fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_texts_flow_through() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let (data, config) = (dir.path().join("data"), dir.path().join("vigie.toml"));
    process::write_config(&process::config(&data)?, &config)?;
    let texts = [
        String::new(),
        " \u{200b}\u{200d}\u{feff} ".to_owned(),
        "\u{202e}drannoc leuq\u{202c} \u{0}\u{1b}[31mrouge\u{7}".to_owned(),
        "<script>alert(1)</script> =cmd()|' /C calc'!A0".to_owned(),
        "a\u{301}".repeat(10_000),
        "👨‍👩‍👧‍👦".repeat(2_000),
        "x".repeat(1 << 20),
        "connard ".repeat(131_072),
    ];
    let mut lines = String::new();
    for (n, content) in texts.iter().enumerate() {
        let row = json!({ "platform": "generic", "account_id": comments::ACCOUNT, "post_id": "p", "comment_id": format!("c{n}"),
            "created_at": jiff::Timestamp::now(), "text": content });
        lines.push_str(&row.to_string());
        lines.push('\n');
        // The same id and text again in one file: known, not an error.
        lines.push_str(&row.to_string());
        lines.push('\n');
    }
    let file = dir.path().join("hostile.jsonl");
    std::fs::write(&file, lines)?;
    let mut running = Process::start(VIGIE, &["up", "--config", text(&config)], &data, &dir.path().join("vigie.log")).await?;
    let said = process::command(
        VIGIE,
        &["import", text(&file), "--account", comments::ACCOUNT, "--config", text(&config)],
        b"",
    )?;
    ensure!(said.status.success(), "import: {}{}", said.out, said.err);
    metrics::settled(&[&running]).await?;
    running.stop(Duration::from_secs(30)).await?;
    let bus = records::embedded(&data).await?;
    let verdicts = records::by_id::<Verdict>(bus.as_ref(), Topic::Verdicts).await?;
    ensure!(
        verdicts.len() == texts.len(),
        "{} verdicts on {} texts",
        verdicts.len(),
        texts.len()
    );
    for (verdict, _) in verdicts.values() {
        for hit in &verdict.rules {
            ensure!(
                verdict.comment.text.get(hit.span[0]..hit.span[1]).is_some(),
                "a span is not on character boundaries"
            );
        }
    }
    ensure!(records::deliveries(bus.as_ref(), Topic::DeadLetters).await?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_record_goes_to_the_dead_letters_and_the_rest_flows_on() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let (data, config) = (dir.path().join("data"), dir.path().join("vigie.toml"));
    process::write_config(&process::config(&data)?, &config)?;
    std::fs::create_dir_all(&data)?;
    let bus = records::embedded(&data).await?;
    for (n, payload) in [b"{".to_vec(), b"{\"schema\":\"comment/9\"}".to_vec(), vec![0xff; 40]]
        .into_iter()
        .enumerate()
    {
        let poison = vigie_bus::Record {
            key: format!("poison-{n}"),
            id: format!("poison-{n}"),
            headers: Vec::new(),
            payload,
        };
        bus.publish(Topic::Comments, vec![poison]).await?;
    }
    bus.close().await?;
    drop(bus);
    let file = dir.path().join("comments.jsonl");
    comments::write_jsonl(&file, 50)?;
    let running = Process::start(VIGIE, &["up", "--config", text(&config)], &data, &dir.path().join("vigie.log")).await?;
    let said = process::command(
        VIGIE,
        &["import", text(&file), "--account", comments::ACCOUNT, "--config", text(&config)],
        b"",
    )?;
    ensure!(said.status.success(), "import: {}", said.err);
    metrics::settled(&[&running]).await?;
    let seen = running.metrics().await?;
    let letters = metrics::sum(&seen, "vigie_dead_letters_total", &["service=\"classifier\""]);
    ensure!((letters - 3.0).abs() < 0.5, "{letters} dead letters");
    ensure!(metrics::sum(&seen, "vigie_classifier_verdicts_total", &[]) >= 50.0);
    let listed = process::command(VIGIE, &["dead-letters", "list", "--config", text(&config)], b"")?;
    ensure!(
        listed.status.success() && listed.out.contains("comment/9") && listed.out.contains("classifier"),
        "{}{}",
        listed.out,
        listed.err
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_clear_error_when_it_cannot_start() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let (data, file) = (dir.path().join("data"), dir.path().join("vigie.toml"));
    let config = process::config(&data)?;
    process::write_config(&config, &file)?;
    let first = Process::start(VIGIE, &["up", "--config", text(&file)], &data, &dir.path().join("first.log")).await?;

    let second = process::command(VIGIE, &["up", "--config", text(&file)], b"")?;
    ensure!(
        second.status.code() == Some(1) && second.err.contains("is in use by another vigie"),
        "{}",
        second.err
    );

    let mut other = config.clone();
    other.data.dir = dir.path().join("other");
    other.server.listen = first.address.to_string();
    let check = |name: &str, config: &vigie::Config, expected: &[&str]| -> anyhow::Result<()> {
        let path = dir.path().join(format!("{name}.toml"));
        process::write_config(config, &path)?;
        let said = process::command(VIGIE, &["up", "--config", text(&path)], b"")?;
        ensure!(said.status.code() == Some(1), "{name}: ended with {}", said.status);
        for part in expected {
            ensure!(said.err.contains(part), "{name}: the error does not say `{part}`: {}", said.err);
        }
        Ok(())
    };
    check("port", &other, &["is in use", "--listen"])?;
    "127.0.0.1:0".clone_into(&mut other.server.listen);
    let good = other.clone();
    other.classifier.model = dir.path().join("no-model");
    check("model", &other, &["no-model"])?;
    other = good.clone();
    other.classifier.onnxruntime = dir.path().join("no-library.so");
    check("library", &other, &["no-library.so"])?;
    other = good.clone();
    other.accounts[0].policy = "severe".to_owned();
    check("policy", &other, &["severe", "known: "])?;

    let unknown = dir.path().join("unknown.toml");
    std::fs::write(&unknown, "[server]\nlisten_adress = \"127.0.0.1:0\"\n")?;
    let said = process::command(VIGIE, &["up", "--config", text(&unknown)], b"")?;
    ensure!(
        said.status.code() == Some(1) && said.err.contains("listen_adress") && said.err.contains("`listen`"),
        "{}",
        said.err
    );
    Ok(())
}

/// Root may write everywhere; so the process runs as nobody where the test runs as root.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_data_directory_is_refused() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755))?;
    let data = dir.path().join("data");
    std::fs::create_dir(&data)?;
    let file = dir.path().join("vigie.toml");
    process::write_config(&process::config(&data)?, &file)?;
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o555))?;
    let root = Command::new("id").arg("-u").output()?.stdout == b"0\n";
    let mounted = root.then(|| ReadOnly::mount(&data)).transpose()?;
    let said = process::command(VIGIE, &["up", "--config", text(&file)], b"")?;
    drop(mounted);
    ensure!(said.status.code() == Some(1), "ended with {}: {}", said.status, said.err);
    ensure!(
        said.err.contains("could not write to the data directory") && said.err.contains("--data"),
        "{}",
        said.err
    );
    Ok(())
}

/// A mount over a folder, gone when dropped.
struct ReadOnly<'a>(&'a Path);

impl<'a> ReadOnly<'a> {
    fn mount(path: &'a Path) -> anyhow::Result<Self> {
        mount(path, "ro,size=1m")?;
        Ok(Self(path))
    }
}

impl Drop for ReadOnly<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0).status().ok();
    }
}

fn mount(path: &Path, options: &str) -> anyhow::Result<()> {
    let done = Command::new("mount")
        .args(["-t", "tmpfs", "-o", options, "tmpfs"])
        .arg(path)
        .status()
        .context("mount")?;
    ensure!(done.success(), "mount failed");
    Ok(())
}

/// Needs the right to mount a small file system; without it the test says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_nothing_and_recovers() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    std::fs::create_dir(&data)?;
    if mount(&data, "size=48m").is_err() {
        skipped("no right to mount a small file system");
        return Ok(());
    }
    let _mounted = ReadOnly(&data);
    let file = dir.path().join("vigie.toml");
    process::write_config(&process::config(&data)?, &file)?;
    let rows = dir.path().join("comments.jsonl");
    comments::write_jsonl(&rows, 2_000)?;
    let mut running = Process::start(VIGIE, &["up", "--config", text(&file)], &data, &dir.path().join("vigie.log")).await?;
    let filler = data.join("filler");
    fill(&filler)?;
    let import = || {
        process::command(
            VIGIE,
            &["import", text(&rows), "--account", comments::ACCOUNT, "--config", text(&file)],
            b"",
        )
    };
    let said = tokio::time::timeout(
        Duration::from_secs(120),
        tokio::task::spawn_blocking({
            let arguments = ["import", text(&rows), "--account", comments::ACCOUNT, "--config", text(&file)].map(str::to_owned);
            move || process::command(VIGIE, &arguments.each_ref().map(String::as_str), b"")
        }),
    )
    .await
    .context("the import neither ended nor gave up")???;
    ensure!(!said.status.success(), "the import says that all went well on a full disk");
    std::fs::remove_file(&filler)?;
    let said = import()?;
    ensure!(said.status.success(), "after there was room again: {}", said.err);
    metrics::settled(&[&running]).await?;
    let status = running.stop(Duration::from_secs(30)).await?;
    ensure!(status.success(), "ended with {status}: {}", running.tail());
    let bus = records::embedded(&data).await?;
    let verdicts = records::by_id::<Verdict>(bus.as_ref(), Topic::Verdicts).await?;
    ensure!(verdicts.len() == 2_000, "{} verdicts on 2000 comments", verdicts.len());
    bus.close().await?;
    Ok(())
}

/// Writes until nothing more fits.
fn fill(path: &Path) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path)?;
    for size in [1 << 20, 1 << 12, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
fn skipped(why: &str) {
    eprintln!("SKIPPED: {why}");
}
