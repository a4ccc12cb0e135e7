//! Test of the names of types: each one names one type, in the framework and its macros together.

use crate::public_api::Sources;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};
use syn::Item;

#[test]
fn no_two_types_have_one_name() {
    let mut modules_of: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, root) in [("seaway", "src/lib.rs"), ("macros", "../macros/src/lib.rs")] {
        let sources = Sources::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(root));
        for module in &sources.modules {
            let path = [&[name.to_owned()], &*module.path].concat().join("::");
            // A module that has a name twice has it under two conditions, of which one is met.
            for item in &module.items {
                if let Some(defined) = type_name(item) {
                    modules_of.entry(defined).or_default().insert(path.clone());
                }
            }
        }
    }
    assert!(
        modules_of.len() > 400,
        "only {} types were found: is this test blind?",
        modules_of.len()
    );

    modules_of.retain(|_, modules| modules.len() > 1);
    assert!(modules_of.is_empty(), "{modules_of:#?}");
}

fn type_name(item: &Item) -> Option<String> {
    let name = match item {
        Item::Struct(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::TraitAlias(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}
