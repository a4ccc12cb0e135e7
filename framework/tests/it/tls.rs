//! Tests of TLS.

use crate::{
    log::Log,
    support::{PATIENCE, echo, eventually},
};
use axum::{Router, routing::get};
use futures_util::{SinkExt, StreamExt};
use rcgen::{CertificateParams, DnType, KeyPair};
use seaway::{
    ClientAddr, ErrorKind, Result, Serve, TlsListener, from_service, routing::ProtocolTypeRouter,
    serve,
};
use std::{
    fs,
    future::{IntoFuture, pending},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
        server::WebPkiClientVerifier,
    },
};
use tokio_tungstenite::{client_async, tungstenite::Message};

/// A folder with `cert.pem` and `key.pem`, removed at the end.
struct Files(PathBuf);

impl Files {
    /// Writes a self-signed certificate for `localhost`.
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("seaway-tls-{}-{test}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let files = Self(folder);
        files.renew("first");
        files
    }

    fn renew(&self, name: &str) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).unwrap();
        fs::write(self.certificate(), certificate.pem()).unwrap();
        fs::write(self.key(), key.serialize_pem()).unwrap();
    }

    fn certificate(&self) -> PathBuf {
        self.0.join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.0.join("key.pem")
    }

    /// Returns a client that trusts the certificate as it is now.
    fn client(&self, protocols: &[&[u8]]) -> TlsConnector {
        self.client_with(protocols, None)
    }

    /// As [`client`](Files::client), one with the certificate of these other files.
    fn client_with(&self, protocols: &[&[u8]], own: Option<&Self>) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_file(self.certificate()).unwrap();
        roots.add(certificate).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match own {
            Some(own) => {
                let certificate = CertificateDer::from_pem_file(own.certificate()).unwrap();
                let key = PrivateKeyDer::from_pem_file(own.key()).unwrap();
                config
                    .with_client_auth_cert(vec![certificate], key)
                    .unwrap()
            }
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }

    async fn connect(
        &self,
        address: SocketAddr,
        protocols: &[&[u8]],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        connect_as(&self.client(protocols), address).await
    }
}

async fn connect_as(
    client: &TlsConnector,
    address: SocketAddr,
) -> std::io::Result<TlsStream<TcpStream>> {
    handshake(client, TcpStream::connect(address).await?).await
}

async fn handshake(client: &TlsConnector, tcp: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").unwrap();
    let connected = timeout(PATIENCE, client.connect(name, tcp)).await;
    connected.expect("a TLS handshake")
}

impl Drop for Files {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

/// The length of `/long`, in bytes: less than a TLS connection buffers.
const LONG: usize = 32 * 1024;

/// A running server.
struct Server {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
    _task: JoinHandle<Result<(), seaway::Error>>,
}

impl Server {
    async fn start(files: &Files) -> Self {
        Self::configured(files, |server| server).await
    }

    async fn configured(
        files: &Files,
        configure: impl FnOnce(Serve<ProtocolTypeRouter>) -> Serve<ProtocolTypeRouter>,
    ) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let listener = TlsListener::new(tcp, files.certificate(), files.key()).unwrap();
        Self::serve(address, listener, configure)
    }

    fn serve(
        address: SocketAddr,
        listener: TlsListener,
        configure: impl FnOnce(Serve<ProtocolTypeRouter>) -> Serve<ProtocolTypeRouter>,
    ) -> Self {
        let page = async |ClientAddr(client): ClientAddr| client.ip().to_string();
        let pages = Router::new()
            .route("/", get(page))
            .route("/long", get(async || "x".repeat(LONG)))
            .route("/never", get(pending::<()>));
        let app = ProtocolTypeRouter::new()
            .http(from_service(pages))
            .websocket(echo());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = serve(listener, app)
            .head_timeout(Duration::from_secs(1))
            .stop_on(async { _ = stopped.await });
        let serving = configure(serving);
        Self {
            address,
            _stop: stop,
            _task: tokio::spawn(serving.into_future()),
        }
    }
}

