//! A parsed method, and the call of it.

use crate::{mistakes::Mistakes, spans::at, types};
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
    /// The parameters after the context.
    pub(super) arguments: Vec<PatType>,
    /// Whether its result must be awaited.
    is_future: bool,
    returns_nothing: bool,
}

/// The receiver of a method.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Reference,
    Value,
    Nothing,
}

impl Method {
    pub(super) fn read(signature: &Signature) -> Self {
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
        let context = first.filter(is_context);
        if context.is_some() {
            arguments.remove(0);
        }
        let (is_future, returns_nothing) = match &signature.output {
            ReturnType::Default => (false, true),
            ReturnType::Type(_, ty) => match &**ty {
                Type::ImplTrait(_) => (true, false),
                Type::Tuple(tuple) => (false, tuple.elems.is_empty()),
                _ => (false, false),
            },
        };
        Self {
            name: signature.ident.clone(),
            takes,
            context,
            arguments,
            is_future: is_future || signature.asyncness.is_some(),
            returns_nothing,
        }
    }

    /// Adds an error if the method has another receiver.
    pub(super) fn must_take(&self, takes: Takes, mistakes: &mut Mistakes) {
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
                format!("`{name}` creates the consumer: it takes `&mut Handshake` and no `self`")
            }
        };
        mistakes.note(name, message);
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
        let context = self.context.as_ref();
        let context = context.map(|ty| quote_spanned!(at(ty)=> ctx,));
        let awaited = self.is_future.then(|| quote_spanned!(span=> .await));
        quote_spanned!(span=> Self::#name(#consumer #context #(#arguments),*) #awaited)
    }

    /// Returns the call, whose value is a `Result<()>`.
    pub(super) fn call(&self, arguments: &[TokenStream]) -> TokenStream {
        let call = self.plain_call(arguments);
        if !self.returns_nothing {
            return quote_spanned!(at(&self.name)=> ::seaway::__private::Outcome::outcome(#call));
        }
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

/// Returns whether this is `&mut Context<E>`, by any path.
pub(super) fn is_context(ty: &Type) -> bool {
    types::referent(ty).is_some_and(|ty| types::is_named(ty, "Context"))
}

/// Returns the span of a parameter's type, where the compiler reports errors about it.
pub(super) fn place(argument: &PatType) -> proc_macro2::Span {
    proc_macro2::Span::mixed_site().located_at(argument.ty.span())
}
