//! What a hook returns, its kind after each conversion, and what that does, as the table of
//! `docs/errors.md` lists it.

use crate::{
    log::Log,
    support::{Server, connect, next_close, send_text},
};
use http::Request;
use seaway::{
    AnyError, ApplicationExt, BlockingConsumer, BlockingContext, BlockingHandshake, BoxError,
    Channels, Context, Error, ErrorKind, Handshake, HttpConsumer, HttpContext, HttpHandshake,
    HttpResponse, NoEvent, Rejection, Result, WebSocketConsumer,
    routing::{PathRouter, ProtocolTypeRouter},
    testing::HttpCommunicator,
};
use std::{error::Error as StdError, fmt, io};

/// The conversions, as [`Conversion::named`] takes them.
const CONVERSIONS: [&str; 5] = [
    "?",
    "BoxError",
    "anyhow",
    "transparent",
    "#[source], context",
];

/// What a hook returns, and its kind after each of the conversions.
const KINDS: [(&str, [ErrorKind; 5]); 17] = {
    use ErrorKind::*;
    [
        ("Closed", [Closed; 5]),
        ("ChannelFull", [ChannelFull; 5]),
        ("Layer", [Layer; 5]),
        ("Unconfirmed", [Unconfirmed; 5]),
        ("Missed", [Missed; 5]),
        ("SessionGone", [SessionGone; 5]),
        ("Codec", [Codec; 5]),
        ("Session", [Session; 5]),
        ("Timeout", [Timeout; 5]),
        ("Name", [Name; 5]),
        ("Missing", [Missing; 5]),
        ("TooLarge", [TooLarge; 5]),
        ("Io", [Io; 5]),
        ("Error::user", [User; 5]),
        ("std::io::Error", [Io, Io, User, User, User]),
        ("serde_json::Error", [User; 5]),
        ("an error of the application", [User; 5]),
    ]
};

/// The conversion of an error before the hook returns it.
#[derive(Clone, Copy, Debug)]
enum Conversion {
    QuestionMark,
    BoxError,
    Anyhow,
    Transparent,
    Source,
}

impl Conversion {
    fn named(name: &str) -> Self {
        match name {
            "?" => Self::QuestionMark,
            "BoxError" => Self::BoxError,
            "anyhow" => Self::Anyhow,
            "transparent" => Self::Transparent,
            "#[source], context" => Self::Source,
            other => panic!("an unknown conversion: {other}"),
        }
    }

    /// Returns a hook's result: this error, converted.
    fn of<E: StdError + Send + Sync + 'static>(self, error: E) -> Result<()> {
        match self {
            Self::QuestionMark => Err(error)?,
            Self::BoxError => boxed(error)?,
            Self::Anyhow => anyhow(error)?,
            Self::Transparent => Err(Transparent(error))?,
            Self::Source => {
                let direct: AnyError = Caused(error).into();
                let kind = direct.kind();
                let context = with_context(direct).unwrap_err();
                let context = AnyError::from(context);
                assert_eq!(context.kind(), kind);
                return Err(context);
            }
        }
        Ok(())
    }
}

fn boxed(error: impl StdError + Send + Sync + 'static) -> Result<(), BoxError> {
    Err(error)?
}

fn anyhow(error: impl StdError + Send + Sync + 'static) -> anyhow::Result<()> {
    Err(error)?
}

fn with_context(error: AnyError) -> anyhow::Result<()> {
    use anyhow::Context as _;
    Err(Error::from(error)).context("sending to the room")
}

/// What thiserror derives for `#[error(transparent)]`.
#[derive(Debug)]
struct Transparent<E>(E);

impl<E: fmt::Display> fmt::Display for Transparent<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<E: StdError> StdError for Transparent<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

/// What thiserror derives for `#[source]`.
#[derive(Debug)]
struct Caused<E>(E);

impl<E> fmt::Display for Caused<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot send to the room")
    }
}

impl<E: StdError + 'static> StdError for Caused<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

