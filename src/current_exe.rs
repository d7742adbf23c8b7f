//! The path of this program, to start it as a helper.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::{env, io};

/// What Linux calls the program of a process, wherever its file is.
const OWN: &str = "/proc/self/exe";

static GIVEN: OnceLock<PathBuf> = OnceLock::new();

/// Says where chatctl is, for a program that only uses its library. The first call counts.
pub fn is_at(program: PathBuf) {
    let _ = GIVEN.set(program);
}

/// Where to run it from. An upgrade, or a build, may have put another file in the place of the one
/// that runs; then it is still there under the kernel's name.
///
/// # Errors
/// When the system does not tell.
pub fn program() -> io::Result<PathBuf> {
    if let Some(given) = GIVEN.get() {
        return Ok(given.clone());
    }
    let named = env::current_exe()?;
    if named.exists() {
        Ok(named)
    } else {
        Ok(PathBuf::from(OWN))
    }
}
