//! The values that applications need in their scopes, for a check before the first client.

use crate::error::{Error, ErrorKind, Result};
use http::Extensions;
use std::{
    any::{TypeId, type_name},
    borrow::Cow,
    fmt,
};

/// The values that an application needs in its scopes, and that middleware or start-up functions
/// are to provide.
///
/// Consumers and extractors report what they need, and middleware removes what it provides. Before
/// it accepts connections, [`serve`](crate::serve) fails with
/// [`ErrorKind::Missing`](crate::ErrorKind::Missing) if anything is left that no start-up function
/// has returned.
///
/// ```
/// use seaway::{RequiredState, routing::ProtocolTypeRouter};
/// # use seaway::{Channels, Context, Handshake, NoEvent, Rejection, Result, WebSocketConsumer};
/// # struct Chat;
/// # impl WebSocketConsumer for Chat {
/// #     type Input = String;
/// #     type Event = NoEvent;
/// #     async fn connect(_: &mut Handshake) -> Result<Self, Rejection> { Ok(Self) }
/// #     async fn receive(&mut self, _: &mut Context, _: String) -> Result<()> { Ok(()) }
/// #     fn required_state() -> RequiredState { RequiredState::of::<Database>() }
/// # }
/// use seaway::middleware::Provide;
///
/// #[derive(Clone)]
/// struct Database;
///
/// // `Chat` has a field `#[state] database: Database`.
/// let app = ProtocolTypeRouter::new().websocket(Chat::application(&Channels::in_memory()));
/// assert!(!app.required_state().is_empty());
///
/// let app = app.with(Provide(Database));
/// assert!(app.required_state().is_empty());
/// ```
#[derive(Clone, Default)]
#[must_use = "what is required is checked only where it is reported"]
pub struct RequiredState(Vec<Requirement>);

#[derive(Clone)]
struct Requirement {
    value: TypeId,
    /// The value, as an error names it.
    name: Cow<'static, str>,
    /// What is to be done if it is missing.
    remedy: Cow<'static, str>,
    /// Returns whether these values include it.
    is_in: fn(&Extensions) -> bool,
    /// The consumer or middleware that needs it.
    by: Cow<'static, str>,
    /// The route of that consumer.
    route: String,
}

impl RequiredState {
    /// Returns the requirements of an application that needs nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// Requires a value of this type.
    pub fn of<T: Clone + Send + Sync + 'static>() -> Self {
        let remedy = "return one from an on_startup function, or wrap the application in Provide";
        Self::from_middleware::<T>(type_name::<T>(), remedy)
    }

    /// Requires a value that a middleware of the framework inserts.
    pub(crate) fn from_middleware<T: Clone + Send + Sync + 'static>(
        name: impl Into<Cow<'static, str>>,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(vec![Requirement {
            value: TypeId::of::<T>(),
            name: name.into(),
            remedy: remedy.into(),
            is_in: |values| values.get::<T>().is_some(),
            by: Cow::Borrowed("an application"),
            route: String::new(),
        }])
    }

    /// Adds other requirements.
    ///
    /// ```
    /// # use seaway::RequiredState;
    /// let both = RequiredState::none().and(RequiredState::of::<u8>()).and(RequiredState::of::<char>());
    /// ```
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Removes a type of value: a middleware provides it.
    pub fn without<T: 'static>(mut self) -> Self {
        self.0.retain(|needed| needed.value != TypeId::of::<T>());
        self
    }

    /// Removes these values.
    #[cfg(feature = "server")]
    pub(crate) fn without_all(mut self, values: &Extensions) -> Self {
        self.0.retain(|needed| !(needed.is_in)(values));
        self
    }

    /// Names the consumer or middleware that needs the values.
    pub(crate) fn by(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        let name = name.into();
        for needed in &mut self.0 {
            needed.by = name.clone();
        }
        self
    }

    /// Puts these requirements below a route.
    pub(crate) fn at(mut self, route: &str) -> Self {
        for needed in &mut self.0 {
            needed.route.insert_str(0, route);
        }
        self
    }

    /// Returns whether nothing is required.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks that nothing is required.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`], with everything that is missing and who needs it.
    pub fn check(&self) -> Result<()> {
        match self.is_empty() {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Missing, self.to_string())),
        }
    }
}

/// Formats all requirements, each with the consumer that has it and the remedy.
impl fmt::Display for RequiredState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, needed) in self.0.iter().enumerate() {
            if nth > 0 {
                f.write_str("; ")?;
            }
            f.write_str(&needed.by)?;
            if !needed.route.is_empty() {
                write!(f, " at {}", needed.route)?;
            }
            write!(f, " needs {}: {}", needed.name, needed.remedy)?;
        }
        Ok(())
    }
}

impl fmt::Debug for RequiredState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequiredState({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_value_is_named_with_its_route_and_consumer() {
        let rooms = RequiredState::of::<u8>().and(RequiredState::of::<u16>());
        let all = rooms.by("Room").at("/{room}").at("/ws");
        let all = all.and(RequiredState::of::<u32>()).without::<u16>();

        let missing = all.check().unwrap_err();

        assert_eq!(missing.kind(), ErrorKind::Missing);
        assert_eq!(
            missing.to_string(),
            "Room at /ws/{room} needs u8: return one from an on_startup function, or wrap the \
             application in Provide; an application needs u32: return one from an on_startup \
             function, or wrap the application in Provide"
        );
        assert!(all.without::<u8>().without::<u32>().check().is_ok());
    }
}
