//! The data folder: one SQLite file, which several processes may share.

use seaway::{BoxError, Error, ErrorKind, blocking};
use sqlx::{
    Sqlite, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tower_sessions_sqlx_store::SqliteStore;

/// The result of a database query. A failure is the server's own: `?` makes it a 500 on a page, and
/// close code 1011 on a WebSocket.
pub type Result<T, E = BoxError> = std::result::Result<T, E>;

/// The file name of the database.
const DATABASE: &str = "chat.db";

/// The file whose lock serializes the creation of the tables between processes.
const LOCK: &str = "chat.lock";

/// The permissions of the files: only this user may read and write them.
#[cfg(unix)]
const PRIVATE: u32 = 0o600;

/// The number of concurrent queries. Reads run in parallel; SQLite serializes writers.
const CONNECTIONS: u32 = 8;

/// How long a writer waits for the write lock, which another process may hold. Then the query
/// fails.
const TURN: Duration = Duration::from_secs(5);

/// How long a query waits for a pooled connection. Then it fails.
const WAIT: Duration = Duration::from_secs(10);

/// Opens the database in this folder, and creates both if they do not exist.
///
/// # Errors
/// If the folder is not writable, or contains something else; the message names the folder.
pub async fn open(folder: &Path) -> Result<SqlitePool, Error> {
    connect(folder).await.map_err(|source| {
        let message = format!("cannot keep data in {}", folder.display());
        Error::new(ErrorKind::Io, message).with_source(source)
    })
}

/// Begins a transaction that holds the write lock from its start: one that read first and wrote
/// later would fail whenever another writer came in between.
pub async fn write(database: &SqlitePool) -> sqlx::Result<Transaction<'static, Sqlite>> {
    database.begin_with("BEGIN IMMEDIATE").await
}

/// Returns the milliseconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}

async fn connect(folder: &Path) -> Result<SqlitePool> {
    let options = SqliteConnectOptions::new()
        .filename(folder.join(DATABASE))
        .create_if_missing(true)
        // Readers and the writer do not block each other.
        .journal_mode(SqliteJournalMode::Wal)
        // With a WAL this survives a crash of the program; a power cut may lose the last
        // transactions.
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(TURN)
        .foreign_keys(true);
    let pool = SqlitePoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(WAIT);
    // Two processes that start together would create the tables twice; closing the file releases
    // the lock.
    let folder = folder.to_owned();
    let _lock = blocking(move || prepare(&folder)).await??;
    let database = pool.connect_with(options).await?;
    make_tables(&database).await?;
    Ok(database)
}

async fn make_tables(database: &SqlitePool) -> Result<()> {
    sqlx::migrate!().run(database).await?;
    SqliteStore::new(database.clone()).migrate().await?;
    Ok(())
}

/// Creates the folder and the files if they do not exist, and waits for the lock on the folder.
///
/// The files contain private messages, so only this user may access them, even in an existing
/// folder that other users may read. SQLite gives its log (`-wal`) and index (`-shm`) the
/// permissions of the database.
fn prepare(folder: &Path) -> io::Result<File> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, PRIVATE);
    let lock = options.clone().create(true).open(folder.join(LOCK))?;
    lock.lock()?;
    // An existing database must not be opened here: closing it again would release SQLite's locks.
    match options.create_new(true).open(folder.join(DATABASE)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    #[cfg(unix)]
    for name in [LOCK, DATABASE, "chat.db-wal", "chat.db-shm"] {
        make_private(&folder.join(name))?;
    }
    Ok(lock)
}

/// Removes the permissions of other users from a file that an earlier version created.
#[cfg(unix)]
fn make_private(path: &Path) -> io::Result<()> {
    use std::{fs, os::unix::fs::PermissionsExt};
    let mut permissions = match fs::metadata(path) {
        Ok(file) => file.permissions(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if permissions.mode() & 0o777 == PRIVATE {
        return Ok(());
    }
    permissions.set_mode(PRIVATE);
    if let Err(error) = fs::set_permissions(path, permissions) {
        // It belongs to another user, who shares it.
        tracing::warn!(path = %path.display(), %error, "cannot restrict a file's permissions; other users of this machine may read it");
    }
    Ok(())
}

/// Returns a database that exists for one test.
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

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::{
        fs::{self, Permissions},
        os::unix::fs::PermissionsExt,
        path::PathBuf,
    };

    const FILES: [&str; 4] = ["chat.db", "chat.db-wal", "chat.db-shm", "chat.lock"];

    fn folder(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("seaway-{name}-{}", std::process::id()))
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn the_files_are_for_this_user_alone_also_in_a_folder_that_others_may_read() {
        for (name, files) in [("new-files", &[][..]), ("files-of-before", &FILES)] {
            let folder = folder(name);
            fs::create_dir(&folder).unwrap();
            fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
            for file in files {
                fs::write(folder.join(file), "").unwrap();
                fs::set_permissions(folder.join(file), Permissions::from_mode(0o644)).unwrap();
            }

            let database = open(&folder).await.unwrap();

            for file in FILES {
                assert_eq!(mode(&folder.join(file)), 0o600, "{file} among {name}");
            }
            database.close().await;
            fs::remove_dir_all(&folder).unwrap();
        }
    }

    #[tokio::test]
    async fn a_folder_that_is_made_is_for_this_user_alone() {
        let folder = folder("new-folder");

        let database = open(&folder).await.unwrap();

        assert_eq!(mode(&folder), 0o700);
        database.close().await;
        fs::remove_dir_all(&folder).unwrap();
    }
}
