//! What Sentinels, or the nodes of a Cluster, say where primaries are.

use super::{
    address::{Address, ConnectionTask, Dialed},
    connect_error::{Cause, ConnectError, response_to},
    newest::{self, NamedPrimary, Newest},
    repeat::Repeat,
    staggered::Staggered,
    stream::NoInbox,
    topology::{NewestTopology, Primary, Topology},
};
use redis::{Value, aio::MultiplexedConnection};
use std::{
    future::pending,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    join,
    sync::Mutex,
    task::JoinSet,
    time::{Instant, timeout},
};

/// The timeout for a connection to a Sentinel or node, and its response.
const CANDIDATE_TIMEOUT: Duration = Duration::from_secs(2);

/// The number of nodes that are kept beside those of the URL.
const MOST_NODES: usize = 1000;

/// How often another node is queried because the response of the last one may be stale: during a
/// failover, all nodes name the primary that is gone.
const QUERY_ANOTHER_EVERY: Duration = Duration::from_millis(100);

/// The first and the longest pause between searches for a node that does not say that the Cluster is
/// down; each is twice as long as the one before. A search of nodes that do not respond takes
/// [`CANDIDATE_TIMEOUT`] or more, and the connections of the process wait for it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The Sentinels, or the nodes of a Cluster, and what they said last.
pub(super) struct Directory {
    question: Question,
    /// Those of the URL.
    seeds: Vec<Address>,
    /// A primary's address, except host and port: user, password, database, TLS.
    primaries: Address,
    shown: Arc<str>,
    logged: Arc<std::sync::Mutex<Repeat>>,
    known: Mutex<DirectoryState>,
    /// Whether a primary that was named could not be used.
    is_stale: AtomicBool,
}

/// What is queried.
pub(super) enum Question {
    /// Where the primary of this service is, of Sentinels.
    Service {
        name: String,
        newest: Arc<Newest>,
        /// The tasks that listen to each Sentinel, once one has responded.
        listeners: OnceLock<JoinSet<()>>,
    },
    /// Which primary has which slots, of the nodes of a Cluster.
    Slots,
}

impl Question {
    pub(super) fn service(name: String) -> Self {
        Self::Service {
            name,
            newest: Arc::default(),
            listeners: OnceLock::new(),
        }
    }
}

#[derive(Default)]
struct DirectoryState {
    newest: NewestTopology,
    queried_at: Option<Instant>,
    /// Until when no other one is queried because the response may be stale.
    stale_due: Option<Instant>,
    /// The next search, if the one that responded last says that the Cluster is down.
    search: Option<Search>,
    /// The connection to the one that responded last.
    responder: Option<Responder>,
}

/// A search for a node that does not say that the Cluster is down: one that is cut off from most
/// others will not hear of a failover.
#[derive(Clone, Copy)]
struct Search {
    due: Instant,
    /// The pause after it.
    pause: Duration,
}

impl Search {
    /// Returns the first one: with the next query.
    fn first() -> Self {
        Self {
            due: Instant::now(),
            pause: FIRST_PAUSE,
        }
    }

    /// Returns the one after this one, which has found none.
    fn next(self) -> Self {
        Self {
            due: Instant::now() + self.pause,
            pause: (self.pause * 2).min(LONGEST_PAUSE),
        }
    }
}

/// An address to use now.
pub(super) struct Found {
    pub(super) address: Address,
    /// For how long its use was put off after it was known: all processes do so, so none uses a
    /// server in this time.
    pub(super) waited: Duration,
}

impl Found {
    pub(super) fn at_once(address: Address) -> Self {
        Self {
            address,
            waited: Duration::ZERO,
        }
    }
}

/// What a Sentinel or node responds.
struct DirectoryResponse {
    topology: Topology,
    /// Whether a node says that the Cluster is down.
    is_failing: bool,
}

/// A connection to a Sentinel or node.
#[derive(Clone)]
struct Responder {
    connection: MultiplexedConnection,
    address: Address,
    _driver: Arc<ConnectionTask>,
}

