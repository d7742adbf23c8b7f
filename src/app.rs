//! From the command line to an outcome: wiring, signals, and what goes to which stream.

use crate::cli::{Cli, Color, Command, Global, Helper};
use crate::cli_error::CliError;
use crate::commands::demo::ServerArgs;
use crate::commands::{Done, Env};
use crate::config::{Config, unknown_variables};
use crate::gate::{alarm, holder};
use crate::http::supervisor;
use crate::mask::Mask;
use crate::outcome::Outcome;
use crate::outlet::Outlet;
use crate::pager::{Pager, Running};
use crate::progress::{Progress, Talk};
use crate::render::{Clean, Format, Kind, Style};
use crate::report::{Piece, Report, Source};
use crate::reports::{Further, Reports, Streams};
use crate::screen::{Place, Screen};
use crate::{closed, commands, db, pager, render, report, reports, temporary};
use anyhow::Context as _;
use std::ffi::OsString;
use std::io;
use std::io::{IsTerminal as _, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::{Handle, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

/// How many pieces of a view wait to be rendered, which is done at once.
const PIECES: usize = 16;

/// How long a view may take to end after a signal: its server may have to be stopped.
const TO_END: Duration = Duration::from_secs(2);

/// How long what is left may take to be written after a signal.
const TO_WRITE: Duration = Duration::from_millis(300);

/// Reports when CSV holds more than text.
const RAW: &str = "some cells hold control characters, or text that a CI system would run as a command; CSV \
    keeps them as stored, so do not print it to a terminal or a log";

/// How text goes to stderr, and to stdout where no format writes it.
const PLAIN: Kind = Kind::Text { color: false };

/// Runs a command. Data goes to `out`, everything else to `err`.
pub fn run(cli: Cli, out: Streams<'_>, err: Streams<'_>) -> ExitCode {
    let mask = if cli.global.redact {
        Mask::redacting()
    } else {
        Mask::default()
    };
    let mut reporting = Reports::new(cli.global.format.as_deref());
    let told = Box::new(Clean::new(PLAIN, err()));
    let outcome = command(cli, &mask, (out(), told), &mut reporting);
    let outcome = outcome.unwrap_or_else(|error| reporting.failed(&error, &mask, (out, err)));
    outcome.into()
}

/// Runs what another chatctl process started: it makes no report.
pub fn run_helper(helper: Helper, out: Streams<'_>, err: Streams<'_>) -> ExitCode {
    let done = match helper {
        Helper::GateHolder(args) => holder::run(&args, &mut *out()).map(|()| ExitCode::SUCCESS),
        Helper::GateAlarm(args) => alarm::run(&args).map(|()| ExitCode::SUCCESS),
        Helper::Supervise(args) => supervisor::run(&args, &mut *out())
            .map(|code| ExitCode::from(u8::try_from(code).unwrap_or(1))),
        Helper::DemoServer(args) => serve(args).map(|()| ExitCode::SUCCESS),
    };
    let failed = |error| Reports::new(None).failed(&error, &Mask::default(), (out, err));
    done.unwrap_or_else(|error| failed(error).into())
}

/// Environment variables that look like settings and are none.
fn misspelt(config: &Config) -> Vec<String> {
    let text = |text: OsString| text.to_string_lossy().into_owned();
    let words: Vec<_> = std::env::args_os().map(text).collect();
    let written = config.written().map_or("", |(_, text)| text);
    let names = std::env::vars_os().map(|(name, _)| text(name));
    unknown_variables(names, &format!("{} {written}", words.join(" ")))
}

/// Serves the demo until a signal asks it to stop.
fn serve(args: ServerArgs) -> anyhow::Result<()> {
    let (sender, interrupted) = watch::channel(false);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        listen(sender);
        commands::demo::serve(args, until(interrupted)).await
    })
}

/// Tells of a command line that can't be read, in the format that it asks for.
pub fn misread(
    error: &clap::Error,
    words: &[String],
    out: Streams<'_>,
    err: Streams<'_>,
) -> ExitCode {
    Reports::by(words).misread(error, (out, err)).into()
}

/// What becomes of help that was printed. A reader that left has seen enough.
pub fn printed(printed: io::Result<()>, out: Streams<'_>, err: Streams<'_>) -> ExitCode {
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let error = anyhow::Error::new(error).context("writing to stdout");
            let failed = Reports::new(None).failed(&error, &Mask::default(), (out, err));
            failed.into()
        }
        Ok(()) | Err(_) => ExitCode::SUCCESS,
    }
}

