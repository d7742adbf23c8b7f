//! What a migration makes the database do later: a trigger, a rule or an event that deletes or
//! overwrites rows after everything was compared. Pure.
//!
//! What follows a row by `NEW` and `OLD` is the usual work of a trigger: a search index, a counter, a time,
//! the cascade of a deletion. Of what their texts say, only what certainly destroys counts; what has no text
//! that can be read may do anything.

mod deed;
mod follows;
mod names;
mod put_together;
mod said;
mod swallows;
#[cfg(test)]
mod tests;

use crate::db::OWN_TABLES;
use crate::model::{Action, Actions, Body, On, Shape};
use crate::sql::{Conflict, Destroys, Dialect, Kind, Name};
use deed::Occasion;
pub use deed::{Deed, Extent, Only, Target};
use put_together::{Run, runs};
use said::{Assigned, Said, statements};
use std::collections::BTreeSet;
use swallows::is_put_elsewhere;

/// What the actions of a database do to these tables.
pub fn deeds(actions: &Actions, tables: &[Shape], dialect: Dialect) -> Vec<Deed> {
    let all = actions.all.iter();
    let judged = all.flat_map(|action| {
        let judge = Judge {
            action,
            actions,
            tables,
            dialect,
        };
        judge.deeds()
    });
    judged.collect()
}

/// What takes each row that is inserted into a view, where nothing that it runs may store one.
pub fn discards<'a>(actions: &'a Actions, view: &str, dialect: Dialect) -> Option<&'a Action> {
    let is_of_view = |it: &&Action| {
        let table = it.table.as_deref();
        let is_own = table.is_some_and(|it| it.eq_ignore_ascii_case(view));
        is_own && it.on.contains(&On::Insert)
    };
    let stores = |action| {
        let judge = Judge {
            action,
            actions,
            tables: &[],
            dialect,
        };
        judge.may_store()
    };
    let mut all = actions.all.iter().filter(is_of_view);
    let first = all
        .clone()
        .find(|it| it.decides && it.condition.is_none())?;
    // Another one may store the row, or some rows: one with a condition, or a rule that also acts.
    (!all.any(stores)).then_some(first)
}

struct Judge<'a> {
    action: &'a Action,
    actions: &'a Actions,
    tables: &'a [Shape],
    dialect: Dialect,
}

/// What an action does, with the routines that it calls.
#[derive(Default)]
struct Does {
    said: Vec<Said>,
    /// What it does that can't be read: in words, and the text in which that is.
    unread: BTreeSet<(String, String)>,
    /// What it does to every table, in words.
    harms: Vec<String>,
}

const PUT_TOGETHER: &str = "runs SQL that is not in its text";
const MAKES: &str = "creates another object that may run by itself";

