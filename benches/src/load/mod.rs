//! The loads as data, with one file for each kind.
//!
//! All are closed loops: a client sends its next message when it has received an earlier one.

mod crowd;
mod echo;
mod idle;
mod requests;
mod rooms;

use std::{io::Result, time::Duration};

use self::crowd::Transport;
use crate::{course::Pace, figures::Sample, server::Server};

/// The number of connections that are opened concurrently.
const OPENERS: u32 = 50;

/// The time for a server to settle before its memory is read.
const REST: Duration = Duration::from_millis(300);

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
        },
    },
];

/// The loads in memory, in the order of the report.
pub(crate) const IN_MEMORY: [Shape; 8] = [
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
        },
    },
    ROOMS_50X10,
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
        },
    },
    Shape {
        key: "crowd-sse",
        title: "one room of 5,000 event streams, a WebSocket sending",
        unit: "delivery",
        load: Load::Crowd {
            listeners: 5000,
            transport: Transport::EventStream,
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
    },
}

impl Shape {
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
            } => {
                let size = rooms::Size {
                    rooms,
                    members,
                    senders,
                };
                rooms::run(server, pace, size).await
            }
            Load::Requests { connections } => requests::run(server, pace, connections).await,
            Load::Idle { connections } => idle::run(server, connections).await,
            Load::Crowd {
                listeners,
                transport,
            } => crowd::run(server, pace, listeners, transport).await,
        }
    }
}
