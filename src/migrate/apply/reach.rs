//! Which tables a file of MySQL can reach. Pure.
//!
//! The text only proposes: on the copy, the server refuses whatever it did not name, and then the
//! file is tried with everything.

use crate::migrate::intent::{Intent, Piece};
use crate::model::Names;
use crate::sql;
use crate::sql::{AlterAction, Dialect, Kind, Name, TokenKind};
use std::collections::BTreeSet;

/// What there is in a database, as far as one thing reaches another.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The tables that hold rows.
    pub(super) tables: BTreeSet<String>,
    /// Tables with a foreign key, and the tables that it leads to.
    pub(super) keys: Vec<(String, String)>,
    /// Those of them that follow when a key is another one.
    pub(super) moved: Vec<(String, String)>,
    /// What runs or reads something else when it is used: tables with triggers, views, sequences,
    /// tables that are made of others.
    pub(super) deep: BTreeSet<String>,
    /// Whether triggers, events or routines are among it that may delete rows, of whatever table.
    pub(super) acts: bool,
}

impl Known {
    /// Whether there is a table or a view of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.tables.contains(name) || self.deep.contains(name)
    }

    /// What leads from one to another at either of two times.
    pub(super) fn and(&self, other: Self) -> Self {
        Self {
            tables: &self.tables | &other.tables,
            keys: self.keys.iter().cloned().chain(other.keys).collect(),
            moved: self.moved.iter().cloned().chain(other.moved).collect(),
            deep: &self.deep | &other.deep,
            acts: self.acts || other.acts,
        }
    }

    /// These tables, and those of which rows may follow when rows of these go.
    pub(super) fn follow(&self, mut all: BTreeSet<String>) -> BTreeSet<String> {
        loop {
            let follows = self.keys.iter().filter(|(_, to)| all.contains(to));
            let more: Vec<_> = follows.map(|(from, _)| from.clone()).collect();
            let before = all.len();
            all.extend(more);
            if all.len() == before {
                return all;
            }
        }
    }
}

/// What a file may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reach {
    /// These tables only.
    Tables {
        /// What its statements name, whether it is there or not.
        named: BTreeSet<String>,
        /// What is there of that, and what hangs on it by foreign keys.
        there: BTreeSet<String>,
    },
    /// Whatever there is.
    Everything,
}

/// What the statements of a file reach, as far as their texts tell.
pub(super) fn of(intent: &Intent<'_>, known: &Known, names: Names) -> Reach {
    // What deletes rows later may reach others by a new key.
    let leads = |piece: &Piece<'_>| {
        matches!(piece.facts.kind, Kind::AlterTable { .. }) && piece.may_cascade()
    };
    let leads = known.acts && intent.pieces.iter().any(leads);
    if leads || !intent.pieces.iter().all(is_plain) {
        return Reach::Everything;
    }
    let called = |name: &Name| {
        let same = |it: &&String| names.tables.same(it, &name.name);
        let mut all = known.tables.iter().chain(&known.deep);
        all.find(same).unwrap_or(&name.name).clone()
    };
    let named: BTreeSet<_> = intent.pieces.iter().flat_map(named).map(called).collect();
    let there = hanging(&named, known);
    if there.iter().chain(&named).any(|it| known.deep.contains(it)) {
        Reach::Everything
    } else {
        Reach::Tables { named, there }
    }
}

/// The tables of these that are there, those that their foreign keys lead to, and those that may
/// follow when their rows go.
fn hanging(named: &BTreeSet<String>, known: &Known) -> BTreeSet<String> {
    let is_there = |name: &&String| known.tables.contains(*name);
    let mut all = known.follow(named.iter().filter(is_there).cloned().collect());
    let parents = known.keys.iter().filter(|(from, _)| all.contains(from));
    let parents: Vec<_> = parents.map(|(_, to)| to.clone()).collect();
    all.extend(parents);
    all
}

fn named<'a>(piece: &'a Piece<'_>) -> Vec<&'a Name> {
    let mut all = written(piece);
    all.extend(&piece.facts.reads);
    all
}

/// The tables that a statement writes or alters, under each name that they have then.
pub(super) fn written<'a>(piece: &'a Piece<'_>) -> Vec<&'a Name> {
    let mut all: Vec<_> = piece.facts.tables().collect();
    if let Kind::AlterTable { actions } = &piece.facts.kind {
        all.extend(actions.iter().filter_map(|action| match action {
            AlterAction::RenameTable { to } => Some(to),
            _ => None,
        }));
    }
    all
}

