//! Every shortcut of the matcher against the plain way, on the corpora, on texts made of what the packs look for, and on any text.
//! `tests/properties.rs` does the same for the prefilter.

use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use vigie_rulebook::testing::{Choices, Pieces, check_copies_against_plain_ones};
use vigie_rulebook::{Rulebook, run_cases};

static SHIPPED: LazyLock<(Rulebook, Pieces)> = LazyLock::new(|| {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules");
    let rulebook = Rulebook::load(&rules).expect("the packs are valid");
    let pieces = Pieces::of(&rulebook);
    (rulebook, pieces)
});

#[test]
fn copies_of_the_corpora_are_made_as_the_plain_way_makes_them() -> Result<(), Box<dyn std::error::Error>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpora/acceptance.tsv");
    for text in std::fs::read_to_string(corpus)?.lines() {
        check_copies_against_plain_ones(&SHIPPED.0, text);
    }
    for case in run_cases(&SHIPPED.0) {
        check_copies_against_plain_ones(&SHIPPED.0, &case.text);
    }
    Ok(())
}

#[test]
fn copies_of_hard_texts_are_made_as_the_plain_way_makes_them() {
    for text in [
        "",
        "c o n",
        "c.o.n n",
        "a  b   c",
        "a b\n\nc d e",
        "1 2 a b",
        "éé e é",
        "sa!ope!",
        "!sale",
        "€t€",
        "s€",
        "£a",
        "a€€€b",
        "c*nn*rd **",
        "l0000l loool",
        "#MortAuxCons #ÉtéÀ #a#B",
        "…!…!!",
        "a , , b",
        "x\u{301}\u{301}x xx\u{200b}x",
        "\n\n",
        "aAaA",
        "🏽🖕🏽",
    ] {
        check_copies_against_plain_ones(&SHIPPED.0, text);
    }
}

proptest! {
    #[test]
    fn copies_are_made_as_the_plain_way_makes_them(
        bytes in prop::collection::vec(any::<u8>(), 0..80),
        any in any::<String>(),
        letters in "[a-c0-3@$*|+!€£ .#A-C'éœ…\u{200b}\u{301}\n\"-]{0,60}",
        spelled in "([ab1][ .-]{1,4}|[a-c]{1,3} |\n){0,20}",
    ) {
        for text in [SHIPPED.1.text(&mut Choices::new(&bytes)), any, letters, spelled] {
            check_copies_against_plain_ones(&SHIPPED.0, &text);
        }
    }
}
