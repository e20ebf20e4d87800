//! Which calls are logged, and how much of them: the language of `GRPC_BINARY_LOG_FILTER` (gRFC A16).
//!
//! ```text
//!   filter  = pattern *("," pattern)
//!   pattern = "*" [limits] | service "/*" [limits] | service "/" method [limits] | "-" service "/" method
//!   limits  = "{h" [":" bytes] "}" | "{m" [":" bytes] "}" | "{h" [":" bytes] ";m" [":" bytes] "}"
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::env;

/// The environment variable that grpc-go reads, too.
const VARIABLE: &str = "GRPC_BINARY_LOG_FILTER";

/// Which calls are logged, and how much of them.
///
/// | pattern | logs |
/// |---|---|
/// | `*` | every call, whole |
/// | `Foo/*` | the calls of a service |
/// | `Foo/Bar` | the calls of a method |
/// | `-Foo/Bar` | not the calls of this method |
/// | `*{h}`, `*{m}` | only metadata, only messages |
/// | `*{h:1024;m:256}` | so many bytes of metadata, and so many of each message |
///
/// Several are separated by commas, in any order. The one that is most exact holds: the method, then its
/// exclusion, then the service, then `*`. Nothing at all logs nothing.
///
/// ```
/// use highball_binary_log::Filter;
///
/// let filter = Filter::parse("grpc.examples.echo.Echo/*{h;m:256},-grpc.examples.echo.Echo/UnaryEcho")?;
/// let error = Filter::parse("Foo/*,-Foo/*").unwrap_err();
/// assert_eq!(error.to_string(), "binary log filter: \"-Foo/*\": only single methods can be excluded");
/// # Ok::<(), highball_binary_log::BadFilter>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    every_call: Option<Limits>,
    services: BTreeMap<String, Limits>,
    methods: BTreeMap<String, Limits>,
    excluded: BTreeSet<String>,
}

/// How much of a call is logged, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Of keys and values together, in each of headers and trailers.
    pub(crate) metadata: u64,
    /// Of each message.
    pub(crate) message: u64,
}

/// A filter that makes no sense: nothing is logged by halves of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("binary log filter: {pattern:?}: {reason}")]
pub struct BadFilter {
    pattern: String,
    reason: &'static str,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    ///
    /// Which pattern makes no sense, and why.
    pub fn parse(text: &str) -> Result<Self, BadFilter> {
        let mut filter = Self::default();
        if text.is_empty() {
            return Ok(filter);
        }
        for pattern in text.split(',') {
            filter.add(pattern).map_err(|reason| BadFilter {
                pattern: pattern.to_owned(),
                reason,
            })?;
        }
        Ok(filter)
    }

    /// The filter in the environment variable `GRPC_BINARY_LOG_FILTER`; one that logs nothing if there is
    /// none.
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse); that it is no UTF-8.
    pub fn from_env() -> Result<Self, BadFilter> {
        match env::var(VARIABLE) {
            Ok(text) => Self::parse(&text),
            Err(env::VarError::NotPresent) => Ok(Self::default()),
            Err(env::VarError::NotUnicode(text)) => Err(BadFilter {
                pattern: text.to_string_lossy().into_owned(),
                reason: "it is no UTF-8",
            }),
        }
    }

    /// Whether no call at all is logged.
    pub fn is_off(&self) -> bool {
        self.every_call.is_none() && self.services.is_empty() && self.methods.is_empty()
    }

    /// How much of a call of this method (`/package.Service/Method`) is logged; `None` if nothing is.
    pub(crate) fn limits(&self, path: &str) -> Option<Limits> {
        let method = path.strip_prefix('/')?;
        if let Some(limits) = self.methods.get(method) {
            return Some(*limits);
        }
        if self.excluded.contains(method) {
            return None;
        }
        let (service, _) = method.rsplit_once('/')?;
        let limits = self.services.get(service).or(self.every_call.as_ref());
        limits.copied()
    }

    fn add(&mut self, pattern: &str) -> Result<(), &'static str> {
        const TWICE: &str = "it is there twice";
        if let Some(excluded) = pattern.strip_prefix('-') {
            let (service, method) = names(excluded)?;
            return match method {
                "*" => Err("only single methods can be excluded"),
                _ if self.excluded.insert(format!("{service}/{method}")) => Ok(()),
                _ => Err(TWICE),
            };
        }
        let (name, limits) = match pattern.find('{') {
            Some(brace) => (&pattern[..brace], limits(&pattern[brace..])?),
            None => (pattern, Limits::NONE),
        };
        let earlier = match name {
            "*" => self.every_call.replace(limits),
            _ => match names(name)? {
                (service, "*") => self.services.insert(service.to_owned(), limits),
                (service, method) => self.methods.insert(format!("{service}/{method}"), limits),
            },
        };
        match earlier {
            Some(_) => Err(TWICE),
            None => Ok(()),
        }
    }
}

impl Limits {
    /// Everything is logged.
    const NONE: Self = Self {
        metadata: u64::MAX,
        message: u64::MAX,
    };
}

/// A service, and a method of it or `*`.
fn names(text: &str) -> Result<(&str, &str), &'static str> {
    let form = "want *, service/* or service/method";
    let (service, method) = text.rsplit_once('/').ok_or(form)?;
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_service = |byte: u8| is_word(byte) || matches!(byte, b'.' | b'/');
    if service.is_empty() || !service.bytes().all(is_service) {
        return Err(form);
    }
    if method != "*" && (method.is_empty() || !method.bytes().all(is_word)) {
        return Err(form);
    }
    Ok((service, method))
}

