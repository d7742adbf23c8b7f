//! Compares presets with the existing tables.

use super::presets::Preset;
use super::score::{Reason, Why};
use super::{Candidate, Mapping, Origin, Shape, Source, Store, companions, presets};
use crate::cli_error::CliError;
use crate::db::Target;
use crate::model::Table;
use std::fmt;

/// A preset that fits is worth more than any names.
const PRESET: i32 = 100;

/// A preset whose tables are there, but not every column that its mapping needs: a version of the
/// application that it doesn't know.
#[derive(Debug)]
pub struct Misfit {
    preset: &'static Preset,
    why: String,
    lacks: CliError,
}

impl Misfit {
    /// The preset's stores, to be corrected by hand.
    pub fn toml(&self) -> String {
        presets::toml(self.preset.store.clone())
    }
}

/// In one line, for a note.
impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, lacks) = (self.preset.name, &self.lacks.message);
        write!(
            f,
            "preset {name} has {}, but can't be used: {lacks}",
            self.why
        )
    }
}

/// The presets through which the store can be read.
pub(super) fn fitting(schema: &[Table]) -> Vec<Candidate> {
    held(schema).into_iter().filter_map(Result::ok).collect()
}

/// The mapping of a store whose texts only its application can read. No other preset fits.
pub fn sealed(schema: &[Table]) -> Option<Mapping> {
    let [only] = <[Candidate; 1]>::try_from(fitting(schema)).ok()?;
    (only.mapping.store().shape == Shape::Opaque).then_some(only.mapping)
}

/// The presets that are nearly right.
pub fn misfits(schema: &[Table]) -> Vec<Misfit> {
    held(schema).into_iter().filter_map(Result::err).collect()
}

/// The presets whose tables are there. One that knows more than another stands for both, unless
/// only the other one can be used.
fn held(schema: &[Table]) -> Vec<Result<Candidate, Misfit>> {
    let all: Vec<_> = presets::all()
        .iter()
        .filter_map(|preset| Some((preset, checked(preset, schema)?)))
        .collect();
    let usable = |preset: &Preset| {
        let ours = all.iter().find(|(other, _)| other.name == preset.name);
        ours.is_some_and(|(_, checked)| checked.is_ok())
    };
    let stands = |preset: &Preset| {
        !all.iter().any(|(other, _)| {
            if usable(preset) {
                usable(other) && other.contains(preset)
            } else {
                other.contains(preset) || usable(other) && preset.contains(other)
            }
        })
    };
    let best: Vec<_> = all.iter().map(|(preset, _)| stands(preset)).collect();
    let found = all.into_iter().zip(best).filter(|(_, best)| *best);
    found.map(|((_, checked), _)| checked).collect()
}

/// A preset's mapping, when its tables are there.
fn checked(preset: &'static Preset, schema: &[Table]) -> Option<Result<Candidate, Misfit>> {
    let (found, of) = preset.matches(schema)?;
    let tables: Vec<_> = preset
        .signature
        .keys()
        .map(|name| format!("`{name}`"))
        .collect();
    let why = format!("{found} of {of} columns of {}", tables.join(", "));
    let stores = preset.store.iter().cloned().map(|mut store| {
        if preset.general {
            complete(&mut store, schema);
        }
        store
    });
    let mapping = Mapping::check(stores.collect(), origin(preset, why.clone()), schema);
    Some(match mapping {
        Ok(mapping) => Ok(Candidate {
            mapping,
            score: PRESET,
            why: Why {
                points: None,
                reasons: vec![Reason::of(why)],
                ..Why::default()
            },
        }),
        Err(lacks) => Err(Misfit { preset, why, lacks }),
    })
}

/// Reads the status and the tool calls of the messages, where the mapping names no column for them.
fn complete(store: &mut Store, schema: &[Table]) {
    let message = &mut store.message;
    let name = &message.table;
    let mut tables = schema.iter();
    let Some(table) = tables.find(|table| table.name.eq_ignore_ascii_case(name)) else {
        return;
    };
    let status = companions::status_column(table).map(|column| column.name.clone());
    message.status = message.status.take().or(status);
    let calls = companions::calls_column(table).map(|column| Source::column(&column.name));
    message.tools = message.tools.take().or(calls);
}

pub(super) fn origin(preset: &Preset, why: String) -> Origin {
    Origin::Preset {
        name: preset.name.to_owned(),
        unreadable: preset.unreadable.clone(),
        why,
    }
}

