//! The server under test: chatctl starts, watches and stops it.

use super::helper::{Helper, Tracing};
use super::listener;
use super::listener::{Family, Owner, Reserved};
use crate::cli_error::CliError;
use crate::clock::Tick;
use crate::mask::Mask;
use crate::trace::processes;
use crate::{clock, current_exe, mask};
use anyhow::Context as _;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Child;
use tokio::task::JoinHandle;
use url::Url;

/// How often readiness is asked for.
pub(super) const ASK: Duration = Duration::from_millis(20);
/// Longer than the helper's own patience with the server.
const END_WAIT: Duration = Duration::from_secs(5);
/// How long the server's last words are read.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// What is said of a server whose command can't be run.
pub(super) const NOT_STARTED: &str = "could not be started";
/// How many lines of output are kept; a server that floods must not fill the memory.
const KEPT_LINES: usize = 10_000;
/// As much of a line is kept in one piece, in bytes.
const LONGEST_LINE: u64 = 16 * 1024;

/// How to start a server.
#[derive(Debug, Clone)]
pub struct Start {
    /// What it is called, where several are started.
    pub name: Option<Arc<str>>,
    /// The command, with names in braces: `{port}` and those of `values`.
    pub command: String,
    /// What the names in the command stand for.
    pub values: Vec<(String, String)>,
    /// What it finds in its environment besides what chatctl itself has.
    pub environment: Vec<(String, String)>,
    /// The port it must listen on; a free one is taken when absent.
    pub port: Option<u16>,
    /// Whether it listens there.
    pub listens: Listens,
    /// What shows that it is ready, besides that its port accepts connections.
    pub ready: Option<Ready>,
    /// How long it may take.
    pub ready_timeout: Duration,
    /// The secrets of the run, which the server may write.
    pub mask: Mask,
}

/// Whether a process listens on a port of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listens {
    /// It is ready when its port accepts connections, at the earliest.
    Yes,
    /// It has none.
    No,
}

/// What shows that a server is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ready {
    /// A line of its output holds this text.
    Line(String),
    /// This path of the server answers below 500.
    Path(String),
    /// This port of this machine accepts connections.
    Port(u16),
    /// This address answers below 500.
    Url(Url),
}

impl Ready {
    /// A path, a port, a URL, or `line:TEXT`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(said) = text.strip_prefix("line:") {
            return (!said.is_empty()).then(|| Self::Line(said.to_owned()));
        }
        if text.starts_with('/') {
            return Some(Self::Path(text.to_owned()));
        }
        if let Ok(port) = text.parse() {
            return Some(Self::Port(port));
        }
        let url = Url::parse(text).ok()?;
        let web = ["http", "https"].contains(&url.scheme()) && url.has_host();
        web.then_some(Self::Url(url))
    }
}

/// A running server.
pub struct Server {
    pub(super) child: Child,
    pub(super) helper: Helper,
    output: Arc<Mutex<VecDeque<OutputLine>>>,
    keeping: JoinHandle<()>,
    url: Url,
    pub(super) start: Start,
    pub(super) group: u32,
    /// When the first process of the group was started.
    started_at: Option<u64>,
    // Keeps its port for it while it is stopped.
    pub(super) reserved: Option<Reserved>,
}

/// What became of a server that was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    /// It answers.
    Ready,
    Ended,
    /// It runs, and does not answer in the time that it may take.
    Slow,
    /// Another process answers, by its id.
    Foreign(u32),
}

/// A line that the server wrote.
#[derive(Debug, Clone)]
pub struct OutputLine {
    /// When it was read.
    pub at: Tick,
    /// Which process wrote it, where several were started.
    pub by: Option<Arc<str>>,
    /// The line.
    pub text: String,
}

