//! Sends turns as clients that stay and clients that leave, and reports how much of each answer is
//! stored.

use super::chat::Vary;
use super::exchange::ResponseProgress;
use super::find_store::sealed;
use super::live::Live;
use super::reading::UnknownEnd;
use super::sought::{Found, Place, Sought};
use super::stage::Stage;
use super::{Options, World};
use crate::cli_error::CliError;
use crate::report::{Finding, StoreLine};
use crate::store::Shape;
use crate::stream::faults::{CLOSE_AT_FINAL, CLOSE_IN_STREAM, ClientBehaviour, NONE, READ_TO_END};
use crate::stream::kept;
use crate::stream::kept::{AnswerFate, Ending, ExpectedAnswer};
use crate::stream::profiles::Profile;
use crate::stream::session::Session;
use crate::{clock, store};
use std::collections::HashSet;
use std::time::Duration;

/// The behaviours that a probe plays. The one that reads to the end is first: it finds the table,
/// and what the others have to know of the server.
static CLIENTS: [&ClientBehaviour; 3] = [&READ_TO_END, &CLOSE_IN_STREAM, &CLOSE_AT_FINAL];

/// How long a response may take; a real provider is slower than the gateway.
const RESPONSE: Duration = Duration::from_secs(60);
/// How long the first text may take once the provider has said it. A server that collects the
/// whole answer sends none.
const FIRST_TEXT: Duration = Duration::from_secs(1);
/// Between the client's leaving and the provider's next words: a server that looks whether
/// somebody listens has seen by then that nobody does.
const LEFT: Duration = Duration::from_millis(100);
/// Between two looks at the store.
const ASK: Duration = Duration::from_millis(20);

/// What became of the turns that one kind of client sent.
#[derive(Debug, Clone)]
pub struct Probed {
    /// What the client did.
    pub client: &'static str,
    /// How many turns were sent.
    pub sent: u64,
    /// How many questions were stored.
    pub questions: u64,
    /// What became of each answer.
    pub answers: Vec<AnswerFate>,
    /// In how many turns the client could not do what it is there for, and why.
    pub idle: Option<(u64, String)>,
    /// Each turn whose answer is not stored as a whole.
    pub missing: Vec<String>,
    /// Each turn whose answer is stored more than once in its conversation.
    pub doubled: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

/// What a probe found.
#[derive(Debug, Clone)]
pub struct Probes {
    pub clients: Vec<Probed>,
    /// Where it looked.
    pub store: Option<StoreLine>,
    /// Whether the server called the gateway; else it asked a provider of its own.
    pub through_gateway: bool,
    /// Whether the profile reads the text of the server's stream.
    pub reads: bool,
    /// The profile's name.
    pub profile: &'static str,
    /// That the first response showed which profile it is, when nobody named one.
    pub detected: Option<Finding>,
}

/// Sends every turn of the session so often with each client.
pub async fn probe(
    world: &mut World,
    session: &Session,
    profile: &'static Profile,
    options: &Options,
    times: u64,
) -> anyhow::Result<Probes> {
    let mut stage = Stage::new(world, session, profile, options);
    let mut server = Server {
        turns: vec![OfTurn::default(); session.turns.len()],
        finished: Vec::new(),
    };
    let mut sent: Vec<(&ClientBehaviour, Duration, Vec<Canary>)> = Vec::new();
    for client in CLIENTS {
        let began = clock::now();
        let mut canaries = Vec::new();
        for _ in 0..times {
            let chat = stage.set_up().await?;
            let first = canaries.len();
            for index in 0..session.turns.len() {
                stage.doing(client.name);
                let vary = Vary {
                    pieces: None,
                    fault: &NONE,
                    client,
                };
                let before = stage.alike(session.turns[index].answer()).await?;
                let live = stage.begin(&chat, index, vary).await?;
                let earlier = canaries[first..]
                    .iter()
                    .map(|it: &Canary| it.sought.marks())
                    .collect();
                let mut canary = stage.watch(live, client, before, &mut server).await?;
                canary.sought.earlier = earlier;
                canary.found = stage.await_kept(&canary, &server.finished).await?;
                if client.name == READ_TO_END.name && canary.found.kept == AnswerFate::Whole {
                    server.finished.extend(canary.found.ending.take());
                }
                canaries.push(canary);
            }
        }
        sent.push((client, clock::now() - began, canaries));
    }
    stage.world.gateway.rest();
    // A server that notices late that its client has left may still take an answer back.
    tokio::time::sleep(options.watch).await;
    let mut clients = Vec::new();
    for (client, took, mut canaries) in sent {
        for canary in &mut canaries {
            let is_usual =
                client.name == READ_TO_END.name && canary.found.kept == AnswerFate::Whole;
            if is_usual && let Ok(found) = stage.look(&canary.sought, &[]).await {
                // A status may continue to another one after a while, and a second row may come.
                canary.found.rows = found.rows;
                canary.found.copies = found.copies;
                server.finished.extend(found.ending);
            }
            // Whatever came later than the settling is there by now. What is new in the table is
            // known of the moment after the turn only.
            let can_look = canary.found.place == Place::Conversation;
            let may_change =
                canary.found.kept != AnswerFate::Whole || client.name != READ_TO_END.name;
            if may_change && can_look {
                // Where it can't be read just now, what was found before is what is known.
                if let Ok(found) = stage.look(&canary.sought, &server.finished).await {
                    canary.found = found;
                }
            }
        }
        clients.push(probed(client, took, canaries));
    }
    Ok(Probes {
        clients,
        store: stage.store_line(),
        through_gateway: server.turns.iter().any(|turn| turn.through_gateway),
        reads: server.turns.iter().all(|turn| turn.reads),
        profile: stage.profile.name,
        detected: stage.take_detected(),
    })
}

/// What the first turns showed of the server.
struct Server {
    turns: Vec<OfTurn>,
    /// What the store says of whole answers.
    finished: Vec<Ending>,
}

#[derive(Debug, Clone, Default)]
struct OfTurn {
    /// Whether the gateway is asked for the answer.
    through_gateway: bool,
    /// Whether the profile reads the text of the stream.
    reads: bool,
}

/// A turn that was sent, and what is searched for in the store.
struct Canary {
    number: usize,
    sought: Sought,
    /// How many characters the client had seen; absent where the profile does not read them.
    seen: Option<usize>,
    /// Whether the client did what it is there for, or why it could not.
    acted: Result<(), String>,
    found: Found,
}

impl Canary {
    /// The rows of an answer that is stored more than once. Rows with another status may be former versions.
    fn doubled(&self) -> Option<String> {
        let Found { rows, copies, .. } = &self.found;
        let is_versioned = rows.iter().any(|row| row.status != rows[0].status);
        (copies.len() > 1 && !is_versioned).then(|| {
            let (number, tag) = (self.number, &self.sought.tag);
            format!("turn {number} ({tag}): rows {}", copies.join(", "))
        })
    }

