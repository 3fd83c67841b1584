//! Reads threads and mentions of one account.
//!
//! One page of a [`Source`] is one thread, or one page of mentions. Threads are read by age (see [`crate::schedule`]) and whole: the
//! API offers no "since", a late reply arrives anywhere in the tree. Their digest is kept, so that an unchanged thread gives nothing.
//! Mentions walk forward with `min_id`, which leaves no gaps; `since_id` would.
//!
//! Without a token a Mastodon server gives at most 60 replies of a thread: branches that are cut are asked for one by one, but
//! direct replies beyond the limit stay out of reach. Set a token for accounts with longer threads.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::cursor::{Cursor, Mentions};
use super::wire::{Context, Notification, Status, checked, newest, oldest};
use super::{ConnectorAccount, Limits, PlatformError, RawComment, Server};
use crate::schedule::{Later, Pace, is_due};
use crate::{Page, Presence, Source};

/// Posts and mentions older than this are not looked for at the first reading.
const BACKFILL: SignedDuration = SignedDuration::from_hours(24 * 30);
const BACKFILL_PAGES_MAX: u32 = 25;
const POST_PAGES_MAX: usize = 5;
/// From this many replies on, a thread read without a token may have been cut.
const CUT_REPLIES_MIN: usize = 50;
const BRANCHES_MAX: usize = 20;
/// Texts and roots kept in memory to spare requests; both can be asked for again.
const REMEMBERED_MAX: usize = 20_000;
const PRESENCE_IDS_MAX: usize = 20;

/// Reads one account.
pub(crate) struct Reader {
    server: Server,
    handle: Option<String>,
    pace: Pace,
    later: Later,
    post_texts: HashMap<String, String>,
    /// Comment to post.
    roots: HashMap<String, String>,
    /// Whether the server gives several statuses at once; found out at the first try.
    gives_many: bool,
    /// How long a comment that seems gone is left before it is asked for again.
    pub(super) recheck_after: Duration,
}

impl Reader {
    pub fn new(account: &ConnectorAccount, limits: Limits) -> Result<Self, PlatformError> {
        if account.handle.is_none() && account.token.is_none() {
            return Err(PlatformError::Permanent(
                "a Mastodon account that is watched needs `handle`, or a token".to_owned(),
            ));
        }
        Ok(Self {
            server: Server::new(account, limits)?,
            handle: account.handle.clone(),
            pace: Pace::default(),
            later: Later::default(),
            post_texts: HashMap::new(),
            roots: HashMap::new(),
            gives_many: true,
            recheck_after: Duration::from_secs(2),
        })
    }

