//! The resolver of an active channel, and the line to it.

use std::task::{Context, Poll, Waker};

use highball_resolver::{Inbox, pair, supervise};

use super::{Message, Setup};

/// A running resolver. Dropping this ends it.
#[derive(Debug)]
pub(crate) struct Resolving {
    inbox: Inbox,
    /// It has said all that it will ever say.
    ended: bool,
}

impl Resolving {
    pub(crate) fn start(setup: &Setup) -> Self {
        let (updates, inbox) = pair();
        let (factory, target) = (setup.factory.clone(), setup.target.clone());
        let options = setup.resolver_options.clone();
        let mut life = Box::pin(supervise(factory, target, options, updates));
        // One that knows its answer gives it here, and not when its task comes up.
        let mut nobody = Context::from_waker(Waker::noop());
        if life.as_mut().poll(&mut nobody).is_pending() {
            tokio::spawn(life);
        }
        Self {
            inbox,
            ended: false,
        }
    }

    pub(crate) fn request(&self) {
        self.inbox.request_resolution();
    }

    /// What the resolver says next; nothing more once it has ended.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Message> {
        if self.ended {
            return Poll::Pending;
        }
        self.inbox.poll_recv(cx).map(|said| match said {
            Some(said) => Message::Resolved(said),
            None => {
                self.ended = true;
                Message::ResolverEnded
            }
        })
    }
}
