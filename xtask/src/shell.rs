//! Running other programs: what is run is shown, and what fails keeps its exit code.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

/// Either it worked or a command has ended.
pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

/// Why a command ended, and with which exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    reason: String,
    code: u8,
}

impl Failure {
    /// A failure of this program's own.
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            code: 1,
        }
    }

    /// What this program ends with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.reason)
    }
}

/// The folder of the workspace.
pub(crate) fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().expect("xtask is a folder of the workspace")
}

/// The folder in which cargo puts the programs that it builds in a profile.
pub(crate) fn programs(profile: &str) -> Result<PathBuf> {
    let own = env::current_exe();
    let own = own.map_err(|error| Failure::new(format!("cannot find this program: {error}")))?;
    // `target/debug/xtask`, wherever the target folder is.
    let target = own
        .ancestors()
        .nth(2)
        .expect("cargo has built this program");
    Ok(target.join(profile))
}

/// A cargo command in the workspace, by the cargo that runs this program; words part at spaces.
pub(crate) fn cargo(line: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(line.split_whitespace()).current_dir(root());
    command
}

/// Shows a command, runs it, and waits for its success.
pub(crate) fn run(command: &mut Command) -> Result {
    let shown = show(command);
    eprintln!("\n$ {shown}");
    let status = command
        .status()
        .map_err(|error| Failure::new(format!("cannot run `{shown}`: {error}")))?;
    if status.success() {
        return Ok(());
    }
    // A program that a signal ended has no code of its own.
    let code = status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1);
    Err(Failure {
        reason: format!("`{shown}` failed: {status}"),
        code,
    })
}

/// Whether a command can be run and succeeds, in silence.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Where on the `PATH` the first of these programs is.
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
