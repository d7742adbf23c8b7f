//! `chatctl gate`: the proxy gate as a separate process.

use super::{Done, Env};
use crate::cli_error::CliError;
use crate::db;
use crate::db::Target;
use crate::gate::{Control, ControlAddress, Listen, Proxy};
use std::time::Duration;

/// Where it listens unless that is said.
const LISTEN: &str = "127.0.0.1:9192";
/// Where it is controlled unless that is said.
const CONTROL: &str = "chatctl-gate.sock";
/// The longest hold unless that is said.
const MAX_HOLD: &str = "10s";

/// Run the commit gate next to the server, for a verify-stream that runs elsewhere
///
/// For servers in containers, and for a second process that saves (docs/processes.md). Let the server
/// connect here instead of to its database, and give `verify-stream` the socket with --gate-control. It
/// withholds nothing until a verify-stream asks, and releases everything when that verify-stream
/// ends. If the gate itself is killed, the database rolls back what was not committed.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the server connects: an address with a port, or unix:PATH
    #[arg(long, value_name = "ADDR", default_value = LISTEN)]
    listen: String,

    /// Where verify-stream connects: the path of a socket, which only this user can open, or an address
    /// with a port
    #[arg(long, value_name = "PATH|ADDR", default_value = CONTROL)]
    control: String,

    /// The longest time for which it withholds a commit, whatever verify-stream requests
    #[arg(long, value_name = "DURATION", default_value = MAX_HOLD)]
    max_hold: String,

    /// Listen at addresses that other machines can reach. Anyone who connects to --listen can talk
    /// to the database from this machine, and anyone who connects to --control can see the
    /// server's statements and withhold its commits
    #[arg(long)]
    allow_remote: bool,
}

/// Runs it until a signal asks to stop.
pub async fn run(args: Args, env: Env) -> anyhow::Result<Done> {
    let url = env
        .config
        .value("database-url", env.database_url.as_deref())?;
    let url = url.ok_or_else(|| {
        CliError::usage("no database to relay to")
            .hint("use --database-url, such as postgres://USER@HOST/NAME")
    })?;
    env.mask.keep_of(&url);
    let target = env.parsed(&url)?;
    let listen = Listen::parse(&args.listen).ok_or_else(|| {
        wrong(
            "--listen",
            &args.listen,
            "an address with a port, or unix:PATH",
            LISTEN,
        )
    })?;
    let control = ControlAddress::parse(&args.control).ok_or_else(|| {
        wrong(
            "--control",
            &args.control,
            "a path, or an address with a port",
            CONTROL,
        )
    })?;
    let max_hold = humantime::parse_duration(&args.max_hold)
        .ok()
        .filter(|hold| *hold >= Duration::from_millis(300))
        .ok_or_else(|| {
            wrong(
                "--max-hold",
                &args.max_hold,
                "a duration of at least 300ms",
                MAX_HOLD,
            )
        })?;
    if !args.allow_remote {
        near(
            listen.is_loopback(),
            &format!("--listen {listen}"),
            "speak to the database from this machine, with the rights that it grants to this machine",
        )?;
        near(
            control.is_loopback(),
            &format!("--control {control}"),
            "see the server's statements and withhold its commits",
        )?;
    }
    if target.is_file() {
        return Err(CliError::usage(format!(
            "`{target}` is a file of this machine, and needs no separate gate"
        ))
        .hint("run `chatctl verify-stream --start COMMAND` on the machine of the server")
        .into());
    }
    let relays = async {
        let mut proxy = Proxy::listen(&listen, &target, max_hold)?.watched(max_hold)?;
        let control = Control::listen(&control).await?;
        env.progress.note(&format!("relays to {target}"));
        env.progress
            .note(&format!("let the server connect to {}", proxy.at()));
        env.progress.note(&format!(
            "control: --gate-control {} for verify-stream",
            control.at()
        ));
        let note = |text: &str| env.progress.note(text);
        let serves = control.serve(&mut proxy, target.engine(), max_hold, note);
        let ((), served) = tokio::join!(tell_if_away(&target, &env), serves);
        served
    };
    env.unless_interrupted(relays).await?;
    Ok(Done::Shown)
}

/// Warns if nobody can log in to the database. It may come up later.
async fn tell_if_away(target: &Target, env: &Env) {
    if let Err(error) = db::open(target.clone()).await {
        env.progress.warning(&format!(
            "chatctl can't log in to the database behind this gate: {error:#}; servers that connect to the gate \
                will fail until it is there"
        ));
    }
}

fn wrong(flag: &str, value: &str, wanted: &str, example: &str) -> CliError {
    CliError::usage(format!("`{flag} {value}` is not {wanted}")).hint(format!("{flag} {example}"))
}

/// Refuses a place that other machines can reach.
fn near(is_loopback: bool, place: &str, danger: &str) -> Result<(), CliError> {
    if is_loopback {
        return Ok(());
    }
    Err(CliError::refused(format!(
        "`{place}` can be reached from other machines, and anyone who connects can {danger}"
    ))
    .hint("listen at 127.0.0.1 or at a socket in a folder; in a network of containers only, add --allow-remote"))
}
