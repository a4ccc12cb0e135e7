//! The code that `#[consumer]` generates: the impl of the trait.

use super::{
    events,
    hooks::Hook,
    messages,
    method::{Method, place},
    read::{Constant, Consumer},
    timers, typescript,
};
use crate::{errors::at, protocol::ConsumerProtocol};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

pub(super) fn write(consumer: &Consumer) -> TokenStream {
    match consumer.style.protocol() {
        ConsumerProtocol::WebSocket => web_socket(consumer),
        ConsumerProtocol::Http => http(consumer),
    }
}

fn web_socket(consumer: &Consumer) -> TokenStream {
    let Consumer {
        ty,
        generics,
        hooks,
        ..
    } = consumer;
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    let (input, receive) = receive(consumer);
    let event_type = event_type(consumer);
    let connect = hooks.connect(ty, ConsumerProtocol::WebSocket);
    let others = hooks.others();
    let disconnect = hooks.disconnect(ConsumerProtocol::WebSocket);
    let event = events::event(consumer);
    let timers = timers::timers(&consumer.timers, ty);
    let written = quote! {
        #[automatically_derived]
        #[allow(deprecated)]
        impl #impl_generics ::seaway::WebSocketConsumer for #ty #where_clause {
            type Input = #input;
            type Event = #event_type;

            #connect

            fn required_state() -> ::seaway::RequiredState {
                #[allow(unused_imports)]
                use ::seaway::__private::NeedsNothing as _;
                ::seaway::__private::Needs::<Self>::new().fields()
            }

            #receive
            #event
            #others
            #disconnect
            #timers
        }
    };
    let check = check(consumer);
    let described = consumer.typescript;
    let description = described.map(|_| typescript::description(consumer));
    if consumer.messages.is_empty() {
        return quote!(#written #check #description);
    }
    let input = messages::input(&consumer.messages);
    quote! {
        #[allow(deprecated)]
        const _: () = {
            #input
            #written
        };
        #check
        #description
    }
}

fn http(consumer: &Consumer) -> TokenStream {
    let Consumer {
        ty,
        generics,
        hooks,
        ..
    } = consumer;
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    let event_type = event_type(consumer);
    let constants = consumer.constants.iter().map(|constant| {
        let Constant {
            conditions,
            name,
            ty,
        } = constant;
        quote_spanned!(at(name)=> #(#conditions)* const #name: #ty = Self::#name;)
    });
    let connect = hooks.connect(ty, ConsumerProtocol::Http);
    let handle = match hooks.get(Hook::Handle) {
        Some(handle) => {
            let call = handle.call_of("HandleOutput", &[]);
            quote_spanned! {at(&handle.name)=>
                async fn handle(
                    &mut self,
                    ctx: &mut ::seaway::HttpContext<Self::Event>,
                ) -> ::seaway::Result<::seaway::HttpResponse> {
                    #call
                }
            }
        }
        None => stream(consumer),
    };
    let disconnect = hooks.disconnect(ConsumerProtocol::Http);
    let check = check(consumer);
    quote! {
        #[automatically_derived]
        #[allow(deprecated)]
        impl #impl_generics ::seaway::HttpConsumer for #ty #where_clause {
            type Event = #event_type;

            #(#constants)*
            #connect

            fn required_state() -> ::seaway::RequiredState {
                #[allow(unused_imports)]
                use ::seaway::__private::NeedsNothing as _;
                ::seaway::__private::Needs::<Self>::new().http_fields()
            }

            #handle
            #disconnect
        }

        #check
    }
}

/// Generates the `handle` of `#[consumer(sse)]`: a stream of server-sent events, until the server
/// stops.
fn stream(consumer: &Consumer) -> TokenStream {
    let Consumer { ty, hooks, .. } = consumer;
    let span = at(ty);
    let opened = hooks
        .get(Hook::Opened)
        .map(|method| handled(method, &method.call(&[])));
    let missed = match hooks.get(Hook::Missed) {
        Some(method) => {
            let spans = method.arguments.iter().map(place);
            let arguments = spans.map(|span| quote_spanned!(span=> missed));
            let call = method.call(&arguments.collect::<Vec<_>>());
            handled(method, &call)
        }
        None => quote_spanned! {span=>
            return ::core::result::Result::Err(::seaway::Error::from(missed).into())
        },
    };
    let handle = events::handle(consumer);
    let ignored = || quote_spanned!(span=> ::seaway::__private::ignored(&event));
    let handle = handle.unwrap_or_else(ignored);
    quote_spanned! {span=>
        async fn handle(
            &mut self,
            ctx: &mut ::seaway::HttpContext<Self::Event>,
        ) -> ::seaway::Result<::seaway::HttpResponse> {
            let stream = ctx.sse().await?;
            #opened
            loop {
                match ctx.next_event().await {
                    ::core::result::Result::Ok(::core::option::Option::Some(event)) => {
                        let handled: ::seaway::Result<()> = async { #handle }.await;
                        handled?;
                    }
                    ::core::result::Result::Ok(::core::option::Option::None) => break,
                    ::core::result::Result::Err(missed) => #missed,
                }
            }
            ::core::result::Result::Ok(stream.end())
        }
    }
}

/// Generates code that ends `handle` with the error of a hook, if it returns one.
fn handled(hook: &Method, call: &TokenStream) -> TokenStream {
    quote_spanned! {at(&hook.name)=>
        {
            let handled: ::seaway::Result<()> = #call;
            handled?;
        }
    }
}

/// Generates a placeholder impl for a consumer with errors, so that the compiler does not also
/// report a missing impl.
pub(super) fn stub(consumer: &Consumer) -> TokenStream {
    let Consumer { ty, generics, .. } = consumer;
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    if consumer.style.protocol() == ConsumerProtocol::Http {
        return quote! {
            #[automatically_derived]
            impl #impl_generics ::seaway::HttpConsumer for #ty #where_clause {
                type Event = ::seaway::NoEvent;

                async fn connect(
                    _: &mut ::seaway::HttpHandshake<Self::Event>,
                ) -> ::core::result::Result<Self, ::seaway::Rejection> {
                    ::core::unreachable!()
                }

                async fn handle(
                    &mut self,
                    _: &mut ::seaway::HttpContext<Self::Event>,
                ) -> ::seaway::Result<::seaway::HttpResponse> {
                    ::core::unreachable!()
                }
            }
        };
    }
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
            messages::input_type(messages),
            Some(messages::receive(messages, ty)),
        );
    }
    if let Some(input) = hooks.input() {
        let receive = hooks.with_arguments(Hook::Receive, &[&quote!(Self::Input)]);
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
    let declared = consumer.hooks.event();
    let marker = consumer.style.protocol().marker();
    declared.unwrap_or_else(
        || quote_spanned!(at(ty)=> <Self as ::seaway::FromHandshake<#marker>>::Event),
    )
}

/// Generates the check that all events have a method, outside the impl: `cargo check` evaluates a
/// constant there, but not in generic code.
fn check(consumer: &Consumer) -> Option<TokenStream> {
    if !consumer.generics.params.is_empty() {
        return None;
    }
    let check = events::all_handled(consumer)?;
    Some(quote!(#[allow(deprecated)] const _: () = #check;))
}
