//! Which table holds the messages: the user says so, or a first chat's own texts do. What the user
//! says is held against these texts too: a store that is read in the wrong place loses everything.

use super::exchange::ResponseProgress;
use super::live::Live;
use super::stage::Stage;
use crate::cli_error::CliError;
use crate::model::{Role, StoredMessage, Table};
use crate::store::{ColumnMatch, Mapping, Origin, Shape};
use crate::text::plural;
use crate::{clock, store};
use std::time::Duration;

/// Between two looks for the texts.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Where the texts of a first chat stand, whatever they are read through.
struct Places {
    answer: Vec<ColumnMatch>,
    question: Vec<ColumnMatch>,
}

impl Places {
    /// Whether no table has both.
    fn are_apart(&self) -> bool {
        let has_question = |table: &str| self.question.iter().any(|hit| hit.table == table);
        !self.question.is_empty()
            && !self.answer.is_empty()
            && !self.answer.iter().any(|hit| has_question(&hit.table))
    }
}

/// The rows that a mapping reads of a first chat.
struct Rows {
    question: Vec<StoredMessage>,
    answer: Vec<StoredMessage>,
}

impl Rows {
    /// Whether they are a question and its answer in one conversation.
    fn are_a_chat(&self) -> bool {
        let pair = self.question.first().zip(self.answer.first());
        pair.is_some_and(|(question, answer)| {
            let sides = (&question.role, &answer.role);
            sides == (&Role::User, &Role::Assistant) && question.conversation == answer.conversation
        })
    }
}