/// What is not named, where the other is, is not logged.
fn limits(text: &str) -> Result<Limits, &'static str> {
    let form = "want limits of the form {h}, {h:bytes}, {m}, {m:bytes}, or {h:bytes;m:bytes}";
    let braced = text
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    let braced = braced.ok_or(form)?;
    let (header, message) = match braced.split_once(';') {
        Some((header, message)) => (Some(header), Some(message)),
        None if braced.starts_with('h') => (Some(braced), None),
        None => (None, Some(braced)),
    };
    let bytes = |part: Option<&str>, letter| match part.map(|part| part.strip_prefix(letter)) {
        None => Ok(0),
        Some(None) => Err(form),
        Some(Some("")) => Ok(u64::MAX),
        Some(Some(number)) => {
            let digits = number.strip_prefix(':').ok_or(form)?;
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(form);
            }
            digits.parse().map_err(|_| "the number is too large")
        }
    };
    Ok(Limits {
        metadata: bytes(header, 'h')?,
        message: bytes(message, 'm')?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: u64 = u64::MAX;

    #[track_caller]
    fn assert_limits(filter: &str, path: &str, expected: Option<(u64, u64)>) {
        let limits = Filter::parse(filter).unwrap().limits(path);
        let expected = expected.map(|(metadata, message)| Limits { metadata, message });
        assert_eq!(limits, expected, "{filter} for {path}");
    }

    #[test]
    fn a16_limits_are_read() {
        for (limits, expected) in [
            ("", (ALL, ALL)),
            ("{h}", (ALL, 0)),
            ("{m}", (0, ALL)),
            ("{h:1}", (1, 0)),
            ("{m:256}", (0, 256)),
            ("{h;m}", (ALL, ALL)),
            ("{h:1;m}", (1, ALL)),
            ("{h;m:2}", (ALL, 2)),
            ("{h:123;m:345}", (123, 345)),
        ] {
            for name in ["*", "p.Foo/*", "p.Foo/Bar"] {
                assert_limits(&format!("{name}{limits}"), "/p.Foo/Bar", Some(expected));
            }
        }
    }

    #[test]
    fn a16_the_most_exact_pattern_holds() {
        let filter = "*{h:1},Foo/*{h:2},Foo/Bar{h:3},-Foo/Baz,-Other/Bar";
        assert_limits(filter, "/Foo/Bar", Some((3, 0)));
        assert_limits(filter, "/Foo/Else", Some((2, 0)));
        assert_limits(filter, "/Foo/Baz", None);
        assert_limits(filter, "/Other/Bar", None);
        assert_limits(filter, "/Other/Else", Some((1, 0)));
        assert_limits("Foo/Bar,-Foo/Bar", "/Foo/Bar", Some((ALL, ALL)));
        assert_limits("Foo/*", "/Other/Bar", None);
        assert_limits("a/b/*", "/a/b/C", Some((ALL, ALL)));
    }

    #[test]
    fn nothing_logs_nothing() {
        let nothing = Filter::parse("").unwrap();
        assert!(nothing.is_off());
        assert_eq!(nothing.limits("/Foo/Bar"), None);
        assert!(Filter::parse("-Foo/Bar").unwrap().is_off());
        assert!(!Filter::parse("*").unwrap().is_off());
    }

    #[test]
    fn a16_what_makes_no_sense_is_named() {
        let names = "want *, service/* or service/method";
        let limits = "want limits of the form {h}, {h:bytes}, {m}, {m:bytes}, or {h:bytes;m:bytes}";
        for (filter, pattern, reason) in [
            ("Foo", "Foo", names),
            ("*/Bar", "*/Bar", names),
            ("**", "**", names),
            ("Foo/", "Foo/", names),
            ("/Bar", "/Bar", names),
            ("Foo/Bar,", "", names),
            ("Foo/Bar,,*", "", names),
            ("Foo/B ar", "Foo/B ar", names),
            ("-*", "-*", names),
            ("-Foo/*", "-Foo/*", "only single methods can be excluded"),
            ("-Foo/Bar{h}", "-Foo/Bar{h}", names),
            ("*{}", "*{}", limits),
            ("*{h", "*{h", limits),
            ("*{m;h}", "*{m;h}", limits),
            ("*{h:}", "*{h:}", limits),
            ("*{h:-1}", "*{h:-1}", limits),
            ("*{h:+1}", "*{h:+1}", limits),
            ("*{x}", "*{x}", limits),
            ("*{h}x", "*{h}x", limits),
            (
                "*{h:99999999999999999999}",
                "*{h:99999999999999999999}",
                "the number is too large",
            ),
            ("*,*{h}", "*{h}", "it is there twice"),
            ("Foo/*,Foo/*", "Foo/*", "it is there twice"),
            ("Foo/Bar{m},Foo/Bar", "Foo/Bar", "it is there twice"),
            ("-Foo/Bar,-Foo/Bar", "-Foo/Bar", "it is there twice"),
        ] {
            let error = Filter::parse(filter).unwrap_err();
            assert_eq!(
                (&*error.pattern, error.reason),
                (pattern, reason),
                "{filter}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-*/{}:;,hm0-9A-C. ]{0,40}", path in ".{0,20}") {
            if let Ok(filter) = Filter::parse(&text) {
                let _ = filter.limits(&path);
            }
        }
    }
}
