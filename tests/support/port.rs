//! Free loopback ports that remain reserved while the process behind them restarts.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU16, Ordering},
};

/// The range of ports, below the system's ephemeral ports,
/// so that no client of another test can take a port while its server is down.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// Returns a port on which no process listens.
///
/// # Panics
/// If the whole range is in use.
pub fn free_port() -> u16 {
    (0..RANGE.len())
        .map(|_| next_candidate())
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free loopback port")
}

/// Returns a different port on each call; concurrent test processes start at different offsets.
fn next_candidate() -> u16 {
    static COUNT: AtomicU16 = AtomicU16::new(0);

    let width = u32::from(RANGE.end - RANGE.start);
    let start = std::process::id().wrapping_mul(37);
    let offset = start.wrapping_add(u32::from(COUNT.fetch_add(1, Ordering::Relaxed))) % width;
    RANGE.start + u16::try_from(offset).expect("the range is narrower than a port")
}
