//! MySQL and MariaDB commit every DDL statement implicitly, so nothing can be rolled back there.
//! The pending files run on a copy of the database first; only when nothing is lost on the copy,
//! they run on the database itself.

use super::blind::Sees;
use super::elsewhere::{Gone, Inventory, runs_code};
use super::fallen::Fallen;
use super::options::{BUDGET, SAMPLE};
use super::prove::{Proven, Remaining, TOGETHER};
use super::reach::{Known, Reach};
use super::unfinished::Made;
use super::unseen::{Unseen, first_word};
use super::{ApplyOptions, End, Evidence, Guard, Tried, fresh, prove, reach, staged, stranded};
use crate::cli_error::CliError;
use crate::db::{CONFINE, Copied, Copying, Door, Extent, Failed, Scratch, Seeds, Session};
use crate::migrate::intent::{Intent, Piece};
use crate::migrate::journal::Journal;
use crate::migrate::ledger;
use crate::migrate::preserve::Tables;
use crate::model::{Cell, Shape};
use crate::sql::Kind;
use std::collections::{BTreeMap, BTreeSet};

/// What is to be run of a file.
#[derive(Clone, Copy)]
pub(super) struct Rest<'a> {
    /// The file.
    pub(super) intent: &'a Intent<'a>,
    /// The statement that it continues with: what an earlier run did is in the database, and so in the
    /// copy.
    pub(super) first: usize,
    /// What is left of the tables and columns that it began with, when an earlier run made others,
    /// each with its table's name of then.
    pub(super) left: Option<&'a [(Shape, String)]>,
}

/// What the rehearsal of a file showed.
pub(super) struct Rehearsed {
    /// What is known of the rows.
    pub(super) evidence: Evidence,
    /// The tables that were there before the run, with the columns of then, as the file began; each with
    /// the name under which its rows are when the file has come to its end.
    pub(super) before: Vec<(Shape, String)>,
    /// What the run made until its end.
    pub(super) made: Made,
    /// The tables and columns that were gone at its end, where it runs code.
    pub(super) gone: Gone,
    /// The statement that it began with.
    pub(super) first: usize,
    /// Whether the journal said nothing of the file.
    pub(super) is_new: bool,
    /// How many rows each statement changed, as far as it was run and the server said so.
    pub(super) rows: Vec<Option<u64>>,
    /// What it showed around the statements.
    pub(super) fallen: Fallen,
    /// Foreign keys that the files left on tables of other names, in words; of the last file.
    pub(super) stranded: Vec<String>,
}

/// What is known besides the files.
pub(super) struct Past {
    /// The rows that earlier runs put into tables of before, which came to a stop.
    pub(super) seeds: BTreeMap<String, Seeds>,
    /// Which tables the run fills from which others.
    pub(super) copies: Vec<Copying>,
}

