//! MySQL and MariaDB commit every DDL statement by itself, so nothing can be taken back there.
//! The pending files run on a copy of the database first; only when nothing is lost on the copy,
//! they run on the database itself.

use super::BUDGET;
use super::End;
use super::Evidence;
use super::Guard;
use super::Orders;
use super::prove;
use super::prove::Goes;
use super::reach;
use super::reach::Known;
use super::reach::Reach;
use super::stepwise;
use crate::db::Copied;
use crate::db::Door;
use crate::db::Failed;
use crate::db::Session;
use crate::migrate::intent::Intent;
use crate::migrate::intent::Piece;
use crate::migrate::journal::Journal;
use crate::migrate::ledger;
use crate::migrate::scratch::CONFINE;
use crate::migrate::scratch::Extent;
use crate::migrate::scratch::Scratch;
use crate::model::Shape;
use crate::sql::Kind;
use crate::stop::Stop;
use std::collections::BTreeSet;

/// A file, and the number of the statement that it goes on with: what an earlier run did is in the
/// database, and so in the copy.
pub(super) type Rest<'a> = (&'a Intent<'a>, usize);

/// Runs the files on a copy and says of each what is known after it, or what would be lost, or fail.
pub(super) fn run(
    orders: &Orders<'_>,
    files: &[Rest<'_>],
) -> anyhow::Result<Result<Vec<Evidence>, End>> {
    // What it sets for copying reaches no other statement.
    let mut maker = (orders.open)(Door::Database(orders.target))?;
    let mut scratch = Scratch::rehearsal(maker.as_mut(), orders.target)?;
    let ended = on_copy(maker.as_mut(), orders, (&mut scratch, files));
    scratch.remove(maker.as_mut())?;
    ended
}

fn on_copy(
    maker: &mut dyn Session,
    orders: &Orders<'_>,
    (scratch, files): (&mut Scratch, &[Rest<'_>]),
) -> anyhow::Result<Result<Vec<Evidence>, End>> {
    let enter = |confined| {
        (orders.open)(Door::Copy(Copied {
            confined,
            keeper: &scratch.target,
            aside: scratch.aside.as_deref().unwrap_or_default(),
            quiet: scratch.quiet,
        }))
    };
    let confined = scratch.confined.as_ref().map(enter);
    let (mut copy, lets_in) = match confined {
        Some(Ok(copy)) => (copy, true),
        // Who can't be made, or can't come in, is done without.
        Some(Err(_)) | None => {
            opaque(files)?;
            (enter(&scratch.target)?, false)
        }
    };
    scratch.lets_in = lets_in;
    let names = maker.names();
    let known = known(maker)?;
    let reaches = files.iter().map(|(intent, _)| match lets_in {
        true => reach::of(intent, &known, names),
        // Nobody refuses what the text does not name.
        false => Reach::Everything,
    });
    let tables = maker.catalog()?;
    let mut stage = Stage {
        orders,
        scratch,
        files,
        reaches: reaches.collect(),
        tables: tables.iter().filter(|it| prove::measured(it)).count(),
    };
    let ended = stage.play(maker, copy.as_mut())?;
    let is_narrow = |reach: &Reach| *reach != Reach::Everything;
    match ended {
        // It may have failed only for what the text did not name.
        Err(End::Failed(_)) if stage.reaches.iter().any(is_narrow) => {
            stage.reaches = files.iter().map(|_| Reach::Everything).collect();
            stage.scratch.clear(maker)?;
            stage.play(maker, copy.as_mut())
        }
        ended => Ok(ended),
    }
}

/// What there is in a database, as far as one thing reaches another.
fn known(session: &mut dyn Session) -> anyhow::Result<Known> {
    let tables = session.catalog()?.into_iter().map(|shape| shape.name);
    let keys = session.rows(
        "SELECT table_name, referenced_table_name FROM information_schema.referential_constraints WHERE constraint_schema = database()",
    )?;
    let deep = session.rows(
        "SELECT event_object_table FROM information_schema.triggers WHERE trigger_schema = database() \
         UNION SELECT table_name FROM information_schema.tables WHERE table_schema = database() \
         AND (table_type NOT IN ('BASE TABLE', 'SYSTEM VERSIONED') OR engine IS NULL OR engine NOT IN ('InnoDB', 'MyISAM', 'Aria', 'MEMORY', 'ROCKSDB', 'ARCHIVE', 'CSV'))",
    )?;
    Ok(Known {
        tables: tables.collect(),
        keys: keys
            .iter()
            .map(|row| (row[0].to_string(), row[1].to_string()))
            .collect(),
        deep: deep.iter().map(|row| row[0].to_string()).collect(),
    })
}

/// The files on one copy.
struct Stage<'a> {
    orders: &'a Orders<'a>,
    scratch: &'a Scratch,
    files: &'a [Rest<'a>],
    /// What each of the files may reach.
    reaches: Vec<Reach>,
    /// How many tables the database has.
    tables: usize,
}

impl Stage<'_> {
    /// Runs them on an empty copy, which is filled first.
    fn play(
        &self,
        maker: &mut dyn Session,
        copy: &mut dyn Session,
    ) -> anyhow::Result<Result<Vec<Evidence>, End>> {
        let sampled = self.fill(maker, copy)?;
        let mut all = Vec::new();
        for index in 0..self.files.len() {
            self.orders.check()?;
            self.enter(maker, copy, index)?;
            let mut again = |copy: &mut dyn Session| -> Result<(), Failed> {
                self.refill(maker, copy, index).map_err(failed)
            };
            match self.attempt(copy, index, &mut again)? {
                Ok(evidence) => all.push(Evidence {
                    sampled: sampled.clone(),
                    rehearsed: true,
                    tables: self.tables,
                    ..evidence
                }),
                Err(end) => return Ok(Err(end)),
            }
        }
        Ok(Ok(all))
    }

    fn attempt(
        &self,
        copy: &mut dyn Session,
        index: usize,
        again: prove::Again<'_>,
    ) -> anyhow::Result<Result<Evidence, End>> {
        let (intent, first) = self.files[index];
        run_set(copy, intent, first)?;
        let pieces = first..intent.pieces.len();
        let ended = prove::attempt(copy, self.orders, (intent, pieces), Goes::Ends, again)?;
        Ok(ended.map(|proven| proven.evidence))
    }

    /// Lets a file have what it may reach.
    fn enter(
        &self,
        maker: &mut dyn Session,
        copy: &mut dyn Session,
        index: usize,
    ) -> anyhow::Result<()> {
        let (intent, _) = self.files[index];
        let reach = match &self.reaches[index] {
            Reach::Everything => Reach::Everything,
            // An earlier file may have made foreign keys, and given tables other names.
            Reach::Tables { .. } => reach::of(intent, &known(copy)?, copy.names()),
        };
        match reach {
            Reach::Everything => {
                self.scratch.grant(maker, None)?;
                let all = copy.catalog()?.into_iter().map(|it| it.name);
                copy.reaches(all.collect());
            }
            Reach::Tables { named, there } => {
                self.scratch.grant(maker, Some(&named))?;
                copy.reaches(there);
            }
        }
        Ok(copy.tidy()?)
    }

    /// Fills the copy with what the files may reach. Gives the tables of which it has a sample only.
    fn fill(
        &self,
        maker: &mut dyn Session,
        copy: &mut dyn Session,
    ) -> anyhow::Result<BTreeSet<String>> {
        let rows = |size: u64| match self.orders.guard {
            Guard::Exact => None,
            Guard::Auto => (size > BUDGET).then_some(SAMPLE),
            Guard::Counts => Some(SAMPLE),
        };
        let reached = self.reached();
        self.scratch.grant(maker, None)?;
        copy.tidy()?;
        let extent = Extent {
            tables: reached.as_ref(),
            rows: &rows,
        };
        self.scratch.fill(maker, copy, &extent)?;
        let there: Vec<Shape> = copy.catalog()?;
        let mut sampled = BTreeSet::new();
        for table in there.iter().filter(|table| prove::measured(table)) {
            if rows(maker.size(&table.name)?).is_some() {
                sampled.insert(table.name.clone());
            }
        }
        copy.begins(there);
        if reached.is_none() {
            // What the run itself will have made is there for the statements to see.
            ledger::create(copy, self.orders.dialect)?;
            Journal::new(self.orders.dialect).create(copy)?;
        }
        Ok(sampled)
    }

    /// The tables that any of the files may reach; none when that is everything.
    fn reached(&self) -> Option<BTreeSet<String>> {
        let mut all = BTreeSet::new();
        for reach in &self.reaches {
            match reach {
                Reach::Everything => return None,
                Reach::Tables { there, .. } => all.extend(there.iter().cloned()),
            }
        }
        Some(all)
    }

    /// Back to where a file began: the copy is made once more, and the files before it run again.
    fn refill(
        &self,
        maker: &mut dyn Session,
        copy: &mut dyn Session,
        index: usize,
    ) -> anyhow::Result<()> {
        self.scratch.clear(maker)?;
        self.fill(maker, copy)?;
        for before in 0..index {
            self.enter(maker, copy, before)?;
            let mut never = |_: &mut dyn Session| {
                Err(Failed::because(
                    "the database changed while the migrations were rehearsed",
                ))
            };
            if self.attempt(copy, before, &mut never)?.is_err() {
                return Err(Failed::because(
                    "the database changed while the migrations were rehearsed",
                )
                .into());
            }
        }
        self.enter(maker, copy, index)?;
        let (intent, first) = self.files[index];
        Ok(run_set(copy, intent, first)?)
    }
}

