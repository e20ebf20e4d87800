//! Metadata: the headers and trailers of a call that belong to the application.

mod binary;
mod key;
mod map;

pub use binary::UndecodableBinary;
pub use map::{Entry, InvalidMetadata, MetadataMap};
