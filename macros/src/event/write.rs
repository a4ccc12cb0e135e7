//! The code that `#[derive(Event)]` generates.

use super::{
    names,
    read::{Events, Kind},
};
use crate::errors::at;
use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{Fields, Ident, LitStr, Type};

pub(super) fn write(events: &Events) -> TokenStream {
    let name = &events.name;
    let mirror = mirror(events);
    let types = events.variants.iter().map(|variant| &variant.kind);
    let finders = finders(events);
    let decodes = decodes(events);
    let is_other = is_other(events);
    let topic_position = topic_position(events);
    let includes = includes(events);
    let order = order(events);
    let description = events.is_typescript.then(|| description(events));
    quote! {
        #[allow(deprecated)]
        const _: () = {
            #mirror
            #description

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
            impl ::seaway::Event for #name {
                #decodes
                #is_other
                #topic_position
            }

            #includes
            #order

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
    let own = events
        .variants
        .iter()
        .filter(|variant| !variant.is_included);
    let own = own.map(|variant| {
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
    // serde tries these after the tagged ones, and they come last.
    let included = events.variants.iter().filter(|variant| variant.is_included);
    let included = included.map(|variant| {
        let Kind {
            ident,
            serde,
            fields,
            ..
        } = variant;
        quote! {
            #(#serde)*
            #[serde(untagged)]
            #ident #fields
        }
    });
    let has_own = events.variants.iter().any(|variant| !variant.is_included);
    let tag = match has_own {
        true => quote!(tag = "type"),
        false => quote!(untagged),
    };
    let variants = own.chain(included);
    quote! {
        #[derive(::seaway::__private::serde::Serialize, ::seaway::__private::serde::Deserialize)]
        #[serde(crate = "::seaway::__private::serde", remote = #remote, #tag)]
        #(#serde)*
        #[allow(dead_code)]
        enum __Mirror {
            #(#variants),*
        }
    }
}

/// Generates a copy of the enum from which ts-rs derives its description. It has the fields' own
/// attributes of serde, which ts-rs obeys; included events are described by their own copies.
fn description(events: &Events) -> TokenStream {
    let name = &events.name;
    let renamed = LitStr::new(&name.to_string(), name.span());
    // A client does not get the events whose type the enum does not know.
    let known = events.variants.iter().filter(|variant| !variant.is_other);
    let variants = known.map(|variant| {
        let Kind {
            ident,
            kind,
            serde,
            fields,
            is_included,
            ..
        } = variant;
        let ty = fields.iter().next().map(|field| &field.ty);
        match (is_included, ty) {
            (true, Some(ty)) => quote! {
                #[ts(untagged)]
                #ident(<#ty as ::seaway::typescript::Described>::Description)
            },
            _ => {
                let kind = LitStr::new(kind, variant.span);
                quote! {
                    #(#serde)*
                    #[ts(rename = #kind)]
                    #ident #fields
                }
            }
        }
    });
    let serde = &events.serde;
    quote! {
        #[derive(::seaway::typescript::TS)]
        #[ts(crate = "::seaway::typescript::ts_rs", rename = #renamed, tag = "type")]
        #(#serde)*
        #[allow(dead_code, private_interfaces, unreachable_pub)]
        pub enum __Description {
            #(#variants),*
        }

        #[automatically_derived]
        impl ::seaway::typescript::Described for #name {
            type Description = __Description;
        }
    }
}

/// Returns the enums that this one includes, in order.
fn included(events: &Events) -> Vec<&Type> {
    let included = events.variants.iter().filter(|variant| variant.is_included);
    let types = included.filter_map(|variant| variant.fields.iter().next());
    types.map(|field| &field.ty).collect()
}

/// Generates `DECODES`, unless the enum has plain events only.
fn decodes(events: &Events) -> Option<TokenStream> {
    let has_other = events.variants.iter().any(|variant| variant.is_other);
    let has_own = events.variants.iter().any(|variant| !variant.is_included);
    let included = included(events);
    if !has_other && included.is_empty() {
        return None;
    }
    let own = match (has_other, has_own) {
        (true, _) => quote!(OTHER),
        (false, true) => quote!(PLAIN),
        (false, false) => quote!(NONE),
    };
    Some(quote! {
        const DECODES: ::seaway::__private::Decodes =
            ::seaway::__private::Decodes::#own #(.or(<#included as ::seaway::Event>::DECODES))*;
    })
}

/// Generates a check that fails to compile if an included type takes the events of a later one.
fn order(events: &Events) -> TokenStream {
    let included = included(events);
    let pairs = included.iter().enumerate().flat_map(|(place, first)| {
        let later = included[place + 1..].iter();
        later.map(move |next| {
            quote_spanned! {at(first)=>
                const _: () = ::seaway::__private::is_included_before::<#first, #next>();
            }
        })
    });
    quote!(#(#pairs)*)
}

/// Generates `is_other`, unless no event can be one.
fn is_other(events: &Events) -> Option<TokenStream> {
    let arms: Vec<TokenStream> = events
        .variants
        .iter()
        .filter(|variant| variant.is_other || variant.is_included)
        .map(|variant| {
            let ident = &variant.ident;
            match variant.is_included {
                true => quote!(Self::#ident(event) => ::seaway::Event::is_other(event)),
                false => quote!(Self::#ident { .. } => true),
            }
        })
        .collect();
    if arms.is_empty() {
        return None;
    }
    Some(quote! {
        #[allow(unreachable_patterns)]
        fn is_other(&self) -> bool {
            match self {
                #(#arms,)*
                _ => false,
            }
        }
    })
}

/// Generates `topic_position`, unless no event can have one.
fn topic_position(events: &Events) -> Option<TokenStream> {
    let included = events.variants.iter().filter(|variant| variant.is_included);
    let included: Vec<&Ident> = included.map(|variant| &variant.ident).collect();
    if included.is_empty() {
        return None;
    }
    Some(quote! {
        #[allow(unreachable_patterns)]
        fn topic_position(&self) -> ::core::option::Option<&::seaway::Position> {
            match self {
                #(Self::#included(event) => ::seaway::Event::topic_position(event),)*
                _ => ::core::option::Option::None,
            }
        }
    })
}

/// Generates an impl per included enum, which lets consumers of this one join its groups.
fn includes(events: &Events) -> TokenStream {
    let name = &events.name;
    let impls = included(events).into_iter().map(|ty| {
        quote_spanned! {at(ty)=>
            #[automatically_derived]
            impl ::seaway::Includes<#ty> for #name {}
        }
    });
    quote!(#(#impls)*)
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
            is_included,
            fields,
            ..
        } = variant;
        let finder = match is_included {
            true => names::every(kind),
            false => names::finder(kind),
        };
        let finder = format_ident!("{}", finder, span = *span);
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
            #[must_use]
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
        #[allow(deprecated)]
        impl #name {
            #(#finders)*
        }
    }
}
