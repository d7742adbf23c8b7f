//! Sets up a run from a command's arguments: the sessions, the options and the world.
//!
//! Whatever is not wanted comes from the settings.

mod launch;
mod options;
mod processes;
mod sessions;
mod wire;

use super::run::{OtherProcesses, Proof, Provoked, Require, World};
use crate::cli_error::CliError;
use crate::config::Config;
use crate::db::Target;
use crate::gate::{AnyGate, CommitFault};
use crate::gateway::Gateway;
use crate::http::{Ready, Server};
use crate::mask;
use crate::mask::Mask;
use crate::progress::Progress;
use clap::ValueEnum as _;
use clap::builder::PossibleValue;
use launch::Launch;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

pub use options::options;
pub use sessions::sessions;
pub use wire::{Wire, wire};

/// Where the gateway listens when the server was started by somebody else.
const GATEWAY: &str = "127.0.0.1:9191";

/// What a command asks for, as texts of the command line. What is `None` is looked up in the settings.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Session files, or folders of them.
    pub sessions: Vec<PathBuf>,
    /// The server under test.
    pub server: Option<String>,
    /// The command that starts it.
    pub start: Option<String>,
    /// What answers when it is ready.
    pub ready: Option<String>,
    /// How long it may take to be ready.
    pub ready_timeout: Option<String>,
    /// Where the gateway listens.
    pub gateway: Option<String>,
    /// The wire format of sessions that name none.
    pub profile: Option<String>,
    /// The origin of the page that is played.
    pub origin: Option<String>,
    /// Which cases are played.
    pub suite: Option<String>,
    /// Which events of an answer are points of the sweep.
    pub sweep_every: Option<String>,
    /// What the names of the cases hold that are played.
    pub cases: Vec<String>,
    /// In how many conversations turns are under way at the same time.
    pub concurrency: Option<String>,
    /// For how long rows are watched.
    pub watch: Option<String>,
    /// Names of the cases that are played; all where there are none.
    pub named: Vec<String>,
    /// Which share of them.
    pub shard: Option<String>,
    /// How the order is shown.
    pub proof: Option<Proof>,
    /// Which verdicts pass.
    pub require: Option<Require>,
    /// What is done to the commit that carries the answer.
    pub faults: Vec<CommitFault>,
    /// What the provider does.
    pub provider_fault: Option<String>,
    /// Whether a lock may be taken on a database of another machine.
    pub allow_gate: bool,
    /// Which gate.
    pub gate: Option<String>,
    /// How many trials must be decided.
    pub trials: Option<String>,
    /// How long the gate stays closed.
    pub hold: Option<String>,
    /// Where the server connects in place of its database.
    pub database_listen: Option<String>,
    /// Where the `chatctl gate` is controlled that the server connects through.
    pub gate_control: Option<String>,
    /// Where chatctl reads the store, if not at the server's own address.
    pub read_from: Option<String>,
    /// The longest hold.
    pub max_hold: Option<String>,
    /// How long a row may still come after the response's end.
    pub settle: Option<String>,
    /// How long a response may take.
    pub response_timeout: Option<String>,
    /// The seed of the choices.
    pub seed: Option<u64>,
    /// Whether the first session with an error is the last.
    pub fail_fast: bool,
}

