//! A simulated platform that fails when told to, and what the tests of the enforcer share.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use vigie_bus::Delivery;
use vigie_domain::{
    AccountId, Act, Action, Decision, DecisionAuthor, DecisionId, Enforcement, NativeCommentId, NewComment, Outcome, Platform, Pseudonym,
    Route, Topic, Verdict, VerdictId, decode,
};
use vigie_enforcer::{Actors, Config, Enforcer, Pace, Step};
use vigie_platforms::{Actor, Confirmation, PlatformError, Subject};
use vigie_runtime::accounts::AccountConfig;
use vigie_runtime::{Accounts, Handler as _, Runtime, record, testing};

/// Far longer than anything takes, also on a busy machine.
pub const SOON: Duration = Duration::from_secs(60);
pub const EVERYTHING: [Action; 3] = [Action::Hide, Action::Unhide, Action::Report];
pub const ACCOUNT: &str = "musee-test";
pub const AUTHOR: &str = "did:plc:auteur-tres-personnel";
pub const TEXT: &str = "ornithorynque";

pub fn transient() -> PlatformError {
    PlatformError::Transient("answered 503".to_owned())
}

/// What goes wrong in one call.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Nothing happened, and the platform says so.
    Before(PlatformError),
    /// It happened, and the answer is lost.
    After(PlatformError),
    /// The process dies before anything is sent.
    CrashBefore,
    /// The process dies after it happened.
    CrashAfter,
}

/// The platform.
#[derive(Default)]
pub struct World {
    pub hidden: BTreeSet<String>,
    /// Comment and key of each report.
    pub reports: Vec<(String, String)>,
    pub faults: VecDeque<Option<Fault>>,
    pub calls: Vec<(&'static str, Action, String)>,
    pub authors: BTreeSet<Option<String>>,
    /// Whether reports can be read back.
    pub reports_unreadable: bool,
    /// What is done does not show.
    pub blind: bool,
}

/// Acts on the world.
#[derive(Clone)]
pub struct Fake {
    pub world: Arc<Mutex<World>>,
    pub can: Vec<Action>,
}

impl Fake {
    pub fn new(can: &[Action]) -> Self {
        Self {
            world: Arc::default(),
            can: can.to_vec(),
        }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn acts(&self) -> usize {
        self.world().calls.iter().filter(|(kind, ..)| *kind == "act").count()
    }

    pub fn actors(&self) -> Actors {
        let actor: Arc<dyn Actor> = Arc::new(self.clone());
        Actors::from_map(BTreeMap::from([(AccountId::new(ACCOUNT).expect("a constant id"), actor)]))
    }

    fn begin(&self, kind: &'static str, action: Action, on: &Subject) -> Option<Fault> {
        let mut world = self.world();
        world.calls.push((kind, action, on.native_id.clone()));
        world.authors.insert(on.author_native.clone());
        assert!(!on.comment.contains(TEXT), "a report quotes the comment");
        world.faults.pop_front().flatten()
    }

    fn happen(&self, action: Action, on: &Subject) -> Option<String> {
        let mut world = self.world();
        match action {
            Action::Hide => {
                world.hidden.insert(on.native_id.clone());
                None
            }
            Action::Unhide => {
                world.hidden.remove(&on.native_id);
                None
            }
            Action::Delete => None,
            Action::Report => {
                world.reports.push((on.native_id.clone(), on.idempotency_key.clone()));
                Some(format!("report-{}", world.reports.len()))
            }
        }
    }
}

#[async_trait]
impl Actor for Fake {
    fn supports(&self, action: Action) -> bool {
        self.can.contains(&action)
    }

    async fn act(&self, action: Action, on: &Subject) -> Result<Option<String>, PlatformError> {
        match self.begin("act", action, on) {
            None => Ok(self.happen(action, on)),
            Some(Fault::Before(error)) => Err(error),
            Some(Fault::CrashBefore) => std::future::pending().await,
            Some(Fault::After(error)) => {
                self.happen(action, on);
                Err(error)
            }
            Some(Fault::CrashAfter) => {
                self.happen(action, on);
                std::future::pending().await
            }
        }
    }

