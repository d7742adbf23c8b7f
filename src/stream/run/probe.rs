//! Sends turns as clients do that stay and that leave, and counts which answers are stored.

use super::Options;
use super::World;
use super::chat::Live;
use super::chat::Vary;
use super::stage::Stage;
use crate::clock;
use crate::model::Role;
use crate::model::State;
use crate::model::StoredMessage;
use crate::report::StoreLine;
use crate::stop::Stop;
use crate::store;
use crate::stream::faults::CLOSE_AT_FINAL;
use crate::stream::faults::CLOSE_IN_STREAM;
use crate::stream::faults::ClientBehaviour;
use crate::stream::faults::NONE;
use crate::stream::faults::READ_TO_END;
use crate::stream::profiles::Profile;
use crate::stream::session::Session;
use std::time::Duration;

/// The behaviours that a probe plays. The one that reads to the end is first: it finds the table.
static CLIENTS: [&ClientBehaviour; 3] = [&READ_TO_END, &CLOSE_IN_STREAM, &CLOSE_AT_FINAL];

/// How long a response may take; a real provider is slower than the gateway.
const RESPONSE: Duration = Duration::from_secs(60);
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
    /// How many answers were stored: as they were streamed, or what was streamed of them.
    pub answers: u64,
    /// Each turn whose answer was not stored.
    pub lost: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

/// What a probe found.
#[derive(Debug, Clone, Default)]
pub struct Probes {
    /// By client.
    pub clients: Vec<Probed>,
    /// Where it looked.
    pub store: Option<StoreLine>,
    /// Whether the server called the gateway; else it asked a provider of its own.
    pub through_gateway: bool,
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
    let mut probes = Probes::default();
    for client in CLIENTS {
        let began = clock::now();
        let mut probed = Probed {
            client: client.name,
            sent: 0,
            questions: 0,
            answers: 0,
            lost: Vec::new(),
            took: Duration::ZERO,
        };
        for _ in 0..times {
            let chat = stage.set_up().await?;
            for index in 0..session.turns.len() {
                stage.doing(client.name);
                let vary = Vary {
                    pieces: None,
                    fault: &NONE,
                    client,
                };
                let live = stage.begin(&chat, index, vary)?;
                stage.one(live, client, &mut probed, &mut probes).await?;
            }
        }
        probed.took = clock::now() - began;
        probes.clients.push(probed);
    }
    stage.world.gateway.rest();
    probes.store = stage.store_line();
    Ok(probes)
}

/// What is looked for in the store.
struct Canary {
    tag: String,
    nonce: String,
    /// What the client has seen of the answer.
    streamed: String,
    through_gateway: bool,
    /// Whether the client left before the answer was over.
    cut: bool,
}

impl Stage<'_> {
    /// Sends one turn and counts what is stored of it.
    async fn one(
        &mut self,
        live: Live,
        client: &'static ClientBehaviour,
        probed: &mut Probed,
        probes: &mut Probes,
    ) -> anyhow::Result<()> {
        let cut = client.name == CLOSE_IN_STREAM.name;
        let seen = match cut {
            true => self.until_flowing(&live).await?,
            false => {
                live.play.release();
                self.until_over(&live, RESPONSE).await?
            }
        };
        let through_gateway = live.play.withheld().borrow().is_some();
        probes.through_gateway |= through_gateway;
        if self.mapping.is_none() {
            self.find_mapping(&live, &seen).await?;
        }
        let canary = Canary {
            tag: live.tag.clone(),
            nonce: live.nonce.clone(),
            streamed: seen.turn.text.trim().to_owned(),
            through_gateway,
            cut,
        };
        let play = live.play.clone();
        // The client leaves first; only then the provider goes on.
        drop(live);
        play.release();
        let (question, answer) = self.await_kept(&canary).await?;
        probed.sent += 1;
        probed.questions += u64::from(question);
        probed.answers += u64::from(answer);
        if !answer {
            let asked = if question {
                "stored"
            } else {
                "not stored either"
            };
            let characters = canary.streamed.chars().count();
            probed.lost.push(format!(
                "question {}: {characters} characters were streamed and no answer is stored; the question is {asked}",
                canary.tag
            ));
        }
        Ok(())
    }

    /// Waits until the answer flows: the gateway withholds its end, or a first text is there.
    async fn until_flowing(&self, live: &Live) -> anyhow::Result<super::client::Seen> {
        let mut withheld = live.play.withheld();
        let flowing = live
            .watching
            .until(|seen| seen.turn.first_text.is_some() || seen.over.is_some());
        let wait = async {
            tokio::select! {
                _ = withheld.wait_for(Option::is_some) => {}
                _ = flowing => {}
            }
        };
        if tokio::time::timeout(RESPONSE, wait).await.is_err() {
            return Err(Stop::unreachable("the answer did not begin to stream")
                .hint(self.log_hint())
                .into());
        }
        if live.play.withheld().borrow().is_some() {
            self.until_withheld(live).await?;
        }
        Ok(live.watching.seen())
    }

    /// Whether the question and the answer are stored, as soon as both are or after the settling.
    async fn await_kept(&self, canary: &Canary) -> anyhow::Result<(bool, bool)> {
        let deadline = clock::now() + self.options.settle;
        loop {
            let kept = self.kept_of(canary).await;
            match kept {
                Ok((true, true)) => return Ok((true, true)),
                // A store that is busy at the moment is asked again.
                kept if clock::now() >= deadline => return kept,
                _ => tokio::time::sleep(ASK).await,
            }
        }
    }

    async fn kept_of(&self, canary: &Canary) -> anyhow::Result<(bool, bool)> {
        let mapping = self
            .mapping
            .as_ref()
            .expect("the first turn found the mapping");
        let db = self.world.db();
        let nonce = store::holding(db, mapping, &canary.nonce).await?;
        let mut answer = nonce.iter().any(is_answer);
        let asked = store::holding(db, mapping, &canary.tag).await?;
        let question = asked.iter().find(|message| message.role == Role::User);
        let key = question.and_then(|question| question.conversation.as_deref());
        if let (Some(key), false) = (key, answer) {
            let messages = store::conversation(db, mapping, key).await?;
            let after = messages
                .iter()
                .skip_while(|message| !message.content.contains(&canary.tag))
                .skip(1)
                .take_while(|message| message.role != Role::User);
            answer = after
                .filter(|message| is_answer(message))
                .any(|message| is_what_came(message, canary));
        }
        Ok((question.is_some(), answer))
    }
}

fn is_answer(message: &StoredMessage) -> bool {
    let whole = matches!(message.state, State::Whole | State::Open);
    message.role == Role::Assistant && whole && !message.content.trim().is_empty()
}

/// A whole answer of the gateway has the nonce, and was found by it. One that was cut off is known
/// by its beginning, and one of another provider by all that was streamed.
fn is_what_came(message: &StoredMessage, canary: &Canary) -> bool {
    let part = canary.cut || !canary.through_gateway;
    part && message.state == State::Whole && message.content.contains(&canary.streamed)
}
