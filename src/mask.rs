//! Masks secrets in URLs, in errors, and in the output of servers.
//!
//! Cells and our own words are left alone: a password that is also a role, a year or a part of
//! `chatctl` is masked only where it is a word of its own. With `--redact` what looks like a secret, and
//! what users wrote, is hidden too.

use crate::model::Table;
use crate::redact;
pub use crate::redact::MASKED;
use crate::redact::Redact;
use regex::Regex;
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};
use url::Url;

/// From here on a secret can't be mistaken for a word, if it is made of letters and digits.
const STRONG: usize = 8;
/// The same for one of letters alone: no word is so long.
const LONG: usize = 20;

/// Parameters of a URL whose values are no secrets; every other one is masked.
const OPEN: &[&str] = &[
    "application_name",
    "charset",
    "collation",
    "connect_timeout",
    "host",
    "mode",
    "port",
    "search_path",
    "socket",
    "ssl-ca",
    "ssl-cert",
    "ssl-mode",
    "sslcert",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "target_session_attrs",
    "timezone",
];

/// What is before a secret: the user of a URL, the name of a setting, the kind of a token.
static BEFORE: LazyLock<Regex> = LazyLock::new(|| {
    compiled(
        r#"(?i)(?:://[^\s/@:]*:|(?:pass|pwd|passw(?:or)?d|passphrase|secret|token|key|credentials?)["'`]?\s*[=:]\s*["'`]?|\b(?:bearer|basic|password|token)\s+["'`]?)$"#,
    )
});

/// The secrets of a run; clones share them, since some are only known when a log-in is answered.
#[derive(Debug, Clone, Default)]
pub struct Mask {
    secrets: Arc<RwLock<BTreeSet<String>>>,
    redact: Option<Arc<Redact>>,
}

/// Where a secret is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    /// Words of our own, with what they quote.
    Ours,
    /// What another program said.
    Theirs,
}

impl Mask {
    /// A mask that also hides what users wrote, and what looks like a secret.
    pub fn redacting() -> Self {
        Self {
            redact: Some(Arc::default()),
            ..Self::default()
        }
    }

    /// What hides what users wrote; none without `--redact`.
    pub fn redact(&self) -> Option<&Redact> {
        self.redact.as_deref()
    }

    /// Names of the store, which say nothing of what is stored.
    pub fn know(&self, schema: &[Table]) {
        let Some(redact) = &self.redact else {
            return;
        };
        for table in schema {
            redact.know(&table.name);
            table
                .columns
                .iter()
                .for_each(|column| redact.know(&column.name));
        }
    }

    /// Masks this text from now on, where it is a secret.
    pub fn keep(&self, secret: &str) {
        if !secret.is_empty() {
            let mut secrets = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
            secrets.insert(secret.to_owned());
        }
    }

    /// Masks the password of a URL from now on, as it is written there and as it is meant.
    pub fn keep_of(&self, url: &str) {
        let Some(password) = Url::parse(url)
            .ok()
            .and_then(|url| Some(url.password()?.to_owned()))
        else {
            return;
        };
        self.keep(&decoded(&password));
        self.keep(&password);
    }

    /// Words of our own, which may quote a secret.
    pub fn text(&self, text: &str) -> String {
        let text = self.masked(text, Within::Ours);
        match &self.redact {
            Some(redact) => redact.secrets(&text),
            None => text,
        }
    }

    /// What another program said: also what only looks like a secret is masked.
    pub fn said(&self, text: &str) -> String {
        let text = credentials(&self.masked(text, Within::Theirs));
        match &self.redact {
            Some(redact) => redact.secrets(&text),
            None => text,
        }
    }

    /// A fact or an error: what it quotes may be what users wrote.
    pub fn fact(&self, fact: &str) -> String {
        match &self.redact {
            Some(redact) => self.text(&redact.fact(fact)),
            None => self.text(fact),
        }
    }

    fn masked(&self, text: &str, within: Within) -> String {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        // The longest first: a secret may be a part of another one.
        let mut longest_first: Vec<_> = secrets.iter().collect();
        longest_first.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        longest_first
            .into_iter()
            .fold(text.to_owned(), |text, secret| {
                replaced(&text, secret, within)
            })
    }
}

/// The text with a secret masked wherever it is a word of its own.
fn replaced(text: &str, secret: &str, within: Within) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(secret) {
        let (before, after) = (&rest[..at], &rest[at + secret.len()..]);
        masked.push_str(before);
        let in_place = is_in_place(&text[..text.len() - rest.len() + at], secret, after, within);
        masked.push_str(if in_place { MASKED } else { secret });
        rest = after;
    }
    masked + rest
}

