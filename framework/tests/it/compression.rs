//! Tests of permessage-deflate over real connections (RFC 7692).

use crate::support::{Echo, PATIENCE, Server, read_until};
use flate2::{Compress, Compression as Level, Decompress, FlushCompress, FlushDecompress};
use seaway::{
    Application, ApplicationExt, Channels, Context, Event, Group, Handshake, Rejection, Result,
    Shared, Text, WebSocketConsumer,
    protocol::{Compression, WebSocket, WebSocketConfig},
    routing::{PathRouter, ProtocolTypeRouter},
};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const DEFLATE: &str = "permessage-deflate; client_max_window_bits";

/// A text frame that is final, and one that is compressed too (RFC 7692, 6).
const TEXT: u8 = 0x81;
const COMPRESSED_TEXT: u8 = 0xc1;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;

/// A client that sees frames as they are sent.
struct Client {
    stream: TcpStream,
    /// The response to the handshake.
    response: String,
}

impl Client {
    async fn connect(address: SocketAddr, path: &str, extensions: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Extensions: {extensions}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let response = read_until(&mut stream, "\r\n\r\n").await;
        Self { stream, response }
    }

    /// Sends a frame, masked with zeros.
    async fn send(&mut self, first: u8, payload: &[u8]) {
        let mut frame = vec![first];
        match u16::try_from(payload.len()) {
            Ok(length @ 0..126) => frame.push(0x80 | length as u8),
            Ok(length) => {
                frame.push(0x80 | 126);
                frame.extend(length.to_be_bytes());
            }
            Err(_) => {
                frame.push(0x80 | 127);
                frame.extend((payload.len() as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        self.stream.write_all(&frame).await.unwrap();
    }

    /// Returns the first byte and the payload of the next frame.
    async fn receive(&mut self) -> (u8, Vec<u8>) {
        let reading = async {
            let (first, second) = (self.stream.read_u8().await?, self.stream.read_u8().await?);
            let length = match second {
                126 => usize::from(self.stream.read_u16().await?),
                127 => self.stream.read_u64().await? as usize,
                length => usize::from(length),
            };
            let mut payload = vec![0; length];
            self.stream.read_exact(&mut payload).await?;
            Ok::<_, std::io::Error>((first, payload))
        };
        timeout(PATIENCE, reading).await.unwrap().unwrap()
    }

    /// Returns the code and reason of the next frame, which is a close frame.
    async fn receive_close(&mut self) -> (u16, String) {
        let (first, payload) = self.receive().await;
        assert_eq!(first, CLOSE);
        let code = u16::from_be_bytes([payload[0], payload[1]]);
        (code, String::from_utf8(payload[2..].to_vec()).unwrap())
    }
}

fn compress(text: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(text.len() + 1000);
    Compress::new(Level::best(), false)
        .compress_vec(text, &mut output, FlushCompress::Sync)
        .unwrap();
    output.truncate(output.len() - 4);
    output
}

fn inflate(mut data: Vec<u8>, window_bits: u8) -> String {
    data.extend([0, 0, 0xff, 0xff]);
    let mut output = Vec::with_capacity(1_000_000);
    Decompress::new_with_window_bits(false, window_bits)
        .decompress_vec(&data, &mut output, FlushDecompress::Sync)
        .unwrap();
    String::from_utf8(output).unwrap()
}

fn app(application: impl Application<WebSocket> + 'static) -> ProtocolTypeRouter {
    ProtocolTypeRouter::new().websocket(PathRouter::new().route("/", application))
}

fn compressed_echo() -> ProtocolTypeRouter {
    let config = WebSocketConfig::new().compression(Compression::new());
    app(Echo::application(&Channels::in_memory()).with(config))
}

/// A text of this many bytes that compresses well, though less than 100 times.
fn text(length: usize) -> String {
    let words = ["anchor ", "buoy ", "compass ", "dock "];
    let mut random = random();
    let mut text = String::new();
    while text.len() < length {
        text.push_str(words[(random() >> 22) as usize]);
    }
    text.truncate(length);
    text
}

/// Returns numbers of 24 bits that look random, the same in each run.
fn random() -> impl FnMut() -> u32 {
    let mut state = 1u32;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 8
    }
}

#[tokio::test]
async fn messages_are_compressed_both_ways_from_the_threshold_on() {
    let server = Server::start(compressed_echo()).await;
    let mut client = Client::connect(server.address, "/", DEFLATE).await;
    let agreed = "sec-websocket-extensions: \
                  permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n";
    assert!(client.response.contains(agreed), "{}", client.response);

    for (length, expected) in [
        (0, TEXT),
        (511, TEXT),
        (512, COMPRESSED_TEXT),
        (100_000, COMPRESSED_TEXT),
    ] {
        let text = text(length);
        client
            .send(COMPRESSED_TEXT, &compress(text.as_bytes()))
            .await;

        let (first, payload) = client.receive().await;

        assert_eq!(first, expected, "{length}");
        let received = match first {
            COMPRESSED_TEXT => inflate(payload, 15),
            _ => String::from_utf8(payload).unwrap(),
        };
        assert_eq!(received, text);
    }
}

#[tokio::test]
async fn a_client_that_limits_the_window_can_inflate_with_it() {
    let server = Server::start(compressed_echo()).await;
    for bits in [9, 15] {
        let limit = format!("server_max_window_bits={bits}");
        let offer = format!("permessage-deflate; {limit}");
        let mut client = Client::connect(server.address, "/", &offer).await;
        assert!(client.response.contains(&limit), "{}", client.response);

        client.send(TEXT, text(50_000).as_bytes()).await;

        let (first, payload) = client.receive().await;
        assert_eq!(first, COMPRESSED_TEXT);
        assert_eq!(inflate(payload, bits), text(50_000));
    }
}

#[tokio::test]
async fn without_offer_or_setting_a_compressed_frame_breaks_the_protocol() {
    let plain = Echo::application(&Channels::in_memory());
    let plain = Server::start(app(plain)).await;
    let compressed = Server::start(compressed_echo()).await;
    for (address, offer) in [
        (plain.address, DEFLATE),
        (compressed.address, "x-other"),
        (
            compressed.address,
            "permessage-deflate; server_max_window_bits=8",
        ),
    ] {
        let mut client = Client::connect(address, "/", offer).await;
        assert!(
            !client.response.contains("sec-websocket-extensions"),
            "{offer}"
        );

        client.send(COMPRESSED_TEXT, &compress(b"ahoy")).await;

        assert_eq!(client.receive_close().await.0, 1002, "{offer}");
    }
}

#[tokio::test]
async fn a_message_that_must_not_inflate_ends_its_connection_and_no_other() {
    let server = Server::start(compressed_echo()).await;
    let mut other = Client::connect(server.address, "/", DEFLATE).await;
    let noise: Vec<u8> = (0..1000u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for (what, first, payload, expected) in [
        (
            "a bomb under the message limit",
            COMPRESSED_TEXT,
            compress(&vec![b'x'; 1_000_000]),
            1009,
        ),
        (
            "a message over the limit",
            COMPRESSED_TEXT,
            compress(text(1_100_000).as_bytes()),
            1009,
        ),
        ("noise", COMPRESSED_TEXT, noise, 1007),
        (
            "a truncated block",
            COMPRESSED_TEXT,
            compress(text(5000).as_bytes())[..50].to_vec(),
            1007,
        ),
        (
            "text that is not UTF-8",
            COMPRESSED_TEXT,
            compress(&[0xff; 10]),
            1007,
        ),
        ("a compressed continuation", 0xc0, compress(b"x"), 1002),
        ("a compressed ping", 0xc9, compress(b"x"), 1002),
        ("another reserved bit", 0xa1, compress(b"x"), 1002),
    ] {
        let mut client = Client::connect(server.address, "/", DEFLATE).await;

        client.send(first, &payload).await;

        assert_eq!(client.receive_close().await.0, expected, "{what}");
        other.send(TEXT, b"still here").await;
        assert_eq!(
            other.receive().await,
            (TEXT, b"still here".to_vec()),
            "{what}"
        );
    }
}

#[tokio::test]
async fn a_message_that_does_not_compress_changes_no_later_one() {
    let server = Server::start(compressed_echo()).await;
    let mut other = Client::connect(server.address, "/", DEFLATE).await;
    // The compression of these stops in the middle, before it fills a larger buffer.
    for length in [32_764, 1_048_572] {
        let mut client = Client::connect(server.address, "/", DEFLATE).await;
        let mut random = random();
        // Each of these bytes takes 9 bits (RFC 1951, 3.2.6).
        let noise: Vec<u8> = std::iter::repeat_with(|| 144 + (random() % 112) as u8)
            .take(length)
            .collect();
        let numbers: String = (0..2600)
            .map(|id| {
                format!(
                    "{{\"id\":{id},\"value\":\"{:06x}{:06x}\"}},",
                    random(),
                    random()
                )
            })
            .collect();

        client.send(BINARY, &noise).await;
        assert!(client.receive().await == (BINARY, noise), "{length}");

        for text in [numbers, text(5000)] {
            other.send(TEXT, text.as_bytes()).await;
            let (first, payload) = other.receive().await;
            assert_eq!(first, COMPRESSED_TEXT, "{length}");
            assert!(inflate(payload, 15) == text, "{length}");
        }
    }
}

#[tokio::test]
async fn a_final_block_and_an_empty_message_inflate() {
    let server = Server::start(compressed_echo()).await;
    let mut client = Client::connect(server.address, "/", DEFLATE).await;

    // RFC 7692, 7.2.3.4: a block with BFINAL; 7.2.3.6: an empty message.
    for (payload, expected) in [
        (
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00][..],
            "Hello",
        ),
        (&[0x00], ""),
    ] {
        client.send(COMPRESSED_TEXT, payload).await;

        assert_eq!(client.receive().await, (TEXT, expected.as_bytes().to_vec()));
    }
}

#[tokio::test]
async fn a_compressed_message_may_come_in_fragments_around_a_ping() {
    let server = Server::start(compressed_echo()).await;
    let mut client = Client::connect(server.address, "/", DEFLATE).await;
    let compressed = compress(text(10_000).as_bytes());
    let (head, tail) = compressed.split_at(100);

    client.send(0x41, head).await;
    client.send(0x89, b"ping").await;
    client.send(0x80, tail).await;

    assert_eq!(client.receive().await, (0x8a, b"ping".to_vec()));
    let (first, payload) = client.receive().await;
    assert_eq!(first, COMPRESSED_TEXT);
    assert_eq!(inflate(payload, 15), text(10_000));
}

#[derive(Event)]
enum RoomEvent {
    Said(ChatEvent),
}

#[derive(Serialize, Deserialize)]
struct ChatEvent {
    text: String,
}

struct Room(Group<RoomEvent>);

impl WebSocketConsumer for Room {
    type Input = Text;
    type Event = RoomEvent;

    async fn connect(handshake: &mut Handshake<RoomEvent>) -> Result<Self, Rejection> {
        Ok(Self(handshake.join("room").await?))
    }

    async fn receive(&mut self, _: &mut Context<RoomEvent>, text: Text) -> Result<()> {
        let text = text.to_string();
        Ok(self.0.send(&RoomEvent::Said(ChatEvent { text })).await?)
    }

    async fn event(
        &mut self,
        ctx: &mut Context<RoomEvent>,
        event: Shared<RoomEvent>,
    ) -> Result<()> {
        Ok(ctx.send(event.json()?).await?)
    }
}

#[tokio::test]
async fn every_member_of_a_group_gets_what_it_negotiated() {
    let config = WebSocketConfig::new().compression(Compression::new().threshold(1));
    let room = Room::application(&Channels::in_memory()).with(config);
    let server = Server::start(app(room)).await;
    let offers = [
        DEFLATE,
        "permessage-deflate; server_max_window_bits=9",
        "none",
        DEFLATE,
    ];
    let mut clients = Vec::new();
    for offer in offers {
        clients.push(Client::connect(server.address, "/", offer).await);
    }

    for round in 0..20 {
        let text = format!("{round}{}", text(5000));
        clients[0].send(TEXT, text.as_bytes()).await;

        for (client, offer) in clients.iter_mut().zip(offers) {
            let (first, payload) = client.receive().await;
            let received = match first {
                COMPRESSED_TEXT => inflate(payload, if offer.ends_with('9') { 9 } else { 15 }),
                _ => String::from_utf8(payload).unwrap(),
            };
            assert_eq!(first == COMPRESSED_TEXT, offer != "none");
            assert!(received.contains(&text), "{received}");
        }
    }
}
