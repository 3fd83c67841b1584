//! What holds for every input of `route`, on random inputs and on every combination of the small ones.

use proptest::prelude::*;
use vigie_domain::policy::Caution;
use vigie_domain::{IdError, Target};

use super::*;

const CALM: RouteContext = RouteContext {
    automation: Automation::On,
    language: LanguageFit::Known,
    reading: Reading::Whole,
};

fn policy(hide: Vec<Act>) -> Policy {
    let files = BTreeMap::from([(
        "default".to_owned(),
        include_str!("../../../deploy/policies/default.toml").to_owned(),
    )]);
    let mut policy = Policy::read_all(&files)
        .expect("the default policy is valid")
        .remove("default")
        .expect("it is there");
    policy.automatic.hide = hide;
    policy.caution = Caution::Balanced;
    policy
}

/// Review from .5 for every label, hide from .9 for every act.
fn thresholds() -> BTreeMap<ScoreLabel, Threshold> {
    ScoreLabel::ALL
        .into_iter()
        .map(|label| {
            (
                label,
                Threshold {
                    review: 0.5,
                    hide: Some(0.9),
                },
            )
        })
        .collect()
}

fn hit(act: Act, action: RuleAction, severity: u8) -> RuleHit {
    RuleHit {
        rule: "p/r".to_owned(),
        act,
        target: None,
        severity,
        action,
        span: [0, 1],
    }
}

fn scores(given: &[(ScoreLabel, f32)]) -> Scores {
    Scores(given.iter().copied().collect())
}

fn listable() -> Vec<Act> {
    Act::ALL.into_iter().filter(|act| !needs_human(*act)).collect()
}

fn check(hits: &[RuleHit], given: &[(ScoreLabel, f32)], context: RouteContext, expected: (Route, bool), reasons: &[Reason]) {
    let routing = route(hits, &scores(given), &policy(vec![Act::Insult, Act::Spam]), &thresholds(), &context);
    assert_eq!(
        (routing.route, routing.escalate),
        expected,
        "{hits:?} {given:?} {context:?}: {routing:?}"
    );
    assert_eq!(routing.reasons, reasons, "{hits:?} {given:?} {context:?}");
}

