//! A redis-server without persistence, and its command statistics.

use std::{
    io::{BufRead, BufReader, Error, Read, Result, Write},
    net::{Ipv4Addr, TcpStream},
    process::Command,
    time::Duration,
};

use crate::{gauge::Gauge, process::Process};

/// The timeout of a Redis command.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// A running redis-server.
pub(crate) struct Redis {
    process: Process,
}

impl Redis {
    /// Starts a fresh server and waits until it responds.
    pub(crate) async fn start() -> Result<Self> {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        let mut process = Process::start(command)?;
        process
            .answers(async |port| info(port, "server").map(drop))
            .await?;
        Ok(Self { process })
    }

    /// Returns its URL.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.process.port)
    }

    /// Returns the gauge of its process.
    pub(crate) fn gauge(&self) -> Gauge {
        self.process.gauge()
    }

    /// Returns the number of commands that it has run so far, including those inside scripts,
    /// excluding those of this method.
    ///
    /// This blocks the thread that also runs the clients: none of them sends meanwhile.
    pub(crate) fn commands(&self) -> Result<u64> {
        Ok(calls(&info(self.process.port, "commandstats")?))
    }
}

/// Returns a section of INFO.
fn info(port: u16, section: &str) -> Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.write_all(format!("INFO {section}\r\n").as_bytes())?;

    let mut stream = BufReader::new(stream);
    let mut length = String::new();
    stream.read_line(&mut length)?;
    let length = length.trim_end().strip_prefix('$');
    let length = length.and_then(|length| length.parse().ok());
    let length = length.ok_or_else(|| Error::other("Redis did not answer INFO"))?;
    let mut text = String::new();
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
