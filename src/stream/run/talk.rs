//! Chats without a gate or trial, in which every message is remembered.

use super::chat::{AS_RECORDED, Chat, Vary};
use super::client::Watching;
use super::exchange::ResponseProgress;
use super::live::Live;
use super::pieces::Pieces;
use super::spot::{Act, Acted};
use super::stage::Stage;
use crate::cli_error::CliError;
use crate::clock::Tick;
use crate::db::Db;
use crate::http::Server;
use crate::model::{ProviderCall, StoredMessage};
use crate::report::Finding;
use crate::store::Mapping;
use crate::stream::session::{Remembered, Session};
use crate::{db, store};
use anyhow::Context as _;
use std::time::Duration;

/// Statuses of a server that does not know who asks, or does not let them.
const UNKNOWN: [u16; 2] = [401, 403];

/// How long the bytes of a server that ended may take to be read.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// How far an answer is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// To the end of the response.
    Over,
    /// To the final marker.
    Final,
}

/// A turn that was held.
pub struct Said {
    /// What the user said, with the tag.
    pub user: String,
    /// Is in the user's message and nowhere else.
    pub tag: String,
    /// What must be stored as the answer.
    pub expected: String,
    /// Is at the end of the answer and nowhere else.
    pub nonce: String,
    /// When it was sent.
    pub sent: Tick,
    /// When the client saw the final marker: from then on the user takes the answer as kept.
    pub acknowledged: Option<Tick>,
    /// Whether it waits for the user: then a final marker ends the response, and promises no
    /// answer.
    pub(super) waits: bool,
    /// What the server asked its provider for it.
    pub calls: Vec<ProviderCall>,
    // Hangs up when it is dropped, so it lives for as long as the turn is remembered.
    live: Option<Live>,
}

impl Said {
    /// Lets the provider continue to the end of its answer.
    pub fn let_go(&self) {
        if let Some(live) = &self.live {
            live.play.release();
        }
    }

    /// Takes in what came since, up to the end of the response, which comes soon: the server ended.
    pub async fn catch_up(&mut self) {
        let Some(live) = &self.live else {
            return;
        };
        let over = live.watching.until(|seen| seen.over.is_some());
        let seen = match tokio::time::timeout(LAST_BYTES, over).await {
            Ok(seen) => seen,
            Err(_) => live.watching.seen(),
        };
        self.acknowledged = seen.turn.promised_at().filter(|_| !self.waits);
    }

    /// Ends the client's side of the turn.
    pub fn hang_up(&mut self) {
        self.live = None;
    }
}

/// What the server says of a conversation over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recalled {
    /// The request, as the session writes it.
    pub request: String,
    /// The status of the answer.
    pub status: u16,
    /// The messages, or why there are none to be read.
    pub messages: Result<Vec<Remembered>, String>,
    /// Whether the server knew who asked.
    pub access: Access,
}

/// Whether a server knows who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// It does, or does not care.
    Kept,
    /// It did not, and does since the user logged in again.
    Renewed,
    /// It does not, and why logging in again does not help.
    Refused(String),
}

