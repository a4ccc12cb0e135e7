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

use crate::{errors::Errors, protocol::ConsumerProtocol};
use proc_macro2::TokenStream;
use syn::DeriveInput;

pub(crate) fn derive(input: DeriveInput, protocol: ConsumerProtocol) -> TokenStream {
    let mut errors = Errors::default();
    let (name, generics) = (input.ident.clone(), input.generics.clone());
    let consumer = read::read(input, &mut errors);
    match (errors.into_tokens(), consumer) {
        (None, Some(consumer)) => write::write(&consumer, protocol),
        (errors, _) => {
            let stub = write::stub(&name, &generics, protocol);
            quote::quote!(#errors #stub)
        }
    }
}