#[test]
fn every_way_of_a_comment() {
    use RuleAction::{Hide, Review, Signal};
    use ScoreLabel::{Abusive, Criticism, Distress, Hate, Insult, Sexual, Threat, Vulgar};
    let insult = |action| hit(Act::Insult, action, 3);
    let off = RouteContext {
        automation: Automation::Off,
        ..CALM
    };
    let foreign = RouteContext {
        language: LanguageFit::Unknown,
        ..CALM
    };
    let reading = |reading| RouteContext { reading, ..CALM };
    let (keep, review, hidden, urgent) = (
        (Route::Keep, false),
        (Route::Review, false),
        (Route::Hide, false),
        (Route::Review, true),
    );

    check(&[], &[(Abusive, 0.1)], CALM, keep, &[Reason::Harmless]);
    check(&[insult(Signal)], &[(Abusive, 0.1)], CALM, keep, &[Reason::Harmless]);
    check(&[], &[(Abusive, 0.6)], CALM, review, &[Reason::ScoreReview]);
    check(&[], &[(Abusive, 0.99)], CALM, review, &[Reason::ScoreReview]);
    check(&[insult(Review)], &[(Abusive, 0.1)], CALM, review, &[Reason::RuleReview]);
    // A rule asks for hiding: with the model, against it, against the policy.
    check(
        &[insult(Hide)],
        &[(Abusive, 0.6)],
        CALM,
        hidden,
        &[Reason::RuleHide, Reason::ScoreReview],
    );
    check(&[insult(Hide)], &[(Abusive, 0.1)], CALM, review, &[Reason::Disagreement]);
    check(&[insult(Hide)], &[], CALM, review, &[Reason::Disagreement]);
    check(
        &[insult(Hide)],
        &[(Abusive, 0.6)],
        off,
        review,
        &[Reason::RuleHide, Reason::ScoreReview, Reason::AutomationOff],
    );
    check(
        &[hit(Act::Denial, Hide, 3)],
        &[(Abusive, 0.6)],
        CALM,
        review,
        &[Reason::RuleHide, Reason::ScoreReview, Reason::AutomationOff],
    );
    let slur = RuleHit {
        target: Some(Target::Origin),
        ..insult(Hide)
    };
    check(
        &[slur],
        &[(Abusive, 0.1), (Hate, 0.6)],
        CALM,
        hidden,
        &[Reason::RuleHide, Reason::ScoreReview],
    );
    // The gravest calls for a person at once, whatever its act.
    check(
        &[hit(Act::Incitement, Review, 5)],
        &[(Abusive, 0.1)],
        CALM,
        urgent,
        &[Reason::Urgent, Reason::RuleReview],
    );
    check(
        &[hit(Act::Incitement, Signal, 5)],
        &[(Abusive, 0.1)],
        CALM,
        keep,
        &[Reason::Harmless],
    );
    // A score alone.
    check(&[], &[(Insult, 0.95)], CALM, hidden, &[Reason::ScoreHide]);
    check(&[], &[(Sexual, 0.95)], CALM, review, &[Reason::ScoreReview]);
    check(
        &[],
        &[(Insult, 0.95)],
        foreign,
        review,
        &[Reason::ScoreHide, Reason::UnknownLanguage],
    );
    // Protected speech.
    check(
        &[],
        &[(Insult, 0.95), (Criticism, 0.6)],
        CALM,
        review,
        &[Reason::ScoreHide, Reason::ProtectedSpeech],
    );
    check(
        &[hit(Act::Vulgar, Signal, 1)],
        &[(Insult, 0.95)],
        CALM,
        review,
        &[Reason::ScoreHide, Reason::ProtectedSpeech],
    );
    check(&[hit(Act::Vulgar, Signal, 1)], &[(Vulgar, 0.9)], CALM, keep, &[Reason::Harmless]);
    // A person at once.
    check(
        &[hit(Act::Threat, Review, 5)],
        &[(Abusive, 0.0)],
        CALM,
        urgent,
        &[Reason::Urgent, Reason::RuleReview],
    );
    check(
        &[hit(Act::Threat, Hide, 5)],
        &[(Threat, 0.6)],
        CALM,
        urgent,
        &[Reason::Urgent, Reason::RuleHide, Reason::AutomationOff],
    );
    check(&[hit(Act::Threat, Signal, 2)], &[(Abusive, 0.1)], CALM, keep, &[Reason::Harmless]);
    check(&[], &[(Threat, 0.6)], CALM, urgent, &[Reason::Urgent]);
    check(
        &[],
        &[(Distress, 0.6), (Insult, 0.95)],
        CALM,
        urgent,
        &[Reason::Urgent, Reason::ScoreHide],
    );
    let both = [hit(Act::Threat, Review, 5), insult(Hide)];
    check(
        &both,
        &[(Abusive, 0.6)],
        CALM,
        (Route::Hide, true),
        &[Reason::Urgent, Reason::RuleHide, Reason::RuleReview, Reason::ScoreReview],
    );
    // What cannot be judged.
    check(&[], &[(Abusive, 0.1)], foreign, review, &[Reason::UnknownLanguage]);
    check(&[], &[(Abusive, 0.1)], reading(Reading::Empty), keep, &[Reason::Unreadable]);
    check(&[], &[(Abusive, 0.1)], reading(Reading::Partial), review, &[Reason::Unreadable]);
    check(&[], &[(Abusive, 0.1)], reading(Reading::Invisible), review, &[Reason::Unreadable]);
}

