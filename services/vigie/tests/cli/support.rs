//! Runs the real binary.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const PASSWORD: &str = "quatre mots au hasard";

pub(crate) fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// A directory with a configuration that finds the models, and room for data.
pub(crate) struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let place = Self { dir: tempfile::tempdir()? };
        place.configure("")?;
        Ok(place)
    }

    /// Adds to the configuration.
    pub(crate) fn configure(&self, more: &str) -> anyhow::Result<()> {
        let library = vigie_scorer::testing::library();
        let content = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[data]\ndir = \"{}\"\n[classifier]\nonnxruntime = \"{}\"\nthreads = 1\n[[accounts]]\nid = \"musee\"\nplatform = \"generic\"\ninstitution = \"musee\"\n{more}",
            self.data().display(),
            library.display(),
        );
        Ok(std::fs::write(self.config(), content)?)
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("vigie.toml")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Writes a file and gives its path.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> anyhow::Result<PathBuf> {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content)?;
        Ok(path)
    }

    /// Runs a command with this configuration.
    pub(crate) fn run(&self, arguments: &[&str]) -> anyhow::Result<Finished> {
        self.run_with(arguments, "")
    }

    /// As [`Place::run`], with something on standard input.
    pub(crate) fn run_with(&self, arguments: &[&str], input: impl AsRef<[u8]>) -> anyhow::Result<Finished> {
        let config = self.config();
        let mut all = arguments.to_vec();
        let config = config.display().to_string();
        all.extend(["--config", &config]);
        vigie(&all, input)
    }

    /// Starts `vigie up` and waits until it is ready.
    pub(crate) fn up(&self) -> anyhow::Result<Process> {
        let process = self.spawn()?;
        process.await_ready()?;
        Ok(process)
    }

    /// Starts `vigie up` and does not wait.
    pub(crate) fn spawn(&self) -> anyhow::Result<Process> {
        self.spawn_with(&[])
    }

    /// As [`Place::spawn`], with more arguments.
    pub(crate) fn spawn_with(&self, more: &[&str]) -> anyhow::Result<Process> {
        let stderr = std::fs::File::create(self.dir.path().join("log"))?;
        let child = Command::new(env!("CARGO_BIN_EXE_vigie"))
            .current_dir(root())
            .args(["up", "--config"])
            .arg(self.config())
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()?;
        Ok(Process {
            child,
            data: self.data(),
            log: self.dir.path().join("log"),
        })
    }
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// Its standard output, where it succeeded.
    pub(crate) fn success(self) -> anyhow::Result<String> {
        anyhow::ensure!(self.code == Some(0), "{self:?}");
        Ok(self.stdout)
    }

    /// Its standard error, where it failed with `code`.
    pub(crate) fn failure(self, code: i32) -> anyhow::Result<String> {
        anyhow::ensure!(self.code == Some(code), "expected status {code}: {self:?}");
        Ok(self.stderr)
    }

    pub(crate) fn json(self) -> anyhow::Result<serde_json::Value> {
        let code = self.code;
        serde_json::from_str(&self.stdout).with_context(|| format!("status {code:?}: {} {}", self.stdout, self.stderr))
    }
}

/// Runs the binary in the root of the repository.
pub(crate) fn vigie(arguments: &[&str], input: impl AsRef<[u8]>) -> anyhow::Result<Finished> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_vigie"))
        .current_dir(root())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().context("piped")?;
    let input = input.as_ref().to_vec();
    let writer = std::thread::spawn(move || {
        // A command that does not read its input closes it.
        stdin.write_all(&input).ok();
    });
    let Output { status, stdout, stderr } = child.wait_with_output()?;
    writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))?;
    Ok(Finished {
        code: status.code(),
        stdout: String::from_utf8(stdout)?,
        stderr: String::from_utf8(stderr)?,
    })
}

/// A running `vigie up`; killed when dropped.
pub(crate) struct Process {
    child: Child,
    data: PathBuf,
    log: PathBuf,
}

impl Process {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Where it listens, once it says so.
    pub(crate) fn address(&self) -> anyhow::Result<SocketAddr> {
        let instance = vigie::instance::Instance::find(&self.data)?.context("it does not run")?;
        anyhow::ensure!(instance.pid == self.id(), "another process runs");
        Ok(instance.addr)
    }

    pub(crate) fn await_ready(&self) -> anyhow::Result<()> {
        let ready = || {
            self.address()
                .and_then(|address| get(address, "/readyz"))
                .is_ok_and(|(status, _)| status == 200)
        };
        eventually(ready).with_context(|| format!("not ready: {}", self.log()))
    }

    pub(crate) fn get(&self, path: &str) -> anyhow::Result<(u16, String)> {
        get(self.address()?, path)
    }

    /// The sum over all labels of a metric.
    pub(crate) fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let (_, text) = self.get("/metrics")?;
        let of_metric = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        let values = text
            .lines()
            .filter(of_metric)
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        Ok(values.sum())
    }

    pub(crate) fn signal(&self, name: &str) -> anyhow::Result<()> {
        let sent = Command::new("kill").args([format!("-{name}"), self.id().to_string()]).status()?;
        anyhow::ensure!(sent.success(), "kill -{name} failed");
        Ok(())
    }

    /// Waits for the end.
    pub(crate) fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            anyhow::ensure!(started.elapsed() < PATIENCE, "it does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGTERM, and the end.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        self.signal("TERM")?;
        let status = self.wait()?;
        anyhow::ensure!(status.code() == Some(0), "{status}: {}", self.log());
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Waits for a condition.
pub(crate) fn eventually(mut condition: impl FnMut() -> bool) -> anyhow::Result<()> {
    let started = Instant::now();
    while !condition() {
        anyhow::ensure!(started.elapsed() < PATIENCE, "not within {} s", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// One GET, without following.
pub(crate) fn get(address: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let (status, _, body) = exchange(
        address,
        &format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"),
    )?;
    Ok((status, body))
}

/// One request: status, head, body (chunks are not joined).
pub(crate) fn exchange(address: SocketAddr, request: &str) -> anyhow::Result<(u16, String, String)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.write_all(request.as_bytes())?;
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        anyhow::ensure!(reader.read_line(&mut head)? > 0, "the answer breaks off: {head}");
    }
    let mut body = Vec::new();
    reader.read_to_end(&mut body)?;
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    Ok((status, head, String::from_utf8_lossy(&body).into_owned()))
}
