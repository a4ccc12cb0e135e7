//! The modules of the crate, parsed, and what a name in one of them means.

use std::{fs, path::Path};

use syn::{Attribute, Item, UseTree, Visibility};

/// The parsed sources of the crate, without tests.
pub(crate) struct Sources {
    pub(crate) modules: Vec<Module>,
}

/// One module.
pub(crate) struct Module {
    /// Its path from the root of the crate, which is empty for the root.
    pub(crate) path: Vec<String>,
    pub(crate) items: Vec<Item>,
    /// The attributes on its `mod` line and at the top of its file.
    pub(super) attributes: Vec<Attribute>,
    /// The conditions of its `mod` line and those of the modules around it.
    pub(super) conditions: Vec<String>,
    pub(super) uses: Vec<Use>,
}

/// One name that a `use` line imports.
pub(super) struct Use {
    /// The name in the module; `*` for all names of another module.
    name: String,
    path: Vec<String>,
    /// The `use` line, as an index into the items of its module.
    item: usize,
    is_public: bool,
}

/// What a name means.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Target {
    /// A module of the crate, as an index.
    Module(usize),
    /// An item of the crate: the index of its module, and its own index there.
    Item(usize, usize),
    /// A name of another crate, with the `use` line that imports it.
    Foreign { path: String, line: (usize, usize) },
}

impl Sources {
    /// Parses the crate whose root is this file.
    pub(crate) fn read(root: &Path) -> Self {
        let mut sources = Sources {
            modules: Vec::new(),
        };
        let folder = root.parent().unwrap();
        sources.read_file(root, folder, Vec::new(), Vec::new(), Vec::new());
        sources
    }

    fn read_file(
        &mut self,
        file: &Path,
        folder: &Path,
        path: Vec<String>,
        mut attributes: Vec<Attribute>,
        conditions: Vec<String>,
    ) {
        let code = fs::read_to_string(file).unwrap();
        let parsed =
            syn::parse_file(&code).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        attributes.extend(parsed.attrs);
        self.add(path, parsed.items, attributes, conditions, folder);
    }

    fn add(
        &mut self,
        path: Vec<String>,
        items: Vec<Item>,
        attributes: Vec<Attribute>,
        conditions: Vec<String>,
        folder: &Path,
    ) {
        let items: Vec<_> = items.into_iter().map(unwrapped).collect();
        let uses = imports(&items);
        let children: Vec<_> = items
            .iter()
            .filter_map(|item| match item {
                Item::Mod(child) if !is_for_tests(&child.attrs) => Some(child.clone()),
                _ => None,
            })
            .collect();
        self.modules.push(Module {
            path: path.clone(),
            items,
            attributes,
            conditions: conditions.clone(),
            uses,
        });
        for child in children {
            let name = child.ident.to_string();
            let mut path = path.clone();
            path.push(name.clone());
            let mut conditions = conditions.clone();
            conditions.extend(self::conditions(&child.attrs));
            let inside = folder.join(&name);
            if let Some((_, items)) = child.content {
                self.add(path, items, child.attrs, conditions, &inside);
                continue;
            }
            let file = [
                explicit_path(&child.attrs).map(|file| folder.join(file)),
                Some(inside.join("mod.rs")),
                Some(folder.join(format!("{name}.rs"))),
            ];
            let file = file.into_iter().flatten().find(|file| file.is_file());
            let file = file.unwrap_or_else(|| panic!("no file of the module {path:?}"));
            self.read_file(&file, &inside, path, child.attrs, conditions);
        }
    }

    /// Returns the item at an index.
    pub(super) fn item(&self, (module, item): (usize, usize)) -> &Item {
        &self.modules[module].items[item]
    }

    /// Returns all that a name means in a module: a trait and a macro can have the same name.
    pub(super) fn look_up(&self, module: usize, name: &str) -> Vec<Target> {
        let mut found = self.look_up_within(module, name, 0);
        found.sort();
        found.dedup();
        found
    }

