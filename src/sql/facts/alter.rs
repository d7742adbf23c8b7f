//! `ALTER`.

use super::create::references;
use super::parser::Parser;
use super::{AlterAction, Constraint, Facts, Kind, TypeChange};
use crate::sql::{Dialect, Name};

pub(super) fn alter(mut p: Parser<'_>) -> Facts {
    p.eat(&["ONLINE"]);
    // MariaDB's IGNORE deletes the rows that a new unique key forbids.
    let ignore = p.eat(&["IGNORE"]);
    if p.sees(&["FOREIGN", "TABLE"]) {
        p.at += 1;
    }
    p.eat(&["MATERIALIZED"]);
    let object = p.upper();
    p.at += 1;
    p.if_exists();
    match object.as_str() {
        "TABLE" => table(p, ignore),
        "TYPE" => {
            let name = p.name();
            let change = type_change(p);
            Facts::about(Kind::AlterEnum { change }, name)
        }
        "" => Facts::new(Kind::Other),
        _ => Facts::about(Kind::AlterOther { object }, p.name()),
    }
}

fn type_change(mut p: Parser<'_>) -> TypeChange {
    if p.eat(&["ADD", "VALUE"]) {
        return TypeChange::AddValue {
            if_not_exists: p.if_not_exists(),
        };
    }
    if p.sees(&["RENAME", "VALUE"]) {
        return TypeChange::RenameValue;
    }
    if p.sees(&["DROP", "VALUE"]) {
        return TypeChange::DropValue;
    }
    let pieces = p.pieces();
    if pieces
        .iter()
        .any(|piece| piece.sees(&["DROP", "ATTRIBUTE"]))
    {
        return TypeChange::DropAttribute;
    }
    let harmless = |piece: &Parser<'_>| {
        piece.any_word_at(0, &["RENAME", "OWNER"])
            || piece.sees(&["SET", "SCHEMA"])
            || piece.sees(&["ADD", "ATTRIBUTE"])
    };
    if !pieces.is_empty() && pieces.iter().all(harmless) {
        TypeChange::Harmless
    } else {
        TypeChange::Other
    }
}

fn table(mut p: Parser<'_>, ignore: bool) -> Facts {
    if p.sees(&["ALL", "IN", "TABLESPACE"]) {
        return Facts::new(Kind::Other);
    }
    let Some(table) = p.table() else {
        return Facts::new(Kind::Other);
    };
    if p.eat(&["WAIT"]) {
        p.at += 1;
    }
    p.eat(&["NOWAIT"]);
    let mut actions = Vec::new();
    if ignore {
        actions.push(AlterAction::Other {
            text: "IGNORE".to_owned(),
        });
    }
    let pieces = p.pieces();
    for (n, piece) in pieces.iter().enumerate() {
        // Behind these a comma separates names and not actions.
        let listed = piece.word_at(1, "PARTITION")
            && !piece.any_word_at(0, &["ATTACH", "DETACH"])
            && p.dialect == Dialect::Mysql
            || piece.sees(&["ORDER", "BY"]);
        if listed {
            let before: usize = pieces[..n].iter().map(|piece| piece.tokens.len() + 1).sum();
            let rest = p.slice(p.at + before, p.tokens.len());
            actions.push(partition(rest).unwrap_or_else(|| other(rest)));
            break;
        }
        action(*piece, &mut actions);
    }
    Facts {
        reads: references(p),
        ..Facts::on(Kind::AlterTable { actions }, Some(table))
    }
}

fn other(p: Parser<'_>) -> AlterAction {
    AlterAction::Other {
        text: p.slice(0, p.tokens.len()).rest().to_owned(),
    }
}

fn partition(mut p: Parser<'_>) -> Option<AlterAction> {
    let word = p.upper();
    p.at += 2;
    p.if_exists();
    let partitions = p
        .pieces()
        .into_iter()
        .filter_map(|mut piece| piece.part())
        .collect();
    match word.as_str() {
        "DROP" => Some(AlterAction::DropPartition { partitions }),
        "TRUNCATE" => Some(AlterAction::TruncatePartition { partitions }),
        _ => None,
    }
}

fn action(piece: Parser<'_>, actions: &mut Vec<AlterAction>) {
    let mut p = piece;
    let word = p.upper();
    p.at += 1;
    let action = match word.as_str() {
        "ADD" => {
            add(p, actions);
            None
        }
        "DROP" => drop(p),
        "RENAME" => rename(p),
        "ALTER" => alter_column(p),
        "MODIFY" => {
            p.eat(&["COLUMN"]);
            p.if_exists();
            p.part().map(|column| AlterAction::Modify {
                column,
                to: p.rest().to_owned(),
            })
        }
        "CHANGE" => change(p),
        "CONVERT" if p.eat(&["TO"]) => charset(p),
        "DETACH" if p.eat(&["PARTITION"]) => {
            p.name().map(|partition| AlterAction::DetachPartition {
                partition,
                concurrently: p.has("CONCURRENTLY"),
            })
        }
        _ => None,
    };
    match action {
        Some(action) => actions.push(action),
        None if word == "ADD" => {}
        None => actions.push(other(piece)),
    }
}

