//! Requests to the server under test.

use super::line::{Line, LineBody, Protocol, Sending};
use super::socket::Socket;
use crate::cli_error::CliError;
use crate::mask;
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::http::response::Parts;
use hyper_util::rt::TokioIo;
use reqwest::cookie::{CookieStore as _, Jar};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Method, StatusCode};
use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// The longest that a set-up, log-in or history request may take, where nothing else is said.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who asks.
const AGENT: &str = concat!("chatctl/", env!("CARGO_PKG_VERSION"));

/// The largest answer that is read as a whole, in bytes.
const LARGEST_ANSWER: usize = 64 << 20;

/// A client with a cookie jar of its own.
///
/// Connections are not kept: a turn that hangs up must not meet the next one.
#[derive(Clone)]
pub struct Client {
    base: Url,
    inner: reqwest::Client,
    jar: Arc<Jar>,
    origin: Option<String>,
    bearer: Option<HeaderValue>,
    patience: Duration,
}

/// What is sent.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// `GET`, `POST`, …
    pub method: String,
    /// Path with query, from the server's root.
    pub path: String,
    /// Header names and values; the content type is among them when there is a body.
    pub headers: Vec<(String, String)>,
    /// The body; empty without one.
    pub body: Vec<u8>,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// Header names (lower case) and values.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Where else it sends on to; nobody went there.
    elsewhere: Option<String>,
}

/// A streamed answer whose head has come.
pub struct Opened {
    /// The status code.
    pub status: u16,
    /// Header names (lower case) and values.
    pub headers: Vec<(String, String)>,
    body: OpenedBody,
    elsewhere: Option<String>,
}

/// Where the rest of a streamed answer comes from.
enum OpenedBody {
    Pooled(reqwest::Response),
    Line(LineBody),
    Socket(Box<Socket>),
}

impl Client {
    /// A client of the server at `base`, which plays a browser of `origin` when one is given.
    pub fn new(base: Url, origin: Option<String>) -> anyhow::Result<Self> {
        // Fails only when a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let jar = Arc::new(Jar::default());
        let mut builder = reqwest::Client::builder();
        if !may_encrypt(&base) {
            builder = builder.tls_backend_preconfigured(unencrypted());
        }
        let inner = builder
            .cookie_provider(Arc::clone(&jar))
            .pool_max_idle_per_host(0)
            .connect_timeout(Duration::from_secs(5))
            .no_proxy()
            .redirect(at_home())
            .user_agent(AGENT)
            .build()
            .context("making the HTTP client")?;
        Ok(Self {
            base: as_folder(base),
            inner,
            jar,
            origin,
            bearer: None,
            patience: PATIENCE,
        })
    }

    /// The same client, of another server.
    #[must_use]
    pub fn at(&self, base: Url) -> Self {
        Self {
            base: as_folder(base),
            ..self.clone()
        }
    }

