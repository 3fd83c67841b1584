//! `vigie user`: the people who may sign in. A password comes from a prompt, a file or the environment, never from the command line,
//! where every process of the machine could read it.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use vigie_domain::InstitutionId;
use vigie_runtime::Secret;
use vigie_runtime::secret::SecretSource;
use vigie_web::{Language, Role};

use super::terminal;
use crate::cli::Place;
use crate::client::{Absent, Vigie};
use crate::control::{Call, ListedUser, UserAdd};

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add somebody.
    Add(AddArgs),
    /// Show everybody.
    List(ListArgs),
    /// Give somebody another password, and end their sessions.
    Password(PasswordArgs),
    /// Let somebody sign in no more, and end their sessions. Their decisions stay, under their pseudonym.
    Remove(NameArgs),
    /// Let somebody who was removed sign in again.
    Restore(NameArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// What they type to sign in.
    login: String,
    /// moderator, lead, analyst or admin.
    #[arg(long, default_value = "moderator")]
    role: Role,
    /// The name under which others see them; made from the role where absent.
    #[arg(long, value_name = "NAME")]
    pseudonym: Option<String>,
    /// Institution whose comments they may see; may be repeated; all where absent.
    #[arg(long = "institution", value_name = "ID")]
    institutions: Vec<String>,
    /// fr or en.
    #[arg(long, default_value = "fr")]
    language: Language,
    #[command(flatten)]
    password: PasswordSource,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// One line of JSON instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct PasswordArgs {
    /// Whose.
    login: String,
    #[command(flatten)]
    password: PasswordSource,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct NameArgs {
    /// Who.
    login: String,
    #[command(flatten)]
    place: Place,
}

/// Where the password is; a prompt where neither is given.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct PasswordSource {
    /// File that holds the password.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Environment variable that holds the password.
    #[arg(long, value_name = "NAME")]
    password_env: Option<String>,
}

impl PasswordSource {
    fn read(&self) -> anyhow::Result<Secret> {
        match (&self.password_file, &self.password_env) {
            (Some(file), _) => SecretSource::File(file.clone()).read(),
            (None, Some(name)) => SecretSource::Env(name.clone()).read(),
            (None, None) => prompt(),
        }
    }
}

fn prompt() -> anyhow::Result<Secret> {
    anyhow::ensure!(
        std::io::stdin().is_terminal() && terminal::is_watched(),
        "there is no terminal to ask for the password: give --password-file FILE or --password-env NAME"
    );
    let screen = console::Term::stderr();
    let ask = |question: &str| -> anyhow::Result<String> {
        screen.write_str(question)?;
        screen.read_secure_line().context("could not read the password")
    };
    let password = ask("password (at least 12 characters): ")?;
    anyhow::ensure!(
        ask("the same again: ")? == password,
        "the two passwords differ; nothing was changed"
    );
    Ok(Secret::new(password))
}

pub(crate) async fn user(command: UserCommand) -> anyhow::Result<ExitCode> {
    match command {
        UserCommand::Add(args) => add(args).await,
        UserCommand::List(args) => list(&args).await,
        UserCommand::Password(args) => {
            let password = args.password.read()?.expose().to_owned();
            let done = format!("`{}` has a new password; their sessions are ended", args.login);
            change(
                &args.place,
                Call::UserPassword {
                    login: args.login,
                    password,
                },
                &done,
            )
            .await
        }
        UserCommand::Remove(args) => {
            let done = format!("`{}` can sign in no more; their sessions are ended", args.login);
            change(
                &args.place,
                Call::UserEnable {
                    login: args.login,
                    enabled: false,
                },
                &done,
            )
            .await
        }
        UserCommand::Restore(args) => {
            let done = format!("`{}` can sign in again", args.login);
            change(
                &args.place,
                Call::UserEnable {
                    login: args.login,
                    enabled: true,
                },
                &done,
            )
            .await
        }
    }
}

async fn add(args: AddArgs) -> anyhow::Result<ExitCode> {
    let institutions = match args.institutions.as_slice() {
        [] => None,
        some => Some(some.iter().map(InstitutionId::new).collect::<Result<Vec<_>, _>>()?),
    };
    let call = Call::UserAdd(UserAdd {
        // Nobody is named after their login: it is shown to others, and the login is not.
        pseudonym: args
            .pseudonym
            .unwrap_or_else(|| format!("{}-{}", args.role.as_str(), hex::encode(rand::random::<[u8; 2]>()))),
        role: args.role,
        institutions,
        language: args.language,
        password: args.password.read()?.expose().to_owned(),
        login: args.login.clone(),
    });
    change(&args.place, call, &format!("`{}` can sign in", args.login)).await
}

async fn change(place: &Place, call: Call, done: &str) -> anyhow::Result<ExitCode> {
    let vigie = Vigie::find(&place.read_for_command()?, Absent::Create).await?;
    let () = vigie.ask(call).await?;
    vigie.close().await?;
    terminal::line(&terminal::escape(done))?;
    Ok(ExitCode::SUCCESS)
}

async fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let vigie = Vigie::find(&args.place.read_for_command()?, Absent::Refuse).await?;
    let users: Vec<ListedUser> = vigie.ask(Call::UserList).await?;
    vigie.close().await?;
    if args.json {
        terminal::json(&users)?;
        return Ok(ExitCode::SUCCESS);
    }
    if users.is_empty() {
        terminal::line("nobody yet; add somebody with `vigie user add NAME --role admin`")?;
    }
    for user in users {
        let institutions = user.institutions.map_or_else(
            || "all institutions".to_owned(),
            |some| some.iter().map(InstitutionId::as_str).collect::<Vec<_>>().join(", "),
        );
        let state = if user.disabled { "removed" } else { "active" };
        terminal::line(&terminal::escape(&format!(
            "{}  {}  {}  {institutions}  {state}",
            user.login,
            user.role.as_str(),
            user.pseudonym
        )))?;
    }
    Ok(ExitCode::SUCCESS)
}
