//! `#[derive(Event)]`: what consumers tell each other.
//!
//! - `names`: from an enum's and a variant's name to a `type`, and what a `type` may look like;
//! - `attributes`: `#[event(…)]`, and which `#[serde(…)]` stand in its way;
//! - `read`: the enum as a person wrote it;
//! - `write`: the impls.

mod attributes;
pub(crate) mod names;
mod read;
mod write;

use crate::mistakes::Mistakes;
use proc_macro2::TokenStream;
use syn::DeriveInput;

pub(crate) fn derive(input: DeriveInput) -> TokenStream {
    let mut mistakes = Mistakes::default();
    let (name, generics) = (input.ident.clone(), input.generics.clone());
    let events = read::read(input, &mut mistakes);
    match (mistakes.into_tokens(), events) {
        (None, Some(events)) => write::write(&events),
        (errors, _) => {
            let stub = generics.params.is_empty().then(|| write::stub(&name));
            quote::quote!(#errors #stub)
        }
    }
}
