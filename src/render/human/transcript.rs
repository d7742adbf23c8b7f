//! Conversations: who said what when, with wrapped text and unchanged code.

use super::{BOLD, CYAN, DIM, GREEN, Page, RED, YELLOW};
use crate::render::{escape, text};
use crate::report::{Line, Tool, Transcript};
use unicode_width::UnicodeWidthChar;

/// How many characters of a message are shown.
const LONGEST: usize = 4000;

/// Columns before the text of a message.
const INDENT: usize = 2;

impl Page {
    pub(super) fn conversation(&mut self, head: &Transcript) {
        let title = head.title.as_deref().unwrap_or("-");
        let what = format!("{}: {title}", head.key);
        for line in text::wrap(&escape::line(&what), usize::from(self.width)) {
            self.line(&self.paint(&line, BOLD));
        }
        let facts = [
            ("user", &head.user),
            ("from", &head.created),
            ("to", &head.last),
        ];
        let facts: Vec<_> = facts
            .iter()
            .filter_map(|(label, value)| Some(format!("{label} {}", value.as_ref()?)))
            .collect();
        self.note(&escape::line(&facts.join("  ")), 0);
    }

    pub(super) fn message(&mut self, line: &Line) {
        self.line("");
        let color = match line.role.as_str() {
            "user" => CYAN,
            "assistant" => GREEN,
            _ => YELLOW,
        };
        let role = self.paint(&escape::line(&line.role), &format!("{BOLD};{color}"));
        let time = line.time.as_deref().unwrap_or("-");
        let place = self.paint(&format!("{time}  {}", escape::line(&line.key)), DIM);
        let marks = line.state.iter().chain(&line.flags);
        let marks: String = marks
            .map(|mark| format!("  {}", self.paint(&format!("[{mark}]"), RED)))
            .collect();
        self.line(&format!("{role}  {place}{marks}"));
        if !line.text.is_empty() || line.tools.is_empty() {
            self.body(&line.text);
        }
        for tool in &line.tools {
            self.tool(tool);
        }
    }

    /// Prose is wrapped; between two fences of Markdown every line stays as it is.
    fn body(&mut self, text: &str) {
        if text.is_empty() {
            self.note("(empty)", INDENT);
            return;
        }
        let mut fence: Option<&str> = None;
        let told = if self.full {
            text.into()
        } else {
            text::pictured(text)
        };
        let end = if self.full {
            None
        } else {
            told.char_indices().nth(LONGEST).map(|(at, _)| at)
        };
        let text = escape::block(&told[..end.unwrap_or(told.len())]);
        for line in text.trim_end_matches('\n').split('\n') {
            let start = line.trim();
            let mark = ["```", "~~~"].into_iter().find(|it| start.starts_with(it));
            match (fence, mark) {
                (None, None) => self.wrapped(line, INDENT),
                _ => self.line(&format!("{:INDENT$}{line}", "")),
            }
            fence = match fence {
                None => mark,
                // A fence is closed by one of its kind with nothing behind it.
                Some(open) if mark == Some(open) && start.len() == open.len() => None,
                open => open,
            };
        }
        if let Some(end) = end {
            let more = told[end..].chars().count();
            self.note(
                &format!("… {more} more characters; --full shows them"),
                INDENT,
            );
        }
    }

    /// One line, cut at the terminal's edge; all of it when verbose.
    fn tool(&mut self, tool: &Tool) {
        let name = escape::line(&tool.name).into_owned();
        let input = tool.input.as_deref().unwrap_or_default();
        let input = if self.full {
            input.into()
        } else {
            text::pictured(input)
        };
        let input = escape::line(&input).into_owned();
        if self.verbose {
            self.wrapped(&format!("⚙ {name}({input})"), INDENT);
            if let Some(output) = &tool.output {
                self.wrapped(&format!("→ {}", escape::line(output)), INDENT + 2);
            }
            return;
        }
        let room = usize::from(self.width).saturating_sub(INDENT + 1);
        let mut line = String::new();
        let mut used = 0;
        for char in format!("⚙ {name}({input})").chars() {
            used += char.width().unwrap_or(0);
            if used > room {
                line.push('…');
                break;
            }
            line.push(char);
        }
        self.line(&format!("{:INDENT$}{}", "", self.paint(&line, DIM)));
    }
}
