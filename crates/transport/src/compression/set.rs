//! `grpc-accept-encoding`: which encodings one side can read.
//!
//! Each request and each reply says it, also in a build that has no compression: `identity`, then. It is the same each
//! time, so HPACK makes one byte of it.

use http::{HeaderName, HeaderValue};

use super::Compression;

/// Some of the encodings that this build knows. Copied, never allocated.
///
/// ```
/// use highball_transport::{Compression, Compressions};
///
/// let all = Compressions::all();
/// assert!(all.contains(Compression::Identity));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compressions {
    /// A bit for each.
    bits: u8,
}

impl Compressions {
    /// None. That a side says nothing at all of what it can read is this, too.
    pub const fn none() -> Self {
        Self { bits: 0 }
    }

    /// All that this build has.
    pub const fn all() -> Self {
        Self {
            bits: (1 << Compression::ALL.len()) - 1,
        }
    }

    /// Whether `compression` is among them.
    pub const fn contains(self, compression: Compression) -> bool {
        self.bits & bit(compression) != 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.bits == 0
    }

    /// Those there are, in the order in which they are offered.
    pub fn iter(self) -> impl Iterator<Item = Compression> {
        let all = Compression::ALL.iter().copied();
        all.filter(move |kind| self.contains(*kind))
    }

    /// What a peer reads that sends `value` as (part of) its `grpc-accept-encoding`. Everybody reads what is not
    /// compressed; names that are not known here are of no use and are left out.
    pub(crate) fn read(value: &HeaderValue) -> Self {
        let names = value.to_str().unwrap_or_default().split(',');
        let known = names.filter_map(|name| Compression::named(name.trim()));
        known.chain([Compression::Identity]).collect()
    }

    /// Both together.
    pub(crate) const fn union(self, other: Self) -> Self {
        Self {
            bits: self.bits | other.bits,
        }
    }

    /// The value of `grpc-accept-encoding` that says these: their names, but for `identity`, which needs no
    /// saying unless there is nothing else to say.
    pub(crate) fn header_value(self) -> HeaderValue {
        if self == Self::all() {
            return ALL;
        }
        let real = self.iter().filter(|kind| *kind != Compression::Identity);
        let names: Vec<_> = real.map(Compression::name).collect();
        HeaderValue::try_from(names.join(","))
            .ok()
            .filter(|names| !names.is_empty())
            .unwrap_or(IDENTITY)
    }
}

pub(crate) const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// What this build reads, as `grpc-accept-encoding` says it.
pub(crate) const ALL: HeaderValue = HeaderValue::from_static(ALL_NAMES);

pub(super) const ALL_NAMES: &str = match (
    cfg!(feature = "gzip"),
    cfg!(feature = "deflate"),
    cfg!(feature = "zstd"),
) {
    (false, false, false) => "identity",
    (true, false, false) => "gzip",
    (false, true, false) => "deflate",
    (false, false, true) => "zstd",
    (true, true, false) => "gzip,deflate",
    (true, false, true) => "gzip,zstd",
    (false, true, true) => "deflate,zstd",
    (true, true, true) => "gzip,deflate,zstd",
};

const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

const fn bit(compression: Compression) -> u8 {
    1 << compression as u8
}

impl FromIterator<Compression> for Compressions {
    fn from_iter<I: IntoIterator<Item = Compression>>(compressions: I) -> Self {
        let bits = compressions.into_iter().map(bit);
        Self {
            bits: bits.fold(0, |bits, bit| bits | bit),
        }
    }
}

impl<const N: usize> From<[Compression; N]> for Compressions {
    fn from(compressions: [Compression; N]) -> Self {
        compressions.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Compressions {
        Compressions::read(&HeaderValue::from_str(text).unwrap())
    }

    #[test]
    fn what_is_said_is_what_is_read() {
        let all = Compressions::all();
        assert_eq!(all.header_value(), ALL_NAMES);
        assert_eq!(Compressions::read(&ALL), all);
        assert_eq!(all.iter().count(), Compression::ALL.len());
        for kind in Compression::ALL {
            let one = Compressions::from([*kind]);
            assert_eq!(one.header_value(), kind.name());
            assert_eq!(
                read(kind.name()),
                Compressions::from([*kind, Compression::Identity])
            );
        }
    }

    #[test]
    fn identity_is_said_only_where_there_is_nothing_else_to_say() {
        assert_eq!(Compressions::none().header_value(), "identity");
        let real = Compression::ALL
            .iter()
            .filter(|kind| **kind != Compression::Identity);
        assert_eq!(
            ALL_NAMES
                .split(',')
                .filter(|name| *name != "identity")
                .count(),
            real.count()
        );
    }

    #[test]
    fn empty_names_spaces_and_strangers_do_no_harm() {
        let identity = Compressions::from([Compression::Identity]);
        for text in ["", " ", ",,", "identity", "snappy, br", " identity ,"] {
            assert_eq!(read(text), identity, "{text:?}");
        }
    }

    #[cfg(all(feature = "gzip", feature = "deflate"))]
    #[test]
    fn names_are_read_whatever_is_around_them() {
        let both = Compressions::from([
            Compression::Identity,
            Compression::Gzip,
            Compression::Deflate,
        ]);
        for text in [
            "gzip,deflate",
            " deflate , gzip",
            "identity,deflate,gzip",
            "gzip,,snappy,deflate",
        ] {
            assert_eq!(read(text), both, "{text:?}");
        }
        assert_eq!(read("gzip").union(read("deflate")), both);
    }
}
