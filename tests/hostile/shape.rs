//! A shape of hostile input, and how a table of them is sent to a server.

use super::target::Target;
use seaway_tests::support::RawClient;
use std::time::Duration;

/// How long a server may take for one shape. It takes a few milliseconds: a test that fails most
/// often waits in vain.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// What a hostile client sends, and the answer it must get.
pub struct Shape<A> {
    pub name: String,
    /// The section of the RFC that the answer rests on.
    pub rule: &'static str,
    pub bytes: Vec<u8>,
    /// Whether each byte is written by itself.
    pub is_byte_by_byte: bool,
    /// Whether the client half-closes the connection behind the bytes.
    pub half_closes: bool,
    pub answer: A,
}

/// An expected answer, which knows how to get the real one.
pub trait Reply: Sized {
    /// Sends the shape on a connection of its own; an error is how the answer differs.
    async fn check(shape: &Shape<Self>, port: u16) -> Result<(), String>;
}

impl<A> Shape<A> {
    /// Each character of `text` is one byte (Latin-1), so that a table can hold any byte.
    pub fn new(
        name: impl Into<String>,
        rule: &'static str,
        text: impl AsRef<str>,
        answer: A,
    ) -> Self {
        Self::of_bytes(name, rule, latin_1(text.as_ref()), answer)
    }

    pub fn of_bytes(
        name: impl Into<String>,
        rule: &'static str,
        bytes: Vec<u8>,
        answer: A,
    ) -> Self {
        Self {
            name: name.into(),
            rule,
            bytes,
            is_byte_by_byte: false,
            half_closes: false,
            answer,
        }
    }

    /// The client half-closes the connection behind the bytes.
    pub fn half_close(mut self) -> Self {
        self.half_closes = true;
        self
    }

    /// Writes the shape, or as much as the server takes of it before it closes the connection.
    pub async fn send(&self, client: &mut RawClient) {
        let size = if self.is_byte_by_byte { 1 } else { usize::MAX };
        for piece in self.bytes.chunks(size) {
            if !client.write(piece).await {
                break;
            }
        }
        if self.half_closes {
            client.half_close().await;
        }
    }
}

/// The shapes, and the short ones among them a second time byte by byte: the answer may not depend
/// on how the bytes are split into segments.
pub fn and_byte_by_byte<A: Clone>(mut shapes: Vec<Shape<A>>) -> Vec<Shape<A>> {
    const SHORT: usize = 600;
    let short = shapes.iter().filter(|shape| shape.bytes.len() <= SHORT);
    let byte_by_byte = short.map(|shape| Shape {
        name: format!("{}, byte by byte", shape.name),
        rule: shape.rule,
        bytes: shape.bytes.clone(),
        is_byte_by_byte: true,
        half_closes: shape.half_closes,
        answer: shape.answer.clone(),
    });
    let byte_by_byte: Vec<_> = byte_by_byte.collect();
    shapes.extend(byte_by_byte);
    shapes
}

/// Sends each shape to one server, and checks after each that other clients are served.
///
/// # Panics
/// With all wrong answers, once all shapes were sent; at once if another client is not served.
pub async fn examine<A: Reply>(shapes: Vec<Shape<A>>) {
    let mut target = Target::start(&[]).await;
    let mut wrong = Vec::new();
    for shape in &shapes {
        if let Err(difference) = A::check(shape, target.port()).await {
            wrong.push(format!("{} ({}): {difference}", shape.name, shape.rule));
        }
        target.serves_others(&shape.name).await;
    }
    assert_unharmed(wrong, target).await;
}

/// Checks that no answer was wrong, and what must hold of the server at the end.
///
/// # Panics
/// With everything that was not as it should be.
pub async fn assert_unharmed(mut wrong: Vec<String>, target: Target) {
    wrong.extend(target.harm().await);
    assert!(
        wrong.is_empty(),
        "{} wrong:\n  {}",
        wrong.len(),
        wrong.join("\n  ")
    );
}

fn latin_1(text: &str) -> Vec<u8> {
    text.chars()
        .map(|character| u8::try_from(character).expect("a character up to U+00FF"))
        .collect()
}
