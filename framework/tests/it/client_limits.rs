//! Tests of the limit per client address, of several listeners, and of the close at a restart.

use crate::{
    metrics::Counters,
    support::{
        Client, PATIENCE, Server, connect, echo, ended, eventually, next_close, next_text,
        read_until, send_text,
    },
};
use http::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use seaway::{
    Channels, Close, HttpConsumer, HttpContext, HttpHandshake, HttpResponse, NoEvent, Rejection,
    Result, Scope, application_fn,
    protocol::{Body, Upgrade, WebSocket},
    routing::ProtocolTypeRouter,
    serve,
};
use std::{convert::Infallible, future::IntoFuture, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::oneshot,
    time::timeout,
};
use tokio_tungstenite::client_async;
use tower::service_fn;

async fn connect_from(local: &str, server: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{local}:0").parse().unwrap()).unwrap();
    socket.connect(server).await.unwrap()
}

/// Returns the response to a handshake on this connection.
async fn response(mut stream: TcpStream) -> String {
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";
    // The server may have closed the connection already.
    _ = stream.write_all(request).await;
    let mut response = String::new();
    let read = timeout(PATIENCE, stream.read_to_string(&mut response)).await;
    read.expect("the connection ends").unwrap();
    response
}

async fn open_from(local: &str, server: SocketAddr) -> Client {
    let stream = connect_from(local, server).await;
    let (client, _) = client_async(format!("ws://{server}/"), stream)
        .await
        .unwrap();
    client
}

#[tokio::test]
async fn an_address_with_too_many_connections_gets_429_and_others_are_served() {
    let app = ProtocolTypeRouter::new().websocket(echo());
    let server = Server::configured(app, |server| server.max_connections_per_address(2)).await;
    let mut first = open_from("127.0.0.1", server.address).await;
    let second = open_from("127.0.0.1", server.address).await;

    let rejected = response(connect_from("127.0.0.1", server.address).await).await;

    assert!(rejected.starts_with("HTTP/1.1 429 "), "{rejected}");
    assert!(
        rejected.contains("too many connections from this address"),
        "{rejected}"
    );
    let mut other = open_from("127.0.0.2", server.address).await;
    for client in [&mut first, &mut other] {
        send_text(client, "still here").await;
        assert_eq!(next_text(client).await, "still here");
    }

    drop(second);
    let served = async {
        loop {
            let stream = connect_from("127.0.0.1", server.address).await;
            if client_async(format!("ws://{}/", server.address), stream)
                .await
                .is_ok()
            {
                break;
            }
        }
    };
    timeout(PATIENCE, served)
        .await
        .expect("a place is free again");
}

#[tokio::test]
async fn a_client_of_http_2_with_too_many_connections_is_told_so() {
    let app = ProtocolTypeRouter::new().websocket(echo());
    let server = Server::configured(app, |server| server.max_connections_per_address(1)).await;
    let _open = open_from("127.0.0.1", server.address).await;

    let stream = connect_from("127.0.0.1", server.address).await;
    let (_client, connection) = h2::client::handshake(stream).await.unwrap();

    let ended = timeout(PATIENCE, connection).await;
    let error = ended.expect("the connection ends").unwrap_err();
    assert_eq!(error.reason(), Some(h2::Reason::ENHANCE_YOUR_CALM));
    assert!(error.is_go_away() && error.is_remote(), "{error}");
    assert!(
        error
            .to_string()
            .contains("too many connections from this address"),
        "{error}"
    );
}

#[tokio::test]
async fn a_connection_that_a_service_upgrades_itself_counts_until_its_stream_ends() {
    let counters = Counters::default();
    let _counting = metrics::set_default_local_recorder(&counters);
    let configure = |server: seaway::Serve<_>| server.max_connections_per_address(1);
    let server = Server::configured(service_fn(upgrade), configure).await;
    let connect = async || {
        let mut stream = connect_from("127.0.0.1", server.address).await;
        let request = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let head = read_until(&mut stream, "\r\n\r\n").await;
        (stream, head)
    };
    let echoes = async |stream: &mut TcpStream| {
        stream.write_all(b"a").await.unwrap();
        let echo = timeout(PATIENCE, stream.read_u8()).await;
        assert_eq!(echo.expect("an echo").unwrap(), b'a');
    };
    let (mut open, head) = connect().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    echoes(&mut open).await;

    let (_, head) = connect().await;
    assert!(head.starts_with("HTTP/1.1 429 "), "{head}");
    let count = || counters.gauge("seaway_connections_open");
    eventually(|| (count() == 1.0).then_some(())).await;
    drop(open);
    eventually(|| (count() == 0.0).then_some(())).await;
    let (mut open, head) = connect().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");

    // The server does not wait for it when it stops.
    echoes(&mut open).await;
    ended(server.stop()).await;
    echoes(&mut open).await;
}

/// Upgrades to a protocol that echoes each byte.
async fn upgrade(mut request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let upgrading = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgrading.await.unwrap());
        while let Ok(byte) = stream.read_u8().await {
            stream.write_all(&[byte]).await.unwrap();
            stream.flush().await.unwrap();
        }
    });
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header("connection", "upgrade")
        .header("upgrade", "echo");
    Ok(response.body(Body::empty()).unwrap())
}

