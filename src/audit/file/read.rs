//! Reading a snapshot: nothing is used before its tag is verified.

use super::frame::{
    CELLS, DEPENDENTS, END, ENTRIES, FIRST_VERSION, FOOTER, HEAD, HEADER, MAGIC, NAMES, OPEN,
    OPEN_ENTRIES, PREAMBLE, RANKS, SECOND_VERSION, SEQUENCES, Sealer, TAG, TALLIES, THIRD_VERSION,
    TRAILER, VERSION, unpack,
};
use super::{Footer, Header, Mapping, Section};
use crate::audit::conversation_digest::ConversationDigest;
use crate::audit::dependents::Belonging;
use crate::audit::entry::{Entry, Id};
use crate::audit::key::Key;
use crate::audit::message_hasher::Asides;
use crate::audit::open::{Open, Text};
use crate::audit::order::{Ranked, Sequence};
use crate::audit::sketch::SketchCell;
use crate::audit::snapshot_builder::Summary;
use crate::audit::spill::{Field, Record};
use crate::cli_error::CliError;
use crate::text::hex;
use anyhow::Context;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::{fs, vec};

/// A snapshot whose head and end were read and checked.
#[derive(Debug)]
pub struct Snapshot {
    /// What the builder said about the store.
    pub header: Header,
    /// The store as a whole.
    pub summary: Summary,
    /// What names this snapshot: 32 hexadecimal digits.
    pub id: String,
    pub(in crate::audit) key: Key,
    version: u16,
    path: PathBuf,
    sections: Vec<Section>,
    sealer: Sealer,
    /// Bytes of frames.
    end: u64,
}

/// Opens a snapshot.
///
/// Refuses what was cut short, was altered, was made with another key, or is of a newer version.
pub fn open(path: &Path, key: &Key) -> anyhow::Result<Snapshot> {
    let shown = path.display().to_string();
    let failed = |error: std::io::Error| {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => {
                format!("take one first: `chatctl audit snapshot -o {shown}`")
            }
            _ => "run chatctl as a user who may read it".to_owned(),
        };
        CliError::usage(format!("could not open the snapshot `{shown}`: {error}")).hint(hint)
    };
    // Opening a pipe would wait for somebody who writes into it.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(CliError::usage(format!("`{shown}` is not a file"))
            .hint("name a file that `chatctl audit snapshot -o FILE` wrote")
            .into());
    }
    let mut file = File::open(path).map_err(failed)?;
    let preamble = preamble(&mut file, &shown, key)?;
    let (end, offset, number) = trailer(&mut file, &shown)?;
    let whole = Section {
        kind: FOOTER,
        offset,
        first: number,
        frames: 1,
        records: 0,
    };
    let mut snapshot = Snapshot {
        header: Header::default(),
        summary: Summary::default(),
        id: String::new(),
        key: key.clone(),
        version: version(&preamble),
        path: path.to_owned(),
        sections: Vec::new(),
        sealer: Sealer::new(key, preamble),
        end,
    };
    let last = snapshot.frames(whole)?.next_frame()?;
    let last = last.filter(|last| offset + last.size() == end && last.kind == FOOTER);
    let last = last.ok_or_else(|| altered(&snapshot.path))?;
    if walk(&mut file, number)? != Some(offset) {
        return Err(altered(path).into());
    }
    let footer: Footer = serde_json::from_slice(&last.payload).map_err(|_| foreign(path))?;
    let head = Section {
        kind: HEADER,
        offset: PREAMBLE as u64,
        first: 0,
        ..whole
    };
    let head = snapshot.frames(head)?.next_frame()?;
    let head = head.ok_or_else(|| altered(path))?;
    let mut header: Header = serde_json::from_slice(&head.payload).map_err(|_| foreign(path))?;
    if snapshot.is_of_first_version() {
        let mapping = &mut header.mapping;
        mapping.first_version.clone_from(&mapping.digest);
        if mapping.sums.is_some() {
            return Err(CliError::refused(format!(
                "`{shown}` was taken with --quick by chatctl {}, whose sums left out young messages",
                header.tool
            ))
            .hint("take a new one")
            .into());
        }
    }
    snapshot.header = header;
    snapshot.summary = footer.summary;
    snapshot.sections = footer.sections;
    snapshot.id = hex(last.tag);
    Ok(snapshot)
}

