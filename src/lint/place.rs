//! From an offset in the text to a place in the file.

use super::{Found, Input};
use crate::report::Finding;

/// The places of one text.
#[derive(Debug)]
pub(super) struct Places<'a> {
    file: &'a str,
    text: &'a str,
    start: (u32, u32),
    /// The offset at which each line begins.
    lines: Vec<usize>,
}

impl<'a> Places<'a> {
    pub(super) fn new(input: &Input<'a>) -> Self {
        let ends = input.text.match_indices('\n');
        Self {
            file: input.file,
            text: input.text,
            start: input.start,
            lines: std::iter::once(0)
                .chain(ends.map(|(at, _)| at + 1))
                .collect(),
        }
    }

    /// Gives a finding its place. The place is also the subject: a report joins findings that
    /// have one subject, and two statements are two findings.
    pub(super) fn found(&self, at: usize, mut finding: Finding) -> Found {
        let (line, column) = self.position(at);
        finding.subject = format!("{}:{line}:{column}", self.file);
        finding.place.file = Some(self.file.to_owned());
        finding.place.line = Some(line);
        finding.place.column = Some(column);
        Found { at, finding }
    }

    /// The line and column in the file, from 1; columns are characters.
    fn position(&self, at: usize) -> (u32, u32) {
        let index = self.index(at);
        let before = self.text[self.lines[index]..].char_indices();
        let end = at - self.lines[index];
        let column = number(before.take_while(|(offset, _)| *offset < end).count());
        let (line, first) = self.start;
        if index == 0 {
            (line, first + column)
        } else {
            (line + number(index), column + 1)
        }
    }

    /// The offset of a line and column of the text, from 1.
    pub(super) fn offset(&self, line: u32, column: u32) -> usize {
        let start = self.start_of(line);
        let column = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
        let rest = &self.text[start..];
        let within = rest.char_indices().nth(column);
        start + within.map_or(rest.len(), |(offset, _)| offset)
    }

    /// The offset of the last comment that starts on a line of the text, from 1.
    pub(super) fn comment(&self, line: u32) -> usize {
        let start = self.start_of(line);
        let text = self.text[start..].lines().next().unwrap_or_default();
        let mark = text.find("chatctl").unwrap_or(text.len());
        start + text[..mark].rfind("--").unwrap_or_default()
    }

    /// The line around an offset, without blanks at its ends.
    pub(super) fn line_at(&self, at: usize) -> &'a str {
        let start = self.lines[self.index(at)];
        self.text[start..].lines().next().unwrap_or_default().trim()
    }

    fn index(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at) - 1
    }

    fn start_of(&self, line: u32) -> usize {
        let index = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
        self.lines.get(index).copied().unwrap_or(self.text.len())
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Input, Places};

    fn places(text: &str, start: (u32, u32)) -> Places<'_> {
        Places::new(&Input {
            file: "f.sql",
            text,
            start,
            no_transaction: false,
            acknowledged: &[],
        })
    }

    #[test]
    fn a_place_counts_characters_and_lines_of_the_file() {
        let places = places("é DROP;\r\n  x", (3, 5));
        assert_eq!(places.position(0), (3, 5));
        assert_eq!(places.position(3), (3, 7));
        assert_eq!(places.position(12), (4, 3));
        assert_eq!(places.line_at(12), "x");
    }

    #[test]
    fn a_line_and_column_lead_back_to_the_offset() {
        let places = places("é a\nb -- chatctl: x\n", (9, 1));
        assert_eq!(places.offset(1, 3), 3);
        assert_eq!(places.offset(2, 1), 5);
        assert_eq!(places.offset(7, 1), 21);
        assert_eq!(places.comment(2), 7);
    }
}
