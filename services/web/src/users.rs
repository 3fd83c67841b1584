//! The table of users. Nobody is there at first, and there is no default password: `vigie user add` creates people.

use anyhow::Context as _;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;
use vigie_domain::Pseudonym;
use vigie_runtime::{Database, Databases};

use crate::password::{self, PASSWORD_BYTES_MAX, PASSWORD_CHARACTERS_MIN, PasswordError, Passwords};
use crate::schema;
use crate::user::{Language, Role, Scope, User};

/// Somebody to add.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// What they type to sign in: 2 to 64 letters, digits, `.`, `-`, `_` or `@`; case does not matter.
    pub login: String,
    /// The name under which others see them; must be free.
    pub pseudonym: Pseudonym,
    /// What they may do.
    pub role: Role,
    /// Whose comments they may see.
    pub institutions: Scope,
    /// Language of their pages.
    pub language: Language,
}

/// A row of [`Users::list`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The person.
    pub user: User,
    /// Whether they may sign in no more.
    pub disabled: bool,
    /// When they were added.
    pub created_at: Timestamp,
}

/// Why a change of users was refused.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// The login has a form that is not accepted.
    #[error("the login `{0}` is not accepted: use 2 to 64 letters, digits, `.`, `-`, `_` or `@`")]
    Login(String),
    /// Login or pseudonym are taken.
    #[error("the login `{login}` or the pseudonym `{pseudonym}` is taken: choose another")]
    Taken {
        /// What was given.
        login: String,
        /// What was given.
        pseudonym: Pseudonym,
    },
    /// There is no such login.
    #[error("there is no user `{0}`: `vigie user list` shows them")]
    Unknown(String),
    /// The password is not good enough.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The database failed.
    #[error("the table of users could not be read or written: {0}")]
    Database(#[from] sqlx::Error),
    /// Anything else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

/// The table of users.
#[derive(Clone)]
pub struct Users {
    database: Database,
    passwords: Passwords,
}

const COLUMNS: &str = "id, login, pseudonym, role, institutions, language, disabled, created_at, generation, password";

/// What signing in needs to know of a person.
pub(crate) struct Known {
    pub(crate) user: User,
    pub(crate) disabled: bool,
    pub(crate) generation: i64,
    pub(crate) hash: String,
    created_at: i64,
}

/// The database of this crate.
pub(crate) async fn database(databases: &Databases) -> anyhow::Result<Database> {
    databases
        .open("web", schema::MIGRATIONS)
        .await
        .context("could not open the database of the pages")
}

impl UsersError {
    /// What is wrong, for the person at the page.
    pub(crate) fn say(&self, language: Language) -> String {
        match (language, self) {
            (Language::En, error) => error.to_string(),
            (Language::Fr, Self::Login(_)) => {
                "Cet identifiant n’est pas accepté\u{a0}: de 2 à 64 lettres sans accent, chiffres, «\u{a0}.\u{a0}», «\u{a0}-\u{a0}», «\u{a0}_\u{a0}» ou «\u{a0}@\u{a0}».".to_owned()
            }
            (Language::Fr, Self::Taken { .. }) => "Cet identifiant ou ce pseudonyme est déjà pris\u{a0}: choisissez-en un autre.".to_owned(),
            (Language::Fr, Self::Unknown(_)) => "Cette personne n’existe plus\u{a0}: rechargez la page.".to_owned(),
            (Language::Fr, Self::Password(PasswordError::Short)) => {
                format!("Mot de passe trop court\u{a0}: il faut au moins {PASSWORD_CHARACTERS_MIN} caractères.")
            }
            (Language::Fr, Self::Password(PasswordError::Long)) => format!("Mot de passe trop long\u{a0}: {PASSWORD_BYTES_MAX} octets au plus."),
            (Language::Fr, Self::Password(PasswordError::Guessable)) => {
                "Mot de passe trop facile à deviner\u{a0}: il ne doit ni contenir l’identifiant ni répéter un seul caractère.".to_owned()
            }
            (Language::Fr, Self::Database(_) | Self::Other(_)) => "Le service est momentanément indisponible.".to_owned(),
        }
    }
}

impl Users {
    /// Opens the table, for commands beside a running process or before the first start. It takes no lock on the data directory.
    ///
    /// # Errors
    /// The database cannot be opened.
    pub async fn open(databases: &Databases) -> anyhow::Result<Self> {
        Self::new(database(databases).await?).await
    }

    pub(crate) async fn new(database: Database) -> anyhow::Result<Self> {
        Ok(Self {
            database,
            passwords: Passwords::new().await?,
        })
    }

    /// Adds somebody.
    ///
    /// # Errors
    /// Login or password not accepted, or login or pseudonym taken.
    pub async fn add(&self, new: NewUser, password: &str) -> Result<User, UsersError> {
        let login = new.login.trim().to_lowercase();
        let accepted = (2..=64).contains(&login.len()) && login.chars().all(|c| c.is_ascii_alphanumeric() || ".-_@".contains(c));
        if !accepted {
            return Err(UsersError::Login(login));
        }
        password::check(&login, password)?;
        let hash = self.passwords.hash(password.to_owned()).await?;
        let id = i64::from(rand::random::<u32>()) + 1;
        let inserted = sqlx::query(
            "INSERT INTO web_users (id, login, pseudonym, role, institutions, language, password, generation, disabled, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, $8) ON CONFLICT DO NOTHING",
        )
        .bind(id)
        .bind(login.clone())
        .bind(new.pseudonym.as_str().to_owned())
        .bind(new.role.as_str())
        .bind(new.institutions.to_text())
        .bind(new.language.as_str())
        .bind(hash)
        .bind(Timestamp::now().as_millisecond())
        .execute(self.database.pool())
        .await?;
        if inserted.rows_affected() == 0 {
            return Err(UsersError::Taken {
                login,
                pseudonym: new.pseudonym,
            });
        }
        Ok(User {
            id,
            login,
            pseudonym: new.pseudonym,
            role: new.role,
            institutions: new.institutions,
            language: new.language,
            csrf: String::new(),
        })
    }

    /// Everybody, by login.
    ///
    /// # Errors
    /// The database failed.
    pub async fn list(&self) -> Result<Vec<Listed>, UsersError> {
        let sql = format!("SELECT {COLUMNS} FROM web_users ORDER BY login");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(self.database.pool()).await?;
        rows.iter()
            .map(|row| {
                let known = read(row)?;
                let created_at = Timestamp::from_millisecond(known.created_at).unwrap_or_default();
                Ok(Listed {
                    user: known.user,
                    disabled: known.disabled,
                    created_at,
                })
            })
            .collect()
    }

    /// Whether nobody was added yet.
    ///
    /// # Errors
    /// The database failed.
    pub async fn is_empty(&self) -> Result<bool, UsersError> {
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM web_users")
            .fetch_one(self.database.pool())
            .await?;
        Ok(count == 0)
    }

    /// Ends every session of a person and lets them sign in no more.
    ///
    /// # Errors
    /// There is no such login, or the database failed.
    pub async fn disable(&self, login: &str) -> Result<(), UsersError> {
        self.change(
            login,
            "UPDATE web_users SET disabled = 1, generation = generation + 1 WHERE login = $1",
        )
        .await
    }

    /// Lets a disabled person sign in again.
    ///
    /// # Errors
    /// There is no such login, or the database failed.
    pub async fn enable(&self, login: &str) -> Result<(), UsersError> {
        self.change(login, "UPDATE web_users SET disabled = 0 WHERE login = $1").await
    }

    /// Changes a password and ends every session of the person.
    ///
    /// # Errors
    /// There is no such login, the password is not accepted, or the database failed.
    pub async fn set_password(&self, login: &str, password: &str) -> Result<(), UsersError> {
        let login = login.trim().to_lowercase();
        password::check(&login, password)?;
        let hash = self.passwords.hash(password.to_owned()).await?;
        let changed = sqlx::query("UPDATE web_users SET password = $2, generation = generation + 1 WHERE login = $1")
            .bind(login.clone())
            .bind(hash)
            .execute(self.database.pool())
            .await?;
        if changed.rows_affected() == 0 {
            Err(UsersError::Unknown(login))
        } else {
            Ok(())
        }
    }

    /// Changes what a person may do and whose comments they may see; takes effect with their next request.
    ///
    /// # Errors
    /// There is no such login, or the database failed.
    pub async fn change_rights(&self, login: &str, role: Role, institutions: &Scope) -> Result<(), UsersError> {
        let login = login.trim().to_lowercase();
        let changed = sqlx::query("UPDATE web_users SET role = $2, institutions = $3 WHERE login = $1")
            .bind(login.clone())
            .bind(role.as_str())
            .bind(institutions.to_text())
            .execute(self.database.pool())
            .await?;
        if changed.rows_affected() == 0 {
            Err(UsersError::Unknown(login))
        } else {
            Ok(())
        }
    }

    pub(crate) async fn set_language(&self, id: i64, language: Language) -> Result<(), UsersError> {
        sqlx::query("UPDATE web_users SET language = $2 WHERE id = $1")
            .bind(id)
            .bind(language.as_str())
            .execute(self.database.pool())
            .await?;
        Ok(())
    }

    /// The person, if the password is theirs and they may sign in. Takes the same time for an unknown login.
    pub(crate) async fn authenticate(&self, login: &str, password: &str) -> Result<Option<Known>, UsersError> {
        let login = login.trim().to_lowercase();
        let sql = format!("SELECT {COLUMNS} FROM web_users WHERE login = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(login)
            .fetch_optional(self.database.pool())
            .await?;
        let known = row.as_ref().map(read).transpose()?;
        let hash = known.as_ref().map(|known| known.hash.clone());
        let password: String = password.chars().take(password::PASSWORD_BYTES_MAX).collect();
        let right = self.passwords.verify(password, hash).await?;
        Ok(known.filter(|known| right && !known.disabled))
    }

    pub(crate) async fn by_id(&self, id: i64) -> Result<Option<Known>, UsersError> {
        let sql = format!("SELECT {COLUMNS} FROM web_users WHERE id = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(id)
            .fetch_optional(self.database.pool())
            .await?;
        Ok(row.as_ref().map(read).transpose()?)
    }

    async fn change(&self, login: &str, sql: &'static str) -> Result<(), UsersError> {
        let login = login.trim().to_lowercase();
        let changed = sqlx::query(sql).bind(login.clone()).execute(self.database.pool()).await?;
        if changed.rows_affected() == 0 {
            Err(UsersError::Unknown(login))
        } else {
            Ok(())
        }
    }
}

fn read(row: &AnyRow) -> anyhow::Result<Known> {
    let text = |column: &str| row.try_get::<String, _>(column);
    let number = |column: &str| row.try_get::<i64, _>(column);
    let user = User {
        id: number("id")?,
        login: text("login")?,
        pseudonym: Pseudonym::new(text("pseudonym")?)?,
        role: text("role")?.parse().map_err(anyhow::Error::msg)?,
        institutions: Scope::from_text(&text("institutions")?)?,
        language: text("language")?.parse().map_err(anyhow::Error::msg)?,
        csrf: String::new(),
    };
    Ok(Known {
        user,
        disabled: number("disabled")? != 0,
        generation: number("generation")?,
        hash: text("password")?,
        created_at: number("created_at")?,
    })
}
