//! From the path of a call to its service.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use highball_core::Status;
use highball_transport::server::{CallHead, Incoming};

use crate::call::ConnectionContext;
use crate::limits::Terms;
use crate::{IncomingCall, Service};

/// Looks at a call before it is routed.
pub(crate) type CallTap = Box<dyn Fn(&CallHead) -> Result<(), Status> + Send + Sync>;

/// The services of a server, by name.
#[derive(Default)]
pub(crate) struct Router {
    /// A server has a few: to compare their names costs less than to hash one.
    services: BTreeMap<String, Entry>,
    unknown: Option<Entry>,
    tap: Option<CallTap>,
}

struct Entry {
    service: Box<dyn Service>,
    terms: Terms,
}

impl Router {
    /// Says no if there is a service of this name.
    pub(crate) fn add(&mut self, service: impl Service, terms: Terms) -> Result<(), String> {
        let name = service.name().to_owned();
        let service = Box::new(service);
        match self.services.entry(name) {
            btree_map::Entry::Occupied(there) => Err(there.key().clone()),
            btree_map::Entry::Vacant(place) => {
                place.insert(Entry { service, terms });
                Ok(())
            }
        }
    }

    /// The names of all services, in no order.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        self.services.keys().cloned()
    }

    /// Takes the calls of services that are not there.
    pub(crate) fn set_unknown(&mut self, service: impl Service, terms: Terms) {
        let service = Box::new(service);
        self.unknown = Some(Entry { service, terms });
    }

    pub(crate) fn set_tap(&mut self, tap: CallTap) {
        self.tap = Some(tap);
    }

    /// Hands a call to its service, or refuses it.
    pub(crate) fn dispatch(&self, incoming: Box<Incoming>, connection: &Arc<ConnectionContext>) {
        let path = incoming.head.shared_path();
        let path = path.as_str();
        tracing::trace!(target: "server", path, "call");
        let mut call = IncomingCall {
            incoming,
            terms: Terms::default(),
            connection: Arc::clone(connection),
        };
        if let Err(status) = self.ask_tap(call.head()) {
            return call.refuse(status);
        }
        let Some((service, method)) = split(path) else {
            let text = format!("malformed method name: {path:?}");
            return call.refuse(Status::unimplemented(text));
        };
        let Some(entry) = self.services.get(service).or(self.unknown.as_ref()) else {
            return call.refuse(Status::unimplemented(format!("unknown service {service}")));
        };
        call.terms = entry.terms;
        // A service that panics here loses its call, not the connection.
        let called = catch_unwind(AssertUnwindSafe(|| entry.service.call(method, call)));
        if called.is_err() {
            tracing::error!(target: "server", path, "service panicked");
        }
    }

    fn ask_tap(&self, head: &CallHead) -> Result<(), Status> {
        let Some(tap) = &self.tap else { return Ok(()) };
        catch_unwind(AssertUnwindSafe(|| tap(head)))
            .unwrap_or_else(|_| Err(Status::internal("the tap panicked")))
    }
}

/// The service and the method of a path `/service/method`. The last slash splits; what is left on either side
/// is looked up as it is.
pub(crate) fn split(path: &str) -> Option<(&str, &str)> {
    let (service, method) = path.strip_prefix('/')?.rsplit_once('/')?;
    Some((service, method))
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.services.keys().collect();
        f.debug_struct("Router")
            .field("services", &names)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_slash_splits_and_the_first_byte_is_one() {
        assert_eq!(split("/pkg.Svc/M"), Some(("pkg.Svc", "M")));
        assert_eq!(split("/a/b/M"), Some(("a/b", "M")));
        assert_eq!(split("//Svc/M"), Some(("/Svc", "M")));
        assert_eq!(split("/pkg.Svc/M?x=1"), Some(("pkg.Svc", "M?x=1")));
        assert_eq!(split("/pkg.Svc/"), Some(("pkg.Svc", "")));
        for malformed in ["", "/", "Svc/M", "/Svc", "M"] {
            assert_eq!(split(malformed), None, "{malformed}");
        }
    }
}
