//! Redis servers without persistence, and their command statistics.

use std::{
    env, fs,
    io::{BufRead, BufReader, Error, Read, Result, Write},
    net::{Ipv4Addr, TcpStream},
    path::PathBuf,
    process::Command,
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::process::{Process, free_port};

/// The timeout of a Redis command.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// The number of primaries of a Cluster.
const PRIMARIES: u16 = 3;

/// The timeout until they form a Cluster.
const CLUSTER_LIMIT: Duration = Duration::from_secs(20);

/// A running redis-server, or the primaries of a Cluster.
pub(crate) struct Redis {
    processes: Vec<Process>,
    /// The files in which the nodes of a Cluster keep what they know of each other.
    files: Vec<PathBuf>,
}

impl Redis {
    /// Starts a fresh server and waits until it responds.
    pub(crate) async fn start() -> Result<Self> {
        let processes = vec![start(&[]).await?];
        Ok(Self {
            processes,
            files: Vec::new(),
        })
    }

    /// Starts a fresh Cluster without replicas and waits until all of it responds.
    pub(crate) async fn start_cluster() -> Result<Self> {
        let mut cluster = Self {
            processes: Vec::new(),
            files: Vec::new(),
        };
        let mut buses = Vec::new();
        for number in 0..PRIMARIES {
            let bus = free_port()?.to_string();
            let file = env::temp_dir().join(format!("seaway-bench-cluster-{bus}.conf"));
            let path = file.display().to_string();
            cluster.files.push(file);
            let enabled = ["--cluster-enabled", "yes", "--cluster-config-file", &path];
            let process = start(&[&enabled[..], &["--cluster-port", &bus]].concat()).await?;
            let of = |number: u16| u32::from(number) * 16384 / u32::from(PRIMARIES);
            let (first, last) = (of(number), of(number + 1) - 1);
            ask(
                process.port,
                &format!("CLUSTER ADDSLOTSRANGE {first} {last}"),
            )?;
            cluster.processes.push(process);
            buses.push(bus);
        }
        let processes = &cluster.processes;
        for (process, bus) in processes.iter().zip(&buses).skip(1) {
            let meet = format!("CLUSTER MEET 127.0.0.1 {} {bus}", process.port);
            ask(processes[0].port, &meet)?;
        }
        let limit = Instant::now() + CLUSTER_LIMIT;
        for process in processes {
            loop {
                let info = ask(process.port, "CLUSTER INFO")?;
                if info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384") {
                    break;
                }
                if Instant::now() > limit {
                    return Err(Error::other("the Redis servers do not form a Cluster"));
                }
                sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(cluster)
    }

    /// Returns its URL.
    pub(crate) fn url(&self) -> String {
        let port = self.processes[0].port;
        match self.processes.len() {
            1 => format!("redis://127.0.0.1:{port}"),
            _ => format!("redis+cluster://127.0.0.1:{port}"),
        }
    }

    /// Returns the CPU time of all servers so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let processes = self.processes.iter();
        processes.map(|process| process.gauge().cpu()).sum()
    }

    /// Returns the number of commands that they have run so far, including those inside scripts,
    /// excluding those of this method.
    ///
    /// This blocks the thread that also runs the clients: none of them sends meanwhile.
    pub(crate) fn commands(&self) -> Result<u64> {
        let processes = self.processes.iter();
        let counts = processes.map(|process| Ok(calls(&ask(process.port, "INFO commandstats")?)));
        counts.sum()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.processes.clear();
        for file in &self.files {
            // A file that is still there costs a few hundred bytes.
            let _ = fs::remove_file(file);
        }
    }
}

async fn start(options: &[&str]) -> Result<Process> {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    let mut process = Process::start(command.args(options))?;
    process
        .answers(async |port| ask(port, "INFO server").map(drop))
        .await?;
    Ok(process)
}

/// Runs a command; returns the text of the reply.
fn ask(port: u16, command: &str) -> Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;

    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    stream.read_line(&mut first)?;
    let first = first.trim_end();
    let Some(length) = first.strip_prefix('$') else {
        return match first.strip_prefix('+') {
            Some(text) => Ok(text.to_owned()),
            None => Err(Error::other(format!("{command}: {first}"))),
        };
    };
    let mut text = String::new();
    let length = length.parse().map_err(Error::other)?;
    stream.take(length).read_to_string(&mut text)?;
    Ok(text)
}

/// Returns all calls in a `commandstats` section, without those of INFO.
fn calls(commandstats: &str) -> u64 {
    let commands = commandstats.lines().filter_map(|line| {
        let (command, counts) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let (calls, _) = counts.split_once(',')?;
        (command != "info").then(|| calls.parse::<u64>().ok())?
    });
    commands.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_all_commands_but_info_are_counted() {
        for (section, expected) in [
            ("", 0),
            ("# Commandstats\r\n", 0),
            (
                "# Commandstats\r\n\
                 cmdstat_publish:calls=40,usec=9,usec_per_call=0.22,rejected_calls=0\r\n\
                 cmdstat_info:calls=3,usec=80,usec_per_call=26.67,rejected_calls=0\r\n\
                 cmdstat_client|setinfo:calls=2,usec=1,usec_per_call=0.50,rejected_calls=0\r\n",
                42,
            ),
        ] {
            assert_eq!(calls(section), expected, "{section}");
        }
    }
}
