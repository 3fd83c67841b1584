//! The figures of an evaluation.

use std::collections::BTreeMap;

use serde::Serialize;
use vigie_domain::{Route, ScoreLabel};

use super::calibration::{self, Bin};
use super::names::Names;
use super::proportion::Share;
use super::ranking::{Estimate, Ranking, RecallAt, real};
use super::truth::Truth;
use super::{Evaluation, Row};

/// The shares of false alarms at which recall is given.
const FALSE_ALARMS: [f64; 2] = [0.01, 0.05];

/// Every figure of an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Comments read.
    pub comments: u64,
    /// By label, those that the data state.
    pub labels: BTreeMap<ScoreLabel, LabelReport>,
    /// What happens to acceptable comments that are about somebody or answer somebody, by what they are.
    pub false_alarms: Vec<Alarms>,
    /// Of the comments hidden automatically whose `abusive` is known, those that were acceptable.
    pub hidden_acceptable: Option<Share>,
}

/// The figures of a label, on the comments that state it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelReport {
    /// Comments that state it.
    pub comments: u64,
    /// Those that have it.
    pub positives: u64,
    /// Area under the ROC curve of the score.
    pub auc: Option<Estimate>,
    /// Average precision of the score.
    pub average_precision: Option<f64>,
    /// The score from which the policy sends a comment to a person for this label.
    pub threshold: Option<f32>,
    /// At the operating point, by the score alone.
    pub by_score: Option<Operating>,
    /// At the operating point, by the score or by a rule that asserts the label.
    pub with_rules: Operating,
    /// Recall at fixed shares of false alarms, by the score alone.
    pub recall_at: Vec<RecallAt>,
    /// Expected calibration error of the score.
    pub calibration_error: Option<f64>,
    /// The reliability diagram.
    pub reliability: Vec<Bin>,
    /// Where comments with the label go.
    pub routes_positive: RouteCounts,
    /// Where comments without it go.
    pub routes_negative: RouteCounts,
    /// Area under the ROC curve of the place in the queue: rules, scores and routing together.
    pub queue_auc: Option<Estimate>,
    /// By whom the comment is about.
    pub groups: BTreeMap<String, Slice>,
    /// By functional test.
    pub functionalities: BTreeMap<String, Slice>,
    /// By file.
    pub files: BTreeMap<String, Slice>,
}

/// Found or not, against what is so.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Operating {
    /// Of those found, those that have the label.
    pub precision: Option<Share>,
    /// Of those that have the label, those found.
    pub recall: Option<Share>,
    /// Of those that do not have it, those found.
    pub false_alarms: Option<Share>,
    /// The harmonic mean of precision and recall.
    pub f1: Option<f64>,
}

/// Where comments go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RouteCounts {
    /// Kept.
    pub keep: u64,
    /// To a person in turn.
    pub review: u64,
    /// Hidden automatically.
    pub hide: u64,
    /// Whichever of the three, escalated.
    pub escalated: u64,
}

/// A part of the comments.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Slice {
    /// Comments that state the label.
    pub comments: u64,
    /// Those that have it.
    pub positives: u64,
    /// Area under the ROC curve within the slice.
    pub auc: Option<Estimate>,
    /// Where the slice has but one side: its side against the other side of all comments.
    pub auc_against_all: Option<Estimate>,
    /// At the operating point, by the score alone.
    pub by_score: Option<Operating>,
    /// At the operating point, by the score or by a rule.
    pub with_rules: Operating,
}

/// What happens to acceptable comments of a kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alarms {
    /// `identity`: about a protected group; `contrast`: of a contrast set whose other comments attack the group; `speech`: of a kind of
    /// protected speech.
    pub kind: &'static str,
    /// Which.
    pub name: String,
    /// Over the threshold of `abusive`.
    pub abusive: Option<Share>,
    /// Over the threshold of `hate`.
    pub hate: Option<Share>,
    /// Not kept: to a person, or hidden.
    pub flagged: Option<Share>,
    /// Hidden automatically.
    pub hidden: Option<Share>,
}

/// One comment, seen from one label.
#[derive(Clone, Copy)]
struct Point {
    score: Option<f32>,
    positive: bool,
    over: bool,
    ruled: bool,
    priority: u8,
}

pub(super) fn report(evaluation: &Evaluation) -> Report {
    let labels = ScoreLabel::ALL.into_iter();
    let labels = labels.filter_map(|label| Some((label, label_report(evaluation, label)?)));
    let hidden = || {
        let known = evaluation.rows.iter().filter(|row| row.known.contains(ScoreLabel::Abusive));
        known.filter(|row| row.route == Route::Hide)
    };
    let acceptable = hidden().filter(|row| !row.positive.contains(ScoreLabel::Abusive));
    Report {
        comments: count(evaluation.rows.len()),
        labels: labels.collect(),
        false_alarms: false_alarms(evaluation),
        hidden_acceptable: Share::new(count(acceptable.count()), count(hidden().count())),
    }
}

