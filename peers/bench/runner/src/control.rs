//! What the control plane costs, as the program `highball-control` measures it.

use bench_kit::{ControlReport, Result};

use crate::program;
use crate::stack;

/// Runs the program; an error says why it cannot.
pub(crate) fn run() -> Result<ControlReport> {
    eprintln!("control plane");
    program::run(&stack::folder()?.join("highball-control"), &[])
}
