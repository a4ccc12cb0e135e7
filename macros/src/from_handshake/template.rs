//! The name of a group, with placeholders: `chat.{room}`.

use syn::{Error, Ident, LitStr};

/// The name of a group, in pieces.
pub(super) struct Template {
    pub(super) text: LitStr,
    pub(super) pieces: Vec<Piece>,
}

pub(super) enum Piece {
    Text(String),
    /// The name of a field, or else of a path parameter.
    Name(Ident),
}

impl Template {
    pub(super) fn read(text: &LitStr) -> syn::Result<Self> {
        let pieces = pieces(&text.value()).map_err(|fault| Error::new(text.span(), fault))?;
        let pieces = pieces.into_iter().map(|(is_name, piece)| match is_name {
            true => name(&piece, text).map(Piece::Name),
            false => Ok(Piece::Text(piece)),
        });
        Ok(Self {
            text: text.clone(),
            pieces: pieces.collect::<syn::Result<_>>()?,
        })
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Ident> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Name(name) => Some(name),
            Piece::Text(_) => None,
        })
    }
}

fn name(piece: &str, text: &LitStr) -> syn::Result<Ident> {
    let mut name = syn::parse_str::<Ident>(piece)
        .or_else(|_| syn::parse_str::<Ident>(&format!("r#{piece}")))
        .map_err(|_| {
            Error::new(
                text.span(),
                format!(
                    "{{{piece}}}: write only the name of a field or of a path parameter in braces"
                ),
            )
        })?;
    name.set_span(text.span());
    Ok(name)
}

/// Splits a template into text and names; `true` marks a name.
fn pieces(template: &str) -> Result<Vec<(bool, String)>, String> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = template;
    while let Some(letter) = rest.chars().next() {
        let tail = &rest[letter.len_utf8()..];
        match letter {
            '{' | '}' if tail.starts_with(letter) => return Err(unfit(letter)),
            '{' => {
                let Some((name, behind)) = tail.split_once('}') else {
                    return Err("a `{` without its `}`".to_owned());
                };
                if name.is_empty() {
                    return Err(
                        "name what goes into the braces: a field, or a path parameter".to_owned(),
                    );
                }
                pieces.push((false, std::mem::take(&mut text)));
                pieces.push((true, name.to_owned()));
                rest = behind;
                continue;
            }
            '}' => return Err("a `}` without its `{`".to_owned()),
            letter if letter.is_ascii_alphanumeric() || "-_.".contains(letter) => text.push(letter),
            letter => return Err(unfit(letter)),
        }
        rest = tail;
    }
    pieces.push((false, text));
    pieces.retain(|(is_name, piece)| *is_name || !piece.is_empty());
    Ok(pieces)
}

fn unfit(letter: char) -> String {
    format!(
        "{letter:?} cannot be in the name of a group: use ASCII letters, digits, hyphens, underscores and periods"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_braces() {
        let name = |text: &str| (true, text.to_owned());
        let text = |text: &str| (false, text.to_owned());

        assert_eq!(pieces("lobby"), Ok(vec![text("lobby")]));
        assert_eq!(pieces("chat.{room}"), Ok(vec![text("chat."), name("room")]));
        assert_eq!(
            pieces("{a}-{b}x"),
            Ok(vec![name("a"), text("-"), name("b"), text("x")])
        );
    }

    #[test]
    fn a_string_that_is_no_template_is_an_error() {
        for (template, expected) in [
            ("chat.{}", "name what goes into"),
            ("chat.{room", "without its `}`"),
            ("chat.room}", "without its `{`"),
            ("chat/{room}", "'/' cannot be"),
            ("chat.{{room}}", "'{' cannot be"),
            ("caf\u{e9}", "cannot be"),
        ] {
            let fault = pieces(template).unwrap_err();
            assert!(fault.contains(expected), "{template}: {fault}");
        }
        for placeholder in ["room.name", "room:?", "2", "a b"] {
            let text = LitStr::new(
                &format!("{{{placeholder}}}"),
                proc_macro2::Span::call_site(),
            );
            assert!(Template::read(&text).is_err(), "{placeholder}");
        }
    }
}
