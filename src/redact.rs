//! `--redact`: what users wrote, and what looks like a secret, does not leave chatctl. Pure.
//!
//! Stored content becomes its length and a short hash, so that two that are alike can be told from
//! two that are not. The hash is keyed with a key of the run: nobody can look up which text it is.

use regex::Captures;
use regex::Regex;
use std::borrow::Cow;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::hash::Hasher as _;

/// What stands in a secret's place.
const MASKED: &str = "***";

/// What a secret looks like. A group named `keep` stays: it says what was there.
const SECRETS: &[&str] = &[
    r"(?i)[a-z0-9._%+-]+(?:'[a-z0-9._%+-]+)*@[a-z0-9-]+(?:\.[a-z0-9-]+)+",
    // Percent-encoded, as in a URL.
    r"(?i)[a-z0-9._+-]+%40[a-z0-9-]+(?:\.[a-z0-9-]+)+",
    // JSON Web Tokens: a header and claims that begin with `{"`.
    r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?",
    // Keys by their issuers' prefixes: OpenAI and Anthropic, GitHub, GitLab, Slack, AWS, Google,
    // Stripe, Hugging Face.
    r"\bsk-[A-Za-z0-9_-]{8,}",
    r"\b(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{10,}",
    r"\bglpat-[A-Za-z0-9_-]{10,}",
    r"\bxox[a-z]-[A-Za-z0-9-]{8,}",
    r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}",
    r"\bAIza[A-Za-z0-9_-]{20,}",
    r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{8,}",
    r"\bhf_[A-Za-z0-9]{16,}",
    r"(?i)(?P<keep>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/-]{8,}=*",
    r#"(?i)(?P<keep>\b[a-z0-9_-]*(?:api[_-]?key|access[_-]?key|token|secret|password|passwd|pwd)["']?\s*[=:]\s*["']?)[^\s"'&,;]{4,}"#,
    r"(?P<keep>://[^\s/:@]+:)[^\s/@]+(?:@)",
];

/// Times and UUIDs: they name a row, and tell nothing that was written.
const PLAIN: &str = r"(?i)^(?:\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?: ?(?:Z|[+-]\d\d(?::?\d\d)?))?)?|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$";

/// What a fact quotes: in backticks, in quotes as Rust, JSON or SQL write them (an apostrophe stands
/// behind a letter), or as the value of a key in an error of PostgreSQL.
const QUOTED: &str =
    r#"`([^`]*)`|"((?:[^"\\]|\\.)*)"|“([^”]*)”|(?:^|[^\w])'((?:[^']|'')*)'|\)=\(([^)]*)\)"#;

/// Hides what users wrote.
#[derive(Debug)]
pub struct Redact {
    key: [u8; 32],
    secrets: Vec<Regex>,
    plain: Regex,
    quoted: Regex,
}

impl Default for Redact {
    fn default() -> Self {
        let compiled = |pattern: &str| Regex::new(pattern).expect("the pattern is valid");
        Self {
            key: key(),
            secrets: SECRETS.iter().copied().map(compiled).collect(),
            plain: compiled(PLAIN),
            quoted: compiled(QUOTED),
        }
    }
}

impl Redact {
    /// A text with what looks like a secret masked; anything else stays.
    pub fn secrets(&self, text: &str) -> String {
        let mut text = Cow::Borrowed(text);
        for pattern in &self.secrets {
            let masked = pattern.replace_all(&text, |found: &Captures<'_>| {
                let keep = found.name("keep").map_or("", |keep| keep.as_str());
                let end = if found[0].ends_with('@') { "@" } else { "" };
                format!("{keep}{MASKED}{end}")
            });
            if let Cow::Owned(masked) = masked {
                text = Cow::Owned(masked);
            }
        }
        text.into_owned()
    }

    /// A text that was stored: its length and hash. Times and UUIDs stay.
    pub fn content(&self, text: &str) -> String {
        if text.is_empty() || self.plain.is_match(text) {
            return text.to_owned();
        }
        format!(
            "[{} chars, {}]",
            text.chars().count(),
            self.hash(text.as_bytes())
        )
    }

    /// Bytes that were stored.
    pub fn bytes(&self, bytes: &[u8]) -> String {
        format!("[{} bytes, {}]", bytes.len(), self.hash(bytes))
    }

    /// A fact, a reason or an error: what it quotes may be what was stored, said or answered. One
    /// of several lines is a quote but for the first; each keeps the sign that a difference has.
    pub fn fact(&self, fact: &str) -> String {
        if let Some((first, rest)) = fact.split_once('\n') {
            let lines = rest.lines().map(|line| {
                let at = line.find(|c: char| !matches!(c, '+' | '-' | ' '));
                let (sign, rest) = line.split_at(at.unwrap_or(line.len()));
                format!("{sign}{}", self.content(rest))
            });
            let first = match first.ends_with(':') {
                true => self.fact(first),
                false => self.content(first),
            };
            let lines = std::iter::once(first).chain(lines);
            return lines.collect::<Vec<_>>().join("\n");
        }
        let mut quotes = self.quoted.captures_iter(fact);
        let unknown = quotes.find(|found| {
            let inner = found.iter().skip(1).flatten().next();
            !is_name(inner.map_or("", |inner| inner.as_str()))
        });
        let Some(from) = unknown.and_then(|found| Some(found.get(0)?.start())) else {
            return self.secrets(fact);
        };
        // What is quoted may hold quotes itself: where it ends, only the last one tells.
        let (before, rest) = fact.split_at(from);
        let blank = rest.len() - rest.trim_start().len();
        let to = rest.rfind(['`', '"', '”', '\'', ')']).unwrap_or(rest.len());
        let last = rest[to..].chars().next().map_or(0, char::len_utf8);
        let (blank, quote) = rest[..to + last].split_at(blank);
        let after = &rest[to + last..];
        format!(
            "{}{blank}{}{}",
            self.secrets(before),
            self.content(quote),
            self.secrets(after)
        )
    }

    fn hash(&self, bytes: &[u8]) -> String {
        let hash = blake3::keyed_hash(&self.key, bytes);
        format!("blake3:{}", &hash.to_hex()[..8])
    }
}

