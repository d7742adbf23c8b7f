//! Builds a snapshot from a stream of messages.

use super::conversation_digest::ConversationDigest;
use super::dependents::{Belonging, DependentHasher};
use super::entry::{Entry, Id};
use super::key::Key;
use super::message_hasher::{Asides, MessageHasher};
use super::open::{CLOCKS, Now, Open, Text, Why};
use super::order::{Orders, Placed, Ranks, Sequences};
use super::sketch::Sketch;
use super::spill::{Merge, Sorter};
use super::table::Table;
use crate::clock::micros;
use crate::model::{DependentRow, Listed, State, StoredMessage};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::io::{BufWriter, Write};
use std::time::Duration;

/// How a snapshot is taken.
#[derive(Debug, Clone)]
pub struct Settings {
    /// When: microseconds since 1970 UTC.
    pub taken: i64,
    /// What is kept of single messages.
    pub detail: Detail,
    /// With [`Detail::Auto`] a sketch takes the place of more messages than this.
    pub most_messages: u64,
    /// Bytes of memory for conversations and messages; what goes beyond is spilled.
    pub memory: usize,
    /// Whether identifiers are kept in clear.
    pub names: Names,
    /// An answer younger than this may still be written to.
    pub settle: Duration,
}

impl Settings {
    /// The defaults, at that time (microseconds since 1970 UTC).
    pub fn at(taken: i64) -> Self {
        Self {
            taken,
            detail: Detail::Auto,
            most_messages: 2_000_000,
            memory: 160 << 20,
            names: Names::Hidden,
            settle: Duration::from_micros(SETTLE.unsigned_abs()),
        }
    }
}

/// What is kept of single messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detail {
    /// Every message up to [`Settings::most_messages`], or when the store has no append column;
    /// else a sketch.
    Auto,
    /// Every message.
    Messages,
    /// A [`Sketch`] of so many cells: single changes are named, a flood of them is not.
    Sketch(usize),
    /// Nothing: a change is reported by its conversation.
    Conversations,
}

/// 2.5 MB, which names about 25 000 entries; an altered message takes two.
pub const CELLS: usize = 32_768;

/// How exactly stores keep times: seconds, milliseconds, microseconds.
const EXACT_TO: [i64; 3] = [1_000_000, 1_000, 1];

/// Whether identifiers are kept in clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// Keyed hashes only.
    Hidden,
    /// The keys of conversations and messages, so that a lost one can be named.
    Kept,
}

/// Whether a message may have been committed after the snapshot although its place is before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// It was there, or its place is after.
    No,
    /// Its transaction was still open then, or its time is within the grace.
    Maybe,
}

/// What a snapshot says of the store as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// When it was taken: microseconds since 1970 UTC.
    pub taken: i64,
    /// Messages, settled or not.
    pub messages: u64,
    /// Those of the user, of the assistant, and of others.
    pub roles: [u64; 3],
    /// Those that were still being written.
    pub open: u64,
    /// Those whose text may have been written to later: they were marked so, or young.
    #[serde(default)]
    pub unsettled: u64,
    /// Those with a time after that of the snapshot.
    #[serde(default)]
    pub ahead: u64,
    /// Those that are deleted for the user.
    pub deleted: u64,
    /// Those with attachments, reasoning or parts of other kinds, of which only the number is in their digests.
    #[serde(default, skip_serializing_if = "is_none")]
    pub asides: u64,
    /// Those with parts of other kinds.
    #[serde(default, skip_serializing_if = "is_none")]
    pub others: u64,
    /// The high-water mark: the greatest value of the append column. Absent when there is none;
    /// the least number when there are no messages.
    pub high: Option<i64>,
    /// The greatest time of a message.
    pub last_time: Option<i64>,
    /// How exactly times are kept: a second, a millisecond or a microsecond, the greatest that all
    /// of them are whole numbers of; in microseconds. Absent without times.
    #[serde(default)]
    pub exact_to: Option<i64>,
    /// Answers younger than this were unsettled, in microseconds.
    #[serde(default = "settle_of_first_version")]
    pub settle: i64,
    /// Of a snapshot of sums: up to which place there are digests, behind the high-water mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<i64>,
    /// Whether the append column is the time.
    #[serde(default)]
    pub by_time: bool,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

