//! One module per command.

pub(crate) mod archive;
pub(crate) mod barometer;
pub(crate) mod classify;
pub(crate) mod dead_letters;
pub(crate) mod doctor;
pub(crate) mod evaluate;
pub(crate) mod import;
pub(crate) mod load;
pub(crate) mod rules;
pub(crate) mod schemas;
pub(crate) mod terminal;
pub(crate) mod up;
pub(crate) mod user;