/// Returns a configuration that demands the client certificate of these files.
fn demanding(files: &Files, clients: &Files) -> ServerConfig {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(clients.certificate()).unwrap())
        .unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            vec![CertificateDer::from_pem_file(files.certificate()).unwrap()],
            PrivateKeyDer::from_pem_file(files.key()).unwrap(),
        )
        .unwrap()
}

#[tokio::test]
async fn a_configuration_of_ones_own_can_demand_a_client_certificate() {
    let (files, clients) = (Files::new("own"), Files::new("own-clients"));
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let config = Arc::new(demanding(&files, &clients));
    let server = Server::serve(address, TlsListener::with_config(tcp, config), |server| {
        server
    });
    let request = async |client: &TlsConnector| -> std::io::Result<String> {
        let mut stream = connect_as(client, server.address).await?;
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await?;
        let mut response = String::new();
        let read = timeout(PATIENCE, stream.read_to_string(&mut response)).await;
        read.expect("a response").map(|_| response)
    };

    let known = files.client_with(&[], Some(&clients));
    let response = request(&known).await.unwrap();
    assert!(response.ends_with("127.0.0.1"), "{response}");
    // With TLS 1.3 the client learns of it when it reads.
    assert!(request(&files.client(&[])).await.is_err());
}

async fn page(stream: &mut TlsStream<TcpStream>) -> String {
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut response = String::new();
    let read = timeout(PATIENCE, stream.read_to_string(&mut response)).await;
    read.expect("a response").unwrap();
    response
}

#[tokio::test]
async fn pages_and_web_sockets_are_served_over_tls() {
    let files = Files::new("both");
    let server = Server::start(&files).await;

    let mut stream = files.connect(server.address, &[]).await.unwrap();
    let response = page(&mut stream).await;
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    assert!(response.ends_with("127.0.0.1"), "{response}");

    let stream = files.connect(server.address, &[b"http/1.1"]).await.unwrap();
    let (mut socket, _) = client_async("wss://localhost/", stream).await.unwrap();
    let large = "x".repeat(300_000);
    socket.send(Message::text(large.clone())).await.unwrap();
    let echoed = timeout(PATIENCE, socket.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(echoed.into_text().unwrap(), large);
}

#[tokio::test]
async fn a_client_that_offers_http_2_gets_it() {
    let files = Files::new("h2");
    let server = Server::start(&files).await;
    let stream = files
        .connect(server.address, &[b"h2", b"http/1.1"])
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));

    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("https://localhost/").body(()).unwrap();
    let (response, _) = client.send_request(request, true).unwrap();

    let response = timeout(PATIENCE, response).await.unwrap().unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn clients_that_do_not_complete_the_handshake_are_disconnected_and_do_not_delay_others() {
    let files = Files::new("stalled");
    let server = Server::start(&files).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    plain
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut partial = TcpStream::connect(server.address).await.unwrap();
    partial.write_all(&[22, 3, 1, 2, 0, 1, 0, 1]).await.unwrap();

    let mut stream = files.connect(server.address, &[]).await.unwrap();
    assert!(page(&mut stream).await.starts_with("HTTP/1.1 200"));

    for stream in [&mut silent, &mut plain, &mut partial] {
        let mut rest = Vec::new();
        let read = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        _ = read.expect("it is disconnected");
        assert!(!rest.starts_with(b"HTTP"), "{rest:?}");
    }
}

