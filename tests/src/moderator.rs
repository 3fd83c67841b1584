//! A moderator who works over HTTP as a browser without JavaScript would: sign in, take the next comment, decide.

use std::net::SocketAddr;

use anyhow::Context as _;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, RequestBuilder, Response};
use vigie_domain::{Act, Outcome};

/// A signed-in person.
#[derive(Clone)]
pub struct Moderator {
    client: Client,
    base: String,
    session: String,
}

/// A comment in their hands.
#[derive(Debug, Clone)]
pub struct InHand {
    csrf: String,
    item: String,
    fence: String,
}

/// What came of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Recorded, under this id.
    Done(String),
    /// Refused, with the word the page gives.
    Refused(String),
}

impl Moderator {
    /// Signs in.
    ///
    /// # Errors
    /// Refused, or no answer.
    pub async fn sign_in(address: SocketAddr, login: &str, password: &str) -> anyhow::Result<Self> {
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
        let base = format!("http://{address}");
        let page = client.get(format!("{base}/sign-in")).send().await?.error_for_status()?;
        let form_cookie = cookie(&page, "vigie-form").context("no form cookie")?;
        let text = page.text().await?;
        let form = field(&text, "form").context("no form token")?;
        let answer = client
            .post(format!("{base}/sign-in"))
            .header(COOKIE, format!("vigie-form={form_cookie}"))
            .form(&[("login", login), ("password", password), ("form", form.as_str())])
            .send()
            .await?;
        anyhow::ensure!(answer.status().is_redirection(), "signing in was refused: {}", answer.status());
        let session = cookie(&answer, "vigie-session").context("no session cookie")?;
        Ok(Self { client, base, session })
    }

    /// The same session against another process, such as the next one on the same data directory.
    #[must_use]
    pub fn at(&self, address: SocketAddr) -> Self {
        Self {
            base: format!("http://{address}"),
            ..self.clone()
        }
    }

    fn with_session(&self, request: RequestBuilder) -> RequestBuilder {
        request.header(COOKIE, format!("vigie-session={}", self.session))
    }

    /// A page.
    ///
    /// # Errors
    /// No answer, or not 200.
    pub async fn page(&self, path: &str) -> anyhow::Result<String> {
        let answer = self.with_session(self.client.get(format!("{}{path}", self.base))).send().await?;
        anyhow::ensure!(answer.status().is_success(), "{path}: {}", answer.status());
        Ok(answer.text().await?)
    }

    /// The next comment, if one waits.
    ///
    /// # Errors
    /// No answer.
    pub async fn next(&self) -> anyhow::Result<Option<InHand>> {
        let page = self.page("/queue").await?;
        let Some(item) = field(&page, "item") else { return Ok(None) };
        let csrf = field(&page, "csrf").context("no anti-forgery token")?;
        let fence = field(&page, "fence").context("no fence")?;
        Ok(Some(InHand { csrf, item, fence }))
    }

    /// Decides.
    ///
    /// # Errors
    /// No answer, or one that is no redirection.
    pub async fn decide(&self, hand: &InHand, outcome: Outcome) -> anyhow::Result<Answer> {
        // A blind label must say what the comment does; said always, it harms nothing.
        let act = match outcome {
            Outcome::Keep => Act::None,
            Outcome::Hide | Outcome::Delete => Act::Insult,
            Outcome::Escalate => Act::Threat,
        };
        let fields = [
            ("csrf", hand.csrf.as_str()),
            ("item", &hand.item),
            ("fence", &hand.fence),
            ("outcome", outcome.as_str()),
            ("act", act.as_str()),
        ];
        let answer = self
            .with_session(self.client.post(format!("{}/queue/decide", self.base)))
            .form(&fields)
            .send()
            .await?;
        let location = answer
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        if let Some((_, id)) = location.split_once("?done=") {
            return Ok(Answer::Done(id.to_owned()));
        }
        let (_, said) = location
            .split_once("said=")
            .with_context(|| format!("decision answered with {}", answer.status()))?;
        Ok(Answer::Refused(said.to_owned()))
    }
}

fn cookie(answer: &Response, name: &str) -> Option<String> {
    answer
        .headers()
        .get_all(SET_COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok()?.split(';').next()?.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
}

/// The value of the first hidden field of that name.
fn field(page: &str, name: &str) -> Option<String> {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\""))?;
    Some(rest.split('"').next()?.to_owned())
}
