//! The collector as a service: on the embedded bus, and against real servers, which `tests/run` starts. Without them their tests are
//! skipped, and say so.

mod atproto;
mod mastodon;
mod service;
mod support;
