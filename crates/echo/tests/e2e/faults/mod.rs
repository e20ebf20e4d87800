//! Named faults, each with what an application may see of it and no more. Faults 1 to 13 are of resolvers and
//! configs, 68 to 78 of policies and misuse: see `control_plane.rs`, `bad_config.rs`, `hostile.rs`, `idleness.rs`
//! and, for 77, deadline-while-queued and others, `deadlines.rs`.
//!
//! | fault | test |
//! |---|---|
//! | 14 refused | [`connecting`] |
//! | 15 blackholed-first | [`connecting`], `life.rs`: a_blackholed_first_address_costs_250_milliseconds |
//! | 16 blackholed-all | [`connecting`] |
//! | 17 unreachable, 18 broken-ipv6 | [`connecting`] |
//! | 19 accept-then-close, 21 half-settings, 22 http1-server, 23 goaway-before-settings | [`connecting`] |
//! | 20 mute-server | `life.rs`: f20_mute_server… |
//! | 24 tls-to-plain and plain-to-tls, 25 wrong-alpn and no-alpn, 26 cert-expired and others, 27 client-cert-missing | `tests/tls/refused.rs` |
//! | 28 stalled-tls | `tests/tls/stalled.rs` |
//! | 29 emfile-on-connect, 30 uds-vanishes | [`connecting`]; a real EMFILE: `tests/descriptors.rs` |
//! | 31 wrong-service-behind-port | [`in_flight`] |
//! | 32 rst-refused | `transparent_retries.rs`: f32_rst_refused… |
//! | 33 rst-cancel, 34 rst-noerror-after-trailers | [`in_flight`] |
//! | 34 rst-noerror-before-trailers, 36 rst-mid-message | [`replies`], `negative_http2.rs` |
//! | 35 rst-mid-headers | [`in_flight`] |
//! | 37 end-stream-on-data, 38 truncated-then-ok-trailers | [`replies`], `statuses.rs` |
//! | 39 one-byte-at-a-time | [`in_flight`]; its largest case, which is ignored by default: `.ci/run` |
//! | 40 reordered-tiny-frames | [`replies`], `negative_http2.rs`: data_frame_padding |
//! | 41 tcp-rst | [`in_flight`] |
//! | 42 half-open | [`alive`]; TCP_USER_TIMEOUT (gRFC A18): transport's `tests/sockets.rs` |
//! | 43 one-way-partition | [`alive`] |
//! | 44 peer-zero-window | [`flow`] |
//! | 45 unread-stream | `cancellation.rs`: f45_unread_stream… |
//! | 46 max-streams-lowered, 47 window-shrinks-negative | [`flow`] |
//! | 48 data-before-headers and others | [`in_flight`], transport's `wire/bad_server.rs` |
//! | 49 settings-flood, ping-flood, 1xx-flood | [`in_flight`], transport's `wire/limits.rs`; what they cost: `tests/floods.rs` |
//! | 50 oversize-initial-metadata | [`in_flight`], transport's `wire/statuses.rs`, also of trailers |
//! | 51 stream-id-exhaustion | [`flow`] |
//! | 52 late-data-after-cancel | transport's `wire/flow.rs`: f52_late_data_after_cancel…, e17_before_late_data_ends… |
//! | 53 goaway-graceful-inflight, 58 goaway-then-close, 59 goaway-during-handshake | [`goaway`] |
//! | 54 goaway-races-pick, 55 goaway-lower-last-id | [`goaway`], `transparent_retries.rs` |
//! | 56 goaway-twice | [`goaway`], transport's `wire/goaway.rs` |
//! | 57 goaway-too-many-pings | [`alive`], `tests/logs.rs`, transport's `wire/keepalive.rs` |
//! | 60 max-connection-age | [`alive`] |
//! | 62 server-sigstop | [`alive`] |
//! | 61 rolling-restart-graceful, rolling-kill-9 | `restarts.rs`: f61_rolling_restart_graceful…, f61_rolling_kill_9… |
//! | 63 slow-accept | [`connecting`] |
//! | 64 server-overload | the server's `quota.rs`: f64_server_overload… |
//! | 65 graceful-stop-with-stuck-stream | the server's `stopping.rs`: f65_graceful_stop_with_stuck_stream… |
//! | 66 client-ignores-drain-ping | the server's `stopping.rs`: f66_client_ignores_drain_ping… |
//! | 67 cert-rotation-live | `tests/tls/renewal.rs` |

mod alive;
mod connecting;
mod flow;
mod goaway;
mod in_flight;
mod network;
mod replies;