    async fn statuses(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Vec<Box<RawValue>>, PlatformError> {
        self.server.get(path, query).await?.json()
    }

    async fn context(&self, id: &str) -> Result<Context, PlatformError> {
        self.server
            .get(&["api", "v1", "statuses", checked(id)?, "context"], &[])
            .await?
            .json()
    }

    /// Looks for new posts: the newest page, and older ones until a known post, the age limit or the page limit.
    async fn read_posts(&mut self, own: &str, cursor: &mut Cursor) -> Result<(), PlatformError> {
        let mut max_id: Option<String> = None;
        for _ in 0..POST_PAGES_MAX {
            let mut query = vec![("limit", "40"), ("exclude_replies", "true"), ("exclude_reblogs", "true")];
            if let Some(id) = &max_id {
                query.push(("max_id", id));
            }
            let page = self.statuses(&["api", "v1", "accounts", checked(own)?, "statuses"], &query).await?;
            let statuses: Vec<Status> = page.iter().filter_map(|raw| Status::read(raw)).collect();
            let ids: Vec<String> = statuses.iter().map(|status| status.id.clone()).collect();
            let oldest_at = statuses.iter().map(|status| status.created_at).min();
            let posts: Vec<Status> = statuses
                .into_iter()
                .filter(|status| status.is_public() && status.in_reply_to_id.is_none() && status.reblog.is_none())
                .collect();
            let found = posts.len();
            let mut seen = Vec::with_capacity(found);
            for post in posts {
                self.remember_text(&post.id, post.text());
                seen.push((post.id.clone(), post.created_at));
            }
            let added = cursor.posts.merge(seen);
            max_id = oldest(ids.iter().map(String::as_str)).map(str::to_owned);
            let is_old = oldest_at.is_none_or(|at| Timestamp::now().duration_since(at) > BACKFILL);
            if is_old || added < found || cursor.posts.is_full() {
                break;
            }
        }
        cursor.posts_read_at = Some(Timestamp::now());
        Ok(())
    }

    async fn post_text(&mut self, id: &str) -> Result<Option<String>, PlatformError> {
        if let Some(text) = self.post_texts.get(id) {
            return Ok(Some(text.clone()));
        }
        let raw: Box<RawValue> = self.server.get(&["api", "v1", "statuses", checked(id)?], &[]).await?.json()?;
        let text = Status::read(&raw).map(|status| status.text());
        if let Some(text) = &text {
            self.remember_text(id, text.clone());
        }
        Ok(text)
    }

    fn remember_text(&mut self, id: &str, text: String) {
        if self.post_texts.len() >= REMEMBERED_MAX {
            self.post_texts.clear();
        }
        self.post_texts.insert(id.to_owned(), text);
    }

    fn remember_root(&mut self, comment: &str, post: &str) {
        if self.roots.len() >= REMEMBERED_MAX {
            self.roots.clear();
        }
        self.roots.insert(comment.to_owned(), post.to_owned());
    }

    /// Every reply under `post` that the server gives.
    async fn replies(&self, post: &str) -> Result<Vec<(Status, Box<RawValue>)>, PlatformError> {
        let mut replies = read_all(self.context(post).await?.descendants);
        if self.server.token.is_some() || replies.len() < CUT_REPLIES_MIN {
            return Ok(replies);
        }
        let mut asked = HashSet::new();
        while asked.len() < BRANCHES_MAX {
            let Some(branch) = cut_branch(&replies, &asked) else {
                return Ok(replies);
            };
            let known: HashSet<String> = replies.iter().map(|(status, _)| status.id.clone()).collect();
            match self.context(&branch).await {
                Ok(context) => replies.extend(
                    read_all(context.descendants)
                        .into_iter()
                        .filter(|(status, _)| !known.contains(&status.id)),
                ),
                Err(PlatformError::Gone) => {}
                Err(error) => return Err(error),
            }
            asked.insert(branch);
        }
        tracing::info!("a thread has more branches than are read without a token");
        Ok(replies)
    }

    /// Reads the thread of `post`; empty where it has not changed since it was last read.
    async fn read_thread(&mut self, own: &str, post: &str, cursor: &mut Cursor) -> Result<Vec<RawComment>, PlatformError> {
        let post_text = self.post_text(post).await?;
        let replies = self.replies(post).await?;
        let changed = cursor.posts.was_read(post, Timestamp::now(), digest(&replies));
        if !changed {
            return Ok(Vec::new());
        }
        let texts: HashMap<String, String> = replies.iter().map(|(status, _)| (status.id.clone(), status.text())).collect();
        let mut comments = Vec::new();
        for (status, raw) in replies {
            if status.account.id == own || !status.is_public() {
                continue;
            }
            self.remember_root(&status.id, post);
            let parent_text = status.in_reply_to_id.as_ref().and_then(|parent| texts.get(parent).cloned());
            comments.push(status.into_comment(&raw, post, post_text.clone(), parent_text));
        }
        comments.sort_by(|a, b| (a.created_at, &a.native_id).cmp(&(b.created_at, &b.native_id)));
        Ok(comments)
    }

    /// Reads a thread that is due. One that cannot be read steps aside for a while, so that it does not hold up the others.
    async fn read_due(&mut self, own: &str, post: &str, cursor: &mut Cursor) -> Result<Vec<RawComment>, PlatformError> {
        match self.read_thread(own, post, cursor).await {
            Ok(comments) => {
                self.later.succeeded(post);
                Ok(comments)
            }
            Err(PlatformError::Gone) => {
                cursor.posts.remove(post);
                Ok(Vec::new())
            }
            Err(error @ (PlatformError::Permanent(_) | PlatformError::Malformed(_))) => {
                self.later.failed(post, Timestamp::now());
                tracing::warn!(%error, "a thread cannot be read; it is tried again later");
                Ok(Vec::new())
            }
            Err(error) => {
                self.later.failed(post, Timestamp::now());
                Err(error)
            }
        }
    }

    /// One page of mentions. None: nothing more is there.
    async fn read_mentions(&mut self, own: &str, cursor: &mut Cursor) -> Result<Option<Vec<RawComment>>, PlatformError> {
        let mut query = vec![("types[]", "mention"), ("limit", "80")];
        match &cursor.mentions {
            Mentions::Start => {}
            Mentions::Backfill { max_id, .. } => query.push(("max_id", max_id)),
            Mentions::Forward { min_id } => query.push(("min_id", min_id)),
        }
        let page: Vec<Notification> = self.server.get(&["api", "v1", "notifications"], &query).await?.json()?;
        let next = follow(&cursor.mentions, &page, Timestamp::now());
        let mut comments = Vec::new();
        for notification in page {
            let Some(raw) = notification.status else { continue };
            let Some(status) = Status::read(&raw) else { continue };
            let is_comment = status.is_public() && status.account.id != own && status.in_reply_to_account_id.as_deref() == Some(own);
            if let Some(comment) = if is_comment {
                self.mention(status, &raw, cursor).await?
            } else {
                None
            } {
                comments.push(comment);
            }
        }
        let is_end = next == cursor.mentions;
        cursor.mentions = next;
        if is_end {
            cursor.mentions_read_at = Some(Timestamp::now());
        }
        comments.sort_by(|a, b| (a.created_at, &a.native_id).cmp(&(b.created_at, &b.native_id)));
        Ok((!is_end).then_some(comments))
    }

    /// The comment in a mention, with the thread it belongs to. None where that is gone since.
    async fn mention(&mut self, status: Status, raw: &RawValue, cursor: &Cursor) -> Result<Option<RawComment>, PlatformError> {
        let Some(parent) = status.in_reply_to_id.clone() else {
            return Ok(None);
        };
        let (post, parent_text) = if cursor.posts.contains(&parent) {
            (parent, None)
        } else {
            let ancestors = match self.context(&status.id).await {
                Ok(context) => read_all(context.ancestors),
                Err(PlatformError::Gone) => return Ok(None),
                Err(error) => return Err(error),
            };
            let text_of_parent = ancestors
                .iter()
                .find(|(ancestor, _)| ancestor.id == parent && ancestor.in_reply_to_id.is_some())
                .map(|(ancestor, _)| ancestor.text());
            (ancestors.into_iter().next().map_or(parent, |(root, _)| root.id), text_of_parent)
        };
        let post_text = match self.post_text(&post).await {
            Ok(text) => text,
            Err(PlatformError::Gone) => None,
            Err(error) => return Err(error),
        };
        self.remember_root(&status.id, &post);
        Ok(Some(status.into_comment(raw, &post, post_text, parent_text)))
    }

    async fn own_id(&self, cursor: &mut Cursor) -> Result<String, PlatformError> {
        if let Some(id) = &cursor.account {
            return Ok(id.clone());
        }
        let id = self.server.account_id(self.handle.as_deref()).await?;
        checked(&id)?;
        cursor.account = Some(id.clone());
        Ok(id)
    }
}

#[async_trait]
impl Source for Reader {
    async fn poll(&mut self, cursor: Option<&str>) -> Result<Page, PlatformError> {
        let mut cursor = Cursor::read(cursor);
        let own = self.own_id(&mut cursor).await?;
        if self.server.token.is_some()
            && is_due(cursor.mentions_read_at, self.pace.notifications, Timestamp::now())
            && let Some(comments) = self.read_mentions(&own, &mut cursor).await?
        {
            return Ok(Page {
                comments,
                cursor: Some(cursor.write()),
                more: true,
            });
        }
        if is_due(cursor.posts_read_at, self.pace.posts, Timestamp::now()) {
            self.read_posts(&own, &mut cursor).await?;
        }
        let mut comments = Vec::new();
        if let Some(post) = cursor
            .posts
            .due(&self.pace, &self.later, Timestamp::now())
            .map(|post| post.id.clone())
        {
            comments = self.read_due(&own, &post, &mut cursor).await?;
        }
        let more = cursor.posts.due(&self.pace, &self.later, Timestamp::now()).is_some();
        Ok(Page {
            comments,
            cursor: Some(cursor.write()),
            more,
        })
    }

