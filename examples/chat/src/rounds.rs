//! What a process does again and again: signs of life, news that waits, sessions that have expired.

use crate::{chat::Chat, events::ROOMS};
use seaway::{Channels, Error, NoEvent, Result, session::session_store::ExpiredDeletion};
use sqlx::SqlitePool;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tower_sessions_sqlx_store::SqliteStore;

/// How often a process shows that it is alive.
const BEAT: Duration = Duration::from_secs(5);

/// How often news that could not be told is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// How often expired sessions are deleted.
const CLEAN: Duration = Duration::from_secs(10 * 60);

/// Begins all rounds, which end when the set is dropped. The first sign of life has been given by then.
pub async fn begin(
    chat: &Arc<Chat>,
    channels: &Channels,
    database: &SqlitePool,
) -> Result<JoinSet<()>> {
    beat(chat).await?;
    let mut rounds = JoinSet::new();
    let alive = chat.clone();
    rounds.spawn(every(BEAT, move || {
        let chat = alive.clone();
        async move { beat(&chat).await }
    }));
    let late = chat.clone();
    rounds.spawn(every(TRY_AGAIN, move || {
        let chat = late.clone();
        async move {
            chat.news.try_again().await;
            Ok(())
        }
    }));
    let store = SqliteStore::new(database.clone());
    rounds.spawn(every(CLEAN, move || {
        let store = store.clone();
        async move { store.delete_expired().await.map_err(Error::user) }
    }));
    // The list in memory is forgotten when any process says that it has changed.
    let mut mailbox = channels.open().await?;
    channels
        .group::<NoEvent>(ROOMS)?
        .add(mailbox.name())
        .await?;
    let listed = chat.clone();
    rounds.spawn(async move {
        loop {
            mailbox.receive().await;
            listed.rooms.forget_list().await;
        }
    });
    Ok(rounds)
}

/// A sign of life; then the rooms of dead processes learn who is left.
async fn beat(chat: &Chat) -> Result<()> {
    let left = chat.processes.beat().await.map_err(Error::user)?;
    for (room, people) in left {
        tracing::info!(
            room = room.id,
            "a process has died, and its people have left"
        );
        chat.news.people(&room, people).await;
    }
    Ok(())
}

/// Does something again and again, whether it works or not.
async fn every<F: Future<Output = Result<()>>>(pause: Duration, mut task: impl FnMut() -> F) {
    let mut ticks = interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = task().await {
            tracing::warn!(?error, "a round failed; the next one may work");
        }
    }
}