/// Whether a statement can reach by names only that are in it: it runs no code, and asks the
/// catalogue nothing, which would not show it a table that it may not reach.
pub(super) fn is_plain(piece: &Piece<'_>) -> bool {
    let names_catalogue = || {
        const CATALOGUES: [&str; 2] = ["information_schema", "performance_schema"];
        let tokens = sql::tokenize(piece.text, Dialect::Mysql);
        tokens.iter().any(|token| {
            let name = token.text(piece.text).trim_matches(['`', '"']);
            token.kind != TokenKind::Comment
                && CATALOGUES.iter().any(|it| name.eq_ignore_ascii_case(it))
        })
    };
    match &piece.facts.kind {
        Kind::CreateTable { .. }
        | Kind::DropTable { .. }
        | Kind::AlterTable { .. }
        | Kind::RenameTable { .. }
        | Kind::CreateIndex { .. }
        | Kind::DropIndex { .. }
        | Kind::Insert { .. }
        | Kind::Update { .. }
        | Kind::Delete { .. }
        | Kind::Truncate { .. }
        | Kind::With { .. }
        | Kind::SetVariable { .. }
        | Kind::Begin
        | Kind::Commit
        | Kind::Rollback { .. }
        | Kind::Savepoint
        | Kind::Release
        | Kind::Lock
        | Kind::Analyze
        | Kind::Select => piece.facts.calls.is_empty() && !names_catalogue(),
        Kind::Merge { .. }
        | Kind::CreateTrigger { .. }
        | Kind::DropTrigger
        | Kind::CreateView { .. }
        | Kind::DropView { .. }
        | Kind::RefreshView
        | Kind::CreateSchema
        | Kind::DropSchema { .. }
        | Kind::CreateDatabase { .. }
        | Kind::DropDatabase
        | Kind::CreateFunction { .. }
        | Kind::DropFunction { .. }
        | Kind::Do
        | Kind::Call
        | Kind::Pragma { .. }
        | Kind::Vacuum
        | Kind::Reindex { .. }
        | Kind::Grant
        | Kind::Comment
        | Kind::AlterEnum { .. }
        | Kind::DropType { .. }
        | Kind::CreateOther { .. }
        | Kind::AlterOther { .. }
        | Kind::DropOther { .. }
        | Kind::Use
        | Kind::Attach
        | Kind::Detach
        | Kind::Other => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Known, Reach, hanging, of};
    use crate::migrate::intent::Intent;
    use crate::migrate::source::{File, Migration, Version};
    use crate::model::{Case, Names};
    use crate::sql::Dialect;
    use std::collections::BTreeSet;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn known() -> Known {
        Known {
            tables: set(&["users", "chats", "messages", "parts", "other"]),
            keys: [
                ("messages", "chats"),
                ("parts", "messages"),
                ("chats", "users"),
            ]
            .map(|(from, to)| (from.to_owned(), to.to_owned()))
            .to_vec(),
            moved: Vec::new(),
            deep: set(&["recent", "logged"]),
            acts: false,
        }
    }

    fn reach(text: &str) -> Reach {
        reach_in(text, &known())
    }

    fn reach_in(text: &str, known: &Known) -> Reach {
        let file = File {
            name: "1_a.sql".to_owned(),
            bytes: text.as_bytes().to_vec(),
        };
        let migration = Migration::whole(Version::number(1), String::new(), &file)
            .expect("the file is a migration");
        let intent = Intent::of(&migration, Dialect::Mysql).expect("the file can be read");
        let names = Names {
            tables: Case::Ignored,
            columns: Case::Ignored,
            quote: '`',
        };
        of(&intent, known, names)
    }

    #[test]
    fn foreign_keys_are_followed() {
        assert_eq!(
            hanging(&set(&["chats", "new"]), &known()),
            set(&["users", "chats", "messages", "parts"])
        );
        assert_eq!(hanging(&set(&["other"]), &known()), set(&["other"]));
    }

    #[test]
    fn a_plain_file_reaches_what_it_names() {
        assert_eq!(
            reach("CREATE TABLE new (id INT); INSERT INTO new SELECT id FROM Other;"),
            Reach::Tables {
                named: set(&["new", "other"]),
                there: set(&["other"])
            }
        );
    }

    #[test]
    fn a_key_that_cascades_reaches_what_acts_by_itself() {
        let acting = Known {
            acts: true,
            ..known()
        };
        let key = "ALTER TABLE chats ADD FOREIGN KEY (user_id) REFERENCES users (id)";
        let cascading = format!("{key} ON DELETE CASCADE;");
        assert_eq!(reach_in(&cascading, &acting), Reach::Everything);
        assert_ne!(reach_in(key, &acting), Reach::Everything);
        let moving = format!("{key} ON DELETE RESTRICT ON  UPDATE CASCADE;");
        assert_ne!(reach_in(&moving, &acting), Reach::Everything);
        assert_ne!(reach(&cascading), Reach::Everything);
    }

    #[test]
    fn what_runs_code_or_asks_the_catalogue_reaches_everything() {
        for text in [
            "CALL tidy();",
            "EXECUTE IMMEDIATE 'DELETE FROM other';",
            "BEGIN NOT ATOMIC DELETE FROM other; END;",
            "INSERT INTO other SELECT table_name FROM information_schema.tables;",
            "INSERT INTO other SELECT table_name FROM `INFORMATION_SCHEMA`.tables;",
            "DELETE FROM recent;",
            "UPDATE logged SET a = 1;",
            "CREATE TRIGGER t AFTER INSERT ON other FOR EACH ROW DELETE FROM users;",
            "SELECT tidy();",
        ] {
            assert_eq!(reach(text), Reach::Everything, "{text}");
        }
    }
}
