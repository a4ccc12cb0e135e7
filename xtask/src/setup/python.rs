//! Virtual environments of Python with Django Channels.

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
    /// Other versions of packages, each in a folder of the environment for `PYTHONPATH`.
    versions: &'static [(&'static str, &'static str)],
    /// The modules that it contains once all is installed.
    modules: &'static str,
}

/// The environment of the tests' peer on the same Redis.
pub(crate) const TESTS: Environment = Environment {
    home: "target/python",
    requirements: &[
        "channels==4.3.*",
        "channels_redis[cryptography]==4.3.*",
        "Django>=4.2",
        "psycopg[binary]==3.*",
        "PyMySQL==1.*",
        "uvicorn==0.54.*",
        "websockets",
    ],
    versions: &[
        ("django-4.2", "Django==4.2.*"),
        ("django-5.2", "Django==5.2.*"),
        ("redis-7.4", "redis==7.4.*"),
    ],
    modules: "channels_redis.core, channels_redis.pubsub, cryptography, django, psycopg, pymysql, uvicorn, websockets",
};

/// The environment of the peer in the benchmark over Redis.
pub(crate) const BENCH: Environment = Environment {
    home: "target/python-bench",
    requirements: &[
        "channels==4.3.*",
        "channels_redis==4.3.*",
        "Django==5.2.*",
        "uvicorn[standard]==0.54.*",
    ],
    versions: &[],
    modules: "channels_redis.core, channels_redis.pubsub, django, uvicorn, websockets",
};

/// Returns the Python of an environment, which is created if needed.
pub(crate) fn prepare(environment: &Environment) -> Result<PathBuf> {
    let Environment {
        requirements,
        versions,
        ..
    } = environment;
    let home = root().join(environment.home);
    let python = home.join("bin/python");
    let stamp = home.join("requirements.txt");
    let versioned = versions.iter().map(|(_, requirement)| *requirement);
    let wanted: Vec<_> = requirements.iter().copied().chain(versioned).collect();
    let wanted = wanted.join("\n");

    let is_current = fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted);
    let import = format!("import {}", environment.modules);
    if is_current && succeeds(Command::new(&python).args(["-c", &import])) {
        return Ok(python);
    }
    eprintln!(
        "xtask: installing {} into {}",
        wanted.replace('\n', ", "),
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
    run(Command::new(&python).args(pip).args(*requirements))?;
    for (folder, requirement) in *versions {
        // What they depend on is installed already.
        let target = ["--no-deps", "--target"];
        let mut install = Command::new(&python);
        install.args(pip).args(target).arg(home.join(folder));
        run(install.arg(requirement))?;
    }
    fs::write(&stamp, wanted)
        .map_err(|error| Failure::new(format!("cannot write {}: {error}", stamp.display())))?;
    Ok(python)
}

/// Creates the environment, for which Debian needs an additional package.
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
