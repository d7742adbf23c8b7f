//! Shipped mappings of known applications: one TOML file and one row each.

use super::declared::Store;
use crate::model::{Engine, Table};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A shipped mapping.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// The name: that of its file.
    #[serde(skip)]
    pub name: &'static str,
    /// The application.
    pub title: String,
    /// Where its tables were read, with the version.
    pub source: String,
    /// What of it can't be read, and why.
    pub unreadable: Option<String>,
    /// The engines on which the texts are in tables that are not read, so that nothing shows that
    /// they are unchanged.
    #[serde(default)]
    pub sealed_on: Vec<Engine>,
    /// Whether it is a usual way to keep chats, and no product: a status and tool calls in such tables are read, too.
    #[serde(default)]
    pub general: bool,
    /// The tables and columns by which it is known.
    pub signature: BTreeMap<String, Vec<String>>,
    /// Where its chats are.
    pub store: Vec<Store>,
}

macro_rules! preset {
    ($name:literal) => {
        ($name, include_str!(concat!("presets/", $name, ".toml")))
    };
}

/// Every preset's name and text.
static FILES: &[(&str, &str)] = &[
    preset!("agno"),
    preset!("agno-v2"),
    preset!("anythingllm"),
    preset!("chainlit"),
    preset!("dify"),
    preset!("flowise"),
    preset!("google-adk"),
    preset!("google-adk-v0"),
    preset!("langchain"),
    preset!("langgraph"),
    preset!("letta"),
    preset!("llm"),
    preset!("llm-threads"),
    preset!("lobechat"),
    preset!("lobechat-v2"),
    preset!("open-webui"),
    preset!("open-webui-blob"),
    preset!("openai-agents"),
    preset!("sqlmodel-chat"),
    preset!("sqlmodel-chat-small"),
    preset!("vercel-chatbot"),
    preset!("vercel-chatbot-v1"),
    preset!("vercel-chatbot-v2"),
];

static ALL: LazyLock<Vec<Preset>> = LazyLock::new(|| {
    let read = |(name, text): &(&'static str, &str)| Preset {
        name,
        ..toml::from_str(text).expect("each shipped preset is read by a test")
    };
    FILES.iter().map(read).collect()
});

/// Every preset.
pub fn all() -> &'static [Preset] {
    &ALL
}

/// Stores as `chatctl.toml` declares them.
pub(super) fn toml(store: Vec<Store>) -> String {
    #[derive(Serialize)]
    struct File {
        store: Vec<Store>,
    }
    toml::to_string(&File { store }).expect("a store has only texts, lists and tables")
}

/// At least so many of a signature's columns must be there, of a hundred.
const ENOUGH: usize = 90;

impl Preset {
    /// How many of the signature's columns the store has, and of how many; nothing when a table
    /// is missing, or too many columns are.
    pub(super) fn matches(&self, schema: &[Table]) -> Option<(usize, usize)> {
        let mut found = 0;
        let mut all = 0;
        for (name, columns) in &self.signature {
            let table = schema
                .iter()
                .find(|table| table.name.eq_ignore_ascii_case(name))?;
            all += columns.len();
            found += columns
                .iter()
                .filter(|column| table.column(column).is_some())
                .count();
        }
        (found * 100 >= all * ENOUGH).then_some((found, all))
    }

    /// Whether it knows all that another one knows, and more.
    pub(super) fn contains(&self, other: &Self) -> bool {
        let columns = |preset: &Self| preset.signature.values().map(Vec::len).sum::<usize>();
        let tables = other
            .signature
            .keys()
            .all(|table| self.signature.contains_key(table));
        tables && columns(self) > columns(other)
    }
}

#[cfg(test)]
mod tests {
    use super::{FILES, all};

    #[test]
    fn each_preset_is_read() {
        assert_eq!(all().len(), FILES.len());
        for preset in all() {
            assert!(
                !preset.store.is_empty() && !preset.signature.is_empty(),
                "{}",
                preset.name
            );
        }
    }
}
