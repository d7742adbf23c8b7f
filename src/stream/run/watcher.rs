//! The task that sends a turn, and reads its answer.

use super::exchange::{BEGINNING, ClientTask, Head, ResponseProgress, Saying, Second, outgoing};
use super::spot::Spot;
use crate::clock;
use crate::clock::Tick;
use crate::http::{Opened, Socket};
use crate::stream::body::{Body, Framing};
use crate::stream::marker::FinalMarker;
use crate::stream::session::{
    Answered, Capture, CaptureFrom, Captures, Expanded, ExpandedHandshake, Follows, Request,
    capture,
};
use crate::stream::sse::Item;
use serde_json::Value;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// The largest body of a turn's answer, in bytes: a server that never ends its stream must not fill
/// the memory.
const LARGEST: usize = 128 << 20;
/// How long a server may take to be ready for the first message over a WebSocket.
const TO_BE_READY: Duration = Duration::from_secs(10);
/// After an event that says that the answer failed: how long a connection that outlasts it may be silent
/// before nothing more is expected.
const AFTER_A_FAILURE: Duration = Duration::from_secs(1);

/// Takes what is wanted out of an event, unless an earlier one had it.
fn take_captures(wanted: &[Capture], data: &str, captured: &mut Captures) {
    let mut missing = wanted.iter().filter_map(|wanted| match &wanted.from {
        CaptureFrom::Json(path) if !captured.contains_key(&wanted.name) => {
            Some((path, &wanted.name))
        }
        CaptureFrom::Json(_) | CaptureFrom::Header(_) | CaptureFrom::Cookie(_) => None,
    });
    let Some(first) = missing.next() else {
        return;
    };
    let Ok(json) = serde_json::from_str::<Value>(data) else {
        return;
    };
    let found: Vec<_> = std::iter::once(first)
        .chain(missing)
        .filter_map(|(path, name)| {
            let value = path.query(&json).exactly_one().ok()?;
            (!value.is_null()).then(|| (name.clone(), value.clone()))
        })
        .collect();
    captured.extend(found);
}

fn expanded(request: &Request, known: &Captures) -> Result<Expanded, String> {
    request.expand(known).map_err(|error| error.to_string())
}

fn not_ready(handshake: &ExpandedHandshake) -> String {
    let awaited = match &handshake.ready {
        Some(ready) => format!("`{ready}`"),
        None => "its handshake".to_owned(),
    };
    let patience = humantime::format_duration(TO_BE_READY);
    format!("the server did not send {awaited} over the WebSocket within {patience}")
}

/// A stream that ended before its end, with the innermost reason.
fn broke_off(error: &anyhow::Error) -> String {
    format!("the server's stream broke off ({})", error.root_cause())
}

/// Sends a turn and reads its answer, for anyone who watches.
pub(super) struct Watcher {
    client_task: ClientTask,
    seen: watch::Sender<ResponseProgress>,
    is_final: watch::Sender<bool>,
    pub(super) spot: Option<Spot>,
    /// What to say over the WebSocket of the answer.
    says: mpsc::UnboundedReceiver<Saying>,
    /// Whether the connection was opened for more than one answer.
    outlasts: bool,
    /// One whose answer is over.
    stays: Option<Opened>,
}

impl Watcher {
    pub(super) fn new(
        client_task: ClientTask,
        seen: watch::Sender<ResponseProgress>,
        is_final: watch::Sender<bool>,
        says: mpsc::UnboundedReceiver<Saying>,
    ) -> Self {
        Self {
            client_task,
            seen,
            is_final,
            spot: None,
            says,
            outlasts: false,
            stays: None,
        }
    }

    pub(super) async fn run(mut self) {
        let over = self.answer().await;
        let marker = &self.client_task.marker;
        self.seen.send_modify(|seen| {
            let answered = seen.head.as_ref().is_some_and(Head::is_success);
            if over.is_ok() && answered {
                seen.turn.end(clock::now(), marker);
            }
            seen.over = Some(over);
        });
        self.tell_final();
        // A page stays connected after an answer; what comes now belongs to none.
        if let Some(mut opened) = self.stays.take() {
            while let Ok(Some(_)) = opened.chunk().await {}
        }
    }

