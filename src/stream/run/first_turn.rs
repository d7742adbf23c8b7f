//! The first turn of a run: it is played before anybody knows where answers are stored, and looked
//! for as soon as a chat after it has shown that.

use super::chat::Marks;
use super::exchange::ResponseProgress;
use super::live::Live;
use super::rows::{self, DOUBLED, QUESTION_DOUBLED, QUESTION_LOST};
use super::stage::Stage;
use crate::clock::{self, Tick};
use crate::report::{Finding, Report, Severity, Source};
use crate::stream::judge::{self, Observed};
use std::time::Duration;

/// What says that rows of this turn are lost, doubled or altered.
const OF_ROWS: [&str; 6] = [
    "never-saved",
    "answer-empty",
    "answer-differs",
    DOUBLED,
    QUESTION_LOST,
    QUESTION_DOUBLED,
];

/// A first turn whose answer came to its client whole, with the promise that it is stored.
pub(super) struct FirstTurn {
    live: Live,
    seen: ResponseProgress,
    ended: Tick,
}

/// A first turn whose rows are not right, when the first chat after it was over.
pub(super) struct Suspected {
    first: FirstTurn,
    codes: Vec<&'static str>,
    /// How long after its end it was looked at.
    after: Duration,
    /// The chat after it, and when that was over.
    next: Vec<Marks>,
    next_ended: Tick,
}

impl FirstTurn {
    pub(super) fn new(live: Live, seen: ResponseProgress) -> Option<Self> {
        let is_well = matches!(seen.over, Some(Ok(()))) && seen.turn.promised_at().is_some();
        let is_whole = is_well && seen.turn.text.contains(&live.nonce);
        let ended = clock::now();
        (is_whole && live.play.heard().is_some()).then_some(Self { live, seen, ended })
    }
}

impl Stage<'_> {
    /// Looks for the first turn's rows. Chats that come later may push it out of a store.
    pub(super) async fn look_at_first(
        &mut self,
        first: Option<FirstTurn>,
        next: Vec<Marks>,
    ) -> anyhow::Result<Option<Suspected>> {
        let Some(first) = first.filter(|_| self.mapping.is_some()) else {
            return Ok(None);
        };
        let found = self.wrong_of_first(&first).await?;
        let codes: Vec<_> = found.iter().map(|finding| finding.code).collect();
        let next_ended = clock::now();
        Ok((!codes.is_empty()).then(|| Suspected {
            after: next_ended.saturating_sub(first.ended),
            first,
            codes,
            next,
            next_ended,
        }))
    }

    /// Reports what is still wrong with it, and with no chat after it. Where those don't stay
    /// either, the server may move or drop what is over.
    pub(super) async fn report_first(
        &mut self,
        suspected: Option<Suspected>,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let Some(suspected) = suspected else {
            return Ok(());
        };
        let settled = suspected.first.ended + self.options.settle;
        let until = settled.max(suspected.next_ended + suspected.after);
        tokio::time::sleep(until.saturating_sub(clock::now())).await;
        let found = self.wrong_of_first(&suspected.first).await?;
        if !self.keeps_all(&suspected.next).await? {
            return Ok(());
        }
        let session = &self.session.name;
        for mut finding in found {
            let has_versions = finding.code == DOUBLED && self.learnt.has_versions;
            let is_new = suspected.codes.contains(&finding.code)
                && !rows::has(session, report, finding.code);
            if !is_new || has_versions {
                continue;
            }
            finding.subject = format!("{session}, first turn of the run");
            let others = "the same turn of the chats after it is stored correctly: the server may not be ready for its first \
                save, or for the first save of each new connection";
            report.add(finding.with(Source::Store, others));
        }
        Ok(())
    }

    async fn wrong_of_first(&mut self, first: &FirstTurn) -> anyhow::Result<Vec<Finding>> {
        let mut seen = self.turn_seen(&first.live, first.seen.clone()).await?;
        // Chats that came later may quote this one, in longer rows than its own.
        let own = seen.with_tag.iter().min_by_key(|row| row.content.len());
        if let Some(own) = own.map(|row| row.conversation.clone())
            && seen.with_nonce.iter().any(|row| row.conversation == own)
        {
            seen.with_nonce.retain(|row| row.conversation == own);
            seen.with_tag.retain(|row| row.conversation == own);
        }
        // A reload shows whole what its row holds in part.
        let only_shown = self.learnt.whole_history && !seen.with_tag.is_empty();
        let observed = Observed {
            turns: vec![seen],
            ..self.observed()
        };
        let mut found = judge::findings(&observed);
        found.retain(|it| it.severity == Severity::Error && OF_ROWS.contains(&it.code));
        found.retain(|it| it.code != QUESTION_LOST || !only_shown);
        Ok(found)
    }

    /// Whether every message of a chat that is over is stored.
    pub(super) async fn keeps_all(&self, chat: &[Marks]) -> anyhow::Result<bool> {
        let Some(mapping) = &self.mapping else {
            return Ok(false);
        };
        for marks in chat {
            for mark in [&marks.tag, &marks.nonce] {
                if rows::holding(self.world.db(), mapping, mark)
                    .await?
                    .is_empty()
                {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}
