//! Integers of 128 bits, which serde does not decode inside an enum with a tag.

use crate::{serde_items, types};
use syn::{Attribute, Error, GenericArgument, PathArguments, Result, Type};

/// Returns an error if this is the type of a field that can never be decoded. The `type` that
/// selects the variant may come last, so serde buffers the fields, and its buffer has no integers
/// of 128 bits.
pub(crate) fn check(ty: &Type, serde: &[Attribute]) -> Result<()> {
    let Some(wide) = wide(ty).filter(|_| !is_decoded_otherwise(serde)) else {
        return Ok(());
    };
    let name = quote::quote!(#wide);
    Err(Error::new_spanned(
        wide,
        format!(
            "serde cannot decode `{name}` beside a `type`: use an integer of 64 bits, a `String`, or #[serde(with = \"…\")]"
        ),
    ))
}

/// Returns the `u128` of `u128`, `Option<u128>` and the like.
fn wide(ty: &Type) -> Option<&Type> {
    const CONTAINERS: &[&str] = &[
        "Option", "Box", "Vec", "VecDeque", "HashSet", "BTreeSet", "HashMap", "BTreeMap",
    ];
    match ty {
        Type::Tuple(tuple) => tuple.elems.iter().find_map(wide),
        Type::Array(array) => wide(&array.elem),
        Type::Group(group) => wide(&group.elem),
        Type::Paren(paren) => wide(&paren.elem),
        _ if types::is_named(ty, "u128") || types::is_named(ty, "i128") => Some(ty),
        _ => {
            let last = types::last_segment(ty)?;
            let PathArguments::AngleBracketed(inner) = &last.arguments else {
                return None;
            };
            let is_container = CONTAINERS.iter().any(|name| last.ident == name);
            let mut inner = inner.args.iter().filter(|_| is_container);
            inner.find_map(|argument| match argument {
                GenericArgument::Type(ty) => wide(ty),
                _ => None,
            })
        }
    }
}

/// Returns whether serde's attributes select another decoder, or none.
fn is_decoded_otherwise(serde: &[Attribute]) -> bool {
    const OTHERWISE: &[&str] = &["with", "deserialize_with", "skip", "skip_deserializing"];
    serde_items::items(serde).any(|item| types::is_word(item.path(), OTHERWISE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    #[test]
    fn a_type_is_wide_if_it_is_decoded_as_an_integer_of_128_bits() {
        for (ty, expected) in [
            (parse_quote!(u128), true),
            (parse_quote!(core::primitive::i128), true),
            (parse_quote!(Option<Vec<u128>>), true),
            (parse_quote!(HashMap<String, (u8, [i128; 2])>), true),
            (parse_quote!(u64), false),
            (parse_quote!(Vec<u64>), false),
            (parse_quote!(PhantomData<u128>), false),
            (parse_quote!(Hex<u128>), false),
        ] {
            assert_eq!(wide(&ty).is_some(), expected, "{ty:?}");
        }
    }

    #[test]
    fn a_field_with_a_decoder_of_its_own_may_be_wide() {
        for (attribute, expected) in [
            (parse_quote!(#[serde(default, with = "hex")]), true),
            (parse_quote!(#[serde(deserialize_with = "hex")]), true),
            (parse_quote!(#[serde(skip)]), true),
            (parse_quote!(#[serde(rename = "n", default)]), false),
            (parse_quote!(#[serde(serialize_with = "hex")]), false),
        ] {
            let attribute: Attribute = attribute;
            let is_sound = check(&parse_quote!(u128), &[attribute]).is_ok();
            assert_eq!(is_sound, expected);
        }
    }
}
