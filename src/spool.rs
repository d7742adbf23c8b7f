//! Bytes on their way to a reader who may be slow: in memory first, then in a file of this process alone.

use crate::temporary;
use std::collections::VecDeque;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};

/// How much waits in memory.
const MEMORY: usize = 4 << 20;
/// How much of it is handed out at a time.
const PIECE: usize = 128 << 10;
/// How much waits at most before whoever writes should pause.
const MOST: u64 = 1 << 30;

/// A queue of bytes.
#[derive(Default)]
pub struct Spool {
    memory: VecDeque<u8>,
    file: Option<Overflow>,
}

/// What did not fit into memory: the bytes of the file from `read` to `write`.
struct Overflow {
    file: File,
    read: u64,
    write: u64,
    /// How many bytes it may hold.
    room: u64,
}

impl Spool {
    /// Adds bytes at the end. Fails only when there is no room for them anywhere.
    pub fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        let in_file = self.file.as_ref().is_some_and(Overflow::is_used);
        if !in_file && self.memory.len() + bytes.len() <= MEMORY {
            self.memory.extend(bytes);
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(Overflow::new()?),
        };
        file.file.write_all_at(bytes, file.write)?;
        file.write += bytes.len() as u64;
        Ok(())
    }

    /// Takes some bytes from the beginning; none when there are none.
    pub fn take(&mut self) -> io::Result<Vec<u8>> {
        if !self.memory.is_empty() {
            let count = self.memory.len().min(PIECE);
            return Ok(self.memory.drain(..count).collect());
        }
        match self.file.as_mut().filter(|file| file.is_used()) {
            Some(file) => file.take(),
            None => Ok(Vec::new()),
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.memory.is_empty() && !self.file.as_ref().is_some_and(Overflow::is_used)
    }

    /// Whether more may be added before something is taken.
    pub fn has_room(&self) -> bool {
        self.file.as_ref().is_none_or(|file| file.write < file.room)
    }
}

impl Overflow {
    /// A file without a name that only this user could have opened: it is gone with the process.
    fn new() -> io::Result<Self> {
        let file = tempfile::tempfile()?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        let about = nix::sys::statvfs::fstatvfs(&file)?;
        let free = temporary::free_bytes(&about);
        Ok(Self {
            file,
            read: 0,
            write: 0,
            room: MOST.min(free / 2),
        })
    }

    fn is_used(&self) -> bool {
        self.read < self.write
    }

    fn take(&mut self) -> io::Result<Vec<u8>> {
        let count = (self.write - self.read).min(PIECE as u64) as usize;
        let mut bytes = vec![0; count];
        self.file.read_exact_at(&mut bytes, self.read)?;
        self.read += count as u64;
        if !self.is_used() {
            self.file.set_len(0)?;
            (self.read, self.write) = (0, 0);
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::{MEMORY, Spool};

    #[test]
    fn bytes_come_out_in_the_order_in_which_they_went_in() {
        let mut spool = Spool::default();
        let mut random = fastrand::Rng::with_seed(7);
        let (mut written, mut read) = (0_u64, 0_u64);
        // Numbers of eight bytes, more than fit into memory, taken out in between.
        for round in 0..600 {
            let count = random.u64(0..5000);
            let bytes: Vec<u8> = (written..written + count)
                .flat_map(u64::to_le_bytes)
                .collect();
            spool.push(&bytes).unwrap();
            written += count;
            if round % 20 == 0 || round > 590 {
                read += check(&spool.take().unwrap(), read);
            }
        }
        assert!(spool.file.as_ref().unwrap().write > MEMORY as u64);
        while !spool.is_empty() {
            read += check(&spool.take().unwrap(), read);
        }
        assert_eq!(read, written);
        assert_eq!(
            spool.file.as_ref().unwrap().file.metadata().unwrap().len(),
            0
        );
        assert!(spool.take().unwrap().is_empty());
    }

    fn check(bytes: &[u8], from: u64) -> u64 {
        let (numbers, rest) = bytes.as_chunks::<8>();
        assert!(rest.is_empty());
        for (number, expected) in numbers.iter().zip(from..) {
            assert_eq!(u64::from_le_bytes(*number), expected);
        }
        numbers.len() as u64
    }

    #[test]
    fn the_file_has_no_name_and_only_its_user_may_open_it() {
        use std::os::unix::fs::MetadataExt as _;
        let mut spool = Spool::default();
        spool.push(&vec![0; MEMORY + 1]).unwrap();
        let about = spool.file.as_ref().unwrap().file.metadata().unwrap();
        assert_eq!((about.nlink(), about.mode() & 0o777), (0, 0o600));
        assert!(spool.has_room());
        spool.file.as_mut().unwrap().room = 0;
        assert!(!spool.has_room());
    }
}
