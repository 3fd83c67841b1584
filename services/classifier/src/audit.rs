//! The draw of the audit sample: the stratum from the abusive score, the probability from the policy, the draw from a keyed hash of
//! the comment id. Pure but for the key, which the caller holds.

use vigie_domain::{Audit, CommentId, Policy, ScoreLabel, Scores, sha256_hex};

/// The stratum of tombstones. They have no score, nobody can label them, and the estimators leave them out.
pub const DELETED: &str = "deleted";

/// The audit of a scored comment; `draw` is in [0, 1).
#[must_use]
pub fn audit(policy: &Policy, scores: &Scores, draw: f64) -> Audit {
    let stratum = policy.stratum(f64::from(scores.get(ScoreLabel::Abusive).unwrap_or(0.0)));
    Audit {
        stratum: stratum.name.clone(),
        probability: stratum.probability,
        selected: draw < stratum.probability,
    }
}

/// The audit of a tombstone.
#[must_use]
pub fn deleted() -> Audit {
    Audit {
        stratum: DELETED.to_owned(),
        probability: 1.0,
        selected: false,
    }
}

/// A draw without a key, for offline use where there is no deployment: reproducible, but anybody can compute it.
#[must_use]
pub fn keyless_draw(id: &CommentId) -> f64 {
    let digest = sha256_hex(id.as_str().as_bytes());
    let leading = u64::from_str_radix(&digest[..13], 16).unwrap_or(0);
    #[expect(clippy::cast_precision_loss, reason = "52 bits fit a double exactly")]
    let numerator = leading as f64;
    numerator / (1_u64 << 52) as f64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use vigie_domain::IdError;

    use super::*;

    #[test]
    fn the_share_drawn_is_the_probability_recorded() -> Result<(), Box<dyn std::error::Error>> {
        let files = BTreeMap::from([(
            "default".to_owned(),
            include_str!("../../../deploy/policies/default.toml").to_owned(),
        )]);
        let policy = Policy::read_all(&files)?.remove("default").ok_or("no default")?;
        let ids: Vec<CommentId> = (0..10_000)
            .map(|n| CommentId::new(format!("comment {n}")))
            .collect::<Result<_, IdError>>()?;
        for score in [0.0_f32, 0.3, 0.6, 1.0] {
            let scores = Scores(BTreeMap::from([(ScoreLabel::Abusive, score)]));
            let audits: Vec<Audit> = ids.iter().map(|id| audit(&policy, &scores, keyless_draw(id))).collect();
            let probability = audits[0].probability;
            let drawn = audits.iter().filter(|audit| audit.selected).count() as f64;
            let deviation = (10_000.0 * probability * (1.0 - probability)).sqrt();
            assert!(
                (drawn - 10_000.0 * probability).abs() < 5.0 * deviation,
                "{score}: {drawn} of {probability}"
            );
        }
        Ok(())
    }
}
