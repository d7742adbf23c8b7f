//! One round: chats, a restart, and a request for every conversation.

use super::account::{Account, HistoryBefore, Own, Since, Stored};
use super::gap::Gap;
use super::hold::{Awaited, Held, LOOK_AGAIN};
use super::state::State;
use super::stop::{After, Prepared};
use super::tables::Look;
use super::ways::{Way, When};
use super::{account, places, startup, stop, tables};
use crate::cli_error::CliError;
use crate::clock;
use crate::report::{Finding, Lane, Severity, Source};
use crate::store::Mapping;
use crate::stream::judge;
use crate::stream::judge::Observed;
use crate::stream::run::{Interrupted, Moments, Stage, moved};
use crate::text::plural;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How many new databases are named.
const SHOWN: usize = 3;

/// A round under way.
pub(super) struct Round {
    way: &'static Way,
    pub(super) moments: Moments,
    pub(super) findings: Vec<Finding>,
    /// How often it was tried.
    tries: usize,
    /// How late the server was killed at the final marker.
    gap: Option<Gap>,
    /// The same of the best try before.
    soonest: Option<Gap>,
    /// Why the turn did not come to where the server was to be stopped.
    missed: Option<String>,
    /// The turn that was under way when it was.
    interrupted: Option<Interrupted>,
    /// What became of that turn.
    fate: Option<String>,
    /// How many conversations were asked for.
    pub(super) checked: u64,
    messages: usize,
    /// Whether the server was stopped: from then on an error is part of the experiment.
    pub(super) stopped: bool,
    /// Whether there is no server any more.
    pub(super) down: bool,
    /// Why it may be another program that answers.
    stranger: Option<String>,
    /// The same, where only its answers accuse the server.
    doubt: Option<String>,
    /// Why nobody knows what became of the rows.
    open: Option<String>,
    /// Databases that came with the new start.
    new_places: BTreeSet<String>,
}

impl Round {
    pub(super) fn new(way: &'static Way) -> Self {
        Self {
            way,
            moments: Moments::default(),
            findings: Vec::new(),
            tries: 1,
            gap: None,
            soonest: None,
            missed: None,
            interrupted: None,
            fate: None,
            checked: 0,
            messages: 0,
            stopped: false,
            down: false,
            stranger: None,
            doubt: None,
            open: None,
            new_places: BTreeSet::new(),
        }
    }

