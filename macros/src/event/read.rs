//! The parsed enum, with the `type` of each variant.

use super::{
    attributes::{self, OnEnum, OnVariant},
    names,
};
use crate::{errors::Errors, types, wide};
use proc_macro2::Span;
use std::collections::HashMap;
use syn::{
    Attribute, Data, DeriveInput, Error, Field, Fields, Ident, LitStr, Variant, Visibility,
    spanned::Spanned,
};

/// An enum of events.
pub(super) struct Events {
    pub(super) name: Ident,
    pub(super) visibility: Visibility,
    pub(super) serde: Vec<Attribute>,
    /// `#[event(typescript)]`: the enum has a description in TypeScript.
    pub(super) is_typescript: bool,
    pub(super) variants: Vec<Kind>,
}

/// A variant and its `type`.
pub(super) struct Kind {
    pub(super) ident: Ident,
    pub(super) kind: String,
    /// `#[event(include)]`: the variant holds another enum of events, and its name is in `kind`.
    pub(super) is_included: bool,
    /// `#[serde(other)]`: the variant stands for all types that the enum does not know.
    pub(super) is_other: bool,
    /// Span of the type's string, or of the variant.
    pub(super) span: Span,
    pub(super) serde: Vec<Attribute>,
    /// The fields, with serde's attributes only.
    pub(super) fields: Fields,
}

const TAG: &str = "#[derive(Event)] tags the enum by `type` itself: remove this";
const NAMES: &str = "#[derive(Event)] names the types: write #[event(prefix = \"…\")], or #[event(\"…\")] on variants";
const ON_ENUM: &[(&str, &str)] = &[
    ("tag", TAG),
    ("content", TAG),
    ("untagged", TAG),
    ("remote", TAG),
    ("crate", TAG),
    ("rename", NAMES),
    ("rename_all", NAMES),
];
const ON_VARIANT: &[(&str, &str)] = &[
    ("rename", "write #[event(\"…\")] for another type"),
    ("untagged", TAG),
];

pub(super) fn read(input: DeriveInput, errors: &mut Errors) -> Option<Events> {
    let Data::Enum(data) = &input.data else {
        errors.add(
            &input.ident,
            format!(
                "events are the variants of an enum: write `enum {name} {{ … }}`, also for a single one",
                name = input.ident
            ),
        );
        return None;
    };
    if !input.generics.params.is_empty() {
        errors.add(
            &input.generics,
            "an enum of events has no type parameters or lifetimes: every process must know the type that it decodes",
        );
    }
    if data.variants.is_empty() {
        errors.add(
            &input.ident,
            "an enum without variants is no event: for a consumer without events, use `seaway::NoEvent`",
        );
    }
    let OnEnum {
        prefix: written,
        is_typescript,
    } = attributes::on_enum(&input.attrs, errors);
    let prefix = prefix(&input, written, errors);
    let serde = attributes::serde(&input.attrs, ON_ENUM, errors);
    let variants = data.variants.iter();
    let variants: Vec<Kind> = variants
        .map(|variant| kind(variant, prefix.as_deref(), errors))
        .collect();
    check_unique(&variants, errors);
    check_other(&variants, errors);
    Some(Events {
        name: input.ident,
        visibility: input.vis,
        serde,
        is_typescript,
        variants,
    })
}

/// Returns the prefix of the types of variants without `#[event("…")]`.
fn prefix(input: &DeriveInput, written: Option<LitStr>, errors: &mut Errors) -> Option<String> {
    if let Some(text) = written {
        if let Some(fault) = names::fault(&format!("{}.x", text.value())) {
            errors.add(&text, fault.replace(".x\"", "\""));
        }
        return Some(text.value());
    }
    let prefix = names::prefix(&input.ident.to_string());
    if prefix.is_none() {
        errors.add(
            &input.ident,
            "an enum named just `Event` gives its types no prefix: name it `ChatEvent`, or add #[event(prefix = \"chat\")]",
        );
    }
    prefix
}

