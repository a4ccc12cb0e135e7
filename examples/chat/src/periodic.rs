//! The periodic tasks of a process.

use crate::chat::Chat;
use seaway::session::session_store::ExpiredDeletion;
use std::{sync::Arc, time::Duration};
use tokio::{
    task::JoinSet,
    time::{Interval, MissedTickBehavior, interval},
};
use tower_sessions_sqlx_store::SqliteStore;

/// The interval at which unpublished events are retried.
const CATCH_UP: Duration = Duration::from_secs(2);

/// The interval at which expired sessions are deleted.
const CLEAN: Duration = Duration::from_secs(10 * 60);

/// The interval at which the rate limits drop idle users: they hold as many users as act within it.
const TIDY: Duration = Duration::from_secs(60);

/// Starts all periodic tasks, which end when the set is dropped.
pub fn begin(chat: &Arc<Chat>) -> JoinSet<()> {
    let mut rounds = JoinSet::new();
    rounds.spawn(catch_up(chat.clone()));
    rounds.spawn(tidy(chat.clone()));
    rounds.spawn(clean(SqliteStore::new(chat.database.clone())));
    rounds
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
            tracing::warn!(%error, "cannot delete expired sessions");
        }
    }
}

/// Returns a timer that does not catch up: after the machine was suspended, one tick is enough.
fn every(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
