//! What a program says that cannot start: each thing once, and with a status that its supervisor understands.
//!
//! It plays that program itself, so it has a `main` of its own.

use seaway::{Result, routing::ProtocolTypeRouter, serve};
use std::{env, io, net::TcpListener, process::Command};

/// Where the program is to listen; not set while it examines.
const ADDRESS: &str = "ADDRESS";

fn main() -> Result<()> {
    if let Ok(address) = env::var(ADDRESS) {
        return start(address);
    }
    a_port_that_is_taken_is_told_once();
    a_start_up_that_fails_is_told_once();
    Ok(())
}

/// As a user writes it.
#[tokio::main(flavor = "current_thread")]
async fn start(address: String) -> Result<()> {
    let is_cold = address == "cold";
    serve(address, ProtocolTypeRouter::new())
        .on_startup(async move || match is_cold {
            true => Err(io::Error::other("the cache is cold"))?,
            false => Ok(()),
        })
        .await
}

fn a_port_that_is_taken_is_told_once() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it listens").to_string();
    let reason = TcpListener::bind(&address).expect_err("it is taken");

    let said = said(&address);

    assert_eq!(
        said,
        format!("Error: cannot listen on {address}: {reason}\n")
    );
}

fn a_start_up_that_fails_is_told_once() {
    let said = said("cold");

    assert_eq!(said, "Error: input or output failed: the cache is cold\n");
}

/// What the program says before it ends with status 1.
fn said(address: &str) -> String {
    let program = env::current_exe().expect("this program");
    let output = Command::new(program).env(ADDRESS, address).output();
    let output = output.expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).expect("it says text")
}
