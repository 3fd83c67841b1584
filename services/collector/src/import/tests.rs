//! Rows of every kind of badness, and what becomes of them.

use std::io::{BufReader, Cursor, Read};

use proptest::prelude::*;

use super::*;

const HEADER: &str = "platform,account_id,post_id,comment_id,created_at,text";

fn read(content: impl AsRef<[u8]>, format: Format) -> Vec<Result<(u64, Row), RowError>> {
    // A small buffer, so that rows cross its edges.
    rows(BufReader::with_capacity(7, Cursor::new(content.as_ref().to_vec())), format).collect()
}

fn json(more: &str) -> String {
    format!(
        r#"{{"platform":"facebook","account_id":"1001","post_id":"p","comment_id":"c","created_at":"2026-11-20T09:12:03Z","text":"Bravo"{more}}}"#
    )
}

fn only_text(content: String, format: Format) -> String {
    read(content, format).remove(0).expect("a row").1.text
}

/// `line` alone in a file: the row's text, or the reason.
#[track_caller]
fn check(content: impl AsRef<[u8]>, format: Format, expected: Result<&str, &str>) {
    let found = read(content, format);
    assert_eq!(found.len(), 1, "{found:?}");
    let found = found
        .into_iter()
        .next()
        .expect("one")
        .map(|(_, row)| row.text)
        .map_err(|error| error.reason);
    assert_eq!(found.as_deref().map_err(String::as_str), expected);
}

#[track_caller]
fn check_json(content: impl AsRef<[u8]>, expected: Result<&str, &str>) {
    check(content, Format::Jsonl, expected);
}

#[track_caller]
fn check_csv(content: &str, expected: Result<&str, &str>) {
    check(content, Format::Csv, expected);
}

