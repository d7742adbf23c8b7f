//! `chatctl verify-stream`: arguments and wiring.

use super::launch::Wanted;
use super::{Done, Env, launch};
use crate::config::Config;
use crate::db::Target;
use crate::gate::{AnyGate, Listen, Proxy};
use crate::gateway::Gateway;
use crate::http::{Ready, Server};
use crate::report::Report;
use crate::stop::Stop;
use crate::stream::profiles::Profile;
use crate::stream::run::{Options, Proof, Provoked, Require, World};
use crate::stream::session::Session;
use crate::stream::{profiles, run, session, shipped};
use crate::{gate, mask};
use clap::ValueEnum as _;
use clap::builder::PossibleValuesParser;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use url::Url;

/// SQLite servers wait 5 s for a lock; a hold must stay well below.
const MAX_HOLD: Duration = Duration::from_millis(2500);
/// Servers wait 30 s for a connection of their pool, and longer for a commit.
const MAX_HOLD_ON_A_WIRE: Duration = Duration::from_secs(10);
/// Where the gateway listens when the server was started by somebody else.
const GATEWAY: &str = "127.0.0.1:9191";

/// Prove that the answer is committed before the client can see the final marker
///
/// chatctl plays the browser and the LLM provider, withholds the server's commits one by one, and
/// sees whether the final marker comes all the same. A commit is withheld for at most --max-hold,
/// and let through or rolled back however chatctl ends.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Session files, or folders of them [default: `sessions` of chatctl.toml, else the shipped one]
    #[arg(value_name = "SESSION")]
    pub sessions: Vec<PathBuf>,

    /// The server under test [env: CHATCTL_SERVER]
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,

    /// Start and end the server: a command with {port}, and {gateway_url}, {database_url}, {database_path}
    /// or others where it needs them (docs/starting.md). It finds OPENAI_BASE_URL, OPENAI_API_KEY and
    /// DATABASE_URL in its environment
    #[arg(long, value_name = "CMD")]
    pub start: Option<String>,

    /// The path or URL that answers below 500, or the port that accepts connections, when the server
    /// is ready [default: its own port accepts]
    #[arg(long, value_name = "PATH|URL|PORT")]
    pub ready: Option<String>,

    /// How long the server may take to be ready [default: 30s]
    #[arg(long, value_name = "DURATION")]
    pub ready_timeout: Option<String>,

    /// Where chatctl plays the provider [default: a free port with --start, else 127.0.0.1:9191]
    #[arg(long, value_name = "ADDR")]
    pub gateway: Option<String>,

    /// The wire format of sessions that name none [default: plain]
    #[arg(long, value_parser = PossibleValuesParser::new(profiles::ALL.iter().map(|profile| profile.name)))]
    pub profile: Option<String>,

    /// Play a page of this origin and check that a browser would allow it
    #[arg(long, value_name = "URL")]
    pub origin: Option<String>,

    /// How the order is shown [default: auto]
    #[arg(long, value_enum)]
    pub proof: Option<Proof>,

    /// Which verdicts pass; the others end with exit code 3 or 1 [default: held]
    #[arg(long, value_enum)]
    pub require: Option<Require>,

    /// Which gate [default: the strongest that works]
    #[arg(long, value_parser = PossibleValuesParser::new(gate::ALL.iter().map(|kind| kind.name)))]
    pub gate: Option<String>,

    /// How many trials must be decided, at least 3 [default: 5]
    #[arg(long, value_name = "N")]
    pub trials: Option<String>,

    /// How long the gate stays closed: a duration, or auto to calibrate [default: auto]
    #[arg(long, value_name = "DURATION")]
    pub hold: Option<String>,

    /// Where the server connects in place of its database, so that its commits can be withheld on the
    /// way [default: a free port with --start; PostgreSQL and MySQL only]
    #[arg(long, value_name = "ADDR")]
    pub database_listen: Option<String>,

    /// The longest hold, at least 300ms [default: 2500ms on SQLite, 10s elsewhere]
    #[arg(long, value_name = "DURATION")]
    pub max_hold: Option<String>,

    /// How long a row may still come after the response's end [default: 2s]
    #[arg(long, value_name = "DURATION")]
    pub settle: Option<String>,

    /// How long a response may take when nothing holds it back; a first turn that is not judged may
    /// take four times as long [default: 15s]
    #[arg(long, value_name = "DURATION")]
    pub response_timeout: Option<String>,

    /// Replay the choices of an earlier run
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Stop after the first session with an error
    #[arg(long)]
    pub fail_fast: bool,
}

