//! Comments that change what of a file runs: those by which a tool runs a plain file in its own way, and
//! those that bare carriage returns make longer than they look.

use super::Unsupported;

/// Why a file is not the plain SQL that it seems to be.
pub(super) fn unknown(text: &str) -> Option<Unsupported> {
    text.lines()
        .map(str::trim)
        .filter(|line| line.starts_with("--"))
        .find_map(|line| {
            liquibase(line)
                .or_else(|| atlas(line))
                .map(Unsupported::new)
        })
}

/// A comment that goes on behind a bare carriage return, because only a line feed ends it: what seems to be
/// on its next lines does not run.
pub(super) fn swallowing(text: &str) -> Option<Unsupported> {
    let lines = text.lines().enumerate();
    let mut found = lines.filter(|(_, line)| {
        let Some((before, comment)) = line.split_once("--") else {
            return false;
        };
        let mut parts = comment.split('\r').skip(1);
        let is_quoted = before.matches('\'').count() % 2 == 1;
        !is_quoted && parts.any(|part| !part.trim().is_empty())
    });
    let (number, _) = found.next()?;
    Some(Unsupported {
        why: format!(
            "line {} has a comment with bare carriage returns, and SQLite and MySQL take what follows on it for \
                a part of the comment",
            number + 1
        ),
        instead: Some("save the file with line ends LF or CRLF".to_owned()),
    })
}

/// What may make Liquibase leave a changeset out, run it again, or divide it in another way.
const LIQUIBASE: [&str; 8] = [
    "context:",
    "contextfilter:",
    "labels:",
    "dbms:",
    "runalways:",
    "runonchange:",
    "enddelimiter:",
    "ignore:",
];

fn liquibase(line: &str) -> Option<String> {
    let words = line
        .trim_start_matches('-')
        .trim_start()
        .to_ascii_lowercase();
    if words.starts_with("preconditions ") || words.starts_with("precondition-") {
        return Some(format!("Liquibase runs it under a condition (`{line}`)"));
    }
    let changeset = words.strip_prefix("changeset ")?;
    let found = LIQUIBASE.iter().find(|word| changeset.contains(*word))?;
    let word = found.trim_end_matches(':');
    Some(format!(
        "Liquibase runs it in its own way (`{word}` in `{line}`)"
    ))
}

fn atlas(line: &str) -> Option<String> {
    let word = line.strip_prefix("-- atlas:")?.split_whitespace().next()?;
    match word {
        "checkpoint" => {
            Some("it is a checkpoint of Atlas, which replaces the files before it".to_owned())
        }
        "delimiter" => Some(
            "it sets its own delimiter (`-- atlas:delimiter`), which chatctl does not read"
                .to_owned(),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{swallowing, unknown};

    #[test]
    fn comments_that_swallow_statements_are_named() {
        for text in [
            "-- a\rCREATE TABLE t (id int);\r",
            "A;\nB; -- b\r\rC;\n",
            "-- +goose Up\rCREATE TABLE t (id int);",
        ] {
            assert!(swallowing(text).is_some(), "{text:?}");
        }
        for text in [
            "-- a\r\nCREATE TABLE t (id int);\r\n",
            "-- a\r\r\nA;",
            "A;\rB;\r",
            "INSERT INTO t VALUES ('--\rx');\n",
        ] {
            assert_eq!(swallowing(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_a_tool_would_not_just_run_is_named() {
        for text in [
            "--liquibase formatted sql\n--changeset me:1 context:test\nA;\n",
            "-- changeset me:1 runOnChange:true\nA;\n",
            "--preconditions onFail:MARK_RAN\nA;\n",
            "-- atlas:checkpoint\n\nA;\n",
            "-- atlas:delimiter \\n\\n\nA\n",
        ] {
            assert!(unknown(text).is_some(), "{text}");
        }
        for text in [
            "--liquibase formatted sql\n--changeset me:1\nA;\n--rollback B;\n",
            "-- atlas:nolint destructive\nA;\n",
            "-- the changeset of the context: none\nA;\n",
        ] {
            assert_eq!(unknown(text), None, "{text}");
        }
    }
}