impl Stage<'_> {
    /// Finds out where the messages are.
    ///
    /// # Errors
    /// When the texts of a first chat are not where they are read, or in no place that can be read.
    pub(super) async fn find_mapping(
        &mut self,
        live: &Live,
        seen: &ResponseProgress,
    ) -> anyhow::Result<()> {
        let was_there = self.world.db.is_some();
        self.world.open_store(self.options.settle).await?;
        let deadline = clock::now() + self.options.settle;
        // A server that makes its file with its first chat makes the tables a moment later.
        let (schema, declared) = loop {
            let schema = self.world.db().schema().await?;
            match self.world.declared.resolve(&schema) {
                Ok(declared) => break (schema, declared),
                Err(error) if was_there || clock::now() >= deadline => return Err(error.into()),
                Err(_) => tokio::time::sleep(LOOK_AGAIN).await,
            }
        };
        self.world.mask.know(&schema);
        let mapping = match declared {
            Some(mapping) => {
                mapping.judge(self.world.db()).await?;
                // A writer that alone can read its rows is taken at its word.
                if mapping.store().shape != Shape::Opaque {
                    self.check_declared(&mapping, &schema, live, seen).await?;
                }
                mapping
            }
            None => {
                let (mapping, hits) = self.detect(schema, live, seen).await?;
                self.copied_to = hits;
                self.copied_to.retain(|hit| is_beside(&mapping, hit));
                mapping
            }
        };
        self.world.progress.note(&format!("messages: {mapping}"));
        self.mapping = Some(mapping);
        Ok(())
    }

    /// The mapping of the table in which the answer is; of the question's, where the answer is nowhere. And all
    /// places of the answer.
    async fn detect(
        &self,
        mut schema: Vec<Table>,
        live: &Live,
        seen: &ResponseProgress,
    ) -> anyhow::Result<(Mapping, Vec<ColumnMatch>)> {
        let db = self.world.db();
        let deadline = clock::now() + self.options.settle;
        let mut before = Vec::new();
        loop {
            // Two looks that agree: a log may be written earlier than the messages are.
            let hits = store::find_text(db, &schema, &live.nonce).await?;
            let is_settled = !hits.is_empty() && hits == before || clock::now() >= deadline;
            before = hits;
            if is_settled {
                break;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
            if before.is_empty() {
                schema = db.schema().await?;
                self.world.mask.know(&schema);
            }
        }
        let schema = schema.as_slice();
        let answer = (live.nonce.as_str(), "the answer of a first chat");
        if let Some(mapping) = store::from_hits(db, schema, &before, answer).await? {
            self.note_other_tables(&mapping, &before);
            let mapping = self.exact(mapping, schema, &before, live).await?;
            return Ok((mapping, before));
        }
        let places = Places {
            question: store::find_text(db, schema, &live.tag).await?,
            answer: before,
        };
        if !places.answer.is_empty() {
            return match self.in_parts(schema, &places, live).await? {
                Some(mapping) => Ok((mapping, places.answer)),
                None => Err(unread(schema, &places).into()),
            };
        }
        let message = (live.tag.as_str(), "the user's message of a first chat");
        match store::from_hits(db, schema, &places.question, message).await? {
            Some(mapping) => Ok((mapping, Vec::new())),
            None if places.question.is_empty() => {
                let Some(sealed) = store::sealed(schema) else {
                    return Err(self.nowhere(schema, seen).await);
                };
                Ok((sealed, Vec::new()))
            }
            None => Err(unread(schema, &places).into()),
        }
    }

    /// The only mapping that reads question and answer as a chat, word for word, from a table of the
    /// parts of messages.
    async fn in_parts(
        &self,
        schema: &[Table],
        places: &Places,
        live: &Live,
    ) -> anyhow::Result<Option<Mapping>> {
        let said = live.expected.trim();
        let mut found = Vec::new();
        for mapping in store::in_parts(schema, &places.answer) {
            let rows = self.rows_of(&mapping, live).await?;
            let is_said = |row: &StoredMessage| row.content.trim() == said;
            if rows.are_a_chat() && rows.answer.iter().all(is_said) {
                found.push(mapping);
            }
        }
        Ok(found.pop().filter(|_| found.is_empty()))
    }

    /// The same mapping, or that of another column of its table: one text may be kept as it was said and as HTML.
    async fn exact(
        &self,
        mapping: Mapping,
        schema: &[Table],
        hits: &[ColumnMatch],
        live: &Live,
    ) -> anyhow::Result<Mapping> {
        let says = |rows: &Rows| {
            let said = live.expected.trim();
            rows.are_a_chat() && rows.answer.iter().all(|row| row.content.trim() == said)
        };
        let hits: Vec<_> = hits
            .iter()
            .filter(|hit| hit.table == mapping.table())
            .collect();
        if hits.len() < 2 || says(&self.rows_of(&mapping, live).await?) {
            return Ok(mapping);
        }
        let answer = (
            live.nonce.as_str(),
            "the answer of a first chat, as it was said,",
        );
        for hit in hits {
            let found =
                store::from_hits(self.world.db(), schema, std::slice::from_ref(hit), answer);
            let Ok(Some(other)) = found.await else {
                continue;
            };
            if other.table() == mapping.table() && says(&self.rows_of(&other, live).await?) {
                return Ok(other);
            }
        }
        Ok(mapping)
    }

    /// A text that is in several tables is reported: the proof is about one of them.
    fn note_other_tables(&self, mapping: &Mapping, hits: &[ColumnMatch]) {
        let others: Vec<_> = hits
            .iter()
            .filter(|hit| is_beside(mapping, hit))
            .map(|hit| format!("{}.{}", hit.table, hit.column))
            .collect();
        if !others.is_empty() {
            self.world.progress.warning(&format!(
                "the answer is in {} too; if messages are read from there, declare it as [[store]]",
                others.join(", ")
            ));
        }
    }

    /// Holds a declared mapping against a first chat: a text that is elsewhere, and is not read, is
    /// no text that the server has lost.
    async fn check_declared(
        &self,
        mapping: &Mapping,
        schema: &[Table],
        live: &Live,
        seen: &ResponseProgress,
    ) -> anyhow::Result<()> {
        let db = self.world.db();
        let deadline = clock::now() + self.options.settle;
        let mut rows = self.rows_of(mapping, live).await?;
        while (rows.question.is_empty() || rows.answer.is_empty()) && clock::now() < deadline {
            tokio::time::sleep(LOOK_AGAIN).await;
            rows = self.rows_of(mapping, live).await?;
        }
        if rows.are_a_chat() {
            return Ok(());
        }
        let places = Places {
            question: store::find_text(db, schema, &live.tag).await?,
            answer: store::find_text(db, schema, &live.nonce).await?,
        };
        let answer = (live.nonce.as_str(), "the answer of a first chat");
        // That there is doubt about it is no reason to doubt what was declared.
        let found = store::from_hits(db, schema, &places.answer, answer).await;
        let found = found.ok().flatten();
        let name = declared_as(mapping);
        if !rows.answer.is_empty() {
            let Some(found) = found.filter(|found| found.table() == mapping.table()) else {
                return Ok(());
            };
            return if self.rows_of(&found, live).await?.are_a_chat() {
                Err(CliError::usage(format!(
                "as {name} reads them, the question and the answer of a first chat are not the two sides of one \
                 conversation; other columns of `{}` make them that",
                mapping.table()
            ))
            .hint(suggested(&found.toml()))
            .into())
            } else {
                Ok(())
            };
        }
        let nothing_read = rows.question.is_empty();
        let told: Vec<_> = [
            ("question", nothing_read, &places.question),
            ("answer", true, &places.answer),
        ]
        .into_iter()
        .filter(|(_, is_missing, hits)| *is_missing && !hits.is_empty())
        .map(|(what, _, hits)| format!("the {what} of a first chat is in {}", listed(hits)))
        .collect();
        if told.is_empty() {
            return if nothing_read {
                Err(self.nowhere(schema, seen).await)
            } else {
                Ok(())
            };
        }
        let message = format!(
            "{}, and {name} does not read it there: it reads {}",
            told.join(", and "),
            mapping.reads()
        );
        let is_wrong = nothing_read || mapping.reads_any(&places.answer);
        // Where the question is read as declared, the answer may be in a log only; where the answer
        // is nowhere, the question may be in a title only.
        let stop = if is_wrong && !places.answer.is_empty() {
            CliError::usage(message)
        } else {
            CliError::unreachable(message)
        };
        let text = match &found {
            Some(found) => found.toml(),
            None => to_complete(schema, &places),
        };
        Err(stop.hint(suggested(&text)).into())
    }

    async fn rows_of(&self, mapping: &Mapping, live: &Live) -> anyhow::Result<Rows> {
        let db = self.world.db();
        Ok(Rows {
            question: store::holding(db, mapping, &live.tag).await?,
            answer: store::holding(db, mapping, &live.nonce).await?,
        })
    }

    /// Neither text is anywhere.
    async fn nowhere(&self, schema: &[Table], seen: &ResponseProgress) -> anyhow::Error {
        let target = self.world.db().target();
        let (tables, answer) = (schema.len(), seen.turn.text.chars().count());
        let elsewhere = store::chats_elsewhere(self.world.db()).await;
        let hint = match (store::by_names(schema), elsewhere.ok().flatten()) {
            (None, Some(elsewhere)) => elsewhere,
            (Some(mapping), _) => format!(
                "is this the server's database? table `{}` looks like messages but holds neither text; chatctl \
                    can't read texts that are encrypted or compressed",
                mapping.table()
            ),
            (None, None) => {
                "is this the server's database? check --database-url against the server's own \
                configuration, and use {database_path} or {database_url} in --start"
                    .to_owned()
            }
        };
        CliError::unreachable(format!(
            "a chat was sent (the answer has {answer} characters), and neither its question nor its answer \
             is in any of the {} of `{target}`",
            plural(tables as u64, "table")
        ))
        .hint(hint)
        .into()
    }
}