/// Returns a hook's result for a row and a column of [`KINDS`].
fn outcome(what: &str, conversion: Conversion) -> Result<()> {
    let of = |kind| Error::new(kind, "the cause");
    match what {
        "Closed" => conversion.of(of(ErrorKind::Closed)),
        "ChannelFull" => conversion.of(of(ErrorKind::ChannelFull)),
        "Codec" => conversion.of(of(ErrorKind::Codec)),
        "Session" => conversion.of(of(ErrorKind::Session)),
        "Timeout" => conversion.of(of(ErrorKind::Timeout)),
        "Layer" => conversion.of(of(ErrorKind::Layer)),
        "Unconfirmed" => conversion.of(of(ErrorKind::Unconfirmed)),
        "Missed" => conversion.of(of(ErrorKind::Missed)),
        "SessionGone" => conversion.of(of(ErrorKind::SessionGone)),
        "Name" => conversion.of(of(ErrorKind::Name)),
        "Missing" => conversion.of(of(ErrorKind::Missing)),
        "TooLarge" => conversion.of(of(ErrorKind::TooLarge)),
        "Io" => conversion.of(of(ErrorKind::Io)),
        "Error::user" => conversion.of(Error::user(of(ErrorKind::Layer))),
        "std::io::Error" => conversion.of(io::Error::from(io::ErrorKind::NotFound)),
        "serde_json::Error" => conversion.of(serde_json::from_str::<u32>("x").unwrap_err()),
        "an error of the application" => conversion.of(Caused(fmt::Error)),
        other => panic!("an unknown error: {other}"),
    }
}

/// Fails as each message says: `error|conversion`.
struct Failing;

impl WebSocketConsumer for Failing {
    type Input = String;
    type Event = NoEvent;

    async fn connect(_: &mut Handshake) -> Result<Self, Rejection> {
        Ok(Self)
    }

    async fn receive(&mut self, _: &mut Context, text: String) -> Result<()> {
        fail(&text)
    }
}

struct FailingBlocking;

impl BlockingConsumer for FailingBlocking {
    type Input = String;
    type Event = NoEvent;

    fn connect(_: &mut BlockingHandshake) -> Result<Self, Rejection> {
        Ok(Self)
    }

    fn receive(&mut self, _: &mut BlockingContext, text: String) -> Result<()> {
        fail(&text)
    }
}

/// Fails as a message of the form `what|conversion` says.
fn fail(text: &str) -> Result<()> {
    let (what, conversion) = text.split_once('|').expect("a message of this test");
    outcome(what, Conversion::named(conversion))
}

/// A row of the table in `docs/errors.md`.
struct Row {
    /// The cell of the kinds, such as `` `Layer`, `Unconfirmed` `` or "any other kind".
    kinds: String,
    close: String,
    log: String,
}

/// Returns the rows of the table in `docs/errors.md`.
fn table() -> Vec<Row> {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");
    let page = std::fs::read_to_string(docs).unwrap();
    let head = "| a hook returns | close code | log line |";
    let lines = page.lines().skip_while(|line| *line != head).skip(2);
    let rows = lines.take_while(|line| line.starts_with('|'));
    let cells = |line: &str| {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        let [kinds, close, log] = [(); 3].map(|()| cells.next().expect("a cell").to_owned());
        Row { kinds, close, log }
    };
    rows.map(cells).collect()
}

/// Returns the row of a kind.
fn row(rows: &[Row], kind: ErrorKind) -> &Row {
    let is_named = |row: &&Row| row.kinds.contains(&format!("`{kind:?}`"));
    let other = || rows.iter().find(|row| row.kinds == "any other kind");
    let found = rows.iter().find(is_named).or_else(other);
    found.expect("docs/errors.md has the table")
}

#[test]
fn a_hooks_error_has_the_kind_the_close_code_and_the_log_line_that_the_docs_list() {
    let log = Log::listen();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    log.listen_on_threads(&mut runtime);
    let runtime = runtime.enable_all().build().unwrap();
    runtime.block_on(check_every_kind(&log));
}

