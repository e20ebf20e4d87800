//! What Linux knows of a process, from `/proc`.

use std::fs;

/// The clock ticks in a second, as `/proc` counts them on every Linux.
const TICKS: f64 = 100.0;

/// What a process has used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// User and system time of all its threads, to 10 ms.
    pub(crate) cpu_seconds: f64,
    /// Its resident memory.
    pub(crate) rss_kib: u64,
}

impl Usage {
    /// What `pid`, or else this process, has used so far. Zero where nobody can tell.
    pub(crate) fn now(pid: Option<u32>) -> Self {
        let folder = pid.map_or("/proc/self".to_owned(), |pid| format!("/proc/{pid}"));
        let read = |name| fs::read_to_string(format!("{folder}/{name}")).unwrap_or_default();
        Self {
            cpu_seconds: cpu_seconds(&read("stat")).unwrap_or_default(),
            rss_kib: rss_kib(&read("status")).unwrap_or_default(),
        }
    }
}

/// The CPU time of the thread that asks, to 10 ms.
pub fn thread_cpu_seconds() -> std::io::Result<f64> {
    let stat = fs::read_to_string("/proc/thread-self/stat")?;
    Ok(cpu_seconds(&stat).unwrap_or_default())
}

/// Fields 14 and 15; the second field is a name in parentheses that may hold spaces.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

fn rss_kib(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_a_name_with_spaces() {
        let stat = "7 (a (b) c) R 1 7 7 0 -1 4194304 90 0 0 0 120 30 0 0 20 0";
        assert_eq!(cpu_seconds(stat), Some(1.5));
    }

    #[test]
    fn this_process_has_memory() {
        assert!(Usage::now(None).rss_kib > 0);
    }
}