fn is_in_place(before: &str, secret: &str, after: &str, within: Within) -> bool {
    let is_word = |char: char| char.is_alphanumeric() || char == '_';
    let alone = !before.ends_with(is_word) && !after.starts_with(is_word);
    // No place of a secret is longer, and a text may be.
    let near = before.char_indices().rev().take(80).last();
    let near = &before[near.map_or(0, |(at, _)| at)..];
    match within {
        _ if is_strong(secret) && alone => true,
        _ if BEFORE.is_match(near) => !after.starts_with(is_word),
        Within::Theirs => {
            is_strong(secret) || alone && secret.len() >= STRONG && !is_number(secret)
        }
        Within::Ours => false,
    }
}

fn is_strong(secret: &str) -> bool {
    let has = |is: fn(char) -> bool| secret.contains(is);
    let mixed = has(char::is_alphabetic) && has(|char| char.is_ascii_digit());
    mixed && secret.chars().count() >= STRONG
        || secret
            .split(|char: char| !char.is_alphanumeric())
            .any(|part| part.len() >= LONG)
}

/// Digits and what is between those of a number, a date or a time.
fn is_number(text: &str) -> bool {
    text.chars().all(|char| !char.is_alphabetic())
}

/// What another program said, without what looks like a secret.
pub fn credentials(text: &str) -> String {
    redact::credentials(text)
}

/// A command without its arguments, which may be secrets; what is set before it is one.
pub fn command(command: &str) -> String {
    let (first, rest) = match command.trim().split_once(char::is_whitespace) {
        Some((first, _)) => (first, " …"),
        None => (command.trim(), ""),
    };
    match first.split_once('=') {
        Some((name, _)) => format!("{name}={MASKED}{rest}"),
        None => format!("{first}{rest}"),
    }
}

/// A URL without its secrets, which may be among its parameters too.
pub fn url(url: &Url) -> String {
    self::url_text(url.as_str())
}

/// The same of a text that should name a database: what does not begin like one is masked whole, as
/// it may be a secret itself.
pub fn database(text: &str) -> String {
    let begins = ["sqlite", "postgres", "mysql", "mariadb"];
    if begins.iter().any(|name| text.starts_with(name)) || text.contains("://") {
        url_text(text)
    } else {
        MASKED.to_owned()
    }
}

/// The same of a text that may be no valid URL: what could be a secret is masked.
pub fn url_text(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once(':') else {
        return if text.contains(['@', '=']) {
            MASKED.to_owned()
        } else {
            text.to_owned()
        };
    };
    let body = rest.trim_start_matches('/');
    let slashes = &rest[..rest.len() - body.len()];
    let (user, place) = split_user(scheme, slashes, body);
    let (place, query) = match place.split_once('?') {
        Some((place, query)) => (place, Some(query)),
        None => (place, None),
    };
    let query = query.map(|query| {
        let pairs: Vec<_> = query.split('&').map(parameter).collect();
        format!("?{}", pairs.join("&"))
    });
    let query = query.unwrap_or_default();
    match user {
        None => format!("{scheme}:{slashes}{place}{query}"),
        // Without slashes nobody knows what the scheme is: it may be the user's name.
        Some(_) if slashes.is_empty() => format!("{MASKED}@{place}{query}"),
        Some(user) => {
            let user = match user.split_once(':') {
                Some((name, _)) => format!("{name}:{MASKED}"),
                None if scheme.starts_with("http") => MASKED.to_owned(),
                None => user.to_owned(),
            };
            format!("{scheme}:{slashes}{user}@{place}{query}")
        }
    }
}

/// The part before the `@`, and the rest. A password whose `/`, `?`, `#` or `@` are not escaped
/// reaches to the last `@` that is in no known parameter.
fn split_user<'t>(scheme: &str, slashes: &str, body: &'t str) -> (Option<&'t str>, &'t str) {
    let is_file = scheme.starts_with("sqlite") || scheme == "file";
    let within = match (is_file, slashes.len()) {
        // Of a file only `//user@` is not part of its path.
        (true, 2) => &body[..body.find('/').unwrap_or(body.len())],
        (true, _) => "",
        (false, _) => body,
    };
    let ends = |at: &usize| {
        let pair = &body[..*at];
        let pair = pair.rfind(['?', '&']).map(|from| &pair[from + 1..]);
        let name = pair
            .and_then(|pair| pair.split_once('='))
            .map(|(name, _)| name);
        !name.is_some_and(is_open)
    };
    let at = within.rmatch_indices('@').map(|(at, _)| at).find(ends);
    match at {
        Some(at) => (Some(&body[..at]), &body[at + 1..]),
        None => (None, body),
    }
}

fn is_open(name: &str) -> bool {
    OPEN.contains(&name.to_lowercase().as_str())
}

fn parameter(pair: &str) -> String {
    match pair.split_once('=') {
        Some((name, _)) if is_open(name) => pair.to_owned(),
        Some((name, _)) => format!("{name}={MASKED}"),
        None if pair.is_empty() => String::new(),
        None => MASKED.to_owned(),
    }
}

/// A part of a URL without its percent signs.
pub fn decoded(part: &str) -> String {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = &tail[if escaped.is_some() { 2 } else { 0 }..];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is valid")
}