fn kind(variant: &Variant, prefix: Option<&str>, errors: &mut Errors) -> Kind {
    let attribute = attributes::on_variant(&variant.attrs, errors);
    let is_included = matches!(attribute, Some(OnVariant::Include));
    let (kind, span) = match &attribute {
        Some(OnVariant::Type(text)) => (text.value(), text.span()),
        Some(OnVariant::Include) => (variant.ident.to_string(), variant.ident.span()),
        None => {
            let name = names::snake(&variant.ident.to_string());
            let prefix = prefix.unwrap_or("event");
            (format!("{prefix}.{name}"), variant.ident.span())
        }
    };
    // An invalid prefix is reported once, at the prefix.
    let prefix_is_sound =
        prefix.is_none_or(|prefix| names::fault(&format!("{prefix}.x")).is_none());
    if !is_included
        && (attribute.is_some() || prefix_is_sound)
        && let Some(fault) = names::fault(&kind)
    {
        errors.push(Error::new(span, fault));
    }
    let mut fields = variant.fields.clone();
    match is_included {
        true => check_included(variant, errors),
        false => check_fields(variant, errors),
    }
    for field in &mut fields {
        field.attrs = attributes::serde(&field.attrs, &[], errors);
        errors.keep(wide::check(&field.ty, &field.attrs));
    }
    let serde = attributes::serde(&variant.attrs, ON_VARIANT, errors);
    Kind {
        ident: variant.ident.clone(),
        kind,
        span,
        is_included,
        is_other: attributes::is_other(&serde),
        serde,
        fields,
    }
}

/// Adds an error unless the variant holds one type, the enum whose events it includes.
fn check_included(variant: &Variant, errors: &mut Errors) {
    let name = &variant.ident;
    match &variant.fields {
        Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {}
        _ => errors.add(
            variant,
            format!(
                "an included variant holds the other enum of events: write `{name}(OtherEvent)`"
            ),
        ),
    }
}

/// Adds an error for `#[serde(other)]` beside included events, whose types it would take.
fn check_other(variants: &[Kind], errors: &mut Errors) {
    let included = variants.iter().any(|variant| variant.is_included);
    for variant in variants
        .iter()
        .filter(|variant| included && variant.is_other)
    {
        errors.add(
            &variant.ident,
            "`#[serde(other)]` would take the events of the included enums: put it into the last of these enums",
        );
    }
}

/// Adds an error if fields have no names: an event is a map on the wire.
fn check_fields(variant: &Variant, errors: &mut Errors) {
    let Fields::Unnamed(fields) = &variant.fields else {
        return;
    };
    let name = &variant.ident;
    let mut types = fields.unnamed.iter().map(|field: &Field| &field.ty);
    match (types.next(), types.next()) {
        (None, _) => errors.add(fields, format!("write `{name}` or `{name} {{}}`")),
        (Some(only), None) if types::is_plain(only) => errors.add(
            only,
            format!(
                "an event is a map, and this type is not one: name the field, as in `{name} {{ value: {} }}`",
                quote::quote!(#only).to_string().replace(' ', "")
            ),
        ),
        (Some(_), None) => {}
        _ => errors.add(
            fields,
            format!("an event is a map, so its fields have names: write `{name} {{ name: Type, … }}`"),
        ),
    }
}

/// Adds an error for each type of two variants. Types that differ only in periods and underscores
/// are equal to Django Channels, which calls the same method.
fn check_unique(variants: &[Kind], errors: &mut Errors) {
    let mut seen: HashMap<String, &Kind> = HashMap::new();
    for variant in variants.iter().filter(|variant| !variant.is_included) {
        let Some(first) = seen.insert(names::finder(&variant.kind), variant) else {
            continue;
        };
        let message = if first.kind == variant.kind {
            format!(
                "{:?} is already the type of `{}`",
                variant.kind, first.ident
            )
        } else {
            format!(
                "{:?} and {:?} (of `{}`) are equal to Django Channels, which replaces periods by underscores",
                variant.kind, first.kind, first.ident
            )
        };
        errors.push(Error::new(variant.span.span(), message));
    }
}
