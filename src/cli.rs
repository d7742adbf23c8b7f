//! The command line: types only, no logic.

use crate::commands::{
    audit, demo, explain, gate, inspect, migrate, replay, report, verify_stream,
};
use crate::gate::{alarm, holder};
use crate::http::supervisor;
use crate::outcome::EXIT_CODES;
use crate::render;
use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Check that a chat service never loses a message
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Over the options of every command in a command's help.
const GENERAL: &str = "General options";

/// What every command takes.
#[derive(Debug, clap::Args)]
pub struct Global {
    /// The store: sqlite:PATH, postgres://USER@HOST/NAME, mysql://USER@HOST/NAME [env: DATABASE_URL]
    #[arg(long, global = true, help_heading = GENERAL, value_name = "URL", hide_env_values = true)]
    pub database_url: Option<String>,

    /// Output format [default: human]
    #[arg(long, global = true, help_heading = GENERAL, value_parser = PossibleValuesParser::new(render::ALL.iter().map(|format| format.name)))]
    pub format: Option<String>,

    /// Also write a report of this run to a file, in this format; may be repeated
    #[arg(long, global = true, help_heading = GENERAL, value_name = "FORMAT=FILE")]
    pub report: Vec<String>,

    /// When to use colour on stdout
    #[arg(long, global = true, help_heading = GENERAL, value_enum, default_value_t = Color::Auto)]
    pub color: Color,

    /// Hide notes and progress on stderr
    #[arg(short, long, global = true, help_heading = GENERAL)]
    pub quiet: bool,

    /// Show all timelines, metrics and evidence
    #[arg(short, long, global = true, help_heading = GENERAL, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// Hide user-written text and anything that looks like a secret in all output
    #[arg(long, global = true, help_heading = GENERAL)]
    pub redact: bool,

    /// Do not use a pager ($CHATCTL_PAGER, $PAGER)
    #[arg(long, global = true, help_heading = GENERAL)]
    pub no_pager: bool,

    /// Configuration file [default: chatctl.toml in this or the nearest parent directory]
    #[arg(long, global = true, help_heading = GENERAL, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The sub-commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Prove that the answer is committed before the client can see the final marker
    VerifyStream(Box<verify_stream::Args>),

    /// Repeat a run of verify-stream or audit restart from its report
    Replay(replay::Args),

    /// Merge the reports of several machines
    Report(report::Args),

    /// Run the commit gate next to the server, for a verify-stream that runs elsewhere
    Gate(gate::Args),

    /// Apply migrations, and reject those that lose rows
    Migrate(Box<migrate::Args>),

    /// Inspect the store, read-only
    Inspect(inspect::Args),

    /// Check whether every stored conversation survived, and how many questions have an answer
    Audit(Box<audit::Args>),

    /// Verify two built-in chat servers, a correct one and a broken one
    Demo(demo::Args),

    /// Explain a finding: what it means, what causes it and how to fix it
    Explain(explain::Args),

    /// Show every setting and where its value came from
    Config,

    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// What chatctl starts of itself. It has a command line of its own, so that neither completions nor
/// suggestions name it to a user.
#[derive(Debug, Parser)]
#[command(name = "chatctl")]
pub enum Helper {
    /// Hold a gate for another chatctl process
    GateHolder(holder::Args),

    /// End another chatctl process that is stopped while it relays
    GateAlarm(alarm::Args),

    /// Run a server for another chatctl process
    Supervise(supervisor::Args),

    /// The chat server of the demo
    DemoServer(demo::ServerArgs),
}

#[cfg(test)]
mod tests {
    use super::{Cli, Helper};
    use clap::{CommandFactory as _, Parser as _};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        Helper::command().debug_assert();
    }

    #[test]
    fn a_number_that_is_none_is_quoted_with_its_option_and_a_fix() {
        let retries = "'--retries <N>': it takes a whole number from 0 on";
        let limit = "'--limit <N>': it takes a whole number from 0 on";
        for (line, wrong, fix) in [
            ("migrate --retries x", "'x'", retries),
            ("migrate --retries -1", "'-1'", retries),
            ("inspect conversations --limit -1", "'-1'", limit),
            ("inspect sql --limit 1.5 -", "'1.5'", limit),
            ("verify-stream --seed me", "'me'", "'--seed <N>': it takes"),
        ] {
            let words = line.split(' ');
            let error = Cli::try_parse_from(std::iter::once("chatctl").chain(words)).unwrap_err();
            let said = error.to_string();
            assert!(
                said.contains(&format!("invalid value {wrong} for {fix}")),
                "{said}"
            );
        }
        // It is a value, and the settings refuse it with their bounds.
        assert!(Cli::try_parse_from(["chatctl", "verify-stream", "--trials", "-1"]).is_ok());
    }

    #[test]
    fn the_examples_of_help_fit_a_narrow_terminal() {
        let mut commands = vec![Cli::command()];
        while let Some(command) = commands.pop() {
            let after = command.get_after_help().map(ToString::to_string);
            for line in after.iter().flat_map(|text| text.lines()) {
                // The table of exit codes is as wide as it is.
                let is_code = line.starts_with("  ") && !line.contains("chatctl");
                assert!(
                    is_code || line.len() <= 68,
                    "{}: {line}",
                    command.get_name()
                );
            }
            commands.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn no_helper_is_a_command_of_users() {
        let commands = Cli::command();
        for helper in Helper::command().get_subcommands() {
            assert!(commands.find_subcommand(helper.get_name()).is_none());
        }
    }
}
