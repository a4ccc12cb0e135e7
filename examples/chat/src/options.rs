//! What the command line and the environment ask for.

use std::{env, path::PathBuf};

/// What `--help` prints.
pub const HELP: &str = "\
chat [--port P] [--data FOLDER] [--https]

  --port P        the port on 127.0.0.1 (8000)
  --data FOLDER   where accounts, rooms and messages are kept (./chat-data)
  --https         people come over HTTPS, through a proxy on this machine that sets X-Forwarded-For
  REDIS_URL       where Redis is (redis://127.0.0.1:6379); if none answers, processes do not hear each other";

/// The settings.
#[derive(Debug, PartialEq)]
pub struct Options {
    pub port: u16,
    pub data: PathBuf,
    pub is_https: bool,
}

/// Reads the words after the program's name; `None` if they ask for help, and an error says which of them is wrong.
pub fn read(mut words: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options {
        port: 8000,
        data: PathBuf::from("chat-data"),
        is_https: false,
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--help" | "-h" => return Ok(None),
            "--https" => options.is_https = true,
            "--data" => options.data = PathBuf::from(value()?),
            "--port" => {
                let port = value()?;
                options.port = port.parse().map_err(|_| format!("{port} is no port"))?;
            }
            _ => return Err(format!("{word} is not known")),
        }
    }
    Ok(Some(options))
}

/// Where Redis is.
pub fn redis_url() -> String {
    let url = env::var("REDIS_URL").ok().filter(|url| !url.is_empty());
    url.unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_says_what_to_do() {
        let asked = |line: &str| read(line.split_whitespace().map(str::to_owned));
        let serve = |port, data: &str, is_https| {
            let data = PathBuf::from(data);
            Ok(Some(Options {
                port,
                data,
                is_https,
            }))
        };

        assert_eq!(asked(""), serve(8000, "chat-data", false));
        assert_eq!(asked("--https --port 0 --data d"), serve(0, "d", true));
        assert_eq!(asked("--port 1 --help"), Ok(None));
        assert_eq!(asked("--port"), Err("--port needs a value".to_owned()));
        assert_eq!(asked("--port x"), Err("x is no port".to_owned()));
        assert_eq!(asked("--prot 1"), Err("--prot is not known".to_owned()));
    }
}