#[cfg(test)]
mod tests {
    use super::{Mask, url_text};

    fn of(secrets: &[&str]) -> Mask {
        let mask = Mask::default();
        secrets.iter().for_each(|secret| mask.clone().keep(secret));
        mask
    }

    #[test]
    fn secrets_are_masked_the_longest_first() {
        let mask = of(&["sk-12345", "sk-12345-678", "x"]);
        assert_eq!(mask.text("a sk-12345-678 b sk-12345 x"), "a *** b *** x");
    }

    #[test]
    fn a_secret_that_is_a_word_is_masked_where_it_is_one() {
        let mask = of(&["role", "2026", "chat", "messages", "a"]);
        for text in [
            "role `role` of 2026-11-29, chatctl inspect: 3 messages",
            "the password of `role` can't be read; a token is missing",
            "give postgres://USER:PASSWORD@HOST:5432/NAME",
        ] {
            assert_eq!(mask.text(text), text);
        }
        for (text, masked) in [
            ("postgres://bob:role@db/chat", "postgres://bob:***@db/chat"),
            ("password=2026 dbname=chat", "password=*** dbname=chat"),
            ("{\"password\": \"chat\"}", "{\"password\": \"***\"}"),
            (
                "Authorization: Bearer messages",
                "Authorization: Bearer ***",
            ),
            ("redis://:a@db/0", "redis://:***@db/0"),
        ] {
            assert_eq!(mask.text(text), masked);
        }
    }

    #[test]
    fn what_another_program_said_may_hold_a_secret_anywhere() {
        let mask = of(&["correcthorse", "2026-11-29", "role"]);
        assert_eq!(
            mask.said("bob logs in with correcthorse"),
            "bob logs in with ***"
        );
        assert_eq!(
            mask.text("bob logs in with correcthorse"),
            "bob logs in with correcthorse"
        );
        let plain = "2026-11-29 10:00 role `role` is made; 5 tokens: 4096";
        assert_eq!(mask.said(plain), plain);
        let said = mask.said("DATABASE_URL=postgres://b:pw1@db/x OPENAI_API_KEY=sk-abcdefgh123");
        assert!(
            !said.contains("pw1") && !said.contains("abcdefgh"),
            "{said}"
        );
    }

    #[test]
    fn a_password_is_kept_as_it_is_written_and_as_it_is_meant() {
        let mask = Mask::default();
        mask.keep_of("postgres://bob:p%40ss%2Fword9@db/chat");
        assert_eq!(
            mask.text("said p@ss/word9 and p%40ss%2Fword9"),
            "said *** and ***"
        );
    }

    #[test]
    fn a_url_shows_no_secret() {
        for (url, shown) in [
            ("http://bob:pw@localhost/", "http://bob:***@localhost/"),
            ("https://ghp_token@host/x", "https://***@host/x"),
            ("http://h/?token=x&a", "http://h/?token=***&***"),
            (
                "postgres://bob@db/chat?password=x&sslmode=require",
                "postgres://bob@db/chat?password=***&sslmode=require",
            ),
            (
                "postgres://bob@db/c?sslpassword=x&sslkey=y&options=-c%20a=b",
                "postgres://bob@db/c?sslpassword=***&sslkey=***&options=***",
            ),
            (
                "postgres://bob@db/c?Password=x&PASS=y&application_name=a@b",
                "postgres://bob@db/c?Password=***&PASS=***&application_name=a@b",
            ),
            // Characters that mean something else and are not escaped.
            ("postgres://app:1234/word@db/c", "postgres://app:***@db/c"),
            ("postgres://app:p@ss/word@db/c", "postgres://app:***@db/c"),
            ("postgres://app:12#34@db/c", "postgres://app:***@db/c"),
            ("postgres://app:12?34@db/c", "postgres://app:***@db/c"),
            (
                "postgres://app:12?34@db/c?sslmode=x",
                "postgres://app:***@db/c?sslmode=x",
            ),
            ("postgres://app:12?3=4@db/c", "postgres://app:***@db/c"),
            ("postgres://app:p@s/t?x=1@db/c", "postgres://app:***@db/c"),
            ("postgres:/bob:pw@db/c", "postgres:/bob:***@db/c"),
            ("bob:pw@db:5432", "***@db:5432"),
            ("postgres://bob@db/chat", "postgres://bob@db/chat"),
            ("sqlite:/data/a:b@c.db", "sqlite:/data/a:b@c.db"),
            (
                "sqlite:///data/a:b@c.db?mode=ro&key=x",
                "sqlite:///data/a:b@c.db?mode=ro&key=***",
            ),
            ("sqlite://:pw@/foo.db", "sqlite://:***@/foo.db"),
            ("host=db password=x", "***"),
            ("127.0.0.1:9191", "127.0.0.1:9191"),
        ] {
            assert_eq!(url_text(url), shown);
        }
    }
}
