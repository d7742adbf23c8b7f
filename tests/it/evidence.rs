//! What the evidence says of every operation that it must tell from another one: the operation is
//! done for real, on a table that is armed and on one that is not.

mod mysql;
mod postgres;
mod sqlite;

use chatctl::audit::arm::Act;
use chatctl::audit::evidence::judge::{Judged, Rows, RowsFate, judge};
use chatctl::audit::evidence::{Depth, Evidence};
use chatctl::audit::{arm, evidence};
use chatctl::db;
use chatctl::db::Target;
use chatctl::model::Cell;
use chatctl::report::Severity;
use std::collections::BTreeMap;
use std::time::Duration;

pub const LONG: Duration = Duration::from_secs(60);

/// The findings that are expected, worst first: `E` for an error, `W` for a warning, `N` for a note.
pub type Expected = &'static str;

/// An operation between two looks.
pub struct Op<P> {
    pub name: &'static str,
    pub act: fn(&mut P),
    pub unarmed: Expected,
    pub armed: Expected,
    /// What a note must say, where something changed for a harmless reason.
    pub note: &'static str,
}

pub fn op<P>(
    name: &'static str,
    act: fn(&mut P),
    [unarmed, armed]: [Expected; 2],
    note: &'static str,
) -> Op<P> {
    Op {
        name,
        act,
        unarmed,
        armed,
        note,
    }
}

/// One look: the evidence, and the rows.
pub struct Look {
    evidence: Evidence,
    rows: Vec<Vec<Cell>>,
}

pub fn tables() -> Vec<String> {
    vec!["message".to_owned()]
}

/// Looks as an audit does, through a view of one moment.
pub fn look(url: &str) -> Look {
    let mut look = None;
    crate::common::stores::run(async {
        let target = Target::parse(url).unwrap();
        let view = db::open_snapshot_read(target, &[], LONG).await.unwrap();
        let evidence = evidence::take(view.as_ref(), &tables(), Depth::Rows).await;
        let evidence = evidence.unwrap();
        let rows = if evidence.tables.is_empty() {
            Vec::new()
        } else {
            let sql = "SELECT id, content FROM message ORDER BY id";
            view.rows(sql, &[]).await.unwrap()
        };
        view.unchanged().await.unwrap();
        look = Some(Look { evidence, rows });
    });
    look.unwrap()
}

pub fn arm(url: &str, act: Act) -> Vec<String> {
    let mut changed = Vec::new();
    crate::common::stores::run(async {
        let db = db::open(Target::parse(url).unwrap()).await.unwrap();
        changed = arm::run(db.as_ref(), &tables(), act, LONG).await.unwrap();
    });
    changed
}

fn judged(before: &Look, after: &Look) -> Judged {
    let kept = if before.rows.iter().all(|row| after.rows.contains(row)) {
        RowsFate::Intact
    } else {
        RowsFate::Lost
    };
    let rows = Rows {
        before: before.rows.len().try_into().unwrap(),
        after: after.rows.len().try_into().unwrap(),
        kept,
    };
    let rows = BTreeMap::from([("message".to_owned(), rows)]);
    judge(&before.evidence, &after.evidence, &rows)
}

/// What is wrong with what was judged of an operation, in one line.
pub fn wrong<P>(op: &Op<P>, is_armed: bool, before: &Look, after: &Look) -> Option<String> {
    let judged = judged(before, after);
    let told: Vec<_> = judged
        .findings
        .iter()
        .map(|finding| {
            let severity = match finding.severity {
                Severity::Error => "E",
                Severity::Warning => "W",
                Severity::Note => "N",
            };
            format!("{severity} {}", finding.code)
        })
        .collect();
    let told = told.join(", ");
    let expected = if is_armed { op.armed } else { op.unarmed };
    let armed = if is_armed { "armed" } else { "unarmed" };
    let is_noted =
        is_armed || judged.notes.iter().any(|note| note.contains(op.note)) || op.note.is_empty();
    (told != expected || !is_noted).then(|| {
        format!(
            "{} {armed}: expected `{expected}` and `{}`, got `{told}`\n  notes: {:?}\n  {:?}\n  before {:?}\n  after  {:?}",
            op.name,
            op.note,
            judged.notes,
            judged.findings.iter().map(|it| &it.evidence[0].fact).collect::<Vec<_>>(),
            (&before.evidence.database, &before.evidence.tables),
            (&after.evidence.database, &after.evidence.tables),
        )
    })
}
