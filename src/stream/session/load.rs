//! The one place where a session touches files and the environment.

use super::Session;
use super::parse::parse;
use super::reader::Outside;
use crate::input;
use crate::source_error::{SourceError, utf8};
use std::path::Path;

/// Reads a session file with its cassettes and secrets.
///
/// `profiles` are the names that `profile` may have; any when empty.
pub fn load(path: &Path, profiles: &[&str]) -> Result<Session, SourceError> {
    let file = path.display().to_string();
    let bytes = input::read(path).map_err(|error| {
        SourceError::whole_file(&file, format!("the session cannot be read: {error}"))
            .help("give the path of a session file; docs/sessions.md shows how to write one")
    })?;
    let text = utf8(&file, &bytes)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let outside = Outside {
        profiles,
        read: &|name| input::read(&folder.join(name)).map_err(|error| error.to_string()),
        env: &|name| std::env::var(name).ok(),
    };
    parse(&file, text, &outside)
}
