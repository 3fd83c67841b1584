//! The tables of the enforcer. Times are milliseconds since the epoch; 0 and '' stand for none. No table holds the text of a comment.

use vigie_runtime::Migration;

/// In the SQL that SQLite and PostgreSQL share.
pub(crate) const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "decisions seen, requests, outbox, ledger",
    sql: "
CREATE TABLE enforcer_decisions (
    id TEXT NOT NULL PRIMARY KEY,
    seen_at BIGINT NOT NULL
);
CREATE TABLE enforcer_heads (
    comment TEXT NOT NULL PRIMARY KEY,
    decision TEXT NOT NULL,
    revision TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    requests BIGINT NOT NULL
);
CREATE TABLE enforcer_requests (
    id TEXT NOT NULL PRIMARY KEY,
    decision TEXT NOT NULL,
    comment TEXT NOT NULL,
    revision TEXT NOT NULL,
    institution TEXT NOT NULL,
    account TEXT NOT NULL,
    platform TEXT NOT NULL,
    action TEXT NOT NULL,
    state TEXT NOT NULL,
    dry_run BIGINT NOT NULL,
    subject TEXT NOT NULL,
    severity BIGINT NOT NULL,
    place BIGINT NOT NULL,
    requested_at BIGINT NOT NULL,
    next TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    due_at BIGINT NOT NULL,
    claimed_until BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    step BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    looks BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    receipt TEXT NOT NULL,
    proof TEXT NOT NULL,
    why TEXT NOT NULL,
    detail TEXT NOT NULL,
    retried_by TEXT NOT NULL
);
CREATE INDEX enforcer_requests_due ON enforcer_requests (account, state, due_at);
CREATE INDEX enforcer_requests_of_comment ON enforcer_requests (comment, place);
CREATE INDEX enforcer_requests_by_state ON enforcer_requests (state, changed_at);
CREATE TABLE enforcer_outbox (
    request TEXT NOT NULL,
    step BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    sent_at BIGINT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (request, step)
);
CREATE INDEX enforcer_outbox_unsent ON enforcer_outbox (sent_at, created_at, step);
CREATE TABLE enforcer_ledger (
    credential TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    spent_until BIGINT NOT NULL,
    paused_until BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    PRIMARY KEY (credential, endpoint)
);
",
}];
