//! `#[derive(Event)]`, for the events that consumers send each other.
//!
//! - `names`: the `type` of an event from the names of enum and variant, and the syntax of a
//!   `type`;
//! - `attributes`: `#[event(…)]`, and the `#[serde(…)]` that conflict with it;
//! - `read`: the parsed enum;
//! - `write`: the generated impls.

mod attributes;
pub(crate) mod names;
mod read;
mod write;

use crate::errors::Errors;
use proc_macro2::TokenStream;
use syn::DeriveInput;

pub(crate) fn derive(input: DeriveInput) -> TokenStream {
    let mut errors = Errors::default();
    let (name, generics) = (input.ident.clone(), input.generics.clone());
    let events = read::read(input, &mut errors);
    match (errors.into_tokens(), events) {
        (None, Some(events)) => write::write(&events),
        (errors, _) => {
            let stub = generics.params.is_empty().then(|| write::stub(&name));
            quote::quote!(#errors #stub)
        }
    }
}
