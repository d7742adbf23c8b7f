//! One answer of the demo server: the provider's pieces, the save, the final marker.

use super::bugs::Save;
use super::chats::Chats;
use crate::clock;
use crate::http::Opened;
use crate::stream::profiles;
use crate::stream::profiles::Reader;
use crate::stream::sse::Decoder;
use crate::stream::turn::Turn;
use bytes::Bytes;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// What a save costs that goes through another service, as the incident's did.
const SERVICE_CALL: Duration = Duration::from_millis(20);

/// An answer under way. When the client hangs up it is dropped where it is, as a
/// generator is cancelled.
pub(super) struct Talk {
    pub(super) chats: Arc<Chats>,
    pub(super) conversation: String,
    pub(super) save: Save,
    pub(super) provider: Opened,
    wire: Wire,
    phase: Phase,
}

struct Wire {
    decoder: Decoder,
    reader: Box<dyn Reader>,
    turn: Turn,
    /// How much of the text was passed on.
    passed: usize,
    /// Where the last piece begins.
    last: usize,
}

enum Phase {
    Streaming,
    Ending,
    SavingLate,
    Over,
}

impl Talk {
    pub(super) fn new(
        chats: Arc<Chats>,
        conversation: String,
        save: Save,
        provider: Opened,
    ) -> Self {
        let profile = profiles::named("openai-chat").expect("the profile is in the table");
        Self {
            chats,
            conversation,
            save,
            provider,
            wire: Wire {
                decoder: Decoder::new(),
                reader: profile.start(profile.marker()),
                turn: Turn::default(),
                passed: 0,
                last: 0,
            },
            phase: Phase::Streaming,
        }
    }

    /// The next bytes for the client.
    pub(super) async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        loop {
            match self.phase {
                Phase::Streaming => match self.piece().await {
                    Some(piece) => return Some((Ok(piece), self)),
                    None => self.phase = Phase::Ending,
                },
                Phase::Ending => {
                    let last = self.end().await;
                    return Some((Ok(last), self));
                }
                Phase::SavingLate => {
                    tokio::time::sleep(SERVICE_CALL).await;
                    // Nobody is left to be told of an error: that is the bug.
                    let _ = self.store().await;
                    self.phase = Phase::Over;
                }
                Phase::Over => return None,
            }
        }
    }

    /// The next piece of the answer; none at its end.
    async fn piece(&mut self) -> Option<Bytes> {
        loop {
            let wire = &mut self.wire;
            if wire.turn.text.len() > wire.passed {
                let piece = event(&wire.turn.text[wire.passed..]);
                wire.last = wire.passed;
                wire.passed = wire.turn.text.len();
                return Some(piece);
            }
            // Either marker ends the answer: not every provider sends both.
            if wire.turn.final_at.is_some() {
                return None;
            }
            let chunk = self.provider.chunk().await.ok().flatten()?;
            let items = wire.decoder.push(clock::now(), &chunk).ok()?;
            for item in &items {
                wire.turn.take(item, wire.reader.as_mut());
            }
        }
    }

    /// Saves as the server saves, and gives what ends the stream.
    async fn end(&mut self) -> Bytes {
        if self.wire.turn.text_complete.is_none() && self.wire.turn.final_at.is_none() {
            self.phase = Phase::Over;
            return Bytes::from("event: error\ndata: the provider's answer broke off\n\n");
        }
        self.phase = Phase::Over;
        let saved = match self.save {
            Save::Before | Save::Truncated => self.store().await,
            Save::Swallowed => {
                // The error is dropped: that is the bug.
                let _ = self.store().await;
                Ok(())
            }
            Save::After => {
                self.phase = Phase::SavingLate;
                Ok(())
            }
            Save::InBackground => {
                let (chats, conversation, text) = (
                    Arc::clone(&self.chats),
                    self.conversation.clone(),
                    self.text(),
                );
                tokio::spawn(async move {
                    tokio::time::sleep(SERVICE_CALL).await;
                    chats.append(&conversation, "assistant", &text).await
                });
                Ok(())
            }
            Save::Never => Ok(()),
        };
        match saved {
            Ok(()) => Bytes::from("data: [DONE]\n\n"),
            Err(_) => Bytes::from("event: error\ndata: the answer could not be saved\n\n"),
        }
    }

    async fn store(&self) -> anyhow::Result<()> {
        self.chats
            .append(&self.conversation, "assistant", &self.text())
            .await
    }

    fn text(&self) -> String {
        match self.save {
            Save::Truncated => self.wire.turn.text[..self.wire.last].to_owned(),
            _ => self.wire.turn.text.clone(),
        }
    }
}

/// A piece as an event: each of its lines is a data line.
fn event(piece: &str) -> Bytes {
    let lines: String = piece
        .split('\n')
        .map(|line| format!("data: {line}\n"))
        .collect();
    Bytes::from(format!("{lines}\n"))
}
