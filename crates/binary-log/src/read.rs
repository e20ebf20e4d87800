//! Reading a log back.

use std::io::{self, Read};

use prost::Message as _;

use crate::v1::GrpcLogEntry;

/// The entries of a binary log, in the order in which they were written.
///
/// Ends at the end of the log, or after an error: an entry that is cut short, or none.
///
/// ```no_run
/// let log = std::io::BufReader::new(std::fs::File::open("calls.binlog")?);
/// for entry in highball_binary_log::read(log) {
///     println!("{:?}", entry?);
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn read(log: impl Read) -> impl Iterator<Item = io::Result<GrpcLogEntry>> {
    let mut log = Some(log);
    std::iter::from_fn(move || {
        let next = next(log.as_mut()?).transpose();
        if !matches!(next, Some(Ok(_))) {
            log = None;
        }
        next
    })
}

fn next(log: &mut impl Read) -> io::Result<Option<GrpcLogEntry>> {
    let mut length = [0; 4];
    match log.read(&mut length[..1])? {
        0 => return Ok(None),
        _ => log.read_exact(&mut length[1..])?,
    }
    let length = u32::from_be_bytes(length);
    let mut entry = Vec::new();
    // The buffer grows with what is there: a length that promises more allocates nothing.
    if log.take(u64::from(length)).read_to_end(&mut entry)? < length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(GrpcLogEntry::decode(&*entry)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outcome(log: &[u8]) -> Vec<Result<u64, io::ErrorKind>> {
        read(log)
            .map(|entry| {
                entry
                    .map(|entry| entry.call_id)
                    .map_err(|error| error.kind())
            })
            .collect()
    }

    #[test]
    fn a_log_that_is_cut_short_or_garbled_says_so_and_ends() {
        let entry = b"\0\0\0\x02\x10\x07";
        assert_eq!(outcome(b""), []);
        assert_eq!(outcome(entry), [Ok(7)]);
        assert_eq!(outcome(&entry.repeat(2)), [Ok(7), Ok(7)]);
        let eof = Err(io::ErrorKind::UnexpectedEof);
        for cut in 1..entry.len() {
            assert_eq!(outcome(&entry[..cut]), [eof]);
        }
        assert_eq!(outcome(b"\xff\xff\xff\xff\x10\x07"), [eof]);
        assert_eq!(outcome(b"\0\0\0\x02\xff\xff\0\0\0\0").len(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_their_end_or_to_the_first_error(
            log: Vec<u8>,
            entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..5),
        ) {
            let framed = entries.iter().flat_map(|entry| [&[0, 0, 0, entry.len() as u8], &**entry].concat());
            for log in [log, framed.collect()] {
                let outcome = outcome(&log);
                let errors = outcome.iter().filter(|entry| entry.is_err()).count();
                prop_assert!(errors == 0 || (errors == 1 && outcome.last().is_some_and(Result::is_err)));
            }
        }
    }
}
