//! The public items of the crate, each with its members, and how they are written in the listing.

use std::collections::{BTreeMap, BTreeSet};

use quote::ToTokens;
use syn::{
    Attribute, Fields, FnArg, ImplItem, Item, ItemImpl, Pat, ReturnType, Signature, TraitItem,
    Type, punctuated::Punctuated,
};

use super::sources::{
    Sources, Target, attributes, conditions, is_hidden, is_public, is_public_item, name,
};

/// The kind of an entry, as far as the rules for documentation differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Module,
    Type,
    Trait,
    Macro,
    Function,
    /// A function that takes only `&self`, and returns something.
    Getter,
    /// A field, a variant, a constant, an alias or an associated type.
    Part,
    /// An implementation of a trait, or a second path of an item: without documentation.
    Undocumented,
}

/// One line of the listing, with the lines below it.
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) kind: Kind,
    pub(super) docs: String,
    pub(super) members: Vec<Entry>,
    line: String,
}

/// Returns the public items of the crate, sorted by path.
pub(super) fn public_items(sources: &Sources) -> Vec<Entry> {
    let mut paths = Paths {
        sources,
        found: BTreeMap::new(),
        visited: BTreeSet::new(),
    };
    paths.walk(0, "seaway");
    let paths = paths.found;

    let local: BTreeSet<_> = paths.keys().cloned().collect();
    let implementations = implementations(sources, &local);
    let mut entries = Vec::new();
    for (target, mut paths) in paths {
        paths.sort_by_key(|path| (path.matches("::").count(), path.clone()));
        let (path, others) = paths.split_first().expect("each item was found by a path");
        let mut entry = match &target {
            Target::Module(module) => module_entry(sources, *module, path),
            Target::Item(module, item) => item_entry(sources, (*module, *item), path),
            Target::Foreign { path: from, line } => foreign_entry(sources, from, *line, path),
        };
        for line in implementations.get(&target).into_iter().flatten() {
            entry.add_implementation(line);
        }
        entry.sort_implementations();
        entries.push(entry);
        for other in others {
            entries.push(Entry {
                path: other.clone(),
                kind: Kind::Undocumented,
                docs: String::new(),
                members: Vec::new(),
                line: format!("use {path} as {other}"),
            });
        }
    }
    entries.extend(generated_items(sources));
    entries.sort_by(|a, b| (&a.path, &a.line).cmp(&(&b.path, &b.line)));
    entries
}

/// Writes the listing.
pub(super) fn write(entries: &[Entry]) -> String {
    let mut text = String::new();
    for entry in entries {
        entry.write(0, &mut text);
    }
    text
}

impl Entry {
    /// Calls a function with this entry and all entries below it.
    pub(super) fn visit<'a>(&'a self, visit: &mut impl FnMut(&'a Entry)) {
        visit(self);
        for member in &self.members {
            member.visit(visit);
        }
    }

    fn write(&self, depth: usize, text: &mut String) {
        text.push_str(&"    ".repeat(depth));
        text.push_str(&self.line);
        text.push('\n');
        for member in &self.members {
            member.write(depth + 1, text);
        }
    }

    fn member(&mut self, name: &str, kind: Kind, attributes: &[Attribute], line: String) {
        if is_hidden(attributes) {
            return;
        }
        self.members.push(Entry {
            path: format!("{}::{name}", self.path),
            kind,
            docs: docs(attributes),
            members: Vec::new(),
            line: prefix(attributes, &[]) + &line,
        });
    }

    fn add_implementation(&mut self, (item, around): &(&ItemImpl, &[String])) {
        // The type's own conditions go without saying.
        let own = |condition: &&String| !self.line.contains(&format!("#[{condition}] "));
        let around: Vec<_> = around.iter().filter(own).cloned().collect();
        let head = prefix(&item.attrs, &around) + &implementation_line(item);
        if item.trait_.is_some() {
            self.members.push(Entry {
                path: self.path.clone(),
                kind: Kind::Undocumented,
                docs: String::new(),
                members: Vec::new(),
                line: head,
            });
            return;
        }
        // A plain implementation adds its members to the type; one with bounds, or for some
        // arguments only, shows itself.
        let plain = around.is_empty()
            && conditions(&item.attrs).is_empty()
            && item.generics.where_clause.is_none()
            && item.generics.type_params().all(|one| one.bounds.is_empty())
            && arguments_are_parameters(item);
        let before = self.members.len();
        for member in &item.items {
            match member {
                ImplItem::Fn(function) if is_public_item(&function.vis) => {
                    let (kind, line) = (kind_of(&function.sig), signature(&function.sig));
                    let name = function.sig.ident.to_string();
                    self.member(&name, kind, &function.attrs, line);
                }
                ImplItem::Const(constant) if is_public_item(&constant.vis) => {
                    let line = format!("const {}: {}", constant.ident, tidy(&constant.ty));
                    let name = constant.ident.to_string();
                    self.member(&name, Kind::Part, &constant.attrs, line);
                }
                _ => {}
            }
        }
        if !plain && self.members.len() > before {
            let members = self.members.split_off(before);
            self.members.push(Entry {
                path: self.path.clone(),
                kind: Kind::Undocumented,
                docs: String::new(),
                members,
                line: head,
            });
        }
    }

