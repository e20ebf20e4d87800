//! What is known of the services: data alone.

use std::collections::BTreeMap;

use super::ServingStatus;

/// How each service does that is known.
#[derive(Debug)]
pub(super) struct Statuses {
    by_service: BTreeMap<String, ServingStatus>,
    /// Nothing serves, and nothing changes until that is over.
    is_shut_down: bool,
}

impl Default for Statuses {
    /// The server as a whole serves.
    fn default() -> Self {
        Self {
            by_service: BTreeMap::from([(String::new(), ServingStatus::Serving)]),
            is_shut_down: false,
        }
    }
}

impl Statuses {
    /// `None` if the service is not known.
    pub(super) fn of(&self, service: &str) -> Option<ServingStatus> {
        self.by_service.get(service).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.by_service.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, ServingStatus)> {
        let statuses = self.by_service.iter();
        statuses.map(|(name, status)| (name.as_str(), *status))
    }

    /// Says whether that is a change.
    pub(super) fn set(&mut self, service: String, status: ServingStatus) -> bool {
        if self.is_shut_down {
            return false;
        }
        match status {
            ServingStatus::ServiceUnknown => self.by_service.remove(&service).is_some(),
            known => self.by_service.insert(service, known) != Some(known),
        }
    }

    pub(super) fn shut_down(&mut self) {
        self.is_shut_down = true;
        self.set_all(ServingStatus::NotServing);
    }

    pub(super) fn resume(&mut self) {
        self.is_shut_down = false;
        self.set_all(ServingStatus::Serving);
    }

    fn set_all(&mut self, status: ServingStatus) {
        self.by_service.values_mut().for_each(|one| *one = status);
    }
}
