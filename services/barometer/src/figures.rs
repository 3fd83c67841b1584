//! From frozen inputs to the figures of an edition: what is estimated, what is counted, and what must not be shown. Pure.
//!
//! Estimates: the stratified audit with its MOVER-Wilson interval, from blind labels on drawn comments only. A stratum that nobody
//! labelled makes the estimate impossible; it is merged with a neighbour (by score) only where both were drawn with the same
//! probability, since then their labels together are still a simple random sample. Otherwise the edition says that it cannot tell.
//! Counts: suppressed where they would show a few people, rounded to 5.

use std::collections::{BTreeMap, BTreeSet};

use crate::estimate::clusters::{self, Cluster};
use crate::estimate::disclosure::{self, Audience, Cell};
use crate::estimate::proportion::Sample;
use crate::estimate::stratified::{Method, Stratified, Stratum};
use crate::estimate::{Interval, real};
use crate::inputs::{Inputs, Kind, LabelledComment, Scope};
use crate::labels::Label;
use crate::period::Period;

/// Labels below which no prevalence is published.
pub const LABELS_MIN: u64 = 30;
/// Labels that each stratum needs, unless all of it was labelled.
pub const STRATUM_LABELS_MIN: u64 = 2;

/// The figures of an edition.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// The period.
    pub period: Period,
    /// Whether it was not over, or its labels too few.
    pub provisional: bool,
    /// All together first, then institutions, then accounts.
    pub scopes: Vec<ScopeFigures>,
}

/// The figures of one scope.
#[derive(Debug, Clone, PartialEq)]
pub struct ScopeFigures {
    /// Whose.
    pub scope: Scope,
    /// What was counted.
    pub counts: BTreeMap<Kind, Count>,
    /// Of comments received, the share that is abusive.
    pub abusive: Prevalence,
    /// Of comments received, the share that is hate.
    pub hate: Prevalence,
    /// The audit per stratum, lowest scores first.
    pub strata: Vec<StratumFigures>,
}

/// A count as published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Rounded to 5.
    Shown(u64),
    /// Too few people behind it.
    Suppressed,
}

/// A prevalence as published.
#[derive(Debug, Clone, PartialEq)]
pub enum Prevalence {
    /// It can be told.
    Estimated(Estimated),
    /// It cannot.
    Withheld(Reason),
}

/// An estimated prevalence.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimated {
    /// `Σ W_h p̂_h`.
    pub value: f64,
    /// MOVER-Wilson, 95 %.
    pub interval: Interval,
    /// Comments audited.
    pub audited: u64,
    /// Comments received, rounded to 5.
    pub received: u64,
    /// How much wider the grouping under posts makes it, for a wider population than the comments received; a check, not a figure.
    pub clustered: Option<Clustered>,
}

/// The check for comments grouped under posts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clustered {
    /// Student's t over posts, 95 %, cut to [0, 1].
    pub interval: Interval,
    /// Posts with an audited comment.
    pub posts: usize,
}

/// Why a prevalence is not told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Nothing was received.
    Nothing,
    /// Too few people behind it.
    Confidential,
    /// Fewer than [`LABELS_MIN`] labels.
    FewLabels {
        /// Labels there are.
        have: u64,
    },
    /// A stratum without labels, and no neighbour drawn with the same probability.
    EmptyStratum {
        /// Its name.
        stratum: String,
    },
}

/// One stratum as published.
#[derive(Debug, Clone, PartialEq)]
pub struct StratumFigures {
    /// Names of the strata merged into it.
    pub names: Vec<String>,
    /// Inclusion probability.
    pub probability: String,
    /// Comments received, exact: to be rounded where shown.
    pub received: u64,
    /// Of those, drawn.
    pub selected: u64,
    /// Of those, labelled.
    pub audited: u64,
    abusive: u64,
    hate: u64,
    score_mean: f64,
}

/// The figures that follow from `inputs`.
#[must_use]
pub fn figures(inputs: &Inputs) -> Figures {
    let shown = shown_counts(inputs);
    let mut scopes: Vec<&Scope> = inputs.cells.iter().map(|cell| &cell.scope).collect();
    scopes.dedup();
    let scopes = scopes.into_iter().map(|scope| scope_figures(inputs, scope, &shown)).collect();
    Figures {
        period: inputs.period,
        provisional: inputs.provisional,
        scopes,
    }
}

impl Figures {
    /// Whether the prevalence of all together cannot be told for want of labels or of comments.
    #[must_use]
    pub fn lacks_labels(&self) -> bool {
        self.scopes
            .first()
            .is_none_or(|all| matches!(&all.abusive, Prevalence::Withheld(reason) if *reason != Reason::Confidential))
    }

    /// The scopes whose count of received comments is shown.
    #[must_use]
    pub fn shown(&self) -> BTreeSet<Scope> {
        let is_shown = |figures: &&ScopeFigures| matches!(figures.counts.get(&Kind::Received), Some(Count::Shown(_)));
        self.scopes.iter().filter(is_shown).map(|figures| figures.scope.clone()).collect()
    }
}

