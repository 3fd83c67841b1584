//! The search index of threat reports, on tantivy.
//!
//! Exactly once: a report is written as "delete its id, add it again", and each commit carries, as its payload, the number of the
//! last change of the tables that it holds. After a crash between the tables and the index, or in the middle of writing the index,
//! the changes after that number are written again. The index is a copy: damaged, of another version or of another database, it is
//! thrown away and made again from the tables. Only reports are in it: never a comment that nobody escalated, nor one that was erased. The texts themselves
//! are not stored, only their words.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tantivy::collector::{Count, FacetCollector, TopDocs};
use tantivy::query::{AllQuery, BooleanQuery, FuzzyTermQuery, Occur, PhraseQuery, Query, RangeQuery, TermQuery};
use tantivy::schema::{
    FAST, Facet, FacetOptions, Field, INDEXED, IndexRecordOption, STORED, STRING, Schema, TextFieldIndexing, TextOptions, Value as _,
};
use tantivy::{DocAddress, Index, IndexReader, IndexWriter, ReloadPolicy, TantivyDocument, Term};
use vigie_domain::ReportId;
use vigie_web::words::paris;

use crate::analysis::{self, ACCENTED, FOLDED};
use crate::search::{self, Clause, Order, Search};
use crate::store::Stored;

/// Raised when the fields or the analysis change: older indexes are then made again.
const VERSION: u32 = 1;
const WRITER_BYTES: usize = 20_000_000;

/// How far an index goes: the payload of its commits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    version: u32,
    /// Name of the database it is a copy of.
    pub origin: String,
    /// Number of the last change it holds.
    pub changed: i64,
}

/// One page of results.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Reports of this page, in order.
    pub reports: Vec<String>,
    /// Reports in all.
    pub total: usize,
    /// How many of them per act and target: `/act/threat`, `/target/origin`.
    pub facets: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Copy)]
struct Fields {
    id: Field,
    accented: Field,
    folded: Field,
    author: Field,
    institution: Field,
    account: Field,
    platform: Field,
    state: Field,
    category: Field,
    opened: Field,
}

/// Reads. Cheap to clone; sees a commit as soon as it is made.
#[derive(Clone)]
pub struct Searcher {
    shared: Arc<RwLock<(IndexReader, Fields)>>,
}

/// Writes. One per directory.
pub struct ReportIndex {
    dir: PathBuf,
    index: Index,
    fields: Fields,
    writer: Option<IndexWriter>,
    position: Position,
    searcher: Searcher,
}

