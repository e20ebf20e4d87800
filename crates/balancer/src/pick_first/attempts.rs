//! The addresses of pick_first in the order to try them, each with its subchannel if it has one.

use std::collections::HashMap;
use std::fmt;

use highball_core::{Address, Status};

use crate::{Cx, Subchannel, SubchannelId, SubchannelState};

/// One address and what has come of it.
pub(super) struct Attempt {
    address: Address,
    /// Made when the address is first tried; dropped when another one wins or the address goes.
    pub(super) subchannel: Option<Subchannel>,
    /// What the subchannel said last; its own backoff runs whatever this policy does.
    pub(super) raw: SubchannelState,
    /// Whether it failed in the pass that runs.
    pub(super) failed: bool,
}

/// Where trying an address led.
pub(super) enum Tried {
    /// An attempt runs.
    Underway,
    /// It waits out the backoff after this failure.
    InBackoff(Status),
}

impl Attempt {
    fn new(address: Address) -> Self {
        Self {
            address,
            subchannel: None,
            raw: SubchannelState::Idle,
            failed: false,
        }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Connects unless that is underway or in backoff already.
    pub(super) fn try_now(&mut self, cx: &mut Cx<'_>) -> Tried {
        if let SubchannelState::TransientFailure(status) = &self.raw {
            self.failed = true;
            return Tried::InBackoff(status.clone());
        }
        let subchannel = self
            .subchannel
            .get_or_insert_with(|| cx.new_subchannel(self.address.clone()));
        if self.raw == SubchannelState::Idle {
            subchannel.connect();
        }
        Tried::Underway
    }

    /// Connects again if the backoff is over.
    pub(super) fn retry(&self) {
        if let (SubchannelState::Idle, Some(subchannel)) = (&self.raw, &self.subchannel) {
            subchannel.connect();
        }
    }

    /// Lets the subchannel go, and its backoff with it.
    fn release(&mut self) {
        self.subchannel = None;
        self.raw = SubchannelState::Idle;
    }
}

/// All attempts, in order. Never two for one address.
#[derive(Default)]
pub(super) struct Attempts(Vec<Attempt>);

impl Attempts {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Attempt> {
        self.0.get_mut(index)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Attempt> {
        self.0.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Attempt> {
        self.0.iter_mut()
    }

    /// Which attempt a subchannel belongs to.
    pub(super) fn position(&self, id: SubchannelId) -> Option<usize> {
        let has_it = |attempt: &Attempt| attempt.subchannel.as_ref().is_some_and(|s| s.id() == id);
        self.0.iter().position(has_it)
    }

    /// Takes over a new list: addresses in both keep their subchannels with their backoff.
    pub(super) fn replace(&mut self, addresses: Vec<Address>) {
        if self.0.is_empty() {
            self.0 = addresses.into_iter().map(Attempt::new).collect();
            return;
        }
        let old = std::mem::take(&mut self.0).into_iter();
        let mut old: HashMap<_, _> = old.map(|a| (a.address.clone(), a)).collect();
        let keep = |address| {
            old.remove(&address)
                .unwrap_or_else(|| Attempt::new(address))
        };
        self.0 = addresses.into_iter().map(keep).collect();
        let mut gone: Vec<_> = old.into_values().filter_map(|a| a.subchannel).collect();
        gone.sort_by_key(Subchannel::id);
    }

    /// One has won: lets all others go. Returns the winner's subchannel.
    pub(super) fn release_all_but(&mut self, winner: usize) -> Option<&Subchannel> {
        for (_, loser) in self.0.iter_mut().enumerate().filter(|(i, _)| *i != winner) {
            loser.release();
        }
        self.0.get(winner)?.subchannel.as_ref()
    }

    /// Lets all go, and the addresses with them.
    pub(super) fn clear(&mut self) {
        self.0 = Vec::new();
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subchannel {
            Some(subchannel) => write!(f, "{subchannel:?} {}", self.raw),
            None => write!(f, "{:?} not tried", self.address),
        }
    }
}

impl fmt::Debug for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
