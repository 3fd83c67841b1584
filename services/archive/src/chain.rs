//! The evidence chain of a report: one link per thing that happened, appended as it became known and never changed. Pure.
//!
//! Links name things by digest and time; they never hold the text of the comment.

use serde_json::{Value, json};
use vigie_domain::{ChainLink, Enforcement, RevisionId, Verdict, WireRecord as _, evidence, sha256_hex};

use crate::state::DecisionFact;

/// Something that happened, with the name by which it is chained once.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Unique within the report.
    pub name: String,
    /// What the link says, without its number.
    pub entry: Value,
}

/// A later revision, or the deletion, of the comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Succession {
    /// The later revision.
    pub revision: RevisionId,
    /// When, by the platform's clock or by ours.
    pub at: jiff::Timestamp,
    /// Whether the comment is gone.
    pub deleted: bool,
}

/// What is known of a report, in the order in which it would be chained at once.
#[must_use]
pub fn events(verdict: &Verdict, decisions: &[DecisionFact], enforcements: &[Enforcement], succession: Option<&Succession>) -> Vec<Event> {
    let comment = &verdict.comment;
    let mut events = vec![
        Event {
            name: format!("capture:{}", comment.revision),
            entry: json!({
                "type": "capture", "at": comment.collected_at, "comment": comment.id, "revision": comment.revision,
                "comment_sha256": sha256_hex(comment.text.as_bytes()),
                "raw_sha256": comment.evidence.as_ref().map(|evidence| evidence.raw_sha256.clone()),
                "published_at": comment.created_at, "clock": "system (UTC)", "tool": concat!("vigie ", env!("CARGO_PKG_VERSION")),
            }),
        },
        Event {
            name: format!("verdict:{}", verdict.id),
            entry: json!({
                "type": "verdict", "at": comment.collected_at, "verdict": verdict.id, "route": verdict.route, "escalate": verdict.escalate,
                "model": verdict.model, "rulebook": verdict.rulebook, "policy": verdict.policy,
            }),
        },
    ];
    let mut decisions: Vec<&DecisionFact> = decisions.iter().collect();
    decisions.sort_by_key(|decision| decision.sequence);
    events.extend(decisions.into_iter().map(|decision| Event {
        name: format!("decision:{}", decision.id),
        entry: json!({
            "type": "decision", "at": decision.decided_at, "decision": decision.id, "outcome": decision.outcome, "author": decision.author,
            "legal_basis": decision.legal_basis, "undoes": decision.undoes,
            "note_sha256": decision.note.as_ref().map(|note| sha256_hex(note.as_bytes())),
        }),
    }));
    let mut enforcements: Vec<&Enforcement> = enforcements.iter().collect();
    enforcements.sort_by_key(|enforcement| (enforcement.at, enforcement.record_id()));
    events.extend(enforcements.into_iter().map(|enforcement| Event {
        name: format!("enforcement:{}", enforcement.record_id()),
        entry: json!({
            "type": "enforcement", "at": enforcement.at, "enforcement": enforcement.id, "action": enforcement.action,
            "state": enforcement.state, "dry_run": enforcement.dry_run,
        }),
    }));
    events.extend(succession.map(|later| Event {
        name: format!("upstream:{}", later.revision),
        entry: json!({ "type": if later.deleted { "deleted-upstream" } else { "edited-upstream" }, "at": later.at, "revision": later.revision }),
    }));
    events
}

/// The link that follows `previous` (the hash of the last one, or [`evidence::GENESIS`]) as number `sequence`, counted from 1.
///
/// # Errors
/// `previous` is no hash.
pub fn link(previous: &str, sequence: usize, entry: &Value) -> Result<ChainLink, hex::FromHexError> {
    let mut entry = entry.clone();
    if let Some(fields) = entry.as_object_mut() {
        fields.insert("seq".to_owned(), sequence.into());
    }
    Ok(ChainLink {
        hash: evidence::link(previous, &entry)?,
        entry: evidence::canonical_json(&entry),
    })
}

/// Whether every link follows from the one before; the number of the first that does not, from 1.
///
/// # Errors
/// The number of the broken link.
pub fn verify(chain: &[ChainLink]) -> Result<(), usize> {
    let mut previous = evidence::GENESIS.to_owned();
    for (index, known) in chain.iter().enumerate() {
        let entry: Value = serde_json::from_str(&known.entry).map_err(|_| index + 1)?;
        let hash = evidence::link(&previous, &entry).map_err(|_| index + 1)?;
        if hash != known.hash || evidence::canonical_json(&entry) != known.entry {
            return Err(index + 1);
        }
        previous = hash;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_or_missing_link_is_found() -> Result<(), hex::FromHexError> {
        let mut chain = Vec::new();
        let mut previous = evidence::GENESIS.to_owned();
        for number in 1..=3 {
            let next = link(&previous, number, &json!({ "type": "capture", "n": number }))?;
            previous.clone_from(&next.hash);
            chain.push(next);
        }
        assert_eq!(verify(&chain), Ok(()));
        let mut changed = chain.clone();
        changed[1].entry = changed[1].entry.replace("capture", "nothing");
        assert_eq!(verify(&changed), Err(2));
        chain.remove(0);
        assert_eq!(verify(&chain), Err(1));
        Ok(())
    }
}