impl DirectoryState {
    /// Records a response; returns whether it is the newest.
    fn record(
        &mut self,
        response: DirectoryResponse,
        responder: Responder,
        if_failing: Search,
    ) -> bool {
        let is_newest = self.newest.record(response.topology, Instant::now());
        if is_newest {
            self.responder = Some(responder);
            self.search = response.is_failing.then_some(if_failing);
        }
        is_newest
    }

    /// Records that the node that responded last does not any more: others are asked at once.
    fn lose_responder(&mut self) {
        self.responder = None;
        self.stale_due = None;
    }

    /// Returns the search after one that has found no node, if the next one says that the Cluster
    /// is down, too.
    fn next_search(&self) -> Search {
        self.search.map_or_else(Search::first, Search::next)
    }
}

impl Directory {
    pub(super) fn new(
        question: Question,
        seeds: Vec<Address>,
        primaries: Address,
        shown: Arc<str>,
    ) -> Arc<Self> {
        Arc::new(Self {
            question,
            seeds,
            primaries,
            shown,
            logged: Arc::default(),
            known: Mutex::default(),
            is_stale: AtomicBool::new(false),
        })
    }

    pub(super) fn shown(&self) -> &Arc<str> {
        &self.shown
    }

    /// Returns what was logged of failures of all primaries.
    pub(super) fn logged(&self) -> &Arc<std::sync::Mutex<Repeat>> {
        &self.logged
    }

