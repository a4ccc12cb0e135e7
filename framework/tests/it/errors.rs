//! The table of `docs/errors.md`: what a hook returns, how it was converted before, and what that
//! does.

use crate::{
    log::Log,
    support::{Server, connect, next_close, next_text, send_text},
};
use http::Request;
use seaway::{
    AnyError, ApplicationExt, BlockingConsumer, BlockingContext, BlockingHandshake, BoxError,
    Channels, Context, Error, ErrorKind, Handshake, HttpConsumer, HttpContext, HttpHandshake,
    NoEvent, Rejection, Reply, Result, WebSocketConsumer,
    routing::{PathRouter, ProtocolTypeRouter},
    testing::HttpCommunicator,
};
use std::{error::Error as StdError, fmt, io};

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
            "`?`" => Self::QuestionMark,
            "`BoxError`" => Self::BoxError,
            "`anyhow`" => Self::Anyhow,
            "`transparent`" => Self::Transparent,
            "`#[source]`, `context`" => Self::Source,
            other => panic!("docs/errors.md has an unknown conversion: {other}"),
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

/// Returns a hook's result for a row and a column of the table.
fn outcome(what: &str, conversion: Conversion) -> Result<()> {
    let of = |kind| Error::new(kind, "the cause");
    match what {
        "`Error`, `Closed`" => conversion.of(of(ErrorKind::Closed)),
        "`Error`, `ChannelFull`" => conversion.of(of(ErrorKind::ChannelFull)),
        "`Error`, `Codec`" => conversion.of(of(ErrorKind::Codec)),
        "`Error`, `Session`" => conversion.of(of(ErrorKind::Session)),
        "`Error`, `Timeout`" => conversion.of(of(ErrorKind::Timeout)),
        "`Error`, `Layer`" => conversion.of(of(ErrorKind::Layer)),
        "`Error`, `Unconfirmed`" => conversion.of(of(ErrorKind::Unconfirmed)),
        "`Error`, `Missed`" => conversion.of(of(ErrorKind::Missed)),
        "`Error`, `SessionGone`" => conversion.of(of(ErrorKind::SessionGone)),
        "`Error`, `Name`" => conversion.of(of(ErrorKind::Name)),
        "`Error`, `Missing`" => conversion.of(of(ErrorKind::Missing)),
        "`Error`, `TooLarge`" => conversion.of(of(ErrorKind::TooLarge)),
        "`Error`, `Io`" => conversion.of(of(ErrorKind::Io)),
        "`Error::user(error)`" => conversion.of(Error::user(of(ErrorKind::Layer))),
        "`std::io::Error`" => conversion.of(io::Error::from(io::ErrorKind::NotFound)),
        "`serde_json::Error`" => conversion.of(serde_json::from_str::<u32>("x").unwrap_err()),
        "your own error type" => conversion.of(Caused(fmt::Error)),
        other => panic!("docs/errors.md has an unknown error: {other}"),
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

    async fn receive(&mut self, ctx: &mut Context, text: String) -> Result<()> {
        match text.split_once('|') {
            Some((what, conversion)) => outcome(what, Conversion::named(conversion)),
            None => Ok(ctx.send("still open").await?),
        }
    }
}

struct FailingBlocking;

impl BlockingConsumer for FailingBlocking {
    type Input = String;
    type Event = NoEvent;

    fn connect(_: &mut BlockingHandshake) -> Result<Self, Rejection> {
        Ok(Self)
    }

    fn receive(&mut self, ctx: &mut BlockingContext, text: String) -> Result<()> {
        match text.split_once('|') {
            Some((what, conversion)) => outcome(what, Conversion::named(conversion)),
            None => Ok(ctx.send("still open")?),
        }
    }
}

/// A row of the table: the error, the kind after each conversion, the close code, and the log line.
struct Row {
    what: String,
    kinds: Vec<(String, String)>,
    close: String,
    log: String,
}

fn table() -> Vec<Row> {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");
    let page = std::fs::read_to_string(docs).unwrap();
    let cells = |line: &str| -> Vec<String> {
        let cells = line.trim_matches('|').split(" | ");
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    let mut lines = page
        .lines()
        .skip_while(|line| !line.starts_with("| a hook returns |"));
    let head = cells(lines.next().expect("docs/errors.md has the table"));
    let conversions = &head[1..head.len() - 2];
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|line| {
        let row = cells(line);
        assert_eq!(row.len(), head.len(), "{line}");
        let kinds = conversions
            .iter()
            .cloned()
            .zip(row[1..].iter().cloned())
            .collect();
        Row {
            what: row[0].clone(),
            kinds,
            close: row[row.len() - 2].clone(),
            log: row[row.len() - 1].clone(),
        }
    })
    .collect()
}

#[test]
fn a_hooks_error_has_the_kind_the_close_code_and_the_log_line_that_the_docs_list() {
    let log = Log::listen();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    log.listen_on_threads(&mut runtime);
    let runtime = runtime.enable_all().build().unwrap();
    runtime.block_on(check_every_row(&log));
}

async fn check_every_row(log: &Log) {
    let channels = Channels::in_memory();
    let sockets = PathRouter::new()
        .route("/async", Failing::application(&channels))
        .route("/blocking", FailingBlocking::application(&channels));
    let app = ProtocolTypeRouter::new().websocket(sockets);
    let rows = table();
    assert_eq!(rows.len(), 17);

    for row in rows {
        for (conversion, kind) in &row.kinds {
            let error = outcome(&row.what, Conversion::named(conversion)).unwrap_err();
            assert_eq!(
                format!("`{:?}`", error.kind()),
                *kind,
                "{} by {conversion}",
                row.what
            );

            for path in ["/async", "/blocking"] {
                let at = format!("{} by {conversion} at {path}", row.what);
                log.clear();
                let server = Server::start(app.clone()).await;
                let mut client = connect(server.address, path).await;
                send_text(&mut client, &format!("{}|{conversion}", row.what)).await;
                if row.close == "none" {
                    send_text(&mut client, "?").await;
                    assert_eq!(next_text(&mut client).await, "still open", "{at}");
                } else {
                    let close = next_close(&mut client).await;
                    assert_eq!(close.code.to_string(), row.close, "{at}");
                }
                drop(client);
                server.stop().await.unwrap().unwrap();
                match row.log.as_str() {
                    "none" => assert_eq!(log.complaints(), [""; 0], "{at}"),
                    text => {
                        let line = log.line(text.trim_matches('"'));
                        assert!(line.contains(&format!("{error:#}")), "{at}: {line}");
                    }
                }
            }
        }
    }
}

/// Start-up functions, authenticators, handlers, `connect` and `main` take the same errors.
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

        async fn handle(&mut self, ctx: &mut HttpContext) -> Result<Reply> {
            let number: u32 = ctx.scope().head.uri.path()[1..].parse()?;
            ctx.reply(number.to_string())
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
