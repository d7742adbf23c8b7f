//! A foreign key, and the rows that it leaves alone.

use super::Session;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    /// The table that has it.
    pub child: String,
    /// The table that it refers to.
    pub parent: String,
    /// Its columns, each with the one of the parent.
    pub columns: Vec<(String, String)>,
    /// Whether its rows are deleted with those that they refer to.
    pub cascades: bool,
}

impl ForeignKey {
    /// A query for the number of rows of the child that refer to no row of the parent.
    pub fn without_parent(&self, session: &dyn Session) -> String {
        let mark = session.names().quote;
        let quoted = |name: &str| {
            let doubled = name.replace(mark, &format!("{mark}{mark}"));
            format!("{mark}{doubled}{mark}")
        };
        let pairs = self.columns.iter();
        let same = pairs.map(|(own, other)| format!("c.{} = p.{}", quoted(own), quoted(other)));
        let filled = self.columns.iter();
        let filled = filled.map(|(own, _)| format!("c.{} IS NOT NULL", quoted(own)));
        format!(
            "SELECT count(*) FROM {} AS c WHERE {} AND NOT EXISTS (SELECT 1 FROM {} AS p WHERE {})",
            session.quote(&self.child),
            filled.collect::<Vec<_>>().join(" AND "),
            session.quote(&self.parent),
            same.collect::<Vec<_>>().join(" AND ")
        )
    }

    /// From rows of a number or a name of the key, the child, the parent, a column of each, and what is done
    /// when the parent goes, in order.
    pub(in crate::db) fn all(rows: impl IntoIterator<Item = [String; 6]>) -> Vec<Self> {
        let mut all: Vec<(String, Self)> = Vec::new();
        for [name, child, parent, own, other, on_delete] in rows {
            match all.last_mut() {
                Some((last, key)) if *last == name && key.child == child => {
                    key.columns.push((own, other));
                }
                _ => {
                    let columns = vec![(own, other)];
                    let key = Self {
                        child,
                        parent,
                        columns,
                        cascades: on_delete == "CASCADE",
                    };
                    all.push((name, key));
                }
            }
        }
        all.into_iter().map(|(_, key)| key).collect()
    }
}
