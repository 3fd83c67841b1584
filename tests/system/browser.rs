//! A moderator's quarter of an hour in a real browser: sign in, decide ten comments from the keyboard, take one back, find an
//! escalated one in the archive. Hostile comments are shown and exported harmlessly. The pictures are those of the README.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::json;
use thirtyfour::prelude::*;
use vigie_runtime::testing::peer;
use vigie_tests::browser::Browser;
use vigie_tests::process::{self, Process};
use vigie_tests::{comments, eventually, metrics, people, root};

use crate::VIGIE;

const SCRIPT: &str = "<script>document.title='pris'</script> quel connard ce directeur";
const FORMULA: &str = "=cmd()|' /C calc'!A0 je vais te retrouver et te tuer à la sortie";

fn write_comments(path: &Path) -> anyhow::Result<()> {
    let mut texts: Vec<String> = (0..14).map(|n| format!("Quel connard ce directeur, salle {n}")).collect();
    texts.extend([
        SCRIPT.to_owned(),
        FORMULA.to_owned(),
        "Bonjour, à quelle heure fermez-vous le samedi ?".to_owned(),
    ]);
    let mut lines = String::new();
    for (n, text) in texts.iter().enumerate() {
        let row = json!({ "platform": "generic", "account_id": comments::ACCOUNT, "post_id": "visite", "comment_id": format!("b{n}"),
            "created_at": jiff::Timestamp::now(), "text": text, "author_id": format!("author-{n}") });
        lines.push_str(&format!("{row}\n"));
    }
    Ok(std::fs::write(path, lines)?)
}

