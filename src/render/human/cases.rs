//! The table of cases: what was examined, and with which result.

use super::Page;
use super::sheet::Rows;
use crate::model::Value;
use crate::render::{escape, text};
use crate::report::{Case, Column, Holds, Verdict};
use comfy_table::{
    CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle, Width,
};
use unicode_width::UnicodeWidthStr;

const HEADS: [&str; 4] = ["case", "verdict", "reason", "time"];
/// The column whose text is wrapped; the others are never broken.
const WHY: usize = 2;
/// The column that is left out where there is no room for it.
const TOOK: usize = 3;
/// The reason is what is read: its column is never narrower than that, unless all reasons are.
const NARROWEST: usize = 16;
/// Blanks between two columns.
const GAP: usize = 2;

const VERDICTS: [Verdict; 5] = [
    Verdict::Proven,
    Verdict::Held,
    Verdict::Inconclusive,
    Verdict::Violated,
    Verdict::Refused,
];

impl Page {
    /// The table of cases.
    pub(super) fn cases(&mut self, cases: &[Case]) {
        self.line("");
        let mut rows = rows(cases);
        let room = usize::from(self.width);
        let is_timed = text::is_timed(cases);
        if !is_timed {
            rows.iter_mut().for_each(|row| row.truncate(TOOK));
        }
        let leaves_out = is_timed && sum(&least(&rows)) > room && self.is_terminal && !self.verbose;
        if leaves_out {
            rows.iter_mut().for_each(|row| row.truncate(TOOK));
        }
        if sum(&least(&rows)) > room && self.is_terminal {
            return self.records(cases);
        }
        let lines = laid_out(&rows, room);
        let verdict_at = lines.first().and_then(|header| header.find(HEADS[1]));
        for line in &lines {
            self.line(&self.paint_verdict(line, verdict_at));
        }
        if leaves_out {
            let note = format!(
                "left out, as the terminal has {room} columns: {}; --verbose shows all",
                HEADS[TOOK]
            );
            self.note(&note, 0);
        }
    }

    /// A line a value, where even the names have no room.
    fn records(&mut self, cases: &[Case]) {
        let columns = [
            Column::of(Holds::Ids, HEADS[0]),
            Column::of(Holds::Names, HEADS[1]),
            Column::text(HEADS[WHY]),
            Column::number(HEADS[TOOK]),
        ];
        let shown = if text::is_timed(cases) {
            columns.len()
        } else {
            TOOK
        };
        let mut records = Rows::new(&columns[..shown]);
        for row in rows(cases).into_iter().skip(1) {
            let values: Vec<_> = row.into_iter().take(shown).map(Value::Text).collect();
            records.hold(&values, self);
        }
        records.show(self);
        records.less(self);
    }

    /// Colours the verdict in a line of the table. The table itself is laid out without
    /// colour: its library would look at the environment, and only `Style` may decide.
    fn paint_verdict(&self, line: &str, at: Option<usize>) -> String {
        let parts = at.and_then(|at| split_at_column(line, at));
        let Some((before, after)) = parts.filter(|_| self.color) else {
            return line.to_owned();
        };
        let word = after.split(' ').next().unwrap_or_default();
        match VERDICTS.iter().find(|verdict| verdict.word() == word) {
            Some(verdict) => format!("{before}{}{}", self.verdict(*verdict), &after[word.len()..]),
            None => line.to_owned(),
        }
    }
}

/// The heads, and a row a case.
fn rows(cases: &[Case]) -> Vec<Vec<String>> {
    let rows = cases.iter().map(|case| {
        vec![
            escape::line(&case.name).into_owned(),
            case.verdict.word().to_owned(),
            text::reason(case),
            text::took(case.took),
        ]
    });
    let heads = HEADS.map(str::to_owned).to_vec();
    std::iter::once(heads).chain(rows).collect()
}

/// The columns that a table needs: reasons may be wrapped between words, nothing else.
fn least(rows: &[Vec<String>]) -> Vec<usize> {
    let columns = 0..rows.first().map_or(0, Vec::len);
    let least = columns.map(|column| {
        let cells = rows.iter().map(|row| row[column].as_str());
        let width = cells.clone().map(UnicodeWidthStr::width).max().unwrap_or(0);
        match column {
            WHY => width.min(
                cells
                    .map(text::widest_word)
                    .max()
                    .unwrap_or(0)
                    .max(NARROWEST),
            ),
            _ => width,
        }
    });
    least.collect()
}

fn sum(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

/// The lines of a table of this width, or of the least that it needs.
fn laid_out(rows: &[Vec<String>], room: usize) -> Vec<String> {
    let least = least(rows);
    let fixed = |width: usize| u16::try_from(width).unwrap_or(u16::MAX);
    let mut table = Table::new();
    let rule = LineStyle::none().fill('─').junction('─');
    table.load_style(TableStyle::new().header_separator(rule));
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(fixed(room.max(sum(&least))));
    let mut rows = rows.iter();
    table.set_header(rows.next().into_iter().flatten());
    table.add_rows(rows);
    table.set_constraints(
        least
            .iter()
            .enumerate()
            .map(|(column, least)| match column {
                // Padding counts.
                WHY => ColumnConstraint::LowerBoundary(Width::Fixed(fixed(least + 1))),
                _ => ColumnConstraint::ContentWidth,
            }),
    );
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    if let Some(took) = table.column_mut(TOOK) {
        took.set_padding((0, 0))
            .set_cell_alignment(CellAlignment::Right);
    }
    table.lines().collect()
}

/// Splits where that many columns are used; none when a wide character is across it.
fn split_at_column(line: &str, column: usize) -> Option<(&str, &str)> {
    let mut splits = line.char_indices().map(|(at, _)| line.split_at(at));
    splits.find(|(before, _)| before.width() == column)
}
