//! The command line: `--host`, `--port`, `--help`, and the options of each program.

use crate::Address;
use lexopt::{Arg, Parser, ValueExt};
use std::{
    env,
    ffi::OsString,
    fmt,
    fmt::Display,
    io::{Write, stdout},
    process::exit,
    str::FromStr,
};

/// An error in the command line.
pub type Mistake = lexopt::Error;

/// A program, as `--help` describes it.
#[derive(Debug)]
pub struct Program {
    /// The name of the executable.
    pub name: &'static str,
    /// One line that describes it.
    pub about: &'static str,
    /// Its own options and environment variables, each with a description.
    pub settings: &'static [(&'static str, &'static str)],
}

/// The options of all programs.
const COMMON: [(&str, &str); 3] = [
    ("--host H", "the address to listen on (127.0.0.1)"),
    ("--port N", "the port to listen on (8000; 0: any free port)"),
    ("--help", "print this text"),
];

/// One of the program's own options.
#[derive(Debug)]
pub struct Flag<'a> {
    name: &'a str,
    parser: &'a mut Parser,
}

impl Program {
    /// Parses the command line of a program without options of its own, and starts the log.
    ///
    /// Exits the process after `--help` (status 0) and after an error (status 2).
    pub fn start(&self) -> Address {
        self.start_with(|_| Ok(false))
    }

    /// Does the same for a program with options of its own: `own` handles each one, and returns
    /// false for an unknown one.
    pub fn start_with(&self, own: impl FnMut(&mut Flag<'_>) -> Result<bool, Mistake>) -> Address {
        crate::log();
        match read(env::args_os().skip(1), own) {
            Ok(Some(address)) => address,
            Ok(None) => {
                // A reader such as `head` may have left.
                _ = writeln!(stdout(), "{self}");
                exit(0)
            }
            Err(mistake) => {
                eprintln!("{}: {mistake}\n\n{self}", self.name);
                exit(2)
            }
        }
    }
}

/// The text of `--help`.
impl Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, about, .. } = self;
        writeln!(f, "usage: {name} [OPTIONS]\n\n{about}\n")?;
        let settings = COMMON.iter().chain(self.settings);
        let width = settings.clone().map(|(name, _)| name.len()).max();
        let width = width.unwrap_or_default();
        let lines: Vec<_> = settings
            .map(|(name, does)| format!("  {name:width$}  {does}"))
            .collect();
        f.write_str(&lines.join("\n"))
    }
}

impl Flag<'_> {
    /// Returns the option's name, with its dashes.
    pub fn name(&self) -> &str {
        self.name
    }

    /// Returns the option's value.
    ///
    /// # Errors
    /// If the value is missing, or cannot be parsed as `T`.
    pub fn value<T: FromStr<Err: Display>>(&mut self) -> Result<T, Mistake> {
        let value = self.parser.value()?.string()?;
        let made = value.parse();
        made.map_err(|error: T::Err| format!("{} {value}: {error}", self.name).into())
    }
}

/// Returns the address that these arguments select; `None` if they ask for help.
fn read(
    words: impl IntoIterator<Item = OsString>,
    mut own: impl FnMut(&mut Flag<'_>) -> Result<bool, Mistake>,
) -> Result<Option<Address>, Mistake> {
    let mut address = Address::default();
    let mut parser = Parser::from_args(words);
    while let Some(word) = parser.next()? {
        let name = match word {
            Arg::Short('h') => return Ok(None),
            Arg::Long(name) => format!("--{name}"),
            word => return Err(word.unexpected()),
        };
        let mut flag = Flag {
            name: &name,
            parser: &mut parser,
        };
        match name.as_str() {
            "--help" => return Ok(None),
            "--host" => address.host = flag.value()?,
            "--port" => address.port = flag.value()?,
            _ if own(&mut flag)? => {}
            _ => return Err(Mistake::UnexpectedOption(name)),
        }
    }
    Ok(Some(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Result<Option<Address>, String> {
        let words = line.split_whitespace().map(OsString::from);
        let own = |flag: &mut Flag<'_>| match flag.name() {
            "--quiet" => Ok(true),
            "--rounds" => flag.value::<u8>().map(|_| true),
            _ => Ok(false),
        };
        read(words, own).map_err(|mistake| mistake.to_string())
    }

    #[test]
    fn host_and_port_are_read_in_either_form() {
        for (line, host, port) in [
            ("", "127.0.0.1", 8000),
            ("--port 8001", "127.0.0.1", 8001),
            ("--port=0", "127.0.0.1", 0),
            ("--host ::1 --quiet --port 1", "::1", 1),
            ("--rounds=3 --host=localhost", "localhost", 8000),
        ] {
            let host = host.to_owned();
            assert_eq!(asked(line), Ok(Some(Address { host, port })), "{line}");
        }
    }

    #[test]
    fn help_can_be_asked_for_anywhere() {
        for line in ["--help", "-h", "--port 8001 --help", "--quiet -h"] {
            assert_eq!(asked(line), Ok(None), "{line}");
        }
    }

    #[test]
    fn a_mistake_is_named() {
        for (line, part) in [
            ("--prot 1", "--prot"),
            ("--port", "--port"),
            ("--port x", "--port x: invalid digit"),
            ("--port 65536", "--port 65536: number too large"),
            ("--rounds 300", "--rounds 300"),
            ("--quiet=yes", "--quiet"),
            ("127.0.0.1:8000", "127.0.0.1:8000"),
            ("-p 1", "-p"),
        ] {
            let mistake = asked(line).expect_err(line);
            assert!(mistake.contains(part), "{line}: {mistake}");
        }
    }

    #[test]
    fn the_help_lists_the_settings_in_one_column() {
        let program = Program {
            name: "echo",
            about: "Echoes messages.",
            settings: &[("--quiet", "prints nothing")],
        };

        let help = program.to_string();

        let expected = "usage: echo [OPTIONS]\n\nEchoes messages.\n\n  \
             --host H  the address to listen on (127.0.0.1)\n  \
             --port N  the port to listen on (8000; 0: any free port)\n  \
             --help    print this text\n  \
             --quiet   prints nothing";
        assert_eq!(help, expected);
    }
}
