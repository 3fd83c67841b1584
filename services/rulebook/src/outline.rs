//! The outline of a text, and an automaton that looks for many literals in it at once.
//!
//! An outline keeps what tells words apart and little else: letters and digits stand for themselves; white space and the marks of
//! sentences are one space, however many there are in a row; every other byte is one of 16 signs, and between a sign and a letter or
//! digit there is a space. So a word is the same whatever stands around it, and a literal can ask for a whole word by the spaces
//! around it. What the prefilter rests on: the outline of a part of a text is a part of the outline of the text.

use std::collections::BTreeMap;

use crate::expression::is_of_word;

/// What stands for a byte in an outline, spaces between signs and letters aside.
pub(crate) const fn symbol(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' | b'0'..=b'9' => byte,
        b'A'..=b'Z' => byte.to_ascii_lowercase(),
        0..=b' ' | b'!' | b'"' | b'\'' | b',' | b'-' | b'.' | b':' | b';' | b'?' | b'_' | 0x7f => b' ',
        _ => 0x80 | byte & 0x0f,
    }
}

const fn is_sign(symbol: u8) -> bool {
    symbol >= 0x80
}

/// The outline of a part of a text.
pub(crate) fn outline(bytes: impl IntoIterator<Item = u8>) -> Vec<u8> {
    let mut outline: Vec<u8> = Vec::new();
    for symbol in bytes.into_iter().map(symbol) {
        match outline.last() {
            Some(b' ') if symbol == b' ' => continue,
            Some(&before) if before != b' ' && symbol != b' ' && is_sign(before) != is_sign(symbol) => outline.push(b' '),
            _ => {}
        }
        outline.push(symbol);
    }
    outline
}

/// Columns of a full row of steps: space, letters, digits, signs.
const COLUMNS: usize = 64;
const FIRST_SIGN: u8 = 37;

/// The column of each byte of a text, and [`OF_WORD`].
const COLUMN_OF: [u8; 256] = {
    let mut columns = [0; 256];
    let mut byte = 0_u8;
    loop {
        let symbol = symbol(byte);
        let column = match symbol {
            b'a'..=b'z' => symbol - b'a' + 1,
            b'0'..=b'9' => symbol - b'0' + 27,
            0x80.. => symbol - 0x80 + FIRST_SIGN,
            _ => 0,
        };
        columns[byte as usize] = if is_of_word(byte) { column | OF_WORD } else { column };
        if byte == u8::MAX {
            break columns;
        }
        byte += 1;
    }
};
/// What marks the columns of letters, digits and underscores.
const OF_WORD: u8 = 0x80;

/// Looks for literals in the outline of a text, all at once (Aho and Corasick). Each literal stands for some keys; keys below a bound
/// are said to lead, and may be looked for alone.
///
/// Most states are deep inside of one literal and have one way to go on: they hold few steps and where to go back to, so that the
/// states that ordinary texts visit fit into the caches of a processor. The others hold every step.
#[derive(Debug)]
pub(crate) struct Literals {
    /// A row per state. A full row has a step per column, then the place of its keys. A short row has where to go back to, its
    /// columns, the place of its keys, and a step per column. A step is the place of the next row, times 8, and the marks below.
    rows: Vec<u32>,
    /// For each state in which a literal ends: how many of its keys lead, how many there are, and the keys.
    keys: Vec<u32>,
}

/// A step to a state that ends a literal with a leading key.
const LEADING: u32 = 1;
/// A step to a state that ends a literal.
const ENDING: u32 = 2;
/// A step to a short row.
const SHORT: u32 = 4;
const MARK_BITS: u32 = 3;

/// The states of beginnings of so few symbols have full rows: texts visit them most.
const FULL_LENGTH_MAX: usize = 3;
/// A short row has so many steps, each with its column in a byte of one word.
const SHORT_STEPS_MAX: usize = 4;
const SHORT_ROW: usize = 3;
const NO_COLUMN: u8 = 0xff;
/// Literals that need more words than this (64 MiB) are too many.
const WORDS_MAX: usize = 1 << 24;