/// What to say when the chats were not found.
pub(super) fn nothing(target: &Target, schema: &[Table]) -> CliError {
    if schema.is_empty() {
        return CliError::unreachable(format!("`{target}` has no tables"))
            .hint("is --database-url the database that the application writes to?");
    }
    let stop = CliError::unreachable(match schema {
        [table] => format!(
            "`{}`, the only table of `{target}`, does not look like messages of a chat",
            table.name
        ),
        tables => format!(
            "none of the {} tables of `{target}` looks like messages of a chat",
            tables.len()
        ),
    });
    match misfits(schema).first() {
        Some(misfit) => stop.hint(format!(
            "{misfit}; `chatctl inspect mapping` prints it, so that you can correct it in chatctl.toml"
        )),
        None => stop.hint(
            "declare them as [[store]] in chatctl.toml; `chatctl inspect schema` lists tables and columns",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{fitting, misfits, sealed};
    use crate::model::{Column, Table};
    use crate::store::presets;

    /// The tables of a preset's signature, but for one column.
    fn schema(name: &str, without: &str) -> Vec<Table> {
        let preset = presets().iter().find(|preset| preset.name == name).unwrap();
        let column = |name: &String| Column {
            name: name.clone(),
            declared: "TEXT".into(),
            key: name == "id",
            references: None,
        };
        let table = |(name, columns): (&String, &Vec<String>)| Table {
            name: name.clone(),
            columns: columns
                .iter()
                .filter(|name| *name != without)
                .map(column)
                .collect(),
        };
        preset.signature.iter().map(table).collect()
    }

    /// Checkpoints are serialized; the items of an agent are JSON, which can be read.
    #[test]
    fn a_store_that_only_its_application_can_read_is_recognized() {
        let checkpoints = schema("langgraph", "");
        let mapping = sealed(&checkpoints).unwrap();
        assert_eq!(mapping.table(), "checkpoints");
        let items = schema("openai-agents", "");
        assert!(sealed(&items).is_none());
        // Next to it is a table that can be read.
        assert!(sealed(&[checkpoints, items].concat()).is_none());
        assert!(sealed(&schema("langgraph", "checkpoint")).is_none());
    }

    /// Forks drop the older table, or never had it.
    #[test]
    fn a_store_is_known_without_the_tables_that_its_product_left_behind() {
        let name = |schema: &[Table]| {
            let found = fitting(schema);
            let [only] = found.as_slice() else {
                panic!("{found:?}");
            };
            let store = only.mapping.store();
            let allows = !store.allow.is_empty();
            (only.mapping.short(), store.table().to_owned(), allows)
        };
        let of = |preset: &str| name(&schema(preset, ""));
        let expected =
            |preset: &str, table: &str| (format!("{preset} (preset)"), table.to_owned(), true);
        assert_eq!(
            of("vercel-chatbot"),
            expected("vercel-chatbot", "Message_v2")
        );
        assert_eq!(
            of("vercel-chatbot-v1"),
            expected("vercel-chatbot-v1", "Message")
        );
        assert_eq!(
            of("vercel-chatbot-v2"),
            expected("vercel-chatbot-v2", "Message_v2")
        );
    }

    #[test]
    fn a_preset_that_lacks_a_column_is_reported() {
        let whole = schema("sqlmodel-chat", "");
        assert_eq!((fitting(&whole).len(), misfits(&whole).len()), (1, 0));
        // What a smaller preset needs is there, so that one is right; a status is read all the same.
        let mut smaller = schema("sqlmodel-chat-small", "");
        for (table, more) in smaller.iter_mut().zip(["title", "status"]) {
            let more = Column {
                name: more.into(),
                ..table.columns[1].clone()
            };
            table.columns.push(more);
        }
        assert_eq!((fitting(&smaller).len(), misfits(&smaller).len()), (1, 0));
        let status = |schema: &[Table]| fitting(schema)[0].mapping.store().message.status.clone();
        assert_eq!(status(&smaller).as_deref(), Some("status"));
        assert_eq!(status(&schema("sqlmodel-chat-small", "")), None);
        let lacking = schema("sqlmodel-chat", "role");
        assert_eq!(fitting(&lacking).len(), 0);
        let misfit = &misfits(&lacking)[0];
        assert!(
            misfit.to_string().contains("no column `role` in table"),
            "{misfit}"
        );
        assert!(misfit.toml().contains("role = \"role\""));
    }
}
