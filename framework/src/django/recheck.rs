//! Checks of open connections, shared by those with the same session cookie.

use super::user::DjangoUser;
use crate::error::{Error, Result};
use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, OnceLock, Weak},
    time::Duration,
};
use tokio::{sync::OnceCell, time::Instant};

/// The checks of one open connection.
///
/// A check that is due uses the latest of a connection with the same cookie, if that began less
/// than an interval ago. The next one is due an interval after *that* began, so that none comes
/// later than it would alone, and connections with one cookie soon check at the same time, once.
pub(super) struct Recheck {
    interval: Duration,
    all: Arc<Rechecks>,
    /// Set by the first check: most requests have none.
    cookie: OnceLock<Arc<CookieChecks>>,
    /// When the latest check began that this connection has used.
    latest: Mutex<Option<Instant>>,
}

/// The checks of all connections, by cookie.
#[derive(Default)]
pub(super) struct Rechecks(Mutex<HashMap<Arc<str>, Weak<CookieChecks>>>);

/// The checks of the connections with one cookie.
struct CookieChecks {
    cookie: Arc<str>,
    all: Arc<Rechecks>,
    latest: Mutex<Option<Arc<Check>>>,
}

/// A check that is under way or done.
struct Check {
    began: Instant,
    outcome: OnceCell<Outcome>,
}

/// The user as of a check; `None` if nobody is logged in any more.
type Outcome = Result<Option<DjangoUser>, Arc<Error>>;

impl Recheck {
    pub(super) fn new(all: &Arc<Rechecks>, interval: Duration) -> Self {
        Self {
            interval,
            all: all.clone(),
            cookie: OnceLock::new(),
            latest: Mutex::new(None),
        }
    }

    /// Returns who the client with this cookie is, as `read` does or a check of another connection
    /// did. Only a check that is due is shared: others are made because something may have changed
    /// just now.
    ///
    /// # Cancel safety
    /// If the future is dropped, one of the connections that wait for it checks instead.
    pub(super) async fn user(
        &self,
        cookie: &str,
        read: impl Future<Output = Result<Option<DjangoUser>>>,
    ) -> Outcome {
        let now = Instant::now();
        let latest = *lock(&self.latest);
        let is_due = latest.is_some_and(|began| now.duration_since(began) >= self.interval);
        let checks = self.cookie.get_or_init(|| self.all.of(cookie));
        let check = checks.check(now, is_due.then_some(self.interval));
        let reading = check
            .outcome
            .get_or_init(async || read.await.map_err(Arc::new));
        let outcome = reading.await.clone();
        *lock(&self.latest) = Some(check.began);
        outcome
    }

    /// Returns whether the next check is the first one, which is part of opening the connection.
    pub(super) fn is_first(&self) -> bool {
        lock(&self.latest).is_none()
    }

    /// Returns the time until the next check is due: after a slow one, at least a quarter of the
    /// interval.
    pub(super) fn next(&self) -> Duration {
        let age = lock(&self.latest).map(|began| began.elapsed());
        let rest = self.interval.saturating_sub(age.unwrap_or_default());
        rest.max(self.interval / 4)
    }
}

impl Rechecks {
    fn of(self: &Arc<Self>, cookie: &str) -> Arc<CookieChecks> {
        let mut all = lock(&self.0);
        if let Some(checks) = all.get(cookie).and_then(Weak::upgrade) {
            return checks;
        }
        let checks = Arc::new(CookieChecks {
            cookie: cookie.into(),
            all: self.clone(),
            latest: Mutex::new(None),
        });
        all.insert(checks.cookie.clone(), Arc::downgrade(&checks));
        checks
    }
}

impl CookieChecks {
    /// Returns the latest check if it is under way, or began within this time and has not failed;
    /// else a new one.
    fn check(&self, now: Instant, within: Option<Duration>) -> Arc<Check> {
        let mut latest = lock(&self.latest);
        if let (Some(check), Some(within)) = (&*latest, within) {
            let is_usable = match check.outcome.get() {
                // Under way, however slow the source is.
                None => true,
                Some(outcome) => outcome.is_ok() && now.duration_since(check.began) < within,
            };
            if is_usable {
                return check.clone();
            }
        }
        let check = Arc::new(Check {
            began: now,
            outcome: OnceCell::new(),
        });
        *latest = Some(check.clone());
        check
    }
}

