//! What the statements of a file may do besides what they do to rows, as far as their texts tell: where they may,
//! it is examined before and after them. What their texts do not show counts too.

use super::{Intent, Piece};
use crate::model::Shape;
use crate::sql;
use crate::sql::{AlterAction, Dialect, Kind, Name};
use std::collections::BTreeSet;
use std::ops::Range;

impl Piece<'_> {
    /// Whether it may make a foreign key by which what deletes rows of one table reaches those of another.
    pub fn may_cascade(&self) -> bool {
        let words: Vec<_> = super::words(self.text).collect();
        words.windows(3).any(|it| it == ["on", "delete", "cascade"])
    }
}

impl Intent<'_> {
    /// Whether the statements may make a trigger, a rule or an event, or switch one on, as far as their
    /// texts tell: what code makes that is not in them counts too.
    pub fn may_make_actions(&self) -> bool {
        self.pieces.iter().any(|piece| match &piece.facts.kind {
            Kind::CreateTrigger { .. }
            | Kind::CreateFunction { .. }
            | Kind::CreateOther { .. }
            | Kind::CreateSchema
            | Kind::AlterOther { .. }
            | Kind::Do
            | Kind::Call
            | Kind::Other => true,
            Kind::AlterTable { actions } => {
                actions.iter().any(switches)
                    || piece.may_cascade()
                    || self.defines_calls(piece)
                    || self.may_set_a_clock(piece)
            }
            // A constraint of SQLite may delete the rows that it finds in its way.
            Kind::CreateTable { .. } => {
                let text = piece.text.to_ascii_lowercase();
                text.contains("conflict")
                    || piece.may_cascade()
                    || !piece.facts.calls.is_empty()
                    || self.defines_calls(piece)
                    || self.may_set_a_clock(piece)
            }
            _ => !piece.facts.calls.is_empty(),
        })
    }

    /// Whether the statements may change who sees which rows, as far as their texts tell.
    pub fn may_hide_rows(&self) -> bool {
        const WORDS: [&str; 5] = ["disable", "enable", "force", "no", "owner"];
        self.dialect == Dialect::Postgres
            && self.pieces.iter().any(|piece| match &piece.facts.kind {
                Kind::Grant
                | Kind::CreateOther { .. }
                | Kind::AlterOther { .. }
                | Kind::Do
                | Kind::Call
                | Kind::Other => true,
                // One that is made in its place has none of its rights.
                Kind::DropTable { .. } => true,
                // A role that was dropped reads nothing.
                Kind::DropOther { object, .. } => !matches!(object.as_str(), "ROLE" | "USER"),
                Kind::AlterTable { actions } => actions
                    .iter()
                    .any(|it| matches!(it, AlterAction::RenameTable { .. }) || begins(it, &WORDS)),
                _ => false,
            })
    }

    /// Whether the statements may switch a trigger off, as far as their texts tell.
    pub fn may_switch_off(&self) -> bool {
        self.pieces.iter().any(|piece| match &piece.facts.kind {
            Kind::AlterTable { actions } => actions.iter().any(switches),
            Kind::Do | Kind::Call | Kind::Other => true,
            _ => !piece.facts.calls.is_empty(),
        })
    }

    /// Whether a statement may make a default or a check that calls a function of the user's own.
    fn defines_calls(&self, piece: &Piece<'_>) -> bool {
        let text = piece.text.to_ascii_lowercase();
        let defines = text.contains("default") || text.contains("check");
        let is_table = |called: &String| {
            let mut named = piece.facts.tables().chain(&piece.facts.reads);
            named.any(|table| table.matches(called))
        };
        self.dialect == Dialect::Postgres
            && defines
            && !sql::calls(piece.text, self.dialect).iter().all(is_table)
    }

    /// Whether a column may get the time of each change. Under an older setting of MySQL, the first TIMESTAMP
    /// gets it without a word.
    fn may_set_a_clock(&self, piece: &Piece<'_>) -> bool {
        let text = piece.text.to_ascii_lowercase();
        self.dialect == Dialect::Mysql && ["timestamp", "update"].iter().any(|it| text.contains(it))
    }

    /// Whether the statements may give a name of these tables to something else, for sessions that find it in
    /// another schema first, as far as their texts tell.
    pub fn may_hide(&self, tables: &[Shape]) -> bool {
        let moves = |action: &AlterAction| {
            matches!(action, AlterAction::RenameTable { .. }) || begins(action, &["set"])
        };
        let is_there = |name: &Name| {
            let mut tables = tables.iter();
            tables.any(|it| it.table.eq_ignore_ascii_case(&name.name))
        };
        self.dialect == Dialect::Postgres
            && self.pieces.iter().any(|piece| match &piece.facts.kind {
                Kind::CreateTable { .. } => piece.facts.tables().any(is_there),
                Kind::CreateView { .. }
                | Kind::RenameTable { .. }
                | Kind::CreateSchema
                | Kind::CreateOther { .. }
                | Kind::AlterOther { .. }
                | Kind::Do
                | Kind::Call
                | Kind::Other => true,
                Kind::AlterTable { actions } => actions.iter().any(moves),
                _ => !piece.facts.calls.is_empty(),
            })
    }

    /// Whether the statements may make a view of this name, or give it to one, as far as their texts tell.
    pub fn may_make_view(&self, called: &str) -> bool {
        let renames = |action: &AlterAction| match action {
            AlterAction::RenameTable { to } => to.matches(called),
            _ => false,
        };
        self.pieces.iter().any(|piece| match &piece.facts.kind {
            Kind::CreateView { .. } => {
                let mut named = piece.facts.object.iter().chain(&piece.facts.table);
                named.any(|it| it.matches(called))
            }
            Kind::AlterTable { actions } => actions.iter().any(renames),
            Kind::RenameTable { .. }
            | Kind::AlterOther { .. }
            | Kind::Do
            | Kind::Call
            | Kind::Other => {
                let text = piece.text.to_ascii_lowercase();
                text.contains(&called.to_ascii_lowercase())
            }
            _ => false,
        })
    }

    /// Whether the statements may change what becomes of a row that is written by a name: by a trigger, a rule,
    /// or a view that takes the name.
    pub fn may_change_writes(&self) -> bool {
        let takes = |kind: &Kind| match kind {
            Kind::CreateView { .. } | Kind::RenameTable { .. } => true,
            Kind::AlterTable { actions } => actions
                .iter()
                .any(|it| matches!(it, AlterAction::RenameTable { .. })),
            _ => false,
        };
        let mut kinds = self.pieces.iter().map(|piece| &piece.facts.kind);
        kinds.any(takes) || self.may_make_actions()
    }

    /// Whether the statements may change which numbers new rows get, as far as their texts tell.
    pub fn may_renumber(&self) -> bool {
        const WORDS: [&str; 7] = [
            "setval",
            "nextval",
            "sequence",
            "restart",
            "identity",
            "serial",
            "auto_increment",
        ];
        self.may_rebuild()
            || self.pieces.iter().any(|piece| {
                let text = piece.text.to_ascii_lowercase();
                let opaque = matches!(piece.facts.kind, Kind::Do | Kind::Call | Kind::Other);
                let called = !piece.facts.calls.is_empty();
                opaque || called || WORDS.iter().any(|word| text.contains(word))
            })
    }

    /// Whether the statements may keep the engine from acting on foreign keys, as far as their texts tell: what
    /// they do not show counts too.
    pub fn may_skip_keys(&self) -> bool {
        const WORDS: [&str; 3] = ["foreign_key_checks", "session_replication_role", "trigger"];
        self.pieces.iter().any(|piece| {
            let text = piece.text.to_ascii_lowercase();
            let opaque = matches!(piece.facts.kind, Kind::Do | Kind::Call | Kind::Other);
            let called = !piece.facts.calls.is_empty();
            opaque || called || WORDS.iter().any(|word| text.contains(word))
        })
    }

    /// The tables that statements of a part drop, and in whose place the file may put others.
    pub fn replaced(&self, part: &Range<usize>) -> BTreeSet<&str> {
        let renames = |piece: &Piece<'_>| match &piece.facts.kind {
            Kind::RenameTable { .. } => true,
            Kind::AlterTable { actions } => actions
                .iter()
                .any(|action| matches!(action, AlterAction::RenameTable { .. })),
            _ => false,
        };
        let makes = |piece: &Piece<'_>, name: &Name| {
            matches!(piece.facts.kind, Kind::CreateTable { .. })
                && piece.facts.tables().any(|it| it.matches(&name.name))
        };
        let is_replaced = |dropped: &&Name| {
            let mut pieces = self.pieces.iter();
            pieces.any(|piece| renames(piece) || makes(piece, dropped))
        };
        let drops = |piece: &&Piece<'_>| matches!(piece.facts.kind, Kind::DropTable { .. });
        let dropped = self.pieces[part.clone()].iter().filter(drops);
        let dropped = dropped.flat_map(|piece| piece.facts.tables());
        dropped
            .filter(is_replaced)
            .map(|it| it.name.as_str())
            .collect()
    }

    /// Whether a table may be put in the place of another one.
    pub fn may_rebuild(&self) -> bool {
        let renames = |action: &AlterAction| matches!(action, AlterAction::RenameTable { .. });
        self.pieces.iter().any(|piece| match &piece.facts.kind {
            Kind::RenameTable { .. } | Kind::DropTable { .. } | Kind::Truncate { .. } => true,
            Kind::AlterTable { actions } => actions.iter().any(renames),
            _ => false,
        })
    }
}

/// Whether an action switches triggers or policies on or off.
fn switches(action: &AlterAction) -> bool {
    begins(action, &["disable", "enable"])
}

/// Whether an action that is read no further begins with one of these words.
fn begins(action: &AlterAction, words: &[&str]) -> bool {
    match action {
        AlterAction::Other { text } => {
            let first = text.split_whitespace().next().unwrap_or_default();
            words.iter().any(|word| first.eq_ignore_ascii_case(word))
        }
        _ => false,
    }
}
