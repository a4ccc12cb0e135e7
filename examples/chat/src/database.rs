//! The data folder: one SQLite file, which two processes may share.

use seaway::{BoxError, Error, ErrorKind, blocking};
use sqlx::{
    Sqlite, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{
    fs::{DirBuilder, File},
    io,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tower_sessions_sqlx_store::SqliteStore;

/// What comes of asking the database. A failure is the server's own: on a page `?` makes a 500 of it, in a socket a 1011.
pub type Result<T, E = BoxError> = std::result::Result<T, E>;

/// How many queries run at once. Reads run beside each other; SQLite lets writers take turns.
const CONNECTIONS: u32 = 8;

/// How long a writer waits for its turn: another process may be writing. After it the query fails.
const TURN: Duration = Duration::from_secs(5);

/// How long a query waits for a connection of the pool. After it the query fails.
const WAIT: Duration = Duration::from_secs(10);

/// Opens the database in this folder, and makes both if they are not there.
///
/// # Errors
/// If the folder cannot be written, or holds something else; the message names it.
pub async fn open(folder: &Path) -> seaway::Result<SqlitePool> {
    connect(folder).await.map_err(|source| {
        let message = format!("cannot keep data in {}", folder.display());
        Error::new(ErrorKind::Io, message).with_source(source)
    })
}

/// A transaction that may write, and has the lock for it from its beginning: one that read first and wrote then would fail
/// whenever another writer came between.
pub async fn write(database: &SqlitePool) -> sqlx::Result<Transaction<'static, Sqlite>> {
    database.begin_with("BEGIN IMMEDIATE").await
}

/// Milliseconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}

async fn connect(folder: &Path) -> Result<SqlitePool> {
    let options = SqliteConnectOptions::new()
        .filename(folder.join("chat.db"))
        .create_if_missing(true)
        // Readers do not wait for a writer, nor it for them.
        .journal_mode(SqliteJournalMode::Wal)
        // With a WAL this survives a crash of the program; the last moments before a power cut may be lost.
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(TURN)
        .foreign_keys(true);
    let pool = SqlitePoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(WAIT);
    // Two processes that start together would make the tables twice; the lock goes when the file is closed.
    let folder = folder.to_owned();
    let _lock = blocking(move || lock(&folder)).await??;
    let database = pool.connect_with(options).await?;
    make_tables(&database).await?;
    Ok(database)
}

async fn make_tables(database: &SqlitePool) -> Result<()> {
    sqlx::migrate!().run(database).await?;
    SqliteStore::new(database.clone()).migrate().await?;
    Ok(())
}

/// Makes the folder, for this user alone: it holds what people say to each other. Then waits for the lock on it.
fn lock(folder: &Path) -> io::Result<File> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    let file = File::create(folder.join("chat.lock"))?;
    file.lock()?;
    Ok(file)
}

/// A database that lives as long as a test.
#[cfg(test)]
pub async fn in_memory() -> SqlitePool {
    let pool = SqlitePoolOptions::new()
        .max_connections(1) // Each connection would have a database of its own.
        .idle_timeout(None)
        .max_lifetime(None);
    let options = SqliteConnectOptions::new()
        .in_memory(true)
        .foreign_keys(true);
    let database = pool.connect_with(options).await.expect("memory is there");
    make_tables(&database).await.expect("it is empty");
    database
}
