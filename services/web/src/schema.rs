//! The tables of this crate: users, sessions, failed sign-ins. Times are milliseconds since the epoch.

use vigie_runtime::Migration;

/// In the SQL that SQLite and PostgreSQL share.
pub(crate) const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "users and sessions",
    sql: "
CREATE TABLE web_users (
    id BIGINT NOT NULL PRIMARY KEY,
    login TEXT NOT NULL UNIQUE,
    pseudonym TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    institutions TEXT NOT NULL,
    language TEXT NOT NULL,
    password TEXT NOT NULL,
    generation BIGINT NOT NULL,
    disabled BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE TABLE web_sessions (
    id TEXT NOT NULL PRIMARY KEY,
    data TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX web_sessions_by_expiry ON web_sessions (expires_at);
CREATE TABLE web_sign_in_failures (
    who TEXT NOT NULL PRIMARY KEY,
    failures BIGINT NOT NULL,
    until BIGINT NOT NULL
);
",
}];
