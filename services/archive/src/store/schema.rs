//! The tables of the archive.

use vigie_runtime::Migration;

/// Every change of the tables, oldest first.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
    version: 1,
    name: "reports, what is known of them, the evidence chain, accesses",
    sql: "\
CREATE TABLE archive_changes (id BIGINT PRIMARY KEY, value BIGINT NOT NULL, origin TEXT NOT NULL);
CREATE TABLE archive_reports (id TEXT PRIMARY KEY, revision TEXT NOT NULL UNIQUE, comment_id TEXT NOT NULL, institution TEXT NOT NULL, \
account TEXT NOT NULL, platform TEXT NOT NULL, state TEXT NOT NULL, opened_us BIGINT NOT NULL, revised_us BIGINT NOT NULL, \
verdict_id TEXT NOT NULL, escalates BIGINT NOT NULL, verdict TEXT NOT NULL, decision TEXT, changed BIGINT NOT NULL);
CREATE INDEX archive_reports_changed ON archive_reports (changed);
CREATE INDEX archive_reports_comment ON archive_reports (comment_id);
CREATE TABLE archive_decisions (id TEXT PRIMARY KEY, revision TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX archive_decisions_revision ON archive_decisions (revision);
CREATE TABLE archive_enforcements (record_id TEXT PRIMARY KEY, revision TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX archive_enforcements_revision ON archive_enforcements (revision);
CREATE TABLE archive_successions (comment_id TEXT PRIMARY KEY, revised_us BIGINT NOT NULL, revision TEXT NOT NULL, deleted BIGINT NOT NULL);
CREATE TABLE archive_links (report_id TEXT NOT NULL, sequence BIGINT NOT NULL, event TEXT NOT NULL, entry TEXT NOT NULL, hash TEXT NOT NULL, \
PRIMARY KEY (report_id, sequence), UNIQUE (report_id, event));
CREATE TABLE archive_accesses (at_us BIGINT NOT NULL, person BIGINT NOT NULL, pseudonym TEXT NOT NULL, kind TEXT NOT NULL, report_id TEXT NOT NULL);
CREATE INDEX archive_accesses_report ON archive_accesses (report_id, at_us);
",
    },
    Migration {
        version: 2,
        name: "when a report was erased, and who keeps one longer",
        sql: "\
ALTER TABLE archive_reports ADD COLUMN erased_us BIGINT NOT NULL DEFAULT 0;
CREATE TABLE archive_holds (report_id TEXT NOT NULL, held_us BIGINT NOT NULL, person BIGINT NOT NULL, pseudonym TEXT NOT NULL, \
reason TEXT NOT NULL, lifted_us BIGINT NOT NULL, lifted_by TEXT NOT NULL, PRIMARY KEY (report_id, held_us));
",
    },
];
