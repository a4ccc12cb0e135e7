//! The application of a blocking consumer, whose hooks run on the pool.

use super::{BlockingApplication, BlockingConsumer, BlockingContext, BlockingHandshake};
use crate::{
    application::Application,
    blocking::{BlockingPool, runtime_ended},
    catch_panic::discard,
    channels::{Missed, Shared},
    codec::FromMessage,
    consumer::{
        Context, Handshake, Timer, Trigger,
        connect::serve,
        disconnect_guard::{DisconnectGuard, DisconnectHook, Disconnects},
        hooks::{Connect, Connected, Hooks, TOO_SLOW},
        joined::Joined,
    },
    error::{Error, Result},
    log_limit::log_limited,
    message::{Close, Message},
    protocol::{Upgrade, WebSocket},
    rejection::Rejection,
    required_state::RequiredState,
    scope::Scope,
};
use std::{
    any::type_name,
    future::{Future, ready},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    thread,
};
use tokio::task::JoinHandle;

impl<C: BlockingConsumer> Application<WebSocket> for BlockingApplication<C> {
    fn call(
        &self,
        scope: Scope<WebSocket>,
        upgrade: Upgrade,
    ) -> impl Future<Output = crate::Result<()>> + Send {
        scope.record("consumer", type_name::<C>());
        let pool = self.pool.clone().unwrap_or_else(BlockingPool::shared);
        let start = BlockingStart::<C> {
            pool,
            is_queued: false,
            call: None,
        };
        serve(start, self.channels.clone(), scope, upgrade)
    }

    fn required_state(&self) -> RequiredState {
        C::required_state().by(type_name::<C>())
    }
}

/// A blocking consumer before `connect`, and while it runs.
struct BlockingStart<C: BlockingConsumer> {
    pool: BlockingPool,
    /// Whether `connect` waits for a permit of the pool.
    is_queued: bool,
    /// The running `connect`.
    call: Option<JoinHandle<ConnectOutcome<C>>>,
}

/// What a call of `connect` returns: a panic, a rejection, or the consumer with its handshake.
type ConnectOutcome<C> =
    thread::Result<Result<(C, Handshake<<C as BlockingConsumer>::Event>), Rejection>>;

impl<C: BlockingConsumer> Connect for BlockingStart<C> {
    type Event = C::Event;
    type Connected = BlockingConnected<C>;

    async fn connect(
        &mut self,
        handshake: Handshake<C::Event>,
    ) -> Result<(BlockingConnected<C>, Handshake<C::Event>), Rejection> {
        self.is_queued = true;
        let permit = self.pool.permit().await?;
        self.is_queued = false;
        let mut handshake = BlockingHandshake(handshake);
        let connect = move || {
            let consumer = C::connect(&mut handshake)?;
            Ok((consumer, handshake.0))
        };
        let call = permit.spawn(|| catch_unwind(AssertUnwindSafe(connect)));
        let returned = self.call.insert(call).await;
        self.call = None;
        let outcome = returned.map_err(|_| runtime_ended())?;
        let (consumer, handshake) = outcome.unwrap_or_else(|panic| resume_unwind(panic))?;
        let pool = self.pool.clone();
        Ok((BlockingConnected { consumer, pool }, handshake))
    }

    fn too_slow(&self) -> &'static str {
        match self.is_queued {
            true => {
                "a consumer's `connect` waited for the blocking pool longer than `connect_timeout`; raise the pool's limit, or find the calls that hold it"
            }
            false => TOO_SLOW,
        }
    }
}

impl<C: BlockingConsumer> Disconnects for BlockingStart<C> {
    type End = Close;

    /// Waits for a `connect` that still runs, which cannot be stopped. One that still waits for a
    /// thread never runs.
    fn disconnect(self, close: Close) -> DisconnectHook {
        let Self { pool, call, .. } = self;
        if let Some(call) = &call {
            call.abort();
        }
        Box::pin(async move {
            let Some(call) = call else { return Ok(()) };
            match call.await {
                Ok(Ok(Ok((consumer, handshake)))) => {
                    let consumer = BlockingConnected { consumer, pool };
                    let joined = Joined {
                        connection: handshake,
                        consumer: DisconnectGuard::new(consumer, None),
                    };
                    return joined.end(|()| ready(close)).await;
                }
                Ok(Err(panic)) => discard(panic),
                Ok(Ok(Err(_))) | Err(_) => {}
            }
            Ok(())
        })
    }
}

/// A blocking consumer whose handshake is not accepted yet.
struct BlockingConnected<C> {
    consumer: C,
    pool: BlockingPool,
}

impl<C: BlockingConsumer> Connected for BlockingConnected<C> {
    type Event = C::Event;
    type Hooks = BlockingHooks<C>;

    fn open(self, ctx: Context<C::Event>) -> BlockingHooks<C> {
        let ctx = BlockingContext(ctx);
        let Self { consumer, pool } = self;
        BlockingHooks {
            pool,
            idle: Some(HookState { consumer, ctx }),
            running: None,
        }
    }
}

