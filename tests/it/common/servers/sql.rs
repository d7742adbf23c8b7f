//! Statements, run on a server of either engine.

use sqlx::{Connection as _, MySqlConnection, PgConnection, Row as _};
use tokio::runtime::Runtime;

/// Runs statements.
pub fn run_sql(url: &str, sql: &str) {
    texts(url, sql);
}

/// The first column of each row, as the engine prints it; `-` for no value.
pub fn texts(url: &str, sql: &str) -> Vec<String> {
    Client::open(url).all_texts(&[sql]).remove(0)
}

/// A connection that is kept: to open one costs a server more than most questions do.
pub struct Client(Option<Open>);

struct Open {
    runtime: Runtime,
    connection: Connection,
}

enum Connection {
    Postgres(PgConnection),
    Mysql(MySqlConnection),
}

impl Client {
    pub fn open(url: &str) -> Self {
        apart(|| {
            let runtime = runtime();
            let connection = runtime.block_on(async {
                if url.starts_with("postgres") {
                    Connection::Postgres(PgConnection::connect(url).await.unwrap())
                } else {
                    Connection::Mysql(MySqlConnection::connect(url).await.unwrap())
                }
            });
            Self(Some(Open {
                runtime,
                connection,
            }))
        })
    }

    /// The first column of each row of each query.
    pub fn all_texts(&mut self, queries: &[&str]) -> Vec<Vec<String>> {
        macro_rules! fetch {
            ($connection:expr, $text:ty) => {{
                let mut all = Vec::new();
                for sql in queries {
                    let statements = sqlx::raw_sql(sqlx::AssertSqlSafe(*sql));
                    let rows = statements.fetch_all(&mut *$connection).await;
                    let rows = rows.unwrap_or_else(|error| panic!("{error}: {sql}"));
                    let first = rows.iter().map(|row| {
                        let text = row.get_unchecked::<Option<$text>, _>(0);
                        text.map_or_else(
                            || "-".to_owned(),
                            |text| String::from_utf8_lossy(text.as_ref()).into_owned(),
                        )
                    });
                    all.push(first.collect());
                }
                all
            }};
        }
        let Open {
            runtime,
            connection,
        } = self.0.as_mut().expect("it is open until it is dropped");
        apart(|| {
            runtime.block_on(async {
                match connection {
                    Connection::Postgres(it) => fetch!(it, String),
                    // A value may be bytes that are no text.
                    Connection::Mysql(it) => fetch!(it, Vec<u8>),
                }
            })
        })
    }
}

impl Drop for Client {
    /// Returns when the server knows of it: whoever copies or removes the database next is not to meet it.
    fn drop(&mut self) {
        let Some(Open {
            runtime,
            connection,
        }) = self.0.take()
        else {
            return;
        };
        // A server that was ended meanwhile has closed it.
        apart(move || {
            let _ = runtime.block_on(async {
                match connection {
                    Connection::Postgres(it) => it.close().await,
                    Connection::Mysql(it) => it.close().await,
                }
            });
        });
    }
}

/// Waits in a thread of its own, so that a test may already be waiting in a runtime.
pub fn wait_for<T: Send>(future: impl Future<Output = T> + Send) -> T {
    apart(|| runtime().block_on(future))
}

fn runtime() -> Runtime {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap()
}

/// Does it in a thread of its own: a runtime can't be waited for, or dropped, in another one.
fn apart<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let done = scope.spawn(act).join();
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
