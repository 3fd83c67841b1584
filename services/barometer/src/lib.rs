//! Roll-ups, estimators and editions of the barometer