async fn check_every_kind(log: &Log) {
    let channels = Channels::in_memory();
    let sockets = PathRouter::new()
        .route("/async", Failing::application(&channels))
        .route("/blocking", FailingBlocking::application(&channels));
    let app = ProtocolTypeRouter::new().websocket(sockets);
    let rows = table();
    assert_eq!(rows.len(), 4);

    for (what, kinds) in KINDS {
        for (conversion, kind) in CONVERSIONS.into_iter().zip(kinds) {
            let error = outcome(what, Conversion::named(conversion)).unwrap_err();
            assert_eq!(error.kind(), kind, "{what} by {conversion}");
            let row = row(&rows, kind);

            for path in ["/async", "/blocking"] {
                let at = format!("{what} by {conversion} at {path}");
                log.clear();
                let server = Server::start(app.clone()).await;
                let mut client = connect(server.address, path).await;
                send_text(&mut client, &format!("{what}|{conversion}")).await;
                let close = next_close(&mut client).await;
                assert_eq!(close.code.to_string(), row.close, "{at}");
                drop(client);
                server.stop().await.unwrap().unwrap();
                match row.log.as_str() {
                    "none" => assert_eq!(log.complaints(), [""; 0], "{at}"),
                    text => {
                        let line = log.line(text.trim_matches('`'));
                        assert!(line.contains(&format!("{error:#}")), "{at}: {line}");
                    }
                }
            }
        }
    }
}

/// Startup functions, authenticators, handlers, `connect` and `main` take the same errors.
#[tokio::test]
async fn every_function_that_an_application_writes_takes_any_error() {
    async fn start() -> Result<u32> {
        Ok("7".parse::<u32>()? + boxed(fmt::Error).map_or(0, |()| 1))
    }
    struct Page;
    impl HttpConsumer for Page {
        type Event = NoEvent;

        async fn connect(handshake: &mut HttpHandshake) -> Result<Self, Rejection> {
            match handshake.scope().head.uri.path() {
                "/boxed" => boxed(fmt::Error)?,
                "/anyhow" => anyhow(Error::new(ErrorKind::Name, "a bad name"))?,
                "/context" => {
                    let error = Error::new(ErrorKind::Name, "a bad name");
                    with_context(error.into())?;
                }
                "/number" => drop("x".parse::<u32>()?),
                "/any" => drop(start().await?),
                _ => {}
            }
            Ok(Self)
        }

        async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> {
            let number: u32 = ctx.scope().head.uri.path()[1..].parse()?;
            ctx.response(number.to_string())
        }
    }
    let app = Page::application(&Channels::in_memory()).boxed();
    for (path, status, body) in [
        ("/7", 200, "7"),
        ("/boxed", 500, "Internal Server Error"),
        ("/number", 500, "Internal Server Error"),
        ("/seven", 500, "Internal Server Error"),
        ("/anyhow", 400, "a bad name"),
        // The client gets no text that the application has added.
        ("/context", 400, "a bad name"),
        ("/any", 500, "Internal Server Error"),
    ] {
        let request = Request::get(path).body("").unwrap();
        let response = HttpCommunicator::request(&app, request).await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.body(), body, "{path}");
    }
}

#[test]
fn an_error_can_be_printed_with_all_its_sources() {
    let error = Error::new(ErrorKind::Layer, "cannot publish").with_source("no route to host");
    let chain = "cannot publish: no route to host";

    assert_eq!(format!("{error}"), "cannot publish");
    assert_eq!(format!("{error:#}"), chain);
    assert_eq!(format!("{error:?}"), chain);
    let wrapped = with_context(error.into()).unwrap_err();
    let error = AnyError::from(wrapped);
    assert_eq!(format!("{error}"), "sending to the room");
    assert_eq!(
        format!("{error:#}"),
        format!("sending to the room: {chain}")
    );
}

#[test]
fn an_error_of_this_crate_is_unchanged_after_a_box() {
    let there = BoxError::from(Error::new(ErrorKind::Missed, "a gap").with_source(fmt::Error));
    let back = Error::from(there);

    assert_eq!(back.kind(), ErrorKind::Missed);
    assert_eq!(format!("{back:#}"), format!("a gap: {}", fmt::Error));
}

#[test]
fn an_axum_handler_may_return_any_error() {
    use axum::response::IntoResponse;
    let response = AnyError::from(fmt::Error).into_response();
    assert_eq!(response.status(), 500);
    let gone = Error::new(ErrorKind::SessionGone, "it has ended");
    assert_eq!(AnyError::from(gone).into_response().status(), 401);
}
