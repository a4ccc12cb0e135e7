//! The newest primary that any Sentinel has named.
//!
//! Sentinels learn of a failover one after the other, and the old primary continues to accept
//! commands for a while. Events that one process sends there do not reach a process that has left
//! already. So a process listens to all Sentinels: it leaves the old primary as soon as the first
//! of them names another one, and uses that one after [`SWITCH`], when the other processes have
//! left the old one, too. A notice of the gap that follows its reconnection thus covers all that is
//! missing.

use super::{
    address::{Address, Dialed},
    connect_error::{Cause, ConnectError, response_to},
    repeat::Repeat,
    stream::PushReceiver,
    topology::LONGEST_HOST,
};
use futures_util::FutureExt;
use redis::{PushKind, Value, aio::MultiplexedConnection};
use std::{cmp::Ordering, collections::HashMap, convert::Infallible, sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, sleep_until},
};

/// How long a new primary is not used after this process has learned of it: longer than the
/// announcement of a Sentinel takes to reach all processes.
const SWITCH: Duration = Duration::from_millis(500);

/// How long a primary that a Sentinel has named counts as newer than what others say: they agree
/// within seconds. Sentinels that were set up anew begin to count again.
const REMEMBERED: Duration = Duration::from_secs(10);

/// The messages with which a Sentinel announces another primary: the one that conducts the
/// failover, as soon as it has promoted a replica, and any that hears of it.
const ANNOUNCEMENTS: [&str; 2] = ["+promoted-slave", "+switch-master"];

/// How often a Sentinel that announces nothing is queried: so a dead connection is noticed, and
/// what they say is confirmed several times within [`REMEMBERED`].
const ASK_EVERY: Duration = Duration::from_secs(2);

/// The mean pause before a Sentinel is dialed again.
const RETRY: Duration = Duration::from_secs(1);

/// The longest additional pause before a new primary is used, so that a thousand processes do not
/// dial at once.
const SPREAD: Duration = Duration::from_millis(100);

/// A primary, as a Sentinel names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamedPrimary {
    pub(super) host: String,
    pub(super) port: u16,
    /// Grows with each failover.
    pub(super) epoch: u64,
}

impl NamedPrimary {
    /// Checks what a Sentinel has named.
    ///
    /// # Errors
    /// If the host is too long to be one.
    fn new(host: String, port: u16, epoch: u64) -> Result<Self, ConnectError> {
        let length = host.len();
        if length > LONGEST_HOST {
            let reason = format!(
                "it names a primary whose host has {length} bytes, more than {LONGEST_HOST}"
            );
            return Err(ConnectError::new(reason, Cause::Denied));
        }
        Ok(Self { host, port, epoch })
    }

    /// Returns whether both are written as the same host and port.
    pub(super) fn has_same_address(&self, other: &Self) -> bool {
        self.port == other.port && self.host.eq_ignore_ascii_case(&other.host)
    }
}

/// The newest primary that any Sentinel has named.
#[derive(Default)]
pub(super) struct Newest(watch::Sender<Option<NewestState>>);

#[derive(Clone)]
struct NewestState {
    named: NamedPrimary,
    /// When a Sentinel named it last.
    confirmed_at: Instant,
    /// When it may be used, if it has replaced another one.
    usable_at: Option<Instant>,
}

impl Newest {
    /// Records what the Sentinel with this address says.
    ///
    /// A failover raises the epoch, so a Sentinel that names another primary with the same one
    /// only writes its address differently.
    pub(super) fn record(&self, named: NamedPrimary, sentinel: &str) {
        let now = Instant::now();
        self.0.send_if_modified(|newest| {
            let Some(known) = newest else {
                *newest = Some(NewestState {
                    named,
                    confirmed_at: now,
                    usable_at: None,
                });
                return true;
            };
            let is_other = !named.has_same_address(&known.named);
            let is_newer = match named.epoch.cmp(&known.named.epoch) {
                Ordering::Less => false,
                Ordering::Equal => !is_other,
                Ordering::Greater => true,
            };
            if !is_newer && now.duration_since(known.confirmed_at) < REMEMBERED {
                return false;
            }
            if is_other {
                let NamedPrimary { host, port, epoch } = &named;
                tracing::info!(%host, port, epoch, %sentinel, "a Sentinel has named another primary");
                known.usable_at = Some(now + SWITCH + SPREAD.mul_f64(fastrand::f64()));
            }
            match is_other {
                true => known.named = named,
                // The host as it was written first: connections are to remain.
                false => known.named.epoch = named.epoch,
            }
            known.confirmed_at = now;
            is_other
        });
    }

