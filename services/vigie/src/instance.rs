//! How commands find the process that runs on a data directory: `instance.json` (address, process) and `instance.token`, a
//! secret that only the owner of the directory can read.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use vigie_runtime::Secret;

/// A running process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Its process id.
    pub pid: u32,
}

const FILE: &str = "instance.json";
const TOKEN: &str = "instance.token";
const LOCK: &str = "vigie.lock";

impl Instance {
    /// Announces this process.
    ///
    /// # Errors
    /// The data directory cannot be written.
    pub fn announce(data_dir: &Path, addr: SocketAddr) -> anyhow::Result<()> {
        let instance = Self {
            addr,
            pid: std::process::id(),
        };
        replace(data_dir, FILE, &serde_json::to_vec(&instance)?)
    }

    /// The process that runs on `data_dir`, if one does: the file is believed only while the directory is locked by the process that
    /// it names.
    ///
    /// # Errors
    /// A process holds the directory and has not announced itself: it is starting, or it is another command.
    pub fn find(data_dir: &Path) -> anyhow::Result<Option<Self>> {
        let lock = data_dir.join(LOCK);
        let Ok(file) = File::open(&lock) else { return Ok(None) };
        if file.try_lock_shared().is_ok() {
            return Ok(None);
        }
        let holder = std::fs::read_to_string(&lock).with_context(|| format!("could not read {}", lock.display()))?;
        let announced = std::fs::read(data_dir.join(FILE))
            .ok()
            .and_then(|content| serde_json::from_slice::<Self>(&content).ok());
        match announced {
            Some(instance) if instance.pid.to_string() == holder.trim() => Ok(Some(instance)),
            _ => anyhow::bail!(
                "the data directory {} is in use by process {}, which does not answer yet; try again in a moment",
                data_dir.display(),
                holder.trim()
            ),
        }
    }

    /// Where a process on the same machine reaches it.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        let ip = match self.addr.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        SocketAddr::new(ip, self.addr.port())
    }
}

/// The token of a data directory; made when missing, mode 0600.
///
/// # Errors
/// The directory cannot be read or written.
pub fn token(data_dir: &Path) -> anyhow::Result<Secret> {
    let path = data_dir.join(TOKEN);
    match std::fs::read_to_string(&path) {
        Ok(text) if text.trim().len() == 64 => return Ok(Secret::new(text.trim())),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error)
                .with_context(|| format!("could not read {}; run the command as the user that vigie runs as", path.display()));
        }
    }
    let token = hex::encode(rand::random::<[u8; 32]>());
    replace(data_dir, TOKEN, token.as_bytes())?;
    Ok(Secret::new(token))
}

/// Writes beside and moves, so that nobody reads half a file; readable by the owner only.
fn replace(dir: &Path, name: &str, content: &[u8]) -> anyhow::Result<()> {
    let path = dir.join(name);
    let beside = dir.join(format!("{name}.partial"));
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&beside, &path))
        .with_context(|| {
            format!(
                "could not write {}; is the directory writable and the disk not full?",
                path.display()
            )
        })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn is_found_only_while_the_directory_is_locked_by_it() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        assert_eq!(Instance::find(dir.path())?, None);
        Instance::announce(dir.path(), "0.0.0.0:8080".parse()?)?;
        assert_eq!(Instance::find(dir.path())?, None, "nobody holds the lock");
        let path = dir.path().join(LOCK);
        std::fs::write(&path, std::process::id().to_string())?;
        let holder = File::open(&path)?;
        holder.lock()?;
        let found = Instance::find(dir.path())?.context("it runs")?;
        assert_eq!(found.local().to_string(), "127.0.0.1:8080");
        std::fs::write(&path, "1")?;
        assert!(Instance::find(dir.path()).is_err(), "the lock is another process's");
        drop(holder);
        assert_eq!(Instance::find(dir.path())?, None);
        Ok(())
    }

    #[test]
    fn the_token_is_kept_and_private() -> anyhow::Result<()> {
        let dir = tempfile::tempdir()?;
        let first = token(dir.path())?;
        assert_eq!(token(dir.path())?, first);
        assert_eq!(std::fs::metadata(dir.path().join(TOKEN))?.permissions().mode() & 0o777, 0o600);
        Ok(())
    }
}