impl ReportIndex {
    /// Opens the index in `dir`, or makes an empty one where there is none, or none that can be used for `origin` at `changed`.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn open(dir: &Path, origin: &str, changed: i64) -> anyhow::Result<Self> {
        let opened = open_existing(dir)
            .filter(|(_, position)| position.version == VERSION && position.origin == origin && position.changed <= changed);
        let (index, position) = match opened {
            Some(opened) => opened,
            None => create(dir, origin)?,
        };
        let fields = prepare(&index)?;
        let searcher = Searcher {
            shared: Arc::new(RwLock::new((reader(&index)?, fields))),
        };
        Ok(Self {
            dir: dir.to_owned(),
            index,
            fields,
            writer: None,
            position,
            searcher,
        })
    }

    /// Throws everything away; what follows is written into an empty index.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn clear(&mut self) -> anyhow::Result<()> {
        self.writer = None;
        let (index, position) = create(&self.dir, &self.position.origin)?;
        self.fields = prepare(&index)?;
        *self.searcher.shared.write().unwrap_or_else(PoisonError::into_inner) = (reader(&index)?, self.fields);
        (self.index, self.position) = (index, position);
        Ok(())
    }

    /// The number of the last change that the index holds.
    #[must_use]
    pub const fn changed(&self) -> i64 {
        self.position.changed
    }

    /// For readers.
    #[must_use]
    pub fn searcher(&self) -> Searcher {
        self.searcher.clone()
    }

    /// Writes reports and commits. On an error nothing of it counts: it can be written again.
    ///
    /// # Errors
    /// The disk is full, or the index is damaged.
    pub fn write(&mut self, reports: &[Stored]) -> anyhow::Result<()> {
        let Some(changed) = reports.iter().map(|report| report.changed).max() else {
            return Ok(());
        };
        let position = Position {
            changed,
            ..self.position.clone()
        };
        match self.try_write(reports, &position) {
            Ok(()) => {
                self.position = position;
                Ok(())
            }
            Err(error) => {
                // A writer that failed is of no more use; what it did not commit is gone.
                self.writer = None;
                Err(error).with_context(|| format!("could not write the index {}; is the disk full?", self.dir.display()))
            }
        }
    }

    fn try_write(&mut self, reports: &[Stored], position: &Position) -> anyhow::Result<()> {
        if self.writer.is_none() {
            let writer = self.index.writer_with_num_threads(1, WRITER_BYTES)?;
            // A writer that was killed before its commit leaves files whose names the next one takes again, and tantivy refuses to write over them.
            writer.garbage_collect_files().wait()?;
            self.writer = Some(writer);
        }
        let Some(writer) = self.writer.as_mut() else { return Ok(()) };
        for report in reports {
            writer.delete_term(Term::from_field_text(self.fields.id, report.id.as_str()));
            if report.erased_at.is_none() {
                writer.add_document(document(&self.fields, report))?;
            }
        }
        let mut commit = writer.prepare_commit()?;
        commit.set_payload(&serde_json::to_string(position)?);
        commit.commit()?;
        if reports.iter().any(|report| report.erased_at.is_some()) {
            self.purge()?;
        }
        self.searcher.shared.read().unwrap_or_else(PoisonError::into_inner).0.reload()?;
        Ok(())
    }

    /// Writes the segments anew that hold deleted reports: until then their words are still in the files.
    fn purge(&mut self) -> anyhow::Result<()> {
        // Merges that run by themselves end first: they would take the same segments.
        if let Some(writer) = self.writer.take() {
            writer.wait_merging_threads()?;
        }
        let mut writer: IndexWriter = self.index.writer_with_num_threads(1, WRITER_BYTES)?;
        for segment in self.index.searchable_segment_metas()? {
            if segment.num_deleted_docs() > 0 {
                writer.merge(&[segment.id()]).wait()?;
            }
        }
        writer.garbage_collect_files().wait()?;
        self.writer = Some(writer);
        Ok(())
    }
}

fn schema() -> Schema {
    let mut schema = Schema::builder();
    schema.add_text_field("id", STRING | STORED);
    for (name, analyser) in [("accented", ACCENTED), ("folded", FOLDED)] {
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(analyser)
            .set_index_option(IndexRecordOption::WithFreqsAndPositions);
        schema.add_text_field(name, TextOptions::default().set_indexing_options(indexing));
    }
    for name in ["author", "institution", "account", "platform", "state"] {
        schema.add_text_field(name, STRING);
    }
    schema.add_facet_field("category", FacetOptions::default());
    schema.add_i64_field("opened", INDEXED | FAST);
    schema.build()
}

fn prepare(index: &Index) -> anyhow::Result<Fields> {
    index.tokenizers().register(ACCENTED, analysis::accented());
    index.tokenizers().register(FOLDED, analysis::folded());
    let schema = index.schema();
    let field = |name: &str| schema.get_field(name);
    Ok(Fields {
        id: field("id")?,
        accented: field("accented")?,
        folded: field("folded")?,
        author: field("author")?,
        institution: field("institution")?,
        account: field("account")?,
        platform: field("platform")?,
        state: field("state")?,
        category: field("category")?,
        opened: field("opened")?,
    })
}

/// Reloaded after each commit of ours: no thread watches the files.
fn reader(index: &Index) -> anyhow::Result<IndexReader> {
    Ok(index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?)
}

fn open_existing(dir: &Path) -> Option<(Index, Position)> {
    let index = Index::open_in_dir(dir).ok()?;
    let usable = index.schema() == schema() && index.validate_checksum().is_ok_and(|damaged| damaged.is_empty());
    let payload = index.load_metas().ok()?.payload?;
    let position = serde_json::from_str(&payload).ok()?;
    usable.then_some((index, position))
}

fn create(dir: &Path, origin: &str) -> anyhow::Result<(Index, Position)> {
    let context = || {
        format!(
            "could not make the index {}; is the directory writable and the disk not full?",
            dir.display()
        )
    };
    if dir.exists() {
        std::fs::remove_dir_all(dir).with_context(context)?;
    }
    std::fs::create_dir_all(dir).with_context(context)?;
    let index = Index::create_in_dir(dir, schema()).with_context(context)?;
    Ok((
        index,
        Position {
            version: VERSION,
            origin: origin.to_owned(),
            changed: 0,
        },
    ))
}

