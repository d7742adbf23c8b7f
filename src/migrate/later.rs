//! What a migration makes the database do later: a trigger, a rule or an event that deletes or
//! overwrites rows after everything was compared. Pure.
//!
//! Only what their texts certainly say counts. What follows a row by `NEW` and `OLD` is the usual
//! work of a trigger: a search index, a counter, a time, the cascade of a deletion.

mod said;
#[cfg(test)]
mod tests;

use crate::model::{Action, Actions, On, Shape};
use crate::sql::{Dialect, Kind, Name};
use said::{Assigned, Said, statements};
use std::collections::BTreeSet;

/// Something that an action does to a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// The table, by its name in reports.
    pub table: String,
    /// The column, where it overwrites one.
    pub column: Option<String>,
    /// What does it, and when, in words.
    pub words: String,
    /// The statement, by which it is known again.
    text: String,
}

impl Deed {
    /// Whether the same was done before.
    pub fn is_among(&self, before: &[Self]) -> bool {
        let key = |deed: &Self| (deed.table.clone(), deed.column.clone(), deed.text.clone());
        before.iter().any(|deed| key(deed) == key(self))
    }
}

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

struct Judge<'a> {
    action: &'a Action,
    actions: &'a Actions,
    tables: &'a [Shape],
    dialect: Dialect,
}

impl Judge<'_> {
    fn deeds(&self) -> Vec<Deed> {
        let said = self.said(self.action);
        let mut deeds: Vec<_> = said.iter().flat_map(|it| self.of_statement(it)).collect();
        if self.swallows(&said) {
            let table = self.action.table.as_deref().and_then(|it| self.named(it));
            deeds.extend(
                table.map(|it| self.deed(it, None, "would keep rows from being stored in", "")),
            );
        }
        deeds
    }

    /// The statements of an action, and of the routines that it calls.
    fn said(&self, action: &Action) -> Vec<Said> {
        let mut all = Vec::new();
        let mut seen = BTreeSet::new();
        let mut bodies = vec![action.body.as_str()];
        while let Some(body) = bodies.pop() {
            for name in said::called(body, self.dialect) {
                if let Some(body) = self.actions.routines.get(&name)
                    && seen.insert(name)
                {
                    bodies.push(body);
                }
            }
            all.extend(statements(body, self.dialect));
        }
        all
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
                        if !self.follows(said, &name.name) {
                            deeds.extend(self.deletes(said, &name.name));
                        }
                    }
                }
                Kind::Truncate { .. }
                | Kind::DropTable {
                    temporary: false, ..
                } => {
                    let tables = said.facts.tables();
                    deeds.extend(tables.filter_map(|name| self.deletes(said, &name.name)));
                }
                Kind::Update { .. } => deeds.extend(self.overwrites(said)),
                _ => {}
            }
        }
        if said.runs_text("DELETE FROM")
            || said.runs_text("TRUNCATE")
            || said.runs_text("DROP TABLE")
        {
            let own = self.action.table.as_deref();
            deeds.extend(own.and_then(|own| self.deletes(said, own)));
        }
        deeds.extend(self.blanks(said));
        deeds
    }

    /// Whether a deletion only follows the row that sets the action off.
    fn follows(&self, said: &Said, table: &str) -> bool {
        let on = &self.action.on;
        let (of_new, of_old) = (said.names_row("NEW"), said.names_row("OLD"));
        // As a cascade does.
        let cascades = of_old && !of_new && on.contains(&On::Delete);
        // As a search index follows its table: what goes comes again.
        let comes_again = || {
            let own = |it: &&Action| it.table == self.action.table;
            let mut all = self.actions.all.iter().filter(own);
            all.any(|action| self.said(action).iter().any(|it| it.inserts_into(table)))
        };
        cascades || (of_new || of_old) && comes_again()
    }

    fn deletes(&self, said: &Said, table: &str) -> Option<Deed> {
        let table = self.named(table)?;
        Some(self.deed(table, None, "would delete rows of", &said.text))
    }

    fn overwrites(&self, said: &Said) -> Vec<Deed> {
        let linked = said.names_row("NEW") || said.names_row("OLD");
        let is_cascade = linked && self.action.on == [On::Delete];
        let mut deeds = Vec::new();
        for name in said.facts.tables() {
            let Some(table) = self.named(&name.name) else {
                continue;
            };
            for (column, assigned) in said.assignments() {
                let of = table.columns.iter();
                let mut of = of.filter(|it| it.name.eq_ignore_ascii_case(&column));
                let Some(of) = of.next() else { continue };
                let harms = match assigned {
                    Assigned::Blank => !is_cascade && (!linked || holds_text(&of.declared)),
                    Assigned::Other => !linked,
                    Assigned::Derived => false,
                };
                if harms {
                    deeds.push(self.deed(table, Some(&of.name), "would overwrite", &said.text));
                }
            }
        }
        deeds
    }

    /// Where it empties a value of each row that is written.
    fn blanks(&self, said: &Said) -> Option<Deed> {
        let writes = [On::Insert, On::Update];
        let is_asked = self.action.conditional || said::asks(&self.action.body, self.dialect);
        if is_asked || !writes.iter().any(|it| self.action.on.contains(it)) {
            return None;
        }
        let column = said.blanked()?;
        let table = self.named(self.action.table.as_deref()?)?;
        let of = table.columns.iter();
        let mut of = of.filter(|it| it.name.eq_ignore_ascii_case(&column));
        let of = of.next().filter(|it| holds_text(&it.declared))?;
        Some(self.deed(table, Some(&of.name), "would overwrite", &said.text))
    }

    /// Whether nothing that is inserted or updated is stored, and nothing stored elsewhere for it.
    fn swallows(&self, said: &[Said]) -> bool {
        let action = self.action;
        let writes = [On::Insert, On::Update];
        let is_of_writes = writes.iter().any(|it| action.on.contains(it));
        let unasked = action.decides && !action.conditional && is_of_writes;
        let stores = |it: &Said| {
            let kind = &it.facts.kind;
            matches!(
                kind,
                Kind::Insert { .. } | Kind::Update { .. } | Kind::With { .. } | Kind::Call
            )
        };
        unasked && !said.iter().any(stores) && said::drops_row(&action.body, self.dialect)
    }

    /// The table that a statement names, if it is one of these.
    fn named(&self, name: &str) -> Option<&Shape> {
        let name = Name::new(name);
        let mut tables = self.tables.iter();
        tables.find(|table| name.matches(&table.table) || name.matches(&table.name))
    }

    fn deed(&self, table: &Shape, column: Option<&str>, does: &str, text: &str) -> Deed {
        let subject = match column {
            Some(column) => format!("{}.{column}", table.name),
            None => table.name.clone(),
        };
        let when = self.action.on.iter().map(|on| match on {
            On::Insert => "at each INSERT",
            On::Update => "at each UPDATE",
            On::Delete => "at each DELETE",
            On::Time => "when its time comes",
        });
        let when: Vec<_> = when.collect();
        let words = format!(
            "the {} {does} `{subject}` {}",
            self.action.title,
            when.join(" and ")
        );
        Deed {
            table: table.name.clone(),
            column: column.map(str::to_owned),
            words,
            text: text.split_whitespace().collect::<Vec<_>>().join(" "),
        }
    }
}

/// Whether what users write may be in a column of a type.
fn holds_text(declared: &str) -> bool {
    let declared = declared.to_ascii_lowercase();
    let types = ["char", "text", "clob", "blob", "json", "bytea", "binary"];
    declared.is_empty() || types.iter().any(|it| declared.contains(it))
}
