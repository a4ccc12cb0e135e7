//! Idle connections on eight processes and one Redis, while a room of 1,000 delivers.

use std::{
    env,
    io::{BufRead, BufReader, Write, stdin},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    str::FromStr,
    time::{Duration, Instant},
};

use seaway_tests::support::{
    Redis, Server,
    idle::Idle,
    load::{Load, LoadRun},
};
use tokio::task::{JoinSet, spawn_blocking};

const PROCESSES: usize = 8;

/// How many clients of the room there are, and how often one of them publishes.
const ROOM: Load = Load {
    rooms: 1,
    members: 1000,
    senders: 1,
    bytes: 64,
    lasts: Duration::from_secs(20),
    pause: Duration::from_millis(50),
};

/// Opens this many connections, idle and members of the room, and prints memory and delays.
pub(super) async fn run(connections: usize) {
    let redis = Redis::new().await;
    let mut arenas = Vec::new();
    for _ in 0..PROCESSES {
        arenas.push(Server::arena_with(&["--redis", &redis.url()]).await);
    }
    let ports: Vec<u16> = arenas.iter().map(Server::port).collect();
    let before = resident(&mut arenas);
    let start = Instant::now();
    let mut opening = JoinSet::new();
    for (index, &port) in ports.iter().enumerate() {
        let idle = connections.saturating_sub(ROOM.members);
        // The remainder, too.
        let share = (idle + index) / PROCESSES;
        opening.spawn_blocking(move || Holder::open(port, share));
    }
    let mut holders = opening.join_all().await;
    let opened: usize = holders.iter().map(|holder| holder.open).sum();
    let took = start.elapsed();
    let memory = resident(&mut arenas) - before;
    println!("{opened} idle connections to {PROCESSES} processes, opened in {took:.1?}");
    let each = memory as f64 * 1024.0 / opened as f64;
    println!("  memory of the servers: {before} MiB empty, {memory} MiB more, {each:.2} KiB each");

    let run = LoadRun::join(&ports, ROOM).await;
    println!(
        "a room of {} over them, a message of 64 bytes every 50 ms",
        ROOM.members
    );
    let count = run.run().await;

    println!("  {count}");
    count.is_complete();
    let left = spawn_blocking(move || holders.iter_mut().map(Holder::end).sum());
    let left: usize = left.await.expect("the holders respond");
    println!("  {left} idle connections were still open afterwards");
    assert_eq!(left, opened);
}

/// Holds connections in a process of its own, which may open only so many files:
/// says how many once they are open, and again when it is asked.
pub(super) async fn hold(port: u16, connections: usize) {
    let idle = Idle::open(port, connections).await;
    println!("{}", idle.count());
    let asked = spawn_blocking(|| stdin().read_line(&mut String::new())).await;
    asked
        .expect("a thread to wait in")
        .expect("a line, or the end of the input");
    println!("{}", idle.count());
}

/// Parses a number of the command line.
pub(super) fn number<T: FromStr>(text: &str) -> T {
    let number = text.parse().ok();
    number.unwrap_or_else(|| panic!("{text:?} is no number that fits"))
}

fn resident(arenas: &mut [Server]) -> u64 {
    arenas.iter_mut().map(Server::resident_mib).sum()
}

/// A process that holds connections, and ends with this one.
struct Holder {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    open: usize,
}

impl Holder {
    fn open(port: u16, connections: usize) -> Self {
        let program = env::current_exe().expect("the path of this program");
        let mut child = Command::new(program)
            .args(["hold", &port.to_string(), &connections.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts again");
        let input = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut holder = Self {
            child,
            input,
            output,
            open: 0,
        };
        holder.open = holder.count();
        holder
    }

    /// Returns how many connections are open now, and ends the process.
    fn end(&mut self) -> usize {
        writeln!(self.input).expect("the holder listens");
        self.count()
    }

    fn count(&mut self) -> usize {
        let mut line = String::new();
        let read = self.output.read_line(&mut line);
        read.expect("the holder says how many are open");
        number(line.trim())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // This fails only if it has ended already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
