//! The packs of `rules/` find the same with the prefilter as with every pattern tried. Bytes that begin with 0 make a text of the packs'
//! own pieces, others are the text.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use vigie_rulebook::testing::{Choices, Pieces, trying_every_pattern};
use vigie_rulebook::{Rulebook, Scope};

static SHIPPED: LazyLock<(Rulebook, Rulebook, Pieces)> = LazyLock::new(|| {
    let rules = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../rules"));
    let load = || Rulebook::load(rules).expect("the packs are valid");
    let rulebook = load();
    let pieces = Pieces::of(&rulebook);
    (rulebook, trying_every_pattern(load()), pieces)
});

// Opening the packs takes a while: it is no part of the first input.
fuzz_target!(
    init: {
        LazyLock::force(&SHIPPED);
    },
    |data: &[u8]| {
        let (rulebook, unfiltered, pieces) = &*SHIPPED;
        let text = match data.split_first() {
            Some((0, choices)) => pieces.text(&mut Choices::new(choices)),
            _ => String::from_utf8_lossy(data).into_owned(),
        };
        let scope = Scope::default();
        assert_eq!(rulebook.matches(&text, &scope), unfiltered.matches(&text, &scope), "{text:?}");
    }
);
