//! Conversions of session errors into [`Error`] and [`Rejection`].

use super::{GONE, session_store};
use crate::{
    error::{Error, ErrorKind},
    rejection::Rejection,
};
use tower_sessions::session;

impl From<session::Error> for Error {
    fn from(error: session::Error) -> Self {
        match &error {
            // A store of tower-sessions reports its errors as text only.
            session::Error::Store(session_store::Error::Backend(message)) if message == GONE => {
                Self::new(ErrorKind::SessionGone, GONE)
            }
            session::Error::Store(_) => {
                Self::new(ErrorKind::Session, "the session store failed").with_source(error)
            }
            session::Error::SerdeJson(_) => {
                Self::new(ErrorKind::Codec, "a session value is not of this type")
                    .with_source(error)
            }
        }
    }
}

impl From<session::Error> for Rejection {
    fn from(error: session::Error) -> Self {
        Error::from(error).into()
    }
}
