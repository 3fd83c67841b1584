//! Pulls comments from the platforms, imports and webhooks into the bus
