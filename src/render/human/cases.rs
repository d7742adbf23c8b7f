//! The table of cases: what was examined, and with which result.

use super::Page;
use super::sheet::Rows;
use crate::model::Value;
use crate::render::escape;
use crate::render::text;
use crate::report::Case;
use crate::report::Column;
use crate::report::Holds;
use crate::report::Verdict;
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
        let columns = [
            Column::of(Holds::Ids, "case"),
            Column::of(Holds::Names, "verdict"),
            Column::text("why"),
            Column::number("took").spare(0),
        ];
        let mut table = Self {
            text: String::new(),
            // What stands here is our own, and every word of it counts.
            verbose: self.verbose,
            ..*self
        };
        let mut rows = Rows::new(&columns);
        for case in cases {
            let cells = [
                escape::line(&case.name).into_owned(),
                case.verdict.word().to_owned(),
                text::reason(case),
                text::took(case.took),
            ];
            rows.hold(&cells.map(Value::Text), &table);
        }
        rows.show(&mut table);
        rows.less(&mut table);
        let verdict_at = table
            .text
            .lines()
            .next()
            .and_then(|head| head.find("verdict"));
        for line in table.text.lines() {
            self.line(&self.paint_verdict(line, verdict_at));
        }
    }

    /// Colours the verdict in a line of the table, which is laid out without colour.
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
