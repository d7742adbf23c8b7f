//! The store in `chatctl.toml`: `[store]` with a preset's name, or `[[store]]`.

use super::declared::Store;
use super::{Mapping, Origin, preset_match, presets};
use crate::cli_error::CliError;
use crate::model::Table;
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use std::fmt;

/// The declared stores; none when the user leaves it to chatctl.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    stores: Vec<Store>,
    /// The file and the line, for an error.
    place: Option<String>,
}

impl From<Vec<Store>> for Declared {
    fn from(stores: Vec<Store>) -> Self {
        Self {
            stores,
            place: None,
        }
    }
}

impl Declared {
    /// The tables that are named; those of a preset are not.
    pub fn tables(&self) -> Vec<String> {
        let named = |store: &Store| {
            let conversation = store.conversation.as_ref().map(|place| place.table.clone());
            let parts = store.parts.as_ref().map(|parts| parts.table.clone());
            [conversation, Some(store.message.table.clone()), parts]
        };
        let tables = self.stores.iter().flat_map(named).flatten();
        tables.filter(|table| !table.is_empty()).collect()
    }

    /// The same, with the place of the declaration.
    #[must_use]
    pub fn at(self, place: String) -> Self {
        Self {
            place: Some(place),
            ..self
        }
    }

    /// The mapping that was declared, with every name checked; nothing when none was.
    pub fn resolve(&self, schema: &[Table]) -> Result<Option<Mapping>, CliError> {
        self.resolved(schema).map_err(|mut error| {
            if let Some(place) = &self.place {
                error.message = format!("{place}: {}", error.message);
            }
            error
        })
    }

    fn resolved(&self, schema: &[Table]) -> Result<Option<Mapping>, CliError> {
        let Some(first) = self.stores.first() else {
            return Ok(None);
        };
        let Some(name) = &first.preset else {
            return Mapping::check(self.stores.clone(), Origin::Declared, schema).map(Some);
        };
        let alone = Store {
            preset: first.preset.clone(),
            ..Store::default()
        };
        if self.stores != [alone] {
            return Err(CliError::usage(format!(
                "preset `{name}` cannot be combined with a declared store"
            ))
            .hint("keep one of them; `chatctl inspect mapping` prints the preset's stores"));
        }
        let all = presets::all();
        let preset = all
            .iter()
            .find(|preset| preset.name == name)
            .ok_or_else(|| {
                let names: Vec<_> = all.iter().map(|preset| preset.name).collect();
                CliError::usage(format!("unknown preset `{name}`"))
                    .hint(format!("one of {}", names.join(", ")))
            })?;
        let origin = preset_match::origin(preset, "named in chatctl.toml".to_owned());
        Mapping::check(preset.store.clone(), origin, schema).map(Some)
    }
}

/// A table is one store, an array of tables are several. By hand, so that an error keeps its place.
impl<'de> Deserialize<'de> for Declared {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Declared;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[store] or [[store]]")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Declared, A::Error> {
                let store = Store::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Declared::from(vec![store]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Declared, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(Declared::from)
            }
        }

        deserializer.deserialize_any(Either)
    }
}
