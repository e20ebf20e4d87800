//! What can go wrong between a `.proto` file and a Rust file.

use std::io;
use std::path::PathBuf;

/// Why no code was generated, or why it could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A `.proto` file is missing or wrong; the text names the file and, if it can, line and column.
    #[error("{0:?}")]
    Proto(#[from] protox::Error),
    /// A proto path was configured twice, or one that is not a path.
    #[error("cannot generate: {0}")]
    Generate(#[source] io::Error),
    /// There is no output folder: none was set, and this does not run in a build script.
    #[error(
        "no output folder: call Builder::out_dir, or run in a build script, where OUT_DIR is set"
    )]
    NoOutputFolder,
    /// A generated file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
