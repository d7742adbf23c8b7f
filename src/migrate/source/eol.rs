//! Whether two texts with different hashes differ only in line ends or a byte-order mark.

use super::{BOM, checksum, checksum_ignoring};
use std::collections::BTreeSet;
use std::fmt;

/// How lines end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnds {
    /// `\n`, as on Unix.
    Lf,
    /// `\r\n`, as on Windows.
    CrLf,
}

/// How the text that was applied differs from the file. Every other byte is the same.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LineEndDifference {
    /// The line ends of the text that was applied, when they are not the file's.
    pub line_ends: Option<LineEnds>,
    /// Whether the text that was applied had a byte-order mark, when the file is not alike.
    pub bom: Option<bool>,
    /// The characters that the recorded checksum left out, when it was made with `ignored-chars`.
    pub ignored: Vec<char>,
}

impl fmt::Display for LineEndDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        match self.line_ends {
            Some(LineEnds::Lf) => parts.push("it was applied with line ends LF"),
            Some(LineEnds::CrLf) => parts.push("it was applied with line ends CRLF"),
            None => {}
        }
        match self.bom {
            Some(true) => parts.push("it was applied with a byte-order mark"),
            Some(false) => parts.push("it was applied without a byte-order mark"),
            None => {}
        }
        if !self.ignored.is_empty() {
            parts.push("its checksum was made with `ignored-chars`");
        }
        f.write_str(&parts.join(", "))
    }
}

/// Finds the line ends and byte-order mark with which `bytes` have the checksum (SHA-384).
///
/// Also tries that the checksum was made without carriage returns or byte-order marks (`ignored-chars` of
/// `sqlx.toml`), but no set with other white space: within a literal that would be an edit.
/// None when the bytes have the checksum as they are, and when nothing fits.
pub fn same_but_for_line_ends(bytes: &[u8], wanted: &[u8]) -> Option<LineEndDifference> {
    let text = std::str::from_utf8(bytes).ok()?;
    if checksum(bytes) == wanted {
        return None;
    }
    let bare = text.strip_prefix(BOM).unwrap_or(text);
    let has_bom = bare.len() < text.len();
    let lf = bare.replace("\r\n", "\n");
    let crlf = lf.replace('\n', "\r\n");
    let ends = [
        (None, bare),
        (Some(LineEnds::Lf), lf.as_str()),
        (Some(LineEnds::CrLf), crlf.as_str()),
    ];
    for (line_ends, body) in ends {
        for with_bom in [has_bom, !has_bom] {
            let candidate = if with_bom {
                checksum(format!("{BOM}{body}").as_bytes())
            } else {
                checksum(body.as_bytes())
            };
            if candidate == wanted {
                return Some(LineEndDifference {
                    line_ends,
                    bom: (with_bom != has_bom).then_some(with_bom),
                    ignored: Vec::new(),
                });
            }
        }
    }
    for ignored in [vec!['\r'], vec![BOM], vec!['\r', BOM]] {
        let set: BTreeSet<char> = ignored.iter().copied().collect();
        if checksum_ignoring(text, &set) == wanted {
            return Some(LineEndDifference {
                ignored,
                ..LineEndDifference::default()
            });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::{checksum, checksum_ignoring};
    use super::{LineEnds, same_but_for_line_ends};

    const LF: &str = "CREATE TABLE chat (\n  id INT\n);\n";
    const CRLF: &str = "CREATE TABLE chat (\r\n  id INT\r\n);\r\n";

    fn difference(file: &str, applied: &str) -> Option<super::LineEndDifference> {
        same_but_for_line_ends(file.as_bytes(), &checksum(applied.as_bytes()))
    }

    #[test]
    fn a_checkout_with_other_line_ends_is_recognized() {
        let found = difference(CRLF, LF).unwrap();
        assert_eq!((found.line_ends, found.bom), (Some(LineEnds::Lf), None));
        let found = difference(LF, CRLF).unwrap();
        assert_eq!((found.line_ends, found.bom), (Some(LineEnds::CrLf), None));
        let mixed = "CREATE TABLE chat (\r\n  id INT\n);\n";
        assert!(difference(mixed, LF).is_some() && difference(mixed, CRLF).is_some());
    }

    #[test]
    fn a_byte_order_mark_is_recognized_with_and_without_line_ends() {
        let marked = format!("\u{FEFF}{CRLF}");
        assert_eq!(difference(&marked, CRLF).unwrap().bom, Some(false));
        assert_eq!(difference(CRLF, &marked).unwrap().bom, Some(true));
        let both = difference(LF, &marked).unwrap();
        assert_eq!(both.line_ends, Some(LineEnds::CrLf));
        assert_eq!(
            both.to_string(),
            "it was applied with line ends CRLF, it was applied with a byte-order mark"
        );
    }

    #[test]
    fn a_checksum_with_ignored_characters_is_recognized() {
        let applied = format!("\u{FEFF}{CRLF}");
        let recorded = checksum_ignoring(&applied, &['\r', '\u{FEFF}'].into());
        // Without them the text is the file with line ends LF, which is the simpler explanation.
        let found = same_but_for_line_ends(applied.as_bytes(), &recorded).unwrap();
        assert_eq!(found.line_ends, Some(LineEnds::Lf));
        let stray = "SELECT '\r';\n";
        let recorded = checksum_ignoring(stray, &['\r'].into());
        let found = same_but_for_line_ends(stray.as_bytes(), &recorded).unwrap();
        assert_eq!(found.ignored, ['\r']);
    }

    #[test]
    fn every_other_edit_is_no_line_end() {
        for edited in [
            "CREATE TABLE chat (\n  id INT\n);",
            "CREATE TABLE chat (\n id INT\n);\n",
            "CREATE TABLE chat (id INT);\n",
        ] {
            assert_eq!(difference(edited, LF), None, "{edited}");
        }
        assert_eq!(difference(LF, LF), None);
    }

    #[test]
    fn bytes_that_are_no_text_are_no_line_end() {
        assert_eq!(
            same_but_for_line_ends(b"\xff", &checksum(LF.as_bytes())),
            None
        );
    }
}
