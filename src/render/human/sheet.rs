//! Sheets: columns side by side if the terminal is wide enough, otherwise a line per value.
//!
//! Where it is too narrow, texts are wrapped first; then columns are left out that are worth the least; and
//! where that is not enough, each value has a line of its own. Ids, times, roles, names and numbers are never
//! broken over lines, nor is a word of a text.

use super::{BOLD, DIM, Page};
use crate::model::Value;
use crate::render::{escape, text};
use crate::report::{Align, Column, Holds};
use crate::text::{hex, plural};
use unicode_width::UnicodeWidthStr;

/// Blanks between two columns.
const GAP: usize = 2;
/// A column of texts is never narrower, unless all that it holds is.
const NARROWEST: usize = 16;
/// A column of texts is as wide as its longest word, up to this.
const WORD: usize = 64;
/// Longer texts are cut, and say by how much; `--verbose` shows them whole.
const LONGEST: usize = 400;

/// The rows of a sheet: held until the width of each column is known.
pub(super) struct Rows {
    columns: Vec<Column>,
    held: Vec<Vec<String>>,
    layout: Option<Layout>,
    shown: usize,
    /// Words that were wider than their column.
    cut: u64,
}

enum Layout {
    /// A column a value, each of this width; none for one that is left out.
    Columns(Vec<Option<usize>>),
    /// A line a value: there are more columns than the terminal has room for.
    Records,
}

impl Rows {
    pub(super) fn new(columns: &[Column]) -> Self {
        Self {
            columns: columns.to_vec(),
            held: Vec::new(),
            layout: None,
            shown: 0,
            cut: 0,
        }
    }

    pub(super) fn hold(&mut self, values: &[Value], page: &Page) {
        let cells = values.iter().map(|value| cell(value, page.verbose));
        self.held.push(cells.collect());
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    pub(super) fn is_laid_out(&self) -> bool {
        self.layout.is_some()
    }

    pub(super) fn show(&mut self, page: &mut Page) {
        if self.held.is_empty() {
            return;
        }
        let layout = match self.layout.take() {
            Some(layout) => layout,
            None => {
                let layout = self.lay_out(page);
                if let Layout::Columns(widths) = &layout {
                    self.head(widths, page);
                }
                layout
            }
        };
        for row in std::mem::take(&mut self.held) {
            self.shown += 1;
            match &layout {
                Layout::Columns(widths) => self.row(&row, widths, page),
                Layout::Records => self.record(&row, page),
            }
        }
        self.layout = Some(layout);
    }

    /// Says how many rows there were, and what of them is not shown.
    pub(super) fn end(&self, page: &mut Page) {
        if self.shown == 0 && !self.columns.is_empty() {
            page.wrapped(&self.names().join("  "), 0);
        }
        page.line("");
        page.note(&plural(self.shown as u64, "row"), 0);
        self.less(page);
    }

    /// Says what is not shown for want of room.
    pub(super) fn less(&self, page: &mut Page) {
        let width = page.width;
        match &self.layout {
            Some(Layout::Columns(widths)) => {
                let names = self.names();
                let left_out = names
                    .iter()
                    .zip(widths)
                    .filter(|(_, width)| width.is_none());
                let left_out: Vec<_> = left_out.map(|(name, _)| name.as_str()).collect();
                if !left_out.is_empty() {
                    let names = left_out.join(", ");
                    page.note(
                        &format!("left out, as the terminal has {width} columns: {names}; --verbose shows all"),
                        0,
                    );
                }
            }
            Some(Layout::Records) => page.note(
                &format!("each value is on a line of its own, as the terminal has {width} columns"),
                0,
            ),
            None => {}
        }
        if self.cut > 0 {
            let words = plural(self.cut, "word");
            page.note(
                &format!("{words} wider than the column are cut (…); --verbose cuts none"),
                0,
            );
        }
    }

    fn names(&self) -> Vec<String> {
        let names = self.columns.iter();
        names
            .map(|column| escape::line(&column.name).into_owned())
            .collect()
    }

    fn lay_out(&self, page: &Page) -> Layout {
        let names = self.names();
        let (mut widths, least): (Vec<_>, Vec<_>) = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| {
                let lines = self.held.iter().flat_map(|row| row[index].split('\n'));
                let lines = lines.chain([names[index].as_str()]);
                let width = lines.clone().map(UnicodeWidthStr::width).max().unwrap_or(0);
                if is_whole(column) {
                    return (Some(width), width);
                }
                let word = lines.map(text::widest_word).max().unwrap_or(0);
                let word = if page.verbose { word } else { word.min(WORD) };
                (Some(width), width.min(word.max(NARROWEST)))
            })
            .unzip();
        let sum = |widths: &[Option<usize>], of: &dyn Fn(usize) -> usize| {
            let kept = widths
                .iter()
                .enumerate()
                .filter_map(|(index, width)| width.map(|_| of(index)));
            let (count, sum) = kept.fold((0, 0), |(count, sum), width| (count + 1, sum + width));
            sum + GAP * usize::saturating_sub(count, 1)
        };
        let mut room = usize::from(page.width);
        if !page.is_terminal {
            // Whoever reads it has all the room there is.
            room = room.max(sum(&widths, &|index| least[index]));
        }
        let mut spare: Vec<_> = (0..widths.len())
            .filter(|index| self.columns[*index].spare.is_some() && !page.verbose)
            .collect();
        spare.sort_by_key(|index| std::cmp::Reverse(self.columns[*index].spare));
        while sum(&widths, &|index| least[index]) > room {
            match spare.pop() {
                Some(index) => widths[index] = None,
                None => return Layout::Records,
            }
        }
        for (width, least) in widths.iter_mut().zip(&least) {
            *width = width.map(|width| width.min(room.max(*least)));
        }
        while sum(&widths, &|index| widths[index].unwrap_or(0)) > room {
            // The widest gives way first.
            let gives = (0..widths.len()).filter(|index| widths[*index] > Some(least[*index]));
            let Some(widest) = gives.max_by_key(|index| widths[*index]) else {
                break;
            };
            widths[widest] = widths[widest].map(|width| width - 1);
        }
        for (index, width) in widths.iter_mut().enumerate() {
            // Where its lines end early there is no need for the rest.
            if let Some(room) = *width
                && !is_whole(&self.columns[index])
            {
                let cells = self.held.iter().map(|row| row[index].as_str());
                let lines = cells
                    .chain([names[index].as_str()])
                    .flat_map(|cell| cell.split('\n'));
                let used = lines
                    .flat_map(|line| text::wrap(line, room))
                    .map(|line| line.width());
                *width = Some(used.max().unwrap_or(0).min(room));
            }
        }
        Layout::Columns(widths)
    }

