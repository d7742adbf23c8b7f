//! The only owner of stdout, stderr and the exit code.

use chatctl::app;
use chatctl::cli::{Cli, Helper};
use chatctl::reports::Streams;
use clap::{Parser as _, Subcommand as _};
use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    let out: Streams<'_> = &|| Box::new(io::stdout());
    let err: Streams<'_> = &|| Box::new(io::stderr());
    let words = std::env::args_os().skip(1);
    let words: Vec<_> = words
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let is_helper = words
        .first()
        .is_some_and(|word| Helper::has_subcommand(word));
    let done = if is_helper {
        Helper::try_parse().map(|helper| app::run_helper(helper, out, err))
    } else {
        Cli::try_parse().map(|cli| app::run(cli, out, err))
    };
    match done {
        Ok(code) => code,
        Err(error) if error.use_stderr() => app::misread(&error, &words, out, err),
        // Help and the version.
        Err(shown) => app::printed(shown.print(), out, err),
    }
}