    /// Returns the primary; `None` if no Sentinel has named one yet.
    pub(super) fn get(&self) -> Option<NamedPrimary> {
        self.0.borrow().as_ref().map(|known| known.named.clone())
    }

    /// Waits until the primary may be used, and returns it; `None` if no Sentinel has named one
    /// yet. If another one is named meanwhile, that one is returned, without a further wait the
    /// second time.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn usable(&self) -> Option<NamedPrimary> {
        for _ in 0..2 {
            let usable_at = self.0.borrow().as_ref()?.usable_at;
            match usable_at.filter(|at| *at > Instant::now()) {
                Some(at) => sleep_until(at).await,
                None => break,
            }
        }
        self.get()
    }

    /// Waits until the primary is another than the one at this address.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn differs(&self, is_there: impl Fn(&NamedPrimary) -> bool) {
        let is_other =
            |newest: &Option<NewestState>| matches!(newest, Some(known) if !is_there(&known.named));
        // The sender lives as long as `self`.
        _ = self.0.subscribe().wait_for(is_other).await;
    }
}

/// Queries a Sentinel for the primary of a service.
///
/// # Errors
/// If it does not respond in time, refuses, or does not know the service.
pub(super) async fn query(
    connection: &mut MultiplexedConnection,
    service: &str,
) -> Result<NamedPrimary, ConnectError> {
    type Facts = HashMap<String, String>;
    let mut questions = redis::pipe();
    // The one that conducts a failover names the new primary here as soon as it is promoted; the
    // other response has the number.
    let arguments = ["get-master-addr-by-name", service];
    questions.cmd("SENTINEL").arg(&arguments);
    questions.cmd("SENTINEL").arg(&["master", service]);
    let query = questions.query_async::<((String, u16), Facts)>(connection);
    let query = query.map(|response| match response {
        Err(error) if error.to_string().contains("No such master") => Ok(None),
        response => response.map(Some),
    });
    let Some(((host, port), facts)) = response_to(query).await? else {
        let reason = format!(
            "it does not know the service `{service}`; correct the name at the end of the URL"
        );
        return Err(ConnectError::new(reason, Cause::Denied));
    };
    let epoch = facts
        .get("config-epoch")
        .and_then(|epoch| epoch.parse().ok());
    NamedPrimary::new(host, port, epoch.unwrap_or(0))
}