    /// Puts implementations last, sorted: their order in the sources means nothing.
    fn sort_implementations(&mut self) {
        let members = self.members.drain(..);
        let (mut implementations, own): (Vec<_>, Vec<_>) =
            members.partition(|member| member.kind == Kind::Undocumented);
        implementations.sort_by(|a, b| a.line.cmp(&b.line));
        self.members = own;
        self.members.extend(implementations);
    }
}

/// The public paths of all items.
struct Paths<'a> {
    sources: &'a Sources,
    found: BTreeMap<Target, Vec<String>>,
    visited: BTreeSet<(usize, String)>,
}

impl Paths<'_> {
    fn walk(&mut self, module: usize, path: &str) {
        if !self.visited.insert((module, path.to_owned())) {
            return;
        }
        self.add(Target::Module(module), path.to_owned());
        let sources = self.sources;
        for (index, item) in sources.modules[module].items.iter().enumerate() {
            if !is_public(item) || is_hidden(attributes(item)) {
                continue;
            }
            if let Item::Use(_) = item {
                for (name, target) in sources.exports(module, index) {
                    self.follow(target, format!("{path}::{name}"));
                }
            } else if let Some(name) = name(item) {
                let target = match item {
                    Item::Mod(_) => sources.look_up(module, &name).into_iter().next(),
                    _ => Some(Target::Item(module, index)),
                };
                if let Some(target) = target {
                    self.follow(target, format!("{path}::{name}"));
                }
            }
        }
    }

    fn follow(&mut self, target: Target, path: String) {
        match target {
            Target::Module(module) => self.walk(module, &path),
            other => self.add(other, path),
        }
    }

    fn add(&mut self, target: Target, path: String) {
        let paths = self.found.entry(target).or_default();
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
}

type Implementations<'a> = BTreeMap<Target, Vec<(&'a ItemImpl, &'a [String])>>;

/// Returns the implementations in the crate by the public item that each is listed under: the type,
/// or the trait if the type is of another crate.
fn implementations<'a>(sources: &'a Sources, public: &BTreeSet<Target>) -> Implementations<'a> {
    let mut all = Implementations::new();
    for (index, module) in sources.modules.iter().enumerate() {
        for item in &module.items {
            let Item::Impl(item) = item else {
                continue;
            };
            if is_hidden(&item.attrs) {
                continue;
            }
            let look_up = |path: &syn::Path| {
                let last = path.segments.last()?.ident.to_string();
                // `Self` of a generic implementation is a parameter.
                let is_parameter = item.generics.type_params().any(|one| one.ident == last);
                if is_parameter {
                    return None;
                }
                let scope = match path.segments.len() {
                    1 => index,
                    _ => {
                        let first = path.segments.first()?.ident.to_string();
                        match sources.look_up(index, &first).into_iter().next()? {
                            Target::Module(module) => module,
                            _ => return None,
                        }
                    }
                };
                let found = sources.look_up(scope, &last);
                found
                    .into_iter()
                    .find(|target| matches!(target, Target::Item(..)))
            };
            let of_trait = item.trait_.as_ref().map(|(path, _)| look_up(path));
            if let Some(Some(name)) = &of_trait
                && !public.contains(name)
            {
                continue;
            }
            let of_type = match &*item.self_ty {
                Type::Path(path) => look_up(&path.path),
                _ => None,
            };
            let listed_under = match (of_type, of_trait) {
                (Some(name), _) => Some(name),
                (None, Some(name)) => name,
                (None, None) => None,
            };
            if let Some(target) = listed_under.filter(|target| public.contains(target)) {
                let around = module.conditions.as_slice();
                all.entry(target).or_default().push((item, around));
            }
        }
    }
    all
}