#[test]
fn json_lines_are_read() {
    check_json(json(""), Ok("Bravo"));
    check_json(format!("\u{feff}{}\r\n\r\n  \n", json("")), Ok("Bravo"));
    check_json(
        json(r#","likes":3,"from":{"name":"x"},"parent_id":null,"edited_at":"""#),
        Ok("Bravo"),
    );
    check_json(json("").replace("Bravo", ""), Ok(""));
    check_json(
        json("").replace("Bravo", "a\u{202e}b\\u0000\\u001b[31m\\ud83d\\ude00"),
        Ok("a\u{202e}b\u{0}\u{1b}[31m😀"),
    );
}

#[test]
fn bad_json_says_where_and_why_without_quoting() {
    check_json("{\"platform\":", Err("the JSON object is cut off"));
    check_json("{\"platform\":oops}", Err("not a JSON object: wrong at column 13"));
    let array = r#"["facebook","1001","p","c","2026-11-20T09:12:03Z","SECRET",null,null,null,null,null,null,null,null]"#;
    for other in [array, "\"SECRET\"", "17", "null"] {
        check_json(other, Err("not a JSON object"));
    }
    check_json(json(r#","text":"again""#), Err("a field is there twice"));
    check_json(json("").replace("\"text\":\"Bravo\"", "\"t\":0"), Err("`text` is missing"));
    check_json(
        json("").replace("\"Bravo\"", "17"),
        Err("`text` is not a string of Unicode characters"),
    );
    check_json(
        json("").replace("Bravo", "\\ud800"),
        Err("`text` is not a string of Unicode characters"),
    );
    check_json(
        json("").replace("facebook", "minitel"),
        Err(
            "`platform` is none of facebook, instagram, threads, youtube, x, tiktok, linkedin, mastodon, bluesky, telegram, wordpress, discourse, rss, generic",
        ),
    );
    for time in ["2026-11-20", "2026-11-20T09:12:03", "1795470000", "hier", "2026-13-01T00:00:00Z"] {
        check_json(
            json("").replace("2026-11-20T09:12:03Z", time),
            Err("`created_at` is not a time such as 2026-11-20T09:12:03Z (RFC 3339, with its zone)"),
        );
    }
    let mut bytes = json("").into_bytes();
    bytes[5] = 0xff;
    check_json(bytes, Err("not UTF-8 at byte 6 of the row; save the file as UTF-8"));
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(b"a\0b\0".to_owned()).collect();
    check_json(utf16, Err("not UTF-8 but UTF-16; save the file as UTF-8"));
}

#[test]
fn ids_are_opaque_visible_and_keep_every_digit() {
    let id = |value: &str| {
        let found = read(
            json("").replace("\"comment_id\":\"c\"", &format!("\"comment_id\":{value}")),
            Format::Jsonl,
        )
        .remove(0);
        found.map(|(_, row)| row.comment_id).map_err(|error| error.reason)
    };
    let check = |value: &str, expected: Result<&str, &str>| assert_eq!(id(value).as_deref().map_err(String::as_str), expected, "{value}");
    check(
        "71234567890123456789012345678901234567890",
        Ok("71234567890123456789012345678901234567890"),
    );
    check("-7", Ok("-7"));
    check("\"007\"", Ok("007"));
    check(
        "\"at://did:plc:x/app.bsky.feed.post/3k\"",
        Ok("at://did:plc:x/app.bsky.feed.post/3k"),
    );
    for value in ["1e3", "1.0", "true", "{}", "[1]"] {
        check(value, Err("`comment_id` is neither a string nor a whole number"));
    }
    for value in ["null", "\"\"", "\"  \""] {
        check(value, Err("`comment_id` is missing"));
    }
    for value in [
        "\"a\\u0000\"",
        "\"a\\nb\"",
        "\"\\u202ea\"",
        "\"a\\u200b\"",
        "\"\\ufeffa\"",
        "\"a\\u2066\"",
    ] {
        check(value, Err("`comment_id` holds a control character or a mark that cannot be seen"));
    }
    check(
        &format!("\"{}\"", "x".repeat(513)),
        Err("`comment_id` has 513 bytes, 512 is the most"),
    );
    check(&format!("\"{}\"", "x".repeat(512)), Ok(&"x".repeat(512)));
}

#[test]
fn what_is_optional_is_read_and_addresses_are_of_the_web() -> Result<(), RowError> {
    let row = |more: &str| read(json(more), Format::Jsonl).remove(0).map(|(_, row)| row);
    let full = row(
        r#","parent_id":"b","author_id":42,"edited_at":"2026-11-20T10:12:03+01:00","deleted_at":"2026-11-21T00:00:00Z","permalink":"https://example.org/c","language":"fr""#,
    )?;
    assert_eq!(
        (full.parent_id.as_deref(), full.author_id.as_deref(), full.language.as_deref()),
        (Some("b"), Some("42"), Some("fr"))
    );
    assert_eq!(full.edited_at.map(|at| at.to_string()).as_deref(), Some("2026-11-20T09:12:03Z"));
    assert_eq!(full.permalink.as_deref(), Some("https://example.org/c"));
    for address in ["javascript:alert(1)", "data:text/html,x", "/relative", "http://"] {
        assert_eq!(row(&format!(r#","permalink":"{address}""#))?.permalink, None, "{address}");
    }
    assert_eq!(row(r#","language":"<script>""#)?.language, None);
    assert_eq!(row("")?.raw, json(""));
    Ok(())
}

#[test]
fn a_deletion_needs_no_text() {
    check_json(
        json(r#","deleted_at":"2026-11-21T00:00:00Z""#).replace("\"text\":\"Bravo\"", "\"text\":null"),
        Ok(""),
    );
}

#[test]
fn bad_rows_never_stop_the_others() {
    let content = format!("{}\n{{oops\n\n{}\n\u{1}\n{}", json(""), json(""), json(""));
    let lines: Vec<(u64, bool)> = read(content, Format::Jsonl)
        .into_iter()
        .map(|row| row.map_or_else(|error| (error.line, false), |(line, _)| (line, true)))
        .collect();
    assert_eq!(lines, [(1, true), (2, false), (4, true), (5, false), (6, true)]);
}

#[test]
fn a_row_without_end_is_refused_in_constant_memory() {
    let reader = BufReader::new(
        Cursor::new(format!("{}\n", json("")).into_bytes())
            .chain(std::io::repeat(b'x').take(3 * ROW_BYTES_MAX as u64))
            .chain(Cursor::new(format!("\n{}\n", json("")).into_bytes())),
    );
    let found: Vec<_> = rows(reader, Format::Jsonl).collect();
    assert!(found[0].is_ok() && found[2].is_ok() && found.len() == 3);
    assert_eq!(
        found[1].as_ref().map_err(ToString::to_string),
        Err("line 2: the row has more than 16 MiB; the longest text kept is 1 MiB".to_owned())
    );
}

#[test]
fn a_file_that_cannot_be_read_further_ends_with_that() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
        }
    }
    for (format, start) in [(Format::Jsonl, json("")), (Format::Csv, HEADER.to_owned())] {
        let reader = BufReader::new(Cursor::new(format!("{start}\n").into_bytes()).chain(Broken));
        let found: Vec<_> = rows(reader, format).collect();
        let last = found.last().expect("an error").as_ref().expect_err("an error");
        assert!(last.reason.starts_with("the file cannot be read any further"), "{last}");
    }
}

#[test]
fn csv_is_read_with_either_separator_and_mark() {
    let data = |separator: &str| {
        format!("{HEADER},author_id\nx,a,p,007,2026-11-20T09:12:03Z,\"Bravo, \"\"vraiment\"\"; à\ntous\",9\n").replace(',', separator)
    };
    check_csv(&data(","), Ok("Bravo, \"vraiment\"; à\ntous"));
    check_csv(&data(";"), Ok("Bravo; \"vraiment\"; à\ntous"));
    check_csv(
        &format!("\u{feff}{}", data(";").replace('\n', "\r\n")),
        Ok("Bravo; \"vraiment\"; à\r\ntous"),
    );
    check_csv(
        "\"platform\";\"account_id\";Post_ID; comment_id ;created_at;text;likes\nx;a;p;c;2026-11-20T09:12:03Z;;3",
        Ok(""),
    );
    let (line, row) = read(data(","), Format::Csv).remove(0).expect("a row");
    assert_eq!((line, row.comment_id.as_str(), row.author_id.as_deref()), (2, "007", Some("9")));
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&row.raw).expect("JSON")["comment_id"],
        "007"
    );
}

#[test]
fn bad_csv_says_where_and_why() {
    check_csv("", Err("the file is empty; its first line must name the columns"));
    check_csv(
        "platform,text\nx,y",
        Err("the first line must name the columns, separated by , or ; and lacks account_id, post_id, comment_id, created_at"),
    );
    check_csv(&format!("{HEADER},text\n"), Err("the first line names a column twice"));
    check_csv(
        &format!("{HEADER}\nx,a,p,c,2026-11-20T09:12:03Z,Bravo, vraiment"),
        Err("the row has 7 fields, the header 6; quote fields that hold the separator"),
    );
    check_csv(
        &format!("{HEADER}\nx,a,p,,2026-11-20T09:12:03Z,Bravo"),
        Err("`comment_id` is missing"),
    );
    check_csv(
        &format!("{HEADER}\nx,a,p,c,2026-11-20T09:12:03Z,\"Bravo"),
        Err("a quoted field is not closed; double every quote inside a quoted field"),
    );
}

#[test]
fn a_quote_left_open_costs_one_row() {
    let good = "x,a,p,c,2026-11-20T09:12:03Z,Bravo";
    let content = format!("{HEADER}\n{good}\nx,a,p,c,2026-11-20T09:12:03Z,\"oops\n{good}\n{good}\n");
    let lines: Vec<(u64, bool)> = read(content, Format::Csv)
        .into_iter()
        .map(|row| row.map_or_else(|error| (error.line, false), |(line, _)| (line, true)))
        .collect();
    assert_eq!(lines, [(2, true), (3, false), (4, true), (5, true)]);
}

#[test]
fn a_text_of_one_mebibyte_is_read_from_both() {
    let long = "à".repeat(1 << 19);
    check_json(json("").replace("Bravo", &long), Ok(&long));
    check_csv(&format!("{HEADER}\nx,a,p,c,2026-11-20T09:12:03Z,\"{long}\""), Ok(&long));
}

#[test]
fn formats_go_by_the_name() {
    for (name, expected) in [
        ("a.jsonl", Some(Format::Jsonl)),
        ("A.CSV", Some(Format::Csv)),
        ("a.ndjson", Some(Format::Jsonl)),
        ("a.xlsx", None),
        ("a", None),
    ] {
        assert_eq!(Format::of_path(Path::new(name)), expected, "{name}");
    }
}

proptest! {
    #[test]
    fn any_bytes_end_without_panic(content in proptest::collection::vec(any::<u8>(), 0..2000)) {
        for format in [Format::Jsonl, Format::Csv] {
            let found = read(&content, format);
            prop_assert!(found.len() <= content.iter().filter(|byte| **byte == b'\n').count() + 1);
        }
    }

    #[test]
    fn any_csv_ends_without_panic_and_every_line_is_accounted_for(body in "[a-z,;\"\n\r]{0,300}") {
        let found = read(format!("{HEADER}\n{body}"), Format::Csv);
        let lines: Vec<u64> = found.iter().map(|row| row.as_ref().map_or_else(|error| error.line, |(line, _)| *line)).collect();
        prop_assert!(lines.is_sorted_by(|a, b| a < b), "{lines:?}");
    }

    #[test]
    fn any_text_survives_json_and_csv(text in "\\PC{0,40}[\u{0}-\u{1f}\u{202e}]{0,3}\\PC{0,40}") {
        prop_assume!(!text.contains('\r'));
        let line = json("").replace("\"Bravo\"", &serde_json::to_string(&text).expect("a string"));
        prop_assert_eq!(only_text(line, Format::Jsonl), text.clone());
        let quoted = text.replace('"', "\"\"");
        let csv = format!("{HEADER}\nx,a,p,c,2026-11-20T09:12:03Z,\"{quoted}\"\n");
        prop_assert_eq!(only_text(csv, Format::Csv), text);
    }

    #[test]
    fn rows_travel_as_json(text in "\\PC*") {
        let row = Row { text, ..read(json(""), Format::Jsonl).remove(0).expect("a row").1 };
        let there = serde_json::to_string(&row).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<Row>(&there).expect("a row"), row);
    }
}