    fn head(&mut self, widths: &[Option<usize>], page: &mut Page) {
        self.row(&self.names(), widths, page);
        let kept: Vec<_> = widths.iter().flatten().collect();
        let width = kept.iter().copied().sum::<usize>() + GAP * kept.len().saturating_sub(1);
        page.line(&"─".repeat(width));
    }

    fn row(&mut self, cells: &[String], widths: &[Option<usize>], page: &mut Page) {
        let mut shown = Vec::new();
        for ((cell, width), column) in cells.iter().zip(widths).zip(&self.columns) {
            let Some(width) = *width else { continue };
            let lines = cell.split('\n');
            let lines: Vec<String> = if is_whole(column) {
                lines.map(str::to_owned).collect()
            } else {
                let mut short = |line: String| {
                    let short = text::shortened(&line, width);
                    self.cut += u64::from(short != line);
                    short.into_owned()
                };
                lines
                    .flat_map(|line| text::wrap(line, width))
                    .map(&mut short)
                    .collect()
            };
            shown.push((lines, width, column.align));
        }
        let height = shown
            .iter()
            .map(|(lines, ..)| lines.len())
            .max()
            .unwrap_or(0);
        for number in 0..height {
            let mut line = String::new();
            for (lines, width, align) in &shown {
                let part = lines.get(number).map_or("", String::as_str);
                let blanks = " ".repeat(width.saturating_sub(part.width()));
                match align {
                    Align::Left => line.push_str(&format!("{part}{blanks}")),
                    Align::Right => line.push_str(&format!("{blanks}{part}")),
                }
                line.push_str(&" ".repeat(GAP));
            }
            page.line(&line);
        }
    }

    fn record(&self, cells: &[String], page: &mut Page) {
        let names = self.names();
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

/// Whether no value of a column may be broken over lines.
fn is_whole(column: &Column) -> bool {
    match (column.align, column.holds) {
        (Align::Right, _) => true,
        (_, Holds::Names | Holds::Times | Holds::Ids | Holds::Roles) => true,
        (_, Holds::Words | Holds::Stored) => false,
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
/// for nothing, is in quotes. Only when verbose it is shown as a whole.
fn cell(value: &Value, verbose: bool) -> String {
    let longest = if verbose { usize::MAX } else { LONGEST };
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(bool) => bool.to_string(),
        Value::Number(digits) => digits.clone(),
        Value::Text(text) if text.is_empty() || text == "-" => format!("\"{text}\""),
        Value::Text(text) => {
            let text = if verbose {
                text.into()
            } else {
                text::pictured(text)
            };
            text::clipped(&escape::block(&text), longest).into_owned()
        }
        Value::Blob(bytes) => text::clipped(&format!("x'{}'", hex(bytes)), longest).into_owned(),
    }
}
