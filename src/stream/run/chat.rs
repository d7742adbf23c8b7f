//! Runs a chat: set-up, turns, and the server's responses.

use super::awaited::SERVER_LOG;
use super::client::Watching;
use super::exchange::{ClientTask, ResponseProgress, Second, outgoing};
use super::live::Live;
use super::pieces::Pieces;
use super::script::Script;
use super::stage::Stage;
use crate::cli_error::CliError;
use crate::gateway::Play;
use crate::gateway::faults::Mix;
use crate::gateway::providers::Provider;
use crate::http::{Client, Outgoing, Protocol};
use crate::model::ToolCall;
use crate::stream::faults::{ClientBehaviour, Cut, GatewayFault, NONE, READ_TO_END};
use crate::stream::judge::TurnSeen;
use crate::stream::marks;
use crate::stream::session::{
    Answered, Captures, Expanded, Follows, IDEMPOTENCY_KEY, Login, Request, Session, Spoken, Turn,
    capture,
};
use crate::{clock, http};
use anyhow::Context as _;
use serde_json::Value;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// A conversation that was set up.
pub struct Chat {
    client: Client,
    captures: Captures,
    /// The turns that were sent.
    spoken: Mutex<Vec<SpokenTurn>>,
    /// What to do when the server does not have a path of the session.
    on_path: String,
    /// The session's file.
    file: String,
}

/// A turn that was sent.
struct SpokenTurn {
    user: String,
    marks: Marks,
    /// What must be stored as the answer.
    expected: String,
    /// What the model calls before it.
    tool_calls: Vec<ToolCall>,
    /// What its client has seen of the answer.
    seen: watch::Receiver<ResponseProgress>,
}

/// What finds the messages of a turn in a store.
#[derive(Clone)]
pub(super) struct Marks {
    /// In the question.
    pub(super) tag: String,
    /// In the answer.
    pub(super) nonce: String,
}

/// Which turns are under way when one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Among {
    /// None that matters: the provider answers the new one only.
    Nobody,
    /// Those that continue next to it.
    Others,
}

pub(super) struct Sent<'r> {
    /// The turn, from 0.
    pub(super) index: usize,
    pub(super) among: Among,
    /// Another turn than the session's one of that number.
    pub(super) turn: Option<&'r Turn>,
    /// What is sent in place of the turn's own request.
    pub(super) instead: Option<Instead<'r>>,
    /// What the provider does.
    pub(super) mix: Mix,
}

impl Sent<'_> {
    /// A turn as the session says it.
    pub(super) const fn turn(index: usize) -> Self {
        Self {
            index,
            among: Among::Nobody,
            turn: None,
            instead: None,
            mix: Mix::NONE,
        }
    }
}

/// A request in place of a turn's own.
pub(super) struct Instead<'r> {
    pub(super) request: &'r Request,
    /// The question and its mark, where it is one that was asked before.
    pub(super) question: Option<(String, String)>,
    /// What else it knows.
    pub(super) known: Captures,
}

/// How a turn is varied.
#[derive(Clone, Copy)]
pub(super) struct Vary {
    /// How the answer is cut into chunks; as recorded when absent.
    pub(super) pieces: Option<Pieces>,
    pub(super) fault: &'static GatewayFault,
    pub(super) client: &'static ClientBehaviour,
}

/// Nothing is varied.
pub(super) const AS_RECORDED: Vary = Vary {
    pieces: None,
    fault: &NONE,
    client: &READ_TO_END,
};

