//! The task that replaces the connection of a link when it is lost.

use super::{
    connect_error::{Cause, without_remedy},
    dialer::Dialer,
    downtime::{Downtime, Reconnected},
    liveness::{self, Lost},
    state::{LinkState, Loss, Server, Up},
};
use crate::{log_limit::log_limited, metric};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

/// The pause between attempts while the server may be shutting down.
const ENDING_PAUSE: Duration = Duration::from_millis(10);
/// The pause before the second attempt to reconnect, doubled up to the longest; the first follows
/// at once.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// The longest pause while Redis does not respond: it is used again well within 1 s of its return.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause while Redis refuses: an operator has to correct a password or a permission
/// first.
const LONGEST_PAUSE_DENIED: Duration = Duration::from_millis(500);
/// The longest pause before the first attempt after a connection that did not last. It is short
/// enough to observe what happened to the server.
const LONGEST_UNSTABLE_PAUSE: Duration = Duration::from_millis(100);
/// How long a connection must have lasted for the next attempts to begin with a short pause again.
const STABLE: Duration = Duration::from_secs(2);
/// The number of unstable connections in a row that is not logged: two restarts of Redis cause as
/// many.
const FEW_LOSSES: u32 = 3;

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Lost(Lost),
    /// It leads to the wrong server, for this reason.
    Wrong(Arc<str>),
}

/// The task that keeps a link connected.
pub(super) struct Supervisor {
    dialer: Dialer,
    pace: DialPace,
    /// The number of the last connection that is to be replaced, and why.
    to_replace: watch::Receiver<Option<(u64, End)>>,
    states: watch::Sender<LinkState>,
}

impl Supervisor {
    pub(super) fn new(
        dialer: Dialer,
        to_replace: watch::Receiver<Option<(u64, End)>>,
        states: watch::Sender<LinkState>,
    ) -> Self {
        Self {
            dialer,
            pace: DialPace::default(),
            to_replace,
            states,
        }
    }

    /// Waits until the connection is lost, then dials until there is another one, forever.
    pub(super) async fn run(mut self, first: Up) {
        let mut up = first;
        loop {
            let counted = metric::RedisConnection::new(self.dialer.settings.purpose);
            let end = self.monitor(&up).await;
            // A silent connection may recover, and must not deliver beside the next one.
            up.driver.abort();
            drop(counted);
            up = self.redial(up, &end).await;
            self.states.send_replace(LinkState::Up(up.clone()));
        }
    }

