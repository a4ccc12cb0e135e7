//! Where generated code claims to come from.

use proc_macro2::Span;
use quote::ToTokens;
use syn::spanned::Spanned;

/// The place of these tokens, for code that the macro wrote: errors point there, and lints know who wrote it.
pub(crate) fn at(tokens: impl ToTokens) -> Span {
    Span::mixed_site().located_at(tokens.span())
}
