//! Files that the history names by their URL: loaded as the page loads them.

use super::chat::Chat;
use super::stage::Stage;
use crate::http::{Client, Outgoing};
use crate::stream::judge::Loaded;
use crate::stream::session::Load;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use url::Url;

/// As often a file may be somewhere else.
const HOPS: usize = 3;

/// Why what a URL loads is not what was sent.
enum Unlike {
    /// Nothing can be loaded.
    Gone(String),
    /// It is something else.
    Other(String),
}

impl From<String> for Unlike {
    fn from(how: String) -> Self {
        Self::Gone(how)
    }
}

impl Stage<'_> {
    /// Loads every file that the session's turns name.
    pub(super) async fn load_files(&self, chat: &Chat, body: &[u8]) -> Vec<Loaded> {
        let turns = self.session.turns.iter().zip(1..);
        let all = turns.flat_map(|(turn, number)| turn.loads.iter().map(move |it| (number, it)));
        let mut loaded = Vec::new();
        for (turn, load) in all {
            let fate = self.load_file(chat, load, body).await;
            let fate = fate.map_err(|(Unlike::Gone(how) | Unlike::Other(how))| how);
            loaded.push(Loaded { turn, fate });
        }
        loaded
    }

    /// The files of a chat that are others by now: later chats have overwritten them. The chat itself may be gone.
    pub(super) async fn overwritten_files(&self, chat: &Chat) -> Vec<Loaded> {
        let files = self.session.turns.iter().any(|turn| !turn.loads.is_empty());
        let Some(history) = self.session.history.as_ref().filter(|_| files) else {
            return Vec::new();
        };
        let Ok(answer) = chat.ask(&history.request).await else {
            return Vec::new();
        };
        let mut overwritten = Vec::new();
        for (turn, number) in self.session.turns.iter().zip(1..) {
            for load in &turn.loads {
                if let Err(Unlike::Other(how)) = self.load_file(chat, load, &answer.body).await {
                    let fate = Err(format!("after later chats sent their files: {how}"));
                    overwritten.push(Loaded { turn: number, fate });
                }
            }
        }
        overwritten
    }

    async fn load_file(&self, chat: &Chat, load: &Load, body: &[u8]) -> Result<(), Unlike> {
        let url = self.url_in(load, body)?;
        let content = match url.strip_prefix("data:") {
            Some(data) => {
                inline(data).ok_or_else(|| format!("`{}` is not a data URL", cut(&url)))?
            }
            None => self.fetch_file(chat, &url).await?,
        };
        let sent = load.content.filled(&chat.known());
        same(&content, &sent).map_err(|how| Unlike::Other(format!("`{}` {how}", cut(&url))))
    }

    fn url_in(&self, load: &Load, body: &[u8]) -> Result<String, String> {
        let history = self.session.history.as_ref();
        let history = history.ok_or("the session has no [history]")?;
        url_in(&history.json(body)?, load)
    }

    async fn fetch_file(&self, chat: &Chat, text: &str) -> Result<Vec<u8>, String> {
        let base = &self.world.base;
        let no_url = |error| format!("`{}` is not a URL: {error}", cut(text));
        let mut url = base.join(text).map_err(no_url)?;
        for _ in 0..=HOPS {
            let root = url.join("/").map_err(no_url)?;
            // Log-ins stay with the server that gave them out.
            let client = if url.origin() == base.origin() {
                Ok(chat.client().at(root))
            } else {
                Client::new(root, None)
            };
            let answer = client.map_err(|error| format!("{error:#}"))?;
            let answer = answer.send(&asking(&url)).await;
            let answer =
                answer.map_err(|error| format!("`{}` can't be loaded: {error:#}", cut(text)))?;
            match (answer.status, answer.header("location")) {
                (200..300, _) => return Ok(answer.body),
                // A store of files, which gives out URLs of its own.
                (300..400, Some(to)) => url = url.join(to).map_err(no_url)?,
                (status, _) => return Err(format!("`{}` is answered {status}", cut(text))),
            }
        }
        Err(format!("`{}` redirects in a loop", cut(text)))
    }
}

fn asking(url: &Url) -> Outgoing {
    let query = url.query().map(|query| format!("?{query}"));
    Outgoing {
        method: "GET".to_owned(),
        path: format!("{}{}", url.path(), query.unwrap_or_default()),
        headers: Vec::new(),
        body: Vec::new(),
    }
}

/// The URL that the path selects.
fn url_in(history: &Value, load: &Load) -> Result<String, String> {
    let found = load.url.query(history).exactly_one();
    let text = found.ok().and_then(Value::as_str).map(str::to_owned);
    text.ok_or_else(|| {
        format!(
            "`{}` does not select exactly one text in the history",
            load.url
        )
    })
}

/// The content of a data URL (RFC 2397), after its scheme.
fn inline(data: &str) -> Option<Vec<u8>> {
    let (kind, data) = data.split_once(',')?;
    let bytes = without_percent_signs(data.as_bytes())?;
    if kind.ends_with(";base64") {
        STANDARD.decode(bytes).ok()
    } else {
        Some(bytes)
    }
}

/// The bytes that are written `%XX`, and all others as they are.
fn without_percent_signs(written: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(written.len());
    let mut rest = written;
    while let [first, after @ ..] = rest {
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = after;
            }
            (b'%', _) => return None,
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    Some(bytes)
}

/// Whether two files are the same byte for byte, or how they differ.
fn same(loaded: &[u8], sent: &[u8]) -> Result<(), String> {
    if loaded == sent {
        return Ok(());
    }
    let both = loaded.iter().zip(sent);
    let alike = both.take_while(|(ours, theirs)| ours == theirs).count();
    Err(format!(
        "has {} bytes, and {} were sent; they differ after {alike}",
        loaded.len(),
        sent.len()
    ))
}

/// The beginning of a URL, which may hold a whole file.
fn cut(url: &str) -> String {
    url.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::{inline, same};

    #[test]
    fn a_data_url_holds_its_file() {
        assert_eq!(inline("text/plain;base64,aGk=").unwrap(), b"hi");
        assert_eq!(inline(",a%20b").unwrap(), b"a b");
        assert_eq!(inline("text/plain;base64,a*"), None);
        assert_eq!(inline("text/plain"), None);
        assert_eq!(inline(",a%2"), None);
    }

    #[test]
    fn files_are_compared_byte_for_byte() {
        assert_eq!(same(b"milk", b"milk"), Ok(()));
        let how = same(b"mil", b"milk").unwrap_err();
        assert_eq!(how, "has 3 bytes, and 4 were sent; they differ after 3");
    }
}