fn label_report(evaluation: &Evaluation, label: ScoreLabel) -> Option<LabelReport> {
    let mut points = Vec::new();
    let mut groups: BTreeMap<u16, Vec<Point>> = BTreeMap::new();
    let mut functionalities: BTreeMap<u16, Vec<Point>> = BTreeMap::new();
    let mut files: BTreeMap<u16, Vec<Point>> = BTreeMap::new();
    let (mut with, mut without) = (RouteCounts::default(), RouteCounts::default());
    for row in evaluation.rows.iter().filter(|row| row.known.contains(label)) {
        let point = evaluation.point(row, label);
        points.push(point);
        for group in evaluation.numbers(row.groups) {
            groups.entry(group).or_default().push(point);
        }
        if let Some(functionality) = row.functionality {
            functionalities.entry(functionality).or_default().push(point);
        }
        files.entry(row.file).or_default().push(point);
        if point.positive { &mut with } else { &mut without }.add(row);
    }
    if points.is_empty() {
        return None;
    }
    let has_threshold = evaluation.thresholds.contains_key(&label);
    let ranking = ranking(&points);
    let reliability = ranking.as_ref().map(calibration::bins).unwrap_or_default();
    let recall_at = |ranking: &Ranking| FALSE_ALARMS.into_iter().filter_map(|share| ranking.recall_at(share)).collect();
    let slices = |parts: BTreeMap<u16, Vec<Point>>, names: &Names| {
        let named = parts
            .into_iter()
            .map(|(number, part)| (names.name(number).to_owned(), slice(&part, &points, has_threshold)));
        named.collect()
    };
    Some(LabelReport {
        comments: count(points.len()),
        positives: positives(&points),
        auc: ranking.as_ref().and_then(Ranking::auc),
        average_precision: ranking.as_ref().and_then(Ranking::average_precision),
        threshold: evaluation.thresholds.get(&label).map(|threshold| threshold.review),
        by_score: by_score(&points, has_threshold),
        with_rules: operating(&points, |point| point.over || point.ruled),
        recall_at: ranking.as_ref().map(recall_at).unwrap_or_default(),
        calibration_error: calibration::error(&reliability),
        reliability,
        routes_positive: with,
        routes_negative: without,
        queue_auc: Ranking::new(points.iter().map(|point| (f32::from(point.priority), point.positive)).collect()).auc(),
        groups: slices(groups, &evaluation.groups),
        functionalities: slices(functionalities, &evaluation.functionalities),
        files: slices(files, &evaluation.files),
    })
}

impl Evaluation {
    fn point(&self, row: &Row, label: ScoreLabel) -> Point {
        Point {
            score: row.score(label),
            positive: row.positive.contains(label),
            over: self.is_over(row, label),
            ruled: row.ruled.contains(label),
            priority: row.priority,
        }
    }

    fn is_over(&self, row: &Row, label: ScoreLabel) -> bool {
        let threshold = self.thresholds.get(&label);
        row.score(label)
            .zip(threshold)
            .is_some_and(|(score, threshold)| score >= threshold.review)
    }

    /// The numbers of a set of groups.
    fn numbers(&self, groups: u64) -> impl Iterator<Item = u16> {
        (0u16..).take(self.groups.len()).filter(move |group| groups & (1 << group) != 0)
    }

    /// The protected groups that a comment is about.
    fn identities(&self, row: &Row) -> u64 {
        let protected = self
            .numbers(row.groups)
            .filter(|group| Truth::is_identity(self.groups.name(*group)));
        protected.fold(0, |bits, group| bits | (1 << group))
    }
}

impl RouteCounts {
    fn add(&mut self, row: &Row) {
        self.escalated += u64::from(row.escalate);
        match row.route {
            Route::Keep => self.keep += 1,
            Route::Review => self.review += 1,
            Route::Hide => self.hide += 1,
        }
    }
}

fn slice(part: &[Point], all: &[Point], has_threshold: bool) -> Slice {
    let positives = positives(part);
    let comments = count(part.len());
    let other_side = |positive: bool| {
        let others = all.iter().filter(move |point| point.positive == positive);
        let joined: Vec<Point> = part.iter().chain(others).copied().collect();
        ranking(&joined).and_then(|ranking| ranking.auc())
    };
    Slice {
        comments,
        positives,
        auc: ranking(part).and_then(|ranking| ranking.auc()),
        auc_against_all: match (positives, comments - positives) {
            (_, 0) => other_side(false),
            (0, _) => other_side(true),
            _ => None,
        },
        by_score: by_score(part, has_threshold),
        with_rules: operating(part, |point| point.over || point.ruled),
    }
}

