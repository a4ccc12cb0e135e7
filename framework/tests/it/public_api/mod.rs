//! Tests of the public API as a whole: the listing of it in `public-api.txt`, and the style of its
//! documentation.
//!
//! The listing is made from the sources, so that it is the same with every compiler. It has each
//! item that can be reached from the root of the crate, with its members, the traits it implements,
//! and the features it needs. Types are listed as they are written: a listing does not see that an
//! import gives a name another meaning, which types are `Send`, and what a macro of the crate
//! writes: only the use of the macro is listed.

mod documentation;
mod listing;
mod sources;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use self::listing::public_items;
pub(crate) use self::sources::Sources;

#[test]
fn the_public_api_is_the_listed_one() {
    let file = folder().join("public-api.txt");
    let listing = listing::write(&public_items(&read()));
    assert!(listing.lines().count() > 500, "is this test blind?");
    if env::var_os("SEAWAY_LIST_API").is_some() {
        fs::write(&file, listing).unwrap();
        return;
    }
    let listed = fs::read_to_string(&file).unwrap_or_default();
    let missing = lines_only_in(&listed, &listing);
    let new = lines_only_in(&listing, &listed);
    assert!(
        listing == listed,
        "the public API has changed: run `cargo xtask api`, read the diff of \
         framework/public-api.txt as a user would, and commit it\n{}{}",
        missing
            .map(|line| format!("- {line}\n"))
            .collect::<String>(),
        new.map(|line| format!("+ {line}\n")).collect::<String>(),
    );
}

#[test]
fn every_summary_line_is_in_style() {
    let faults = documentation::summaries_out_of_style(&public_items(&read()));
    assert!(
        faults.is_empty(),
        "{} summary lines are out of style; see CONTRIBUTING.md, Style\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[test]
fn every_public_item_has_an_example_or_needs_none() {
    let missing = documentation::without_example(&public_items(&read()), &guides());
    assert!(
        missing.is_empty(),
        "{} public items have no example; see CONTRIBUTING.md, Style\n{}",
        missing.len(),
        missing.join("\n")
    );
}

#[test]
fn packages_have_the_files_that_the_documentation_includes() {
    let mut count = 0;
    let mut folders = vec![folder().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let code = fs::read_to_string(&path).unwrap();
            for file in code.split("include_str!(\"").skip(1) {
                let (file, _) = file.split_once('"').unwrap();
                count += 1;
                assert!(is_inside(path.parent().unwrap(), file), "{file} is outside");
            }
        }
    }
    assert!(
        count > 15,
        "only {count} files are included: is this test blind?"
    );
}

/// Returns whether a path from this folder stays in the folder of the crate, and names a file.
fn is_inside(from: &Path, file: &str) -> bool {
    let mut path = from.to_owned();
    for part in Path::new(file) {
        match part.to_str() {
            Some("..") => drop(path.pop()),
            _ => path.push(part),
        }
    }
    path.starts_with(folder()) && path.is_file()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn read() -> Sources {
    Sources::read(&folder().join("src/lib.rs"))
}

/// Returns the guide that an `include_str!` in a module's documentation names.
fn included(code: &str) -> String {
    let file = code.split('"').nth(1).expect("a file is included");
    let file = file.trim_start_matches("../");
    fs::read_to_string(folder().join(file)).unwrap()
}

/// Returns the text of all guides, whose Rust examples are compiled.
fn guides() -> String {
    let mut text = fs::read_to_string(folder().join("README.md")).unwrap();
    let mut folders = vec![folder().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                text += &fs::read_to_string(&path).unwrap();
            }
        }
    }
    text
}

fn lines_only_in<'a>(text: &'a str, other: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines()
        .filter(move |line| !other.lines().any(|other| other == *line))
}
