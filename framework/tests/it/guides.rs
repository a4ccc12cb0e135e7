//! Tests of the guides in `docs/`, the README and the sources, which name each other.

use std::{
    fs,
    path::{Path, PathBuf},
};

#[test]
fn every_log_line_that_the_deployment_guide_lists_is_in_the_sources() {
    let guide = read("docs/deployment.md");
    let (_, table) = guide
        .split_once("| level | line | means |")
        .expect("the guide has the table");
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let lines: Vec<_> = rows
        .flat_map(|row| quoted(row.split('|').nth(2).expect("a second column")))
        .filter(|line| !line.starts_with("seaway::"))
        .collect();
    assert!(lines.len() > 40, "is this test blind?");

    let code = sources();
    for line in lines {
        let text = line.trim_end_matches('…').trim_end();
        assert!(code.contains(&format!("\"{text}")), "{line}");
    }
}

#[test]
fn every_page_of_the_book_is_listed_in_the_readme_and_on_the_front_page() {
    let summary = read("docs/SUMMARY.md");
    let pages = summary
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("- ["));
    let pages: Vec<_> = pages
        .map(|line| line.split_once("](").unwrap().1.trim_end_matches(')'))
        .collect();
    assert!(pages.len() > 15, "is this test blind?");

    let (readme, front_page) = (read("README.md"), read("docs/front-page.md"));
    for page in pages {
        assert!(
            readme.contains(&format!("](docs/{page})")),
            "README: {page}"
        );
        let is_listed = front_page.contains(&format!("`docs/{page}`"));
        assert!(is_listed || page == "front-page.md", "front page: {page}");
    }
}

#[test]
fn the_room_of_the_readme_has_at_most_21_lines() {
    let readme = read("README.md");
    let (_, program) = readme.split_once("```rust").expect("the program");
    let (program, _) = program.split_once("\n```").expect("its end");
    let lines = program
        .lines()
        .skip(1)
        .filter(|line| !line.trim().is_empty());

    assert!(lines.count() <= 21);
}

#[test]
fn the_auction_has_at_most_450_lines() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/auction/src");
    let files = fs::read_dir(folder).expect("the sources of the auction");
    let lines = files.map(|file| {
        let text = fs::read_to_string(file.unwrap().path()).expect("a source");
        text.lines().count()
    });

    assert!(lines.sum::<usize>() <= 450);
}

/// Returns the texts between backticks, one or two.
fn quoted(cell: &str) -> Vec<&str> {
    let mut texts = Vec::new();
    let mut rest = cell;
    while let Some(start) = rest.find('`') {
        rest = &rest[start..];
        let fence = if rest.starts_with("``") { "``" } else { "`" };
        let (text, after) = rest[fence.len()..].split_once(fence).expect("it is closed");
        texts.push(text.trim());
        rest = after;
    }
    texts
}

/// Returns the code of the crate.
fn sources() -> String {
    let mut code = String::new();
    let mut folders = vec![folder().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => code += &fs::read_to_string(&path).unwrap(),
            }
        }
    }
    code
}

fn read(file: &str) -> String {
    fs::read_to_string(folder().join(file)).unwrap()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
