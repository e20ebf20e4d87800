//! Streams that h2 resets for what a client did: a stream over the limit, DATA behind the end, a window beyond all
//! bounds, malformed headers.
//!
//! Each costs a server a call that is begun and thrown away (CVE-2025-8671), and its memory until the reset has
//! left, so h2 ends a connection that has had too many. It counts them for life: an honest client that is refused
//! a stream now and then would one day lose its calls. So they are counted here, and the connection is drained
//! while there are resets left.

use h2::Reason;

use super::Role;
use crate::settings;

/// How many of them have left.
#[derive(Debug)]
pub(super) struct ProvokedResets {
    left: usize,
    limit: usize,
}

impl ProvokedResets {
    /// A client's are as many as the calls it makes: there is no limit to them.
    pub(super) fn new(role: Role) -> Self {
        Self {
            left: 0,
            limit: match role {
                Role::Client => usize::MAX,
                Role::Server => settings::SERVER_LOCAL_ERROR_RESETS / 2,
            },
        }
    }

    /// RST_STREAM leaves. Says whether half of them are used up.
    pub(super) fn reset_out(&mut self, code: Reason) -> bool {
        // What a server resets for reasons of its own says one of these.
        let is_own = matches!(
            code,
            Reason::NO_ERROR | Reason::CANCEL | Reason::INTERNAL_ERROR
        );
        if !is_own {
            self.left += 1;
        }
        self.left > self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many resets of a kind leave before the connection is to be drained.
    fn passed(role: Role, code: Reason) -> Option<usize> {
        let mut provoked = ProvokedResets::new(role);
        (0..100_000).find(|_| provoked.reset_out(code))
    }

    #[test]
    fn half_of_what_h2_allows_a_client_to_provoke_is_enough() {
        for code in [
            Reason::PROTOCOL_ERROR,
            Reason::FLOW_CONTROL_ERROR,
            Reason::STREAM_CLOSED,
            Reason::REFUSED_STREAM,
        ] {
            assert_eq!(passed(Role::Server, code), Some(5_000), "{code}");
            assert_eq!(passed(Role::Client, code), None, "{code}");
        }
    }

    #[test]
    fn what_a_server_ends_for_reasons_of_its_own_is_not_provoked() {
        for code in [Reason::NO_ERROR, Reason::CANCEL, Reason::INTERNAL_ERROR] {
            assert_eq!(passed(Role::Server, code), None, "{code}");
        }
    }
}
