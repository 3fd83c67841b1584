//! `--watch`: a public account, by the address or handle that people know it by. It is watched in dry-run, without a token.

use anyhow::Context as _;
use url::Url;
use vigie_domain::Platform;
use vigie_runtime::accounts::AccountConfig;

const EXAMPLES: &str = "write https://mastodon.social/@name, @name@mastodon.social or bsky:name.bsky.social";

/// The account that `text` names.
///
/// # Errors
/// It names none; says what would.
pub(crate) fn account(text: &str) -> anyhow::Result<AccountConfig> {
    let text = text.trim();
    if let Some(handle) = text.strip_prefix("bsky:") {
        return bluesky(handle);
    }
    if let Some((name, server)) = text.strip_prefix('@').and_then(|rest| rest.split_once('@')) {
        return mastodon(name, &format!("https://{server}"));
    }
    let url = Url::parse(text).with_context(|| format!("`{text}` is neither an address nor a handle; {EXAMPLES}"))?;
    let segments: Vec<&str> = url
        .path_segments()
        .map(|parts| parts.filter(|part| !part.is_empty()).collect())
        .unwrap_or_default();
    match (url.host_str(), segments.as_slice()) {
        (Some("bsky.app"), ["profile", handle]) => bluesky(handle),
        (Some(_), [name]) if name.starts_with('@') && !name[1..].contains('@') => mastodon(&name[1..], &url[..url::Position::BeforePath]),
        _ => anyhow::bail!("`{text}` is not the address of an account; {EXAMPLES}"),
    }
}

fn mastodon(name: &str, server: &str) -> anyhow::Result<AccountConfig> {
    let sound = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    anyhow::ensure!(sound, "`{name}` is not the name of a Mastodon account; {EXAMPLES}");
    let server: Url = server
        .parse()
        .with_context(|| format!("`{server}` is not the address of a server; {EXAMPLES}"))?;
    let host = server
        .host_str()
        .with_context(|| format!("`{server}` names no server; {EXAMPLES}"))?;
    let id = format!("{}@{host}", name.to_lowercase());
    Ok(AccountConfig {
        base_url: Some(server.clone()),
        ..watched(Platform::Mastodon, id, name)
    })
}

fn bluesky(handle: &str) -> anyhow::Result<AccountConfig> {
    let handle = handle.trim_start_matches('@').to_lowercase();
    let sound =
        handle.starts_with("did:") || (handle.contains('.') && handle.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)));
    anyhow::ensure!(sound, "`{handle}` is not a Bluesky handle; {EXAMPLES}");
    Ok(watched(Platform::Bluesky, handle.clone(), &handle))
}

fn watched(platform: Platform, id: String, handle: &str) -> AccountConfig {
    AccountConfig {
        institution: id.clone(),
        name: Some(id.clone()),
        id,
        platform: platform.as_str().to_owned(),
        policy: "default".to_owned(),
        base_url: None,
        handle: Some(handle.to_owned()),
        watch: true,
        dry_run: true,
        token: None,
        login: None,
        labeler_did: None,
        webhook_secrets: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_know_an_account_by() -> anyhow::Result<()> {
        let cases = [
            (
                "https://mastodon.social/@Musee",
                "mastodon",
                "musee@mastodon.social",
                "Musee",
                Some("https://mastodon.social/"),
            ),
            (
                "https://mastodon.social/@Musee/",
                "mastodon",
                "musee@mastodon.social",
                "Musee",
                Some("https://mastodon.social/"),
            ),
            (
                "http://127.0.0.1:3000/@m",
                "mastodon",
                "m@127.0.0.1",
                "m",
                Some("http://127.0.0.1:3000/"),
            ),
            (
                "@musee@social.numerique.gouv.fr",
                "mastodon",
                "musee@social.numerique.gouv.fr",
                "musee",
                Some("https://social.numerique.gouv.fr/"),
            ),
            ("bsky:musee.bsky.social", "bluesky", "musee.bsky.social", "musee.bsky.social", None),
            ("https://bsky.app/profile/Musee.fr", "bluesky", "musee.fr", "musee.fr", None),
        ];
        for (text, platform, id, handle, server) in cases {
            let account = account(text)?;
            let found = (
                account.platform.as_str(),
                account.id.as_str(),
                account.handle.as_deref(),
                account.base_url.as_ref().map(Url::as_str),
            );
            assert_eq!(found, (platform, id, Some(handle), server), "{text}");
            assert!(account.watch && account.dry_run && account.token.is_none(), "{text}");
        }
        Ok(())
    }

    #[test]
    fn says_what_would_name_one() {
        for text in [
            "",
            "musee",
            "https://mastodon.social",
            "https://mastodon.social/about",
            "bsky:musee",
            "@a b@x.fr",
            "https://x.fr/@a@b.fr",
        ] {
            let error = account(text).expect_err(text).to_string();
            assert!(error.contains("bsky:name.bsky.social"), "{text}: {error}");
        }
    }
}
