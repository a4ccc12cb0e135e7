//! A node of a Cluster that says what a test wants.

use super::framing::{MAX_VALUE, ReplyFraming};
use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::{JoinHandle, JoinSet},
};

/// A node of a Cluster that names one primary for all slots. It has no data, and accepts every
/// command.
pub(crate) struct FakeNode {
    port: u16,
    says: Arc<Mutex<Says>>,
    closing: Arc<Notify>,
    accepting: JoinHandle<()>,
}

/// What a node says of its Cluster.
#[derive(Clone, Copy)]
struct Says {
    /// The port of the primary.
    port: u16,
    /// The highest epoch.
    epoch: u64,
    state: &'static str,
}

impl FakeNode {
    /// Starts a node that names itself.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let says = Arc::new(Mutex::new(Says {
            port,
            epoch: 0,
            state: "ok",
        }));
        let closing = Arc::new(Notify::new());
        let (said, closed) = (says.clone(), closing.clone());
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    Ok((socket, _)) = listener.accept() => {
                        connections.spawn(serve(socket, port, said.clone()));
                    }
                    () = closed.notified() => connections.abort_all(),
                }
            }
        });
        Self {
            port,
            says,
            closing,
            accepting,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Sets the port of the primary that it names, 0 for none, and the epoch.
    pub(crate) fn names(&self, port: u16, epoch: u64) {
        let mut says = self.says.lock().unwrap();
        (says.port, says.epoch) = (port, epoch);
    }

    /// Makes it say that the Cluster is down.
    pub(super) fn isolate(&self) {
        self.says.lock().unwrap().state = "fail";
    }

    /// Makes it say that the Cluster is up.
    pub(super) fn rejoin(&self) {
        self.says.lock().unwrap().state = "ok";
    }

    /// Closes its connections.
    pub(super) fn close_connections(&self) {
        self.closing.notify_waiters();
    }

    /// Closes its connections, and accepts no more.
    pub(crate) fn stop(&self) {
        self.accepting.abort();
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn serve(mut socket: TcpStream, port: u16, says: Arc<Mutex<Says>>) {
    let (mut framing, mut command) = (ReplyFraming::new(MAX_VALUE), Vec::new());
    while let Ok(byte) = socket.read_u8().await {
        command.push(byte);
        framing.read(&[byte]).expect("commands are RESP");
        if framing.arrived() > 0 {
            continue;
        }
        let words = redis::parse_redis_value(&command).expect("a whole command");
        let words: Vec<String> = redis::from_redis_value(words).expect("words");
        command.clear();
        let reply = reply(&words, port, *says.lock().unwrap());
        if socket.write_all(reply.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn reply(words: &[String], own_port: u16, says: Says) -> String {
    let Says { port, epoch, state } = says;
    let text = |text: String| format!("${}\r\n{text}\r\n", text.len());
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["PING", number] => text(number.to_owned()),
        ["HELLO", ..] => "%0\r\n".to_owned(),
        ["INFO", "replication"] if port == own_port => text("role:master\r\n".to_owned()),
        ["INFO", "replication"] => text("role:slave\r\n".to_owned()),
        ["INFO", ..] => text(format!("redis_version:7.0.0\r\nrun_id:{own_port}\r\n")),
        ["CLUSTER", "SLOTS"] if port == 0 => "*0\r\n".to_owned(),
        ["CLUSTER", "SLOTS"] => {
            let node = format!("*3\r\n$9\r\n127.0.0.1\r\n:{port}\r\n$2\r\nid\r\n");
            format!("*1\r\n*3\r\n:0\r\n:16383\r\n{node}")
        }
        ["CLUSTER", "NODES"] => text(format!(
            "id 127.0.0.1:{port}@0 master - 0 0 {epoch} connected 0-16383\n"
        )),
        ["CLUSTER", "INFO"] => text(format!("cluster_state:{state}\r\ncluster_size:3\r\n")),
        ["GET", ..] if port == own_port => "$-1\r\n".to_owned(),
        ["GET", ..] => format!("-MOVED 0 127.0.0.1:{port}\r\n"),
        _ => "+OK\r\n".to_owned(),
    }
}
