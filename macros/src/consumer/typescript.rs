//! `#[consumer(typescript)]`: the description of a consumer's messages in TypeScript.

use super::{
    arguments::Forward,
    events::EventName,
    messages::{MessageMethod, Shape},
    read::Consumer,
};
use crate::errors::at;
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Ident, LitStr, Type};

/// Generates the impl of `DescribedConsumer`.
pub(super) fn description(consumer: &Consumer) -> TokenStream {
    let Consumer { ty, generics, .. } = consumer;
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    let schema = schema();
    let events = events(consumer);
    let messages = consumer.messages.iter().map(message);
    quote_spanned! {at(ty)=>
        #[automatically_derived]
        #[allow(deprecated)]
        impl #impl_generics ::seaway::typescript::DescribedConsumer for #ty #where_clause {
            fn describe(#schema: &mut ::seaway::typescript::Schema) {
                #events
                #(#messages)*
            }
        }
    }
}

/// Returns the name of the parameter, which no code of the user's sees.
fn schema() -> Ident {
    Ident::new("schema", Span::mixed_site())
}

/// Generates the description of the events that are sent to the client as they are: by their types,
/// or all of them, also if an included enum is among those that are named.
fn events(consumer: &Consumer) -> Option<TokenStream> {
    let event = quote!(<Self as ::seaway::WebSocketConsumer>::Event);
    let names: Option<Vec<&LitStr>> = match &consumer.forward {
        Forward::None => return None,
        Forward::Rest(_) => None,
        Forward::These(names) => names.iter().map(EventName::kind).collect(),
    };
    let schema = schema();
    Some(match names {
        Some(names) => quote!(#schema.add_events_of::<#event>(&[#(#names),*]);),
        None => quote!(#schema.add_events::<#event>();),
    })
}

/// Generates the description of one type of message. Its parameters are a struct, which exists only
/// to be described. An `Option` may be left out, as serde allows.
fn message(message: &MessageMethod) -> TokenStream {
    let tag = &message.tag;
    let span = at(&message.method.name);
    let (definition, parameters) = match &message.shape {
        Shape::Fields(fields) => {
            let fields = fields.iter().map(|field| {
                let (attributes, name) = (&field.attributes, &field.name);
                let ty = &field.parameter.ty;
                quote!(#(#attributes)* #name: #ty)
            });
            let definition = quote_spanned! {span=>
                #[derive(::seaway::typescript::TS)]
                #[ts(crate = "::seaway::typescript::ts_rs", optional_fields = nullable)]
                #[allow(dead_code)]
                struct Parameters { #(#fields),* }
            };
            (Some(definition), quote!(Parameters))
        }
        Shape::Whole(whole) => {
            let (ty, _) = &**whole;
            (None, quote!(#ty))
        }
    };
    let schema = schema();
    let add = match reply(message) {
        Some(reply) => quote_spanned!(span=> #schema.add_request::<#parameters, #reply>(#tag);),
        None => quote_spanned!(span=> #schema.add_message::<#parameters>(#tag);),
    };
    quote!({ #definition #add })
}

/// Returns the result whose `Ok` and `Err` the client gets.
fn reply(message: &MessageMethod) -> Option<&Type> {
    if !message.is_request {
        return None;
    }
    message.nested_result().or(message.method.returns.as_ref())
}
