//! A parsed method, and the call of it.

use super::arguments::Style;
use crate::{
    errors::{Errors, at},
    protocol::ConsumerProtocol,
    types,
};
use proc_macro2::TokenStream;
use quote::quote_spanned;
use syn::{
    Error, FnArg, Ident, PatType, ReceiverKind, ReturnType, Signature, Type, spanned::Spanned,
};

/// A method that the generated impl calls.
pub(super) struct Method {
    pub(super) name: Ident,
    pub(super) takes: Takes,
    /// The type of its first parameter, if that is a context.
    pub(super) context: Option<Type>,
    /// Whether the next one is the stream of server-sent events.
    takes_stream: bool,
    /// The parameters after these.
    pub(super) arguments: Vec<PatType>,
    /// Whether its result must be awaited.
    is_future: bool,
    /// The type that it returns; `None` for nothing.
    pub(super) returns: Option<Type>,
    style: Style,
}

/// The receiver of a method.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Reference,
    Value,
    Nothing,
}

impl Method {
    pub(super) fn read(signature: &Signature, style: Style) -> Self {
        let mut arguments: Vec<PatType> = Vec::new();
        let mut takes = Takes::Nothing;
        for input in &signature.inputs {
            match input {
                FnArg::Receiver(receiver) => {
                    takes = match receiver.kind {
                        ReceiverKind::Reference(..) => Takes::Reference,
                        _ => Takes::Value,
                    };
                }
                FnArg::Typed(argument) => arguments.push(argument.clone()),
            }
        }
        let first = arguments.first().map(|argument| (*argument.ty).clone());
        let context = first.filter(|ty| is_context(ty, style.protocol()));
        if context.is_some() {
            arguments.remove(0);
        }
        let next = arguments.first();
        let takes_stream = next.is_some_and(|argument| style.is_stream(&argument.ty));
        if takes_stream {
            arguments.remove(0);
        }
        let (is_future, returns) = match &signature.output {
            ReturnType::Default => (false, None),
            ReturnType::Type(_, ty) => match &**ty {
                Type::Tuple(tuple) if tuple.elems.is_empty() => (false, None),
                ty => (matches!(ty, Type::ImplTrait(_)), Some(ty.clone())),
            },
        };
        Self {
            name: signature.ident.clone(),
            takes,
            context,
            takes_stream,
            arguments,
            is_future: is_future || signature.asyncness.is_some(),
            returns,
            style,
        }
    }

    /// Adds an error if the method has another receiver.
    pub(super) fn must_take(&self, takes: Takes, errors: &mut Errors) {
        if self.takes == takes {
            return;
        }
        let name = &self.name;
        let message = match takes {
            Takes::Reference => {
                format!("`{name}` is called by the framework and takes `&mut self`")
            }
            Takes::Value => format!("`{name}` is called last and takes `self`"),
            Takes::Nothing => {
                let handshake = match self.style.protocol() {
                    ConsumerProtocol::WebSocket => "Handshake",
                    ConsumerProtocol::Http => "HttpHandshake",
                };
                format!("`{name}` creates the consumer: it takes `&mut {handshake}` and no `self`")
            }
        };
        errors.add(name, message);
    }

    /// Returns the error of a method whose parameters are not these.
    pub(super) fn misfit(&self, expected: &str) -> Error {
        Error::new(
            self.name.span(),
            format!("`{}` takes {expected}", self.name),
        )
    }

    /// Returns the call, whose value is what the method returns.
    pub(super) fn plain_call(&self, arguments: &[TokenStream]) -> TokenStream {
        let name = &self.name;
        let span = at(name);
        let consumer = match self.takes {
            Takes::Nothing => None,
            _ => Some(quote_spanned!(span=> self,)),
        };
        let context = self.context.as_ref().map(|ty| self.pass_context(ty));
        let stream = self.takes_stream.then(|| quote_spanned!(span=> &stream,));
        let awaited = self.is_future.then(|| quote_spanned!(span=> .await));
        quote_spanned!(span=> Self::#name(#consumer #context #stream #(#arguments),*) #awaited)
    }

    /// Generates the context as an argument, with Seaway's error message if the parameter has
    /// another event type.
    fn pass_context(&self, ty: &Type) -> TokenStream {
        let context = self.style.protocol().context();
        let taken = types::referent(ty).unwrap_or(ty);
        quote_spanned! {at(ty)=>
            <#taken as ::seaway::__private::Taken<#context>>::take(ctx),
        }
    }

    /// Returns the call, whose value is the `Result` that this trait of `__private` makes from what
    /// the method returns.
    pub(super) fn call_of(&self, output: &str, arguments: &[TokenStream]) -> TokenStream {
        let call = self.plain_call(arguments);
        // The type that it returns, where the compiler reports that it is another one.
        let span = self.returns.as_ref().map_or_else(|| at(&self.name), at);
        let output = Ident::new(output, span);
        quote_spanned!(span=> ::seaway::__private::#output::into_result(#call))
    }

    /// Returns the call, whose value is a `Result<()>`.
    pub(super) fn call(&self, arguments: &[TokenStream]) -> TokenStream {
        if self.returns.is_some() {
            return self.call_of("HookOutput", arguments);
        }
        let call = self.plain_call(arguments);
        quote_spanned! {at(&self.name)=>
            {
                #call;
                ::core::result::Result::Ok(())
            }
        }
    }
}

/// Returns the name of the context parameter in the generated method: `ctx` if one of these methods
/// uses it, or else `_`.
pub(super) fn context<'a>(
    mut methods: impl Iterator<Item = &'a Method>,
    span: proc_macro2::Span,
) -> TokenStream {
    match methods.any(|method| method.context.is_some()) {
        true => quote_spanned!(span=> ctx),
        false => quote_spanned!(span=> _),
    }
}

/// Returns whether this is `&mut Context<E>`, or for HTTP `&mut HttpContext<E>`, by any path.
pub(super) fn is_context(ty: &Type, protocol: ConsumerProtocol) -> bool {
    types::referent(ty).is_some_and(|ty| types::is_named(ty, protocol.context_name()))
}

/// Returns the span of a parameter's type, where the compiler reports errors about it.
pub(super) fn place(argument: &PatType) -> proc_macro2::Span {
    proc_macro2::Span::mixed_site().located_at(argument.ty.span())
}
