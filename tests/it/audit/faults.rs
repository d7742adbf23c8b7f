//! One random fault at a time on a real database: it is named, with its message, and nothing else
//! is. The library is driven in this process: a thousand programs would take too long.

use super::chats::{CONVERSATIONS, Chats, KEY, MESSAGES, again, now, text};
use crate::common::stores::{Store, on_each_backend, trials};
use chatctl::audit::compare::{Code, Resolver, Rules};
use chatctl::audit::file::Snapshot;
use chatctl::audit::live::{LateCommits, Live, Visitor};
use chatctl::audit::{Comparer, Comparison, Key, Late, Names, Settings, SnapshotBuilder, file};
use chatctl::db::Target;
use chatctl::model::{Listed, StoredMessage};
use chatctl::store::Declared;
use fastrand::Rng;
use std::fs::File;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

on_each_backend! { a_random_fault_is_named }

/// What takes a store in, in this process.
pub(super) struct Into<T>(pub(super) T);

impl Visitor for Into<SnapshotBuilder> {
    fn conversation(&mut self, key: &str, listed: Listed) -> anyhow::Result<ControlFlow<()>> {
        self.0.add_conversation(key, listed)?;
        Ok(ControlFlow::Continue(()))
    }

    fn message(
        &mut self,
        message: &mut StoredMessage,
        late: Late,
    ) -> anyhow::Result<ControlFlow<()>> {
        self.0.add(message, late)?;
        Ok(ControlFlow::Continue(()))
    }
}

impl Visitor for Into<Comparer<'_>> {
    fn conversation(&mut self, key: &str, listed: Listed) -> anyhow::Result<ControlFlow<()>> {
        self.0.add_conversation(key, listed)?;
        Ok(ControlFlow::Continue(()))
    }

    fn message(
        &mut self,
        message: &mut StoredMessage,
        late: Late,
    ) -> anyhow::Result<ControlFlow<()>> {
        self.0.add(message, late)?;
        Ok(ControlFlow::Continue(()))
    }
}

impl Visitor for Into<Resolver> {
    fn conversation(&mut self, key: &str, _: Listed) -> anyhow::Result<ControlFlow<()>> {
        self.0.add_conversation(key);
        Ok(ControlFlow::Continue(()))
    }

    fn message(&mut self, message: &mut StoredMessage, _: Late) -> anyhow::Result<ControlFlow<()>> {
        self.0.add(message);
        Ok(ControlFlow::Continue(()))
    }
}

fn key() -> Key {
    let byte = |at: usize| u8::from_str_radix(&KEY[2 * at..][..2], 16).unwrap();
    Key::new(std::array::from_fn(byte))
}

async fn live(chats: &Chats, ranges: usize) -> Live {
    let mapping = std::fs::read_to_string(chats.file("chatctl.toml")).unwrap();
    let declared: Declared = toml::from_str::<toml::Table>(&mapping).unwrap()["store"]
        .clone()
        .try_into()
        .unwrap();
    let target = Target::parse(&chats.url).unwrap();
    Live::open(target, &declared, Duration::from_secs(60), ranges)
        .await
        .unwrap()
}

/// What `audit snapshot --keep-ids` does.
pub(super) async fn take(chats: &Chats, path: &Path, ranges: usize) -> Snapshot {
    let live = live(chats, ranges).await;
    let settings = Settings {
        names: Names::Kept,
        ..Settings::at(live.taken)
    };
    let mut builder = Into(SnapshotBuilder::new(&key(), settings).unwrap());
    let late = LateCommits::default();
    assert!(live.read(&late, &mut builder).await.unwrap());
    let parts = builder.0.finish().unwrap();
    let mut out = File::create(path).unwrap();
    file::write(&mut out, &live.header(None), parts, &key()).unwrap();
    file::open(path, &key()).unwrap()
}

/// What `audit compare` does.
pub(super) async fn compare(chats: &Chats, before: &Snapshot, ranges: usize) -> Comparison {
    let live = live(chats, ranges).await;
    let grace = Duration::from_secs(30);
    let late = live.latecomers(before, grace).await.unwrap();
    let settings = Settings::at(live.taken);
    let comparer = Comparer::new(before, &live.fingerprinted(), settings).unwrap();
    let mut comparer = Into(comparer);
    assert!(live.read(&late, &mut comparer).await.unwrap());
    match comparer.0.finish().unwrap().resolver() {
        Err(found) => *found,
        Ok(resolver) => {
            let mut resolver = Into(resolver);
            assert!(live.read(&late, &mut resolver).await.unwrap());
            resolver.0.finish()
        }
    }
}

