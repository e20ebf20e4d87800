//! Stop 1 of the reading path: a string becomes a target.
//!
//! The string a channel is made from says two things at once: *who* resolves the name (the scheme picks
//! a resolver) and *what* is to be resolved (the endpoint, a text that only that resolver understands).
//!
//! ```text
//!       dns://8.8.8.8/echo.example.com:50051?zone=b
//!       └┬┘   └──┬──┘└───────────┬─────────┘ └─┬──┘
//!     scheme  authority         path         query
//!                │               │
//!   whom the resolver asks       └── without its first slash: the endpoint
//! ```
//!
//! Only the scheme is a must, but people write `localhost:50051` and mean a host. So parsing has two
//! steps, and [`ResolverRegistry::find`](crate::ResolverRegistry::find) takes them:
//!
//! ```text
//!   text ── has a scheme, and it is registered? ── yes ──► Target::parse(text)
//!                          │
//!                          no: `localhost` is not a scheme, and neither is `a` in `a/b`
//!                          └──► Target::parse("dns:///" + text)
//! ```
//!
//! ```
//! use highball_resolver::ResolverRegistry;
//!
//! for (text, canonical) in [
//!     ("dns://8.8.8.8/echo.example.com:50051", "dns://8.8.8.8/echo.example.com:50051"),
//!     ("dns:echo.example.com", "dns:///echo.example.com"),
//!     ("localhost:50051", "dns:///localhost:50051"),
//!     ("a/b", "dns:///a/b"),
//!     ("unix:/run/echo.sock", "unix:///run/echo.sock"),
//! ] {
//!     let (target, _factory) = ResolverRegistry::builtin().find(text).unwrap();
//!     assert_eq!(target.to_string(), canonical);
//! }
//! ```
//!
//! Follows [naming.md](https://github.com/grpc/grpc/blob/master/doc/naming.md) and RFC 3986.
//!
//! **Exercise.** Which resolver gets `unix-abstract:passthrough:abc`, and with which endpoint? And
//! `dns:8080`: is that port 8080 of something? Guess, then look for both in the tests of `registry.rs`,
//! and add the strangest target that you can think of.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv6Addr;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::BadTarget;

/// A parsed target: a scheme, and what the resolver of that scheme is to look up.
///
/// [`Display`](fmt::Display) prints the canonical form, `scheme://authority/endpoint`.
///
/// ```
/// use highball_resolver::Target;
///
/// let target = Target::parse("dns://8.8.8.8/echo.example.com:50051").unwrap();
/// assert_eq!(target.scheme(), "dns");
/// assert_eq!(target.authority(), "8.8.8.8");
/// assert_eq!(target.endpoint(), "echo.example.com:50051");
/// ```
///
/// Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target(Arc<Parts>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Parts {
    scheme: Box<str>,
    authority: Box<str>,
    path: Box<str>,
    query: Option<Box<str>>,
}

impl Target {
    /// Parses a target that names its scheme; [`ResolverRegistry::find`] takes the others as well.
    ///
    /// The scheme is lowered to lower case. Percent-escapes are decoded in the authority and in a path
    /// that begins with a slash; a path that does not (`unix:a%20b`) is taken as it is written.
    ///
    /// # Errors
    ///
    /// [`BadTarget::Malformed`] for a text without a scheme, with control characters, or with
    /// percent-escapes that do not spell UTF-8.
    ///
    /// [`ResolverRegistry::find`]: crate::ResolverRegistry::find
    pub fn parse(text: &str) -> Result<Self, BadTarget> {
        let malformed = |reason| BadTarget::Malformed {
            target: text.to_owned(),
            reason,
        };
        if text.contains(|c: char| c.is_ascii_control()) {
            return Err(malformed("it contains a control character"));
        }
        let (scheme, rest) = split_scheme(text).ok_or_else(|| malformed("it has no scheme"))?;
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let (rest, query) = match rest.split_once('?') {
            Some((before, query)) => (before, Some(query)),
            None => (rest, None),
        };
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None => ("", rest),
        };
        // A password in front of `@` is nobody's business here.
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        let path = if path.starts_with('/') {
            decode(path).map_err(malformed)?
        } else {
            path.to_owned()
        };
        Ok(Self(Arc::new(Parts {
            scheme: scheme.into(),
            authority: decode(host).map_err(malformed)?.into(),
            path: path.into(),
            query: query.map(Into::into),
        })))
    }

    /// Names the resolver; in lower case.
    pub fn scheme(&self) -> &str {
        &self.0.scheme
    }

    /// Whom the resolver should ask, such as a DNS server; mostly empty.
    pub fn authority(&self) -> &str {
        &self.0.authority
    }

    /// What to resolve: the path without its first slash.
    pub fn endpoint(&self) -> &str {
        self.0.path.strip_prefix('/').unwrap_or(&self.0.path)
    }

    /// The path as written, with its first slash if it has one: `unix:///run/a.sock` and
    /// `unix:run/a.sock` have the same endpoint, but not the same path.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// What stands behind `?`, not decoded.
    pub fn query(&self) -> Option<&str> {
        self.0.query.as_deref()
    }

    /// The authority that a channel to this target claims in its calls, unless someone knows better:
    /// the endpoint, percent-encoded, with `localhost` where the host is missing and brackets around a
    /// bare IPv6 address.
    pub fn default_authority(&self) -> String {
        authority_of(self.endpoint())
    }
}

