//! Any text through the packs of `rules/`: no panic, spans and places as promised. Bytes that begin with 0 make a text of the packs' own
//! pieces, others are the text.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use vigie_rulebook::Rulebook;
use vigie_rulebook::testing::{Choices, Pieces, check_copies, check_hits, check_plain};

static SHIPPED: LazyLock<(Rulebook, Pieces)> = LazyLock::new(|| {
    let rules = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../rules"));
    let rulebook = Rulebook::load(rules).expect("the packs are valid");
    let pieces = Pieces::of(&rulebook);
    (rulebook, pieces)
});

// Opening the packs takes a while: it is no part of the first input.
fuzz_target!(
    init: {
        LazyLock::force(&SHIPPED);
    },
    |data: &[u8]| {
        let (rulebook, pieces) = &*SHIPPED;
        let text = match data.split_first() {
            Some((0, choices)) => pieces.text(&mut Choices::new(choices)),
            _ => String::from_utf8_lossy(data).into_owned(),
        };
        let _ = check_hits(rulebook, &text);
        check_copies(rulebook, &text);
        check_plain(rulebook, &text);
    }
);