    /// Reads an answer to its end.
    async fn answer(&mut self) -> Result<(), String> {
        let Some(second) = self.client_task.then.take() else {
            let opened = self.open().await?;
            return self.read(opened).await;
        };
        match second.follow.how {
            Follows::First => self.subscribe(second).await,
            Follows::Once | Follows::Polls(_) => {
                let Some(known) = self.start(&second.first, second.captures).await? else {
                    return Ok(());
                };
                self.client_task.sends = expanded(&second.follow.request, &known)?;
                self.client_task.captures = second.follow.request.captures;
                if let Follows::Polls(pause) = second.follow.how {
                    return self.poll(pause).await;
                }
                let opened = self.open().await?;
                self.read(opened).await
            }
        }
    }

    /// Sends the request that starts an answer; gives what is known then, unless the server refused.
    async fn start(
        &mut self,
        first: &Request,
        mut known: Captures,
    ) -> Result<Option<Captures>, String> {
        let task = &self.client_task;
        let answer = task.client.send(&outgoing(&task.sends)).await;
        let answer = answer.map_err(|error| format!("{error:#}"))?;
        if !first.accepts(answer.status) {
            let head = Head {
                status: answer.status,
                content_type: answer.header("content-type").map(str::to_owned),
                excerpt: answer.excerpt(),
            };
            let is_fine = head.is_success();
            self.seen.send_modify(|seen| seen.head = Some(head));
            let how = format!("`{}` was answered {}", first.written, answer.status);
            return if is_fine { Err(how) } else { Ok(None) };
        }
        let answered = Answered {
            request: &first.written,
            headers: &answer.headers,
            body: &answer.body,
        };
        capture(&first.captures, answered, &mut known).map_err(|error| error.to_string())?;
        self.seen
            .send_modify(|seen| seen.captured.extend(known.clone()));
        Ok(Some(known))
    }

    /// Opens the stream of an answer, and only then sends the request that starts it.
    async fn subscribe(&mut self, second: Second) -> Result<(), String> {
        let Second {
            first,
            follow,
            captures,
        } = second;
        self.client_task.sends = expanded(&follow.request, &captures)?;
        self.client_task.captures = follow.request.captures;
        self.outlasts = true;
        let opened = self.open().await?;
        if self.is_success() {
            let mut known = captures;
            known.extend(self.seen.borrow().captured.clone());
            self.client_task.sends = expanded(&first, &known)?;
            if self.start(&first, known).await?.is_none() {
                return Ok(());
            }
        }
        self.read(opened).await
    }

    fn is_success(&self) -> bool {
        let seen = self.seen.borrow();
        seen.head.as_ref().is_some_and(Head::is_success)
    }

    /// Sends the request whose response is the answer, as far as its head; over a WebSocket, all that
    /// the client says.
    async fn open(&mut self) -> Result<Opened, String> {
        let task = &mut self.client_task;
        let mut outgoing = outgoing(&task.sends);
        if task.framing == Framing::SocketIo {
            outgoing.path = Socket::of_socket_io(&outgoing.path);
        }
        let (line, handshake) = (task.line.take(), task.sends.handshake.take());
        let opened = match (&handshake, line) {
            (Some(_), line) => task.client.open_socket(line, &outgoing).await,
            (None, Some(line)) => task.client.open_on(line, &outgoing).await,
            (None, None) => task.client.open(&outgoing).await,
        };
        let mut opened = opened.map_err(|error| format!("{error:#}"))?;
        self.take_head(&opened);
        if let Some(handshake) = handshake
            && opened.socket().is_some()
        {
            let greeting = self.greet(&mut opened, &handshake, outgoing.body);
            match tokio::time::timeout(TO_BE_READY, greeting).await {
                Ok(greeted) => greeted?,
                Err(_) => return Err(not_ready(&handshake)),
            }
        }
        Ok(opened)
    }