/// The first version of the file did not tell how long texts took to settle: the default.
fn settle_of_first_version() -> i64 {
    SETTLE
}

/// How long texts take to settle unless something else was asked for, in microseconds.
const SETTLE: i64 = 120_000_000;
/// No more answers with a time after the snapshot's are examined one by one: where all are, the
/// clock was wrong.
const MOST_AHEAD: u64 = 100_000;

/// What a comparison needs of the earlier snapshot while it takes messages.
#[derive(Debug)]
pub(super) struct Baseline {
    /// The high-water mark.
    pub(super) high: Option<i64>,
    /// The greatest time.
    pub(super) last_time: Option<i64>,
    /// What its digests are of besides texts and tools.
    pub(super) asides: Asides,
    /// Messages that were not settled: they are examined one by one.
    pub(super) open: HashMap<(Id, Id), Option<Text>>,
}

/// A message that was not settled at a snapshot, as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CurrentMessage {
    pub(super) entry: Entry,
    /// What became of its text; absent where only the digests can tell.
    pub(super) text: Option<Now>,
}

impl CurrentMessage {
    /// A message whose text was not read.
    pub(super) const fn unread(entry: Entry) -> Self {
        Self { entry, text: None }
    }
}

/// Builds a snapshot from messages, in any order.
#[derive(Debug)]
pub struct SnapshotBuilder {
    settings: Settings,
    hasher: MessageHasher,
    table: Table,
    entries: Option<Sorter<Entry>>,
    sketch: Option<Sketch>,
    /// What orders messages, of a store where that has to be kept.
    placed: Option<Sorter<Placed>>,
    key: Key,
    names: Option<BufWriter<File>>,
    baseline: Option<Baseline>,
    summary: Summary,
    extras: Extras,
    dependents: Sorter<Belonging>,
    dependent_hasher: DependentHasher,
}

/// What is kept besides the sums.
#[derive(Debug, Default)]
pub(super) struct Extras {
    /// Messages that are not settled.
    pub(super) open: Vec<Open>,
    /// In a comparison those that were not at the snapshot, as they are now.
    pub(super) seen: Vec<CurrentMessage>,
    /// Messages that may be late.
    pub(super) late: HashSet<(Id, Id)>,
    /// Messages after the high-water mark with a time before it: perhaps copies.
    pub(super) suspects: Vec<Entry>,
    /// How many more of these there were than are kept.
    pub(super) more_suspects: u64,
}

/// Beyond so many suspects it is an import, not a copied message.
const MOST_SUSPECTS: usize = 100_000;

/// What was taken, ready to be written or compared.
#[derive(Debug)]
pub struct Parts {
    /// The store as a whole.
    pub summary: Summary,
    pub(super) tallies: Merge<ConversationDigest>,
    pub(super) detail: DetailData,
    pub(super) orders: Orders,
    pub(super) names: Option<File>,
    pub(super) extras: Extras,
    /// What belongs to messages and conversations; absent where it was not read.
    pub(super) dependents: Option<Merge<Belonging>>,
}

/// The detail that was taken.
#[derive(Debug)]
pub(super) enum DetailData {
    Messages(Merge<Entry>),
    Sketch(Sketch),
    Conversations,
}