    /// Returns whether the primaries are those of a Cluster.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.question, Question::Slots)
    }

    /// Returns the address of the primary that has a slot, as a response that is at most `age` old
    /// names it: all connections of a process query together.
    ///
    /// # Errors
    /// If none responds, or the response names no such primary.
    pub(super) async fn find(&self, slot: u16, age: Duration) -> Result<Address, ConnectError> {
        let mut known = self.known.lock().await;
        if known.queried_at.is_none_or(|at| at.elapsed() > age) {
            self.query(&mut known).await?;
            known.queried_at = Some(Instant::now());
        }
        if let Question::Service { newest, .. } = &self.question
            && let Some(NamedPrimary { host, port, .. }) = newest.get()
        {
            self.listen();
            return Ok(self.primaries.at(&host, port));
        }
        match known.newest.primary_of(slot) {
            Some(Primary { host, port, .. }) => Ok(self.primaries.at(host, *port)),
            None => {
                self.mark_stale();
                Err(ConnectError::new(
                    format!(
                        "no primary of the Cluster has slot {slot}; check `redis-cli --cluster check`"
                    ),
                    Cause::Unreachable,
                ))
            }
        }
    }

    /// Returns the same, and waits until a primary that has replaced another one may be used.
    ///
    /// # Errors
    /// Those of [`find`](Self::find).
    pub(super) async fn find_usable(
        &self,
        slot: u16,
        age: Duration,
    ) -> Result<Found, ConnectError> {
        let mut found = Found::at_once(self.find(slot, age).await?);
        let found_at = Instant::now();
        if let Question::Service { newest, .. } = &self.question
            && let Some(NamedPrimary { host, port, .. }) = newest.usable().await
        {
            found.address = self.primaries.at(&host, port);
            found.waited = found_at.elapsed();
        }
        Ok(found)
    }

    /// Records that a primary that a node of the Cluster named could not be used, or is none: the
    /// node may not have heard of a failover, so another one is queried next time. All Sentinels
    /// are listened to, so none of their responses is stale.
    pub(super) fn mark_stale(&self) {
        self.is_stale.store(self.is_cluster(), Ordering::Relaxed);
    }

    /// Waits until a Sentinel has announced that another primary has replaced the one at this
    /// address; a Cluster announces nothing.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn replaced(&self, address: &Address) {
        match &self.question {
            Question::Service { newest, .. } => {
                let is_there = |named: &NamedPrimary| {
                    self.primaries.at(&named.host, named.port).shown() == address.shown()
                };
                newest.differs(is_there).await;
            }
            Question::Slots => pending().await,
        }
    }

    /// Begins to listen to all Sentinels, unless it has begun.
    fn listen(&self) {
        let Question::Service {
            name,
            newest,
            listeners,
        } = &self.question
        else {
            return;
        };
        listeners.get_or_init(|| {
            let seeds = self.seeds.iter().cloned();
            seeds
                .map(|sentinel| newest::listen(sentinel, name.clone(), newest.clone()))
                .collect()
        });
    }

    /// Queries the one that responded last, unless its response may be stale, then the others in
    /// turn, until one knows the newest. If none does, one that may be stale is believed.
    async fn query(&self, known: &mut DirectoryState) -> Result<(), ConnectError> {
        let needs_another = self.needs_another(known);
        let last = known.responder.clone();
        let mut has_answer = false;
        if let Some(responder) = &last
            && !needs_another
        {
            match self.response(responder).await {
                Ok(response) => {
                    has_answer = true;
                    let search = known.search.unwrap_or_else(Search::first);
                    if known.record(response, responder.clone(), search) {
                        return Ok(());
                    }
                }
                Err(_) => known.lose_responder(),
            }
        }
        let candidates = self.candidates(known, last.as_ref());
        let mut answers = Staggered::new(candidates.into_iter().map(|address| self.ask(address)));
        let mut failures = Vec::new();
        while let Some(answer) = answers.next().await {
            match answer {
                Ok((responder, response)) => {
                    has_answer = true;
                    if known.record(response, responder, known.next_search()) {
                        return Ok(());
                    }
                }
                Err(error) => failures.push(error),
            }
        }
        if let Some(responder) = last
            && needs_another
        {
            if !has_answer {
                // Another search at once would take as long, and find none either.
                known.stale_due = Some(Instant::now() + LONGEST_PAUSE);
            }
            match self.response(&responder).await {
                Ok(response) => {
                    has_answer = true;
                    known.record(response, responder, known.next_search());
                }
                Err(error) => {
                    known.lose_responder();
                    failures.push(error.at(responder.address.shown(), true));
                }
            }
        }
        // What another one said a short while ago is newer.
        if has_answer {
            return Ok(());
        }
        let who = match self.question {
            Question::Service { .. } => "no Sentinel",
            Question::Slots => "no node of the Cluster",
        };
        let is_denied = failures.iter().any(|error| error.cause == Cause::Denied);
        let cause = match is_denied {
            true => Cause::Denied,
            false => Cause::Unreachable,
        };
        let mut reasons: Vec<_> = failures.iter().map(ToString::to_string).collect();
        // In the same order each time, for the log's limit.
        reasons.sort();
        let reason = format!("{who} responds: {}", reasons.join("; "));
        Err(ConnectError::new(reason, cause))
    }

    /// Returns whether to query another one than the one that responded last.
    fn needs_another(&self, known: &mut DirectoryState) -> bool {
        if known.responder.is_none() {
            return false;
        }
        let now = Instant::now();
        let is_due = match known.search {
            // While the Cluster is down, primaries that cannot be used are no news.
            Some(search) => search.due <= now,
            None => {
                self.is_stale.load(Ordering::Relaxed) && known.stale_due.is_none_or(|at| at <= now)
            }
        };
        if is_due {
            self.is_stale.store(false, Ordering::Relaxed);
            known.stale_due = Some(now + QUERY_ANOTHER_EVERY);
        }
        is_due
    }

    /// Returns the addresses to query: those of the URL, and the primaries of the Cluster, in turn.
    /// If the connection to the one that responded last is lost, that one comes first.
    fn candidates(&self, known: &DirectoryState, last: Option<&Responder>) -> Vec<Address> {
        let mut candidates = self.seeds.clone();
        if self.is_cluster() {
            let most = self.seeds.len() + MOST_NODES;
            for Primary { host, port, .. } in known.newest.primaries() {
                if candidates.len() == most {
                    break;
                }
                let node = self.primaries.at(host, *port);
                if candidates.iter().all(|other| other.shown() != node.shown()) {
                    candidates.push(node);
                }
            }
        }
        let is_last = |candidate: &Address| {
            last.is_some_and(|last| last.address.shown() == candidate.shown())
        };
        if let Some(at) = candidates.iter().position(is_last) {
            candidates.rotate_left(at);
            if known.responder.is_some() {
                candidates.remove(0);
            }
        }
        candidates
    }

    /// Connects to a Sentinel or node, and queries it.
    async fn ask(&self, address: Address) -> Result<(Responder, DirectoryResponse), ConnectError> {
        let response = async {
            let Dialed {
                connection, driver, ..
            } = address.dial(Arc::new(NoInbox)).await?;
            let responder = Responder {
                connection,
                address: address.clone(),
                _driver: Arc::new(driver),
            };
            let response = self.response(&responder).await?;
            Ok((responder, response))
        };
        let late = |_| ConnectError::timeout("no response within 2 s");
        let response = timeout(CANDIDATE_TIMEOUT, response).await.map_err(late);
        response.flatten().map_err(|error| {
            let error = match self.is_cluster() {
                true => error,
                false => error.of_sentinel(),
            };
            error.at(address.shown(), true)
        })
    }

    async fn response(&self, responder: &Responder) -> Result<DirectoryResponse, ConnectError> {
        let address = &responder.address;
        let mut connection = responder.connection.clone();
        match &self.question {
            Question::Service { name, newest, .. } => {
                let named = newest::query(&mut connection, name).await?;
                newest.record(named, address.shown());
                Ok(DirectoryResponse {
                    topology: Topology::default(),
                    is_failing: false,
                })
            }
            Question::Slots => {
                let command = |what: &str| redis::cmd("CLUSTER").arg(what).to_owned();
                let (slots, nodes, info) = (command("SLOTS"), command("NODES"), command("INFO"));
                let (mut second, mut third) = (connection.clone(), connection.clone());
                let (slots, nodes, info) = join!(
                    response_to(slots.query_async::<Value>(&mut connection)),
                    response_to(nodes.query_async::<String>(&mut second)),
                    response_to(info.query_async::<String>(&mut third)),
                );
                let own_host = address.host().unwrap_or_default();
                let read = Topology::read(slots?, nodes.ok().as_deref(), own_host);
                let topology = read.map_err(|error| ConnectError::of(&error))?;
                match topology.has_slots() {
                    true => Ok(DirectoryResponse {
                        topology,
                        is_failing: info.is_ok_and(|info| is_failing(&info)),
                    }),
                    false => Err(ConnectError::new(
                        "it knows no slots; has it joined the Cluster?",
                        Cause::Unreachable,
                    )),
                }
            }
        }
    }
}

