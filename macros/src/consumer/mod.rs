//! `#[consumer]`: how a consumer's methods are called.
//!
//! - `method`: one method as a person wrote it, and the call of it;
//! - `role`: what a method is for, by its name or its attribute;
//! - `read`: the impl block, its methods sorted by role;
//! - `hooks`, `messages`, `events`, `timers`: a part of the trait each;
//! - `write`: all of them together.

mod events;
mod hooks;
mod messages;
mod method;
mod read;
mod role;
mod timers;
mod write;

use crate::mistakes::Mistakes;
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
    let mut mistakes = Mistakes::default();
    let consumer = read::read(arguments, &mut block, &mut mistakes);
    let written = match mistakes.into_tokens() {
        None => write::write(&consumer),
        Some(errors) => {
            let stub = write::stub(&consumer);
            quote!(#errors #stub)
        }
    };
    quote!(#block #written)
}

/// The impl block, or what to write instead.
fn inherent(item: TokenStream) -> syn::Result<ItemImpl> {
    match syn::parse2::<Item>(item)? {
        Item::Impl(block) if block.trait_.is_none() => Ok(block),
        Item::Impl(block) => Err(Error::new_spanned(
            block.trait_.map(|(path, _)| path),
            "#[consumer] stands on the `impl` block of a type and writes the `impl WebSocketConsumer` itself",
        )),
        Item::Struct(item) => Err(Error::new_spanned(
            item.ident,
            "#[consumer] stands on an `impl` block; on the struct write #[derive(WebSocketConsumer)], \
             and #[consumer(event = …)] below it",
        )),
        _ => Err(Error::new(
            Span::call_site(),
            "#[consumer] stands on the `impl` block of a type",
        )),
    }
}