    async fn presence(&mut self, native_ids: &[String]) -> Result<Vec<Presence>, PlatformError> {
        let mut answers = vec![Presence::Unknown; native_ids.len()];
        let mut failure = None;
        let mut missing = Vec::new();
        let known = self.read_many(native_ids).await?;
        for (index, id) in native_ids.iter().enumerate() {
            let read = match known.get(id) {
                Some(raw) => Ok(Some(raw.clone())),
                None => self.read_one(id).await,
            };
            match read {
                Ok(Some(raw)) => answers[index] = self.present(&raw).await,
                Ok(None) => missing.push((index, id)),
                Err(error) => {
                    let is_throttled = matches!(error, PlatformError::Throttled { .. });
                    failure.get_or_insert(error);
                    if is_throttled {
                        break;
                    }
                }
            }
        }
        for index in self.confirm_gone(&missing).await {
            answers[index] = Presence::Gone;
        }
        match failure {
            Some(error) if answers.iter().all(|answer| *answer == Presence::Unknown) => Err(error),
            _ => Ok(answers),
        }
    }

    fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
    }
}

impl Reader {
    /// Several statuses at once, where the server knows how (Mastodon 4.3 and later); those that are missing are asked for one by one.
    async fn read_many(&mut self, ids: &[String]) -> Result<HashMap<String, Box<RawValue>>, PlatformError> {
        let mut known = HashMap::new();
        for chunk in ids.chunks(PRESENCE_IDS_MAX) {
            if !self.gives_many || chunk.len() < 2 {
                break;
            }
            let query: Vec<(&str, &str)> = chunk.iter().map(|id| ("id[]", id.as_str())).collect();
            match self.statuses(&["api", "v1", "statuses"], &query).await {
                Ok(page) => known.extend(page.into_iter().filter_map(|raw| Some((Status::read(&raw)?.id, raw)))),
                Err(error @ (PlatformError::Throttled { .. } | PlatformError::Unauthorized(_))) => return Err(error),
                Err(PlatformError::Transient(_)) => break,
                Err(_) => self.gives_many = false,
            }
        }
        Ok(known)
    }

