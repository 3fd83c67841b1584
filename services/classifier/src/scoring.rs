//! Scores of comments as they are written and, where words are disguised, as they are meant.

use vigie_rulebook::Rulebook;
use vigie_scorer::{Cascade, Input, Scored, Scorer, ScorerError};

/// As [`Scorer::judge`]; a text with disguised words is read a second time with these written plainly ([`Rulebook::plain`]) and has the
/// greater score of every label. The first stage never lets it go.
///
/// # Errors
/// The model failed.
pub(crate) fn judge(
    scorer: &Scorer,
    rulebook: &Rulebook,
    inputs: &[Input<'_>],
    cascade: impl Fn(usize) -> Cascade,
) -> Result<Vec<Scored>, ScorerError> {
    let plain: Vec<Option<String>> = inputs.iter().map(|input| rulebook.plain(input.text)).collect();
    let disguised = || {
        plain
            .iter()
            .zip(inputs)
            .enumerate()
            .filter_map(|(place, (plain, input))| Some((place, plain.as_deref()?, input)))
    };
    let mut texts = inputs.to_vec();
    texts.extend(disguised().map(|(_, text, input)| Input { text, ..*input }));
    let is_written_plainly = |place: usize| plain.get(place).is_some_and(Option::is_none);
    let mut scored = scorer.judge(
        &texts,
        |place| if is_written_plainly(place) { cascade(place) } else { Cascade::Off },
    )?;
    let second = scored.split_off(inputs.len());
    for ((place, ..), meant) in disguised().zip(second) {
        let written = &mut scored[place];
        written.complete &= meant.complete;
        for (label, score) in meant.scores.0 {
            let greater = written.scores.0.entry(label).or_insert(score);
            *greater = greater.max(score);
        }
    }
    Ok(scored)
}