fn document(fields: &Fields, report: &Stored) -> TantivyDocument {
    let comment = &report.verdict.comment;
    let text = analysis::compose(&comment.text);
    let mut document = TantivyDocument::default();
    document.add_text(fields.id, report.id.as_str());
    document.add_text(fields.accented, &text);
    document.add_text(fields.folded, &text);
    if let Some(author) = &comment.author {
        document.add_text(fields.author, author.as_str());
    }
    document.add_text(fields.institution, comment.institution.as_str());
    document.add_text(fields.account, comment.account.as_str());
    document.add_text(fields.platform, comment.platform.as_str());
    document.add_text(fields.state, report.state.as_str());
    for category in report.categories() {
        document.add_facet(fields.category, Facet::from(category.as_str()));
    }
    document.add_i64(fields.opened, report.opened_at.as_second());
    document
}

impl Stored {
    /// Acts and targets as `/act/threat`, `/target/origin`: those of the person where one labelled, else those of the machine.
    #[must_use]
    pub fn categories(&self) -> Vec<String> {
        let labelled = self
            .decision
            .as_ref()
            .filter(|decision| !decision.acts.is_empty() || !decision.targets.is_empty());
        let (acts, targets): (Vec<_>, Vec<_>) = match labelled {
            Some(decision) => (decision.acts.clone(), decision.targets.clone()),
            None => (
                self.verdict.acts(),
                self.verdict.rules.iter().filter_map(|hit| hit.target).collect(),
            ),
        };
        let acts = acts.into_iter().map(|act| format!("/act/{}", act.as_str()));
        let mut categories: Vec<String> = acts
            .chain(targets.into_iter().map(|target| format!("/target/{}", target.as_str())))
            .collect();
        categories.sort();
        categories.dedup();
        categories
    }
}

impl Searcher {
    /// One page of results: at most `limit` from `offset` on.
    ///
    /// # Errors
    /// The index is damaged.
    pub fn search(&self, search: &Search, offset: usize, limit: usize) -> anyhow::Result<Found> {
        let (searcher, fields) = {
            let shared = self.shared.read().unwrap_or_else(PoisonError::into_inner);
            (shared.0.searcher(), shared.1)
        };
        let query = query(&fields, search);
        let mut facets = FacetCollector::for_field("category");
        facets.add_facet("/act");
        facets.add_facet("/target");
        let (total, counts) = searcher.search(&query, &(Count, facets))?;
        let top = TopDocs::with_limit(limit.max(1)).and_offset(offset);
        let addresses: Vec<DocAddress> = match search.order {
            Order::Relevance => searcher
                .search(&query, &top.order_by_score())?
                .into_iter()
                .map(|(_, address)| address)
                .collect(),
            Order::Newest => {
                let newest = top.order_by_fast_field::<i64>("opened", tantivy::Order::Desc);
                searcher.search(&query, &newest)?.into_iter().map(|(_, address)| address).collect()
            }
        };
        let mut reports = Vec::with_capacity(addresses.len());
        for address in addresses {
            let document: TantivyDocument = searcher.doc(address)?;
            reports.extend(document.get_first(fields.id).and_then(|id| id.as_str()).map(str::to_owned));
        }
        let facets = ["/act", "/target"]
            .iter()
            .flat_map(|root| counts.get(*root))
            .map(|(facet, count)| (facet.to_string(), count))
            .collect();
        Ok(Found { reports, total, facets })
    }

    /// How many documents the index holds for this id: one, or none.
    ///
    /// # Errors
    /// The index is damaged.
    pub fn occurrences(&self, id: &ReportId) -> anyhow::Result<usize> {
        let shared = self.shared.read().unwrap_or_else(PoisonError::into_inner);
        let term = TermQuery::new(Term::from_field_text(shared.1.id, id.as_str()), IndexRecordOption::Basic);
        Ok(shared.0.searcher().search(&term, &Count)?)
    }
}

