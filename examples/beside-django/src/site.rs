//! The Django site: its Python, its database and its process.

use crate::options::{Options, mistake};
use seaway::{Error, ErrorKind, Result};
use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// The folder of this example.
const HOME: &str = env!("CARGO_MANIFEST_DIR");

/// A running Django site.
pub struct Site {
    url: String,
    /// The process, unless somebody else has started it. It is killed on drop.
    _process: Option<Child>,
}

impl Site {
    /// Starts the site in `site/`, unless the options name another one.
    pub async fn start(options: &Options) -> Result<Self> {
        if let Some(url) = options.django.clone() {
            return Ok(Self {
                url,
                _process: None,
            });
        }
        let file = options.database.strip_prefix("sqlite:").ok_or_else(|| {
            mistake("the site in site/ has an SQLite database: name another site with --django")
        })?;
        if options.fallbacks.iter().any(|key| key.contains(',')) {
            let message = "a fallback key has a comma, which separates them in \
                           SECRET_KEY_FALLBACKS: name another site with --django";
            return Err(mistake(message).into());
        }
        let fallbacks = options.fallbacks.join(",");
        // Django runs in another folder.
        let file = std::path::absolute(file)?;
        let python = match &options.python {
            Some(python) => PathBuf::from(python),
            None => environment().await?,
        };
        let command = |arguments: &[&str]| {
            let mut command = Command::new(&python);
            command.arg("-B").args(arguments).kill_on_drop(true);
            command.current_dir(Path::new(HOME).join("site"));
            command.env("SECRET_KEY", &options.secret_key);
            command.env("SECRET_KEY_FALLBACKS", &fallbacks);
            command.env("DATABASE_FILE", &file);
            command.env("SESSION_ENGINE", &options.engine);
            command.env_remove("REDIS_URL");
            command.envs(options.redis.iter().map(|url| ("REDIS_URL", url)));
            command
        };
        run(&mut command(&["manage.py", "migrate", "--verbosity", "0"])).await?;
        let mut serving = command(&["serve.py"]);
        // The process ends when this pipe is closed, also if this program is killed.
        serving.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = spawn(&mut serving)?;
        let output = process.stdout.take().expect("stdout is piped");
        let url = BufReader::new(output).lines().next_line().await?;
        let url = url.ok_or_else(|| mistake("Django has not started; its messages are above"))?;
        Ok(Self {
            url,
            _process: Some(process),
        })
    }

    /// Returns the address of its pages.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// Returns the Python of a virtual environment, which is created at the first start.
async fn environment() -> Result<PathBuf> {
    let (home, site) = (Path::new(HOME).join("venv"), Path::new(HOME).join("site"));
    let (python, requirements) = (home.join("bin/python"), site.join("requirements.txt"));
    let stamp = home.join("requirements.txt");
    let wanted = fs::read(&requirements)?;
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    eprintln!("installing Django into {}", home.display());
    let venv = ["-m".as_ref(), "venv".as_ref(), home.as_os_str()];
    run(Command::new("python3").args(venv)).await?;
    let install = ["-m", "pip", "install", "--quiet", "--requirement"].map(OsStr::new);
    run(Command::new(&python).args(install).arg(&requirements)).await?;
    fs::write(&stamp, wanted)?;
    Ok(python)
}

async fn run(command: &mut Command) -> Result<()> {
    let status = spawn(command)?.wait().await?;
    if !status.success() {
        // The variables hold the secret key and are not shown.
        let words: Vec<_> = command.as_std().get_args().collect();
        let message = format!("python {words:?} failed; its messages are above");
        return Err(Error::new(ErrorKind::User, message).into());
    }
    Ok(())
}

fn spawn(command: &mut Command) -> Result<Child, Error> {
    command.spawn().map_err(|error| {
        let program = command.as_std().get_program();
        let message = format!("cannot start {program:?}; install Python 3.10 or later");
        Error::new(ErrorKind::User, message).with_source(error)
    })
}
