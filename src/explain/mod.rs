//! The pages behind `chatctl explain CODE`: what a finding means for the user of the
//! chat, how it comes about, how to fix it, and how far the evidence goes.
//!
//! A new code is one file and one row.

use crate::text;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// The code of the finding; also the name of the file.
    pub code: &'static str,
    /// Plain text that reads well in a terminal; its first line is the summary.
    pub text: &'static str,
}

impl Page {
    /// The page in one sentence, for a list of all codes.
    pub fn summary(&self) -> &'static str {
        self.text.lines().next().unwrap_or_default()
    }
}

macro_rules! page {
    ($code:literal) => {
        Page {
            code: $code,
            text: include_str!(concat!($code, ".md")),
        }
    };
}

/// Every page, in the order of the alphabet.
pub static ALL: &[Page] = &[
    page!("accept-data-loss"),
    page!("add-not-null-without-default"),
    page!("answer-differs"),
    page!("answer-duplicated"),
    page!("answer-empty"),
    page!("answer-lost-on-disconnect"),
    page!("answer-lost-on-stop"),
    page!("answered-rate-low"),
    page!("approval-lost"),
    page!("attachment-lost"),
    page!("backfilled"),
    page!("branch-broken"),
    page!("check-skipped"),
    page!("column-lost"),
    page!("context-altered"),
    page!("context-lost"),
    page!("conversation-emptied"),
    page!("conversation-lost"),
    page!("conversation-not-found"),
    page!("convert-charset"),
    page!("cors-blocked"),
    page!("data-after-done"),
    page!("delete-database-file"),
    page!("delete-rows"),
    page!("delete-without-where"),
    page!("destroys-later"),
    page!("destructive-statement"),
    page!("django-flush"),
    page!("done-despite-failed-save"),
    page!("done-missing"),
    page!("drop-all-at-startup"),
    page!("drop-column"),
    page!("drop-database"),
    page!("drop-in-init-sql"),
    page!("drop-partition"),
    page!("drop-table"),
    page!("drop-table-cascades"),
    page!("drop-table-in-code"),
    page!("duplicate-conversation"),
    page!("duplicate-message"),
    page!("empty-answer"),
    page!("empty-conversation"),
    page!("ends-transaction"),
    page!("error-text-as-answer"),
    page!("failed-save-hangs"),
    page!("failed-save-untried"),
    page!("file-replaced"),
    page!("finish-ignored"),
    page!("foreign-history"),
    page!("foreign-keys-off"),
    page!("hbm2ddl-create"),
    page!("history-differs"),
    page!("id-reused"),
    page!("ignore-drops-rows"),
    page!("implicit-commit"),
    page!("in-memory-database"),
    page!("invalid-directive"),
    page!("limit-exceeded"),
    page!("log-forbidden"),
    page!("log-says-reset"),
    page!("logged-out-on-restart"),
    page!("loosens-sql-mode"),
    page!("marker-unseen"),
    page!("message-altered"),
    page!("message-duplicated"),
    page!("message-lost"),
    page!("message-lost-on-kill"),
    page!("message-lost-on-restart"),
    page!("message-moved"),
    page!("migration-changed"),
    page!("migration-failed"),
    page!("migration-missing"),
    page!("migration-out-of-order"),
    page!("migration-unfinished"),
    page!("missing-table"),
    page!("models-not-imported"),
    page!("narrowing-type"),
    page!("needs-no-transaction"),
    page!("never-saved"),
    page!("next-turn-refused"),
    page!("no-index"),
    page!("not-an-event-stream"),
    page!("numbers-given-again"),
    page!("objects-lost"),
    page!("old-answer-lost"),
    page!("old-answer-shown"),
    page!("opaque-code"),
    page!("order-ambiguous"),
    page!("order-tied"),
    page!("orphan-message"),
    page!("owner-changed"),
    page!("part-altered"),
    page!("part-lost"),
    page!("part-stored-as-whole"),
    page!("partly-applied"),
    page!("policy-not-kept"),
    page!("pool-exhausted"),
    page!("pragma-without-effect"),
    page!("profile-detected"),
    page!("provider-call-extra"),
    page!("provider-call-goes-on"),
    page!("provider-call-unmatched"),
    page!("provider-error-hidden"),
    page!("question-duplicated"),
    page!("rails-schema-load"),
    page!("reload-untried"),
    page!("rename-in-use"),
    page!("replace-deletes-rows"),
    page!("replacement-character"),
    page!("reset-command-at-start"),
    page!("resume-refused"),
    page!("resume-text-differs"),
    page!("role-may-drop"),
    page!("role-unknown"),
    page!("rows-lost"),
    page!("rows-unreadable"),
    page!("save-failed-silently"),
    page!("save-rate-low"),
    page!("saved-after-done"),
    page!("saved-row-changed-later"),
    page!("schema-changed"),
    page!("schema-drift"),
    page!("sequence-rewound"),
    page!("server-did-not-start"),
    page!("squawk"),
    page!("startup-ddl"),
    page!("store-not-durable"),
    page!("stream-buffered"),
    page!("stream-end-unknown"),
    page!("stream-text-differs"),
    page!("stream-text-unread"),
    page!("stuck-streaming"),
    page!("swallows-save-errors"),
    page!("sync-force"),
    page!("synchronize-true"),
    page!("table-copied"),
    page!("table-lost"),
    page!("table-missing"),
    page!("table-recreated"),
    page!("table-restored"),
    page!("table-truncated"),
    page!("table-volatile"),
    page!("time-ahead"),
    page!("time-runs-backwards"),
    page!("times-read-as-utc"),
    page!("times-shifted"),
    page!("title-lost"),
    page!("tool-calls-differ"),
    page!("truncate-table"),
    page!("truncated-answer"),
    page!("turn-overwritten"),
    page!("turn-stored-twice"),
    page!("unanswered-turn"),
    page!("undecodable-content"),
    page!("unparsable-statement"),
    page!("unused-acknowledgement"),
    page!("unused-ignore"),
    page!("update-without-where"),
    page!("user-message-lost"),
    page!("values-changed"),
    page!("values-lost"),
    page!("view-takes-no-rows"),
    page!("wrong-conversation"),
    page!("wrong-role"),
];

