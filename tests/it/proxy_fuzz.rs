//! Bytes that are no frames, from the server under test and from the database: they end their own
//! connection and nothing else. The seed of each attempt is its number.

use crate::common::servers::{MariaDb, Postgres, run_sql};
use crate::common::stores::run;
use chatctl::db::Target;
use chatctl::gate::{CommitGate as _, Elsewhere, Hold, Listen, Order, Proxy};
use sqlx::{Connection as _, Executor as _, MySqlConnection, PgConnection};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

const ATTEMPTS: u64 = 120;
const MAX_HOLD: Duration = Duration::from_millis(500);
/// How long an attempt listens for what comes back.
const LISTEN: Duration = Duration::from_millis(20);

/// A message of PostgreSQL.
fn pg(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[kind][..], &length, body].concat()
}

/// What a client of PostgreSQL says.
fn pg_client() -> Vec<Vec<u8>> {
    let startup = b"\0\x03\0\0user\0postgres\0database\0chat\0\0";
    let length = u32::try_from(startup.len() + 4).unwrap().to_be_bytes();
    vec![
        [&length[..], startup].concat(),
        pg(b'Q', b"BEGIN\0"),
        pg(b'P', b"s\0SELECT $1::text\0\0\0"),
        pg(b'B', b"\0s\0\0\0\0\x01\0\0\0\x01a\0\0"),
        pg(b'E', b"\0\0\0\0\0"),
        pg(b'S', b""),
        pg(b'Q', b"SELECT 'nonce-1'; COMMIT\0"),
        pg(b'X', b""),
    ]
}

/// What PostgreSQL says.
fn pg_database() -> Vec<Vec<u8>> {
    vec![
        pg(b'R', &[0, 0, 0, 0]),
        pg(b'S', b"server_version\x0015\0"),
        pg(b'K', &[0, 0, 0, 1, 0, 0, 0, 2]),
        pg(b'Z', b"I"),
        pg(b'C', b"BEGIN\0"),
        pg(b'Z', b"T"),
        pg(b'E', b"SERROR\0C40001\0Mno\0\0"),
        pg(b'Z', b"E"),
    ]
}

/// A packet of MySQL.
fn my(number: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_le_bytes();
    [&length[..3], &[number], body].concat()
}

fn my_client() -> Vec<Vec<u8>> {
    let mut login = 0x0008_a209_u32.to_le_bytes().to_vec();
    login.extend([0, 0, 0, 1, 33]);
    login.extend([0; 23]);
    login.extend(b"root\0\0chat\0mysql_native_password\0");
    vec![
        my(1, &login),
        my(0, b"\x03BEGIN"),
        my(0, b"\x16SELECT ?"),
        my(0, b"\x17\x01\0\0\0\0\x01\0\0\0"),
        my(0, b"\x03SELECT 'nonce-1'"),
        my(0, b"\x03COMMIT"),
        my(0, b"\x01"),
    ]
}

fn my_database() -> Vec<Vec<u8>> {
    let mut greeting =
        b"\x0a5.5.5-10.11\0\x01\0\0\0abcdefgh\0\xfe\xf7\x21\x02\0\xff\x81\x15".to_vec();
    greeting.extend([0; 10]);
    greeting.extend(b"abcdefghijkl\0mysql_native_password\0");
    vec![
        my(0, &greeting),
        my(2, b"\0\0\0\x02\0\0\0"),
        my(1, b"\0\0\0\x03\0\0\0"),
        my(1, b"\xff\xbd\x04#40001no"),
        my(1, b"\x01"),
    ]
}

/// These messages, spoiled.
fn spoiled(messages: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let whole = rng.usize(..messages.len());
    let mut bytes: Vec<u8> = messages[..whole].concat();
    let mut rest: Vec<u8> = messages[whole..].concat();
    for _ in 0..rng.usize(1..6) {
        let at = rng.usize(..rest.len());
        match rng.u8(..4) {
            0 => rest[at] = rng.u8(..),
            1 => rest[at] ^= 1 << rng.u8(..8),
            2 => rest.truncate(at.max(1)),
            _ => {
                let more: Vec<u8> = (0..rng.usize(1..40)).map(|_| rng.u8(..)).collect();
                rest.splice(at..at, more);
            }
        }
    }
    bytes.append(&mut rest);
    bytes
}