/// Only the application can read the store, so that `what` can't be known.
pub(super) fn sealed(mapping: &Mapping, what: &str) -> CliError {
    let why = match &mapping.origin {
        Origin::Preset {
            name,
            unreadable: Some(why),
            ..
        } => format!(" (preset `{name}`: {why})"),
        Origin::Preset { .. } | Origin::Declared | Origin::Detected(_) => String::new(),
    };
    CliError::unreachable(format!(
        "only the application can read the contents of this store{why}, so chatctl cannot know {what}"
    ))
    .hint("chatctl audit restart asks the server for its history instead")
}

/// Both texts, or one of them, were found where nothing distinguishes a message from another.
fn unread(schema: &[Table], places: &Places) -> CliError {
    let told: Vec<_> = [("answer", &places.answer), ("question", &places.question)]
        .into_iter()
        .filter(|(_, hits)| !hits.is_empty())
        .map(|(what, hits)| format!("its {what} in {}", listed(hits)))
        .collect();
    CliError::unreachable(format!(
        "a chat ran and was stored, {}: it is not known which part of that is a message",
        told.join(" and ")
    ))
    .hint(if places.are_apart() {
        "a [[store]] reads one table of messages, and this store has one for the questions and one for the answers: \
         chatctl audit restart asks the server for its history instead"
            .to_owned()
    } else {
        format!(
            "complete this in chatctl.toml (docs/mapping.md has every key):\n{}",
            to_complete(schema, places)
        )
    })
}

