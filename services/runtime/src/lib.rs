//! Configuration, logs, metrics and health, database handles, signals and drain.