/// The page of that code; the codes of a family, `squawk/…`, share one.
pub fn page(code: &str) -> Option<&'static Page> {
    let family = code.split_once('/').map_or(code, |(family, _)| family);
    ALL.iter().find(|page| page.code == family)
}

/// The code that was probably meant; none when nothing is close: of so many codes one is always a bit
/// alike.
pub fn nearest(code: &str) -> Option<&'static str> {
    let near = text::nearest(code, ALL.iter().map(|page| page.code))?;
    let slips = strsim::osa_distance(&code.to_lowercase().replace(['_', ' '], "-"), near);
    (slips <= 2.max(near.len() / 3)).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::{ALL, nearest, page};
    use std::collections::BTreeSet;

    const HEADINGS: [&str; 4] = [
        "## What it means",
        "## How it comes about",
        "## How to fix it",
        "## How chatctl shows it",
    ];

    #[test]
    fn every_file_has_its_row_and_every_row_its_file() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/explain");
        let files: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| {
                let name = entry.unwrap().file_name().into_string().unwrap();
                name.strip_suffix(".md").map(str::to_owned)
            })
            .collect();
        let rows: Vec<_> = ALL.iter().map(|page| page.code.to_owned()).collect();
        assert_eq!(rows, files.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn every_page_has_a_summary_and_the_four_parts_in_order() {
        for page in ALL {
            assert!(page.summary().ends_with('.'), "{}", page.code);
            let headings: Vec<_> = page
                .text
                .lines()
                .filter(|line| line.starts_with('#'))
                .collect();
            assert_eq!(headings, HEADINGS, "{}", page.code);
            for part in page.text.split("\n## ").skip(1) {
                assert!(
                    part.lines().filter(|line| !line.is_empty()).count() > 1,
                    "{}: {part}",
                    page.code
                );
            }
            assert!(page.text.ends_with(".\n"), "{}", page.code);
        }
    }

    #[test]
    fn every_page_fits_a_terminal() {
        for page in ALL {
            let lines = page.text.lines().count();
            assert!((15..=40).contains(&lines), "{}: {lines} lines", page.code);
            for line in page.text.lines() {
                assert!(line.chars().count() <= 80, "{}: {line}", page.code);
                assert_eq!(line, line.trim_end(), "{}", page.code);
            }
        }
    }

    #[test]
    fn a_page_is_found_by_its_code() {
        assert_eq!(page("never-saved").unwrap().code, "never-saved");
        assert!(page("never").is_none());
    }

    #[test]
    fn a_slip_of_the_pen_finds_the_code() {
        assert_eq!(nearest("saved-afer-done"), Some("saved-after-done"));
        assert_eq!(nearest("Never_Saved"), Some("never-saved"));
        assert_eq!(nearest("done-mising"), Some("done-missing"));
        assert_eq!(nearest("qqq"), None);
        assert_eq!(nearest("nope"), None);
        assert_eq!(nearest(""), None);
    }
}
