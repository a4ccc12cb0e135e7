//! The items of `#[serde(…)]`.

use syn::{Attribute, Meta, Token, punctuated::Punctuated};

/// Returns the items of these attributes: `default` and `rename = "key"` of
/// `#[serde(default, rename = "key")]`. serde reports those that it does not understand.
pub(crate) fn items(serde: &[Attribute]) -> impl Iterator<Item = Meta> {
    let items = Punctuated::<Meta, Token![,]>::parse_terminated;
    let read = move |attribute: &Attribute| attribute.parse_args_with(items).ok();
    serde.iter().filter_map(read).flatten()
}
