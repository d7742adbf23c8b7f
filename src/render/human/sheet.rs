//! Sheets: columns side by side where the terminal is wide enough, else a line each value.

use super::BOLD;
use super::DIM;
use super::Page;
use crate::model::Value;
use crate::render::escape;
use crate::render::text;
use crate::report::Align;
use crate::report::Column;
use crate::report::Sheet;
use unicode_width::UnicodeWidthStr;

/// Blanks between two columns.
const GAP: usize = 2;
/// A column is never narrower, unless all that it holds is.
const NARROWEST: usize = 10;
/// Longer texts are cut, and say by how much; `--verbose` shows them whole.
const LONGEST: usize = 400;

/// The rows of a sheet: held until the width of each column is known.
pub(super) struct Rows {
    columns: Vec<Column>,
    held: Vec<Vec<String>>,
    layout: Option<Layout>,
    shown: usize,
}

enum Layout {
    /// A column a value, each of these widths.
    Columns(Vec<usize>),
    /// A line a value: there are more columns than the terminal has room for.
    Records,
}

impl Rows {
    pub(super) fn new(sheet: &Sheet) -> Self {
        Self {
            columns: sheet.columns.clone(),
            held: Vec::new(),
            layout: None,
            shown: 0,
        }
    }

    pub(super) fn hold(&mut self, values: &[Value], page: &Page) {
        let longest = if page.verbose { usize::MAX } else { LONGEST };
        let cells = values.iter().map(|value| cell(value, longest));
        self.held.push(cells.collect());
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    pub(super) fn is_laid_out(&self) -> bool {
        self.layout.is_some()
    }

    /// Shows what is held.
    pub(super) fn show(&mut self, page: &mut Page) {
        if self.held.is_empty() {
            return;
        }
        if self.layout.is_none() {
            let layout = self.lay_out(usize::from(page.width));
            if let Layout::Columns(widths) = &layout {
                self.head(widths, page);
            }
            self.layout = Some(layout);
        }
        for row in std::mem::take(&mut self.held) {
            self.shown += 1;
            match &self.layout {
                Some(Layout::Columns(widths)) => self.row(&row, widths, page),
                _ => self.record(&row, page),
            }
        }
    }

    /// Says how many rows there were.
    pub(super) fn end(&self, page: &mut Page) {
        if self.shown == 0 && !self.columns.is_empty() {
            let names = self.columns.iter().map(|column| escape::line(&column.name));
            page.wrapped(&names.collect::<Vec<_>>().join("  "), 0);
        }
        page.line("");
        page.note(&text::plural(self.shown as u64, "row"), 0);
    }

    fn lay_out(&self, width: usize) -> Layout {
        let widest = |(index, column): (usize, &Column)| {
            let cells = self.held.iter().map(|row| &row[index]);
            let lines = cells.flat_map(|cell| cell.lines().map(UnicodeWidthStr::width));
            lines
                .chain([escape::line(&column.name).width()])
                .max()
                .unwrap_or(0)
        };
        let mut widths: Vec<_> = self.columns.iter().enumerate().map(widest).collect();
        let gaps = GAP * widths.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > width {
            let over = widths.iter().sum::<usize>() + gaps - width;
            let mut sorted = widths.clone();
            sorted.sort_unstable();
            let widest = sorted.last().copied().unwrap_or(0);
            let second = sorted.iter().rev().find(|width| **width < widest);
            let second = second.copied().unwrap_or(0).max(NARROWEST);
            if widest <= NARROWEST {
                return Layout::Records;
            }
            // The widest give way first, down to the next one.
            let count = widths.iter().filter(|width| **width == widest).count();
            let to = second.max(widest.saturating_sub(over.div_ceil(count)));
            for width in widths.iter_mut().filter(|width| **width == widest) {
                *width = to;
            }
        }
        Layout::Columns(widths)
    }

    fn head(&self, widths: &[usize], page: &mut Page) {
        let names: Vec<_> = self
            .columns
            .iter()
            .map(|column| escape::line(&column.name).into_owned())
            .collect();
        self.row(&names, widths, page);
        let width = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
        page.line(&"─".repeat(width));
    }

    fn row(&self, cells: &[String], widths: &[usize], page: &mut Page) {
        let wrapped: Vec<Vec<String>> = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| {
                let lines = cell.split('\n');
                lines.flat_map(|line| text::wrap(line, *width)).collect()
            })
            .collect();
        let height = wrapped.iter().map(Vec::len).max().unwrap_or(0);
        for number in 0..height {
            let mut line = String::new();
            for ((lines, width), column) in wrapped.iter().zip(widths).zip(&self.columns) {
                let part = lines.get(number).map_or("", String::as_str);
                let blanks = " ".repeat(width.saturating_sub(part.width()));
                match column.align {
                    Align::Left => line.push_str(&format!("{part}{blanks}")),
                    Align::Right => line.push_str(&format!("{blanks}{part}")),
                }
                line.push_str(&" ".repeat(GAP));
            }
            page.line(&line);
        }
    }

    fn record(&self, cells: &[String], page: &mut Page) {
        let names: Vec<_> = self
            .columns
            .iter()
            .map(|column| escape::line(&column.name).into_owned())
            .collect();
        let width = names.iter().map(|name| name.width()).max().unwrap_or(0);
        let head = page.paint(&format!("── {}", self.shown), DIM);
        page.line(&head);
        for (name, cell) in names.iter().zip(cells) {
            let room = usize::from(page.width)
                .saturating_sub(width + GAP)
                .max(NARROWEST);
            let mut start = format!("{name}{}", " ".repeat(width - name.width() + GAP));
            for line in cell.split('\n').flat_map(|line| text::wrap(line, room)) {
                page.line(&format!("{start}{line}"));
                start = " ".repeat(width + GAP);
            }
        }
    }
}

impl Page {
    pub(super) fn heading(&mut self, title: &str) {
        for line in text::wrap(&escape::line(title), usize::from(self.width)) {
            self.line(&self.paint(&line, BOLD));
        }
        self.line("");
    }
}

/// A value as a person reads it. No value is `-`, and a text that could be mistaken for that, or
/// for nothing, is in quotes.
fn cell(value: &Value, longest: usize) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(bool) => bool.to_string(),
        Value::Number(digits) => digits.clone(),
        Value::Text(text) if text.is_empty() || text == "-" => format!("\"{text}\""),
        Value::Text(text) => text::clipped(&escape::block(text), longest).into_owned(),
        Value::Blob(bytes) => {
            text::clipped(&format!("x'{}'", text::hex(bytes)), longest).into_owned()
        }
    }
}
