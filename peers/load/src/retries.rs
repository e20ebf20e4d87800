//! Counts transparent retries by what the channel logs of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

/// How many attempts of this process's channels were made again because no server had worked on them.
#[derive(Clone, Debug, Default)]
pub(crate) struct TransparentRetries(Arc<AtomicU64>);

impl TransparentRetries {
    /// Counts from here on.
    pub(crate) fn count() -> Self {
        let retries = Self::default();
        let watch = Watch(retries.clone());
        tracing::subscriber::set_global_default(watch).expect("nobody else watches");
        retries
    }

    pub(crate) fn so_far(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Takes no other event.
struct Watch(TransparentRetries);

fn is_retry(metadata: &Metadata<'_>) -> bool {
    metadata.target() == "channel" && metadata.fields().field("processed").is_some()
}

impl Subscriber for Watch {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match is_retry(metadata) {
            true => Interest::always(),
            false => Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_retry(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::DEBUG)
    }

    fn event(&self, _: &Event<'_>) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
