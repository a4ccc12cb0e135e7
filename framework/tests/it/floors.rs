//! Test of the module layers: each module uses only those in layers below it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The layers, the lowest first; modules of one layer do not use each other.
const FLOORS: &[&[&str]] = &[
    &["alarm", "error", "log_limit", "waker"],
    &["metric", "refusal_log"],
    &[
        "catch_panic",
        "cookies",
        "header_list",
        "message",
        "name",
        "redis_link",
        "rejection",
    ],
    &["blocking", "scope", "revocation"],
    &["application", "extract"],
    &["channels", "protocol"],
    &["session"],
    &["consumer", "middleware", "routing"],
    &["private", "server"],
    &["service"],
    &["testing"],
    &["macros"],
];

#[test]
fn every_module_uses_only_lower_layers() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut looks = 0;
    for file in files(&sources) {
        let module = module(&sources, &file);
        if module == "lib" {
            continue;
        }
        for used in uses(&fs::read_to_string(&file).unwrap()) {
            if used == module {
                continue;
            }
            looks += 1;
            assert!(
                floor(&used) < floor(&module),
                "{module} looks up or across to {used} in {}",
                file.display()
            );
        }
    }
    assert!(
        looks > 50,
        "only {looks} uses were seen: is this test blind?"
    );
}

fn floor(module: &str) -> usize {
    let found = FLOORS.iter().position(|floor| floor.contains(&module));
    found.unwrap_or_else(|| panic!("{module} has no floor: give it one in this test"))
}

/// Returns the modules that a file names after `crate::`, outside of comments.
fn uses(text: &str) -> BTreeSet<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line.trim(), " "])
        .collect();
    let mut used = BTreeSet::new();
    for behind in code.split("crate::").skip(1) {
        match behind.strip_prefix('{') {
            Some(group) => used.extend(heads(group)),
            None => used.extend([word(behind)]),
        }
    }
    used
}

/// Returns the first identifiers of the items in a `use crate::{…}` after its opening brace.
fn heads(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut start = true;
    let mut heads = Vec::new();
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            letter if start && letter.is_alphanumeric() => {
                start = false;
                heads.push(word(&group[at..]));
            }
            _ => {}
        }
    }
    heads
}

fn word(text: &str) -> String {
    text.chars()
        .take_while(|character| character.is_alphanumeric() || *character == '_')
        .collect()
}

fn module(sources: &Path, file: &Path) -> String {
    let inside = file.strip_prefix(sources).unwrap();
    let first = inside.components().next().unwrap();
    Path::new(&first)
        .file_stem()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found
}
