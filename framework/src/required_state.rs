//! The values and path parameters that applications need in their scopes, for a check before the
//! first client.

use crate::error::{Error, ErrorKind, Result};
use http::Extensions;
use std::{
    any::{TypeId, type_name},
    borrow::Cow,
    fmt,
};

/// The values and path parameters that an application needs; checked before the server starts.
///
/// Consumers and extractors report what they need, and middleware and routers remove what they
/// provide. Before it accepts the connections of a router, [`serve`](crate::serve) fails with
/// [`ErrorKind::Missing`](crate::ErrorKind::Missing) if anything is left that no startup function
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
    need: Need,
    /// The consumer or middleware that needs it.
    by: Cow<'static, str>,
    /// The route of that consumer.
    route: String,
}

#[derive(Clone)]
enum Need {
    Value {
        id: TypeId,
        /// The value, as an error names it.
        name: Cow<'static, str>,
        /// What is to be done if it is missing.
        remedy: Cow<'static, str>,
        /// Returns whether these values include it.
        is_in: fn(&Extensions) -> bool,
    },
    /// A path parameter of this name.
    Param(Cow<'static, str>),
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
        Self::needing(Need::Value {
            id: TypeId::of::<T>(),
            name: name.into(),
            remedy: remedy.into(),
            is_in: |values| values.get::<T>().is_some(),
        })
    }

    /// Requires a path parameter, which a [`PathRouter`](crate::routing::PathRouter) provides whose
    /// route has it.
    ///
    /// ```
    /// use seaway::RequiredState;
    ///
    /// let required = RequiredState::of_param("room");
    /// assert_eq!(
    ///     required.check().unwrap_err().to_string(),
    ///     r#"an application needs the path parameter "room": route it under a path with {room}"#
    /// );
    /// assert!(required.without_param("room").is_empty());
    /// ```
    pub fn of_param(name: impl Into<Cow<'static, str>>) -> Self {
        Self::needing(Need::Param(name.into()))
    }

    fn needing(need: Need) -> Self {
        Self(vec![Requirement {
            need,
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
        let is_it =
            |need: &Need| matches!(need, Need::Value { id, .. } if *id == TypeId::of::<T>());
        self.0.retain(|needed| !is_it(&needed.need));
        self
    }

    /// Removes a path parameter: a router of your own provides it.
    pub fn without_param(mut self, name: &str) -> Self {
        let is_it = |need: &Need| matches!(need, Need::Param(needed) if needed == name);
        self.0.retain(|needed| !is_it(&needed.need));
        self
    }

    /// Replaces what is to be done if a type of value is missing.
    #[cfg(feature = "django")]
    pub(crate) fn with_remedy<T: 'static>(mut self, instead: &'static str) -> Self {
        for needed in &mut self.0 {
            if let Need::Value { id, remedy, .. } = &mut needed.need
                && *id == TypeId::of::<T>()
            {
                *remedy = Cow::Borrowed(instead);
            }
        }
        self
    }

    /// Removes these values.
    #[cfg(feature = "server")]
    pub(crate) fn without_all(mut self, values: &Extensions) -> Self {
        let has = |need: &Need| matches!(need, Need::Value { is_in, .. } if is_in(values));
        self.0.retain(|needed| !has(&needed.need));
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

    /// Puts these requirements below a route, which provides its parameters.
    pub(crate) fn at(mut self, route: &str) -> Self {
        let has = |name: &str| {
            // `{{` is a literal brace.
            let route = route.replace("{{", "");
            let mut segments = route.split('{').skip(1);
            segments.any(|segment| {
                let param = segment.split('}').next().unwrap_or_default();
                param.trim_start_matches('*') == name
            })
        };
        self.0
            .retain(|needed| !matches!(&needed.need, Need::Param(name) if has(name)));
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
            match &needed.need {
                Need::Value { name, remedy, .. } => write!(f, " needs {name}: {remedy}")?,
                Need::Param(name) => write!(
                    f,
                    " needs the path parameter {name:?}: route it under a path with {{{name}}}"
                )?,
            }
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

    #[test]
    fn a_route_provides_its_own_parameters() {
        let needs = || RequiredState::of_param("room").by("Room");

        for route in ["/ws/{room}", "/{*room}", "/{house}/{room}/x", "/a{room}"] {
            assert!(needs().at(route).is_empty(), "{route}");
        }
        assert!(needs().at("/ws").at("/{room}").is_empty());
        assert!(!needs().at("/{{room}}").is_empty());
        assert_eq!(
            needs().at("/ws/{rooms}").check().unwrap_err().to_string(),
            r#"Room at /ws/{rooms} needs the path parameter "room": route it under a path with {room}"#
        );
    }
}
