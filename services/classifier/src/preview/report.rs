//! Counts and examples of a preview, and what is handed out of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use vigie_domain::{AccountId, Act, CommentId, Route, RuleHit, sha256_hex};

use super::{Change, Judged, Side, changes, is_seen};

/// What is shown of a text around a hit, in characters: before it, of it, after it.
const SHOWN: [usize; 3] = [60, 80, 80];
/// The most names of models and packs that are listed.
const NAMES_MAX: usize = 100;

/// Where a comment goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Lane {
    /// Its route.
    pub route: Route,
    /// Whether a person must see it at once.
    pub escalate: bool,
}

/// What a change of packs would have done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Comments compared; a revision counts as one.
    pub comments: u64,
    /// Revisions that were judged again, counted once.
    pub repeated: u64,
    /// Comments that would go elsewhere.
    pub rerouted: u64,
    /// Not hidden before, hidden by the machine after.
    pub newly_hidden: Finding,
    /// Escalated before, not after.
    pub no_longer_escalated: Finding,
    /// Of those: for which acts the rules escalated them. A comment may have several.
    pub no_longer_escalated_acts: BTreeMap<Act, u64>,
    /// Reviewed or hidden before; kept after, without anybody looking.
    pub no_longer_seen: Finding,
    /// From where to where, also where nothing changes; sorted.
    pub routes: Vec<RouteChange>,
    /// Rules whose hits change, those with most changes first.
    pub rules: Vec<RuleChange>,
    /// Comments by the model that scored them.
    pub models: BTreeMap<String, u64>,
    /// Comments by the packs that their verdict names.
    pub rulebooks: BTreeMap<String, u64>,
}

/// Comments with something in common.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How many.
    pub comments: u64,
    /// Some of them.
    pub examples: Vec<Example>,
}

/// Comments that went one way and would go another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RouteChange {
    /// Before.
    pub from: Lane,
    /// After.
    pub to: Lane,
    /// How many, and some of them where both differ.
    #[serde(flatten)]
    pub found: Finding,
}

/// A rule whose hits change. Comments are counted, not places in them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleChange {
    /// `pack/entry`.
    pub rule: String,
    /// Comments that it hits before.
    pub before: u64,
    /// And after.
    pub after: u64,
    /// Hit only after.
    pub new: Finding,
    /// Hit only before.
    pub lost: Finding,
    /// Hit before and after, with another act, target, severity or action.
    pub altered: Finding,
}

/// A comment, to show what a change means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    /// Which.
    pub comment: CommentId,
    /// Under which account.
    pub account: AccountId,
    /// Part of its text, as it was written: hostile, to be escaped by whoever shows it. `…` stands where it was cut.
    pub text: String,
    /// What the rule found in it.
    pub found: String,
    /// Which rule: the gravest of those that change, or the one that the example is for.
    pub rule: String,
    /// Where it went.
    pub from: Lane,
    /// Where it would go.
    pub to: Lane,
}

impl RuleChange {
    fn changes(&self) -> u64 {
        self.new.comments + self.lost.comments + self.altered.comments
    }
}

/// Counts, and the examples kept of them.
pub(super) struct Tally {
    examples: usize,
    comments: u64,
    repeated: u64,
    newly_hidden: Group,
    no_longer_escalated: Group,
    acts: BTreeMap<Act, u64>,
    no_longer_seen: Group,
    routes: BTreeMap<(Lane, Lane), Group>,
    rules: BTreeMap<String, Rule>,
    models: BTreeMap<String, u64>,
    rulebooks: BTreeMap<String, u64>,
}

#[derive(Default)]
struct Rule {
    before: u64,
    after: u64,
    new: Group,
    lost: Group,
    altered: Group,
}

/// A count and the examples kept: those whose texts have the smallest digests. So they are the same in any order, come from anywhere in
/// the period, and a text that was written many times is shown once.
#[derive(Default)]
struct Group {
    comments: u64,
    kept: BTreeMap<String, Example>,
}

impl Group {
    fn add(&mut self, examples: usize, digest: &str, example: impl FnOnce() -> Example) {
        self.comments += 1;
        let is_among = self.kept.len() < examples || self.kept.last_key_value().is_some_and(|(last, _)| digest < last.as_str());
        if examples == 0 || !is_among || self.kept.contains_key(digest) {
            return;
        }
        self.kept.insert(digest.to_owned(), example());
        if self.kept.len() > examples {
            self.kept.pop_last();
        }
    }

    fn finding(&self) -> Finding {
        Finding {
            comments: self.comments,
            examples: self.kept.values().cloned().collect(),
        }
    }
}

impl Tally {
    pub(super) fn new(examples: usize) -> Self {
        Self {
            examples,
            comments: 0,
            repeated: 0,
            newly_hidden: Group::default(),
            no_longer_escalated: Group::default(),
            acts: BTreeMap::new(),
            no_longer_seen: Group::default(),
            routes: BTreeMap::new(),
            rules: BTreeMap::new(),
            models: BTreeMap::new(),
            rulebooks: BTreeMap::new(),
        }
    }

    pub(super) const fn repeated(&mut self) {
        self.repeated += 1;
    }

    pub(super) fn rules(&self) -> usize {
        self.rules.len()
    }

    /// What is gone upstream is not shown.
    pub(super) fn forget(&mut self, comment: &CommentId) {
        let rules = self.rules.values_mut();
        let of_rules = rules.flat_map(|rule| [&mut rule.new, &mut rule.lost, &mut rule.altered]);
        let findings = [&mut self.newly_hidden, &mut self.no_longer_escalated, &mut self.no_longer_seen];
        for group in of_rules.chain(self.routes.values_mut()).chain(findings) {
            group.kept.retain(|_, example| example.comment != *comment);
        }
    }

