//! From named fields to a [`Row`]: what each may hold.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use vigie_domain::ids::ID_BYTES_MAX;

use super::Row;

/// The columns of a row, as text; absent and empty ones are none. `text` alone may be empty.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub platform: Option<String>,
    pub account_id: Option<String>,
    pub post_id: Option<String>,
    pub comment_id: Option<String>,
    pub created_at: Option<String>,
    pub text: Option<String>,
    pub parent_id: Option<String>,
    pub author_id: Option<String>,
    pub edited_at: Option<String>,
    pub deleted_at: Option<String>,
    pub permalink: Option<String>,
    pub language: Option<String>,
    pub parent_text: Option<String>,
    pub post_text: Option<String>,
}

/// The names that every row must have.
pub(super) const REQUIRED: [&str; 6] = ["platform", "account_id", "post_id", "comment_id", "created_at", "text"];

impl Fields {
    /// The field of this name; none where the name is not known.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            "platform" => &mut self.platform,
            "account_id" => &mut self.account_id,
            "post_id" => &mut self.post_id,
            "comment_id" => &mut self.comment_id,
            "created_at" => &mut self.created_at,
            "text" => &mut self.text,
            "parent_id" => &mut self.parent_id,
            "author_id" => &mut self.author_id,
            "edited_at" => &mut self.edited_at,
            "deleted_at" => &mut self.deleted_at,
            "permalink" => &mut self.permalink,
            "language" => &mut self.language,
            "parent_text" => &mut self.parent_text,
            "post_text" => &mut self.post_text,
            _ => return None,
        })
    }

    /// Checks every field.
    pub fn into_row(self, raw: String) -> Result<Row, String> {
        let deleted_at = optional_time("deleted_at", self.deleted_at)?;
        let text = match self.text {
            Some(text) => text,
            None if deleted_at.is_some() => String::new(),
            None => return Err(missing("text")),
        };
        let platform = required("platform", self.platform)?;
        Ok(Row {
            platform: platform.parse().map_err(|_| {
                "`platform` is none of facebook, instagram, threads, youtube, x, tiktok, linkedin, mastodon, bluesky, telegram, wordpress, discourse, rss, generic".to_owned()
            })?,
            account_id: id("account_id", required("account_id", self.account_id)?)?,
            post_id: id("post_id", required("post_id", self.post_id)?)?,
            comment_id: id("comment_id", required("comment_id", self.comment_id)?)?,
            created_at: time("created_at", &required("created_at", self.created_at)?)?,
            text,
            parent_id: self.parent_id.map(|text| id("parent_id", text)).transpose()?,
            author_id: self.author_id.map(|text| id("author_id", text)).transpose()?,
            edited_at: optional_time("edited_at", self.edited_at)?,
            deleted_at,
            permalink: self.permalink.filter(|url| is_web_address(url)),
            language: self.language.filter(|tag| tag.len() <= 35 && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')),
            parent_text: self.parent_text,
            post_text: self.post_text,
            raw,
        })
    }
}

/// Reads one JSON object.
///
/// # Errors
/// What is wrong with it, without quoting it.
pub fn read_json(text: &str) -> Result<Row, String> {
    // An array would be taken for the fields in their order.
    if !text.trim_start().starts_with('{') {
        return Err("not a JSON object".to_owned());
    }
    let raw: RawFields = serde_json::from_str(text).map_err(|error| invalid_json(&error))?;
    let fields = Fields {
        platform: string("platform", raw.platform)?,
        account_id: id_text("account_id", raw.account_id)?,
        post_id: id_text("post_id", raw.post_id)?,
        comment_id: id_text("comment_id", raw.comment_id)?,
        created_at: string("created_at", raw.created_at)?,
        text: any_string("text", raw.text)?,
        parent_id: id_text("parent_id", raw.parent_id)?,
        author_id: id_text("author_id", raw.author_id)?,
        edited_at: string("edited_at", raw.edited_at)?,
        deleted_at: string("deleted_at", raw.deleted_at)?,
        permalink: string("permalink", raw.permalink)?,
        language: string("language", raw.language)?,
        parent_text: string("parent_text", raw.parent_text)?,
        post_text: string("post_text", raw.post_text)?,
    };
    fields.into_row(text.to_owned())
}

/// Each value as it stands in the JSON, so that numbers keep every digit. Fields that are not known are passed over.
#[derive(Deserialize)]
struct RawFields<'a> {
    #[serde(borrow, default)]
    platform: Option<&'a RawValue>,
    #[serde(borrow, default)]
    account_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    post_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    comment_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    created_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    parent_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    author_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    edited_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    deleted_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    permalink: Option<&'a RawValue>,
    #[serde(borrow, default)]
    language: Option<&'a RawValue>,
    #[serde(borrow, default)]
    parent_text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    post_text: Option<&'a RawValue>,
}

fn invalid_json(error: &serde_json::Error) -> String {
    // The parser's own words may quote the row.
    match error.classify() {
        serde_json::error::Category::Eof => "the JSON object is cut off".to_owned(),
        _ if error.to_string().starts_with("duplicate field") => "a field is there twice".to_owned(),
        _ => format!("not a JSON object: wrong at column {}", error.column()),
    }
}

/// A string that may be empty; null is none.
fn any_string(name: &str, raw: Option<&RawValue>) -> Result<Option<String>, String> {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else {
        return Ok(None);
    };
    serde_json::from_str(raw.get())
        .map(Some)
        .map_err(|_| format!("`{name}` is not a string of Unicode characters"))
}

/// A string; null and empty ones are none.
fn string(name: &str, raw: Option<&RawValue>) -> Result<Option<String>, String> {
    Ok(any_string(name, raw)?.filter(|text| !text.is_empty()))
}

/// An id: a string, or a whole number with all its digits.
fn id_text(name: &str, raw: Option<&RawValue>) -> Result<Option<String>, String> {
    let Some(text) = raw.map(RawValue::get) else { return Ok(None) };
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Some(text.to_owned()));
    }
    if text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '-' | 't' | 'f' | '{' | '[')) {
        return Err(format!("`{name}` is neither a string nor a whole number"));
    }
    string(name, raw)
}

fn required(name: &str, value: Option<String>) -> Result<String, String> {
    value.ok_or_else(|| missing(name))
}

fn missing(name: &str) -> String {
    format!("`{name}` is missing")
}

/// An id names things in logs and tables: what cannot be seen has no place in it.
fn id(name: &str, text: String) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err(missing(name));
    }
    if text.len() > ID_BYTES_MAX {
        return Err(format!("`{name}` has {} bytes, {ID_BYTES_MAX} is the most", text.len()));
    }
    if text.chars().any(|c| c.is_control() || is_invisible(c)) {
        return Err(format!("`{name}` holds a control character or a mark that cannot be seen"));
    }
    Ok(text)
}

/// Zero-width characters, and marks that change the direction of writing.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn time(name: &str, text: &str) -> Result<Timestamp, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("`{name}` is not a time such as 2026-11-20T09:12:03Z (RFC 3339, with its zone)"))
}

fn optional_time(name: &str, text: Option<String>) -> Result<Option<Timestamp>, String> {
    text.map(|text| time(name, &text)).transpose()
}

/// Whether it may stand in a link.
fn is_web_address(text: &str) -> bool {
    text.len() <= 2048 && url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}