/// Sends bytes, and reads for a moment what comes back.
fn send(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LISTEN)).unwrap();
    // The other side may have hung up already.
    let _ = stream.write_all(bytes);
    let mut answer = [0; 4096];
    while stream.read(&mut answer).is_ok_and(|read| read > 0) {}
}

/// Sends spoiled messages to a proxy, its gate open and closed in turn.
async fn attack(proxy: &mut Proxy, messages: Vec<Vec<u8>>) {
    let hold = Hold {
        nonce: "nonce-1",
        order: Order::Arrival,
        patience: Duration::ZERO,
        elsewhere: Elsewhere::Flows,
    };
    let address = proxy.address();
    for seed in 0..ATTEMPTS {
        if seed % 2 == 0 {
            proxy.open().await.unwrap();
        } else {
            proxy.close(hold).await.unwrap();
        }
        let bytes = spoiled(&messages, seed);
        tokio::task::spawn_blocking(move || send(address, &bytes))
            .await
            .unwrap();
    }
    proxy.open().await.unwrap();
}

fn through(url: &str, proxy: &Proxy) -> String {
    let mut url = url::Url::parse(url).unwrap();
    url.set_port(Some(proxy.address().port())).unwrap();
    url.to_string()
}

async fn listen(url: &str) -> Proxy {
    let anywhere = Listen::Tcp("127.0.0.1:0".parse().unwrap());
    let target = Target::parse(url).unwrap();
    Proxy::listen(&anywhere, &target, MAX_HOLD).unwrap()
}

macro_rules! survives {
    ($connection:ty, $url:expr, $messages:expr) => {{
        let url = $url;
        run_sql(&url, "CREATE TABLE message (content text)");
        run(async {
            let mut proxy = listen(&url).await;
            let mut before = <$connection>::connect(&through(&url, &proxy))
                .await
                .unwrap();
            attack(&mut proxy, $messages).await;
            let mut after = <$connection>::connect(&through(&url, &proxy))
                .await
                .unwrap();
            for connection in [&mut before, &mut after] {
                let done = connection.execute("INSERT INTO message VALUES ('a')").await;
                assert_eq!(done.unwrap().rows_affected(), 1);
            }
            assert!(proxy.withheld().await.unwrap().is_empty());
        });
    }};
}

#[test]
fn a_client_of_postgresql_that_sends_no_frames_ends_its_own_connection_only() {
    let server = Postgres::start();
    survives!(PgConnection, server.url(), pg_client());
}

#[test]
fn a_client_of_mariadb_that_sends_no_frames_ends_its_own_connection_only() {
    let server = MariaDb::start();
    survives!(MySqlConnection, server.url(), my_client());
}

/// A database that sends spoiled messages to each connection, and hangs up.
fn spoiling(messages: Vec<Vec<u8>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (seed, stream) in (0..).zip(listener.incoming()) {
            let Ok(mut stream) = stream else { break };
            let bytes = spoiled(&messages, seed);
            let _ = stream.set_read_timeout(Some(LISTEN));
            let _ = stream.write_all(&bytes);
            let mut asked = [0; 4096];
            while stream.read(&mut asked).is_ok_and(|read| read > 0) {}
        }
    });
    address
}

#[test]
fn a_database_that_sends_no_frames_ends_that_connection_only() {
    for (scheme, database, client) in [
        ("postgres", pg_database(), pg_client()),
        ("mysql", my_database(), my_client()),
    ] {
        let address = spoiling(database);
        let url = format!("{scheme}://root@{address}/chat");
        run(async move {
            let mut proxy = listen(&url).await;
            let said = client.concat();
            for attempt in 0..ATTEMPTS {
                let (to, said) = (proxy.address(), said.clone());
                tokio::task::spawn_blocking(move || send(to, &said))
                    .await
                    .unwrap();
                // It still answers, and holds nothing of a connection that is gone.
                assert!(proxy.connections() <= attempt + 1);
            }
            assert!(proxy.withheld().await.unwrap().is_empty());
            assert!(TcpStream::connect(proxy.address()).is_ok());
        });
    }
}
