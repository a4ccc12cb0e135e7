//! Running other programs: commands are printed, and failures keep their exit code.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

/// The result of a command.
pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

/// The reason and the exit code of a failure.
#[derive(Debug)]
pub(crate) struct Failure {
    reason: String,
    code: u8,
}

impl Failure {
    /// Returns a failure of this program itself.
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            code: 1,
        }
    }

    /// Returns the exit code of this program.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.reason)
    }
}

/// Returns the folder of the workspace.
pub(crate) fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().expect("xtask is a folder of the workspace")
}

/// Returns the target folder.
pub(crate) fn target() -> Result<PathBuf> {
    let own = env::current_exe();
    let own = own.map_err(|error| Failure::new(format!("cannot find this program: {error}")))?;
    // This program is `target/debug/xtask`, wherever the target folder is.
    let target = own
        .ancestors()
        .nth(2)
        .expect("cargo has built this program");
    Ok(target.to_owned())
}

/// Returns the folder of the programs that cargo builds in a profile.
pub(crate) fn programs(profile: &str) -> Result<PathBuf> {
    Ok(target()?.join(profile))
}

/// Returns a cargo command in the workspace, with the cargo that runs this program; arguments are
/// separated by spaces.
pub(crate) fn cargo(line: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(line.split_whitespace()).current_dir(root());
    command
}

/// Prints a command, runs it, and waits for its success.
pub(crate) fn run(command: &mut Command) -> Result {
    let shown = show(command);
    eprintln!("\n$ {shown}");
    let status = command
        .status()
        .map_err(|error| Failure::new(format!("cannot run `{shown}`: {error}")))?;
    if status.success() {
        return Ok(());
    }
    // A program that was killed by a signal has no exit code.
    let code = status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1);
    Err(Failure {
        reason: format!("`{shown}` failed: {status}"),
        code,
    })
}

/// Runs a command and returns what it prints.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| Failure::new(format!("cannot run `{shown}`: {error}")))?;
    if !output.status.success() {
        return Err(Failure::new(format!("`{shown}` failed: {}", output.status)));
    }
    String::from_utf8(output.stdout)
        .map_err(|error| Failure::new(format!("the output of `{shown}` is no text: {error}")))
}

/// Returns whether a command can be run and succeeds, without output.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Returns the path of the first of these programs on the `PATH`.
pub(crate) fn find(names: &[&str]) -> Option<PathBuf> {
    let folders: Vec<_> = env::split_paths(&env::var_os("PATH")?).collect();
    let candidates = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    candidates.into_iter().find(|candidate| candidate.is_file())
}

fn show(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or_default();
    let variables = command
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)));
    let variables =
        variables.map(|(name, value)| format!("{}={:?}", name.to_string_lossy(), value));
    let arguments = command
        .get_args()
        .map(|argument| argument.to_string_lossy().into_owned());
    let words: Vec<_> = variables
        .chain([program.to_string_lossy().into_owned()])
        .chain(arguments)
        .collect();
    words.join(" ")
}