impl Literals {
    /// Builds the automaton of outlines with their keys; those below `leading` lead. None where it would be too large.
    pub(crate) fn build(literals: BTreeMap<Vec<u8>, Vec<usize>>, leading: usize) -> Option<Self> {
        let leading = u32::try_from(leading).ok()?;
        let mut trie = Trie::default();
        trie.nodes.push(Node::default());
        for (literal, keys) in literals {
            trie.add(&literal, keys)?;
        }
        let order = trie.link();
        trie.literals(&order, leading)
    }

    /// Every end of a literal in the outline of `text`, where spaces stand before and after it, in order.
    pub(crate) fn look(&self, text: &[u8]) -> Ends {
        let mut ends = Ends {
            ends: Vec::new(),
            some_lead: false,
        };
        let mut words = 0;
        let mut step = |state, column, at, words| {
            let state = self.next(state, column);
            if state & ENDING != 0 {
                ends.add(End { state, at, words });
            }
            state
        };
        // A space after a space leads nowhere else: those between signs and letters are taken without looking back.
        let mut state = step(0, 0, 0, 0);
        let (mut after_sign, mut before) = (false, 0);
        for (at, byte) in text.iter().enumerate() {
            let entry = COLUMN_OF[usize::from(*byte)];
            let column = entry & !OF_WORD;
            if (column >= FIRST_SIGN) != after_sign {
                after_sign = !after_sign;
                state = step(state, 0, at, words);
            }
            words += usize::from((entry & !before) / OF_WORD);
            before = entry;
            state = step(state, column, at, words);
        }
        step(state, 0, text.len(), words);
        ends
    }

    /// The keys of the literals that end in a state.
    pub(crate) fn keys(&self, state: u32) -> &[u32] {
        let ([_, count], keys) = self.keys_at(state);
        &keys[..count as usize]
    }

    /// Those of them that lead.
    pub(crate) fn leading_keys(&self, state: u32) -> &[u32] {
        let ([count, _], keys) = self.keys_at(state);
        &keys[..count as usize]
    }

    fn keys_at(&self, state: u32) -> ([u32; 2], &[u32]) {
        let row = (state >> MARK_BITS) as usize;
        let place = if state & SHORT == 0 { row + COLUMNS } else { row + 2 };
        let (counts, keys) = self.keys[self.rows[place] as usize..].split_at(2);
        ([counts[0], counts[1]], keys)
    }

    #[inline]
    fn next(&self, mut state: u32, column: u8) -> u32 {
        loop {
            let row = (state >> MARK_BITS) as usize;
            if state & SHORT == 0 {
                return self.rows[row + usize::from(column)];
            }
            // The bytes of the word of columns that are `column` become zero; the lowest zero has its highest bit set then.
            let differs = self.rows[row + 1] ^ (u32::from(column) * 0x0101_0101);
            let zeros = differs.wrapping_sub(0x0101_0101) & !differs & 0x8080_8080;
            if zeros != 0 {
                return self.rows[row + SHORT_ROW + (zeros.trailing_zeros() / 8) as usize];
            }
            state = self.rows[row];
        }
    }
}

/// Where literals end.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) ends: Vec<End>,
    /// Whether one of them has a leading key.
    pub(crate) some_lead: bool,
}

/// The end of one or several literals.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    /// Tells which, to [`Literals::keys`].
    pub(crate) state: u32,
    /// The byte of the text that was read last.
    pub(crate) at: usize,
    /// How many words have begun in the text: letters, digits and underscores in a row.
    pub(crate) words: usize,
}

impl Ends {
    fn add(&mut self, end: End) {
        if self.ends.is_empty() {
            self.ends.reserve(32);
        }
        self.ends.push(end);
        self.some_lead |= end.state & LEADING != 0;
    }
}

/// Every beginning of the literals, the empty one first.
#[derive(Default)]
struct Trie {
    nodes: Vec<Node>,
}

#[derive(Default)]
struct Node {
    /// By column.
    children: Vec<(u8, usize)>,
    keys: Vec<u32>,
    /// The longest end of this beginning that is a beginning as well.
    shorter: usize,
    ends_with_space: bool,
    /// In symbols.
    length: usize,
}

