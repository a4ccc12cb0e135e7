//! `#[consumer]`, which calls a consumer's methods.
//!
//! - `arguments`: the arguments of the attribute, and the kind of consumer;
//! - `method`: a parsed method, and the call of it;
//! - `role`: the role of a method, by its name or its attribute;
//! - `read`: the parsed impl block, its methods sorted by role;
//! - `hooks`, `messages`, `events`, `timers`: a part of the trait each;
//! - `typescript`: the description of the messages in TypeScript;
//! - `write`: the generated impl.

mod arguments;
mod events;
mod hooks;
mod messages;
mod method;
mod read;
mod role;
mod timers;
mod typescript;
mod write;

use crate::errors::Errors;
use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Error, Item, ItemImpl};

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut block = match inherent(item.clone()) {
        Ok(block) => block,
        Err(error) => {
            let error = error.into_compile_error();
            return quote!(#error #item);
        }
    };
    let mut errors = Errors::default();
    let consumer = read::read(arguments, &mut block, &mut errors);
    let written = match errors.into_tokens() {
        None => write::write(&consumer),
        Some(errors) => {
            let stub = write::stub(&consumer);
            quote!(#errors #stub)
        }
    };
    quote!(#block #written)
}

/// Parses an inherent impl block, or returns an error that names the correct place.
fn inherent(item: TokenStream) -> syn::Result<ItemImpl> {
    match syn::parse2::<Item>(item)? {
        Item::Impl(block) if block.trait_.is_none() => Ok(block),
        Item::Impl(block) => Err(Error::new_spanned(
            block.trait_.map(|(path, _)| path),
            "#[consumer] belongs on the inherent `impl` block of a type and generates the `impl` of the trait",
        )),
        Item::Struct(item) => Err(Error::new_spanned(
            item.ident,
            "#[consumer] belongs on an `impl` block; on the struct write #[derive(WebSocketConsumer)] or #[derive(HttpConsumer)], \
             and #[consumer(event = …)] below it",
        )),
        _ => Err(Error::new(
            Span::call_site(),
            "#[consumer] belongs on the `impl` block of a type",
        )),
    }
}
