//! The connections to Django's database, and its queries, each within a time limit.

use super::dialect::{Dialect, text};
use crate::{
    error::{Error, ErrorKind, Result},
    log_limit::log_limited,
};
use sqlx::{
    Any, AnyPool, Error as SqlError,
    any::{AnyArguments, AnyPoolOptions, AnyRow, install_default_drivers},
    pool::PoolConnection,
    query::Query,
};
use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// The number of connections to the database; further queries wait for one of them.
const CONNECTIONS: u32 = 10;
/// The number of them that checks of open connections may use: these must not keep new clients out.
const CHECKING: u32 = CONNECTIONS / 2;
/// The time limit of a query, including the wait for a connection.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);
/// The time limit of the wait for a connection. It ends first, so that its error is reported.
const CONNECTION_TIMEOUT: Duration = Duration::from_millis(4900);
/// How long a connection may take to become ready after its query; then it is closed. The server
/// may still run a query that has timed out here, and PostgreSQL continues it after the connection
/// has closed: with a short limit, a locked table would cost the server many connections.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

tokio::task_local! {
    /// The permit of the check whose queries run.
    static CHECK: Arc<OwnedSemaphorePermit>;
}

/// The connections to Django's database.
pub(super) struct DatabasePool {
    connections: AnyPool,
    checking: Arc<Semaphore>,
    pub(super) dialect: Dialect,
}

impl DatabasePool {
    /// # Errors
    /// [`ErrorKind::Session`] if the database does not respond.
    pub(super) async fn connect(url: &str) -> Result<Self> {
        let dialect = Dialect::of(url)?;
        install_default_drivers();
        let connecting = AnyPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(CONNECTION_TIMEOUT)
            .connect(url);
        let connections = connecting.await.map_err(|error| {
            let message = match &error {
                // The driver is missing: everything else in a URL was checked or has a default.
                SqlError::Configuration(reason) if reason.to_string().contains("no driver") => {
                    format!(
                        "this program has no driver for Django's database: enable the feature \
                         `{}` of seaway",
                        dialect.feature()
                    )
                }
                _ if url.starts_with("sqlite:") => {
                    "cannot open Django's database: check that the URL names its file, and that \
                     this process may read it"
                        .to_owned()
                }
                _ => "cannot connect to Django's database: check its URL, and that it runs"
                    .to_owned(),
            };
            Error::new(ErrorKind::Session, message).with_source(explained(error))
        })?;
        Ok(Self {
            connections,
            checking: Arc::new(Semaphore::new(CHECKING as usize)),
            dialect,
        })
    }

    /// Runs the queries of the check of an open connection, once it may use one of the connections.
    ///
    /// The next check may use it when it is ready again, also after a query that has timed out.
    pub(super) async fn check<T>(&self, queries: impl Future<Output = T>) -> T {
        let permit = self.checking.clone().acquire_owned().await;
        let permit = permit.expect("it is never closed");
        CHECK.scope(Arc::new(permit), queries).await
    }

    /// Returns the columns of a table with their types; none if there is no such table.
    pub(super) async fn columns(&self, table: &str) -> Result<HashMap<String, String>> {
        let query = sqlx::query(self.dialect.columns()).bind(table);
        let rows = self.rows("the columns of a table", query).await?;
        let columns = rows.iter().map(|row| Ok((text(row, 0)?, text(row, 1)?)));
        let columns = columns.collect::<Result<_, SqlError>>();
        columns.map_err(|error| failed("read", "the columns of a table", error))
    }

    /// Runs a query for rows.
    pub(super) async fn rows(&self, what: &str, query: AnyQuery<'_>) -> Result<Vec<AnyRow>> {
        let running = async { query.fetch_all(&mut *self.lend().await?.connection).await };
        limited("read", what, running).await
    }

