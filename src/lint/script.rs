//! A file as the rules see it: its statements, their effects, and their context.

use super::{Input, Schema};
use crate::sql;
use crate::sql::{AlterAction, Dialect, Directives, Facts, Kind, Name, SplitError, Statement};
use std::ops::Range;

/// A statement and what it does.
#[derive(Debug)]
pub struct Step<'a> {
    /// The text and its place.
    pub statement: Statement<'a>,
    /// What the text says.
    pub facts: Facts,
}

/// A text, read.
#[derive(Debug)]
pub struct Script<'a> {
    /// The whole text.
    pub text: &'a str,
    /// Whose SQL it is.
    pub dialect: Dialect,
    /// Its statements.
    pub steps: Vec<Step<'a>>,
    /// What its comments tell chatctl.
    pub directives: Directives,
    /// It asks to run outside of a transaction.
    pub no_transaction: bool,
    /// Why it could not be cut into statements; there are none then.
    pub error: Option<SplitError>,
    /// The statements that make a table or give a name, so that a dump of many thousand rows is
    /// not gone through for each of them.
    makers: Vec<usize>,
}

impl<'a> Script<'a> {
    pub(super) fn read(input: &Input<'a>, dialect: Dialect) -> Self {
        let mut directives = sql::directives(input.text, dialect);
        directives.allow_loss.extend_from_slice(input.acknowledged);
        let (statements, error) = match sql::split(input.text, dialect) {
            Ok(statements) => (statements, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let step = |statement| Step {
            facts: sql::facts(&statement, dialect),
            statement,
        };
        let steps: Vec<_> = statements.into_iter().map(step).collect();
        let makes = |index: &usize| {
            let step: &Step<'_> = &steps[*index];
            matches!(step.facts.kind, Kind::CreateTable { .. }) || renames(step).next().is_some()
        };
        Self {
            text: input.text,
            dialect,
            makers: (0..steps.len()).filter(makes).collect(),
            steps,
            no_transaction: input.no_transaction || directives.no_transaction.is_some(),
            directives,
            error,
        }
    }

    /// The statement that holds this offset.
    pub(super) fn step_at(&self, at: usize) -> Option<&Step<'a>> {
        let next = self
            .steps
            .partition_point(|step| step.statement.span.start <= at);
        let step = self.steps.get(next.checked_sub(1)?)?;
        step.statement.span.contains(&at).then_some(step)
    }
}

/// How a table that a statement removes was treated before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved<'a> {
    /// Nothing of it was copied.
    No,
    /// Its rows were copied into another table.
    Copied(&'a Name),
    /// Its rows were copied into a table that takes its name: a rebuild.
    Rebuilt(&'a Name),
}

/// One statement among the others of its text.
#[derive(Debug, Clone, Copy)]
pub struct RuleContext<'a> {
    /// The whole text.
    pub script: &'a Script<'a>,
    /// What this text and those before it made.
    pub schema: &'a Schema,
    index: usize,
}

impl<'a> RuleContext<'a> {
    pub(super) fn new(script: &'a Script<'a>, schema: &'a Schema, index: usize) -> Self {
        Self {
            script,
            schema,
            index,
        }
    }

    /// The statement.
    pub fn step(&self) -> &'a Step<'a> {
        &self.script.steps[self.index]
    }

    /// What it does.
    pub fn facts(&self) -> &'a Facts {
        &self.step().facts
    }

    /// The transactions that the text opens and commits, by the numbers of their statements; none
    /// where they are not in pairs.
    pub fn own_transactions(&self) -> Option<Vec<Range<usize>>> {
        let steps = self.script.steps.iter();
        sql::transactions(steps.map(|step| (&step.facts.kind, step.statement.text)))
    }