impl Wanted {
    /// The same as words of a command line; the seed is the one that the run had. What decides which cases are
    /// played and which verdicts pass is there even if it came from the settings: shares with other settings
    /// are not of one run.
    pub fn words(&self, seed: u64, config: &Config) -> Vec<String> {
        let set = |key: &str, flag: Option<String>| config.get(key, flag.as_deref()).0;
        let Self {
            sessions,
            server,
            start,
            ready,
            ready_timeout,
            gateway,
            profile,
            origin,
            suite,
            sweep_every,
            concurrency,
            watch,
            cases,
            named,
            shard,
            proof,
            require,
            faults,
            provider_fault,
            allow_gate,
            gate,
            trials,
            hold,
            database_listen,
            gate_control,
            read_from,
            max_hold,
            settle,
            response_timeout,
            seed: _,
            fail_fast,
        } = self;
        let name = |value: Option<PossibleValue>| value.map(|value| value.get_name().to_owned());
        let faults: Vec<_> = faults.iter().map(|fault| fault.name()).collect();
        let proof = name(proof.and_then(|it| it.to_possible_value()));
        let require = name(require.and_then(|it| it.to_possible_value()));
        let faults = set("fault", (!faults.is_empty()).then(|| faults.join(",")));
        let values = [
            ("--server", server.clone()),
            ("--start", start.clone()),
            ("--ready", ready.clone()),
            ("--ready-timeout", ready_timeout.clone()),
            ("--gateway", gateway.clone()),
            ("--profile", profile.clone()),
            ("--origin", origin.clone()),
            ("--suite", set("suite", suite.clone())),
            ("--sweep-every", set("sweep-every", sweep_every.clone())),
            ("--concurrency", set("concurrency", concurrency.clone())),
            ("--watch", watch.clone()),
            ("--shard", shard.clone()),
            ("--proof", set("proof", proof)),
            ("--require", set("require", require)),
            ("--fault", faults.map(|names| names.replace(' ', ""))),
            (
                "--provider-fault",
                set("provider-fault", provider_fault.clone()),
            ),
            ("--gate", gate.clone()),
            ("--trials", trials.clone()),
            ("--hold", hold.clone()),
            ("--database-listen", database_listen.clone()),
            ("--gate-control", gate_control.clone()),
            ("--read-from", read_from.clone()),
            ("--max-hold", max_hold.clone()),
            ("--settle", settle.clone()),
            ("--response-timeout", response_timeout.clone()),
            ("--seed", Some(seed.to_string())),
        ];
        let switches = [("--allow-gate", *allow_gate), ("--fail-fast", *fail_fast)];
        let values = values
            .into_iter()
            .filter_map(|(flag, value)| Some(format!("{flag}={}", value?)));
        let cases = cases.iter().map(|case| format!("--cases={case}"));
        let named = named.iter().map(|case| format!("--case={case}"));
        let switches = switches.into_iter().filter(|(_, is_on)| *is_on);
        let sessions = sessions.iter().map(|path| path.display().to_string());
        values
            .chain(cases)
            .chain(named)
            .chain(switches.map(|(flag, _)| flag.to_owned()))
            .chain(sessions)
            .collect()
    }
}

/// The run that it is set up in.
pub struct Context<'a> {
    /// The settings.
    pub config: &'a Config,
    /// The way to the person who waits.
    pub progress: &'a Arc<Progress>,
    /// The secrets of the run.
    pub mask: &'a Mask,
}

fn no_server() -> CliError {
    CliError::usage("no server to test")
        .hint("use --server http://127.0.0.1:8000, or --start 'uvicorn app:app --port {port}'")
}

