//! Digests in a separate thread: half of the work on a store is hashing, and meanwhile the next
//! messages can be read.

use super::snapshot_builder::{Late, Parts, SnapshotBuilder};
use crate::cli_error::CliError;
use crate::model::{DependentRow, Listed, Role, StoredMessage};
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// A [`SnapshotBuilder`] on a thread of its own, so that it works while others read.
#[derive(Debug)]
pub struct Background {
    batch: Batch,
    to: SyncSender<Batch>,
    back: Receiver<Batch>,
    /// None when it ended before its time.
    builder: Option<JoinHandle<io::Result<SnapshotBuilder>>>,
}

/// Messages that go over together. A batch goes back and forth, so that the room for its texts is
/// made only once.
#[derive(Debug, Default)]
struct Batch {
    conversations: Vec<(String, Listed)>,
    dependents: Vec<DependentRow>,
    messages: Vec<(StoredMessage, Late)>,
    /// How many of the messages count.
    used: usize,
    /// How long their texts are together.
    bytes: usize,
}

/// Batches on their way.
const BATCHES: usize = 4;
/// Messages or conversations in a batch.
const MOST: usize = 256;
/// A batch with texts of so many bytes goes, and a text that had more leaves its room.
const MOST_BYTES: usize = 256 << 10;

impl Background {
    /// Starts the thread. Fails when there can't be one.
    pub fn start(mut builder: SnapshotBuilder) -> io::Result<Self> {
        let (to, batches) = sync_channel::<Batch>(BATCHES);
        let (done, back) = sync_channel(BATCHES + 1);
        let thread = std::thread::Builder::new().name("digests".to_owned());
        let take = move || {
            for mut batch in batches {
                for (key, listed) in batch.conversations.drain(..) {
                    builder.add_conversation(&key, listed)?;
                }
                for row in batch.dependents.drain(..) {
                    builder.add_dependent(&row)?;
                }
                for (message, late) in &batch.messages[..batch.used] {
                    builder.add(message, *late)?;
                }
                batch.used = 0;
                batch.bytes = 0;
                // Nobody wants it any more when the reader is through.
                let _ = done.try_send(batch);
            }
            Ok(builder)
        };
        Ok(Self {
            batch: Batch::default(),
            to,
            back,
            builder: Some(thread.spawn(take)?),
        })
    }

    /// As [`SnapshotBuilder::add_conversation`]; a failure comes later.
    pub fn add_conversation(&mut self, key: &str, listed: Listed) -> anyhow::Result<()> {
        self.batch.conversations.push((key.to_owned(), listed));
        if self.batch.conversations.len() < MOST {
            Ok(())
        } else {
            self.send()
        }
    }

    /// As [`SnapshotBuilder::add_dependent`]; a failure comes later.
    pub fn add_dependent(&mut self, row: DependentRow) -> anyhow::Result<()> {
        let batch = &mut self.batch;
        batch.bytes += row.content.len();
        batch.dependents.push(row);
        if batch.dependents.len() < MOST && batch.bytes < MOST_BYTES {
            Ok(())
        } else {
            self.send()
        }
    }

    /// As [`SnapshotBuilder::add`]; a failure comes later. It gives another message for this one, whose room
    /// can be used again.
    pub fn add(&mut self, message: &mut StoredMessage, late: Late) -> anyhow::Result<()> {
        let batch = &mut self.batch;
        batch.bytes += message.content.len() + message.extra.len();
        if batch.used == batch.messages.len() {
            let blank = StoredMessage::new("", Role::User, "");
            batch.messages.push((blank, late));
        }
        let place = &mut batch.messages[batch.used];
        std::mem::swap(&mut place.0, message);
        place.1 = late;
        for text in [&mut message.content, &mut message.extra] {
            text.shrink_to(MOST_BYTES);
        }
        batch.used += 1;
        if batch.used < MOST && batch.bytes < MOST_BYTES {
            Ok(())
        } else {
            self.send()
        }
    }