    pub(super) fn count(&mut self, judged: &Judged, before: &Side, after: &Side) {
        self.comments += 1;
        count_name(&mut self.models, &judged.model);
        if let Some(recorded) = &judged.recorded {
            count_name(&mut self.rulebooks, &recorded.rulebook);
        }
        let changes = changes(before, after);
        let gravest = changes
            .iter()
            .filter(|(change, _)| *change != Change::Same)
            .map(|(_, hit)| *hit)
            .max_by_key(|hit| (hit.action, hit.severity));
        let Some(gravest) = gravest else {
            for (_, hit) in &changes {
                let rule = self.rules.entry(hit.rule.clone()).or_default();
                rule.before += 1;
                rule.after += 1;
            }
            // Without a change of hits there is none of the route.
            self.routes.entry((before.lane, after.lane)).or_default().comments += 1;
            return;
        };
        let digest = sha256_hex(judged.comment.text.as_bytes());
        let example = |hit: &RuleHit| example(judged, hit, before.lane, after.lane);
        for (change, hit) in &changes {
            let rule = self.rules.entry(hit.rule.clone()).or_default();
            rule.before += u64::from(*change != Change::New);
            rule.after += u64::from(*change != Change::Lost);
            let group = match change {
                Change::New => &mut rule.new,
                Change::Lost => &mut rule.lost,
                Change::Altered => &mut rule.altered,
                Change::Same => continue,
            };
            group.add(self.examples, &digest, || example(hit));
        }
        let route = self.routes.entry((before.lane, after.lane)).or_default();
        if before.lane == after.lane {
            route.comments += 1;
            return;
        }
        route.add(self.examples, &digest, || example(gravest));
        if before.lane.route != Route::Hide && after.lane.route == Route::Hide {
            self.newly_hidden.add(self.examples, &digest, || example(gravest));
        }
        if before.lane.escalate && !after.lane.escalate {
            // The scores are the same: it was a rule that escalated.
            let urgent = before.urgent();
            let why = urgent.iter().max_by_key(|hit| hit.severity).copied().unwrap_or(gravest);
            self.no_longer_escalated.add(self.examples, &digest, || example(why));
            let acts: BTreeSet<Act> = urgent.iter().map(|hit| hit.act).collect();
            for act in acts {
                *self.acts.entry(act).or_default() += 1;
            }
        }
        if is_seen(before.lane) && !is_seen(after.lane) {
            self.no_longer_seen.add(self.examples, &digest, || example(gravest));
        }
    }

    pub(super) fn report(&self) -> Report {
        let routes = self.routes.iter().map(|((from, to), group)| RouteChange {
            from: *from,
            to: *to,
            found: group.finding(),
        });
        let mut rules: Vec<RuleChange> = self
            .rules
            .iter()
            .map(|(name, rule)| RuleChange {
                rule: name.clone(),
                before: rule.before,
                after: rule.after,
                new: rule.new.finding(),
                lost: rule.lost.finding(),
                altered: rule.altered.finding(),
            })
            .filter(|rule| rule.changes() > 0)
            .collect();
        rules.sort_by(|a, b| b.changes().cmp(&a.changes()).then_with(|| a.rule.cmp(&b.rule)));
        let moved = self.routes.iter().filter(|((from, to), _)| from != to);
        Report {
            comments: self.comments,
            repeated: self.repeated,
            rerouted: moved.map(|(_, group)| group.comments).sum(),
            newly_hidden: self.newly_hidden.finding(),
            no_longer_escalated: self.no_longer_escalated.finding(),
            no_longer_escalated_acts: self.acts.clone(),
            no_longer_seen: self.no_longer_seen.finding(),
            routes: routes.collect(),
            rules,
            models: self.models.clone(),
            rulebooks: self.rulebooks.clone(),
        }
    }
}

fn count_name(names: &mut BTreeMap<String, u64>, name: &str) {
    if let Some(count) = names.get_mut(name) {
        *count += 1;
    } else if names.len() < NAMES_MAX {
        names.insert(name.to_owned(), 1);
    }
}

fn example(judged: &Judged, hit: &RuleHit, from: Lane, to: Lane) -> Example {
    let (text, found) = excerpt(&judged.comment.text, hit.span);
    Example {
        comment: judged.comment.id.clone(),
        account: judged.comment.account.clone(),
        text,
        found,
        rule: hit.rule.clone(),
        from,
        to,
    }
}

/// The text around a span, and what stands there. A span that a record gives wrongly is moved to where characters begin.
pub(super) fn excerpt(text: &str, span: [usize; 2]) -> (String, String) {
    let start = text.floor_char_boundary(span[0].min(text.len()));
    let end = text.floor_char_boundary(span[1].min(text.len())).max(start);
    let [before, within, after] = SHOWN;
    let first = text[..start].char_indices().rev().take(before).last().map_or(start, |(at, _)| at);
    let past = |from: usize, characters: usize| text[from..].char_indices().nth(characters).map_or(text.len(), |(at, _)| from + at);
    let last = past(end.min(past(start, within)), after);
    let mut shown = String::new();
    if first > 0 {
        shown.push('…');
    }
    shown.push_str(&text[first..last]);
    if last < text.len() {
        shown.push('…');
    }
    (shown, text[start..end.min(past(start, within))].to_owned())
}