/// Listens to one Sentinel, and dials it again whenever the connection is lost, forever.
pub(super) async fn listen(sentinel: Address, service: String, newest: Arc<Newest>) {
    let mut logged = Repeat::default();
    loop {
        let Err(error) = follow(&sentinel, &service, &newest).await;
        let error = error.of_sentinel();
        if logged.is_due(&error.to_string()) {
            let redis = sentinel.shown();
            tracing::warn!(%redis, reason = %error, "cannot listen to a Sentinel; retrying");
        }
        sleep(RETRY.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
    }
}

/// Records what a Sentinel says whenever it announces something.
///
/// # Errors
/// When the connection is lost.
async fn follow(
    sentinel: &Address,
    service: &str,
    newest: &Newest,
) -> Result<Infallible, ConnectError> {
    let announced = Arc::new(Announced::default());
    let Dialed {
        mut connection,
        activity,
        driver: _driver,
    } = sentinel.dial(announced.clone()).await?;
    let subscribing = connection.subscribe(&ANNOUNCEMENTS[..]);
    response_to(subscribing).await?;
    loop {
        newest.record(query(&mut connection, service).await?, sentinel.shown());
        tokio::select! {
            () = announced.0.notified() => {}
            () = sleep(ASK_EVERY) => {}
            () = activity.ended() => {
                return Err(ConnectError::new("the connection was closed", Cause::Unreachable));
            }
        }
    }
}

/// Wakes the task that follows a Sentinel when that announces something.
#[derive(Default)]
struct Announced(Notify);

impl PushReceiver for Announced {
    fn push(&self, kind: PushKind, _: Vec<Value>) {
        if kind == PushKind::Message {
            self.0.notify_one();
        }
    }

    fn deliveries(&self) -> u64 {
        0
    }

    fn has_room(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(host: &str, epoch: u64) -> NamedPrimary {
        NamedPrimary {
            host: host.to_owned(),
            port: 6379,
            epoch,
        }
    }

    #[test]
    fn a_host_that_is_too_long_to_be_one_is_no_primary() {
        for (length, is_valid) in [(255, true), (256, false), (5_000, false)] {
            let named = NamedPrimary::new("h".repeat(length), 6379, 1);

            assert_eq!(named.is_ok(), is_valid, "{length}");
            if let Err(error) = named {
                assert!(error.to_string().len() < 100, "{error}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_sentinel_that_has_not_heard_of_a_failover_is_not_believed() {
        let newest = Newest::default();
        newest.record(named("a", 1), "sentinel");
        let first = newest.usable().now_or_never();
        assert_eq!(first, Some(Some(named("a", 1))));

        newest.record(named("b", 2), "sentinel");
        newest.record(named("a", 1), "sentinel");

        assert_eq!(newest.get(), Some(named("b", 2)));
        assert!(newest.usable().now_or_never().is_none());
        sleep(SWITCH + SPREAD).await;
        let second = newest.usable().now_or_never();
        assert_eq!(second, Some(Some(named("b", 2))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_primary_that_is_replaced_during_the_wait_is_not_returned() {
        let newest = Newest::default();
        newest.record(named("a", 1), "sentinel");
        newest.record(named("b", 2), "sentinel");

        let (usable, ()) = tokio::join!(newest.usable(), async {
            sleep(SWITCH / 2).await;
            newest.record(named("c", 3), "sentinel");
        });

        assert_eq!(usable, Some(named("c", 3)));
    }

    #[tokio::test(start_paused = true)]
    async fn sentinels_that_write_one_address_differently_do_not_move_the_process() {
        let newest = Newest::default();
        newest.record(named("10.0.0.1", 4), "sentinel");

        for _ in 0..20 {
            sleep(ASK_EVERY).await;
            newest.record(named("primary.example", 4), "sentinel");
            newest.record(named("10.0.0.1", 4), "sentinel");
            assert_eq!(newest.get(), Some(named("10.0.0.1", 4)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn sentinels_that_write_one_host_in_different_case_do_not_move_the_process() {
        let newest = Newest::default();
        newest.record(named("primary.example", 4), "sentinel");

        newest.record(named("Primary.Example", 5), "sentinel");
        assert_eq!(newest.get(), Some(named("primary.example", 5)));
        sleep(REMEMBERED).await;
        newest.record(named("PRIMARY.EXAMPLE", 0), "sentinel");
        assert_eq!(newest.get(), Some(named("primary.example", 0)));
    }

    #[tokio::test(start_paused = true)]
    async fn sentinels_that_were_set_up_anew_are_believed_after_a_while() {
        let newest = Newest::default();
        newest.record(named("a", 7), "sentinel");

        sleep(REMEMBERED).await;
        newest.record(named("b", 0), "sentinel");

        assert_eq!(newest.get(), Some(named("b", 0)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_announcement_wakes_a_task_that_waits_for_another_primary() {
        let newest = Newest::default();
        newest.record(named("a", 1), "sentinel");
        let mut waiting = Box::pin(newest.differs(|named| named.host == "a"));
        assert!((&mut waiting).now_or_never().is_none());

        newest.record(named("b", 2), "sentinel");

        assert!(waiting.now_or_never().is_some());
    }
}