    async fn confirm(&self, action: Action, on: &Subject) -> Result<Confirmation, PlatformError> {
        match self.begin("look", action, on) {
            None => {}
            Some(Fault::Before(error) | Fault::After(error)) => return Err(error),
            Some(Fault::CrashBefore | Fault::CrashAfter) => std::future::pending().await,
        }
        let world = self.world();
        let holds = match action {
            Action::Report if world.reports_unreadable => return Ok(Confirmation::Unreadable),
            Action::Report => world.reports.iter().any(|(comment, _)| *comment == on.native_id),
            Action::Hide => world.hidden.contains(&on.native_id),
            Action::Unhide => !world.hidden.contains(&on.native_id),
            Action::Delete => false,
        };
        Ok(if holds && !world.blind {
            Confirmation::Holds
        } else {
            Confirmation::Absent
        })
    }
}

/// Retries at once.
pub fn fast() -> Pace {
    Pace {
        claim_ms: 300,
        retry_first_ms: 1,
        retry_longest_ms: 4,
        refused_ms: 5,
        failures_max: 5,
        looks_max: 2,
        attempts_unseen_max: 2,
        poll_ms: 10,
        bearable: |_, _| 100_000,
    }
}

/// Many requests at once, so that only the tests of the limits meet them.
pub fn plenty() -> Config {
    Config {
        actions_per_5_min: 1_000_000,
        ..Config::default()
    }
}

/// The account of the tests, which acts or not.
pub fn account(dry_run: bool) -> AccountConfig {
    AccountConfig {
        id: ACCOUNT.to_owned(),
        platform: "generic".to_owned(),
        institution: ACCOUNT.to_owned(),
        name: Some("Musée d'essai".to_owned()),
        policy: "default".to_owned(),
        base_url: None,
        handle: None,
        watch: false,
        dry_run,
        token: None,
        login: None,
        labeler_did: None,
        webhook_secrets: Vec::new(),
    }
}

/// Which database.
#[derive(Debug, Clone)]
pub enum On {
    Sqlite,
    Postgres(String),
}

impl On {
    /// SQLite, and PostgreSQL where there is one.
    pub fn both() -> Vec<Self> {
        [Some(Self::Sqlite), testing::peer("POSTGRES_URL").map(Self::Postgres)]
            .into_iter()
            .flatten()
            .collect()
    }