fn scope_figures(inputs: &Inputs, scope: &Scope, shown: &BTreeSet<(Scope, Kind)>) -> ScopeFigures {
    let count = |kind: Kind| {
        let exact = inputs
            .cells
            .iter()
            .find(|cell| cell.scope == *scope && cell.kind == kind)
            .map_or(0, |cell| cell.cell.count);
        if shown.contains(&(scope.clone(), kind)) {
            Count::Shown(disclosure::round(exact))
        } else {
            Count::Suppressed
        }
    };
    let counts: BTreeMap<Kind, Count> = Kind::ALL.into_iter().map(|kind| (kind, count(kind))).collect();
    let received = counts.get(&Kind::Received).copied().unwrap_or(Count::Suppressed);
    let raw = strata(inputs, scope);
    let merged = merge(raw.clone());
    let labels: Vec<&LabelledComment> = inputs
        .labels
        .iter()
        .filter(|label| scope.holds(&label.institution, &label.account))
        .collect();
    let tell = |positives: fn(&StratumFigures) -> u64, of: fn(&Label) -> bool| prevalence(&merged, received, &labels, positives, of);
    ScopeFigures {
        scope: scope.clone(),
        abusive: tell(|stratum| stratum.abusive, |label| label.abusive),
        hate: tell(|stratum| stratum.hate, |label| label.hate),
        counts,
        strata: merged.unwrap_or(raw),
    }
}

/// What may be shown: each cell safe in itself, no hole that sums would fill, nothing that earlier editions would isolate.
fn shown_counts(inputs: &Inputs) -> BTreeSet<(Scope, Kind)> {
    let isolates = |scope: &Scope| {
        inputs
            .pieces
            .iter()
            .filter(|piece| piece.scope == *scope)
            .any(|piece| piece.cell.count > 0 && !disclosure::is_safe(piece.cell.into(), Audience::Public))
    };
    let mut shown = BTreeSet::new();
    for kind in Kind::ALL {
        let cells: Vec<(&Scope, Cell)> = inputs
            .cells
            .iter()
            .filter(|cell| cell.kind == kind)
            .map(|cell| (&cell.scope, cell.cell.into()))
            .collect();
        let may = |scope: &Scope, cell: Cell| {
            disclosure::is_safe(cell, Audience::Public)
                && !isolates(scope)
                && (kind == Kind::Received || shown.contains(&(scope.clone(), Kind::Received)))
        };
        let mut kept: BTreeSet<(Scope, Kind)> = BTreeSet::new();
        let all = cells.iter().filter(|(scope, _)| **scope == Scope::All);
        kept.extend(
            all.filter(|(scope, cell)| may(scope, *cell))
                .map(|(scope, _)| ((*scope).clone(), kind)),
        );
        let institutions: Vec<&(&Scope, Cell)> = cells
            .iter()
            .filter(|(scope, _)| matches!(scope, Scope::Institution { .. }))
            .collect();
        keep_line(&institutions, &may, kind, &mut kept);
        for (scope, _) in institutions {
            let Scope::Institution { institution } = scope else { continue };
            if !kept.contains(&((*scope).clone(), kind)) {
                continue;
            }
            let of_it = |other: &Scope| matches!(other, Scope::Account { institution: own, .. } if own == institution);
            let accounts: Vec<&(&Scope, Cell)> = cells.iter().filter(|(scope, _)| of_it(scope)).collect();
            keep_line(&accounts, &may, kind, &mut kept);
        }
        shown.extend(kept);
    }
    shown
}

/// One line of cells whose sum is published too.
fn keep_line(line: &[&(&Scope, Cell)], may: &impl Fn(&Scope, Cell) -> bool, kind: Kind, kept: &mut BTreeSet<(Scope, Kind)>) {
    let cells: Vec<Cell> = line.iter().map(|(_, cell)| *cell).collect();
    let single: Vec<bool> = line.iter().map(|(scope, cell)| may(scope, *cell)).collect();
    let together = disclosure::complement(&[cells], vec![single]);
    for (place, (scope, _)) in line.iter().enumerate() {
        if together[0][place] {
            kept.insert(((*scope).clone(), kind));
        }
    }
}