    fn tell(&self) -> String {
        let kept = match &self.found.kept {
            AnswerFate::Whole => "all of the answer is stored".to_owned(),
            AnswerFate::Cut { characters, marked } if self.sought.answer.is_all => {
                let all = self.sought.answer.text.trim().chars().count();
                format!("{characters} of {all} characters of the answer are stored, {marked}")
            }
            AnswerFate::Cut { characters, marked } => {
                format!("{characters} characters of the answer are stored, {marked}")
            }
            AnswerFate::Nothing => "nothing of the answer is stored".to_owned(),
            AnswerFate::Unknown(why) => (*why).to_owned(),
        };
        let seen = self
            .seen
            .map(|seen| format!("; the client had seen {seen} characters"))
            .unwrap_or_default();
        let question = if self.found.question {
            "stored"
        } else {
            "not stored"
        };
        format!(
            "turn {} ({}): {kept}{seen}; the question is {question}",
            self.number, self.sought.tag
        )
    }
}

fn probed(client: &'static ClientBehaviour, took: Duration, canaries: Vec<Canary>) -> Probed {
    let idle: Vec<_> = canaries
        .iter()
        .filter_map(|canary| canary.acted.as_ref().err())
        .collect();
    Probed {
        client: client.name,
        sent: canaries.len() as u64,
        questions: canaries.iter().filter(|it| it.found.question).count() as u64,
        idle: idle.first().map(|why| (idle.len() as u64, (*why).clone())),
        missing: canaries
            .iter()
            .filter(|canary| canary.found.kept != AnswerFate::Whole)
            .map(Canary::tell)
            .collect(),
        doubled: canaries.iter().filter_map(Canary::doubled).collect(),
        answers: canaries.into_iter().map(|it| it.found.kept).collect(),
        took,
    }
}

impl Stage<'_> {
    /// Follows a turn until its client has done what it is there for.
    async fn watch(
        &mut self,
        live: Live,
        client: &'static ClientBehaviour,
        before: Option<HashSet<String>>,
        server: &mut Server,
    ) -> anyhow::Result<Canary> {
        let turn = &mut server.turns[live.number - 1];
        let leaves = client.name == CLOSE_IN_STREAM.name;
        let seen = if leaves {
            self.until_in_stream(&live, turn).await?
        } else {
            live.play.release();
            self.until_over(&live, RESPONSE).await?
        };
        if client.name == READ_TO_END.name {
            turn.through_gateway = live.play.withheld().borrow().is_some();
            match self.detect_profile(&live, &seen) {
                Some(detected) => {
                    self.detected = Some(detected);
                    turn.reads = true;
                }
                None => self.learn_to_read(&live, &seen, turn)?,
            }
            self.learn_end(&live, &seen);
        }
        let turn = turn.clone();
        if self.mapping.is_none() {
            self.find_mapping(&live, &seen).await?;
        }
        let is_opaque = |mapping: &&store::Mapping| mapping.store().shape == Shape::Opaque;
        if let Some(mapping) = self.mapping.as_ref().filter(is_opaque) {
            return Err(sealed(mapping, "which answers are stored").into());
        }
        let said = match (turn.through_gateway, &live.answer) {
            (true, Some(answer)) => answer.clone(),
            (true, None) => live.expected.clone(),
            (false, _) => seen.turn.text.clone(),
        };
        let answer = ExpectedAnswer {
            expected: if turn.through_gateway {
                live.expected.clone()
            } else {
                said.clone()
            },
            is_all: turn.through_gateway || !leaves || seen.over.is_some(),
            text: said,
            nonce: live.nonce.clone(),
            client: 0,
        };
        let canary = Canary {
            number: live.number,
            seen: turn
                .reads
                .then(|| kept::seen(&answer.text, &seen.turn.text)),
            sought: Sought {
                before,
                answer,
                ..Sought::of(&live)
            },
            acted: self.acted(client, &seen),
            found: Found {
                question: false,
                kept: AnswerFate::Nothing,
                ending: None,
                place: Place::Conversation,
                rows: Vec::new(),
                copies: Vec::new(),
                altered: None,
                spoilt: Vec::new(),
            },
        };
        // The client leaves first; only then the provider continues.
        live.watching.hang_up().await;
        if leaves {
            tokio::time::sleep(LEFT).await;
        }
        live.play.release();
        Ok(canary)
    }