#[test]
fn no_single_finding_hides_protected_or_urgent_speech() -> Result<(), IdError> {
    let policy = policy(listable());
    for act in Act::ALL {
        for action in [RuleAction::Signal, RuleAction::Review, RuleAction::Hide] {
            for abusive in [0.0, 0.6, 1.0] {
                let routing = route(
                    &[hit(act, action, 3)],
                    &scores(&[(ScoreLabel::Abusive, abusive)]),
                    &policy,
                    &thresholds(),
                    &CALM,
                );
                let hidden = routing.route == Route::Hide;
                assert_eq!(
                    hidden,
                    !needs_human(act) && action == RuleAction::Hide && abusive >= 0.5,
                    "{act:?} {action:?} {abusive}"
                );
                assert_eq!(
                    routing.escalate,
                    (act.always_escalates() || act == Act::Harassment) && action != RuleAction::Signal,
                    "{act:?} {action:?} {abusive}"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn a_scam_with_a_low_score_for_harassment_waits_behind_a_threat() {
    use ScoreLabel::{Harassment, Spam, Threat};
    let thresholds = ScoreLabel::ALL
        .into_iter()
        .map(|label| (label, Threshold { review: 0.1, hide: None }))
        .collect();
    let placed = |hits: &[RuleHit], given: &[(ScoreLabel, f32)]| route(hits, &scores(given), &policy(vec![]), &thresholds, &CALM).priority;
    let scam = placed(&[hit(Act::Spam, RuleAction::Review, 3)], &[(Spam, 0.97), (Harassment, 0.12)]);
    assert_eq!(scam, 91);
    assert!(placed(&[], &[(Threat, 0.3)]) > scam);
    assert!(placed(&[hit(Act::Threat, RuleAction::Review, 3)], &[]) > scam);
}

fn any_action() -> impl Strategy<Value = RuleAction> {
    prop::sample::select(vec![RuleAction::Signal, RuleAction::Review, RuleAction::Hide])
}

fn any_hit(acts: Vec<Act>) -> impl Strategy<Value = RuleHit> {
    let target = prop::option::of(prop::sample::select(Target::ALL.to_vec()));
    (prop::sample::select(acts), any_action(), 1_u8..=5, target).prop_map(|(act, action, severity, target)| RuleHit {
        target,
        ..hit(act, action, severity)
    })
}

fn any_scores() -> impl Strategy<Value = Scores> {
    prop::collection::btree_map(prop::sample::select(ScoreLabel::ALL.to_vec()), 0.0_f32..=1.0, 0..12).prop_map(Scores)
}

fn any_thresholds() -> impl Strategy<Value = BTreeMap<ScoreLabel, Threshold>> {
    let threshold = (0.0_f32..=1.0, prop::option::of(0.0_f32..=1.0)).prop_map(|(review, hide)| Threshold {
        review,
        hide: hide.map(|hide| hide.max(review)),
    });
    prop::collection::btree_map(prop::sample::select(ScoreLabel::ALL.to_vec()), threshold, 0..22)
}

fn any_context() -> impl Strategy<Value = RouteContext> {
    let reading = prop::sample::select(vec![Reading::Whole, Reading::Empty, Reading::Partial, Reading::Invisible]);
    (any::<bool>(), any::<bool>(), reading).prop_map(|(on, known, reading)| RouteContext {
        automation: if on { Automation::On } else { Automation::Off },
        language: if known { LanguageFit::Known } else { LanguageFit::Unknown },
        reading,
    })
}

fn any_policy() -> impl Strategy<Value = Policy> {
    prop::sample::subsequence(Act::ALL.to_vec(), 0..=Act::ALL.len()).prop_map(policy)
}

fn over(scores: &Scores, thresholds: &BTreeMap<ScoreLabel, Threshold>, labels: &[ScoreLabel]) -> bool {
    labels
        .iter()
        .any(|label| matches!((scores.get(*label), thresholds.get(label)), (Some(score), Some(threshold)) if score >= threshold.review))
}

/// Acts whose hits make things worse and never better.
fn aggravating() -> Vec<Act> {
    Act::ALL
        .into_iter()
        .filter(|act| !matches!(act, Act::Vulgar | Act::Criticism | Act::CounterSpeech | Act::Distress))
        .collect()
}

fn worse(before: &Routing, after: &Routing) -> bool {
    after.route >= before.route && after.escalate >= before.escalate && after.priority >= before.priority
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn protected_speech_and_distress_are_never_hidden(
        hits in prop::collection::vec(any_hit(Act::ALL.to_vec()), 0..5), scores in any_scores(), thresholds in any_thresholds(),
        context in any_context(), policy in any_policy(),
    ) {
        let routing = route(&hits, &scores, &policy, &thresholds, &context);
        let by_rule = hits.iter().any(|hit| match hit.act {
            Act::Vulgar | Act::Criticism | Act::CounterSpeech => true,
            Act::Distress => hit.action != RuleAction::Signal,
            _ => false,
        });
        let by_score = over(&scores, &thresholds, &[ScoreLabel::Vulgar, ScoreLabel::Criticism, ScoreLabel::CounterSpeech, ScoreLabel::Distress]);
        prop_assert!(!(by_rule || by_score) || routing.route != Route::Hide, "{routing:?}");
    }

    #[test]
    fn the_urgent_always_reach_a_person(
        hits in prop::collection::vec(any_hit(Act::ALL.to_vec()), 0..5), scores in any_scores(), thresholds in any_thresholds(),
        context in any_context(), policy in any_policy(),
    ) {
        let routing = route(&hits, &scores, &policy, &thresholds, &context);
        let by_rule = hits.iter().any(is_urgent);
        let urgent = by_rule || over(&scores, &thresholds, &URGENT);
        prop_assert_eq!(routing.escalate, urgent);
        prop_assert_eq!(routing.escalate, !routing.urgent.is_empty());
        prop_assert_eq!(routing.reasons.first() == Some(&Reason::Urgent), urgent);
        prop_assert!(!urgent || (routing.route != Route::Keep && routing.priority >= 90));
    }

    #[test]
    fn the_machine_hides_only_what_the_policy_lists(
        hits in prop::collection::vec(any_hit(Act::ALL.to_vec()), 0..5), scores in any_scores(), thresholds in any_thresholds(),
        context in any_context(), policy in any_policy(),
    ) {
        let routing = route(&hits, &scores, &policy, &thresholds, &context);
        if routing.route == Route::Hide {
            prop_assert!(context.automation == Automation::On && context.language == LanguageFit::Known);
            let allowed = |act: Act| policy.automatic.hide.contains(&act) && !needs_human(act);
            let by_rule = hits.iter().any(|hit| allowed(hit.act) && hit.action == RuleAction::Hide);
            let by_score = Act::ALL.into_iter().filter(|act| allowed(*act)).filter_map(label_of).any(|label| {
                let hide = thresholds.get(&label).and_then(|threshold| threshold.hide);
                scores.get(label).zip(hide).is_some_and(|(score, hide)| score >= hide)
            });
            prop_assert!(by_rule || by_score);
        }
    }

    #[test]
    fn worse_findings_never_lead_to_a_milder_route(
        mut hits in prop::collection::vec(any_hit(Act::ALL.to_vec()), 0..4), scores in any_scores(), thresholds in any_thresholds(),
        context in any_context(), policy in any_policy(), more in any_hit(aggravating()), place in 0_usize..4,
        label in prop::sample::select(ABUSE.into_iter().chain([ScoreLabel::Threat, ScoreLabel::Doxxing, ScoreLabel::TerrorApology]).collect::<Vec<_>>()),
        rise in 0.0_f32..1.0,
    ) {
        let before = route(&hits, &scores, &policy, &thresholds, &context);
        let mut raised = scores.clone();
        let score = raised.0.entry(label).or_insert(0.0);
        *score = (*score + rise).min(1.0);
        let after = route(&hits, &raised, &policy, &thresholds, &context);
        prop_assert!(worse(&before, &after), "score of {label:?}: {before:?} -> {after:?}");

        let mut added = hits.clone();
        added.insert(place.min(added.len()), more);
        let after = route(&added, &scores, &policy, &thresholds, &context);
        prop_assert!(worse(&before, &after), "one more hit: {before:?} -> {after:?}");

        if let Some(graver) = hits.get_mut(place).filter(|hit| aggravating().contains(&hit.act)) {
            graver.severity = 5;
            graver.action = RuleAction::Hide;
            let after = route(&hits, &scores, &policy, &thresholds, &context);
            prop_assert!(worse(&before, &after), "a graver hit: {before:?} -> {after:?}");
        }
    }

    #[test]
    fn only_what_is_urgent_places_the_urgent(
        hits in prop::collection::vec(any_hit(Act::ALL.to_vec()), 0..4), scores in any_scores(), thresholds in any_thresholds(),
        context in any_context(), policy in any_policy(), more in any_hit(vec![Act::Insult, Act::Sexual, Act::Spam]), rise in 0.0_f32..1.0,
    ) {
        let before = route(&hits, &scores, &policy, &thresholds, &context);
        let (mut raised, mut added) = (scores, hits);
        for label in ABUSE {
            let score = raised.0.entry(label).or_insert(0.0);
            *score = (*score + rise).min(1.0);
        }
        if !cannot_wait(&more) {
            added.push(more);
        }
        let after = route(&added, &raised, &policy, &thresholds, &context);
        prop_assert_eq!(before.escalate, after.escalate);
        prop_assert!(!before.escalate || before.priority == after.priority, "{before:?} -> {after:?}");
    }

    #[test]
    fn reasons_and_ranges_hold(
        hits in prop::collection::vec(any_hit(Act::ALL.to_vec()), 0..5), scores in any_scores(), thresholds in any_thresholds(),
        context in any_context(), policy in any_policy(),
    ) {
        let routing = route(&hits, &scores, &policy, &thresholds, &context);
        prop_assert!(!routing.reasons.is_empty());
        prop_assert_eq!(routing.reasons.contains(&Reason::Harmless), routing.reasons.len() == 1 && routing.route == Route::Keep && context.reading == Reading::Whole);
        let range = if routing.escalate { 90..=100 } else if routing.route == Route::Keep { 0..=10 } else { 20..=80 };
        prop_assert!(range.contains(&routing.priority), "{routing:?}");
        let again = route(&hits, &scores, &policy, &thresholds, &context);
        prop_assert_eq!(routing, again);
    }
}
