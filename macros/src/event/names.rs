//! The `type` of an event, from names in Rust, and the syntax of a `type`.

/// Returns the prefix of an enum's types: its name without `Event`, in snake case. `None` if that
/// is empty.
pub(crate) fn prefix(name: &str) -> Option<String> {
    let stem = name.strip_suffix("Event").unwrap_or(name);
    (!stem.is_empty()).then(|| snake(stem))
}

/// Converts a name to snake case: `RoomList` to `room_list`, `HTTPError` to `http_error`, `r#type`
/// to `type`.
pub(crate) fn snake(name: &str) -> String {
    let letters: Vec<char> = name.trim_start_matches("r#").chars().collect();
    let mut snake = String::new();
    for (at, letter) in letters.iter().enumerate() {
        if letter.is_uppercase() && at > 0 && letters[at - 1] != '_' {
            let after_a_word = !letters[at - 1].is_uppercase();
            let before_a_word = letters.get(at + 1).is_some_and(|next| next.is_lowercase());
            if after_a_word || before_a_word {
                snake.push('_');
            }
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

/// Returns what is wrong with a `type`, if anything.
///
/// Django Channels selects a handler by the `type` with periods replaced by underscores, and
/// rejects a name that then begins with an underscore.
pub(crate) fn fault(kind: &str) -> Option<String> {
    let clean =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.".contains(&byte);
    if kind.is_empty() || !kind.bytes().all(clean) {
        return Some(format!(
            "{kind:?} is no event type: use lower case letters, digits, underscores and periods, as in \"chat.message\""
        ));
    }
    if kind.starts_with(['.', '_']) {
        return Some(format!(
            "{kind:?} is no event type: begin it with a letter or a digit"
        ));
    }
    if kind.starts_with("seaway.") {
        return Some(format!(
            "{kind:?} is reserved: types that begin with `seaway.` are the framework's own"
        ));
    }
    None
}

/// Returns the name of the hidden function that matches events of this type: `on_chat_message` for
/// `chat.message`.
pub(crate) fn finder(kind: &str) -> String {
    format!("on_{}", kind.replace('.', "_"))
}

/// Returns the name of the hidden function that matches all events of an included enum: `every_lot`
/// for the variant `Lot`.
pub(crate) fn every(variant: &str) -> String {
    format!("every_{}", snake(variant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_the_name_of_the_enum_without_event() {
        for (name, expected) in [
            ("ChatEvent", Some("chat")),
            ("RoomListEvent", Some("room_list")),
            ("Chat", Some("chat")),
            ("EventLog", Some("event_log")),
            ("Event", None),
        ] {
            assert_eq!(prefix(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn snakes_have_an_underscore_between_words() {
        for (name, expected) in [
            ("Message", "message"),
            ("RoomList", "room_list"),
            ("HTTPError", "http_error"),
            ("V2Message", "v2_message"),
            ("Typing2", "typing2"),
            ("Already_Snake", "already_snake"),
            ("ID", "id"),
            ("r#type", "type"),
        ] {
            assert_eq!(snake(name), expected, "{name}");
        }
    }

    #[test]
    fn types_fit_the_grammar() {
        for (kind, expected) in [
            ("chat.message", None),
            ("room_list.v2", None),
            ("2d.move", None),
            ("", Some("lower case letters")),
            ("Chat.message", Some("lower case letters")),
            ("chat message", Some("lower case letters")),
            ("caf\u{e9}.open", Some("lower case letters")),
            (".message", Some("begin it with")),
            ("_message", Some("begin it with")),
            ("seaway.disconnect", Some("the framework's own")),
            ("seawayside.walk", None),
        ] {
            let fault = fault(kind);
            match expected {
                Some(part) => assert!(fault.unwrap().contains(part), "{kind:?}"),
                None => assert_eq!(fault, None, "{kind:?}"),
            }
        }
    }
}
