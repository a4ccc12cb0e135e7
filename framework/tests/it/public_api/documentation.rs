//! The rules for the documentation of public items: summary lines.

use super::listing::{Entry, Kind};

/// Words that begin a clause, an order or a comment, and no noun phrase.
const NOT_NOUNS: &[&str] = &[
    "How", "If", "It", "Its", "That", "There", "These", "This", "Use", "What", "When", "Where",
    "Whether", "Which", "Who", "Whoever", "Why",
];

/// Returns a line for each summary that is not in style.
///
/// A summary is one sentence that ends with a full stop. Functions and macros start with a verb in
/// the third person, or with `Called` if they are hooks; everything else with a noun phrase, settings
/// also with `How long` and the like.
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
        next.is_some_and(|next| next.is_uppercase() || next == '`')
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