fn command(
    cli: Cli,
    mask: &Mask,
    (out, err): (Box<dyn Write + Send>, Box<dyn Write + Send>),
    reporting: &mut Reports,
) -> anyhow::Result<Outcome> {
    if closed::stdout() {
        return Err(
            CliError::unreachable("stdout is closed, so the report would be lost")
                .hint("redirect it: > report.txt, or > /dev/null")
                .into(),
        );
    }
    let Cli { global, command } = cli;
    let config = Config::load(global.config.as_deref())?;
    let format = format_of(&global, &config)?;
    reporting.format = format;
    let gives = Gives::of(&command);
    let further = further_reports(&global, gives)?;
    gives.suits(format)?;
    if gives == Gives::Text {
        only_text(&global)?;
    }
    let formats = further.iter().map(|(format, _)| *format);
    let has_rows = formats.chain([format]).any(|format| format.is_of_rows());
    let style = style(&global);
    let pager = Pager::new(pager_of(&global, format).unwrap_or_default(), out);
    let (pieces, coming) = mpsc::channel(PIECES);
    let (sender, interrupted) = watch::channel(false);
    let progress = Arc::new(Progress::new(talk(&global, format), mask.clone(), err));
    for unknown in misspelt(&config) {
        progress.warning(&unknown);
    }
    let env = Env {
        progress,
        database_url: global.database_url,
        config,
        mask: mask.clone(),
        interrupted,
        verbose: global.verbose > 0,
        rows: has_rows,
        human: format.name == "human",
        width: style.width,
        pieces,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    if gives != Gives::Text {
        temporary::sweep(&std::env::temp_dir());
        for (format, path) in further {
            reporting.files.push(Further::open(format, path)?);
        }
    }
    let output = Output {
        gives,
        format,
        style,
        files: &mut reporting.files,
        pager,
        coming,
    };
    output.of(command, env, runtime, sender)
}

/// Where the output of a command goes, and in which form.
struct Output<'a> {
    gives: Gives,
    format: &'static Format,
    style: Style,
    files: &'a mut Vec<Further>,
    pager: Pager,
    /// The pieces of a view.
    coming: mpsc::Receiver<Piece>,
}

impl Output<'_> {
    /// Runs a command, and writes what it gives. A signal sets `stop`.
    fn of(
        self,
        command: Command,
        env: Env,
        runtime: Runtime,
        stop: watch::Sender<bool>,
    ) -> anyhow::Result<Outcome> {
        let (format, style, files) = (self.format, self.style, self.files);
        let (progress, mask) = (Arc::clone(&env.progress), env.mask.clone());
        let interrupted = env.interrupted.clone();
        let running = self.pager.running();
        let mut out = Outlet::new(self.pager).context("starting to write to stdout")?;
        let raw = Arc::new(AtomicBool::new(false));
        let done = {
            let mut first = out.clone();
            let mut places = Vec::from_iter(place(format, &style, &raw, &mut first));
            for file in &mut *files {
                places.extend(place(file.format, &Style::default(), &raw, &mut file.sink));
            }
            let screen = Screen::new(places, mask.clone());
            runtime.block_on(async {
                listen(stop);
                shown(command, env, screen, (self.coming, &out)).await
            })
        };
        if raw.load(Ordering::Relaxed) {
            progress.note(RAW);
        }
        if self.gives == Gives::View && done.is_err() {
            // What was shown before stays what there is of it.
            files.clear();
        }
        let outcome = done.and_then(|done| {
            let outcome = write_all(done, format, &style, files, &mask, &mut out)?;
            for file in files.drain(..) {
                runtime.block_on(file.finish(&mut out, until(interrupted.clone())))?;
            }
            Ok(outcome)
        });
        out.close();
        let last_written = runtime.block_on(last(&out, &running, interrupted));
        if self.gives == Gives::View {
            // An engine that can't be interrupted is not waited for.
            runtime.shutdown_background();
        }
        let outcome = outcome?;
        last_written.context("writing to stdout")?;
        if running.is_interrupted() {
            // The pager's end came before the signal that ended it.
            return Err(CliError::interrupted().into());
        }
        Ok(outcome)
    }
}

/// Refuses a format that is asked for where the output is always text. One that is set for all commands
/// asks for nothing here.
fn only_text(global: &Global) -> Result<(), CliError> {
    let format = global.format.as_deref().filter(|name| *name != "human");
    match (format, global.report.first()) {
        (Some(name), _) => Err(CliError::usage(format!(
            "format `{name}` cannot show the output of this command, which is text"
        ))
        .hint("leave --format out")),
        (None, Some(_)) => {
            Err(CliError::usage("this command writes no report").hint("leave --report out"))
        }
        (None, None) => Ok(()),
    }
}

/// The format of stdout.
fn format_of(global: &Global, config: &Config) -> anyhow::Result<&'static Format> {
    let name = config.value("format", global.format.as_deref())?;
    Ok(reports::format_named(&name.unwrap_or_default())?)
}