    /// Learns from a whole response whether the profile reads it.
    fn learn_to_read(
        &self,
        live: &Live,
        seen: &ResponseProgress,
        turn: &mut OfTurn,
    ) -> anyhow::Result<()> {
        let text = &seen.turn.text;
        let frames = kept::is_json_frames(text);
        turn.reads = match (turn.through_gateway, &live.answer) {
            (true, Some(answer)) => !frames && kept::is_all_in(answer, text),
            _ => !frames && !text.trim().is_empty(),
        };
        if turn.through_gateway || turn.reads {
            return Ok(());
        }
        // Of what another provider said, the stream alone tells.
        let profile = self.profile.name;
        let what = if frames {
            format!(
                "the events of the server's stream are JSON, and profile `{profile}` takes them for text"
            )
        } else {
            format!("profile `{profile}` finds no text in the server's stream")
        };
        Err(CliError::usage(what)
            .hint("name the profile of the stream with --profile, or let the server use chatctl's gateway as its provider")
            .into())
    }

    /// Whether the client did what it is there for.
    fn acted(&self, client: &ClientBehaviour, seen: &ResponseProgress) -> Result<(), String> {
        let marker = &self.marker;
        match client.name {
            name if name == CLOSE_AT_FINAL.name && seen.turn.final_at.is_none() => {
                Err(match self.without_marker() {
                    Some(UnknownEnd { what, help }) => {
                        format!("{what}, so no client could leave there; {help}")
                    }
                    None => {
                        format!(
                            "the final marker `{marker}` did not come, so no client could leave there"
                        )
                    }
                })
            }
            name if name == CLOSE_IN_STREAM.name && seen.over.is_some() => {
                Err("the answer ended before a client could leave".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Waits until the answer is under way: text of it has come, and there is more to come.
    async fn until_in_stream(
        &self,
        live: &Live,
        turn: &OfTurn,
    ) -> anyhow::Result<ResponseProgress> {
        let flowing = live
            .watching
            .until(|seen| seen.turn.first_text.is_some() || seen.over.is_some());
        if turn.through_gateway {
            self.until_withheld(live).await?;
            // Frames that are no text are not waited for: they came with the text.
            if turn.reads {
                let _ = tokio::time::timeout(FIRST_TEXT, flowing).await;
            }
        } else if tokio::time::timeout(RESPONSE, flowing).await.is_err() {
            return Err(CliError::unreachable("the answer did not begin to stream")
                .hint(self.log_hint())
                .into());
        }
        Ok(live.watching.seen())
    }

    /// What is stored of a turn, as soon as all is or after the settling.
    async fn await_kept(&self, canary: &Canary, finished: &[Ending]) -> anyhow::Result<Found> {
        let deadline = clock::now() + self.options.settle;
        loop {
            let found = self.look(&canary.sought, finished).await;
            match found {
                Ok(found) if found.question && found.kept == AnswerFate::Whole => return Ok(found),
                // A store that is busy at the moment is asked again.
                found if clock::now() >= deadline => return found,
                _ => tokio::time::sleep(ASK).await,
            }
        }
    }
}
