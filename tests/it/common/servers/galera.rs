//! A Galera cluster of MariaDB servers: every one takes writes, and has those of all.

use super::engine::{MARIADB, START};
use super::place::Place;
use super::sql::wait_for;
use super::{DATABASE, END, texts};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use sqlx::{Connection as _, MySqlConnection};
use std::net::TcpListener;
use std::ops::Range;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

/// Where the packages of the distributions put what replicates.
const PROVIDERS: &[&str] = &[
    "/usr/lib/galera/libgalera_smm.so",
    "/usr/lib64/galera-4/libgalera_smm.so",
    "/usr/lib64/galera/libgalera_smm.so",
];

/// How often a cluster is started.
const TRIES: usize = 3;

/// Where its ports are: the system gives none of these to a client, or to a server that asks for any port.
const PORTS: Range<u16> = 20_000..32_000;

/// A cluster that is gone when dropped.
pub struct Galera {
    nodes: Vec<Node>,
}

struct Node {
    place: Place,
    port: u16,
    /// Where it talks with the other nodes.
    group: u16,
    child: Child,
}

impl Galera {
    /// A cluster of so many nodes with an empty database; each takes the data over from the first.
    ///
    /// Its ports were free when they were chosen; a node ends where one of them is taken before it listens.
    /// Then all start again: a node that goes may leave the others without a majority.
    pub fn start(nodes: usize) -> Self {
        let mut said = Vec::new();
        for _ in 0..TRIES {
            match Self::try_to_start(nodes) {
                Ok(cluster) => return cluster,
                Err(log) => said.push(log),
            }
        }
        panic!("{}", said.join("\n"));
    }

    fn try_to_start(nodes: usize) -> Result<Self, String> {
        let mut cluster = Self { nodes: Vec::new() };
        for number in 0..nodes {
            let first = cluster.nodes.first().map(|node| node.group);
            cluster.nodes.push(Node::start(number, first)?);
            if number == 0 {
                let make = format!("CREATE DATABASE {DATABASE}");
                texts(&cluster.nodes[0].url("mysql"), &make);
            }
        }
        Ok(cluster)
    }

    /// The URL of the database at one node, from 0.
    pub fn url(&self, node: usize) -> String {
        self.nodes[node].url(DATABASE)
    }
}

impl Node {
    /// A node that has the data of all. The error is the log of one that ended, or did not get ready.
    fn start(number: usize, first: Option<u16>) -> Result<Self, String> {
        let place = Place::new(MARIADB.users);
        place.copy(&MARIADB.template(), &place.data());
        let ports = ports::<4>();
        let mut node = Self {
            child: serve(&place, number, first, ports),
            place,
            port: ports[0],
            group: ports[1],
        };
        let deadline = Instant::now() + START;
        while !node.is_synced() {
            let ended = node.child.try_wait().unwrap();
            if ended.is_some() || Instant::now() > deadline {
                return Err(MARIADB.ended(&node.place));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(node)
    }

    fn url(&self, database: &str) -> String {
        format!("mysql://root@127.0.0.1:{}/{database}", self.port)
    }

    fn is_synced(&self) -> bool {
        let url = self.url("mysql");
        let answers = wait_for(async { MySqlConnection::connect(&url).await.is_ok() });
        let ready = "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'WSREP_LOCAL_STATE_COMMENT'";
        answers && texts(&url, ready) == ["Synced"]
    }
}

/// A node ends by itself when asked to, and so does a program that it copies its data with.
impl Drop for Node {
    fn drop(&mut self) {
        let id = i32::try_from(self.child.id()).unwrap();
        let _ = nix::sys::signal::kill(Pid::from_raw(id), Signal::SIGTERM);
        let deadline = Instant::now() + END;
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Ports that are free and differ.
fn ports<const COUNT: usize>() -> [u16; COUNT] {
    let free =
        || (0..1000).find_map(|_| TcpListener::bind(("127.0.0.1", fastrand::u16(PORTS))).ok());
    let listeners = [(); COUNT].map(|()| free().expect("a free port"));
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn serve(
    place: &Place,
    number: usize,
    first: Option<u16>,
    [port, group, increment, copy]: [u16; 4],
) -> Child {
    let provider = PROVIDERS.iter().find(|path| Path::new(path).exists());
    let provider = provider.expect("no Galera: run tests/run, which installs it");
    let first = first.map_or(String::new(), |port| format!("127.0.0.1:{port}"));
    let mut command = (MARIADB.serve)(place, port);
    for setting in [
        "binlog-format=ROW".to_owned(),
        "innodb-autoinc-lock-mode=2".to_owned(),
        "wsrep-on=ON".to_owned(),
        format!("wsrep-provider={provider}"),
        "wsrep-cluster-name=chat".to_owned(),
        format!("wsrep-cluster-address=gcomm://{first}"),
        format!("wsrep-node-name=node{number}"),
        "wsrep-node-address=127.0.0.1".to_owned(),
        "wsrep-sst-method=rsync".to_owned(),
        format!("wsrep-sst-receive-address=127.0.0.1:{copy}"),
        format!(
            "wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:{group};ist.recv_addr=127.0.0.1:{increment};gcache.size=16M;pc.recovery=false"
        ),
    ] {
        command.arg(format!("--{setting}"));
    }
    command.spawn().unwrap()
}