#[tokio::test]
async fn an_open_websocket_is_an_open_connection() {
    let counters = Counters::default();
    let _counting = metrics::set_default_local_recorder(&counters);
    let app = ProtocolTypeRouter::new().websocket(echo());
    let configure = |server: seaway::Serve<_>| server.max_connections_per_address(1);
    let server = Server::configured(app, configure).await;

    let mut client = connect(server.address, "/").await;
    send_text(&mut client, "in").await;
    assert_eq!(next_text(&mut client).await, "in");

    let count = || counters.gauge("seaway_connections_open");
    assert_eq!(count(), 1.0);
    let rejected = response(connect_from("127.0.0.1", server.address).await).await;
    assert!(rejected.starts_with("HTTP/1.1 429 "), "{rejected}");
    drop(client);
    eventually(|| (count() == 0.0).then_some(())).await;
}

#[tokio::test]
async fn an_address_that_floods_the_server_takes_no_place_from_others() {
    let app = ProtocolTypeRouter::new().websocket(echo());
    let configure =
        |server: seaway::Serve<_>| server.max_connections(50).max_connections_per_address(10);
    let server = Server::configured(app, configure).await;

    let mut flood = Vec::new();
    for _ in 0..200 {
        flood.push(connect_from("127.0.0.1", server.address).await);
    }

    let mut other = timeout(PATIENCE, open_from("127.0.0.2", server.address))
        .await
        .expect("a place");
    send_text(&mut other, "served").await;
    assert_eq!(next_text(&mut other).await, "served");
}

/// An event stream that ends when the server stops.
struct Feed;

impl HttpConsumer for Feed {
    type Event = NoEvent;

    async fn connect(_: &mut HttpHandshake) -> Result<Self, Rejection> {
        Ok(Feed)
    }

    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> {
        let events = ctx.sse().await?;
        events.send("hello").await?;
        while ctx.next_event().await?.is_some() {}
        Ok(events.end())
    }
}

fn restart_time(close: &Close) -> f64 {
    assert_eq!(close.code, Close::RESTART);
    let seconds = close.reason().strip_prefix("retry_after=");
    let seconds = seconds.unwrap_or_else(|| panic!("{close:?}")).parse();
    seconds.unwrap()
}

#[tokio::test]
async fn a_server_that_restarts_tells_each_client_a_time_of_its_own() {
    let app = ProtocolTypeRouter::new()
        .http(Feed::application(&Channels::in_memory()))
        .websocket(echo());
    let server = Server::configured(app, |server| server.retry_after(Duration::from_secs(8))).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(connect(server.address, "/").await);
    }
    let mut feed = TcpStream::connect(server.address).await.unwrap();
    feed.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut feed, "data: hello").await;

    let stopped = server.stop();
    let mut times = Vec::new();
    for client in &mut clients {
        times.push(restart_time(&next_close(client).await));
    }
    let mut end = String::new();
    timeout(PATIENCE, feed.read_to_string(&mut end))
        .await
        .unwrap()
        .unwrap();

    assert!(
        times.iter().all(|time| (4.0..=8.0).contains(time)),
        "{times:?}"
    );
    times.dedup();
    assert!(times.len() > 1, "{times:?}");
    let retry = end.lines().find_map(|line| line.strip_prefix("retry: "));
    let retry: u64 = retry.unwrap_or_else(|| panic!("{end}")).parse().unwrap();
    assert!((4000..=8000).contains(&retry), "{retry}");
    drop(clients);
    ended(stopped).await;
}

#[tokio::test]
async fn a_server_listens_on_several_addresses_until_it_stops() {
    let one = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let two = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addresses = [one.local_addr().unwrap(), two.local_addr().unwrap()];
    let (stop, stopped) = oneshot::channel::<()>();
    let app = ProtocolTypeRouter::new().websocket(echo());
    let serving = serve(one, app)
        .listen(two)
        .stop_on(async { _ = stopped.await });
    let task = tokio::spawn(serving.into_future());

    let mut clients = Vec::new();
    for address in addresses {
        let mut client = connect(address, "/").await;
        send_text(&mut client, "ahoy").await;
        assert_eq!(next_text(&mut client).await, "ahoy");
        clients.push(client);
    }
    stop.send(()).unwrap();
    for client in &mut clients {
        assert_eq!(next_close(client).await.code, Close::AWAY);
    }
    drop(clients);
    ended(task).await;
    for address in addresses {
        assert!(TcpStream::connect(address).await.is_err(), "{address}");
    }
}

#[tokio::test]
async fn an_address_in_use_is_named_and_nothing_is_served() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (free_address, taken) = (free.local_addr().unwrap(), taken.local_addr().unwrap());
    let app = ProtocolTypeRouter::new().websocket(echo());

    let error = serve(free, app).listen(taken).await.unwrap_err();

    assert!(error.to_string().contains(&taken.to_string()), "{error}");
    assert!(TcpStream::connect(free_address).await.is_err());
}

#[tokio::test]
async fn a_stopping_server_replaces_only_a_normal_close_code() {
    for (code, sent) in [(1000, 1001), (4001, 4001), (1006, 1011)] {
        let app = application_fn(move |_: Scope<WebSocket>, upgrade: Upgrade| async move {
            let mut socket = upgrade.accept().await?;
            socket.sender().send("open").await?;
            while socket.receive().await.is_some() {}
            socket.close(code).await;
            Ok(())
        });
        let server = Server::start(ProtocolTypeRouter::new().websocket(app)).await;
        let mut client = connect(server.address, "/").await;
        assert_eq!(next_text(&mut client).await, "open");

        let stopped = server.stop();

        assert_eq!(next_close(&mut client).await.code, sent, "{code}");
        ended(stopped).await;
    }
}
