//! Threat reports, searchable
