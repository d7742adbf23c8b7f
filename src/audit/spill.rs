//! Sorting more records than fit into memory: sorted runs in temporary files, merged at the end.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::{io, vec};

/// A record of fixed size. Numbers are little-endian.
pub(super) trait Record: Copy + Send + 'static {
    /// Its size in bytes.
    const SIZE: usize;
    /// How many bytes at its start are hashes, which no compression makes smaller.
    const HASHED: usize;

    /// Writes its bytes, [`Record::SIZE`] of them.
    fn put(&self, out: &mut [u8]);
    /// From [`Record::SIZE`] bytes.
    fn get(bytes: &[u8]) -> Self;
    /// The order of a sorted run.
    fn order(&self, other: &Self) -> Ordering;
    /// Takes in another of the same key; `false` when they stay two.
    fn absorb(&mut self, other: &Self) -> bool;
}

/// The rest of a record's bytes, taken field by field.
pub(super) struct Field<'a>(pub(super) &'a [u8]);

impl Field<'_> {
    /// The next bytes.
    pub(super) fn take<const N: usize>(&mut self) -> [u8; N] {
        let (taken, rest) = self
            .0
            .split_first_chunk()
            .expect("a record has all its fields");
        self.0 = rest;
        *taken
    }
}

/// The rest of the room for a record's bytes, filled field by field.
pub(super) struct Room<'a>(pub(super) &'a mut [u8]);

impl Room<'_> {
    pub(super) fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        let (next, rest) = std::mem::take(&mut self.0)
            .split_first_chunk_mut()
            .expect("a record has room for all its fields");
        *next = bytes;
        self.0 = rest;
    }
}

/// The greatest record, in bytes.
pub(super) const MOST: usize = 128;

/// Sorted runs in temporary files, which are gone with the process.
#[derive(Debug, Default)]
pub(super) struct Runs(Vec<File>);

impl Runs {
    /// Sorts the records and writes them into a run of their own.
    pub(super) fn spill<R: Record>(&mut self, records: &mut Vec<R>) -> io::Result<()> {
        records.sort_unstable_by(R::order);
        let mut out = BufWriter::with_capacity(BUFFER, tempfile::tempfile()?);
        let mut bytes = [0; MOST];
        let bytes = &mut bytes[..R::SIZE];
        for record in &*records {
            record.put(bytes);
            out.write_all(bytes)?;
        }
        let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        self.0.push(file);
        records.clear();
        Ok(())
    }

    /// All records in order: those of the runs and those still in memory.
    pub(super) fn merge<R: Record>(self, mut records: Vec<R>) -> io::Result<Merge<R>> {
        records.sort_unstable_by(R::order);
        let mut sources = vec![Source::Memory(records.into_iter())];
        let files = self.0.into_iter();
        sources.extend(files.map(|file| Source::Run(BufReader::with_capacity(BUFFER, file))));
        let mut heads = BinaryHeap::with_capacity(sources.len());
        for (source, records) in sources.iter_mut().enumerate() {
            heads.extend(records.next()?.map(|record| Head { record, source }));
        }
        Ok(Merge { sources, heads })
    }
}

const BUFFER: usize = 256 * 1024;

/// Collects records and sorts them, with no more than a number of them in memory.
#[derive(Debug)]
pub(super) struct Sorter<R> {
    records: Vec<R>,
    most: usize,
    runs: Runs,
}

impl<R: Record> Sorter<R> {
    /// Keeps at most so many bytes of records in memory.
    pub(super) fn new(memory: usize) -> Self {
        Self {
            records: Vec::new(),
            most: (memory / size_of::<R>()).max(1024),
            runs: Runs::default(),
        }
    }

    /// Takes a record.
    pub(super) fn push(&mut self, record: R) -> io::Result<()> {
        if self.records.len() == self.most {
            self.runs.spill(&mut self.records)?;
        }
        self.records.push(record);
        Ok(())
    }

    /// All records, in order.
    pub(super) fn finish(self) -> io::Result<Merge<R>> {
        self.runs.merge(self.records)
    }
}

/// Records of several sorted runs in one order; those of the same key are added up.
#[derive(Debug)]
pub(super) struct Merge<R> {
    sources: Vec<Source<R>>,
    heads: BinaryHeap<Head<R>>,
}

impl<R: Record> Merge<R> {
    fn pop(&mut self) -> io::Result<Option<R>> {
        let Some(mut head) = self.heads.peek_mut() else {
            return Ok(None);
        };
        let record = head.record;
        match self.sources[head.source].next()? {
            // The heap puts the new head into its place when the loan ends.
            Some(next) => head.record = next,
            None => {
                std::collections::binary_heap::PeekMut::pop(head);
            }
        }
        Ok(Some(record))
    }
}

impl<R: Record> Iterator for Merge<R> {
    type Item = io::Result<R>;

    fn next(&mut self) -> Option<io::Result<R>> {
        let mut record = match self.pop().transpose()? {
            Ok(record) => record,
            Err(error) => return Some(Err(error)),
        };
        while let Some(head) = self.heads.peek() {
            if !record.absorb(&head.record) {
                break;
            }
            if let Err(error) = self.pop() {
                return Some(Err(error));
            }
        }
        Some(Ok(record))
    }
}

#[derive(Debug)]
enum Source<R> {
    Memory(vec::IntoIter<R>),
    Run(BufReader<File>),
}

impl<R: Record> Source<R> {
    fn next(&mut self) -> io::Result<Option<R>> {
        match self {
            Self::Memory(records) => Ok(records.next()),
            Self::Run(file) => {
                let mut bytes = [0; MOST];
                let bytes = &mut bytes[..R::SIZE];
                match file.read_exact(bytes) {
                    Ok(()) => Ok(Some(R::get(bytes))),
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
                    Err(error) => Err(error),
                }
            }
        }
    }
}

#[derive(Debug)]
struct Head<R> {
    record: R,
    source: usize,
}

impl<R: Record> Ord for Head<R> {
    /// The heap gives its greatest first, and the least record is wanted.
    fn cmp(&self, other: &Self) -> Ordering {
        other
            .record
            .order(&self.record)
            .then(other.source.cmp(&self.source))
    }
}

impl<R: Record> PartialOrd for Head<R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<R: Record> PartialEq for Head<R> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<R: Record> Eq for Head<R> {}
