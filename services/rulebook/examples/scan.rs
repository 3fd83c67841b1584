//! Reads comments (JSON lines with `text`) and writes what the packs find, one line each: for looking at misses and false alarms.
//!
//! `cargo run -p vigie-rulebook --example scan -- rules < comments.jsonl > hits.jsonl`
#![expect(clippy::print_stdout, reason = "writes its result there")]

use std::io::BufRead;
use std::path::Path;

use vigie_rulebook::{Rulebook, Scope};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "rules".to_owned());
    let rulebook = Rulebook::load(Path::new(&dir))?;
    for line in std::io::stdin().lock().lines() {
        let comment: serde_json::Value = serde_json::from_str(&line?)?;
        let text = comment["text"].as_str().unwrap_or_default();
        println!("{}", serde_json::to_string(&rulebook.matches(text, &Scope::default()))?);
    }
    Ok(())
}