/// Runs it.
pub async fn run(args: Args, env: Env) -> anyhow::Result<Done> {
    Ok(Done::Report(Box::new(report(&args, &env).await?)))
}

/// Verifies, and leaves nothing behind: neither after an error nor after a signal.
pub async fn report(args: &Args, env: &Env) -> anyhow::Result<Report> {
    let (config, sessions) = (&env.config, sessions(args, env)?);
    for (session, _) in &sessions {
        session
            .secrets
            .iter()
            .for_each(|secret| env.mask.keep(secret.expose()));
    }
    let url = config.value("database-url", env.database_url.as_deref())?.ok_or_else(|| {
        Stop::usage("no store: the proof looks at the database of the server under test")
            .hint("give --database-url, such as sqlite:PATH, or set DATABASE_URL or `database-url` in chatctl.toml")
    })?;
    env.mask.keep_of(&url);
    let target = Target::parse(&url)?;
    let options = options(args, config, &target)?;
    env.progress
        .note(&format!("seed {} replays this run's choices", options.seed));
    let proxy = proxy(args, env, &options, &target).await?;
    let began = Instant::now();
    let mut report = Report::new("verify-stream");
    let mut world = world(args, env, &target, proxy).await?;
    let outcome = tokio::select! {
        outcome = verify(&mut world, &sessions, &options, &mut report) => outcome,
        () = env.until_interrupted() => Err(Stop::interrupted().into()),
    };
    world.close().await;
    outcome?;
    report.took = began.elapsed();
    Ok(report)
}

