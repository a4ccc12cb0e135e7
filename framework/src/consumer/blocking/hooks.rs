//! The trait of a consumer whose hooks are plain functions.

use super::{BlockingApplication, BlockingContext, BlockingHandshake};
use crate::{
    channels::{Channels, Event, Missed, Shared},
    consumer::{FromMessage, websocket::try_again},
    error::{Error, ErrorKind, Result},
    message::Close,
    rejection::Rejection,
};
use std::time::Duration;

/// One client's conversation, as [`WebSocketConsumer`](crate::WebSocketConsumer) is, in plain functions that may block:
/// for a synchronous database driver, for files, for work that keeps a processor busy.
///
/// ```
/// use seaway::{BlockingConsumer, BlockingContext, BlockingHandshake, NoEvent, Rejection, Result};
/// use std::{fs::File, io::Write};
///
/// /// Writes down what a visitor says.
/// struct GuestBook(File);
///
/// impl BlockingConsumer for GuestBook {
///     type Input = String;
///     type Event = NoEvent;
///
///     fn connect(_: &mut BlockingHandshake) -> Result<Self, Rejection> {
///         let book = File::options().append(true).create(true).open("guests");
///         Ok(GuestBook(book.map_err(seaway::Error::from)?))
///     }
///     fn receive(&mut self, ctx: &mut BlockingContext, line: String) -> Result<()> {
///         writeln!(self.0, "{line}")?;
///         ctx.send("written down")
///     }
/// }
/// ```
///
/// The hooks have the names and the meanings that they have there, and all of `docs/consumers.md` holds: one at a time, in
/// order, `disconnect` exactly once, errors and panics. They run on a [pool](crate::BlockingPool), for many connections at
/// once, up to its limit; a connection whose hooks rest holds no thread. `docs/blocking.md` has what is different.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no blocking consumer yet",
    label = "write `impl BlockingConsumer for {Self}`"
)]
pub trait BlockingConsumer: Sized + Send + 'static {
    /// What the client says. It is read on the pool too.
    type Input: FromMessage;
    /// What other consumers say: a type of yours, or [`NoEvent`](crate::NoEvent).
    type Event: Event;

    /// Decides at the door. `Ok` accepts the client; `Err` answers the handshake with that status and text.
    ///
    /// Where it comes too late, because the client has left or `connect_timeout` is over, the consumer that it makes is
    /// let go by `disconnect` with 1006.
    fn connect(handshake: &mut BlockingHandshake<Self::Event>) -> Result<Self, Rejection>;

    /// The door is open: the first chance to send.
    fn opened(&mut self, ctx: &mut BlockingContext<Self::Event>) -> Result<()> {
        _ = ctx;
        Ok(())
    }

    /// The client said something.
    fn receive(&mut self, ctx: &mut BlockingContext<Self::Event>, input: Self::Input)
    -> Result<()>;

    /// Another consumer, or this one, said something to a group or to this channel.
    fn event(
        &mut self,
        ctx: &mut BlockingContext<Self::Event>,
        event: Shared<Self::Event>,
    ) -> Result<()> {
        _ = (ctx, event);
        Ok(())
    }

    /// The client said something that is no `Input`. Unless you say otherwise the conversation ends with 1007 and the
    /// reason.
    fn malformed(&mut self, ctx: &mut BlockingContext<Self::Event>, error: Error) -> Result<()> {
        ctx.note_malformed();
        ctx.close(Close::new(Close::INVALID, error.chain()))
    }

    /// Runs when events before the next one may be missing; see
    /// [`WebSocketConsumer::missed`](crate::WebSocketConsumer::missed).
    fn missed(&mut self, ctx: &mut BlockingContext<Self::Event>, missed: Missed) -> Result<()> {
        match missed {
            Missed::Overflowed { .. } => ctx.close(try_again(missed)),
            Missed::Interrupted { .. } => Ok(()),
        }
    }

    /// A hook returned an error: `Err` ends the conversation with 1011, `Ok` lets it go on.
    ///
    /// Unless you say otherwise it does what [`WebSocketConsumer::failed`](crate::WebSocketConsumer::failed) does.
    fn failed(&mut self, ctx: &mut BlockingContext<Self::Event>, error: Error) -> Result<()> {
        match error.kind() {
            ErrorKind::Layer | ErrorKind::Unconfirmed => {
                ctx.channels().note_unsent(&error);
                ctx.close(try_again("an event was not sent"))
            }
            ErrorKind::Missed => ctx.close(try_again(error)),
            ErrorKind::SessionGone => ctx.close(Close::new(Close::UNAUTHORIZED, error.to_string())),
            _ => Err(error),
        }
    }

    /// How often [`tick`](BlockingConsumer::tick) runs, for each of its timers. None unless you say otherwise.
    const TICKS: &'static [Duration] = &[];

    /// A timer is due: `tick` is its place in [`TICKS`](BlockingConsumer::TICKS).
    fn tick(&mut self, ctx: &mut BlockingContext<Self::Event>, tick: usize) -> Result<()> {
        _ = (ctx, tick);
        Ok(())
    }

    /// It is over, whoever ended it. Runs exactly once for every consumer that `connect` has made, after its groups are
    /// left, and after the hook that may still run: nobody can end that from outside.
    fn disconnect(self, close: Close) {
        _ = close;
    }

    /// The application that holds one conversation after the other: route it, serve it, or mount it in axum.
    fn application(channels: &Channels) -> BlockingApplication<Self> {
        BlockingApplication::new(channels)
    }
}
