//! Hooks: methods that are called by their names.

use super::{
    arguments::Style,
    method::{Method, Takes, context, place},
};
use crate::{
    errors::{Errors, at},
    protocol::ConsumerProtocol,
    types,
};
use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote, quote_spanned};
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
    /// Of HTTP consumers.
    Handle,
    Disconnect,
}

const OF_WEB_SOCKETS: &[Hook] = &[
    Hook::Connect,
    Hook::Opened,
    Hook::Receive,
    Hook::Event,
    Hook::Malformed,
    Hook::Missed,
    Hook::Failed,
    Hook::Disconnect,
];
const OF_REQUESTS: &[Hook] = &[Hook::Connect, Hook::Handle, Hook::Disconnect];
const OF_STREAMS: &[Hook] = &[
    Hook::Connect,
    Hook::Opened,
    Hook::Event,
    Hook::Missed,
    Hook::Disconnect,
];

impl Hook {
    fn all(style: Style) -> &'static [Self] {
        match style {
            Style::WebSocket => OF_WEB_SOCKETS,
            Style::Request => OF_REQUESTS,
            Style::Stream => OF_STREAMS,
        }
    }

    pub(super) fn named(name: &Ident, style: Style) -> Option<Self> {
        let mut hooks = Self::all(style).iter().copied();
        hooks.find(|hook| name == hook.name())
    }

    /// Returns whether this name in an HTTP consumer is a hook of another kind of consumer.
    pub(super) fn is_elsewhere(name: &Ident, style: Style) -> bool {
        let mut others = OF_WEB_SOCKETS.iter().chain(OF_REQUESTS);
        style != Style::WebSocket
            && Self::named(name, style).is_none()
            && others.any(|hook| name == hook.name())
    }

    /// Returns the hook that this method probably means: one letter of its name differs, or it has
    /// the name that another framework gives to it; and it has the hook's parameters.
    pub(super) fn meant(method: &Method, style: Style) -> Option<Self> {
        let name = method.name.to_string();
        let bare = name.strip_prefix("on_").unwrap_or(&name);
        let means = |hook: &&Self| {
            let is_near = strsim::osa_distance(bare, hook.name()) <= 1;
            (is_near || hook.elsewhere().contains(&bare))
                && hook.fits(method)
                && hook.takes() == method.takes
        };
        Self::all(style).iter().find(means).copied()
    }

    /// Returns the names of the hook in other frameworks, without their `on_`.
    fn elsewhere(self) -> &'static [&'static str] {
        match self {
            Hook::Connect => &["connected", "websocket_connect"],
            Hook::Opened => &["open", "connected", "websocket_connect"],
            Hook::Receive => &[
                "message",
                "handle_message",
                "receive_bytes",
                "receive_json",
                "receive_text",
                "websocket_receive",
            ],
            Hook::Disconnect => &["close", "closed", "disconnected", "websocket_disconnect"],
            Hook::Event | Hook::Malformed | Hook::Missed | Hook::Failed | Hook::Handle => &[],
        }
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
            Hook::Handle => "handle",
            Hook::Disconnect => "disconnect",
        }
    }

    /// Returns the hook's parameters, for error messages.
    fn parameters(self, style: Style) -> &'static str {
        match (style, self) {
            (Style::WebSocket, hook) => hook.web_socket_parameters(),
            (_, Hook::Connect) => "`handshake: &mut HttpHandshake<…>`",
            (_, Hook::Handle) => "`&mut self` and `ctx: &mut HttpContext<…>`",
            (_, Hook::Event) => {
                "`&mut self`, then optionally `ctx: &mut HttpContext<…>`, then optionally `events: &Sse`, then `event: Shared<…>`"
            }
            (_, Hook::Missed) => {
                "`&mut self`, then optionally `ctx: &mut HttpContext<…>`, then optionally `events: &Sse`, then `missed: Missed`"
            }
            (_, Hook::Disconnect) => "`self` and `end: Disconnect`: by then there is no context",
            _ => {
                "`&mut self`, then optionally `ctx: &mut HttpContext<…>`, then optionally `events: &Sse`"
            }
        }
    }

    fn web_socket_parameters(self) -> &'static str {
        match self {
            Hook::Connect => "`handshake: &mut Handshake<…>`",
            Hook::Opened => "`&mut self`, then optionally `ctx: &mut Context<…>`",
            Hook::Receive => {
                "`&mut self`, then optionally `ctx: &mut Context<…>`, then the client's message"
            }
            Hook::Event => {
                "`&mut self`, then optionally `ctx: &mut Context<…>`, then `event: Shared<…>`"
            }
            Hook::Malformed => {
                "`&mut self`, then optionally `ctx: &mut Context<…>`, then `error: Error`, then optionally `message: Message`"
            }
            Hook::Failed => {
                "`&mut self`, then optionally `ctx: &mut Context<…>`, then `error: Error`, then optionally `trigger: Trigger`"
            }
            Hook::Missed => {
                "`&mut self`, then optionally `ctx: &mut Context<…>`, then `missed: Missed`"
            }
            Hook::Disconnect => "`self` and `close: Close`: by then there is no context",
            Hook::Handle => "`&mut self` and `ctx: &mut HttpContext<…>`",
        }
    }

    pub(super) fn check(self, method: &Method, style: Style, errors: &mut Errors) {
        if let Some(argument) = self.borrowed_message(method) {
            let message = "`receive` takes an owned message: write `String`, `Bytes`, `Message`, \
                           `Json<T>`, or a type of yours that implements `FromMessage`";
            errors.push(syn::Error::new_spanned(argument, message));
        } else if self.fits(method) {
            method.must_take(self.takes(), errors);
            self.check_output(method, errors);
        } else {
            errors.push(method.misfit(self.parameters(style)));
        }
    }

    /// Adds an error if `disconnect` returns something.
    fn check_output(self, method: &Method, errors: &mut Errors) {
        let returns = method.returns.as_ref();
        let is_value = |ty: &&Type| !matches!(ty, Type::ImplTrait(_));
        if let (Hook::Disconnect, Some(ty)) = (self, returns.filter(is_value)) {
            let message = "`disconnect` returns nothing, as no hook follows that could handle an error: log it there";
            errors.add(ty, message);
        }
    }

    /// Returns the type of the message that `receive` takes, if it is a reference.
    fn borrowed_message(self, method: &Method) -> Option<&Type> {
        let [argument] = &method.arguments[..] else {
            return None;
        };
        if self != Hook::Receive {
            return None;
        }
        types::referent(&argument.ty).map(|_| &*argument.ty)
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
            | Hook::Failed
            | Hook::Handle => Takes::Reference,
        }
    }

    /// Returns whether the parameters are those of this hook.
    pub(super) fn fits(self, method: &Method) -> bool {
        let arguments = match self {
            Hook::Opened | Hook::Handle => 0..=0,
            Hook::Malformed | Hook::Failed => 1..=2,
            _ => 1..=1,
        };
        let has_context = method.context.is_some();
        arguments.contains(&method.arguments.len())
            && !(has_context && matches!(self, Hook::Connect | Hook::Disconnect))
    }
}

