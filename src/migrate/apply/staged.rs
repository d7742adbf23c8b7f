//! A file that copies something, takes it away from where it was, as it acknowledges, and may then
//! destroy the copy: what is lost by that only shows if the file is compared before it as well.

use super::prove::{Again, Proven, Remaining};
use super::{ApplyOptions, Culprit, End, Guard, copies, prove};
use crate::db::{Failed, Session, reached};
use crate::migrate::intent::{Intent, Piece};
use crate::migrate::preserve;
use crate::migrate::preserve::{Lost, Matter, Meaning, Tables, What};
use crate::sql::{Destroys, Dialect, Kind};
use std::collections::BTreeSet;
use std::ops::Range;

/// Runs statements of a file and compares, as [`prove::attempt`] does; in stages where a copy may be
/// destroyed.
pub(super) fn attempt(
    session: &mut dyn Session,
    options: &ApplyOptions<'_>,
    (intent, pieces): (&Intent<'_>, Range<usize>),
    remaining: Remaining,
    again: Again<'_>,
) -> anyhow::Result<Result<Proven, End>> {
    if intent.allowed.is_empty() || options.guard == Guard::Counts {
        return prove::attempt(session, options, (intent, pieces), remaining, again);
    }
    let shapes = session.before()?;
    let before = Tables {
        shapes: &shapes,
        names: session.names(),
    };
    let stages = of(intent, pieces.clone(), before);
    if stages.parts.len() == 1 {
        return prove::attempt(session, options, (intent, pieces), remaining, again);
    }
    let run = Run {
        options,
        intent,
        copies: &stages.copies,
        before,
    };
    if stages.finer != stages.parts
        && let Some(ended) = run.all(session, (&stages.finer, Ends::Passed), remaining, again)?
    {
        return Ok(ended);
    }
    match run.all(session, (&stages.parts, Ends::OfCopy), remaining, again)? {
        Some(ended) => Ok(ended),
        // In the middle of a rebuild nothing is as it will be.
        None => prove::attempt(session, options, (intent, pieces), remaining, again),
    }
}

/// What a run in stages decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// That a file passes.
    Passed,
    /// The same, and that a file is refused which destroys a copy.
    OfCopy,
}

struct Run<'a> {
    options: &'a ApplyOptions<'a>,
    intent: &'a Intent<'a>,
    copies: &'a BTreeSet<String>,
    before: Tables<'a>,
}