impl Stage<'_> {
    /// Logs in and sets a conversation up, as the session says.
    ///
    /// # Errors
    /// When the server can't be reached, or answers otherwise than the session says.
    pub async fn set_up(&self) -> anyhow::Result<Chat> {
        let client = Client::new(self.world.base.clone(), self.world.origin.clone())?;
        let mut chat = Chat {
            client: client.with_patience(self.options.response_timeout),
            on_path: self.session.hint_on_path("[login], [[setup]] or [history]"),
            file: self.session.file.clone(),
            captures: Captures::from([
                ("run".to_owned(), token().into()),
                ("uuid".to_owned(), uuid().into()),
                ("nanoid".to_owned(), nanoid().into()),
            ]),
            spoken: Mutex::default(),
        };
        self.log_in(&mut chat).await?;
        for request in &self.session.setup {
            let answer = chat.fetch(request).await;
            let answer = answer.map_err(|error| self.with_log(error))?;
            chat.take(request, &answer, "[[setup]]")?;
        }
        Ok(chat)
    }

    /// Logs in, where the session says how.
    pub(super) async fn log_in(&self, chat: &mut Chat) -> anyhow::Result<()> {
        let Some(login) = &self.session.login else {
            return Ok(());
        };
        let answer = chat.fetch(&login.request).await;
        let answer = answer.map_err(|error| self.with_log(error))?;
        self.logged_in(chat, login, &answer)
    }

    /// Keeps what the server gave out to a user who logged in.
    pub(super) fn logged_in(
        &self,
        chat: &mut Chat,
        login: &Login,
        answer: &http::HttpResponse,
    ) -> anyhow::Result<()> {
        chat.take(&login.request, answer, "[login]")?;
        if let Some(from) = &login.bearer {
            let token = from.take(answered(&login.request, answer))?;
            let token = token
                .as_str()
                .map_or_else(|| token.to_string(), str::to_owned);
            self.world.mask.keep(&token);
            chat.client.bear(&token)?;
        }
        Ok(())
    }

    /// Sends a turn. The gateway withholds the end of the answer until it is let go.
    pub(super) async fn begin(
        &self,
        chat: &Chat,
        index: usize,
        vary: Vary,
    ) -> anyhow::Result<Live> {
        let start = |client_task| Ok(Watching::start(client_task));
        self.begin_as(chat, index, vary, start).await
    }

    /// The same, with a client that is started in this way.
    pub(super) async fn begin_as(
        &self,
        chat: &Chat,
        index: usize,
        vary: Vary,
        start: impl FnOnce(ClientTask) -> anyhow::Result<Watching>,
    ) -> anyhow::Result<Live> {
        self.begin_among(chat, Sent::turn(index), vary, start).await
    }

    /// The same, among other turns.
    pub(super) async fn begin_among(
        &self,
        chat: &Chat,
        what: Sent<'_>,
        vary: Vary,
        start: impl FnOnce(ClientTask) -> anyhow::Result<Watching>,
    ) -> anyhow::Result<Live> {
        let index = what.index;
        let turn = what.turn.unwrap_or(&self.session.turns[index]);
        tokio::time::sleep(turn.pause).await;
        let instead = what.instead.as_ref();
        let same = instead.and_then(|instead| instead.question.clone());
        let (user, tag) = same.unwrap_or_else(|| {
            let tag = format!("{}{}", marks::QUESTION, token());
            (format!("{} [{tag}]", turn.user), tag)
        });
        let script = script(turn, vary, what.mix);
        let nonce = script.nonce.clone();
        // What is wrong with a cassette is said before anything is sent.
        let steps = script.turn.steps.len();
        let file = &self.session.file;
        let last = script
            .reel(script.provider(), steps, 0)
            .with_context(|| format!("the cassette of turn {} of `{file}`", index + 1))?;
        let answer = last.said.clone();
        let requests = AtomicUsize::new(0);
        // A fault may answer with another text than the one that is recorded.
        let own = script.text().to_owned();
        let play = Play::new(user.clone(), steps, move |asked, step| {
            let reel = script.reel(asked, step, requests.fetch_add(1, Ordering::SeqCst));
            reel.map_err(|error| error.to_string())
        });
        let is_otherwise = what.instead.is_some() || turn.request.is_some();
        let play = Arc::new(play.of_answer(&own).sent_otherwise(is_otherwise));
        match what.among {
            Among::Nobody => self.world.gateway.play(&play),
            Among::Others => self.world.gateway.play_beside(&play),
        }

        let known = instead.map(|it| &it.known);
        let (captures, context) = self.values(chat, index, &user, known)?;
        let own = turn.request.as_ref().unwrap_or(&self.session.request);
        let request = instead.map_or(own, |instead| instead.request);
        let then = self.session.stream.as_ref().map(|follow| Second {
            first: request.clone(),
            follow: follow.clone(),
            captures: captures.clone(),
        });
        // What is sent second may need what the first one captures.
        let sends = match &self.session.stream {
            Some(follow) if follow.how == Follows::First => follow.request.expand(&captures)?,
            Some(_) | None => request.expand(&captures)?,
        };
        let expected = turn.expected(&captures, answer.as_deref(), &nonce)?;
        let sent = clock::now();
        let watching = start(ClientTask {
            captures: request.captures.clone(),
            then,
            framing: self.framing(request),
            ..self.lone_task(&chat.client, sends, vary.client)
        })?;
        let marks = Marks {
            tag: tag.clone(),
            nonce: nonce.clone(),
        };
        chat.speaks(SpokenTurn {
            user: user.clone(),
            marks,
            expected: expected.clone(),
            tool_calls: turn.tool_calls(),
            seen: watching.follow(),
        });
        Ok(Live {
            number: index + 1,
            expected,
            context,
            answer,
            conversation: chat.conversation(),
            chunks_before: last.earlier + last.before.len(),
            connections: self.world.gateway.connections(),
            silent: false,
            sent,
            watching,
            user,
            tag,
            nonce,
            play,
        })
    }

    /// What the templates of a turn's request may name; and the messages among them, where the client sends all
    /// of them.
    fn values(
        &self,
        chat: &Chat,
        index: usize,
        user: &str,
        known: Option<&Captures>,
    ) -> anyhow::Result<(Captures, Option<String>)> {
        let mut captures = chat.known();
        captures.insert("user".to_owned(), user.into());
        captures.insert(IDEMPOTENCY_KEY.to_owned(), token().into());
        captures.insert("turn".to_owned(), (index + 1).into());
        captures.insert("uuid".to_owned(), uuid().into());
        captures.insert("nanoid".to_owned(), nanoid().into());
        captures.extend(known.cloned().unwrap_or_default());
        let messages = match &self.session.messages {
            Some(forms) => Some(forms.write(&chat.spoken(), user, &captures)?),
            None => None,
        };
        let context = messages.as_ref().map(Value::to_string);
        captures.extend(messages.map(|messages| ("messages".to_owned(), messages)));
        Ok((captures, context))
    }

    /// The same, with a client that can leave in any way, as far as its connection is not encrypted.
    pub(super) async fn begin_on_line(
        &self,
        chat: &Chat,
        index: usize,
        vary: Vary,
        among: Among,
    ) -> anyhow::Result<Live> {
        let what = Sent {
            among,
            ..Sent::turn(index)
        };
        self.begin_sent_on_line(chat, what, vary).await
    }

    /// The same, of anything that is sent.
    pub(super) async fn begin_sent_on_line(
        &self,
        chat: &Chat,
        what: Sent<'_>,
        vary: Vary,
    ) -> anyhow::Result<Live> {
        let line = if chat.client.is_plain() {
            let protocol = if vary.client.speaks_http2 {
                Protocol::Http2
            } else {
                Protocol::Http1
            };
            Some(chat.client.dial(protocol).await?)
        } else {
            None
        };
        let start = |client_task| match line {
            Some(line) => Watching::start_on(client_task, line),
            None => Ok(Watching::start(client_task)),
        };
        self.begin_among(chat, what, vary, start).await
    }

    /// One request with nothing before or behind it.
    pub(super) fn lone_task(
        &self,
        client: &Client,
        sends: Expanded,
        behaviour: &'static ClientBehaviour,
    ) -> ClientTask {
        ClientTask {
            client: client.clone(),
            sends,
            captures: Vec::new(),
            then: None,
            reader: self.profile.start(self.marker.clone()),
            framing: self.profile.framing(),
            marker: self.marker.clone(),
            behaviour,
            line: None,
        }
    }

    /// What the provider answers in a turn. One with faults says it in one answer, whatever is recorded.
    pub(super) fn script(&self, index: usize, vary: Vary, mix: Mix) -> Script {
        script(&self.session.turns[index], vary, mix)
    }

    /// How the provider's answer to a turn is cut into chunks.
    pub(super) fn cut_of(&self, index: usize, asked: &'static Provider) -> anyhow::Result<Cut> {
        Ok(self.script(index, AS_RECORDED, Mix::NONE).cut(asked)?.1)
    }
}