/// Whether it is one word of the kind that tables, columns, codes and wire formats have: `[DONE]`,
/// `finish_reason`, `messages.content`.
fn is_name(text: &str) -> bool {
    let inner = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let word = inner.unwrap_or(text);
    let is_word = |part: &str| {
        part.len() <= 40
            && part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_'))
    };
    let marked = inner.is_some() || word.contains(['_', '.']);
    marked && word.split('.').all(is_word)
}

/// A key that only this run knows, from the entropy that the standard library takes of the system.
fn key() -> [u8; 32] {
    let mut key = [0; 32];
    for (number, part) in key.chunks_mut(8).enumerate() {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_usize(number);
        part.copy_from_slice(&hasher.finish().to_le_bytes());
    }
    key
}

#[cfg(test)]
mod tests {
    use super::Redact;

    #[test]
    fn each_kind_of_secret_is_masked() {
        let redact = Redact::default();
        for (text, secret) in [
            ("mail ann.o'neil+x@mail.example.org now", "example.org"),
            ("GET /u?m=ann%40example.org", "ann%40"),
            ("key sk-proj-abcDEF123456 leaked", "abcDEF"),
            ("ghp_0123456789abcdefghij", "0123456789"),
            ("github_pat_0123456789abcdef", "0123456789"),
            ("xoxb-123456789-abcdef", "123456789"),
            ("AKIAIOSFODNN7EXAMPLE", "IOSFODNN"),
            ("Authorization: Bearer abc.def-123456", "def-1234"),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.s3cr3t", "s3cr3t"),
            ("token=0123456789abcdef0123", "0123456789"),
            ("\"password\": \"hunter2hunter2\"", "hunter2"),
            ("api_key: c2VjcmV0LWJhc2U2NA==", "c2VjcmV0"),
            ("postgres://bob:hunter2@db/chat", "hunter2"),
        ] {
            let masked = redact.secrets(text);
            assert!(
                !masked.contains(secret) && masked.contains("***"),
                "{masked}"
            );
        }
    }

    #[test]
    fn ordinary_text_is_untouched() {
        let redact = Redact::default();
        for text in [
            "1000 of 1000 rows of `messages` are gone: rolled back",
            "the task-list at 12:30, a@b, risk-based, 50 % of tokens",
            "commit 36f6d9e; --database-url sqlite:chat.db",
            "postgres://bob@db/chat",
        ] {
            assert_eq!(redact.secrets(text), text);
        }
    }

    #[test]
    fn content_is_a_length_and_a_hash_that_tells_two_apart() {
        let redact = Redact::default();
        let hidden = redact.content("buy milk");
        assert!(hidden.starts_with("[8 chars, blake3:"), "{hidden}");
        assert_eq!(hidden, redact.content("buy milk"));
        assert_ne!(hidden, redact.content("buy silk"));
        assert_ne!(hidden, Redact::default().content("buy milk"), "a key a run");
        for text in [
            "",
            "2026-01-02 03:04:05.6+00",
            "2026-01-02",
            "2026-01-02T03:04:05Z",
        ] {
            assert_eq!(redact.content(text), text);
        }
    }

    #[test]
    fn a_fact_keeps_its_names_and_loses_its_quotes() {
        let redact = Redact::default();
        let told = redact.fact("`[DONE]` came; `messages.content` is `buy `milk` now` at 3 ms");
        let start = "`[DONE]` came; `messages.content` is [16 chars";
        assert!(told.starts_with(start), "{told}");
        assert!(
            told.ends_with("] at 3 ms") && !told.contains("milk"),
            "{told}"
        );
        let diff = redact.fact("row 3, expected (-):\n- buy milk\n+ buy silk");
        assert!(
            diff.starts_with("row 3, expected (-):\n- [8 chars"),
            "{diff}"
        );
        assert!(
            diff.contains("\n+ [8 chars") && !diff.contains("buy"),
            "{diff}"
        );
        for leak in [
            "DELETE FROM m WHERE content = 'buy milk'",
            "Key (content)=(buy milk) already exists.",
            "invalid input syntax for type integer: \"buy milk\"",
            "Duplicate entry 'buy milk' for key 'it''s'",
        ] {
            assert!(!redact.fact(leak).contains("milk"), "{}", redact.fact(leak));
        }
        let told = "the provider's answer had ended; the client's had not";
        assert_eq!(redact.fact(told), told);
    }
}
