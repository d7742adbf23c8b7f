//! chatctl in the browser's place: sends a turn and watches its stream.

use super::spot::{Act, Acted, Spot};
use crate::clock;
use crate::clock::Tick;
use crate::http::{Client, Line, LineEnd, Opened, Outgoing};
use crate::stream::body::{Body, Framing};
use crate::stream::faults::{ClientBehaviour, Way};
use crate::stream::marker::FinalMarker;
use crate::stream::profiles::Reader;
use crate::stream::session::{
    Answered, Capture, CaptureFrom, Captures, Expanded, Follow, Request, capture,
};
use crate::stream::sse::Item;
use crate::stream::turn::Turn;
use anyhow::Context as _;
use serde_json::Value;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// The largest body of a turn's answer, in bytes: a server that never ends its stream must not fill
/// the memory.
const LARGEST: usize = 128 << 20;
/// As much of a body is kept as it came, in bytes.
const BEGINNING: usize = 256 << 10;

/// What the client has seen so far.
#[derive(Debug, Clone, Default)]
pub(super) struct ResponseProgress {
    /// Status and content type, once the head is there.
    pub(super) head: Option<Head>,
    /// What came over the wire. Its times are on the run's clock.
    pub(super) turn: Turn,
    /// When the last bytes came.
    pub(super) last_byte: Option<Tick>,
    /// How many bytes of its body came.
    pub(super) received: usize,
    /// What was taken out of the response.
    pub(super) captured: Captures,
    /// The beginning of the body.
    pub(super) beginning: Arc<Mutex<Vec<u8>>>,
    /// Set when the response is over: well, or with the reason.
    pub(super) over: Option<Result<(), String>>,
}

impl ResponseProgress {
    /// All bytes of the body, where they were kept.
    pub(super) fn whole_body(&self) -> Option<Vec<u8>> {
        self.body_so_far()
            .filter(|_| matches!(self.over, Some(Ok(()))))
    }

    /// All bytes of the body that came up to now, where they were kept.
    pub(super) fn body_so_far(&self) -> Option<Vec<u8>> {
        let beginning = self.beginning.lock().expect("nobody panics with it");
        (beginning.len() < BEGINNING).then(|| beginning.clone())
    }
}

/// The head of a response.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) content_type: Option<String>,
    /// The beginning of a body that is not a stream.
    pub(super) excerpt: String,
}

/// A turn's client at work. Dropping it hangs up.
pub(super) struct Watching {
    seen: watch::Receiver<ResponseProgress>,
    is_final: watch::Receiver<bool>,
    work: Work,
    /// The way to end its connection, where that is chosen.
    end: Option<LineEnd>,
}

/// Where a turn's client works.
enum Work {
    Task(JoinHandle<()>),
    /// A thread of its own, which ends when this end of the line is dropped.
    Thread(#[expect(dead_code, reason = "it is only dropped")] oneshot::Sender<()>),
}

impl Drop for Watching {
    fn drop(&mut self) {
        if let Work::Task(task) = &self.work {
            task.abort();
        }
    }
}

/// What a turn's client is to do.
pub(super) struct ClientTask {
    pub(super) client: Client,
    pub(super) outgoing: Outgoing,
    /// What to take out of the head and the events of its response.
    pub(super) captures: Vec<Capture>,
    /// The second request, when the first one only starts the answer.
    pub(super) then: Option<Second>,
    pub(super) reader: Box<dyn Reader>,
    pub(super) framing: Framing,
    pub(super) marker: FinalMarker,
    pub(super) behaviour: &'static ClientBehaviour,
    /// The connection to use, when its end is to be chosen.
    pub(super) line: Option<Line>,
}

/// What fetches an answer that was started.
#[derive(Clone)]
pub(super) struct Second {
    pub(super) first: Request,
    pub(super) follow: Follow,
    /// What both know.
    pub(super) captures: Captures,
}

impl Watching {
    /// Sends the request and watches.
    pub(super) fn start(client_task: ClientTask) -> Self {
        let (seen_in, seen) = watch::channel(ResponseProgress::default());
        let (final_in, is_final) = watch::channel(false);
        let task = tokio::spawn(Watcher::new(client_task, seen_in, final_in).run());
        Self {
            seen,
            is_final,
            work: Work::Task(task),
            end: None,
        }
    }

