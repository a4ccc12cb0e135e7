//! The examples as real server processes.

use std::{
    collections::HashMap,
    io::Write,
    net::TcpListener,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::net::TcpStream;

use super::{
    authority::Authority,
    child::Process,
    client::Client,
    port::free_port,
    raw::{self, RawClient},
    redis::Redis,
    temp_dir::Scratch,
    usage::resident_memory_kib,
    wait::{DEADLINE, until},
};

/// A server on its own loopback port, which it keeps over restarts.
#[derive(Debug)]
pub struct Server {
    program: &'static str,
    port: u16,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
    /// The socket that it inherits, instead of listening on its port itself.
    socket: Option<Arc<TcpListener>>,
    /// The data folder, which the processes of a chat may share. It is the current folder of the
    /// process.
    data: Option<Arc<Scratch>>,
    process: Option<Process>,
}

impl Server {
    /// Starts the arena with in-memory channels.
    pub async fn arena() -> Self {
        Self::arena_with(&[]).await
    }

    /// Starts the arena with in-memory channels and more flags.
    pub async fn arena_with(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        Self::started("arena", arguments, None).await
    }

    /// Starts the arena on a Redis.
    pub async fn arena_on(redis: &Redis) -> Self {
        Self::arena_with(&["--redis", &redis.url()]).await
    }

    /// Starts the chat on a Redis, with a new database.
    pub async fn chat_on(redis: &Redis) -> Self {
        Self::chat(Some(redis.url()), Arc::new(Scratch::new("chat-data"))).await
    }

    /// Starts the chat without `REDIS_URL`: it may find a Redis on this machine, or none.
    pub async fn chat_without_redis_url() -> Self {
        Self::chat(None, Arc::new(Scratch::new("chat-data"))).await
    }

    /// Starts another process of the same chat: on the same Redis, with the same database.
    pub async fn chat_beside(neighbour: &Self, redis: &Redis) -> Self {
        let data = neighbour.data.clone();
        Self::chat(Some(redis.url()), data.expect("the neighbour is a chat")).await
    }

    /// Starts the chat on a Redis over TLS, with an access log. The certificate is of this
    /// authority.
    pub async fn chat_over_tls(redis: &Redis, authority: &Authority) -> Self {
        let mut chat = Self::new_chat(Some(redis.url()), Arc::new(Scratch::new("chat-data")));
        let (certificate, key) = authority.certify("127.0.0.1");
        let tls = ["--tls-cert", &certificate, "--tls-key", &key];
        chat.arguments.extend(tls.map(str::to_owned));
        let log = "info,seaway::access=debug".to_owned();
        chat.environment.push(("RUST_LOG", log));
        chat.start().await;
        chat
    }

    /// Starts the arena on a socket that the test has opened, as a service manager does. Its log has
    /// a line for each `disconnect` of an echoing client.
    pub async fn arena_on_socket(socket: &Arc<TcpListener>, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let mut arena = Self::new("arena", arguments, None);
        let address = socket.local_addr().expect("a listening socket");
        arena.port = address.port();
        arena.socket = Some(socket.clone());
        let log = "info,arena=debug".to_owned();
        arena.environment.push(("RUST_LOG", log));
        arena.start().await;
        arena
    }

    /// Starts the arena on a port that other processes share, or on a free one.
    pub async fn arena_on_shared_port(port: Option<u16>) -> Self {
        let mut arena = Self::new("arena", vec!["--reuse-port".to_owned()], None);
        arena.port = port.unwrap_or(arena.port);
        let process = arena.launch();
        // Another process may respond on this port.
        until("the arena to listen", DEADLINE, async || {
            process.errors().contains("listening").then_some(())
        })
        .await;
        arena.process = Some(process);
        arena
    }

    async fn chat(redis: Option<String>, data: Arc<Scratch>) -> Self {
        let mut chat = Self::new_chat(redis, data);
        chat.start().await;
        chat
    }

    fn new_chat(redis: Option<String>, data: Arc<Scratch>) -> Self {
        let folder = data.path().display().to_string();
        let arguments = vec!["--data".to_owned(), folder];
        let mut chat = Self::new("chat", arguments, redis);
        chat.data = Some(data);
        chat
    }

    /// Starts one of the small examples.
    pub async fn example(program: &'static str) -> Self {
        Self::example_with(program, &[]).await
    }

    /// Starts one of the small examples with these flags.
    pub async fn example_with(program: &'static str, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        Self::started(program, arguments, None).await
    }

    /// Starts an example that stores its data in the current folder: in an empty one.
    pub async fn example_with_data(program: &'static str) -> Self {
        let mut server = Self::new(program, Vec::new(), None);
        server.data = Some(Arc::new(Scratch::new("example-data")));
        server.start().await;
        server
    }

    /// Starts two processes of the same auction on a Redis.
    pub async fn auctions_on(redis: &Redis) -> [Self; 2] {
        let data = Arc::new(Scratch::new("example-data"));
        let mut auctions = [(); 2].map(|()| Self::new("auction", Vec::new(), Some(redis.url())));
        for auction in &mut auctions {
            auction.data = Some(data.clone());
            // One after the other: the first one creates the database.
            auction.start().await;
        }
        auctions
    }

    /// Starts the arena on a Redis that may be down, without waiting until it responds.
    #[must_use]
    pub fn arena_unawaited(redis: &Redis) -> Self {
        let mut server = Self::new("arena", vec!["--redis".to_owned(), redis.url()], None);
        server.process = Some(server.launch());
        server
    }

    /// Kills it: clients get no close frame.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Asks it to stop (SIGTERM).
    pub fn terminate(&mut self) {
        self.process().terminate();
    }

    /// Suspends it (SIGSTOP): connections remain open and get no responses.
    pub fn freeze(&mut self) {
        self.process().signal("STOP");
    }

    /// Resumes it (SIGCONT).
    pub fn thaw(&mut self) {
        self.process().signal("CONT");
    }

    /// Returns its metrics, and tokio's: each with its labels, as `/metrics` shows them.
    ///
    /// # Panics
    /// If it does not respond.
    pub async fn metrics(&self) -> HashMap<String, f64> {
        let answer = raw::ask(self.port, "GET /metrics", &[], "").await;
        let lines = answer.lines().filter(|line| !line.starts_with('#'));
        lines
            .filter_map(|line| {
                let (name, value) = line.rsplit_once(' ')?;
                Some((name.to_owned(), value.parse().ok()?))
            })
            .collect()
    }

    /// Waits until it has exited.
    pub async fn ended(&mut self, limit: Duration) -> ExitStatus {
        self.process().ended(limit).await
    }

    /// Returns its stderr so far.
    pub fn errors(&mut self) -> String {
        self.process().errors()
    }

    /// Starts it on its port, and waits until it responds.
    pub async fn start(&mut self) {
        let mut process = self.launch();
        process
            .up(async || {
                if self.is_tls() {
                    return TcpStream::connect(("127.0.0.1", self.port)).await.is_ok();
                }
                // The small examples have no such page: any response is enough, also that of a
                // proxy without a server behind it.
                raw::get(self.port, "/healthz")
                    .await
                    .is_some_and(|status| status < 500 || status == 502)
            })
            .await;
        self.process = Some(process);
    }

    /// Returns its resident memory in MiB.
    pub fn resident_mib(&mut self) -> u64 {
        resident_memory_kib(self.pid()) / 1024
    }

    /// Returns its process id.
    pub fn pid(&mut self) -> u32 {
        self.process().child().id()
    }

    /// Returns its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the data folder of a chat.
    ///
    /// # Panics
    /// If it is not a chat.
    #[must_use]
    pub fn data(&self) -> &Path {
        self.data.as_ref().expect("it is a chat").path()
    }

    /// Returns the URL of a page.
    #[must_use]
    pub fn page(&self, path: &str) -> String {
        let scheme = if self.is_tls() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}{path}", self.port)
    }

    /// Connects a WebSocket client.
    pub async fn client(&self, path: &str) -> Client {
        Client::connect(self.port, path).await
    }

    /// Connects a client that may violate protocols.
    pub async fn raw_client(&self) -> RawClient {
        RawClient::connect(self.port).await
    }

    async fn started(program: &'static str, arguments: Vec<String>, redis: Option<String>) -> Self {
        let mut server = Self::new(program, arguments, redis);
        server.start().await;
        server
    }

    fn new(program: &'static str, arguments: Vec<String>, redis: Option<String>) -> Self {
        Self {
            program,
            port: free_port(),
            arguments,
            environment: redis.map(|url| ("REDIS_URL", url)).into_iter().collect(),
            socket: None,
            data: None,
            process: None,
        }
    }

    fn launch(&self) -> Process {
        let mut command = self.command();
        command.args(["--port", &self.port.to_string()]);
        command.args(&self.arguments);
        if let Some(data) = &self.data {
            command.current_dir(data.path());
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdout(Stdio::null());
        let remedy = "`cargo build --workspace --bins --tests --all-features` builds it";
        Process::start(self.program, &mut command, remedy)
    }

    /// Returns the command, which passes the socket as descriptor 3 if it is to inherit one.
    fn command(&self) -> Command {
        let mut command = program(self.program);
        command.stdin(Stdio::null());
        let Some(socket) = &self.socket else {
            return command;
        };
        let mut shell = Command::new("sh");
        let script = r#"export LISTEN_PID=$$; exec "$0" "$@" 3<&0 </dev/null"#;
        shell.args(["-c", script]).arg(command.get_program());
        shell.env_remove("REDIS_URL").env_remove("RUST_LOG");
        let passed = socket.try_clone().expect("a descriptor");
        shell.env("LISTEN_FDS", "1").stdin(OwnedFd::from(passed));
        shell
    }

    /// Returns whether its clients use TLS.
    fn is_tls(&self) -> bool {
        self.arguments.iter().any(|flag| flag == "--tls-cert")
    }

    fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the server was started")
    }
}

