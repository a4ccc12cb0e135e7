//! Test of the module layers: each module uses only those in layers below it, in the crate and in
//! its larger folders; in the others, the modules form no circle.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The layers of the crate, the lowest first; modules of one layer do not use each other. No module
/// uses the server.
const LAYERS: &[&[&str]] = &[
    &[
        "byte_stream",
        "connection_span",
        "digest",
        "error",
        "log_limit",
        "waker",
    ],
    &["metric"],
    &["rejection_log"],
    &[
        "catch_panic",
        "cookies",
        "header_list",
        "message",
        "name",
        "redis_link",
        "rejection",
        "upstream",
    ],
    &[
        "blocking",
        "codec",
        "outage",
        "required_state",
        "revocation",
        "scope",
    ],
    &["application", "extract"],
    &["channels", "protocol"],
    &["session"],
    &["consumer", "middleware", "routing"],
    &["django", "private", "service", "typescript"],
    &["testing"],
    &["macros", "server"],
];

/// The layers inside the larger folders, in the same order.
const FOLDERS: &[(&str, &[&[&str]])] = &[
    (
        "channels",
        &[
            &["lost_part", "messagepack", "missed", "position"],
            &["decodes", "except", "positioned"],
            &["envelope"],
            &["queues", "shared", "topics", "undecodable"],
            &["mailbox"],
            &["backpressure", "members"],
            &["local"],
            &["local_presence", "local_topics"],
            &["layer"],
            &["catch_up", "group", "listen", "memory", "presence", "redis"],
            &["disconnect", "leave", "topic"],
        ],
    ),
    (
        "channels::redis",
        &[
            &[
                "capacity",
                "fernet",
                "pops",
                "python_json",
                "readiness",
                "received",
                "restart",
                "script",
                "subscription_table",
            ],
            &["coding", "pending_gap", "publisher", "restored"],
            &["config", "vectors"],
            &["names"],
            &["host_part", "presence"],
            &["subscriptions"],
            &[
                "connecting",
                "deliverer",
                "member_counts",
                "membership_check",
            ],
            &["heartbeat", "pubsub"],
            &["memberships", "queue_owners"],
            &["addition"],
            &["inbox", "queue_sender"],
            &["named", "queue"],
            &["host"],
            &["group_send", "publish"],
            &["topics"],
            &["layer"],
        ],
    ),
    (
        "consumer",
        &[
            &[
                "address",
                "defaults",
                "disconnect_guard",
                "open_scope",
                "response_headers",
                "timer",
                "trigger",
                "worker",
            ],
            &["context", "handshake", "joined", "timers", "watch"],
            &["from_handshake", "hooks", "http", "request", "websocket"],
            &["driver", "sse_fallback"],
            &["connect"],
            &["application", "blocking"],
        ],
    ),
    (
        "protocol::websocket",
        &[
            &[
                "extension",
                "handshake",
                "heartbeat",
                "origin",
                "rate_limit",
                "send_queue",
            ],
            &["config", "deflate", "waiting_sends"],
            &["lifetime", "outgoing", "reader"],
            &["socket", "writer"],
            &["transport"],
            &["upgrade"],
        ],
    ),
    (
        "redis_link",
        &[
            &[
                "fault",
                "framing",
                "hosts",
                "repeat",
                "staggered",
                "topology",
            ],
            &["connect_error", "fake_node", "stream"],
            &["liveness", "tls", "without_tls"],
            &["address"],
            &["newest", "state"],
            &["directory", "downtime"],
            &["endpoint"],
            &["dialer", "url"],
            &["supervisor"],
            &["link"],
            &["lazy"],
        ],
    ),
    (
        "server",
        &[
            &[
                "access_log",
                "alarm",
                "batches",
                "framing",
                "preface",
                "request_head",
                "shutdown_signal",
                "socket",
                "stream_connection",
                "tcp",
                "trusted_proxies",
            ],
            &[
                "addresses",
                "forwarded",
                "http2_stream",
                "listener",
                "open_streams",
                "running",
                "workers",
            ],
            &["place"],
            &["traffic"],
            &["client_stream", "head_wait", "request_body"],
            &[
                "bind",
                "drain",
                "inherited",
                "lifespan",
                "proxy_protocol",
                "reuse_port",
                "tls",
            ],
            &["connection", "lifecycle"],
            &["accept", "serve_workers"],
            &["serve"],
        ],
    ),
];

