//! The program of `cargo xtask scale`: large rooms and many rooms over two processes, with times
//! and memory.
//!
//! With `idle` it runs eight processes with 150,000 connections instead, or as many as follow.
//!
//! Panics if a message is lost or a connection ends; the printed figures are for comparison.

mod idle;

use std::{env, time::Duration};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use seaway_tests::support::{
    Redis, Server,
    load::{Load, LoadRun, SlowReader},
    reconnects::churn,
};

#[tokio::main]
async fn main() {
    allow_open_files();
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => run_all().await,
        ["idle"] => idle::run(150_000).await,
        ["idle", connections] => idle::run(idle::number(connections)).await,
        ["hold", port, connections] => {
            idle::hold(idle::number(port), idle::number(connections)).await;
        }
        _ => panic!("usage: scale [idle [CONNECTIONS]]"),
    }
}

async fn run_all() {
    let load = Load {
        rooms: 1,
        members: 1000,
        senders: 1000,
        bytes: 0,
        lasts: Duration::from_secs(9),
        pause: Duration::ZERO,
    };
    run("one room of 1,000, all publish in a closed loop", load).await;
    slow_reader(Load {
        // The kernels buffer some megabytes for the slow reader before its mailbox fills.
        bytes: 512,
        ..load
    })
    .await;
    let load = Load {
        rooms: 10_000,
        members: 1,
        senders: 1,
        bytes: 0,
        lasts: Duration::from_secs(3),
        pause: Duration::ZERO,
    };
    run(
        "10,000 rooms of one member each, all publish in a closed loop",
        load,
    )
    .await;
    let load = Load {
        rooms: 1,
        members: 10_000,
        senders: 10,
        bytes: 0,
        lasts: Duration::from_secs(3),
        pause: Duration::ZERO,
    };
    run("one room of 10,000, 10 publish in a closed loop", load).await;
    let redis = Redis::new().await;
    println!("members who come and go while a group receives");
    println!("  {}", churn(&redis, 50_000).await);
}

/// Raises the limit of open files: all clients are in this process, and half of their connections
/// end in each server.
fn allow_open_files() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit of open files");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("a limit up to the hard one");
}

async fn run(title: &str, load: Load) {
    let redis = Redis::new().await;
    let mut arenas = arenas(&redis, &[]).await;
    let before = resident(&mut arenas);
    let run = LoadRun::join(&ports(&arenas), load).await;
    let (joined, idle) = (run.joined, resident(&mut arenas));
    let memory = redis.memory().await;

    let count = run.run().await;

    println!("{title}");
    println!("  joined in {joined:.2?}; {count}");
    println!(
        "  each server in MiB: {before:?} empty, {idle:?} joined, {:?} afterwards",
        resident(&mut arenas)
    );
    println!("  Redis: {} KiB", memory / 1024);
    count.is_complete();
}

async fn slow_reader(load: Load) {
    let redis = Redis::new().await;
    // It reads again only when the others are done, and must find the close frame then.
    let arenas = arenas(&redis, &["--close-timeout", "120"]).await;
    let slow = SlowReader::join(arenas[0].port(), 0).await;
    let run = LoadRun::join(&ports(&arenas), load).await;

    let count = run.run().await;

    println!("the same with one member that reads nothing");
    println!("  {count}");
    count.is_complete();
    let code = slow.close_code().await;
    println!("  it was closed with {code:?}");
    assert_eq!(code, Some(1013));
}

async fn arenas(redis: &Redis, arguments: &[&str]) -> [Server; 2] {
    let url = redis.url();
    let arguments = [&["--redis", &url], arguments].concat();
    [
        Server::arena_with(&arguments).await,
        Server::arena_with(&arguments).await,
    ]
}

fn ports(arenas: &[Server; 2]) -> [u16; 2] {
    [arenas[0].port(), arenas[1].port()]
}

fn resident(arenas: &mut [Server; 2]) -> [u64; 2] {
    arenas.each_mut().map(Server::resident_mib)
}
