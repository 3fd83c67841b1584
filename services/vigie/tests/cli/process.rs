//! The life of the process: start, use, signals, refusals, kill -9, on the real binary.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::support::{Place, Process, eventually, exchange};

#[test]
fn starts_answers_and_drains() -> anyhow::Result<()> {
    let place = Place::new()?;
    let process = place.up()?;
    assert_eq!(process.get("/healthz")?.0, 200);
    let (status, head, _) = exchange(process.address()?, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
    assert!(
        (300..400).contains(&status) && head.to_lowercase().contains("location: /queue"),
        "{head}"
    );
    let (status, head, _) = exchange(process.address()?, "GET /queue HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
    assert!((300..400).contains(&status) && head.contains("/sign-in"), "{head}");
    assert!(process.log().contains("nobody can sign in yet"), "{}", process.log());
    process.stop()
}

#[test]
fn logs_are_json_where_nobody_looks() -> anyhow::Result<()> {
    let place = Place::new()?;
    let process = place.up()?;
    for line in process.log().lines() {
        let entry: serde_json::Value = serde_json::from_str(line)?;
        assert!(entry["level"].is_string() && entry["timestamp"].is_string(), "{line}");
    }
    assert!(process.log().contains("started"), "{}", process.log());
    process.stop()
}

#[test]
fn a_second_signal_ends_at_once() -> anyhow::Result<()> {
    let place = Place::new()?;
    let mut process = place.up()?;
    let _open = half_a_request(&process)?;
    process.signal("TERM")?;
    eventually(|| process.log().contains("a second signal stops at once"))?;
    let began = Instant::now();
    process.signal("INT")?;
    let status = process.wait()?;
    assert_eq!(status.code(), Some(130), "{}", process.log());
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    Ok(())
}

#[test]
fn what_never_ends_is_given_up_after_the_drain() -> anyhow::Result<()> {
    let place = Place::new()?;
    let config = std::fs::read_to_string(place.config())?;
    std::fs::write(place.config(), config.replace("[server]", "[server]\ndrain = \"1 s\""))?;
    let process = place.up()?;
    let _open = half_a_request(&process)?;
    let began = Instant::now();
    process.stop()?;
    assert!(began.elapsed() >= Duration::from_secs(1), "the request was not waited for");
    assert!(began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());
    Ok(())
}

/// A request whose body never comes, in the hands of the process.
fn half_a_request(process: &Process) -> anyhow::Result<std::net::TcpStream> {
    let mut open = std::net::TcpStream::connect(process.address()?)?;
    let head = "POST /sign-in HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 10\r\nexpect: 100-continue\r\n\r\n";
    std::io::Write::write_all(&mut open, head.as_bytes())?;
    // The answer to `expect` comes when the body is first asked for.
    open.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut answer = [0_u8; 12];
    std::io::Read::read_exact(&mut open, &mut answer)?;
    anyhow::ensure!(&answer == b"HTTP/1.1 100", "{}", String::from_utf8_lossy(&answer));
    Ok(open)
}

#[test]
fn one_process_on_a_data_directory() -> anyhow::Result<()> {
    let place = Place::new()?;
    let process = place.up()?;
    let finished = place.run(&["up"])?;
    let stderr = finished.failure(1)?;
    assert!(
        stderr.contains("is in use by another vigie") && stderr.contains(&process.id().to_string()),
        "{stderr}"
    );
    assert!(stderr.contains("--data DIR"), "{stderr}");
    process.await_ready()?;
    process.stop()
}

#[test]
fn a_port_in_use_is_one_error_and_nothing_runs() -> anyhow::Result<()> {
    let place = Place::new()?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let listen = taken.local_addr()?.to_string();
    let stderr = place.run(&["up", "--listen", &listen])?.failure(1)?;
    assert!(
        stderr.contains(&format!("the address {listen} is in use")) && stderr.contains("--listen"),
        "{stderr}"
    );
    assert!(!place.data().join("instance.json").exists(), "it announced itself");
    let stderr = place.run(&["up", "--listen", "nowhere.invalid:1"])?.failure(1)?;
    assert!(stderr.contains("could not listen on nowhere.invalid:1"), "{stderr}");
    Ok(())
}

#[test]
fn what_cannot_be_used_is_one_error_and_nothing_is_consumed() -> anyhow::Result<()> {
    let place = Place::new()?;
    let cut = place.file("cut.so", &std::fs::read(vigie_scorer::testing::library())?[..1_000_000])?;
    let model = place.path().join("abuse-fr-use");
    std::fs::create_dir(&model)?;
    for entry in std::fs::read_dir(vigie_scorer::testing::model("abuse-fr-use"))? {
        let entry = entry?;
        std::fs::copy(entry.path(), model.join(entry.file_name()))?;
    }
    let mut tokenizer = std::fs::read(model.join("tokenizer.json"))?;
    tokenizer.push(b'\n');
    std::fs::write(model.join("tokenizer.json"), tokenizer)?;
    let library = vigie_scorer::testing::library();
    let cases = [
        (format!("onnxruntime = \"{}\"", cut.display()), "it is truncated"),
        ("onnxruntime = \"/nowhere.so\"".to_owned(), "deploy/onnxruntime"),
        (
            format!("onnxruntime = \"{}\"\nmodel = \"{}\"", library.display(), model.display()),
            "the manifest says",
        ),
        (
            format!("onnxruntime = \"{}\"\nmodel = \"/nowhere\"", library.display()),
            "is missing",
        ),
        (
            format!("onnxruntime = \"{}\"\nrules = \"{}\"", library.display(), model.display()),
            "vigie rules check",
        ),
    ];
    for (classifier, expected) in cases {
        let content = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[data]\ndir = \"{}\"\n[classifier]\n{classifier}\n",
            place.data().display()
        );
        let config = place.file("wrong.toml", content)?;
        let stderr = crate::support::vigie(&["up", "--config", &config.display().to_string()], "")?.failure(1)?;
        assert!(
            stderr.contains("could not start the classifier") && stderr.contains(expected),
            "{classifier}: {stderr}"
        );
    }
    Ok(())
}

#[test]
fn a_data_directory_that_cannot_be_written_says_so() -> anyhow::Result<()> {
    let place = Place::new()?;
    // A file where a directory must be: that holds for root as well.
    let file = place.file("occupied", "")?;
    let inside = file.join("data").display().to_string();
    let stderr = place.run(&["up", "--data", &inside])?.failure(1)?;
    assert!(
        stderr.contains("could not create the data directory") && stderr.contains("--data DIR"),
        "{stderr}"
    );
    // /proc can be written by nobody.
    let stderr = place.run(&["up", "--data", "/proc/self/task"])?.failure(1)?;
    assert!(stderr.contains("could not write to the data directory"), "{stderr}");
    Ok(())
}

#[test]
fn a_public_account_is_watched_by_one_flag() -> anyhow::Result<()> {
    let place = Place::new()?;
    let server = TcpListener::bind("127.0.0.1:0")?;
    let account = format!("http://{}/@Musee", server.local_addr()?);
    let process = place.spawn_with(&["--watch", &account])?;
    let (stream, _) = server.accept()?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut asked = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(&stream), &mut asked)?;
    assert!(asked.starts_with("GET /api/") && asked.contains("Musee"), "{asked}");
    process.stop()?;
    let stderr = place.run(&["up", "--watch", "musee"])?.failure(1)?;
    assert!(stderr.contains("bsky:name.bsky.social"), "{stderr}");
    Ok(())
}