/// What to write into `chatctl.toml` instead.
fn suggested(text: &str) -> String {
    format!("correct it in chatctl.toml; this is what was found there:\n{text}")
}

/// Whether a text is in a table that the mapping does not read.
fn is_beside(mapping: &Mapping, hit: &ColumnMatch) -> bool {
    hit.table != mapping.table() && !mapping.reads_any(std::slice::from_ref(hit))
}

/// How a mapping came to be named, in a sentence.
fn declared_as(mapping: &Mapping) -> String {
    match &mapping.origin {
        Origin::Preset { name, .. } => format!("preset `{name}`"),
        Origin::Declared | Origin::Detected(_) => "the [[store]] in chatctl.toml".to_owned(),
    }
}

fn listed(hits: &[ColumnMatch]) -> String {
    let names: Vec<_> = hits
        .iter()
        .map(|hit| format!("`{}.{}`", hit.table, hit.column))
        .collect();
    names.join(", ")
}

/// What is known of the store, as `chatctl.toml` declares one; the dots are to be filled in.
fn to_complete(schema: &[Table], places: &Places) -> String {
    let Some(first) = places.answer.first().or(places.question.first()) else {
        return String::new();
    };
    let table = &first.table;
    let question = places.question.iter().find(|hit| hit.table == *table);
    let content = match (places.answer.first(), question) {
        (Some(answer), Some(question)) if answer.column != question.column => format!(
            "[[store]]\nshape = \"turn\"\n[store.message]\ntable = {table:?}\nprompt = {:?}\nresponse = {:?}\n",
            question.column, answer.column
        ),
        _ => format!(
            "[[store]]\n[store.message]\ntable = {table:?}\nrole = \"…\"\ncontent = {:?}\n",
            first.column
        ),
    };
    let known = schema.iter().find(|known| known.name == *table);
    let parts = known.and_then(|texts| parts_of(schema, texts, &first.column));
    let columns = |table: Option<&Table>| {
        let columns = table.into_iter().flat_map(|table| &table.columns);
        let names: Vec<_> = columns.map(|column| column.name.as_str()).collect();
        names.join(", ")
    };
    let (content, of_messages) = match parts {
        Some((messages, parts)) => (
            parts,
            format!(
                "\n# the columns of {}: {}",
                messages.name,
                columns(Some(messages))
            ),
        ),
        None => (content, String::new()),
    };
    format!(
        "{content}conversation = [\"…\"]\n# the columns of {table}: {}{of_messages}",
        columns(known)
    )
}

