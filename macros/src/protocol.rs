//! The kinds of consumer, and their types in generated code.

use proc_macro2::TokenStream;
use quote::quote;

/// The protocol of a consumer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConsumerProtocol {
    WebSocket,
    Http,
}

impl ConsumerProtocol {
    /// Returns the protocol's own type.
    pub(crate) fn marker(self) -> TokenStream {
        match self {
            Self::WebSocket => quote!(::seaway::protocol::WebSocket),
            Self::Http => quote!(::seaway::protocol::Http),
        }
    }

    /// Returns the trait that a consumer implements.
    pub(crate) fn consumer(self) -> TokenStream {
        match self {
            Self::WebSocket => quote!(::seaway::WebSocketConsumer),
            Self::Http => quote!(::seaway::HttpConsumer),
        }
    }

    /// Returns the name of the context's type.
    pub(crate) fn context_name(self) -> &'static str {
        match self {
            Self::WebSocket => "Context",
            Self::Http => "HttpContext",
        }
    }

    /// Returns the type of the context.
    pub(crate) fn context(self) -> TokenStream {
        match self {
            Self::WebSocket => quote!(::seaway::Context<Self::Event>),
            Self::Http => quote!(::seaway::HttpContext<Self::Event>),
        }
    }
}