#[test]
fn a_signal_while_starting_ends_with_0() -> anyhow::Result<()> {
    let place = Place::new()?;
    let process = place.spawn()?;
    // The lock is taken before anything else; the model takes longer.
    eventually(|| place.data().join("bus.db").exists())?;
    process.stop()
}

#[test]
fn killed_it_starts_again_with_what_it_had() -> anyhow::Result<()> {
    let place = Place::new()?;
    let rows: String = (0..40).map(|n| row(n, "Bande d'incapables, vous êtes des guignols")).collect();
    let file = place.file("comments.jsonl", rows)?.display().to_string();
    let mut process = place.up()?;
    let imported = place.run(&["import", &file, "--account", "musee", "--json"])?.json()?;
    assert_eq!(imported["imported"], 40, "{imported}");
    process.signal("KILL")?;
    process.wait()?;

    let process = place.up()?;
    eventually(|| process.metric("vigie_bus_lag").is_ok_and(|lag| lag == 0.0) && waiting(&process) > 0.0)?;
    let before = waiting(&process);
    let again = place.run(&["import", &file, "--account", "musee", "--json"])?.json()?;
    assert_eq!(again["imported"], 0, "a rerun is a no-op: {again}");
    assert!((waiting(&process) - before).abs() < f64::EPSILON);
    process.stop()
}

fn waiting(process: &Process) -> f64 {
    process.metric("vigie_review_queue_items").unwrap_or_default()
}

fn row(number: usize, text: &str) -> String {
    let row = serde_json::json!({
        "platform": "generic", "account_id": "musee", "post_id": "p", "comment_id": format!("c{number}"),
        "created_at": "2026-11-01T12:00:00Z", "text": format!("{text} ({number})"),
    });
    format!("{row}\n")
}
