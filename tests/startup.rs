//! Tests of the examples' startup, and of their error messages.

use std::{
    fs::{self, File},
    io::{self, Write},
    net::TcpListener,
    os::unix::net::UnixStream,
    process::{Command, Stdio},
};

use seaway_tests::support::{
    Redis, Scratch, Server, StartLine,
    child::Process,
    raw,
    server::program,
    wait::{DEADLINE, until},
};
use tokio::task::spawn_blocking;

const EXAMPLES: [&str; 6] = [
    "arena",
    "chat",
    "echo",
    "in-axum",
    "notifications",
    "transports",
];

/// The examples that use a Redis at `REDIS_URL`.
const ON_REDIS: [&str; 3] = ["arena", "chat", "notifications"];

#[tokio::test]
async fn every_example_prints_its_options_with_help() {
    for example in EXAMPLES {
        let ended = run(example, program(example).arg("--help")).await;

        assert_eq!(ended.code, Some(0), "{example}: {}", ended.complaint);
        for option in ["--host H", "--port N", "--help"] {
            assert!(ended.output.contains(option), "{example}: {}", ended.output);
        }
    }
}

#[tokio::test]
async fn a_command_line_error_is_printed_above_the_help() {
    for example in EXAMPLES {
        for mistake in ["--prot=8001", "127.0.0.1:8001", "--port=http"] {
            let ended = run(example, program(example).arg(mistake)).await;

            assert_eq!(ended.code, Some(2), "{example} {mistake}");
            let complaint = ended.complaint;
            let first = complaint.lines().next().unwrap_or_default();
            let word = mistake.split('=').next().unwrap_or_default();
            assert!(first.contains(word), "{example} {mistake}: {complaint}");
            assert!(complaint.contains("usage: "), "{example}: {complaint}");
        }
    }
}

#[tokio::test]
async fn a_trusted_proxy_that_is_no_address_is_an_error_of_the_command_line() {
    let ended = run("arena", program("arena").arg("--forwarded-allow-ips=*")).await;

    assert_eq!(ended.code, Some(2), "{}", ended.complaint);
    let first = ended.complaint.lines().next().unwrap_or_default();
    assert!(
        first.contains("\"*\" is not an address or a network"),
        "{first}"
    );
}

