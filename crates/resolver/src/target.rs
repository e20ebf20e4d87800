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
//! Follows [naming.md](https://github.com/grpc/grpc/blob/master/doc/naming.md) and RFC 3986.
//!
//! **Exercise.** Which resolver gets `unix-abstract:passthrough:abc`, with which endpoint? And
//! `dns:8080`: is that port 8080 of something? Guess, then look for both in the table of tests in
//! `registry.rs`, and add the strangest target that you can think of.

use std::fmt;

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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    scheme: String,
    authority: String,
    path: String,
    query: Option<String>,
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
            Some((before, query)) => (before, Some(query.to_owned())),
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
        Ok(Self {
            scheme,
            authority: decode(host).map_err(malformed)?,
            path,
            query,
        })
    }

    /// Names the resolver; in lower case.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Whom the resolver should ask, such as a DNS server; mostly empty.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// What to resolve: the path without its first slash.
    pub fn endpoint(&self) -> &str {
        self.path.strip_prefix('/').unwrap_or(&self.path)
    }

    /// The path as written, with its first slash if it has one: `unix:///run/a.sock` and
    /// `unix:run/a.sock` have the same endpoint, but not the same path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What stands behind `?`, not decoded.
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// The authority that a channel to this target claims in its calls, unless someone knows better:
    /// the endpoint, with `localhost` where the host is missing, percent-encoded.
    pub fn default_authority(&self) -> String {
        match self.endpoint() {
            port if port.starts_with(':') => encode_authority(&format!("localhost{port}")),
            endpoint => encode_authority(endpoint),
        }
    }
}

/// The canonical form.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, authority) = (&self.scheme, &self.authority);
        write!(f, "{scheme}://{authority}/{}", self.endpoint())
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
pub(crate) fn split_scheme(text: &str) -> Option<(String, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let spelled = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    spelled.then(|| (scheme.to_ascii_lowercase(), rest))
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
