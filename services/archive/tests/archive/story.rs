//! Everything that can happen to a comment, the reports that must follow, and the check that they do.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;
use vigie_archive::chain;
use vigie_archive::search::{self, Search};
use vigie_archive::service::Archivist;
use vigie_bus::Delivery;
use vigie_domain::{
    Act, Action, Comment, Decision, DecisionAuthor, DecisionId, Enforcement, EnforcementId, EnforcementState, LegalBasis, NativeCommentId,
    NewComment, Outcome, Platform, Pseudonym, ReportId, ReportState, Route, Target, Tombstone, Topic, Verdict, VerdictId, WireRecord,
};
use vigie_runtime::{Runtime, record, testing};

pub const SECRET: &str = "ornithorynque";

/// A runtime on SQLite, and one on PostgreSQL where there is one.
pub async fn runtimes(dir: &Path) -> anyhow::Result<Vec<Runtime>> {
    let mut runtimes = vec![testing::runtime(&dir.join("sqlite")).await?];
    if let Some(url) = testing::peer("POSTGRES_URL") {
        runtimes.push(testing::runtime_on_postgres(&dir.join("postgres"), &url).await?);
    }
    Ok(runtimes)
}

pub fn delivery<T: WireRecord>(topic: Topic, wire: &T) -> Delivery {
    Delivery {
        topic,
        partition: 0,
        offset: 0,
        timestamp_ms: 0,
        record: record(wire),
    }
}

pub fn time(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_795_470_000 + minutes * 60).expect("a constant time")
}

/// A revision of comment `name`; `edited` and `deleted` in minutes.
pub fn comment(name: &str, text: &str, edited: Option<i64>, deleted: Option<i64>) -> Comment {
    let sample = testing::sample_comment(text);
    NewComment {
        platform: Platform::Mastodon,
        account: sample.account,
        institution: sample.institution,
        post: sample.post,
        native_id: NativeCommentId::new(name).expect("a name"),
        parent: None,
        author: Some(vigie_domain::AuthorPseudonym::new(format!("{:0>64}", name.len())).expect("a pseudonym")),
        author_sealed: None,
        text: text.to_owned(),
        context: sample.context,
        created_at: time(0),
        edited_at: edited.map(time),
        collected_at: time(1 + edited.unwrap_or_default()),
        deleted: deleted.map(|at| Tombstone {
            at: time(at),
            source: "poll".to_owned(),
        }),
        permalink: None,
        language: None,
        evidence: None,
    }
    .build()
}

pub fn verdict(comment: Comment, escalate: bool) -> Verdict {
    let id = VerdictId::derive(&comment.revision, "model", "rulebook", "policy");
    Verdict {
        id,
        comment,
        escalate,
        route: Route::Review,
        ..testing::sample_verdict("x", Route::Review)
    }
}

pub fn decision(verdict: &Verdict, sequence: u32, outcome: Outcome, undoes: Option<u32>) -> Decision {
    Decision {
        id: DecisionId::derive(&verdict.comment.revision, sequence),
        sequence,
        verdict: verdict.clone(),
        outcome,
        acts: vec![Act::Threat],
        targets: vec![Target::PublicAgent],
        legal_basis: Some(LegalBasis::MenaceAgentPublic),
        note: Some("à transmettre".to_owned()),
        author: DecisionAuthor::Moderator {
            pseudonym: Pseudonym::new("Camille").expect("a name"),
        },
        decided_at: time(10 + i64::from(sequence)),
        blind: false,
        undoes: undoes.map(|sequence| DecisionId::derive(&verdict.comment.revision, sequence)),
    }
}

pub fn enforcement(decision: &Decision, state: EnforcementState) -> Enforcement {
    let comment = &decision.verdict.comment;
    Enforcement {
        id: EnforcementId::derive(&decision.id, "report"),
        decision: decision.id.clone(),
        comment: comment.id.clone(),
        revision: comment.revision.clone(),
        platform: comment.platform,
        account: comment.account.clone(),
        action: Action::Report,
        state,
        dry_run: true,
        attempts: 1,
        at: time(20),
        error: None,
    }
}

