//! What is examined before a COMMIT besides the rows: references, and what would run after the
//! comparison.

use super::{ApplyOptions, End, Failure, missed, orphans};
use crate::cli_error::CliError;
use crate::db::{ForeignKey, HISTORY_TABLE, OWN_TABLES, Object, Orphan, SWITCHED_OFF, Session};
use crate::migrate::intent::{Intent, Piece};
use crate::migrate::preserve;
use crate::migrate::preserve::{Lost, Meaning, Renames, Tables, What};
use crate::migrate::source::Version;
use crate::model::Successor;
use crate::sql::{Dialect, Kind};
use std::collections::BTreeSet;
use std::ops::Range;

/// The last statement that may have taken an object along, in words; of a file that names it.
fn place(part: &[&Intent<'_>], object: &Object) -> String {
    let takes = |piece: &&Piece<'_>| {
        let alters = matches!(
            piece.facts.kind,
            Kind::DropTable { .. } | Kind::AlterTable { .. } | Kind::RenameTable { .. }
        );
        alters && piece.facts.tables().any(|it| it.matches(&object.table))
    };
    let mut files = part.iter().rev();
    let found = files.find_map(|intent| {
        let piece = intent.pieces.iter().rev().find(takes)?;
        Some((intent.migration.file_name(), piece.line))
    });
    found.map_or_else(String::new, |(file, line)| format!(" ({file}:{line})"))
}

/// Why what a file did may not be committed.
pub(super) enum Refused {
    /// A reference leads nowhere now, and the engine may act on it.
    Key(End),
    /// Something else.
    Other(End),
}

impl Refused {
    pub(super) fn end(self) -> End {
        match self {
            Self::Key(end) | Self::Other(end) => end,
        }
    }
}

/// What there was when a transaction began.
pub(super) struct Opening {
    /// Indexes, triggers and views; none where no file was about to drop one.
    objects: Option<BTreeSet<Object>>,
    orphans: Vec<Orphan>,
    /// What hangs on chatctl's own tables.
    history: String,
}

impl Opening {
    pub(super) fn look(session: &mut dyn Session) -> anyhow::Result<Self> {
        Ok(Self {
            objects: Some(session.objects()?),
            orphans: session.orphans()?,
            history: session.history()?,
        })
    }

    /// Looks for objects, where they are to be known and are not.
    pub(super) fn look_for_objects(&mut self, session: &mut dyn Session) -> anyhow::Result<()> {
        if self.objects.is_none() {
            self.objects = Some(session.objects()?);
        }
        Ok(())
    }

    /// The same for the next transaction, with the objects that there are now, where they are known.
    pub(super) fn with(self, objects: Option<BTreeSet<Object>>) -> Self {
        Self { objects, ..self }
    }

