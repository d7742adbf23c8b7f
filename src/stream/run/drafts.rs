//! Rows of the first chat that are neither right nor wrong, such as drafts that a column of the
//! store distinguishes.

use super::stage::Stage;
use crate::model::Cell;
use crate::report::{Report, Verdict};
use crate::store;
use crate::stream::faults::{NONE, READ_TO_END};
use crate::stream::judge;
use crate::stream::judge::{Drafts, Observed, history_differs};

/// What is in the names of columns that say which rows are shown.
const FLAGS: [&str; 10] = [
    "delet", "final", "draft", "version", "revision", "latest", "current", "active", "supersed",
    "hidden",
];

/// What is in the names of those that are set on rows that are not shown, and on those that are.
const HIDES: [&str; 4] = ["delet", "draft", "supersed", "hidden"];
const SHOWS: [&str; 4] = ["final", "latest", "current", "active"];

impl Stage<'_> {
    /// What the rows of the first chat leave open is never a pass. Learns what tells drafts from
    /// the whole answer.
    pub(super) async fn doubt_rows(
        &mut self,
        observed: &mut Observed,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        self.drafts = match self.draft_column(observed).await? {
            Some(column) => Drafts::Column(column),
            None if judge::hides_drafts(observed) => Drafts::Hidden,
            None => Drafts::Untold,
        };
        observed.drafts = self.drafts.clone();
        let Some(doubt) = judge::doubt(observed) else {
            return Ok(());
        };
        if let Some(text) = &doubt.text
            && self.is_in_a_column(text).await?
        {
            return Ok(());
        }
        let case = self.begin_case("rows", &NONE, &READ_TO_END);
        self.end_case(case, Verdict::Inconclusive, doubt.why, report);
        Ok(())
    }

    /// Each conversation begins as the first one did, or nobody knows whose the messages before its
    /// question are.
    pub(super) fn check_preface(&mut self, observed: &Observed) {
        let mut first = observed.turns.iter().take(1);
        if !first.all(|turn| history_differs::begins_with(turn, &self.preface)) {
            let why = "the first conversation begins with messages that another one does not have: it is not \
                known who said them";
            self.misread.get_or_insert_with(|| why.to_owned());
        }
    }

    /// Whether some column has a text. One that may not be read is like one that has it not.
    async fn is_in_a_column(&self, text: &str) -> anyhow::Result<bool> {
        let schema = self.world.db().schema().await?;
        let found = store::find_text(self.world.db(), &schema, text).await;
        Ok(found.is_ok_and(|holding| !holding.is_empty()))
    }

    /// The column that tells the parts of an answer from the whole one, where without a history nobody knows which of them
    /// a reload shows.
    async fn draft_column(&self, observed: &Observed) -> anyhow::Result<Option<String>> {
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

/// The column with a value of the whole answer that no part of it has, and that does not say that
/// the whole one is not shown.
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
    let is_shown = |(at, name): (usize, &String)| {
        let says = |words: &[&str]| words.iter().any(|it| name.to_lowercase().contains(it));
        let mut values = whole.iter().map(|row| &row[at]);
        if says(&HIDES) {
            values.all(is_unset)
        } else {
            !says(&SHOWS) || !values.any(is_unset)
        }
    };
    let mut flags = columns.iter().enumerate().filter(|(_, name)| is_flag(name));
    let are_found = !whole.is_empty() && !parts.is_empty();
    let (_, name) = flags.find(|flag| are_found && tells(flag.0) && is_shown(*flag))?;
    Some(name.clone())
}

/// Whether a flag is not set.
fn is_unset(cell: &Cell) -> bool {
    match cell {
        Cell::Null => true,
        Cell::Int(number) => *number == 0,
        Cell::Real(number) => *number == 0.0,
        Cell::Text(text) => ["", "0", "f", "false", "n", "no"].contains(&&*text.to_lowercase()),
        Cell::Blob(bytes) => bytes.iter().all(|byte| *byte == 0),
    }
}

fn holding<'r>(rows: &'r [Vec<Cell>], text: &'r str) -> impl Iterator<Item = &'r Vec<Cell>> {
    let is_it = move |cell: &Cell| cell.text().is_some_and(|it| it.trim() == text.trim());
    rows.iter().filter(move |row| row.iter().any(is_it))
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
        assert_eq!(column("is_final", [0, 0, 1]).as_deref(), Some("is_final"));
        // It says that the drafts are shown, and the answer is not.
        assert_eq!(column("is_deleted", [0, 0, 1]), None);
        assert_eq!(column("is_final", [1, 1, 0]), None);
        // A column that says the same of all, and one that every row has another value of.
        assert_eq!(column("is_deleted", [0, 0, 0]), None);
        assert_eq!(column("is_final", [0, 1, 1]), None);
        assert_eq!(column("tokens", [1, 4, 5]), None);
    }
}
