//! What the files of a folder made so far, as far as a rule has to know it: which tables there
//! are, and what goes with a row when the row goes.

use super::script::{Script, renames, same};
use crate::sql::{Kind, Name, Token, TokenKind, tokenize};

/// Tables and the foreign keys between them. Empty for a file that is examined alone.
#[derive(Debug, Default)]
pub struct Schema {
    tables: Vec<Name>,
    /// A table, and the one whose rows take its rows along.
    children: Vec<(Name, Name)>,
}

impl Schema {
    pub(super) fn learn(&mut self, script: &Script<'_>) {
        for step in &script.steps {
            let Some(table) = &step.facts.table else {
                continue;
            };
            if let Kind::CreateTable { .. } = step.facts.kind {
                self.tables.push(table.clone());
            }
            if matches!(
                step.facts.kind,
                Kind::CreateTable { .. } | Kind::AlterTable { .. }
            ) {
                let parents = parents(step.statement.text, script);
                self.children
                    .extend(parents.into_iter().map(|parent| (table.clone(), parent)));
            }
            for (from, to) in renames(step) {
                // A name that was given to a table stays known: too many children are named
                // rather than one too few.
                let taken: Vec<_> = self
                    .children
                    .iter()
                    .filter(|(child, _)| same(child, from))
                    .map(|(_, parent)| (to.clone(), parent.clone()))
                    .collect();
                self.children.retain(|(child, _)| !same(child, from));
                self.children.extend(taken);
                self.tables.push(to.clone());
            }
        }
    }

    /// Whether the table was made in a file that was read.
    pub fn knows(&self, table: &Name) -> bool {
        self.tables.iter().any(|known| same(known, table))
    }

    /// The tables whose rows go, or lose their reference, with the rows of this one.
    pub fn children(&self, table: &Name) -> Vec<&Name> {
        let mut found: Vec<&Name> = Vec::new();
        for (child, parent) in &self.children {
            if same(parent, table)
                && !same(child, table)
                && !found.iter().any(|known| same(known, child))
            {
                found.push(child);
            }
        }
        found
    }
}

/// The tables behind a `REFERENCES … ON DELETE` that does something to the row.
fn parents(statement: &str, script: &Script<'_>) -> Vec<Name> {
    let tokens: Vec<Token> = tokenize(statement, script.dialect)
        .into_iter()
        .filter(|token| token.kind != TokenKind::Comment)
        .collect();
    let word = |index: usize| tokens.get(index).map_or("", |token| token.text(statement));
    let is = |index: usize, wanted: &str| word(index).eq_ignore_ascii_case(wanted);
    let mut found = Vec::new();
    for at in (0..tokens.len()).filter(|at| is(*at, "REFERENCES")) {
        let mut name = at + 1;
        if is(name + 1, ".") {
            name += 2;
        }
        // The clauses of a key end where the next column or key begins.
        let mut end = name + 1;
        let mut depth = 0_u32;
        while end < tokens.len() && !is(end, "REFERENCES") {
            match word(end) {
                "(" => depth += 1,
                ")" | "," if depth == 0 => break,
                ")" => depth -= 1,
                _ => {}
            }
            end += 1;
        }
        let acts = (name..end).any(|index| {
            is(index, "ON")
                && is(index + 1, "DELETE")
                && (is(index + 2, "CASCADE") || is(index + 2, "SET"))
        });
        if acts {
            let plain = word(name).trim_matches(['"', '`', '[', ']', '\'']);
            found.push(Name::new(plain));
        }
    }
    found
}
