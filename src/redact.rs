//! `--redact`: hides user-written text and anything that looks like a secret. Pure.
//!
//! Stored content becomes its length and a short hash, so that two that are alike can be distinguished from
//! two that are not. The hash is keyed with a key of the run: nobody can look up which text it is.

use regex::{Captures, Regex};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::{LazyLock, PoisonError, RwLock};

/// What replaces a secret, everywhere.
pub const MASKED: &str = "***";

/// E-mail addresses; percent-encoded, as in a URL, too.
const ADDRESSES: &[&str] = &[
    r"(?i)[a-z0-9._%+-]+(?:'[a-z0-9._%+-]+)*@[a-z0-9-]+(?:\.[a-z0-9-]+)+",
    r"(?i)[a-z0-9._+-]+%40[a-z0-9-]+(?:\.[a-z0-9-]+)+",
];

/// What a secret looks like. A group named `keep` stays: it says what was there.
const CREDENTIALS: &[&str] = &[
    r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
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
    r"(?P<keep>://[^\s/:@]*:)[^\s/@]+(?:@)",
];

static KEYS: LazyLock<Vec<Regex>> = LazyLock::new(|| all(CREDENTIALS));
static NUMBER: LazyLock<Regex> = LazyLock::new(|| compiled(r"\b\d{7,}\b"));
/// How statements begin.
static STATEMENT: LazyLock<Regex> = LazyLock::new(|| {
    compiled(
        r"(?i)^\s*(?:alter|call|comment|copy|create|delete|do|drop|exec|grant|insert|merge|pragma|replace|revoke|select|set|truncate|update|values|with)\b",
    )
});
static MAILS: LazyLock<Vec<Regex>> = LazyLock::new(|| all(ADDRESSES));

/// Times, UUIDs (without hyphens too) and ULIDs: they name a row, and tell nothing that was written.
const PLAIN: &str = r"(?i)^(?:\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?: ?(?:Z|[+-]\d\d(?::?\d\d)?))?)?|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{12}[1-8][0-9a-f]{3}[89ab][0-9a-f]{15}|01[0-9a-hjkmnp-tv-z]{24})$";

/// A number with so many digits may be one that a person is called by, or on.
const TELLING: usize = 7;

/// The roles that applications know. Any other one may be a person's name.
const ROLES: &[&str] = &[
    "ai",
    "assistant",
    "bot",
    "developer",
    "function",
    "human",
    "model",
    "opaque",
    "system",
    "tool",
    "user",
];