/// The gateway, and the server when chatctl starts it. Its way to the store leads through a proxy,
/// where there is one. Whoever drops it before it is there leaves no server running.
///
/// # Errors
/// When there is no server to test, or it does not start.
pub async fn world(
    wanted: &Wanted,
    context: &Context<'_>,
    target: &Target,
    wire: Option<Wire>,
) -> anyhow::Result<World> {
    let (gate, way) = wire.map(|wire| (wire.gate, wire.way)).unzip();
    let proxied = way.as_ref().map(|way| way.target());
    if let Some(proxied) = proxied {
        context
            .progress
            .note(&format!("database for the server: {proxied}"));
    }
    let config = &context.config;
    let starts = Starts::of(wanted, config, target)?;
    let base = server(config, wanted.server.as_deref())?;
    match &starts {
        Starts::One(command) => launch::check(command, base.as_ref())?,
        Starts::Nothing if base.is_none() => return Err(no_server().into()),
        Starts::Nothing | Starts::Several(_) => {}
    }
    let gateway = config.value("gateway", wanted.gateway.as_deref())?;
    let fallback = match starts {
        Starts::Nothing => GATEWAY,
        Starts::One(_) | Starts::Several(_) => "127.0.0.1:0",
    };
    let gateway = Gateway::listen(gateway.as_deref().unwrap_or(fallback)).await?;
    context
        .progress
        .note(&format!("gateway: {}", gateway.url()));
    let timeout = config.parsed("ready-timeout", wanted.ready_timeout.as_deref(), duration)?;
    let launch = Launch {
        gateway: gateway.url(),
        target: proxied.unwrap_or(target),
        store: target,
        server: base.as_ref(),
        ready: config.parsed("ready", wanted.ready.as_deref(), Ready::parse)?,
        ready_timeout: timeout.expect("the setting has a default"),
        mask: context.mask.clone(),
    };
    let (server, others) = match starts {
        Starts::Nothing => {
            if launch.ready.is_some() && wanted.ready.is_some() {
                context
                    .progress
                    .note("--ready is for a server that chatctl starts; this one counts as ready");
            }
            (None, OtherProcesses::default())
        }
        Starts::One(command) => {
            let (start, note) = launch::start(command, launch)?;
            context.progress.note(&note);
            context.progress.doing("starting the server".to_owned());
            (
                Some(Server::start(&start).await?),
                OtherProcesses::default(),
            )
        }
        Starts::Several(processes) => {
            let starts = processes::prepare(&processes, &launch)?;
            for start in &starts {
                context.progress.note(&start.note);
            }
            let doing = |what| context.progress.doing(what);
            let (server, others) = processes::start(starts, doing).await?;
            (Some(server), others)
        }
    };
    let started = server.as_ref().map(|server| server.url().clone());
    let base = base.or(started).ok_or_else(no_server)?;
    Ok(World {
        base,
        origin: config.value("origin", wanted.origin.as_deref())?,
        gateway,
        target: target.clone(),
        db: None,
        declared: config.store.clone(),
        server,
        others,
        gate: gate.map(AnyGate::Commits),
        way,
        fault: None,
        provoked: Provoked::default(),
        progress: context.progress.clone(),
        mask: context.mask.clone(),
    })
}

/// What is started.
enum Starts {
    /// The server runs already.
    Nothing,
    /// One command.
    One(String),
    /// The `[[start]]` entries of the settings.
    Several(Vec<processes::Process>),
}

impl Starts {
    fn of(wanted: &Wanted, config: &Config, target: &Target) -> Result<Self, CliError> {
        if let Some(command) = config.value("start", wanted.start.as_deref())? {
            return Ok(Self::One(command));
        }
        let Some((path, text)) = config.start_entries() else {
            return Ok(Self::Nothing);
        };
        let file = path.display().to_string();
        Ok(Self::Several(processes::parse(&file, text, target)?))
    }
}

/// The arguments of a run; what may be a secret is masked.
pub fn without_secrets(words: Vec<String>, mask: &Mask) -> Vec<String> {
    let words = words.into_iter();
    words
        .map(|word| mask::credentials(&mask.text(&word)))
        .collect()
}

/// The address of the server under test, where one is given.
///
/// # Errors
/// When it can't be read as one.
pub fn server(config: &Config, flag: Option<&str>) -> Result<Option<Url>, CliError> {
    let Some(text) = config.value("server", flag)? else {
        return Ok(None);
    };
    let web = |text: &str| {
        let url = Url::parse(text).ok()?;
        (["http", "https"].contains(&url.scheme()) && url.has_host()).then_some(url)
    };
    if let Some(url) = web(&text) {
        return Ok(Some(url));
    }
    // What can't be read can't be masked either, so it is not shown.
    let meant = (!text.contains("://")).then(|| web(&format!("http://{text}")));
    let stop = CliError::usage("`--server` is not the address of a web server");
    Err(match meant.flatten() {
        Some(url) => {
            let url = mask::url(&url);
            CliError::usage(format!(
                "`--server {}` does not say whether it is http or https",
                url.trim_start_matches("http://").trim_end_matches('/')
            ))
            .hint(format!("--server {url}"))
        }
        None => stop.hint("use --server http://127.0.0.1:8000"),
    })
}

fn duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}
