//! Views for a person at a terminal.

use super::Page;
use super::sheet::Rows;
use crate::render::{Show, Style, escape, text};
use crate::report::{Head, Piece};
use std::io;
use std::io::Write;

/// The most rows that are examined to tell how wide each column is.
const LOOKED_AT: usize = 200;

pub(super) fn new(style: &Style) -> Box<dyn Show> {
    Box::new(Screen {
        page: Page::new(style),
        rows: None,
    })
}

struct Screen {
    page: Page,
    /// The sheet, when it is one.
    rows: Option<Rows>,
}

impl Show for Screen {
    fn piece(&mut self, piece: &Piece, out: &mut dyn Write) -> io::Result<()> {
        match piece {
            Piece::Head(Head::Sheet(sheet)) => {
                self.page.heading(&sheet.title);
                self.rows = Some(Rows::new(&sheet.columns));
            }
            Piece::Head(Head::Transcript(head)) => {
                self.page.full = head.full;
                self.page.conversation(head);
            }
            Piece::Head(Head::Text(head)) => {
                let text = escape::block(&head.text);
                text.lines().for_each(|line| self.page.line(line));
            }
            Piece::Row(values) => {
                let rows = self.rows.as_mut().expect("a row follows its sheet");
                rows.hold(values, &self.page);
                // Once its columns have a width, a row is shown at once.
                if rows.is_laid_out() || rows.held() >= LOOKED_AT {
                    rows.show(&mut self.page);
                }
            }
            Piece::Line(line) => self.page.message(line),
            Piece::Note(note) => {
                self.pause(out)?;
                self.page.line("");
                self.page.wrapped(&text::sentence(&note.text), 0);
            }
        }
        self.flush(out)
    }

    fn pause(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(rows) = &mut self.rows {
            rows.show(&mut self.page);
        }
        self.flush(out)
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(mut rows) = self.rows.take() {
            rows.show(&mut self.page);
            rows.end(&mut self.page);
        }
        self.flush(out)
    }
}

impl Screen {
    fn flush(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(self.page.text.as_bytes())?;
        self.page.text.clear();
        Ok(())
    }
}
