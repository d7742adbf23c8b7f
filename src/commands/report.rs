//! `chatctl report`: works on reports that earlier runs wrote.

use super::{Done, replay};
use crate::cli_error::CliError;
use crate::report;
use std::path::PathBuf;

/// Merge the reports of several machines
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Join the reports of several machines: one verdict, one exit code
    ///
    /// If a case is in several reports, its worst verdict counts. If a shard is missing, the result is
    /// undecided.
    Merge {
        /// Reports of --format json
        #[arg(value_name = "REPORT", required = true)]
        reports: Vec<PathBuf>,
    },
}

/// Runs it.
pub fn run(args: &Args) -> anyhow::Result<Done> {
    let What::Merge { reports } = &args.what;
    let reports = reports.iter().map(|path| replay::load(path));
    let whole = report::merge(reports.collect::<Result<_, _>>()?).map_err(|why| {
        CliError::usage(why).hint("give the reports of one run: chatctl report merge shard-*.json")
    })?;
    Ok(Done::Report(Box::new(whole)))
}