impl SnapshotBuilder {
    /// For a snapshot. Fails when a temporary file can't be made.
    pub fn new(key: &Key, settings: Settings) -> io::Result<Self> {
        let memory = settings.memory;
        let (entries, sketch) = match settings.detail {
            Detail::Auto | Detail::Messages => (true, None),
            Detail::Sketch(cells) => (false, Some(cells)),
            Detail::Conversations => (false, None),
        };
        let names = (settings.names == Names::Kept).then(tempfile::tempfile);
        Ok(Self {
            hasher: MessageHasher::new(key),
            table: Table::new(if entries { memory / 4 * 3 } else { memory }),
            // A run that is sorted and written makes room as well as more memory would.
            entries: entries.then(|| Sorter::new(memory / 4)),
            sketch: sketch.map(Sketch::new),
            placed: None,
            key: key.clone(),
            names: names.transpose()?.map(BufWriter::new),
            baseline: None,
            summary: Summary {
                taken: settings.taken,
                settle: micros(settings.settle),
                by_time: true,
                ..Summary::default()
            },
            extras: Extras::default(),
            dependents: Sorter::new(memory / 8),
            dependent_hasher: DependentHasher::new(key),
            settings,
        })
    }

    /// For a comparison with an earlier snapshot.
    pub(super) fn after(key: &Key, settings: Settings, baseline: Baseline) -> io::Result<Self> {
        let mut builder = Self::new(key, settings)?;
        builder.hasher = builder.hasher.with(baseline.asides);
        builder.baseline = Some(baseline);
        Ok(builder)
    }

    /// Adds a conversation that has a row of its own, so that one which lost all its messages
    /// can be distinguished from one that is gone. Fails when there is no room to spill.
    pub fn add_conversation(&mut self, key: &str, listed: Listed) -> io::Result<()> {
        let id = self.hasher.conversation(Some(key));
        self.table.of(id)?.has_row(listed);
        Ok(())
    }

    /// Adds what belongs to a message or conversation. Fails when there is no room to spill.
    pub fn add_dependent(&mut self, row: &DependentRow) -> io::Result<()> {
        let record = self.dependent_hasher.digest(row, &mut self.hasher);
        self.dependents.push(record)
    }

    /// Adds a message. Fails when there is no room to spill.
    pub fn add(&mut self, message: &StoredMessage, late: Late) -> io::Result<()> {
        let (entry, leaf) = self.hasher.digest(message);
        self.count(message, &entry);
        self.condense()?;
        let tally = self.table.of(entry.conversation)?;
        if let Some(names) = &mut self.names {
            if !tally.filled() {
                let key = message.conversation.as_deref().unwrap_or_default();
                name(names, entry.conversation, key)?;
            }
            name(names, entry.message, &message.key)?;
        }
        match &self.baseline {
            Some(baseline) => {
                if let Some(was) = baseline.open.get(&entry.key()) {
                    place(&mut self.placed, message, &entry, self.settings.memory)?;
                    tally.has_unsettled();
                    let text = was.map(|was| was.now(message, &self.hasher));
                    self.extras.seen.push(CurrentMessage { entry, text });
                    return Ok(());
                }
                if message.append > baseline.high
                    && message.append.is_some()
                    && baseline.high.is_some()
                {
                    tally.grown += 1;
                    let copied = entry.time() <= baseline.last_time && entry.time().is_some();
                    if copied && self.extras.suspects.len() < MOST_SUSPECTS {
                        self.extras.suspects.push(entry);
                    } else {
                        self.extras.more_suspects += u64::from(copied);
                    }
                    // A sketch has no room for growth, and needs none.
                    return self.entries.as_mut().map_or(Ok(()), |all| all.push(entry));
                }
                place(&mut self.placed, message, &entry, self.settings.memory)?;
                if late == Late::Maybe {
                    self.extras.late.insert(entry.key());
                }
            }
            None => {
                place(&mut self.placed, message, &entry, self.settings.memory)?;
                let settle = micros(self.settings.settle);
                let why = Why::of(message, self.settings.taken, settle);
                let crowd = why == Some(Why::Ahead) && self.summary.ahead > MOST_AHEAD;
                if let Some(why) = why.filter(|_| !crowd) {
                    tally.has_unsettled();
                    let text = Some(Text::of(message, &self.hasher));
                    self.extras.open.push(Open { entry, why, text });
                    self.summary.unsettled += 1;
                    return Ok(());
                }
            }
        }
        tally.add(&entry, message.append, &leaf);
        if let Some(sketch) = &mut self.sketch {
            sketch.add(&entry);
        }
        self.entries.as_mut().map_or(Ok(()), |all| all.push(entry))
    }