/// The first bytes: of a snapshot, of a version that is known, and made with this key.
fn preamble(file: &mut File, shown: &str, key: &Key) -> anyhow::Result<[u8; PREAMBLE]> {
    let mut preamble = [0; PREAMBLE];
    if file.read_exact(&mut preamble).is_err() || preamble[..8] != MAGIC {
        return Err(
            CliError::usage(format!("`{shown}` is not a snapshot of chatctl"))
                .hint("chatctl audit snapshot -o FILE")
                .into(),
        );
    }
    let version = version(&preamble);
    if !(FIRST_VERSION..=VERSION).contains(&version) {
        return Err(CliError::refused(format!(
            "`{shown}` is a snapshot of version {version}, but this chatctl reads only up to version {VERSION}"
        ))
        .hint("use the version that took it, or a newer one")
        .into());
    }
    if preamble[10..18] != key.id_bytes() {
        return Err(CliError::refused(format!(
            "`{shown}` was taken with the key {}, but this is the key {}",
            hex(&preamble[10..18]),
            key.id()
        ))
        .hint(
            "copy ~/.config/chatctl/audit.key from the machine that took the snapshot, or give its key: --key file:PATH",
        )
        .into());
    }
    Ok(preamble)
}

fn version(preamble: &[u8; PREAMBLE]) -> u16 {
    u16::from_le_bytes([preamble[8], preamble[9]])
}

/// Where the frames end, and the offset and number of the last of them.
fn trailer(file: &mut File, shown: &str) -> anyhow::Result<(u64, u64, u64)> {
    let end = file.metadata()?.len().saturating_sub(TRAILER as u64);
    let mut trailer = [0; TRAILER];
    file.seek(SeekFrom::Start(end))?;
    if file.read_exact(&mut trailer).is_err() || trailer[16..] != END {
        return Err(
            CliError::refused(format!("the snapshot `{shown}` is incomplete"))
                .hint("take a new snapshot: this file proves nothing")
                .into(),
        );
    }
    let mut field = Field(&trailer);
    let offset = u64::from_le_bytes(field.take());
    let number = u64::from_le_bytes(field.take());
    Ok((end, offset, number))
}

/// Where so many frames end, one right after another from the preamble on; none when there is no
/// room for them. Only their heads are read: each is checked when its frame is.
fn walk(file: &mut File, frames: u64) -> anyhow::Result<Option<u64>> {
    let length = file.metadata()?.len();
    let mut at = PREAMBLE as u64;
    for _ in 0..frames {
        let mut head = [0; HEAD];
        file.seek(SeekFrom::Start(at))?;
        if at > length || file.read_exact(&mut head).is_err() {
            return Ok(None);
        }
        let mut size = Field(&head[HEAD - 4..]);
        at += (HEAD + TAG) as u64 + u64::from(u32::from_le_bytes(size.take()));
    }
    Ok(Some(at))
}

/// The tag fits, so a chatctl wrote it; but not one that writes what this one reads.
fn foreign(path: &Path) -> CliError {
    CliError::refused(format!(
        "the snapshot `{}` has a format that this version of chatctl cannot read",
        path.display()
    ))
    .hint("use the version that took it, or take a new snapshot")
}

fn altered(path: &Path) -> CliError {
    CliError::refused(format!("the snapshot `{}` was altered", path.display()))
        .hint("compare with an unaltered copy: this one proves nothing")
}