/// The strata of a scope, lowest mean score first. The same name under another probability is another stratum.
fn strata(inputs: &Inputs, scope: &Scope) -> Vec<StratumFigures> {
    let mut strata: BTreeMap<(&str, &str), (StratumFigures, u64)> = BTreeMap::new();
    for row in inputs.received.iter().filter(|row| scope.holds(&row.institution, &row.account)) {
        let (stratum, score) = strata.entry((&row.stratum, &row.probability)).or_insert_with(|| {
            let empty = StratumFigures {
                names: vec![row.stratum.clone()],
                probability: row.probability.clone(),
                received: 0,
                selected: 0,
                audited: 0,
                abusive: 0,
                hate: 0,
                score_mean: 0.0,
            };
            (empty, 0)
        });
        stratum.received += row.count;
        stratum.selected += row.selected;
        *score += row.score_millionths;
    }
    for label in inputs.labels.iter().filter(|label| scope.holds(&label.institution, &label.account)) {
        if let Some((stratum, _)) = strata.get_mut(&(label.stratum.as_str(), label.probability.as_str())) {
            stratum.audited += 1;
            stratum.abusive += u64::from(label.label.abusive);
            stratum.hate += u64::from(label.label.hate);
        }
    }
    let mut strata: Vec<StratumFigures> = strata
        .into_values()
        .map(|(stratum, score)| StratumFigures {
            score_mean: real(score) / real(stratum.received.max(1)),
            ..stratum
        })
        .collect();
    strata.sort_by(|left, right| left.score_mean.total_cmp(&right.score_mean));
    strata
}

const fn has_labels(stratum: &StratumFigures) -> bool {
    stratum.audited >= STRATUM_LABELS_MIN || stratum.audited >= stratum.received
}

/// Merges every stratum with too few labels into a neighbour drawn with the same probability: the one below, else the one above.
fn merge(mut strata: Vec<StratumFigures>) -> Result<Vec<StratumFigures>, Reason> {
    while let Some(place) = strata.iter().position(|stratum| !has_labels(stratum)) {
        let lacking = strata.remove(place);
        let fits = |neighbour: Option<&StratumFigures>| neighbour.is_some_and(|neighbour| neighbour.probability == lacking.probability);
        let into = if place > 0 && fits(strata.get(place - 1)) {
            place - 1
        } else if fits(strata.get(place)) {
            place
        } else {
            return Err(Reason::EmptyStratum {
                stratum: lacking.names.join(" + "),
            });
        };
        let neighbour = &mut strata[into];
        if into < place {
            neighbour.names.extend(lacking.names);
        } else {
            neighbour.names = lacking.names.into_iter().chain(std::mem::take(&mut neighbour.names)).collect();
        }
        neighbour.received += lacking.received;
        neighbour.selected += lacking.selected;
        neighbour.audited += lacking.audited;
        neighbour.abusive += lacking.abusive;
        neighbour.hate += lacking.hate;
    }
    Ok(strata)
}

fn prevalence(
    strata: &Result<Vec<StratumFigures>, Reason>,
    received: Count,
    labels: &[&LabelledComment],
    positives: fn(&StratumFigures) -> u64,
    of: fn(&Label) -> bool,
) -> Prevalence {
    let have = labels.len() as u64;
    let population: u64 = strata
        .as_ref()
        .map_or(1, |strata| strata.iter().map(|stratum| stratum.received).sum());
    let Count::Shown(received) = received else {
        return Prevalence::Withheld(if population == 0 { Reason::Nothing } else { Reason::Confidential });
    };
    if have < LABELS_MIN {
        return Prevalence::Withheld(Reason::FewLabels { have });
    }
    let strata = match strata {
        Ok(strata) => strata,
        Err(reason) => return Prevalence::Withheld(reason.clone()),
    };
    let samples: Result<Vec<Stratum>, _> = strata
        .iter()
        .map(|stratum| {
            Sample::new(positives(stratum), stratum.audited).map(|sample| Stratum {
                population: stratum.received,
                sample,
            })
        })
        .collect();
    match samples.and_then(Stratified::new) {
        Ok(audit) => Prevalence::Estimated(Estimated {
            value: audit.estimate(),
            interval: audit.mover(Method::Wilson),
            audited: audit.audited(),
            received,
            clustered: clustered(strata, labels, of),
        }),
        // Every stratum has its labels and no more than were received, so this does not happen; it is told rather than hidden.
        Err(_) => Prevalence::Withheld(Reason::FewLabels { have }),
    }
}

/// Labels weighted by `N_h / n_h` and grouped by post.
fn clustered(strata: &[StratumFigures], labels: &[&LabelledComment], of: fn(&Label) -> bool) -> Option<Clustered> {
    let mut posts: BTreeMap<&str, Cluster> = BTreeMap::new();
    for label in labels {
        let stratum = strata
            .iter()
            .find(|stratum| stratum.names.contains(&label.stratum) && stratum.probability == label.probability)?;
        let weight = real(stratum.received) / real(stratum.audited);
        let post = posts.entry(&label.post).or_insert(Cluster { size: 0.0, positives: 0.0 });
        post.size += weight;
        post.positives += if of(&label.label) { weight } else { 0.0 };
    }
    let groups: Vec<Cluster> = posts.into_values().collect();
    let ratio = clusters::ratio(&groups).ok()?;
    Some(Clustered {
        interval: ratio.estimate.interval.clipped(),
        posts: groups.len(),
    })
}

#[cfg(test)]
mod tests;
