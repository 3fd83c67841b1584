//! The test against exact values, and the counts on simulated streams of comments. What the file keeps is tested beside it.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use vigie_domain::{Act, RuleAction};

use super::binomial::{lower_tail, rejected, two_sided, upper_tail};
use super::*;

/// From sums of binomial terms in exact rational arithmetic.
#[test]
fn the_tails_of_known_binomials() {
    let close = |found: f64, expected: f64| (found / expected - 1.0).abs() < 1e-9;
    for (hits, trials, share, upper, lower) in [
        (8, 10, 0.5, 5.468_75e-2, 9.892_578_125e-1),
        (3, 20, 0.05, 7.548_367_378_849_634e-2, 9.840_984_739_802_364e-1),
        (0, 50, 0.01, 1.0, 6.050_060_671_375_367e-1),
        (50, 50, 0.99, 6.050_060_671_375_367e-1, 1.0),
        (24, 184, 1.0 / 21.0, 8.353_261_570_097_707e-6, 9.999_973_783_594_236e-1),
        (2, 184, 1.0 / 21.0, 9.987_124_350_587_405e-1, 6.600_663_801_809_47e-3),
        (5, 5, 1.0 / 11.0, 6.209_213_230_591_551e-6, 1.0),
        (1040, 10_000, 0.1, 9.450_738_449_162_287e-2, 9.109_207_338_200_422e-1),
        (700, 10_000, 0.1, 1.0, 4.761_533_763_688_496e-26),
    ] {
        let found = (upper_tail(hits, trials, share), lower_tail(hits, trials, share));
        assert!(
            close(found.0, upper) && close(found.1, lower),
            "{hits} of {trials} at {share}: {found:?}"
        );
        let both = (2.0 * upper.min(lower)).min(1.0);
        assert!(close(two_sided(hits, trials, share), both), "{hits} of {trials} at {share}");
    }
    assert!(close(two_sided(0, 0, 0.5), 1.0));
    assert!(upper_tail(11, 10, 0.5).abs() < f64::EPSILON);
}

/// The vector of the barometer's statistics: adjusted p-values .006, .04, .048, .09, .09, .2.
#[test]
fn holm_rejects_what_it_should() {
    let p_values = [0.03, 0.008, 0.2, 0.001, 0.012, 0.041];
    assert_eq!(rejected(&p_values, 0.05), [3, 1, 4]);
    assert_eq!(rejected(&p_values, 0.045), [3, 1]);
    assert_eq!(rejected(&p_values, 0.005), [0; 0]);
    assert_eq!(rejected(&[], 0.05), [0; 0]);
}

/// Independent comments, each rule hitting them at a rate of its own.
struct Stream {
    random: StdRng,
    rules: Vec<Simulated>,
}

struct Simulated {
    name: String,
    rate: f64,
    /// Comments until the next hit.
    gap: u64,
}