impl fmt::Display for OutputLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.by {
            Some(by) => write!(f, "{by}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// What kills a server and everything that it started, at once, as a crash would.
#[derive(Debug, Clone)]
pub struct Killer {
    family: Family,
    /// Its command's process group, where it has members.
    group: Option<Pid>,
    /// Processes outside the group that were there in time, and when each was started: at that moment there is no time
    /// to look for them.
    outside: Vec<(u32, Option<u64>)>,
}

impl Killer {
    fn new(family: Family) -> Self {
        let all = family.members().into_iter();
        let (inside, outside): (Vec<u32>, Vec<u32>) =
            all.partition(|pid| family.has_in_group(*pid));
        // Group 0 would be chatctl's own.
        let group = i32::try_from(family.group).ok();
        let is_there = !inside.is_empty() || !cfg!(target_os = "linux");
        let group = group.filter(|group| *group > 0 && is_there);
        let started = |pid| (pid, processes::started_at(pid));
        Self {
            family,
            group: group.map(Pid::from_raw),
            outside: outside.into_iter().map(started).collect(),
        }
    }

    /// Kills it. Returns before it is gone.
    pub fn kill(&self) {
        /// So often what was started meanwhile is looked for.
        const TIMES: usize = 5;
        if self.family.helper.is_none() {
            // It has ended, and with it the server.
            return;
        }
        if let Some(group) = self.group {
            let _ = killpg(group, Signal::SIGKILL);
        }
        for (pid, started) in &self.outside {
            if started.is_some() && processes::started_at(*pid) == *started {
                end_one(*pid);
            }
        }
        for _ in 0..TIMES {
            let mut left = self.family.members();
            left.retain(|pid| !processes::has_ended(*pid));
            if left.is_empty() {
                break;
            }
            left.into_iter().for_each(end_one);
        }
    }
}

fn end_one(pid: u32) {
    if let Ok(pid @ 1..) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

impl Server {
    /// Starts it and waits until it is ready.
    pub async fn start(start: &Start) -> anyhow::Result<Self> {
        match start.port {
            None => {
                let reserved = Reserved::new().context("looking for a free port")?;
                Self::start_on(start, reserved).await
            }
            Some(port) if listener::is_free(port) => Self::begin(start, port, None).await,
            Some(port) => Err(CliError::unreachable(format!("port {port} is in use already"))
                .hint("stop the process that listens there, or leave --server out and use {port} in --start; to test \
                    that process itself, leave out --start (or `start` in chatctl.toml)")
                .into()),
        }
    }

    /// The same on a port that is kept for it.
    ///
    /// # Errors
    /// When it can't be started, or is not ready in time.
    pub async fn start_on(start: &Start, reserved: Reserved) -> anyhow::Result<Self> {
        let port = reserved.port();
        Self::begin(start, port, Some(reserved)).await
    }

    async fn begin(start: &Start, port: u16, reserved: Option<Reserved>) -> anyhow::Result<Self> {
        let mut server = Self::launch(start, port).await?;
        server.reserved = reserved;
        if server.group == 0 {
            return Err(server.failed(NOT_STARTED).await);
        }
        server.wait_until_ready().await?;
        Ok(server)
    }

    /// Starts it on a port, and waits for nothing. Its group is 0 when its command can't be run.
    pub(super) async fn launch(start: &Start, port: u16) -> anyhow::Result<Self> {
        let command = fill(start, port)?;
        let mut child = tokio::process::Command::new(current_exe::program()?)
            .arg("supervise")
            .arg("--")
            .args(&command)
            .envs(start.environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting the server")?;
        let mut helper = Helper::new(
            child.stdin.take().expect("stdin is piped"),
            child.stdout.take().expect("stdout is piped"),
        );
        let output = Arc::new(Mutex::new(VecDeque::new()));
        let keeping = tokio::spawn(keep(
            child.stderr.take().expect("stderr is piped"),
            start.name.clone(),
            Arc::clone(&output),
        ));
        let group = helper.group().await;
        Ok(Self {
            child,
            helper,
            output,
            keeping,
            url: Url::parse(&format!("http://127.0.0.1:{port}/"))
                .expect("a number makes a valid URL"),
            start: Start {
                port: Some(port),
                ..start.clone()
            },
            group,
            started_at: processes::started_at(group),
            reserved: None,
        })
    }

    /// Waits until it answers.
    ///
    /// # Errors
    /// When it ends, or does not answer in the time that it may take; then it is ended.
    pub async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        match self.begun().await? {
            Begun::Ready => Ok(()),
            not => Err(self.not_ready(not).await),
        }
    }

    /// Waits until it is known what becomes of it.
    pub(super) async fn begun(&mut self) -> anyhow::Result<Begun> {
        let (ready, port) = (self.start.ready.clone(), self.port());
        let deadline = clock::now() + self.start.ready_timeout;
        let client = super::Client::new(self.url.clone(), None)?;
        loop {
            if self.child.try_wait()?.is_some() {
                return Ok(Begun::Ended);
            }
            let is_open = self.start.listens == Listens::No || accepts(port).await;
            if is_open && self.is_ready(&client, ready.as_ref()).await {
                break;
            }
            if clock::now() >= deadline {
                return Ok(Begun::Slow);
            }
            tokio::time::sleep(ASK).await;
        }
        if self.start.listens == Listens::No {
            return Ok(Begun::Ready);
        }
        Ok(match listener::owner(port, self.family()) {
            Owner::Ours | Owner::Unknown => Begun::Ready,
            Owner::Other(pid) => Begun::Foreign(pid),
        })
    }

    async fn is_ready(&self, client: &super::Client, ready: Option<&Ready>) -> bool {
        let asked = match ready {
            None => return true,
            Some(Ready::Line(text)) => {
                let output = self.output.lock().expect("no reader of the output panics");
                return output.iter().any(|line| line.text.contains(text));
            }
            Some(Ready::Port(port)) => return accepts(*port).await,
            Some(Ready::Path(path)) => client.send(&get(path)).await,
            Some(Ready::Url(url)) => {
                let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
                let root = url.join("/").unwrap_or_else(|_| url.clone());
                match super::Client::new(root, None) {
                    Ok(client) => client.send(&get(path)).await,
                    Err(_) => return false,
                }
            }
        };
        asked.is_ok_and(|answer| answer.status < 500)
    }

    /// The error of one that is not ready; it is ended.
    pub(super) async fn not_ready(&mut self, begun: Begun) -> anyhow::Error {
        let patience = humantime::format_duration(self.start.ready_timeout);
        match begun {
            Begun::Slow => {
                self.failed(&format!("runs, and was not ready within {patience}"))
                    .await
            }
            Begun::Foreign(pid) => CliError::unreachable(format!(
                "process {pid} listens on port {}, not the server that was started",
                self.port()
            ))
            .hint("check that the command uses {port}; otherwise stop the other process, or leave --server out")
            .into(),
            Begun::Ended | Begun::Ready => self.failed("ended before it was ready").await,
        }
    }

    /// The port that it must listen on.
    pub(super) fn port(&self) -> u16 {
        self.start
            .port
            .expect("a server that was started has a port")
    }

    /// The error of a server that does not run, with the end of its output.
    pub(super) async fn failed(&mut self, how: &str) -> anyhow::Error {
        self.end().await;
        let tail = self.tail(20);
        let tail = if tail.is_empty() {
            "it wrote nothing".to_owned()
        } else {
            format!("the end of its output:\n{tail}")
        };
        match &self.start.name {
            None => CliError::unreachable(format!("the server {how}; {tail}"))
                .hint("run the --start command by hand; it must listen on 127.0.0.1 at {port}, and be ready within --ready-timeout (--ready sets what shows that it is ready)"),
            Some(name) => CliError::unreachable(format!("the process `{name}` {how}; {tail}"))
                .hint("run its command by hand; with {port} it must listen there on 127.0.0.1, and be ready within its `ready-timeout` (`ready` sets what shows that it is ready)"),
        }
        .into()
    }

    /// Where it listens.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// What it wrote since a moment.
    pub fn output_since(&self, since: Tick) -> Vec<OutputLine> {
        let output = self.output.lock().expect("no reader of the output panics");
        output
            .iter()
            .filter(|line| line.at >= since)
            .cloned()
            .collect()
    }

    /// The last lines that it wrote.
    pub fn tail(&self, lines: usize) -> String {
        let output = self.output.lock().expect("no reader of the output panics");
        let tail = output.iter().skip(output.len().saturating_sub(lines));
        let tail: Vec<_> = tail.map(|line| format!("  {line}")).collect();
        self.start.mask.said(&tail.join("\n"))
    }

    /// What kills it, at a moment when nothing may take time.
    pub fn killer(&self) -> Killer {
        Killer::new(self.family())
    }

    pub(super) fn family(&self) -> Family {
        Family {
            group: self.group,
            helper: self.child.id(),
        }
    }

    /// What is asked and told of its system calls, for anyone who asks first since it was started.
    pub fn tracing(&mut self) -> Option<Tracing> {
        self.helper.tracing()
    }

    /// The processes that it consists of.
    pub fn processes(&self) -> BTreeSet<u32> {
        self.family().members()
    }

    /// How long it may take to be ready.
    pub fn patience(&self) -> Duration {
        self.start.ready_timeout
    }

    /// The command that starts it, as it was given.
    pub fn command(&self) -> &str {
        &self.start.command
    }

    /// Ends it and everything that it started.
    pub async fn end(&mut self) {
        self.helper.close();
        let ended = tokio::time::timeout(END_WAIT, self.child.wait()).await;
        if ended.is_err() {
            // The helper itself hangs; without it the pipe can't do its work.
            self.killer().kill();
            let _ = self.child.kill().await;
        }
        // A helper that was killed has ended nothing. The id of the group may be another one's by now.
        let has_ended_it = matches!(&ended, Ok(Ok(status)) if status.code().is_some());
        let is_it =
            self.started_at.is_some() && processes::started_at(self.group) == self.started_at;
        if let Ok(group @ 1..) = i32::try_from(self.group)
            && !has_ended_it
            && is_it
        {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        // What it wrote last may still be in the pipe; a process that got away may keep it open.
        if !self.keeping.is_finished() {
            let _ = tokio::time::timeout(LAST_WORDS, &mut self.keeping).await;
        }
    }
}

async fn accepts(port: u16) -> bool {
    let connecting = tokio::net::TcpStream::connect(("127.0.0.1", port));
    connecting.await.is_ok()
}

fn get(path: &str) -> super::Outgoing {
    super::Outgoing {
        method: "GET".into(),
        path: path.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
    }
}

async fn keep(
    output: impl tokio::io::AsyncRead + Unpin,
    by: Option<Arc<str>>,
    kept: Arc<Mutex<VecDeque<OutputLine>>>,
) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    // Bytes, not text: a server may write anything, and what it writes without a line end is cut.
    loop {
        let mut part = (&mut output).take(LONGEST_LINE);
        if !matches!(part.read_until(b'\n', &mut line).await, Ok(read) if read > 0) {
            break;
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        let mut kept = kept.lock().expect("no reader of the output panics");
        if kept.len() == KEPT_LINES {
            kept.pop_front();
        }
        kept.push_back(OutputLine {
            at: clock::now(),
            by: by.clone(),
            text,
        });
    }
}

/// The words of a command.
///
/// # Errors
/// When it has none, or a quote is not closed.
pub fn words(command: &str) -> Result<Vec<String>, CliError> {
    let words = shlex::split(command).filter(|words| !words.is_empty());
    words.ok_or_else(|| {
        CliError::usage(format!(
            "`--start {}` is not a command: a quote is not closed, or it is empty",
            mask::command(command)
        ))
        .hint("quote it as for a shell: --start 'uvicorn app:app --port {port}'")
    })
}

/// The command's words, with the names filled in.
fn fill(start: &Start, port: u16) -> anyhow::Result<Vec<String>> {
    let words = words(&start.command)?;
    let port = ("port".to_owned(), port.to_string());
    let values: Vec<_> = start.values.iter().chain([&port]).collect();
    Ok(words
        .into_iter()
        .map(|word| {
            values.iter().fold(word, |word, (name, value)| {
                word.replace(&format!("{{{name}}}"), value)
            })
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::Ready;

    #[test]
    fn what_is_ready_is_a_path_a_port_or_a_web_address() {
        let url = |text: &str| Some(Ready::Url(text.parse().unwrap()));
        for (text, ready) in [
            ("/health", Some(Ready::Path("/health".into()))),
            ("/", Some(Ready::Path("/".into()))),
            ("8000", Some(Ready::Port(8000))),
            ("http://localhost:3000/up", url("http://localhost:3000/up")),
            ("https://chat.example/", url("https://chat.example/")),
            ("65536", None),
            ("-1", None),
            ("health", None),
            ("localhost:3000", None),
            ("ftp://localhost/", None),
            ("file:///tmp/up", None),
            ("", None),
        ] {
            assert_eq!(Ready::parse(text), ready, "{text}");
        }
    }
}
