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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{only_update, refusal};

    #[tokio::test(start_paused = true)]
    async fn a_socket_is_named_by_the_path_not_by_the_endpoint() {
        for (text, address) in [
            ("unix:a/b/c", "unix:a/b/c"),
            ("unix:/a/b/c", "unix:/a/b/c"),
            ("unix:///a/b/c", "unix:/a/b/c"),
            ("unix:///a%20b", "unix:/a b"),
            (
                "unix-abstract:passthrough:abc",
                "unix-abstract:passthrough:abc",
            ),
            ("unix-abstract:///abc", "unix-abstract:/abc"),
        ] {
            assert_eq!(only_update(text).await, [address], "{text}");
        }
    }

    #[test]
    fn an_authority_or_a_missing_path_is_refused() {
        for (text, why) in [
            (
                "unix://authority",
                "invalid (non-empty) authority: authority",
            ),
            (
                "unix-abstract://authority/a/b/c",
                "invalid (non-empty) authority: authority",
            ),
            ("unix:", "unix: missing path"),
            ("unix-abstract:", "unix-abstract: missing path"),
        ] {
            assert_eq!(refusal(text), why, "{text}");
        }
    }

    #[test]
    fn calls_claim_localhost() {
        let target = Target::parse("unix:///a/b/c").unwrap();
        assert_eq!(Unix::Path.authority(&target), "localhost");
        assert_eq!(Unix::Abstract.authority(&target), "localhost");
    }
}
