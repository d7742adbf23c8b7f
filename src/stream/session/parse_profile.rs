//! Reads a profile: a file of its own, or `[profile]` of a session.

use super::FinalMarker;
use super::parse_request::scalar;
use super::reader::{Fields, Item, Origin, Place};
use super::validate::{at_most_one, json_path, not_empty};
use crate::source_error::{SourceError, listed, nearest};
use crate::stream::body::Framing;
use crate::stream::declared::{Declared, Mode, Pick, Text, Tool, When};
use serde_json::Value;
use serde_json_path::JsonPath;
use toml::de::{DeTable, DeValue};

const KEYS: &[&str] = &[
    "what", "framing", "text", "complete", "tool", "error", "sequence", "final",
];
const FILE: Place = Place {
    name: "the profile",
    keys: KEYS,
};
const SECTION: Place = Place {
    name: "[profile]",
    keys: KEYS,
};
const TEXT: Place = Place {
    name: "`text`",
    keys: &["path", "event", "when", "mode"],
};
const COMPLETE: Place = Place {
    name: "`complete`",
    keys: &["path", "event", "when"],
};
const ERROR: Place = Place {
    name: "`error`",
    keys: COMPLETE.keys,
};
const TOOL: Place = Place {
    name: "`tool`",
    keys: &["event", "when", "index", "name", "arguments"],
};
const FINAL: Place = Place {
    name: "[final]",
    keys: &["data", "json", "event", "end"],
};
const FINAL_JSON: Place = Place {
    name: "`json` of [final]",
    keys: &["path", "equals"],
};
const MODES: [(&str, Mode); 2] = [("delta", Mode::Delta), ("snapshot", Mode::Snapshot)];

/// Reads and checks the text of a profile file.
///
/// # Errors
/// The first mistake, with its place.
pub fn parse_profile(file: &str, text: &str) -> Result<Declared, SourceError> {
    let origin = Origin { file, text };
    let root = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        origin.error(at, error.message())
    })?;
    profile(&Fields::open(origin, &FILE, 0, root.get_ref())?)
}

/// Reads `[profile]` of a session.
pub(super) fn section(item: &Item<'_>) -> Result<Declared, SourceError> {
    profile(&item.table(&SECTION)?)
}

fn profile(fields: &Fields<'_>) -> Result<Declared, SourceError> {
    let framing = match fields.get("framing") {
        Some(item) => one_of(&item, &Framing::ALL)?,
        None => Framing::Sse,
    };
    let text = fields.require(
        "text",
        "`text = \"$.delta\"`: where a piece of the answer is",
    )?;
    let texts = rules(&text, &TEXT)?.into_iter().map(|rule| match rule {
        Rule::Path(path) => Ok(Text {
            pick: path,
            mode: Mode::Delta,
        }),
        Rule::Fields(fields) => {
            let mode = match fields.get("mode") {
                Some(item) => one_of(&item, &MODES)?,
                None => Mode::Delta,
            };
            let pick = pick(&fields)?;
            Ok(Text { pick, mode })
        }
    });
    let texts = texts.collect::<Result<_, SourceError>>()?;
    let final_marker = fields.require(
        "final",
        "`final = { data = \"[DONE]\" }`, or `end = \"body\"` where no event is final",
    )?;
    let final_marker = marker(&final_marker)?;
    if let (FinalMarker::Event(_), false, Some(item)) =
        (&final_marker, framing == Framing::Sse, fields.get("final"))
    {
        return Err(item
            .error("only events of `sse` have names")
            .help("use `json = { path = \"$.type\", equals = \"done\" }`"));
    }
    Ok(Declared {
        framing,
        text: texts,
        complete: picks(fields, "complete", &COMPLETE)?,
        tools: match fields.get("tool") {
            Some(item) => tables(&item, &TOOL)?
                .iter()
                .map(tool)
                .collect::<Result<_, _>>()?,
            None => Vec::new(),
        },
        error: picks(fields, "error", &ERROR)?,
        sequence: path(fields, "sequence")?,
        final_marker,
    })
}

