//! `chatctl: ignore CODE reason="…"` in a comment, on the line of a finding or above it.

use super::ALL;
use super::source_file::SourceFile;
use super::tree::Tree;
use crate::report::{Finding, Severity, Source};
use crate::text;
use regex::Regex;
use std::sync::LazyLock;

/// The code of an ignore that silences nothing.
pub const UNUSED_IGNORE: &str = "unused-ignore";

static IGNORE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"chatctl:\s*ignore\b[ \t]*([\w-]*)[ \t]*(?:reason\s*=\s*\\?["']([^"'\n\\]*))?"#)
        .expect("the pattern is constant")
});

struct Ignore<'a> {
    file: &'a SourceFile,
    at: usize,
    line: u32,
    code: String,
    reason: String,
    used: bool,
}

/// Drops the findings that are silenced, and adds one for each ignore that silences nothing.
pub fn apply(tree: &Tree, findings: Vec<Finding>) -> Vec<Finding> {
    let mut ignores: Vec<Ignore<'_>> = tree.files.iter().flat_map(read).collect();
    let mut out: Vec<Finding> = Vec::new();
    for finding in findings {
        let mut silenced = false;
        for ignore in &mut ignores {
            if ignore.silences(&finding) {
                ignore.used = true;
                silenced = true;
            }
        }
        if !silenced {
            out.push(finding);
        }
    }
    out.extend(
        ignores
            .iter()
            .filter(|ignore| !ignore.used)
            .map(Ignore::finding),
    );
    out
}

fn read(file: &SourceFile) -> Vec<Ignore<'_>> {
    let in_comment = |at: usize| {
        // JSON has no comments; npm's own habit is a key `"//"`.
        let json = file.language == super::language::Language::Json
            && file.line_at(at).starts_with("\"//\"");
        json || file
            .blanked
            .comments
            .iter()
            .any(|comment| comment.contains(&at))
    };
    let quoted = |code: &str| ALL.iter().any(|pattern| pattern.code == code);
    IGNORE
        .captures_iter(&file.text)
        .filter_map(|found| {
            let whole = found.get(0)?;
            let code = found[1].to_owned();
            // `migrate lint` has codes of its own in SQL files and judges its ignores itself.
            let foreign = file.language == super::language::Language::Sql && !quoted(&code);
            (in_comment(whole.start()) && !foreign).then(|| Ignore {
                file,
                at: whole.start(),
                line: file.position(whole.start()).0,
                code,
                reason: found
                    .get(2)
                    .map_or("", |reason| reason.as_str())
                    .trim()
                    .to_owned(),
                used: false,
            })
        })
        .collect()
}

impl Ignore<'_> {
    fn silences(&self, finding: &Finding) -> bool {
        let line = finding.place.line.unwrap_or_default();
        self.code == finding.code
            && !self.reason.is_empty()
            && finding.place.file.as_deref() == Some(&self.file.path)
            && (line == self.line || line == self.line + 1)
    }

    fn finding(&self) -> Finding {
        let known = ALL.iter().any(|pattern| pattern.code == self.code);
        let code = &self.code;
        let (harm, help) = if !known {
            let harm =
                format!("the comment ignores `{code}`, which is not a code of `migrate guard`");
            let help = match text::nearest(code, ALL.iter().map(|pattern| pattern.code)) {
                Some(near) => format!("write `{near}`, or remove the comment"),
                None => "name a code of `migrate guard`, or remove the comment".to_owned(),
            };
            (harm, help)
        } else if self.reason.is_empty() {
            let harm = format!("the comment gives no reason, so `{code}` is not silenced");
            let help = format!("write `chatctl: ignore {code} reason=\"…\"`");
            (harm, help)
        } else {
            let harm = format!("the comment has no effect: `{code}` no longer occurs here");
            let help = "remove the comment, so that it cannot hide a later finding".to_owned();
            (harm, help)
        };
        let (line, column) = self.file.position(self.at);
        let place = format!("{}:{line}:{column}", self.file.path);
        let mut finding = Finding::new(UNUSED_IGNORE, Severity::Warning, place, harm, help)
            .with(Source::File, self.file.line_at(self.at));
        finding.place.file = Some(self.file.path.clone());
        finding.place.line = Some(line);
        finding.place.column = Some(column);
        finding
    }
}