    /// Objects that are gone from tables that are still there, though no statement dropped them by name: a
    /// rebuild takes them along.
    pub(super) fn gone(
        &self,
        session: &mut dyn Session,
        now: &BTreeSet<Object>,
        part: &[&Intent<'_>],
    ) -> anyhow::Result<Vec<String>> {
        let is_there = |object: &&Object| {
            let mut now = now.iter();
            now.any(|it| it.is(object))
        };
        let objects = self.objects.iter().flatten();
        let gone = objects.filter(|it| it.kind != SWITCHED_OFF && !is_there(it));
        let gone: Vec<_> = gone.collect();
        if gone.is_empty() {
            return Ok(Vec::new());
        }
        let tables = session.catalog()?;
        let renamed = |view: &str| part.iter().any(|intent| intent.renames.mentions(view));
        let has_gone = |object: &&&Object| match object.kind.as_str() {
            "view" => !renamed(&object.name),
            _ => {
                let mut tables = tables.iter();
                tables.any(|it| it.name == object.table)
            }
        };
        // What sets another default need not mean one value for all rows: `'now'::timestamptz`.
        let is_replaced = |object: &Object| now.iter().any(|it| it.replaces(object));
        let is_dropped = |object: &&&Object| {
            let mut part = part.iter();
            part.any(|intent| intent.drops(&object.name)) && !is_replaced(object)
        };
        let gone = gone
            .iter()
            .filter(|it| !is_dropped(it))
            .filter(has_gone)
            .copied();
        let gone = missed::of(session, gone.collect(), (&tables, now))?;
        let gone = gone.iter().map(|object| {
            let off = now
                .iter()
                .any(|it| it.kind == SWITCHED_OFF && it.id == object.id);
            let how = if off { ", which is switched off" } else { "" };
            let place = place(part, object);
            format!(
                "{} `{}` on `{}`{how}{place}",
                object.kind, object.name, object.table
            )
        });
        Ok(gone.collect())
    }

    /// Why what a file did may not be committed.
    pub(super) fn check(
        &mut self,
        session: &mut dyn Session,
        intent: &Intent<'_>,
        part: &Range<usize>,
    ) -> anyhow::Result<Option<Refused>> {
        if let Some(refused) = self.broken(session, &[intent], &intent.replaced(part))? {
            return Ok(Some(refused));
        }
        let objects = session.objects()?;
        let file = intent.migration.file_name();
        let watched = self.history_is_watched(session, &file, &objects)?;
        Ok(watched.map(Refused::Other))
    }

    /// Why what files did may not be committed, for a reference that leads nowhere now. The next files
    /// begin with what is found here. The engine may not act on the keys of a file that replaces a table: with
    /// the old one all that refers to its rows would go.
    pub(super) fn broken(
        &mut self,
        session: &mut dyn Session,
        part: &[&Intent<'_>],
        replaced: &BTreeSet<&str>,
    ) -> anyhow::Result<Option<Refused>> {
        let now = session.orphans()?;
        let mut renames = Renames::default();
        for intent in part {
            renames.then(intent.renames.clone());
        }
        if let Some(orphan) = orphans::new(&self.orphans, &now, &renames, session.names()) {
            let file = part.last().map(|intent| intent.migration.file_name());
            let message = format!("a foreign key would be broken: {}", orphan.words());
            let refused = |help| refusal(&file.unwrap_or_default(), message, help);
            return Ok(Some(if has_children(session, replaced)? {
                Refused::Other(refused(
                    "delete in the migration the rows that refer to them, too; or rebuild the table in a file of its own",
                ))
            } else {
                Refused::Key(refused("fix the rows in the migration"))
            }));
        }
        self.orphans = now;
        Ok(None)
    }

    /// Why the history may not be written: something would act when it is, after everything was
    /// compared.
    pub(super) fn history_is_watched(
        &self,
        session: &mut dyn Session,
        file: &str,
        objects: &BTreeSet<Object>,
    ) -> anyhow::Result<Option<End>> {
        let own = |object: &&Object| {
            object.kind == "trigger" && OWN_TABLES.contains(&object.table.as_str())
        };
        if let Some(trigger) = objects.iter().find(own) {
            return Ok(Some(refusal(
                file,
                format!(
                    "the trigger `{}` on `{}` runs after the comparison",
                    trigger.name, trigger.table
                ),
                "drop it: only chatctl may write the history",
            )));
        }
        if session.history()? != self.history {
            return Ok(Some(refusal(
                file,
                "a rule, a default, a policy or another table would interfere when the history is written, \
                    after the comparison".to_owned(),
                "leave `_sqlx_migrations` and `_chatctl_journal` alone: only chatctl may write the history",
            )));
        }
        Ok(None)
    }
}

/// Whether other tables refer to one of these.
fn has_children(session: &mut dyn Session, tables: &BTreeSet<&str>) -> anyhow::Result<bool> {
    if tables.is_empty() {
        return Ok(false);
    }
    let (names, shapes) = (session.names().tables, session.catalog()?);
    let is_one = |name: &&str| tables.iter().any(|it| names.same(it, name));
    let called = shapes.iter().map(|shape| shape.name.as_str());
    let parents = called.filter(is_one).chain(tables.iter().copied());
    let keys = session.keys_to(&parents.collect())?;
    Ok(keys.iter().any(|key| key.child != key.parent))
}

/// The foreign keys that lead to tables of which a file may take rows, as it acknowledges, each
/// with how many rows refer to none already.
pub(super) struct References(Vec<(ForeignKey, u64)>);

impl References {
    pub(super) fn look(
        session: &mut dyn Session,
        intent: &Intent<'_>,
        before: Tables<'_>,
    ) -> anyhow::Result<Self> {
        let named = intent.allowed.iter();
        let named = named.filter_map(|allowed| match allowed.subject.resolve(before) {
            Meaning::Table(shape) => Some((shape.name.as_str(), None)),
            Meaning::Column(shape, name) => Some((shape.name.as_str(), Some(name))),
            Meaning::Both(..) | Meaning::Nothing => None,
        });
        let named: Vec<_> = named.collect();
        if named.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let keys = session.keys_to(&named.iter().map(|(table, _)| *table).collect())?;
        let may_go = |key: &ForeignKey| {
            let mut named = named.iter();
            named.any(|(table, column)| key.parent == *table && refers(key, *column))
        };
        let keys = keys.into_iter().filter(may_go);
        let counted = keys.map(|key| {
            let loose = loose(session, &key)?;
            Ok((key, loose))
        });
        Ok(Self(counted.collect::<anyhow::Result<_>>()?))
    }

    /// Why a file is refused that took rows away, as it acknowledges, and left others that refer to
    /// them: without the key, or by a setting, the engine did not act on it.
    pub(super) fn check(
        &self,
        session: &mut dyn Session,
        intent: &Intent<'_>,
        (lost, before): (&[Lost], Tables<'_>),
    ) -> anyhow::Result<Option<End>> {
        let goes = |it: &&Lost| {
            let is_now = [What::RowsGone, What::ValuesGone, What::ValuesChanged];
            is_now.contains(&it.what)
        };
        let gone: Vec<_> = lost.iter().filter(goes).collect();
        if gone.is_empty() {
            return Ok(None);
        }
        let shapes = session.catalog()?;
        let after = Tables {
            shapes: &shapes,
            names: before.names,
        };
        let of_lost = |key: &ForeignKey| {
            let mut gone = gone.iter();
            gone.any(|it| it.table == key.parent && refers(key, it.column.as_deref()))
        };
        let keys = self.0.iter().filter(|(key, _)| of_lost(key));
        let now =
            keys.filter_map(|(key, loose)| Some((present(key, intent, (before, after))?, *loose)));
        let mut now: Vec<_> = now.collect();
        let called = now.iter().map(|(key, _)| key.parent.clone());
        let called: Vec<_> = called
            .chain(gone.iter().map(|it| it.table.clone()))
            .collect();
        let there = session.keys_to(&called.iter().map(String::as_str).collect())?;
        if intent.dialect == Dialect::Sqlite {
            // Of those that are there still the engine tells, and acts on them if it is let.
            now.retain(|(key, _)| !there.contains(key));
        } else if intent.may_skip_keys() {
            let rows_gone = gone.iter().any(|it| it.column.is_none());
            let new = there
                .into_iter()
                .filter(|key| (rows_gone || of_lost(key)) && now.iter().all(|(it, _)| it != key));
            let new: Vec<_> = new.map(|key| (key, 0)).collect();
            now.extend(new);
        }
        for (key, were) in now {
            let rows = loose(session, &key)?.saturating_sub(were);
            if rows > 0 {
                return Ok(Some(refusal(
                    &intent.migration.file_name(),
                    format!(
                        "a foreign key would be broken: `{}` has {rows} row{} without the row of `{}` that it refers to",
                        key.child,
                        if rows == 1 { "" } else { "s" },
                        key.parent
                    ),
                    "delete or change these rows in the migration too; if they should stay, drop the foreign \
                        key in a separate migration before this one",
                )));
            }
        }
        Ok(None)
    }
}

/// Whether a key leads to this column, where it is about one.
fn refers(key: &ForeignKey, column: Option<&str>) -> bool {
    let mut columns = key.columns.iter();
    column.is_none_or(|column| columns.any(|(_, other)| other == column))
}

fn loose(session: &mut dyn Session, key: &ForeignKey) -> anyhow::Result<u64> {
    let sql = key.without_parent(session);
    Ok(session.rows(&sql)?[0][0].to_string().parse()?)
}

/// A foreign key by the names of now, whether the engine has it still or not; none where one of its
/// tables or columns is gone, or only one side of it has another type.
fn present(
    key: &ForeignKey,
    intent: &Intent<'_>,
    (before, after): (Tables<'_>, Tables<'_>),
) -> Option<ForeignKey> {
    let of = |name: &str| {
        let was = before.called(name)?;
        preserve::successor(was, before, after, &intent.renames)
    };
    let (child, parent) = (of(&key.child)?, of(&key.parent)?);
    let now = |successor: &Successor, column: &str| {
        let mut columns = successor.columns.iter();
        columns.find(|(old, _)| old.name == column).cloned()
    };
    let columns = key.columns.iter();
    let columns = columns.map(|(own, other)| {
        let ((own, own_now), (other, other_now)) = (now(&child, own)?, now(&parent, other)?);
        let is_apart = own.declared == other.declared && own_now.declared != other_now.declared;
        (!is_apart).then_some((own_now.name, other_now.name))
    });
    Some(ForeignKey {
        columns: columns.collect::<Option<_>>()?,
        child: child.table,
        parent: parent.table,
        cascades: key.cascades,
    })
}

fn refusal(file: &str, message: String, help: &str) -> End {
    End::Failed(Failure {
        file: file.to_owned(),
        line: None,
        message,
        help: help.to_owned(),
        busy: false,
    })
}

/// The rows of chatctl's own tables before a file: what it takes from the history it has to say.
pub(super) struct Own(BTreeSet<(&'static str, String)>);

impl Own {
    pub(super) fn look(session: &mut dyn Session) -> anyhow::Result<Self> {
        let mut rows = BTreeSet::new();
        for table in OWN_TABLES {
            if session.columns(table)?.is_some() {
                let all = session.rows(&format!("SELECT * FROM {}", session.quote(table)))?;
                rows.extend(all.iter().map(|row| (table, format!("{row:?}"))));
            }
        }
        Ok(Self(rows))
    }

    /// Why a file is refused after which these rows are others, by code that its text does not show.
    pub(super) fn check(
        &self,
        session: &mut dyn Session,
        intent: &Intent<'_>,
    ) -> anyhow::Result<Option<End>> {
        let now = Self::look(session)?;
        let cleans = intent.pieces.iter().any(|it| intent.cleans_history(it));
        let mut gone = self.0.difference(&now.0);
        let mut new = now.0.difference(&self.0);
        let other = new.next().or_else(|| {
            let hidden = |(table, _): &&(&str, String)| *table != HISTORY_TABLE || !cleans;
            gone.find(hidden)
        });
        Ok(other.map(|(table, _)| {
            refusal(
                &intent.migration.file_name(),
                format!("code that it runs changes rows of `{table}`"),
                "leave them to chatctl; or, if their versions no longer have files, write `DELETE FROM \
                    _sqlx_migrations …` as a separate statement",
            )
        }))
    }
}

/// The files that are not applied, by the history: a file may take rows of other versions out of it.
pub(super) struct Pending(BTreeSet<Version>);

impl Pending {
    pub(super) fn look(
        session: &mut dyn Session,
        options: &ApplyOptions<'_>,
    ) -> anyhow::Result<Self> {
        let pending = super::pending(session, options)?;
        Ok(Self(
            pending.iter().map(|file| file.version.clone()).collect(),
        ))
    }

    pub(super) fn has(&self, intent: &Intent<'_>) -> bool {
        self.0.contains(&intent.migration.version)
    }

    pub(super) fn applied(&mut self, intent: &Intent<'_>) {
        self.0.remove(&intent.migration.version);
    }

    /// Why a file is refused after which the history says something else of the files of the folder.
    pub(super) fn check(
        &self,
        session: &mut dyn Session,
        options: &ApplyOptions<'_>,
        intent: &Intent<'_>,
    ) -> anyhow::Result<Option<End>> {
        let now = match Self::look(session, options) {
            Ok(now) => Some(now.0),
            Err(error) if error.is::<CliError>() => None,
            Err(error) => return Err(error),
        };
        Ok((now.as_ref() != Some(&self.0)).then(|| {
            End::Failed(Failure {
                file: intent.migration.file_name(),
                line: None,
                message: "it removes a version from the history although the folder has its file"
                    .into(),
                help: "delete only rows of versions whose files are gone".into(),
                busy: false,
            })
        }))
    }
}
