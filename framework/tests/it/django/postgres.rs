//! A server that speaks PostgreSQL's protocol as far as the queries of `DjangoAuth` need it, and
//! that falls silent where a test says so.

use super::site::{ROW_SALT, Site, log_in};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::sleep,
};

/// The code in the first message of a client that asks for TLS.
const TLS_REQUEST: i32 = 80_877_103;
/// The types `text` and `int8`.
const TEXT: i32 = 25;
const INT8: i32 = 20;

/// A site on this server: Alice is logged in in every session.
#[derive(Clone)]
pub(super) struct Postgres {
    port: u16,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    session: String,
    password: String,
    silent: HashSet<String>,
    delay: Duration,
}

impl Postgres {
    pub(super) async fn start(site: &Site) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Shared {
            session: site.signed(ROW_SALT, &log_in(1, &site.hash("alice"))),
            password: site.password("alice"),
            silent: HashSet::new(),
            delay: Duration::ZERO,
        };
        let shared = Arc::new(Mutex::new(shared));
        let server = Self { port, shared };
        let accepting = server.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // A paused clock would not wait for the client's acknowledgements.
                stream.set_nodelay(true).unwrap();
                let connection = Connection::new(stream, accepting.clone());
                // It ends with an error when the client disconnects.
                tokio::spawn(async move { connection.serve().await.ok() });
            }
        });
        server
    }

    pub(super) fn url(&self) -> String {
        format!("postgres://django@127.0.0.1:{}/site", self.port)
    }

    /// Lets a connection fall silent for ever when it is asked for one of these sessions.
    pub(super) fn fall_silent_at<'a>(&self, sessions: impl IntoIterator<Item = &'a str>) {
        let sessions = sessions.into_iter().map(str::to_owned);
        self.shared().silent.extend(sessions);
    }

    /// Lets each query take this long.
    pub(super) fn delay(&self, delay: Duration) {
        self.shared().delay = delay;
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }

    /// Returns the rows of a query.
    fn rows(&self, sql: &str, parameter: &str) -> Vec<Vec<Value>> {
        let text = |text: &str| Value::Text(text.to_owned());
        let shared = self.shared();
        match table(sql) {
            // One list for all tables; nobody reads the permissions.
            Table::Columns => [
                ("id", "bigint"),
                ("username", "text"),
                ("password", "text"),
                ("is_active", "boolean"),
                ("is_staff", "boolean"),
                ("is_superuser", "boolean"),
                ("session_key", "text"),
                ("session_data", "text"),
                ("expire_date", "text"),
            ]
            .map(|(name, kind)| vec![text(name), text(kind)])
            .into(),
            Table::Sessions => vec![vec![text(parameter), text(&shared.session)]],
            Table::Users => vec![vec![
                text("alice"),
                text(&shared.password),
                Value::Integer(1),
                Value::Integer(0),
                Value::Integer(0),
            ]],
        }
    }
}

#[derive(Clone, Copy)]
enum Table {
    Columns,
    Sessions,
    Users,
}

fn table(sql: &str) -> Table {
    match sql {
        _ if sql.contains("pg_attribute") => Table::Columns,
        _ if sql.contains("django_session") => Table::Sessions,
        _ => Table::Users,
    }
}

enum Value {
    Text(String),
    Integer(i64),
}

struct Connection {
    stream: TcpStream,
    server: Postgres,
    /// The prepared statements by name.
    statements: HashMap<String, String>,
    /// The rows of the query that is executed next.
    rows: Vec<Vec<Value>>,
}

impl Connection {
    fn new(stream: TcpStream, server: Postgres) -> Self {
        Self {
            stream,
            server,
            statements: HashMap::new(),
            rows: Vec::new(),
        }
    }

    async fn serve(mut self) -> std::io::Result<()> {
        while self.first_message().await? == TLS_REQUEST {
            self.stream.write_all(b"N").await?;
        }
        self.send(b'R', &0_i32.to_be_bytes()).await?;
        self.send(b'Z', b"I").await?;
        loop {
            let kind = self.stream.read_u8().await?;
            let length = self.stream.read_i32().await?;
            let mut body = vec![0; length as usize - 4];
            self.stream.read_exact(&mut body).await?;
            self.respond(kind, Reader(&body)).await?;
        }
    }