/// Everything that can happen to a comment, with the reports that must follow.
pub fn story() -> (Vec<Delivery>, BTreeMap<ReportId, ReportState>) {
    let mut deliveries = Vec::new();
    let mut expected = BTreeMap::new();
    let mut expect = |verdict: &Verdict, state| {
        expected.insert(ReportId::derive(&verdict.comment.revision), state);
    };

    let waiting = verdict(comment("waiting", "Je vais brûler le musée", None, None), true);
    deliveries.push(delivery(Topic::Verdicts, &waiting));
    expect(&waiting, ReportState::Signalled);

    let confirmed = verdict(comment("confirmed", "On va vous égorger", None, None), true);
    let escalation = decision(&confirmed, 0, Outcome::Escalate, None);
    deliveries.push(delivery(Topic::Verdicts, &confirmed));
    deliveries.push(delivery(Topic::Decisions, &escalation));
    deliveries.extend(
        [EnforcementState::Requested, EnforcementState::Confirmed]
            .map(|state| delivery(Topic::Enforcements, &enforcement(&escalation, state))),
    );
    expect(&confirmed, ReportState::Escalated);

    let dismissed = verdict(comment("dismissed", "Ce film est une tuerie", None, None), true);
    deliveries.push(delivery(Topic::Verdicts, &dismissed));
    deliveries.push(delivery(Topic::Decisions, &decision(&dismissed, 0, Outcome::Keep, None)));
    expect(&dismissed, ReportState::Dismissed);

    let undone = verdict(comment("undone", "Menace à revoir", None, None), true);
    deliveries.push(delivery(Topic::Verdicts, &undone));
    deliveries.push(delivery(Topic::Decisions, &decision(&undone, 0, Outcome::Keep, None)));
    deliveries.push(delivery(Topic::Decisions, &decision(&undone, 1, Outcome::Keep, Some(0))));
    expect(&undone, ReportState::Signalled);

    let by_person = verdict(comment("by-person", "Je sais où habite le gardien", None, None), false);
    deliveries.push(delivery(Topic::Verdicts, &by_person));
    deliveries.push(delivery(Topic::Decisions, &decision(&by_person, 0, Outcome::Escalate, None)));
    expect(&by_person, ReportState::Escalated);

    let deleted = verdict(comment("deleted", "Effacé avant examen", None, None), true);
    deliveries.push(delivery(Topic::Verdicts, &deleted));
    deliveries.push(delivery(Topic::Verdicts, &verdict(comment("deleted", "", None, Some(30)), false)));
    expect(&deleted, ReportState::Withdrawn);

    let first = verdict(comment("edited", "Première menace", None, None), true);
    let second = verdict(comment("edited", "Seconde menace", Some(5), None), true);
    deliveries.push(delivery(Topic::Verdicts, &first));
    deliveries.push(delivery(Topic::Verdicts, &second));
    expect(&first, ReportState::Withdrawn);
    expect(&second, ReportState::Signalled);

    for number in 0..10 {
        let harmless = verdict(
            comment(&format!("harmless{number}"), &format!("{SECRET} numéro {number}"), None, None),
            false,
        );
        let hidden = decision(&harmless, 0, Outcome::Hide, None);
        deliveries.push(delivery(Topic::Verdicts, &harmless));
        deliveries.push(delivery(Topic::Decisions, &hidden));
        deliveries.push(delivery(Topic::Enforcements, &enforcement(&hidden, EnforcementState::Confirmed)));
    }
    (deliveries, expected)
}

/// SplitMix64.
pub struct Draws(pub u64);

impl Draws {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % bound as u64).expect("below the bound")
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

pub async fn open(runtime: &Runtime) -> anyhow::Result<Archivist> {
    Archivist::open(runtime, &runtime.data_dir.join("archive-index")).await
}

/// As after a restart.
pub async fn reopen(runtime: &mut Runtime) -> anyhow::Result<Archivist> {
    runtime.registry = prometheus::Registry::new();
    open(runtime).await
}

pub async fn states(archivist: &Archivist) -> anyhow::Result<BTreeMap<ReportId, ReportState>> {
    let stored = archivist.store().changed_after(0, 1000).await?;
    Ok(stored.into_iter().map(|report| (report.id, report.state)).collect())
}

/// Tables, index and evidence agree with what must follow from the story.
pub async fn check(archivist: &Archivist, expected: &BTreeMap<ReportId, ReportState>, seed: u64) -> anyhow::Result<()> {
    assert_eq!(&states(archivist).await?, expected, "seed {seed}");
    let searcher = archivist.searcher();
    assert_eq!(searcher.search(&Search::default(), 0, 100)?.total, expected.len(), "seed {seed}");
    for (id, state) in expected {
        assert_eq!(searcher.occurrences(id)?, 1, "seed {seed}");
        let found = searcher.search(
            &Search {
                state: Some(*state),
                ..Search::default()
            },
            0,
            100,
        )?;
        assert!(found.reports.contains(&id.to_string()), "seed {seed}: {state:?} in the index");
        let report = archivist.store().report(id.as_str()).await?.expect("the report");
        assert_eq!(chain::verify(&report.chain), Ok(()), "seed {seed}");
        let entries: BTreeSet<&str> = report.chain.iter().map(|link| link.entry.as_str()).collect();
        assert_eq!(entries.len(), report.chain.len(), "seed {seed}: nothing is chained twice");
    }
    assert_eq!(
        searcher
            .search(
                &Search {
                    clauses: search::parse(SECRET),
                    ..Search::default()
                },
                0,
                100
            )?
            .total,
        0,
        "seed {seed}"
    );
    Ok(())
}
