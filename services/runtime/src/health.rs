//! What /readyz says: every component registers, and says when it is ready or what it waits for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The state of every component. Cheap to clone.
#[derive(Clone, Default)]
pub struct Health(Arc<Mutex<BTreeMap<&'static str, Option<String>>>>);

/// The handle of one component.
#[derive(Clone)]
pub struct Component {
    health: Health,
    name: &'static str,
}

impl Health {
    /// Registers a component, not ready yet.
    #[must_use]
    pub fn register(&self, component: &'static str) -> Component {
        self.set(component, Some("starting".to_owned()));
        Component {
            health: self.clone(),
            name: component,
        }
    }

    /// What is waited for, per component; empty when everything is ready.
    #[must_use]
    pub fn waiting(&self) -> Vec<(&'static str, String)> {
        let states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        states
            .iter()
            .filter_map(|(name, state)| state.clone().map(|reason| (*name, reason)))
            .collect()
    }

    fn set(&self, component: &'static str, state: Option<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(component, state);
    }
}

impl Component {
    /// It works.
    pub fn ready(&self) {
        self.health.set(self.name, None);
    }

    /// It waits; `reason` is shown to operators, so it holds no secret and no comment.
    pub fn waiting(&self, reason: impl Into<String>) {
        self.health.set(self.name, Some(reason.into()));
    }
}
