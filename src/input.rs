//! Reads files that the user names.
//!
//! A pipe or a device may never end, and opening a pipe may never even begin: that would be a program that
//! hangs where an error is due.

use std::fs::{Metadata, OpenOptions};
use std::io;
use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// What stands for "no file" everywhere.
const NOTHING: &str = "/dev/null";

/// The bytes of a plain file; none of `/dev/null`.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    Ok(read_of(path)?.0)
}

/// The text of a plain file.
pub fn text(path: &Path) -> io::Result<String> {
    utf8(read(path)?)
}

/// The same, and what is known of the file that was read.
pub fn text_of(path: &Path) -> io::Result<(String, Metadata)> {
    let (bytes, about) = read_of(path)?;
    Ok((utf8(bytes)?, about))
}

fn utf8(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("its line {line} is not UTF-8 text"),
        )
    })
}

fn read_of(path: &Path) -> io::Result<(Vec<u8>, Metadata)> {
    // Without a writer it is there at once, and is found to be no file.
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(path)?;
    let about = file.metadata()?;
    let kind = about.file_type();
    let what = match kind {
        _ if about.is_file() => {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            return Ok((bytes, about));
        }
        _ if is_nothing(&about) => return Ok((Vec::new(), about)),
        _ if kind.is_dir() => "a folder",
        _ if kind.is_fifo() => "a pipe, which can't be read as a file",
        _ => "a device, which can't be read as a file",
    };
    Err(io::Error::other(format!("it is {what}")))
}

fn is_nothing(about: &Metadata) -> bool {
    about.file_type().is_char_device()
        && std::fs::metadata(NOTHING).is_ok_and(|nothing| nothing.rdev() == about.rdev())
}

#[cfg(test)]
mod tests {
    use super::{read, text};
    use std::path::Path;

    #[test]
    fn what_is_no_plain_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
        nix::unistd::mkfifo(&pipe, mode).unwrap();
        for path in [folder.path(), &pipe, Path::new("/dev/zero")] {
            assert!(read(path).is_err(), "{}", path.display());
        }
        assert_eq!(read(Path::new("/dev/null")).unwrap(), b"");
        let file = folder.path().join("file");
        std::fs::write(&file, [b'a', 0xff]).unwrap();
        assert_eq!(read(&file).unwrap(), [b'a', 0xff]);
        let error = text(&file).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
        std::fs::write(&file, b"a\nb\n\xff").unwrap();
        let said = text(&file).unwrap_err().to_string();
        assert_eq!(said, "its line 3 is not UTF-8 text");
    }
}