    /// Lets each whole answer take so long, where that is longer than usual.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = self.patience.max(patience);
        self
    }

    /// Sends `Authorization: Bearer …` from now on.
    pub fn bear(&mut self, token: &str) -> anyhow::Result<()> {
        let mut value =
            HeaderValue::from_str(&format!("Bearer {token}")).context("the log-in's token")?;
        value.set_sensitive(true);
        self.bearer = Some(value);
        Ok(())
    }

    /// Sends a request and reads the whole answer, as far as it has an end.
    pub async fn send(&self, outgoing: &Outgoing) -> anyhow::Result<HttpResponse> {
        let response = self.request(outgoing)?.timeout(self.patience).send().await;
        let mut response = response.map_err(|error| self.unreachable(outgoing, &error))?;
        let (status, headers) = (response.status().as_u16(), headers(response.headers()));
        let elsewhere = elsewhere(&response);
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.unreachable(outgoing, &error))?
        {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(CliError::unreachable(format!(
                    "the answer of `{} {}` has more than {} MB",
                    outgoing.method,
                    outgoing.path,
                    LARGEST_ANSWER >> 20
                ))
                .hint("check the path: chatctl reads the whole response of a set-up or history request, so it must end")
                .into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpResponse {
            status,
            headers,
            body,
            elsewhere,
        })
    }

    /// Sends a request and gives the answer as soon as its head is there.
    /// The caller bounds how long it reads.
    pub async fn open(&self, outgoing: &Outgoing) -> anyhow::Result<Opened> {
        let request = self
            .request(outgoing)?
            .header("accept", "text/event-stream");
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(outgoing, &error))?;
        Ok(Opened::pooled(response))
    }

    /// A connection for one request whose end can be chosen.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn dial(&self, protocol: Protocol) -> anyhow::Result<Line> {
        Line::dial(&self.base, protocol).await
    }

    /// Sends a request on it and gives the answer as soon as its head is there. Redirects are not followed.
    ///
    /// # Errors
    /// When the connection ends before.
    pub async fn open_on(&self, line: Line, outgoing: &Outgoing) -> anyhow::Result<Opened> {
        let (head, body) = self.send_on(line, outgoing).await?;
        Ok(Opened::on_line(&head, OpenedBody::Line(body)))
    }

    /// Asks for a WebSocket, on a connection of its own when one is given. An answer that is none is
    /// given as it is.
    ///
    /// # Errors
    /// When nobody listens there, or the connection ends before.
    pub async fn open_socket(
        &self,
        line: Option<Line>,
        outgoing: &Outgoing,
    ) -> anyhow::Result<Opened> {
        const SWITCHES: StatusCode = StatusCode::SWITCHING_PROTOCOLS;
        let asking = asking_for_a_socket(outgoing);
        let opening = "opening a WebSocket";
        if let Some(line) = line {
            let (mut head, body) = self.send_on(line, &asking).await?;
            if head.status != SWITCHES {
                return Ok(Opened::on_line(&head, OpenedBody::Line(body)));
            }
            let extensions = std::mem::take(&mut head.extensions);
            let mut answer = hyper::Response::new(());
            *answer.extensions_mut() = extensions;
            let upgraded = hyper::upgrade::on(answer).await.context(opening)?;
            let socket = Socket::over(Box::new(TokioIo::new(upgraded)), Some(body)).await;
            return Ok(Opened::on_line(&head, OpenedBody::Socket(Box::new(socket))));
        }
        let response = self.request(&asking)?.send().await;
        let response = response.map_err(|error| self.unreachable(outgoing, &error))?;
        if response.status() != SWITCHES {
            return Ok(Opened::pooled(response));
        }
        let headers = headers(response.headers());
        let upgraded = response.upgrade().await.context(opening)?;
        let socket = Socket::over(Box::new(upgraded), None).await;
        Ok(Opened {
            status: SWITCHES.as_u16(),
            headers,
            body: OpenedBody::Socket(Box::new(socket)),
            elsewhere: None,
        })
    }

    async fn send_on(&self, line: Line, outgoing: &Outgoing) -> anyhow::Result<(Parts, LineBody)> {
        let (method, url, headers) = self.parts(outgoing)?;
        let body = outgoing.body.clone().into();
        let sending = Sending {
            method,
            url,
            headers,
            body,
        };
        let (head, body) = line.send(sending).await?;
        self.keep_cookies(&head.headers);
        Ok((head, body))
    }

    /// Whether the connection is not encrypted, so that its end can be chosen.
    pub fn is_plain(&self) -> bool {
        self.base.scheme() == "http"
    }

    /// Keeps what an answer sets.
    fn keep_cookies(&self, headers: &HeaderMap) {
        let mut cookies = headers.get_all(SET_COOKIE).iter();
        self.jar.set_cookies(&mut cookies, &self.base);
    }

    fn request(&self, outgoing: &Outgoing) -> anyhow::Result<reqwest::RequestBuilder> {
        let (method, url, headers) = self.own_parts(outgoing)?;
        let request = self.inner.request(method, url).headers(headers);
        Ok(if outgoing.body.is_empty() {
            request
        } else {
            request.body(outgoing.body.clone())
        })
    }

    /// Method, address and headers, also those that a pooled client adds by itself.
    fn parts(&self, outgoing: &Outgoing) -> anyhow::Result<(Method, Url, HeaderMap)> {
        let (method, url, mut headers) = self.own_parts(outgoing)?;
        headers.insert("user-agent", HeaderValue::from_static(AGENT));
        if let Some(cookies) = self.jar.cookies(&url) {
            headers.insert("cookie", cookies);
        }
        Ok((method, url, headers))
    }

    fn own_parts(&self, outgoing: &Outgoing) -> anyhow::Result<(Method, Url, HeaderMap)> {
        // Below the base, whose path may be that of a proxy; `./`, since a colon in the first
        // segment would make it a scheme.
        let below = format!("./{}", outgoing.path.trim_start_matches('/'));
        let url = self.base.join(&below).with_context(|| {
            format!(
                "joining `{}` and `{}`",
                mask::url(&self.base),
                outgoing.path
            )
        })?;
        let method = Method::from_bytes(outgoing.method.as_bytes())?;
        let mut map = HeaderMap::new();
        for (name, value) in &outgoing.headers {
            map.append(
                HeaderName::from_bytes(name.as_bytes())
                    .with_context(|| format!("header `{name}`"))?,
                HeaderValue::from_str(value)
                    .with_context(|| format!("the value of header `{name}`"))?,
            );
        }
        if let Some(origin) = &self.origin {
            map.insert("origin", HeaderValue::from_str(origin)?);
        }
        if let Some(bearer) = &self.bearer {
            map.insert("authorization", bearer.clone());
        }
        Ok((method, url, map))
    }

    fn unreachable(&self, outgoing: &Outgoing, error: &reqwest::Error) -> anyhow::Error {
        let what = format!("`{} {}`", outgoing.method, outgoing.path);
        let cause = root_cause(error);
        let stop = if error.is_connect() {
            CliError::unreachable(format!("no connection to `{}` for {what}: {cause}", mask::url(&self.base)))
                .hint("start the server, or let chatctl start it with --start; check --server (http or https?)")
        } else if error.is_timeout() {
            CliError::unreachable(format!(
                "{what} was not answered within {}",
                humantime::format_duration(self.patience)
            ))
            .hint("check the server's log")
        } else {
            CliError::unreachable(format!("{what} broke off: {cause}"))
                .hint("check the server's log")
        };
        stop.into()
    }
}

