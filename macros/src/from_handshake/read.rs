//! The parsed struct.

use super::source::{self, FieldSource};
use crate::{errors::Errors, types};
use syn::{Attribute, Data, DeriveInput, Fields, Generics, Ident, Type};

/// A struct that is filled from a handshake.
pub(super) struct HandshakeStruct {
    pub(super) name: Ident,
    pub(super) generics: Generics,
    /// `#[consumer(event = …)]`.
    pub(super) event: Option<Type>,
    pub(super) fields: Vec<Filled>,
}

/// A field, and the source of its value.
pub(super) struct Filled {
    pub(super) name: Ident,
    pub(super) ty: Type,
    pub(super) source: FieldSource,
}

pub(super) fn read(input: DeriveInput, errors: &mut Errors) -> Option<HandshakeStruct> {
    let event = event(&input.attrs, errors);
    let fields = match input.data {
        Data::Struct(data) => data.fields,
        Data::Enum(_) | Data::Union(_) => {
            errors.add(&input.ident, "a consumer is a struct with named fields");
            return None;
        }
    };
    let fields = match fields {
        Fields::Named(fields) => fields.named,
        Fields::Unit => Default::default(),
        Fields::Unnamed(fields) => {
            let message = "a consumer's fields have names: the macro fills them by name";
            errors.add(fields, message);
            return None;
        }
    };
    let fields = fields.into_iter().filter_map(|field| {
        let name = field.ident.clone()?;
        let source = source::source(&field, &name, errors);
        let ty = field.ty;
        Some(Filled { name, ty, source })
    });
    let fields: Vec<Filled> = fields.collect();
    check_groups(&fields, errors);
    Some(HandshakeStruct {
        name: input.ident,
        generics: input.generics,
        event,
        fields,
    })
}

fn event(attributes: &[Attribute], errors: &mut Errors) -> Option<Type> {
    let mut event = None;
    let consumer = |attribute: &&Attribute| attribute.path().is_ident("consumer");
    for attribute in attributes.iter().filter(consumer) {
        errors.keep(attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("event") {
                return Err(meta.error("expected #[consumer(event = TheType)]"));
            }
            event = Some(meta.value()?.parse()?);
            Ok(())
        }));
    }
    event
}

/// Adds an error for each `#[group]`, `#[presence]` or `#[topic]` field that is certainly none. The
/// compiler would report it too, but once for every method.
fn check_groups(fields: &[Filled], errors: &mut Errors) {
    for Filled { ty, source, .. } in fields {
        let (name, message) = match source {
            FieldSource::Group(_) => (
                "Group",
                "a field with #[group(\"…\")] is a `Group<YourEvent>`",
            ),
            FieldSource::Presence(_) => (
                "Presence",
                "a field with #[presence(\"…\", key = …)] is a `Presence<YourMeta>`",
            ),
            FieldSource::Topic(_) => (
                "Topic",
                "a field with #[topic(\"…\")] is a `Topic<YourEvent>`",
            ),
            _ => continue,
        };
        let is_another = |other: &&str| *other != name && types::is_named(ty, other);
        let others = ["Group", "Presence", "Topic"];
        if types::is_plain(ty) || others.iter().any(is_another) {
            errors.add(ty, message);
        }
    }
}