impl Run<'_> {
    /// Runs one stage after the other; none, and all taken back, where a stage can't stand alone.
    fn all(
        &self,
        session: &mut dyn Session,
        (parts, ends): (&[Range<usize>], Ends),
        remaining: Remaining,
        again: Again<'_>,
    ) -> anyhow::Result<Option<Result<Proven, End>>> {
        let mut proven: Option<Proven> = None;
        for (number, stage) in parts.iter().enumerate() {
            let remaining = if number + 1 == parts.len() {
                remaining
            } else {
                Remaining::More
            };
            if number > 0 && self.intent.dialect != Dialect::Mysql {
                session.command(MARK)?;
                self.set_again(session, parts[0].start..stage.start)?;
            }
            let mut back = |session: &mut dyn Session| {
                again(session)?;
                self.catch_up(session, &parts[..=number])
            };
            let job = (self.intent, stage.clone());
            match prove::attempt(session, self.options, job, remaining, &mut back)? {
                Ok(part) => match &mut proven {
                    None => proven = Some(part),
                    Some(all) => all.add(part),
                },
                Err(end) if ends == Ends::OfCopy && number > 0 && self.is_of_copy(&end) => {
                    return Ok(Some(Err(end)));
                }
                Err(_) => {
                    again(session)?;
                    self.release(session, number)?;
                    if number > 0 && self.intent.dialect != Dialect::Mysql {
                        again(session)?;
                    }
                    return Ok(None);
                }
            }
        }
        self.release(session, parts.len() - 1)?;
        Ok(proven.map(|proven| match self.beyond(&proven) {
            refused if refused.is_empty() => Ok(proven),
            refused => Err(End::Lost(refused)),
        }))
    }

    /// Gives up the marks of stages.
    fn release(&self, session: &mut dyn Session, marks: usize) -> Result<(), Failed> {
        match self.intent.dialect {
            Dialect::Mysql => Ok(()),
            Dialect::Postgres | Dialect::Sqlite => {
                (0..marks).try_for_each(|_| session.command("RELEASE chatctl_file"))
            }
        }
    }

    /// What these statements set for the session: a mark begins without it.
    fn set_again(&self, session: &mut dyn Session, mut before: Range<usize>) -> Result<(), Failed> {
        before.try_for_each(|number| {
            if self.intent.sets(number) {
                prove::try_out(session, self.intent, number)
            } else {
                Ok(())
            }
        })
    }

    /// From where `again` leads, to where the last of these stages begins.
    fn catch_up(&self, session: &mut dyn Session, stages: &[Range<usize>]) -> Result<(), Failed> {
        let [earlier @ .., last] = stages else {
            return Ok(());
        };
        if self.intent.dialect != Dialect::Mysql {
            // It leads to the mark.
            return match earlier {
                [] => Ok(()),
                [first, ..] => self.set_again(session, first.start..last.start),
            };
        }
        let unlike = || Failed::because("the file has another effect when it runs again");
        for stage in earlier {
            let job = (self.intent, stage.clone());
            let mut never = |_: &mut dyn Session| Err(unlike());
            let ended = prove::attempt(session, self.options, job, Remaining::More, &mut never);
            match ended {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => return Err(unlike()),
                Err(error) => return Err(Failed::because(format!("{error:#}"))),
            }
        }
        Ok(())
    }

    /// Whether it is a copy of which something would be lost.
    fn is_of_copy(&self, end: &End) -> bool {
        let is_copy = |it: &Culprit| {
            let table = it.lost.table.to_lowercase();
            let bare = table.rsplit('.').next().unwrap_or(&table);
            self.copies.contains(bare)
        };
        match end {
            End::Lost(culprits) => culprits.iter().any(is_copy),
            End::Failed(_) => false,
        }
    }

    /// What all stages together lose more of than is acknowledged.
    fn beyond(&self, proven: &Proven) -> Vec<Culprit> {
        let mut sums: Vec<Lost> = Vec::new();
        for lost in &proven.evidence.lost {
            let same = |it: &&mut Lost| {
                (&it.table, &it.column, &it.by) == (&lost.table, &lost.column, &lost.by)
                    && goes_on(it.what, lost.what, it.column.is_some())
            };
            match sums.iter_mut().find(same) {
                Some(sum) => sum.rows += lost.rows,
                None => sums.push(lost.clone()),
            }
        }
        // What was made by a stage was there for the next one alone.
        let was_there = |it: &Lost| {
            let table = self.before.called(&it.table);
            table.is_some_and(|table| {
                let mut columns = table.columns.iter();
                let column = it.column.as_ref();
                column.is_none_or(|column| columns.any(|it| it.name == *column))
            })
        };
        sums.retain(was_there);
        let refused = preserve::unacknowledged(&sums, &self.intent.allowed, self.before);
        let refused = refused.into_iter().map(|lost| Culprit {
            file: self.intent.migration.file_name(),
            line: None,
            statement: String::new(),
            lost: lost.clone(),
        });
        refused.collect()
    }
}

/// Whether one stage loses more of what an earlier one lost of the same table or column: the rest
/// goes with the table or the column. A value that changed may change once more, or go.
fn goes_on(earlier: What, later: What, of_column: bool) -> bool {
    let goes = |it: What| {
        if of_column {
            matches!(it, What::ValuesGone | What::ColumnGone)
        } else {
            it.matter() == Matter::Rows
        }
    };
    earlier == later || goes(earlier) && goes(later)
}

/// Where a stage begins: the newest mark of a name is the one that counts.
const MARK: &str = "SAVEPOINT chatctl_file";

/// The parts of a file, and the tables that may hold copies of what it takes away.
struct Stages {
    parts: Vec<Range<usize>>,
    /// The same, where a part ends before a copy is made as well: what went before that is not in it.
    finer: Vec<Range<usize>>,
    copies: BTreeSet<String>,
}

