//! A stream of comments: mostly ordinary ones, some of every kind that takes another way through the system. The same number
//! always gives the same comment.

use std::fmt::Write as _;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

/// The account that the harness configures.
pub const ACCOUNT: &str = "musee-test";

const ORDINARY: [&str; 12] = [
    "Bonjour, le musée est-il ouvert le mardi",
    "Merci pour cette très belle exposition, les enfants ont adoré",
    "À quelle heure commence la visite guidée",
    "Le lien de la billetterie ne fonctionne plus sur mon téléphone",
    "Quel plaisir de revoir ce tableau après la restauration",
    "Est-ce que le tarif réduit vaut aussi pour les enseignants",
    "Je ne suis pas d'accord avec le ministre sur ce budget",
    "Cette réforme est une erreur, et vos chiffres sont faux",
    "Superbe photo, bravo aux équipes",
    "Le catalogue est-il disponible à la boutique",
    "On attend toujours la réponse à notre courrier de septembre",
    "Hâte de venir dimanche avec ma grand-mère",
];
const INSULTS: [&str; 4] = [
    "Quel connard ce directeur",
    "Bande d'abrutis",
    "T'es qu'un gros con",
    "Ferme ta gueule espèce de débile",
];
const THREATS: [&str; 3] = [
    "Je vais te retrouver et te tuer",
    "Je vais venir te crever devant chez toi",
    "On va brûler votre musée cette nuit",
];

/// The text of the `n`-th comment.
#[must_use]
pub fn text(n: usize) -> String {
    let sentence = match n % 25 {
        7 | 19 => INSULTS[n / 25 % INSULTS.len()],
        13 if (n / 25).is_multiple_of(4) => THREATS[n / 100 % THREATS.len()],
        _ => ORDINARY[n % ORDINARY.len()],
    };
    format!("{sentence} ({n})")
}

/// Writes `count` comments as JSONL, in the contract of `vigie import`, published over the last three hours.
///
/// # Errors
/// The file cannot be written.
pub fn write_jsonl(path: &Path, count: usize) -> anyhow::Result<()> {
    let now = Timestamp::now();
    let mut lines = String::new();
    for n in 0..count {
        let at = now - SignedDuration::from_secs(10_800 - i64::try_from(n * 10_000 / count.max(1))?);
        let row = json!({
            "platform": "generic", "account_id": ACCOUNT, "post_id": format!("p{}", n % 40), "comment_id": format!("c{n}"),
            "created_at": at, "text": text(n), "author_id": format!("author-{}", n % 900),
        });
        writeln!(lines, "{row}")?;
    }
    std::fs::write(path, lines)?;
    Ok(())
}
