//! The destinations of a result other than the screen: a plain file, a pipe or a device.
//!
//! A plain file is written next to its place and then renamed, so that no half result is ever read, and
//! keeps its owner and mode. Anything else, such as a pipe or a device, is what somebody set up: it is
//! written into.

use crate::cli_error::CliError;
use crate::outlet::Outlet;
use crate::pager::Pager;
use crate::spool::Spool;
use crate::temporary;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::{
    FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::{fs, io};
use tempfile::NamedTempFile;

/// The name of stdout.
const STDOUT: &str = "-";

/// Where a result goes. One that is dropped leaves a plain file as it was.
pub struct Sink {
    place: Place,
    written: u64,
}

enum Place {
    /// A plain file, or none yet.
    File { part: NamedTempFile, path: PathBuf },
    /// What is not a plain file. A thread of its own writes, for its reader may stall.
    Stream(Outlet),
    /// stdout, after everything else that goes there.
    Stdout(Spool),
}

impl Sink {
    /// Makes ready to write to `path`; a file that is not there yet gets `mode`.
    ///
    /// # Errors
    /// When nothing can be written there.
    pub fn open(path: &Path, mode: u32) -> anyhow::Result<Self> {
        if path == Path::new(STDOUT) {
            return Ok(Self::of(Place::Stdout(Spool::default())));
        }
        let there = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Self::file(followed(path), None, mode);
            }
            there => there?,
        };
        if is(&there, io::stdout()) {
            return Ok(Self::of(Place::Stdout(Spool::default())));
        }
        if there.is_dir() {
            return Err(CliError::usage(format!("`{}` is a folder", path.display()))
                .hint("name a file in it")
                .into());
        }
        if there.is_file() && !is(&there, io::stderr()) {
            Self::file(fs::canonicalize(path)?, Some(&there), mode)
        } else {
            Self::stream(path, &there)
        }
    }

    /// The same for what goes somewhere while a report goes to stdout.
    ///
    /// # Errors
    /// When nothing can be written there, and when it is stdout.
    pub fn besides_stdout(path: &Path, mode: u32) -> anyhow::Result<Self> {
        let sink = Self::open(path, mode)?;
        match sink.place {
            Place::Stdout(_) => Err(CliError::usage(format!(
                "`{}` is stdout, where the report goes",
                path.display()
            ))
            .hint("name a file or a pipe")
            .into()),
            Place::File { .. } | Place::Stream(_) => Ok(sink),
        }
    }

    fn of(place: Place) -> Self {
        Self { place, written: 0 }
    }

    fn file(path: PathBuf, there: Option<&Metadata>, mode: u32) -> anyhow::Result<Self> {
        let folder = folder_of(&path);
        temporary::sweep(folder);
        let part = temporary::part(folder).map_err(|error| no_place(folder, error))?;
        if let Some(there) = there {
            // Only root may give a file away; with anybody else it belongs to who writes it.
            let _ = std::os::unix::fs::fchown(&part, Some(there.uid()), Some(there.gid()));
        }
        let mode = there.map_or(mode, |there| there.mode() & 0o7777);
        part.as_file()
            .set_permissions(Permissions::from_mode(mode))?;
        Ok(Self::of(Place::File { part, path }))
    }

    fn stream(path: &Path, there: &Metadata) -> anyhow::Result<Self> {
        // Opening a pipe that nobody reads would wait for a reader.
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_APPEND;
        let opened = OpenOptions::new()
            .write(true)
            .custom_flags(flags.bits())
            .open(path);
        let file = match opened {
            Err(error)
                if there.file_type().is_fifo()
                    && error.raw_os_error() == Some(nix::libc::ENXIO) =>
            {
                return Err(CliError::unreachable(format!(
                    "nobody reads the pipe `{}`",
                    path.display()
                ))
                .hint("start its reader first")
                .into());
            }
            opened => opened?,
        };
        fcntl(&file, FcntlArg::F_SETFL(OFlag::O_APPEND))?;
        let pager = Pager::new(Vec::new(), Box::new(file));
        Ok(Self::of(Place::Stream(Outlet::new(pager)?)))
    }

    /// How many bytes were written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Gives the file its name, or waits until everything is written; gives up when `stop` is over.
    ///
    /// # Errors
    /// When not all of it could be written.
    pub async fn finish(
        self,
        stdout: &mut dyn Write,
        stop: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        match self.place {
            Place::File { part, path } => {
                part.as_file().sync_all()?;
                part.persist(&path)?;
                // The name is on the disk when the folder is.
                File::open(folder_of(&path))?.sync_all()?;
            }
            Place::Stream(outlet) => {
                outlet.close();
                tokio::select! {
                    () = outlet.ended() => {}
                    () = stop => return Err(CliError::interrupted().into()),
                }
                outlet.failed()?;
            }
            Place::Stdout(mut spool) => {
                while !spool.is_empty() {
                    stdout.write_all(&spool.take()?)?;
                }
            }
        }
        Ok(())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = match &mut self.place {
            Place::File { part, .. } => part.write(bytes)?,
            Place::Stream(outlet) => outlet.write(bytes)?,
            Place::Stdout(spool) => {
                spool.push(bytes)?;
                bytes.len()
            }
        };
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.place {
            Place::File { part, .. } => part.flush(),
            Place::Stream(_) | Place::Stdout(_) => Ok(()),
        }
    }
}

/// Why nothing can be made in a folder: the name of the file that was tried there tells nobody anything.
fn no_place(folder: &Path, error: io::Error) -> anyhow::Error {
    let shown = folder.display();
    let stop = match error.kind() {
        io::ErrorKind::NotFound => {
            CliError::usage(format!("the folder `{shown}` does not exist")).hint("create it first")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            CliError::usage(format!("nothing can be written to the folder `{shown}`"))
                .hint("name a file in a folder that this user may write to")
        }
        _ => return error.into(),
    };
    stop.into()
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Where a link to a file that is not there yet leads.
fn followed(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    while let Ok(to) = fs::read_link(&path) {
        path = path.parent().unwrap_or(Path::new("")).join(to);
    }
    path
}

/// Whether it is what a stream of this process goes to.
fn is(there: &Metadata, stream: impl AsFd) -> bool {
    // A second descriptor of the stream, since only files have metadata.
    let stream = stream.as_fd().try_clone_to_owned().map(fs::File::from);
    stream
        .and_then(|stream| stream.metadata())
        .is_ok_and(|stream| (there.dev(), there.ino()) == (stream.dev(), stream.ino()))
}