/// A message or a conversation, and the change of it.
struct Fault {
    sql: String,
    code: Code,
    messages: u64,
    /// What the finding must name.
    named: String,
}

/// How many kinds of faults there are.
const KINDS: u32 = 11;

fn fault(url: &str, kind: u32, random: &mut Rng) -> Fault {
    let number = random.u32(1..=MESSAGES);
    let id = 2 * number;
    let of = (number - 1) % CONVERSATIONS + 1;
    let other = text(&format!("another text {}", random.u32(..)));
    let message = format!("message `{id}`");
    let copy = "INSERT INTO message (id, conversation_id, role, parts, created_at)";
    let (sql, code, messages, named) = match kind {
        0 => (
            format!("DELETE FROM message WHERE id = {id}"),
            Code::MessageLost,
            1,
            message,
        ),
        1 => (
            format!("UPDATE message SET parts = {other} WHERE id = {id}"),
            Code::MessageAltered,
            1,
            message,
        ),
        2 => (
            format!("UPDATE message SET role = 'system' WHERE id = {id}"),
            Code::MessageAltered,
            1,
            message,
        ),
        3 => (
            format!(
                "UPDATE message SET conversation_id = {} WHERE id = {id}",
                of % CONVERSATIONS + 1
            ),
            Code::MessageMoved,
            1,
            message,
        ),
        4 => {
            let at = format!("2026-01-02 10:00:{:02}", random.u32(..60));
            let at = super::chats::time(url, &at);
            (
                format!("UPDATE message SET created_at = {at} WHERE id = {id}"),
                Code::TimesShifted,
                1,
                message,
            )
        }
        5 => {
            let new = 1000 + random.u32(..1000);
            (
                format!(
                    "{copy} SELECT {new}, conversation_id, role, parts, created_at FROM message WHERE id = {id}"
                ),
                Code::MessageDuplicated,
                1,
                format!("message `{new}`"),
            )
        }
        6 => (
            format!(
                "{copy} SELECT {}, conversation_id, role, parts, created_at FROM message WHERE id = {id}",
                id - 1
            ),
            Code::MessageDuplicated,
            1,
            format!("message `{}`", id - 1),
        ),
        7 => {
            let at = super::chats::time(url, "2026-01-01 10:30:30");
            (
                format!("{copy} VALUES ({}, {of}, 'user', {other}, {at})", id - 1),
                Code::Backfilled,
                1,
                format!("message `{}`", id - 1),
            )
        }
        8 => (
            format!(
                "DELETE FROM message WHERE id = {id}; {copy} VALUES ({id}, {of}, 'user', {other}, {})",
                now(url)
            ),
            Code::IdReused,
            1,
            message,
        ),
        9 => (
            format!(
                "DELETE FROM message WHERE conversation_id = {of}; DELETE FROM conversation WHERE id = {of}"
            ),
            Code::ConversationLost,
            u64::from(MESSAGES / CONVERSATIONS),
            format!("conversation `{of}`"),
        ),
        _ => (
            format!("DELETE FROM message WHERE conversation_id = {of}"),
            Code::ConversationEmptied,
            u64::from(MESSAGES / CONVERSATIONS),
            format!("conversation `{of}`"),
        ),
    };
    Fault {
        sql,
        code,
        messages,
        named,
    }
}

async fn a_random_fault_is_named(store: &Store) {
    let chats = Chats::in_store(store);
    let before = take(&chats, &chats.file("before.cas"), 1).await;
    let mut random = Rng::with_seed(7);
    for trial in 0..trials(store.pick(20, 4, 4) * KINDS) {
        let fault = fault(&chats.url, trial % KINDS, &mut random);
        chats.sql(&fault.sql);
        let found = compare(&chats, &before, 1).await;
        let told: Vec<_> = found
            .groups
            .iter()
            .map(|(code, group)| (*code, group.messages))
            .collect();
        assert_eq!(
            told,
            [(fault.code, fault.messages)],
            "trial {trial}: {}",
            fault.sql
        );
        let findings = found.findings(&Rules::default());
        let lines = || findings[0].evidence.iter().map(|it| &it.fact);
        assert!(
            lines().any(|line| line.contains(&fault.named)),
            "trial {trial}: no {} in {:?}",
            fault.named,
            lines().collect::<Vec<_>>()
        );
        again(&chats.url);
    }
    let found = compare(&chats, &before, 1).await;
    assert!(found.intact(), "{:?}", found.groups);
}
