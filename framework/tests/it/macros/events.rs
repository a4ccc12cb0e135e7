//! Tests of `#[derive(Event)]`: the wire format.

use seaway::{__private::EventTypes, Event, channels::Envelope};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

#[derive(Event, Debug, PartialEq)]
enum RoomListEvent {
    Opened {
        room: String,
    },
    Here(Present),
    Cleared,
    #[event("room_list.gone")]
    Closed {
        room: String,
    },
}

#[derive(Serialize, Deserialize, Debug, PartialEq)]
struct Present {
    name: String,
}

#[derive(Event, Debug, PartialEq)]
#[event(prefix = "shop.cart")]
#[serde(rename_all_fields = "camelCase")]
pub enum Cart {
    HTTPError {
        status_code: u16,
    },
    #[serde(alias = "shop.cart.put")]
    Added {
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        items: Vec<u32>,
        #[serde(rename = "class")]
        kind: String,
    },
    #[serde(other)]
    Unknown,
}

fn room(name: &str) -> String {
    name.to_owned()
}

/// Returns an event as JSON, after a round trip through MessagePack.
fn wire<E: Event + std::fmt::Debug + PartialEq>(event: &E) -> String {
    let envelope = Envelope::encode(event).unwrap();
    let arrived = envelope.decode::<E>().unwrap();
    assert_eq!(*arrived, *event);
    serde_json::to_string(&*arrived).unwrap()
}

#[test]
fn the_wire_type_is_derived_from_the_names() {
    let present = Present { name: room("ana") };

    for (event, expected) in [
        (
            RoomListEvent::Opened { room: room("a") },
            r#"{"type":"room_list.opened","room":"a"}"#,
        ),
        (
            RoomListEvent::Here(present),
            r#"{"type":"room_list.here","name":"ana"}"#,
        ),
        (RoomListEvent::Cleared, r#"{"type":"room_list.cleared"}"#),
        (
            RoomListEvent::Closed { room: room("a") },
            r#"{"type":"room_list.gone","room":"a"}"#,
        ),
    ] {
        assert_eq!(wire(&event), expected);
    }
}

#[test]
fn the_types_are_listed() {
    assert_eq!(
        RoomListEvent::TYPES,
        [
            "room_list.opened",
            "room_list.here",
            "room_list.cleared",
            "room_list.gone"
        ]
    );
}

#[test]
fn serde_attributes_change_the_fields_on_the_wire() {
    let error = Cart::HTTPError { status_code: 500 };
    let added = Cart::Added {
        items: Vec::new(),
        kind: room("book"),
    };

    assert_eq!(
        wire(&error),
        r#"{"type":"shop.cart.http_error","statusCode":500}"#
    );
    assert_eq!(wire(&added), r#"{"type":"shop.cart.added","class":"book"}"#);
    let put = r#"{"type":"shop.cart.put","class":"book"}"#;
    assert_eq!(serde_json::from_str::<Cart>(put).unwrap(), added);
    let strange = r#"{"type":"shop.cart.burnt"}"#;
    assert_eq!(
        serde_json::from_str::<Cart>(strange).unwrap(),
        Cart::Unknown
    );
}

#[test]
fn an_unknown_type_is_an_error_that_lists_the_known_types() {
    let error = serde_json::from_str::<RoomListEvent>(r#"{"type":"room_list.open"}"#).unwrap_err();

    assert!(error.to_string().contains("`room_list.opened`"), "{error}");
}

/// Checks all traits that the macro implements.
#[test]
fn the_derived_enum_implements_event() {
    fn is<E: Event + Serialize + DeserializeOwned + EventTypes>() {}
    is::<RoomListEvent>();
    is::<Cart>();
}