impl Opened {
    fn pooled(response: reqwest::Response) -> Self {
        Self {
            status: response.status().as_u16(),
            headers: headers(response.headers()),
            elsewhere: elsewhere(&response),
            body: OpenedBody::Pooled(response),
        }
    }

    fn on_line(head: &Parts, body: OpenedBody) -> Self {
        Self {
            status: head.status.as_u16(),
            headers: headers(&head.headers),
            elsewhere: None,
            body,
        }
    }

    /// The next bytes of the body, or the next message of a WebSocket; none at the end.
    pub async fn chunk(&mut self) -> anyhow::Result<Option<bytes::Bytes>> {
        match &mut self.body {
            OpenedBody::Pooled(response) => Ok(response.chunk().await?),
            OpenedBody::Line(body) => body.chunk().await,
            OpenedBody::Socket(socket) => socket.next().await,
        }
    }

    /// The WebSocket, where the answer is one.
    pub fn socket(&mut self) -> Option<&mut Socket> {
        match &mut self.body {
            OpenedBody::Socket(socket) => Some(socket),
            OpenedBody::Pooled(_) | OpenedBody::Line(_) => None,
        }
    }

    /// What there is to say of an answer before its body is read.
    pub fn notice(&self) -> Option<String> {
        self.elsewhere.as_deref().map(sent_on)
    }
}

