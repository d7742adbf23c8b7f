//! What a snapshot costs: `cargo bench --bench audit`.
//!
//! First the digests of messages of 593 bytes of text beside a bare loop of keyed BLAKE3 over the
//! same bytes; then a sketch; then ten million conversations through a table that holds a tenth
//! of them, into a file, and two such files compared. The program fails if a message costs more
//! than 3 times the bare loop, if the comparison takes 3 s or more, or if memory goes
//! over 256 MB. A number behind the name is how many conversations there are instead.
//!
//! With `bare PATH` or `bare postgres://…` it only reads and digests the messages of a store, with
//! no more than rusqlite, or COPY through sqlx, and BLAKE3: what `benches/audit.py` measures
//! `chatctl audit snapshot` by.
#![allow(clippy::print_stdout)] // A bench has no report; its figures are its output.

use chatctl::audit;
use chatctl::audit::file::Header;
use chatctl::audit::{
    Detail, Key, Late, MessageHasher, Settings, Sketch, SnapshotBuilder, Sum, file,
};
use chatctl::model::{Role, StoredMessage};
use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use futures_util::StreamExt as _;
use sqlx::Connection as _;

const MESSAGES: i64 = 500_000;
const TEXT: usize = 593;
const CONVERSATIONS: i64 = 10_000_000;
const ROUNDS: usize = 5;

