//! The rules for the documentation of public items: summary lines and examples.

use super::listing::{Entry, Kind};

/// Words that begin a clause, an order or a comment, and no noun phrase.
const NOT_NOUNS: &[&str] = &[
    "How", "If", "It", "Its", "That", "There", "These", "This", "Use", "What", "When", "Where",
    "Whether", "Which", "Who", "Whoever", "Why",
];

/// Returns a line for each summary that is not in style.
///
/// A summary is one sentence that ends with a full stop. Functions and macros start with a verb in
/// the third person, or with `Called` if they are hooks; everything else with a noun phrase,
/// settings also with `How long` and the like.
pub(super) fn summaries_out_of_style(items: &[Entry]) -> Vec<String> {
    let mut faults = Vec::new();
    for item in items {
        item.visit(&mut |entry| {
            if entry.kind == Kind::Undocumented {
                return;
            }
            let summary = summary(&entry.docs);
            if let Some(fault) = fault(entry.kind, &summary) {
                faults.push(format!("{}: {fault}: {summary}", entry.path));
            }
        });
    }
    faults
}

fn fault(kind: Kind, summary: &str) -> Option<&'static str> {
    let first = summary.split([' ', ',']).next().unwrap_or("");
    if summary.is_empty() && kind == Kind::Part {
        // The compiler demands documentation where there has to be some.
        return None;
    }
    if !summary.ends_with('.') {
        return Some("no full stop");
    }
    if sentences(summary) > 1 {
        return Some("more than one sentence");
    }
    match kind {
        Kind::Function | Kind::Getter | Kind::Macro => {
            let is_verb = is_third_person(first) || first == "Called";
            (!is_verb).then_some("no verb in the third person")
        }
        Kind::Type | Kind::Trait | Kind::Module => {
            (NOT_NOUNS.contains(&first) || is_common_verb(first)).then_some("no noun phrase")
        }
        Kind::Part => {
            let is_measure = ["How", "Whether"].contains(&first);
            (NOT_NOUNS.contains(&first) && !is_measure).then_some("no noun phrase")
        }
        Kind::Undocumented => None,
    }
}

/// Returns the first paragraph, on one line.
fn summary(docs: &str) -> String {
    let lines = docs.lines().map(str::trim);
    let lines = lines.skip_while(|line| line.is_empty());
    let lines: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    lines.join(" ")
}

fn sentences(summary: &str) -> usize {
    let ends = summary.match_indices(". ").filter(|(at, _)| {
        let next = summary[at + 2..].chars().next();
        next.is_some_and(|next| next.is_uppercase() || "`[".contains(next))
    });
    1 + ends.count()
}

fn is_third_person(word: &str) -> bool {
    let is_capital = word.starts_with(|first: char| first.is_ascii_uppercase());
    is_capital && word.ends_with('s') && !NOT_NOUNS.contains(&word) && word != "As"
}

fn is_common_verb(word: &str) -> bool {
    [
        "Accepts", "Allows", "Calls", "Contains", "Is", "Makes", "Returns", "Runs", "Sends", "Sets",
    ]
    .contains(&word)
}

/// Returns the paths of items whose documentation has to show an example and does not.
///
/// Types, traits, macros and functions have an example on their page: their own, or one of a
/// member. A method has its own, or is called or implemented in an example of its page, or in one
/// of a guide that names its type. Methods that take only `self` and return a value need none, nor
/// do types without other methods.
pub(super) fn without_example(items: &[Entry], guides: &str) -> Vec<String> {
    let guides = examples(guides);
    let mut missing = Vec::new();
    for item in items {
        let mut page = Vec::new();
        item.visit(&mut |entry| page.extend(examples(&entry.docs)));
        let mut has_functions = false;
        item.visit(&mut |entry| has_functions |= entry.kind == Kind::Function);
        let needs_one = match item.kind {
            Kind::Type | Kind::Trait => has_functions,
            Kind::Macro | Kind::Function => true,
            _ => false,
        };
        if needs_one && page.is_empty() {
            missing.push(item.path.clone());
        }
        let name = last(&item.path);
        for member in &item.members {
            member.visit(&mut |member| {
                if member.kind != Kind::Function {
                    return;
                }
                let method = last(&member.path);
                let is_shown = !examples(&member.docs).is_empty()
                    || page.iter().any(|code| shows(code, method))
                    || guides
                        .iter()
                        .any(|code| code.contains(name) && shows(code, method));
                if !is_shown {
                    missing.push(member.path.clone());
                }
            });
        }
    }
    missing
}

/// Returns the Rust code in a text in Markdown.
fn examples(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.trim_start().strip_prefix("```") else {
            continue;
        };
        let block = lines
            .by_ref()
            .take_while(|line| !line.trim_start().starts_with("```"));
        let block = block.collect::<Vec<_>>().join("\n");
        let is_rust = language.split(',').all(|word| {
            [
                "",
                "compile_fail",
                "no_run",
                "rust",
                "should_panic",
                "test_harness",
            ]
            .contains(&word)
        });
        if is_rust {
            blocks.push(block);
        }
    }
    blocks
}

/// Returns whether code calls or implements a function of this name.
fn shows(code: &str, name: &str) -> bool {
    let name = name.trim_start_matches("r#");
    [
        format!(".{name}("),
        format!("::{name}("),
        format!("fn {name}("),
        format!(".{name}::<"),
        format!("::{name}::<"),
    ]
    .iter()
    .any(|call| code.contains(call))
        || code.contains(&format!("::{name})"))
}

fn last(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path)
}