    pub(super) fn metrics(&self) -> BTreeMap<&'static str, f64> {
        let gap = self.gap.map(|gap| ("gap_ms", gap.ms()));
        let counted = [
            ("conversations", self.checked as f64),
            ("messages", self.messages as f64),
        ];
        counted.into_iter().chain(gap).collect()
    }

    /// Runs it. Gives what held, in words.
    pub(super) async fn run(&mut self, of: &mut State<'_, '_>) -> anyhow::Result<String> {
        let deadline = clock::now() + of.stage.settle();
        for held in &mut of.held {
            held.look(of.stage, Awaited::All, deadline).await?;
        }
        let mut new = match Held::begin(of.stage, &mut of.elsewhere).await {
            Ok(new) => new,
            Err(error) => {
                self.findings.extend(of.no_tables(&error).await?);
                // Without tables a restart has nothing to lose.
                self.down = !self.findings.is_empty();
                return Err(error);
            }
        };
        self.moments.now(
            Lane::Client,
            format!(
                "{} sent and answered",
                plural(new.said.len() as u64, "turn")
            ),
        );
        look_at_new(of, &mut new).await?;
        self.findings.extend(of.look_for_others(&new).await?);
        let before = look(of).await?;
        let known = databases(of).await?;
        let prepared = stop::prepare(of.stage, self.way);
        self.say_last(of.stage, &mut new, &prepared).await?;
        if self.missed.is_some() {
            // A turn of it is under way, so what it holds is not known any more.
            of.stage.rest();
            return Ok(String::new());
        }
        self.stopped = true;
        let at_work = (&prepared, &mut new);
        let after = stop::restart(of.stage, self.way, at_work, of.options, &mut self.moments).await;
        // Without a server that chatctl could start again there is nothing to continue with.
        self.down = after.is_err() && self.way.restarts();
        let after = after?;
        new.hang_up();
        of.stage.rest();
        of.held.push(new);
        let up = match after {
            After::Up(up) => up,
            After::Down(why) => {
                self.findings.push(self.did_not_start(of, &why));
                self.down = true;
                return Ok(String::new());
            }
        };
        self.stranger = up.stranger;
        of.stage.open_again().await?;
        self.new_places = databases(of).await?.difference(&known).cloned().collect();
        let lost = self.ask(of).await?;
        if let (Some(before), Some(after)) = (before, look(of).await?) {
            let session = &of.stage.session().name;
            let mut found = tables::compare(session, self.way, &before, &after, lost);
            if of.stored && !broken(&self.findings) && after.rows() >= before.rows() {
                // Start-up code may have put a view in its place: all of its rows are read as before.
                let table = of.stage.mapping().map(Mapping::table);
                found.retain(|it| it.code != "table-missing" || Some(it.subject.as_str()) != table);
            }
            self.findings.extend(found);
            if after.rows() < before.rows()
                && let (Some(db), Some(mapping)) = (of.stage.store(), of.stage.mapping())
            {
                let gone = tables::young_gone(db, mapping, &before).await?;
                self.open = self.open.take().or(gone);
            }
        }
        let suspicious = startup::suspicious(up.lines.iter().map(String::as_str));
        let session = &of.stage.session().name;
        let is_broken = broken(&self.findings);
        self.findings
            .extend(startup::finding(session, self.way, &suspicious, is_broken));
        let gap = self.gap.map(Gap::words);
        for end in gap.into_iter().chain(up.end) {
            self.tell_end(&end);
        }
        if let Some(doubt) = self.doubt.take() {
            // What another program says in further rounds would be held against the server.
            self.down = true;
            return Err(CliError::unreachable(doubt)
                .hint(
                    "stop the other program, so that the command can start the server on this port",
                )
                .into());
        }
        self.go_on(of).await?;
        Ok(self.held())
    }

    /// What was shown when nothing was lost.
    fn held(&self) -> String {
        let held = format!(
            "all {} messages of {} were there after {}",
            self.messages,
            conversations(self.checked),
            self.way.words
        );
        match (self.gap, &self.fate) {
            (Some(gap), _) => format!("{held}; {}: a faster save is not caught", gap.words()),
            (None, Some(fate)) => format!("{held}; of the interrupted turn {fate}"),
            (None, None) => held,
        }
    }

    /// Why the round shows nothing: the server was not stopped where it was meant to be, or was tried so often,
    /// and was late each time.
    pub(super) fn shows_nothing(&self) -> Option<String> {
        if let Some(why) = &self.missed {
            return Some(format!("the server was not stopped: {why}"));
        }
        if let Some(why) = &self.open {
            return Some(why.clone());
        }
        let gap = self.gap.filter(|_| self.is_late())?;
        let soonest = self.soonest.map_or(gap, |soonest| soonest.shorter(gap));
        Some(soonest.too_late(self.tries))
    }

    /// Says what is under way when the server is stopped. At the final marker it is killed at once.
    async fn say_last(
        &mut self,
        stage: &mut Stage<'_>,
        held: &mut Held,
        prepared: &Prepared,
    ) -> anyhow::Result<()> {
        match self.way.when {
            When::Over => {}
            When::At(place) => match held.interrupt(stage, place, &mut self.moments).await? {
                Ok(interrupted) => self.interrupted = Some(interrupted),
                Err(why) => self.missed = Some(why),
            },
            When::Final => {
                let killer = prepared.killer.clone().expect("this method kills");
                let act = Box::new(move || killer.kill());
                let acted = held.go_on_and_act(stage, act).await?;
                let marker = held.said.last().and_then(|said| said.acknowledged);
                let marker = marker.unwrap_or(acted.at);
                self.moments
                    .at(marker, Lane::Client, "final marker received");
                self.moments.at(acted.at, Lane::Server, "SIGKILL");
                self.gap = Some(Gap::new(acted));
            }
        }
        Ok(())
    }

    /// Whether the server was killed too late to show that it loses nothing.
    pub(super) fn is_late(&self) -> bool {
        self.gap.is_some_and(Gap::is_late) && !broken(&self.findings)
    }

    /// Another try of the round, after one that showed nothing.
    pub(super) fn again(self) -> Self {
        let soonest = self.gap.into_iter().chain(self.soonest);
        Self {
            tries: self.tries + 1,
            soonest: soonest.reduce(Gap::shorter),
            moments: self.moments,
            findings: self.findings,
            checked: self.checked,
            ..Self::new(self.way)
        }
    }

    /// Asks for every conversation. Those that are damaged are asked for no more; returns how many
    /// rows went with them.
    async fn ask(&mut self, of: &mut State<'_, '_>) -> anyhow::Result<i64> {
        let mut lost = 0;
        let deadline = clock::now() + of.stage.settle();
        for mut held in std::mem::take(&mut of.held) {
            let after = held.rows(of.stage, Awaited::All, deadline).await?;
            let mut recalled = of.stage.recall(&mut held.chat).await?;
            let told = held.remembered_turns();
            let own = Own {
                stored: &[&held.before, &after],
                ..of.own(&told)
            };
            if let Some(Ok(records)) = recalled.as_mut().map(|told| told.messages.as_mut()) {
                *records = own.of(records);
            }
            let shown_of_it = own.of(held.shown().records);
            let hidden = held.hidden.take();
            let shown = held.shown();
            of.stored |= !after.is_empty();
            let mapping = of.stage.mapping();
            if let Some(mapping) = mapping {
                let why = || nothing_in(mapping.table(), of.stage.settle());
                of.elsewhere = (!of.stored).then(why);
            }
            let account = Account {
                session: &of.stage.session().name,
                way: self.way,
                told: &told,
                shown: HistoryBefore {
                    records: &shown_of_it,
                    ..shown
                },
                recalled: recalled.as_ref(),
                // A table that the chats never come to says nothing of what is lost.
                stored: mapping.filter(|_| of.stored).map(|mapping| Stored {
                    table: mapping.table(),
                    before: &held.before,
                    after: &after,
                    is_ordered: mapping.is_ordered(),
                }),
            };
            let mut findings = account.findings();
            if self.stranger.is_some() && broken(&findings) {
                // Another program's answers accuse nobody; what the store lost is lost.
                let unasked = Account {
                    recalled: None,
                    ..account
                };
                findings = unasked.findings();
                if !broken(&findings) {
                    self.doubt.clone_from(&self.stranger);
                }
            }
            let hidden = hidden.filter(|_| account.shows_all());
            findings.extend(hidden.map(|fact| account.not_shown(fact)));
            let by_history = Account {
                stored: None,
                ..account
            };
            let gone = held.before.len().saturating_sub(after.len()) as i64;
            if let Some(why) = is_moved(&findings, (&account, &by_history), mapping) {
                findings = by_history.findings();
                self.open = Some(why);
                lost += gone;
            } else if !broken(&findings) {
                let lost = held.lost_head(of.stage, self.way).await;
                findings.extend(lost.map(|lost| account::if_shown(lost, account.shows_all())));
                let reordered = || account.perhaps_reordered();
                let open = || {
                    account
                        .added()
                        .or_else(reordered)
                        .or_else(|| account.unread())
                };
                self.open = self.open.take().or_else(open);
            }
            self.checked += 1;
            self.messages += told.iter().filter(|turn| turn.acknowledged).count() * 2;
            let is_broken = broken(&findings);
            if is_broken {
                of.look_anywhere(&held).await;
            }
            if is_broken && of.elsewhere.is_some() && !of.in_store {
                findings.push(self.not_durable(of));
            }
            self.findings.extend(findings);
            if is_broken {
                lost += gone;
            } else {
                of.held.push(held);
            }
        }
        self.moments.now(
            Lane::Client,
            format!("{} asked for", conversations(self.checked)),
        );
        Ok(lost)
    }

    /// The next turn of the newest conversation: does the model still know what was said?
    async fn go_on(&mut self, of: &mut State<'_, '_>) -> anyhow::Result<()> {
        let Some(held) = of.held.last_mut() else {
            return Ok(());
        };
        // A conversation that lost something is asked for no more.
        let is_here = |cut: &Interrupted| held.said.iter().any(|said| cut.is(&said.tag));
        match self.interrupted.take().filter(is_here) {
            None => held.go_on(of.stage).await?,
            Some(mut cut) => {
                let turns = held.said.len();
                let judged = held.go_on_after(of.stage, &mut cut, &mut self.moments);
                let judged = judged.await?;
                self.findings.extend(judged.findings);
                self.fate = Some(judged.reason);
                if held.said.len() == turns {
                    // Nobody can say any more what it must hold.
                    of.held.pop();
                    of.stage.rest();
                    return Ok(());
                }
            }
        }
        held.hang_up();
        of.stage.rest();
        self.moments.now(Lane::Client, "the conversation continued");
        let observed = Observed {
            turns: held.turns(),
            ..of.stage.observed()
        };
        let lost = judge::findings(&observed)
            .into_iter()
            .filter(|finding| finding.code == "context-lost");
        self.findings.extend(lost);
        self.look_since(of).await
    }

    /// Whether a reload shows the conversation that continued. It may take its time.
    async fn look_since(&mut self, of: &mut State<'_, '_>) -> anyhow::Result<()> {
        let Some(mut held) = of.held.pop() else {
            return Ok(());
        };
        let deadline = clock::now() + of.stage.settle();
        let told = held.remembered_turns();
        while let Some(mut recalled) = of.stage.recall(&mut held.chat).await? {
            let own = Own {
                stored: &[&held.before],
                ..of.own(&told)
            };
            if let Ok(records) = &mut recalled.messages {
                *records = own.of(records);
            }
            let shown_of_it = own.of(held.shown().records);
            let shown = held.shown();
            let account = Account {
                session: &of.stage.session().name,
                way: self.way,
                told: &told,
                shown: HistoryBefore {
                    records: &shown_of_it,
                    ..shown
                },
                recalled: Some(&recalled),
                stored: None,
            };
            let since = account.since();
            let is_over = clock::now() >= deadline;
            match since {
                Since::Shown => break,
                Since::Hidden(fact) if is_over => {
                    self.open = Some(format!(
                        "a reload does not show the turn after the restart ({fact}): another restart shows \
                            whether this is a page of a fixed size or a copy made at start"
                    ));
                    held.hidden = Some(fact);
                    break;
                }
                Since::Wrong(finding) if is_over => {
                    self.findings.push(*finding);
                    break;
                }
                Since::Hidden(_) | Since::Wrong(_) => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
        of.held.push(held);
        Ok(())
    }

    fn did_not_start(&self, of: &State<'_, '_>, why: &str) -> Finding {
        Finding::new(
            "server-did-not-start",
            Severity::Error,
            &of.stage.session().name,
            format!("the server does not start again after {}", self.way.words),
            "read the end of its output; a start must not depend on how the last run ended; if the server needs \
                longer to start, raise --ready-timeout",
        )
        .with(Source::Log, why)
    }

    /// Messages that were acknowledged stood in no table, and are gone.
    fn not_durable(&self, of: &State<'_, '_>) -> Finding {
        let db = of.stage.store();
        let target = db.map_or_else(|| "the store".to_owned(), |db| format!("`{}`", db.target()));
        let is_file = db.is_none_or(|db| db.target().is_file());
        let (place, help) = if is_file {
            (
                "in a file of its own",
                "give the server a database that outlives its process, at a path that is the same at every start",
            )
        } else {
            (
                "in its own file or database",
                "let the server read the URL of its database from where you set it, and look in its start-up \
                    code for a default such as `sqlite://`; if it keeps its chats in another durable database, \
                    give that one as --database-url",
            )
        };
        let finding = Finding::new(
            "store-not-durable",
            Severity::Error,
            &of.stage.session().name,
            format!(
                "the server keeps its chats in memory or {place}, not in {target}: a restart deletes them"
            ),
            help,
        );
        let finding = of
            .elsewhere
            .iter()
            .fold(finding, |finding, why| finding.with(Source::Store, why));
        self.new_places
            .iter()
            .take(SHOWN)
            .fold(finding, |finding, place| {
                finding.with(
                    Source::Catalog,
                    format!("{place} appeared with the restart"),
                )
            })
    }

    /// Says of what is lost how the server ended.
    fn tell_end(&mut self, end: &str) {
        let findings = std::mem::take(&mut self.findings).into_iter();
        let told = findings.map(|finding| match finding.severity {
            Severity::Error => finding.with(Source::Log, end),
            _ => finding,
        });
        self.findings = told.collect();
    }
}

/// What the store and the server have of a new conversation before the stop. There is no waiting for
/// its last turn, so that it can be lost.
async fn look_at_new(of: &mut State<'_, '_>, new: &mut Held) -> anyhow::Result<()> {
    // Whether the chats come to this store at all has to be known before the first stop.
    let awaited = if of.stored {
        Awaited::ButLastTurn
    } else {
        Awaited::ButLastAnswer
    };
    let deadline = clock::now() + of.stage.settle();
    new.look(of.stage, awaited, deadline).await?;
    of.stored |= !new.before.is_empty();
    of.look_anywhere(new).await;
    Ok(())
}

/// Why a store that is there shows nothing.
fn nothing_in(table: &str, settle: Duration) -> String {
    let settle = humantime::format_duration(settle);
    format!(
        "no row of `{table}` holds a text of the chats that were held, in a search of {settle}: does the server \
            write to this table?"
    )
}

fn broken(findings: &[Finding]) -> bool {
    findings
        .iter()
        .any(|finding| finding.severity == Severity::Error)
}

fn conversations(count: u64) -> String {
    match count {
        1 => "1 conversation".to_owned(),
        more => format!("{more} conversations"),
    }
}

async fn databases(of: &State<'_, '_>) -> anyhow::Result<BTreeSet<String>> {
    match (of.stage.store(), &of.elsewhere) {
        (Some(db), Some(_)) => places::all(db).await,
        _ => Ok(BTreeSet::new()),
    }
}

async fn look(of: &State<'_, '_>) -> anyhow::Result<Option<Look>> {
    Ok(match (of.stage.store(), of.stage.mapping()) {
        (Some(db), Some(mapping)) => Some(tables::look(db, mapping).await?),
        _ => None,
    })
}

/// Why nobody knows what became of rows that are gone, where a reload shows all that they held: start-up code
/// may have moved them.
fn is_moved(
    findings: &[Finding],
    (account, by_history): (&Account<'_>, &Account<'_>),
    mapping: Option<&Mapping>,
) -> Option<String> {
    let errors = || {
        findings
            .iter()
            .filter(|found| found.severity == Severity::Error)
    };
    let is_loss = |found: &Finding| {
        [
            "conversation-not-found",
            "message-lost-on-restart",
            "message-lost-on-kill",
        ]
        .contains(&found.code)
    };
    let is_shown = by_history
        .recalled
        .is_some_and(|told| told.messages.as_ref().is_ok_and(|all| !all.is_empty()));
    let is_gone = errors().next().is_some() && errors().all(is_loss) && !account.never_had_steps();
    let table = mapping?.table();
    (is_gone && is_shown && !broken(&by_history.findings())).then(|| {
        if account.lacks_messages() {
            moved(table)
        } else {
            format!(
                "rows of tools are no longer in `{table}`, and a reload does not show whether they are \
                    elsewhere now: look for a clean-up in the server's start-up code"
            )
        }
    })
}
