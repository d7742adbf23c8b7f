//! Which tables are named like parts of messages, and which of their columns are kept as they are: pure.

use super::words::{MISLEADING_SHORT, is_log, words};

/// Words for what is a part of a message, and kept in rows of its own.
const PARTS: &[&str] = &[
    "attachment",
    "artifact",
    "block",
    "call",
    "citation",
    "content",
    "document",
    "file",
    "function",
    "image",
    "invocation",
    "media",
    "part",
    "revision",
    "tool",
    "variant",
    "version",
];
/// Words for what is about such parts, and comes and goes.
const NOTES: &[&str] = &[
    "cost",
    "count",
    "download",
    "hash",
    "index",
    "link",
    "metric",
    "permission",
    "preview",
    "progress",
    "reaction",
    "receipt",
    "result_cache",
    "session",
    "share",
    "stat",
    "state",
    "status",
    "temp",
    "thumb",
    "thumbnail",
    "token",
    "upload",
    "view",
];

/// Whether a table is named like parts of messages.
pub(super) fn is_part(name: &str) -> bool {
    let of = |word: &str, names: &[&str]| {
        let one = word.strip_suffix('s').unwrap_or(word);
        names.contains(&one)
    };
    let words = words(name);
    let is_part = words.iter().any(|word| {
        // `messageattachments` is one word to whom nobody tells more.
        let ends = PARTS.iter().filter(|part| part.len() > 7);
        let one = word.strip_suffix('s').unwrap_or(word);
        of(word, PARTS) || ends.into_iter().any(|part| one.ends_with(part))
    });
    let about = [
        "feedback",
        "vote",
        "annotation",
        "plugin",
        "chunk",
        "usage",
        "search",
        "translat",
        "embed",
        "memor",
        "eval",
        "audit",
        "mail",
        "notif",
        "cache",
        "trace",
        "span",
        "webhook",
        "queue",
        "outbox",
        "archive",
        "backup",
        "draft",
        "template",
        "access",
        "activit",
    ];
    let is_note = words.iter().any(|word| {
        let named = about.iter().any(|it| word.starts_with(it));
        named || of(word, NOTES) || MISLEADING_SHORT.contains(&word.as_str())
    });
    is_part && !is_note && !is_log(name)
}

/// Whether what is in a column of such a table is not written over by its server: a state, a time, an error that
/// another try removes, counters and an address that expires are.
pub(super) fn is_kept(name: &str) -> bool {
    const CHANGES: &[&str] = &[
        "at",
        "date",
        "embedding",
        "error",
        "etag",
        "expires",
        "expiry",
        "extra",
        "hash",
        "href",
        "last",
        "meta",
        "metadata",
        "preview",
        "presigned",
        "progress",
        "signed",
        "src",
        "stage",
        "state",
        "status",
        "thumb",
        "thumbnail",
        "time",
        "timestamp",
        "token",
        "updated",
        "uri",
        "url",
        "usage",
        "vector",
    ];
    !words(name)
        .iter()
        .any(|word| CHANGES.contains(&word.as_str()))
}
