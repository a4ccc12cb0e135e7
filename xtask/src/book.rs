//! The command `cargo xtask book`, which renders the guides.

use std::{
    fs,
    path::{Component, Path, PathBuf},
    process::Command,
};

use crate::shell::{Failure, Result, find, root, run};

/// Renders the guides into `target/book`, from a copy in `target/book-source` that is adapted to
/// mdbook.
///
/// # Errors
/// If mdbook is not installed or fails, or a link of a guide names no file.
pub(crate) fn render() -> Result {
    let Some(mdbook) = find(&["mdbook"]) else {
        return Err(Failure::new(
            "mdbook is not installed; install it with `cargo install mdbook`",
        ));
    };
    let source = root().join("target/book-source");
    if source.exists() {
        fs::remove_dir_all(&source).map_err(|error| failed("remove", &source, &error))?;
    }
    copy(&root().join("docs"), &source)?;
    let book = root().join("target/book");
    run(Command::new(mdbook)
        .arg("build")
        .arg(&source)
        .arg("--dest-dir")
        .arg(book))
}

/// Copies a folder of guides, and adapts them.
fn copy(docs: &Path, target: &Path) -> Result {
    let mut folders = vec![PathBuf::new()];
    let summary = read(&docs.join("SUMMARY.md"))?;
    let mut wrong = Vec::new();
    while let Some(folder) = folders.pop() {
        let (from, to) = (docs.join(&folder), target.join(&folder));
        fs::create_dir_all(&to).map_err(|error| failed("create", &to, &error))?;
        let entries = fs::read_dir(&from).map_err(|error| failed("read", &from, &error))?;
        for entry in entries {
            let name = entry
                .map_err(|error| failed("read", &from, &error))?
                .file_name();
            let (path, file) = (from.join(&name), folder.join(&name));
            if path.is_dir() {
                folders.push(file);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                let page = read(&path)?;
                wrong.extend(dead_links(docs, &file, &page));
                let page = adapt(&page, title(&summary, &file), &summary);
                let copy = to.join(&name);
                fs::write(&copy, page).map_err(|error| failed("write", &copy, &error))?;
            } else {
                let copy = to.join(&name);
                fs::copy(&path, &copy).map_err(|error| failed("write", &copy, &error))?;
            }
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(format!(
            "links of the guides that name no file of docs/: {}",
            wrong.join(", ")
        ))),
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| failed("read", path, &error))
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot {what} {}: {error}", path.display()))
}

/// Returns the title of a page in the summary.
fn title<'a>(summary: &'a str, file: &Path) -> Option<&'a str> {
    let file = file.to_str()?;
    links(summary)
        .find(|link| link.target == file)
        .map(|link| link.text)
}

/// Adapts a page to mdbook: replaces links to items of the crate, which only rustdoc resolves, by
/// their text, and the names of guides, to which rustdoc cannot link, by links; and gives a page
/// that is also the documentation of a module, and so has no title, its title of the summary.
fn adapt(page: &str, title: Option<&str>, summary: &str) -> String {
    let title = title.filter(|_| !page.starts_with("# "));
    let mut adapted = match title {
        Some(title) => format!("# {title}\n\n"),
        None => String::new(),
    };
    for (line, is_code) in lines(page) {
        if is_code {
            adapted.push_str(line);
        } else {
            if title.is_some() && line.starts_with('#') {
                adapted.push('#');
            }
            adapted.push_str(&with_guide_links(&without_item_links(line), summary));
        }
        adapted.push('\n');
    }
    adapted
}

/// Returns the lines of a page, and whether they are in a block of code.
fn lines(page: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut is_code = false;
    page.lines().map(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        (line, is_code || is_fence)
    })
}

/// Replaces links to items of the crate by their text.
fn without_item_links(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some(link) = links(rest).next() {
        text.push_str(&rest[..link.start]);
        match is_item(link.target) {
            true => text.push_str(link.text),
            false => text.push_str(&rest[link.start..link.end]),
        }
        rest = &rest[link.end..];
    }
    text + rest
}

/// Replaces the names of guides, such as `` `docs/feed.md` ``, by links. Only pages of the folder
/// itself have such names.
fn with_guide_links(line: &str, summary: &str) -> String {
    const START: &str = "`docs/";
    let mut parts = line.split(START);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let guide = part.split_once('`').and_then(|(file, rest)| {
            let title = title(summary, Path::new(file))?;
            Some(format!("[{title}]({file}){rest}"))
        });
        match guide {
            Some(linked) => text.push_str(&linked),
            None => text.extend([START, part]),
        }
    }
    text
}

/// Returns whether a target is the path of an item, such as `crate::Group` or `macro@Event`, or
/// empty: the link then names the item by its text.
fn is_item(target: &str) -> bool {
    !target.contains(['/', '.', '#']) && !target.starts_with("mailto:")
}

