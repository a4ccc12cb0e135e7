//! The loads as data, with one file for each kind.
//!
//! All are closed loops: a client sends its next message when it has received an earlier one.

mod crowd;
mod echo;
mod handshakes;
mod idle;
mod requests;
mod rooms;

use std::{io::Result, time::Duration};

use self::crowd::Transport;
use crate::{
    course::Pace,
    figures::Sample,
    label::LENGTH,
    server::{Loads, Server},
};

/// The number of connections that are opened concurrently.
const OPENERS: u32 = 50;

/// The time for a server to settle before its memory is read.
const REST: Duration = Duration::from_millis(300);

/// The load that is also put on a server that compresses messages.
const COMPRESSIBLE: &str = "room-1000-1k";

/// A load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Its name in flags and JSON.
    pub(crate) key: &'static str,
    /// Its name in the table.
    pub(crate) title: &'static str,
    /// The counted unit.
    pub(crate) unit: &'static str,
    load: Load,
}

const ROOMS_50X10: Shape = Shape {
    key: "rooms-50x10",
    title: "50 rooms of 10, 2 of each sending",
    unit: "delivery",
    load: Load::Rooms {
        rooms: 50,
        members: 10,
        senders: 2,
        bytes: LENGTH,
    },
};

/// The loads over Redis, in the order of the report.
pub(crate) const OVER_REDIS: [Shape; 6] = [
    Shape {
        key: "rooms-50x10-busy",
        title: "50 rooms of 10, all of them sending",
        unit: "delivery",
        load: Load::Rooms {
            rooms: 50,
            members: 10,
            senders: 10,
            bytes: LENGTH,
        },
    },
    Shape {
        key: "rooms-10x100-busy",
        title: "10 rooms of 100, 20 of each sending",
        unit: "delivery",
        load: Load::Rooms {
            rooms: 10,
            members: 100,
            senders: 20,
            bytes: LENGTH,
        },
    },
    Shape {
        key: "room-1000-busy",
        title: "one room of 1,000, 40 of them sending",
        unit: "delivery",
        load: Load::Rooms {
            rooms: 1,
            members: 1000,
            senders: 40,
            bytes: LENGTH,
        },
    },
    ROOMS_50X10,
    Shape {
        key: "rooms-10x100",
        title: "10 rooms of 100, 4 of each sending",
        unit: "delivery",
        load: Load::Rooms {
            rooms: 10,
            members: 100,
            senders: 4,
            bytes: LENGTH,
        },
    },
    Shape {
        key: "room-1000",
        title: "one room of 1,000, 8 of them sending",
        unit: "delivery",
        load: Load::Rooms {
            rooms: 1,
            members: 1000,
            senders: 8,
            bytes: LENGTH,
        },
    },
];

