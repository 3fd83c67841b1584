//! The tables of the queue. Times are milliseconds since the epoch unless the name says otherwise; 0 and '' stand for none.

use vigie_runtime::Migration;

/// In the SQL that SQLite and PostgreSQL share.
pub(crate) const MIGRATIONS: &[Migration] = &[FIRST, ERASED];

/// When the text was erased.
const ERASED: Migration = Migration {
    version: 2,
    name: "texts whose time is over",
    sql: "
ALTER TABLE review_items ADD COLUMN erased BIGINT NOT NULL DEFAULT 0;
",
};

const FIRST: Migration = Migration {
    version: 1,
    name: "queue, decisions, audit trail, outbox, quotas",
    sql: "
CREATE TABLE review_heads (
    comment TEXT NOT NULL PRIMARY KEY,
    revision TEXT NOT NULL,
    revised_us BIGINT NOT NULL,
    collected_us BIGINT NOT NULL,
    deleted BIGINT NOT NULL
);
CREATE TABLE review_items (
    revision TEXT NOT NULL PRIMARY KEY,
    comment TEXT NOT NULL,
    institution TEXT NOT NULL,
    account TEXT NOT NULL,
    post TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    state TEXT NOT NULL,
    origin TEXT NOT NULL,
    urgent BIGINT NOT NULL,
    priority BIGINT NOT NULL,
    severe BIGINT NOT NULL,
    selected BIGINT NOT NULL,
    exposed BIGINT NOT NULL,
    verdict_id TEXT NOT NULL,
    verdict TEXT NOT NULL,
    queued_at BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    lease_user BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    leased_at BIGINT NOT NULL,
    lease_blind BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    steps BIGINT NOT NULL
);
CREATE INDEX review_items_waiting ON review_items (state, urgent DESC, priority DESC, queued_at, institution);
CREATE INDEX review_items_held ON review_items (lease_user, state);
CREATE INDEX review_items_of_comment ON review_items (comment);
CREATE INDEX review_items_of_post ON review_items (account, post, created_ms);
CREATE TABLE review_decisions (
    id TEXT NOT NULL PRIMARY KEY,
    revision TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    severe BIGINT NOT NULL,
    decided_at BIGINT NOT NULL,
    undoes TEXT NOT NULL,
    undone_by TEXT NOT NULL,
    record TEXT NOT NULL
);
CREATE UNIQUE INDEX review_one_decision ON review_decisions (revision, sequence);
CREATE INDEX review_decisions_of_user ON review_decisions (user_id, decided_at);
CREATE TABLE review_outbox (
    decision TEXT NOT NULL PRIMARY KEY,
    sequence BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    sent_at BIGINT NOT NULL
);
CREATE INDEX review_outbox_unsent ON review_outbox (sent_at, created_at, sequence);
CREATE TABLE review_skips (
    revision TEXT NOT NULL,
    user_id BIGINT NOT NULL,
    skipped_at BIGINT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (revision, user_id)
);
CREATE INDEX review_skips_of_user ON review_skips (user_id, skipped_at);
CREATE TABLE review_audit (
    revision TEXT NOT NULL,
    step BIGINT NOT NULL,
    happened_at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    event TEXT NOT NULL,
    from_state TEXT NOT NULL,
    to_state TEXT NOT NULL,
    fence BIGINT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (revision, step)
);
CREATE TABLE review_quotas (
    institution TEXT NOT NULL,
    day TEXT NOT NULL,
    used BIGINT NOT NULL,
    PRIMARY KEY (institution, day)
);
",
};
