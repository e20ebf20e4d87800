//! The stacks whose programs are there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bench_kit::{Kind, Result};

use crate::options::Pair;

/// A stack whose programs are built.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    pub(crate) name: String,
    pub(crate) client: PathBuf,
    pub(crate) server: PathBuf,
}

impl Stack {
    /// The stack called `name`, or why it cannot run.
    pub(crate) fn named(name: &str) -> Result<Self> {
        let folder = folder()?;
        let program = |end: &str| {
            let path = folder.join(format!("{name}-{end}"));
            let missing = || format!("{name} skipped: {} is not built", path.display());
            if path.exists() {
                Ok(path)
            } else {
                Err(missing())
            }
        };
        Ok(Self {
            name: name.to_owned(),
            client: program("client")?,
            server: program("server")?,
        })
    }

    /// Whether it has a program that counts: what is not written in Rust has none.
    pub(crate) fn counts(&self) -> bool {
        folder().is_ok_and(|folder| folder.join(format!("{}-allocations", self.name)).exists())
    }

    /// The floor moves messages and knows no streams.
    pub(crate) fn has_streams(&self) -> bool {
        self.name != "floor"
    }

    pub(crate) fn can(&self, kind: Kind) -> bool {
        self.has_streams() || kind == Kind::Unary
    }
}

/// Where this program lies, and the others with it.
pub(crate) fn folder() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program.parent().map(Path::to_path_buf);
    folder.ok_or_else(|| "this program lies nowhere".into())
}

/// The stacks of `pairs`, and why some of them cannot run.
pub(crate) fn built(pairs: &[Pair]) -> Result<(Vec<Stack>, Vec<String>)> {
    let names: BTreeSet<_> = pairs
        .iter()
        .flat_map(|pair| [&pair.first, &pair.second])
        .collect();
    let (mut stacks, mut skipped) = (Vec::new(), Vec::new());
    for name in names {
        match Stack::named(name) {
            Ok(stack) => stacks.push(stack),
            Err(reason) => skipped.push(reason.to_string()),
        }
    }
    if stacks.is_empty() {
        return Err(skipped.join("\n").into());
    }
    Ok((stacks, skipped))
}
