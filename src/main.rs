//! The only owner of stdout, stderr and the exit code.

use chatctl::app;
use chatctl::cli::Cli;
use chatctl::reports::Streams;
use clap::Parser as _;
use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    let out: Streams<'_> = &|| Box::new(io::stdout());
    let err: Streams<'_> = &|| Box::new(io::stderr());
    match Cli::try_parse() {
        Ok(cli) => app::run(cli, out, err),
        Err(error) if error.use_stderr() => {
            let words = std::env::args_os().skip(1);
            let words: Vec<_> = words
                .map(|word| word.to_string_lossy().into_owned())
                .collect();
            app::misread(&error, &words, out, err)
        }
        // Help and the version.
        Err(shown) => match shown.print() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
    }
}
