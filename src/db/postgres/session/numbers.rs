//! Sequences that number rows. A rollback does not undo `setval`, so chatctl does.

use super::{Postgres, numbers};
use crate::db::catalog::quoted;
use crate::db::session::{Failed, Session as _};
use crate::model::{Cell, Numbered, NumberedColumn, Numbering, Sequence};

/// A sequence as it was when a file began.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    id: u64,
    last: String,
    /// Whether the last number was given.
    is_given: bool,
    /// Whether the numbers fall.
    falls: bool,
}

impl Postgres {
    pub(super) fn all_numberings(&mut self) -> anyhow::Result<Vec<Numbering>> {
        let [sequences, of_columns] = self.several(&[
            "s.oid::text, n.nspname::text, s.relname::text, q.seqincrement::text, q.seqmin::text, q.seqmax::text, q.seqcycle::text, q.seqstart::text, (s.relpersistence = 'u')::text \
             FROM pg_class AS s JOIN pg_namespace AS n ON n.oid = s.relnamespace JOIN pg_sequence AS q ON q.seqrelid = s.oid \
             WHERE s.relpersistence <> 't' AND CASE WHEN s.relkind = 'S' THEN has_sequence_privilege(s.oid, 'SELECT') END ORDER BY s.oid"
                .to_owned(),
            "f.seq::text, n.nspname::text, c.relname::text, a.attname::text FROM ( \
             SELECT ad.adrelid AS tab, ad.adnum AS num, d.refobjid AS seq FROM pg_attrdef AS ad JOIN pg_depend AS d \
             ON d.classid = 'pg_attrdef'::regclass AND d.objid = ad.oid AND d.refclassid = 'pg_class'::regclass \
             UNION SELECT d.refobjid, d.refobjsubid, d.objid FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass \
             AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'i' AND d.refobjsubid > 0) AS f \
             JOIN pg_class AS c ON c.oid = f.tab JOIN pg_namespace AS n ON n.oid = c.relnamespace \
             JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = f.num WHERE c.relpersistence <> 't' ORDER BY f.seq"
                .to_owned(),
        ])?;
        if sequences.is_empty() {
            return Ok(Vec::new());
        }
        let states = sequences.iter().map(|row| {
            let (id, schema, name) = (&row[0], row[1].to_string(), row[2].to_string());
            let sequence = format!("{}.{}", quoted(&schema), quoted(&name));
            let falls = row[3].to_string().starts_with('-');
            format!("SELECT '{id}', last_value::text, is_called::text, '{falls}' FROM {sequence}")
        });
        let states = states.collect::<Vec<_>>().join(" UNION ALL ");
        let states: Vec<_> = self
            .rows(&states)?
            .iter()
            .map(|row| Counted {
                id: numbers(row)[0],
                last: row[1].to_string(),
                is_given: row[2].text() == Some("true"),
                falls: row[3].text() == Some("true"),
            })
            .collect();
        let mut all = Vec::new();
        for row in &sequences {
            let id = numbers(&row[..1])[0];
            let Some(state) = states.iter().find(|state| state.id == id) else {
                continue;
            };
            let last: i64 = state.last.parse()?;
            let [step, least, most, start] =
                [3, 4, 5, 7].map(|at| row[at].to_string().parse::<i64>());
            let (step, least, most, start) = (step?, least?, most?, start?);
            let mut next = last.saturating_add(if state.is_given { step } else { 0 });
            if row[6].text() == Some("true") && !(least..=most).contains(&next) {
                next = if state.falls { most } else { least };
            }
            let columns = of_columns.iter().filter(|it| it[0] == row[0]);
            let of: Vec<_> = columns
                .map(|it| {
                    let column = NumberedColumn {
                        table: self.shown(&it[1].to_string(), &it[2].to_string()),
                        column: it[3].to_string(),
                    };
                    Numbered::BySequence(column, self.sequence(row))
                })
                .collect();
            let of = if of.is_empty() {
                vec![Numbered::Sequence(self.sequence(row))]
            } else {
                of
            };
            all.extend(of.into_iter().map(|of| Numbering {
                of,
                unused: !state.is_given && last == start,
                next,
                last: Some(next.saturating_sub(step)),
                step,
                volatile: row[8].text() == Some("true"),
            }));
        }
        if self.counted.is_empty() {
            self.counted = states;
        }
        Ok(all)
    }

    /// The sequence of a row that has its schema and its name behind its number.
    fn sequence(&self, row: &[Cell]) -> Sequence {
        let (schema, name) = (row[1].to_string(), row[2].to_string());
        let names = self.names();
        let subject = if schema == self.default {
            names.written(&name)
        } else {
            format!("{}.{}", names.written(&schema), names.written(&name))
        };
        Sequence {
            name: self.shown(&schema, &name),
            subject,
        }
    }

    /// Sets the sequences forward again that statements set back which are taken back.
    pub(super) fn set_forward(&mut self) -> Result<(), Failed> {
        if self.counted.is_empty() {
            return Ok(());
        }
        let were = self.counted.iter().map(|it| {
            format!(
                "({}::oid, {}::bigint, {}, {})",
                it.id, it.last, it.is_given, it.falls
            )
        });
        let were = were.collect::<Vec<_>>().join(", ");
        // What others counted meanwhile stays. Only pg_sequence is read: of pg_class, the server may ask
        // has_sequence_privilege for relations that are no sequences, which is an error.
        self.send(&format!(
            "SELECT pg_catalog.setval(q.seqrelid::regclass, w.last, w.given) FROM (VALUES {were}) AS w (id, last, given, falls) \
             JOIN pg_catalog.pg_sequence AS q ON q.seqrelid = w.id \
             WHERE pg_catalog.has_sequence_privilege(q.seqrelid, 'UPDATE') AND (w.given OR w.last <> q.seqstart) \
             AND CASE WHEN w.falls THEN coalesce(pg_catalog.pg_sequence_last_value(q.seqrelid), q.seqmax::numeric + 1) > w.last \
             ELSE coalesce(pg_catalog.pg_sequence_last_value(q.seqrelid), q.seqmin::numeric - 1) < w.last END"
        ))
    }
}
