//! One migration, as read from any format.

use super::{Acknowledgement, Version};
use crate::cli_error::CliError;
use sha2::{Digest, Sha384};
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The byte-order mark that some editors put before UTF-8 text.
pub(crate) const BOM: char = '\u{FEFF}';

/// A file of a folder: its name with `/` between folders, and its bytes.
#[derive(Debug, Clone)]
pub struct File {
    /// The name below the folder of migrations.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

impl File {
    /// The name without the folders before it.
    pub fn base(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }

    /// The text without a byte-order mark, and where it starts in the file.
    ///
    /// # Errors
    /// Stops with the offset of the first byte that is not UTF-8.
    pub fn text(&self) -> Result<(&str, usize), CliError> {
        let text = std::str::from_utf8(&self.bytes).map_err(|error| {
            let name = &self.name;
            CliError::usage(format!(
                "`{name}` is not UTF-8 from byte {} on",
                error.valid_up_to()
            ))
            .hint(format!(
                "save it as UTF-8: `iconv -f WINDOWS-1252 -t UTF-8 {name} > FILE`"
            ))
        })?;
        Ok(text
            .strip_prefix(BOM)
            .map_or((text, 0), |rest| (rest, BOM.len_utf8())))
    }
}

/// One step of the schema, read from a file of any format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    pub version: Version,
    /// What the name says, as the tool would record it.
    pub description: String,
    /// The file it was read from.
    pub path: PathBuf,
    /// The text that is executed: a stretch of the file, in which what is not executed is blank.
    pub up: String,
    /// Where `up` starts in the file, in bytes; offset in `up` + this = offset in the file.
    pub up_at: usize,
    /// The statements as the format itself divides them, as byte ranges of `up`; none when it does not.
    pub split: Option<Vec<Range<usize>>>,
    /// The text that undoes it.
    pub down: Option<String>,
    /// SHA-384 of `raw` (48 bytes), as sqlx 0.9 computes it (`sqlx-core` `migrate/migration.rs`).
    pub checksum: Vec<u8>,
    /// It asks to run outside a transaction.
    pub no_transaction: bool,
    /// It may run after newer ones without being out of order (refinery's `U` files, revisions of a tree).
    pub any_order: bool,
    /// The revisions that it follows; only formats whose versions are names have them.
    pub after: Vec<String>,
    /// Losses that are acknowledged next to it; those in its own text are not among them.
    pub acknowledged: Vec<Acknowledgement>,
    /// What its tool's history calls it, where that is neither the version nor the name of its file.
    pub recorded_as: Option<String>,
    /// The bytes that the checksum is made of: the file, or the part of it that is this migration.
    pub raw: Vec<u8>,
    /// Where chatctl reads the file differently from its tool, in whole sentences.
    pub notes: Vec<String>,
    /// Why chatctl cannot run it; it is listed, and a plan that needs it is refused.
    pub unsupported: Option<Unsupported>,
}

/// Why chatctl cannot run a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// The reason, with "it" for the migration.
    pub why: String,
    /// What to do, where another way is better than to run it with its own tool.
    pub instead: Option<String>,
}

impl Unsupported {
    /// Its own tool can run it.
    pub fn new(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            instead: None,
        }
    }
}

impl Migration {
    /// A migration that is a whole file; formats change what differs.
    ///
    /// # Errors
    /// Stops when the file is not UTF-8.
    pub fn whole(version: Version, description: String, file: &File) -> Result<Self, CliError> {
        let (text, up_at) = file.text()?;
        Ok(Self {
            version,
            description,
            path: PathBuf::from(&file.name),
            up: text.to_owned(),
            up_at,
            split: None,
            down: None,
            checksum: checksum(&file.bytes),
            no_transaction: false,
            any_order: false,
            after: Vec::new(),
            acknowledged: Vec::new(),
            recorded_as: None,
            raw: file.bytes.clone(),
            notes: Vec::new(),
            unsupported: None,
        })
    }

    /// The file `1_a.sql` with this text.
    #[cfg(test)]
    pub(crate) fn of_text(text: &str) -> Self {
        let file = File {
            name: "1_a.sql".to_owned(),
            bytes: text.as_bytes().to_vec(),
        };
        Self::whole(Version::number(1), String::new(), &file).expect("the text is UTF-8")
    }

    /// The file's name without its folder, for messages; where every migration has a folder of its own,
    /// the file's name alone says nothing, so the folder's comes first.
    pub fn file_name(&self) -> String {
        let base = name_of(&self.path);
        match self
            .path
            .parent()
            .filter(|it| !it.as_os_str().is_empty() && IN_FOLDERS.contains(&base.as_str()))
        {
            Some(folder) => format!("{}/{base}", name_of(folder)),
            None => base,
        }
    }

    /// The name by which a person knows it: that of its file, or of its folder, without the ending.
    pub fn stem(&self) -> String {
        let name = self.file_name();
        let name = name
            .split_once('/')
            .map_or(name.as_str(), |(folder, _)| folder);
        name.strip_suffix(".sql").unwrap_or(name).to_owned()
    }
}

/// What files are called of which each has a folder of its own.
const IN_FOLDERS: [&str; 2] = ["migration.sql", "up.sql"];

fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(
        || path.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// SHA-384 of the bytes (48 bytes), the checksum in `_sqlx_migrations`.
pub fn checksum(bytes: &[u8]) -> Vec<u8> {
    Sha384::digest(bytes).to_vec()
}

/// SHA-384 of the text without some characters, as sqlx hashes with `ignored-chars`.
pub fn checksum_ignoring(text: &str, ignored: &BTreeSet<char>) -> Vec<u8> {
    let mut digest = Sha384::new();
    for piece in text.split(|c| ignored.contains(&c)) {
        digest.update(piece);
    }
    digest.finalize().to_vec()
}

/// The text with everything in `range` blank; line ends stay, so lines and offsets stay too.
pub(crate) fn blank(text: &str, range: Range<usize>) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for byte in &mut bytes[range] {
        if *byte != b'\n' && *byte != b'\r' {
            *byte = b' ';
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether there is only white space and `--` comments.
pub(crate) fn says_nothing(text: &str) -> bool {
    text.lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with("--"))
}

#[cfg(test)]
mod tests {
    use super::{File, blank, checksum, checksum_ignoring};

    #[test]
    fn not_utf8_names_the_byte() {
        let file = File {
            name: "1_a.sql".to_owned(),
            bytes: b"-- caf\xe9".to_vec(),
        };
        let stop = file.text().unwrap_err();
        assert_eq!(stop.message, "`1_a.sql` is not UTF-8 from byte 6 on");
    }

    #[test]
    fn blanking_keeps_every_offset() {
        assert_eq!(blank("ab\r\ncd\ne", 1..6), "a \r\n  \ne");
    }

    #[test]
    fn ignoring_hashes_what_is_left() {
        let ignored = ['\r', '\u{FEFF}'].into();
        assert_eq!(
            checksum_ignoring("\u{FEFF}a\r\nb", &ignored),
            checksum(b"a\nb")
        );
    }

    /// The empty text's SHA-384, as published in FIPS 180 test vectors.
    #[test]
    fn the_checksum_is_sha_384() {
        let hex = crate::text::hex(checksum(b""));
        assert!(hex.starts_with("38b060a751ac96384cd9327eb1b1e36a21fdb71114be0743"));
        assert_eq!(hex.len(), 96);
    }
}
