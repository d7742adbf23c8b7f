//! Secrets, masked wherever something is shown: notes, errors, reports, views.
//!
//! The run's own secrets always; with `--redact` also what looks like a secret, and what users wrote.

use crate::redact::Redact;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use url::Url;

/// What stands in a secret's place.
const MASKED: &str = "***";
/// The parameter that some drivers take the password from.
const PARAMETER: &str = "password";
/// A shorter text would be masked in words that have nothing to do with it.
const SHORTEST: usize = 4;

/// The secrets of a run; clones share them, since some are only known when a log-in is answered.
#[derive(Debug, Clone, Default)]
pub struct Mask {
    secrets: Arc<RwLock<BTreeSet<String>>>,
    redact: Option<Arc<Redact>>,
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

    /// Masks this text from now on.
    pub fn keep(&self, secret: &str) {
        if secret.len() >= SHORTEST {
            let mut secrets = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
            secrets.insert(secret.to_owned());
        }
    }

    /// A text with every secret masked.
    pub fn text(&self, text: &str) -> String {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        // The longest first: a secret may be a part of another one.
        let mut longest_first: Vec<_> = secrets.iter().collect();
        longest_first.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let text = longest_first
            .into_iter()
            .fold(text.to_owned(), |text, secret| text.replace(secret, MASKED));
        match &self.redact {
            Some(redact) => redact.secrets(&text),
            None => text,
        }
    }

    /// An error: what it quotes may be what users wrote.
    pub fn fact(&self, fact: &str) -> String {
        match &self.redact {
            Some(redact) => self.text(&redact.fact(fact)),
            None => self.text(fact),
        }
    }
}

/// A URL without its password, which may stand among its parameters too.
pub fn url(url: &Url) -> String {
    let mut url = url.clone();
    if url.query_pairs().any(|(name, _)| name == PARAMETER) {
        let pairs: Vec<_> = url.query_pairs().into_owned().collect();
        let masked = pairs.iter().map(|(name, value)| match name.as_str() {
            PARAMETER => (name.as_str(), MASKED),
            name => (name, value.as_str()),
        });
        url.query_pairs_mut().clear().extend_pairs(masked);
    }
    if url.password().is_some() {
        // A URL with a password has a host, so setting it can't fail.
        let _ = url.set_password(Some(MASKED));
    }
    url.to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::Mask;
    use super::Url;

    #[test]
    fn secrets_are_masked_the_longest_first() {
        let mask = Mask::default();
        for secret in ["sk-1234", "sk-1234-5678", "x"] {
            mask.clone().keep(secret);
        }
        assert_eq!(mask.text("a sk-1234-5678 b sk-1234 x"), "a *** b *** x");
    }

    #[test]
    fn a_password_is_masked_in_a_url() {
        let url = Url::parse("http://bob:hunter2@localhost/").unwrap();
        assert_eq!(super::url(&url), "http://bob:***@localhost/");
        let url = Url::parse("postgres://bob@db/chat?password=hunter2&a=b").unwrap();
        assert_eq!(super::url(&url), "postgres://bob@db/chat?password=***&a=b");
    }
}