#[tokio::test]
async fn options_select_the_headers_in_which_proxies_state_the_host() {
    const X_FORWARDED: &str = "Origin: https://a.example\r\nX-Forwarded-Host: a.example\r\n";
    const FORWARDED: &str = "Origin: https://a.example\r\nForwarded: host=a.example\r\n";
    for (option, expected) in [
        (None, [403, 403]),
        (Some("--x-forwarded-host"), [101, 403]),
        (Some("--forwarded-header"), [403, 101]),
    ] {
        let mut options = vec!["--trusted-proxies", "127.0.0.1"];
        options.extend(option);
        let arena = Server::arena_with(&options).await;
        for (headers, status) in [X_FORWARDED, FORWARDED].into_iter().zip(expected) {
            let mut client = arena.raw_client().await;
            assert_eq!(
                client.upgrade("/ws/echo", headers).await,
                status,
                "{option:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_port_in_use_is_reported_with_the_option_that_changes_it() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("it listens").port();

    for example in EXAMPLES {
        let ended = run(example, program(example).arg(format!("--port={port}"))).await;

        assert_eq!(ended.code, Some(1), "{example}");
        let complaint = ended.last_line();
        for part in ["127.0.0.1", &port.to_string(), "in use", "--port"] {
            assert!(complaint.contains(part), "{example}: {complaint}");
        }
        assert_eq!(complaint.matches("in use").count(), 1, "{complaint}");
    }
}

#[tokio::test]
async fn a_unix_socket_is_taken_over_from_an_ended_run_and_not_from_a_running_server() {
    let folder = Scratch::new("socket");
    let path = folder.path().join("http.sock");
    let arena = || {
        let mut command = program("arena");
        command.arg("--unix").arg(&path);
        command
    };
    let first = StartLine::of("arena", &mut arena()).await;

    let second = run("arena", &mut arena()).await;

    assert_eq!(second.code, Some(1));
    let complaint = second.last_line();
    for part in ["http.sock", "in use", "--unix"] {
        assert!(complaint.contains(part), "{complaint}");
    }
    UnixStream::connect(&path).expect("the first one still listens");
    drop(first);
    UnixStream::connect(&path).expect_err("it is killed, and leaves its file");
    let third = StartLine::of("arena", &mut arena()).await;
    UnixStream::connect(&path).expect("it has replaced the file");
    drop(third);
}

#[tokio::test]
async fn a_unix_socket_takes_the_proxy_protocol_of_trusted_proxies() {
    let folder = Scratch::new("proxied");
    let path = folder.path().join("http.sock");
    let arena = || {
        let mut command = program("arena");
        command.arg("--proxy-protocol").arg("--unix").arg(&path);
        command
    };
    let trusts_none = run("arena", &mut arena()).await;
    assert_eq!(trusts_none.code, Some(1));
    let complaint = trusts_none.last_line();
    assert!(complaint.contains("--trusted-proxies"), "{complaint}");

    let arena = StartLine::of("arena", arena().args(["--trusted-proxies", "unix"])).await;

    let url = format!("unix:{}", path.display());
    assert!(arena.line().contains(&url), "{}", arena.line());
    let response = spawn_blocking(move || {
        let mut client = UnixStream::connect(path)?;
        client.set_read_timeout(Some(DEADLINE))?;
        client.write_all(
            b"PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\n\
              GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        )?;
        io::read_to_string(client)
    });
    let response = response.await.expect("nothing panics there");
    let response = response.expect("a response");
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
}

#[tokio::test]
async fn every_example_listens_before_it_prints_its_address() {
    for example in EXAMPLES {
        let started = StartLine::of(example, program(example).arg("--port=0")).await;

        let answer = raw::get(started.port(), "/healthz").await;

        assert!(answer.is_some(), "{example}: {}", started.line());
    }
}

#[tokio::test]
async fn the_variable_port_selects_the_port_of_every_example() {
    for example in EXAMPLES {
        let started = StartLine::of(example, program(example).env("PORT", "0")).await;

        let answer = raw::get(started.port(), "/healthz").await;

        assert_ne!(started.port(), 8000, "{example}");
        assert!(answer.is_some(), "{example}: {}", started.line());
    }
}

#[tokio::test]
async fn a_malformed_variable_is_an_error_of_the_command_line() {
    for example in EXAMPLES {
        let ended = run(example, program(example).env("PORT", "http")).await;

        assert_eq!(ended.code, Some(2), "{example}: {}", ended.complaint);
        let first = ended.complaint.lines().next().unwrap_or_default();
        assert!(first.contains("PORT http"), "{example}: {first}");
    }
}

#[tokio::test]
async fn the_chat_prints_its_data_folder_and_its_redis_without_the_password() {
    let redis = Redis::with_password("secret").await;
    let here = format!("127.0.0.1:{}", redis.port());
    let mut command = program("chat");
    command.args(["--port", "0", "--data", "here"]);
    command.env("REDIS_URL", redis.url());

    let started = StartLine::of("chat", &mut command).await;

    let line = started.line();
    for part in [format!("{}/here", started.folder().display()), here] {
        assert!(line.contains(&part), "{part}: {line}");
    }
    assert!(!line.contains("secret"), "{line}");
}

#[tokio::test]
async fn a_configured_redis_that_fails_ends_the_startup_with_one_line() {
    let redis = Redis::with_password("right").await;
    let web = Server::example("echo").await;
    let [redis, web, nothing] =
        [redis.port(), web.port(), Redis::stopped().port()].map(|port| format!("127.0.0.1:{port}"));
    for (url, part) in [
        (format!("redis://{nothing}"), &*nothing),
        (format!("redis://{web}"), &web),
        (format!("redis://:wrong@{redis}"), &redis),
        (format!("redis://{redis}"), "NOAUTH"),
        ("http://127.0.0.1:6379".to_owned(), "Redis"),
        ("127.0.0.1".to_owned(), "Redis"),
    ] {
        for example in ON_REDIS {
            let mut command = program(example);
            let ended = run(example, command.arg("--port=0").env("REDIS_URL", &url)).await;

            let complaint = &ended.complaint;
            assert_eq!(ended.code, Some(1), "{example} {url}: {complaint}");
            assert_eq!(complaint.lines().count(), 1, "{example}: {complaint}");
            for part in [part, "REDIS_URL"] {
                assert!(complaint.contains(part), "{example} {url}: {complaint}");
            }
            for part in ["in_memory", "wrong"] {
                assert!(!complaint.contains(part), "{example} {url}: {complaint}");
            }
        }
    }
}

#[tokio::test]
async fn an_empty_redis_url_counts_as_unset() {
    for example in ON_REDIS {
        let mut command = program(example);
        command.arg("--port=0").env("REDIS_URL", "");

        let started = StartLine::of(example, &mut command).await;

        assert_ne!(started.port(), 0);
    }
}

#[tokio::test]
async fn an_unusable_data_folder_is_reported_once_with_the_reason() {
    let folder = Scratch::new("start");
    fs::write(folder.path().join("file"), "").expect("a file");
    fs::write(folder.path().join("chat.db"), "a text, not a database").expect("a file");

    for data in ["file", "file/in", "."] {
        let path = folder.path().join(data);
        let mut command = program("chat");
        command.arg("--port=0").arg("--data").arg(&path);
        let ended = run("chat", &mut command).await;

        assert_eq!(ended.code, Some(1), "{data}");
        let complaint = ended.last_line();
        let path = path.to_str().expect("a path of the test");
        let path = path.trim_end_matches("/.");
        assert!(complaint.contains(path), "{data}: {complaint}");
        let mut causes: Vec<_> = complaint.split(": ").collect();
        let count = causes.len();
        causes.sort_unstable();
        causes.dedup();
        assert_eq!(causes.len(), count, "{data}: {complaint}");
    }
}

/// A program that has exited by itself.
struct Ended {
    code: Option<i32>,
    output: String,
    complaint: String,
}

impl Ended {
    /// Returns the last line of stderr, which may follow log lines.
    fn last_line(&self) -> &str {
        self.complaint.lines().last().unwrap_or_default()
    }
}

/// Runs a program until it exits, in an empty folder.
async fn run(example: &str, command: &mut Command) -> Ended {
    let scratch = Scratch::new("output");
    let path = scratch.path().join("stdout");
    let output = File::create(&path).expect("a file for the output");
    command.current_dir(scratch.path());
    command.stdin(Stdio::null()).stdout(output);
    let mut process = Process::start(example, command, "it is not built");
    let status = process.ended(DEADLINE).await;
    Ended {
        code: status.code(),
        output: fs::read_to_string(path).expect("text"),
        complaint: process.errors(),
    }
}

#[tokio::test]
async fn a_monitored_chat_serves_metrics_and_is_ready_while_redis_responds() {
    let mut redis = Redis::new().await;
    let mut command = program("chat");
    command.args(["--port", "0", "--monitor", "0"]);
    command.env("REDIS_URL", redis.url());

    let started = StartLine::of("chat", &mut command).await;
    let monitor = started.port_of("monitoring");

    let metrics = raw::ask(monitor, "GET /metrics", &[], "").await;
    let is_up = "seaway_redis_up{purpose=\"subscriptions\"} 1";
    assert!(metrics.contains(is_up), "{metrics}");
    let answers = async |status| (raw::get(monitor, "/ready").await == Some(status)).then_some(());
    assert_eq!(answers(200).await, Some(()));
    redis.stop();
    until("/ready says no", DEADLINE, async || answers(503).await).await;
    redis.start().await;
    until("/ready says yes", DEADLINE, async || answers(200).await).await;
}