/// A module by its path from the crate's root, such as `["consumer", "http", "driver"]`.
type Module = Vec<String>;

#[test]
fn every_module_uses_only_lower_layers() {
    let sources = Sources::read();
    let mut uses = 0;
    for (module, targets) in &sources.uses {
        for target in targets {
            let (Some(from), Some(to)) = (module.first(), target.first()) else {
                continue;
            };
            if from == to {
                continue;
            }
            uses += 1;
            assert!(
                layer(to) < layer(from),
                "{} looks up or across to {}",
                module.join("::"),
                target.join("::")
            );
        }
    }
    assert!(
        uses > 200,
        "only {uses} uses were found: is this test blind?"
    );
}

#[test]
fn every_module_of_a_larger_folder_uses_only_lower_layers() {
    let folders = Sources::read().folders();
    for (name, layers) in FOLDERS {
        let folder = &folders[*name];
        let layer = |module: &str| {
            let found = layers.iter().position(|layer| layer.contains(&module));
            found.unwrap_or_else(|| panic!("{name}::{module} has no layer: give it one in FOLDERS"))
        };
        for module in layers.iter().copied().flatten() {
            assert!(folder.contains_key(*module), "there is no {name}::{module}");
        }
        for module in folder.keys().filter(|module| *module != MOD_FILE) {
            for used in folder[module].iter().filter(|used| *used != MOD_FILE) {
                assert!(
                    layer(used) < layer(module),
                    "{name}::{module} looks up or across to {used}"
                );
            }
        }
    }
}

#[test]
fn the_modules_inside_a_folder_form_no_circle() {
    let folders = Sources::read().folders();
    assert!(
        folders.len() > 15,
        "only {} folders: is this test blind?",
        folders.len()
    );
    let circles: Vec<_> = folders
        .iter()
        .filter_map(|(folder, uses)| {
            let circle = circle(uses)?;
            Some(format!("{folder}: {}", circle.join(" -> ")))
        })
        .collect();
    assert!(circles.is_empty(), "circles:\n{}", circles.join("\n"));
}

/// A path through the root of the crate names no module, so that it would hide an upward use.
#[test]
fn only_the_result_is_used_through_the_crates_root() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in files(&root) {
        let code = code(&fs::read_to_string(&file).unwrap());
        for path in paths(&code) {
            let [start, item, ..] = &path[..] else {
                continue;
            };
            let is_item = item.starts_with(|first: char| first.is_uppercase());
            assert!(
                start != "crate" || !is_item || item == "Result" || item == "AnyError",
                "{}: use crate::{item} from its module",
                file.display()
            );
        }
    }
}

#[test]
fn the_crates_root_and_contributing_list_the_same_layers() {
    let sorted = |mut layers: Vec<Vec<String>>| {
        layers.iter_mut().for_each(|layer| layer.sort());
        layers
    };
    let expected: Vec<Vec<String>> = LAYERS
        .iter()
        .map(|layer| layer.iter().map(|module| (*module).to_owned()).collect())
        .collect();
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));

    let root = fs::read_to_string(crate_folder.join("src/lib.rs")).unwrap();
    let (_, modules) = root.split_once("// Layers, lowest first").unwrap();
    let (modules, _) = modules.split_once("\n// Public signatures").unwrap();
    let groups = modules.split("\n\n").map(|group| {
        let names = group
            .lines()
            .filter_map(|line| line.strip_suffix(';')?.split_once("mod "));
        names
            .map(|(_, name)| name.trim_start_matches('_').to_owned())
            .collect()
    });
    let groups: Vec<Vec<String>> = groups.filter(|group: &Vec<_>| !group.is_empty()).collect();
    assert_eq!(sorted(groups), sorted(expected.clone()), "src/lib.rs");

    let page = fs::read_to_string(crate_folder.join("../CONTRIBUTING.md")).unwrap();
    let (_, table) = page.split_once("| layer | contains |").unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let mut rows: Vec<Vec<String>> = rows
        .map(|row| {
            let layer = row.split('|').nth(1).unwrap();
            let names = layer
                .split(',')
                .map(|name| name.trim().trim_matches('`').to_owned());
            names.collect()
        })
        .collect();
    rows.reverse();
    assert_eq!(sorted(rows), sorted(expected), "CONTRIBUTING.md");
}

