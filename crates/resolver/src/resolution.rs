//! What a resolver found out: one complete answer at a time.

use highball_core::{Attributes, Endpoint, Status};

/// One answer of a resolver, which replaces the one before.
///
/// An error does not: a channel that has endpoints goes on using them.
///
/// ```
/// use highball_resolver::Resolution;
///
/// let found: Resolution = ["10.0.0.1:50051", "10.0.0.2:50051"].into_iter().collect();
/// let found = found.with_service_config(r#"{"loadBalancingConfig": [{"round_robin": {}}]}"#);
/// assert_eq!(found.endpoints.unwrap().len(), 2);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Resolution {
    /// Where the servers are, or why that is not known.
    pub endpoints: Result<Vec<Endpoint>, Status>,
    /// The service config as JSON; an error where there is one that could not be read; `None` where
    /// the name service has none, which means the channel's default (gRFC A21).
    pub service_config: Option<Result<String, Status>>,
    /// Facts about the whole answer, for the balancing policy.
    pub attributes: Attributes,
    /// A remark for people who look at the channel, such as where the answer comes from.
    pub note: Option<String>,
}

impl Resolution {
    /// An answer with these endpoints and nothing else.
    pub fn new(endpoints: impl IntoIterator<Item: Into<Endpoint>>) -> Self {
        Self::from(Ok(endpoints.into_iter().map(Into::into).collect()))
    }

    /// No answer, and why.
    pub fn error(status: Status) -> Self {
        Self::from(Err(status))
    }

    /// Replaces the service config.
    #[must_use]
    pub fn with_service_config(mut self, json: impl Into<String>) -> Self {
        self.service_config = Some(Ok(json.into()));
        self
    }

    /// Says that there is a service config, but that it could not be read.
    #[must_use]
    pub fn with_service_config_error(mut self, status: Status) -> Self {
        self.service_config = Some(Err(status));
        self
    }

    /// Replaces the attributes.
    #[must_use]
    pub fn with_attributes(mut self, attributes: Attributes) -> Self {
        self.attributes = attributes;
        self
    }

    /// Replaces the note.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }
}

impl<E: Into<Endpoint>> FromIterator<E> for Resolution {
    fn from_iter<I: IntoIterator<Item = E>>(endpoints: I) -> Self {
        Self::new(endpoints)
    }
}

impl From<Result<Vec<Endpoint>, Status>> for Resolution {
    fn from(endpoints: Result<Vec<Endpoint>, Status>) -> Self {
        Self {
            endpoints,
            service_config: None,
            attributes: Attributes::default(),
            note: None,
        }
    }
}
