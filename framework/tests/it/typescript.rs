//! Descriptions of messages in TypeScript.

use seaway::{
    Json, Result, WebSocketConsumer, consumer,
    typescript::{Schema, TS},
};
use serde::{Deserialize, Serialize};

mod sold {
    use super::*;

    #[derive(Serialize, TS)]
    #[ts(crate = "seaway::typescript::ts_rs")]
    pub struct Lot {
        pub title: String,
    }

    #[derive(Serialize, TS)]
    #[ts(crate = "seaway::typescript::ts_rs")]
    pub struct Offer {
        pub lot: Lot,
    }
}

#[derive(Serialize, TS)]
#[ts(crate = "seaway::typescript::ts_rs")]
struct Lot {
    cents: u32,
}

#[derive(Serialize, TS)]
#[ts(crate = "seaway::typescript::ts_rs")]
struct Offer {
    lot: Lot,
}

#[derive(Serialize, TS)]
#[ts(crate = "seaway::typescript::ts_rs")]
struct Page<T> {
    items: Vec<T>,
}

#[derive(Serialize, TS)]
#[ts(crate = "seaway::typescript::ts_rs", rename = "SoldLot")]
struct Renamed {
    title: String,
}

#[derive(Deserialize, TS)]
#[ts(crate = "seaway::typescript::ts_rs")]
#[serde(untagged)]
#[expect(dead_code, reason = "only its description is of interest")]
enum Said {
    Text { text: String },
    Smile { smile: u8 },
}

#[derive(WebSocketConsumer)]
struct Chat {}

#[consumer(typescript)]
impl Chat {
    #[on_message("say")]
    async fn say(&mut self, said: Json<Said>) -> Result<()> {
        _ = said;
        Ok(())
    }

    #[on_message("2fa", reply)]
    async fn two_factors(&mut self, code: u32) -> Result<Lot> {
        Ok(Lot { cents: code })
    }

    #[on_message("sold", reply)]
    async fn sold(&mut self) -> Result<Renamed> {
        let title = String::new();
        Ok(Renamed { title })
    }

    #[on_message("offers", reply)]
    async fn offers(&mut self) -> Result<Page<Offer>> {
        Ok(Page { items: Vec::new() })
    }

    #[on_message("words", reply)]
    async fn words(&mut self) -> Result<Page<Word>> {
        Ok(Page { items: Vec::new() })
    }
}

#[derive(Serialize, TS)]
#[ts(crate = "seaway::typescript::ts_rs")]
struct Word {
    text: String,
}

#[derive(WebSocketConsumer)]
struct Ambiguous {}

#[consumer(typescript)]
impl Ambiguous {
    #[on_message("open", reply)]
    async fn open(&mut self) -> Result<Lot> {
        Ok(Lot { cents: 0 })
    }

    #[on_message("sold", reply)]
    async fn sold(&mut self) -> Result<sold::Lot> {
        let title = String::new();
        Ok(sold::Lot { title })
    }
}

#[derive(WebSocketConsumer)]
struct AmbiguousInside {}

#[consumer(typescript)]
impl AmbiguousInside {
    #[on_message("offer", reply)]
    async fn offer(&mut self) -> Result<Offer> {
        let lot = Lot { cents: 0 };
        Ok(Offer { lot })
    }

    #[on_message("sold", reply)]
    async fn sold(&mut self) -> Result<sold::Offer> {
        let title = String::new();
        let lot = sold::Lot { title };
        Ok(sold::Offer { lot })
    }
}

#[test]
fn every_variant_of_a_message_has_its_type() {
    let text = Schema::of::<Chat>("Chat").to_string();
    let message = r#"messages: { type: "say" } & ({ text: string, } | { smile: number, });"#;
    assert!(text.contains(message), "{text}");
}

#[test]
fn a_request_whose_type_begins_with_a_digit_is_quoted() {
    let text = Schema::of::<Chat>("Chat").to_string();
    assert!(text.contains(r#"    "2fa": { params: "#), "{text}");
    assert!(text.contains("    sold: { params: "), "{text}");
}

#[test]
#[should_panic(expected = "two types have the name Lot in TypeScript")]
fn two_types_of_one_name_are_an_error() {
    _ = Schema::of::<Ambiguous>("Ambiguous");
}

#[test]
#[should_panic(expected = "two types have the name Lot in TypeScript")]
fn two_types_of_one_name_inside_types_that_look_alike_are_an_error() {
    _ = Schema::of::<AmbiguousInside>("AmbiguousInside");
}

#[test]
fn what_each_use_of_a_generic_type_contains_is_declared() {
    let text = Schema::of::<Chat>("Chat").to_string();
    for declaration in [
        "export type Page<T> = ",
        "export type Offer = ",
        "export type Word = ",
    ] {
        assert!(text.contains(declaration), "{text}");
    }
}

#[test]
fn a_renamed_type_is_declared_beside_its_namesake() {
    let text = Schema::of::<Chat>("Chat").to_string();
    for declaration in ["export type Lot = ", "export type SoldLot = "] {
        assert!(text.contains(declaration), "{text}");
    }
}
