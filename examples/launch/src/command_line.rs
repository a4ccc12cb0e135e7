//! The command line: `--host`, `--port`, `--help`, and the options of each program; `PORT` in
//! the environment.

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
    /// Its own options and environment variables, in groups.
    pub settings: &'static [Settings],
}

/// Options and environment variables, each with a description.
pub type Settings = &'static [(&'static str, &'static str)];

/// The options of all programs.
const OPTIONS: [(&str, &str); 3] = [
    ("-b, --host H", "the address to listen on (127.0.0.1)"),
    (
        "-p, --port N",
        "the port to listen on (8000; 0: any free port)",
    ),
    ("-h, --help", "print this text"),
];

/// The environment variables of all programs.
const VARIABLES: [(&str, &str); 1] = [("PORT", "the port to listen on, unless --port names one")];

/// One of the program's own options.
#[derive(Debug)]
pub struct Flag<'a> {
    name: &'a str,
    /// The name on the command line, for error messages.
    typed: &'a str,
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
        match read(env::args_os().skip(1), |name| env::var_os(name), own) {
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
        let own = self.settings.iter().copied().flatten();
        let settings = OPTIONS.iter().chain(own).chain(&VARIABLES);
        let width = settings.clone().map(|(name, _)| name.len()).max();
        let width = width.unwrap_or_default();
        let lines: Vec<_> = settings
            .map(|(name, does)| format!("  {name:width$}  {does}"))
            .collect();
        f.write_str(&lines.join("\n"))
    }
}

impl Flag<'_> {
    /// Returns the option's name, with its dashes: the long one that `--help` lists.
    pub fn name(&self) -> &str {
        self.name
    }

    /// Returns the option's value.
    ///
    /// # Errors
    /// If the value is missing, or cannot be parsed as `T`.
    pub fn value<T: FromStr<Err: Display>>(&mut self) -> Result<T, Mistake> {
        let value = self.parser.value()?;
        parse(self.typed, value)
    }
}

/// Parses the value of an option or environment variable.
fn parse<T: FromStr<Err: Display>>(name: &str, value: OsString) -> Result<T, Mistake> {
    let value = value.string()?;
    let made = value.parse();
    made.map_err(|error: T::Err| format!("{name} {value}: {error}").into())
}

/// Returns the name by which programs know an option: daphne and uvicorn have other names for some.
fn long_name(typed: &str) -> &str {
    match typed {
        "-b" | "--bind" => "--host",
        "-p" => "--port",
        "-h" => "--help",
        "-u" | "--uds" | "--unix-socket" => "--unix",
        "--forwarded-allow-ips" => "--trusted-proxies",
        other => other,
    }
}

