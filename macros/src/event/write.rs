//! The code that `#[derive(Event)]` generates.

use super::{
    names,
    read::{Events, Kind},
};
use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{Fields, Ident, LitStr};

pub(super) fn write(events: &Events) -> TokenStream {
    let name = &events.name;
    let mirror = mirror(events);
    let types = events.variants.iter().map(|variant| &variant.kind);
    let finders = finders(events);
    quote! {
        const _: () = {
            #mirror

            #[automatically_derived]
            impl ::seaway::__private::serde::Serialize for #name {
                fn serialize<S: ::seaway::__private::serde::Serializer>(
                    &self,
                    serializer: S,
                ) -> ::core::result::Result<S::Ok, S::Error> {
                    __Mirror::serialize(self, serializer)
                }
            }

            #[automatically_derived]
            impl<'de> ::seaway::__private::serde::Deserialize<'de> for #name {
                fn deserialize<D: ::seaway::__private::serde::Deserializer<'de>>(
                    deserializer: D,
                ) -> ::core::result::Result<Self, D::Error> {
                    __Mirror::deserialize(deserializer)
                }
            }

            #[automatically_derived]
            impl ::seaway::Event for #name {}

            #[automatically_derived]
            impl ::seaway::__private::EventTypes for #name {
                const TYPES: &'static [&'static str] = &[#(#types),*];
            }
        };

        #finders
    }
}

/// Generates placeholder impls for an enum with errors, so that the compiler does not also report
/// missing impls.
pub(super) fn stub(name: &Ident) -> TokenStream {
    quote! {
        #[automatically_derived]
        impl ::seaway::__private::serde::Serialize for #name {
            fn serialize<S: ::seaway::__private::serde::Serializer>(
                &self,
                _: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                ::core::unreachable!()
            }
        }

        #[automatically_derived]
        impl<'de> ::seaway::__private::serde::Deserialize<'de> for #name {
            fn deserialize<D: ::seaway::__private::serde::Deserializer<'de>>(
                _: D,
            ) -> ::core::result::Result<Self, D::Error> {
                ::core::unreachable!()
            }
        }

        #[automatically_derived]
        impl ::seaway::Event for #name {}
    }
}

/// Generates a copy of the enum, from which serde derives the impls of the original (`remote`).
fn mirror(events: &Events) -> TokenStream {
    let name = &events.name;
    let remote = LitStr::new(&name.to_string(), name.span());
    let serde = &events.serde;
    let variants = events.variants.iter().map(|variant| {
        let Kind {
            ident,
            kind,
            serde,
            fields,
            ..
        } = variant;
        let kind = LitStr::new(kind, variant.span);
        quote! {
            #(#serde)*
            #[serde(rename = #kind)]
            #ident #fields
        }
    });
    quote! {
        #[derive(::seaway::__private::serde::Serialize, ::seaway::__private::serde::Deserialize)]
        #[serde(crate = "::seaway::__private::serde", remote = #remote, tag = "type")]
        #(#serde)*
        #[allow(dead_code)]
        enum __Mirror {
            #(#variants),*
        }
    }
}

/// Generates a function per type that matches events of that type; `#[on("chat.message")]` calls
/// `on_chat_message`. For a misspelled type the function does not exist, and rustc suggests the one
/// that does.
fn finders(events: &Events) -> TokenStream {
    let Events {
        name, visibility, ..
    } = events;
    let finders = events.variants.iter().map(|variant| {
        let Kind {
            ident,
            kind,
            span,
            fields,
            ..
        } = variant;
        let finder = format_ident!("{}", names::finder(kind), span = *span);
        let (payload, pattern, found) = match fields {
            Fields::Unnamed(fields) => {
                let ty = fields.unnamed.first().map(|field| &field.ty);
                (quote!(&#ty), quote!(Self::#ident(payload)), quote!(payload))
            }
            _ => {
                let nothing = quote!(::seaway::__private::NoPayload);
                (nothing.clone(), quote!(Self::#ident { .. }), nothing)
            }
        };
        quote_spanned! {*span=>
            #[doc(hidden)]
            #[allow(dead_code, private_interfaces, unreachable_patterns, unreachable_pub)]
            #visibility const fn #finder(&self) -> ::core::option::Option<#payload> {
                match self {
                    #pattern => ::core::option::Option::Some(#found),
                    _ => ::core::option::Option::None,
                }
            }
        }
    });
    quote! {
        #[automatically_derived]
        impl #name {
            #(#finders)*
        }
    }
}