    pub async fn runtime(&self, dir: &Path, dry_run: bool) -> anyhow::Result<Runtime> {
        let mut runtime = match self {
            Self::Sqlite => testing::runtime(dir).await?,
            Self::Postgres(url) => testing::runtime_on_postgres(dir, url).await?,
        };
        set_accounts(&mut runtime, &[account(dry_run)])?;
        Ok(runtime)
    }
}

pub fn set_accounts(runtime: &mut Runtime, accounts: &[AccountConfig]) -> anyhow::Result<()> {
    runtime.accounts = Accounts::read(accounts, &runtime.policies)?;
    Ok(())
}

/// As after a restart: the tables and the bus stay, everything in memory is new.
pub async fn open(runtime: &mut Runtime, config: Config, fake: &Fake) -> anyhow::Result<Enforcer> {
    runtime.registry = prometheus::Registry::new();
    Enforcer::open(config, runtime, fake.actors(), fast()).await
}

/// A verdict on the comment `name`, in the revision `edit`.
pub fn verdict(runtime: &Runtime, name: &str, edit: i64) -> Verdict {
    let sample = testing::sample_comment(TEXT);
    let comment = NewComment {
        platform: Platform::Generic,
        account: sample.account,
        institution: sample.institution,
        post: sample.post,
        native_id: NativeCommentId::new(name).expect("a name"),
        parent: None,
        author: None,
        author_sealed: Some(runtime.keys.seal(AUTHOR.as_bytes())),
        text: format!("{TEXT} {name}"),
        context: sample.context,
        created_at: sample.created_at,
        edited_at: (edit > 0).then(|| Timestamp::from_second(1_795_470_000 + edit).expect("a constant time")),
        collected_at: sample.collected_at,
        deleted: None,
        permalink: Some(format!("https://reseau.example/{name}")),
        language: None,
        evidence: None,
    }
    .build();
    Verdict {
        id: VerdictId::derive(&comment.revision, "model", "rulebook", "policy"),
        comment,
        ..testing::sample_verdict("x", Route::Review)
    }
}

pub fn decide(verdict: &Verdict, sequence: u32, outcome: Outcome, undoes: Option<u32>) -> Decision {
    Decision {
        id: DecisionId::derive(&verdict.comment.revision, sequence),
        sequence,
        verdict: verdict.clone(),
        outcome,
        acts: vec![Act::Insult],
        targets: Vec::new(),
        legal_basis: None,
        note: Some(TEXT.to_owned()),
        author: DecisionAuthor::Moderator {
            pseudonym: Pseudonym::new("Camille").expect("a name"),
        },
        decided_at: Timestamp::now(),
        blind: false,
        undoes: undoes.map(|sequence| DecisionId::derive(&verdict.comment.revision, sequence)),
    }
}

pub fn delivery(decision: &Decision) -> Delivery {
    Delivery {
        topic: Topic::Decisions,
        partition: 0,
        offset: 0,
        timestamp_ms: 0,
        record: record(decision),
    }
}

pub async fn deliver(enforcer: &Enforcer, decisions: &[&Decision]) -> anyhow::Result<()> {
    let batch: Vec<Delivery> = decisions.iter().map(|decision| delivery(decision)).collect();
    assert_eq!(enforcer.intake().handle(&batch).await?, []);
    Ok(())
}

/// Steps until nothing waits; a wait of more than `most` is an error.
pub async fn finish(enforcer: &Enforcer, most: Duration) -> anyhow::Result<()> {
    let account = AccountId::new(ACCOUNT)?;
    let deadline = tokio::time::Instant::now() + most;
    loop {
        match enforcer.step(&account).await? {
            Step::Done => {}
            Step::Wait(None) => return Ok(()),
            Step::Wait(Some(until)) => {
                let wait = u64::try_from(until - Timestamp::now().as_millisecond()).unwrap_or(0).max(1);
                let at = tokio::time::Instant::now() + Duration::from_millis(wait);
                anyhow::ensure!(at < deadline, "something waits for longer than {most:?}");
                tokio::time::sleep_until(at).await;
            }
        }
    }
}

/// Everything on `enforcements`, by request, in order, doubles left out as consumers do.
pub async fn published(runtime: &Runtime) -> anyhow::Result<BTreeMap<String, Vec<Enforcement>>> {
    let group = format!("test-{}", hex::encode(rand::random::<[u8; 4]>()));
    let mut consumer = runtime.bus.subscribe(&group, &[Topic::Enforcements]).await?;
    let mut seen = BTreeSet::new();
    let mut all: BTreeMap<String, Vec<Enforcement>> = BTreeMap::new();
    loop {
        let batch = consumer.receive(1000, Duration::from_millis(100)).await?;
        if batch.is_empty() {
            return Ok(all);
        }
        for delivery in batch {
            let enforcement: Enforcement = decode(&delivery.record.payload)?;
            if seen.insert(delivery.record.id) {
                all.entry(enforcement.id.to_string()).or_default().push(enforcement);
            }
        }
    }
}

/// The states of the one request for `action` that follows from `decision`.
pub fn states(all: &BTreeMap<String, Vec<Enforcement>>, decision: &Decision, action: Action) -> Vec<&'static str> {
    let id = vigie_domain::EnforcementId::derive(&decision.id, action.as_str());
    all.get(id.as_str())
        .map(|steps| steps.iter().map(|step| step.state.as_str()).collect())
        .unwrap_or_default()
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
}