/// A part ends where a copy may be destroyed after its origin was.
fn of(intent: &Intent<'_>, pieces: Range<usize>, before: Tables<'_>) -> Stages {
    let named = intent.allowed.iter();
    let named = named.filter_map(|allowed| match allowed.subject.resolve(before) {
        Meaning::Table(shape) | Meaning::Column(shape, _) => Some(shape.table.to_lowercase()),
        Meaning::Both(..) | Meaning::Nothing => None,
    });
    let origins: BTreeSet<String> = named.collect();
    let there = before.shapes.iter().map(|it| it.table.to_lowercase());
    let mut names: BTreeSet<String> = there.collect();
    let mut links = Vec::new();
    let mut found = Stages {
        parts: Vec::new(),
        finer: Vec::new(),
        copies: BTreeSet::new(),
    };
    let (mut start, mut is_taken) = (pieces.start, false);
    // Whether something may have gone in this part, and the first copy that was made behind that.
    let (mut has_taken, mut copied) = (false, None);
    for number in pieces.clone() {
        let piece = &intent.pieces[number];
        let tables: BTreeSet<_> = piece
            .facts
            .tables()
            .map(|it| it.name.to_lowercase())
            .collect();
        let may_destroy = |all: &BTreeSet<String>| {
            let concerns = is_opaque(piece) || !all.is_disjoint(&tables);
            piece.facts.destroys() != Destroys::No && concerns
        };
        if is_taken && may_destroy(&found.copies) {
            found.end(start..number, copied);
            (start, is_taken) = (number, false);
            (has_taken, copied) = (false, None);
        }
        // One that takes and copies at once is examined with its own copy.
        let is_both = matches!(piece.facts.kind, Kind::With { .. });
        is_taken |= !is_both && !found.copies.is_empty() && may_destroy(&origins);
        names.extend(tables.iter().cloned());
        // A WITH may fill what it takes from: that is the origin, and no copy.
        let filled = copies::by(piece, &names).into_iter();
        let known = (links.len(), found.copies.len());
        links.extend(filled.filter(|it| !is_both || it.into != it.from));
        found
            .copies
            .extend(reached(&links, origins.clone()).into_keys());
        // A column may be filled from another one.
        if matches!(piece.facts.kind, Kind::Update { .. }) {
            found.copies.extend(tables.intersection(&origins).cloned());
        }
        if has_taken && known != (links.len(), found.copies.len()) {
            copied = copied.or(Some(number));
        }
        has_taken |= may_destroy(&origins);
        is_taken |= is_both && !found.copies.is_empty() && may_destroy(&origins);
    }
    found.end(start..pieces.end, copied);
    found
}

impl Stages {
    fn end(&mut self, part: Range<usize>, copied: Option<usize>) {
        let at = copied.unwrap_or(part.start);
        let finer = [part.start..at, at..part.end];
        self.finer
            .extend(finer.into_iter().filter(|it| !it.is_empty()));
        self.parts.push(part);
    }
}

/// Whether its text need not show which tables it concerns.
fn is_opaque(piece: &Piece<'_>) -> bool {
    let code = matches!(piece.facts.kind, Kind::Do | Kind::Call | Kind::Other);
    code || !piece.facts.calls.is_empty()
}

#[cfg(test)]
mod tests {
    use super::{goes_on, of};
    use crate::migrate::intent::Intent;
    use crate::migrate::preserve::{Tables, What};
    use crate::migrate::source::Migration;
    use crate::model::{Case, Names, Shape, ShapeColumn};
    use crate::sql::Dialect;
    use std::ops::Range;

    fn both(text: &str) -> [Vec<(usize, usize)>; 2] {
        let migration = Migration::of_text(text);
        let intent = Intent::of(&migration, Dialect::Sqlite).expect("the file can be read");
        let column = |name: &str| ShapeColumn {
            id: None,
            name: name.to_owned(),
            declared: "text".to_owned(),
        };
        let shapes = [Shape {
            name: "messages".to_owned(),
            table: "messages".to_owned(),
            bare: true,
            columns: vec![column("id"), column("body")],
            ..Shape::default()
        }];
        let before = Tables {
            shapes: &shapes,
            names: Names {
                tables: Case::Ignored,
                columns: Case::Ignored,
                quote: '"',
            },
        };
        let stages = of(&intent, 0..intent.pieces.len(), before);
        let of = |parts: Vec<Range<usize>>| parts.into_iter().map(|it| (it.start, it.end));
        [of(stages.parts).collect(), of(stages.finer).collect()]
    }

    fn parts(text: &str) -> Vec<(usize, usize)> {
        let [parts, _] = both(text);
        parts
    }

    const ALLOW: &str = "-- chatctl: allow-loss messages.body reason=\"moved\"\n";

