//! Extra facts that a resolver or a policy attaches to an address or an endpoint.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;

/// Facts keyed by their type and compared by value: at most one of each type.
///
/// Cheap to clone; adding to one copy leaves the others as they were. The attributes of an
/// [`Address`](crate::Address) are part of its identity: where they change, a policy makes a new
/// subchannel.
///
/// ```
/// use highball_core::Attributes;
///
/// #[derive(Debug, PartialEq)]
/// struct Zone(&'static str);
///
/// let attributes = Attributes::default().with(Zone("eu-north"));
/// assert_eq!(attributes.get::<Zone>(), Some(&Zone("eu-north")));
/// assert_eq!(attributes, Attributes::default().with(Zone("eu-north")));
/// ```
#[derive(Clone, Default)]
pub struct Attributes(Option<Arc<Facts>>);

type Facts = Vec<(TypeId, Arc<dyn Fact>)>;

impl Attributes {
    /// These facts and one more, which replaces an earlier one of its type.
    #[must_use]
    pub fn with<T: Any + PartialEq + fmt::Debug + Send + Sync>(mut self, fact: T) -> Self {
        self.insert(fact);
        self
    }

    /// Adds a fact, which replaces an earlier one of its type.
    pub fn insert<T: Any + PartialEq + fmt::Debug + Send + Sync>(&mut self, fact: T) {
        let facts = Arc::make_mut(self.0.get_or_insert_default());
        facts.retain(|(known, _)| *known != TypeId::of::<T>());
        facts.push((TypeId::of::<T>(), Arc::new(fact)));
    }

    /// The fact of type `T`, if there is one.
    pub fn get<T: Any>(&self) -> Option<&T> {
        let facts = self.0.as_ref()?;
        find(facts, TypeId::of::<T>())?.as_any().downcast_ref()
    }

    /// Whether there is no fact at all.
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|facts| facts.is_empty())
    }
}

impl PartialEq for Attributes {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(a), Some(b)) if Arc::ptr_eq(a, b) => true,
            (Some(a), Some(b)) => {
                a.len() == b.len()
                    && a.iter()
                        .all(|(key, fact)| find(b, *key).is_some_and(|other| fact.equals(other)))
            }
            (None, Some(_)) | (Some(_), None) => self.is_empty() && other.is_empty(),
        }
    }
}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(
                self.0
                    .iter()
                    .flat_map(|facts| facts.iter().map(|(_, fact)| fact)),
            )
            .finish()
    }
}

/// There are hardly ever more than two or three.
fn find(facts: &[(TypeId, Arc<dyn Fact>)], key: TypeId) -> Option<&dyn Fact> {
    let found = facts.iter().find(|(known, _)| *known == key);
    found.map(|(_, fact)| &**fact)
}

/// What every attached value can do, whatever its type.
trait Fact: fmt::Debug + Send + Sync {
    fn as_any(&self) -> &dyn Any;
    fn equals(&self, other: &dyn Fact) -> bool;
}

impl<T: Any + PartialEq + fmt::Debug + Send + Sync> Fact for T {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn equals(&self, other: &dyn Fact) -> bool {
        other.as_any().downcast_ref::<T>() == Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Zone(&'static str);
    #[derive(Clone, Debug, PartialEq)]
    struct Weight(u32);

    #[test]
    fn equality_is_by_value_not_by_identity() {
        let one = Attributes::default().with(Zone("a")).with(Weight(1));
        let same = Attributes::default().with(Weight(1)).with(Zone("a"));
        assert_eq!(one, same);
        assert_ne!(one, same.clone().with(Weight(2)));
        assert_ne!(one, Attributes::default().with(Zone("a")));
        assert_ne!(Attributes::default(), one);
    }

    #[test]
    fn a_copy_does_not_see_what_is_added_later() {
        let original = Attributes::default().with(Zone("a"));
        let changed = original.clone().with(Zone("b"));
        assert_eq!(original.get(), Some(&Zone("a")));
        assert_eq!(changed.get(), Some(&Zone("b")));
        assert_eq!(changed.get::<Weight>(), None);
    }
}
