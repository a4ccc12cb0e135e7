//! `#[on("chat.message")]`: methods for events, by their `type`.

use super::{
    hooks::{Hook, Hooks},
    method::{Method, context, place},
};
use crate::{event::names, mistakes::Mistakes, spans::at, types};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use std::collections::HashMap;
use syn::{Ident, LitStr, PatType, Result, Type};

/// A method for events of some types.
pub(super) struct OnEvent {
    kinds: Vec<LitStr>,
    method: Method,
}

impl OnEvent {
    pub(super) fn read(kinds: Vec<LitStr>, method: Method) -> Result<Self> {
        if method.arguments.len() > 1 {
            return Err(method.misfit(
                "`&mut self`, then optionally `ctx: &mut Context<…>`, \
                 then `event: Shared<…>`, or `&Payload` of a variant that holds one, or nothing",
            ));
        }
        Ok(Self { kinds, method })
    }

    /// Generates code that calls the method if the event has one of its types.
    fn branches(&self) -> impl Iterator<Item = TokenStream> {
        self.kinds.iter().map(|kind| {
            let finder = Ident::new(&names::finder(&kind.value()), kind.span());
            let find = quote_spanned!(at(kind)=> <Self::Event>::#finder(&event));
            let span = at(&self.method.name);
            let payload = self
                .method
                .arguments
                .first()
                .filter(|argument| types::referent(&argument.ty).is_some());
            if let Some(argument) = payload {
                let call = self
                    .method
                    .call(&[quote_spanned!(place(argument)=> payload)]);
                return quote_spanned! {span=>
                    if let ::core::option::Option::Some(payload) = #find {
                        return #call;
                    }
                };
            }
            let shared = self.method.arguments.first();
            let shared: Vec<_> = shared.map(handed).into_iter().collect();
            let call = self.method.call(&shared);
            quote_spanned! {span=>
                if #find.is_some() {
                    return #call;
                }
            }
        })
    }
}

/// Generates the event as an argument, with Seaway's error message if the parameter has another
/// type.
fn handed(argument: &PatType) -> TokenStream {
    let ty = &argument.ty;
    quote_spanned! {place(argument)=>
        <#ty as ::seaway::__private::Handed<::seaway::Shared<Self::Event>>>::hand(event)
    }
}

/// Adds an error for each invalid type, and for each type that has two methods.
pub(super) fn check(events: &[OnEvent], mistakes: &mut Mistakes) {
    let mut seen = HashMap::new();
    for event in events {
        for kind in &event.kinds {
            if let Some(fault) = names::fault(&kind.value()) {
                mistakes.note(kind, fault);
            }
            let name = &event.method.name;
            if let Some(first) = seen.insert(names::finder(&kind.value()), name) {
                mistakes.note(kind, format!("`{first}` already takes these events"));
            }
        }
    }
}

/// Generates the trait's `event`: every `#[on]`, then the user's `event` for all other types.
pub(super) fn event(events: &[OnEvent], hooks: &Hooks, ty: &Type) -> Option<TokenStream> {
    let rest = hooks.get(Hook::Event);
    if events.is_empty() {
        return hooks.with_argument(Hook::Event, &quote!(::seaway::Shared<Self::Event>));
    }
    let span = at(ty);
    let methods = events.iter().map(|event| &event.method);
    let ctx = context(methods.chain(rest), span);
    let branches = events.iter().flat_map(OnEvent::branches);
    let rest = match rest {
        Some(method) => {
            let arguments = method.arguments.iter().map(handed);
            method.call(&arguments.collect::<Vec<_>>())
        }
        None => quote!(::core::result::Result::Ok(())),
    };
    Some(quote_spanned! {span=>
        async fn event(
            &mut self,
            #ctx: &mut ::seaway::Context<Self::Event>,
            event: ::seaway::Shared<Self::Event>,
        ) -> ::seaway::Result<()> {
            #(#branches)*
            #rest
        }
    })
}

/// Generates a check that fails to compile if an event has no method, unless there is an `event`
/// for the rest.
pub(super) fn all_handled(events: &[OnEvent], hooks: &Hooks, ty: &Type) -> Option<TokenStream> {
    if events.is_empty() || hooks.get(Hook::Event).is_some() {
        return None;
    }
    let kinds = events.iter().flat_map(|event| &event.kinds);
    Some(quote_spanned! {at(ty)=>
        ::seaway::__private::all_handled::<<#ty as ::seaway::WebSocketConsumer>::Event>(&[#(#kinds),*])
    })
}
