//! A Python of the tests' own, with Django Channels in it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    setup::packages,
    shell::{Failure, Result, find, root, run, succeeds},
};

/// What the neighbour on the same Redis runs.
const REQUIREMENTS: &[&str] = &["channels==4.3.*", "channels_redis==4.3.*", "Django>=4.2"];

/// The Python, made if it is not there yet.
pub(crate) fn prepare() -> Result<PathBuf> {
    let home = root().join("target/python");
    let python = home.join("bin/python");
    let stamp = home.join("requirements.txt");
    let requirements = REQUIREMENTS.join("\n");

    let is_current = fs::read_to_string(&stamp).is_ok_and(|installed| installed == requirements);
    if is_current
        && succeeds(Command::new(&python).args(["-c", "import channels_redis.pubsub, django"]))
    {
        return Ok(python);
    }
    eprintln!(
        "xtask: installing {} into {}",
        REQUIREMENTS.join(", "),
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
    run(Command::new(&python).args(pip).args(REQUIREMENTS))?;
    fs::write(&stamp, requirements)
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