    /// The same, on a connection whose end is chosen later.
    pub(super) fn start_on(mut client_task: ClientTask, line: Line) -> anyhow::Result<Self> {
        let end = line.end().context("keeping a connection")?;
        client_task.line = Some(line);
        let mut watching = Self::start(client_task);
        watching.end = Some(end);
        Ok(watching)
    }

    /// The same, and acts at the final marker: in a thread of its own, where nothing else has to
    /// be done first.
    pub(super) fn armed(
        client_task: ClientTask,
        act: Act,
    ) -> anyhow::Result<(Self, oneshot::Receiver<Acted>)> {
        let (seen_in, seen) = watch::channel(ResponseProgress::default());
        let (final_in, is_final) = watch::channel(false);
        let (told, acted) = oneshot::channel();
        let (hang_up, hung_up) = oneshot::channel();
        let mut watcher = Watcher::new(client_task, seen_in, final_in);
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("starting a client")?;
        std::thread::spawn(move || {
            watcher.spot = Some(Spot::new(act, told));
            runtime.block_on(async {
                tokio::select! {
                    () = watcher.run() => {}
                    _ = hung_up => {}
                }
            });
        });
        let watching = Self {
            seen,
            is_final,
            work: Work::Thread(hang_up),
            end: None,
        };
        Ok((watching, acted))
    }

    /// Leaves in this way. Where the connection can't be chosen, it is closed by whoever made it.
    pub(super) async fn leave(&mut self, way: Way) -> anyhow::Result<()> {
        let left = match (way, self.end.take()) {
            (Way::Fin, Some(end)) => end.close(),
            (Way::Reset, Some(end)) => end.reset(),
            (Way::HalfClose, Some(end)) => {
                let left = end.half_close();
                self.end = Some(end);
                // It goes on reading.
                return left.context("closing one direction of the connection");
            }
            (Way::Stall, Some(end)) => {
                end.stall();
                // The socket stays open as long as this lives.
                self.end = Some(end);
                Ok(())
            }
            (_, None) => Ok(()),
        };
        if let Work::Task(task) = &mut self.work {
            task.abort();
            // It was ended on purpose, so it has nothing to tell.
            let _ = task.await;
        }
        left.context("ending the connection")
    }

    /// Hangs up, and returns when nobody reads any more.
    pub(super) async fn hang_up(mut self) {
        if let Work::Task(task) = &mut self.work {
            task.abort();
            // It was ended on purpose, so it has nothing to tell.
            let _ = task.await;
        }
    }

    /// What was seen up to now.
    pub(super) fn seen(&self) -> ResponseProgress {
        self.seen.borrow().clone()
    }

    /// What is seen from now on, also after this client is gone.
    pub(super) fn follow(&self) -> watch::Receiver<ResponseProgress> {
        self.seen.clone()
    }

    /// Turns true when the final marker is there.
    pub(super) fn is_final(&self) -> watch::Receiver<bool> {
        self.is_final.clone()
    }

    /// Waits until something holds; gives up when the client is gone.
    pub(super) async fn until(
        &self,
        holds: impl FnMut(&ResponseProgress) -> bool,
    ) -> ResponseProgress {
        let mut seen = self.seen.clone();
        match seen.wait_for(holds).await {
            Ok(now) => now.clone(),
            Err(_) => self.seen(),
        }
    }
}

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

pub(super) fn outgoing(expanded: Expanded) -> Outgoing {
    Outgoing {
        method: expanded.method.word().to_owned(),
        path: expanded.path_and_query,
        headers: expanded.headers,
        body: expanded.body,
    }
}

/// A stream that ended before its end, with the innermost reason.
fn broke_off(error: &anyhow::Error) -> String {
    format!("the server's stream broke off ({})", error.root_cause())
}

struct Watcher {
    client_task: ClientTask,
    seen: watch::Sender<ResponseProgress>,
    is_final: watch::Sender<bool>,
    spot: Option<Spot>,
}

impl Watcher {
    fn new(
        client_task: ClientTask,
        seen: watch::Sender<ResponseProgress>,
        is_final: watch::Sender<bool>,
    ) -> Self {
        Self {
            client_task,
            seen,
            is_final,
            spot: None,
        }
    }