    /// Says over a WebSocket what comes before the turn, and then the turn.
    async fn greet(
        &mut self,
        opened: &mut Opened,
        handshake: &ExpandedHandshake,
        turn: Vec<u8>,
    ) -> Result<(), String> {
        let in_words = |error: anyhow::Error| format!("{error:#}");
        let socket = opened.socket().expect("it was looked for");
        let is_socket_io = self.client_task.framing == Framing::SocketIo;
        if is_socket_io {
            let auth = handshake.auth.as_deref();
            socket.connect(auth).await.map_err(in_words)?;
        }
        self.seen.send_modify(|seen| seen.is_let_in = true);
        for message in &handshake.hello {
            socket.say(message).await.map_err(in_words)?;
        }
        let mut decoder = Body::new(&self.client_task.framing);
        // The session's id comes with the first event of Socket.IO.
        let connected = is_socket_io.then(|| FinalMarker::Event("connect".to_owned()));
        for awaited in connected.iter().chain(&handshake.ready) {
            loop {
                let message = opened.chunk().await.map_err(|error| broke_off(&error))?;
                let Some(message) = message else {
                    return Err(format!(
                        "the server closed the socket before `{awaited}` came"
                    ));
                };
                let items = decoder.push(clock::now(), &message);
                let items = items.map_err(|error| error.to_string())?;
                if self.take_before(&items, awaited) {
                    break;
                }
            }
        }
        if turn.is_empty() {
            return Ok(());
        }
        let turn = String::from_utf8_lossy(&turn);
        let socket = opened.socket().expect("it is the same one");
        socket.say(&turn).await.map_err(in_words)
    }

    /// Takes the captures out of what comes before the turn; tells whether the awaited event is in it.
    fn take_before(&mut self, items: &[Item], awaited: &FinalMarker) -> bool {
        let frames = items.iter().filter_map(|item| match item {
            Item::Frame(frame) => Some(frame),
            Item::Line(_) => None,
        });
        let captures = &self.client_task.captures;
        let mut is_there = false;
        self.seen.send_modify(|seen| {
            for frame in frames {
                take_captures(captures, &frame.data, &mut seen.captured);
                is_there = is_there || awaited.is_frame(frame);
            }
        });
        is_there
    }

