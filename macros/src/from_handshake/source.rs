//! The source of a field's value, by its attribute.

use super::template::Template;
use crate::{errors::Errors, types};
use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Error, Expr, Field, Ident, LitStr, Meta, Result, Token, parse::ParseStream};

/// The source of a field's value.
pub(super) enum FieldSource {
    /// `#[param]`: the path parameter of this name.
    Param(LitStr),
    /// `#[query]`: the query parameter of this name.
    Query(LitStr),
    /// `#[session("key")]`.
    Session(LitStr),
    /// `#[user]`.
    User,
    /// `#[state]`: a value that middleware has inserted.
    State,
    /// `#[group("chat.{room}")]`.
    Group(Template),
    /// `#[presence("lot.{lot}", key = user, meta = seat)]`.
    Presence(Box<PresenceField>),
    /// `#[topic("lot.{lot}", history_size = 100)]`.
    Topic(Box<TopicField>),
    /// `#[default]`, or `#[default(expression)]`.
    Default(Option<Box<Expr>>),
    /// No attribute: an extractor.
    Extractor,
}

impl FieldSource {
    /// Returns whether the field is a group, a presence or a topic: these are filled after what may
    /// reject the client.
    pub(super) fn joins(&self) -> bool {
        self.template().is_some()
    }

    /// Returns whether the field does something although nothing reads it: it joins a group,
    /// requires a user, or runs an extractor, which may reject the client.
    pub(super) fn acts(&self) -> bool {
        self.joins() || matches!(self, Self::User | Self::Extractor)
    }

    /// Returns whether the field is made of the field of this name: of a group's name, or an
    /// expression.
    pub(super) fn reads(&self, name: &Ident) -> bool {
        let expressions: [Option<&Expr>; 2] = match self {
            Self::Presence(present) => [Some(&present.key), present.meta.as_ref()],
            Self::Topic(topic) => [topic.size.as_ref(), topic.age.as_ref()],
            Self::Default(value) => [value.as_deref(), None],
            _ => [None, None],
        };
        let mut names = self.template().into_iter().flat_map(Template::names);
        names.any(|read| read == name)
            || expressions
                .into_iter()
                .flatten()
                .any(|value| mentions(value.to_token_stream(), name))
    }

    /// Returns the name of the group that the field joins, if it is a group, a presence or a topic.
    pub(super) fn template(&self) -> Option<&Template> {
        match self {
            Self::Group(template) => Some(template),
            Self::Presence(present) => Some(&present.group),
            Self::Topic(topic) => Some(&topic.group),
            _ => None,
        }
    }
}

