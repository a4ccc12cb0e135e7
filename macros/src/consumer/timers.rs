//! `#[every(seconds = 30)]`: methods that are called periodically.

use super::method::{Method, context};
use crate::errors::at;
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Attribute, Error, Expr, ExprLit, Lit, Meta, Result, Type};

/// A method that is called by a timer.
pub(super) struct TimerMethod {
    period: TokenStream,
    method: Method,
}

impl TimerMethod {
    pub(super) fn read(period: TokenStream, method: Method) -> Result<Self> {
        if !method.arguments.is_empty() {
            return Err(method.misfit("`&mut self`, then optionally `ctx: &mut Context<…>`"));
        }
        Ok(Self { period, method })
    }
}

/// Generates the `Duration` of an `#[every(…)]`.
pub(super) fn period(attribute: &Attribute) -> Result<TokenStream> {
    const UNITS: &str = "a period is in `millis`, `seconds` or `minutes`";
    let mut period = None;
    let has_value = matches!(&attribute.meta, Meta::List(list) if !list.tokens.is_empty());
    if !has_value || attribute.parse_args::<Lit>().is_ok() {
        let message = format!("{UNITS}, as in #[every(seconds = 30)]");
        return Err(Error::new_spanned(attribute, message));
    }
    attribute.parse_nested_meta(|meta| {
        let unit = meta.path.get_ident().map(ToString::to_string);
        let unit = unit.unwrap_or_default();
        if !["millis", "seconds", "minutes"].contains(&unit.as_str()) {
            return Err(meta.error(UNITS));
        }
        let amount: Expr = meta.value()?.parse()?;
        check_amount(&amount)?;
        let written = match unit.as_str() {
            "millis" => quote_spanned!(at(&amount)=> ::core::time::Duration::from_millis(#amount)),
            "seconds" => quote_spanned!(at(&amount)=> ::core::time::Duration::from_secs(#amount)),
            _ => quote_spanned!(at(&amount)=> ::core::time::Duration::from_secs(60 * (#amount))),
        };
        if period.replace(written).is_some() {
            return Err(meta.error("write one period, in one unit"));
        }
        Ok(())
    })?;
    period.ok_or_else(|| Error::new_spanned(attribute, UNITS))
}

/// Returns an error if a literal is not a valid period.
fn check_amount(amount: &Expr) -> Result<()> {
    let Expr::Lit(ExprLit { lit, .. }) = amount else {
        return Ok(());
    };
    let fault = match lit {
        Lit::Int(number) if number.base10_digits() == "0" => "the period must not be zero",
        Lit::Int(_) => return Ok(()),
        _ => "write a whole number; `millis` are the smallest unit",
    };
    Err(Error::new(lit.span(), fault))
}

/// Generates the trait's `TIMERS` and `timer`.
pub(super) fn timers(timers: &[TimerMethod], ty: &Type) -> Option<TokenStream> {
    if timers.is_empty() {
        return None;
    }
    let span = at(ty);
    let periods = timers.iter().map(|timer| &timer.period);
    let ctx = context(timers.iter().map(|timer| &timer.method), span);
    let names: Vec<_> = timers
        .iter()
        .map(|timer| timer.method.name.to_string())
        .collect();
    let arms = timers.iter().zip(&names).map(|(timer, name)| {
        let call = timer.method.call(&[]);
        quote_spanned!(at(&timer.method.name)=> #name => #call)
    });
    let constant = quote! {
        const TIMERS: &'static [::seaway::Timer] = &[#(::seaway::Timer::every(#names, #periods)),*];
    };
    Some(quote_spanned! {span=>
        #constant

        async fn timer(
            &mut self,
            #ctx: &mut ::seaway::Context<Self::Event>,
            timer: &::seaway::Timer,
        ) -> ::seaway::Result<()> {
            match timer.name() {
                #(#arms,)*
                _ => ::core::result::Result::Ok(()),
            }
        }
    })
}
