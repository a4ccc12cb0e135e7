//! The router that selects an application by the name of a worker queue.

use crate::{
    application::{Application, ApplicationExt, BoxApplication},
    error::{Error, ErrorKind},
    name::ChannelName,
    protocol::{Job, Worker},
    required_state::RequiredState,
    scope::Scope,
};
use std::{collections::BTreeMap, fmt, num::NonZeroUsize};
use tower_layer::Layer;

/// A router that selects an application by the channel of a job, and the list of channels that
/// workers serve.
///
/// ```
/// use seaway::{Channels, Event, Result, WorkerContext, routing::ChannelNameRouter, worker_fn};
///
/// #[derive(Event)]
/// enum ImageJob { Shrink { file: String } }
///
/// async fn image(_: WorkerContext, job: ImageJob) -> Result<()> {
///     let ImageJob::Shrink { file } = job;
///     println!("shrinking {file}");
///     Ok(())
/// }
///
/// let channels = Channels::in_memory();
/// let workers = ChannelNameRouter::new()
///     .route("images", worker_fn(&channels, image))
///     .concurrency("images", 4);
/// ```
///
/// [`serve_workers`](crate::serve_workers) runs the workers in a process of their own,
/// [`Serve::workers`](crate::Serve::workers) beside a server.
#[derive(Clone, Default)]
#[must_use = "a router does nothing until it is served"]
pub struct ChannelNameRouter {
    routes: BTreeMap<ChannelName, WorkerRoute>,
}

#[derive(Clone)]
struct WorkerRoute {
    application: BoxApplication<Worker>,
    concurrency: NonZeroUsize,
}

impl ChannelNameRouter {
    /// Returns a router without routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a channel, and the application that runs its jobs.
    ///
    /// # Panics
    /// If the name is not that of a [worker queue](ChannelName::is_worker_queue), or has a route
    /// already.
    #[track_caller]
    pub fn route(mut self, channel: &str, application: impl Application<Worker>) -> Self {
        let name = match ChannelName::new(channel) {
            Ok(name) if name.is_worker_queue() => name,
            Ok(name) => panic!(
                "cannot route {name}: it is the channel of a consumer; a worker's has no `!`"
            ),
            Err(error) => panic!("cannot route: {error}"),
        };
        let route = WorkerRoute {
            application: application.boxed(),
            concurrency: NonZeroUsize::MIN,
        };
        let earlier = self.routes.insert(name, route);
        assert!(
            earlier.is_none(),
            "cannot route {channel:?}: the channel has a route already"
        );
        self
    }

    /// Sets how many jobs of a channel this process runs at the same time (default: 1).
    ///
    /// Further ones remain in the queue.
    ///
    /// # Panics
    /// If the channel has no route yet, or `jobs` is 0.
    #[track_caller]
    pub fn concurrency(mut self, channel: &str, jobs: usize) -> Self {
        let Some(jobs) = NonZeroUsize::new(jobs) else {
            panic!("the concurrency of {channel:?} is 0: use at least 1");
        };
        let mut routes = self.routes.iter_mut();
        let Some((_, route)) = routes.find(|(name, _)| name.as_str() == channel) else {
            panic!("there is no route for {channel:?}: call `concurrency` after `route`");
        };
        route.concurrency = jobs;
        self
    }

    /// Wraps the applications that were added so far in a middleware.
    ///
    /// The last `with` is the outermost.
    ///
    /// ```
    /// use seaway::{Channels, Event, Result, WorkerContext, middleware::Provide};
    /// use seaway::{routing::ChannelNameRouter, worker_fn};
    /// use std::path::PathBuf;
    ///
    /// #[derive(Event)]
    /// enum ImageJob { Shrink { file: String } }
    ///
    /// async fn image(ctx: WorkerContext, job: ImageJob) -> Result<()> {
    ///     let folder = ctx.state::<PathBuf>()?;
    ///     Ok(())
    /// }
    ///
    /// let channels = Channels::in_memory();
    /// let workers = ChannelNameRouter::new()
    ///     .route("images", worker_fn(&channels, image))
    ///     .with(Provide(PathBuf::from("uploads")));
    /// ```
    ///
    /// # Panics
    /// If there are no routes yet: the middleware would have no effect.
    #[track_caller]
    pub fn with<M>(mut self, middleware: M) -> Self
    where
        M: Layer<BoxApplication<Worker>>,
        M::Service: Application<Worker>,
    {
        assert!(
            !self.routes.is_empty(),
            "there is no application to wrap in middleware yet: call `with` after `route`"
        );
        for route in self.routes.values_mut() {
            route.application = middleware.layer(route.application.clone()).boxed();
        }
        self
    }

    /// Returns the channels that have a route, with the number of jobs that run at the same time.
    pub fn channels(&self) -> impl Iterator<Item = (&ChannelName, usize)> {
        let routes = self.routes.iter();
        routes.map(|(name, route)| (name, route.concurrency.get()))
    }
}

impl Application<Worker> for ChannelNameRouter {
    async fn call(&self, scope: Scope<Worker>, job: Job) -> crate::Result<()> {
        let Some(route) = self.routes.get(&*scope.head) else {
            let message = format!("no worker serves the channel {}; add a route", scope.head);
            return Err(Error::new(ErrorKind::Missing, message).into());
        };
        route.application.call(scope, job).await
    }

    fn required_state(&self) -> RequiredState {
        let routes = self.routes.iter();
        let required = routes.map(|(name, route)| {
            let required = route.application.required_state();
            required.at(name.as_str())
        });
        required.fold(RequiredState::none(), RequiredState::and)
    }
}

impl fmt::Debug for ChannelNameRouter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ChannelNameRouter")
            .field(&self.routes.keys())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::application_fn;

    fn ignore() -> impl Application<Worker> {
        application_fn(|_: Scope<Worker>, _: Job| async { Ok(()) })
    }

    #[tokio::test]
    async fn a_channel_without_a_route_is_an_error_that_names_it() {
        let router = ChannelNameRouter::new().route("a", ignore());
        let scope = |name: &str| Scope::new(ChannelName::new(name).unwrap());

        let routed = router.call(scope("a"), Job::from_bytes("")).await;
        let error = router
            .call(scope("b"), Job::from_bytes(""))
            .await
            .unwrap_err();

        assert!(routed.is_ok());
        assert_eq!(error.kind(), ErrorKind::Missing);
        assert!(error.to_string().contains("channel b"), "{error}");
    }

    #[test]
    #[should_panic(expected = "a worker's has no `!`")]
    fn a_consumers_channel_cannot_be_routed() {
        _ = ChannelNameRouter::new().route("specific.a!1", ignore());
    }

    #[test]
    #[should_panic(expected = "has a route already")]
    fn a_channel_has_one_route() {
        _ = ChannelNameRouter::new()
            .route("a", ignore())
            .route("a", ignore());
    }

    #[test]
    #[should_panic(expected = "no route for \"b\"")]
    fn the_concurrency_of_an_unknown_channel_is_a_mistake() {
        _ = ChannelNameRouter::new()
            .route("a", ignore())
            .concurrency("b", 2);
    }

    #[test]
    #[should_panic(expected = "call `with` after `route`")]
    fn middleware_around_nothing_is_a_mistake() {
        _ = ChannelNameRouter::new().with(tower_layer::Identity::new());
    }
}
