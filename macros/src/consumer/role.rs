//! The role of a method, by its name or its attribute.

use super::{arguments::Style, events::EventName, hooks::Hook, timers};
use crate::{errors::Errors, types};
use proc_macro2::TokenStream;
use syn::{
    Attribute, Error, Ident, ImplItemFn, LitStr, Result, Token, parse::ParseStream,
    punctuated::Punctuated,
};

/// The role of a method.
pub(super) enum Role {
    /// Called by its name: `opened`, `disconnect`, ….
    Hook(Hook),
    /// `#[on("chat.message")]`, for events of these types.
    On(Vec<EventName>),
    /// `#[on_message("say")]`, for the client's messages of this type.
    OnMessage {
        tag: LitStr,
        /// `#[on_message("bid", reply)]`
        is_request: bool,
    },
    /// `#[every(seconds = 30)]`.
    Every(TokenStream),
    /// None of these.
    Helper,
}

const ATTRIBUTES: &[&str] = &["on", "on_message", "every"];

/// Returns the role of a method, and removes the attributes that determine it.
pub(super) fn role(method: &mut ImplItemFn, style: Style, errors: &mut Errors) -> Role {
    let ours = |attribute: &mut Attribute| types::is_word(attribute.path(), ATTRIBUTES);
    let attributes: Vec<Attribute> = method.attrs.extract_if(.., ours).collect();
    let hook = Hook::named(&method.sig.ident, style);
    let Some(first) = attributes.first() else {
        return hook.map_or(Role::Helper, Role::Hook);
    };
    if let Some(hook) = hook {
        let message = format!(
            "`{}` is the name of a hook: give a method with #[{}] another name",
            hook.name(),
            name_of(first)
        );
        errors.add(&method.sig.ident, message);
        return Role::Hook(hook);
    }
    if let Err(error) = fits(first, style) {
        errors.push(error);
        return Role::Helper;
    }
    let role = match name_of(first).as_str() {
        "on" => kinds(&attributes).map(Role::On),
        "on_message" => single(&attributes).and_then(on_message),
        _ => single(&attributes)
            .and_then(timers::period)
            .map(Role::Every),
    };
    errors.keep(role).unwrap_or(Role::Helper)
}

fn name_of(attribute: &Attribute) -> String {
    let ident = attribute.path().get_ident();
    ident.map(ToString::to_string).unwrap_or_default()
}

/// Returns all types of all `#[on(…)]` of a method.
fn kinds(attributes: &[Attribute]) -> Result<Vec<EventName>> {
    let mut kinds = Vec::new();
    for attribute in attributes {
        if name_of(attribute) != "on" {
            return Err(two(attribute));
        }
        let parse = Punctuated::<EventName, Token![,]>::parse_terminated;
        let texts = attribute.parse_args_with(parse).map_err(|_| {
            Error::new_spanned(
                attribute,
                "write the type of an event, as in #[on(\"chat.message\")]",
            )
        })?;
        if texts.is_empty() {
            return Err(Error::new_spanned(
                attribute,
                "write the type of an event, as in #[on(\"chat.message\")]",
            ));
        }
        kinds.extend(texts);
    }
    Ok(kinds)
}

fn single(attributes: &[Attribute]) -> Result<&Attribute> {
    match attributes {
        [only] => Ok(only),
        [_, second, ..] => Err(two(second)),
        [] => Err(Error::new(
            proc_macro2::Span::call_site(),
            "an attribute is missing",
        )),
    }
}

fn two(second: &Attribute) -> Error {
    Error::new_spanned(
        second,
        "a method has one role: write two methods, and move shared code to a third",
    )
}

/// Parses `"say"`, or `"bid", reply`.
fn on_message(attribute: &Attribute) -> Result<Role> {
    let parse = |input: ParseStream<'_>| {
        let tag: LitStr = input.parse()?;
        let is_request = input.parse::<Option<Token![,]>>()?.is_some() && !input.is_empty();
        if is_request && input.parse::<Ident>()? != "reply" {
            return Err(input.error("expected `reply`"));
        }
        Ok(Role::OnMessage { tag, is_request })
    };
    attribute.parse_args_with(parse).map_err(|_| {
        Error::new_spanned(
            attribute,
            "write the `type` of the client's message, as in #[on_message(\"say\")], \
             or #[on_message(\"bid\", reply)] for a request that gets a reply",
        )
    })
}

/// Returns an error for an attribute that this kind of consumer does not have.
fn fits(attribute: &Attribute, style: Style) -> Result<()> {
    let message = match (style, name_of(attribute).as_str()) {
        (Style::WebSocket, _) | (Style::Stream, "on") => return Ok(()),
        (Style::Request, "on") => {
            "`handle` receives the events, by `ctx.next_event()`; \
             for #[on] methods instead of `handle`, write #[consumer(sse)]"
        }
        (_, "on_message") => "an HTTP consumer receives no messages; its request is in the context",
        _ => "an HTTP consumer has no timers: use `tokio::time` in `handle`",
    };
    Err(Error::new_spanned(attribute, message))
}