/// Runs the files on a copy and says of each what is known after it, or what would be lost, or fail.
pub(super) fn run(
    options: &ApplyOptions<'_>,
    files: &[Rest<'_>],
    past: Past,
) -> anyhow::Result<Result<Vec<Rehearsed>, End>> {
    // What it sets for copying reaches no other statement.
    let mut maker = (options.open)(Door::Database(options.target))?;
    let mut scratch = Scratch::rehearsal(maker.as_mut(), options.target)?;
    let ended = on_copy(maker.as_mut(), options, (&mut scratch, files), past);
    scratch.remove(maker.as_mut())?;
    ended
}

fn on_copy(
    maker: &mut dyn Session,
    options: &ApplyOptions<'_>,
    (scratch, files): (&mut Scratch, &[Rest<'_>]),
    past: Past,
) -> anyhow::Result<Result<Vec<Rehearsed>, End>> {
    let enter = |confined| {
        (options.open)(Door::Copy(Copied {
            confined,
            keeper: &scratch.target,
            images: scratch.images.as_deref().unwrap_or_default(),
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
    copy.copies(past.copies);
    let names = maker.names();
    let known = known(maker)?;
    let tables = maker.catalog()?;
    let tables = tables.iter().filter(|it| prove::measured(it)).count();
    if lets_in && let Some(tried) = try_fresh(copy.as_mut(), options, files, (&known, tables))? {
        return Ok(Ok(tried));
    }
    let reaches = files.iter().map(|rest| {
        if lets_in {
            reach::of(rest.intent, &known, names)
        } else {
            Reach::Everything
        }
    });
    let reaches = reaches.collect();
    let loads = |rest: &Rest<'_>| {
        let mut pieces = rest.intent.pieces.iter();
        pieces.any(|piece| first_word(piece).eq_ignore_ascii_case("load"))
    };
    scratch.reads_files = files.iter().any(loads);
    scratch.revoke(maker)?;
    scratch.keep_images(maker)?;
    let mut stage = Stage {
        options,
        scratch,
        files,
        reaches,
        tables,
        known,
        began: Vec::new(),
        seeds: past.seeds,
    };
    let ended = stage.play(maker, copy.as_mut())?;
    let is_narrow = |reach: &Reach| *reach != Reach::Everything;
    match ended {
        // It may have failed only for what the text did not name.
        Err(End::Failed(_)) if stage.reaches.iter().any(is_narrow) => {
            stage.reaches = files.iter().map(|_| Reach::Everything).collect();
            // A statement that failed may have left locks.
            copy.reset()?;
            stage.scratch.clear(maker)?;
            stage.play(maker, copy.as_mut())
        }
        ended => Ok(ended),
    }
}

/// Tries files that only make tables, and fill those, on temporary ones; none where they have to be rehearsed.
/// The user of the copy reaches nothing else yet.
fn try_fresh(
    copy: &mut dyn Session,
    options: &ApplyOptions<'_>,
    files: &[Rest<'_>],
    (known, tables): (&Known, usize),
) -> anyhow::Result<Option<Vec<Rehearsed>>> {
    if files
        .iter()
        .any(|rest| rest.first > 0 || rest.left.is_some())
    {
        return Ok(None);
    }
    let intents = files.iter().map(|rest| rest.intent);
    let Some(all) = fresh::of(intents, known, copy.names()) else {
        return Ok(None);
    };
    let mut tried = Vec::new();
    for (rest, file) in files.iter().zip(all) {
        let statements: Vec<&str> = file.statements.iter().map(AsRef::as_ref).collect();
        let go_together = statements.iter().all(|it| copy.goes_with_others(it));
        for some in statements.chunks(if go_together { TOGETHER } else { 1 }) {
            options.check()?;
            let done = match some {
                [one] => copy.run(one),
                some => copy.run_all(some).map_err(|(_, failed)| failed),
            };
            // Not everything that a table has, a temporary one may have; what fails otherwise, fails in
            // the rehearsal too.
            if done.is_err() {
                options.check()?;
                copy.reset()?;
                return Ok(None);
            }
        }
        tried.push(Rehearsed {
            evidence: Evidence {
                tables,
                tried: Tried::TemporaryTables,
                ..Evidence::default()
            },
            before: Vec::new(),
            made: Made::tables(file.made),
            gone: Gone::new(),
            first: 0,
            is_new: false,
            rows: vec![None; rest.intent.pieces.len()],
            fallen: Fallen::default(),
            stranded: Vec::new(),
        });
    }
    Ok(Some(tried))
}

/// What there is in a database, as far as one thing reaches another.
fn known(session: &mut dyn Session) -> anyhow::Result<Known> {
    let tables = session.catalog()?.into_iter().map(|shape| shape.name);
    let keys = session.rows(
        "SELECT table_name, referenced_table_name, update_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT') \
         FROM information_schema.referential_constraints WHERE constraint_schema = database()",
    )?;
    let deep = session.rows(
        "SELECT event_object_table FROM information_schema.triggers WHERE trigger_schema = database() \
         UNION SELECT table_name FROM information_schema.tables WHERE table_schema = database() \
         AND (table_type NOT IN ('BASE TABLE', 'SYSTEM VERSIONED') OR engine IS NULL OR engine NOT IN ('InnoDB', 'MyISAM', 'Aria', 'MEMORY', 'ROCKSDB', 'ARCHIVE', 'CSV'))",
    )?;
    let acts = session.rows(
        "SELECT 1 FROM (SELECT action_statement AS body FROM information_schema.triggers WHERE trigger_schema = database() \
         UNION ALL SELECT event_definition FROM information_schema.events WHERE event_schema = database() \
         UNION ALL SELECT routine_definition FROM information_schema.routines WHERE routine_schema = database()) AS code \
         WHERE body IS NULL OR lower(body) REGEXP 'call|delete|execute|merge|replace' LIMIT 1",
    )?;
    let pair = |row: &Vec<Cell>| (row[0].to_string(), row[1].to_string());
    let moves = |row: &&Vec<Cell>| row[2].text() == Some("1");
    Ok(Known {
        tables: tables.collect(),
        keys: keys.iter().map(pair).collect(),
        moved: keys.iter().filter(moves).map(pair).collect(),
        deep: deep.iter().map(|row| row[0].to_string()).collect(),
        acts: !acts.is_empty(),
    })
}

/// The files on one copy.
struct Stage<'a> {
    options: &'a ApplyOptions<'a>,
    scratch: &'a mut Scratch,
    files: &'a [Rest<'a>],
    /// What each of the files may reach.
    reaches: Vec<Reach>,
    /// How many tables the database has.
    tables: usize,
    /// What led from one of them to another.
    known: Known,
    /// Those of them that the copy began with.
    began: Vec<Shape>,
    /// The rows in them that earlier runs put there, which came to a stop.
    seeds: BTreeMap<String, Seeds>,
}

impl Stage<'_> {
    /// Runs them on an empty copy, which is filled first.
    fn play(
        &mut self,
        maker: &mut dyn Session,
        copy: &mut dyn Session,
    ) -> anyhow::Result<Result<Vec<Rehearsed>, End>> {
        let sampled = self.fill(maker, copy)?;
        let keys = stranded::keys(copy)?;
        let sees = Sees::look(maker, &self.options.target.database())?;
        let mut all = Vec::new();
        for index in 0..self.files.len() {
            self.options.check()?;
            self.enter(maker, copy, index)?;
            let (options, rest) = (self.options, self.files[index]);
            let before = self.older(copy, rest);
            let older = before.iter().map(|(shape, _)| shape);
            let blind = sees.but(rest.intent, (older, copy.names()));
            let began = if runs_code(rest.intent) {
                Some(Inventory::of(&copy.catalog()?))
            } else {
                None
            };
            let remaining = if index + 1 == self.files.len() {
                Remaining::Nothing
            } else {
                Remaining::More
            };
            let mut again = |copy: &mut dyn Session| -> Result<(), Failed> {
                self.refill(maker, copy, index).map_err(Failed::of)
            };
            match attempt(copy, (options, rest, remaining), &mut again)? {
                Ok(Proven {
                    evidence, fallen, ..
                }) => {
                    let now = copy.catalog()?;
                    let gone = began.map(|began| began.gone(&Inventory::of(&now)));
                    let mut made = Made::of(&now, &copy.older());
                    if remaining == Remaining::More && rest.intent.pieces.iter().any(may_place) {
                        made.placed = copy.placed()?;
                    }
                    all.push(Rehearsed {
                        evidence: Evidence {
                            sampled: sampled.clone(),
                            blind,
                            tried: Tried::Copy,
                            tables: self.tables,
                            ..evidence
                        },
                        before,
                        made,
                        gone: gone.unwrap_or_default(),
                        first: rest.first,
                        is_new: false,
                        rows: self.rows(index, copy.changed()),
                        fallen,
                        stranded: Vec::new(),
                    });
                }
                Err(end) => {
                    let unseen = self.unseen(&sampled, &self.known, copy);
                    return Ok(Err(unseen.ends(rest.intent, end)?));
                }
            }
        }
        let intents: Vec<_> = self.files.iter().map(|rest| rest.intent).collect();
        let stranded = match stranded::look(copy, &keys, &intents)? {
            Ok(stranded) => stranded,
            Err(end) => return Ok(Err(end)),
        };
        if let Some(last) = all.last_mut() {
            last.stranded = stranded;
        }
        let files = self.files.iter();
        let files: Vec<_> = files.map(|rest| (rest.intent, rest.first)).collect();
        let known = self.known.and(known(copy)?);
        self.unseen(&sampled, &known, copy).check(&files)?;
        Ok(Ok(all))
    }

    fn unseen<'b>(
        &'b self,
        sampled: &'b BTreeSet<String>,
        known: &'b Known,
        copy: &dyn Session,
    ) -> Unseen<'b> {
        Unseen {
            sampled,
            before: Tables {
                shapes: &self.began,
                names: copy.names(),
            },
            known,
        }
    }

    /// The tables of before a file, as it begins on the copy, with the names that they had.
    fn older(&self, copy: &mut dyn Session, rest: Rest<'_>) -> Vec<(Shape, String)> {
        let older = copy.older().into_iter().map(|shape| {
            let mut left = rest.left.into_iter().flatten();
            let home = left.find(|(left, _)| left.name == shape.name);
            let home = home.map_or(shape.name.clone(), |(_, name)| name.clone());
            // It is searched for in the database itself.
            let shape = Shape {
                schema: self.options.target.database(),
                ..shape
            };
            (shape, home)
        });
        older.collect()
    }

    /// Lets a file have what it may reach.
    fn enter(
        &mut self,
        maker: &mut dyn Session,
        copy: &mut dyn Session,
        index: usize,
    ) -> anyhow::Result<()> {
        let intent = self.files[index].intent;
        let reach = match &self.reaches[index] {
            Reach::Everything => Reach::Everything,
            // An earlier file may have made foreign keys, and given tables other names.
            Reach::Tables { .. } => reach::of(intent, &known(copy)?, copy.names()),
        };
        match reach {
            Reach::Everything => {
                self.scratch.grant_all(maker)?;
                let all = copy.catalog()?.into_iter().map(|it| it.name);
                copy.reaches(all.collect());
            }
            Reach::Tables { named, there } => {
                let granted = self.scratch.granted.clone();
                // What earlier files made is theirs; what they were let into is not this file's.
                copy.reaches(granted.clone().unwrap_or_default());
                let older = copy.touched()?;
                if granted.is_none() || !older.is_subset(&there) {
                    self.scratch.revoke(maker)?;
                }
                self.scratch.grant(maker, &named)?;
                copy.reaches(there);
            }
        }
        Ok(copy.reset()?)
    }

    /// Fills the copy with what the files may reach. Gives the tables of which it has a sample only.
    fn fill(
        &mut self,
        maker: &mut dyn Session,
        copy: &mut dyn Session,
    ) -> anyhow::Result<BTreeSet<String>> {
        let rows = |size: u64| match self.options.guard {
            Guard::Exact => None,
            Guard::Auto => (size > BUDGET).then_some(SAMPLE),
            Guard::Counts => Some(SAMPLE),
        };
        let reached = self.reached();
        if reached.is_none() {
            self.scratch.grant_all(maker)?;
            copy.reset()?;
        }
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
        self.began.clone_from(&there);
        copy.begins(self.before(there), self.seeds.clone());
        if reached.is_none() {
            // What the run itself will have made is there for the statements to see.
            ledger::create(copy, self.options.dialect)?;
            Journal::new(self.options.dialect).create(copy)?;
        }
        Ok(sampled)
    }

    /// Of what is there, what was there before the run, also before one that came to a stop.
    fn before(&self, there: Vec<Shape>) -> Vec<Shape> {
        let lefts = self.files.iter().filter_map(|rest| rest.left);
        lefts.fold(there, |there, left| {
            let known = |shape: Shape| {
                let mut left = left.iter().map(|(shape, _)| shape);
                left.find(|it| it.name == shape.name).cloned()
            };
            there.into_iter().filter_map(known).collect()
        })
    }

    /// How many rows each statement of a file changed, of those that were run one after another.
    fn rows(&self, index: usize, changed: Vec<u64>) -> Vec<Option<u64>> {
        let Rest { intent, first, .. } = self.files[index];
        let mut changed = changed.into_iter();
        let was_run = |number: usize| {
            intent.is_run(number, first) && !intent.is_of_server(&intent.pieces[number])
        };
        (0..intent.pieces.len())
            .map(|number| was_run(number).then(|| changed.next()).flatten())
            .collect()
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
        &mut self,
        maker: &mut dyn Session,
        copy: &mut dyn Session,
        index: usize,
    ) -> anyhow::Result<()> {
        copy.reset()?;
        self.scratch.clear(maker)?;
        self.fill(maker, copy)?;
        for before in 0..index {
            self.enter(maker, copy, before)?;
            let mut never = |_: &mut dyn Session| {
                Err(Failed::because(
                    "the database changed while the migrations were rehearsed",
                ))
            };
            let earlier = (self.options, self.files[before], Remaining::More);
            if attempt(copy, earlier, &mut never)?.is_err() {
                return Err(Failed::because(
                    "the database changed while the migrations were rehearsed",
                )
                .into());
            }
        }
        self.enter(maker, copy, index)?;
        let Rest { intent, first, .. } = self.files[index];
        Ok(run_set(copy, intent, first)?)
    }
}

/// Runs what is to be run of a file, and compares.
fn attempt(
    copy: &mut dyn Session,
    (options, rest, remaining): (&ApplyOptions<'_>, Rest<'_>, Remaining),
    again: prove::Again<'_>,
) -> anyhow::Result<Result<Proven, End>> {
    let Rest { intent, first, .. } = rest;
    run_set(copy, intent, first)?;
    let pieces = first..intent.pieces.len();
    staged::attempt(copy, options, (intent, pieces), remaining, again)
}

/// Whether a statement may put rows into a table, or change those that are there.
fn may_place(piece: &Piece<'_>) -> bool {
    let facts = &piece.facts;
    let alters = matches!(
        facts.kind,
        Kind::AlterTable { .. } | Kind::RenameTable { .. }
    );
    facts.writes_rows() || alters || !reach::is_plain(piece)
}

/// What the statements before it set for the session.
fn run_set(copy: &mut dyn Session, intent: &Intent<'_>, first: usize) -> Result<(), Failed> {
    let mut set = (0..first).filter(|number| intent.is_run(*number, first));
    set.try_for_each(|number| prove::try_out(copy, intent, number))
}

/// Without a user who reaches the copy only, what can't be looked into could write anywhere.
fn opaque(files: &[Rest<'_>]) -> Result<(), CliError> {
    for Rest { intent, .. } in files {
        let hides = |piece: &&Piece<'_>| {
            let word = first_word(piece);
            let dynamic = ["prepare", "execute"]
                .iter()
                .any(|it| word.eq_ignore_ascii_case(it));
            dynamic || matches!(piece.facts.kind, Kind::Call | Kind::Do)
        };
        if let Some(piece) = intent.pieces.iter().find(hides) {
            return Err(CliError::refused(format!(
                "{}:{} can't be inspected, and it could write to the real database from the copy",
                intent.migration.path.display(),
                piece.line
            ))
            .hint(CONFINE));
        }
    }
    Ok(())
}
