//! The secret that the digests are made with. Who has a snapshot but not its key learns counts and
//! times; who has the key can also try whether a text that he guesses is there.

use crate::cli_error::CliError;
use crate::input;
use crate::text::hex;
use siphasher::sip128::SipHasher24;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

/// 32 secret bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 32]);

/// A secret is not shown, not even by accident.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id())
    }
}

impl Key {
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key of `--key env:NAME` or `--key file:PATH`; without it that of the user's
    /// configuration folder, which is made on first use.
    ///
    /// Fails when there is none, when it is not 64 hexadecimal digits, or when others may read it.
    pub fn find(given: Option<&str>) -> Result<Self, CliError> {
        let Some(given) = given else {
            return default_path().and_then(|path| {
                if path.exists() {
                    read(&path)
                } else {
                    create(&path)
                }
            });
        };
        if let Some(name) = given.strip_prefix("env:") {
            let text = std::env::var(name).map_err(|_| {
                CliError::usage(format!(
                    "the environment variable `{name}` of `--key` is not set"
                ))
                .hint(format!("set it to 64 hexadecimal digits: export {name}=…; `openssl rand -hex 32` makes them"))
            })?;
            return parse(&text, &format!("the environment variable `{name}`"));
        }
        match given.strip_prefix("file:") {
            Some(path) => read(Path::new(path)),
            None => Err(
                CliError::usage("`--key` is neither `env:NAME` nor `file:PATH`").hint(
                    "everyone on this machine can see a key on the command line: use env:NAME",
                ),
            ),
        }
    }

    /// What names the key without telling it: 16 hexadecimal digits.
    pub fn id(&self) -> String {
        hex(self.id_bytes())
    }

    /// The same, as 8 bytes.
    pub(super) fn id_bytes(&self) -> [u8; 8] {
        let id = blake3::derive_key("chatctl audit 1 key id", &self.0);
        let (parts, _) = id.as_chunks::<8>();
        parts[0]
    }

    /// A key for one purpose, so that a digest for one can't stand in for another.
    pub(super) fn derive(&self, purpose: &str) -> Secret {
        Secret(blake3::derive_key(purpose, &self.0))
    }
}

/// A key for one purpose.
#[derive(Clone)]
pub(super) struct Secret([u8; 32]);

impl Secret {
    /// The digest of some bytes.
    pub(super) fn digest(&self, bytes: &[u8]) -> [u8; 32] {
        *blake3::keyed_hash(&self.0, bytes).as_bytes()
    }

    /// A shorter and faster digest, where an identifier is to be hidden and not a content: SipHash
    /// with a key and a result of 128 bits.
    pub(super) fn hide(&self, bytes: &[u8]) -> [u8; 16] {
        let (key, _) = self.0.as_chunks::<16>();
        SipHasher24::new_with_key(&key[0]).hash(bytes).as_bytes()
    }

    /// Digests bytes in several pieces.
    pub(super) fn hasher(&self) -> blake3::Hasher {
        blake3::Hasher::new_keyed(&self.0)
    }
}

/// A secret is not shown, not even by accident.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

fn default_path() -> Result<PathBuf, CliError> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let config = set("XDG_CONFIG_HOME").map(PathBuf::from);
    config
        .or_else(|| set("HOME").map(|home| Path::new(&home).join(".config")))
        .map(|folder| folder.join("chatctl/audit.key"))
        .ok_or_else(|| {
            CliError::usage(
                "there is no folder for the key: neither `XDG_CONFIG_HOME` nor `HOME` is set",
            )
            .hint("give one with --key env:NAME or --key file:PATH")
        })
}

fn read(path: &Path) -> Result<Key, CliError> {
    let shown = path.display();
    let failed = |error| {
        CliError::usage(format!("could not read the key `{shown}`: {error}"))
            .hint("give the key that the snapshots were taken with: --key file:PATH")
    };
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(CliError::refused(format!(
            "the key `{shown}` can be read by others (mode {:o})",
            mode & 0o777
        ))
        .hint(format!("chmod 600 {shown}")));
    }
    let text = input::text(path).map_err(failed)?;
    parse(&text, &format!("the file `{shown}`"))
}

fn create(path: &Path) -> Result<Key, CliError> {
    let failed = |error| {
        CliError::usage(format!(
            "could not create the key `{}`: {error}",
            path.display()
        ))
        .hint("give one with --key env:NAME or --key file:PATH")
    };
    let mut bytes = [0; 32];
    fill(&mut bytes).map_err(failed)?;
    let folder = path.parent().expect("the file is in a folder");
    fs::create_dir_all(folder).map_err(failed)?;
    // Of two first runs at the same time one makes it; the other one then reads it.
    let mut file = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(0o600))
        .tempfile_in(folder)
        .map_err(failed)?;
    writeln!(file, "{}", hex(bytes)).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(Key(bytes)),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => read(path),
        Err(error) => Err(failed(error.error)),
    }
}

/// Random bytes from the kernel.
pub(super) fn fill(bytes: &mut [u8]) -> std::io::Result<()> {
    fs::File::open("/dev/urandom")?.read_exact(bytes)
}

fn parse(text: &str, place: &str) -> Result<Key, CliError> {
    let text = text.trim();
    let digits = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !digits {
        return Err(CliError::usage(format!(
            "{place} holds no key: a key has 64 hexadecimal digits"
        ))
        .hint("openssl rand -hex 32"));
    }
    let byte = |at: usize| u8::from_str_radix(&text[2 * at..][..2], 16).expect("they are digits");
    Ok(Key(std::array::from_fn(byte)))
}

#[cfg(test)]
mod tests {
    use super::{Key, create, read};
    use crate::cli_error::Kind;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_for_its_owner_only_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/audit.key");
        let made = create(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(read(&path).unwrap(), made);
        assert_eq!(create(&path).unwrap(), made, "it is not made twice");
        assert_ne!(create(&folder.path().join("other")).unwrap(), made);
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.key");
        create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let stop = read(&path).unwrap_err();
        assert_eq!(stop.kind, Kind::Refused);
        assert!(stop.hint.unwrap().starts_with("chmod 600 "));
    }

    #[test]
    fn what_is_no_key_is_reported_without_showing_it() {
        for given in ["hunter2", "env:CHATCTL_NO_SUCH_KEY", "file:/no/such/key"] {
            let stop = Key::find(Some(given)).unwrap_err();
            assert_eq!(stop.kind, Kind::Usage);
            assert!(!stop.message.contains("hunter2"));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.key");
        create(&path).unwrap();
        fs::write(&path, "abc").unwrap();
        assert!(read(&path).unwrap_err().message.contains("64 hexadecimal"));
        let shown = format!("{:?}", Key::new([7; 32]));
        assert!(shown.len() < 30 && !shown.contains("0707"), "{shown}");
    }
}
