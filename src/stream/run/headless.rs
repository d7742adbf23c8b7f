//! Whether the conversation of a turn that ended in another way than usual has a row of its own.

use super::case::Moments;
use super::chat::Chat;
use super::ended_early::Play;
use super::stage::Stage;
use crate::model::{Role, StoredMessage};
use crate::stream::judge::ended_early::{EndedEarly, Spoilt};
use std::time::Duration;

impl Stage<'_> {
    /// Whether the conversation of a question has no row of its own as others have, or one without
    /// the user that theirs name. What can't be read shows nothing.
    pub(super) async fn is_headless(&self, with_tag: &[StoredMessage]) -> bool {
        let mut asked = with_tag.iter().filter(|row| row.role == Role::User);
        match asked.find(|row| row.conversation.is_some()) {
            Some(question) => self.lacks_head(question).await.unwrap_or(false),
            None => false,
        }
    }

    /// Whether the history shows a question; absent where the session has none, or it can't be
    /// read.
    pub(super) async fn shows(&self, chat: &mut Chat, tag: &str) -> anyhow::Result<Option<bool>> {
        let texts = self.shown_texts(chat).await?;
        Ok(texts.map(|texts| texts.iter().any(|text| text.contains(tag))))
    }

    /// Plays a stop again, after which the user waits: the next turn, which is sent at once in the
    /// case, may make the row.
    pub(super) async fn stop_and_wait(
        &mut self,
        play: Play,
        seen: &mut EndedEarly,
        patience: Duration,
    ) -> anyhow::Result<()> {
        let mut moments = Moments::default();
        let again = self.play_early(play.later(), &seen.case, &mut moments, patience);
        let again = again.await?.seen;
        if let Err(why) = &again.met {
            anyhow::bail!("the stop could not be played again: {why}");
        }
        let is_lost = again
            .stored
            .is_ok_and(|stored| stored.spoilt.contains(&Spoilt::Head));
        if let Ok(stored) = &mut seen.stored
            && is_lost
        {
            stored.spoilt.push(Spoilt::Head);
        }
        Ok(())
    }
}
