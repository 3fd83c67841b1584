//! Hard texts and packs, and what must hold on them: shared by the property tests and the fuzz targets. Not for services.
//!
//! Texts and packs are made from bytes, so that a fuzzer can steer them. The checks panic where a promise is broken, and show the text.

mod copies;
mod holds;
mod packs;
mod terms;
mod texts;

pub use copies::check_copies_against_plain_ones;
pub use holds::{check_copies, check_hits, check_pack, check_plain, trying_every_pattern};
pub use packs::pack;
pub use terms::terms;
pub use texts::{Pieces, disguised};

/// Choices read from bytes; the first of everything once they are used up.
#[derive(Debug, Clone)]
pub struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    /// Choices from `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// A number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let mut number = usize::from(self.byte());
        if bound > 256 {
            number = number << 8 | usize::from(self.byte());
        }
        number % bound
    }

    /// One of several.
    pub fn of<'b, T>(&mut self, several: &'b [T]) -> Option<&'b T> {
        (!several.is_empty()).then(|| &several[self.below(several.len())])
    }

    /// Whether every byte was read.
    #[must_use]
    pub const fn is_used_up(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }
}
