//! Where a server lives, and whose it is.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::fs;
use std::fs::File;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The names of the files of [`Place::certify`]: PostgreSQL's own.
pub const CERTIFICATE: &str = "server.crt";
pub const KEY: &str = "server.key";

/// Where a server lives.
pub struct Place {
    folder: tempfile::TempDir,
    owner: Option<(u32, u32)>,
}

impl Place {
    pub fn new(users: &[&str]) -> Self {
        let folder = tempfile::tempdir_in(roomy()).unwrap();
        // What root makes belongs to root.
        let root = folder.path().metadata().unwrap().uid() == 0;
        let owner = root.then(|| user(users));
        let place = Self { folder, owner };
        place.give(place.path());
        place
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    pub fn log(&self) -> PathBuf {
        self.path().join("log")
    }

    fn give(&self, path: &Path) {
        if let Some((uid, gid)) = self.owner {
            std::os::unix::fs::chown(path, Some(uid), Some(gid)).unwrap();
        }
    }

    /// Puts a certificate for 127.0.0.1 and its key into a folder, for the server's user alone.
    pub fn certify(&self, folder: &Path) {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        for (name, text) in [
            (CERTIFICATE, pem("CERTIFICATE", made.cert.der())),
            (KEY, pem("PRIVATE KEY", &made.signing_key.serialize_der())),
        ] {
            let path = folder.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            self.give(&path);
        }
    }

    /// A command of the server's user, in its folder: that user may be unable to look into the
    /// folder that the tests run in.
    pub fn command(&self, program: &Path) -> Command {
        let log = File::options().create(true).append(true).open(self.log());
        let log = log.unwrap();
        let mut command = Command::new(program);
        command.current_dir(self.path()).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        if let Some((uid, gid)) = self.owner {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Copies a folder into this place, file by file.
    pub fn copy(&self, from: &Path, to: &Path) {
        let about = from.metadata().unwrap();
        if about.is_dir() {
            fs::create_dir(to).unwrap();
            fs::set_permissions(to, about.permissions()).unwrap();
            for entry in fs::read_dir(from).unwrap() {
                let name = entry.unwrap().file_name();
                self.copy(&from.join(&name), &to.join(&name));
            }
        } else {
            fs::copy(from, to).unwrap();
        }
        self.give(to);
    }
}

fn pem(what: &str, bytes: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(bytes);
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {what}-----\n{}\n-----END {what}-----\n",
        lines.join("\n")
    )
}

/// In memory where there is room for it: a server syncs its files at every change of a schema.
fn roomy() -> PathBuf {
    const WANTED: u64 = 2 << 30;
    let memory = Path::new("/dev/shm");
    let free = nix::sys::statvfs::statvfs(memory).map(|about| {
        let (blocks, size) = (about.blocks_available(), about.fragment_size());
        blocks.saturating_mul(size)
    });
    match free {
        Ok(free) if free >= WANTED => memory.to_owned(),
        _ => std::env::temp_dir(),
    }
}

/// A program of an engine, by its first name that is found: on the path, or where Debian puts
/// servers and the newest PostgreSQL.
pub fn program(names: &[&str]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut versions: Vec<_> = versions.map(|entry| entry.unwrap().path()).collect();
    versions.sort_by_key(|path| {
        path.file_name()
            .and_then(|n| n.to_str()?.parse::<u32>().ok())
    });
    folders.extend(versions.iter().rev().map(|path| path.join("bin")));
    names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("no {}: run tests/run, which installs it", names[0]))
}

fn user(names: &[&str]) -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let ids = |name: &&str| {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    names
        .iter()
        .find_map(ids)
        .unwrap_or_else(|| panic!("no user of {names:?}"))
}
