//! Each way to lose something, and each that only looks so.
#![allow(clippy::unwrap_used)]

use super::Allowed;
use super::Lost;
use super::Measured;
use super::MeasuredTable;
use super::Renames;
use super::What;
use super::gone;
use super::suspects;
use super::unacknowledged;
use crate::model::MeasuredColumn;

fn table(rows: u64, digest: u128) -> MeasuredTable {
    let column = |keyed| MeasuredColumn {
        filled: rows,
        keyed,
    };
    MeasuredTable {
        rows,
        key: vec!["id".into()],
        null_keys: false,
        whole: digest,
        columns: [
            ("id".to_owned(), column(1)),
            ("body".to_owned(), column(digest)),
        ]
        .into(),
    }
}

fn store(tables: &[(&str, MeasuredTable)]) -> Measured {
    Measured {
        tables: tables
            .iter()
            .map(|(name, table)| ((*name).to_owned(), table.clone()))
            .collect(),
    }
}

fn renames(tables: &[(&str, &str)]) -> Renames {
    let mut renames = Renames::default();
    tables.iter().for_each(|(from, to)| renames.table(from, to));
    renames
}

#[test]
fn what_is_as_it_was_is_no_suspect_and_everything_else_is() {
    let before = store(&[("m", table(3, 7))]);
    let none = Renames::default();
    assert_eq!(suspects(&before, &before, &none), []);
    for other in [table(3, 8), table(4, 9), table(2, 5)] {
        assert_eq!(suspects(&before, &store(&[("m", other)]), &none).len(), 1);
    }
    let mut rekeyed = table(3, 7);
    rekeyed.key = vec!["body".into()];
    rekeyed.whole = 8;
    assert_eq!(suspects(&before, &store(&[("m", rekeyed)]), &none).len(), 1);
    let empty = store(&[("m", table(0, 0))]);
    assert_eq!(suspects(&empty, &before, &none), []);
}

#[test]
fn a_table_is_gone_unless_it_was_renamed() {
    let before = store(&[("m", table(3, 7))]);
    let after = store(&[("m3", table(3, 7))]);
    assert_eq!(gone(&before, &after, &Renames::default()).len(), 1);
    let chain = renames(&[("M", "m2"), ("m2", "m3")]);
    assert_eq!(gone(&before, &after, &chain), []);
    assert_eq!(suspects(&before, &after, &chain), []);
    let aside = renames(&[("m", "m_old")]);
    assert_eq!(
        gone(&before, &before, &aside),
        [],
        "rebuilt under its own name"
    );
}

#[test]
fn a_table_stands_for_one_table_only() {
    let before = store(&[("arch", table(4, 7)), ("m", table(4, 7))]);
    let after = store(&[("arch", table(4, 7))]);
    let lost = gone(&before, &after, &renames(&[("m", "arch")]));
    assert_eq!(lost.len(), 1);
    assert_eq!(
        (lost[0].table.as_str(), lost[0].what),
        ("arch", What::TableGone)
    );
}

#[test]
fn an_acknowledgement_is_narrow() {
    let lost = [Lost {
        table: "m".into(),
        column: None,
        what: What::RowsGone,
        rows: 8,
        before: 9,
    }];
    let allow = |table: &str, column: Option<&str>, rows| Allowed {
        table: table.into(),
        column: column.map(str::to_owned),
        rows,
    };
    assert_eq!(unacknowledged(&lost, &[allow("M", None, Some(8))]).len(), 0);
    for narrow in [
        allow("m", None, Some(7)),
        allow("m", Some("body"), None),
        allow("tasks", None, None),
    ] {
        assert_eq!(unacknowledged(&lost, &[narrow]).len(), 1);
    }
}