async fn verify(
    world: &mut World,
    sessions: &[(Session, &'static Profile)],
    options: &Options,
    report: &mut Report,
) -> anyhow::Result<()> {
    let target = &world.target;
    world
        .progress
        .note(&format!("store: {target} ({})", target.backend()));
    world.open_if_there().await?;
    // Looking only must not write, not even to tidy up.
    let swept = match &world.db {
        Some(db)
            if options.proof != Proof::Observe && gate::Fault::works_on(db.target().backend()) =>
        {
            gate::Fault::sweep(db.as_ref()).await
        }
        _ => Ok(false),
    };
    if swept.unwrap_or(false) {
        world
            .progress
            .note("took out the triggers chatctl_fault_* of a run that was killed");
    }
    run::run(world, sessions, options, report).await
}

/// The proxy gate, where it can be used. Refuses what no gate and no fault works on, before anything
/// is started.
async fn proxy(
    args: &Args,
    env: &Env,
    options: &Options,
    target: &Target,
) -> anyhow::Result<Option<Proxy>> {
    let config = &env.config;
    let backend = target.backend();
    let listen = config.value("database-listen", args.database_listen.as_deref())?;
    let observe = "use --proof observe, which needs no gate and proves less";
    match options.proof {
        Proof::Observe => return Ok(None),
        Proof::Fault if gate::Fault::works_on(backend) => return Ok(None),
        Proof::Auto | Proof::Gate | Proof::Fault => {}
    }
    let Some(kind) = gate::on(backend, options.gate.as_deref()).next() else {
        return Err(Stop::refused(match &options.gate {
            Some(name) => format!("gate {name} does not work on {backend}"),
            None => format!("no gate works on {backend}"),
        })
        .hint(observe)
        .into());
    };
    let is_wire = matches!(kind.how, gate::How::Wire);
    if !is_wire {
        return match listen {
            None => Ok(None),
            Some(_) => Err(Stop::usage(format!(
                "--database-listen is for gate proxy, and {backend} has no wire to listen on"
            ))
            .hint("leave --database-listen out")
            .into()),
        };
    }
    let started = config.value("start", args.start.as_deref())?.is_some();
    let Some(listen) = listen.or_else(|| started.then(|| "127.0.0.1:0".to_owned())) else {
        return Err(Stop::refused(format!(
            "the server's commits can't be withheld: its way to `{target}` does not lead through chatctl"
        ))
        .hint(format!(
            "let chatctl start the server (--start), or give --database-listen 127.0.0.1:9192 and let the server \
             connect there; or {observe}"
        ))
        .into());
    };
    let address = listen.parse().map_err(|_| {
        Stop::usage(format!("`{listen}` is not an address with a port"))
            .hint("--database-listen 127.0.0.1:9192")
    })?;
    let proxy = Proxy::listen(&Listen::Tcp(address), target, options.max_hold).await?;
    env.progress.note(&format!(
        "gate {}: holds back {}, at most {} at a time",
        kind.name,
        kind.what,
        humantime::format_duration(options.max_hold)
    ));
    Ok(Some(proxy))
}

/// The gateway, and the server when chatctl starts it. Its way to the store leads through the proxy,
/// where there is one.
pub(super) async fn world(
    args: &Args,
    env: &Env,
    target: &Target,
    proxy: Option<Proxy>,
) -> anyhow::Result<World> {
    let proxied = proxy.as_ref().map(|proxy| target.through(proxy.address()));
    if let Some(proxied) = &proxied {
        env.progress
            .note(&format!("database for the server: {proxied}"));
    }
    let config = &env.config;
    let start = config.value("start", args.start.as_deref())?;
    let base = server(config, args.server.as_deref())?;
    let gateway = config.value("gateway", args.gateway.as_deref())?;
    let fallback = if start.is_some() {
        "127.0.0.1:0"
    } else {
        GATEWAY
    };
    let gateway = Gateway::listen(gateway.as_deref().unwrap_or(fallback)).await?;
    env.progress.note(&format!("gateway: {}", gateway.url()));
    let server = match start {
        None => None,
        Some(command) => {
            let timeout =
                config.parsed("ready-timeout", args.ready_timeout.as_deref(), duration)?;
            let ready = config.parsed("ready", args.ready.as_deref(), Ready::parse)?;
            let (start, note) = launch::start(Wanted {
                command,
                gateway: gateway.url(),
                target: proxied.as_ref().unwrap_or(target),
                store: target,
                server: base.as_ref(),
                ready,
                ready_timeout: timeout.expect("the setting has a default"),
                mask: env.mask.clone(),
            })?;
            env.progress.note(&note);
            env.progress.doing("starting the server".to_owned());
            tokio::select! {
                server = Server::start(&start) => Some(server?),
                () = env.until_interrupted() => return Err(Stop::interrupted().into()),
            }
        }
    };
    let started = server.as_ref().map(|server| server.url().clone());
    let base = base.or(started).ok_or_else(|| {
        Stop::usage("no server to test")
            .hint("give --server http://127.0.0.1:8000, or --start 'uvicorn app:app --port {port}'")
    })?;
    Ok(World {
        base,
        origin: config.value("origin", args.origin.as_deref())?,
        gateway,
        target: target.clone(),
        db: None,
        declared: env.config.store.clone(),
        server,
        gate: proxy.map(|proxy| AnyGate::Commits(Box::new(proxy))),
        proxied,
        fault: None,
        provoked: Provoked::default(),
        progress: env.progress.clone(),
        mask: env.mask.clone(),
    })
}

/// The address of the server under test, where one is given.
pub(super) fn server(config: &Config, flag: Option<&str>) -> Result<Option<Url>, Stop> {
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
    let stop = Stop::usage("`--server` is no address of a web server");
    Err(match meant.flatten() {
        Some(url) => {
            let url = mask::url(&url);
            Stop::usage(format!(
                "`--server {}` does not say whether it is http or https",
                url.trim_start_matches("http://").trim_end_matches('/')
            ))
            .hint(format!("--server {url}"))
        }
        None => stop.hint("give --server http://127.0.0.1:8000"),
    })
}

pub(super) fn options(args: &Args, config: &Config, target: &Target) -> anyhow::Result<Options> {
    let proof = match args.proof {
        Some(proof) => proof,
        None => config
            .parsed("proof", None, |name| Proof::from_str(name, true).ok())?
            .expect("the setting has a default"),
    };
    let require = match args.require {
        Some(require) => require,
        None => config
            .parsed("require", None, |name| Require::from_str(name, true).ok())?
            .expect("the setting has a default"),
    };
    let hold = config.parsed("hold", args.hold.as_deref(), |text| match text {
        "auto" => Some(None),
        text => duration(text).map(Some),
    })?;
    let patterns = config.forbid.iter().map(|pattern| {
        regex::Regex::new(pattern).map_err(|error| {
            Stop::usage(format!(
                "`{pattern}` in [logs] forbid is no regular expression: {error}"
            ))
        })
    });
    Ok(Options {
        proof,
        require,
        gate: config.parsed("gate", args.gate.as_deref(), |name| {
            gate::ALL
                .iter()
                .find(|kind| kind.name == name)
                .map(|kind| kind.name.to_owned())
        })?,
        trials: config
            .parsed("trials", args.trials.as_deref(), |text| {
                text.parse().ok().filter(|trials| *trials >= 3)
            })?
            .expect("the setting has a default"),
        hold: hold.flatten(),
        max_hold: config
            .parsed("max-hold", args.max_hold.as_deref(), |text| {
                duration(text).filter(|hold| *hold >= run::LEAST_HOLD)
            })?
            .unwrap_or(if target.is_file() {
                MAX_HOLD
            } else {
                MAX_HOLD_ON_A_WIRE
            }),
        settle: config
            .parsed("settle", args.settle.as_deref(), duration)?
            .expect("the setting has a default"),
        response_timeout: config
            .parsed(
                "response-timeout",
                args.response_timeout.as_deref(),
                |text| duration(text).filter(|timeout| !timeout.is_zero()),
            )?
            .expect("the setting has a default"),
        seed: args.seed.unwrap_or_else(|| fastrand::u64(..1_000_000)),
        forbid: patterns.collect::<Result<_, _>>()?,
        fail_fast: args.fail_fast,
    })
}

fn duration(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok()
}

/// The sessions that are named, those of the settings, or the shipped one, each with its profile.
pub(super) fn sessions(args: &Args, env: &Env) -> anyhow::Result<Vec<(Session, &'static Profile)>> {
    let default = env
        .config
        .value("profile", args.profile.as_deref())?
        .unwrap_or_default();
    let names: Vec<_> = profiles::ALL.iter().map(|profile| profile.name).collect();
    let mut sessions = Vec::new();
    for path in named(args, env)? {
        for file in files(&path)? {
            sessions.push(session::load(&file, &names).map_err(Stop::from)?);
        }
    }
    if sessions.is_empty() {
        env.progress.note(&format!(
            "no session is named: taking the shipped one for profile {default} (POST /conversations, POST /chat)"
        ));
        sessions.push(shipped::session(&default)?);
    }
    for (index, session) in sessions.iter().enumerate() {
        if let Some(other) = sessions[..index]
            .iter()
            .find(|other| other.name == session.name)
        {
            return Err(Stop::usage(format!(
                "`{}` and `{}` are both named `{}`",
                other.file, session.file, session.name
            ))
            .hint("give one of them another `name`: a report tells sessions apart by it")
            .into());
        }
    }
    sessions
        .into_iter()
        .map(|session| {
            let name = session.profile.clone().unwrap_or_else(|| default.clone());
            let profile = profiles::named(&name).ok_or_else(|| {
                Stop::usage(format!("`{name}` is no profile"))
                    .hint(format!("one of {}", names.join(", ")))
            })?;
            Ok((session, profile))
        })
        .collect()
}

fn named(args: &Args, env: &Env) -> anyhow::Result<Vec<PathBuf>> {
    if !args.sessions.is_empty() {
        return Ok(args.sessions.clone());
    }
    let listed = env.config.value("sessions", None)?.unwrap_or_default();
    let folder = env.config.folder().unwrap_or(Path::new(""));
    let paths = listed.split(',').filter(|path| !path.is_empty());
    Ok(paths.map(|path| folder.join(path)).collect())
}

/// The file itself, or the session files in a folder, by name.
fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path)
        .map_err(|error| Stop::usage(format!("`{}`: {error}", path.display())))?;
    let mut files: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(
            Stop::usage(format!("no session (*.toml) in `{}`", path.display()))
                .hint("docs/sessions.md shows how to write one")
                .into(),
        );
    }
    Ok(files)
}
