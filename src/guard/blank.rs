//! Takes comments, and for some questions also strings, out of a text without moving anything.

use super::language::Language;
use super::scan::Scanner;
use super::syntax::syntax;
use std::ops::Range;

/// A text without its comments; every byte stays where it was.
#[derive(Debug, Clone)]
pub struct Blanked {
    /// Comments (and Python's docstrings) are spaces.
    pub code: String,
    /// Comments and what is inside strings are spaces.
    pub bare: String,
    /// Where the comments and docstrings are.
    pub comments: Vec<Range<usize>>,
    /// What is inside the strings, without the quotes.
    pub strings: Vec<Range<usize>>,
}

/// Reads the text once.
pub fn blank(text: &str, language: Language) -> Blanked {
    let scanner = Scanner::read(text, language, syntax(language));
    let code = without(text, &scanner.comments);
    // In scripts and configuration the quotes are decoration: `CMD ["npx", "prisma"]`.
    let bare = if language.is_code() || language == Language::Sql {
        without(&code, &scanner.strings)
    } else {
        code.clone()
    };
    Blanked {
        code,
        bare,
        comments: scanner.comments,
        strings: scanner.strings,
    }
}

/// The text with those ranges as blanks; line ends stay, and so does the place of every
/// character, so that an offset into one text fits the others.
fn without(text: &str, ranges: &[Range<usize>]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for range in ranges {
        out.push_str(&text[at..range.start]);
        out.extend(text[range.clone()].chars().map(|c| match c.len_utf8() {
            _ if c == '\n' => '\n',
            1 => ' ',
            2 => '\u{a0}',
            3 => '\u{3000}',
            // There is no blank of four bytes, and such characters are no code.
            _ => c,
        }));
        at = range.end;
    }
    out.push_str(&text[at..]);
    out
}

#[cfg(test)]
mod tests {
    use super::{Language, blank};

    #[test]
    fn nothing_moves() {
        let text = "a = 'ä語🙂' # ü\n\"\"\"ö\"\"\"\n";
        let read = blank(text, Language::Python);
        for (at, _) in text.char_indices() {
            assert!(read.code.is_char_boundary(at) && read.bare.is_char_boundary(at));
        }
        assert_eq!(read.bare.len(), text.len());
        assert_eq!(read.code.trim_end(), "a = 'ä語🙂'");
        assert_eq!(read.strings.len(), 1);
    }

    #[test]
    fn a_docstring_is_a_comment_and_an_argument_is_not() {
        let text =
            "def f():\n    \"\"\"drop_all\"\"\"\n    run(\n        \"DROP TABLE x\"\n    )\n";
        let read = blank(text, Language::Python);
        assert!(!read.code.contains("drop_all"));
        assert!(read.code.contains("DROP TABLE"));
        assert!(!read.bare.contains("DROP TABLE"));
    }

    #[test]
    fn a_quote_that_is_never_closed_ends_with_its_line() {
        let read = blank("<p>Don't</p>\nsync();", Language::JavaScript);
        assert!(read.bare.contains("sync();"));
    }

    #[test]
    fn a_regular_expression_opens_no_string_and_an_address_no_comment() {
        let read = blank(
            "x.replace(/['\"]/g, ''); y('a'); // z",
            Language::JavaScript,
        );
        assert!(read.bare.contains("y(' ')"), "{}", read.bare);
        assert!(!read.code.contains('z'));
        let read = blank("URL=http://x#y # z", Language::Hash);
        assert_eq!(read.code.trim_end(), "URL=http://x#y");
    }

    #[test]
    fn templates_raw_strings_and_heredocs_are_strings() {
        let read = blank("q(`a ${b(`c`)} d`); e()", Language::JavaScript);
        assert_eq!(read.bare.replace(' ', ""), "q(``);e()");
        let read = blank("q(r#\"DROP \"t\"\"#); 'a'; f()", Language::Rust);
        assert!(!read.bare.contains("DROP") && read.bare.contains("f()"));
        let read = blank("x <<~SQL\n  DROP\nSQL\ny\n", Language::Ruby);
        assert!(!read.bare.contains("DROP") && read.bare.contains('y'));
    }

    #[test]
    fn what_mysql_executes_is_no_comment() {
        let read = blank(
            "/*!40000 DROP TABLE a */; /* DROP TABLE b */",
            Language::Sql,
        );
        assert!(read.code.contains("TABLE a") && !read.code.contains("TABLE b"));
    }
}