/// What a fact quotes: in backticks, in quotes as Rust, JSON or SQL write them (an apostrophe is
/// behind a letter, but for those that SQL puts before a text), between dollars, or as the value of
/// a key in an error of PostgreSQL. Only the first two may be names.
const QUOTED: &str = r#"(?x)
    `([^`]*)`
    | (?P<of>(?:\b(?:as|column|constraint|database|function|index|key|on|operator|relation|role|schema|sequence|table|trigger|type|view)\ )?)"(?P<double>(?:[^"\\]|\\.)*)"
    | “[^”]*”
    | (?P<before>^|[^\w]|\b[eEnNbBxX]|[uU]&|\b_[a-z0-9]+)'(?:[^']|'')*'
    | \$[A-Za-z_]*[0-9]*\$
    | \)=\([^)]*\)"#;

/// What chatctl's own words quote, which are no names.
const OURS: &[&str] = &["chatctl inspect mapping"];

/// Hides what users wrote.
#[derive(Debug)]
pub struct Redact {
    key: [u8; 32],
    /// Tables and columns of the store.
    names: RwLock<BTreeSet<String>>,
    plain: Regex,
    quoted: Regex,
}

impl Default for Redact {
    fn default() -> Self {
        Self {
            key: key(),
            names: RwLock::default(),
            plain: compiled(PLAIN),
            quoted: compiled(QUOTED),
        }
    }
}

impl Redact {
    /// The store has a table or a column of this name: it says nothing of what is stored.
    pub fn know(&self, name: &str) {
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        names.insert(name.to_owned());
    }

    /// A text with what looks like a secret masked; anything else stays.
    pub fn secrets(&self, text: &str) -> String {
        credentials(&masked(text, &MAILS))
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

    /// What a row is called by: a small number says nothing of anybody, any other text may.
    pub fn id(&self, id: &str) -> String {
        if id.len() < TELLING && id.bytes().all(|byte| byte.is_ascii_digit()) {
            id.to_owned()
        } else {
            self.content(id)
        }
    }

    /// Who spoke: a role that applications know stays.
    pub fn role(&self, role: &str) -> String {
        if ROLES.contains(&role.to_lowercase().as_str()) {
            role.to_owned()
        } else {
            self.content(role)
        }
    }

    /// A number that was stored, when its whole part is so long that it may name a person.
    pub fn number(&self, digits: &str) -> Option<String> {
        let whole = digits.split(['.', 'e', 'E']).next().unwrap_or_default();
        let long = whole.bytes().filter(u8::is_ascii_digit).count() >= TELLING;
        long.then(|| format!("[number, {}]", self.hash(digits.as_bytes())))
    }

    /// Bytes that were stored.
    pub fn bytes(&self, bytes: &[u8]) -> String {
        format!("[{} bytes, {}]", bytes.len(), self.hash(bytes))
    }

    /// A fact, a reason or an error: what it quotes may be what was stored, said or answered. One
    /// of several lines is a quote but for the first; each keeps the sign that a difference has.
    pub fn fact(&self, fact: &str) -> String {
        self.quotes(fact, Names::Shaped)
    }

    /// A fact of the store: what it quotes is what is stored, unless the store's tables or columns
    /// are called so.
    pub fn of_store(&self, fact: &str) -> String {
        self.quotes(fact, Names::Known)
    }

    fn quotes(&self, fact: &str, names: Names) -> String {
        if let Some((first, rest)) = fact.split_once('\n') {
            let lines = rest.lines().map(|line| {
                let at = line.find(|c: char| !matches!(c, '+' | '-' | ' '));
                let (sign, rest) = line.split_at(at.unwrap_or(line.len()));
                format!("{sign}{}", self.content(rest))
            });
            let first = if first.ends_with(':') {
                self.quotes(first, names)
            } else {
                self.content(first)
            };
            let lines = std::iter::once(first).chain(lines);
            return lines.collect::<Vec<_>>().join("\n");
        }
        let mut quotes = self.quoted.captures_iter(fact);
        let unknown = quotes.find(|found| !self.is_known(found, names));
        let hidden = match unknown {
            None => self.secrets(fact),
            Some(found) => {
                // What says that it is quoted stays.
                let lead = found.name("of").or(found.name("before"));
                let lead = lead.map_or(0, |lead| lead.len());
                let from = found.get(0).map_or(0, |whole| whole.start() + lead);
                self.hidden(fact, from)
            }
        };
        if STATEMENT.is_match(fact) {
            self.numbers(&hidden)
        } else {
            hidden
        }
    }

    /// What is quoted may hold quotes itself: where it ends, only the last one tells.
    fn hidden(&self, fact: &str, from: usize) -> String {
        let (before, rest) = fact.split_at(from);
        let to = rest.rfind(['`', '"', '”', '\'', ')', '$']);
        let to = to.unwrap_or(rest.len());
        let last = rest[to..].chars().next().map_or(0, char::len_utf8);
        let (quote, after) = rest.split_at(to + last);
        format!(
            "{}{}{}",
            self.secrets(before),
            self.content(quote),
            self.secrets(after)
        )
    }

    /// The long numbers of a statement are literals too.
    fn numbers(&self, sql: &str) -> String {
        let hide = |found: &Captures<'_>| self.number(&found[0]).unwrap_or(found[0].to_owned());
        NUMBER.replace_all(sql, hide).into_owned()
    }

    /// Whether a quote is a name, or a text that may stay.
    fn is_known(&self, quote: &Captures<'_>, names: Names) -> bool {
        let (tick, double) = (quote.get(1), quote.name("double"));
        let of = quote.name("of").is_some_and(|of| !of.is_empty());
        let stays = |text: &str| text.is_empty() || self.id(text) == text;
        let is_name = |text: &str| match names {
            Names::Shaped => is_name(text) || self.is_of_store(text),
            Names::Known => self.is_of_store(text) || is_hash(text),
        };
        match (tick, double) {
            (Some(tick), _) => {
                let text = tick.as_str();
                is_name(text) || stays(text) || OURS.contains(&text)
            }
            // What Rust and JSON write so is data; what PostgreSQL names so has its kind before it.
            (_, Some(double)) => of && is_name(double.as_str()) || stays(double.as_str()),
            _ => false,
        }
    }

    /// Whether a table or a column of the store is called so.
    fn is_of_store(&self, text: &str) -> bool {
        let known = self.names.read().unwrap_or_else(PoisonError::into_inner);
        text.split('.').all(|part| known.contains(part))
    }

    /// Words of our own, in which what is stored is in double quotes.
    pub fn data(&self, text: &str) -> String {
        if self
            .quoted
            .captures_iter(text)
            .any(|found| found.name("double").is_some() && !self.is_known(&found, Names::Shaped))
        {
            self.fact(text)
        } else {
            self.secrets(text)
        }
    }

    fn hash(&self, bytes: &[u8]) -> String {
        let hash = blake3::keyed_hash(&self.key, bytes);
        format!("blake3:{}", &hash.to_hex()[..8])
    }
}

