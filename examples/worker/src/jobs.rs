//! The job, its worker, and the events that it sends to the page.

use crate::mandelbrot::{HEIGHT, View};
use seaway::{ChannelName, Event, Result, WorkerContext, blocking};
use std::process;

/// The channel of the jobs.
pub(crate) const PICTURES: &str = "pictures";

/// The rows of a strip. One event per strip moves the progress bar.
const STRIP: usize = 8;

#[derive(Event)]
#[event(prefix = "picture")]
pub(crate) enum PictureJob {
    Draw {
        number: u32,
        view: View,
        /// The channel of the page that ordered it.
        reply_to: ChannelName,
    },
}

/// The events of a page.
#[derive(Event)]
#[event(prefix = "picture")]
pub(crate) enum PictureEvent {
    /// Too many jobs wait.
    Refused { number: u32 },
    /// A worker has begun.
    Begun { number: u32, process: u32 },
    /// Rows from `first` on, one byte per pixel: 0 for points of the set, otherwise how fast the
    /// point escapes.
    Rows {
        number: u32,
        first: usize,
        pixels: Vec<u8>,
    },
    /// The picture is complete.
    Drawn { number: u32 },
}

/// Draws a picture, and sends each strip to the page as soon as it is computed.
pub(crate) async fn draw(ctx: WorkerContext, job: PictureJob) -> Result<()> {
    let PictureJob::Draw {
        number,
        view,
        reply_to,
    } = job;
    let process = process::id();
    let reply = async |event: &PictureEvent| ctx.channels().send(&reply_to, event).await;
    reply(&PictureEvent::Begun { number, process }).await?;
    for first in (0..HEIGHT).step_by(STRIP) {
        let rows = first..HEIGHT.min(first + STRIP);
        // The pool for blocking code: the other tasks of this process continue.
        let pixels = blocking(move || view.pixels(rows)).await?;
        let strip = PictureEvent::Rows {
            number,
            first,
            pixels,
        };
        reply(&strip).await?;
    }
    Ok(reply(&PictureEvent::Drawn { number }).await?)
}
