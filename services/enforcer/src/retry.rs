//! A person asks to try a failed request again.

use jiff::Timestamp;
use vigie_domain::EnforcementState;
use vigie_web::User;

use crate::Enforcer;
use crate::request::{self, Work};
use crate::state::Event;
use crate::why::Why;

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retried {
    /// It waits to be sent.
    Yes,
    /// There is no such request, or not for this person.
    Unknown,
    /// It has not failed (any more); a newer decision on the comment, too, ends what had failed.
    NotFailed,
}

impl Enforcer {
    /// Puts a failed request back to `requested`, for as long as a new one is tried.
    ///
    /// # Errors
    /// The database failed.
    pub async fn retry(&self, id: &str, user: &User) -> anyhow::Result<Retried> {
        let now = Timestamp::now().as_millisecond();
        let mut tx = self.database.begin().await?;
        let known = request::lock(&self.database, &mut tx, id).await?;
        let Some(mut request) = known.filter(|known| user.may_see(&known.institution)) else {
            return Ok(Retried::Unknown);
        };
        if request.state != EnforcementState::Failed {
            return Ok(Retried::NotFailed);
        }
        let changed_nothing = request.attempts == 0 || request.why.is_some_and(Why::changed_nothing);
        request.work = if changed_nothing { Work::Act } else { Work::Look };
        request.requested_at = now;
        request.due_at = now;
        request.looks = 0;
        request.failures = 0;
        request.why = None;
        request.detail.clear();
        user.pseudonym.as_str().clone_into(&mut request.retried_by);
        request::advance(&mut tx, &mut request, Event::Retry, now).await?;
        tx.commit().await?;
        tracing::info!(request = %request.id, user = user.id, "a failed action is tried again");
        self.metrics.count(&[(request.platform, request.state)]);
        self.wake();
        Ok(Retried::Yes)
    }
}
