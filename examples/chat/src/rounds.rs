//! What a process does again and again.

use crate::{chat::Chat, database::Result};
use seaway::session::session_store::ExpiredDeletion;
use std::{sync::Arc, time::Duration};
use tokio::{
    task::JoinSet,
    time::{Interval, MissedTickBehavior, interval},
};
use tower_sessions_sqlx_store::SqliteStore;

/// How often a process shows that it is alive.
const BEAT: Duration = Duration::from_secs(5);

/// How often news that could not be told is tried again.
const CATCH_UP: Duration = Duration::from_secs(2);

/// How often expired sessions are deleted.
const CLEAN: Duration = Duration::from_secs(10 * 60);

/// How often people who have been idle are forgotten by the limits: as many as act within this time are kept.
const TIDY: Duration = Duration::from_secs(60);

/// Begins all rounds, which end when the set is dropped. This process counts as alive from here on.
pub async fn begin(chat: &Arc<Chat>) -> Result<JoinSet<()>> {
    beat(chat).await?;
    let mut rounds = JoinSet::new();
    rounds.spawn(stay_alive(chat.clone()));
    rounds.spawn(catch_up(chat.clone()));
    rounds.spawn(tidy(chat.clone()));
    rounds.spawn(clean(SqliteStore::new(chat.database.clone())));
    Ok(rounds)
}

async fn stay_alive(chat: Arc<Chat>) {
    let mut ticks = every(BEAT);
    loop {
        ticks.tick().await;
        if let Err(error) = beat(&chat).await {
            tracing::warn!(%error, "this process could not show that it is alive");
        }
    }
}

/// A sign of life; then the rooms of dead processes learn who is left.
async fn beat(chat: &Chat) -> Result<()> {
    for (room, people) in chat.presence.beat().await? {
        tracing::info!(
            room = room.id,
            "a process has died, and its people have left"
        );
        chat.news.people(&room, people).await;
    }
    Ok(())
}

async fn catch_up(chat: Arc<Chat>) {
    let mut ticks = every(CATCH_UP);
    loop {
        ticks.tick().await;
        chat.news.catch_up().await;
    }
}

async fn tidy(chat: Arc<Chat>) {
    let mut ticks = every(TIDY);
    loop {
        ticks.tick().await;
        chat.limits.forget_idle();
    }
}

async fn clean(sessions: SqliteStore) {
    let mut ticks = every(CLEAN);
    loop {
        ticks.tick().await;
        if let Err(error) = sessions.delete_expired().await {
            tracing::warn!(%error, "expired sessions were not deleted");
        }
    }
}

/// After a pause of the whole machine one tick is enough.
fn every(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
