//! What the peer of one connection has said that it reads. It says the same with each call, so that is read once.

use http::HeaderValue;

use super::set::ALL_NAMES;
use super::{Compression, Compressions};

/// More than this is not remembered: a list of all encodings that there are is shorter.
const LONGEST: usize = 128;

/// All that is known here is what everybody reads: nothing that a peer says makes a difference.
const IS_DECIDED: bool = Compression::ALL.len() == 1;

#[derive(Debug)]
pub(crate) struct Heard {
    /// The last value that was not this build's own. A copy: the value that came may keep a whole frame.
    said: Box<[u8]>,
    /// What that means.
    reads: Compressions,
}

impl Heard {
    pub(crate) fn nothing() -> Self {
        Self {
            said: Box::default(),
            reads: Compressions::from([Compression::Identity]),
        }
    }

    /// What the peer reads, by (one of) its `grpc-accept-encoding`.
    #[inline]
    pub(crate) fn read(&mut self, value: HeaderValue) -> Compressions {
        if IS_DECIDED || value == ALL_NAMES {
            return Compressions::all();
        }
        self.read_other(value)
    }

    /// A function of its own, which takes the value: those of all fields would be in memory for it else.
    #[inline(never)]
    fn read_other(&mut self, value: HeaderValue) -> Compressions {
        if *value.as_bytes() == *self.said {
            return self.reads;
        }
        let reads = Compressions::read(&value);
        if value.len() <= LONGEST {
            self.said = value.as_bytes().into();
            self.reads = reads;
        }
        reads
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_heard_again_means_the_same_again() {
        let mut heard = Heard::nothing();
        let long = format!("identity,{}", "x".repeat(LONGEST));
        let values = [
            "",
            "identity",
            "gzip",
            "identity,deflate,gzip",
            &long,
            "gzip",
            "",
        ];
        for value in values {
            let value = HeaderValue::from_str(value).unwrap();
            for _ in 0..3 {
                assert_eq!(
                    heard.read(value.clone()),
                    Compressions::read(&value),
                    "{value:?}"
                );
            }
            assert!(heard.said.len() <= LONGEST);
        }
        assert_eq!(
            heard.read(HeaderValue::from_static(ALL_NAMES)),
            Compressions::all()
        );
    }

    #[cfg(feature = "gzip")]
    #[test]
    fn what_a_peer_says_each_time_is_read_once() {
        let mut heard = Heard::nothing();
        let value = HeaderValue::from_static("gzip, identity, snappy");
        let reads = Compressions::from([Compression::Gzip, Compression::Identity]);
        assert_eq!(heard.read(value.clone()), reads);
        let kept = heard.said.as_ptr();
        assert_eq!(heard.read(value.clone()), reads);
        assert_eq!(heard.said.as_ptr(), kept);
    }
}