impl Snapshot {
    /// Refuses a mapping other than the one it was taken with.
    pub fn fits(&self, mapping: &Mapping) -> Result<(), CliError> {
        let (own, other) = (&self.header.mapping.sums, &mapping.sums);
        if own != other {
            let told = |sums: &Option<String>| match sums {
                Some(maker) => format!("sums that {maker} made"),
                None => "digests of messages".to_owned(),
            };
            return Err(CliError::refused(format!(
                "`{}` holds {}, which cannot be compared with {}",
                self.path.display(),
                told(own),
                told(other)
            ))
            .hint("take both snapshots with --quick on the same engine, or both without"));
        }
        let digest = if self.is_of_first_version() {
            &mapping.first_version
        } else {
            &mapping.digest
        };
        if self.header.mapping.digest != *digest {
            return Err(CliError::refused(format!(
                "`{}` was taken with another mapping: {} then, {} now",
                self.path.display(),
                self.header.mapping.name,
                mapping.name
            ))
            .hint("compare with the mapping of the snapshot, or take a new one"));
        }
        if self.header.mapping.declared.is_none() && !mapping.unlike_older.is_empty() {
            return Err(CliError::refused(format!(
                "`{}` was taken by an older chatctl, which read {}; it would now be compared with {}",
                self.path.display(),
                mapping.unlike_older.join(" and "),
                mapping.name
            ))
            .hint("declare in [[store]] what it read to compare with it, and take a new snapshot"));
        }
        let (own, other) = (&self.header.mapping.summed, &mapping.summed);
        if own.is_empty() || other.is_empty() || own == other {
            return Ok(());
        }
        Err(CliError::refused(format!(
            "`{}` holds sums of other columns: {}, and now they would be of {}",
            self.path.display(),
            own.join(", "),
            other.join(", ")
        ))
        .hint("take a new snapshot; without --quick it can be compared after columns came or went"))
    }

    /// Refuses a later snapshot whose digests are of what this one's are not.
    pub(in crate::audit) fn fits_asides(&self, later: &Self) -> Result<(), CliError> {
        let sides = [self, later];
        let has_more = |it: &&Self| match it.asides() {
            Asides::LeftOut => false,
            // The third version's digests are the same but for parts of other kinds.
            Asides::WithoutOthers | Asides::Counted
                if sides.iter().all(|it| it.asides() != Asides::LeftOut) =>
            {
                it.summary.others > 0
            }
            Asides::WithoutOthers | Asides::Counted => it.summary.asides > 0,
        };
        if self.asides() == later.asides() || !sides.iter().any(has_more) {
            return Ok(());
        }
        let (old, new) = if self.version < later.version {
            (self, later)
        } else {
            (later, self)
        };
        let counted = match old.asides() {
            Asides::LeftOut => "the attachments of messages",
            Asides::WithoutOthers | Asides::Counted => {
                "parts that are neither text nor attachments"
            }
        };
        Err(CliError::refused(format!(
            "`{}` counts {counted}, but `{}` was taken by an older version of chatctl, which did not",
            new.path.display(),
            old.path.display()
        ))
        .hint("compare the live store with each of them"))
    }

    /// Whether it holds every message.
    pub(in crate::audit) fn has_messages(&self) -> bool {
        self.section(ENTRIES).is_some()
    }

    /// The cells of its sketch; none when it has no sketch.
    pub(in crate::audit) fn cells(&self) -> anyhow::Result<Vec<SketchCell>> {
        self.stream(CELLS)?.collect()
    }

    /// How many cells its sketch has.
    pub(in crate::audit) fn cell_count(&self) -> Option<usize> {
        let section = self.section(CELLS)?;
        usize::try_from(section.records).ok()
    }

    /// Whether it is of the first version, which tells less.
    pub(in crate::audit) fn is_of_first_version(&self) -> bool {
        self.version == FIRST_VERSION
    }

    /// Whether it is of a version that keeps neither the order of messages nor what belongs to
    /// them besides text and tools.
    pub(in crate::audit) fn is_of_second_version(&self) -> bool {
        self.version <= SECOND_VERSION
    }

