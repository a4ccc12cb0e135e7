//! The resource usage of a process: CPU time and memory, on Linux.
//!
//! CPU time is read from the process' own clock (`clock_getcpuclockid`). It has nanosecond
//! resolution, includes threads that have ended, and is current for running ones. The two files
//! that also contain it are coarser: `/proc/PID/stat` counts in ticks of 10 ms, and the `schedstat`
//! of a running thread lags behind by up to a scheduler tick.

use std::{
    fs,
    io::{Error, Result},
    time::Duration,
};

use nix::{time::ClockId, unistd::Pid};

/// The gauge of one process.
#[derive(Clone, Copy)]
pub(crate) struct Gauge {
    pid: u32,
}

impl Gauge {
    /// Returns the gauge of a process.
    pub(crate) fn of(pid: u32) -> Self {
        Self { pid }
    }

    /// Returns the CPU time so far of all threads, in user and kernel mode.
    pub(crate) fn cpu(self) -> Result<Duration> {
        let pid = i32::try_from(self.pid).map_err(Error::other)?;
        let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid))?;
        Ok(Duration::from(clock.now()?))
    }

    /// Returns the resident memory in KiB.
    pub(crate) fn resident_kib(self) -> Result<u64> {
        // `smaps_rollup` is exact; `status` and `statm` may be off by 64 pages per thread.
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid))?;
        let resident = rollup.lines().find_map(|line| line.strip_prefix("Rss:"));
        let kib = resident.and_then(|rest| rest.trim().strip_suffix("kB"));
        let kib = kib.and_then(|kib| kib.trim().parse().ok());
        kib.ok_or_else(|| Error::other("smaps_rollup has no line for resident memory"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_process_has_used_both() {
        let own = Gauge::of(std::process::id());

        assert!(own.cpu().is_ok_and(|cpu| cpu > Duration::ZERO));
        assert!(own.resident_kib().is_ok_and(|kib| kib > 100));
    }
}