impl HttpResponse {
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The beginning of the body, for a message; or where the answer sends on to.
    pub fn excerpt(&self) -> String {
        if let Some(elsewhere) = &self.elsewhere {
            return sent_on(elsewhere);
        }
        let text = String::from_utf8_lossy(&self.body);
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = mask::credentials(&line);
        match line.char_indices().nth(160) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

impl Opened {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

/// Follows a redirect to the server itself only: what goes along with a request, such as a key or
/// a password, is for nobody else.
fn at_home() -> Policy {
    /// As many as browsers follow.
    const MOST: usize = 20;
    Policy::custom(|attempt| {
        let home = attempt.previous().first();
        if home.is_some_and(|home| !is_same(home, attempt.url())) {
            attempt.stop()
        } else if attempt.previous().len() > MOST {
            attempt.error("it redirects in a loop")
        } else {
            attempt.follow()
        }
    })
}

/// The settings of a client that never encrypts. It reads none of the machine's certificates, which takes longer
/// than all requests of a turn, and has no room for encrypted sessions: each conversation has a client of its own.
fn unencrypted() -> ClientConfig {
    let settings = ClientConfig::builder().with_root_certificates(RootCertStore::empty());
    let mut settings = settings.with_no_client_auth();
    settings.resumption = Resumption::disabled();
    settings
}

/// Whether a request to this server can end at an encrypted one; see [`is_same`].
fn may_encrypt(base: &Url) -> bool {
    base.scheme() == "https" || base.port_or_known_default() == Some(80)
}

/// Whether it is the same server, by its name and port; one that sends on to its encrypted self is.
fn is_same(home: &Url, other: &Url) -> bool {
    let ports = (home.port_or_known_default(), other.port_or_known_default());
    let encrypts = home.scheme() == "http" && other.scheme() == "https";
    home.host_str() == other.host_str()
        && if home.scheme() == other.scheme() {
            ports.0 == ports.1
        } else {
            encrypts && ports == (Some(80), Some(443))
        }
}

/// The address of another server that an answer sends on to.
fn elsewhere(response: &reqwest::Response) -> Option<String> {
    if !response.status().is_redirection() {
        return None;
    }
    let to = response.headers().get("location")?.to_str().ok()?;
    let to = response.url().join(to).ok()?;
    (!is_same(response.url(), &to)).then(|| mask::url(&to))
}

fn sent_on(elsewhere: &str) -> String {
    format!(
        "it redirects to `{elsewhere}`, a different host, and chatctl sends no keys or log-ins there; if that \
            is the server under test, use its address as --server"
    )
}

/// A request of RFC 6455 for a WebSocket at the same address.
fn asking_for_a_socket(outgoing: &Outgoing) -> Outgoing {
    let key = STANDARD.encode(fastrand::u128(..).to_ne_bytes());
    let upgrade = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", key.as_str()),
    ];
    let upgrade = upgrade.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Outgoing {
        method: "GET".to_owned(),
        path: outgoing.path.clone(),
        headers: [&outgoing.headers[..], &upgrade[..]].concat(),
        body: Vec::new(),
    }
}

/// A base whose last segment is kept when a path is joined to it.
fn as_folder(mut base: Url) -> Url {
    if !base.path().ends_with('/') {
        let path = format!("{}/", base.path());
        base.set_path(&path);
    }
    base
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

fn headers(map: &HeaderMap) -> Vec<(String, String)> {
    map.iter()
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect()
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::{HttpResponse, as_folder, find, is_same, may_encrypt};
    use url::Url;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_redirect_is_followed_to_the_same_server_only() {
        for (home, other, same) in [
            ("http://a/x", "http://a/y", true),
            ("http://a/", "http://a:80/", true),
            ("http://a/", "https://a/", true),
            ("http://a:8000/", "http://a:8000/login", true),
            ("http://a/", "http://b/", false),
            ("http://a/", "http://a.evil/", false),
            ("http://a:8000/", "http://a:8001/", false),
            ("http://a:8000/", "https://a/", false),
            ("http://a/", "https://a:8443/", false),
            ("https://a/", "http://a/", false),
        ] {
            assert_eq!(is_same(&url(home), &url(other)), same, "{home} {other}");
            let encrypts = same && other.starts_with("https:");
            assert!(may_encrypt(&url(home)) || !encrypts, "{home} {other}");
        }
        assert!(!may_encrypt(&url("http://a:8000/")));
    }

    #[test]
    fn a_base_keeps_its_last_segment() {
        for (base, joined) in [
            ("http://a", "http://a/chat"),
            ("http://a/api", "http://a/api/chat"),
            ("http://a/api/", "http://a/api/chat"),
        ] {
            let folder = as_folder(url(base));
            assert_eq!(folder.join("chat").unwrap().as_str(), joined);
        }
    }

    #[test]
    fn a_header_is_found_in_any_case() {
        let headers = [("Content-Type", "a"), ("content-type", "b"), ("etag", "")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(find(&headers, "content-type"), Some("a"));
        assert_eq!(find(&headers, "ETag"), Some(""));
        assert_eq!(find(&headers, "content"), None);
    }

    #[test]
    fn an_excerpt_is_one_short_line_without_secrets() {
        let response = |body: &[u8], elsewhere: Option<&str>| HttpResponse {
            status: 200,
            headers: Vec::new(),
            body: body.to_vec(),
            elsewhere: elsewhere.map(str::to_owned),
        };
        for (body, line) in [
            (&b"{\n  \"a\": 1\n}\n"[..], "{ \"a\": 1 }".to_owned()),
            (b"", String::new()),
            (b"\xff!", "\u{fffd}!".to_owned()),
            ("ü".repeat(161).as_bytes(), format!("{}…", "ü".repeat(160))),
            ("ü".repeat(160).as_bytes(), "ü".repeat(160)),
        ] {
            assert_eq!(response(body, None).excerpt(), line);
        }
        let secret = response(b"no access with postgres://bob:pw1234@db/chat", None);
        assert!(!secret.excerpt().contains("pw1234"), "{}", secret.excerpt());
        let sent_on = response(b"moved", Some("http://b/")).excerpt();
        assert!(sent_on.contains("`http://b/`") && !sent_on.contains("moved"));
    }
}
