//! The barometer: hourly roll-ups of what was received, labels of the blind audit, estimators, editions.

pub mod estimate;