    /// What its digests are of besides texts and tools.
    pub(in crate::audit) fn asides(&self) -> Asides {
        match self.version {
            ..=SECOND_VERSION => Asides::LeftOut,
            THIRD_VERSION => Asides::WithoutOthers,
            _ => Asides::Counted,
        }
    }

    /// The rank of each message; none where single messages or their order are not kept.
    pub(in crate::audit) fn ranks(&self) -> anyhow::Result<Option<Stream<Ranked>>> {
        let ranks = self.section(RANKS).map(|_| self.stream(RANKS));
        ranks.transpose()
    }

    /// The sequence of each conversation; none where it is not kept, or the rank of each message is.
    pub(in crate::audit) fn sequences(&self) -> anyhow::Result<Option<Stream<Sequence>>> {
        let sequences = self.section(SEQUENCES).map(|_| self.stream(SEQUENCES));
        sequences.transpose()
    }

    /// What belongs to messages and conversations; none where it was not read.
    pub(in crate::audit) fn dependents(&self) -> anyhow::Result<Option<Stream<Belonging>>> {
        let dependents = self.section(DEPENDENTS).map(|_| self.stream(DEPENDENTS));
        dependents.transpose()
    }

    /// The places of the tables of which a later snapshot has other columns, or nothing.
    pub fn dependents_unlike(&self, later: &Self) -> Vec<u8> {
        let own = (0..).zip(&self.header.dependents);
        let unlike = own.filter(|(_, it)| !later.header.dependents.contains(it));
        unlike.map(|(index, _)| index).collect()
    }

    /// Whether what belongs to messages and conversations was read.
    pub fn has_dependents(&self) -> bool {
        self.section(DEPENDENTS).is_some()
    }

    /// The messages that were not settled.
    pub(in crate::audit) fn open(&self) -> anyhow::Result<Vec<Open>> {
        if !self.is_of_first_version() {
            return self.stream(OPEN)?.collect();
        }
        let entries = self.stream(OPEN_ENTRIES)?;
        let taken = self.summary.taken;
        entries
            .map(|entry| Ok(Open::of_first_version(entry?, taken)))
            .collect()
    }

    /// The messages that were not settled, with what their texts were.
    pub(in crate::audit) fn unsettled(&self) -> anyhow::Result<HashMap<(Id, Id), Option<Text>>> {
        let open = self.open()?.into_iter();
        Ok(open.map(|open| (open.entry.key(), open.text)).collect())
    }

    /// Of a snapshot of sums: up to which place in the append column they go, and its tail behind
    /// them.
    pub fn ends(&self) -> (i64, i64) {
        let mark = self.summary.high.unwrap_or(i64::MIN);
        (mark, self.summary.tail.unwrap_or(mark))
    }

    /// The messages, by conversation and message; none when it does not hold them.
    pub(in crate::audit) fn entries(&self) -> anyhow::Result<Stream<Entry>> {
        self.stream(ENTRIES)
    }

    /// The conversations, in the order of their ids.
    pub fn tallies(&self) -> anyhow::Result<Stream<ConversationDigest>> {
        self.stream(TALLIES)
    }

    /// Every identifier that it holds in clear, with its hash.
    pub(in crate::audit) fn each_name(&self, mut give: impl FnMut(Id, &str)) -> anyhow::Result<()> {
        let Some(section) = self.section(NAMES) else {
            return Ok(());
        };
        let mut frames = self.frames(section)?;
        while let Some(frame) = frames.next_frame()? {
            let bad = || altered(&self.path);
            let text = lz4_flex::block::decompress(&frame.payload, frame.count);
            let text = text.map_err(|_| bad())?;
            let mut rest = text.as_slice();
            while let Some((head, more)) = rest.split_first_chunk::<20>() {
                let mut head = Field(head);
                let id = Id(head.take());
                let length = u32::from_le_bytes(head.take()) as usize;
                let name = more.get(..length).ok_or_else(bad)?;
                give(id, &String::from_utf8_lossy(name));
                rest = &more[length..];
            }
        }
        Ok(())
    }

