//! The parsed impl block, its methods sorted by role.

use super::{
    arguments::{Arguments, Forward, Style},
    events::OnEvent,
    hooks::{Hook, HookMethods},
    messages::MessageMethod,
    method::{Method, Takes},
    role::{self, Role},
    timers::TimerMethod,
};
use crate::{errors::Errors, protocol::ConsumerProtocol, types};
use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Error, FnArg, Generics, Ident, ImplItem, ImplItemFn, ItemImpl, Type};

/// A consumer's methods.
pub(super) struct Consumer {
    pub(super) ty: Type,
    pub(super) generics: Generics,
    pub(super) style: Style,
    /// `#[consumer(event = …)]`.
    pub(super) event: Option<Type>,
    pub(super) forward: Forward,
    /// `typescript`: the consumer's messages are described in TypeScript.
    pub(super) typescript: Option<Span>,
    pub(super) constants: Vec<Constant>,
    pub(super) hooks: HookMethods,
    pub(super) messages: Vec<MessageMethod>,
    pub(super) events: Vec<OnEvent>,
    pub(super) timers: Vec<TimerMethod>,
}

/// A constant of the trait that the block sets.
pub(super) struct Constant {
    /// `#[cfg(…)]`.
    pub(super) conditions: Vec<Attribute>,
    pub(super) name: Ident,
    pub(super) ty: Type,
}

/// Parses the block, and removes the macro's own attributes from it.
pub(super) fn read(arguments: TokenStream, block: &mut ItemImpl, errors: &mut Errors) -> Consumer {
    let arguments = errors.keep(Arguments::read(arguments)).unwrap_or_default();
    let style = arguments.style(block);
    let mut consumer = Consumer {
        ty: (*block.self_ty).clone(),
        generics: block.generics.clone(),
        style,
        event: arguments.event,
        forward: arguments.forward,
        typescript: arguments.typescript,
        constants: Vec::new(),
        hooks: HookMethods::default(),
        messages: Vec::new(),
        events: Vec::new(),
        timers: Vec::new(),
    };
    let tokens = block.to_token_stream();
    for item in &mut block.items {
        match item {
            ImplItem::Fn(method) => match role::role(method, style, errors) {
                Role::Helper => {
                    let method = Method::read(&method.sig, style);
                    note_misspelt(&method, style, &tokens, errors);
                }
                role => consumer.add(role, method, errors),
            },
            ImplItem::Const(constant)
                if style.protocol() == ConsumerProtocol::Http
                    && CONSTANTS.iter().any(|name| constant.ident == name) =>
            {
                let conditions = constant.attrs.iter().filter(is_cfg);
                consumer.constants.push(Constant {
                    conditions: conditions.cloned().collect(),
                    name: constant.ident.clone(),
                    ty: constant.ty.clone(),
                });
            }
            _ => {}
        }
    }
    consumer.check(errors);
    consumer
}

/// The constants of an HTTP consumer.
const CONSTANTS: &[&str] = &[
    "METHODS",
    "MAX_BODY",
    "SEND_BUFFER",
    "SEND_TIMEOUT",
    "KEEP_ALIVE",
    "DISCONNECT_ON_HALF_CLOSE",
];

impl Consumer {
    fn add(&mut self, role: Role, item: &mut ImplItemFn, errors: &mut Errors) {
        let method = Method::read(&item.sig, self.style);
        let parameters = item.sig.inputs.iter().flat_map(|input| match input {
            FnArg::Receiver(receiver) => &receiver.attrs,
            FnArg::Typed(parameter) => &parameter.attrs,
        });
        for cfg in item.attrs.iter().chain(parameters).filter(is_cfg) {
            errors.add(
                cfg,
                "#[consumer] cannot evaluate `cfg` on a method or its parameters: put the condition into the method's body",
            );
        }
        match role {
            Role::Hook(hook) => {
                hook.check(&method, self.style, errors);
                self.hooks.add(hook, method);
                return;
            }
            Role::On(kinds) => {
                let read = OnEvent::read(kinds, method);
                self.events.extend(errors.keep(read));
            }
            Role::OnMessage { tag, is_request } => {
                let message = MessageMethod::read(tag, is_request, method, errors);
                self.messages.push(message);
                take_serde_off(item);
            }
            Role::Every(period) => {
                let read = TimerMethod::read(period, method);
                self.timers.extend(errors.keep(read));
            }
            Role::Helper => return,
        }
        Method::read(&item.sig, self.style).must_take(Takes::Reference, errors);
    }

