//! Further reports of a run besides stdout, and errors if there is no report.

use crate::cli_error::CliError;
use crate::config::Config;
use crate::mask::Mask;
use crate::outcome::Outcome;
use crate::render::{Failing, Failure, Format, Style};
use crate::report::Report;
use crate::sink::Sink;
use crate::{cli_error, render};
use anyhow::Context as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The mode of a report that is new: what users wrote may be in it.
const PRIVATE: u32 = 0o600;

/// How long the reader of a pipe may take to hear why there is no report.
const TO_WRITE: Duration = Duration::from_secs(2);

/// A way to a stream of this process.
pub type Streams<'a> = &'a dyn Fn() -> Box<dyn Write + Send>;

/// Where it is reported.
pub struct Reports {
    /// The output format.
    pub format: &'static Format,
    /// The further reports.
    pub files: Vec<Further>,
}

/// A report, or a view, that goes somewhere besides stdout.
pub struct Further {
    pub format: &'static Format,
    path: PathBuf,
    /// Where it goes.
    pub sink: Sink,
}

/// Reads FORMAT=FILE.
pub fn parse(spec: &str) -> Result<(&'static Format, PathBuf), CliError> {
    let (format, file) = spec.split_once('=').ok_or_else(|| {
        CliError::usage(format!("`--report {spec}` is not FORMAT=FILE"))
            .hint("--report junit=out.xml")
    })?;
    Ok((format_named(format)?, PathBuf::from(file)))
}

/// The format of a name that a person gave.
pub fn format_named(name: &str) -> Result<&'static Format, CliError> {
    let known = || render::ALL.iter().map(|format| format.name);
    render::named(name).ok_or_else(|| {
        CliError::usage(format!("unknown format `{name}`"))
            .hint(format!("one of {}", known().collect::<Vec<_>>().join(", ")))
    })
}

impl Further {
    /// Makes ready to write it.
    ///
    /// # Errors
    /// When nothing can be written there.
    pub fn open(format: &'static Format, path: PathBuf) -> anyhow::Result<Self> {
        let sink = Sink::open(&path, PRIVATE).with_context(|| written(format, &path))?;
        Ok(Self { format, path, sink })
    }

    /// Writes a report.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write(&mut self, report: &Report) -> anyhow::Result<()> {
        let told = self.format.write(report, &Style::default(), &mut self.sink);
        told.with_context(|| written(self.format, &self.path))
    }

    /// Writes why there is no report, where the format has words for it.
    fn fail(mut self, failure: &Failure<'_>, stdout: &mut dyn Write) -> anyhow::Result<()> {
        // Half a report and the reason why would be neither.
        if self.sink.written() > 0 {
            return Ok(());
        }
        let wrote = self.format.fail_in_file(failure, &mut self.sink);
        if !wrote.with_context(|| written(self.format, &self.path))? {
            return Ok(());
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        runtime.block_on(self.finish(stdout, async { tokio::time::sleep(TO_WRITE).await }))
    }

    /// Puts what was written in its place; gives up when `stop` is over.
    ///
    /// # Errors
    /// When it can't be put there.
    pub async fn finish(
        self,
        stdout: &mut dyn Write,
        stop: impl Future<Output = ()>,
    ) -> anyhow::Result<()> {
        let finished = self.sink.finish(stdout, stop).await;
        finished.with_context(|| written(self.format, &self.path))
    }
}

fn written(format: &Format, path: &Path) -> String {
    format!("writing the {} report to `{}`", format.name, path.display())
}

impl Reports {
    /// In the format that the command line names, or else the environment.
    pub fn new(format: Option<&str>) -> Self {
        let of_environment = || {
            Config::of_environment()
                .value("format", None)
                .ok()
                .flatten()
        };
        let name = format.map(str::to_owned).or_else(of_environment);
        Self {
            format: name
                .and_then(|name| render::named(&name))
                .unwrap_or(&render::ALL[0]),
            files: Vec::new(),
        }
    }

    /// As far as the words of a command line that can't be read say it.
    pub fn by(words: &[String]) -> Self {
        let config = Config::load(None).unwrap_or_default();
        let flag = given(words, "--format").next();
        let format = config.value("format", flag).ok().flatten();
        let mut told = Self::new(format.as_deref());
        for spec in given(words, "--report") {
            // What can't be written is not what went wrong first.
            let file = parse(spec).ok();
            let opened = file.map(|(format, path)| Further::open(format, path));
            told.files.extend(opened.and_then(Result::ok));
        }
        told
    }

    /// Tells why there is no report, in every place where one was to be.
    pub fn failed(
        self,
        error: &anyhow::Error,
        mask: &Mask,
        streams: (Streams<'_>, Streams<'_>),
    ) -> Outcome {
        let (outcome, hint) = cli_error::classify(error);
        let error = mask.fact(&format!("{error:#}"));
        let hint = hint.map(|hint| mask.text(hint));
        let failure = Failure {
            outcome,
            error: &error,
            hint: hint.as_deref(),
        };
        // There is nowhere to tell that stderr is closed.
        let _ = self.format.fail(&failure, &mut *streams.1());
        self.everywhere(&failure, streams);
        outcome
    }

    /// The same of a command line that can't be read: what its parser says is for whoever typed it.
    pub fn misread(self, error: &clap::Error, streams: (Streams<'_>, Streams<'_>)) -> Outcome {
        let told = Mask::default().fact(&error.to_string());
        let mut parts = told.trim().split("\n\n").map(str::trim);
        let failure = Failure {
            outcome: Outcome::Usage,
            error: parts
                .next()
                .unwrap_or_default()
                .trim_start_matches("error: "),
            hint: parts.next().map(|hint| hint.trim_start_matches("tip: ")),
        };
        // There is nowhere to tell that stderr is closed.
        let _ = match (self.format.name, self.format.failing) {
            ("human", _) | (_, Failing::Stdout(_) | Failing::Text) => error.print(),
            (_, Failing::Stderr(_)) => self.format.fail(&failure, &mut *streams.1()),
        };
        self.everywhere(&failure, streams);
        failure.outcome
    }

    /// On stdout, and in the files; what can't be written there is reported on stderr.
    fn everywhere(self, failure: &Failure<'_>, (out, err): (Streams<'_>, Streams<'_>)) {
        let mut stdout = out();
        let mut told = self
            .format
            .fail_on_stdout(failure, &mut *stdout)
            .map_err(anyhow::Error::from);
        for file in self.files {
            told = told.and_then(|()| file.fail(failure, &mut *stdout));
        }
        if let Err(error) = told {
            let error = format!("{error:#}");
            let failure = Failure {
                error: &error,
                hint: None,
                ..*failure
            };
            let _ = self.format.fail(&failure, &mut *err());
        }
    }
}

/// What is behind a flag, as far as it is there.
fn given<'a>(words: &'a [String], flag: &'a str) -> impl Iterator<Item = &'a str> {
    words
        .iter()
        .enumerate()
        .filter_map(move |(at, word)| match word.strip_prefix(flag)? {
            "" => words.get(at + 1).map(String::as_str),
            rest => rest.strip_prefix('='),
        })
}
