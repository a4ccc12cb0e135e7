//! A wire that can be cut: it stands between a client and a server, and knows nothing of what they say.

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use super::server::Server;

/// Everything that arrives at its port goes to a server, unless it is cut.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    is_cut: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Stands before a server.
    ///
    /// # Panics
    /// When there is no port for it.
    pub async fn before(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port for the proxy");
        let port = listener.local_addr().expect("its port").port();
        let (is_cut, cuts) = watch::channel(false);
        let accepting = tokio::spawn(accept(listener, server.port(), cuts));
        Self {
            port,
            is_cut,
            accepting,
        }
    }

    /// The address of a page of the server, by way of the proxy.
    #[must_use]
    pub fn page(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Cuts all connections without a word of HTTP or WebSocket, and new ones at once.
    pub fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.is_cut.send_replace(false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, server: u16, cuts: watch::Receiver<bool>) {
    while let Ok((mut client, _)) = listener.accept().await {
        let mut cuts = cuts.clone();
        tokio::spawn(async move {
            let talking = async {
                if let Ok(mut server) = TcpStream::connect(("127.0.0.1", server)).await {
                    // However it ends, both connections do.
                    drop(copy_bidirectional(&mut client, &mut server).await);
                }
            };
            tokio::select! {
                biased;
                _ = cuts.wait_for(|is_cut| *is_cut) => {}
                () = talking => {}
            }
        });
    }
}