/// Returns whether a node says in its reply to CLUSTER INFO that the Cluster is down: the node is cut
/// off from most others, or some slots have no primary.
fn is_failing(info: &str) -> bool {
    info.lines().any(|line| line.trim() == "cluster_state:fail")
}

#[cfg(test)]
mod tests {
    use super::{super::fake_node::FakeNode, *};
    use redis::IntoConnectionInfo;
    use std::{array, net::TcpListener, sync::mpsc};
    use tokio::time::advance;

    /// Returns the directory of a Cluster, with these nodes in the URL.
    fn directory(nodes: &[&FakeNode]) -> Arc<Directory> {
        directory_at(nodes.iter().map(|node| node.port()))
    }

    fn directory_at(ports: impl IntoIterator<Item = u16>) -> Arc<Directory> {
        let seeds = ports.into_iter().map(|port| {
            let url = format!("redis://127.0.0.1:{port}");
            let info = url.into_connection_info().unwrap();
            Address::new(&info, None, 1024 * 1024).unwrap()
        });
        let seeds: Vec<_> = seeds.collect();
        Directory::new(Question::Slots, seeds.clone(), seeds[0].clone(), "".into())
    }

    /// Returns nodes that accept connections and never respond, and their ports.
    fn silent_nodes<const N: usize>() -> ([TcpListener; N], [u16; N]) {
        let nodes = array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = nodes
            .each_ref()
            .map(|node| node.local_addr().unwrap().port());
        (nodes, ports)
    }

