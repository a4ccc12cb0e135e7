//! Tests of encoded events.

use super::*;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
enum Chat {
    #[serde(rename = "chat.message")]
    Message { text: String },
}

impl crate::channels::Event for Chat {}

/// Any JSON that a consumer relays.
#[derive(Serialize, Deserialize)]
struct Relayed(serde_json::Value);

impl Event for Relayed {}

fn hello() -> Chat {
    Chat::Message {
        text: "Hello there!".into(),
    }
}

#[test]
fn an_event_is_encoded_as_python_encodes_it() {
    let envelope = Envelope::encode(&hello()).unwrap();

    let hex: String = envelope
        .as_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        hex,
        "82a474797065ac636861742e6d657373616765a474657874ac48656c6c6f20746865726521"
    );
    assert_eq!(envelope.kind().as_deref(), Some("chat.message"));
}

#[test]
fn an_event_is_decoded_once_for_everyone() {
    let envelope = Envelope::encode(&hello()).unwrap();

    let first = envelope.clone().decode::<Chat>().unwrap();
    let second = envelope.decode::<Chat>().unwrap();

    assert_eq!(*first, hello());
    assert!(std::ptr::eq(&*first, &*second));
}

#[test]
fn an_event_without_a_type_is_rejected_with_the_remedy() {
    #[derive(Serialize, Deserialize)]
    struct Bare {
        text: String,
    }

    impl Event for Bare {}

    let bare = Bare {
        text: "hi".to_owned(),
    };

    let error = Envelope::encode(&bare).unwrap_err();

    assert_eq!(error.kind(), ErrorKind::Codec);
    assert!(error.to_string().contains("#[serde(tag = \"type\")]"));
}

#[test]
fn an_event_that_would_close_connections_is_rejected() {
    let relayed = serde_json::json!({ "type": "seaway.disconnect", "code": 4000 });

    let error = Envelope::encode(&Relayed(relayed)).unwrap_err();

    assert!(error.to_string().contains("Group::disconnect"), "{error}");
}

#[test]
fn an_event_with_a_second_type_is_rejected() {
    /// An event with keys that a client chose.
    #[derive(Serialize, Deserialize)]
    #[serde(tag = "type", rename = "chat.message")]
    struct Open {
        from: String,
        #[serde(flatten)]
        extra: serde_json::Map<String, serde_json::Value>,
    }

    impl Event for Open {}

    let encoded = |extra: serde_json::Value| {
        Envelope::encode(&Open {
            from: "ana".to_owned(),
            extra: extra.as_object().cloned().unwrap_or_default(),
        })
    };

    let error = encoded(serde_json::json!({ "type": "seaway.disconnect" })).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Codec);
    assert!(error.to_string().contains("two keys `type`"), "{error}");
    encoded(serde_json::json!({ "text": "type", "page": { "type": "seaway.disconnect" } }))
        .unwrap();
}

#[test]
fn settings_of_channels_redis_that_differ_are_named() {
    for (bytes, setting) in [
        (&br#"{"type": "chat.message"}"#[..], "serializer_format"),
        (b"gAAAAABnk3Vt", "symmetric_encryption_keys"),
    ] {
        let Err(error) = Envelope::from_bytes(bytes).decode::<Chat>() else {
            panic!("{setting} was read");
        };
        assert!(error.to_string().contains(setting), "{error}");
    }
}

#[test]
fn an_event_that_nobody_could_decode_is_not_encoded() {
    let mut nested = serde_json::json!(null);
    for _ in 0..200 {
        nested = serde_json::json!([nested]);
    }
    let event = serde_json::json!({ "type": "deep", "nested": nested });

    let error = Envelope::encode(&Relayed(event)).unwrap_err();

    assert_eq!(error.kind(), ErrorKind::Codec);
    assert!(error.to_string().contains("128 levels"), "{error}");
}

#[test]
fn deep_nesting_and_announced_giants_are_no_event() {
    let deep = [b"\x82\xa1x".to_vec(), vec![0x91; 1_000_000]].concat();
    let giant = b"\x82\xa1x\xdd\xff\xff\xff\xff".to_vec();
    for bytes in [deep, giant] {
        let envelope = Envelope::from_bytes(bytes);
        assert_eq!(envelope.kind(), None);
        assert!(!envelope.is_disconnect());
        assert!(envelope.decode::<Chat>().is_err());
    }
}

#[test]
fn strange_bytes_are_an_error_and_no_more() {
    for bytes in [&b""[..], b"\x00", b"\xc1", b"\x81\xa1x", b"not msgpack"] {
        let envelope = Envelope::from_bytes(bytes.to_vec());
        assert_eq!(envelope.kind(), None, "{bytes:?}");
        assert!(envelope.decode::<Chat>().is_err(), "{bytes:?}");
    }
}