/// Returns whether an expression reads the variable of this name. Behind a period or before a colon,
/// it is the name of another item.
fn mentions(expression: TokenStream, name: &Ident) -> bool {
    let is = |token: Option<&TokenTree>, mark| match token {
        Some(TokenTree::Punct(punct)) => punct.as_char() == mark,
        _ => false,
    };
    let tokens: Vec<_> = expression.into_iter().collect();
    tokens.iter().enumerate().any(|(at, token)| match token {
        TokenTree::Ident(ident) => {
            let before = at.checked_sub(1).and_then(|before| tokens.get(before));
            ident == name && !is(before, '.') && !is(tokens.get(at + 1), ':')
        }
        TokenTree::Group(group) => mentions(group.stream(), name),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

/// What a connection is present as.
pub(super) struct PresenceField {
    pub(super) group: Template,
    pub(super) key: Expr,
    /// `Default::default()` if there is none.
    pub(super) meta: Option<Expr>,
}

/// A topic, and its window if it is not the default one.
pub(super) struct TopicField {
    pub(super) group: Template,
    pub(super) size: Option<Expr>,
    pub(super) age: Option<Expr>,
}

const SOURCES: &[&str] = &[
    "param", "query", "session", "user", "state", "group", "presence", "topic", "default",
];

/// Returns the source that a field's only attribute names.
pub(super) fn source(field: &Field, name: &Ident, errors: &mut Errors) -> FieldSource {
    let mut attributes = field
        .attrs
        .iter()
        .filter(|attribute| types::is_word(attribute.path(), SOURCES));
    let Some(first) = attributes.next() else {
        return FieldSource::Extractor;
    };
    for another in attributes {
        errors.add(
            another,
            format!(
                "a field has one source, and `{name}` already has #[{}]",
                name_of(first)
            ),
        );
    }
    let source = read(first, name);
    errors.keep(source).unwrap_or(FieldSource::Extractor)
}

fn read(attribute: &Attribute, name: &Ident) -> Result<FieldSource> {
    match name_of(attribute).as_str() {
        "param" => Ok(FieldSource::Param(name_or(attribute, name)?)),
        "query" => Ok(FieldSource::Query(name_or(attribute, name)?)),
        "session" => text(attribute, "key").map(FieldSource::Session),
        "user" => bare(attribute).map(|()| FieldSource::User),
        "state" => bare(attribute).map(|()| FieldSource::State),
        "group" => Template::read(&text(attribute, "chat.{room}")?).map(FieldSource::Group),
        "presence" => presence(attribute).map(|present| FieldSource::Presence(Box::new(present))),
        "topic" => topic(attribute).map(|resumed| FieldSource::Topic(Box::new(resumed))),
        _ => default(attribute),
    }
}

fn name_of(attribute: &Attribute) -> String {
    let ident = attribute.path().get_ident();
    ident.map(Ident::to_string).unwrap_or_default()
}

/// Returns the name of a parameter: that of the field for `#[query]`, or else the one in
/// `#[query("since")]`.
fn name_or(attribute: &Attribute, name: &Ident) -> Result<LitStr> {
    if let Meta::Path(_) = attribute.meta {
        let plain = name.to_string();
        let plain = plain.trim_start_matches("r#");
        // The underscore only says that nothing reads the field.
        if plain.starts_with('_') {
            let source = name_of(attribute);
            let meant = match plain.trim_start_matches('_') {
                "" => "name",
                meant => meant,
            };
            let message = format!(
                "`{plain}` begins with an underscore: name the parameter, as in #[{source}(\"{meant}\")]"
            );
            return Err(Error::new_spanned(attribute, message));
        }
        return Ok(LitStr::new(plain, name.span()));
    }
    text(attribute, "name")
}

fn text(attribute: &Attribute, example: &str) -> Result<LitStr> {
    let text = attribute.parse_args::<LitStr>().map_err(|_| {
        Error::new_spanned(
            attribute,
            format!("write #[{}(\"{example}\")]", name_of(attribute)),
        )
    })?;
    if text.value().is_empty() {
        return Err(Error::new_spanned(text, "this name is empty"));
    }
    Ok(text)
}

fn presence(attribute: &Attribute) -> Result<PresenceField> {
    const EXAMPLE: &str =
        "write #[presence(\"lot.{lot}\", key = user, meta = seat)]; the meta may be left out";
    let (text, [key, meta]) = text_and(attribute, ["key", "meta"], EXAMPLE)?;
    let key = key.ok_or_else(|| Error::new_spanned(&text, EXAMPLE))?;
    let group = Template::read(&text)?;
    Ok(PresenceField { group, key, meta })
}

fn topic(attribute: &Attribute) -> Result<TopicField> {
    const EXAMPLE: &str = "write #[topic(\"lot.{lot}\")]; \
                           `history_size = 100` and `history_age = HOUR` may follow";
    let (text, [size, age]) = text_and(attribute, ["history_size", "history_age"], EXAMPLE)?;
    let group = Template::read(&text)?;
    Ok(TopicField { group, size, age })
}

/// Reads a text, and after it the values of these arguments that are there.
fn text_and<const N: usize>(
    attribute: &Attribute,
    names: [&str; N],
    example: &str,
) -> Result<(LitStr, [Option<Expr>; N])> {
    attribute.parse_args_with(|input: ParseStream<'_>| {
        let text: LitStr = input
            .parse()
            .map_err(|error| Error::new(error.span(), example))?;
        let mut values = [const { None }; N];
        while !input.is_empty() {
            input.parse::<Token![,]>()?;
            if input.is_empty() {
                break;
            }
            let name: Ident = input.parse()?;
            input.parse::<Token![=]>()?;
            let value = input.parse()?;
            match names.iter().position(|known| name == known) {
                Some(index) => values[index] = Some(value),
                None => return Err(Error::new_spanned(name, example)),
            }
        }
        Ok((text, values))
    })
}

fn bare(attribute: &Attribute) -> Result<()> {
    let name = name_of(attribute);
    match attribute.meta {
        Meta::Path(_) => Ok(()),
        _ => Err(Error::new_spanned(
            attribute,
            format!("#[{name}] has no arguments: the type of the field selects the value"),
        )),
    }
}

fn default(attribute: &Attribute) -> Result<FieldSource> {
    match &attribute.meta {
        Meta::Path(_) => Ok(FieldSource::Default(None)),
        Meta::List(list) => list
            .parse_args()
            .map(|value| FieldSource::Default(Some(Box::new(value)))),
        Meta::NameValue(_) => Err(Error::new_spanned(
            attribute,
            "write #[default(value)], or #[default] for `Default::default()`",
        )),
    }
}