    /// Runs a query for a row, and reads the row. One that cannot be decoded, such as a text that
    /// is not UTF-8, counts as none: unlike a database that does not respond, it stays so.
    pub(super) async fn row<T>(
        &self,
        what: &str,
        query: AnyQuery<'_>,
        read: impl FnOnce(&AnyRow) -> Result<T, SqlError>,
    ) -> Result<Option<T>> {
        let running = async {
            query
                .fetch_optional(&mut *self.lend().await?.connection)
                .await
        };
        let reading = async {
            let read = running
                .await
                .and_then(|row| row.as_ref().map(read).transpose());
            match read {
                Err(reason @ (SqlError::Decode(_) | SqlError::ColumnDecode { .. })) => {
                    log_limited!(warn, what, %reason, "cannot decode a row of Django's database");
                    Ok(None)
                }
                other => other,
            }
        };
        limited("read", what, reading).await
    }

    /// Runs a statement that writes; returns the number of rows that it has changed.
    pub(super) async fn write(&self, what: &str, statement: AnyQuery<'_>) -> Result<u64> {
        let running = async { statement.execute(&mut *self.lend().await?.connection).await };
        Ok(limited("write", what, running).await?.rows_affected())
    }

    async fn lend(&self) -> Result<LentConnection, SqlError> {
        Ok(LentConnection {
            // Boxed, since this future opens connections, too: it is large, and all futures around
            // a query would be.
            connection: Box::pin(self.connections.acquire()).await?,
            check: CHECK.try_with(Arc::clone).ok(),
        })
    }
}

type AnyQuery<'q> = Query<'q, Any, AnyArguments<'q>>;

/// A connection of the pool that returns to it when this is dropped.
struct LentConnection {
    connection: PoolConnection<Any>,
    /// The permit of the check that uses it, if one does.
    check: Option<Arc<OwnedSemaphorePermit>>,
}

impl Drop for LentConnection {
    fn drop(&mut self) {
        // The pool's own `drop` does the same, but waits for the server without a limit:
        // https://github.com/transact-rs/sqlx/issues/4349. When this future is dropped, the
        // connection is closed, and another one can be opened.
        let returning = self.connection.return_to_pool();
        let check = self.check.take();
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                _ = timeout(READY_TIMEOUT, returning).await;
                drop(check);
            });
        }
    }
}

/// Runs a query for at most [`QUERY_TIMEOUT`].
async fn limited<T>(
    does: &str,
    what: &str,
    query: impl Future<Output = Result<T, SqlError>>,
) -> Result<T> {
    match timeout(QUERY_TIMEOUT, query).await {
        Ok(outcome) => outcome.map_err(|error| failed(does, what, error)),
        Err(_) => Err(Error::new(
            ErrorKind::Session,
            format!("cannot {does} {what} of Django's database: no result within 5 s"),
        )),
    }
}

pub(super) fn failed(does: &str, what: &str, error: SqlError) -> Error {
    let message = format!("cannot {does} {what} of Django's database");
    Error::new(ErrorKind::Session, message).with_source(explained(error))
}

/// Returns the error of a table without a column that is needed.
pub(super) fn no_column(table: &str, column: &str, remedy: &str) -> Error {
    let message =
        format!("the table {table} of Django's database has no column {column}: {remedy}");
    Error::new(ErrorKind::Session, message)
}

/// Returns the error with words for that of the pool, which does not name the database.
fn explained(error: SqlError) -> Box<dyn std::error::Error + Send + Sync> {
    match error {
        SqlError::PoolTimedOut => {
            "no connection within 5 s: it does not accept connections, or all 10 are in use".into()
        }
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_without_a_free_connection_is_not_called_a_pool() {
        let error = failed("read", "a session", SqlError::PoolTimedOut);

        assert_eq!(
            format!("{error:#}"),
            "cannot read a session of Django's database: no connection within 5 s: it does not \
             accept connections, or all 10 are in use"
        );
        assert_eq!(CONNECTIONS, 10);
    }
}
