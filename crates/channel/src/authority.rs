//! Whom a channel's calls are for.

use highball_resolver::{ResolverFactory, Target};
use http::uri::Authority;

use crate::build_error::BuildError;

/// The application's choice, else what the resolver makes of the target. Where that is nothing that a
/// request can carry, such as the path of a file, it is `localhost`.
pub(crate) fn authority(
    chosen: Option<String>,
    factory: &dyn ResolverFactory,
    target: &Target,
) -> Result<Authority, BuildError> {
    if let Some(text) = chosen {
        return text.parse().map_err(|_| BuildError::Authority(text));
    }
    let authority = factory.authority(target).parse();
    Ok(authority.unwrap_or_else(|_| Authority::from_static("localhost")))
}

/// What the user has set, or what the user's credentials insist on.
pub(crate) fn chosen_authority(
    authority: Option<String>,
    server_name: Option<&str>,
) -> Result<Option<String>, BuildError> {
    match (authority, server_name.map(str::to_owned)) {
        (Some(authority), Some(server_name)) if authority != server_name => {
            Err(BuildError::AuthorityConflict {
                authority,
                server_name,
            })
        }
        (authority, server_name) => Ok(authority.or(server_name)),
    }
}

#[cfg(test)]
mod tests {
    use highball_resolver::ResolverRegistry;

    use super::*;

    #[test]
    fn the_authority_is_chosen_or_comes_from_the_target() {
        for (target, chosen, expected) in [
            ("host:50051", None, "host:50051"),
            ("host:50051", Some("other"), "other"),
            (":50051", None, "localhost:50051"),
            ("dns:///[::1]:80", None, "[::1]:80"),
            ("dns:///::1", None, "[::1]"),
            ("ipv4:10.0.0.1:80,10.0.0.2:80", None, "10.0.0.1:80"),
            ("unix:///run/echo.sock", None, "localhost"),
            ("passthrough:///a/path", None, "localhost"),
            // The resolver refuses these, but not before the first call.
            ("", None, "localhost"),
            ("a:b:c", None, "localhost"),
        ] {
            let (parsed, factory) = ResolverRegistry::builtin().find(target).unwrap();
            let authority = authority(chosen.map(str::to_owned), &*factory, &parsed);
            assert_eq!(authority.unwrap().as_str(), expected, "{target:?}");
        }
    }

    #[test]
    fn an_authority_that_no_request_can_carry_is_refused_if_it_was_chosen() {
        let (target, factory) = ResolverRegistry::builtin().find("host").unwrap();
        let refused = authority(Some("a/path".to_owned()), &*factory, &target).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "\"a/path\" is no authority for the calls of a channel: want host[:port]"
        );
    }
}