fn failed(error: anyhow::Error) -> Failed {
    match error.downcast::<Failed>() {
        Ok(failed) => failed,
        Err(error) => Failed::because(format!("{error:#}")),
    }
}

/// What the statements before it set for the session.
fn run_set(copy: &mut dyn Session, intent: &Intent<'_>, first: usize) -> Result<(), Failed> {
    let mut set = (0..first).filter(|number| stepwise::is_run(intent, *number, first));
    set.try_for_each(|number| prove::try_out(copy, intent, number))
}

/// Without a user who reaches the copy only, what can't be looked into could write anywhere.
fn opaque(files: &[Rest<'_>]) -> Result<(), Stop> {
    for (intent, _) in files {
        let hides = |piece: &&Piece<'_>| {
            let word = piece.text.split_whitespace().next().unwrap_or_default();
            let dynamic = ["prepare", "execute"]
                .iter()
                .any(|it| word.eq_ignore_ascii_case(it));
            dynamic || matches!(piece.facts.kind, Kind::Call | Kind::Do)
        };
        if let Some(piece) = intent.pieces.iter().find(hides) {
            return Err(Stop::refused(format!(
                "{}:{} can't be looked into, and on a copy it could write the real database",
                intent.migration.path.display(),
                piece.line
            ))
            .hint(CONFINE));
        }
    }
    Ok(())
}

/// Rows of a table that is too large to be copied as a whole: the oldest and the newest.
const SAMPLE: u64 = 10_000;