    /// Asks for the state of an answer until it is the final one; each is an event.
    async fn poll(&mut self, pause: Duration) -> Result<(), String> {
        let mut decoder = Body::new(&Framing::Ndjson);
        loop {
            let task = &self.client_task;
            let answer = task.client.send(&outgoing(&task.sends)).await;
            let answer = answer.map_err(|error| format!("{error:#}"))?;
            let at = clock::now();
            let head = Head {
                status: answer.status,
                content_type: answer.header("content-type").map(str::to_owned),
                excerpt: answer.excerpt(),
            };
            let is_fine = (200..300).contains(&head.status);
            self.seen.send_modify(|seen| seen.head = Some(head));
            if !is_fine {
                return Ok(());
            }
            let text = match answer.json() {
                Some(json) => format!("{json}\n"),
                None => {
                    return Err(format!(
                        "the state of the answer is not JSON: {}",
                        answer.excerpt()
                    ));
                }
            };
            let items = decoder
                .push(at, text.as_bytes())
                .map_err(|error| error.to_string())?;
            self.take(&items, at);
            let is_done = {
                let turn = &self.seen.borrow().turn;
                turn.final_at.is_some() || turn.failed.is_some()
            };
            if is_done {
                return Ok(());
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Takes in how an answer begins.
    fn take_head(&mut self, opened: &Opened) {
        let head = Head {
            status: opened.status,
            content_type: opened.header("content-type").map(str::to_owned),
            excerpt: opened.notice().unwrap_or_default(),
        };
        let task = &self.client_task;
        let mut captured = Captures::new();
        let answered = Answered {
            request: &task.sends.path_and_query,
            headers: &opened.headers,
            body: &[],
        };
        for wanted in &task.captures {
            // What is missing is told when it is needed.
            if let Ok(value) = wanted.from.take(answered) {
                captured.insert(wanted.name.clone(), value);
            }
        }
        self.seen.send_modify(|seen| {
            seen.head = Some(head);
            seen.captured.extend(captured);
        });
    }

    async fn read(&mut self, mut opened: Opened) -> Result<(), String> {
        let has_notice = opened.notice().is_some();
        let streams = self.is_success();
        let coding = opened.header("content-encoding").unwrap_or("identity");
        if streams && !coding.eq_ignore_ascii_case("identity") {
            // A browser decodes it, so a marker that is not seen here is not missing.
            return Err(format!(
                "the response is compressed (`content-encoding: {coding}`), and chatctl did not ask for that"
            ));
        }
        let is_socket = opened.socket().is_some();
        let outlasts = self.outlasts || is_socket;
        let mut decoder = Body::new(&self.client_task.framing);
        let mut excerpt = Vec::new();
        let mut length = 0;
        loop {
            let failed = outlasts && self.seen.borrow().turn.failed.is_some();
            let chunk = self.chunk(&mut opened);
            let chunk = if failed {
                match tokio::time::timeout(AFTER_A_FAILURE, chunk).await {
                    Ok(chunk) => chunk?,
                    Err(_) => break,
                }
            } else {
                chunk.await?
            };
            let at = clock::now();
            let Some(chunk) = chunk else {
                let items = decoder.finish(at).map_err(|error| error.to_string())?;
                self.take(&items, at);
                break;
            };
            if !has_notice && excerpt.len() < 200 {
                excerpt.extend_from_slice(&chunk);
                let text = String::from_utf8_lossy(&excerpt)
                    .chars()
                    .take(160)
                    .collect::<String>();
                self.seen.send_modify(|seen| {
                    if let Some(head) = &mut seen.head {
                        head.excerpt = text;
                    }
                });
            }
            if !streams {
                continue;
            }
            if length < BEGINNING {
                let seen = self.seen.borrow();
                let mut beginning = seen.beginning.lock().expect("nobody panics with it");
                beginning.bytes.extend_from_slice(&chunk);
                if is_socket {
                    let end = beginning.bytes.len();
                    beginning.ends.push(end);
                }
            }
            length += chunk.len();
            self.seen.send_modify(|seen| seen.received += chunk.len());
            if length > LARGEST {
                return Err(format!(
                    "the server's stream has more than {} MB",
                    LARGEST >> 20
                ));
            }
            let items = decoder
                .push(at, &chunk)
                .map_err(|error| error.to_string())?;
            self.take(&items, at);
            let is_final = *self.is_final.borrow();
            if self.client_task.behaviour.hangs_up_at_final && is_final {
                if let Some(socket) = opened.socket() {
                    socket.leave().await;
                }
                // Dropping the response closes the connection.
                break;
            }
            if outlasts && is_final {
                self.stays = Some(opened);
                break;
            }
        }
        Ok(())
    }

    /// The next bytes; what is to be said meanwhile is said. What acts at the marker has to know how long
    /// the bytes lay unread.
    async fn chunk(&mut self, opened: &mut Opened) -> Result<Option<bytes::Bytes>, String> {
        let Self { spot, says, .. } = self;
        loop {
            let Saying { message, sent } = {
                let mut next = pin!(opened.chunk());
                let mut waits = false;
                let chunk = poll_fn(|context| {
                    let polled = next.as_mut().poll(context);
                    if polled.is_pending() && !std::mem::replace(&mut waits, true) {
                        spot.iter_mut().for_each(Spot::waits);
                    }
                    polled
                });
                tokio::select! {
                    biased;
                    chunk = chunk => {
                        spot.iter_mut().for_each(Spot::has_bytes);
                        return chunk.map_err(|error| broke_off(&error));
                    }
                    Some(saying) = says.recv() => saying,
                }
            };
            let said = match opened.socket() {
                Some(socket) => socket.say(&message).await,
                None => Err(anyhow::anyhow!("the answer does not come over a WebSocket")),
            };
            // Whoever asked may have given up waiting.
            let _ = sent.send(said);
        }
    }

    fn take(&mut self, items: &[Item], at: Tick) {
        let reader = self.client_task.reader.as_mut();
        let captures = &self.client_task.captures;
        self.seen.send_modify(|seen| {
            seen.last_byte = Some(at);
            for item in items {
                seen.turn.take(item, reader);
                if let Item::Frame(frame) = item {
                    take_captures(captures, &frame.data, &mut seen.captured);
                }
            }
        });
        self.tell_final();
    }

    fn tell_final(&mut self) {
        let Some(at) = self.seen.borrow().turn.final_at else {
            return;
        };
        if let Some(spot) = self.spot.take() {
            spot.act(at);
        }
        self.is_final.send_replace(true);
    }
}
