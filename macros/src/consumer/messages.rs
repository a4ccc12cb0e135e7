//! `#[on_message("say")]`: methods for the client's messages, by their `type`.

use super::method::{Method, context, place};
use crate::{
    errors::{Errors, at},
    protocol::ConsumerProtocol,
    serde_items, types, wide,
};
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{
    Attribute, Error, Expr, ExprLit, Ident, Lit, LitStr, Meta, MetaNameValue, Pat, PatType, Result,
    Token, Type, ext::IdentExt, parse::Parser, punctuated::Punctuated,
};

/// A method for messages of one type.
pub(super) struct MessageMethod {
    pub(super) tag: LitStr,
    /// Whether the method's result is sent to the client, under the id of the request.
    pub(super) is_request: bool,
    pub(super) method: Method,
    pub(super) shape: Shape,
}

/// The content of a message besides its type.
pub(super) enum Shape {
    /// The method's parameters, by name.
    Fields(Vec<Field>),
    /// `Json(value): Json<T>`: the whole message is a `T`.
    Whole(Box<(Type, PatType)>),
}

pub(super) struct Field {
    /// `#[serde(…)]`.
    pub(super) attributes: Vec<Attribute>,
    pub(super) name: Ident,
    pub(super) parameter: PatType,
}

const PARAMETERS: &str = "a parameter is a field of the message, as in `text: String`; \
                          or one parameter is the whole message, as in `Json(message): Json<Message>`";

impl MessageMethod {
    pub(super) fn read(tag: LitStr, is_request: bool, method: Method, errors: &mut Errors) -> Self {
        if is_request && method.returns.is_none() {
            let message = format!(
                "`{}` replies to a request: it returns a `Result<T, E>`",
                method.name
            );
            errors.add(&method.name, message);
        }
        let shape = match &method.arguments[..] {
            [only] if types::is_named(&only.ty, "Json") => match types::argument(&only.ty) {
                Some(inner) => {
                    check_whole(inner, errors);
                    Shape::Whole(Box::new((inner.clone(), only.clone())))
                }
                None => {
                    errors.add(&only.ty, "write `Json<Message>`, with your own type");
                    Shape::Fields(Vec::new())
                }
            },
            parameters => {
                let fields = parameters.iter().map(field);
                Shape::Fields(fields.filter_map(|field| errors.keep(field)).collect())
            }
        };
        if let (true, Shape::Fields(fields)) = (is_request, &shape)
            && let Some(id) = fields.iter().find(|field| field.is_key("id"))
        {
            let message =
                "`id` is the id of the request and cannot be a parameter: name it otherwise";
            errors.add(&id.parameter.pat, message);
        }
        Self {
            tag,
            is_request,
            method,
            shape,
        }
    }

