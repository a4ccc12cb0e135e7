//! The resource usage of a process, from `/proc` on Linux.

use std::fs;

/// Returns the resident memory in KiB.
///
/// # Panics
/// If there is no such process.
#[must_use]
pub fn resident_memory_kib(pid: u32) -> u64 {
    kib(pid, "VmRSS:")
}

/// Returns the peak resident memory in KiB, which includes peaks in the past.
///
/// # Panics
/// If there is no such process.
#[must_use]
pub fn peak_memory_kib(pid: u32) -> u64 {
    kib(pid, "VmHWM:")
}

/// Returns the number of open file descriptors, sockets included.
///
/// # Panics
/// If there is no such process.
#[must_use]
pub fn descriptors(pid: u32) -> usize {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).expect("a running process");
    open.count()
}

fn kib(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.parse().ok())
        .expect("a number of kB")
}