    async fn read_one(&self, id: &str) -> Result<Option<Box<RawValue>>, PlatformError> {
        match self.server.get(&["api", "v1", "statuses", checked(id)?], &[]).await?.json() {
            Ok(raw) => Ok(Some(raw)),
            Err(PlatformError::Gone) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn present(&mut self, raw: &RawValue) -> Presence {
        let Some(status) = Status::read(raw) else {
            return Presence::Unknown;
        };
        let post = match self.roots.get(&status.id) {
            Some(post) => post.clone(),
            None => self.root(&status).await,
        };
        Presence::Present(Box::new(status.into_comment(raw, &post, None, None)))
    }

    /// The post that `status` stands under. Asked for only where it was edited, because nobody needs it otherwise.
    async fn root(&self, status: &Status) -> String {
        let fallback = status.in_reply_to_id.clone().unwrap_or_else(|| status.id.clone());
        if status.edited_at.is_none() {
            return fallback;
        }
        match self.context(&status.id).await {
            Ok(context) => read_all(context.ancestors).into_iter().next().map_or(fallback, |(root, _)| root.id),
            Err(_) => fallback,
        }
    }

    /// Of the comments that seem gone, those that still do after a pause, while the account itself can be read: a server that has
    /// lost its mind, or its database, answers 404 to everything.
    async fn confirm_gone(&self, missing: &[(usize, &String)]) -> Vec<usize> {
        if missing.is_empty() {
            return Vec::new();
        }
        tokio::time::sleep(self.recheck_after).await;
        if self.server.account_id(self.handle.as_deref()).await.is_err() {
            return Vec::new();
        }
        let mut gone = Vec::new();
        for (index, id) in missing {
            if matches!(self.read_one(id).await, Ok(None)) {
                gone.push(*index);
            }
        }
        gone
    }
}

fn read_all(raws: Vec<Box<RawValue>>) -> Vec<(Status, Box<RawValue>)> {
    raws.into_iter().filter_map(|raw| Some((Status::read(&raw)?, raw))).collect()
}

/// A reply with fewer answers in hand than it has, that was not asked for yet.
fn cut_branch(replies: &[(Status, Box<RawValue>)], asked: &HashSet<String>) -> Option<String> {
    let mut answers: HashMap<&str, u64> = HashMap::new();
    for (status, _) in replies {
        if let Some(parent) = &status.in_reply_to_id {
            *answers.entry(parent).or_default() += 1;
        }
    }
    replies
        .iter()
        .map(|(status, _)| status)
        .find(|status| status.replies_count > answers.get(status.id.as_str()).copied().unwrap_or(0) && !asked.contains(&status.id))
        .map(|status| status.id.clone())
}

/// Changes when a reply comes, goes or is edited; not when somebody likes it.
fn digest(replies: &[(Status, Box<RawValue>)]) -> String {
    let mut lines: Vec<String> = replies
        .iter()
        .map(|(status, _)| format!("{} {:?} {}", status.id, status.edited_at, status.text()))
        .collect();
    lines.sort_unstable();
    let mut hash = Sha256::new();
    for line in lines {
        hash.update((line.len() as u64).to_be_bytes());
        hash.update(line);
    }
    hex::encode(&hash.finalize()[..8])
}

/// Where the mentions stand after `page`. The same as before: there is nothing more for now.
fn follow(before: &Mentions, page: &[Notification], now: Timestamp) -> Mentions {
    let ids = || page.iter().map(|notification| notification.id.as_str());
    let (Some(high), Some(low)) = (newest(ids()), oldest(ids())) else {
        return match before {
            Mentions::Backfill { high, .. } => Mentions::Forward { min_id: high.clone() },
            other => other.clone(),
        };
    };
    let is_old = page
        .iter()
        .filter_map(|notification| notification.created_at)
        .min()
        .is_some_and(|at| now.duration_since(at) > BACKFILL);
    match before {
        Mentions::Forward { .. } => Mentions::Forward { min_id: high.to_owned() },
        Mentions::Start if is_old => Mentions::Forward { min_id: high.to_owned() },
        Mentions::Start => Mentions::Backfill {
            high: high.to_owned(),
            max_id: low.to_owned(),
            pages: 1,
        },
        Mentions::Backfill { high, pages, .. } if is_old || *pages >= BACKFILL_PAGES_MAX => Mentions::Forward { min_id: high.clone() },
        Mentions::Backfill { high, pages, .. } => Mentions::Backfill {
            high: high.clone(),
            max_id: low.to_owned(),
            pages: pages + 1,
        },
    }
}

#[cfg(test)]
mod tests;