/// The further reports that are asked for, each with its file.
fn further_reports(
    global: &Global,
    gives: Gives,
) -> Result<Vec<(&'static Format, PathBuf)>, CliError> {
    let further = global.report.iter().map(|spec| reports::parse(spec));
    let further: Vec<_> = further.collect::<Result<_, _>>()?;
    for (format, _) in &further {
        gives.suits(format)?;
    }
    Ok(further)
}

/// Runs a command, and shows the pieces of its view as they come.
async fn shown(
    command: Command,
    env: Env,
    screen: Screen<'_>,
    (coming, out): (mpsc::Receiver<Piece>, &Outlet),
) -> anyhow::Result<Done> {
    let Command::Inspect(args) = command else {
        let never = std::future::pending();
        return screen.follow(work(command, env), coming, out, never).await;
    };
    let interrupted = env.interrupted.clone();
    let stop = async {
        until(interrupted).await;
        tokio::time::sleep(TO_END).await;
    };
    // It may block while it reads, and what it found is to be shown meanwhile. It leaves nothing
    // behind wherever it is ended.
    let handle = Handle::current();
    let job = move || handle.block_on(commands::inspect::run(args, env));
    let job = tokio::task::spawn_blocking(job);
    screen.follow(async { job.await? }, coming, out, stop).await
}

/// Waits until everything is written. After a signal it is given up soon.
async fn last(out: &Outlet, pager: &Running, signal: watch::Receiver<bool>) -> io::Result<()> {
    tokio::select! {
        () = out.ended() => {}
        () = until(signal) => {
            if tokio::time::timeout(TO_WRITE, out.ended()).await.is_err() {
                pager.end();
                // It gives the terminal back.
                let _ = tokio::time::timeout(TO_WRITE, out.ended()).await;
            }
        }
    }
    out.failed()
}

/// Waits for a signal that asks to stop.
async fn until(mut signal: watch::Receiver<bool>) {
    if signal.wait_for(|asked| *asked).await.is_err() {
        // Nobody listens for signals any more.
        std::future::pending::<()>().await;
    }
}

/// Writes what a command gave to stdout and to the files that it should go to too.
fn write_all(
    done: Done,
    format: &Format,
    style: &Style,
    reports: &mut [Further],
    mask: &Mask,
    out: &mut dyn Write,
) -> anyhow::Result<Outcome> {
    match done {
        Done::Shown => Ok(Outcome::Pass),
        Done::Text(text) => {
            quietly(Clean::new(PLAIN, out).write_all(text.as_bytes()))?;
            Ok(Outcome::Pass)
        }
        Done::Script(text) => {
            quietly(out.write_all(text.as_bytes()))?;
            Ok(Outcome::Pass)
        }
        Done::Report(mut report) => {
            hide(&mut report, mask);
            quietly(format.write(&report, style, out))?;
            further(reports, &report)?;
            Ok(Outcome::from(&*report))
        }
        Done::Tour(mut tour) if format.name == "human" => {
            hide(&mut tour.whole, mask);
            for (words, report) in &mut tour.stops {
                quietly(writeln!(Clean::new(PLAIN, &mut *out), "{words}\n"))?;
                if let Some(report) = report {
                    hide(report, mask);
                    quietly(format.write(report, style, out))?;
                    quietly(writeln!(out))?;
                }
            }
            further(reports, &tour.whole)?;
            Ok(Outcome::from(&tour.whole))
        }
        Done::Tour(mut tour) => {
            hide(&mut tour.whole, mask);
            quietly(format.write(&tour.whole, style, out))?;
            further(reports, &tour.whole)?;
            Ok(Outcome::from(&tour.whole))
        }
    }
}

async fn work(command: Command, env: Env) -> anyhow::Result<Done> {
    match command {
        Command::VerifyStream(args) => commands::verify_stream::run(*args, env).await,
        Command::Gate(args) => commands::gate::run(args, env).await,
        Command::Migrate(args) => commands::migrate::run(*args, env).await,
        Command::Audit(args) => commands::audit::run(*args, env).await,
        Command::Demo(args) => commands::demo::run(args, env).await,
        Command::Explain(args) => commands::explain::run(&args),
        Command::Replay(args) => commands::replay::run(args, env).await,
        Command::Report(args) => commands::report::run(&args),
        Command::Config => Ok(commands::config::run(&env)),
        Command::Completions { shell } => Ok(completions(shell)),
        Command::Inspect(_) => unreachable!("it runs on a separate thread"),
    }
}

/// What a command gives: not every format can carry each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gives {
    Text,
    Report,
    /// A report whose findings are about files and tables, not about stored rows.
    Migration,
    View,
}