fn query(fields: &Fields, search: &Search) -> BooleanQuery {
    let mut parts: Vec<(Occur, Box<dyn Query>)> = vec![(Occur::Must, Box::new(AllQuery))];
    for clause in &search.clauses {
        parts.extend(clause_query(fields, clause));
    }
    let exact = |field: Field, text: &str| -> (Occur, Box<dyn Query>) { (Occur::Must, term(field, text)) };
    parts.extend(search.institution.as_deref().map(|text| exact(fields.institution, text)));
    parts.extend(search.account.as_deref().map(|text| exact(fields.account, text)));
    parts.extend(search.platform.map(|platform| exact(fields.platform, platform.as_str())));
    parts.extend(search.state.map(|state| exact(fields.state, state.as_str())));
    parts.extend(search.author.as_deref().map(|text| exact(fields.author, text)));
    let categories = search.act.map(|act| format!("/act/{}", act.as_str())).into_iter();
    for category in categories.chain(search.target.map(|target| format!("/target/{}", target.as_str()))) {
        let facet = Term::from_facet(fields.category, &Facet::from(category.as_str()));
        parts.push((Occur::Must, Box::new(TermQuery::new(facet, IndexRecordOption::Basic))));
    }
    if let Some(visible) = &search.visible {
        let any = visible
            .iter()
            .map(|institution| (Occur::Should, term(fields.institution, institution.as_str())))
            .collect();
        parts.push((Occur::Must, Box::new(BooleanQuery::new(any))));
    }
    let midnight = |date: jiff::civil::Date| {
        date.to_zoned(paris())
            .map(|zoned| Term::from_field_i64(fields.opened, zoned.timestamp().as_second()))
            .ok()
    };
    let from = search.from.and_then(midnight);
    let to = search.to.and_then(|date| date.tomorrow().ok()).and_then(midnight);
    if from.is_some() || to.is_some() {
        let range = RangeQuery::new(
            from.map_or(Bound::Unbounded, Bound::Included),
            to.map_or(Bound::Unbounded, Bound::Excluded),
        );
        parts.push((Occur::Must, Box::new(range)));
    }
    BooleanQuery::new(parts)
}

fn term(field: Field, text: &str) -> Box<dyn Query> {
    Box::new(TermQuery::new(Term::from_field_text(field, text), IndexRecordOption::Basic))
}

/// None for a clause that holds nothing but stop words.
fn clause_query(fields: &Fields, clause: &Clause) -> Option<(Occur, Box<dyn Query>)> {
    match clause {
        Clause::Phrase(text) => words_query(fields, text).map(|query| (Occur::Must, query)),
        Clause::Not(text) => words_query(fields, text).map(|query| (Occur::MustNot, query)),
        Clause::Prefix(begin) => {
            let begin = search::prefix_term(begin)?;
            let views = [fields.accented, fields.folded];
            let either = views.map(|field| {
                let prefix: Box<dyn Query> = Box::new(FuzzyTermQuery::new_prefix(Term::from_field_text(field, &begin), 0, true));
                (Occur::Should, prefix)
            });
            Some((Occur::Must, Box::new(BooleanQuery::new(either.into()))))
        }
    }
}

/// The words in this order, in either view; or the report or author of that name.
fn words_query(fields: &Fields, text: &str) -> Option<Box<dyn Query>> {
    let words = analysis::words(&analysis::compose(text));
    if words.is_empty() {
        return None;
    }
    let view = |field: Field, of: fn(&analysis::Word) -> &str| -> (Occur, Box<dyn Query>) {
        if let [word] = words.as_slice() {
            let one = TermQuery::new(Term::from_field_text(field, of(word)), IndexRecordOption::WithFreqs);
            return (Occur::Should, Box::new(one));
        }
        let terms = words
            .iter()
            .map(|word| (word.position, Term::from_field_text(field, of(word))))
            .collect();
        (Occur::Should, Box::new(PhraseQuery::new_with_offset(terms)))
    };
    let mut either = vec![
        view(fields.accented, |word| &word.accented),
        view(fields.folded, |word| &word.folded),
    ];
    if text.len() >= 16 && text.chars().all(|c| c.is_ascii_hexdigit()) {
        let lower = text.to_ascii_lowercase();
        either.push((Occur::Should, term(fields.id, &lower)));
        either.push((Occur::Should, term(fields.author, &lower)));
    }
    Some(Box::new(BooleanQuery::new(either)))
}
