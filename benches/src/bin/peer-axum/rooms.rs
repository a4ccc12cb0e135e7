//! The rooms: a tokio broadcast for each, and Redis between the processes if there is one.
//!
//! Over Redis a text is one PUBLISH, and each room with members is one subscription of this
//! process. All use one multiplexed RESP3 connection.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::extract::ws::Utf8Bytes;
use redis::{
    AsyncCommands, AsyncConnectionConfig, Client, IntoConnectionInfo, PushInfo, PushKind,
    RedisResult, Value, aio::MultiplexedConnection, io::tcp::TcpSettings,
};
use tokio::sync::{OnceCell, broadcast};

/// The channel capacity of axum's chat example.
const ROOM_CAPACITY: usize = 100;

/// All rooms with members in this process, by name.
#[derive(Clone)]
pub struct Rooms {
    entered: Entered,
    redis: Option<MultiplexedConnection>,
}

type Entered = Arc<Mutex<HashMap<String, Arc<Room>>>>;

impl Rooms {
    /// Returns rooms of this process alone.
    pub fn in_memory() -> Self {
        Self {
            entered: Entered::default(),
            redis: None,
        }
    }

    /// Returns rooms of all processes on this Redis.
    pub async fn over_redis(url: &str) -> RedisResult<Self> {
        let entered = Entered::default();
        let receivers = Arc::clone(&entered);
        let config = AsyncConnectionConfig::new().set_push_sender(move |push| {
            deliver(&receivers, push);
            Ok::<_, Infallible>(())
        });
        // Without it, the figures would be those of Nagle's algorithm.
        let socket = TcpSettings::default().set_nodelay(true);
        let server = format!("{url}?protocol=resp3").into_connection_info()?;
        let client = Client::open(server.set_tcp_settings(socket))?;
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        Ok(Self {
            entered,
            redis: Some(connection.await?),
        })
    }

    /// Returns the room of this name, once this process is subscribed to it.
    pub async fn open(&self, name: &str) -> RedisResult<Arc<Room>> {
        let room = Arc::clone(
            lock(&self.entered)
                .entry(name.to_owned())
                .or_insert_with(|| {
                    Arc::new(Room {
                        name: name.to_owned(),
                        texts: broadcast::channel(ROOM_CAPACITY).0,
                        redis: self.redis.clone(),
                        is_subscribed: OnceCell::new(),
                    })
                }),
        );
        if let Some(mut redis) = self.redis.clone() {
            let subscribe = async || redis.subscribe(name).await;
            room.is_subscribed.get_or_try_init(subscribe).await?;
        }
        Ok(room)
    }
}

/// One room.
pub struct Room {
    name: String,
    texts: broadcast::Sender<Utf8Bytes>,
    redis: Option<MultiplexedConnection>,
    is_subscribed: OnceCell<()>,
}

impl Room {
    /// Returns a receiver of all texts from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Utf8Bytes> {
        self.texts.subscribe()
    }

    /// Sends a text to everyone in the room.
    pub async fn send(&self, text: Utf8Bytes) -> RedisResult<()> {
        match self.redis.clone() {
            Some(mut redis) => redis.publish(&self.name, text.as_str()).await,
            None => {
                // This fails only if the room has no members any more.
                let _ = self.texts.send(text);
                Ok(())
            }
        }
    }
}

/// Delivers a text from Redis.
fn deliver(entered: &Entered, push: PushInfo) {
    if push.kind != PushKind::Message {
        return;
    }
    let mut values = push.data.into_iter();
    let (Some(Value::BulkString(name)), Some(Value::BulkString(text))) =
        (values.next(), values.next())
    else {
        return;
    };
    let (Ok(name), Ok(text)) = (String::from_utf8(name), Utf8Bytes::try_from(text)) else {
        return;
    };
    if let Some(room) = lock(entered).get(&name) {
        // This fails only if the room has no members any more.
        let _ = room.texts.send(text);
    }
}

fn lock(entered: &Entered) -> MutexGuard<'_, HashMap<String, Arc<Room>>> {
    entered.lock().unwrap_or_else(PoisonError::into_inner)
}