impl<C: BlockingConsumer> Disconnects for BlockingConnected<C> {
    type End = Close;

    /// Runs the consumer's `disconnect`, without a limit.
    fn disconnect(self, close: Close) -> DisconnectHook {
        Box::pin(async move {
            let Self { consumer, pool } = self;
            match pool.run(move || consumer.disconnect(close)).await {
                Err(error) if !error.is_closed() => {
                    log_limited!(error, error = %format_args!("{error:#}"), "a consumer's disconnect panicked");
                    Err(error.logged())
                }
                _ => Ok(()),
            }
        })
    }
}

/// A blocking consumer with its open connection.
///
/// A hook takes the state to its thread and returns it, so nothing is locked while it runs. A hook
/// that is no longer awaited runs to its end, and `disconnect` after it.
struct BlockingHooks<C: BlockingConsumer> {
    pool: BlockingPool,
    /// `None` while a hook runs.
    idle: Option<HookState<C>>,
    running: Option<JoinHandle<(HookState<C>, HookOutcome)>>,
}

/// What a hook returns; the first `Err` is a panic.
type HookOutcome = thread::Result<crate::Result<()>>;

/// What a hook gets.
struct HookState<C: BlockingConsumer> {
    consumer: C,
    ctx: BlockingContext<C::Event>,
}

impl<C: BlockingConsumer> BlockingHooks<C> {
    /// Runs a hook on the pool. The caller catches its panic, as for async consumers.
    ///
    /// # Cancel safety
    /// A hook that still waits for the pool or for a thread never runs; one that has started runs to
    /// its end.
    async fn run_hook(
        &mut self,
        hook: impl FnOnce(&mut C, &mut BlockingContext<C::Event>) -> crate::Result<()> + Send + 'static,
    ) -> crate::Result<()> {
        let permit = self.pool.permit().await?;
        let mut state = self.idle.take().ok_or_else(runtime_ended)?;
        // Dropped with this future: then a hook that no thread has started yet returns the state.
        let awaited = Arc::new(());
        let is_awaited = Arc::downgrade(&awaited);
        let running = permit.spawn(move || {
            if is_awaited.strong_count() == 0 {
                return (state, Ok(Ok(())));
            }
            let HookState { consumer, ctx } = &mut state;
            let outcome = catch_unwind(AssertUnwindSafe(|| hook(consumer, ctx)));
            (state, outcome)
        });
        let returned = self.running.insert(running).await;
        self.running = None;
        // `Err`: the runtime ended before the hook started, and has dropped the consumer.
        let (state, outcome) = returned.map_err(|_| runtime_ended())?;
        self.idle = Some(state);
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

impl<C: BlockingConsumer> Hooks for BlockingHooks<C> {
    type Event = C::Event;

    const TIMERS: &'static [Timer] = C::TIMERS;

    async fn opened(&mut self) -> crate::Result<()> {
        self.run_hook(C::opened).await
    }

    async fn receive(&mut self, message: Message) -> crate::Result<()> {
        // Decoded on the pool: large JSON takes processor time.
        let receive = |consumer: &mut C, ctx: &mut _| match C::Input::decode(message) {
            Ok(input) => consumer.receive(ctx, input),
            Err((error, message)) => consumer.malformed(ctx, error.into(), message),
        };
        self.run_hook(receive).await
    }

    async fn event(&mut self, event: Shared<C::Event>) -> crate::Result<()> {
        let hook = |consumer: &mut C, ctx: &mut _| consumer.event(ctx, event);
        self.run_hook(hook).await
    }

    async fn missed(&mut self, missed: Missed) -> crate::Result<()> {
        let hook = move |consumer: &mut C, ctx: &mut _| consumer.missed(ctx, missed);
        self.run_hook(hook).await
    }

    async fn failed(&mut self, error: Error, trigger: Trigger) -> crate::Result<()> {
        let hook = move |consumer: &mut C, ctx: &mut _| consumer.failed(ctx, error, trigger);
        self.run_hook(hook).await
    }

    async fn timer(&mut self, timer: &'static Timer) -> crate::Result<()> {
        let hook = move |consumer: &mut C, ctx: &mut _| consumer.timer(ctx, timer);
        self.run_hook(hook).await
    }
}

impl<C: BlockingConsumer> Disconnects for BlockingHooks<C> {
    type End = Close;

    /// Waits for a hook that still runs, without a limit, and then runs `disconnect`.
    fn disconnect(self, close: Close) -> DisconnectHook {
        Box::pin(async move {
            let Self {
                pool,
                idle,
                running,
            } = self;
            let state = match running {
                Some(running) => running.await.ok().map(|(state, outcome)| {
                    if let Err(panic) = outcome {
                        discard(panic);
                    }
                    state
                }),
                None => idle,
            };
            let Some(HookState { consumer, ctx }) = state else {
                return Ok(());
            };
            drop(ctx);
            BlockingConnected { consumer, pool }.disconnect(close).await
        })
    }
}