    /// The statements before it.
    pub fn before(&self) -> &'a [Step<'a>] {
        &self.script.steps[..self.index]
    }

    /// The statements after it.
    pub fn after(&self) -> &'a [Step<'a>] {
        &self.script.steps[self.index + 1..]
    }

    /// The table of the statement, if it may hold rows that were there before this text.
    pub fn older_table(&self) -> Option<&'a Name> {
        let table = self.facts().table.as_ref();
        table.filter(|table| !self.is_made_here(table))
    }

    /// Whether a table holds nothing that was there before this text: it was made above.
    ///
    /// `IF NOT EXISTS` makes nothing when the table is there already, and a table that took the
    /// name of another by a rename holds what the other held.
    pub fn is_made_here(&self, table: &Name) -> bool {
        let mut made = false;
        let before = self.script.makers.iter();
        for index in before.take_while(|index| **index < self.index) {
            let step = &self.script.steps[*index];
            let own = step.facts.table.as_ref().is_some_and(|it| same(it, table));
            match &step.facts.kind {
                Kind::CreateTable {
                    if_not_exists,
                    temporary,
                    ..
                } if own => made |= !if_not_exists || *temporary,
                _ => made &= !renames(step).any(|(_, to)| same(to, table)),
            }
        }
        made
    }

    /// Whether the file says that this may be lost: the table, or a column of it.
    pub fn is_acknowledged(&self, table: &Name, column: Option<&str>) -> bool {
        self.script.directives.allow_loss.iter().any(|allow| {
            let schema = match (&allow.schema, &table.schema) {
                (Some(allowed), Some(own)) => allowed.eq_ignore_ascii_case(own),
                _ => true,
            };
            let covers = match (&allow.column, column) {
                (None, _) => true,
                (Some(allowed), Some(column)) => allowed.eq_ignore_ascii_case(column),
                (Some(_), None) => false,
            };
            // `a.b` may name a table in a schema, too.
            let qualified = (&table.schema, &allow.column)
                == (&Some(allow.table.clone()), &Some(table.name.clone()));
            qualified || schema && covers && allow.table.eq_ignore_ascii_case(&table.name)
        })
    }

    /// Whether rows of the table that were there before may go without a word about it.
    pub fn loses(&self, table: &Name) -> bool {
        !self.is_made_here(table) && !self.is_acknowledged(table, None)
    }

    /// Where the rows of a table went before this statement, which removes it.
    pub fn moved(&self, table: &Name) -> Moved<'a> {
        let copies = |step: &&Step<'_>| {
            let query = matches!(
                step.facts.kind,
                Kind::Insert { select: true, .. }
                    | Kind::CreateTable {
                        as_select: true,
                        ..
                    }
            );
            query && step.facts.reads.iter().any(|read| same(read, table))
        };
        let copy = self
            .before()
            .iter()
            .rfind(copies)
            .and_then(|step| step.facts.table.as_ref());
        let Some(copy) = copy else {
            return Moved::No;
        };
        // Either the new table takes the name later, or the old one gave its name away before.
        let swaps = |step: &Step<'_>| renames(step).any(|(a, b)| same(a, copy) && same(b, table));
        if self.after().iter().chain(self.before()).any(swaps) {
            Moved::Rebuilt(copy)
        } else {
            Moved::Copied(copy)
        }
    }
}

/// The names that a statement gives to tables: old and new.
pub(super) fn renames<'a>(step: &'a Step<'_>) -> impl Iterator<Item = (&'a Name, &'a Name)> {
    let (pairs, actions): (&[(Name, Name)], &[AlterAction]) = match &step.facts.kind {
        Kind::RenameTable { renames } => (renames, &[]),
        Kind::AlterTable { actions } => (&[], actions),
        _ => (&[], &[]),
    };
    let altered = actions.iter().filter_map(|action| match action {
        AlterAction::RenameTable { to } => Some((step.facts.table.as_ref()?, to)),
        _ => None,
    });
    pairs.iter().map(|(from, to)| (from, to)).chain(altered)
}

/// Whether two names may be one table.
pub(super) fn same(a: &Name, b: &Name) -> bool {
    let schema = match (&a.schema, &b.schema) {
        (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
        _ => true,
    };
    schema && a.name.eq_ignore_ascii_case(&b.name)
}
