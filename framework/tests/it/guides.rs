//! Tests of the guides in `docs/`, the README and the sources, which name each other.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

#[test]
fn every_log_line_that_the_deployment_guide_lists_is_in_the_sources() {
    let sources = sources();
    // A literal may continue on the next line.
    let parts = sources.iter().flat_map(|code| code.split("\\\n"));
    let code: String = parts.map(str::trim_start).collect();
    for (_, line) in log_table() {
        let text = line.trim_end_matches('…').trim_end();
        assert!(code.contains(&format!("\"{text}")), "{line}");
    }
}

#[test]
fn the_deployment_guide_lists_every_log_line_of_the_sources_with_its_level() {
    let table = log_table();
    let lines: Vec<_> = sources()
        .iter()
        .flat_map(|code| logged(code))
        // The text of such a line is a value, which has a row of its own.
        .filter(|(_, line)| !line.starts_with('{'))
        .collect();
    assert!(lines.len() > 50, "is this test blind?");

    let is_listed = |(level, line): &(String, String)| {
        table.iter().any(|(listed, row)| {
            listed == level
                && match row.strip_suffix('…') {
                    Some(start) => line.starts_with(start.trim_end()),
                    None => line == row,
                }
        })
    };
    let missing: Vec<_> = lines.iter().filter(|line| !is_listed(line)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_attribute_that_a_guide_names_exists() {
    /// Those of Rust, of tokio and of thiserror.
    const FOREIGN: &[&str] = &["cfg", "derive", "error", "source", "tokio"];
    let is_no_word = |letter: char| !letter.is_alphanumeric() && letter != '_';
    let mut known = Vec::new();
    for (file, list, end) in [
        ("../macros/src/lib.rs", "attributes(", ')'),
        (
            "../macros/src/consumer/role.rs",
            "const ATTRIBUTES: &[&str] = &[",
            ']',
        ),
    ] {
        let code = read(file);
        for list in code.split(list).skip(1) {
            let (list, _) = list.split_once(end).expect("its end");
            known.extend(list.split(is_no_word).map(str::to_owned));
        }
    }
    assert!(known.len() > 12, "is this test blind?");

    let mut named = 0;
    for (guide, text) in guides() {
        // The code is compiled.
        let prose = text.split("```").step_by(2);
        let attributes = prose.flat_map(|prose| prose.split("#[").skip(1));
        for attribute in attributes {
            let name = attribute.split(is_no_word).next().unwrap_or_default();
            let is_known = known.iter().any(|known| known == name);
            named += 1;
            assert!(is_known || FOREIGN.contains(&name), "{guide}: #[{name}]");
        }
    }
    assert!(named > 50, "only {named} were found: is this test blind?");
}

#[test]
fn every_page_of_the_book_is_listed_in_the_readme_and_on_the_front_page() {
    let summary = read("docs/SUMMARY.md");
    let pages = summary
        .lines()
        .filter_map(|line| line.trim_start().trim_start_matches("- ").strip_prefix('['));
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

#[test]
fn the_guides_list_every_metric_of_the_sources_with_its_kind_and_labels() {
    let code: BTreeSet<_> = sources().iter().flat_map(|code| recorded(code)).collect();
    let guides = ["docs/channel-layers.md", "docs/workers.md"].map(read);
    let listed: BTreeSet<_> = guides
        .iter()
        .flat_map(|guide| metric_table(guide))
        .collect();

    assert!(code.len() > 20, "is this test blind?");
    assert_eq!(listed, code);
}

#[test]
fn the_deployment_guide_lists_every_rule_by_which_clients_are_rejected() {
    let code = read("src/rejection_log.rs");
    let (_, names) = code
        .split_once("fn name(self) -> &'static str {")
        .expect("the names of the rules");
    let (names, _) = names.split_once("\n    }\n").expect("their end");
    let names: BTreeSet<_> = names.split('"').skip(1).step_by(2).collect();
    let guide = read("docs/deployment.md");
    let rows = table(&guide, "| `rule` | the client got | reason |");
    let listed: BTreeSet<_> = rows
        .flat_map(|row| quoted(row.split('|').nth(1).expect("a first column")))
        .collect();

    assert!(names.len() > 15, "is this test blind?");
    assert_eq!(listed, names);
}

/// Returns the rows of the table with this head.
fn table<'a>(guide: &'a str, head: &str) -> impl Iterator<Item = &'a str> {
    let (_, table) = guide.split_once(head).expect("the guide has the table");
    let rows = table.lines().skip(2);
    rows.take_while(|line| line.starts_with('|'))
}

/// A metric: its kind, name and labels.
type Metric = (String, String, Vec<String>);

/// Returns the metrics in the table of a guide. A row may be for some values of a label only.
fn metric_table(guide: &str) -> Vec<Metric> {
    let mut listed = Vec::new();
    for row in table(guide, "| metric | kind | counts |") {
        let mut columns = row.split('|').skip(1);
        let names = quoted(columns.next().expect("a first column"));
        let kind = columns.next().expect("a second column").trim();
        let kind = kind.split(' ').next().unwrap_or_default();
        for name in names {
            let (name, labels) = name
                .trim_end_matches('}')
                .split_once('{')
                .unwrap_or((name, ""));
            let labels = labels.split(',').filter(|label| !label.is_empty());
            let labels = labels.map(|label| label.split('=').next().unwrap_or_default().to_owned());
            listed.push((kind.to_owned(), name.to_owned(), labels.collect()));
        }
    }
    listed
}

/// Returns the metrics that this code records.
fn recorded(code: &str) -> Vec<Metric> {
    let (code, _) = code.split_once("\nmod tests {").unwrap_or((code, ""));
    let mut metrics = Vec::new();
    for kind in ["counter", "gauge", "histogram"] {
        for arguments in code.split(&format!("{kind}!(")).skip(1) {
            let mut texts = literals(arguments).0.into_iter();
            let name = texts.next().expect("a name");
            metrics.push((kind.to_owned(), name, texts.collect()));
        }
    }
    metrics
}

/// Returns the levels and lines of the tables of log lines.
fn log_table() -> Vec<(String, String)> {
    let guide = read("docs/deployment.md");
    let head = "| level | line | means |";
    let tables = guide.match_indices(head);
    let lines: Vec<_> = tables
        .flat_map(|(start, _)| table(&guide[start..], head))
        .flat_map(|row| {
            let mut columns = row.split('|').skip(1);
            let level = columns.next().expect("a first column").trim();
            let lines = quoted(columns.next().expect("a second column"));
            lines
                .into_iter()
                .map(|line| (level.to_owned(), line.to_owned()))
        })
        .filter(|(_, line)| !line.starts_with("seaway::"))
        .collect();
    assert!(lines.len() > 40, "is this test blind?");
    lines
}

/// Returns the levels and texts of the lines that this code logs, but for those of the level
/// `debug`.
fn logged(code: &str) -> Vec<(String, String)> {
    let (code, _) = code.split_once("\nmod tests {").unwrap_or((code, ""));
    let calls = [
        ("tracing::error!(", Some("error")),
        ("tracing::warn!(", Some("warn")),
        ("tracing::info!(", Some("info")),
        ("log_limited!(", None),
    ];
    let mut lines = Vec::new();
    for (call, level) in calls {
        for arguments in code.split(call).skip(1) {
            let (texts, start) = literals(arguments);
            let level = level.unwrap_or_else(|| start.split(',').next().unwrap_or_default().trim());
            // The macro itself, and doc comments, have none.
            if let Some(text) = texts.into_iter().next_back() {
                lines.push((level.to_owned(), text));
            }
        }
    }
    lines
}

/// Returns the string literals among the arguments of a macro call that are not in further
/// parentheses, and what precedes the first one.
fn literals(arguments: &str) -> (Vec<String>, &str) {
    let mut texts = Vec::new();
    let mut start = arguments.len();
    let mut depth = 0;
    let mut chars = arguments.char_indices().peekable();
    while let Some((at, letter)) = chars.next() {
        match letter {
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => {
                start = start.min(at);
                break;
            }
            ')' | ']' | '}' => depth -= 1,
            '"' => {
                let mut text = String::new();
                while let Some((_, letter)) = chars.next().filter(|(_, letter)| *letter != '"') {
                    match (letter, chars.peek()) {
                        // The text continues on the next line.
                        ('\\', Some((_, '\n'))) => {
                            while chars.next_if(|(_, next)| next.is_whitespace()).is_some() {}
                        }
                        ('\\', Some(_)) => text.extend(chars.next().map(|(_, escaped)| escaped)),
                        _ => text.push(letter),
                    }
                }
                start = start.min(at);
                if depth == 0 {
                    texts.push(text);
                }
            }
            _ => {}
        }
    }
    (texts, &arguments[..start])
}

/// Returns the guides, with their names.
fn guides() -> Vec<(String, String)> {
    let mut guides = Vec::new();
    for folder in [folder().join("docs"), folder().join("docs/tutorial")] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "md") {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                guides.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    guides
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

/// Returns the code of the crate, by files.
fn sources() -> Vec<String> {
    let mut code = Vec::new();
    let mut folders = vec![folder().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => code.push(fs::read_to_string(&path).unwrap()),
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
