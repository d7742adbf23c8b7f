//! Triggers of tables on which the user has no right TRIGGER: the server shows them neither to
//! chatctl nor to the dump, and runs them all the same.

use super::counting::taken;
use super::reach;
use crate::db::Session;
use crate::migrate::intent::{Intent, Piece};
use crate::model::{Names, Shape};
use crate::sql::Destroys;
use std::collections::BTreeSet;

/// Of which tables the user sees the triggers.
pub(super) enum Sees {
    All,
    Of(Vec<String>),
}

impl Sees {
    /// By the grants that the server shows of the user.
    pub(super) fn look(session: &mut dyn Session, database: &str) -> anyhow::Result<Self> {
        let text = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"));
        let mut tables = Vec::new();
        for row in session.rows("SHOW GRANTS")? {
            let grant = row[0].to_string();
            let Some((pattern, table)) = place(&grant) else {
                continue;
            };
            let is_here = pattern == "*" || {
                let sql = format!("SELECT {} LIKE {}", text(database), text(&pattern));
                session.rows(&sql)?[0][0].text() == Some("1")
            };
            match table.as_str() {
                "*" if is_here => return Ok(Self::All),
                _ if is_here => tables.push(table),
                _ => {}
            }
        }
        Ok(Self::Of(tables))
    }

    /// The tables of before whose triggers may run with a file, unseen.
    pub(super) fn but<'a>(
        &self,
        intent: &Intent<'_>,
        (before, names): (impl Iterator<Item = &'a Shape> + Clone, Names),
    ) -> BTreeSet<String> {
        let Self::Of(seen) = self else {
            return BTreeSet::new();
        };
        let is_older = |name: &str| before.clone().any(|it| names.tables.same(&it.table, name));
        let concerns = |piece: &Piece<'_>| {
            let facts = &piece.facts;
            let acts =
                facts.writes_rows() || facts.destroys() != Destroys::No || taken(facts).is_some();
            acts && (!reach::is_plain(piece) || facts.tables().any(|it| is_older(&it.name)))
        };
        if !intent.pieces.iter().any(concerns) {
            return BTreeSet::new();
        }
        let is_seen = |it: &&Shape| seen.iter().any(|name| names.tables.same(name, &it.table));
        let unseen = before.clone().filter(|it| !is_seen(it));
        unseen.map(|it| it.name.clone()).collect()
    }
}

/// The database and the table on which a grant has the right; `*` is for all of them.
fn place(grant: &str) -> Option<(String, String)> {
    let (rights, rest) = grant.strip_prefix("GRANT ")?.split_once(" ON ")?;
    let has_it =
        rights.starts_with("ALL PRIVILEGES") || rights.split(", ").any(|it| it == "TRIGGER");
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
        ] {
            assert_eq!(place(grant), found, "{grant}");
        }
    }
}