    fn section(&self, kind: u8) -> Option<Section> {
        self.sections
            .iter()
            .copied()
            .find(|section| section.kind == kind)
    }

    /// The records of a section, read and checked by a thread of their own.
    fn stream<R: Record>(&self, kind: u8) -> anyhow::Result<Stream<R>> {
        let (give, batches) = sync_channel(4);
        if let Some(section) = self.section(kind) {
            let mut frames = self.frames(section)?;
            let path = self.path.clone();
            std::thread::spawn(move || {
                while let Some(frame) = frames.next_frame().transpose() {
                    let batch = frame.and_then(|frame| {
                        let records = unpack(&frame.payload, frame.count);
                        Ok(records.ok_or_else(|| altered(&path))?)
                    });
                    let failed = batch.is_err();
                    // Nobody waits for the rest when the reader has seen enough.
                    if give.send(batch).is_err() || failed {
                        break;
                    }
                }
            });
        }
        Ok(Stream {
            batches,
            batch: Vec::new().into_iter(),
        })
    }

    fn frames(&self, section: Section) -> anyhow::Result<Frames> {
        let context = || format!("could not read the snapshot `{}`", self.path.display());
        let mut file = File::open(&self.path).with_context(context)?;
        file.seek(SeekFrom::Start(section.offset))
            .map_err(|_| altered(&self.path))?;
        Ok(Frames {
            file: BufReader::with_capacity(1 << 20, file),
            path: self.path.clone(),
            sealer: self.sealer.clone(),
            number: section.first,
            left: section.frames,
            kind: section.kind,
            most: self.end,
        })
    }
}

/// Frames of a section.
struct Frames {
    file: BufReader<File>,
    path: PathBuf,
    sealer: Sealer,
    number: u64,
    left: u64,
    kind: u8,
    /// No frame is larger.
    most: u64,
}

struct Frame {
    kind: u8,
    count: usize,
    payload: Vec<u8>,
    tag: [u8; TAG],
}

impl Frame {
    fn size(&self) -> u64 {
        (HEAD + self.payload.len() + TAG) as u64
    }
}

impl Frames {
    fn next_frame(&mut self) -> anyhow::Result<Option<Frame>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let bad = || altered(&self.path);
        let mut bytes = vec![0; HEAD];
        self.file.read_exact(&mut bytes).map_err(|_| bad())?;
        let mut head = Field(&bytes);
        let kind = u8::from_le_bytes(head.take());
        let count = u32::from_le_bytes(head.take()) as usize;
        let length = u32::from_le_bytes(head.take());
        if u64::from(length) > self.most {
            return Err(bad().into());
        }
        bytes.resize(HEAD + length as usize + TAG, 0);
        self.file
            .read_exact(&mut bytes[HEAD..])
            .map_err(|_| bad())?;
        let (frame, tag) = bytes.split_at(HEAD + length as usize);
        if !self.sealer.fits(self.number, frame, tag) || kind != self.kind {
            return Err(bad().into());
        }
        let tag = tag.try_into().expect("it has the length of a tag");
        bytes.truncate(HEAD + length as usize);
        bytes.drain(..HEAD);
        self.number += 1;
        Ok(Some(Frame {
            kind,
            count,
            payload: bytes,
            tag,
        }))
    }
}

/// Records of a section, in order.
#[derive(Debug)]
pub struct Stream<R> {
    batches: Receiver<anyhow::Result<Vec<R>>>,
    batch: vec::IntoIter<R>,
}

impl<R> Iterator for Stream<R> {
    type Item = anyhow::Result<R>;

    fn next(&mut self) -> Option<anyhow::Result<R>> {
        loop {
            if let Some(record) = self.batch.next() {
                return Some(Ok(record));
            }
            match self.batches.recv().ok()? {
                Ok(batch) => self.batch = batch.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
