//! A server as the resolver sees it: one or more addresses and some facts.

use std::sync::Arc;

use crate::{Address, Attributes};

/// One server, reachable at one or more addresses, in order of preference (gRFC A61).
///
/// ```
/// use highball_core::Endpoint;
///
/// let dual_stack = Endpoint::new(["[::1]:50051", "127.0.0.1:50051"]);
/// assert_eq!(dual_stack.addresses().len(), 2);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// Shared by the copies that a policy's children get.
    addresses: Arc<[Address]>,
    attributes: Attributes,
}

impl Endpoint {
    /// An endpoint with these addresses, the preferred one first.
    pub fn new<A: Into<Address>>(addresses: impl IntoIterator<Item = A>) -> Self {
        Self {
            addresses: addresses.into_iter().map(Into::into).collect(),
            attributes: Attributes::default(),
        }
    }

    /// Replaces the attributes. They are not part of the endpoint's identity.
    #[must_use]
    pub fn with_attributes(mut self, attributes: Attributes) -> Self {
        self.attributes = attributes;
        self
    }

    /// The addresses, the preferred one first.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Facts about this endpoint, such as its weight.
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// What makes this endpoint the same one in the next resolution: the set of its addresses' texts,
    /// whatever their order, attributes or server names.
    pub fn identity(&self) -> Vec<&str> {
        let mut texts: Vec<_> = self.addresses.iter().map(Address::text).collect();
        texts.sort_unstable();
        texts.dedup();
        texts
    }
}

impl<A: Into<Address>> From<A> for Endpoint {
    /// An endpoint with a single address.
    fn from(address: A) -> Self {
        Self::new([address])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_ignores_order_and_attributes() {
        let one = Endpoint::new(["b:2", "a:1"]);
        let other = Endpoint::new(["a:1", "b:2"]).with_attributes(Attributes::default().with(7_u8));
        assert_eq!(one.identity(), other.identity());
        assert_ne!(one, other);
        assert_ne!(one.identity(), Endpoint::from("a:1").identity());
    }
}
