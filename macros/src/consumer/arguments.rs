//! The arguments of `#[consumer(…)]`, and the kind of consumer that a block is.

use super::{events::EventName, method};
use crate::{protocol::ConsumerProtocol, types};
use proc_macro2::{Span, TokenStream};
use syn::{
    FnArg, ImplItem, ItemImpl, Result, Token, Type, parenthesized, parse::Parser,
    punctuated::Punctuated, spanned::Spanned,
};

/// The arguments of `#[consumer(…)]`.
#[derive(Default)]
pub(super) struct Arguments {
    /// `event = ChatEvent`
    pub(super) event: Option<Type>,
    pub(super) forward: Forward,
    /// `sse`
    pub(super) sse: Option<Span>,
    /// `typescript`
    pub(super) typescript: Option<Span>,
}

/// The events that are sent to the client as they are.
#[derive(Default)]
pub(super) enum Forward {
    #[default]
    None,
    /// `forward("chat.message")`: these.
    These(Vec<EventName>),
    /// `forward`: all without a method.
    Rest(Span),
}

impl Forward {
    /// Returns the events that are named.
    pub(super) fn named(&self) -> &[EventName] {
        match self {
            Self::These(names) => names,
            Self::None | Self::Rest(_) => &[],
        }
    }
}

const EXPECTED: &str =
    "expected `event = TheType`, `forward`, `forward(\"chat.message\")`, `sse` or `typescript`";

impl Arguments {
    pub(super) fn read(tokens: TokenStream) -> Result<Self> {
        let mut arguments = Self::default();
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("event") {
                arguments.event = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("forward") && meta.input.peek(syn::token::Paren) {
                let names;
                parenthesized!(names in meta.input);
                let names = Punctuated::<EventName, Token![,]>::parse_terminated(&names)?;
                arguments.forward = Forward::These(names.into_iter().collect());
            } else if meta.path.is_ident("forward") {
                arguments.forward = Forward::Rest(meta.path.span());
            } else if meta.path.is_ident("sse") {
                arguments.sse = Some(meta.path.span());
            } else if meta.path.is_ident("typescript") {
                arguments.typescript = Some(meta.path.span());
            } else {
                return Err(meta.error(EXPECTED));
            }
            Ok(())
        });
        parser.parse2(tokens)?;
        Ok(arguments)
    }

    /// Returns the kind of consumer that the block is.
    pub(super) fn style(&self, block: &ItemImpl) -> Style {
        if self.sse.is_some() {
            return Style::Stream;
        }
        match block.items.iter().any(is_handle) {
            true => Style::Request,
            false => Style::WebSocket,
        }
    }
}

/// Returns whether this is the `handle` of an HTTP consumer: its first parameter is an
/// `&mut HttpContext`.
fn is_handle(item: &ImplItem) -> bool {
    let ImplItem::Fn(item) = item else {
        return false;
    };
    let takes_context = item.sig.inputs.iter().any(|input| match input {
        FnArg::Typed(argument) => method::is_context(&argument.ty, ConsumerProtocol::Http),
        FnArg::Receiver(_) => false,
    });
    item.sig.ident == "handle" && takes_context
}

/// The kind of a consumer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    WebSocket,
    /// An HTTP consumer with a `handle`.
    Request,
    /// An HTTP consumer that streams server-sent events.
    Stream,
}

impl Style {
    pub(super) fn protocol(self) -> ConsumerProtocol {
        match self {
            Self::WebSocket => ConsumerProtocol::WebSocket,
            Self::Request | Self::Stream => ConsumerProtocol::Http,
        }
    }

    /// Returns whether this type is the stream that a method may take after the context.
    pub(super) fn is_stream(self, ty: &Type) -> bool {
        let is_sse = |ty| types::is_named(ty, "Sse");
        self == Self::Stream && types::referent(ty).is_some_and(is_sse)
    }
}
