//! A group is named by a text, a name or a handle.

use seaway::{Channels, Group, NoEvent, Result};

fn lot(channels: &Channels, number: u32) -> Result<Group<NoEvent>> {
    Ok(channels.group(number)?)
}

fn main() {}