    /// Generates the variant of the input enum: with fields, with the whole message, or empty.
    fn variant(&self) -> TokenStream {
        let (tag, name) = (&self.tag, &self.method.name);
        let content = match &self.shape {
            Shape::Fields(fields) if fields.is_empty() => None,
            Shape::Fields(fields) => {
                let fields = fields.iter().map(|field| {
                    let Field {
                        attributes,
                        name,
                        parameter,
                    } = field;
                    let ty = &parameter.ty;
                    quote!(#(#attributes)* #name: #ty)
                });
                Some(quote!({ #(#fields),* }))
            }
            Shape::Whole(whole) => {
                let (ty, _) = &**whole;
                Some(quote!((#ty)))
            }
        };
        quote! {
            #[serde(rename = #tag)]
            #name #content
        }
    }

    /// Generates the match arm that calls the method.
    fn arm(&self) -> TokenStream {
        let name = &self.method.name;
        let span = at(name);
        match &self.shape {
            Shape::Fields(fields) => {
                let names: Vec<&Ident> = fields.iter().map(|field| &field.name).collect();
                let variables: Vec<Ident> = (0..names.len())
                    .map(|n| format_ident!("field_{n}", span = span))
                    .collect();
                let arguments: Vec<TokenStream> = fields
                    .iter()
                    .zip(&variables)
                    .map(|(field, variable)| {
                        let mut variable = variable.clone();
                        variable.set_span(place(&field.parameter));
                        quote!(#variable)
                    })
                    .collect();
                let call = self.named_call(&arguments);
                quote_spanned!(span=> __Input::#name { #(#names: #variables),* } => #call)
            }
            Shape::Whole(whole) => {
                let (_, parameter) = &**whole;
                let whole = quote_spanned!(place(parameter)=> ::seaway::Json(whole));
                let call = self.named_call(&[whole]);
                quote_spanned!(span=> __Input::#name(whole) => #call)
            }
        }
    }

    /// Returns the inner type of a `Result<Result<T, E>>`.
    pub(super) fn nested_result(&self) -> Option<&Type> {
        let returns = self.method.returns.as_ref();
        let inner = returns.and_then(types::argument);
        inner.filter(|inner| types::is_named(inner, "Result"))
    }

    /// Generates the call, whose error has the type of the message.
    fn named_call(&self, arguments: &[TokenStream]) -> TokenStream {
        let (tag, call) = (&self.tag, self.call(arguments));
        quote_spanned!(at(&self.method.name)=> ::seaway::__private::Handling::of(#tag).end(#call))
    }

    /// Generates the call, and for a request the reply.
    fn call(&self, arguments: &[TokenStream]) -> TokenStream {
        if !self.is_request {
            return self.method.call(arguments);
        }
        let returns = self.method.returns.as_ref();
        let reply = match self.nested_result() {
            Some(_) => quote!(reply_nested),
            None => quote!(reply),
        };
        let call = self.method.plain_call(arguments);
        // The result's own type, where the compiler reports that it cannot be sent.
        let span = returns.map_or_else(|| at(&self.method.name), at);
        quote_spanned! {span=>
            {
                let reply = ::seaway::__private::#reply(id, #call);
                ::seaway::__private::send_reply(ctx, reply).await
            }
        }
    }
}

impl Field {
    /// Returns whether serde reads the parameter from this key of the message.
    fn is_key(&self, key: &str) -> bool {
        let (mut is_name, mut is_alias) = (self.name.unraw() == key, false);
        for item in serde_items::items(&self.attributes) {
            let Some(MetaNameValue { path, value, .. }) = read_by(item) else {
                continue;
            };
            let is_it = matches!(value, Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) if text.value() == key);
            if path.is_ident("rename") {
                is_name = is_it;
            }
            is_alias |= path.is_ident("alias") && is_it;
        }
        is_name || is_alias
    }
}

/// Returns an item of `#[serde(…)]` as it concerns decoding: `rename(deserialize = "key")` as
/// `rename = "key"`.
fn read_by(item: Meta) -> Option<MetaNameValue> {
    let list = match item {
        Meta::NameValue(item) => return Some(item),
        Meta::List(list) => list,
        Meta::Path(_) => return None,
    };
    let items = Punctuated::<MetaNameValue, Token![,]>::parse_terminated;
    let mut items = list.parse_args_with(items).ok()?.into_iter();
    let read = items.find(|item| item.path.is_ident("deserialize"))?;
    Some(MetaNameValue {
        path: list.path,
        ..read
    })
}

/// Adds an error if the type is certainly not decoded from a map, as a message with its `type` is
/// one.
fn check_whole(ty: &Type, errors: &mut Errors) {
    let inner = types::optional(ty).unwrap_or(ty);
    let is_unit = matches!(inner, Type::Tuple(tuple) if tuple.elems.is_empty());
    if types::is_plain(inner) && !is_unit {
        let message = format!(
            "the whole message is an object, and this type is not one: name the field, as in `value: {}`",
            quote!(#ty).to_string().replace(' ', "")
        );
        errors.add(ty, message);
    }
}

fn field(parameter: &PatType) -> Result<Field> {
    if let Some(referent) = types::referent(&parameter.ty) {
        let message = if super::method::is_context(&parameter.ty, ConsumerProtocol::WebSocket) {
            "the context comes first, right after `&mut self`".to_owned()
        } else if types::is_named(referent, "str") {
            "a message is decoded into owned values: write `String`".to_owned()
        } else {
            "a message is decoded into owned values: write the type without `&`".to_owned()
        };
        return Err(Error::new_spanned(&parameter.ty, message));
    }
    if types::is_named(&parameter.ty, "Json") {
        return Err(Error::new_spanned(
            &parameter.ty,
            "`Json<…>` is the whole message and must be the only parameter",
        ));
    }
    let Pat::Ident(pattern) = &*parameter.pat else {
        return Err(Error::new_spanned(&parameter.pat, PARAMETERS));
    };
    // `_key` is the field `key`, which the method does not use.
    let name = pattern.ident.unraw().to_string();
    let name = match name.trim_start_matches('_') {
        "type" => {
            return Err(Error::new_spanned(
                &parameter.pat,
                "`type` selects the method and cannot be a parameter",
            ));
        }
        plain => field_name(plain, pattern.ident.span())
            .ok_or_else(|| Error::new_spanned(&parameter.pat, PARAMETERS))?,
    };
    let serde = parameter
        .attrs
        .iter()
        .filter(|a| a.path().is_ident("serde"));
    let attributes: Vec<Attribute> = serde.cloned().collect();
    wide::check(&parameter.ty, &attributes)?;
    Ok(Field {
        attributes,
        name,
        parameter: parameter.clone(),
    })
}

/// Returns the name of a field, which may be a keyword of any edition: `r#match`. `None` if it is no
/// identifier, or one of the four that cannot be raw.
fn field_name(name: &str, span: Span) -> Option<Ident> {
    let is_word = Ident::parse_any.parse_str(name).is_ok();
    let is_path = ["self", "Self", "super", "crate"].contains(&name);
    (is_word && !is_path).then(|| Ident::new_raw(name, span))
}

/// Adds an error for each type that has two methods.
pub(super) fn check_unique(messages: &[MessageMethod], errors: &mut Errors) {
    for (at, message) in messages.iter().enumerate() {
        let twin = messages[..at]
            .iter()
            .find(|earlier| earlier.tag.value() == message.tag.value());
        if let Some(twin) = twin {
            errors.add(
                &message.tag,
                format!("`{}` already takes these messages", twin.method.name),
            );
        }
    }
}

/// Generates the enum that the client's messages are decoded into.
pub(super) fn input(messages: &[MessageMethod]) -> TokenStream {
    let variants = messages.iter().map(MessageMethod::variant);
    let requests = has_requests(messages).then(|| {
        let others = messages.iter().filter(|message| !message.is_request);
        let without_reply = others.map(|message| &message.tag);
        quote! {
            #[automatically_derived]
            impl ::seaway::__private::Requests for __Input {
                const WITHOUT_REPLY: &'static [&'static str] = &[#(#without_reply),*];
            }
        }
    });
    quote! {
        #[doc(hidden)]
        #[derive(::seaway::__private::serde::Deserialize)]
        #[serde(
            crate = "::seaway::__private::serde",
            tag = "type",
            expecting = "a message with a `type`"
        )]
        #[allow(non_camel_case_types, private_interfaces, unreachable_pub)]
        pub enum __Input {
            #(#variants),*
        }

        #requests
    }
}

/// Returns whether a message gets a reply.
fn has_requests(messages: &[MessageMethod]) -> bool {
    messages.iter().any(|message| message.is_request)
}

/// Generates the type of the trait's `Input`.
pub(super) fn input_type(messages: &[MessageMethod]) -> TokenStream {
    match has_requests(messages) {
        true => quote!(::seaway::__private::Request<__Input>),
        false => quote!(::seaway::__private::Tagged<__Input>),
    }
}

/// Generates the `receive` that selects a method by the type.
pub(super) fn receive(messages: &[MessageMethod], ty: &Type) -> TokenStream {
    let span = at(ty);
    let arms = messages.iter().map(MessageMethod::arm);
    if has_requests(messages) {
        return quote_spanned! {span=>
            async fn receive(
                &mut self,
                ctx: &mut ::seaway::Context<Self::Event>,
                request: Self::Input,
            ) -> ::seaway::Result<()> {
                let (id, input) = match request.open() {
                    ::core::result::Result::Ok(opened) => opened,
                    ::core::result::Result::Err(reply) => {
                        return ::seaway::__private::send_reply(ctx, reply).await;
                    }
                };
                match input {
                    #(#arms,)*
                }
            }
        };
    }
    let ctx = context(messages.iter().map(|message| &message.method), span);
    quote_spanned! {span=>
        async fn receive(
            &mut self,
            #ctx: &mut ::seaway::Context<Self::Event>,
            ::seaway::__private::Tagged(input): Self::Input,
        ) -> ::seaway::Result<()> {
            match input {
                #(#arms,)*
            }
        }
    }
}
