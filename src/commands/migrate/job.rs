//! Blocking work on a database that a signal can stop.

use super::FAILED;
use crate::cli_error::CliError;
use crate::commands::{Done, Env};
use crate::db::{Door, Interrupter, Missing, Session, Target, Waits};
use crate::report::{Report, StoreLine};
use crate::{cli_error, clock, db, temporary};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// What the work is handed.
pub(super) struct Job {
    pub(super) env: Env,
    /// Turns true when a signal asks to stop.
    pub(super) stop: AtomicBool,
    /// Until when a database is waited for that does not accept connections yet.
    patience: OnceLock<clock::Tick>,
    interrupters: Mutex<Vec<Interrupter>>,
}

/// Runs the work. A signal stops the statement that runs, and its connection rolls back; a run
/// that is committed already is reported as what it is.
pub(super) async fn run(
    env: Env,
    work: impl FnOnce(&Job) -> anyhow::Result<Done> + Send + 'static,
) -> anyhow::Result<Done> {
    let job = Arc::new(Job {
        env,
        stop: AtomicBool::new(false),
        patience: OnceLock::new(),
        interrupters: Mutex::default(),
    });
    let of_work = Arc::clone(&job);
    let work = tokio::task::spawn_blocking(move || work(&of_work));
    tokio::pin!(work);
    tokio::select! {
        done = &mut work => done?,
        () = job.env.until_interrupted() => {
            job.stop.store(true, Ordering::SeqCst);
            job.interrupt();
            // A statement that was about to begin has not heard it.
            let done = match tokio::time::timeout(AGAIN, &mut work).await {
                Ok(done) => done,
                Err(_) => {
                    job.interrupt();
                    work.await
                }
            };
            match done? {
                // A statement that the signal ended did not fail, wherever it was.
                Ok(done) if !failed(&done) => Ok(done),
                _ => Err(CliError::interrupted()
                    .hint("committed changes stay: `chatctl migrate status` shows what is applied, and `chatctl \
                        migrate` resumes there")
                    .into()),
            }
        }
    }
}

/// Whether a statement is said to have failed.
fn failed(done: &Done) -> bool {
    matches!(done, Done::Report(report) if report.findings.iter().any(|it| it.code == FAILED))
}

/// How long after a signal a statement is stopped that began just behind it. What cleans up is tried more
/// often than it can be stopped.
const AGAIN: Duration = Duration::from_secs(1);

impl Job {
    /// Stops the statements that run.
    fn interrupt(&self) {
        let all = self.interrupters.lock();
        let all = all.unwrap_or_else(PoisonError::into_inner);
        all.iter().for_each(|stop| stop());
    }

    /// The database that is asked for.
    pub(super) fn target(&self) -> anyhow::Result<Target> {
        let url = self
            .env
            .config
            .value("database-url", self.env.database_url.as_deref())?
            .ok_or_else(|| {
                CliError::usage("no database").hint(
                    "use --database-url sqlite:PATH, postgres://… or mysql://…, or set DATABASE_URL",
                )
            })?;
        self.env.mask.keep_of(&url);
        let target = self.env.parsed(&url)?;
        self.env
            .progress
            .note(&format!("store: {target} ({})", target.engine()));
        Ok(target)
    }

    /// A report of a sub-command on a database; it reads no chats, and so needs no mapping.
    pub(super) fn report(&self, command: &'static str, target: &Target) -> Report {
        let mut report = Report::new(command);
        report.store = Some(StoreLine {
            backend: target.engine().to_string(),
            url: target.to_string(),
            mapping: String::new(),
        });
        report
    }

    /// A connection whose statements a signal stops.
    pub(super) fn open(
        &self,
        target: &Target,
        missing: Missing,
        waits: Waits,
    ) -> anyhow::Result<Box<dyn Session>> {
        let session = self.patiently(target, || db::open_session(target, missing, waits))?;
        Ok(self.stoppable(session))
    }

    /// A further connection to a database that accepted one already.
    pub(super) fn enter(&self, door: Door<'_>) -> anyhow::Result<Box<dyn Session>> {
        Ok(self.stoppable(db::enter(door, Waits::SHORT)?))
    }

    fn stoppable(&self, session: Box<dyn Session>) -> Box<dyn Session> {
        let mut all = self
            .interrupters
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.push(session.interrupter());
        session
    }

    /// From now on a database that does not accept connections is waited for so long.
    pub(super) fn wait(&self, wait: Duration) {
        // Every sub-command says it once.
        let _ = self.patience.set(clock::now() + wait);
    }

    fn patiently<T>(
        &self,
        target: &Target,
        open: impl Fn() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let mut waiting = false;
        loop {
            let error = match open() {
                Ok(session) => return Ok(session),
                Err(error) => error,
            };
            let time_left = self
                .patience
                .get()
                .is_some_and(|until| clock::now() < *until);
            if !cli_error::is_passing(&error) || !time_left {
                return Err(error);
            }
            if !waiting {
                self.env
                    .progress
                    .note(&format!("waiting for `{}`: {error:#}", target.address()));
                waiting = true;
            }
            if self.is_stopped() {
                return Err(CliError::interrupted().into());
            }
            std::thread::sleep(KNOCK);
        }
    }

    /// Whether a signal asked to stop.
    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// A connection that can't write; none when there is no database yet.
    pub(super) fn look(&self, target: &Target) -> anyhow::Result<Option<Box<dyn Session>>> {
        if self.is_absent(target) {
            return Ok(None);
        }
        self.open(target, Missing::Look, Waits::SHORT).map(Some)
    }

    /// A connection to the database, or to an empty one that `aside` holds where there is none yet.
    pub(super) fn open_or_empty(
        &self,
        target: Target,
        aside: &temporary::Folder,
    ) -> anyhow::Result<(Box<dyn Session>, Target)> {
        let (target, missing) = if self.is_absent(&target) {
            let path = aside.path().join("empty.db").display().to_string();
            (target.sibling(&path), Missing::Create)
        } else {
            (target, Missing::Fail)
        };
        Ok((self.open(&target, missing, Waits::SHORT)?, target))
    }

    /// Whether there is no database yet; the run says so.
    fn is_absent(&self, target: &Target) -> bool {
        let is_absent = target.is_file() && !target.path().exists();
        if is_absent {
            let path = target.path();
            let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
            let then = match folder.filter(|it| !it.exists()) {
                Some(folder) => format!(
                    "nor a folder `{}`: create it, or correct --database-url",
                    folder.display()
                ),
                None => "`chatctl migrate up` creates it".to_owned(),
            };
            self.env.progress.warning(&format!(
                "there is no database at `{}`; {then}",
                path.display()
            ));
        }
        is_absent
    }

    /// A connection for chatctl's own writes.
    pub(super) fn write(&self, target: &Target) -> anyhow::Result<Box<dyn Session>> {
        writable(target)?;
        self.open(target, Missing::Fail, Waits::SHORT)
    }
}

/// How often a database is asked again.
const KNOCK: Duration = Duration::from_millis(200);

/// Refuses a URL that forbids writing, before anything is done.
pub(super) fn writable(target: &Target) -> Result<(), CliError> {
    if target.read_only() {
        Err(CliError::refused(format!("`{target}` forbids writing"))
            .hint("leave `?mode=ro` out of the URL"))
    } else {
        Ok(())
    }
}