    /// Returns what the names of a public `use` line mean, by the names that they get.
    pub(super) fn exports(&self, module: usize, item: usize) -> Vec<(String, Target)> {
        let mut exports = Vec::new();
        for import in &self.modules[module].uses {
            if import.item != item {
                continue;
            }
            if import.name == "*" {
                for source in self.resolve(module, &import.path, import.item, 0) {
                    let Target::Module(source) = source else {
                        continue;
                    };
                    for name in self.public_names(source) {
                        let targets = self.look_up(source, &name);
                        exports.extend(targets.into_iter().map(|target| (name.clone(), target)));
                    }
                }
                continue;
            }
            let targets = self
                .resolve(module, &import.path, import.item, 0)
                .into_iter();
            // A private module is not exported along with an item of its name.
            let targets = targets.filter(|target| match target {
                Target::Module(module) => self.is_public_module(*module),
                _ => true,
            });
            exports.extend(targets.map(|target| (import.name.clone(), target)));
        }
        exports
    }

    fn public_names(&self, module: usize) -> Vec<String> {
        let module = &self.modules[module];
        let items = module.items.iter().filter(|item| is_public(item));
        let items = items.filter_map(name);
        let uses = module.uses.iter().filter(|import| import.is_public);
        let mut names: Vec<_> = items
            .chain(uses.map(|import| import.name.clone()))
            .filter(|name| name != "*")
            .collect();
        names.sort();
        names.dedup();
        names
    }

    fn look_up_within(&self, module: usize, wanted: &str, depth: usize) -> Vec<Target> {
        assert!(depth < 32, "the imports of {wanted} form a circle");
        let this = &self.modules[module];
        let mut found = Vec::new();
        for (index, item) in this.items.iter().enumerate() {
            if name(item).as_deref() != Some(wanted) {
                continue;
            }
            if let Item::Mod(_) = item {
                found.extend(self.child(module, wanted).map(Target::Module));
            } else {
                found.push(Target::Item(module, index));
            }
        }
        for import in this.uses.iter().filter(|import| import.name == wanted) {
            found.extend(self.resolve(module, &import.path, import.item, depth + 1));
        }
        for import in this.uses.iter().filter(|import| import.name == "*") {
            for source in self.resolve(module, &import.path, import.item, depth + 1) {
                if let Target::Module(source) = source
                    && self.public_names(source).iter().any(|name| name == wanted)
                {
                    found.extend(self.look_up_within(source, wanted, depth + 1));
                }
            }
        }
        found
    }

    /// Returns what a path of a `use` line means.
    fn resolve(&self, from: usize, path: &[String], item: usize, depth: usize) -> Vec<Target> {
        let mut module = from;
        let mut rest = path;
        while let [first, tail @ ..] = rest {
            match first.as_str() {
                "crate" => module = 0,
                "self" => {}
                "super" => module = self.parent(module),
                _ => break,
            }
            rest = tail;
        }
        let is_local = rest.len() < path.len();
        let Some((last, middle)) = rest.split_last() else {
            return vec![Target::Module(module)];
        };
        for segment in middle {
            match self.child(module, segment) {
                Some(child) => module = child,
                None if is_local => return Vec::new(),
                None => {
                    return vec![Target::Foreign {
                        path: path.join("::"),
                        line: (from, item),
                    }];
                }
            }
        }
        if is_local || !middle.is_empty() {
            return self.look_up_within(module, last, depth + 1);
        }
        match self.child(module, last) {
            Some(child) => vec![Target::Module(child)],
            None => vec![Target::Foreign {
                path: last.clone(),
                line: (from, item),
            }],
        }
    }

    fn child(&self, module: usize, name: &str) -> Option<usize> {
        let parent = &self.modules[module].path;
        self.modules.iter().position(|module| {
            module
                .path
                .split_last()
                .is_some_and(|(last, rest)| last == name && rest == parent)
        })
    }

    fn is_public_module(&self, module: usize) -> bool {
        let name = self.modules[module].path.last();
        let mut siblings = self.modules[self.parent(module)].items.iter();
        siblings.any(|item| match item {
            Item::Mod(item) => Some(&item.ident.to_string()) == name && is_public_item(&item.vis),
            _ => false,
        })
    }

