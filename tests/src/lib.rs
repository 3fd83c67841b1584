//! The in-process harness of the system tests.
