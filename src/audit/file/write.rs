//! Writing a snapshot.

use super::frame::{
    CELLS, DEPENDENTS, END, ENTRIES, FOOTER, HEAD, HEADER, MAGIC, NAMES, OPEN, PREAMBLE, RANKS,
    SEQUENCES, Sealer, TAG, TALLIES, VERSION, pack,
};
use super::{Footer, Header, Section};
use crate::audit::conversation_digest::ConversationDigest;
use crate::audit::key::{Key, fill};
use crate::audit::order::Orders;
use crate::audit::snapshot_builder::{DetailData, Parts};
use crate::audit::spill::Record;
use crate::text::hex;
use std::fs::File;
use std::io;
use std::io::{BufReader, BufWriter, Read, Seek, Write};

/// Records in a frame.
const BATCH: usize = 4096;
/// Bytes of names in a frame.
const TEXT: usize = 256 * 1024;

/// Writes a snapshot and gives its id.
pub fn write(out: &mut dyn Write, header: &Header, parts: Parts, key: &Key) -> io::Result<String> {
    let mut preamble = [0; PREAMBLE];
    preamble[..8].copy_from_slice(&MAGIC);
    preamble[8..10].copy_from_slice(&VERSION.to_le_bytes());
    preamble[10..18].copy_from_slice(&key.id_bytes());
    fill(&mut preamble[18..])?;
    let mut frames = Frames {
        out: BufWriter::with_capacity(TEXT, out),
        offset: PREAMBLE as u64,
        number: 0,
        sealer: Sealer::new(key, preamble),
        sections: Vec::new(),
    };
    frames.out.write_all(&preamble)?;
    frames.frame(HEADER, 0, &serde_json::to_vec(header)?)?;
    frames.records(OPEN, parts.extras.open.into_iter().map(Ok))?;
    let tallies = parts
        .tallies
        .map(|tally| tally.map(ConversationDigest::sealed));
    frames.records(TALLIES, tallies)?;
    if let Some(names) = parts.names {
        frames.names(names)?;
    }
    match parts.detail {
        DetailData::Messages(entries) => frames.records(ENTRIES, entries)?,
        DetailData::Sketch(sketch) => frames.records(CELLS, sketch.cells().map(Ok))?,
        DetailData::Conversations => {}
    }
    match parts.orders {
        Orders::None => {}
        Orders::Ranks(ranks) => frames.records(RANKS, ranks)?,
        Orders::Sequences(sequences) => frames.records(SEQUENCES, sequences)?,
        Orders::Sums(sums) => frames.records(SEQUENCES, sums)?,
    }
    if let Some(dependents) = parts.dependents {
        frames.records(DEPENDENTS, dependents)?;
    }
    let footer = Footer {
        summary: parts.summary,
        sections: std::mem::take(&mut frames.sections),
    };
    let (offset, number) = (frames.offset, frames.number);
    let tag = frames.frame(FOOTER, 0, &serde_json::to_vec(&footer)?)?;
    frames.out.write_all(&offset.to_le_bytes())?;
    frames.out.write_all(&number.to_le_bytes())?;
    frames.out.write_all(&END)?;
    frames.out.flush()?;
    Ok(hex(tag))
}

struct Frames<'a> {
    out: BufWriter<&'a mut dyn Write>,
    offset: u64,
    number: u64,
    sealer: Sealer,
    sections: Vec<Section>,
}

impl Frames<'_> {
    fn frame(&mut self, kind: u8, count: usize, payload: &[u8]) -> io::Result<[u8; TAG]> {
        let size = |number: usize| u32::try_from(number).map_err(|_| io::ErrorKind::FileTooLarge);
        let mut frame = Vec::with_capacity(HEAD + payload.len());
        frame.push(kind);
        frame.extend_from_slice(&size(count)?.to_le_bytes());
        frame.extend_from_slice(&size(payload.len())?.to_le_bytes());
        frame.extend_from_slice(payload);
        let tag = self.sealer.tag(self.number, &frame);
        self.out.write_all(&frame)?;
        self.out.write_all(&tag)?;
        self.number += 1;
        self.offset += (frame.len() + TAG) as u64;
        Ok(tag)
    }

    fn records<R: Record>(
        &mut self,
        kind: u8,
        mut records: impl Iterator<Item = io::Result<R>>,
    ) -> io::Result<()> {
        let mut section = self.section(kind);
        let mut batch = Vec::with_capacity(BATCH);
        let mut payload = Vec::new();
        loop {
            batch.clear();
            for record in records.by_ref().take(BATCH) {
                batch.push(record?);
            }
            if batch.is_empty() {
                self.sections.push(section);
                return Ok(());
            }
            payload.clear();
            pack(&batch, &mut payload);
            self.frame(kind, batch.len(), &payload)?;
            section.frames += 1;
            section.records += batch.len() as u64;
        }
    }

    /// Frames of whole names.
    fn names(&mut self, mut file: File) -> io::Result<()> {
        file.rewind()?;
        let mut names = BufReader::with_capacity(TEXT, file);
        let mut section = self.section(NAMES);
        let mut text = Vec::new();
        loop {
            let mut head = [0; 20];
            let more = match names.read_exact(&mut head) {
                Ok(()) => true,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
                Err(error) => return Err(error),
            };
            if more {
                let length = head[16..].try_into().expect("four bytes");
                text.extend_from_slice(&head);
                let length = u64::from(u32::from_le_bytes(length));
                names.by_ref().take(length).read_to_end(&mut text)?;
                section.records += 1;
            }
            if text.len() >= TEXT || !more && !text.is_empty() {
                self.frame(NAMES, text.len(), &lz4_flex::block::compress(&text))?;
                section.frames += 1;
                text.clear();
            }
            if !more {
                self.sections.push(section);
                return Ok(());
            }
        }
    }

    fn section(&self, kind: u8) -> Section {
        Section {
            kind,
            offset: self.offset,
            first: self.number,
            frames: 0,
            records: 0,
        }
    }
}
