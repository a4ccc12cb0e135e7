//! The parsed impl block, its methods sorted by role.

use super::{
    events::OnEvent,
    hooks::{Hook, Hooks},
    messages::Message,
    method::{Method, Takes},
    role::{self, Role},
    timers::Timer,
};
use crate::mistakes::Mistakes;
use proc_macro2::TokenStream;
use syn::{FnArg, Generics, ImplItem, ImplItemFn, ItemImpl, Type, parse::Parser};

/// A consumer's methods.
pub(super) struct Consumer {
    pub(super) ty: Type,
    pub(super) generics: Generics,
    /// `#[consumer(event = …)]`.
    pub(super) event: Option<Type>,
    pub(super) hooks: Hooks,
    pub(super) messages: Vec<Message>,
    pub(super) events: Vec<OnEvent>,
    pub(super) timers: Vec<Timer>,
}

/// Parses the block, and removes the macro's own attributes from it.
pub(super) fn read(
    arguments: TokenStream,
    block: &mut ItemImpl,
    mistakes: &mut Mistakes,
) -> Consumer {
    let mut consumer = Consumer {
        ty: (*block.self_ty).clone(),
        generics: block.generics.clone(),
        event: mistakes.keep(event(arguments)).flatten(),
        hooks: Hooks::default(),
        messages: Vec::new(),
        events: Vec::new(),
        timers: Vec::new(),
    };
    for item in &mut block.items {
        if let ImplItem::Fn(method) = item {
            let role = role::role(method, mistakes);
            consumer.add(role, method, mistakes);
        }
    }
    consumer.check(mistakes);
    consumer
}

/// Parses `event = TheType`, or nothing.
fn event(arguments: TokenStream) -> syn::Result<Option<Type>> {
    let mut event = None;
    let parser = syn::meta::parser(|meta| {
        if !meta.path.is_ident("event") {
            return Err(meta.error("expected #[consumer] or #[consumer(event = TheType)]"));
        }
        event = Some(meta.value()?.parse()?);
        Ok(())
    });
    parser.parse2(arguments)?;
    Ok(event)
}

impl Consumer {
    fn add(&mut self, role: Role, item: &mut ImplItemFn, mistakes: &mut Mistakes) {
        let method = Method::read(&item.sig);
        if let Role::Helper = role {
            note_misspelt(&method, mistakes);
            return;
        }
        if let Some(cfg) = item.attrs.iter().find(|a| a.path().is_ident("cfg")) {
            mistakes.note(
                cfg,
                "#[consumer] cannot evaluate `cfg` on a method: put the condition into its body",
            );
        }
        match role {
            Role::Hook(hook) => {
                hook.check(&method, mistakes);
                self.hooks.add(hook, method);
                return;
            }
            Role::On(kinds) => {
                let read = OnEvent::read(kinds, method);
                self.events.extend(mistakes.keep(read));
            }
            Role::OnMessage(tag) => {
                let message = Message::read(tag, method, mistakes);
                self.messages.push(message);
                take_serde_off(item);
            }
            Role::Every(period) => {
                let read = Timer::read(period, method);
                self.timers.extend(mistakes.keep(read));
            }
            Role::Helper => return,
        }
        Method::read(&item.sig).must_take(Takes::Reference, mistakes);
    }

    /// Checks the methods against each other.
    fn check(&self, mistakes: &mut Mistakes) {
        if let (Some(receive), Some(message)) =
            (self.hooks.get(Hook::Receive), self.messages.first())
        {
            mistakes.note(
                &receive.name,
                format!(
                    "either `receive` takes all messages of the client, or #[on_message] methods such as `{}` do",
                    message.method.name
                ),
            );
        }
        super::messages::check_unique(&self.messages, mistakes);
        super::events::check(&self.events, mistakes);
    }
}

/// Reports a helper whose name is probably a misspelled hook, which would never be called.
fn note_misspelt(method: &Method, mistakes: &mut Mistakes) {
    let name = &method.name;
    let meant = Hook::meant(name).filter(|hook| hook.fits(method) && hook.takes() == method.takes);
    if let Some(hook) = meant {
        let hook = hook.name();
        let message = format!(
            "`{name}` is not a hook, did you mean `{hook}`? A helper of this name belongs in an `impl` block without #[consumer]"
        );
        mistakes.note(name, message);
    }
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