    #[test]
    fn a_part_ends_before_a_copy_may_be_destroyed() {
        let column = "ALTER TABLE messages ADD content TEXT; UPDATE messages SET content = body; ALTER TABLE messages DROP COLUMN body;";
        assert_eq!(parts(&format!("{ALLOW}{column}")), [(0, 3)]);
        let emptied = format!("{ALLOW}{column} UPDATE messages SET content = '';");
        assert_eq!(parts(&emptied), [(0, 3), (3, 4)]);
        assert_eq!(
            parts(&format!("{column} UPDATE messages SET content = '';")),
            [(0, 4)]
        );
        let table = "CREATE TABLE parts AS SELECT id, body FROM messages; ALTER TABLE messages DROP COLUMN body; CREATE INDEX i ON parts (id); DELETE FROM parts;";
        assert_eq!(parts(&format!("{ALLOW}{table}")), [(0, 3), (3, 4)]);
    }

    #[test]
    fn one_statement_may_take_and_copy() {
        let allow = "-- chatctl: allow-loss messages reason=\"moved\"\n";
        let moved = "CREATE TABLE archive (id INTEGER, body TEXT); WITH m AS (DELETE FROM messages RETURNING *) INSERT INTO archive SELECT * FROM m;";
        assert_eq!(parts(&format!("{allow}{moved}")), [(0, 2)]);
        let dropped = format!("{allow}{moved} DROP TABLE archive;");
        assert_eq!(parts(&dropped), [(0, 2), (2, 3)]);
    }

    #[test]
    fn what_copies_nothing_begins_no_part() {
        let allow = "-- chatctl: allow-loss messages rows<=9 reason=\"old\"\n";
        let with = "WITH d AS (SELECT id FROM messages WHERE id < 9) DELETE FROM messages WHERE id IN (SELECT id FROM d);";
        let dropped = format!("{allow}{with} DROP TABLE messages;");
        assert_eq!(parts(&dropped), [(0, 2)]);
        let staging = format!(
            "{allow}{with} CREATE TABLE staging AS SELECT id FROM messages; DROP TABLE staging;"
        );
        assert_eq!(parts(&staging), [(0, 3)]);
    }

    #[test]
    fn a_finer_part_ends_before_a_copy_of_what_is_left() {
        let allow = "-- chatctl: allow-loss messages rows<=10 reason=\"old\"\n";
        let staging = "DELETE FROM messages WHERE id <= 10; CREATE TABLE staging AS SELECT id, length(body) AS n FROM messages; ALTER TABLE messages ADD COLUMN n INT; UPDATE messages SET n = s.n FROM staging s WHERE s.id = messages.id; DROP TABLE staging;";
        let [parts, finer] = both(&format!("{allow}{staging}"));
        assert_eq!(parts, [(0, 4), (4, 5)]);
        assert_eq!(finer, [(0, 1), (1, 4), (4, 5)]);
        let moved = "CREATE TABLE kept AS SELECT * FROM messages; DELETE FROM messages WHERE id <= 10; DROP TABLE kept;";
        let [parts, finer] = both(&format!("{allow}{moved}"));
        assert_eq!(parts, [(0, 2), (2, 3)]);
        assert_eq!(finer, parts);
    }

    #[test]
    fn what_goes_in_two_stages_counts_together() {
        for (earlier, later, of_column, is) in [
            (What::RowsGone, What::TableGone, false, true),
            (What::RowsGone, What::Moved, false, false),
            (What::ValuesGone, What::ColumnGone, true, true),
            (What::ValuesChanged, What::ColumnGone, true, false),
            (What::ValuesChanged, What::ValuesChanged, true, true),
        ] {
            assert_eq!(
                goes_on(earlier, later, of_column),
                is,
                "{earlier:?}, {later:?}"
            );
        }
    }

    #[test]
    fn a_rebuild_is_one_part() {
        let rebuild = "CREATE TABLE new (id INTEGER PRIMARY KEY); INSERT INTO new SELECT id FROM messages; DROP TABLE messages; ALTER TABLE new RENAME TO messages;";
        assert_eq!(parts(&format!("{ALLOW}{rebuild}")), [(0, 4)]);
        let other = format!("{ALLOW}{rebuild} DELETE FROM logs;");
        assert_eq!(parts(&other), [(0, 5)]);
    }
}
