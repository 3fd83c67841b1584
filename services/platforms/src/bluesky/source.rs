//! Reads threads and notifications of one account.
//!
//! One page of a [`Source`] is one thread, or one page of notifications. Neither is enough alone: a notification is lost when the
//! answered post is not yet indexed, and a thread is read only every so often. Threads include the replies that are hidden already.
//!
//! Once a reply is deleted, the `AppView` shows none of its descendants in the thread any more: those that were read before are known
//! and can be looked at one by one, but new answers to them reach only an account that reads its notifications.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::cursor::{Cursor, Sweep};
use super::wire::{AtUri, Feed, Notifications, Post, Thread};
use super::{ConnectorAccount, Limits, Network, PlatformError, read};
use crate::schedule::{Later, Pace, is_due};
use crate::{Page, Presence, RawComment, Source};

/// Posts and notifications older than this are not looked for at the first reading.
const BACKFILL: SignedDuration = SignedDuration::from_hours(24 * 30);
const FEED_PAGES_MAX: usize = 3;
const SWEEP_PAGES_MAX: u32 = 20;
/// Notifications are not strictly in order of their time.
const SWEEP_OVERLAP: SignedDuration = SignedDuration::from_mins(10);
/// Levels asked for at once: JSON deeper than 128 levels is refused by the parser, and a level of replies takes two.
const DEPTH: usize = 40;
const BRANCHES_MAX: usize = 30;
const POSTS_PER_REQUEST: usize = 25;
const REMEMBERED_MAX: usize = 5_000;

/// Reads one account.
pub(crate) struct Reader {
    network: Network,
    pace: Pace,
    later: Later,
    post_texts: HashMap<AtUri, String>,
    /// How long a comment that seems gone is left before it is asked for again.
    pub(super) recheck_after: Duration,
}

/// A reply found in a thread, with the text it answers where that is a comment.
struct Found {
    post: Post,
    parent_text: Option<String>,
}

impl Reader {
    pub fn new(account: &ConnectorAccount, limits: Limits) -> Result<Self, PlatformError> {
        if account.handle.is_none() && account.token.is_none() {
            return Err(PlatformError::Permanent(
                "a Bluesky account that is watched needs `handle`, or a login with an app password".to_owned(),
            ));
        }
        Ok(Self {
            network: Network::new(account, limits)?,
            pace: Pace::default(),
            later: Later::default(),
            post_texts: HashMap::new(),
            recheck_after: Duration::from_secs(2),
        })
    }

    /// Looks for new posts: the newest page, and older ones until a known post, the age limit or the page limit.
    async fn read_posts(&mut self, own: &str, cursor: &mut Cursor) -> Result<(), PlatformError> {
        let mut page = None;
        for _ in 0..FEED_PAGES_MAX {
            let mut parameters = vec![("actor", own), ("limit", "100"), ("filter", "posts_no_replies")];
            parameters.extend(page.as_deref().map(|page| ("cursor", page)));
            let feed: Feed = read(self.network.query("app.bsky.feed.getAuthorFeed", &parameters).await?)?;
            let posts: Vec<Post> = feed
                .feed
                .iter()
                .filter(|item| item.reason.is_none())
                .filter_map(|item| Post::read(&item.post))
                .collect();
            let seen: Vec<(String, Timestamp)> = posts
                .iter()
                .filter(|post| post.author == own && post.parent.is_none())
                .map(|post| (post.uri.to_string(), post.created_at))
                .collect();
            let is_old = posts
                .iter()
                .map(|post| post.created_at)
                .min()
                .is_none_or(|at| Timestamp::now().duration_since(at) > BACKFILL);
            for post in posts {
                self.remember_text(post.uri, post.text);
            }
            let found = seen.len();
            let added = cursor.posts.merge(seen);
            page = feed.cursor;
            if is_old || added < found || cursor.posts.is_full() || page.is_none() {
                break;
            }
        }
        cursor.posts_read_at = Some(Timestamp::now());
        Ok(())
    }

    fn remember_text(&mut self, uri: AtUri, text: String) {
        if self.post_texts.len() >= REMEMBERED_MAX {
            self.post_texts.clear();
        }
        self.post_texts.insert(uri, text);
    }

    async fn thread(&self, uri: &AtUri, depth: usize) -> Result<Value, PlatformError> {
        let (uri, depth) = (uri.to_string(), depth.to_string());
        let parameters = [("uri", uri.as_str()), ("depth", depth.as_str()), ("parentHeight", "0")];
        let thread: Thread = read(self.network.query("app.bsky.feed.getPostThread", &parameters).await?)?;
        match kind(&thread.thread) {
            Kind::Post => Ok(thread.thread),
            Kind::Absent => Err(PlatformError::Gone),
            Kind::Blocked => Err(PlatformError::Permanent(
                "the author of this thread and our account block each other".to_owned(),
            )),
        }
    }

