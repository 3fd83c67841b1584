//! The JSON form of records: `"schema":"verdict/1"` first, then the fields. A reader accepts unknown fields and refuses an
//! unknown name or major version.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::ids::{CommentId, RecordId};

/// A record that crosses a topic.
pub trait WireRecord: Serialize + DeserializeOwned + JsonSchema {
    /// Name in the schema tag, singular.
    const NAME: &'static str;
    /// Major version in the schema tag; a change that an older reader would misread raises it.
    const MAJOR: u32;

    /// Deterministic identifier, by which consumers are idempotent.
    fn record_id(&self) -> RecordId;

    /// Partition key: the comment, so that an edit and a deletion follow their comment.
    fn key(&self) -> &CommentId;
}

/// Why bytes are not a record.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Not JSON, or a field is missing or of the wrong type. The message gives the place, not the content.
    #[error("not a {expected} record: invalid JSON or fields at line {line} column {column}")]
    Invalid {
        /// Name of the record expected.
        expected: &'static str,
        /// 1-based.
        line: usize,
        /// 1-based.
        column: usize,
        /// The parser's own words: may quote the content, so never logged.
        #[source]
        source: serde_json::Error,
    },
    /// No `schema` field.
    #[error("not a {expected} record: the field `schema` is missing; expected \"{expected}/{major}\"")]
    Untagged {
        /// Name of the record expected.
        expected: &'static str,
        /// Version expected.
        major: u32,
    },
    /// Another record, or a version that this build cannot read.
    #[error("schema `{found}` cannot be read here; this build reads \"{expected}/{major}\": upgrade vigie, or send what it reads")]
    Version {
        /// What the record says.
        found: String,
        /// Name expected.
        expected: &'static str,
        /// Version expected.
        major: u32,
    },
}

#[derive(Serialize)]
struct Tagged<'a, T> {
    schema: String,
    #[serde(flatten)]
    record: &'a T,
}

#[derive(Deserialize)]
struct Tag {
    schema: Option<String>,
}

/// The tag of `T`, such as `verdict/1`.
#[must_use]
pub fn schema_tag<T: WireRecord>() -> String {
    format!("{}/{}", T::NAME, T::MAJOR)
}

/// The JSON bytes of `record`, on one line.
#[must_use]
pub fn encode<T: WireRecord>(record: &T) -> Vec<u8> {
    serde_json::to_vec(&Tagged {
        schema: schema_tag::<T>(),
        record,
    })
    .expect("records have string keys and finite numbers, which JSON can hold")
}

/// Reads a record.
///
/// # Errors
/// Not JSON, untagged, or a name or major version that this build does not read.
pub fn decode<T: WireRecord>(bytes: &[u8]) -> Result<T, WireError> {
    let invalid = |source: serde_json::Error| WireError::Invalid {
        expected: T::NAME,
        line: source.line(),
        column: source.column(),
        source,
    };
    let tag: Tag = serde_json::from_slice(bytes).map_err(invalid)?;
    let found = tag.schema.ok_or(WireError::Untagged {
        expected: T::NAME,
        major: T::MAJOR,
    })?;
    if found != schema_tag::<T>() {
        return Err(WireError::Version {
            found: found.chars().take(40).collect(),
            expected: T::NAME,
            major: T::MAJOR,
        });
    }
    serde_json::from_slice(bytes).map_err(invalid)
}

/// The JSON Schema of `T`, with the tag.
#[must_use]
pub fn json_schema<T: WireRecord>() -> serde_json::Value {
    let mut schema = schemars::schema_for!(T).to_value();
    if let Some(properties) = schema.get_mut("properties").and_then(serde_json::Value::as_object_mut) {
        properties.shift_insert(0, "schema".to_owned(), serde_json::json!({ "const": schema_tag::<T>() }));
    }
    if let Some(required) = schema.get_mut("required").and_then(serde_json::Value::as_array_mut) {
        required.insert(0, "schema".into());
    }
    schema
}