/// The table of messages whose texts are in another table, as far as the names of columns show, and
/// how both are declared.
fn parts_of<'s>(schema: &'s [Table], texts: &Table, content: &str) -> Option<(&'s Table, String)> {
    let named = |table: &'s Table, name: &str| {
        let mut columns = table.columns.iter();
        columns.find(|column| column.name.eq_ignore_ascii_case(name))
    };
    let texts = schema.iter().find(|table| table.name == texts.name)?;
    let reference = |table: &Table| {
        let one = table.name.strip_suffix('s').unwrap_or(&table.name);
        let names = [format!("{one}_id"), format!("{one}Id")];
        names.iter().find_map(|name| named(texts, name))
    };
    if named(texts, "role").is_some() {
        return None;
    }
    let found = schema.iter().find_map(|table| {
        let role = named(table, "role").filter(|_| table.name != texts.name)?;
        Some((table, role, reference(table)?))
    });
    let (messages, role, key) = found?;
    let declared = format!(
        "[[store]]\n[store.parts]\ntable = {:?}\nkey = {:?}\norder = \"…\"\ncontent = {content:?}\n\
         [store.message]\ntable = {:?}\nrole = {:?}\n",
        texts.name, key.name, messages.name, role.name
    );
    Some((messages, declared))
}

#[cfg(test)]
mod tests {
    use super::{ColumnMatch, Places, Table, to_complete};
    use crate::model::Column;

    #[test]
    fn one_table_for_questions_and_one_for_answers_are_apart() {
        let apart = |question: &[&str], answer: &[&str]| {
            let hits = |tables: &[&str]| {
                let hits = tables.iter().map(|table| ColumnMatch {
                    table: (*table).to_owned(),
                    column: "body".to_owned(),
                    rows: 1,
                });
                hits.collect()
            };
            let places = Places {
                answer: hits(answer),
                question: hits(question),
            };
            places.are_apart()
        };
        assert!(apart(&["asked"], &["said"]));
        assert!(!apart(&["asked", "log"], &["said", "log"]));
        assert!(!apart(&[], &["said"]) && !apart(&["asked"], &[]));
    }

    #[test]
    fn what_is_to_be_completed_is_toml() {
        let hit = |column: &str| ColumnMatch {
            table: "talk \"x\"".to_owned(),
            column: column.to_owned(),
            rows: 1,
        };
        for (question, part) in [
            (vec![hit("said")], "content = \"said\""),
            (vec![hit("asked")], "prompt = \"asked\""),
            (Vec::new(), "content = \"said\""),
        ] {
            let text = to_complete(
                &[],
                &Places {
                    answer: vec![hit("said")],
                    question,
                },
            );
            assert!(text.contains(part), "{text}");
            let read = toml::from_str::<toml::Table>(&text);
            assert!(read.is_ok(), "{text}: {read:?}");
        }
    }

    #[test]
    fn texts_in_a_table_of_parts_are_parts() {
        let table = |name: &str, columns: &[&str]| Table {
            name: name.to_owned(),
            columns: columns.iter().map(|name| column(name)).collect(),
        };
        let hit = || {
            vec![ColumnMatch {
                table: "parts".to_owned(),
                column: "body".to_owned(),
                rows: 1,
            }]
        };
        let told = |schema: &[Table]| {
            to_complete(
                schema,
                &Places {
                    answer: hit(),
                    question: hit(),
                },
            )
        };
        let messages = table("messages", &["id", "conversation_id", "role"]);
        let parts = table("parts", &["id", "message_id", "idx", "body"]);
        let text = told(&[messages.clone(), parts.clone()]);
        let read: toml::Table = toml::from_str(&text).unwrap();
        let store = &read["store"][0];
        assert_eq!(store["parts"]["table"].as_str(), Some("parts"), "{text}");
        assert_eq!(store["parts"]["key"].as_str(), Some("message_id"), "{text}");
        assert_eq!(
            store["message"]["table"].as_str(),
            Some("messages"),
            "{text}"
        );
        assert!(
            text.contains("# the columns of messages: id, conversation_id, role"),
            "{text}"
        );
        // With a role of their own, or of no table of messages, they are messages.
        let own = table("parts", &["id", "message_id", "role", "body"]);
        let alone = table("parts", &["id", "idx", "body"]);
        for schema in [
            vec![messages.clone(), own],
            vec![messages, alone],
            vec![parts],
        ] {
            assert!(!told(&schema).contains("[store.parts]"));
        }
    }

    fn column(name: &str) -> Column {
        Column {
            name: name.to_owned(),
            declared: "TEXT".to_owned(),
            key: false,
            references: None,
        }
    }
}
