//! The CPU time of a page that the proxy of `beside-django` gets from a site, next to nginx.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use axum::{Router, http::header, routing::get};
use seaway_tests::support::{
    Django, Server,
    child::Process,
    django::SECRET_KEY,
    port::free_port,
    raw,
    temp_dir::Scratch,
    usage::{children, processor_time},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

const ROUNDS: usize = 7;
const CONNECTIONS: usize = 32;
const REQUESTS_PER_CONNECTION: usize = 1000;
const PAGE: usize = 10 * 1024;
/// What a browser sends.
const REQUEST: &str = "GET /accounts/login/?next=/rooms/lobby/ HTTP/1.1\r\n\
    Host: 127.0.0.1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Connection: keep-alive\r\n\
    Cookie: sessionid=8s4v2c6m1q0z9x7w5e3r1t2y4u6i8o0p; \
    csrftoken=Qm3fW9xTz1LrB7nKc5VdYh2JgS8aPe4U\r\n\
    \r\n";

/// Measures both in turns, and prints the medians.
pub(crate) async fn measure(site: &Django) {
    let page = get(async || {
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::X_FRAME_OPTIONS, "DENY"),
            (header::VARY, "Cookie"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "same-origin"),
        ];
        (headers, "x".repeat(PAGE))
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let upstream = listener.local_addr().expect("an address").port();
    let pages = Router::new().route("/accounts/login/", page);
    tokio::spawn(async move { axum::serve(listener, pages).await });
    let url = format!("http://127.0.0.1:{upstream}");
    let flags = ["--django", &url, "--database", site.database()];
    let flags = [&flags[..], &["--secret-key", SECRET_KEY]].concat();
    let mut seaway = Server::example_with("beside-django", &flags).await;
    let (pid, port) = (seaway.pid(), seaway.port());
    let nginx = Nginx::start(upstream).await;

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(per_request(port, || processor_time(pid)).await);
        if let Some(nginx) = &nginx {
            let workers = || children(nginx.process.id()).map(processor_time).sum();
            theirs.push(per_request(nginx.port, workers).await);
        }
    }

    println!("CPU time per page of {PAGE} bytes through a proxy");
    let ours = median(ours);
    println!("  Seaway: {ours:.1} µs");
    if nginx.is_some() {
        let theirs = median(theirs);
        println!(
            "  nginx:  {theirs:.1} µs; {:.2} times as much in Seaway",
            ours / theirs
        );
    } else {
        println!("  nginx is missing: `apt-get install nginx` adds its figure");
    }
}

/// Requests pages on all connections; returns the microseconds of CPU time for each.
async fn per_request(port: u16, processor_time: impl Fn() -> Duration) -> f64 {
    let before = processor_time();
    let mut connections = JoinSet::new();
    for _ in 0..CONNECTIONS {
        connections.spawn(request_pages(port));
    }
    connections.join_all().await;
    let used = processor_time() - before;
    used.as_secs_f64() * 1e6 / (CONNECTIONS * REQUESTS_PER_CONNECTION) as f64
}

async fn request_pages(port: u16) {
    let stream = TcpStream::connect(("127.0.0.1", port)).await;
    let mut stream = BufReader::with_capacity(2 * PAGE, stream.expect("the server listens"));
    for _ in 0..REQUESTS_PER_CONNECTION {
        let sent = stream.get_mut().write_all(REQUEST.as_bytes()).await;
        sent.expect("the connection is kept");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a response"));
        }
        let head = String::from_utf8(head)
            .expect("a head")
            .to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert!(
            head.contains(&format!("content-length: {PAGE}\r\n")),
            "{head}"
        );
        let mut page = [0; PAGE];
        stream.read_exact(&mut page).await.expect("a page");
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// A running nginx.
struct Nginx {
    port: u16,
    process: Process,
    // Removed after the process has ended.
    _folder: Scratch,
}

impl Nginx {
    /// Starts nginx as a proxy that sets the headers which Seaway sets; `None` if it is missing.
    async fn start(upstream: u16) -> Option<Self> {
        let program = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"];
        let program = program
            .iter()
            .find(|program| Path::new(program).is_file())?;
        let (folder, port) = (Scratch::new("nginx"), free_port());
        let home = folder.path().display();
        let mut settings = format!(
            "daemon off; pid {home}/pid; error_log stderr warn;\n\
             worker_processes auto;\n\
             events {{ worker_connections 1024; }}\n\
             http {{\n\
             access_log off;\n"
        );
        for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            writeln!(settings, "{kind}_temp_path {home}/{kind};").expect("a string grows");
        }
        write!(
            settings,
            "upstream site {{\n\
             server 127.0.0.1:{upstream};\n\
             keepalive 64; keepalive_requests 1000000;\n\
             }}\n\
             server {{\n\
             listen 127.0.0.1:{port};\n\
             keepalive_requests 1000000;\n\
             location / {{\n\
             proxy_pass http://site;\n\
             proxy_http_version 1.1;\n\
             proxy_set_header Connection \"\";\n\
             proxy_set_header Host $http_host;\n\
             proxy_set_header X-Forwarded-For $remote_addr;\n\
             proxy_set_header X-Forwarded-Host $http_host;\n\
             proxy_set_header X-Forwarded-Proto $scheme;\n\
             }}\n\
             }}\n\
             }}\n"
        )
        .expect("a string grows");
        let file = folder.path().join("nginx.conf");
        fs::write(&file, settings).expect("a file of its own");
        let mut command = Command::new(program);
        command.arg("-c").arg(&file).arg("-p").arg(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut process = Process::start("nginx", &mut command, "install nginx");
        process
            .up(async || raw::get(port, "/accounts/login/").await == Some(200))
            .await;
        Some(Self {
            port,
            process,
            _folder: folder,
        })
    }
}

/// Stops nginx with its workers, which a killed nginx would leave behind.
impl Drop for Nginx {
    fn drop(&mut self) {
        self.process.terminate();
        // It is killed otherwise.
        let _ = self.process.child().wait();
    }
}