fn add(mut p: Parser<'_>, actions: &mut Vec<AlterAction>) {
    let piece = p;
    let named = p.eat(&["CONSTRAINT"]);
    if named {
        p.if_not_exists();
    }
    let unnamed = ["PRIMARY", "UNIQUE", "FOREIGN", "CHECK", "EXCLUDE"];
    if named || p.any_word_at(p.at, &unnamed) {
        let name = if named && !p.any_word_at(p.at, &unnamed) {
            p.part()
        } else {
            None
        };
        let what = match p.upper().as_str() {
            "PRIMARY" => Constraint::PrimaryKey,
            "UNIQUE" => Constraint::Unique,
            "FOREIGN" => Constraint::ForeignKey,
            "CHECK" => Constraint::Check,
            "EXCLUDE" => Constraint::Exclude,
            _ => Constraint::Other,
        };
        let not_valid = (p.at..p.tokens.len())
            .any(|index| p.word_at(index, "NOT") && p.word_at(index + 1, "VALID"));
        actions.push(AlterAction::AddConstraint {
            name,
            what,
            not_valid,
        });
        return;
    }
    let indexes = [
        "INDEX",
        "KEY",
        "FULLTEXT",
        "SPATIAL",
        "PARTITION",
        "PERIOD",
        "SYSTEM",
    ];
    if p.dialect == Dialect::Mysql && p.any_word_at(p.at, &indexes) {
        actions.push(other(piece));
        return;
    }
    p.eat(&["COLUMN"]);
    let if_not_exists = p.if_not_exists();
    let columns = match p.parens() {
        // MySQL adds several at once: ADD COLUMN (a int, b int).
        Some(inside) => inside.pieces(),
        None => vec![p],
    };
    for mut column in columns {
        match column.part() {
            Some(name) => actions.push(add_column(name, column, if_not_exists)),
            None => actions.push(other(piece)),
        }
    }
}

fn add_column(column: String, definition: Parser<'_>, if_not_exists: bool) -> AlterAction {
    let p = definition;
    let not_null = p.outside().any(|index| {
        p.word_at(index, "NOT") && p.word_at(index + 1, "NULL")
            || p.word_at(index, "PRIMARY") && p.word_at(index + 1, "KEY")
    });
    #[rustfmt::skip]
    let defaults = [
        "DEFAULT", "GENERATED", "AUTO_INCREMENT", "AS", "SERIAL", "BIGSERIAL", "SMALLSERIAL",
    ];
    AlterAction::AddColumn {
        column,
        definition: p.rest().to_owned(),
        not_null,
        has_default: p.find(&defaults).is_some(),
        if_not_exists,
    }
}

fn drop(mut p: Parser<'_>) -> Option<AlterAction> {
    if p.eat(&["CONSTRAINT"]) {
        p.if_exists();
        return Some(AlterAction::DropConstraint { name: p.part() });
    }
    if p.dialect == Dialect::Mysql {
        if p.eat(&["PRIMARY", "KEY"]) {
            return Some(AlterAction::DropConstraint { name: None });
        }
        if p.eat(&["FOREIGN", "KEY"]) || p.eat(&["CHECK"]) {
            p.if_exists();
            return Some(AlterAction::DropConstraint { name: p.part() });
        }
        if p.eat_any(&["INDEX", "KEY"]) {
            p.if_exists();
            return p.part().map(|name| AlterAction::DropIndex { name });
        }
        if p.sees(&["SYSTEM", "VERSIONING"]) || p.sees(&["PERIOD", "FOR"]) {
            return None;
        }
    }
    p.eat(&["COLUMN"]);
    let if_exists = p.if_exists();
    p.part().map(|column| AlterAction::DropColumn {
        column,
        if_exists,
        cascade: p.has("CASCADE"),
    })
}

fn rename(mut p: Parser<'_>) -> Option<AlterAction> {
    let mysql = p.dialect == Dialect::Mysql;
    if p.sees(&["CONSTRAINT"]) || (mysql && p.any_word_at(p.at, &["INDEX", "KEY"])) {
        return None;
    }
    if p.eat(&["TO"]) || (mysql && (p.eat(&["AS"]) || p.eat_mark("="))) {
        return p.name().map(|to| AlterAction::RenameTable { to });
    }
    p.eat(&["COLUMN"]);
    p.if_exists();
    let from: Name = p.name()?;
    if p.eat(&["TO"]) {
        let to = p.part()?;
        return Some(AlterAction::RenameColumn {
            from: from.name,
            to,
        });
    }
    // MySQL needs no TO to rename the table.
    (mysql && p.is_done()).then_some(AlterAction::RenameTable { to: from })
}

fn alter_column(mut p: Parser<'_>) -> Option<AlterAction> {
    if p.dialect == Dialect::Mysql && p.any_word_at(p.at, &["INDEX", "CHECK", "CONSTRAINT"]) {
        return None;
    }
    p.eat(&["COLUMN"]);
    p.if_exists();
    let column = p.part()?;
    if p.eat(&["SET", "DATA", "TYPE"]) || p.eat(&["TYPE"]) {
        let using = p.find(&["USING"]);
        return Some(AlterAction::AlterType {
            column,
            to: p.between(p.at, using.unwrap_or(p.tokens.len())).to_owned(),
            using: using.is_some(),
        });
    }
    if p.eat(&["SET", "NOT", "NULL"]) {
        return Some(AlterAction::SetNotNull { column });
    }
    p.eat(&["DROP", "NOT", "NULL"])
        .then_some(AlterAction::DropNotNull { column })
}

fn change(mut p: Parser<'_>) -> Option<AlterAction> {
    p.eat(&["COLUMN"]);
    p.if_exists();
    let from = p.part()?;
    let to = p.part()?;
    Some(AlterAction::Change {
        from,
        to,
        definition: p.rest().to_owned(),
    })
}

fn charset(mut p: Parser<'_>) -> Option<AlterAction> {
    if !p.eat(&["CHARACTER", "SET"]) && !p.eat(&["CHARSET"]) {
        return None;
    }
    p.eat_mark("=");
    p.part().map(|to| AlterAction::ConvertCharset { to })
}