    /// Checks the methods against each other.
    fn check(&self, errors: &mut Errors) {
        if let (Some(receive), Some(message)) =
            (self.hooks.get(Hook::Receive), self.messages.first())
        {
            errors.add(
                &receive.name,
                format!(
                    "either `receive` takes all messages of the client, or #[on_message] methods such as `{}` do",
                    message.method.name
                ),
            );
        }
        if let (ConsumerProtocol::Http, Some(span)) = (self.style.protocol(), self.typescript) {
            let message = "`typescript` describes the messages of a WebSocket consumer; an HTTP consumer has none";
            errors.push(Error::new(span, message));
        }
        super::messages::check_unique(&self.messages, errors);
        super::events::check(&self.events, &self.forward, errors);
        if let (Forward::Rest(span), Some(event)) = (&self.forward, self.hooks.get(Hook::Event)) {
            let message = format!(
                "either `{}` takes the events without a method, or `forward` sends them to the client",
                event.name
            );
            errors.push(Error::new(*span, message));
        }
        if let (Style::Request, Forward::Rest(_) | Forward::These(_), Some(handle)) =
            (self.style, &self.forward, self.hooks.get(Hook::Handle))
        {
            errors.add(
                &handle.name,
                "`forward` replaces `handle`: write #[consumer(sse, forward)] without it",
            );
        }
    }
}

/// Reports a helper whose name is probably a misspelled hook, or one of another kind of consumer:
/// it would never be called.
fn note_misspelt(method: &Method, style: Style, block: &TokenStream, errors: &mut Errors) {
    let name = &method.name;
    if Hook::is_elsewhere(name, style) {
        let kind = match style {
            Style::Stream => "a consumer with `sse`",
            _ => "an HTTP consumer with `handle`",
        };
        let message = format!(
            "`{name}` is not a hook of {kind}. A helper of this name belongs in an `impl` block without #[consumer]"
        );
        errors.add(name, message);
        return;
    }
    let returned = method.returns.as_ref().and_then(types::argument);
    if style == Style::WebSocket
        && name == "handle"
        && returned.is_some_and(|ty| types::is_named(ty, "HttpResponse"))
    {
        let message =
            "`handle` of an HTTP consumer takes `ctx: &mut HttpContext`, by which it responds";
        errors.add(name, message);
        return;
    }
    // Hooks return nothing or a `Result`.
    let returns = method.returns.as_ref();
    if returns.is_some_and(|ty| !types::is_named(ty, "Result")) || is_called(name, block) {
        return;
    }
    if let Some(hook) = Hook::meant(method, style) {
        let hook = hook.name();
        let message = format!(
            "`{name}` is not a hook, did you mean `{hook}`? A helper of this name belongs in an `impl` block without #[consumer]"
        );
        errors.add(name, message);
    }
}

/// Returns whether the block calls a method of this name: `self.name(…)`, `Self::name` or
/// `Chat::name`.
fn is_called(name: &Ident, block: &TokenStream) -> bool {
    let tokens: Vec<TokenTree> = block.clone().into_iter().collect();
    let is =
        |token: &TokenTree, word: &str| matches!(token, TokenTree::Ident(known) if known == word);
    let is_sign = |token: &TokenTree, sign: char| matches!(token, TokenTree::Punct(known) if known.as_char() == sign);
    let is_name = |token: &TokenTree| matches!(token, TokenTree::Ident(known) if known == name);
    let is_here = tokens.windows(4).any(|four| match four {
        // With arguments, or with types: `self.name::<T>(…)`.
        [this, dot, called, TokenTree::Group(_) | TokenTree::Punct(_)] if is(this, "self") => {
            is_sign(dot, '.') && is_name(called)
        }
        [TokenTree::Ident(_), first, second, called] => {
            is_sign(first, ':') && is_sign(second, ':') && is_name(called)
        }
        _ => false,
    });
    is_here
        || tokens.iter().any(|token| match token {
            TokenTree::Group(group) => is_called(name, &group.stream()),
            _ => false,
        })
}

fn is_cfg(attribute: &&Attribute) -> bool {
    attribute.path().is_ident("cfg")
}

/// Removes the parameters' `#[serde(…)]`, which are now on the fields of the input.
fn take_serde_off(item: &mut ImplItemFn) {
    for input in &mut item.sig.inputs {
        if let FnArg::Typed(parameter) = input {
            parameter
                .attrs
                .retain(|attribute| !attribute.path().is_ident("serde"));
        }
    }
}
