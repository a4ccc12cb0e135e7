//! Pythons with Django Channels, in folders of their own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    setup::packages,
    shell::{Failure, Result, find, root, run, succeeds},
};

/// A Python with packages.
pub(crate) struct Environment {
    /// Its folder.
    home: &'static str,
    requirements: &'static [&'static str],
    /// Modules that it has once all is installed.
    modules: &'static str,
}

/// What the neighbour on the same Redis runs in the tests.
pub(crate) const TESTS: Environment = Environment {
    home: "target/python",
    requirements: &["channels==4.3.*", "channels_redis==4.3.*", "Django>=4.2"],
    modules: "channels_redis.pubsub, django",
};

/// What the peer of the benchmark over Redis runs.
pub(crate) const BENCH: Environment = Environment {
    home: "target/python-bench",
    requirements: &[
        "channels==4.3.*",
        "channels_redis==4.3.*",
        "Django==5.2.*",
        "uvicorn[standard]==0.54.*",
    ],
    modules: "channels_redis.core, channels_redis.pubsub, django, uvicorn, websockets",
};

/// The Python, made if it is not there yet.
pub(crate) fn prepare(environment: &Environment) -> Result<PathBuf> {
    let requirements = environment.requirements;
    let home = root().join(environment.home);
    let python = home.join("bin/python");
    let stamp = home.join("requirements.txt");
    let wanted = requirements.join("\n");

    let is_current = fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted);
    let import = format!("import {}", environment.modules);
    if is_current && succeeds(Command::new(&python).args(["-c", &import])) {
        return Ok(python);
    }
    eprintln!(
        "xtask: installing {} into {}",
        requirements.join(", "),
        home.display()
    );
    create(&home)?;
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ];
    run(Command::new(&python).args(pip).args(requirements))?;
    fs::write(&stamp, wanted)
        .map_err(|error| Failure::new(format!("cannot write {}: {error}", stamp.display())))?;
    Ok(python)
}

/// Makes the environment; Debian keeps a part of what that takes in a package of its own.
fn create(home: &Path) -> Result {
    let system = [find(&["python3"]), Some(PathBuf::from("/usr/bin/python3"))];
    for base in system.into_iter().flatten() {
        if succeeds(Command::new(&base).args(["-c", "import venv, ensurepip"])) {
            return run(Command::new(&base)
                .args(["-m", "venv", "--clear"])
                .arg(home));
        }
    }
    packages::install(&["python3-venv"])?;
    run(Command::new("/usr/bin/python3")
        .args(["-m", "venv", "--clear"])
        .arg(home))
}
