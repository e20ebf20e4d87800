//! What can be wrong with a target, and who finds out.

use highball_core::Status;

use crate::target::split_scheme;

/// A target that cannot be used.
///
/// All variants but [`Refused`](Self::Refused) are found when the channel is built, and make that fail.
/// `Refused` is the verdict of a resolver: the channel learns it when it first needs endpoints, and
/// its calls end in UNAVAILABLE with this text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadTarget {
    /// A web address: `http://` and `https://` say how to talk, a target says how to find.
    #[error(
        "{target:?} is a URL, not a gRPC target: write {instead:?}{}",
        hint(target)
    )]
    Url {
        /// What was asked for.
        target: String,
        /// What to ask for.
        instead: String,
    },
    /// The text cannot be parsed.
    #[error("malformed target {target:?}: {reason}")]
    Malformed {
        /// What was asked for.
        target: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Neither the target's scheme nor the default scheme has a resolver.
    #[error("could not get resolver for default scheme: {0:?}")]
    NoResolver(String),
    /// The resolver of the scheme cannot make sense of the rest.
    #[error("{0}")]
    Refused(String),
}

impl BadTarget {
    /// A resolver's verdict on a target of its scheme.
    pub fn refused(reason: impl Into<String>) -> Self {
        Self::Refused(reason.into())
    }

    /// The error for `http://host…` or `https://host…`; `None` for anything else.
    pub(crate) fn if_url(text: &str) -> Option<Self> {
        let (scheme, rest) = split_scheme(text)?;
        let port = match &*scheme {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let rest = rest.strip_prefix("//")?;
        let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let after_brackets = host.rsplit(']').next().unwrap_or(host);
        let instead = if after_brackets.contains(':') {
            format!("dns:///{host}")
        } else {
            format!("dns:///{host}:{port}")
        };
        Some(Self::Url {
            target: text.to_owned(),
            instead,
        })
    }
}

impl From<BadTarget> for Status {
    /// UNAVAILABLE with the error's text.
    fn from(bad: BadTarget) -> Self {
        Self::unavailable(bad.to_string()).with_source(bad)
    }
}

fn hint(target: &str) -> &'static str {
    match split_scheme(target) {
        Some((scheme, _)) if scheme == "https" => " and give the channel TLS credentials",
        _ => "",
    }
}