#[tokio::test]
async fn a_failed_handshake_is_logged_as_a_rejection_with_its_reason() {
    let (files, strangers) = (Files::new("rejected"), Files::new("rejected-by"));
    strangers.renew("stranger");
    let server = Server::start(&files).await;
    let log = Log::listen();

    let mut plain = TcpStream::connect(server.address).await.unwrap();
    plain
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let line = eventually(|| log.lines("rejected a client").pop()).await;
    let client = plain.local_addr().unwrap();
    assert!(line.starts_with("INFO"), "{line}");
    assert!(line.contains(r#"rule="tls""#), "{line}");
    assert!(line.contains(&format!("client={client}")), "{line}");
    assert!(line.contains("plain HTTP"), "{line}");

    log.clear();
    // One that does not trust the certificate.
    let stranger = connect_as(&strangers.client(&[]), server.address).await;
    assert!(stranger.is_err());
    let line = eventually(|| log.lines("rejected a client").pop()).await;
    assert!(line.contains(r#"rule="tls""#), "{line}");
    assert!(line.contains("UnknownCA"), "{line}");
}

#[tokio::test]
async fn a_client_that_leaves_during_the_handshake_is_logged_as_a_rejection() {
    let files = Files::new("left");
    let server = Server::start(&files).await;
    let log = Log::listen();
    let mut tcp = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let config = files.client(&[]).config().clone();
    let mut client = tokio_rustls::rustls::ClientConnection::new(config, name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();

    tcp.write_all(&hello).await.unwrap();
    // The server's part of the handshake.
    let answered = timeout(PATIENCE, tcp.read_u8()).await;
    answered.expect("a response").unwrap();
    drop(tcp);

    let line = eventually(|| log.lines("rejected a client").pop()).await;
    assert!(line.contains(r#"rule="tls""#), "{line}");
    assert!(line.contains("left during the TLS handshake"), "{line}");
}

#[tokio::test]
async fn a_client_that_only_connects_is_not_logged_as_a_rejection() {
    let files = Files::new("health");
    let server = Server::start(&files).await;
    let log = Log::listen();

    drop(TcpStream::connect(server.address).await.unwrap());

    eventually(|| log.lines("a connection ended with an error").pop()).await;
    assert_eq!(log.lines("rejected a client"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_its_responses_is_disconnected_over_tls() {
    let files = Files::new("deaf");
    let server = Server::configured(&files, |server| {
        let soon = Duration::from_millis(100);
        server.write_timeout(soon).max_connections(1)
    })
    .await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let tcp = socket.connect(server.address).await.unwrap();
    let mut deaf = handshake(&files.client(&[]), tcp).await.unwrap();

    // Together the responses are larger than the kernel's buffers.
    let request = "GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let requests = request.repeat(1000);
    deaf.write_all(requests.as_bytes()).await.unwrap();

    let mut next = files.connect(server.address, &[]).await.unwrap();
    assert!(page(&mut next).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_renewed_certificate_is_used_without_a_restart_and_a_broken_one_is_not() {
    let files = Files::new("renewed");
    let server = Server::start(&files).await;
    files.connect(server.address, &[]).await.unwrap();
    let log = Log::listen();

    files.renew("second");
    pass_time().await;
    eventually(|| log.lines("loaded the new TLS certificate").pop()).await;
    files.connect(server.address, &[]).await.unwrap();

    fs::write(files.key(), "not a key").unwrap();
    pass_time().await;
    eventually(|| log.lines("cannot load the new TLS certificate").pop()).await;
    files.connect(server.address, &[]).await.unwrap();
    let line = log.line("cannot load the new TLS certificate");
    assert!(line.contains("key.pem"), "{line}");
    log.line("loaded the new TLS certificate");
}

#[tokio::test]
async fn a_renewed_certificate_is_loaded_while_no_more_connections_are_accepted() {
    let files = Files::new("full");
    let server = Server::configured(&files, |server| server.max_connections(1)).await;
    let mut open = files.connect(server.address, &[]).await.unwrap();
    assert!(page(&mut open).await.starts_with("HTTP/1.1 200"));
    let log = Log::listen();

    files.renew("full");
    pass_time().await;

    eventually(|| log.lines("loaded the new TLS certificate").pop()).await;
    drop(open);
    files.connect(server.address, &[]).await.unwrap();
}

/// As by a program that restores the times of what it copies.
#[cfg(unix)]
#[tokio::test]
async fn a_certificate_that_is_as_old_as_the_one_that_it_replaces_is_loaded() {
    let (files, renewed) = (Files::new("old"), Files::new("as-old"));
    let server = Server::start(&files).await;
    let log = Log::listen();

    for (new, old) in [
        (renewed.certificate(), files.certificate()),
        (renewed.key(), files.key()),
    ] {
        let modified = fs::metadata(&old).unwrap().modified().unwrap();
        let file = fs::File::options().write(true).open(&new).unwrap();
        file.set_modified(modified).unwrap();
        fs::rename(new, old).unwrap();
    }
    pass_time().await;

    eventually(|| log.lines("loaded the new TLS certificate").pop()).await;
    files.connect(server.address, &[]).await.unwrap();
}

/// Lets the time until the next check of the files pass.
async fn pass_time() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(11)).await;
    tokio::time::resume();
}

#[cfg(unix)]
#[tokio::test]
async fn a_named_pipe_in_place_of_the_certificate_is_refused_and_the_next_file_is_loaded() {
    let (files, renewed) = (Files::new("pipe"), Files::new("pipe-renewed"));
    let server = Server::start(&files).await;
    let old = files.client(&[]);
    let log = Log::listen();
    files.connect(server.address, &[]).await.unwrap();

    let certificate = files.certificate();
    fs::remove_file(&certificate).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(&certificate)
        .status();
    assert!(made.unwrap().success());
    fs::copy(renewed.key(), files.key()).unwrap();
    pass_time().await;
    let refused = eventually(|| log.lines("cannot load the new TLS certificate").pop()).await;
    assert!(refused.contains("it is not a regular file"), "{refused}");
    let mut stream = connect_as(&old, server.address).await.unwrap();
    assert!(page(&mut stream).await.starts_with("HTTP/1.1 200"));

    fs::remove_file(&certificate).unwrap();
    fs::copy(renewed.certificate(), &certificate).unwrap();
    pass_time().await;
    eventually(|| log.lines("loaded the new TLS certificate").pop()).await;
    renewed.connect(server.address, &[]).await.unwrap();
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let files = Files::new("wrong");
    let other = Files::new("other");
    let missing = Path::new("/nowhere/cert.pem");
    let empty = files.0.join("empty.pem");
    fs::write(&empty, "").unwrap();
    let part_of = |file: PathBuf| {
        let text = fs::read_to_string(&file).unwrap();
        let part = file.with_extension("part");
        fs::write(&part, &text[..text.len() / 2]).unwrap();
        part
    };
    let [part_of_certificate, part_of_key] = [files.certificate(), files.key()].map(part_of);
    for (certificate, key, part) in [
        (missing, &*files.key(), "/nowhere/cert.pem"),
        (&files.certificate(), missing, "/nowhere/cert.pem"),
        (
            &files.key(),
            &files.key(),
            "key.pem holds no certificate in PEM; are the two files swapped?",
        ),
        (
            &empty,
            &files.key(),
            "empty.pem holds no certificate in PEM",
        ),
        (
            &files.certificate(),
            &files.certificate(),
            "cert.pem holds no private key in PEM; are the two files swapped?",
        ),
        (
            &files.certificate(),
            &other.key(),
            "key.pem is not the key of the certificate ",
        ),
        (&*files.0, &files.key(), "it is not a regular file"),
        (
            &part_of_certificate,
            &files.key(),
            "cert.part: the file ends within a section; is it still being written?",
        ),
        (
            &files.certificate(),
            &part_of_key,
            "key.part: the file ends within a section; is it still being written?",
        ),
    ] {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error = TlsListener::new(tcp, certificate, key).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(format!("{error:#}").contains(part), "{error:#}");
    }
}

#[tokio::test]
async fn the_place_of_a_client_that_left_behind_an_unread_byte_is_free_again() {
    let files = Files::new("unread");
    let server = Server::configured(&files, |server| {
        server
            .max_connections_per_address(1)
            .half_close_timeout(Duration::from_millis(100))
    })
    .await;
    let mut client = files.connect(server.address, &[]).await.unwrap();
    let request = b"GET /never HTTP/1.1\r\nHost: localhost\r\n\r\nX";
    client.write_all(request).await.unwrap();
    client.flush().await.unwrap();

    drop(client);

    let served = async {
        loop {
            let mut next = files.connect(server.address, &[]).await.unwrap();
            if page(&mut next).await.starts_with("HTTP/1.1 200") {
                break;
            }
        }
    };
    let served = timeout(PATIENCE, served).await;
    served.expect("its place is free again");
}
