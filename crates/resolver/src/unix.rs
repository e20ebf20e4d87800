//! `unix:path`, `unix:///absolute/path` and `unix-abstract:name`: a socket on this machine.

use highball_core::Address;

use crate::fixed::Fixed;
use crate::{BadTarget, Resolver, ResolverFactory, ResolverOptions, Target};

/// Unix domain sockets, by path or by abstract name. Calls claim the authority `localhost`.
#[derive(Clone, Copy, Debug)]
pub enum Unix {
    /// `unix`: a path in the file system, relative without a leading slash.
    Path,
    /// `unix-abstract`: a name in Linux's abstract socket namespace.
    Abstract,
}

impl ResolverFactory for Unix {
    fn scheme(&self) -> &str {
        match self {
            Self::Path => "unix",
            Self::Abstract => "unix-abstract",
        }
    }

    fn authority(&self, _target: &Target) -> String {
        "localhost".to_owned()
    }

    fn build(
        &self,
        target: &Target,
        _options: &ResolverOptions,
    ) -> Result<Box<dyn Resolver>, BadTarget> {
        if !target.authority().is_empty() {
            let authority = target.authority();
            let reason = format!("invalid (non-empty) authority: {authority}");
            return Err(BadTarget::refused(reason));
        }
        // Not the endpoint: that has lost the slash that makes a path absolute.
        let address = match (self, target.path()) {
            (_, "") => {
                return Err(BadTarget::refused(format!(
                    "{}: missing path",
                    self.scheme()
                )));
            }
            (Self::Path, path) => Address::unix(path),
            (Self::Abstract, name) => Address::unix_abstract(name),
        };
        Ok(Fixed::resolver([address]))
    }
}
