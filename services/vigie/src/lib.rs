//! The executable: every service in one process, or any subset