/// Returns the links of a page that name no file of the guides.
fn dead_links(docs: &Path, file: &Path, page: &str) -> Vec<String> {
    let lines = lines(page).filter(|(_, is_code)| !is_code);
    let targets = lines
        .flat_map(|(line, _)| links(line))
        .map(|link| link.target);
    let dead = targets.filter(|target| {
        let path = target.split('#').next().unwrap_or("");
        let is_relative = !is_item(target) && !target.contains(':') && !path.is_empty();
        is_relative && !is_file_of(docs, &file.with_file_name(path))
    });
    dead.map(|target| format!("{target} in {}", file.display()))
        .collect()
}

/// Returns whether a path from the folder of guides stays in it, and names a file.
fn is_file_of(docs: &Path, path: &Path) -> bool {
    let mut depth = 0_i32;
    for part in path.components() {
        depth += if part == Component::ParentDir { -1 } else { 1 };
        if depth < 0 {
            return false;
        }
    }
    docs.join(path).is_file()
}

/// A link in a line: `[text](target)`, or `` [`Item`] ``, whose target is empty.
struct Link<'a> {
    start: usize,
    end: usize,
    text: &'a str,
    target: &'a str,
}

/// Returns the links in a text, outside of code between backticks.
fn links(text: &str) -> impl Iterator<Item = Link<'_>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let start = from + text[from..].find(['[', '`'])?;
            from = start + 1;
            if text[start..].starts_with('`') {
                from += text[from..].find('`')? + 1;
                continue;
            }
            // Code in the text may have brackets of its own.
            let length = match text[from..].starts_with('`') {
                true => text[from..].find("`]").map(|at| at + 1),
                false => text[from..].find(']'),
            };
            let Some(length) = length else {
                continue;
            };
            let content = &text[from..from + length];
            let after = from + length + 1;
            if let Some(target) = text[after..].strip_prefix('(')
                && let Some(length) = target.find(')')
            {
                from = after + length + 2;
                return Some(Link {
                    start,
                    end: from,
                    text: content,
                    target: &target[..length],
                });
            }
            if content.starts_with('`') && content.ends_with('`') {
                from = after;
                return Some(Link {
                    start,
                    end: after,
                    text: content,
                    target: "",
                });
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_items_become_their_text_and_others_remain() {
        for (line, expected) in [
            (
                "see [`Group`](crate::Group) and [errors](errors.md#kinds)",
                "see `Group` and [errors](errors.md#kinds)",
            ),
            (
                "a [kind](ErrorKind), [`derive(Event)`](macro@Event)",
                "a kind, `derive(Event)`",
            ),
            (
                "[`serve`] accepts it, [here](#limits) or [there](https://a.example/b)",
                "`serve` accepts it, [here](#limits) or [there](https://a.example/b)",
            ),
            (
                "`#[on]` and `a[0](b)` are code",
                "`#[on]` and `a[0](b)` are code",
            ),
            ("by [`#[consumer]`](macro@consumer)", "by `#[consumer]`"),
        ] {
            assert_eq!(without_item_links(line), expected);
        }
    }

    #[test]
    fn a_page_without_a_title_gets_that_of_the_summary() {
        let page = "Hooks.\n\n# Order\n\n```rust\n# let a = 1;\n```\n";
        let adapted = "# Consumers\n\nHooks.\n\n## Order\n\n```rust\n# let a = 1;\n```\n";

        assert_eq!(adapt(page, Some("Consumers"), ""), adapted);
        assert_eq!(adapt(adapted, Some("Consumers"), ""), adapted);
    }

    #[test]
    fn the_name_of_a_guide_becomes_a_link_to_it() {
        let summary = "- [A feed](feed.md)\n- [1. A room](tutorial/1-a-room.md)\n";

        for (line, expected) in [
            ("see `docs/feed.md`.", "see [A feed](feed.md)."),
            (
                "`docs/tutorial/1-a-room.md`: a room, then `docs/feed.md`",
                "[1. A room](tutorial/1-a-room.md): a room, then [A feed](feed.md)",
            ),
            ("`docs/` and `docs/none.md`", "`docs/` and `docs/none.md`"),
        ] {
            assert_eq!(with_guide_links(line, summary), expected);
        }
    }

    #[test]
    fn every_link_of_the_guides_names_a_file_and_every_page_has_a_title() {
        let docs = root().join("docs");
        let summary = read(&docs.join("SUMMARY.md")).unwrap();
        let pages: Vec<_> = links(&summary).map(|link| link.target).collect();
        assert!(pages.len() > 15, "is this test blind?");

        for page in pages {
            let text = read(&docs.join(page)).unwrap();
            let dead = dead_links(&docs, Path::new(page), &text);
            assert!(dead.is_empty(), "{dead:?}");
            let adapted = adapt(&text, title(&summary, Path::new(page)), &summary);
            assert!(
                !adapted.contains("`docs/"),
                "{page} names a page without a link"
            );
            let titles =
                lines(&adapted).filter(|(line, is_code)| !is_code && line.starts_with("# "));
            assert_eq!(titles.count(), 1, "{page} has one title");
        }
        assert!(!dead_links(&docs, Path::new("a.md"), "[no](none.md)").is_empty());
        assert!(!dead_links(&docs, Path::new("a.md"), "[no](../README.md)").is_empty());
    }
}