impl Gives {
    fn of(command: &Command) -> Self {
        match command {
            Command::Explain(_)
            | Command::Config
            | Command::Completions { .. }
            | Command::Gate(_) => Self::Text,
            Command::Inspect(_) => Self::View,
            Command::Migrate(_) => Self::Migration,
            _ => Self::Report,
        }
    }

    fn carried(self, format: &Format) -> bool {
        match self {
            Self::Text => true,
            Self::Report => format.report.is_some(),
            Self::Migration => format.report.is_some() && format.kind != Kind::Cells,
            Self::View => format.view.is_some(),
        }
    }

    /// Refuses a format that can't carry it.
    fn suits(self, format: &Format) -> Result<(), CliError> {
        if self.carried(format) {
            return Ok(());
        }
        let can = render::ALL.iter().filter(|format| self.carried(format));
        let names: Vec<_> = can.map(|format| format.name).collect();
        Err(CliError::usage(format!(
            "format `{}` cannot show the output of this command",
            format.name
        ))
        .hint(format!("one of {}", names.join(", "))))
    }
}

fn place<'a>(
    format: &Format,
    style: &Style,
    raw: &Arc<AtomicBool>,
    out: &'a mut dyn Write,
) -> Option<Place<'a>> {
    let show = format.begin(style, raw)?;
    Some(Place { show, out })
}

/// The pager between a view and a person.
fn pager_of(global: &Global, format: &Format) -> Option<Vec<String>> {
    let for_a_person = format.name == "human" && io::stdout().is_terminal();
    if for_a_person && !global.no_pager {
        pager::named(|name| std::env::var(name).ok())
    } else {
        None
    }
}

/// Masks secrets where they may be, and hides what users wrote when that is asked for.
fn hide(report: &mut Report, mask: &Mask) {
    // First what is quoted: a masked secret may have been the end of a quote.
    if let Some(redact) = mask.redact() {
        report.each_value(|what, text| {
            *text = match what {
                report::Value::Id => redact.id(text),
                report::Value::Text => redact.content(text),
                report::Value::Fact => redact.of_store(text),
            };
        });
        report.each_fact(|source, text| {
            *text = match source {
                // A server may write anything into its log.
                Some(Source::Log) => redact.content(text),
                Some(Source::Store) => redact.of_store(text),
                _ => redact.fact(text),
            };
        });
        for finding in &mut report.findings {
            for text in [&mut finding.subject, &mut finding.harm] {
                *text = redact.data(text);
            }
            // What a subject quotes is what a row is called by.
            finding.subject = redact.of_store(&finding.subject);
        }
    }
    report.each_fact(|source, text| {
        *text = match source {
            Some(Source::Log | Source::Stream | Source::Gateway) => mask.said(text),
            Some(Source::Store | Source::Catalog | Source::File) | None => mask.text(text),
        };
    });
    for finding in &mut report.findings {
        for text in [&mut finding.subject, &mut finding.harm, &mut finding.help] {
            *text = mask.text(text);
        }
    }
}

/// Asks the command to stop at each signal that asks to: whatever ends a run ends it in order.
fn listen(asked: watch::Sender<bool>) {
    let asked = Arc::new(asked);
    for kind in [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
        SignalKind::quit(),
    ] {
        // Whoever starts it with nohup wants it to continue without a terminal.
        if kind == SignalKind::hangup() && is_ignored(kind) {
            continue;
        }
        let Ok(mut signals) = signal(kind) else {
            continue;
        };
        let asked = Arc::clone(&asked);
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                asked.send_replace(true);
                db::stop_reading();
            }
        });
    }
}

/// Whether whoever started this program had a signal ignored.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> (kind.as_raw_value() - 1) & 1 == 1)
}

fn completions(shell: clap_complete::Shell) -> Done {
    use clap::CommandFactory as _;
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "chatctl", &mut script);
    Done::Script(String::from_utf8_lossy(&script).into_owned())
}

/// The reader of a pipe may go before the end; that is not a failure.
fn quietly(written: io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("writing to stdout")
        }
        _ => Ok(()),
    }
}

fn talk(global: &Global, format: &Format) -> Talk {
    match (
        global.quiet,
        format.name == "human" && io::stderr().is_terminal(),
    ) {
        (true, _) => Talk::Quiet,
        (false, true) => Talk::Bar,
        (false, false) => Talk::Notes,
    }
}

fn style(global: &Global) -> Style {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    Style {
        color: match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => !plain && io::stdout().is_terminal(),
        },
        width: terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| width.0),
        verbose: global.verbose > 0,
        terminal: io::stdout().is_terminal(),
    }
}

fn further(reports: &mut [Further], report: &Report) -> anyhow::Result<()> {
    reports.iter_mut().try_for_each(|file| file.write(report))
}