impl Trie {
    fn add(&mut self, literal: &[u8], keys: Vec<usize>) -> Option<()> {
        let mut at = 0;
        for symbol in literal {
            let column = COLUMN_OF[usize::from(*symbol)] & !OF_WORD;
            at = match self.nodes[at].child(column) {
                Some(child) => child,
                None => {
                    let child = self.nodes.len();
                    if child * SHORT_ROW > WORDS_MAX {
                        return None;
                    }
                    self.nodes[at].children.push((column, child));
                    let length = self.nodes[at].length + 1;
                    self.nodes.push(Node {
                        length,
                        ends_with_space: column == 0,
                        ..Node::default()
                    });
                    child
                }
            };
        }
        for key in keys {
            self.nodes[at].keys.push(u32::try_from(key).ok()?);
        }
        Some(())
    }

    /// Finds the shorter ones, and hands on the keys of what ends as well where a node ends. Gives the nodes by length.
    fn link(&mut self) -> Vec<usize> {
        let mut order = vec![0];
        let mut next = 0;
        while let Some(&at) = order.get(next) {
            next += 1;
            for (column, child) in self.nodes[at].children.clone() {
                let shorter = if at == 0 { 0 } else { self.step(self.nodes[at].shorter, column) };
                let inherited = self.nodes[shorter].keys.clone();
                let node = &mut self.nodes[child];
                node.shorter = shorter;
                node.keys.extend(inherited);
                node.keys.sort_unstable();
                node.keys.dedup();
                order.push(child);
            }
        }
        order
    }

    fn step(&self, mut at: usize, column: u8) -> usize {
        loop {
            let node = &self.nodes[at];
            if column == 0 && node.ends_with_space {
                return at;
            }
            match node.child(column) {
                Some(child) => return child,
                None if at == 0 => return 0,
                None => at = node.shorter,
            }
        }
    }

    /// Whether a node has a short row. The empty one has not: there would be nothing to go back to.
    fn is_short(&self, at: usize) -> bool {
        self.nodes[at].length > FULL_LENGTH_MAX && self.nodes[at].steps() <= SHORT_STEPS_MAX
    }

    fn literals(&self, order: &[usize], leading: u32) -> Option<Literals> {
        let mut literals = Literals {
            rows: Vec::new(),
            keys: Vec::new(),
        };
        let mut states = vec![0_u32; self.nodes.len()];
        let mut words = 0;
        for at in order {
            let node = &self.nodes[*at];
            let lead = node.keys.first().is_some_and(|key| *key < leading);
            let marks = u32::from(lead) * LEADING + u32::from(!node.keys.is_empty()) * ENDING + u32::from(self.is_short(*at)) * SHORT;
            states[*at] = u32::try_from(words).ok()? << MARK_BITS | marks;
            words += if self.is_short(*at) {
                SHORT_ROW + node.steps()
            } else {
                COLUMNS + 1
            };
            if words > WORDS_MAX {
                return None;
            }
        }
        for at in order {
            let node = &self.nodes[*at];
            let place = literals.add_keys(&node.keys, leading)?;
            if self.is_short(*at) {
                let mut columns = [NO_COLUMN; SHORT_STEPS_MAX];
                let mut steps: Vec<(u8, u32)> = node.children.iter().map(|(column, child)| (*column, states[*child])).collect();
                steps.extend(node.ends_with_space.then(|| (0, unmarked(states[*at]))));
                columns.iter_mut().zip(&steps).for_each(|(column, step)| *column = step.0);
                literals.rows.extend([states[node.shorter], u32::from_le_bytes(columns), place]);
                literals.rows.extend(steps.iter().map(|step| step.1));
            } else {
                for column in (0_u8..).take(COLUMNS) {
                    let next = self.step(*at, column);
                    let stays = next == *at && column == 0;
                    literals.rows.push(if stays { unmarked(states[next]) } else { states[next] });
                }
                literals.rows.push(place);
            }
        }
        Some(literals)
    }
}

impl Literals {
    fn add_keys(&mut self, keys: &[u32], leading: u32) -> Option<u32> {
        if keys.is_empty() {
            return Some(0);
        }
        let place = u32::try_from(self.keys.len()).ok()?;
        let lead = keys.partition_point(|key| *key < leading);
        self.keys.extend([u32::try_from(lead).ok()?, u32::try_from(keys.len()).ok()?]);
        self.keys.extend_from_slice(keys);
        Some(place)
    }
}