/// Reads what ends a stream: `final` of a profile or of a session.
pub(super) fn marker(item: &Item<'_>) -> Result<FinalMarker, SourceError> {
    let fields = item.table(&FINAL)?;
    let item = at_most_one(&fields, FINAL.keys)?.ok_or_else(|| {
        fields
            .error("[final] says nothing")
            .help("add one of `data`, `json`, `event`, `end`")
    })?;
    Ok(match item.name {
        "data" => FinalMarker::Data(item.text()?.to_owned()),
        "event" => FinalMarker::Event(not_empty(&item)?.to_owned()),
        "json" => {
            let fields = item.table(&FINAL_JSON)?;
            let path = fields.require("path", "`path = \"$.type\"`")?;
            let equals = fields.require("equals", "`equals = \"done\"`")?;
            FinalMarker::Json {
                path: json_path(&path)?,
                equals: values(&equals)?,
            }
        }
        _ => match item.text()? {
            "body" => FinalMarker::End,
            other => {
                let error = item.error(format!("`{other}` is not an end of a stream"));
                return Err(error.help("write `end = \"body\"`"));
            }
        },
    })
}

/// A rule as it is written: a path alone, or a table.
enum Rule<'a> {
    Path(Pick),
    Fields(Fields<'a>),
}

/// One rule, or a list of them.
fn rules<'a>(item: &Item<'a>, place: &Place) -> Result<Vec<Rule<'a>>, SourceError> {
    let rule = |item: &Item<'a>| match item.value() {
        DeValue::String(text) if text == "data" => Ok(Rule::Path(Pick {
            when: When::default(),
            path: None,
        })),
        DeValue::String(_) => Ok(Rule::Path(Pick {
            when: When::default(),
            path: Some(json_path(item)?),
        })),
        _ => Ok(Rule::Fields(item.table(place)?)),
    };
    match item.value() {
        DeValue::Array(_) => item.items()?.iter().map(rule).collect(),
        _ => Ok(vec![rule(item)?]),
    }
}

fn tables<'a>(item: &Item<'a>, place: &Place) -> Result<Vec<Fields<'a>>, SourceError> {
    match item.value() {
        DeValue::Array(_) => item.items()?.iter().map(|item| item.table(place)).collect(),
        _ => Ok(vec![item.table(place)?]),
    }
}

fn picks(fields: &Fields<'_>, key: &str, place: &Place) -> Result<Vec<Pick>, SourceError> {
    let Some(item) = fields.get(key) else {
        return Ok(Vec::new());
    };
    let picks = rules(&item, place)?.into_iter().map(|rule| match rule {
        Rule::Path(pick) => Ok(pick),
        Rule::Fields(fields) => {
            let pick = pick(&fields)?;
            if pick.path.is_none() && pick.when == When::default() {
                return Err(fields
                    .error(format!("{} applies to every event", fields.place))
                    .help("say which: `event`, `when` or `path`"));
            }
            Ok(pick)
        }
    });
    picks.collect()
}

fn pick(fields: &Fields<'_>) -> Result<Pick, SourceError> {
    Ok(Pick {
        when: when(fields)?,
        path: path(fields, "path")?,
    })
}

fn tool(fields: &Fields<'_>) -> Result<Tool, SourceError> {
    Ok(Tool {
        when: when(fields)?,
        index: path(fields, "index")?,
        name: path(fields, "name")?,
        arguments: path(fields, "arguments")?,
    })
}

fn path(fields: &Fields<'_>, key: &str) -> Result<Option<JsonPath>, SourceError> {
    fields.get(key).map(|item| json_path(&item)).transpose()
}

/// `event = "token"`, and `when = { "$.type" = "a" }` or a list of values for each path.
fn when(fields: &Fields<'_>) -> Result<When, SourceError> {
    let event = fields.get("event");
    let event = event.map(|item| not_empty(&item).map(str::to_owned));
    let mut json = Vec::new();
    if let Some(item) = fields.get("when") {
        for entry in item.entries()? {
            let path = JsonPath::parse(entry.name).map_err(|error| {
                entry
                    .key_error(format!(
                        "`{}` is not a JSONPath: {}",
                        entry.name,
                        error.message()
                    ))
                    .help("a condition looks like `when = { \"$.type\" = \"token\" }`")
            })?;
            json.push((path, values(&entry)?));
        }
    }
    Ok(When {
        event: event.transpose()?,
        json,
    })
}

/// A value, or a list of values of which each will do.
fn values(item: &Item<'_>) -> Result<Vec<Value>, SourceError> {
    match item.value() {
        DeValue::Array(_) => item.items()?.iter().map(scalar).collect(),
        _ => Ok(vec![scalar(item)?]),
    }
}

fn one_of<T: Copy>(item: &Item<'_>, words: &[(&'static str, T)]) -> Result<T, SourceError> {
    let word = item.text()?;
    let known = || words.iter().map(|(name, _)| *name);
    let found = words.iter().find(|(name, _)| *name == word);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let help = match nearest(word, known()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("use one of {}", listed(known())),
        };
        item.error(format!("unknown {} `{word}`", item.name))
            .help(help)
    })
}