/// Forgets the cookie with its last connection.
impl Drop for CookieChecks {
    fn drop(&mut self) {
        let mut all = lock(&self.all.0);
        // Another connection may have begun anew in the meantime.
        if all
            .get(&self.cookie)
            .is_some_and(|checks| checks.strong_count() == 0)
        {
            all.remove(&self.cookie);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("no code panics while it holds this lock")
}

#[cfg(test)]
mod tests {
    use super::{
        super::view::{DjangoView, KnownUser},
        *,
    };
    use crate::error::ErrorKind;
    use http::HeaderValue;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use tokio::{task::JoinSet, time::sleep};

    const INTERVAL: Duration = Duration::from_secs(10);
    const TAKES: Duration = Duration::from_millis(20);

    /// A site that counts how often it is read.
    #[derive(Default)]
    struct Site {
        reads: AtomicUsize,
        is_logged_out: AtomicBool,
        is_down: AtomicBool,
    }

    impl Site {
        async fn read(&self) -> Result<Option<DjangoUser>> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            let is_logged_out = self.is_logged_out.load(Ordering::Relaxed);
            sleep(TAKES).await;
            if self.is_down.load(Ordering::Relaxed) {
                return Err(Error::new(ErrorKind::Session, "down"));
            }
            Ok((!is_logged_out).then(ana))
        }

        fn reads(&self) -> usize {
            self.reads.swap(0, Ordering::Relaxed)
        }
    }

    fn ana() -> DjangoUser {
        let view = Arc::new(DjangoView::new("http://127.0.0.1:1", "/"));
        let known = KnownUser {
            id: "1".to_owned(),
            name: "ana".to_owned(),
            is_active: true,
            is_staff: false,
            is_superuser: false,
            permissions: None,
            groups: None,
        };
        DjangoUser::from_view(known, view, HeaderValue::from_static("sessionid=a"))
    }

    /// Checks until the user is logged out.
    async fn watch(all: Arc<Rechecks>, cookie: String, site: Arc<Site>) {
        let recheck = Recheck::new(&all, INTERVAL);
        while !matches!(recheck.user(&cookie, site.read()).await, Ok(None)) {
            sleep(recheck.next()).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn connections_with_one_cookie_check_once_per_interval_and_none_of_them_later() {
        let (all, site) = (Arc::default(), Arc::<Site>::default());
        let mut connections = JoinSet::new();
        for _ in 0..100 {
            let cookie = "a".to_owned();
            connections.spawn(watch(Arc::clone(&all), cookie, site.clone()));
            sleep(Duration::from_millis(77)).await;
        }
        assert_eq!(site.reads(), 100, "each connection when it opens");

        sleep(6 * INTERVAL).await;

        assert_eq!(site.reads(), 6);
        site.is_logged_out.store(true, Ordering::Relaxed);
        let logged_out = Instant::now();
        while connections.join_next().await.is_some() {}
        assert!(logged_out.elapsed() <= INTERVAL + 2 * TAKES);
        assert_eq!(
            lock(&all.0).len(),
            0,
            "nothing is kept of a closed connection"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn connections_with_different_cookies_share_nothing() {
        let (all, site) = (Arc::default(), Arc::<Site>::default());
        let mut connections = JoinSet::new();
        for number in 0..10 {
            connections.spawn(watch(Arc::clone(&all), number.to_string(), site.clone()));
        }

        sleep(INTERVAL + 2 * TAKES).await;

        assert_eq!(site.reads(), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_is_not_due_reads_anew() {
        let (all, site) = (Arc::default(), Site::default());
        let recheck = Recheck::new(&all, INTERVAL);
        for _ in 0..2 {
            let user = recheck.user("a", site.read()).await;
            assert!(user.is_ok_and(|user| user.is_some()));
        }
        assert_eq!(site.reads(), 2);

        site.is_logged_out.store(true, Ordering::Relaxed);

        let user = recheck.user("a", site.read()).await;
        assert!(user.is_ok_and(|user| user.is_none()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_check_is_not_used_by_a_connection_that_is_due_later() {
        let (all, site) = (Arc::default(), Site::default());
        let (first, second) = (Recheck::new(&all, INTERVAL), Recheck::new(&all, INTERVAL));
        first.user("a", site.read()).await.unwrap();
        sleep(INTERVAL / 2).await;
        site.is_down.store(true, Ordering::Relaxed);
        second.user("a", site.read()).await.unwrap_err();
        site.is_down.store(false, Ordering::Relaxed);

        sleep(first.next()).await;

        first.user("a", site.read()).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_of_a_connection_that_closes_is_made_by_one_that_waits_for_it() {
        let (all, site) = (Arc::default(), Arc::<Site>::default());
        let rechecks = [(); 2].map(|()| Recheck::new(&all, INTERVAL));
        for recheck in &rechecks {
            recheck.user("a", site.read()).await.unwrap();
        }
        sleep(INTERVAL).await;
        let [first, second] = rechecks;
        let mut closing = Box::pin(first.user("a", site.read()));
        assert!(futures_util::poll!(&mut closing).is_pending());
        let mut waiting = Box::pin(second.user("a", site.read()));
        assert!(futures_util::poll!(&mut waiting).is_pending());

        drop(closing);

        assert!(waiting.await.is_ok_and(|user| user.is_some()));
        assert_eq!(site.reads(), 4);
    }
}
