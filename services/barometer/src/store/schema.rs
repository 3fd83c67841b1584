//! The tables of the barometer. No text of any comment.

use vigie_runtime::Migration;

/// Every change of the tables, oldest first.
pub const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "comments received, hourly roll-ups, decisions with their labels, editions",
    sql: "\
CREATE TABLE barometer_comments (comment_id TEXT PRIMARY KEY, revision TEXT NOT NULL, verdict_id TEXT NOT NULL, revised_us BIGINT NOT NULL, \
collected_us BIGINT NOT NULL, at_s BIGINT NOT NULL, institution TEXT NOT NULL, account TEXT NOT NULL, platform TEXT NOT NULL, post TEXT NOT NULL, \
author TEXT, stratum TEXT NOT NULL, probability DOUBLE PRECISION NOT NULL, selected BIGINT NOT NULL, score_millionths BIGINT NOT NULL, \
route TEXT NOT NULL);
CREATE INDEX barometer_comments_at ON barometer_comments (at_s);
CREATE TABLE barometer_hours (hour_s BIGINT NOT NULL, institution TEXT NOT NULL, account TEXT NOT NULL, platform TEXT NOT NULL, \
stratum TEXT NOT NULL, route TEXT NOT NULL, received BIGINT NOT NULL, PRIMARY KEY (hour_s, institution, account, platform, stratum, route));
CREATE TABLE barometer_deletions (comment_id TEXT PRIMARY KEY, deleted_us BIGINT NOT NULL);
CREATE TABLE barometer_decisions (id TEXT PRIMARY KEY, comment_id TEXT NOT NULL, revision TEXT NOT NULL, sequence BIGINT NOT NULL, \
outcome TEXT NOT NULL, human BIGINT NOT NULL, undoes TEXT, decided_us BIGINT NOT NULL, label TEXT);
CREATE INDEX barometer_decisions_revision ON barometer_decisions (revision);
CREATE TABLE barometer_editions (period_from TEXT NOT NULL, period_to TEXT NOT NULL, from_day BIGINT NOT NULL, to_day BIGINT NOT NULL, \
inputs TEXT NOT NULL, shown TEXT NOT NULL, built_us BIGINT NOT NULL, PRIMARY KEY (period_from, period_to));
",
}];