    /// The text of the post, and every reply that the server gives.
    async fn replies(&self, root: &AtUri) -> Result<(Option<String>, Vec<Found>), PlatformError> {
        let thread = self.thread(root, DEPTH).await?;
        let post_text = thread.get("post").and_then(Post::read).map(|post| post.text);
        let mut known = HashSet::new();
        let mut found = Vec::new();
        let mut cut = walk(&thread, &mut known, &mut found);
        let mut branches = 0;
        while let Some(branch) = cut.pop() {
            if branches == BRANCHES_MAX {
                tracing::info!("a thread has more branches than are read at once");
                break;
            }
            branches += 1;
            match self.thread(&branch, DEPTH).await {
                Ok(thread) => cut.extend(walk(&thread, &mut known, &mut found)),
                Err(PlatformError::Gone | PlatformError::Permanent(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok((post_text, found))
    }

    /// Reads the thread of `post`; empty where it has not changed since it was last read.
    async fn read_thread(&mut self, own: &str, post: &str, cursor: &mut Cursor) -> Result<Vec<RawComment>, PlatformError> {
        let root = AtUri::parse(post).ok_or(PlatformError::Gone)?;
        let (post_text, found) = self.replies(&root).await?;
        if let Some(text) = &post_text {
            self.remember_text(root.clone(), text.clone());
        }
        let digest = digest(found.iter().map(|reply| reply.post.uri.to_string()).collect());
        if !cursor.posts.was_read(post, Timestamp::now(), digest) {
            return Ok(Vec::new());
        }
        let mut comments: Vec<RawComment> = found
            .into_iter()
            .filter(|reply| reply.post.author != own)
            .map(|reply| reply.post.into_comment(&root, post_text.clone(), reply.parent_text))
            .collect();
        sort(&mut comments);
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

    /// One page of notifications. None: nothing more is there.
    async fn read_notifications(&mut self, own: &str, cursor: &mut Cursor) -> Result<Option<Vec<RawComment>>, PlatformError> {
        let page_token = cursor.notifications.page.clone();
        let mut parameters = vec![("reasons", "reply"), ("limit", "100")];
        parameters.extend(page_token.as_deref().map(|page| ("cursor", page)));
        let page: Notifications = match read(self.network.query("app.bsky.notification.listNotifications", &parameters).await?) {
            Err(PlatformError::Permanent(_)) if page_token.is_some() => {
                tracing::warn!("the server does not know its own page of notifications any more: the sweep begins again");
                cursor.notifications = Sweep {
                    low: cursor.notifications.low,
                    ..Sweep::default()
                };
                cursor.notifications_read_at = Some(Timestamp::now());
                return Ok(None);
            }
            page => page?,
        };
        let posts: Vec<Post> = page.notifications.iter().filter_map(Post::read).collect();
        let uris: Vec<String> = posts.iter().map(|post| post.uri.to_string()).collect();
        let times: Vec<Timestamp> = posts.iter().map(|post| post.indexed_at).collect();
        let before = cursor.notifications.clone();
        let next = sweep(&before, &times, page.cursor, digest(uris), Timestamp::now());
        if next.page.is_none() {
            cursor.notifications_read_at = Some(Timestamp::now());
        }
        if next == before {
            return Ok(None);
        }
        let comments = self.answers(own, posts).await?;
        cursor.notifications = next;
        Ok(Some(comments))
    }

    /// The comments among posts that answer us, with the text of the post they stand under.
    async fn answers(&mut self, own: &str, posts: Vec<Post>) -> Result<Vec<RawComment>, PlatformError> {
        let ours = |uri: &Option<AtUri>| uri.clone().filter(|uri| uri.authority == own);
        let mut answers = Vec::new();
        for post in posts {
            let root = ours(&post.root).or_else(|| ours(&post.parent));
            if let Some(root) = root.filter(|_| post.author != own) {
                answers.push((root, post));
            }
        }
        let unknown: HashSet<String> = answers
            .iter()
            .filter(|(root, _)| !self.post_texts.contains_key(root))
            .map(|(root, _)| root.to_string())
            .collect();
        let unknown: Vec<&str> = unknown.iter().map(String::as_str).collect();
        for chunk in unknown.chunks(POSTS_PER_REQUEST) {
            for post in self.network.posts(chunk).await? {
                self.remember_text(post.uri, post.text);
            }
        }
        let mut comments: Vec<RawComment> = answers
            .into_iter()
            .map(|(root, post)| post.into_comment(&root, self.post_texts.get(&root).cloned(), None))
            .collect();
        sort(&mut comments);
        Ok(comments)
    }

    /// Of posts that are missing in a list: gone, blocked, or there after all? The thread tells them apart.
    async fn look_at(&self, uri: &AtUri) -> Result<Option<Presence>, PlatformError> {
        match self.thread(uri, 0).await {
            Ok(thread) => Ok(thread.get("post").and_then(Post::read).map(present)),
            Err(PlatformError::Gone) => Ok(None),
            Err(PlatformError::Permanent(_)) => Ok(Some(Presence::Unknown)),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Source for Reader {
    async fn poll(&mut self, cursor: Option<&str>) -> Result<Page, PlatformError> {
        let mut cursor = Cursor::read(cursor);
        let own = match cursor.did.clone() {
            Some(did) => did,
            None => cursor.did.insert(self.network.did().await?).clone(),
        };
        if self.network.sessions.is_some()
            && is_due(cursor.notifications_read_at, self.pace.notifications, Timestamp::now())
            && let Some(comments) = self.read_notifications(&own, &mut cursor).await?
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
        let wanted: Vec<(usize, AtUri)> = native_ids
            .iter()
            .enumerate()
            .filter_map(|(index, id)| Some((index, AtUri::parse(id)?)))
            .collect();
        let mut missing = Vec::new();
        for chunk in wanted.chunks(POSTS_PER_REQUEST) {
            let uris: Vec<&str> = chunk.iter().map(|(index, _)| native_ids[*index].as_str()).collect();
            let mut posts: HashMap<AtUri, Post> = self
                .network
                .posts(&uris)
                .await?
                .into_iter()
                .map(|post| (post.uri.clone(), post))
                .collect();
            for (index, uri) in chunk {
                match posts.remove(uri) {
                    Some(post) => answers[*index] = present(post),
                    None => match self.look_at(uri).await? {
                        Some(presence) => answers[*index] = presence,
                        None => missing.push((*index, uri)),
                    },
                }
            }
        }
        if !missing.is_empty() {
            tokio::time::sleep(self.recheck_after).await;
            let own = self.network.did().await?;
            let profile = read::<Value>(self.network.query("app.bsky.actor.getProfile", &[("actor", &own)]).await?);
            for (index, uri) in missing {
                let is_gone = profile.is_ok() && self.look_at(uri).await?.is_none();
                answers[index] = if is_gone { Presence::Gone } else { Presence::Unknown };
            }
        }
        Ok(answers)
    }

    fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
    }
}

fn present(post: Post) -> Presence {
    let root = post.root.clone().unwrap_or_else(|| post.uri.clone());
    Presence::Present(Box::new(post.into_comment(&root, None, None)))
}

fn sort(comments: &mut [RawComment]) {
    comments.sort_by(|a, b| (a.created_at, &a.native_id).cmp(&(b.created_at, &b.native_id)));
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Post,
    Absent,
    Blocked,
}

fn kind(node: &Value) -> Kind {
    match node.get("$type").and_then(Value::as_str) {
        Some("app.bsky.feed.defs#notFoundPost") => Kind::Absent,
        Some("app.bsky.feed.defs#blockedPost") => Kind::Blocked,
        _ if node.get("post").is_some() => Kind::Post,
        _ => Kind::Absent,
    }
}

/// Collects the replies below `thread` into `found`; gives those whose own replies the server left out.
fn walk(thread: &Value, known: &mut HashSet<AtUri>, found: &mut Vec<Found>) -> Vec<AtUri> {
    let mut cut = Vec::new();
    // A comment's text goes down to its answers; the text of the post, which is where a walk may begin, goes with every comment anyway.
    let top_text = thread
        .get("post")
        .and_then(Post::read)
        .filter(|post| post.parent.is_some())
        .map(|post| post.text);
    let mut waiting: Vec<(&Value, Option<String>)> = children(thread).map(|child| (child, top_text.clone())).collect();
    while let Some((node, parent_text)) = waiting.pop() {
        let Some(post) = node.get("post").and_then(Post::read) else {
            continue;
        };
        if !known.insert(post.uri.clone()) {
            continue;
        }
        let has_children = children(node).next().is_some();
        if post.reply_count > 0 && !has_children {
            cut.push(post.uri.clone());
        }
        waiting.extend(children(node).map(|child| (child, Some(post.text.clone()))));
        found.push(Found { post, parent_text });
    }
    cut
}

fn children(node: &Value) -> impl Iterator<Item = &Value> {
    node.get("replies").and_then(Value::as_array).into_iter().flatten()
}

fn digest(mut lines: Vec<String>) -> String {
    lines.sort_unstable();
    let mut hash = Sha256::new();
    for line in lines {
        hash.update((line.len() as u64).to_be_bytes());
        hash.update(line);
    }
    hex::encode(&hash.finalize()[..8])
}

/// Where the sweep stands after a page with these times. The same as before: there is nothing new.
fn sweep(before: &Sweep, times: &[Timestamp], next_page: Option<String>, digest: String, now: Timestamp) -> Sweep {
    let begins = before.page.is_none();
    if begins && before.digest.as_ref() == Some(&digest) {
        return before.clone();
    }
    let newest = times.iter().max().copied();
    let high = if begins { newest.max(before.low) } else { before.high };
    let floor = before
        .low
        .unwrap_or_else(|| now.saturating_sub(BACKFILL).unwrap_or(now))
        .saturating_sub(SWEEP_OVERLAP)
        .unwrap_or(Timestamp::MIN);
    let arrived = times.iter().min().is_none_or(|oldest| *oldest < floor);
    let digest = if begins { Some(digest) } else { before.digest.clone() };
    match next_page {
        Some(page) if !arrived && before.pages < SWEEP_PAGES_MAX => Sweep {
            low: before.low,
            high,
            page: Some(page),
            pages: before.pages + 1,
            digest,
        },
        _ => Sweep {
            low: high,
            high: None,
            page: None,
            pages: 0,
            digest,
        },
    }
}

#[cfg(test)]
mod tests;
