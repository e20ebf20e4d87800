//! The name of a method, as generated stubs hand it to a channel.

use http::uri::PathAndQuery;

/// A method of a service, by its full name: `/pkg.Service/Method`.
///
/// ```
/// use highball_channel::Method;
///
/// static UNARY_ECHO: Method = Method::new("/grpc.examples.echo.Echo/UnaryEcho");
/// assert_eq!(UNARY_ECHO.path(), "/grpc.examples.echo.Echo/UnaryEcho");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Method {
    path: &'static str,
    /// The same as it is sent; checked when a stub is compiled and not in each call.
    path_and_query: PathAndQuery,
}

impl Method {
    /// A method by its full name, for a static in a stub.
    ///
    /// # Panics
    ///
    /// Where the name is not of the form `/service/method`; for a static, that is when it is compiled.
    pub const fn new(path: &'static str) -> Self {
        assert!(is_full_name(path.as_bytes()), "want /service/method");
        Self {
            path,
            path_and_query: PathAndQuery::from_static(path),
        }
    }

    /// The full name.
    pub const fn path(&self) -> &'static str {
        self.path
    }

    pub(crate) fn path_and_query(&self) -> &PathAndQuery {
        &self.path_and_query
    }
}

/// A slash, a service, a slash and a method, in characters that a path may hold.
const fn is_full_name(path: &[u8]) -> bool {
    let mut slashes = 0;
    let mut index = 0;
    while index < path.len() {
        match path[index] {
            b'/' => slashes += 1,
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'.' | b'_' | b'-' | b'~' => (),
            _ => return false,
        }
        index += 1;
    }
    slashes == 2 && path[0] == b'/' && path[1] != b'/' && path[path.len() - 1] != b'/'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_names_are_told_from_others() {
        assert!(is_full_name(b"/pkg.Svc/M"));
        for path in [
            "", "/", "//", "Svc/M", "/Svc", "/Svc/", "//M", "/a/b/c", "/a b/c", "/Svc/M?q",
        ] {
            assert!(!is_full_name(path.as_bytes()), "{path:?}");
        }
    }
}
