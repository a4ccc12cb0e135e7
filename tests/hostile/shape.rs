//! A shape of hostile input, and the runner of a table of shapes.

use super::target::Target;
use seaway_tests::support::RawClient;
use std::time::Duration;

/// The timeout for one shape. A server needs a few milliseconds: a failing test usually waits for a
/// response that never arrives.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The bytes of a hostile client, and the expected response.
pub struct Shape<A> {
    pub name: String,
    /// The section of the RFC on which the expected response rests.
    pub rule: &'static str,
    pub bytes: Vec<u8>,
    /// Whether each byte is a separate write.
    pub is_byte_by_byte: bool,
    /// Whether the client half-closes the connection after the bytes.
    pub half_closes: bool,
    pub answer: A,
}

/// An expected response, which can be compared with the real one.
pub trait Reply: Sized {
    /// Sends the shape on its own connection; the error describes how the response differs.
    async fn check(shape: &Shape<Self>, port: u16) -> Result<(), String>;
}

impl<A> Shape<A> {
    /// Creates a shape; each character of `text` is one byte (Latin-1), so that a table can contain
    /// any byte.
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

    /// Half-closes the connection after the bytes.
    pub fn half_close(mut self) -> Self {
        self.half_closes = true;
        self
    }

    /// Writes the shape, up to the point where the server closes the connection.
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

/// Returns the shapes, and the short ones a second time byte by byte: the response must not depend
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
/// With all wrong responses, after all shapes were sent; at once if another client is not served.
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

/// Checks that no response was wrong, and the invariants of the server at the end.
///
/// # Panics
/// With all failures.
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