/// The default policy, but nothing is hidden by the machine: everything comes to the person.
fn without_automation(dir: &Path) -> anyhow::Result<PathBuf> {
    let policy = std::fs::read_to_string(root().join("deploy/policies/default.toml"))?;
    let careful = policy.replace(r#"hide = ["insult", "sexual", "spam"]"#, "hide = []");
    ensure!(careful != policy, "the default policy has another list of what may be hidden");
    let folder = dir.join("policies");
    std::fs::create_dir(&folder)?;
    std::fs::write(folder.join("default.toml"), careful)?;
    Ok(folder)
}

/// Decides on the comment shown: the key `letter`, then waits until the decision is acknowledged. Gives the text it was about.
async fn decide(browser: &Browser, letter: &str) -> anyhow::Result<String> {
    let window = &browser.window;
    let text = text_shown(browser).await?;
    let item = item_shown(window).await?;
    label_blind(browser).await?;
    browser.press(letter).await?;
    eventually("the decision is acknowledged", Duration::from_secs(10), || async {
        let acknowledged = window.current_url().await?.to_string().contains("done=");
        let is_empty = window.find(By::Css(".empty")).await.is_ok();
        let is_next = item_shown(window).await.is_ok_and(|now| now != item);
        Ok((acknowledged && (is_empty || is_next)).then_some(()))
    })
    .await?;
    Ok(text)
}

/// The text of the comment shown, unfolded where it is folded: what is severe, and every blind check.
async fn text_shown(browser: &Browser) -> anyhow::Result<String> {
    let window = &browser.window;
    if let Ok(veil) = window.find(By::Css("details.veil")).await
        && veil.attr("open").await?.is_none()
    {
        browser.press("v").await?;
    }
    Ok(window.find(By::Css("article .text")).await?.text().await?)
}

/// A blind check asks what the comment does: its box is ticked from the keyboard.
async fn label_blind(browser: &Browser) -> anyhow::Result<()> {
    let window = &browser.window;
    if !browser.text().await?.to_lowercase().contains("contrôle à l’aveugle") {
        return Ok(());
    }
    let label = window.find(By::Css("#decide input[name=act][value=insult]")).await?;
    if label.find(By::XPath("ancestor::details")).await?.attr("open").await?.is_none() {
        browser.press("l").await?;
    }
    Ok(label.send_keys(" ").await?)
}

async fn item_shown(window: &WebDriver) -> anyhow::Result<String> {
    let field = window.find(By::Css("#decide input[name=item]")).await?;
    field.attr("value").await?.context("the form names its item")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moderator_works_from_the_keyboard() -> anyhow::Result<()> {
    let (Some(driver), Some(chromium)) = (peer("CHROMEDRIVER"), peer("CHROMIUM")) else {
        return Ok(());
    };
    let dir = tempfile::tempdir()?;
    let (data, config) = (dir.path().join("data"), dir.path().join("vigie.toml"));
    let mut careful = process::config(&data)?;
    careful.policies.dir = Some(without_automation(dir.path())?);
    process::write_config(&careful, &config)?;
    let config = config.to_str().context("a UTF-8 path")?;
    people::add(VIGIE, config, "camille", "lead")?;
    let running = Process::start(VIGIE, &["up", "--config", config], &data, &dir.path().join("vigie.log")).await?;
    let file = dir.path().join("comments.jsonl");
    write_comments(&file)?;
    let said = process::command(
        VIGIE,
        &[
            "import",
            file.to_str().unwrap_or_default(),
            "--account",
            comments::ACCOUNT,
            "--config",
            config,
        ],
        b"",
    )?;
    ensure!(said.status.success(), "import: {}", said.err);
    metrics::settled(&[&running]).await?;

    let browser = Browser::open(&driver, &chromium).await?;
    let result = work(&browser, dir.path(), &format!("http://{}", running.address)).await;
    if result.is_err() {
        let picture = std::env::temp_dir();
        browser.picture(&picture, "vigie-browser-failure").await.ok();
    }
    browser.quit().await?;
    result
}

async fn work(browser: &Browser, pictures: &Path, base: &str) -> anyhow::Result<()> {
    let window = &browser.window;
    window.goto(base).await?;
    browser.reach("/sign-in").await?;
    window.find(By::Id("login")).await?.send_keys("camille").await?;
    window
        .find(By::Id("password"))
        .await?
        .send_keys(people::PASSWORD + Key::Enter)
        .await?;
    browser.reach("/queue").await?;
    browser.picture(pictures, "queue").await?;

    let mut seen = Vec::new();
    for n in 0..10 {
        // The threat is urgent, so it comes first: it is escalated.
        let letter = if n == 0 {
            "e"
        } else if n % 2 == 0 {
            "g"
        } else {
            "m"
        };
        seen.push(decide(browser, letter).await?);
    }
    ensure!(seen[0].contains("=cmd()"), "the threat came first: {}", seen[0]);
    ensure!(window.title().await?.ends_with("Vigie"), "a comment ran a script");

    // Undo: the last comment comes back, as it was.
    let before = item_shown(window).await?;
    browser.press("a").await?;
    browser.reach("said=undone").await?;
    let back = text_shown(browser).await?;
    ensure!(
        item_shown(window).await? != before && back == seen[9],
        "undo brings back `{}`, not `{back}`",
        seen[9]
    );
    decide(browser, "g").await?;

    // Those that are left, among them the one with a script: shown as it was written.
    while window.find(By::Id("decide")).await.is_ok() {
        seen.push(decide(browser, "g").await?);
        ensure!(seen.len() < 40, "the queue does not end");
    }
    ensure!(
        seen.iter().any(|text| text.contains("<script>document.title='pris'</script>")),
        "the script is not shown as text: {seen:?}"
    );
    ensure!(window.title().await?.ends_with("Vigie"), "a comment ran a script");
    window.goto(format!("{base}/decisions")).await?;
    browser.picture(pictures, "decisions").await?;
    ensure!(browser.text().await?.contains("Annulée"), "the list shows what was taken back");

    archive(browser, pictures, base).await?;
    window.goto(format!("{base}/barometer")).await?;
    browser.picture(pictures, "barometer").await?;
    Ok(())
}

async fn archive(browser: &Browser, pictures: &Path, base: &str) -> anyhow::Result<()> {
    let window = &browser.window;
    eventually("the archive finds the escalated comment", Duration::from_secs(30), || async {
        window.goto(format!("{base}/archive")).await?;
        window.find(By::Id("q")).await?.send_keys("RETROUVE sorties" + Key::Enter).await?;
        browser.reach("q=").await?;
        Ok(browser.text().await?.contains("=cmd()").then_some(()))
    })
    .await?;
    browser.picture(pictures, "archive").await?;
    window.find(By::Css("article a.button")).await?.click().await?;
    browser.picture(pictures, "report").await?;
    // What a spreadsheet opens: the cell is a text, not a formula.
    let script = "const done = arguments[0]; fetch('/archive/export.csv').then((answer) => answer.text()).then(done);";
    let export = window
        .execute_async(script, Vec::new())
        .await?
        .json()
        .as_str()
        .context("an export")?
        .to_owned();
    ensure!(export.contains("cmd()"), "the export holds the comment");
    for cell in export.lines().flat_map(|line| line.split(',')) {
        let cell = cell.trim_start_matches('"');
        ensure!(!cell.starts_with(['=', '+', '@']), "a cell begins like a formula: {cell}");
    }
    Ok(())
}