/// Which quotes are names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    /// Those that look like one.
    Shaped,
    /// Those that the store has.
    Known,
}

/// What a snapshot knows an identifier by.
fn is_hash(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or_default();
    digits.len() == 12 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A text with what looks like a secret masked, whoever wrote it.
pub fn credentials(text: &str) -> String {
    masked(text, &KEYS)
}

fn masked(text: &str, patterns: &[Regex]) -> String {
    let mut text = Cow::Borrowed(text);
    for pattern in patterns {
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

fn all(patterns: &[&str]) -> Vec<Regex> {
    patterns.iter().copied().map(compiled).collect()
}

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is valid")
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
    fn content_is_a_length_and_a_hash_that_distinguishes_two() {
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
    fn an_id_stays_when_it_can_name_nobody() {
        let redact = Redact::default();
        for id in [
            "1",
            "123456",
            "4d2f7c1e-0b7a-4c39-9c51-6a7f0a3b1c2d",
            "4d2f7c1e0b7a4c399c516a7f0a3b1c2d",
            "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        ] {
            assert_eq!(redact.id(id), id);
        }
        for id in [
            "4915112345678",
            "2025550",
            "DE89370400440532013000",
            "GB33BUKB20201555555555AAAA",
            "john_doe",
            "TWFyZ2FyZXRoZQ==",
        ] {
            assert!(redact.id(id).starts_with('['), "{}", redact.id(id));
        }
        assert_eq!(
            (redact.role("Assistant"), redact.role("tool")),
            ("Assistant".into(), "tool".into())
        );
        assert!(!redact.role("Margarethe").contains("Marg"));
        assert_eq!(
            (redact.number("123456"), redact.number("3.14159265")),
            (None, None)
        );
        assert!(
            redact
                .number("4915112345678")
                .unwrap()
                .starts_with("[number, ")
        );
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
        for literal in [
            "content='correct_horse_battery'",
            "content = $$correct_horse_battery$$",
            "content = $tag$correct_horse_battery$tag$",
            "content = E'correct_horse_battery'",
            "content = N'correct_horse_battery' OR _utf8'correct_horse_battery'",
            "message \"correct_horse_battery\", and more",
            "role “correct_horse_battery”",
        ] {
            let told = redact.fact(literal);
            assert!(!told.contains("horse"), "{told}");
        }
        for known in [
            "column \"user_id\" of relation \"chat_messages\" does not exist",
            "conversation \"4d2f7c1e-0b7a-4c39-9c51-6a7f0a3b1c2d\", message \"17\": no-row",
        ] {
            assert_eq!(redact.fact(known), known);
        }
        let told = redact.fact("UPDATE m SET phone = 4915112345678 WHERE id = 17");
        assert!(
            !told.contains("49151") && told.ends_with("id = 17"),
            "{told}"
        );
        let told = "the provider's answer had ended; the client's had not";
        assert_eq!(redact.fact(told), told);
    }
}
