//! Rule packs to a matcher with spans into the original text.
//!
//! [`Rulebook::parse`] turns the text of packs into one matcher: an Aho-Corasick automaton over every form of every term, regular
//! expressions for the patterns, and allow-lists, guards and softening contexts around them. [`Rulebook::matches`] finds what the packs
//! know in a text, however it is spelt: it looks at normalised copies (the `view` module) and answers with spans of the original.
//!
//! Promised: any text gives an answer, in time linear in its length; spans are byte offsets on character boundaries; the same packs
//! and text give the same hits in the same order; an allow-list or a guard only ever takes hits away. Nothing is decided from joined
//! letters alone: such a hit asks for a human at most.
//!
//! What makes it fast: most comments hold no term and no pattern's words, and one pass over an outline of the text tells
//! (`prefilter`); few have another normalised copy than the first, and one pass tells (`view`); places in the original
//! are worked out only where something was found. Each of these is tested against the plain way (`tests/shortcuts.rs`). `cargo bench -p
//! vigie-rulebook` measures, and `benches/compare/main.rs` has figures.
//!
//! What is promised is tested on hard texts in `tests/properties.rs`, and by the fuzz targets of `fuzz/`, whose README says how to run
//! them; both use `testing`.
//!
//! Not done here: scoring, routing, reading a clock. [`Rulebook::load`] is the only place that reads files.

mod cases;
mod check;
mod commonness;
mod compile;
mod context;
mod expression;
mod find;
mod fold;
mod folding;
mod identity;
mod load;
mod matcher;
mod needs;
mod notation;
mod outline;
mod pack;
mod pattern;
mod plain;
mod prefilter;
mod problem;
#[doc(hidden)]
pub mod testing;
mod view;
mod vocabulary;

pub use cases::{CaseKind, CaseResult, run_cases};
pub use check::check;
pub use compile::{Counts, Rulebook};
pub use load::LoadError;
pub use matcher::Scope;
pub use problem::{Level, Problem};
