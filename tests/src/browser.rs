//! A headless Chromium that a test drives as a person would.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use thirtyfour::prelude::*;

use crate::{eventually, root};

/// A browser window. Closed by [`Browser::quit`]; its driver is killed when dropped.
pub struct Browser {
    /// The window.
    pub window: WebDriver,
    driver: Child,
}

impl Browser {
    /// Opens a window of 1280 x 900 pixels; `chromedriver` and `chromium` are paths.
    ///
    /// # Errors
    /// Driver or browser do not start.
    pub async fn open(chromedriver: &str, chromium: &str) -> anyhow::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let driver = Command::new(chromedriver)
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("could not start {chromedriver}"))?;
        let mut browser = Guard(Some(driver));
        let url = format!("http://127.0.0.1:{port}");
        let status = format!("{url}/status");
        eventually("the browser's driver answers", Duration::from_secs(30), || async {
            Ok(reqwest::get(&status).await?.status().is_success().then_some(()))
        })
        .await?;
        let mut wanted = DesiredCapabilities::chrome();
        wanted.set_binary(chromium)?;
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--window-size=1280,900",
            "--lang=fr-FR",
        ] {
            wanted.add_arg(argument)?;
        }
        let window = WebDriver::new(&url, wanted).await.context("could not open a browser window")?;
        let driver = browser.0.take().context("the driver is there")?;
        Ok(Self { window, driver })
    }

    /// Presses a key on the page, as a person does who has the focus in no field.
    ///
    /// # Errors
    /// The page is gone.
    pub async fn press(&self, key: &str) -> anyhow::Result<()> {
        Ok(self.window.find(By::Tag("body")).await?.send_keys(key).await?)
    }

    /// The visible text of the page.
    ///
    /// # Errors
    /// The page is gone.
    pub async fn text(&self) -> anyhow::Result<String> {
        Ok(self.window.find(By::Tag("body")).await?.text().await?)
    }

    /// Waits until the address of the page holds `part`.
    ///
    /// # Errors
    /// Not within ten seconds.
    pub async fn reach(&self, part: &str) -> anyhow::Result<String> {
        eventually(&format!("a page at {part}"), Duration::from_secs(10), || async {
            let url = self.window.current_url().await?.to_string();
            Ok(url.contains(part).then_some(url))
        })
        .await
    }

    /// Takes a picture of the window into `NAME.png` of `folder`; with `VIGIE_TEST_SCREENSHOTS=1` also of `tests/screenshots`, from
    /// where the README shows it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn picture(&self, folder: &Path, name: &str) -> anyhow::Result<()> {
        let file = format!("{name}.png");
        let taken = folder.join(&file);
        self.window.screenshot(&taken).await?;
        anyhow::ensure!(std::fs::metadata(&taken)?.len() > 5_000, "the picture of {name} is empty");
        if vigie_runtime::testing::variable("VIGIE_TEST_SCREENSHOTS").is_some_and(|wanted| wanted == "1") {
            std::fs::copy(&taken, root().join("tests/screenshots").join(file))?;
        }
        Ok(())
    }

    /// Closes the window and ends the driver.
    ///
    /// # Errors
    /// The browser does not answer.
    pub async fn quit(mut self) -> anyhow::Result<()> {
        let closed = self.window.clone().quit().await;
        self.driver.kill().ok();
        self.driver.wait().ok();
        Ok(closed?)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.driver.kill().ok();
        self.driver.wait().ok();
    }
}

/// Ends the driver when opening the window fails.
struct Guard(Option<Child>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(driver) = &mut self.0 {
            driver.kill().ok();
            driver.wait().ok();
        }
    }
}