    /// As [`SnapshotBuilder::finish`].
    pub fn finish(mut self) -> anyhow::Result<Parts> {
        // What went wrong is reported by the thread's end.
        let _ = self.to.send(std::mem::take(&mut self.batch));
        drop(self.to);
        let builder = end(self.builder.take())?;
        Ok(builder.finish().map_err(no_room)?)
    }

    fn send(&mut self) -> anyhow::Result<()> {
        let empty = self.back.try_recv().unwrap_or_default();
        let full = std::mem::replace(&mut self.batch, empty);
        match self.to.send(full) {
            Ok(()) => Ok(()),
            Err(_) => Ok(end(self.builder.take()).map(|_| ())?),
        }
    }
}

/// What the thread ended with.
fn end(
    builder: Option<JoinHandle<io::Result<SnapshotBuilder>>>,
) -> Result<SnapshotBuilder, CliError> {
    match builder.map(JoinHandle::join) {
        Some(Ok(builder)) => builder.map_err(no_room),
        Some(Err(panic)) => std::panic::resume_unwind(panic),
        None => Err(no_room(io::ErrorKind::BrokenPipe.into())),
    }
}

/// All that a [`SnapshotBuilder`] can fail at is what it spills.
fn no_room(error: io::Error) -> CliError {
    CliError::unreachable(format!(
        "the data that does not fit into memory could not be written to `{}`: {error}",
        std::env::temp_dir().display()
    ))
    .hint("set TMPDIR to a folder with more space, or give more memory with --mem")
}

#[cfg(test)]
mod tests {
    use super::{Background, MOST_BYTES};
    use crate::audit::{Detail, Key, Late, Settings, SnapshotBuilder};
    use crate::model::{Listed, Role, StoredMessage, ToolCall};

    fn builder() -> SnapshotBuilder {
        let settings = Settings {
            detail: Detail::Conversations,
            memory: 1,
            ..Settings::at(1_800_000_000_000_000)
        };
        SnapshotBuilder::new(&Key::new([7; 32]), settings).unwrap()
    }

    /// Messages with and without each of what may be missing, and some that are longer than a batch.
    fn message(number: usize) -> StoredMessage {
        let some = |every: usize| number.is_multiple_of(every).then(|| number.to_string());
        let tool = ToolCall {
            name: "search".into(),
            input: some(4),
            output: some(6),
        };
        let length = if number % 500 == 7 {
            MOST_BYTES + 1
        } else {
            number % 90
        };
        StoredMessage {
            conversation: some(2),
            parent: some(3),
            time: (!number.is_multiple_of(5)).then_some(number as i64),
            tools: vec![tool; number % 3],
            extra: some(7).unwrap_or_default(),
            ..StoredMessage::new(number.to_string(), Role::User, "x".repeat(length))
        }
    }

    #[test]
    fn what_is_taken_meanwhile_is_what_is_taken_at_once() {
        let (mut at_once, mut meanwhile) = (builder(), Background::start(builder()).unwrap());
        for number in 0..1_000 {
            let listed = if number % 3 == 0 {
                Listed::Deleted
            } else {
                Listed::Shown
            };
            at_once
                .add_conversation(&number.to_string(), listed)
                .unwrap();
            meanwhile
                .add_conversation(&number.to_string(), listed)
                .unwrap();
        }
        for number in 0..5_000_usize {
            let late = if number.is_multiple_of(11) {
                Late::Maybe
            } else {
                Late::No
            };
            at_once.add(&message(number), late).unwrap();
            meanwhile.add(&mut message(number), late).unwrap();
        }
        let [at_once, meanwhile] =
            [at_once.finish().unwrap(), meanwhile.finish().unwrap()].map(|parts| {
                let tallies: Vec<_> = parts.tallies.map(Result::unwrap).collect();
                (parts.summary, tallies)
            });
        assert_eq!(at_once, meanwhile);
        assert_eq!(at_once.0.messages, 5_000);
    }
}