/// Returns the command of an example.
///
/// The environment's own settings are removed: a test may need it without Redis.
#[must_use]
pub fn program(name: &str) -> Command {
    // The process may run in another folder.
    let path = std::path::absolute(programs().join(name));
    let mut command = Command::new(path.expect("a current folder"));
    for name in ["PORT", "REDIS_URL", "RUST_LOG"] {
        command.env_remove(name);
    }
    command
}

/// Returns the folder of the examples' programs: `SEAWAY_EXAMPLES`, or else the one where they are
/// built now.
fn programs() -> &'static Path {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();

    // A failed build is cached as well: other tests do not retry it.
    let folder = FOLDER.get_or_init(|| {
        let built = std::env::var_os("SEAWAY_EXAMPLES").map(PathBuf::from);
        built.or_else(build)
    });
    folder.as_ref().expect("cargo builds the examples")
}

/// Builds the examples in the profile of the tests, with the features that they have beside the
/// tests: with others, cargo would build all dependencies again.
fn build() -> Option<PathBuf> {
    // A test is in `target/<profile>/deps`, a program in `target/<profile>`.
    let program = std::env::current_exe().expect("the path of this program");
    let mut folders = program.ancestors().skip(1);
    let folder = folders
        .find(|folder| !folder.ends_with("deps"))
        .expect("a target folder");
    let release = folder.ends_with("release").then_some("--release");

    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args([
            "build",
            "--workspace",
            "--bins",
            "--tests",
            "--all-features",
        ])
        .args(release);
    // Written directly to the stream: `eprintln!` in a test is shown only if the test fails.
    let line = "seaway-tests: building the examples, which takes some minutes the first time";
    writeln!(std::io::stderr(), "\n{line}").expect("standard error is open");
    let is_built = command.status().is_ok_and(|status| status.success());
    is_built.then(|| folder.to_owned())
}
