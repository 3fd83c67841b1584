//! The keys of a deployment: author pseudonyms, sealing of native ids and raw records, the draw of the audit sample.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use vigie_domain::{AuthorPseudonym, CommentId, Platform};

use crate::config::KeysConfig;
use crate::secret::SecretSource;

const NONCE_BYTES: usize = 24;

/// The keys. Cheap to clone; never printed.
#[derive(Clone)]
pub struct Keys(Arc<Material>);

struct Material {
    author: [u8; 32],
    audit: [u8; 32],
    cipher: XChaCha20Poly1305,
}

impl Keys {
    /// Reads the configured keys; makes and keeps the others in `data_dir/keys`, mode 0600.
    ///
    /// # Errors
    /// A key that cannot be read or written, or is not 64 hexadecimal digits.
    pub fn open(config: &KeysConfig, data_dir: &Path) -> anyhow::Result<Self> {
        let read = |name: &str, source: &Option<SecretSource>| match source {
            Some(source) => parse_key(name, source.read()?.expose()),
            None => read_or_make(name, data_dir),
        };
        Ok(Self::from_bytes(
            read("author", &config.author)?,
            read("seal", &config.seal)?,
            read("audit", &config.audit)?,
        ))
    }

    /// Keys from bytes, for tests and tools.
    #[must_use]
    pub fn from_bytes(author: [u8; 32], seal: [u8; 32], audit: [u8; 32]) -> Self {
        Self(Arc::new(Material {
            author,
            audit,
            cipher: XChaCha20Poly1305::new(&seal.into()),
        }))
    }

    /// Keys of which only the audit draw is that of the deployment; the others are random, and gone with the process. For work
    /// offline, which neither names nor seals anybody.
    ///
    /// # Errors
    /// A key that cannot be read, or is not 64 hexadecimal digits.
    pub fn audit_only(source: &SecretSource) -> anyhow::Result<Self> {
        let audit = parse_key("audit", source.read()?.expose())?;
        Ok(Self::from_bytes(rand::random(), rand::random(), audit))
    }

    /// HMAC-SHA-256 of the author's native id under the key of the present quarter (UTC), in hexadecimal.
    #[must_use]
    pub fn pseudonym(&self, platform: Platform, author_native_id: &str) -> AuthorPseudonym {
        let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
        let quarter = format!("{}-Q{}", today.year(), (today.month() - 1) / 3 + 1);
        let quarter_key = hmac(&self.0.author, &[quarter.as_bytes()]);
        let digest = hmac(&quarter_key, &[platform.as_str().as_bytes(), b"\0", author_native_id.as_bytes()]);
        AuthorPseudonym::new(hex::encode(&digest[..16])).expect("32 hexadecimal digits are an identifier")
    }

    /// Seals bytes (XChaCha20-Poly1305, random nonce): base64 of nonce and ciphertext.
    #[must_use]
    pub fn seal(&self, plain: &[u8]) -> String {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let mut out = nonce.to_vec();
        out.extend(
            self.0
                .cipher
                .encrypt(&XNonce::from(nonce), plain)
                .expect("encryption into memory cannot fail"),
        );
        STANDARD.encode(out)
    }

    /// Opens what [`Keys::seal`] sealed.
    ///
    /// # Errors
    /// Not base64, too short, sealed with another key, or changed since.
    pub fn open_sealed(&self, sealed: &str) -> anyhow::Result<Vec<u8>> {
        let bytes = STANDARD.decode(sealed).context("the sealed value is not base64")?;
        anyhow::ensure!(bytes.len() > NONCE_BYTES, "the sealed value is too short");
        let (nonce, cipher) = bytes.split_at(NONCE_BYTES);
        let nonce = XNonce::try_from(nonce).context("the nonce has the wrong length")?;
        self.0
            .cipher
            .decrypt(&nonce, cipher)
            .map_err(|_| anyhow::anyhow!("the sealed value was sealed with another key or was changed; check [keys] seal"))
    }

    /// A number in [0, 1) that depends only on the audit key and the comment: the comment is drawn when it is below the
    /// inclusion probability, reproducibly, and nobody without the key can steer it.
    #[must_use]
    pub fn audit_draw(&self, id: &CommentId) -> f64 {
        let digest = hmac(&self.0.audit, &[b"audit\0", id.as_str().as_bytes()]);
        let mut first = [0_u8; 8];
        first.copy_from_slice(&digest[..8]);
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let numerator = (u64::from_be_bytes(first) >> 11) as f64;
        numerator / (1_u64 << 53) as f64
    }
}

fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn parse_key(name: &str, text: &str) -> anyhow::Result<[u8; 32]> {
    let mut key = [0_u8; 32];
    hex::decode_to_slice(text.trim(), &mut key)
        .with_context(|| format!("the key `{name}` is not 64 hexadecimal digits; make one with `openssl rand -hex 32`"))?;
    Ok(key)
}

fn read_or_make(name: &str, data_dir: &Path) -> anyhow::Result<[u8; 32]> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let dir = data_dir.join("keys");
    let path = dir.join(format!("{name}.key"));
    match std::fs::read_to_string(&path) {
        Ok(text) => return parse_key(name, &text).with_context(|| format!("in {}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("could not read the key {}", path.display())),
    }
    std::fs::create_dir_all(&dir).with_context(|| format!("could not create {}", dir.display()))?;
    let key: [u8; 32] = rand::random();
    let partial = dir.join(format!("{name}.key.partial"));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)
        .with_context(|| format!("could not write the key {}", partial.display()))?;
    file.write_all(hex::encode(key).as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&partial, &path))
        .with_context(|| format!("could not write the key {}; is the disk full?", path.display()))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(byte: u8) -> Keys {
        Keys::from_bytes([byte; 32], [byte; 32], [byte; 32])
    }

    #[test]
    fn seals_and_opens_only_with_the_same_key() -> anyhow::Result<()> {
        let sealed = keys(1).seal("@jeanne".as_bytes());
        assert_eq!(keys(1).open_sealed(&sealed)?, "@jeanne".as_bytes());
        assert!(keys(2).open_sealed(&sealed).is_err());
        assert!(keys(1).open_sealed("").is_err());
        Ok(())
    }

    #[test]
    fn draws_are_reproducible_uniform_and_keyed() -> Result<(), vigie_domain::IdError> {
        let ids: Vec<CommentId> = (0..10_000).map(|n| CommentId::new(format!("c{n}"))).collect::<Result<_, _>>()?;
        let drawn = ids.iter().filter(|id| keys(1).audit_draw(id) < 0.1).count();
        // Binomial(10000, 0.1): 1000 ± 5 standard deviations of 30.
        assert!((850..1150).contains(&drawn), "{drawn}");
        assert!((keys(1).audit_draw(&ids[0]) - keys(1).audit_draw(&ids[0])).abs() < f64::EPSILON);
        assert!((keys(1).audit_draw(&ids[0]) - keys(2).audit_draw(&ids[0])).abs() > f64::EPSILON);
        Ok(())
    }

    #[test]
    fn keys_made_on_first_start_are_kept_and_private() -> anyhow::Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir()?;
        let first = Keys::open(&KeysConfig::default(), dir.path())?;
        let second = Keys::open(&KeysConfig::default(), dir.path())?;
        assert_eq!(first.pseudonym(Platform::Mastodon, "1"), second.pseudonym(Platform::Mastodon, "1"));
        let mode = std::fs::metadata(dir.path().join("keys/seal.key"))?.permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        Ok(())
    }
}