/// The hooks of one consumer.
#[derive(Default)]
pub(super) struct HookMethods(Vec<(Hook, Method)>);

impl HookMethods {
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
    pub(super) fn connect(&self, ty: &Type, protocol: ConsumerProtocol) -> TokenStream {
        let marker = protocol.marker();
        let handshake = quote!(::seaway::Handshake<Self::Event, #marker>);
        let connect = match self.get(Hook::Connect) {
            Some(connect) => {
                let spans = connect.arguments.iter().map(place);
                let arguments = spans.map(|span| quote_spanned!(span=> handshake));
                connect.call_of("ConnectOutput", &arguments.collect::<Vec<_>>())
            }
            None => {
                let from_handshake = quote!(<Self as ::seaway::FromHandshake<#marker>>);
                quote_spanned! {at(ty)=>
                    #from_handshake::from_handshake(
                        <::seaway::Handshake<#from_handshake::Event, #marker>
                            as ::seaway::__private::Taken<#handshake>>::take(handshake)
                    ).await
                }
            }
        };
        quote_spanned! {at(ty)=>
            async fn connect(
                handshake: &mut #handshake,
            ) -> ::core::result::Result<Self, ::seaway::Rejection> {
                #connect
            }
        }
    }

    /// Generates `disconnect`, if the user wrote it.
    pub(super) fn disconnect(&self, protocol: ConsumerProtocol) -> Option<TokenStream> {
        let method = self.get(Hook::Disconnect)?;
        let end = match protocol {
            ConsumerProtocol::WebSocket => quote!(::seaway::Close),
            ConsumerProtocol::Http => quote!(::seaway::Disconnect),
        };
        let spans = method.arguments.iter().map(place);
        let arguments = spans.map(|span| quote_spanned!(span=> end));
        let call = method.plain_call(&arguments.collect::<Vec<_>>());
        Some(quote_spanned! {at(&method.name)=>
            async fn disconnect(self, end: #end) {
                #call
            }
        })
    }

    /// Generates those of `opened`, `malformed`, `missed` and `failed` that the user wrote for a
    /// WebSocket.
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
        let message = quote!(::seaway::Message);
        let trigger = quote!(::seaway::consumer::Trigger);
        let malformed = self.with_arguments(Hook::Malformed, &[&error, &message]);
        let missed = self.with_arguments(Hook::Missed, &[&quote!(::seaway::Missed)]);
        let failed = self.with_arguments(Hook::Failed, &[&error, &trigger]);
        quote!(#opened #malformed #missed #failed)
    }

    /// Generates a hook that takes arguments of these types after the context. The user's method
    /// may leave out the last ones.
    pub(super) fn with_arguments(&self, hook: Hook, types: &[&TokenStream]) -> Option<TokenStream> {
        let method = self.get(hook)?;
        let span = at(&method.name);
        let name = &method.name;
        let ctx = context([method].into_iter(), span);
        let variable = |at: usize, span| format_ident!("argument_{at}", span = span);
        let parameters = types.iter().enumerate().map(|(at, ty)| {
            let taken = at < method.arguments.len();
            let name = match taken {
                true => variable(at, span).into_token_stream(),
                false => quote!(_),
            };
            quote_spanned!(span=> #name: #ty)
        });
        let arguments = method.arguments.iter().enumerate().map(|(at, argument)| {
            // The name of the parameter, at the place where the compiler reports another type.
            let mut variable = variable(at, span);
            variable.set_span(place(argument));
            quote!(#variable)
        });
        let call = method.call(&arguments.collect::<Vec<_>>());
        Some(quote_spanned! {span=>
            async fn #name(
                &mut self,
                #ctx: &mut ::seaway::Context<Self::Event>,
                #(#parameters),*
            ) -> ::seaway::Result<()> {
                #call
            }
        })
    }
}
