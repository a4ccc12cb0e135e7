//! Spans of generated code.

use proc_macro2::Span;
use quote::ToTokens;
use syn::spanned::Spanned;

/// Returns the span of these tokens for generated code: errors point there, and lints recognize
/// macro output.
pub(crate) fn at(tokens: impl ToTokens) -> Span {
    Span::mixed_site().located_at(tokens.span())
}
