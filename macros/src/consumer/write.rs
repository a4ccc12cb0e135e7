//! The code that `#[consumer]` generates: the impl of the trait.

use super::{events, hooks::Hook, messages, read::Consumer, timers};
use crate::spans::at;
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

pub(super) fn write(consumer: &Consumer) -> TokenStream {
    let Consumer {
        ty,
        generics,
        hooks,
        ..
    } = consumer;
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    let (input, receive) = receive(consumer);
    let event_type = event_type(consumer);
    let connect = hooks.connect(ty);
    let others = hooks.others();
    let event = events::event(&consumer.events, hooks, ty);
    let ticks = timers::ticks(&consumer.timers, ty);
    let written = quote! {
        #[automatically_derived]
        impl #impl_generics ::seaway::WebSocketConsumer for #ty #where_clause {
            type Input = #input;
            type Event = #event_type;

            #connect
            #receive
            #event
            #others
            #ticks
        }
    };
    let check = check(consumer);
    if consumer.messages.is_empty() {
        return quote!(#written #check);
    }
    let input = messages::input(&consumer.messages);
    quote! {
        const _: () = {
            #input
            #written
        };
        #check
    }
}

/// Generates a placeholder impl for a consumer with errors, so that the compiler does not also
/// report a missing impl.
pub(super) fn stub(consumer: &Consumer) -> TokenStream {
    let Consumer { ty, generics, .. } = consumer;
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #impl_generics ::seaway::WebSocketConsumer for #ty #where_clause {
            type Input = ::seaway::__private::Nothing;
            type Event = ::seaway::NoEvent;

            async fn connect(
                _: &mut ::seaway::Handshake<Self::Event>,
            ) -> ::core::result::Result<Self, ::seaway::Rejection> {
                ::core::unreachable!()
            }

            async fn receive(
                &mut self,
                _: &mut ::seaway::Context<Self::Event>,
                _: Self::Input,
            ) -> ::seaway::Result<()> {
                ::core::unreachable!()
            }
        }
    }
}

/// Generates the type of the client's messages, and `receive`.
fn receive(consumer: &Consumer) -> (TokenStream, Option<TokenStream>) {
    let Consumer {
        ty,
        hooks,
        messages,
        ..
    } = consumer;
    if !messages.is_empty() {
        return (
            quote!(::seaway::Json<__Input>),
            Some(messages::receive(messages, ty)),
        );
    }
    if let Some(input) = hooks.input() {
        let receive = hooks.with_argument(Hook::Receive, &quote!(Self::Input));
        return (quote!(#input), receive);
    }
    let receive = quote_spanned! {at(ty)=>
        async fn receive(
            &mut self,
            _: &mut ::seaway::Context<Self::Event>,
            input: Self::Input,
        ) -> ::seaway::Result<()> {
            match input {}
        }
    };
    (quote!(::seaway::__private::Nothing), Some(receive))
}

/// Generates the type of events: that of `#[consumer(event = …)]`, or of `connect`, or of the
/// struct's first group.
fn event_type(consumer: &Consumer) -> TokenStream {
    let ty = &consumer.ty;
    if let Some(event) = &consumer.event {
        return quote!(#event);
    }
    let said = consumer.hooks.event();
    said.unwrap_or_else(|| quote_spanned!(at(ty)=> <Self as ::seaway::FromHandshake>::Event))
}

/// Generates the check that all events have a method, outside the impl: `cargo check` evaluates a
/// constant there, but not in generic code.
fn check(consumer: &Consumer) -> Option<TokenStream> {
    if !consumer.generics.params.is_empty() {
        return None;
    }
    let check = events::all_handled(&consumer.events, &consumer.hooks, &consumer.ty)?;
    Some(quote!(const _: () = #check;))
}