    async fn run(mut self) {
        let over = match self.client_task.then.take() {
            None => self.stream().await,
            Some(second) => match self.start(&second).await {
                Ok(Some(outgoing)) => {
                    self.client_task.outgoing = outgoing;
                    self.client_task.captures = second.follow.request.captures;
                    match second.follow.poll {
                        None => self.stream().await,
                        Some(pause) => self.poll(pause).await,
                    }
                }
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            },
        };
        let marker = &self.client_task.marker;
        self.seen.send_modify(|seen| {
            let answered = seen
                .head
                .as_ref()
                .is_some_and(|head| (200..300).contains(&head.status));
            if over.is_ok() && answered {
                seen.turn.end(clock::now(), marker);
            }
            seen.over = Some(over);
        });
        self.tell_final();
    }

    /// Sends the request that starts an answer; gives the one that fetches it, unless the server
    /// refused.
    async fn start(&mut self, second: &Second) -> Result<Option<Outgoing>, String> {
        let Second {
            first,
            follow,
            captures,
        } = second;
        let task = &self.client_task;
        let answer = task.client.send(&task.outgoing).await;
        let answer = answer.map_err(|error| format!("{error:#}"))?;
        if !first.accepts(answer.status) {
            let head = Head {
                status: answer.status,
                content_type: answer.header("content-type").map(str::to_owned),
                excerpt: answer.excerpt(),
            };
            let is_fine = (200..300).contains(&head.status);
            self.seen.send_modify(|seen| seen.head = Some(head));
            let how = format!("`{}` was answered {}", first.written, answer.status);
            return if is_fine { Err(how) } else { Ok(None) };
        }
        let mut known = captures.clone();
        let answered = Answered {
            request: &first.written,
            headers: &answer.headers,
            body: &answer.body,
        };
        capture(&first.captures, answered, &mut known).map_err(|error| error.to_string())?;
        self.seen
            .send_modify(|seen| seen.captured.extend(known.clone()));
        let expanded = follow.request.expand(&known);
        let expanded = expanded.map_err(|error| error.to_string())?;
        Ok(Some(outgoing(expanded)))
    }

    async fn stream(&mut self) -> Result<(), String> {
        let task = &mut self.client_task;
        let opened = match task.line.take() {
            Some(line) => task.client.open_on(line, &task.outgoing).await,
            None => task.client.open(&task.outgoing).await,
        };
        match opened {
            Ok(opened) => self.read(opened).await,
            Err(error) => Err(format!("{error:#}")),
        }
    }

    /// Asks for the state of an answer until it is the final one; each is an event.
    async fn poll(&mut self, pause: Duration) -> Result<(), String> {
        let mut decoder = Body::new(&Framing::Ndjson);
        loop {
            let task = &self.client_task;
            let answer = task.client.send(&task.outgoing).await;
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

    async fn read(&mut self, mut opened: Opened) -> Result<(), String> {
        let notice = opened.notice();
        let head = Head {
            status: opened.status,
            content_type: opened.header("content-type").map(str::to_owned),
            excerpt: notice.clone().unwrap_or_default(),
        };
        let streams = (200..300).contains(&head.status);
        let task = &self.client_task;
        let mut captured = Captures::new();
        let answered = Answered {
            request: &task.outgoing.path,
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
        let mut decoder = Body::new(&self.client_task.framing);
        let mut excerpt = Vec::new();
        let mut length = 0;
        loop {
            let chunk = self.chunk(&mut opened).await?;
            let at = clock::now();
            let Some(chunk) = chunk else {
                let items = decoder.finish(at).map_err(|error| error.to_string())?;
                self.take(&items, at);
                break;
            };
            if notice.is_none() && excerpt.len() < 200 {
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
                beginning.extend_from_slice(&chunk);
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
            if self.client_task.behaviour.hangs_up_at_final && *self.is_final.borrow() {
                // Dropping the response closes the connection.
                break;
            }
        }
        Ok(())
    }

    /// The next bytes. What acts at the marker has to know how long they lay unread.
    async fn chunk(&mut self, opened: &mut Opened) -> Result<Option<bytes::Bytes>, String> {
        let mut next = pin!(opened.chunk());
        let mut waits = false;
        let chunk = poll_fn(|context| {
            let polled = next.as_mut().poll(context);
            if polled.is_pending() && !std::mem::replace(&mut waits, true) {
                self.spot.iter_mut().for_each(Spot::waits);
            }
            polled
        });
        let chunk = chunk.await;
        self.spot.iter_mut().for_each(Spot::has_bytes);
        chunk.map_err(|error| broke_off(&error))
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
