//! Tests of hostile input, with the expected response to each.
//!
//! A shape is a name, the section of the RFC on which its expected response rests, bytes, and that
//! response. Each is sent to a real server. No response may be a 500. For any input, a client that
//! was connected before still gets its echo, a new one gets its page, the server's memory and log
//! remain bounded, no connection is leaked, and nothing panics.
//!
//! | file | shapes |
//! | --- | --- |
//! | `shape.rs`, `target.rs` | a shape and how tables of them are run; the server, and its invariants |
//! | `http1/` | request lines, hosts, headers, bodies, pipelining, smuggling, methods |
//! | `http2/` | frames, header lists, floods |
//! | `websocket/` | handshakes, frames, lengths, texts, close frames |
//! | `cuts.rs`, `slow.rs` | clients that leave midway, and that stall |
//! | `floods.rs`, `connections.rs` | many messages, and many clients |

mod connections;
mod cuts;
mod floods;
mod http1;
mod http2;
mod shape;
mod slow;
mod target;
mod websocket;

use self::shape::{Shape, and_byte_by_byte, examine};
use std::collections::HashSet;

#[tokio::test]
async fn request_lines_are_parsed_strictly() {
    examine(http1::request_line::shapes()).await;
}

#[tokio::test]
async fn a_request_has_exactly_one_host() {
    examine(http1::host::shapes()).await;
}

#[tokio::test]
async fn headers_are_validated_and_limited() {
    examine(http1::headers::shapes()).await;
}

#[tokio::test]
async fn a_content_length_is_a_single_number() {
    examine(http1::content_length::shapes()).await;
}

#[tokio::test]
async fn a_transfer_encoding_is_chunked_or_rejected() {
    examine(http1::transfer_encoding::shapes()).await;
}

#[tokio::test]
async fn an_invalid_chunk_is_a_client_error() {
    examine(and_byte_by_byte(http1::chunks::shapes())).await;
}

#[tokio::test]
async fn pipelined_requests_get_one_response_each() {
    examine(and_byte_by_byte(http1::pipelining::shapes())).await;
}

#[tokio::test]
async fn no_request_is_smuggled_inside_another() {
    examine(and_byte_by_byte(http1::smuggling::shapes())).await;
}

#[tokio::test]
async fn an_unknown_method_is_rejected() {
    examine(http1::methods::shapes()).await;
}

#[tokio::test]
async fn invalid_http_2_frames_end_their_stream_or_connection() {
    examine(http2::frames::shapes()).await;
}

#[tokio::test]
async fn malformed_requests_over_http_2_are_rejected() {
    examine(http2::hpack::shapes()).await;
}

#[tokio::test]
async fn http_2_floods_are_ended_or_harmless() {
    http2::floods::examine().await;
}

#[tokio::test]
async fn an_invalid_handshake_is_rejected() {
    examine(websocket::handshake::shapes()).await;
}

#[tokio::test]
async fn an_invalid_frame_closes_with_1002() {
    examine(and_byte_by_byte(websocket::frames::shapes())).await;
}

#[tokio::test]
async fn lengths_over_the_limit_are_rejected() {
    examine(websocket::lengths::shapes()).await;
}

#[tokio::test]
async fn invalid_utf_8_closes_with_1007() {
    examine(websocket::utf8::shapes()).await;
}

#[tokio::test]
async fn a_close_frame_gets_one_reply_and_frames_after_it_none() {
    examine(and_byte_by_byte(websocket::close::shapes())).await;
}

#[tokio::test]
async fn a_client_that_leaves_midway_affects_no_other() {
    cuts::examine().await;
}

#[tokio::test]
async fn a_client_that_stalls_is_disconnected() {
    slow::examine().await;
}

#[tokio::test]
async fn a_flood_is_answered_with_its_bound() {
    floods::examine().await;
}

#[tokio::test]
async fn many_hostile_clients_affect_no_other() {
    connections::examine().await;
}

#[test]
fn shapes_are_unique_and_more_than_600() {
    let mut names = Names::default();
    for (family, shapes) in [
        ("request line", http1::request_line::shapes()),
        ("host", http1::host::shapes()),
        ("header", http1::headers::shapes()),
        ("content length", http1::content_length::shapes()),
        ("transfer encoding", http1::transfer_encoding::shapes()),
        ("chunks", and_byte_by_byte(http1::chunks::shapes())),
        ("pipelining", and_byte_by_byte(http1::pipelining::shapes())),
        ("smuggling", and_byte_by_byte(http1::smuggling::shapes())),
        ("method", http1::methods::shapes()),
    ] {
        names.add(family, shapes);
    }
    names.add("HTTP/2 frame", http2::frames::shapes());
    names.add("HTTP/2 header list", http2::hpack::shapes());
    names.add("handshake", websocket::handshake::shapes());
    for (family, shapes) in [
        ("frame", and_byte_by_byte(websocket::frames::shapes())),
        ("length", websocket::lengths::shapes()),
        ("text", websocket::utf8::shapes()),
        ("close", and_byte_by_byte(websocket::close::shapes())),
    ] {
        names.add(family, shapes);
    }
    let stages = cuts::STAGES
        .iter()
        .flat_map(|stage| cuts::LEAVES.map(|leave| format!("{} {leave:?}", stage.name)));
    names.0.extend(stages);
    let stalls = slow::stalls().into_iter();
    names
        .0
        .extend(stalls.map(|stall| format!("stall: {}", stall.name)));
    names.add("flood", floods::messages());
    names
        .0
        .extend(floods::write_only().map(|write_only| write_only.name.to_owned()));
    names
        .0
        .extend(connections::ALL.map(|clients| format!("{clients:?}")));
    names.add("HTTP/2 flood", http2::floods::shapes());

    assert!(names.0.len() > 600, "{} shapes", names.0.len());
}

/// The names of the shapes in all tables.
#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    fn add<A>(&mut self, family: &str, shapes: Vec<Shape<A>>) {
        let mut bytes = HashSet::new();
        for shape in shapes {
            let name = format!("{family}: {}", shape.name);
            assert!(
                bytes.insert((shape.bytes, shape.is_byte_by_byte, shape.half_closes)),
                "sent twice: {name}"
            );
            assert!(self.0.insert(name.clone()), "named twice: {name}");
        }
    }
}