    /// Returns the code of a message before the connection is ready.
    async fn first_message(&mut self) -> std::io::Result<i32> {
        let length = self.stream.read_i32().await?;
        let code = self.stream.read_i32().await?;
        let mut body = vec![0; length as usize - 8];
        self.stream.read_exact(&mut body).await?;
        Ok(code)
    }

    async fn respond(&mut self, kind: u8, mut body: Reader<'_>) -> std::io::Result<()> {
        match kind {
            b'P' => {
                let name = body.text();
                self.statements.insert(name, body.text());
                self.send(b'1', b"").await
            }
            b'D' => {
                body.skip(1);
                let sql = self.statements[&body.text()].clone();
                self.describe(&sql).await
            }
            b'B' => {
                body.text();
                let sql = self.statements[&body.text()].clone();
                let formats = body.number(2);
                body.skip(2 * formats + 2);
                let length = body.number(4);
                let parameter = String::from_utf8_lossy(&body.0[..length]).into_owned();
                let (is_silent, delay) = {
                    let shared = self.server.shared();
                    (shared.silent.contains(&parameter), shared.delay)
                };
                if is_silent {
                    // The connection stays open.
                    std::future::pending::<()>().await;
                }
                sleep(delay).await;
                self.rows = self.server.rows(&sql, &parameter);
                self.send(b'2', b"").await
            }
            b'E' => self.send_rows().await,
            b'C' => self.send(b'3', b"").await,
            b'S' => self.send(b'Z', b"I").await,
            other => panic!("an unexpected message {:?}", char::from(other)),
        }
    }

    /// Sends the types of a statement's parameter and columns.
    async fn describe(&mut self, sql: &str) -> std::io::Result<()> {
        let (parameter, columns) = match table(sql) {
            Table::Columns | Table::Sessions => (TEXT, &[TEXT; 2][..]),
            Table::Users => (INT8, &[TEXT, TEXT, INT8, INT8, INT8][..]),
        };
        let parameters = [&1_i16.to_be_bytes()[..], &parameter.to_be_bytes()].concat();
        self.send(b't', &parameters).await?;
        let mut description = (columns.len() as i16).to_be_bytes().to_vec();
        for kind in columns {
            // A name, no table, the type, its size and modifier, binary.
            description.extend(b"c\0\0\0\0\0\0\0");
            description.extend(kind.to_be_bytes());
            description.extend([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 1]);
        }
        self.send(b'T', &description).await
    }

    async fn send_rows(&mut self) -> std::io::Result<()> {
        for row in std::mem::take(&mut self.rows) {
            let mut data = (row.len() as i16).to_be_bytes().to_vec();
            for value in row {
                let bytes = match value {
                    Value::Text(text) => text.into_bytes(),
                    Value::Integer(number) => number.to_be_bytes().to_vec(),
                };
                data.extend((bytes.len() as i32).to_be_bytes());
                data.extend(bytes);
            }
            self.send(b'D', &data).await?;
        }
        self.send(b'C', b"SELECT 1\0").await
    }

    async fn send(&mut self, kind: u8, body: &[u8]) -> std::io::Result<()> {
        let length = (body.len() as i32 + 4).to_be_bytes();
        let message = [&[kind], &length[..], body].concat();
        self.stream.write_all(&message).await
    }
}

/// The rest of a message.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn text(&mut self) -> String {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap();
        let text = String::from_utf8(self.0[..end].to_vec()).unwrap();
        self.skip(end + 1);
        text
    }

    fn number(&mut self, size: usize) -> usize {
        let bytes = &self.0[..size];
        self.skip(size);
        bytes
            .iter()
            .fold(0, |number, byte| number << 8 | usize::from(*byte))
    }

    fn skip(&mut self, count: usize) {
        self.0 = &self.0[count..];
    }
}
