//! The resource usage of a process, from `/proc` on Linux.

use std::{fs, time::Duration};

use nix::{time::ClockId, unistd::Pid};

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

/// Returns the CPU time so far of all threads.
///
/// # Panics
/// If there is no such process.
#[must_use]
pub fn processor_time(pid: u32) -> Duration {
    let pid = Pid::from_raw(pid.try_into().expect("a process number of the system"));
    let clock = ClockId::pid_cpu_clock_id(pid).expect("a running process");
    clock.now().expect("a running process").into()
}

/// Returns the processes that this one has started, and that still run.
///
/// # Panics
/// If there is no `/proc`.
pub fn children(pid: u32) -> impl Iterator<Item = u32> {
    let processes = fs::read_dir("/proc").expect("the processes of the system");
    let numbers = processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(move |child| parent(*child) == Some(pid))
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name, which may contain anything, and the state.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

fn kib(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.parse().ok())
        .expect("a number of kB")
}