    fn parent(&self, module: usize) -> usize {
        let path = &self.modules[module].path;
        let parent = &path[..path.len() - 1];
        let parent = self.modules.iter().position(|module| module.path == parent);
        parent.expect("each module but the root has a parent")
    }
}

/// Returns the conditions on features in these attributes.
pub(super) fn conditions(attributes: &[Attribute]) -> Vec<String> {
    let cfgs = attributes.iter().filter(|attr| attr.path().is_ident("cfg"));
    cfgs.map(|attribute| super::listing::tidy(&attribute.meta))
        .collect()
}

/// Returns whether these attributes hide an item from the documentation.
pub(super) fn is_hidden(attributes: &[Attribute]) -> bool {
    let docs = attributes.iter().filter(|attr| attr.path().is_ident("doc"));
    docs.into_iter()
        .any(|attribute| super::listing::tidy(&attribute.meta) == "doc(hidden)")
}

/// Returns the name that an item has in its module.
pub(super) fn name(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Mod(item) => &item.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

/// Returns the attributes of an item that can be public.
pub(super) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Returns whether an item is `pub`.
pub(super) fn is_public(item: &Item) -> bool {
    let visibility = match item {
        Item::Const(item) => &item.vis,
        Item::Enum(item) => &item.vis,
        Item::Fn(item) => &item.vis,
        Item::Mod(item) => &item.vis,
        Item::Static(item) => &item.vis,
        Item::Struct(item) => &item.vis,
        Item::Trait(item) => &item.vis,
        Item::Type(item) => &item.vis,
        Item::Use(item) => &item.vis,
        _ => return false,
    };
    is_public_item(visibility)
}

/// Returns whether a visibility is `pub`.
pub(super) fn is_public_item(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Returns the type that a call of `pin_project!` contains, or else the item as it is.
fn unwrapped(item: Item) -> Item {
    match &item {
        Item::Macro(call) if call.mac.path.is_ident("pin_project") => {
            call.mac.parse_body().expect("pin_project contains a type")
        }
        _ => item,
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    let conditions = conditions(attributes);
    conditions
        .iter()
        .any(|condition| condition == "cfg(test)" || condition == "cfg(doctest)")
}

fn explicit_path(attributes: &[Attribute]) -> Option<String> {
    attributes.iter().find_map(|attribute| {
        let syn::Meta::NameValue(meta) = &attribute.meta else {
            return None;
        };
        let syn::Expr::Lit(value) = &meta.value else {
            return None;
        };
        match &value.lit {
            syn::Lit::Str(file) if meta.path.is_ident("path") => Some(file.value()),
            _ => None,
        }
    })
}

fn imports(items: &[Item]) -> Vec<Use> {
    let mut uses = Vec::new();
    for (index, item) in items.iter().enumerate() {
        if let Item::Use(line) = item {
            let is_public = is_public_item(&line.vis);
            flatten(&line.tree, Vec::new(), &mut |name, path| {
                uses.push(Use {
                    name,
                    path,
                    item: index,
                    is_public,
                });
            });
        }
    }
    uses
}

fn flatten(tree: &UseTree, mut path: Vec<String>, found: &mut impl FnMut(String, Vec<String>)) {
    match tree {
        UseTree::Path(tree) => {
            path.push(tree.ident.to_string());
            flatten(&tree.tree, path, found);
        }
        UseTree::Name(tree) if tree.ident == "self" => {
            let name = path.last().expect("`self` follows a path").clone();
            found(name, path);
        }
        UseTree::Name(tree) => {
            path.push(tree.ident.to_string());
            found(tree.ident.to_string(), path);
        }
        UseTree::Rename(tree) => {
            path.push(tree.ident.to_string());
            found(tree.rename.to_string(), path);
        }
        UseTree::Glob(_) => found("*".to_owned(), path),
        UseTree::Group(tree) => {
            for tree in &tree.items {
                flatten(tree, path.clone(), found);
            }
        }
    }
}
