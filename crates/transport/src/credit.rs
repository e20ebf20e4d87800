//! What has been read of a stream and is owed to flow control.

use std::task::{Context, Poll};

use bytes::Bytes;
use h2::RecvStream;

/// How much may be owed. Small, for somebody may read a message of each of very many streams and then
/// leave them be: together they must not hold the window of the connection.
const MOST: usize = 512;

/// Gives the bytes of DATA frames back to flow control once they have been read: at once when they are
/// many, with the next wait when they are few. A call with one small reply never gives back anything,
/// since h2 does that at the end of a stream.
#[derive(Debug, Default)]
pub(crate) struct Credit {
    owed: usize,
}

impl Credit {
    /// The next DATA of the stream.
    pub(crate) fn poll_data(
        &mut self,
        body: &mut RecvStream,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, h2::Error>>> {
        let polled = body.poll_data(cx);
        match &polled {
            Poll::Ready(Some(Ok(data))) => {
                self.owed += data.len();
                if self.owed > MOST {
                    self.settle(body);
                }
            }
            Poll::Ready(_) => {}
            Poll::Pending => self.settle(body),
        }
        polled
    }

    fn settle(&mut self, body: &mut RecvStream) {
        if self.owed > 0 {
            // Cannot fail: this much has come.
            let _ = body.flow_control().release_capacity(self.owed);
            self.owed = 0;
        }
    }
}
