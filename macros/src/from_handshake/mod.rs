//! `#[derive(WebSocketConsumer)]` and `#[derive(HttpConsumer)]`, which fill a consumer's fields.
//!
//! - `source`: the source of a field's value, by its attribute;
//! - `template`: the name of a group, with placeholders;
//! - `read`: the parsed struct;
//! - `write`: the generated impl.

mod read;
mod source;
mod template;
mod write;

use crate::{mistakes::Mistakes, protocol::Protocol};
use proc_macro2::TokenStream;
use syn::DeriveInput;

pub(crate) fn derive(input: DeriveInput, protocol: Protocol) -> TokenStream {
    let mut mistakes = Mistakes::default();
    let (name, generics) = (input.ident.clone(), input.generics.clone());
    let consumer = read::read(input, &mut mistakes);
    match (mistakes.into_tokens(), consumer) {
        (None, Some(consumer)) => write::write(&consumer, protocol),
        (errors, _) => {
            let stub = write::stub(&name, &generics, protocol);
            quote::quote!(#errors #stub)
        }
    }
}
