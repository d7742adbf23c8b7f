//! What counts as a comment or a string: a row a language.

use super::language::Language;

/// How comments and strings of a language look.
pub(super) struct Syntax {
    pub(super) line: &'static [&'static str],
    pub(super) block: Option<(&'static str, &'static str)>,
    pub(super) quotes: &'static [u8],
    /// Quotes whose strings may run over lines.
    pub(super) long: &'static [u8],
    pub(super) triple: bool,
    pub(super) docstrings: bool,
    pub(super) slash_regex: bool,
    pub(super) heredoc: bool,
}

const C_LIKE: Syntax = Syntax {
    line: &["//"],
    block: Some(("/*", "*/")),
    quotes: b"\"'",
    long: b"",
    triple: false,
    docstrings: false,
    slash_regex: false,
    heredoc: false,
};

/// Those of this language.
pub(super) fn syntax(language: Language) -> Syntax {
    match language {
        Language::Python => Syntax {
            line: &["#"],
            block: None,
            triple: true,
            docstrings: true,
            ..C_LIKE
        },
        Language::JavaScript => Syntax {
            quotes: b"\"'`",
            long: b"`",
            slash_regex: true,
            ..C_LIKE
        },
        Language::Go => Syntax {
            quotes: b"\"'`",
            long: b"`",
            ..C_LIKE
        },
        Language::Rust => Syntax {
            quotes: b"\"",
            long: b"\"",
            ..C_LIKE
        },
        Language::Php => Syntax {
            line: &["//", "#"],
            long: b"\"'",
            ..C_LIKE
        },
        Language::Jvm | Language::CSharp => Syntax {
            triple: true,
            ..C_LIKE
        },
        Language::Ruby => Syntax {
            line: &["#"],
            block: Some(("=begin", "=end")),
            heredoc: true,
            ..C_LIKE
        },
        Language::Sql => Syntax {
            line: &["--"],
            quotes: b"'",
            long: b"'",
            ..C_LIKE
        },
        Language::Hash | Language::Yaml => Syntax {
            line: &["#"],
            block: None,
            ..C_LIKE
        },
        Language::Json => Syntax {
            quotes: b"\"",
            ..C_LIKE
        },
        Language::Xml => Syntax {
            line: &[],
            block: Some(("<!--", "-->")),
            quotes: b"",
            ..C_LIKE
        },
    }
}
