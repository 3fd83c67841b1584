//! The evidence chain: each link holds the hash of the one before, so that nothing can be changed or removed unnoticed.
//!
//! `H_i = SHA256(H_{i-1} || canonical JSON)`: keys sorted, no spaces, UTF-8; the genesis is 32 zero bytes.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// The hash before the first link: 32 zero bytes, in hexadecimal.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// JSON with sorted keys and no spaces.
#[must_use]
pub fn canonical_json(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort();
            let body: Vec<String> = keys
                .into_iter()
                .map(|key| format!("{}:{}", Value::String(key.clone()), canonical_json(&fields[key])))
                .collect();
            format!("{{{}}}", body.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical_json).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

/// The hash of the next link after `previous` (hexadecimal, 64 characters), in hexadecimal.
///
/// # Errors
/// `previous` is not 32 bytes of hexadecimal.
pub fn link(previous: &str, entry: &Value) -> Result<String, hex::FromHexError> {
    let mut before = [0_u8; 32];
    hex::decode_to_slice(previous, &mut before)?;
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(canonical_json(entry).as_bytes());
    Ok(hex::encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reproduces_the_published_vectors() -> Result<(), Box<dyn std::error::Error>> {
        let capture: Value = serde_json::from_str(
            r#"{"type":"capture", "seq":1,"at":"2026-11-23T10:00:00Z","comment_sha256":"75c4ec0328d2ec2e8cc1cfecda70808ab55a68645a100cd7b88b18ed9d44fd5d"}"#,
        )?;
        let first = link(GENESIS, &capture)?;
        assert_eq!(first, "00c9727a94dd9b51d1f9173cc0802c9723f424e5129f339da8dde51b645e96b9");
        let decision: Value = serde_json::from_str(r#"{"at":"2026-11-23T10:02:00Z","seq":2,"type":"decision","verdict":"retirer"}"#)?;
        assert_eq!(
            link(&first, &decision)?,
            "842992b8125dfa0dea118f1571e7cdb6670ee4755a22fa0c2ac147def04478ab"
        );
        Ok(())
    }
}
