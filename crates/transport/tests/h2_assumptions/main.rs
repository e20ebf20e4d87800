//! What h2 does that this transport is built around, pinned against h2 itself, each by its number.
//!
//! Nothing of this crate runs here. A test that fails after an upgrade of h2 says that a reason has gone, or
//! has changed: its row names what stands on it. Every test prints h2's version, which a failure shows.
//!
//! | trap | h2 | so this transport |
//! |---|---|---|
//! | E1 | 139 small messages that nobody has read close the connection | sets the budget for small frames |
//! | E3 | 100 empty DATA frames in a life close it | cannot help it |
//! | E4 | 1,024 streams that h2 reset itself, in a life, close it | lifts the count at a client, whose calls they are |
//! | E5 | so do 1,024 refused streams, at a server | raises it; the tap counts them, and the connection is drained before |
//! | E6 | trailers over the limit lose fields without a word | gives h2 four times the limit it enforces |
//! | E7 | the handshake is done before the server has said anything | waits for SETTINGS |
//! | E8 | streams over the peer's limit are queued, and opened after GOAWAY | has a gate of its own |
//! | E9 | a stream is reset when its last handle goes, whatever that is | keeps both halves in one cell |
//! | E10 | a server's limit of streams does not bound its handlers | has a quota of handlers |
//! | E14 | errors tell who ended what, and by which code | classifies by them |
//! | E16 | capacity and reset share one waker | asks for both in one place |
//! | E17 | late DATA on cancelled streams uses up the budget of E1 | sets it high |
//! | E19 | interim responses are queued without limit | the tap counts them |
//! | E20 | PING, SETTINGS, PRIORITY, WINDOW_UPDATE, unknown frames: no limit | the tap counts them |
//! | hol | one unread stream can hold the window of all | grants the connection what goes unread |
//! | stuck | nothing is read while the answer to a PING or SETTINGS waits to be written | lets it be written |
//! | rst | a reset of an unopened stream waits behind its data | sends data only with capacity in hand |
//! | accept | accepting drives the connection; so does waiting for its end | waits, when the quota is used up |
//! | status | a `:status` that is no number ends the connection, none at all only its stream | sees in the tap whose reply it was |
//! | fields | names and values that HTTP forbids end the connection, at both ends, as does such a `:method` | cannot help it |
//! | list | the peer's MAX_HEADER_LIST_SIZE is not kept to | the tap reads it |
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

mod ends;
mod floods;
mod flow;
mod headers;
mod life;
mod serving;
