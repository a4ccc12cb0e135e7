//! Error output and exit status of a program that fails to start: each error is printed once.
//!
//! The test binary runs itself as that program, so it has a `main` of its own.

use seaway::{Result, routing::ProtocolTypeRouter, serve};
use std::{env, io, net::TcpListener, process::Command};

/// The variable with the address that the program listens on; unset in the test itself.
const ADDRESS: &str = "ADDRESS";

fn main() -> Result<()> {
    if let Ok(address) = env::var(ADDRESS) {
        return start(address);
    }
    a_port_in_use_is_reported_once();
    a_failed_startup_is_reported_once();
    Ok(())
}

/// Starts a server as a user's `main` does.
#[tokio::main(flavor = "current_thread")]
async fn start(address: String) -> Result<()> {
    let is_full = address == "full";
    Ok(serve(address, ProtocolTypeRouter::new())
        .on_startup(async move || match is_full {
            true => Err(io::Error::other("the disk is full"))?,
            false => Ok(()),
        })
        .await?)
}

fn a_port_in_use_is_reported_once() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it listens").to_string();
    let reason = TcpListener::bind(&address).expect_err("it is taken");

    let output = output(&address);

    assert_eq!(
        output,
        format!("Error: cannot listen on {address}: {reason}\n")
    );
}

fn a_failed_startup_is_reported_once() {
    let output = output("full");

    assert_eq!(output, "Error: the disk is full\n");
}

/// Returns what the program prints to stderr before it exits with status 1.
fn output(address: &str) -> String {
    let program = env::current_exe().expect("this program");
    let output = Command::new(program).env(ADDRESS, address).output();
    let output = output.expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).expect("it says text")
}