fn layer(module: &str) -> usize {
    let found = LAYERS.iter().position(|layer| layer.contains(&module));
    found.unwrap_or_else(|| panic!("{module} has no layer: give it one in this test"))
}

/// Returns modules that use each other in a circle, if there are any: what remains once all modules
/// that use none of the others are removed, again and again.
fn circle(uses: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut left = uses.clone();
    loop {
        let names: BTreeSet<_> = left.keys().cloned().collect();
        let before = left.len();
        left.retain(|_, used| used.intersection(&names).next().is_some());
        if left.len() == before {
            break;
        }
    }
    let mut path = vec![left.keys().next()?.clone()];
    loop {
        let last = path.last()?;
        let next = left[last].iter().find(|name| left.contains_key(*name))?;
        if let Some(start) = path.iter().position(|name| name == next) {
            path.drain(..start);
            path.push(next.clone());
            return Some(path);
        }
        path.push(next.clone());
    }
}

/// The name of the file of a folder itself among the modules inside it.
const MOD_FILE: &str = "mod.rs";

/// The modules of the crate, and what each one uses.
struct Sources {
    uses: BTreeMap<Module, BTreeSet<Module>>,
}

impl Sources {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut texts = BTreeMap::new();
        for file in files(&root) {
            let text = fs::read_to_string(&file).unwrap();
            texts.insert(module(&root, &file), code(&text));
        }
        texts.remove(&vec!["lib".to_owned()]);
        let modules: BTreeSet<Module> = texts.keys().cloned().collect();
        let exports: BTreeMap<_, _> = texts
            .iter()
            .map(|(module, text)| (module.clone(), exports(text)))
            .collect();
        let uses = texts
            .iter()
            .map(|(module, text)| {
                let paths = paths(text).into_iter();
                let targets = paths.filter_map(|path| {
                    let absolute = absolute(module, &path)?;
                    resolve(&absolute, &modules, &exports)
                });
                (module.clone(), targets.collect())
            })
            .collect();
        Self { uses }
    }

    /// Returns the modules inside each folder, with those of the same folder that each one uses.
    /// The folder's own file is one of them, without what it exports.
    fn folders(&self) -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
        let mut folders: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        for (module, targets) in &self.uses {
            for depth in 1..module.len() {
                let folder = folders.entry(module[..depth].join("::")).or_default();
                folder.entry(module[depth].clone()).or_default();
            }
            for target in targets {
                let common = module
                    .iter()
                    .zip(target)
                    .take_while(|(one, other)| one == other);
                let common = common.count();
                // The root has its layers.
                if common == 0 || module == target {
                    continue;
                }
                let name = |path: &Module| match path.get(common) {
                    Some(name) => name.clone(),
                    None => MOD_FILE.to_owned(),
                };
                let folder = folders.entry(module[..common].join("::")).or_default();
                let used = folder.entry(name(module)).or_default();
                used.insert(name(target));
            }
        }
        folders
    }
}

/// Returns a path from the crate's root; `None` for a path into another crate.
fn absolute(module: &Module, path: &[String]) -> Option<Vec<String>> {
    let mut base = match path.first()?.as_str() {
        "crate" => Vec::new(),
        "self" => module.clone(),
        "super" => module[..module.len().checked_sub(1)?].to_vec(),
        _ => return None,
    };
    for segment in &path[1..] {
        match segment.as_str() {
            "super" => _ = base.pop()?,
            segment => base.push(segment.to_owned()),
        }
    }
    Some(base)
}

