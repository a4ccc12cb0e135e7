//! How an `Error` is found in the errors that wrap it.
//!
//! A transparent wrapper (`anyhow::Error` as a `BoxError`, thiserror's `#[error(transparent)]`,
//! `io::Error::other`) returns the source of what it wraps as its own, so the wrapped `Error` is
//! not in the chain of sources. [`find`] therefore asks each error of the chain in a mode in which
//! an `Error` returns itself in place of its source: its `source` method is [`source_of`].

use super::{Error, StdError};
use std::cell::Cell;

thread_local! {
    /// Whether the next `Error` of this thread that is asked for its source returns itself.
    static RETURNS_ITSELF: Cell<bool> = const { Cell::new(false) };
}

/// Returns the first `Error` in the chain of sources, which begins with `error`.
pub(super) fn find<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let _mode = Mode::enter();
        cause = error.source();
    }
    None
}

/// Returns what the `source` method of an error returns: its source, or for [`find`] the `Error`
/// with its kind.
pub(crate) fn source_of<'a>(
    itself: impl FnOnce() -> &'a Error,
    source: Option<&'a (dyn StdError + 'static)>,
) -> Option<&'a (dyn StdError + 'static)> {
    match RETURNS_ITSELF.take() {
        true => Some(itself()),
        false => source,
    }
}

/// The mode in which an `Error` returns itself. It ends on drop, also if foreign code panics.
struct Mode;

impl Mode {
    fn enter() -> Self {
        RETURNS_ITSELF.set(true);
        Self
    }
}

impl Drop for Mode {
    fn drop(&mut self) {
        RETURNS_ITSELF.set(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use std::{fmt, panic::catch_unwind};

    #[derive(Debug)]
    struct Panics;

    impl fmt::Display for Panics {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("panics when it is asked for its source")
        }
    }

    impl StdError for Panics {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            panic!("out of paper")
        }
    }

    #[test]
    fn a_panic_of_a_foreign_error_leaves_the_sources_of_others_as_they_are() {
        catch_unwind(|| find(&Panics).is_some()).unwrap_err();

        let error = Error::new(ErrorKind::Layer, "cannot publish").with_source("no route");
        assert_eq!(error.source().unwrap().to_string(), "no route");
    }
}