/// Returns the address that these arguments select, or else these environment variables; `None` if
/// the arguments ask for help.
fn read(
    words: impl IntoIterator<Item = OsString>,
    variable: impl Fn(&str) -> Option<OsString>,
    mut own: impl FnMut(&mut Flag<'_>) -> Result<bool, Mistake>,
) -> Result<Option<Address>, Mistake> {
    let (mut host, mut port) = (None, None);
    let mut parser = Parser::from_args(words);
    while let Some(word) = parser.next()? {
        let typed = match word {
            Arg::Short(letter) => format!("-{letter}"),
            Arg::Long(name) => format!("--{name}"),
            word => return Err(word.unexpected()),
        };
        let name = long_name(&typed);
        let mut flag = Flag {
            name,
            typed: &typed,
            parser: &mut parser,
        };
        match name {
            "--help" => return Ok(None),
            "--host" => host = Some(flag.value()?),
            "--port" => port = Some(flag.value()?),
            _ if own(&mut flag)? => {}
            _ => return Err(Mistake::UnexpectedOption(typed)),
        }
    }
    let default = Address::default();
    Ok(Some(Address {
        host: host.unwrap_or(default.host),
        port: or_variable(port, "PORT", &variable)?.unwrap_or(default.port),
    }))
}

/// Returns the option's value, or else that of the environment variable. An empty variable counts
/// as unset.
fn or_variable<T: FromStr<Err: Display>>(
    option: Option<T>,
    name: &str,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<T>, Mistake> {
    if option.is_some() {
        return Ok(option);
    }
    let value = variable(name).filter(|value| !value.is_empty());
    value.map(|value| parse(name, value)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Result<Option<Address>, String> {
        asked_in(line, &[])
    }

    /// Reads this command line with these environment variables.
    fn asked_in(line: &str, variables: &[(&str, &str)]) -> Result<Option<Address>, String> {
        let words = line.split_whitespace().map(OsString::from);
        let own = |flag: &mut Flag<'_>| match flag.name() {
            "--quiet" => Ok(true),
            "--rounds" => flag.value::<u8>().map(|_| true),
            "--unix" => flag.value::<u8>().map(|_| true),
            _ => Ok(false),
        };
        let variable = |name: &str| {
            let (_, value) = variables.iter().find(|(known, _)| *known == name)?;
            Some(OsString::from(value))
        };
        read(words, variable, own).map_err(|mistake| mistake.to_string())
    }

    fn address(host: &str, port: u16) -> Result<Option<Address>, String> {
        let host = host.to_owned();
        Ok(Some(Address { host, port }))
    }

    #[test]
    fn host_and_port_are_read_in_either_form() {
        for (line, host, port) in [
            ("", "127.0.0.1", 8000),
            ("--port 8001", "127.0.0.1", 8001),
            ("--port=0", "127.0.0.1", 0),
            ("--host ::1 --quiet --port 1", "::1", 1),
            ("--rounds=3 --host=localhost", "localhost", 8000),
            ("-p 8001 -b ::1", "::1", 8001),
            ("-p8001 -b=::1", "::1", 8001),
            ("--bind 0.0.0.0", "0.0.0.0", 8000),
        ] {
            assert_eq!(asked(line), address(host, port), "{line}");
        }
    }

    #[test]
    fn a_program_gets_the_long_name_of_its_option() {
        for line in ["-u 1", "--uds 1", "--unix-socket=1", "--unix 1"] {
            assert_eq!(asked(line), address("127.0.0.1", 8000), "{line}");
        }
    }

    #[test]
    fn the_environment_selects_the_port_if_no_option_does() {
        // Shells and package managers set `HOST`, to the name of the machine for example.
        let both: &[_] = &[("HOST", "::"), ("PORT", "80")];
        for (line, variables, host, port) in [
            ("", both, "127.0.0.1", 80),
            ("--port 81", both, "127.0.0.1", 81),
            ("-b ::1", both, "::1", 80),
            ("", &[("PORT", "80")], "127.0.0.1", 80),
            ("", &[("PORT", "")], "127.0.0.1", 8000),
            ("-p 81", &[("PORT", "http")], "127.0.0.1", 81),
        ] {
            let asked = asked_in(line, variables);
            assert_eq!(asked, address(host, port), "{line} {variables:?}");
        }
        let mistake = asked_in("", &[("PORT", "65536")]).expect_err("no such port");
        assert!(
            mistake.contains("PORT 65536: number too large"),
            "{mistake}"
        );
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
            ("-p x", "-p x: invalid digit"),
            ("-u x", "-u x: invalid digit"),
            ("-q", "-q"),
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
            settings: &[&[("--quiet", "prints nothing")]],
        };

        let help = program.to_string();

        let expected = "usage: echo [OPTIONS]\n\nEchoes messages.\n\n  \
             -b, --host H  the address to listen on (127.0.0.1)\n  \
             -p, --port N  the port to listen on (8000; 0: any free port)\n  \
             -h, --help    print this text\n  \
             --quiet       prints nothing\n  \
             PORT          the port to listen on, unless --port names one";
        assert_eq!(help, expected);
    }
}
