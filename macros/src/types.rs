//! Checks of a type by its tokens.

use syn::{GenericArgument, Path, PathArguments, PathSegment, Type};

/// Returns the last segment of a type's path: `Group<E>` of `seaway::Group<E>`.
pub(crate) fn last_segment(ty: &Type) -> Option<&PathSegment> {
    match ty {
        Type::Path(path) => path.path.segments.last(),
        Type::Group(group) => last_segment(&group.elem),
        Type::Paren(paren) => last_segment(&paren.elem),
        _ => None,
    }
}

/// Returns whether the type has this name, in any module.
pub(crate) fn is_named(ty: &Type, name: &str) -> bool {
    last_segment(ty).is_some_and(|last| last.ident == name)
}

/// Returns the `E` of `Group<E>`.
pub(crate) fn argument(ty: &Type) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &last_segment(ty)?.arguments else {
        return None;
    };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

/// Returns the `T` of `Option<T>`.
pub(crate) fn optional(ty: &Type) -> Option<&Type> {
    is_named(ty, "Option").then(|| argument(ty)).flatten()
}

/// Returns the `T` of `&T` and `&mut T`.
pub(crate) fn referent(ty: &Type) -> Option<&Type> {
    match ty {
        Type::Reference(reference) => Some(&reference.elem),
        Type::Group(group) => referent(&group.elem),
        Type::Paren(paren) => referent(&paren.elem),
        _ => None,
    }
}

/// Returns whether this is certainly a type of the standard library that serde does not encode as a
/// map.
pub(crate) fn is_plain(ty: &Type) -> bool {
    const PLAIN: &[&str] = &[
        "String", "Vec", "VecDeque", "Option", "HashSet", "BTreeSet", "bool", "char", "u8", "u16",
        "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f32", "f64",
    ];
    match ty {
        Type::Tuple(_) | Type::Array(_) | Type::Slice(_) => true,
        _ => PLAIN.iter().any(|name| is_named(ty, name)),
    }
}

/// Returns whether the path is exactly one of these names.
pub(crate) fn is_word(path: &Path, words: &[&str]) -> bool {
    words.iter().any(|word| path.is_ident(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    #[test]
    fn a_type_is_known_by_its_last_name() {
        let option: Type = parse_quote!(::std::option::Option<Vec<u8>>);
        let context: Type = parse_quote!(&mut seaway::Context<ChatEvent>);

        assert_eq!(optional(&option), Some(&parse_quote!(Vec<u8>)));
        assert!(is_named(referent(&context).unwrap(), "Context"));
        assert_eq!(optional(&parse_quote!(Vec<u8>)), None);
        assert_eq!(argument(&parse_quote!(Context)), None);
    }
}
