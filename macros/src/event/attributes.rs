//! `#[event(…)]`, and the `#[serde(…)]` that would undo what the macro writes.

use crate::mistakes::Mistakes;
use syn::{
    Attribute, Error, Expr, LitStr, Result, Token, meta::ParseNestedMeta, parenthesized,
    punctuated::Punctuated,
};

/// The `#[event(prefix = "…")]` of an enum.
pub(super) fn prefix(attributes: &[Attribute], mistakes: &mut Mistakes) -> Option<LitStr> {
    let mut prefix = None;
    for attribute in attributes.iter().filter(|a| a.path().is_ident("event")) {
        let read = attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("prefix") {
                return Err(meta.error("on the enum write #[event(prefix = \"…\")]"));
            }
            prefix = Some(meta.value()?.parse()?);
            Ok(())
        });
        let bare = attribute.parse_args::<LitStr>();
        if let Ok(text) = bare {
            let wanted = format!(
                "on the enum write #[event(prefix = {:?})]; a type alone belongs on a variant",
                text.value()
            );
            mistakes.note(text, wanted);
        } else {
            mistakes.keep(read);
        }
    }
    prefix
}

/// The `#[event("…")]` of a variant.
pub(super) fn kind(attributes: &[Attribute], mistakes: &mut Mistakes) -> Option<LitStr> {
    let mut kind: Option<LitStr> = None;
    for attribute in attributes.iter().filter(|a| a.path().is_ident("event")) {
        let read = attribute.parse_args::<LitStr>().map_err(|_| {
            Error::new_spanned(
                attribute,
                "on a variant write its whole type, as in #[event(\"chat.message\")]",
            )
        });
        if let Some(text) = mistakes.keep(read)
            && kind.replace(text).is_some()
        {
            mistakes.note(attribute, "a variant has one type");
        }
    }
    kind
}

/// The serde attributes, which pass through; each of `written` is the macro's own and is refused with the remedy.
pub(super) fn serde(
    attributes: &[Attribute],
    written: &[(&str, &str)],
    mistakes: &mut Mistakes,
) -> Vec<Attribute> {
    let serde = attributes.iter().filter(|a| a.path().is_ident("serde"));
    let serde: Vec<Attribute> = serde.cloned().collect();
    for attribute in &serde {
        mistakes.keep(attribute.parse_nested_meta(|meta| {
            let found = written.iter().find(|(name, _)| meta.path.is_ident(name));
            if let Some((_, remedy)) = found {
                return Err(meta.error(remedy));
            }
            skip_value(&meta)
        }));
    }
    serde
}

/// Steps over `= value` or `(…)`: that is serde's to judge.
fn skip_value(meta: &ParseNestedMeta<'_>) -> Result<()> {
    if meta.input.peek(Token![=]) {
        meta.value()?.parse::<Expr>()?;
    } else if meta.input.peek(syn::token::Paren) {
        let inside;
        parenthesized!(inside in meta.input);
        Punctuated::<syn::Meta, Token![,]>::parse_terminated(&inside)?;
    }
    Ok(())
}