/// The same state, where it is stayed in: its keys were given before.
const fn unmarked(state: u32) -> u32 {
    state & !(LEADING | ENDING)
}

impl Node {
    fn child(&self, column: u8) -> Option<usize> {
        self.children.iter().find(|(known, _)| *known == column).map(|(_, child)| *child)
    }

    fn steps(&self) -> usize {
        self.children.len() + usize::from(self.ends_with_space)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_outline_keeps_words_apart() {
        let shown = |text: &str| {
            let outline = outline(text.bytes());
            outline
                .iter()
                .map(|symbol| if is_sign(*symbol) { '#' } else { *symbol as char })
                .collect::<String>()
        };
        for (text, expected) in [
            ("c'est, un con !", "c est un con "),
            ("CON", "con"),
            ("06.12  ok", "06 12 ok"),
            ("toi🔪🔪 et", "toi ######## et"),
            ("a(b)", "a # b #"),
            ("a ( b", "a # b"),
            ("a_é", "a ##"),
            ("", ""),
            (" ,", " "),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof!["[ab (#,]{0,20}", "[abc01 .,!()🔪é\n_A]{0,30}", any::<String>()]
    }

    proptest! {
        #[test]
        fn the_outline_of_a_part_is_a_part_of_the_outline(text in text(), from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()) {
            let bytes = text.as_bytes();
            let (from, to) = (from.index(bytes.len() + 1), to.index(bytes.len() + 1));
            let part = outline(bytes[from.min(to)..from.max(to)].iter().copied());
            let whole = outline(bytes.iter().copied());
            prop_assert!(part.is_empty() || whole.windows(part.len()).any(|window| window == part), "{:?} of {:?}", part, whole);
        }

        /// Against looking for each literal in the outline of the text.
        #[test]
        fn finds_every_literal_and_no_other(text in text(), words in prop::collection::vec((text(), any::<bool>(), any::<bool>()), 1..12), leading in 0_usize..12) {
            let mut literals: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
            for (key, (word, before, after)) in (0..).zip(&words) {
                let short: String = word.chars().take(8).collect();
                let spaced = format!("{}{short}{}", if *before { " " } else { "" }, if *after { " " } else { "" });
                let literal = outline(spaced.bytes());
                if !literal.is_empty() {
                    literals.entry(literal).or_default().push(key);
                }
            }
            let spaced = outline(format!(" {text} ").bytes());
            let expected: BTreeSet<usize> = literals
                .iter()
                .filter(|(literal, _)| spaced.windows(literal.len()).any(|window| window == literal.as_slice()))
                .flat_map(|(_, keys)| keys.iter().copied())
                .collect();
            let automaton = Literals::build(literals.clone(), leading).expect("few states");
            let ends = automaton.look(text.as_bytes());
            let all: BTreeSet<usize> = ends.ends.iter().flat_map(|end| automaton.keys(end.state)).map(|key| *key as usize).collect();
            let leading_ones: BTreeSet<usize> = ends.ends.iter().flat_map(|end| automaton.leading_keys(end.state)).map(|key| *key as usize).collect();
            prop_assert_eq!(&all, &expected);
            let lead: BTreeSet<usize> = expected.into_iter().filter(|key| *key < leading).collect();
            prop_assert_eq!(ends.some_lead, !lead.is_empty());
            prop_assert_eq!(leading_ones, lead);
            for end in ends.ends {
                let read = &text.as_bytes()[..text.len().min(end.at + 1)];
                let outline = outline([b" ", read, b" "].concat());
                let ends_there = |key: &u32| literals.iter().any(|(literal, keys)| keys.contains(&(*key as usize)) && is_end(&outline, literal));
                prop_assert!(automaton.keys(end.state).iter().all(ends_there), "{:?}", end);
                let begun = read.split(|byte| !is_of_word(*byte)).filter(|word| !word.is_empty()).count();
                prop_assert!(end.words == begun || end.words + 1 == begun, "{:?} of {}", end, begun);
            }
        }
    }

    /// Whether the literal ends where the outline does, or at a space or one symbol before.
    fn is_end(outline: &[u8], literal: &[u8]) -> bool {
        (0..=2).any(|back| outline[..outline.len().saturating_sub(back)].ends_with(literal))
    }
}
