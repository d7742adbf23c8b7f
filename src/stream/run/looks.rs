//! Looks at stored answers again and again: one that goes and comes back.

use super::live::{AtMarker, RowToRecheck};
use super::rows;
use super::stage::Stage;
use crate::clock::Tick;
use crate::model::StoredMessage;
use crate::store::Mapping;
use crate::stream::judge::saved_row_changed_later::is_lost;
use crate::{clock, store};
use std::pin::pin;
use std::time::Duration;

/// Between the first two looks, and between two of an answer that is away.
const BETWEEN: Duration = Duration::from_millis(50);
/// Later looks are further apart: so many would fit into what was watched so far.
const SO_FAR: u32 = 8;
/// An answer that is away in so many looks in a row is gone: what one transaction rewrites is in none.
const IN_A_ROW: u32 = 2;

/// A stored answer under watch.
pub(super) struct Watched {
    row: StoredMessage,
    nonce: String,
    /// Since when it is away, and for how many looks.
    away: Option<(Tick, u32)>,
    /// How long it was away before it came back.
    gap: Option<Duration>,
}

impl Watched {
    fn of(row: &StoredMessage, nonce: &str) -> Self {
        Self {
            row: row.clone(),
            nonce: nonce.to_owned(),
            away: None,
            gap: None,
        }
    }

    /// The row that was read at the marker, if there was one.
    pub(super) fn at_marker(at_final: &AtMarker, nonce: &str) -> Vec<Self> {
        let row = at_final.answer.iter();
        row.map(|row| Self::of(row, nonce)).collect()
    }

    /// How long it was away before it came back, if it was. One that does not come back is judged at the end.
    const fn gap(&self) -> Option<Duration> {
        self.gap
    }

    fn saw(&mut self, is_there: bool, at: Tick) {
        self.away = match (is_there, self.away) {
            (false, None) => Some((at, 1)),
            (false, Some((since, looks))) => Some((since, looks + 1)),
            (true, away) => {
                if let Some((since, IN_A_ROW..)) = away {
                    self.gap.get_or_insert(at.saturating_sub(since));
                }
                None
            }
        };
    }
}

impl Stage<'_> {
    /// Looks at stored answers for as long as something lasts.
    pub(super) async fn look_during<T>(
        &self,
        watched: &mut [Watched],
        lasts: impl Future<Output = T>,
    ) -> T {
        if watched.is_empty() {
            return lasts.await;
        }
        let began = clock::now();
        let mut lasts = pin!(lasts);
        loop {
            let is_away = watched.iter().any(|it| it.away.is_some());
            let so_far = clock::now().saturating_sub(began);
            let pause = if is_away {
                BETWEEN
            } else {
                BETWEEN.max(so_far / SO_FAR)
            };
            tokio::select! {
                biased;
                over = &mut lasts => return over,
                () = tokio::time::sleep(pause) => self.look_once(watched).await,
            }
        }
    }

    /// How long an answer was away whose row is there now.
    pub(super) async fn gap_of(&self, mut watched: Vec<Watched>) -> Option<Duration> {
        self.look_for_return(&mut watched).await;
        watched.first().and_then(Watched::gap)
    }

    /// Looks once more at what is away.
    async fn look_for_return(&self, watched: &mut [Watched]) {
        if watched.iter().any(|it| it.away.is_some()) {
            self.look_once(watched).await;
        }
    }

    /// Looks at kept answers for a time, and remembers which were away.
    pub(super) async fn watch_kept(&self, kept: &mut [RowToRecheck], time: Duration) {
        if time.is_zero() {
            return;
        }
        let of_kept = |kept: &RowToRecheck| Watched::of(&kept.row, &kept.nonce);
        let mut watched: Vec<_> = kept.iter().map(of_kept).collect();
        self.look_during(&mut watched, tokio::time::sleep(time))
            .await;
        self.look_for_return(&mut watched).await;
        for (kept, watched) in kept.iter_mut().zip(watched) {
            kept.at_final.away = kept.at_final.away.or(watched.gap);
        }
    }

    /// Looks once. A store that can't be read says nothing.
    async fn look_once(&self, watched: &mut [Watched]) {
        let Some(mapping) = &self.mapping else {
            return;
        };
        for it in watched {
            match self.is_there(mapping, it).await {
                Ok(is_there) => it.saw(is_there, clock::now()),
                Err(_) => it.away = None,
            }
        }
    }

    /// Whether a row still holds the answer. Its own one is found by its key, without reading the table.
    async fn is_there(&self, mapping: &Mapping, it: &Watched) -> anyhow::Result<bool> {
        let db = self.world.db();
        let is_keyed = !mapping.store().message.key.is_empty() || mapping.store().item.is_some();
        if is_keyed
            && let Some(row) = store::by_key(db, mapping, &it.row.key).await?
            && !is_lost(&it.row, [&row])
        {
            return Ok(true);
        }
        let rows = rows::holding(db, mapping, &it.nonce).await?;
        Ok(!is_lost(&it.row, &rows))
    }
}

#[cfg(test)]
mod tests {
    use super::Watched;
    use crate::model::{Role, StoredMessage};
    use std::time::Duration;

    #[test]
    fn an_answer_that_is_away_in_two_looks_and_comes_back_has_a_gap() {
        let gap = |looks: &[bool]| {
            let row = StoredMessage::new("1", Role::Assistant, "so n1");
            let mut watched = Watched::of(&row, "n1");
            for (is_there, at) in looks.iter().zip(1_u32..) {
                watched.saw(*is_there, Duration::from_millis(50) * at);
            }
            watched.gap().map(|gap| gap.as_millis())
        };
        assert_eq!(gap(&[true, false, false, true]), Some(100));
        assert_eq!(gap(&[false, false, false, true, true]), Some(150));
        // A look in the middle of a rewrite, and an answer that is lost: that is judged at the end.
        assert_eq!(gap(&[true, false, true, false, true]), None);
        assert_eq!(gap(&[true, false, false, false]), None);
        assert_eq!(gap(&[true; 4]), None);
    }
}
