//! The table of cases: what was examined, and with which result.

use super::Page;
use crate::render::escape;
use crate::render::text;
use crate::report::Case;
use crate::report::Verdict;
use comfy_table::CellAlignment;
use comfy_table::ColumnConstraint;
use comfy_table::ContentArrangement;
use comfy_table::LineStyle;
use comfy_table::Table;
use comfy_table::TableStyle;
use comfy_table::Width;
use unicode_width::UnicodeWidthStr;

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
        let mut table = Table::new();
        let rule = LineStyle::none().fill('─').junction('─');
        table.load_style(TableStyle::new().header_separator(rule));
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(self.width);
        table.set_header(["case", "verdict", "why", "took"]);
        for case in cases {
            table.add_row([
                escape::line(&case.name).into_owned(),
                case.verdict.word().to_owned(),
                text::reason(case),
                text::took(case.took),
            ]);
        }
        // A long name must not squeeze the reason, which is what is read.
        table.set_constraints([
            ColumnConstraint::UpperBoundary(Width::Percentage(36)),
            ColumnConstraint::ContentWidth,
            ColumnConstraint::LowerBoundary(Width::Fixed(16)),
            ColumnConstraint::ContentWidth,
        ]);
        for column in table.column_iter_mut() {
            column.set_padding((0, 1));
        }
        if let Some(took) = table.column_mut(3) {
            took.set_padding((0, 0))
                .set_cell_alignment(CellAlignment::Right);
        }
        let lines: Vec<String> = table.lines().collect();
        let verdict_at = lines.first().and_then(|header| header.find("verdict"));
        for line in &lines {
            self.line(&self.paint_verdict(line, verdict_at));
        }
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

/// Splits where that many columns are used; none when a wide character stands across it.
fn split_at_column(line: &str, column: usize) -> Option<(&str, &str)> {
    let mut splits = line.char_indices().map(|(at, _)| line.split_at(at));
    splits.find(|(before, _)| before.width() == column)
}