    /// Queries the directory; returns the port of the primary.
    async fn port(directory: &Directory) -> String {
        directory.known.lock().await.queried_at = None;
        let found = directory.find(0, Duration::MAX).await.unwrap();
        found.shown().rsplit(':').next().unwrap().to_owned()
    }

    /// Returns the address of the node that responds to the next query.
    async fn responder(directory: &Directory) -> Arc<str> {
        port(directory).await;
        let known = directory.known.lock().await;
        let responder = known.responder.as_ref().expect("one that responded");
        responder.address.shown().clone()
    }

    /// Stops the clock until the result is dropped: time passes only by `advance`, however long the
    /// nodes take to respond.
    fn stop_clock() -> mpsc::Sender<()> {
        tokio::time::pause();
        // While a blocking task runs, a paused clock does not move by itself.
        let (stopped, until) = mpsc::channel();
        tokio::task::spawn_blocking(move || until.recv());
        stopped
    }

    #[tokio::test]
    async fn another_node_is_asked_if_the_primary_that_one_names_cannot_be_used() {
        let (stale, knowing) = (FakeNode::start().await, FakeNode::start().await);
        stale.names(1000, 5);
        knowing.names(2000, 6);
        let directory = directory(&[&stale, &knowing]);
        assert_eq!(port(&directory).await, "1000");

        directory.mark_stale();

        assert_eq!(port(&directory).await, "2000");
    }

    #[tokio::test]
    async fn another_node_is_asked_after_one_that_is_cut_off_from_the_others() {
        let (isolated, knowing) = (FakeNode::start().await, FakeNode::start().await);
        isolated.names(1000, 5);
        knowing.names(2000, 6);
        let directory = directory(&[&isolated, &knowing]);
        assert_eq!(port(&directory).await, "1000");

        isolated.isolate();

        assert_eq!(port(&directory).await, "1000", "it is not known yet");
        assert_eq!(port(&directory).await, "2000");
        assert_eq!(port(&directory).await, "2000");
    }

    #[tokio::test]
    async fn other_nodes_are_asked_ever_less_often_while_they_say_that_the_cluster_is_down() {
        let nodes = [FakeNode::start().await, FakeNode::start().await];
        for node in &nodes {
            node.names(1000, 5);
            node.isolate();
        }
        let _stopped = stop_clock();
        let directory = directory(&nodes.each_ref());
        let first = responder(&directory).await;
        let mut last = responder(&directory).await;
        assert_ne!(last, first, "the first search is due at once");

        for pause in [1, 2, 4, 8, 10, 10].map(Duration::from_secs) {
            advance(pause - Duration::from_millis(1)).await;
            // Primaries of such a Cluster cannot be used.
            directory.mark_stale();
            assert_eq!(responder(&directory).await, last, "{pause:?}");
            advance(Duration::from_millis(1)).await;
            let next = responder(&directory).await;
            assert_ne!(next, last, "{pause:?}");
            last = next;
        }

        nodes.iter().for_each(FakeNode::rejoin);
        assert_eq!(responder(&directory).await, last);
        nodes.iter().for_each(FakeNode::isolate);
        assert_eq!(responder(&directory).await, last, "it is not known yet");
        assert_ne!(responder(&directory).await, last);
    }

    #[tokio::test]
    async fn a_node_that_is_cut_off_is_believed_if_no_other_one_responds() {
        let (isolated, stopped) = (FakeNode::start().await, FakeNode::start().await);
        isolated.names(1000, 5);
        isolated.isolate();
        stopped.stop();
        let _stopped = stop_clock();
        let directory = directory(&[&isolated, &stopped]);

        for _ in 0..3 {
            assert_eq!(port(&directory).await, "1000");
            advance(LONGEST_PAUSE).await;
        }
    }