/// Returns the module in which an item is defined, if it is one of this crate.
fn resolve(
    path: &[String],
    modules: &BTreeSet<Module>,
    exports: &BTreeMap<Module, BTreeMap<String, Vec<String>>>,
) -> Option<Module> {
    let depth = (1..=path.len())
        .rev()
        .find(|depth| modules.contains(&path[..*depth]))?;
    let (found, rest) = path.split_at(depth);
    let exported = rest.first().and_then(|item| exports[found].get(item));
    match exported {
        Some(behind) => {
            let further: Vec<_> = found.iter().chain(behind).cloned().collect();
            resolve(&further, modules, exports)
        }
        None => Some(found.to_vec()),
    }
}

/// Returns what a file exports from its own modules: the name, and the path behind `self`.
fn exports(code: &str) -> BTreeMap<String, Vec<String>> {
    let mut exports = BTreeMap::new();
    for behind in code.split("use self::").skip(1) {
        for path in tree(behind) {
            if let [_, .., item] = path.as_slice() {
                exports.insert(item.clone(), path);
            }
        }
    }
    exports
}

/// Returns the paths of a file that begin with `crate`, `super` or `self`, but for what it exports.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for start in ["crate", "super", "self"] {
        let mut rest = code;
        while let Some(at) = rest.find(&format!("{start}::")) {
            let before = &rest[..at];
            let is_word =
                before.ends_with(|letter: char| letter.is_alphanumeric() || letter == '_');
            // `super::super` is one path.
            let is_inner = before.ends_with("super::");
            let is_export = before
                .strip_suffix("use ")
                .is_some_and(|before| before.ends_with("pub ") || before.ends_with(") "));
            let behind = &rest[at + start.len() + 2..];
            let is_reexport = is_export && start == "self";
            if !(is_word || is_inner || is_reexport) {
                for mut path in tree(behind) {
                    path.insert(0, start.to_owned());
                    paths.push(path);
                }
            }
            rest = behind;
        }
    }
    paths
}

/// Returns the paths of a use tree: `a::{b, c::D}` is `a::b` and `a::c::D`.
fn tree(text: &str) -> Vec<Vec<String>> {
    let mut chars = text.chars().peekable();
    branch(&mut chars)
}

fn branch(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Vec<Vec<String>> {
    let mut path = Vec::new();
    loop {
        if chars.peek() == Some(&'{') {
            chars.next();
            let mut paths = Vec::new();
            loop {
                while chars
                    .next_if(|next| next.is_whitespace() || *next == ',')
                    .is_some()
                {}
                match chars.peek() {
                    None => break,
                    Some('}') => {
                        chars.next();
                        break;
                    }
                    Some(_) => {}
                }
                let inner = branch(chars);
                if inner.is_empty() && chars.next().is_none() {
                    break;
                }
                paths.extend(
                    inner
                        .into_iter()
                        .map(|inner| [path.clone(), inner].concat()),
                );
            }
            return paths;
        }
        let mut word = String::new();
        while let Some(next) = chars.next_if(|next| next.is_alphanumeric() || *next == '_') {
            word.push(next);
        }
        if word.is_empty() {
            break;
        }
        path.push(word);
        if chars.next_if_eq(&':').is_none() || chars.next_if_eq(&':').is_none() {
            break;
        }
    }
    // `item as name`
    while chars
        .next_if(|next| !",}{;".contains(*next) && !next.is_control())
        .is_some()
    {}
    match path.is_empty() {
        true => Vec::new(),
        false => vec![path],
    }
}

/// Returns the code of a file in one line, without comments and without its tests.
fn code(text: &str) -> String {
    let text = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or(text);
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("//"))
        .flat_map(|line| [line, " "])
        .collect()
}

/// Returns the module of a file.
fn module(root: &Path, file: &Path) -> Module {
    let inside = file.strip_prefix(root).unwrap().with_extension("");
    let mut module: Module = inside
        .components()
        .map(|part| part.as_os_str().to_str().unwrap().to_owned())
        .collect();
    module.pop_if(|last| last == "mod");
    module
}

/// Returns the files of a folder and of those inside, without files of tests.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs")
            && !path.ends_with("tests.rs")
        {
            found.push(path);
        }
    }
    found
}
