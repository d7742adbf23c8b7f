//! Triggers of tables on which the user has no right TRIGGER, and events without the right EVENT:
//! the server shows them neither to chatctl nor to the dump, and runs them all the same.

use super::counting::taken;
use super::reach;
use crate::db::Session;
use crate::migrate::intent::{Intent, Piece};
use crate::model::{Names, Shape};
use crate::sql::Destroys;
use std::collections::BTreeSet;

/// What the user sees that acts by itself.
pub(super) struct Sees {
    triggers: Triggers,
    events: bool,
}

/// Of which tables the user sees the triggers.
enum Triggers {
    All,
    Of(Vec<String>),
}

impl Sees {
    /// By the grants that the server shows of the user.
    pub(super) fn look(session: &mut dyn Session, database: &str) -> anyhow::Result<Self> {
        let text = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"));
        let mut grants = Vec::new();
        for row in session.rows("SHOW GRANTS")? {
            let grant = row[0].to_string();
            for right in ["TRIGGER", "EVENT"] {
                let Some((pattern, table)) = place(&grant, right) else {
                    continue;
                };
                let is_here = pattern == "*" || {
                    let sql = format!("SELECT {} LIKE {}", text(database), text(&pattern));
                    session.rows(&sql)?[0][0].text() == Some("1")
                };
                grants.extend(is_here.then_some((right, table)));
            }
        }
        let (triggers, events): (Vec<_>, Vec<_>) = grants
            .into_iter()
            .partition(|(right, _)| *right == "TRIGGER");
        let tables: Vec<_> = triggers.into_iter().map(|(_, table)| table).collect();
        Ok(Self {
            triggers: if tables.iter().any(|it| it == "*") {
                Triggers::All
            } else {
                Triggers::Of(tables)
            },
            events: events.iter().any(|(_, table)| table == "*"),
        })
    }

    /// The tables of before whose triggers may run with a file, unseen.
    pub(super) fn but<'a>(
        &self,
        intent: &Intent<'_>,
        (before, names): (impl Iterator<Item = &'a Shape> + Clone, Names),
    ) -> BTreeSet<String> {
        // What deletes rows, unseen, may reach those of other tables by a new key.
        let cascades = intent.pieces.iter().any(Piece::may_cascade);
        let names_of = |it: &Shape| it.name.clone();
        if cascades && !self.events {
            return before.map(names_of).collect();
        }
        let Triggers::Of(seen) = &self.triggers else {
            return BTreeSet::new();
        };
        let is_older = |name: &str| before.clone().any(|it| names.tables.same(&it.table, name));
        let concerns = |piece: &Piece<'_>| {
            let facts = &piece.facts;
            let acts =
                facts.writes_rows() || facts.destroys() != Destroys::No || taken(facts).is_some();
            acts && (!reach::is_plain(piece) || facts.tables().any(|it| is_older(&it.name)))
        };
        if !cascades && !intent.pieces.iter().any(concerns) {
            return BTreeSet::new();
        }
        let is_seen = |it: &&Shape| seen.iter().any(|name| names.tables.same(name, &it.table));
        let unseen = before.clone().filter(|it| !is_seen(it));
        unseen.map(names_of).collect()
    }
}

/// The database and the table on which a grant has a right; `*` is for all of them.
fn place(grant: &str, right: &str) -> Option<(String, String)> {
    let (rights, rest) = grant.strip_prefix("GRANT ")?.split_once(" ON ")?;
    let has_it = rights.starts_with("ALL PRIVILEGES") || rights.split(", ").any(|it| it == right);
    let object = rest.split(" TO ").next()?.replace('`', "");
    let (database, table) = object.split_once('.')?;
    has_it.then(|| (database.to_owned(), table.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn a_grant_says_of_which_tables_the_triggers_are_seen() {
        let is = |database: &str, table: &str| Some((database.to_owned(), table.to_owned()));
        for (grant, found) in [
            (
                "GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION",
                is("*", "*"),
            ),
            (
                "GRANT SELECT, TRIGGER ON `my\\_chat`.* TO `app`@`%`",
                is("my\\_chat", "*"),
            ),
            (
                "GRANT SELECT (id, body), TRIGGER ON `chat`.`messages` TO `app`@`%`",
                is("chat", "messages"),
            ),
            ("GRANT SELECT, INSERT ON `chat`.* TO `app`@`%`", None),
            ("GRANT USAGE ON *.* TO `app`@`%`", None),
            ("GRANT `role` TO `app`@`%`", None),
            ("GRANT EVENT ON `chat`.* TO `app`@`%`", None),
        ] {
            assert_eq!(place(grant, "TRIGGER"), found, "{grant}");
        }
    }
}