/// The canonical form.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, authority) = (self.scheme(), self.authority());
        write!(f, "{scheme}://{authority}/{}", self.endpoint())
    }
}

/// The authority for a host, a port, or both.
pub(crate) fn authority_of(text: &str) -> String {
    if text.parse::<Ipv6Addr>().is_ok() {
        format!("[{text}]")
    } else if text.starts_with(':') && !text.starts_with("::") {
        encode_authority(&format!("localhost{text}"))
    } else {
        encode_authority(text)
    }
}

/// Percent-encodes what may not stand in an authority as it is (RFC 3986 section 3.2).
pub fn encode_authority(text: &str) -> String {
    const ESCAPED: &AsciiSet = &{
        let mut set = NON_ALPHANUMERIC.remove(b'-');
        let plain = b"_.~!$&'()*+,;=:[]@";
        let mut i = 0;
        while i < plain.len() {
            set = set.remove(plain[i]);
            i += 1;
        }
        set
    };
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// The scheme, in lower case, and what follows its colon; `None` where a scheme is not even spelled.
pub(crate) fn split_scheme(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let spelled = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let is_lower = !scheme.bytes().any(|b| b.is_ascii_uppercase());
    spelled.then(|| match is_lower {
        true => (Cow::Borrowed(scheme), rest),
        false => (Cow::Owned(scheme.to_ascii_lowercase()), rest),
    })
}

fn decode(text: &str) -> Result<String, &'static str> {
    let is_escape = |after: &str| {
        let digits = after.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !text.split('%').skip(1).all(is_escape) {
        return Err("\"%\" must be followed by two hex digits (write %25 for a percent sign)");
    }
    match percent_decode_str(text).decode_utf8() {
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(_) => Err("its percent-escapes do not spell UTF-8"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn target(text: &str) -> Target {
        Target::parse(text).unwrap_or_else(|bad| panic!("{text}: {bad}"))
    }

    #[test]
    fn a_target_has_a_scheme_an_authority_and_an_endpoint() {
        for (text, scheme, authority, endpoint) in [
            ("dns:google.com", "dns", "", "google.com"),
            ("dns:/a/b/c", "dns", "", "a/b/c"),
            ("dns:///google.com", "dns", "", "google.com"),
            ("dns:////google.com", "dns", "", "/google.com"),
            (
                "dns://a.server.com/google.com",
                "dns",
                "a.server.com",
                "google.com",
            ),
            ("dns://[::1]:53/google.com", "dns", "[::1]:53", "google.com"),
            ("dns://a.server.com", "dns", "a.server.com", ""),
            ("dns:", "dns", "", ""),
            ("dns:///", "dns", "", ""),
            (
                "passthrough:///unix:///a/b/c",
                "passthrough",
                "",
                "unix:///a/b/c",
            ),
            (
                "unix-abstract:passthrough:abc",
                "unix-abstract",
                "",
                "passthrough:abc",
            ),
            ("x://user:secret@host/a", "x", "host", "a"),
            ("x:///a?b=c#d", "x", "", "a"),
            ("x:a?b=c#d", "x", "", "a"),
            ("x:///a#b?c", "x", "", "a"),
            ("git+ssh.v2-x:a", "git+ssh.v2-x", "", "a"),
            ("x:///zoë", "x", "", "zoë"),
        ] {
            let parsed = target(text);
            let parts = (parsed.scheme(), parsed.authority(), parsed.endpoint());
            assert_eq!(parts, (scheme, authority, endpoint), "{text}");
        }
    }

    #[test]
    fn the_path_keeps_the_slash_that_the_endpoint_loses() {
        assert_eq!(target("unix:///a/b/c").path(), "/a/b/c");
        assert_eq!(target("unix:a/b/c").path(), "a/b/c");
        assert_eq!(
            target("unix:///a/b/c").endpoint(),
            target("unix:a/b/c").endpoint()
        );
    }

    #[test]
    fn the_query_is_kept_apart_and_not_decoded() {
        assert_eq!(target("x:///a?b=%20#c").query(), Some("b=%20"));
        assert_eq!(target("x:a?").query(), Some(""));
        assert_eq!(target("x:a#b?c").query(), None);
    }

    #[test]
    fn escapes_are_decoded_behind_a_slash_only() {
        assert_eq!(target("x://%61/%62%2Fc").to_string(), "x://a/b/c");
        assert_eq!(target("x:%61").endpoint(), "%61");
        assert_eq!(
            target("dns:[fe80::1%eth0]:80").endpoint(),
            "[fe80::1%eth0]:80"
        );
        assert_eq!(
            target("dns:///[fe80::1%25eth0]:80").endpoint(),
            "[fe80::1%eth0]:80"
        );
    }

    #[test]
    fn the_canonical_form_parses_to_the_same_target() {
        for (text, canonical) in [
            ("DNS:hostname:port", "dns:///hostname:port"),
            ("dns:///hostname:port", "dns:///hostname:port"),
            ("dns:/hostname", "dns:///hostname"),
            ("dns://server/hostname", "dns://server/hostname"),
        ] {
            assert_eq!(target(text).to_string(), canonical);
            assert_eq!(target(canonical).to_string(), canonical);
        }
    }

    #[test]
    fn a_malformed_target_says_why() {
        let percent = "\"%\" must be followed by two hex digits (write %25 for a percent sign)";
        for (text, why) in [
            ("", "it has no scheme"),
            ("no/scheme", "it has no scheme"),
            ("://a", "it has no scheme"),
            ("1a:b", "it has no scheme"),
            ("a_b:c", "it has no scheme"),
            ("x:///%", percent),
            ("x:///%4", percent),
            ("x:///%4g", percent),
            ("x:///%+1", percent),
            ("x:///%é", percent),
            ("x://%zz/a", percent),
            ("x:///%ff", "its percent-escapes do not spell UTF-8"),
            ("x:///a\nb", "it contains a control character"),
            ("x:\u{7f}", "it contains a control character"),
        ] {
            let malformed = BadTarget::Malformed {
                target: text.to_owned(),
                reason: why,
            };
            assert_eq!(Target::parse(text), Err(malformed));
        }
    }

    #[test]
    fn authorities_keep_what_rfc_3986_lets_them_keep() {
        for (text, encoded) in [
            ("www.google.com", "www.google.com"),
            ("foo/bar", "foo%2Fbar"),
            ("[::1]:80", "[::1]:80"),
            ("-_.~!$&'()*+,;=:[]@", "-_.~!$&'()*+,;=:[]@"),
            (
                "\n\"#%/<>?\\^`{|} ",
                "%0A%22%23%25%2F%3C%3E%3F%5C%5E%60%7B%7C%7D%20",
            ),
            ("ë", "%C3%AB"),
        ] {
            assert_eq!(encode_authority(text), encoded);
        }
    }

    #[test]
    fn the_default_authority_is_the_endpoint_with_a_host() {
        for (text, authority) in [
            ("dns:///host:50051", "host:50051"),
            ("dns:///:50051", "localhost:50051"),
            ("dns:///[::1]:80", "[::1]:80"),
            ("dns:///::1", "[::1]"),
            ("dns:///::", "[::]"),
            ("x:///foo/bar", "foo%2Fbar"),
        ] {
            assert_eq!(target(text).default_authority(), authority);
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            let _ = Target::parse(&text);
            let _ = Target::parse(&format!("x:{text}"));
        }

        #[test]
        fn every_text_survives_being_an_endpoint(text in "[^\\p{Cc}]*") {
            let escaped = utf8_percent_encode(&text, NON_ALPHANUMERIC);
            let parsed = target(&format!("x:///{escaped}"));
            prop_assert_eq!(parsed.endpoint(), text);
        }

        #[test]
        fn an_authority_is_plain_ascii(text in any::<String>()) {
            let encoded = encode_authority(&text);
            prop_assert!(encoded.bytes().all(|b| b.is_ascii_graphic()));
            prop_assert_eq!(decode(&encoded), Ok(text));
        }
    }
}
