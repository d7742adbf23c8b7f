//! Rows of the first chat that are neither right nor wrong, such as drafts that a column of the store tells apart.

use super::rows::DOUBLED;
use super::stage::Stage;
use crate::model::Cell;
use crate::report::{Finding, Report, Severity, Source, Verdict};
use crate::store;
use crate::stream::faults::{NONE, READ_TO_END};
use crate::stream::judge;
use crate::stream::judge::{Doubt, Observed};

/// What is in the names of columns that say which rows are shown.
const FLAGS: [&str; 10] = [
    "delet", "final", "draft", "version", "revision", "latest", "current", "active", "supersed",
    "hidden",
];

impl Stage<'_> {
    /// What the rows of the first chat leave open is never a pass.
    pub(super) async fn doubt_rows(
        &self,
        observed: &Observed,
        drafts: Option<&str>,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let drafts = drafts.map(Doubt::of_drafts);
        let Some(doubt) = judge::doubts(observed).into_iter().chain(drafts).next() else {
            return Ok(());
        };
        if !doubt.text.is_empty() && self.is_in_a_column(&doubt.text).await? {
            return Ok(());
        }
        let case = self.begin_case("rows", &NONE, &READ_TO_END);
        self.end_case(case, Verdict::Inconclusive, doubt.why, report);
        Ok(())
    }

    /// Whether some column has a text. One that may not be read is like one that has it not.
    async fn is_in_a_column(&self, text: &str) -> anyhow::Result<bool> {
        let schema = self.world.db().schema().await?;
        let found = store::find_text(self.world.db(), &schema, text).await;
        Ok(found.is_ok_and(|holding| !holding.is_empty()))
    }

    /// The column that tells the parts of an answer from the whole one, where without a history nobody knows which of them
    /// a reload shows.
    pub(super) async fn draft_column(&self, observed: &Observed) -> anyhow::Result<Option<String>> {
        let Some(mapping) = self.mapping.as_ref().filter(|_| observed.history.is_none()) else {
            return Ok(None);
        };
        for turn in &observed.turns {
            let (Some(key), Some((whole, parts))) = (&turn.conversation, turn.drafts()) else {
                continue;
            };
            let (columns, rows) = store::raw(self.world.db(), mapping, key).await?;
            if let Some(column) = told_apart(&columns, &rows, whole, &parts) {
                return Ok(Some(column));
            }
        }
        Ok(None)
    }
}

/// The column with a value of the whole answer that no part of it has.
fn told_apart(
    columns: &[String],
    rows: &[Vec<Cell>],
    whole: &str,
    parts: &[&str],
) -> Option<String> {
    let whole: Vec<_> = holding(rows, whole).collect();
    let parts: Vec<_> = parts.iter().flat_map(|part| holding(rows, part)).collect();
    let tells = |at: usize| {
        whole
            .iter()
            .all(|whole| parts.iter().all(|it| it[at] != whole[at]))
    };
    let is_flag = |name: &str| FLAGS.iter().any(|flag| name.to_lowercase().contains(flag));
    let mut flags = columns.iter().enumerate().filter(|(_, name)| is_flag(name));
    let are_found = !whole.is_empty() && !parts.is_empty();
    let (_, name) = flags.find(|(at, _)| are_found && tells(*at))?;
    Some(name.clone())
}

/// The rows with this text.
fn holding<'r>(rows: &'r [Vec<Cell>], text: &'r str) -> impl Iterator<Item = &'r Vec<Cell>> {
    let is_it = move |cell: &Cell| cell.text().is_some_and(|it| it.trim() == text.trim());
    rows.iter().filter(move |row| row.iter().any(is_it))
}

/// A finding on drafts next to an answer, where a column tells them apart: they may be hidden.
pub(super) fn told_of(finding: Finding, column: Option<&str>) -> Finding {
    match column {
        Some(column) if finding.code == DOUBLED => Finding {
            severity: Severity::Warning,
            ..finding
        }
        .with(Source::Store, format!("`{column}` tells them apart")),
        _ => finding,
    }
}

#[cfg(test)]
mod tests {
    use super::{Cell, told_apart};

    #[test]
    fn drafts_are_told_apart_by_a_column_that_says_so() {
        let column = |name: &str, values: [i64; 3]| {
            let columns = ["id", name, "content"].map(str::to_owned);
            let texts = ["Task", "Task 'Buy milk'", "Task 'Buy milk' n1"];
            let rows = texts
                .iter()
                .zip(values)
                .zip(1..)
                .map(|((text, value), id)| {
                    vec![
                        Cell::Int(id),
                        Cell::Int(value),
                        Cell::Text((*text).to_owned()),
                    ]
                });
            let rows: Vec<_> = rows.collect();
            told_apart(&columns, &rows, texts[2], &texts[..2])
        };
        assert_eq!(
            column("is_deleted", [1, 1, 0]).as_deref(),
            Some("is_deleted")
        );
        assert_eq!(column("version", [1, 2, 3]).as_deref(), Some("version"));
        // A column that says the same of all, and one that every row has another value of.
        assert_eq!(column("is_deleted", [0, 0, 0]), None);
        assert_eq!(column("is_final", [0, 1, 1]), None);
        assert_eq!(column("tokens", [1, 4, 5]), None);
    }
}