impl Judge<'_> {
    fn deeds(&self) -> Vec<Deed> {
        let does = self.does(self.action);
        let mut deeds = Vec::new();
        for (at, said) in does.said.iter().enumerate() {
            // Afterwards the new values are not there any more.
            let before = &does.said[..at];
            let of = self.of_statement(said).into_iter();
            deeds.extend(of.filter(|it| it.extent != Extent::New || !is_put_elsewhere(it, before)));
        }
        deeds.extend(self.swallows(&does.said));
        for words in &does.harms {
            let tables = self.candidates();
            let tables = tables.filter(|it| self.action.table.is_none() || self.is_own(it));
            deeds.extend(tables.map(|it| self.deed((it, None), words, &self.action.title)));
        }
        for (why, text) in &does.unread {
            let does = format!("{why}, so it may destroy rows of");
            let text = format!("{} {text}", self.action.title);
            deeds.extend(self.somewhere(&does, &text));
        }
        deeds
    }

    /// The statements of an action, and of the routines that it calls.
    fn does(&self, action: &Action) -> Does {
        let mut does = Does::default();
        let mut seen = BTreeSet::new();
        let mut bodies = vec![(action.body.clone(), false)];
        while let Some((body, is_put_together)) = bodies.pop() {
            let body = match body {
                Body::Statements(text) => text,
                Body::Unread { why, text } => {
                    does.unread.insert((why, text));
                    continue;
                }
                Body::Harms(words) => {
                    does.harms.push(words);
                    continue;
                }
            };
            if said::mutes(&body, self.dialect) {
                let words = "would keep foreign keys and triggers from acting on";
                does.harms.push(words.to_owned());
            }
            let mut hides = |why: &str| does.unread.insert((why.to_owned(), body.clone()));
            for name in said::called(&body, self.dialect) {
                if let Some(called) = self.actions.routines.get(&name)
                    && seen.insert(name)
                {
                    bodies.extend(called.iter().map(|it| (it.clone(), false)));
                }
            }
            for run in runs(&body, self.dialect) {
                match run {
                    Run::Text(text) => bodies.push((Body::Statements(text), true)),
                    Run::Unknown => {
                        hides(PUT_TOGETHER);
                    }
                }
            }
            // One that is written in SQL has its own definition for a text.
            let from = usize::from(!is_put_together);
            for name in said::made(&body, from, self.dialect) {
                if name.is_none_or(|name| !self.actions.routines.contains_key(&name)) {
                    hides(MAKES);
                }
            }
            let mut said = statements(&said::with_constants(&body, self.dialect), self.dialect);
            for said in &mut said {
                said.is_put_together = is_put_together;
                said.transitions.clone_from(&action.transitions);
            }
            does.said.append(&mut said);
        }
        does
    }

    fn of_statement(&self, said: &Said) -> Vec<Deed> {
        let mut deeds = Vec::new();
        let parts = match &said.facts.kind {
            Kind::With { writes } => writes.as_slice(),
            kind => std::slice::from_ref(kind),
        };
        for kind in parts {
            match kind {
                Kind::Delete { .. } | Kind::Merge { deletes: true } => {
                    for name in said.facts.tables() {
                        if !self.follows(said, name) {
                            deeds.extend(self.deletes(said, name));
                        }
                    }
                }
                Kind::Truncate { .. }
                | Kind::DropTable {
                    temporary: false, ..
                } => {
                    let tables = said.facts.tables();
                    deeds.extend(tables.filter_map(|name| self.deletes(said, name)));
                }
                Kind::DropSchema { .. } | Kind::DropOther { .. } => deeds.extend(self.drops(said)),
                Kind::Update { .. } => deeds.extend(self.overwrites(said)),
                Kind::Insert {
                    select: true,
                    conflict: Conflict::Replace,
                } => deeds.extend(self.replaces(said)),
                Kind::Insert {
                    select: true,
                    conflict: Conflict::Update,
                }
                | Kind::Merge { deletes: false } => deeds.extend(self.overwrites_taken(said)),
                Kind::AlterTable { actions } => {
                    let takes = actions
                        .iter()
                        .any(|it| it.destroys() == Destroys::Certainly);
                    let tables = said.facts.tables().filter(|_| takes);
                    deeds.extend(tables.filter_map(|name| {
                        let table = self.named(name)?;
                        Some(self.deed((table, None), "would take values from", &said.text))
                    }));
                }
                _ => {}
            }
        }
        // The name of the table may be put in only when it runs.
        let is_named_late =
            said.is_put_together && !said.facts.tables().any(|it| self.is_known(it));
        if is_named_late && said.removes() && !self.follows(said, &Name::new("")) {
            let does = "deletes rows of a table whose name it computes at run time, perhaps of";
            deeds.extend(self.anywhere(said, does));
        }
        if is_named_late {
            deeds.extend(self.overwrites_late(said));
        }
        deeds.extend(self.of_each_row(said));
        deeds
    }

    /// What it does to a table that nobody can tell: to its own, if that has rows, or to any.
    fn somewhere(&self, does: &str, text: &str) -> Vec<Deed> {
        let deeds = self.candidates().map(|it| Deed {
            target: if self.is_own(it) {
                Target::Own
            } else {
                Target::Any
            },
            ..self.deed((it, None), does, text)
        });
        deeds.collect()
    }

    /// What it does to a table that is named when it runs: to its own if the text says so, else to any.
    fn anywhere(&self, said: &Said, does: &str) -> Vec<Deed> {
        let tables = self.named_late(said);
        let deeds = tables.map(|it| self.deed((it, None), does, &said.text));
        deeds.collect()
    }

    /// The tables that a statement may mean which gets the name when it runs.
    fn named_late(&self, said: &Said) -> impl Iterator<Item = &Shape> {
        let is_own = self.action.table.is_some() && said.means_own_table();
        self.candidates()
            .filter(move |it| !is_own || self.is_own(it))
    }

    /// The tables of the user.
    fn candidates(&self) -> impl Iterator<Item = &Shape> {
        let is_part = |it: &Shape| it.whole.is_some() && !it.heir;
        let is_own = |it: &Shape| OWN_TABLES.contains(&it.name.as_str());
        let tables = self.tables.iter();
        tables.filter(move |it| !is_part(it) && !is_own(it))
    }

    fn deletes(&self, said: &Said, table: &Name) -> Option<Deed> {
        let table = self.named(table)?;
        let deed = self.deed((table, None), "would delete rows of", &said.text);
        let deletes =
            |kind: &Kind| matches!(kind, Kind::Delete { .. } | Kind::Merge { deletes: true });
        Some(Deed {
            extent: self.extent(said, table),
            deletes: said.is_a(deletes),
            ..deed
        })
    }

    /// What goes with a schema, or with all that a role owns.
    fn drops(&self, said: &Said) -> Vec<Deed> {
        let goes = |table: &&Shape| match (&said.facts.kind, &said.facts.object) {
            (Kind::DropOther { object, .. }, _) => object == "OWNED",
            (Kind::DropSchema { .. }, Some(it)) => it.name.eq_ignore_ascii_case(&table.schema),
            _ => false,
        };
        let tables = self.candidates().filter(goes);
        let deeds = tables.map(|it| self.deed((it, None), "would drop", &said.text));
        deeds.collect()
    }

    fn overwrites(&self, said: &Said) -> Vec<Deed> {
        let mut deeds = Vec::new();
        for name in said.facts.tables() {
            let Some(table) = self.named(name) else {
                continue;
            };
            for (column, assigned) in said.assignments() {
                let of = table.columns.iter();
                let mut of = of.filter(|it| it.name.eq_ignore_ascii_case(&column));
                let Some(of) = of.next() else { continue };
                let only = if self.harms(said, assigned, Some(&of.declared)) {
                    Some(Only::All)
                } else if said.gives_one_to_all(assigned) {
                    Some(Only::Several)
                } else if holds_text(&of.declared)
                    && self.takes_from_one(said, assigned, (table, &of.name))
                {
                    Some(Only::Different)
                } else {
                    None
                };
                deeds.extend(only.map(|only| Deed {
                    only,
                    ..self.deed((table, Some(&of.name)), "would overwrite", &said.text)
                }));
            }
        }
        deeds
    }

    /// Whether it gives many rows of the table that it hangs on what one row has: the written one, or the one
    /// that a query finds.
    fn takes_from_one(
        &self,
        said: &Said,
        assigned: Assigned,
        (table, column): (&Shape, &str),
    ) -> bool {
        let is_own = self.is_own(table);
        let taken = match assigned {
            Assigned::Same | Assigned::Before => true,
            Assigned::Asked => {
                let names: Vec<_> = table.columns.iter().map(|it| it.name.as_str()).collect();
                let key = key_of(table);
                let others = names.into_iter().filter(|name| !key.contains(name));
                let others: Vec<_> = others.collect();
                !said.follows_its_row(column, &table.table, &others)
            }
            Assigned::Blank
            | Assigned::Derived
            | Assigned::Flag
            | Assigned::Clock
            | Assigned::Written
            | Assigned::Hashed
            | Assigned::Constant
            | Assigned::Cut(_)
            | Assigned::Other => false,
        };
        is_own && taken && !said.is_of_row(&key_of(table))
    }

    /// What an INSERT of a query's rows deletes or overwrites that have the same keys, unless it follows the
    /// written row.
    fn replaces(&self, said: &Said) -> Vec<Deed> {
        if said.names_row("NEW") || said.names_row("OLD") {
            return Vec::new();
        }
        let mut deeds = Vec::new();
        for name in said.facts.tables() {
            let reads_itself = said.facts.reads.iter().any(|it| self.are_same(it, name));
            if reads_itself {
                deeds.extend(self.deletes(said, name));
            } else {
                deeds.extend(self.given(said, name, &said.inserted()));
            }
        }
        deeds
    }

    /// The same where only some columns of such rows are overwritten.
    fn overwrites_taken(&self, said: &Said) -> Vec<Deed> {
        if said.names_row("NEW") || said.names_row("OLD") {
            return Vec::new();
        }
        let assigned = said.assignments();
        let tables = said.facts.tables();
        tables
            .flat_map(|name| self.given(said, name, &assigned))
            .collect()
    }

    /// One value for all rows in a column of texts.
    fn given(&self, said: &Said, table: &Name, all: &[(String, Assigned)]) -> Vec<Deed> {
        let Some(table) = self.named(table) else {
            return Vec::new();
        };
        let key = key_of(table);
        let deeds = all.iter().filter_map(|(column, assigned)| {
            let of = table.columns.iter();
            let mut of = of.filter(|it| it.name.eq_ignore_ascii_case(column));
            let of = of.next().filter(|it| holds_text(&it.declared))?;
            let one = matches!(assigned, Assigned::Blank | Assigned::Constant);
            (one && !key.contains(&of.name.as_str())).then(|| Deed {
                only: Only::Different,
                ..self.deed((table, Some(&of.name)), "would overwrite", &said.text)
            })
        });
        deeds.collect()
    }

    /// Whether an assignment takes away what users wrote, by the type of its column where that is known.
    fn harms(&self, said: &Said, assigned: Assigned, declared: Option<&str>) -> bool {
        let linked = said.names_row("NEW") || said.names_row("OLD");
        let is_cascade = linked && self.action.on == [On::Delete];
        match assigned {
            Assigned::Blank => !is_cascade && (!linked || declared.is_none_or(holds_text)),
            Assigned::Other | Assigned::Constant | Assigned::Cut(_) | Assigned::Hashed => !linked,
            Assigned::Derived
            | Assigned::Flag
            | Assigned::Clock
            | Assigned::Written
            | Assigned::Same
            | Assigned::Before
            | Assigned::Asked => false,
        }
    }

    /// The same for a table that is named when it runs, and perhaps its column too.
    fn overwrites_late(&self, said: &Said) -> Vec<Deed> {
        let does = "overwrites values of a table whose name it computes at run time, perhaps of";
        let mut deeds = Vec::new();
        for (update, column, assigned) in said.updates().iter().flat_map(|update| {
            let all = update.assignments().into_iter();
            all.map(move |(column, assigned)| (update, column, assigned))
        }) {
            let tables = self.named_late(said);
            let columns = tables.flat_map(|table| table.columns.iter().map(move |it| (table, it)));
            let same: Vec<_> = columns
                .filter(|(_, it)| it.name.eq_ignore_ascii_case(&column))
                .collect();
            if same.is_empty() && self.harms(said, assigned, None) {
                deeds.extend(self.anywhere(said, does));
            }
            for (table, of) in same {
                if self.harms(said, assigned, Some(&of.declared)) {
                    deeds.push(self.deed((table, Some(&of.name)), does, &update.text));
                }
            }
        }
        deeds
    }

    fn deed(&self, (table, column): (&Shape, Option<&str>), does: &str, text: &str) -> Deed {
        let subject = match column {
            Some(column) => format!("{}.{column}", table.name),
            None => table.name.clone(),
        };
        let when = self.action.on.iter().map(|on| match on {
            On::Insert => "at each INSERT",
            On::Update => "at each UPDATE",
            On::Delete => "at each DELETE",
            On::Time => "on its schedule",
            On::Definition => "whenever a definition changes",
            On::Session => "in each new session",
        });
        let when: Vec<_> = when.collect();
        let words = format!(
            "the {} {does} `{subject}` {}",
            self.action.title,
            when.join(" and ")
        );
        let words = words.trim_end().to_owned();
        Deed {
            table: table.name.clone(),
            column: column.map(str::to_owned),
            words,
            target: Target::Named,
            only: Only::All,
            extent: Extent::Any,
            deletes: false,
            text: text.split_whitespace().collect::<Vec<_>>().join(" "),
            occasion: Occasion {
                table: self.whole(),
                on: self.action.on.clone(),
                asked: self.is_asked(),
            },
        }
    }
}

/// The columns by which a row is found.
fn key_of(table: &Shape) -> Vec<&str> {
    let rows = ["id", "rowid", "_rowid_", "oid", "ctid"];
    let key = table.key.iter().map(String::as_str);
    key.chain(rows).collect()
}

/// Whether what users write may be in a column of a type.
fn holds_text(declared: &str) -> bool {
    let declared = declared.to_ascii_lowercase();
    let types = ["char", "text", "clob", "blob", "json", "bytea", "binary"];
    declared.is_empty() || types.iter().any(|it| declared.contains(it))
}