    /// All that was taken. Fails when a temporary file can't be read.
    pub fn finish(mut self) -> io::Result<Parts> {
        if self.summary.messages == 0 {
            self.summary.high = Some(i64::MIN);
        }
        let detail = match (self.entries, self.sketch) {
            (Some(entries), _) => DetailData::Messages(entries.finish()?),
            (None, Some(sketch)) => DetailData::Sketch(sketch),
            (None, None) => DetailData::Conversations,
        };
        let placed = self.placed.map(Sorter::finish).transpose()?;
        let orders = match (placed, &detail) {
            (None, _) => Orders::None,
            (Some(placed), DetailData::Messages(_)) => Orders::Ranks(Ranks::of(placed)),
            (Some(placed), DetailData::Sketch(_) | DetailData::Conversations) => {
                Orders::Sequences(Sequences::of(placed, &self.key))
            }
        };
        let names = self.names.map(BufWriter::into_inner).transpose();
        self.extras
            .open
            .sort_unstable_by_key(|open| open.entry.key());
        Ok(Parts {
            summary: self.summary,
            tallies: self.table.finish()?,
            detail,
            orders,
            names: names.map_err(io::IntoInnerError::into_error)?,
            extras: self.extras,
            dependents: Some(self.dependents.finish()?),
        })
    }

    fn count(&mut self, message: &StoredMessage, entry: &Entry) {
        let summary = &mut self.summary;
        summary.messages += 1;
        summary.roles[usize::from(entry.flags & 3)] += 1;
        summary.open += u64::from(message.state == State::Open);
        summary.deleted += u64::from(message.state == State::Deleted);
        let has_asides = message.attachments > 0 || message.reasoning || message.others > 0;
        summary.asides += u64::from(has_asides);
        summary.others += u64::from(message.others > 0);
        summary.high = summary.high.max(message.append);
        summary.last_time = summary.last_time.max(message.time);
        summary.by_time &= message.append == message.time;
        let now = self.settings.taken.saturating_add(CLOCKS);
        summary.ahead += u64::from(message.time.is_some_and(|time| time > now));
        if let Some(time) = message.time {
            let whole = EXACT_TO.iter().copied().find(|unit| time % unit == 0);
            summary.exact_to = whole.min(summary.exact_to.or(whole));
        }
    }

    /// Puts a sketch in the place of the messages when they have become too many.
    fn condense(&mut self) -> io::Result<()> {
        let summary = &self.summary;
        let many = summary.messages > self.settings.most_messages && summary.high.is_some();
        if !many || self.settings.detail != Detail::Auto {
            return Ok(());
        }
        if let Some(entries) = self.entries.take() {
            let mut sketch = Sketch::new(CELLS);
            for entry in entries.finish()? {
                sketch.add(&entry?);
            }
            self.sketch = Some(sketch);
        }
        Ok(())
    }
}

/// Keeps what orders a message, if anything does that is not kept anyway.
fn place(
    placed: &mut Option<Sorter<Placed>>,
    message: &StoredMessage,
    entry: &Entry,
    memory: usize,
) -> io::Result<()> {
    let Some(key) = message.order else {
        return Ok(());
    };
    let placed = placed.get_or_insert_with(|| Sorter::new(memory / 8));
    placed.push(Placed {
        conversation: entry.conversation,
        message: entry.message,
        key,
    })
}

/// An identifier: its hash, its length in 4 bytes, its text.
fn name(names: &mut BufWriter<File>, id: Id, text: &str) -> io::Result<()> {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    names.write_all(&id.0)?;
    names.write_all(&length.to_le_bytes())?;
    names.write_all(&text.as_bytes()[..length as usize])
}
