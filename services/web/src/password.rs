//! argon2id hashes of passwords. Hashing is slow on purpose and takes 19 MiB: it runs on blocking threads, a few at a time.

use std::sync::Arc;

use anyhow::Context as _;
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use tokio::sync::Semaphore;

/// The shortest password accepted, in characters (CNIL, délibération 2022-100: 12 with a restriction of attempts).
pub const PASSWORD_CHARACTERS_MIN: usize = 12;
/// The longest accepted, in bytes.
pub const PASSWORD_BYTES_MAX: usize = 1024;
const AT_ONCE_MAX: usize = 2;

/// Why a password is refused. The text never holds the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Fewer than [`PASSWORD_CHARACTERS_MIN`] characters.
    #[error("the password is too short: give at least {PASSWORD_CHARACTERS_MIN} characters")]
    Short,
    /// Over [`PASSWORD_BYTES_MAX`] bytes.
    #[error("the password is too long: {PASSWORD_BYTES_MAX} bytes are the most")]
    Long,
    /// Holds the login, or is one character repeated.
    #[error("the password is too easy to guess: it must not hold the login nor repeat one character")]
    Guessable,
}

pub(crate) fn check(login: &str, password: &str) -> Result<(), PasswordError> {
    if password.chars().count() < PASSWORD_CHARACTERS_MIN {
        return Err(PasswordError::Short);
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(PasswordError::Long);
    }
    let first = password.chars().next();
    if password.chars().all(|c| Some(c) == first) || password.to_lowercase().contains(&login.to_lowercase()) {
        return Err(PasswordError::Guessable);
    }
    Ok(())
}

/// Hashes and verifies. Cloning shares the limit.
#[derive(Clone)]
pub(crate) struct Passwords {
    permits: Arc<Semaphore>,
    /// The hash of a random password nobody knows: an unknown login costs as much time as a known one.
    decoy: Arc<str>,
}

impl Passwords {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let permits = Arc::new(Semaphore::new(AT_ONCE_MAX));
        let unknown: [u8; 32] = rand::random();
        let decoy = tokio::task::spawn_blocking(move || hash(&hex::encode(unknown))).await??;
        Ok(Self {
            permits,
            decoy: decoy.into(),
        })
    }

    pub(crate) async fn hash(&self, password: String) -> anyhow::Result<String> {
        let _permit = self.permits.acquire().await?;
        tokio::task::spawn_blocking(move || hash(&password)).await?
    }

    /// Whether `password` is the one of `known`. Takes the same time where there is none.
    pub(crate) async fn verify(&self, password: String, known: Option<String>) -> anyhow::Result<bool> {
        let _permit = self.permits.acquire().await?;
        let exists = known.is_some();
        let against = known.unwrap_or_else(|| self.decoy.to_string());
        let matches = tokio::task::spawn_blocking(move || -> anyhow::Result<bool> {
            let parsed = PasswordHash::new(&against).map_err(|error| anyhow::anyhow!("a stored password hash cannot be read: {error}"))?;
            Ok(Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok())
        })
        .await??;
        Ok(matches && exists)
    }
}

fn hash(password: &str) -> anyhow::Result<String> {
    let hash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(|error| anyhow::anyhow!("{error}"))
        .context("could not hash a password")?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn verifies_its_own_hashes_only() -> anyhow::Result<()> {
        let passwords = Passwords::new().await?;
        let hash = passwords.hash("une phrase de passe".to_owned()).await?;
        assert!(hash.starts_with("$argon2id$v=19$"), "{hash}");
        assert!(passwords.verify("une phrase de passe".to_owned(), Some(hash.clone())).await?);
        assert!(!passwords.verify("une phrase de passé".to_owned(), Some(hash)).await?);
        assert!(!passwords.verify("une phrase de passe".to_owned(), None).await?);
        Ok(())
    }

    #[test]
    fn refuses_weak_ones() {
        let cases = [
            ("court", Err(PasswordError::Short)),
            ("aaaaaaaaaaaaaaaa", Err(PasswordError::Guessable)),
            ("jeanne-jeanne-1", Err(PasswordError::Guessable)),
            ("quatre mots au hasard", Ok(())),
        ];
        for (password, expected) in cases {
            assert_eq!(check("Jeanne", password), expected, "{password}");
        }
        assert_eq!(check("x", &"ab".repeat(PASSWORD_BYTES_MAX)), Err(PasswordError::Long));
    }
}