impl Chat {
    /// Takes a request's captures out of its answer.
    fn take(
        &mut self,
        request: &Request,
        answer: &http::HttpResponse,
        section: &str,
    ) -> anyhow::Result<()> {
        let answered = answered(request, answer);
        capture(&request.captures, answered, &mut self.captures).map_err(|error| {
            let hint = format!("correct `capture` in {section} of {}", self.file);
            CliError::unreachable(error.to_string()).hint(hint)
        })?;
        Ok(())
    }

    /// Sends a request, whatever its status.
    pub(super) async fn ask(&self, request: &Request) -> anyhow::Result<http::HttpResponse> {
        let outgoing = outgoing(&request.expand(&self.known())?);
        self.client.send(&outgoing).await
    }

    /// Sends a request and checks its status.
    pub(super) async fn fetch(&self, request: &Request) -> anyhow::Result<http::HttpResponse> {
        let answer = self.ask(request).await?;
        if !request.accepts(answer.status) {
            return Err(CliError::unreachable(format!(
                "`{}` was answered {}: {}",
                request.written,
                answer.status,
                answer.excerpt()
            ))
            .hint(match answer.status {
                404 | 405 => self.on_path.as_str(),
                400 | 422 => "check `json` of this request in the session file",
                415 => "give this request a body in the session file, such as `json = {}`",
                _ => SERVER_LOG,
            })
            .into());
        }
        Ok(answer)
    }

