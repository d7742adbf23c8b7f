//! An error that was stored as if it were the answer.

use super::check_context::opaque;
use super::{Cause, CauseCounts, Check, CheckContext, Look, cause};
use crate::model::{Role, State};
use crate::report::Severity::Warning;
use crate::store::Thread;

pub(super) const CHECK: Check = Check {
    code: "error-text-as-answer",
    causes: CAUSES,
    help: "record the failure in a separate column, and do not send the text to the model as history",
    unfit: opaque,
    look: Look::Thread(look),
};

static CAUSES: &[Cause] = &[cause(
    "error-text",
    Warning,
    "the text of an error is stored as the answer",
)];

/// How an answer begins that is not an answer. Only the beginning counts: answers may quote errors.
const BEGINNINGS: &[&str] = &[
    "Traceback (most recent call last):",
    "Error code: 4",
    "Error code: 5",
    "Error: Error code: ",
    "Rate limit reached for ",
    "You exceeded your current quota",
    "upstream connect error or disconnect/reset before headers",
    "<html>\r\n<head><title>50",
    "<html>\n<head><title>50",
    "Error: Request failed with status code ",
    "TypeError: fetch failed",
    "[ERROR] ",
    "openai.",
    "anthropic.",
    "litellm.",
    "httpx.",
];

/// What a server's error page says, and no more; in a sentence it is a subject to talk about.
const PAGES: [&str; 5] = [
    "Internal Server Error",
    "Bad Gateway",
    "Service Unavailable",
    "Gateway Timeout",
    "Too Many Requests",
];

/// What a program stores where it has no text: a marker of the stream, or a value that became a text.
const NO_TEXTS: [&str; 4] = ["[DONE]", "data: [DONE]", "[object Object]", "undefined"];

/// A library's name is an error only with the name of one: `openai.RateLimitError: …`.
const LIBRARIES: [&str; 4] = ["openai.", "anthropic.", "litellm.", "httpx."];

fn look(thread: &Thread, _ground: &CheckContext<'_>, tally: &mut CauseCounts) {
    for message in &thread.messages {
        let text = message.content.trim_start();
        // What is marked as failed says so to whoever reads it.
        let is_answer = message.role == Role::Assistant && message.state == State::Whole;
        if is_answer && (begins_so(text) || is_error_object(text)) {
            let line: String = text
                .lines()
                .next()
                .unwrap_or_default()
                .chars()
                .take(60)
                .collect();
            tally.message(&CAUSES[0], message, &format!("it begins with `{line}`"));
        }
    }
}

fn begins_so(text: &str) -> bool {
    let whole = text.trim_end();
    if NO_TEXTS.contains(&whole) || PAGES.contains(&without_status(whole)) {
        return true;
    }
    let Some(found) = BEGINNINGS.iter().find(|start| text.starts_with(**start)) else {
        return false;
    };
    if !LIBRARIES.contains(found) {
        true
    } else {
        let name = text[found.len()..].split([':', '(', ' ']).next();
        name.is_some_and(|name| {
            ["Error", "Exception", "Timeout"]
                .iter()
                .any(|ending| name.ends_with(ending))
        })
    }
}

/// `Error: 500 Internal Server Error.` without what surrounds the words of the status.
fn without_status(text: &str) -> &str {
    let text = text.strip_prefix("Error: ").unwrap_or(text);
    let text = text.strip_prefix("HTTP ").unwrap_or(text);
    let words = text.trim_start_matches(|c: char| c.is_ascii_digit());
    // A number that is no status belongs to the text.
    let words = match text.len() - words.len() {
        3 => words.trim_start_matches([':', ' ']),
        _ => text,
    };
    words.trim_end_matches(['.', '!'])
}

/// `{"error": {"message": …}}`, as providers answer, and nothing else.
fn is_error_object(text: &str) -> bool {
    /// A longer one is not a provider's error.
    const LONGEST: usize = 8_192;
    if !text.starts_with('{') || text.len() > LONGEST {
        return false;
    }
    let parsed: Option<serde_json::Value> = serde_json::from_str(text).ok();
    let error = parsed.as_ref().and_then(|value| value.get("error"));
    error.is_some_and(|error| error.get("message").is_some() || error.get("type").is_some())
}

#[cfg(test)]
mod tests {
    use super::begins_so;

    #[test]
    fn only_an_error_or_no_text_at_all_is_found() {
        for found in [
            "Internal Server Error",
            "502 Bad Gateway",
            "Error: 500 Internal Server Error.\n",
            "HTTP 429: Too Many Requests",
            "[ERROR] upstream timeout",
            "[DONE]",
            "data: [DONE]\n\n",
            "undefined",
            "Traceback (most recent call last):\n  File",
            "openai.RateLimitError: slow down",
        ] {
            assert!(begins_so(found), "{found}");
        }
        for answer in [
            "",
            "500 Internal Server Error means that the server failed.",
            "Error: 5 Bad Gateway",
            "undefined is a value of JavaScript",
            "The stream ends with [DONE]",
            "None",
            "openai.com is a site",
        ] {
            assert!(!begins_so(answer), "{answer}");
        }
    }
}
