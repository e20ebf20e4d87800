//! What Highball's control plane costs: picks, a large update, subchannels that flap.

mod flapping;
mod generations;
mod picks;
mod update;

use std::process::ExitCode;

use bench_kit::{ControlReport, End, Result};

#[global_allocator]
static ALLOCATOR: bench_kit::Counting = bench_kit::Counting;

fn main() -> ExitCode {
    End::Client.begin();
    match measure().and_then(|report| Ok(serde_json::to_string(&report)?)) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<ControlReport> {
    let picks = picks::measure()?;
    let update = update::measure()?;
    let flapping = flapping::measure()?;
    Ok(ControlReport {
        pick_ns: picks.alone_ns,
        pick_ns_two_threads: picks.together_ns,
        pick_allocations: picks.allocations,
        update_ms: update.ms,
        update_generations: update.generations,
        bytes_with_one: update.bytes_with_one,
        bytes_with_many: update.bytes_with_many,
        bytes_after_shrinking: update.bytes_after_shrinking,
        flapping_cores: flapping.cores,
        flaps_per_second: flapping.per_second,
    })
}
