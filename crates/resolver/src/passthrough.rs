//! `passthrough:///text`: the text is the address, and nobody looks it up before connecting.

use highball_core::Address;

use crate::fixed::Fixed;
use crate::{BadTarget, Resolver, ResolverFactory, ResolverOptions, Target};

/// Takes the endpoint for the address, whatever it says.
///
/// Connecting may still look up a host name; the balancing policy just does not get to see the
/// addresses behind it.
#[derive(Clone, Copy, Debug)]
pub struct Passthrough;

impl ResolverFactory for Passthrough {
    fn scheme(&self) -> &str {
        "passthrough"
    }

    fn build(
        &self,
        target: &Target,
        _options: &ResolverOptions,
    ) -> Result<Box<dyn Resolver>, BadTarget> {
        match target.endpoint() {
            "" => Err(BadTarget::refused(
                "passthrough: received empty target in Build()",
            )),
            endpoint => Ok(Fixed::resolver([Address::from(endpoint)])),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{only_update, refusal};

    #[tokio::test(start_paused = true)]
    async fn the_endpoint_is_the_address_verbatim() {
        for (text, address) in [
            (
                "passthrough:///a.server.com/google.com",
                "a.server.com/google.com",
            ),
            ("passthrough:a:b:c", "a:b:c"),
            ("passthrough:///unix:///a/b/c", "unix:/a/b/c"),
            ("passthrough:////a/b/c", "/a/b/c"),
        ] {
            assert_eq!(only_update(text).await, [address], "{text}");
        }
    }

    #[test]
    fn an_empty_endpoint_is_refused() {
        let why = "passthrough: received empty target in Build()";
        assert_eq!(refusal("passthrough:///"), why);
        assert_eq!(refusal("passthrough://host"), why);
    }
}
