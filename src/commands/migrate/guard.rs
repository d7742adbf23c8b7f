//! `chatctl migrate guard`: start-up code that destroys.

use crate::commands::Done;
use crate::guard;
use std::path::PathBuf;
use std::time::Instant;

pub(super) fn run(paths: &[PathBuf]) -> anyhow::Result<Done> {
    let began = Instant::now();
    let found = guard::inspect(paths)?;
    Ok(Done::Report(Box::new(found.into_report(began.elapsed()))))
}
