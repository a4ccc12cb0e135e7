//! `#[on("chat.message")]` and `forward`: what happens with events, by their `type`.

use super::{
    arguments::{Forward, Style},
    hooks::Hook,
    method::{Method, context, place},
    read::Consumer,
};
use crate::{
    errors::{Errors, at},
    event::names,
    types,
};
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use std::collections::HashMap;
use syn::{
    Ident, LitStr, PatType, Result,
    parse::{Parse, ParseStream},
};

/// An event in `#[on(…)]` or `forward(…)`.
pub(super) enum EventName {
    /// A type: `"chat.message"`.
    Type(LitStr),
    /// A variant with `#[event(include)]`: `Lot`.
    Included(Ident),
}

impl Parse for EventName {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        match input.peek(LitStr) {
            true => input.parse().map(Self::Type),
            false => input.parse().map(Self::Included),
        }
    }
}

impl EventName {
    /// Returns the name in the list of the enum's events.
    fn text(&self) -> LitStr {
        match self {
            Self::Type(kind) => kind.clone(),
            Self::Included(variant) => LitStr::new(&variant.to_string(), variant.span()),
        }
    }

    /// Returns the type of the event; `None` for all events of an included enum.
    pub(super) fn kind(&self) -> Option<&LitStr> {
        match self {
            Self::Type(kind) => Some(kind),
            Self::Included(_) => None,
        }
    }

    fn span(&self) -> Span {
        match self {
            Self::Type(kind) => kind.span(),
            Self::Included(variant) => variant.span(),
        }
    }

    /// Returns the name of the function that matches these events.
    fn finder(&self) -> String {
        match self {
            Self::Type(kind) => names::finder(&kind.value()),
            Self::Included(variant) => names::every(&variant.to_string()),
        }
    }

    /// Generates an `Option` of what such an event holds.
    fn find(&self) -> TokenStream {
        let finder = Ident::new(&self.finder(), self.span());
        quote_spanned!(Span::mixed_site().located_at(self.span())=> <Self::Event>::#finder(&event))
    }

    fn fault(&self) -> Option<String> {
        match self {
            Self::Type(kind) => names::fault(&kind.value()),
            Self::Included(_) => None,
        }
    }
}

/// A method for events of some types.
pub(super) struct OnEvent {
    kinds: Vec<EventName>,
    method: Method,
}

impl OnEvent {
    pub(super) fn read(kinds: Vec<EventName>, method: Method) -> Result<Self> {
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
            let (find, name) = (kind.find(), kind.text());
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
                        return ::seaway::__private::Handling::of(#name).end(#call);
                    }
                };
            }
            let shared = self.method.arguments.first();
            let shared: Vec<_> = shared.map(handed).into_iter().collect();
            let call = self.method.call(&shared);
            quote_spanned! {span=>
                if #find.is_some() {
                    return ::seaway::__private::Handling::of(#name).end(#call);
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

/// Adds an error for each invalid type, and for each type that is handled twice.
pub(super) fn check(events: &[OnEvent], forward: &Forward, errors: &mut Errors) {
    let mut seen = HashMap::new();
    let methods = events.iter().flat_map(|event| {
        let name = event.method.name.to_string();
        event.kinds.iter().map(move |kind| (kind, name.clone()))
    });
    let forwarded = forward.named().iter();
    let forwarded = forwarded.map(|kind| (kind, "forward".to_owned()));
    for (kind, name) in methods.chain(forwarded) {
        if let Some(fault) = kind.fault() {
            errors.add(kind.text(), fault);
        }
        if let Some(first) = seen.insert(kind.finder(), name) {
            errors.add(kind.text(), format!("`{first}` already takes these events"));
        }
    }
}

/// Generates the statements that handle `event` by every `#[on]`, by `forward`, and then by the
/// user's `event` for all other types. The last one is a `Result`. `None` if there is nothing to
/// do.
pub(super) fn handle(consumer: &Consumer) -> Option<TokenStream> {
    let Consumer {
        events,
        hooks,
        forward,
        style,
        ..
    } = consumer;
    let rest = hooks.get(Hook::Event);
    if events.is_empty() && rest.is_none() && matches!(forward, Forward::None) {
        return None;
    }
    let span = Span::mixed_site();
    let send = match style {
        Style::Stream => {
            quote_spanned!(span=> ::seaway::__private::stream_event(&stream, event).await)
        }
        _ => quote_spanned!(span=> ::seaway::__private::send_event(ctx, event).await),
    };
    let branches = events.iter().flat_map(OnEvent::branches);
    let forwarded = forward.named().iter().map(|kind| {
        let (find, name) = (kind.find(), kind.text());
        quote_spanned! {Span::mixed_site().located_at(kind.span())=>
            if #find.is_some() {
                return ::seaway::__private::Handling::of(#name).end(#send);
            }
        }
    });
    let rest = match (rest, forward) {
        (Some(method), _) => {
            let arguments = method.arguments.iter().map(handed);
            method.call(&arguments.collect::<Vec<_>>())
        }
        (None, Forward::Rest(_)) => send.clone(),
        (None, _) => quote!(::core::result::Result::Ok(())),
    };
    Some(quote!(#(#branches)* #(#forwarded)* #rest))
}

/// Generates the trait's `event` of a WebSocket consumer.
pub(super) fn event(consumer: &Consumer) -> Option<TokenStream> {
    let Consumer {
        events,
        hooks,
        forward,
        ty,
        ..
    } = consumer;
    if events.is_empty() && matches!(forward, Forward::None) {
        return hooks.with_arguments(Hook::Event, &[&quote!(::seaway::Shared<Self::Event>)]);
    }
    let handled = handle(consumer)?;
    let span = at(ty);
    let methods = events.iter().map(|event| &event.method);
    let ctx = match forward {
        Forward::None => context(methods.chain(hooks.get(Hook::Event)), span),
        _ => quote_spanned!(span=> ctx),
    };
    Some(quote_spanned! {span=>
        async fn event(
            &mut self,
            #ctx: &mut ::seaway::Context<Self::Event>,
            event: ::seaway::Shared<Self::Event>,
        ) -> ::seaway::Result<()> {
            #handled
        }
    })
}

/// Generates a check that fails to compile if an event is not handled, unless there is an `event`
/// or a `forward` for the rest.
pub(super) fn all_handled(consumer: &Consumer) -> Option<TokenStream> {
    let Consumer {
        events,
        hooks,
        forward,
        ty,
        style,
        ..
    } = consumer;
    let takes_rest = hooks.get(Hook::Event).is_some() || matches!(forward, Forward::Rest(_));
    if takes_rest || events.is_empty() && forward.named().is_empty() {
        return None;
    }
    let kinds = events.iter().flat_map(|event| &event.kinds);
    let kinds = kinds.chain(forward.named()).map(EventName::text);
    let consumer = style.protocol().consumer();
    Some(quote_spanned! {at(ty)=>
        ::seaway::__private::all_handled::<<#ty as #consumer>::Event>(&[#(#kinds),*])
    })
}