fn main() -> ExitCode {
    if let Some(store) = std::env::args().skip_while(|arg| arg != "bare").nth(1) {
        if store.starts_with("postgres:") {
            bare_postgres(&store);
        } else {
            bare(&store);
        }
        return ExitCode::SUCCESS;
    }
    let given = std::env::args().find_map(|arg| arg.parse().ok());
    let ratio = digests();
    sketch();
    let seconds = files(given.unwrap_or(CONVERSATIONS));
    let memory = peak();
    println!("most memory {memory} MB");
    if ratio > 3.0 || seconds >= 3.0 || memory > 256 {
        println!("FAILED: wanted at most 3.00 x bare, less than 3 s, and at most 256 MB");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn key() -> Key {
    Key::new([7; 32])
}

fn message(number: i64, conversation: i64, content: &str) -> StoredMessage {
    StoredMessage {
        conversation: Some(format!("00000000-0000-4000-8000-{conversation:012}")),
        time: Some(1_700_000_000_000_000 + number),
        append: Some(number),
        ..StoredMessage::new(number.to_string(), Role::User, content)
    }
}

fn builder(detail: Detail) -> SnapshotBuilder {
    let settings = Settings {
        detail,
        ..Settings::at(1_800_000_000_000_000)
    };
    SnapshotBuilder::new(&key(), settings).expect("there is room for temporary files")
}

const SELECT: &str = "SELECT conversation_id, role, content, created_at, id FROM message";

/// Sums by conversation.
#[derive(Default)]
struct Sums(HashMap<Box<[u8]>, Sum>);

impl Sums {
    /// One digest of all columns of a message.
    fn add(&mut self, conversation: &[u8], columns: &[u8]) {
        let leaf = Sum::from_bytes(blake3::keyed_hash(&[7; 32], columns).as_bytes());
        match self.0.get_mut(conversation) {
            Some(sum) => sum.add(leaf),
            None => {
                self.0.insert(conversation.into(), leaf);
            }
        }
    }
}

fn bare(path: &str) {
    let connection = rusqlite::Connection::open(path).expect("the store is there");
    let mut statement = connection.prepare(SELECT).expect("it has messages");
    let mut rows = statement.query([]).expect("they can be read");
    let mut sums = Sums::default();
    let mut buffer = Vec::new();
    while let Some(row) = rows.next().expect("they can be read") {
        buffer.clear();
        for column in 0..4 {
            let text = row.get_ref(column).expect("the column is there");
            buffer.extend_from_slice(text.as_bytes().expect("it is a text"));
            buffer.push(0);
        }
        let id: i64 = row.get(4).expect("it is a number");
        buffer.extend_from_slice(&id.to_le_bytes());
        let conversation = row.get_ref(0).expect("the column is there");
        sums.add(conversation.as_bytes().expect("it is a text"), &buffer);
    }
    println!("{} conversations", sums.0.len());
}

/// The server sends a tuple a packet: the number of columns, then each behind its length.
fn bare_postgres(url: &str) {
    let read = async {
        let mut connection = sqlx::PgConnection::connect(url).await?;
        let copy = format!("COPY ({SELECT}) TO STDOUT (FORMAT binary)");
        let mut packets = connection.copy_out_raw(&copy).await?;
        let mut sums = Sums::default();
        while let Some(packet) = packets.next().await {
            let packet = packet?;
            let head = if packet.starts_with(b"PGCOPY") { 19 } else { 0 };
            let Some((length, columns)) =
                packet[head..].get(2..).and_then(<[u8]>::split_first_chunk)
            else {
                continue;
            };
            let length = u32::from_be_bytes(*length) as usize;
            if let Some(conversation) = columns.get(..length) {
                sums.add(conversation, columns);
            }
        }
        Ok::<_, sqlx::Error>(sums)
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let sums = runtime.expect("there is a runtime").block_on(read);
    println!("{} conversations", sums.expect("it can be read").0.len());
}

/// How many times the bare loop a message costs, the best of some rounds.
fn digests() -> f64 {
    let text = "x".repeat(TEXT);
    // Two hundred conversations are alive at a time, as in a busy chat.
    let of = |number: i64| number % 200 + number / 4000 * 200;
    let messages: Vec<_> = (0..20_000)
        .map(|number| message(number, of(number), &text))
        .collect();
    let rounds = MESSAGES as usize / messages.len();
    let mut best = [f64::MAX; 2];
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..rounds {
            for message in &messages {
                black_box(blake3::keyed_hash(&[7; 32], message.content.as_bytes()));
            }
        }
        best[0] = best[0].min(start.elapsed().as_secs_f64());
        let mut builder = builder(Detail::Conversations);
        let start = Instant::now();
        for _ in 0..rounds {
            for message in &messages {
                builder.add(message, Late::No).expect("there is room");
            }
        }
        best[1] = best[1].min(start.elapsed().as_secs_f64());
    }
    let [bare, ours] = best.map(|seconds| seconds / MESSAGES as f64 * 1e9);
    println!("a message of {TEXT} bytes");
    println!("  bare keyed BLAKE3 of its text {bare:>8.0} ns");
    println!(
        "  taken                         {ours:>8.0} ns {:>6.2} x bare",
        ours / bare
    );
    ours / bare
}

fn sketch() {
    let mut hasher = MessageHasher::new(&key());
    let entries: Vec<_> = (0..200_000)
        .map(|number| hasher.digest(&message(number, number / 20, "text")).0)
        .collect();
    let mut sketch = Sketch::new(32_768);
    let start = Instant::now();
    entries.iter().for_each(|entry| sketch.add(entry));
    let each = start.elapsed().as_secs_f64() / entries.len() as f64 * 1e9;
    println!("sketch of {} cells: {each:.0} ns an entry", sketch.len());
}

/// How long two files take to be compared, in seconds.
fn files(conversations: i64) -> f64 {
    let folder = tempfile::tempdir().expect("there is room");
    let paths = ["a.cas", "b.cas"].map(|name| folder.path().join(name));
    take(conversations, &paths[0]);
    // The second store lacks the last message.
    take(conversations - 1, &paths[1]);
    let open = |path: &Path| file::open(path, &key()).expect("it was just written");
    let [before, after] = [open(&paths[0]), open(&paths[1])];
    let start = Instant::now();
    let found = audit::compare_files(&before, &after).expect("both were just written");
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(found.groups.len(), 1, "one conversation is gone");
    println!("compared with another one: {seconds:.2} s");
    seconds
}

fn take(conversations: i64, path: &Path) {
    let start = Instant::now();
    let mut builder = builder(Detail::Sketch(32_768));
    for number in 0..conversations {
        let message = message(number, number, "text");
        builder.add(&message, Late::No).expect("there is room");
    }
    let taken = start.elapsed().as_secs_f64();
    let parts = builder.finish().expect("there is room");
    let mut out = std::fs::File::create(path).expect("the folder is there");
    file::write(&mut out, &Header::default(), parts, &key()).expect("there is room");
    println!(
        "{conversations} conversations: taken in {taken:.1} s, written in {:.1} s, {} MB, most memory {} MB",
        start.elapsed().as_secs_f64() - taken,
        std::fs::metadata(path).expect("it was just written").len() >> 20,
        peak()
    );
}

/// The most memory that this process had, in MB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or_default() >> 10
}