impl Stream {
    fn new(seed: u64, rates: &[f64]) -> Self {
        let mut stream = Self {
            random: StdRng::seed_from_u64(seed),
            rules: Vec::new(),
        };
        for (index, rate) in rates.iter().enumerate() {
            let gap = stream.gap(*rate);
            stream.rules.push(Simulated {
                name: format!("p/{index:02}"),
                rate: *rate,
                gap,
            });
        }
        stream
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number")]
    fn gap(&mut self, rate: f64) -> u64 {
        let even: f64 = self.random.random();
        ((1.0 - even).ln() / (-rate).ln_1p()) as u64
    }

    fn change(&mut self, rule: usize, rate: f64) {
        let gap = self.gap(rate);
        (self.rules[rule].rate, self.rules[rule].gap) = (rate, gap);
    }

    fn comment(&mut self) -> Vec<RuleHit> {
        let mut hits = Vec::new();
        for index in 0..self.rules.len() {
            if self.rules[index].gap > 0 {
                self.rules[index].gap -= 1;
            } else {
                self.rules[index].gap = self.gap(self.rules[index].rate);
                hits.push(hit(&self.rules[index].name));
            }
        }
        hits
    }

    /// So many comments; gives how many looks found a departure.
    fn feed(&mut self, rates: &mut RuleRates, comments: u64) -> usize {
        (0..comments)
            .filter(|_| rates.observe(&self.comment()) && departures(rates).count() > 0)
            .count()
    }

    fn followed(&self) -> RuleRates {
        let mut rates = RuleRates::default();
        rates.follow(self.rules.iter().map(|rule| (rule.name.as_str(), "d")));
        rates
    }
}

pub(super) fn hit(rule: &str) -> RuleHit {
    RuleHit {
        rule: rule.to_owned(),
        act: Act::Insult,
        target: None,
        severity: 1,
        action: RuleAction::Signal,
        span: [0, 1],
    }
}

fn departures(rates: &RuleRates) -> impl Iterator<Item = (&str, Side)> {
    rates.findings().filter_map(|(name, finding)| Some((name, finding.departs?)))
}

/// Rules as the packs have them: most of them rare, where no factor but only the test keeps chance out.
fn usual_rates() -> Vec<f64> {
    (0..40).map(|rule| 0.0002 * f64::from(1 + rule % 10)).collect()
}

/// 300 windows, of which chance may touch 3; 10 are beyond 99.9 % of all streams that keep the promise.
#[test]
fn chance_alone_departs_in_no_more_windows_than_promised() {
    let mut stream = Stream::new(1, &usual_rates());
    let mut rates = stream.followed();
    let windows = 300;
    let (mut touched, mut uncorrected) = (0, 0);
    for _ in 0..windows {
        let early = stream.feed(&mut rates, WINDOW_COMMENTS - 1);
        let smallest = rates.rules.values().map(|rule| rule.p_value(rates.open)).fold(1.0, f64::min);
        let late = stream.feed(&mut rates, 1);
        touched += usize::from(early + late > 0);
        uncorrected += usize::from(smallest < FALSE_ALARMS_PER_WINDOW);
    }
    assert!(touched <= 10, "{touched} of {windows} windows");
    assert!(uncorrected > 30, "one look without a correction would be touched in {uncorrected}");
}

#[test]
fn a_tripled_rate_is_found_and_nothing_else() {
    let mut found = 0;
    for seed in 0..10 {
        let mut stream = Stream::new(seed, &usual_rates());
        let mut rates = stream.followed();
        // 8,000 comments until windows have their full length, then 12 of them.
        stream.feed(&mut rates, 13 * WINDOW_COMMENTS);
        stream.change(9, 3.0 * 0.002);
        stream.feed(&mut rates, WINDOW_COMMENTS);
        let departing: Vec<(&str, Side)> = departures(&rates).collect();
        assert!(departing.iter().all(|departs| *departs == ("p/09", Side::More)), "{departing:?}");
        found += departing.len();
        let (_, finding) = rates.findings().find(|(name, _)| *name == "p/09").expect("it has a history");
        assert!((1.8..4.5).contains(&finding.ratio), "{finding:?}");
    }
    assert!(found >= 8, "found in {found} of 10 streams");
}

#[test]
fn gross_changes_show_at_the_first_look_and_falls_show_too() {
    let mut stream = Stream::new(7, &[0.001, 0.01]);
    let mut rates = stream.followed();
    stream.feed(&mut rates, 6 * WINDOW_COMMENTS);
    stream.change(0, 0.05);
    stream.feed(&mut rates, LOOK_COMMENTS);
    assert_eq!(departures(&rates).collect::<Vec<_>>(), [("p/00", Side::More)]);
    stream.change(0, 0.001);
    stream.change(1, 0.002);
    stream.feed(&mut rates, 2 * WINDOW_COMMENTS - LOOK_COMMENTS);
    assert_eq!(departures(&rates).collect::<Vec<_>>(), [("p/01", Side::Fewer)]);
}

#[test]
fn a_raid_leaves_no_trace_in_the_history_and_a_new_rate_becomes_it() {
    let mut stream = Stream::new(3, &[0.002]);
    let mut rates = stream.followed();
    stream.feed(&mut rates, 10 * WINDOW_COMMENTS);
    let before = rates.rules["p/00"].history.clone();
    stream.change(0, 0.02);
    stream.feed(&mut rates, 4 * WINDOW_COMMENTS);
    assert_eq!(rates.rules["p/00"].history, before);
    stream.change(0, 0.002);
    assert_eq!(
        stream.feed(&mut rates, 2 * WINDOW_COMMENTS),
        0,
        "the usual rate is no fall after a raid"
    );
    assert!(rates.rules["p/00"].apart.is_empty());

    stream.change(0, 0.02);
    stream.feed(&mut rates, 5 * WINDOW_COMMENTS);
    assert_eq!(departures(&rates).count(), 1, "it departs until it is adopted");
    let adopted = rates.rules["p/00"].before();
    assert!(
        adopted.comments == 5 * WINDOW_COMMENTS && adopted.hits > 600,
        "the new rate is the history: {adopted:?}"
    );
    assert_eq!(stream.feed(&mut rates, WINDOW_COMMENTS), 0);
}

#[test]
fn windows_double_and_tests_begin_with_the_thousandth_comment() {
    let mut rates = RuleRates::default();
    rates.follow([("p/a", "1")].into_iter());
    let looks: Vec<u64> = (1..=20_000).filter(|_| rates.observe(&[hit("p/a"), hit("p/a")])).collect();
    assert_eq!(
        looks,
        [
            500, 1000, 1500, 2000, 2500, 3000, 4000, 4500, 5000, 6000, 8000, 8500, 9000, 10_000, 12_000, 16_000, 16_500, 17_000, 18_000,
            20_000
        ]
    );
    let history: Vec<(u64, u64)> = rates.rules["p/a"]
        .history
        .iter()
        .map(|window| (window.comments, window.hits))
        .collect();
    assert_eq!(
        history,
        [500, 500, 1000, 2000, 4000, 8000].map(|comments| (comments, comments)),
        "a rule that hits a comment twice hits one comment"
    );
    (0..100 * WINDOW_COMMENTS).for_each(|_| {
        rates.observe(&[hit("p/a")]);
    });
    assert_eq!(rates.rules["p/a"].history.len(), HISTORY_WINDOWS, "the history is bounded");
}

#[test]
fn a_changed_rule_begins_anew_and_the_others_go_on() {
    let mut stream = Stream::new(5, &[0.01, 0.01, 0.01]);
    let mut rates = stream.followed();
    stream.feed(&mut rates, 3 * WINDOW_COMMENTS + 1000);
    let kept = rates.rules["p/01"].clone();
    rates.follow([("p/00", "other"), ("p/01", "d"), ("p/new", "d")].into_iter());
    assert_eq!(rates.rules["p/01"], kept);
    assert_eq!(rates.findings().map(|(name, _)| name).collect::<Vec<_>>(), ["p/01"]);
    assert!(!rates.rules.contains_key("p/02"), "a rule that is gone is forgotten");
    // The changed rule hits five times as much: no departure, it has no past.
    stream.change(0, 0.05);
    stream.feed(&mut rates, 7000);
    assert_eq!(departures(&rates).count(), 0);
    let begun = &rates.rules["p/00"].history;
    assert_eq!((begun.len(), begun[0].comments), (1, 7000), "it counts from when it came");
    stream.feed(&mut rates, WINDOW_COMMENTS);
    assert_eq!(departures(&rates).count(), 0);
    assert_eq!(rates.findings().count(), 3, "from the next window on it is compared");
}
