//! Hooks: methods that are called by their names.

use super::method::{Method, Takes, context, place};
use crate::{mistakes::Mistakes, spans::at, types};
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Ident, Type};

/// A method of the trait that the user writes under its name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hook {
    Connect,
    Opened,
    Receive,
    Event,
    Malformed,
    Missed,
    Failed,
    Disconnect,
}

const HOOKS: &[Hook] = &[
    Hook::Connect,
    Hook::Opened,
    Hook::Receive,
    Hook::Event,
    Hook::Malformed,
    Hook::Missed,
    Hook::Failed,
    Hook::Disconnect,
];

impl Hook {
    pub(super) fn named(name: &Ident) -> Option<Self> {
        HOOKS.iter().copied().find(|hook| name == hook.name())
    }

    /// Returns the hook that this name probably means: one letter differs, or it has the `on_` of
    /// other frameworks.
    pub(super) fn meant(name: &Ident) -> Option<Self> {
        let name = name.to_string();
        let bare = name.strip_prefix("on_").unwrap_or(&name);
        let near = |hook: &&Self| strsim::osa_distance(bare, hook.name()) <= 1;
        HOOKS.iter().find(near).copied()
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Hook::Connect => "connect",
            Hook::Opened => "opened",
            Hook::Receive => "receive",
            Hook::Event => "event",
            Hook::Malformed => "malformed",
            Hook::Missed => "missed",
            Hook::Failed => "failed",
            Hook::Disconnect => "disconnect",
        }
    }

    /// Returns the hook's parameters, for error messages.
    fn parameters(self) -> &'static str {
        match self {
            Hook::Connect => "`handshake: &mut Handshake<…>`",
            Hook::Opened => "`&mut self`, then optionally `ctx: &mut Context<…>`",
            Hook::Receive => {
                "`&mut self`, then optionally `ctx: &mut Context<…>`, then the client's message"
            }
            Hook::Event => {
                "`&mut self`, then optionally `ctx: &mut Context<…>`, then `event: Shared<…>`"
            }
            Hook::Malformed | Hook::Failed => {
                "`&mut self`, then optionally `ctx: &mut Context<…>`, then `error: Error`"
            }
            Hook::Missed => {
                "`&mut self`, then optionally `ctx: &mut Context<…>`, then `missed: Missed`"
            }
            Hook::Disconnect => "`self` and `close: Close`: by then there is no context",
        }
    }

    pub(super) fn check(self, method: &Method, mistakes: &mut Mistakes) {
        if self.fits(method) {
            method.must_take(self.takes(), mistakes);
        } else {
            mistakes.push(method.misfit(self.parameters()));
        }
    }

    pub(super) fn takes(self) -> Takes {
        match self {
            Hook::Connect => Takes::Nothing,
            Hook::Disconnect => Takes::Value,
            Hook::Opened
            | Hook::Receive
            | Hook::Event
            | Hook::Malformed
            | Hook::Missed
            | Hook::Failed => Takes::Reference,
        }
    }

    /// Returns whether the parameters are those of this hook.
    pub(super) fn fits(self, method: &Method) -> bool {
        let arguments = usize::from(self != Hook::Opened);
        let has_context = method.context.is_some();
        method.arguments.len() == arguments
            && !(has_context && matches!(self, Hook::Connect | Hook::Disconnect))
    }
}

/// The hooks of one consumer.
#[derive(Default)]
pub(super) struct Hooks(Vec<(Hook, Method)>);

impl Hooks {
    pub(super) fn add(&mut self, hook: Hook, method: Method) {
        self.0.push((hook, method));
    }

    pub(super) fn get(&self, wanted: Hook) -> Option<&Method> {
        let found = self.0.iter().find(|(hook, _)| *hook == wanted);
        found.map(|(_, method)| method)
    }

    /// Returns the type of the message that `receive` takes.
    pub(super) fn input(&self) -> Option<&Type> {
        let receive = self.get(Hook::Receive)?;
        receive.arguments.first().map(|argument| &*argument.ty)
    }

    /// Returns the `E` of `connect`'s `Handshake<E>`; `None` without a `connect`.
    pub(super) fn event(&self) -> Option<TokenStream> {
        let argument = self.get(Hook::Connect)?.arguments.first()?;
        let handshake = types::referent(&argument.ty);
        Some(match handshake.and_then(types::argument) {
            Some(event) => quote!(#event),
            None => quote!(::seaway::NoEvent),
        })
    }

    /// Generates `connect`, which calls the user's `connect` or the derived `from_handshake`.
    pub(super) fn connect(&self, ty: &Type) -> TokenStream {
        let connect = match self.get(Hook::Connect) {
            Some(connect) => {
                let spans = connect.arguments.iter().map(place);
                let arguments = spans.map(|span| quote_spanned!(span=> handshake));
                connect.plain_call(&arguments.collect::<Vec<_>>())
            }
            None => quote_spanned! {at(ty)=>
                <Self as ::seaway::FromHandshake>::from_handshake(handshake).await
            },
        };
        quote_spanned! {at(ty)=>
            async fn connect(
                handshake: &mut ::seaway::Handshake<Self::Event>,
            ) -> ::core::result::Result<Self, ::seaway::Rejection> {
                #connect
            }
        }
    }

    /// Generates those of `opened`, `malformed`, `missed`, `failed` and `disconnect` that the user
    /// wrote.
    pub(super) fn others(&self) -> TokenStream {
        let error = quote!(::seaway::Error);
        let opened = self.get(Hook::Opened).map(|method| {
            let span = at(&method.name);
            let ctx = context([method].into_iter(), span);
            let call = method.call(&[]);
            quote_spanned! {span=>
                async fn opened(
                    &mut self,
                    #ctx: &mut ::seaway::Context<Self::Event>,
                ) -> ::seaway::Result<()> {
                    #call
                }
            }
        });
        let malformed = self.with_argument(Hook::Malformed, &error);
        let missed = self.with_argument(Hook::Missed, &quote!(::seaway::Missed));
        let failed = self.with_argument(Hook::Failed, &error);
        let disconnect = self.get(Hook::Disconnect).map(|method| {
            let spans = method.arguments.iter().map(place);
            let arguments = spans.map(|span| quote_spanned!(span=> close));
            let call = method.plain_call(&arguments.collect::<Vec<_>>());
            quote_spanned! {at(&method.name)=>
                async fn disconnect(self, close: ::seaway::Close) {
                    #call
                }
            }
        });
        quote!(#opened #malformed #missed #failed #disconnect)
    }

    /// Generates a hook that takes one argument after the context.
    pub(super) fn with_argument(&self, hook: Hook, ty: &TokenStream) -> Option<TokenStream> {
        let method = self.get(hook)?;
        let span = at(&method.name);
        let name = &method.name;
        let ctx = context([method].into_iter(), span);
        let spans = method.arguments.iter().map(place);
        let arguments = spans.map(|span| quote_spanned!(span=> argument));
        let call = method.call(&arguments.collect::<Vec<_>>());
        Some(quote_spanned! {span=>
            async fn #name(
                &mut self,
                #ctx: &mut ::seaway::Context<Self::Event>,
                argument: #ty,
            ) -> ::seaway::Result<()> {
                #call
            }
        })
    }
}
