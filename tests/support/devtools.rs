//! The connection to Chromium: the DevTools protocol over a WebSocket.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

use super::wait::DEADLINE;

/// A connection that sends one command at a time, and collects the errors of pages.
#[derive(Debug)]
pub struct DevTools {
    socket: tokio::sync::Mutex<WebSocketStream<TcpStream>>,
    last_id: AtomicU64,
    problems: Mutex<Vec<(String, String)>>,
}

impl DevTools {
    /// Connects to the browser.
    ///
    /// # Panics
    /// If the browser does not respond there.
    pub async fn connect(port: u16, path: &str) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", port))
            .await
            .expect("Chromium's DevTools port");
        let url = format!("ws://127.0.0.1:{port}{path}");
        let (socket, _) = client_async(url, socket)
            .await
            .expect("Chromium's DevTools socket");
        Self {
            socket: socket.into(),
            last_id: AtomicU64::new(0),
            problems: Mutex::default(),
        }
    }

    /// Sends a command, to a page's session or to the browser, and waits for its result.
    ///
    /// # Errors
    /// With Chromium's own message.
    ///
    /// # Panics
    /// If the browser has exited or does not respond.
    pub async fn call(
        &self,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Result<Value, String> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let mut command = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }

        let mut socket = self.socket.lock().await;
        socket
            .send(Message::text(command.to_string()))
            .await
            .expect("Chromium listens");
        loop {
            let message = timeout(DEADLINE, socket.next())
                .await
                .unwrap_or_else(|_| panic!("no answer to {method}"));
            let message = message
                .expect("Chromium is alive")
                .expect("a message from Chromium");
            let Ok(mut answer) = serde_json::from_slice::<Value>(&message.into_data()) else {
                continue;
            };
            if answer["id"] != id {
                self.note_problem(&answer);
                continue;
            }
            return match answer.get("error") {
                Some(error) => Err(error["message"]
                    .as_str()
                    .unwrap_or("an unnamed error")
                    .to_owned()),
                None => Ok(answer["result"].take()),
            };
        }
    }

    /// Returns the errors of a page: exceptions, and violations such as of its content security
    /// policy.
    pub fn problems(&self, session: &str) -> Vec<String> {
        let problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        problems
            .iter()
            .filter(|(of, _)| of == session)
            .map(|(_, problem)| problem.clone())
            .collect()
    }

    fn note_problem(&self, event: &Value) {
        let problem = match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => event["params"]["exceptionDetails"].to_string(),
            // The page itself reports failed connections, and tests reset some on purpose.
            Some("Log.entryAdded") if is_fault(&event["params"]["entry"]) => {
                event["params"]["entry"].to_string()
            }
            _ => return,
        };
        let session = event["sessionId"].as_str().unwrap_or_default().to_owned();
        self.problems
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((session, problem));
    }
}

fn is_fault(entry: &Value) -> bool {
    entry["level"] == "error" && entry["source"] != "network"
}
