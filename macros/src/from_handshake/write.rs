//! The code that the derive macros of consumers generate: a `let` per field, groups and presences
//! last.

use super::{
    read::{Filled, HandshakeStruct},
    source::{FieldSource, PresenceField, TopicField},
    template::{Piece, Template},
};
use crate::{errors::at, protocol::ConsumerProtocol, types};
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Generics, Ident, LitStr, spanned::Spanned};

pub(super) fn write(consumer: &HandshakeStruct, protocol: ConsumerProtocol) -> TokenStream {
    let marker = protocol.marker();
    let name = &consumer.name;
    let (impl_generics, type_generics, where_clause) = consumer.generics.split_for_impl();
    let handshake = handshake(Span::mixed_site());
    let event = event(consumer);
    let mut fields: Vec<_> = consumer.fields.iter().collect();
    fields.sort_by_key(|field| field.source.joins());
    let lets = fields.iter().map(|field| fill(field, consumer, &marker));
    let names = consumer.fields.iter().map(|field| &field.name);
    // Reads the fields that act by being there, or that others are made of, so that the compiler does
    // not call them unused.
    let is_read = |name: &Ident| consumer.fields.iter().any(|field| field.source.reads(name));
    let used = consumer.fields.iter();
    let used = used.filter(|field| field.source.acts() || is_read(&field.name));
    let used = used.map(|field| &field.name);
    let asks = |field: &Filled| !matches!(field.source, FieldSource::Default(_));
    let parameter = match consumer.fields.iter().any(asks) {
        true => quote!(#handshake),
        false => quote!(_),
    };
    let required_state = required_state(consumer, protocol);
    let check = consumer.generics.params.is_empty().then(|| {
        let check = match protocol {
            ConsumerProtocol::WebSocket => quote!(is_consumer),
            ConsumerProtocol::Http => quote!(is_http_consumer),
        };
        let check = quote_spanned!(at(name)=> ::seaway::__private::#check::<#name>());
        quote!(#[allow(deprecated)] const _: () = #check;)
    });
    quote! {
        #[automatically_derived]
        #[allow(deprecated)]
        impl #impl_generics ::seaway::FromHandshake<#marker> for #name #type_generics #where_clause {
            type Event = #event;

            async fn from_handshake(
                #parameter: &mut ::seaway::Handshake<Self::Event, #marker>,
            ) -> ::core::result::Result<Self, ::seaway::Rejection> {
                #(#lets)*
                let consumer = Self { #(#names),* };
                #(let _ = &consumer.#used;)*
                ::core::result::Result::Ok(consumer)
            }

            #required_state
        }

        #check
    }
}

/// Generates a placeholder impl for a struct with errors, so that the compiler does not also report
/// a missing impl.
pub(super) fn stub(name: &Ident, generics: &Generics, protocol: ConsumerProtocol) -> TokenStream {
    let marker = protocol.marker();
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #impl_generics ::seaway::FromHandshake<#marker> for #name #type_generics #where_clause {
            type Event = ::seaway::NoEvent;

            async fn from_handshake(
                _: &mut ::seaway::Handshake<Self::Event, #marker>,
            ) -> ::core::result::Result<Self, ::seaway::Rejection> {
                ::core::unreachable!()
            }
        }
    }
}

/// Returns the `handshake` parameter, with this span; a field of that name is another variable.
fn handshake(span: Span) -> Ident {
    Ident::new("handshake", Span::mixed_site().located_at(span))
}

/// Returns the type of events: that of `#[consumer(event = …)]`, or else of the first group.
fn event(consumer: &HandshakeStruct) -> TokenStream {
    if let Some(event) = &consumer.event {
        return quote!(#event);
    }
    match consumer.fields.iter().find(|field| field.source.joins()) {
        Some(Filled { ty, .. }) => {
            quote_spanned!(at(ty)=> <#ty as ::seaway::__private::GroupField>::Event)
        }
        None => quote!(::seaway::NoEvent),
    }
}

/// Generates the report of what the fields need in the scope, if they need anything.
fn required_state(consumer: &HandshakeStruct, protocol: ConsumerProtocol) -> Option<TokenStream> {
    let extractor = match protocol {
        ConsumerProtocol::WebSocket => quote!(extractor),
        ConsumerProtocol::Http => quote!(http_extractor),
    };
    let params = consumer
        .fields
        .iter()
        .flat_map(|field| params(field, consumer));
    let needs = consumer.fields.iter().filter_map(|field| {
        let ty = &field.ty;
        let inner = types::optional(ty).unwrap_or(ty);
        let (needed, method) = match &field.source {
            FieldSource::State => (quote!(#ty), quote!(state)),
            FieldSource::User => (quote!(::seaway::User<#inner>), extractor.clone()),
            FieldSource::Session(_) => (quote!(::seaway::session::Session), extractor.clone()),
            FieldSource::Extractor => (quote!(#ty), extractor.clone()),
            FieldSource::Param(_)
            | FieldSource::Query(_)
            | FieldSource::Group(_)
            | FieldSource::Presence(_)
            | FieldSource::Topic(_)
            | FieldSource::Default(_) => return None,
        };
        Some(quote_spanned!(at(ty)=> .and(::seaway::__private::Needs::<#needed>::new().#method())))
    });
    let params = params.map(|name| quote!(.and(::seaway::RequiredState::of_param(#name))));
    let needs: Vec<_> = needs.chain(params).collect();
    (!needs.is_empty()).then(|| {
        quote! {
            fn required_state() -> ::seaway::RequiredState {
                #[allow(unused_imports)]
                use ::seaway::__private::NeedsNothing as _;
                ::seaway::RequiredState::none() #(#needs)*
            }
        }
    })
}

/// Returns the path parameters that a field cannot be filled without: its own, or those that a name
/// in braces stands for, because no field has that name.
fn params(field: &Filled, consumer: &HandshakeStruct) -> Vec<String> {
    let is_field = |name: &Ident| {
        let mut others = consumer.fields.iter().filter(|field| !field.source.joins());
        others.any(|field| field.name == *name)
    };
    match &field.source {
        FieldSource::Param(key) if types::optional(&field.ty).is_none() => vec![key.value()],
        source => {
            let names = source.template().into_iter().flat_map(Template::names);
            names.filter(|name| !is_field(name)).map(plain).collect()
        }
    }
}

/// Generates the `let` of one field.
fn fill(field: &Filled, consumer: &HandshakeStruct, marker: &TokenStream) -> TokenStream {
    let Filled { name, ty, source } = field;
    let span = at(ty);
    let handshake = handshake(span);
    let value = match source {
        FieldSource::Param(key) => match types::optional(ty) {
            None => quote_spanned!(span=> #handshake.param::<#ty>(#key)?),
            Some(inner) => quote_spanned!(span=> #handshake.param_opt::<#inner>(#key)?),
        },
        FieldSource::Query(key) => match types::optional(ty) {
            None => quote_spanned!(span=> #handshake.query::<#ty>(#key)?),
            Some(inner) => quote_spanned!(span=> #handshake.query_opt::<#inner>(#key)?),
        },
        FieldSource::Session(key) => session(field, key),
        FieldSource::User => match types::optional(ty) {
            None => quote_spanned!(span=> #handshake.extract::<::seaway::User<#ty>>().await?.0),
            Some(inner) => quote_spanned! {span=>
                #handshake
                    .extract::<::core::option::Option<::seaway::User<#inner>>>()
                    .await?
                    .map(|user| user.0)
            },
        },
        FieldSource::State => quote_spanned! {span=>
            #handshake.state::<#ty>()?.clone()
        },
        FieldSource::Group(template) => join(field, template, consumer, span),
        FieldSource::Presence(present) => {
            let PresenceField { group, key, meta } = &**present;
            let group = group_name(group, consumer, span);
            let default = quote_spanned!(span=> ::core::default::Default::default());
            let meta = meta.as_ref().map_or(default, |meta| quote!(#meta));
            // The field that the key is of is not moved.
            quote_spanned!(span=> #handshake.present(#group, &(#key), #meta).await?)
        }
        FieldSource::Topic(topic) => resume(field, topic, consumer, span),
        FieldSource::Default(None) => quote_spanned!(span=> ::core::default::Default::default()),
        FieldSource::Default(Some(value)) => quote!(#value),
        FieldSource::Extractor => {
            // At the place of the type itself: the compiler reports an error once per place.
            let extract = quote_spanned! {ty.span()=>
                ::seaway::Handshake::<_, #marker>::extract::<#ty>(#handshake).await
            };
            quote_spanned!(span=> #extract?)
        }
    };
    quote!(let #name: #ty = #value;)
}

fn session(field: &Filled, key: &LitStr) -> TokenStream {
    let ty = &field.ty;
    let span = at(ty);
    let handshake = handshake(span);
    let inner = types::optional(ty).unwrap_or(ty);
    let value = quote_spanned! {span=>
        #handshake
            .extract::<::seaway::session::Session>()
            .await?
            .get::<#inner>(#key)
            .await?
    };
    if types::optional(ty).is_some() {
        return value;
    }
    quote_spanned! {span=>
        match #value {
            ::core::option::Option::Some(value) => value,
            ::core::option::Option::None => {
                return ::core::result::Result::Err(::seaway::__private::not_in_session(#key));
            }
        }
    }
}

/// Returns a name without `r#`.
fn plain(name: &Ident) -> String {
    name.to_string().trim_start_matches("r#").to_owned()
}

/// Returns whether the event type of the consumer is that of this group.
fn is_first_group(field: &Filled, consumer: &HandshakeStruct) -> bool {
    let first = consumer.fields.iter().find(|field| field.source.joins());
    first.is_some_and(|first| first.name == field.name)
}

/// Generates the code that joins a group.
fn join(
    field: &Filled,
    template: &Template,
    consumer: &HandshakeStruct,
    span: Span,
) -> TokenStream {
    let handshake = handshake(span);
    let ty = &field.ty;
    // The event type of another group may be one that the consumer's includes.
    let join = match consumer.event.is_none() && is_first_group(field, consumer) {
        true => quote_spanned!(span=> join),
        false => {
            quote_spanned!(span=> join_as::<<#ty as ::seaway::__private::GroupField>::Event>)
        }
    };
    let name = group_name(template, consumer, span);
    quote_spanned!(span=> #handshake.#join(#name).await?)
}

/// Generates the code that resumes a topic from the position that the client names.
fn resume(
    field: &Filled,
    topic: &TopicField,
    consumer: &HandshakeStruct,
    span: Span,
) -> TokenStream {
    let handshake = handshake(span);
    let ty = &field.ty;
    let name = group_name(&topic.group, consumer, span);
    let size = topic.size.iter().map(|size| quote!(.history_size(#size)));
    let age = topic.age.iter().map(|age| quote!(.history_age(#age)));
    quote_spanned! {span=> {
        let topic: #ty = #handshake.channels().topic(#name)? #(#size)* #(#age)*;
        let since = #handshake.since(&topic)?;
        #handshake.resume(&topic, since).await?;
        topic
    }}
}

/// Generates the name of a group. A placeholder in it is a field that is filled by now, or
/// else a path parameter.
fn group_name(template: &Template, consumer: &HandshakeStruct, span: Span) -> TokenStream {
    let handshake = handshake(span);
    let format: String = template
        .pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => text.as_str(),
            Piece::Name(_) => "{}",
        })
        .collect();
    let text = &template.text;
    if template.names().next().is_none() {
        return quote!(#text);
    }
    let format = LitStr::new(&format, text.span());
    let values = consumer.fields.iter().filter(|field| !field.source.joins());
    let fields: Vec<&Filled> = values.collect();
    let values = template.names().map(|name| {
        if let Some(field) = fields.iter().find(|field| field.name == *name) {
            // The field's own variable, used where the template is.
            let mut variable = field.name.clone();
            variable.set_span(variable.span().located_at(text.span()));
            return quote!(#variable);
        }
        let (consumer, key) = (consumer.name.to_string(), plain(name));
        let fields = fields.iter().map(|field| plain(&field.name));
        quote_spanned! {at(text)=>
            ::seaway::__private::placeholder(
                #handshake.scope(), #consumer, #text, #key, &[#(#fields),*],
            )?
        }
    });
    quote_spanned!(span=> ::std::format!(#format, #(#values),*))
}