impl Stage<'_> {
    /// Sends the turn with this number (from 0; after the last one comes the first again).
    ///
    /// # Errors
    /// When there is no answer to follow as far as that.
    pub async fn say(&mut self, chat: &Chat, number: usize) -> anyhow::Result<Said> {
        let live = self
            .begin(chat, number % self.session.turns.len(), AS_RECORDED)
            .await?;
        self.follow(live, number, Until::Over).await
    }

    /// Sends the turn with this number, and acts the moment the final marker is seen.
    ///
    /// # Errors
    /// When the marker does not come.
    pub async fn say_and_act(
        &mut self,
        chat: &Chat,
        number: usize,
        act: Act,
    ) -> anyhow::Result<(Said, Acted)> {
        let mut acted = None;
        let arm = |orders| {
            let (watching, told) = Watching::armed(orders, act)?;
            acted = Some(told);
            Ok(watching)
        };
        let index = number % self.session.turns.len();
        let vary = Vary {
            pieces: Some(Pieces::of(number)),
            ..AS_RECORDED
        };
        let live = self.begin_as(chat, index, vary, arm).await?;
        let said = self.follow(live, number, Until::Final).await?;
        let acted = acted.context("the client was started")?.await;
        Ok((said, acted.context("the marker was seen, so it was acted")?))
    }

    /// Follows a turn that was sent.
    pub(super) async fn follow(
        &mut self,
        live: Live,
        number: usize,
        until: Until,
    ) -> anyhow::Result<Said> {
        live.play.release();
        let seen = match until {
            Until::Final => self.until_final(&live).await,
            Until::Over => {
                self.until_over(&live, self.options.response_timeout)
                    .await?
            }
        };
        if seen.turn.final_at.is_none() {
            self.detected = self.detect_profile(&live, &seen);
            self.learn_end(&live, &seen);
            if let Some(unknown) = self.without_marker() {
                return Err(CliError::unreachable(&unknown.what)
                    .hint(&unknown.help)
                    .into());
            }
            return Err(CliError::unreachable(format!(
                "the final marker `{}` of turn {} never came",
                self.marker,
                number + 1
            ))
            .hint(self.log_hint())
            .into());
        }
        self.learn_end(&live, &seen);
        Ok(self.said(live, &seen))
    }

    /// A turn as it is remembered.
    pub(super) fn said(&self, live: Live, seen: &ResponseProgress) -> Said {
        Said {
            user: live.user.clone(),
            tag: live.tag.clone(),
            expected: live.expected.clone(),
            nonce: live.nonce.clone(),
            sent: live.sent,
            acknowledged: seen.turn.promised_at(),
            waits: false,
            calls: self.world.gateway.calls_since(live.sent),
            live: Some(live),
        }
    }

    /// The profile that an answer showed whose final marker nobody saw. The next turns are read by it.
    pub fn take_detected(&mut self) -> Option<Finding> {
        self.detected.take()
    }

    /// Finds out which table holds the messages, after a first turn.
    ///
    /// # Errors
    /// When its texts are in no table, or the store can't be opened.
    pub async fn learn_mapping(&mut self, said: &Said) -> anyhow::Result<()> {
        let live = said.live.as_ref().expect("the first turn is still held");
        let seen = live.watching.seen();
        self.find_mapping(live, &seen).await
    }

    /// Which table holds the messages, once that is known.
    pub fn mapping(&self) -> Option<&Mapping> {
        self.mapping.as_ref()
    }

    /// The store, unless there is none yet.
    pub fn store(&self) -> Option<&dyn Db> {
        self.world.db.as_deref()
    }

    /// Opens the store again: a server may have put another file in the place of the one that was there.
    ///
    /// # Errors
    /// When it can't be opened any more.
    pub async fn open_again(&mut self) -> anyhow::Result<()> {
        if let Some(db) = self.world.db.take() {
            self.world.db = Some(db::open(db.target().clone()).await?);
        }
        Ok(())
    }

    /// No turn is under way.
    pub fn rest(&self) {
        self.world.gateway.rest();
    }

    /// The session under way.
    pub fn session(&self) -> &Session {
        self.session
    }

    /// The server, when chatctl started it.
    pub fn server(&mut self) -> Option<&mut Server> {
        self.world.server.as_mut()
    }

    /// The stored messages that hold a text.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn holding(&self, text: &str) -> anyhow::Result<Vec<StoredMessage>> {
        match &self.mapping {
            Some(mapping) => store::holding(self.world.db(), mapping, text).await,
            None => Ok(Vec::new()),
        }
    }

    /// Whether a text is anywhere in the store, in whatever table.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn stands_anywhere(&self, text: &str) -> anyhow::Result<bool> {
        let Some(db) = self.store() else {
            return Ok(false);
        };
        let schema = db.schema().await?;
        Ok(!store::find_text(db, &schema, text).await?.is_empty())
    }

    /// How long a row may still come.
    pub fn settle(&self) -> Duration {
        self.options.settle
    }

    /// The messages of a conversation in the store, in order.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn stored(&self, key: &str) -> anyhow::Result<Vec<StoredMessage>> {
        match &self.mapping {
            Some(mapping) => store::conversation(self.world.db(), mapping, key).await,
            None => Ok(Vec::new()),
        }
    }

    /// Asks the server for a conversation, as a reload of the page does. Logs in again where the
    /// server no longer knows the user. Nothing when the session does not say how to ask.
    ///
    /// # Errors
    /// When the server can't be reached.
    pub async fn recall(&self, chat: &mut Chat) -> anyhow::Result<Option<Recalled>> {
        let Some(history) = &self.session.history else {
            return Ok(None);
        };
        let mut answer = chat.ask(&history.request).await?;
        let mut access = Access::Kept;
        if UNKNOWN.contains(&answer.status) {
            access = self.log_in_again(chat).await?;
            if access == Access::Renewed {
                answer = chat.ask(&history.request).await?;
            }
            if access == Access::Renewed && UNKNOWN.contains(&answer.status) {
                access = Access::Refused("logging in again does not help".to_owned());
            }
        }
        let messages = if history.request.accepts(answer.status) {
            history.read(&answer.body).map_err(|why| why.to_string())
        } else {
            Err(answer.excerpt())
        };
        Ok(Some(Recalled {
            request: history.request.written.clone(),
            status: answer.status,
            messages,
            access,
        }))
    }

    /// The texts that a reload shows; none where the session has no history, or it can't be read.
    pub(super) async fn shown_texts(&self, chat: &mut Chat) -> anyhow::Result<Option<Vec<String>>> {
        let recalled = self.recall(chat).await?;
        let messages = recalled.and_then(|recalled| recalled.messages.ok());
        let texts = messages.map(|messages| messages.into_iter().map(|it| it.content));
        Ok(texts.map(Iterator::collect))
    }

    /// Logs in once more, if the session says how and the server lets the user in.
    async fn log_in_again(&self, chat: &mut Chat) -> anyhow::Result<Access> {
        let Some(login) = &self.session.login else {
            return Ok(Access::Refused("the session has no [login]".to_owned()));
        };
        let answer = chat.ask(&login.request).await?;
        if !login.request.accepts(answer.status) {
            let (request, status) = (&login.request.written, answer.status);
            let why = format!("`{request}` was answered {status}: {}", answer.excerpt());
            return Ok(Access::Refused(why));
        }
        self.logged_in(chat, login, &answer)?;
        Ok(Access::Renewed)
    }
}
