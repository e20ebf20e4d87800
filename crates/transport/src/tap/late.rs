//! Small DATA that comes for streams which this end has reset.
//!
//! h2 has a budget for small DATA frames that are not read. What comes too late for anybody to read is charged
//! to it, too, and never given back: after some hundred thousand cancelled calls h2 ends a healthy connection,
//! and the calls on it. So the charge is counted here, and the connection drained while there is budget left.

use super::Role;
use super::scanner::FrameHead;
use crate::settings;

/// The size below which h2 charges a frame, with what it lacks.
const SMALL: u32 = 256;

/// How many streams are remembered: the youngest, as ids rise by two. A power of two.
const STREAMS: usize = 1024;

/// What h2 has charged for late DATA, as far as can be told from outside.
#[derive(Debug)]
pub(super) struct LateData {
    /// The last of the streams with this index that was reset here. Boxed on first use, which most
    /// connections never make.
    reset: Option<Box<[u32; STREAMS]>>,
    charged: usize,
    limit: usize,
}

impl LateData {
    pub(super) fn new(role: Role) -> Self {
        let budget = match role {
            Role::Client => settings::CLIENT_DATA_FRAME_BUDGET,
            Role::Server => settings::SERVER_DATA_FRAME_BUDGET,
        };
        Self {
            reset: None,
            charged: 0,
            limit: budget / 2,
        }
    }

    /// RST_STREAM leaves.
    pub(super) fn reset_out(&mut self, stream: u32) {
        let reset = self.reset.get_or_insert_with(|| Box::new([0; STREAMS]));
        reset[index(stream)] = stream;
    }

    /// DATA has come. Says whether half of the budget is gone.
    #[inline]
    pub(super) fn data_in(&mut self, head: FrameHead) -> bool {
        match &self.reset {
            Some(reset) if reset[index(head.stream)] == head.stream => self.charge(head),
            _ => false,
        }
    }

    fn charge(&mut self, head: FrameHead) -> bool {
        if !head.ends_stream() && (1..SMALL).contains(&head.length) {
            self.charged += (SMALL - head.length) as usize;
        }
        self.charged > self.limit
    }
}

fn index(stream: u32) -> usize {
    (stream >> 1) as usize % STREAMS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tap::scanner::kind;

    fn data(stream: u32, length: u32, flags: u8) -> FrameHead {
        FrameHead {
            length,
            kind: kind::DATA,
            flags,
            stream,
        }
    }

    #[test]
    fn what_comes_late_and_small_is_counted_and_nothing_else() {
        let mut late = LateData::new(Role::Client);
        late.data_in(data(1, 6, 0));
        late.reset_out(3);
        for head in [
            data(1, 6, 0),
            data(3, 0, 0),
            data(3, 256, 0),
            data(3, 6, 1),
            // Another that shares its place.
            data(3 + 2 * STREAMS as u32, 6, 0),
        ] {
            late.data_in(head);
        }
        assert_eq!(late.charged, 0);
        late.data_in(data(3, 6, 0));
        late.data_in(data(3, 255, 0));
        assert_eq!(late.charged, 251);
    }

    #[test]
    fn half_of_the_budget_is_enough() {
        let mut late = LateData::new(Role::Server);
        late.reset_out(1);
        let frames = settings::SERVER_DATA_FRAME_BUDGET / 2 / 255;
        assert!((0..frames).all(|_| !late.data_in(data(1, 1, 0))));
        assert!(late.data_in(data(1, 1, 0)));
    }
}