fn module_entry(sources: &Sources, module: usize, path: &str) -> Entry {
    let module = &sources.modules[module];
    let mut around = module.conditions.clone();
    around.dedup();
    Entry {
        path: path.to_owned(),
        kind: Kind::Module,
        docs: docs(&module.attributes),
        members: Vec::new(),
        line: prefix(&[], &around) + &format!("mod {path}"),
    }
}

/// Returns a line for each use of a macro of the crate in place of an item, with its first
/// argument.
fn generated_items(sources: &Sources) -> Vec<Entry> {
    let items = sources.modules.iter().flat_map(|module| &module.items);
    let macros = items.filter_map(|item| match item {
        Item::Macro(item) => Some(item),
        _ => None,
    });
    let (definitions, calls): (Vec<_>, Vec<_>) = macros.partition(|item| item.ident.is_some());
    let calls = calls.into_iter().map(|call| &call.mac).filter(|call| {
        let is_called = |item: &&syn::ItemMacro| call.path.get_ident() == item.ident.as_ref();
        definitions.iter().any(is_called)
    });
    let entries = calls.map(|call| {
        let mut attribute = false;
        let argument = call
            .tokens
            .clone()
            .into_iter()
            .take_while(|token| token.to_string() != ",");
        // Documentation: a `#`, and a group in brackets.
        let argument = argument.filter(|token| {
            let is_part = attribute || token.to_string() == "#";
            attribute = token.to_string() == "#";
            !is_part
        });
        let mut first = quote::quote!();
        first.extend(argument);
        Entry {
            path: "seaway".to_owned(),
            kind: Kind::Undocumented,
            docs: String::new(),
            members: Vec::new(),
            line: format!("{}! {}", tidy(&call.path), tidy(&first)),
        }
    });
    entries.collect()
}

fn foreign_entry(sources: &Sources, from: &str, line: (usize, usize), path: &str) -> Entry {
    let item = sources.item(line);
    let around = &sources.modules[line.0].conditions;
    Entry {
        path: path.to_owned(),
        kind: if from.starts_with("seaway_macros") {
            Kind::Macro
        } else {
            Kind::Undocumented
        },
        docs: docs(attributes(item)),
        members: Vec::new(),
        line: prefix(attributes(item), around) + &format!("use {from} as {path}"),
    }
}

fn item_entry(sources: &Sources, at: (usize, usize), path: &str) -> Entry {
    let item = sources.item(at);
    let around = &sources.modules[at.0].conditions;
    let mut entry = Entry {
        path: path.to_owned(),
        kind: Kind::Type,
        docs: docs(attributes(item)),
        members: Vec::new(),
        line: String::new(),
    };
    let line = match item {
        Item::Struct(item) => {
            let arguments = tidy(&item.generics);
            let mut line = format!("struct {path}{arguments}");
            let mut private = 0;
            for (index, field) in item.fields.iter().enumerate() {
                if is_public_item(&field.vis) {
                    let name = field
                        .ident
                        .as_ref()
                        .map_or(index.to_string(), |n| n.to_string());
                    let line = format!("{name}: {}", tidy(&field.ty));
                    entry.member(&name, Kind::Part, &field.attrs, line);
                } else {
                    private += 1;
                }
            }
            match &item.fields {
                Fields::Unit => {}
                _ if private == 0 => line.push_str(" { all fields public }"),
                _ => line.push_str(" { private fields }"),
            }
            line + &bounds(&item.generics)
        }
        Item::Enum(item) => {
            for variant in &item.variants {
                let line = format!("{}{}", variant.ident, fields(&variant.fields));
                let name = variant.ident.to_string();
                entry.member(&name, Kind::Part, &variant.attrs, line);
            }
            format!("enum {path}{}", tidy(&item.generics)) + &bounds(&item.generics)
        }
        Item::Trait(item) => {
            entry.kind = Kind::Trait;
            for member in &item.items {
                trait_member(&mut entry, member);
            }
            let parents = match item.supertraits.is_empty() {
                true => String::new(),
                false => format!(": {}", tidy(&item.supertraits)),
            };
            format!("trait {path}{}{parents}", tidy(&item.generics)) + &bounds(&item.generics)
        }
        Item::Fn(item) => {
            entry.kind = kind_of(&item.sig);
            let (_, name) = path
                .rsplit_once("::")
                .expect("the path of an item in a crate");
            signature(&item.sig).replacen(&format!("fn {name}"), &format!("fn {path}"), 1)
        }
        Item::Type(item) => {
            entry.kind = Kind::Part;
            format!("type {path}{} = {}", tidy(&item.generics), tidy(&item.ty))
        }
        Item::Const(item) => {
            entry.kind = Kind::Part;
            format!("const {path}: {}", tidy(&item.ty))
        }
        Item::Static(item) => {
            entry.kind = Kind::Part;
            format!("static {path}: {}", tidy(&item.ty))
        }
        _ => panic!("{path} is an item that this test does not know"),
    };
    entry.line = prefix(attributes(item), around) + &line;
    entry
}

