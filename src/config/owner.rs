//! Which users' configuration files are trusted.
//!
//! A file that is found upwards runs commands and writes conditions of queries. Where several people write,
//! such as in `/tmp`, it may be anybody's; Git asks the same of a repository (`safe.directory`).

use crate::cli_error::CliError;
use std::path::Path;

/// Refuses a file that belongs to somebody else than this user, root, or whoever called `sudo`.
pub(super) fn trusted(path: &Path, owners: [u32; 2]) -> Result<(), CliError> {
    let caller = std::env::var("SUDO_UID")
        .ok()
        .and_then(|id| id.parse().ok());
    let own = nix::unistd::geteuid().as_raw();
    match owners
        .iter()
        .find(|owner| !is_trusted(**owner, own, caller))
    {
        None => Ok(()),
        Some(other) => Err(CliError::refused(format!(
            "`{}` belongs to another user ({other}), and its commands would run as you",
            path.display()
        ))
        .hint(format!(
            "read it first; to use it: --config {0}; to ignore it: --config /dev/null",
            shlex::try_quote(&path.to_string_lossy()).unwrap_or_default()
        ))),
    }
}

fn is_trusted(owner: u32, own: u32, caller: Option<u32>) -> bool {
    // Root can do everything anyway. Only root can be called by `sudo`.
    owner == own || owner == 0 || own == 0 && caller == Some(owner)
}

#[cfg(test)]
mod tests {
    use super::is_trusted;

    #[test]
    fn a_stranger_is_not_trusted() {
        for (owner, own, caller, trusted) in [
            (1000, 1000, None, true),
            (0, 1000, None, true),
            (1001, 1000, None, false),
            (1001, 1000, Some(1001), false),
            (1000, 0, None, false),
            (1000, 0, Some(1000), true),
            (1001, 0, Some(1000), false),
        ] {
            assert_eq!(
                is_trusted(owner, own, caller),
                trusted,
                "{owner} {own} {caller:?}"
            );
        }
    }
}
