//! The command `cargo xtask deny`, which checks the dependencies of the published crates.

use std::{collections::BTreeMap, fs};

use crate::shell::{Failure, Result, cargo, find, output, root, run};

/// Checks advisories, licences, sources and duplicates with cargo-deny; where it is not installed,
/// licences and duplicates only, without a network.
///
/// # Errors
/// If a dependency breaks a rule of `deny.toml`.
pub(crate) fn check() -> Result {
    if find(&["cargo-deny"]).is_some() {
        return run(&mut cargo(
            "deny --manifest-path framework/Cargo.toml check",
        ));
    }
    eprintln!(
        "xtask: cargo-deny is not installed (`cargo install cargo-deny`): checking licences and \
         duplicates, but no advisories"
    );
    check_offline()
}

/// Checks licences and duplicates.
fn check_offline() -> Result {
    let path = root().join("deny.toml");
    let rules = fs::read_to_string(&path)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))?;
    let tree = output(
        cargo("tree -p seaway --all-features --edges normal,build --prefix none --locked")
            .args(["--format", "{p}\t{l}"]),
    )?;
    let faults = faults(&rules, &tree);
    if faults.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "dependencies break the rules of deny.toml:\n{}",
        faults.join("\n")
    )))
}

/// Returns what a list of packages, each with its licences, has against the rules.
fn faults(rules: &str, tree: &str) -> Vec<String> {
    let allowed = list(rules, "allow");
    let skipped = list(rules, "skip");
    let mut versions = BTreeMap::<&str, BTreeMap<&str, &str>>::new();
    for line in tree.lines() {
        // `bytes v1.12.0`, a tab, `MIT (*)`: the star marks a package that was listed before.
        let Some((package, licences)) = line.split_once('\t') else {
            continue;
        };
        let mut words = package.split(' ');
        let (Some(name), Some(version)) = (words.next(), words.next()) else {
            continue;
        };
        let licences = licences.trim_end_matches("(*)").trim();
        versions.entry(name).or_default().insert(version, licences);
    }

    let mut faults = Vec::new();
    for (name, versions) in versions {
        for (version, licences) in &versions {
            if !is_allowed(licences, &allowed) {
                faults.push(format!("{name} {version} is licensed under {licences:?}"));
            }
        }
        let is_skipped = |version: &&&str| {
            skipped.iter().any(|skipped| {
                let (skipped, prefix) = skipped.split_once('@').unwrap_or((skipped, ""));
                let version = version.trim_start_matches('v');
                skipped == name && version.starts_with(&format!("{prefix}."))
            })
        };
        let counted: Vec<_> = versions.keys().filter(|one| !is_skipped(one)).collect();
        if counted.len() > 1 {
            faults.push(format!("{name} has several versions: {counted:?}"));
        }
    }
    faults
}

/// Returns the first string of each line of a list.
fn list<'a>(rules: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!("{name} = [");
    let lines = rules.lines().skip_while(|line| *line != start).skip(1);
    let lines = lines.take_while(|line| *line != "]");
    lines.filter_map(|line| line.split('"').nth(1)).collect()
}

/// Returns whether one of the alternatives in each part of a licence expression is allowed.
fn is_allowed(licences: &str, allowed: &[&str]) -> bool {
    licences.split(" AND ").all(|part| {
        let part = part.trim_matches(['(', ')']).replace('/', " OR ");
        part.split(" OR ").any(|one| allowed.contains(&one.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "allow = [\n    \"MIT\",\n    \"Zlib\",\n]\nskip = [\n    { crate = \"digest@0.10\" },\n]\n";

    #[test]
    fn the_dependencies_follow_the_rules() {
        if let Err(failure) = check_offline() {
            panic!("{failure}");
        }
    }

    #[test]
    fn each_part_of_a_licence_needs_an_allowed_alternative() {
        let allowed = list(RULES, "allow");
        for (licences, expected) in [
            ("MIT", true),
            ("GPL-3.0", false),
            ("Apache-2.0 OR MIT", true),
            ("Apache-2.0/MIT", true),
            ("(Apache-2.0 OR MIT) AND Zlib", true),
            ("MIT AND GPL-3.0", false),
            ("", false),
        ] {
            assert_eq!(is_allowed(licences, &allowed), expected, "{licences:?}");
        }
    }

    #[test]
    fn a_second_version_needs_an_entry() {
        let tree = "digest v0.10.7\tMIT\ndigest v0.11.3\tMIT\ndigest v0.11.3\tMIT (*)\n";
        assert!(faults(RULES, tree).is_empty());

        let tree = "rand v0.8.5\tMIT\nrand v0.10.4 (proc-macro)\tMIT\ndigest v0.1.0\tMIT\n";
        let found = faults(RULES, tree);
        assert_eq!(
            found,
            ["rand has several versions: [\"v0.10.4\", \"v0.8.5\"]"]
        );
    }
}
