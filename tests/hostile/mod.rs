//! Hostile input: what a client may send to do harm, and the answer it must get.
//!
//! A shape is a name, the section of the RFC that its answer rests on, bytes, and the answer. Each
//! is sent to a real server. No answer may be a 500, and whatever comes, a client that has been
//! connected all along keeps its echo, a new one gets its page, the server's memory and log keep
//! their bounds, no connection is left behind, and nothing panics.
//!
//! | file | shapes |
//! | --- | --- |
//! | `shape.rs`, `target.rs` | a shape and how tables of them are tried; the server, and what must hold |
//! | `http1/` | request lines, hosts, headers, bodies, requests in a row, smuggling, methods |
//! | `http2/` | frames, header lists, floods |
//! | `websocket/` | handshakes, frames, lengths, texts, closing |
//! | `cuts.rs`, `slow.rs` | clients that leave in the middle, and that stall |
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
async fn a_request_line_is_taken_apart_by_the_rules() {
    examine(http1::request_line::shapes()).await;
}

#[tokio::test]
async fn a_request_names_one_host() {
    examine(http1::host::shapes()).await;
}

#[tokio::test]
async fn headers_have_a_syntax_and_a_limit() {
    examine(http1::headers::shapes()).await;
}

#[tokio::test]
async fn a_content_length_is_one_number() {
    examine(http1::content_length::shapes()).await;
}

#[tokio::test]
async fn a_transfer_encoding_is_chunked_or_refused() {
    examine(http1::transfer_encoding::shapes()).await;
}

#[tokio::test]
async fn a_wrong_chunk_is_the_clients_fault() {
    examine(and_byte_by_byte(http1::chunks::shapes())).await;
}

#[tokio::test]
async fn requests_in_a_row_are_answered_once_each() {
    examine(and_byte_by_byte(http1::pipelining::shapes())).await;
}

#[tokio::test]
async fn no_request_is_smuggled_inside_another() {
    examine(and_byte_by_byte(http1::smuggling::shapes())).await;
}

#[tokio::test]
async fn an_unknown_method_is_refused() {
    examine(http1::methods::shapes()).await;
}

#[tokio::test]
async fn wrong_frames_of_http_2_end_what_they_are_part_of() {
    examine(http2::frames::shapes()).await;
}

#[tokio::test]
async fn malformed_requests_over_http_2_are_refused() {
    examine(http2::hpack::shapes()).await;
}

#[tokio::test]
async fn floods_over_http_2_are_ended_or_harmless() {
    http2::floods::examine().await;
}

#[tokio::test]
async fn a_handshake_follows_all_rules_or_is_refused() {
    examine(websocket::handshake::shapes()).await;
}

#[tokio::test]
async fn a_wrong_frame_ends_its_socket_with_1002() {
    examine(and_byte_by_byte(websocket::frames::shapes())).await;
}

#[tokio::test]
async fn a_length_never_passes_the_limit() {
    examine(websocket::lengths::shapes()).await;
}

#[tokio::test]
async fn a_text_that_is_no_utf_8_ends_its_socket_with_1007() {
    examine(websocket::utf8::shapes()).await;
}

#[tokio::test]
async fn a_close_frame_is_answered_once_and_nothing_behind_it() {
    examine(and_byte_by_byte(websocket::close::shapes())).await;
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_harms_nobody() {
    cuts::examine().await;
}

#[tokio::test]
async fn a_client_that_stalls_is_disconnected() {
    slow::examine().await;
}

#[tokio::test]
async fn a_flood_keeps_its_bounds() {
    floods::examine().await;
}

#[tokio::test]
async fn a_crowd_harms_nobody() {
    connections::examine().await;
}

#[test]
fn no_shape_is_tried_twice_and_there_are_more_than_600() {
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

/// What was seen of all tables.
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