    /// Dials until there is another connection; until then the state of the link is that there is none.
    async fn redial(&mut self, before: Up, end: &End) -> Up {
        let Self {
            dialer,
            states,
            pace,
            ..
        } = self;
        let endpoint = &dialer.endpoint;
        let (purpose, redis) = (dialer.settings.purpose, endpoint.shown());
        let ended_at = Instant::now();
        let mut why: Arc<str> = match end {
            End::Lost(lost) => lost.to_string().into(),
            End::Wrong(reason) => reason.clone(),
        };
        let is_closed = *end == End::Lost(Lost::Closed);
        let had_backlog = before.activity.had_backlog();
        let is_stable = ended_at.duration_since(before.since) >= STABLE;
        let loss = loss_of(before, end);
        let mut downtime = Downtime::new(loss, is_closed, had_backlog, ended_at);
        states.send_replace(LinkState::Down(downtime.state(&why)));
        // A connection that is lost repeatedly right after it was made is not retried without a
        // pause.
        if is_stable {
            *pace = DialPace::default();
        } else {
            pace.unstable = pace.unstable.saturating_add(1);
            pace.wait(LONGEST_UNSTABLE_PAUSE).await;
            if pace.unstable > FEW_LOSSES
                && endpoint.is_log_due(purpose, &format!("repeatedly: {why}"))
            {
                tracing::warn!(%redis, purpose, reason = %why, "connections to Redis end repeatedly, right after they are established");
            }
        }
        let mut is_logged = false;
        let (mut up, waited) = loop {
            let started_at = Instant::now();
            let refusal = match dialer.dial(Some(downtime.loss())).await {
                Ok(dialed) => break dialed,
                Err(refusal) => refusal,
            };
            let is_same = refusal.is_at(downtime.address());
            if downtime.refused(refusal.cause, is_same, started_at, Instant::now()) {
                sleep(ENDING_PAUSE).await;
                continue;
            }
            let reason = refusal.to_string();
            why = match refusal.cause {
                // It has accepted connections before, so neither port nor TLS is wrong.
                Cause::ClosedEarly => without_remedy(&reason).into(),
                _ => reason.into(),
            };
            if endpoint.is_log_due(purpose, &why) {
                is_logged = true;
                tracing::warn!(%redis, purpose, reason = %why, "lost the connection to Redis; reconnecting");
            }
            states.send_replace(LinkState::Down(downtime.state(&why)));
            let longest = match refusal.cause {
                Cause::Denied => LONGEST_PAUSE_DENIED,
                Cause::NothingListens | Cause::ClosedEarly | Cause::Unreachable => LONGEST_PAUSE,
            };
            pace.wait(longest).await;
        };
        let next = Reconnected {
            address: up.address.shown(),
            run_id: up.run_id.as_deref(),
            opened_at: up.since,
            waited,
        };
        up.loss = Some(downtime.reconnected(&next, Instant::now()));
        let down = ended_at.elapsed();
        metric::redis_reconnected(purpose, down);
        if is_stable || is_logged {
            let seconds = format_args!("{:.1}", down.as_secs_f32());
            let server = up.address.shown();
            let lost_because = without_remedy(&why);
            log_limited!(info, %redis, %server, purpose, %seconds, lost_because, "reconnected to Redis");
        }
        up
    }

    /// Waits until the connection is lost, or is to be replaced.
    async fn monitor(&self, up: &Up) -> End {
        let mut to_replace = self.to_replace.clone();
        let is_this = |named: &Option<(u64, End)>| matches!(named, Some((generation, _)) if *generation == up.generation);
        let replaced = async {
            let named = to_replace.wait_for(is_this).await.ok()?;
            named.as_ref().map(|(_, end)| end.clone())
        };
        tokio::select! {
            lost = liveness::lost(&up.connection, &up.activity, self.dialer.settings.silence) => End::Lost(lost),
            () = self.dialer.endpoint.changed_from(&up.address) => End::Wrong("another server is the primary now".into()),
            () = self.dialer.demoted(up) => End::Wrong("its server is a replica now".into()),
            Some(end) = replaced => {
                if matches!(end, End::Wrong(_)) {
                    self.dialer.endpoint.mark_stale();
                }
                end
            }
        }
    }
}

/// How fast a link dials.
struct DialPace {
    pause: Duration,
    /// The number of connections in a row that did not last.
    unstable: u32,
}

impl Default for DialPace {
    fn default() -> Self {
        Self {
            pause: FIRST_PAUSE,
            unstable: 0,
        }
    }
}

impl DialPace {
    /// Waits before the next attempt, and doubles the pause up to the longest.
    async fn wait(&mut self, longest: Duration) {
        sleep(jittered(self.pause)).await;
        self.pause = longest.min(self.pause * 2);
    }
}

/// Shortens a pause by up to a quarter at random, so that a thousand processes do not dial at once.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(fastrand::f64().mul_add(0.25, 0.75))
}

fn loss_of(up: Up, end: &End) -> Loss {
    Loss {
        generation: up.generation,
        address: up.address.shown().clone(),
        run_id: up.run_id,
        client: up.client,
        last_received: up.activity.last_received(),
        server: Server::MayHaveContinued,
        is_left: matches!(end, End::Wrong(_)),
        may_hide_a_run: up.activity.is_incomplete(),
    }
}