fn trait_member(entry: &mut Entry, member: &TraitItem) {
    let (name, kind, attributes, line) = match member {
        TraitItem::Fn(function) => {
            let provided = match function.default {
                Some(_) => " { provided }",
                None => "",
            };
            (
                &function.sig.ident,
                kind_of(&function.sig),
                &function.attrs,
                signature(&function.sig) + provided,
            )
        }
        TraitItem::Type(associated) => {
            let mut line = format!("type {}{}", associated.ident, tidy(&associated.generics));
            if !associated.bounds.is_empty() {
                line += &format!(": {}", tidy(&associated.bounds));
            }
            (&associated.ident, Kind::Part, &associated.attrs, line)
        }
        TraitItem::Const(constant) => {
            let provided = match constant.default {
                Some(_) => " = provided",
                None => "",
            };
            let line = format!("const {}: {}{provided}", constant.ident, tidy(&constant.ty));
            (&constant.ident, Kind::Part, &constant.attrs, line)
        }
        _ => panic!("{} has a member that this test does not know", entry.path),
    };
    entry.member(&name.to_string(), kind, attributes, line);
}

fn kind_of(signature: &Signature) -> Kind {
    let mut inputs = signature.inputs.iter();
    match (inputs.next(), inputs.next(), &signature.output) {
        (Some(FnArg::Receiver(_)), None, ReturnType::Type(..)) if signature.asyncness.is_none() => {
            Kind::Getter
        }
        _ => Kind::Function,
    }
}

fn signature(signature: &Signature) -> String {
    let mut signature = signature.clone();
    // Whether an argument is mutable inside is no matter of the API.
    for input in &mut signature.inputs {
        match input {
            FnArg::Receiver(receiver) => {
                receiver.attrs.clear();
                if tidy(&receiver) == "mut self" {
                    *receiver = syn::parse_quote!(self);
                }
            }
            FnArg::Typed(argument) => {
                argument.attrs.clear();
                if let Pat::Ident(name) = &mut *argument.pat {
                    name.mutability = None;
                }
            }
        }
    }
    tidy(&signature)
}

fn implementation_line(item: &ItemImpl) -> String {
    let generics = tidy(&item.generics);
    let mut line = format!("impl{generics} ");
    if let Some((name, _)) = &item.trait_ {
        line += &format!("{} for ", tidy(name));
    }
    line += &tidy(&item.self_ty);
    line += &bounds(&item.generics);
    let types = item.items.iter().filter_map(|member| match member {
        ImplItem::Type(associated) if item.trait_.is_some() => {
            Some(format!("{} = {}", associated.ident, tidy(&associated.ty)))
        }
        _ => None,
    });
    let types: Vec<_> = types.collect();
    if !types.is_empty() {
        line += &format!(" {{ {} }}", types.join(", "));
    }
    line
}

fn arguments_are_parameters(item: &ItemImpl) -> bool {
    let Type::Path(path) = &*item.self_ty else {
        return false;
    };
    let last = path.path.segments.last().expect("a path has a segment");
    let syn::PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return true;
    };
    let mut parameters = item.generics.params.iter().map(|one| match one {
        syn::GenericParam::Type(one) => one.ident.to_string(),
        syn::GenericParam::Const(one) => one.ident.to_string(),
        syn::GenericParam::Lifetime(one) => one.lifetime.to_string(),
    });
    arguments
        .args
        .iter()
        .all(|argument| parameters.next() == Some(tidy(argument)))
}

