//! The enforcer on a simulated platform, which fails when told to, and on real ones. Everything runs on SQLite, and on PostgreSQL
//! where there is one.

mod crashes;
mod limits;
mod pages;
mod platforms;
mod service;
mod support;
mod way;
