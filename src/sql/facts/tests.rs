use super::*;
use crate::sql::split;

mod files;
mod mysql;
mod postgres;
mod risk;
mod sqlite;

/// The facts of the only statement of a text.
#[track_caller]
pub(super) fn of(sql: &str, dialect: Dialect) -> Facts {
    let statements = split(sql, dialect).unwrap();
    assert_eq!(statements.len(), 1, "{sql}");
    facts(&statements[0], dialect)
}

/// Statement, kind, `table` and the others that it changes, whether it destroys.
pub(super) type Row = (&'static str, Kind, &'static str, Destroys);

#[track_caller]
pub(super) fn check(dialect: Dialect, rows: Vec<Row>) {
    for (sql, kind, tables, destroys) in rows {
        let found = of(sql, dialect);
        let names: Vec<_> = found.tables().map(ToString::to_string).collect();
        assert_eq!(found.kind, kind, "{sql}");
        assert_eq!(names.join(" "), tables, "{sql}");
        assert_eq!(found.destroys(), destroys, "{sql}");
    }
}

pub(super) fn create_table() -> Kind {
    Kind::CreateTable {
        if_not_exists: false,
        or_replace: false,
        temporary: false,
        as_select: false,
    }
}

pub(super) fn drop_table(if_exists: bool, cascade: bool) -> Kind {
    Kind::DropTable {
        if_exists,
        cascade,
        temporary: false,
    }
}

pub(super) fn alter(action: AlterAction) -> Kind {
    Kind::AlterTable {
        actions: vec![action],
    }
}

pub(super) fn add_column(definition: &str, not_null: bool, has_default: bool) -> AlterAction {
    AlterAction::AddColumn {
        column: "a".to_owned(),
        definition: definition.to_owned(),
        not_null,
        has_default,
        if_not_exists: false,
    }
}

pub(super) fn drop_column(column: &str) -> AlterAction {
    AlterAction::DropColumn {
        column: column.to_owned(),
        if_exists: false,
        cascade: false,
    }
}

pub(super) fn rename_column() -> AlterAction {
    AlterAction::RenameColumn {
        from: "a".to_owned(),
        to: "b".to_owned(),
    }
}

pub(super) fn other_action(text: &str) -> AlterAction {
    AlterAction::Other {
        text: text.to_owned(),
    }
}

pub(super) fn insert(select: bool, conflict: Conflict) -> Kind {
    Kind::Insert { select, conflict }
}

pub(super) fn update(has_where: bool) -> Kind {
    Kind::Update { has_where }
}

pub(super) fn delete(has_where: bool) -> Kind {
    Kind::Delete { has_where }
}

pub(super) fn index(unique: bool, concurrently: bool, if_not_exists: bool) -> Kind {
    Kind::CreateIndex {
        unique,
        concurrently,
        if_not_exists,
    }
}

pub(super) fn pragma(name: &str, value: Option<&str>) -> Kind {
    Kind::Pragma {
        name: name.to_owned(),
        value: value.map(str::to_owned),
    }
}

pub(super) fn set(name: &str, value: &str) -> Kind {
    Kind::SetVariable {
        name: name.to_owned(),
        value: value.to_owned(),
        also: Vec::new(),
    }
}

pub(super) fn create_other(object: &str) -> Kind {
    Kind::CreateOther {
        object: object.to_owned(),
        or_replace: false,
    }
}

pub(super) fn drop_other(object: &str, cascade: bool) -> Kind {
    Kind::DropOther {
        object: object.to_owned(),
        cascade,
    }
}
