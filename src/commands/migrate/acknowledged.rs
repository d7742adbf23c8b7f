//! What a run reports about the losses that its migrations acknowledge.

use crate::migrate::acknowledged;
use crate::migrate::acknowledged::{Acknowledged, NearMiss};
use crate::migrate::apply::{Culprit, Ran};
use crate::migrate::source::Migration;
use crate::report::{Finding, Severity};
use crate::sql::{Dialect, split};

/// The acknowledgements of a folder's migrations.
pub(super) struct Acknowledgements<'a> {
    pub(super) migrations: &'a [Migration],
    pub(super) dialect: Dialect,
}

impl Acknowledgements<'_> {
    /// A finding for each that had nothing to cover: it would cover a later loss.
    pub(super) fn unused(&self, ran: &Ran) -> Vec<Finding> {
        let is_it = |it: &&Migration| it.version == ran.version;
        let all = self.all(is_it);
        let unused = acknowledged::unused(&all, &ran.evidence.lost);
        unused.into_iter().map(covers_nothing).collect()
    }

    /// Why a loss is not covered though something is acknowledged that is nearly the same.
    pub(super) fn near_miss(&self, culprit: &Culprit) -> Option<NearMiss> {
        let all = self.all(|it| it.file_name() == culprit.file);
        acknowledged::near_miss(&all, &culprit.lost)
    }

    /// Whether the file of a migration has no statement.
    pub(super) fn is_empty(&self, ran: &Ran) -> bool {
        let mut migrations = self.migrations.iter();
        let of = migrations.find(|it| it.version == ran.version);
        of.is_some_and(|it| split(&it.up, self.dialect).is_ok_and(|all| all.is_empty()))
    }

    fn all(&self, is_it: impl Fn(&&Migration) -> bool) -> Vec<Acknowledged> {
        let migrations = self.migrations.iter().filter(is_it);
        // What can't be read was refused before anything was run.
        let of = |migration| acknowledged::of(migration, self.dialect).unwrap_or_default();
        migrations.flat_map(of).collect()
    }
}

fn covers_nothing(unused: &Acknowledged) -> Finding {
    let Acknowledged { written, place, .. } = unused;
    let mut finding = Finding::new(
        "unused-acknowledgement",
        Severity::Note,
        written,
        format!("{place} allows a loss of `{written}`, and nothing was lost"),
        "if no loss is intended, remove the acknowledgement; an empty database has nothing to lose",
    );
    let (file, line) = place.rsplit_once(':').unwrap_or((place, ""));
    finding.place.file = Some(file.to_owned());
    finding.place.line = line.parse().ok();
    finding
}