fn fields(fields: &Fields) -> String {
    let tidy_fields = |fields: &Punctuated<syn::Field, syn::Token![,]>| {
        let fields = fields.iter().map(|field| match &field.ident {
            Some(name) => format!("{name}: {}", tidy(&field.ty)),
            None => tidy(&field.ty),
        });
        fields.collect::<Vec<_>>().join(", ")
    };
    match fields {
        Fields::Named(fields) => format!(" {{ {} }}", tidy_fields(&fields.named)),
        Fields::Unnamed(fields) => format!("({})", tidy_fields(&fields.unnamed)),
        Fields::Unit => String::new(),
    }
}

fn bounds(generics: &syn::Generics) -> String {
    match &generics.where_clause {
        Some(clause) => format!(" {}", tidy(clause)),
        None => String::new(),
    }
}

/// Returns the attributes that are part of the API: features, derives, `non_exhaustive`.
fn prefix(attributes: &[Attribute], around: &[String]) -> String {
    let mut shown: Vec<String> = around.to_vec();
    for attribute in attributes {
        let named = |name| attribute.path().is_ident(name);
        if named("cfg") || named("derive") || named("non_exhaustive") || named("must_use") {
            let text = tidy(&attribute.meta);
            // The text of `must_use` is none of a caller's business.
            let text = match named("must_use") {
                true => "must_use".to_owned(),
                false => text,
            };
            shown.push(text);
        }
    }
    shown.dedup();
    shown.iter().map(|one| format!("#[{one}] ")).collect()
}

/// Returns the text of the documentation in these attributes.
fn docs(attributes: &[Attribute]) -> String {
    let mut text = String::new();
    for attribute in attributes {
        let syn::Meta::NameValue(meta) = &attribute.meta else {
            continue;
        };
        if !meta.path.is_ident("doc") {
            continue;
        }
        match &meta.value {
            syn::Expr::Lit(value) => {
                if let syn::Lit::Str(line) = &value.lit {
                    let line = line.value();
                    text.push_str(line.strip_prefix(' ').unwrap_or(&line));
                    text.push('\n');
                }
            }
            syn::Expr::Macro(included) => text.push_str(&super::included(&tidy(included))),
            _ => {}
        }
    }
    text
}

/// Returns the tokens of a piece of code on one line, spaced as rustfmt does.
pub(super) fn tidy(code: &impl ToTokens) -> String {
    let mut text = code.to_token_stream().to_string().replace('\n', " ");
    for (from, to) in [
        ("  ", " "),
        (" :: ", "::"),
        (":: ", "::"),
        (" ::", "::"),
        (" < ", "<"),
        ("< ", "<"),
        (" <", "<"),
        (" > ", "> "),
        (" >", ">"),
        (" ,", ","),
        (" ;", ";"),
        (" :", ":"),
        ("( ", "("),
        (" )", ")"),
        ("[ ", "["),
        (" ]", "]"),
        ("& ", "&"),
        (" ! ", "!"),
        ("? ", "?"),
        (",>", ">"),
        ("- >", "->"),
    ] {
        text = text.replace(from, to);
    }
    let text = without_trailing_commas(&text);
    let mut tidied = String::new();
    for (index, character) in text.char_indices() {
        // A call or a list of arguments follows its name without a space.
        if character == ' ' && text[index + 1..].starts_with('(') {
            let word = tidied.rsplit([' ', '(', '<', '&']).next().unwrap_or("");
            let is_name = word.ends_with(|last: char| last.is_alphanumeric() || last == '_');
            let is_keyword = ["dyn", "for", "impl", "in", "mut", "where"].contains(&word);
            let is_generic = word.ends_with('>') && !word.ends_with("->");
            if (is_name && !is_keyword) || is_generic {
                continue;
            }
        }
        tidied.push(character);
    }
    tidied.trim_end_matches([',', ' ']).to_owned()
}

/// Removes the comma before a closing parenthesis, but not that of a tuple with one element.
fn without_trailing_commas(text: &str) -> String {
    let mut kept = String::new();
    // For each open parenthesis: whether it follows a name, and the number of commas in it.
    let mut open = Vec::new();
    for character in text.chars() {
        match character {
            '(' => {
                let before = kept.trim_end().chars().next_back();
                let is_call = before.is_some_and(|one| one.is_alphanumeric() || "_>".contains(one));
                open.push((is_call, 0));
            }
            ',' => {
                if let Some((_, commas)) = open.last_mut() {
                    *commas += 1;
                }
            }
            ')' => {
                let (is_call, commas) = open.pop().unwrap_or((false, 0));
                if kept.ends_with(',') && (is_call || commas > 1) {
                    kept.pop();
                }
            }
            _ => {}
        }
        kept.push(character);
    }
    kept
}