    /// What was captured, also out of the turns so far.
    pub(super) fn known(&self) -> Captures {
        let mut known = self.captures.clone();
        let spoken = self.spoken.lock().expect("nobody panics with it");
        for turn in spoken.iter() {
            let seen = turn.seen.borrow();
            let captured = seen.captured.iter();
            known.extend(captured.map(|(name, value)| (name.clone(), value.clone())));
        }
        known
    }

    /// The conversation's key, when the session captured one.
    pub(super) fn conversation(&self) -> Option<String> {
        let known = self.known();
        let id = known.get("conversation_id")?;
        Some(id.as_str().map_or_else(|| id.to_string(), str::to_owned))
    }

    /// Forgets the last turn: another one takes its place.
    pub(super) fn take_back(&self) {
        let mut spoken = self.spoken.lock().expect("nobody panics with it");
        spoken.pop();
    }

    /// Another page of the same conversation, which does not know what this one has said.
    pub(super) fn other_page(&self) -> Self {
        Self {
            client: self.client.clone(),
            captures: self.captures.clone(),
            spoken: Mutex::default(),
            on_path: self.on_path.clone(),
            file: self.file.clone(),
        }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// What was said so far, as the client saw it.
    fn spoken(&self) -> Vec<Spoken> {
        let spoken = self.spoken.lock().expect("nobody panics with it");
        let turn = |turn: &SpokenTurn| Spoken {
            user: turn.user.clone(),
            answer: turn.seen.borrow().turn.text.clone(),
        };
        spoken.iter().map(turn).collect()
    }

    /// The turns that were sent, as far as a history shows them.
    pub(super) fn said_so_far(&self) -> Vec<TurnSeen> {
        let spoken = self.spoken.lock().expect("nobody panics with it");
        let turns = spoken.iter().zip(1..).map(|(turn, number)| TurnSeen {
            user: turn.user.clone(),
            tag: turn.marks.tag.clone(),
            expected: turn.expected.clone(),
            nonce: turn.marks.nonce.clone(),
            tool_calls: turn.tool_calls.clone(),
            ..TurnSeen::blank(number)
        });
        turns.collect()
    }

    /// What finds the turns in a store, in the order in which they were sent.
    pub(super) fn marks(&self) -> Vec<Marks> {
        let spoken = self.spoken.lock().expect("nobody panics with it");
        spoken.iter().map(|turn| turn.marks.clone()).collect()
    }

    /// One more turn is sent.
    fn speaks(&self, turn: SpokenTurn) {
        let mut spoken = self.spoken.lock().expect("nobody panics with it");
        spoken.push(turn);
    }

    /// What the turn's request would be, without a user's message.
    pub(super) fn turn_request(&self, session: &Session) -> anyhow::Result<Outgoing> {
        let mut captures = self.known();
        for capture in session.stream.iter().flat_map(|it| &it.request.captures) {
            captures.insert(capture.name.clone(), "".into());
        }
        captures.insert("user".to_owned(), "".into());
        captures.insert(IDEMPOTENCY_KEY.to_owned(), "".into());
        captures.insert("turn".to_owned(), 1.into());
        captures.insert("messages".to_owned(), Value::Array(Vec::new()));
        Ok(outgoing(&session.request.expand(&captures)?))
    }
}

fn script(turn: &Turn, vary: Vary, mix: Mix) -> Script {
    let mut turn = turn.clone();
    if !mix.is_empty() {
        turn.steps.clear();
    }
    Script {
        turn,
        pieces: vary.pieces,
        fault: vary.fault,
        mix,
        nonce: format!("{}{}", marks::ANSWER, token()),
    }
}

fn answered<'a>(request: &'a Request, answer: &'a http::HttpResponse) -> Answered<'a> {
    Answered {
        request: &request.written,
        headers: &answer.headers,
        body: &answer.body,
    }
}

/// Text that was never sent before. Not from the run's seed: a second run with the same seed
/// must not find the first one's rows.
fn token() -> String {
    random(b"0123456789abcdefghijklmnopqrstuvwxyz", marks::LETTERS)
}

/// A random UUID (RFC 9562, version 4).
fn uuid() -> String {
    let random = fastrand::u128(..) & !(0xf000_c000 << 48) | 0x4000_8000 << 48;
    let hex = format!("{random:032x}");
    let groups = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    groups.join("-")
}

/// As the `nanoid` package makes them.
fn nanoid() -> String {
    const LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-";
    random(LETTERS, 21)
}

fn random(letters: &[u8], length: usize) -> String {
    (0..length)
        .map(|_| char::from(letters[fastrand::usize(..letters.len())]))
        .collect()
}
