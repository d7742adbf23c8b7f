//! This program, to be run once more as a helper.

use std::env;
use std::io;
use std::path::PathBuf;

/// What Linux calls the program of a process, wherever its file is.
const OWN: &str = "/proc/self/exe";

/// Where to run it from. An upgrade, or a build, may have put another file in the place of the one
/// that runs; then it is still there under the kernel's name.
///
/// # Errors
/// When the system does not tell.
pub fn program() -> io::Result<PathBuf> {
    let named = env::current_exe()?;
    match named.exists() {
        true => Ok(named),
        false => Ok(PathBuf::from(OWN)),
    }
}