/// The loads in memory, in the order of the report.
pub(crate) const IN_MEMORY: [Shape; 15] = [
    Shape {
        key: "echo-1",
        title: "echo: 32 connections, 1 message in flight on each",
        unit: "message",
        load: Load::Echo {
            connections: 32,
            under_way: 1,
        },
    },
    Shape {
        key: "echo-16",
        title: "echo: 32 connections, 16 messages in flight on each",
        unit: "message",
        load: Load::Echo {
            connections: 32,
            under_way: 16,
        },
    },
    Shape {
        key: "room-200",
        title: "one room of 200, 8 of them sending",
        unit: "delivery",
        load: Load::Rooms {
            rooms: 1,
            members: 200,
            senders: 8,
            bytes: LENGTH,
        },
    },
    Shape {
        key: "room-200-4k",
        title: "one room of 200, 8 of them sending 4 KiB",
        unit: "delivery",
        load: Load::Rooms {
            rooms: 1,
            members: 200,
            senders: 8,
            bytes: 4 * 1024,
        },
    },
    Shape {
        key: "room-200-64k",
        title: "one room of 200, 8 of them sending 64 KiB",
        unit: "delivery",
        load: Load::Rooms {
            rooms: 1,
            members: 200,
            senders: 8,
            bytes: 64 * 1024,
        },
    },
    Shape {
        key: COMPRESSIBLE,
        title: "one room of 1,000, 8 of them sending 1 KiB",
        unit: "delivery",
        load: Load::Rooms {
            rooms: 1,
            members: 1000,
            senders: 8,
            bytes: 1024,
        },
    },
    Shape {
        key: "room-2000",
        title: "one room of 2,000, one more sending",
        unit: "delivery",
        load: Load::Crowd {
            listeners: 2000,
            transport: Transport::WebSocket,
            bytes: LENGTH,
        },
    },
    Shape {
        key: "room-2000-4k",
        title: "one room of 2,000, one more sending 4 KiB",
        unit: "delivery",
        load: Load::Crowd {
            listeners: 2000,
            transport: Transport::WebSocket,
            bytes: 4 * 1024,
        },
    },
    Shape {
        key: "room-2000-64k",
        title: "one room of 2,000, one more sending 64 KiB",
        unit: "delivery",
        load: Load::Crowd {
            listeners: 2000,
            transport: Transport::WebSocket,
            bytes: 64 * 1024,
        },
    },
    ROOMS_50X10,
    Shape {
        key: "handshakes",
        title: "handshakes: 32 clients, each opens and closes a connection",
        unit: "handshake",
        load: Load::Handshakes { clients: 32 },
    },
    Shape {
        key: "http",
        title: "HTTP GET /, 32 connections kept alive",
        unit: "request",
        load: Load::Requests { connections: 32 },
    },
    Shape {
        key: "idle",
        title: "idle: 5,000 connections, one message on each",
        unit: "connection",
        load: Load::Idle { connections: 5000 },
    },
    Shape {
        key: "crowd",
        title: "one room of 5,000 WebSockets, one more sending",
        unit: "delivery",
        load: Load::Crowd {
            listeners: 5000,
            transport: Transport::WebSocket,
            bytes: LENGTH,
        },
    },
    Shape {
        key: "crowd-sse",
        title: "one room of 5,000 event streams, a WebSocket sending",
        unit: "delivery",
        load: Load::Crowd {
            listeners: 5000,
            transport: Transport::EventStream,
            bytes: LENGTH,
        },
    },
];

/// The kind and the parameters of a load.
#[derive(Clone, Copy, Debug)]
enum Load {
    Echo {
        connections: u32,
        under_way: u64,
    },
    Rooms {
        rooms: u32,
        members: u32,
        senders: u32,
        bytes: usize,
    },
    Handshakes {
        clients: u32,
    },
    Requests {
        connections: u32,
    },
    Idle {
        connections: u32,
    },
    Crowd {
        listeners: u32,
        transport: Transport,
        bytes: usize,
    },
}

impl Shape {
    /// Returns whether a server that takes these loads can take this one.
    pub(crate) fn suits(&self, loads: Loads) -> bool {
        match loads {
            Loads::All => true,
            Loads::WithoutRooms => !matches!(self.load, Load::Rooms { .. } | Load::Crowd { .. }),
            Loads::Compressible => self.key == COMPRESSIBLE,
        }
    }

    /// Runs the load on a server.
    pub(crate) async fn run(&self, server: &Server, pace: Pace) -> Result<Sample> {
        match self.load {
            Load::Echo {
                connections,
                under_way,
            } => echo::run(server, pace, connections, under_way).await,
            Load::Rooms {
                rooms,
                members,
                senders,
                bytes,
            } => {
                let size = rooms::Size {
                    rooms,
                    members,
                    senders,
                    bytes,
                };
                rooms::run(server, pace, size).await
            }
            Load::Handshakes { clients } => handshakes::run(server, pace, clients).await,
            Load::Requests { connections } => requests::run(server, pace, connections).await,
            Load::Idle { connections } => idle::run(server, connections).await,
            Load::Crowd {
                listeners,
                transport,
                bytes,
            } => crowd::run(server, pace, listeners, transport, bytes).await,
        }
    }
}
