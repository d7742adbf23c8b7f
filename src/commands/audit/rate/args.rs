//! The arguments of `chatctl audit rate`.

use crate::commands::audit;
use crate::stream::setup::Wanted;
use std::path::PathBuf;
use std::time::Duration;

/// Measure how many questions have a stored answer
///
/// A question counts once it is older than --grace. It is answered if a non-empty answer follows
/// that is finished and did not fail. Some servers store nothing at all of a turn whose answer they
/// lose, so the store shows no trace of it. --probe finds those: it sends turns itself, as clients
/// that stay and as clients that leave, and counts which answers are stored.
#[derive(Debug, clap::Args)]
pub(in crate::commands::audit) struct Args {
    /// The length of a window; windows begin on full hours, days and so on, in UTC
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = audit::duration)]
    pub(super) window: Duration,

    /// How far to look back
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = audit::duration)]
    pub(super) last: Duration,

    /// Only questions since then: an age (24h) or a time (2026-11-21T08:00:00Z)
    #[arg(long, value_name = "TIME", conflicts_with_all = ["last", "probe"])]
    pub(super) since: Option<String>,

    /// Only questions before then: an age or a time
    #[arg(long, value_name = "TIME", conflicts_with = "probe")]
    pub(super) until: Option<String>,

    /// Fail below this share, from 0 to 1 [default with --probe: 1]
    #[arg(long, value_name = "SHARE", value_parser = audit::share)]
    pub(super) min: Option<f64>,

    /// Questions younger than this may still be answered, and do not count
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = audit::duration)]
    pub(super) grace: Duration,

    /// When the server was last started; `auto` takes the start of the database, which may not be that of
    /// the server
    #[arg(long, value_name = "TIME|auto", conflicts_with = "probe")]
    pub(super) since_restart: Option<String>,

    /// Write the metrics to a file for Prometheus' node exporter (textfile collector)
    #[arg(long, value_name = "FILE")]
    pub(super) prometheus: Option<PathBuf>,

    /// Send the turns of this session, and count which answers are stored
    #[arg(long, value_name = "SESSION")]
    pub(super) probe: Option<PathBuf>,

    /// How many times to send each turn with each client
    #[arg(long, value_name = "N", default_value_t = 3, requires = "probe", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) probes: u64,

    #[command(flatten)]
    server: Server,
}

/// The server that a probe talks to; the same flags as those of `verify-stream`.
#[derive(Debug, clap::Args)]
struct Server {
    /// The server to probe [env: CHATCTL_SERVER]
    #[arg(long, value_name = "URL", requires = "probe")]
    server: Option<String>,

    /// Start and stop the server: a command with {port}, {gateway_url}, {database_url},
    /// {database_path}
    #[arg(long, value_name = "CMD", requires = "probe")]
    start: Option<String>,

    /// With --start: when the server counts as ready: a path or URL that answers with a status below 500, a
    /// port that accepts connections, or line:TEXT for a line of its output [default: its own port]
    #[arg(long, value_name = "PATH|URL|PORT|line:TEXT", requires = "probe")]
    ready: Option<String>,

    /// How long the server may take to become ready [default: 30s]
    #[arg(long, value_name = "DURATION", requires = "probe")]
    ready_timeout: Option<String>,

    /// Where chatctl listens as the provider [default: a free port with --start, else 127.0.0.1:9191]
    #[arg(long, value_name = "ADDR", requires = "probe")]
    gateway: Option<String>,

    /// The wire format, if the session does not name one [default: detected from the first
    /// response]
    #[arg(long, value_name = "NAME|FILE", requires = "probe")]
    profile: Option<String>,

    /// How long to wait for a row after the end of the response [default: 2s]
    #[arg(long, value_name = "DURATION", requires = "probe")]
    settle: Option<String>,
}

impl Args {
    /// What is set up for a probe.
    pub(super) fn wanted(&self) -> Wanted {
        let server = &self.server;
        Wanted {
            sessions: self.probe.iter().cloned().collect(),
            server: server.server.clone(),
            start: server.start.clone(),
            ready: server.ready.clone(),
            ready_timeout: server.ready_timeout.clone(),
            gateway: server.gateway.clone(),
            profile: server.profile.clone(),
            settle: server.settle.clone(),
            ..Wanted::default()
        }
    }
}
