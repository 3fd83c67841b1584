//! What was said of short texts lately: pages repeat themselves ("Bravo !"), and so do raids.
//!
//! A score depends on the text, what is read beside it and the model alone, so an answer from here is the answer that would be given anew. Of
//! what is read beside it a keyed hash of 64 bits is remembered. Bounded: two generations of `GENERATION` texts of at most
//! `TEXT_BYTES_MAX` bytes, a few megabytes; the older is dropped as a whole.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};

use crate::{Cascade, Scored};

/// Texts per generation.
const GENERATION: usize = 4096;
/// Longer texts hardly ever come again.
const TEXT_BYTES_MAX: usize = 200;

type Generation = HashMap<(Cascade, Box<str>, Option<u64>), Scored>;

/// See the head of the module.
#[derive(Default)]
pub struct Recent {
    contexts: RandomState,
    generations: Mutex<(Generation, Generation)>,
}

impl Recent {
    /// What was said of `text` beside `context`, if that was lately.
    pub fn get(&self, cascade: Cascade, text: &str, context: Option<&str>) -> Option<Scored> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let key = (cascade, text.into(), context.map(|context| self.contexts.hash_one(context)));
        let mut guard = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let (young, old) = &mut *guard;
        if let Some(scored) = young.get(&key) {
            return Some(scored.clone());
        }
        let scored = old.remove(&key)?;
        insert(young, old, key, scored.clone());
        Some(scored)
    }

    /// Remembers what was said of `text` beside `context`, if the text is short.
    pub fn put(&self, cascade: Cascade, text: &str, context: Option<&str>, scored: Scored) {
        if text.len() <= TEXT_BYTES_MAX {
            let key = (cascade, text.into(), context.map(|context| self.contexts.hash_one(context)));
            let mut guard = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
            let (young, old) = &mut *guard;
            insert(young, old, key, scored);
        }
    }
}

fn insert(young: &mut Generation, old: &mut Generation, key: (Cascade, Box<str>, Option<u64>), scored: Scored) {
    if young.len() >= GENERATION {
        *old = std::mem::take(young);
    }
    young.insert(key, scored);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use vigie_domain::{ScoreLabel, Scores};

    use super::*;
    use crate::Stage;

    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn scored(number: usize) -> Scored {
        Scored {
            scores: Scores(BTreeMap::from([(ScoreLabel::Abusive, number as f32)])),
            complete: true,
            stage: Stage::Network,
        }
    }

    #[test]
    fn what_comes_again_stays_and_the_rest_goes() {
        let recent = Recent::default();
        recent.put(Cascade::On, "bravo", None, scored(7));
        for number in 0..10 * GENERATION {
            recent.put(Cascade::On, &number.to_string(), None, scored(number));
            assert_eq!(recent.get(Cascade::On, "bravo", None), Some(scored(7)));
        }
        assert_eq!(recent.get(Cascade::On, "0", None), None);
        assert_eq!(recent.get(Cascade::Off, "bravo", None), None);
        assert_eq!(recent.get(Cascade::On, "bravo", Some("Un post")), None);
        recent.put(Cascade::On, "bravo", Some("Un post"), scored(3));
        assert_eq!(recent.get(Cascade::On, "bravo", Some("Un post")), Some(scored(3)));
        assert_eq!(recent.get(Cascade::On, "bravo", Some("Un autre")), None);
        let long = "a".repeat(201);
        recent.put(Cascade::On, &long, None, scored(1));
        assert_eq!(recent.get(Cascade::On, &long, None), None);
        let guard = recent.generations.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(guard.0.len() + guard.1.len() <= 2 * GENERATION);
    }
}