    #[tokio::test]
    async fn nodes_that_never_respond_are_waited_for_together_and_not_again_at_once() {
        for is_isolated in [false, true] {
            let known = FakeNode::start().await;
            known.names(1000, 5);
            let (_silent, ports) = silent_nodes::<3>();
            let directory = directory_at([known.port()].into_iter().chain(ports));
            assert_eq!(port(&directory).await, "1000");
            let before = directory.known.lock().await.responder.clone().unwrap();
            if is_isolated {
                known.isolate();
                assert_eq!(port(&directory).await, "1000", "it is not known yet");
            }

            directory.mark_stale();
            let search = timeout(2 * CANDIDATE_TIMEOUT, port(&directory)).await;
            assert_eq!(search.as_deref(), Ok("1000"), "{is_isolated}");
            directory.mark_stale();
            let next = timeout(CANDIDATE_TIMEOUT, port(&directory)).await;
            assert_eq!(next.as_deref(), Ok("1000"), "{is_isolated}");

            let after = directory.known.lock().await.responder.clone().unwrap();
            assert!(Arc::ptr_eq(&before._driver, &after._driver), "it was kept");
        }
    }

    #[tokio::test]
    async fn nodes_that_never_respond_do_not_hold_up_the_next_one() {
        let knowing = FakeNode::start().await;
        let (_silent, ports) = silent_nodes::<5>();
        let directory = directory_at(ports.into_iter().chain([knowing.port()]));

        let found = timeout(CANDIDATE_TIMEOUT, port(&directory)).await;

        assert_eq!(found, Ok(knowing.port().to_string()));
    }

    #[tokio::test]
    async fn a_node_that_has_closed_the_connection_is_asked_first() {
        let nodes = [FakeNode::start().await, FakeNode::start().await];
        nodes.iter().for_each(|node| node.names(1000, 5));
        let directory = directory(&nodes.each_ref());
        let first = responder(&directory).await;

        nodes.iter().for_each(FakeNode::close_connections);

        assert_eq!(responder(&directory).await, first);
    }

    #[tokio::test]
    async fn a_node_that_has_not_joined_the_cluster_is_passed_over() {
        let (new, knowing) = (FakeNode::start().await, FakeNode::start().await);
        new.names(0, 0);
        knowing.names(2000, 6);

        assert_eq!(port(&directory(&[&new, &knowing])).await, "2000");
    }

    #[tokio::test]
    async fn a_node_that_answers_with_an_old_primary_is_passed_over() {
        let (stale, knowing) = (FakeNode::start().await, FakeNode::start().await);
        stale.names(1000, 5);
        knowing.names(2000, 6);
        let directory = directory(&[&knowing, &stale]);
        assert_eq!(port(&directory).await, "2000");

        knowing.stop();

        assert_eq!(port(&directory).await, "2000");
        stale.names(3000, 7);
        assert_eq!(port(&directory).await, "3000");
    }

    #[tokio::test]
    async fn another_node_is_asked_every_100_ms_at_most() {
        let nodes = [FakeNode::start().await, FakeNode::start().await];
        nodes.iter().for_each(|node| node.names(1000, 5));
        let _stopped = stop_clock();
        let directory = directory(&nodes.each_ref());
        let first = responder(&directory).await;
        directory.mark_stale();
        let second = responder(&directory).await;
        assert_ne!(second, first);

        directory.mark_stale();
        advance(QUERY_ANOTHER_EVERY - Duration::from_millis(1)).await;

        assert_eq!(responder(&directory).await, second);
        advance(Duration::from_millis(1)).await;
        assert_eq!(responder(&directory).await, first);
    }

    #[tokio::test]
    async fn all_nodes_are_asked_in_turn_while_there_is_doubt() {
        let nodes = [
            FakeNode::start().await,
            FakeNode::start().await,
            FakeNode::start().await,
        ];
        nodes.iter().for_each(|node| node.names(1000, 5));
        let directory = directory(&nodes.each_ref());
        let mut queried = Vec::new();

        while queried.len() < 6 {
            directory.mark_stale();
            directory.known.lock().await.stale_due = None;
            queried.push(responder(&directory).await);
        }

        assert_eq!(queried[..3], queried[3..]);
        queried.sort();
        queried.dedup();
        assert_eq!(queried.len(), 3);
    }
}
