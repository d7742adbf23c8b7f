//! Rows that refer to a missing row of another table.
//!
//! The other table's keys are gathered first and joined as a whole. `NOT EXISTS` says the same, and
//! where no index leads to the keys it reads all of them for each row.

use super::CheckContext;
use crate::db::Db;

/// Columns of the rows `m` that name a row, and the other table's columns that they name.
pub(super) struct Names<'n> {
    /// The table of the rows `m`.
    pub(super) table: &'n str,
    pub(super) columns: Vec<&'n str>,
    /// The table whose rows they name.
    pub(super) other: &'n str,
    /// The columns that they name, in the same order.
    pub(super) keys: Vec<&'n str>,
}

impl Names<'_> {
    /// What is after `FROM … m`, and the condition on rows whose other row is not there.
    pub(super) fn absent(&self, context: &CheckContext<'_>) -> (String, String) {
        // Only PostgreSQL compares no columns of different types.
        let alike = |column: &str, key: &str| {
            !context.db.catalog().is_strict
                || declared(context, self.table, column) == declared(context, self.other, key)
        };
        self.sql(context.db, alike)
    }

    /// `alike` says of which columns the values are compared as they are; else as texts.
    fn sql(&self, db: &dyn Db, alike: impl Fn(&str, &str) -> bool) -> (String, String) {
        let pairs = self.columns.iter().zip(&self.keys).enumerate();
        let (keys, same): (Vec<_>, Vec<_>) = pairs
            .map(|(at, (column, key))| {
                let [mine, other] = [("m", column), ("c", key)]
                    .map(|(table, name)| format!("{table}.{}", db.quote(name)));
                let [mine, other] = if alike(column, key) {
                    [mine, other]
                } else {
                    [mine, other].map(|column| db.text_of(&column))
                };
                (format!("{other} AS k{at}"), format!("there.k{at} = {mine}"))
            })
            .unzip();
        let join = format!(
            "LEFT JOIN (SELECT DISTINCT {} FROM {} c) there ON {}",
            keys.join(", "),
            db.quote(self.other),
            same.join(" AND ")
        );
        (join, "there.k0 IS NULL".to_owned())
    }
}

fn declared<'g>(context: &'g CheckContext<'_>, table: &str, name: &str) -> Option<&'g str> {
    let column = context.column(table, name);
    column.map(|column| column.declared.as_str())
}

#[cfg(test)]
mod tests {
    use super::Names;
    use crate::db;
    use crate::db::Target;
    use std::time::Duration;

    /// Without an index on the other table's column, which is the common case: nothing is read once
    /// for each row.
    #[tokio::test]
    async fn both_tables_are_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chat.db");
        std::fs::File::create(&file).unwrap();
        let target = Target::parse(&format!("sqlite:{}", file.display())).unwrap();
        let db = db::open(target).await.unwrap();
        let mut writer = db.writer(Duration::from_secs(1)).await.unwrap();
        let tables =
            "CREATE TABLE chat (id INTEGER PRIMARY KEY); CREATE TABLE message (chat_id INTEGER)";
        writer.execute(tables).await.unwrap();
        let names = Names {
            table: "chat",
            columns: vec!["id"],
            other: "message",
            keys: vec!["chat_id"],
        };
        let (join, absent) = names.sql(db.as_ref(), |_, _| true);
        let sql = format!("EXPLAIN QUERY PLAN SELECT m.id FROM chat m {join} WHERE {absent}");
        let plan: Vec<_> = db.rows(&sql, &[]).await.unwrap();
        let plan: Vec<_> = plan.iter().map(|row| row[3].to_string()).collect();
        let count = |what: &str| plan.iter().filter(|step| step.starts_with(what)).count();
        assert_eq!((count("SCAN c"), count("CORRELATED")), (1, 0), "{plan:#?}");
        assert_eq!(count("SEARCH there USING AUTOMATIC"), 1, "{plan:#?}");
    }
}
