//! The only owner of stdout, stderr and the exit code.

use clap::Parser as _;
use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = chatctl::cli::Cli::parse();
    chatctl::app::run(cli, || Box::new(io::stdout()), || Box::new(io::stderr()))
}
