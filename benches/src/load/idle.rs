//! The load of idle connections: the memory that a server needs for each.

use std::io::{Error, Result};

use tokio::{task::JoinSet, time::sleep};

use super::{OPENERS, REST};
use crate::{
    figures::{Figure, Sample},
    label::Label,
    server::Server,
    socket::Socket,
};

/// Runs the load.
pub(crate) async fn run(server: &Server, connections: u32) -> Result<Sample> {
    // One connection first, so that one-time allocations of the server do not count.
    drop(open(server.port(0), 1).await?);
    sleep(REST).await;
    let (memory_before, cpu_before) = (server.resident_kib()?, server.cpu()?);

    let mut openers = JoinSet::new();
    for _ in 0..OPENERS {
        openers.spawn(open(server.port(0), connections / OPENERS));
    }
    let mut sockets = Vec::new();
    while let Some(opened) = openers.join_next().await {
        sockets.extend(opened.map_err(Error::other)??);
    }
    sleep(REST).await;
    let (memory_after, cpu_after) = (server.resident_kib()?, server.cpu()?);

    // They count only if all of them still work.
    for socket in &mut sockets {
        socket.exchange(text(1)).await?;
    }
    let count = sockets.len() as f64;
    let memory_kib = memory_after.saturating_sub(memory_before);
    let cpu = cpu_after - cpu_before;
    Ok(Sample {
        figures: vec![
            (Figure::CpuUs, cpu.as_secs_f64() * 1e6 / count),
            (Figure::MemoryKib, memory_kib as f64 / count),
        ],
        ..Sample::default()
    })
}

async fn open(port: u16, count: u32) -> Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    for _ in 0..count {
        let mut socket = Socket::open(port, "/ws/echo").await?;
        socket.exchange(text(0)).await?;
        sockets.push(socket);
    }
    Ok(sockets)
}

fn text(sequence: u64) -> Label {
    Label {
        sender: 0,
        sequence,
        sent_ns: 0,
    }
}
