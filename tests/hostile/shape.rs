//! A shape of hostile input, and how a table of them is sent to a server.

use super::target::Target;
use seaway_tests::support::RawClient;
use std::time::Duration;

/// How long a server may take over one shape. Far above what it takes: a wrong answer is most often none at all.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// What a hostile client sends, and the answer it must get.
pub struct Shape<A> {
    pub name: String,
    /// The section of the RFC that the answer rests on.
    pub rule: &'static str,
    pub bytes: Vec<u8>,
    /// Whether each byte is written by itself.
    pub drips: bool,
    /// Whether the client half-closes the connection behind the bytes.
    pub finishes: bool,
    pub answer: A,
}

/// An expected answer, which knows how to get the real one.
pub trait Answer: Sized {
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
            drips: false,
            finishes: false,
            answer,
        }
    }

    /// The client half-closes the connection behind the bytes.
    pub fn finish(mut self) -> Self {
        self.finishes = true;
        self
    }

    /// Writes the shape. A server that hangs up in the middle is read all the same.
    pub async fn send(&self, client: &mut RawClient) {
        let pieces = self.bytes.chunks(if self.drips { 1 } else { usize::MAX });
        for piece in pieces {
            if !client.write(piece).await {
                break;
            }
        }
        if self.finishes {
            client.finish().await;
        }
    }
}

/// The shapes, and the short ones among them a second time byte by byte: the answer does not depend on how bytes are cut.
pub fn and_dripped<A: Clone>(mut shapes: Vec<Shape<A>>) -> Vec<Shape<A>> {
    const SHORT: usize = 500;
    let short = shapes.iter().filter(|shape| shape.bytes.len() <= SHORT);
    let dripped = short.map(|shape| Shape {
        name: format!("{}, byte by byte", shape.name),
        rule: shape.rule,
        bytes: shape.bytes.clone(),
        drips: true,
        finishes: shape.finishes,
        answer: shape.answer.clone(),
    });
    let dripped: Vec<_> = dripped.collect();
    shapes.extend(dripped);
    shapes
}

/// Sends each shape to one server, and looks after each at its other clients.
///
/// # Panics
/// When an answer is another one, after all have been tried; at once when another client was harmed.
pub async fn examine<A: Answer>(shapes: Vec<Shape<A>>) {
    let mut target = Target::start(&[]).await;
    let mut wrong = Vec::new();
    for shape in &shapes {
        if let Err(difference) = A::check(shape, target.port()).await {
            wrong.push(format!("{} ({}): {difference}", shape.name, shape.rule));
        }
        target.serves_others(&shape.name).await;
    }
    none_wrong(wrong, target).await;
}

/// Fails with all that went wrong, and with the harm that was done to the server.
pub async fn none_wrong(mut wrong: Vec<String>, target: Target) {
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