/// None where no comment of the part has a score, or no threshold makes one of it.
fn by_score(points: &[Point], has_threshold: bool) -> Option<Operating> {
    let scored = points.iter().any(|point| point.score.is_some());
    (scored && has_threshold).then(|| operating(points, |point| point.over))
}

fn operating(points: &[Point], found: impl Fn(&Point) -> bool) -> Operating {
    let (mut hits, mut alarms) = (0, 0);
    for point in points.iter().filter(|point| found(point)) {
        if point.positive {
            hits += 1;
        } else {
            alarms += 1;
        }
    }
    let positives = positives(points);
    let negatives = count(points.len()) - positives;
    Operating {
        precision: Share::new(hits, hits + alarms),
        recall: Share::new(hits, positives),
        false_alarms: Share::new(alarms, negatives),
        // 2 TP / (2 TP + FP + FN), which is 0 and not undefined where nothing is found.
        f1: (positives > 0).then(|| 2.0 * real(hits) / real(positives + hits + alarms)),
    }
}

fn ranking(points: &[Point]) -> Option<Ranking> {
    let scored: Vec<_> = points.iter().filter_map(|point| Some((point.score?, point.positive))).collect();
    (!scored.is_empty()).then(|| Ranking::new(scored))
}

fn positives(points: &[Point]) -> u64 {
    count(points.iter().filter(|point| point.positive).count())
}

/// Acceptable comments about each protected group, about any, and of each kind of protected speech.
fn false_alarms(evaluation: &Evaluation) -> Vec<Alarms> {
    let acceptable = |row: &&Row| {
        let stated = row.known.contains(ScoreLabel::Abusive) || row.known.contains(ScoreLabel::Hate);
        stated && !row.positive.contains(ScoreLabel::Abusive) && !row.positive.contains(ScoreLabel::Hate)
    };
    let acceptable: Vec<&Row> = evaluation.rows.iter().filter(acceptable).collect();
    let mut listed = Vec::new();
    let about = |row: &Row| evaluation.identities(row);
    by_identity(evaluation, "identity", &acceptable, about, &mut listed);
    let attacked = attacked(evaluation);
    let near = |row: &Row| row.contrast.and_then(|set| attacked.get(&set).copied()).unwrap_or_default();
    by_identity(evaluation, "contrast", &acceptable, near, &mut listed);
    for label in [ScoreLabel::CounterSpeech, ScoreLabel::Criticism, ScoreLabel::Vulgar] {
        let rows: Vec<&Row> = acceptable.iter().copied().filter(|row| row.positive.contains(label)).collect();
        if !rows.is_empty() {
            listed.push(alarms(evaluation, "speech", label.as_str(), &rows));
        }
    }
    listed
}

/// The protected groups that the abusive comments of each contrast set are about.
fn attacked(evaluation: &Evaluation) -> BTreeMap<u64, u64> {
    let mut attacked = BTreeMap::new();
    for row in &evaluation.rows {
        let attacks = row.positive.contains(ScoreLabel::Abusive) || row.positive.contains(ScoreLabel::Hate);
        if let Some(set) = row.contrast.filter(|_| attacks) {
            *attacked.entry(set).or_default() |= evaluation.identities(row);
        }
    }
    attacked
}

/// One line for each group that `groups_of` gives for some row, in the order of their names, then one for all.
fn by_identity(evaluation: &Evaluation, kind: &'static str, rows: &[&Row], groups_of: impl Fn(&Row) -> u64, listed: &mut Vec<Alarms>) {
    let mut groups: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    let mut any = Vec::new();
    for row in rows {
        let bits = groups_of(row);
        for group in evaluation.numbers(bits) {
            groups.entry(evaluation.groups.name(group)).or_default().push(row);
        }
        if bits != 0 {
            any.push(*row);
        }
    }
    for (name, rows) in &groups {
        listed.push(alarms(evaluation, kind, name, rows));
    }
    if !any.is_empty() {
        listed.push(alarms(evaluation, kind, "any", &any));
    }
}

fn alarms(evaluation: &Evaluation, kind: &'static str, name: &str, rows: &[&Row]) -> Alarms {
    let share = |found: &dyn Fn(&Row) -> bool| Share::new(count(rows.iter().filter(|row| found(row)).count()), count(rows.len()));
    let over = |label: ScoreLabel| {
        let scored = rows.iter().any(|row| row.score(label).is_some()) && evaluation.thresholds.contains_key(&label);
        scored.then(|| share(&|row| evaluation.is_over(row, label))).flatten()
    };
    Alarms {
        kind,
        name: name.to_owned(),
        abusive: over(ScoreLabel::Abusive),
        hate: over(ScoreLabel::Hate),
        flagged: share(&|row| row.route != Route::Keep),
        hidden: share(&|row| row.route == Route::Hide),
    }
}

fn count(size: usize) -> u64 {
    u64::try_from(size).expect("a count of things in memory fits 64 bits")
}
