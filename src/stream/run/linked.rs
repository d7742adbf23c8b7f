//! Messages whose conversation is in another table: an answer that is not there yet is shown to nobody.

use super::live::RowToRecheck;
use super::stage::Stage;
use crate::db::Db;
use crate::store::Links;
use crate::{clock, store};
use std::time::Duration;

/// Between two looks for the rows of the last chat.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl Stage<'_> {
    /// Finds the tables that put messages into conversations: there, the question and the answer of
    /// each chat are in the same one. The rows of the last chat may be late.
    pub(super) async fn learn_links(&mut self) -> anyhow::Result<()> {
        let Some(mapping) = &self.mapping else {
            return Ok(());
        };
        let schema = self.world.db().schema().await?;
        let mut found = Vec::new();
        for links in store::links(&schema, mapping) {
            let deadline = clock::now() + self.options.settle;
            let linked = loop {
                // A table that may not be read links nothing; one that is locked may be read soon.
                let linked = self.linked(&links).await;
                let is_over =
                    matches!(linked, Ok(linked) if linked == 0 || linked == self.kept.len());
                if is_over || clock::now() >= deadline {
                    break linked.unwrap_or(0);
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            };
            if linked > 0 && linked == self.kept.len() {
                self.world.progress.note(&format!(
                    "`{}` puts messages into conversations: an answer is stored once it is there too",
                    links.table
                ));
                found.push(links);
            }
        }
        self.links = found;
        Ok(())
    }

    /// Whether a message is in a conversation, as far as other tables say so. Where there are several of them, one may
    /// be an index that a job fills later: nobody knows which one the page reads.
    ///
    /// # Errors
    /// When one of them has it, and another one does not.
    pub(super) async fn has_links(&self, db: &dyn Db, key: &str) -> anyhow::Result<bool> {
        let (mut with, mut without) = (None, None);
        for links in &self.links {
            let is_there = !links.conversations_of(db, key).await?.is_empty();
            let place = if is_there { &mut with } else { &mut without };
            *place = Some(&links.table);
        }
        match (with, without) {
            (Some(with), Some(without)) => anyhow::bail!(
                "`{with}` has the message, and `{without}` does not: it is not known which of them the page reads"
            ),
            (_, without) => Ok(without.is_none()),
        }
    }

    /// In how many turns the question and the answer are in one conversation.
    async fn linked(&self, links: &Links) -> anyhow::Result<usize> {
        let mut linked = 0;
        for kept in &self.kept {
            linked += usize::from(self.is_linked(links, kept).await?);
        }
        Ok(linked)
    }

    async fn is_linked(&self, links: &Links, kept: &RowToRecheck) -> anyhow::Result<bool> {
        let db = self.world.db();
        let Some(question) = &kept.question else {
            return Ok(false);
        };
        let asked = links.conversations_of(db, &question.key).await?;
        let said = links.conversations_of(db, &kept.row.key).await?;
        Ok(said.iter().any(|key| asked.contains(key)))
    }
}
