//! Parses a profile: a separate file, or `[profile]` of a session.

use super::parse_request::scalar;
use super::reader::{Fields, Item, Origin, Place};
use super::validate::{at_most_one, event_path, not_empty};
use crate::source_error::{SourceError, listed, nearest};
use crate::stream::body::Framing;
use crate::stream::declared::{Declared, Mode, Pick, Text, Tool, When};
use crate::stream::marker::{FinalMarker, Sign};
use crate::stream::path::Path;
use serde_json::Value;
use toml::de::{DeTable, DeValue};

const KEYS: &[&str] = &[
    "what",
    "help",
    "framing",
    "text",
    "reasoning",
    "complete",
    "tool",
    "error",
    "sequence",
    "final",
    "rounds",
];
const FILE: Place = Place {
    name: "the profile",
    request: &[],
    keys: KEYS,
};
const SECTION: Place = Place {
    name: "[profile]",
    request: &[],
    keys: KEYS,
};
const TEXT: Place = Place {
    name: "`text`",
    request: &[],
    keys: &[
        "path", "event", "when", "unless", "plain", "mode", "message", "strip",
    ],
};
const REASONING: Place = Place {
    name: "`reasoning`",
    request: &[],
    keys: COMPLETE.keys,
};
const COMPLETE: Place = Place {
    name: "`complete`",
    request: &[],
    keys: &["path", "event", "when", "unless", "plain"],
};
const ERROR: Place = Place {
    name: "`error`",
    request: &[],
    keys: COMPLETE.keys,
};
const TOOL: Place = Place {
    name: "`tool`",
    request: &[],
    keys: &["event", "when", "unless", "index", "name", "arguments"],
};
const FINAL: Place = Place {
    name: "[final]",
    request: &[],
    keys: &["data", "json", "event", "end"],
};
const FINAL_JSON: Place = Place {
    name: "`json` of [final]",
    request: &[],
    keys: &["path", "equals", "unless"],
};
const DELIMITED: Place = Place {
    name: "`framing`",
    request: &[],
    keys: &["delimiter"],
};
const MODES: [(&str, Mode); 4] = [
    ("delta", Mode::Delta),
    ("snapshot", Mode::Snapshot),
    ("whole", Mode::Whole),
    ("fallback", Mode::Fallback),
];

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
    profile(&Fields::open(origin, &FILE, 0, root.get_ref())?, None)
}

/// Reads `[profile]` of a session; without a `final` of its own it has that of the session.
pub(super) fn section(
    item: &Item<'_>,
    of_session: Option<&FinalMarker>,
) -> Result<Declared, SourceError> {
    profile(&item.table(&SECTION)?, of_session)
}

fn profile(fields: &Fields<'_>, fallback: Option<&FinalMarker>) -> Result<Declared, SourceError> {
    let framing = match fields.get("framing") {
        Some(item) => framing_of(&item)?,
        None => Framing::Sse,
    };
    let text = fields.require(
        "text",
        "`text = \"$.delta\"`: where a piece of the answer is",
    )?;
    let texts = rules(&text, &TEXT)?.into_iter().map(|rule| match rule {
        Rule::Path(pick) => Ok(Text {
            pick,
            mode: Mode::Delta,
            message: None,
            strip: String::new(),
        }),
        Rule::Fields(fields) => {
            let mode = match fields.get("mode") {
                Some(item) => one_of(&item, &MODES)?,
                None => Mode::Delta,
            };
            let strip = fields.get("strip").map(|item| not_empty_text(&item));
            Ok(Text {
                pick: pick(&fields)?,
                mode,
                message: path(&fields, "message")?,
                strip: strip.transpose()?.unwrap_or_default(),
            })
        }
    });
    let texts = texts.collect::<Result<_, SourceError>>()?;
    let final_marker = match (fields.get("final"), fallback) {
        (None, Some(marker)) => marker.clone(),
        (Some(_), _) | (None, None) => marker(&fields.require(
            "final",
            "`final = { data = \"[DONE]\" }`, or `end = \"body\"` where no event is final",
        )?)?,
    };
    if let (FinalMarker::Event(_), false, Some(item)) =
        (&final_marker, framing.has_names(), fields.get("final"))
    {
        return Err(item
            .error("only events of `sse`, `prefix-lines` and `socket.io` have names")
            .help("use `json = { path = \"$.type\", equals = \"done\" }`"));
    }
    Ok(Declared {
        framing,
        text: texts,
        reasoning: picks(fields, "reasoning", &REASONING)?,
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
        rounds: match fields.get("rounds") {
            Some(item) => flag(&item)?,
            None => false,
        },
        help: match fields.get("help") {
            Some(item) => Some(not_empty(&item)?.to_owned()),
            None => None,
        },
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
        "json" => FinalMarker::Json(
            tables(&item, &FINAL_JSON)?
                .iter()
                .map(sign)
                .collect::<Result<_, _>>()?,
        ),
        _ => match item.text()? {
            "body" => FinalMarker::End,
            other => {
                let error = item.error(format!("`{other}` is not an end of a stream"));
                return Err(error.help("write `end = \"body\"`"));
            }
        },
    })
}

fn sign(fields: &Fields<'_>) -> Result<Sign, SourceError> {
    Ok(Sign {
        path: event_path(&fields.require("path", "`path = \"$.type\"`")?)?,
        equals: fields.read("equals", values)?,
        unless: path(fields, "unless")?,
    })
}

/// A name, or what the texts end with.
pub(super) fn framing_of(item: &Item<'_>) -> Result<Framing, SourceError> {
    let DeValue::Table(_) = item.value() else {
        return one_of(item, &Framing::NAMED);
    };
    let fields = item.table(&DELIMITED)?;
    let delimiter = fields.require("delimiter", "`delimiter = \"\\u0003\"`")?;
    Ok(Framing::Delimited(not_empty_text(&delimiter)?.into()))
}

/// A text that may be white space.
fn not_empty_text(item: &Item<'_>) -> Result<String, SourceError> {
    match item.text()? {
        "" => Err(item.error(format!("`{}` is empty", item.name))),
        text => Ok(text.to_owned()),
    }
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
            path: Some(event_path(item)?),
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

fn path(fields: &Fields<'_>, key: &str) -> Result<Option<Path>, SourceError> {
    fields.read(key, event_path)
}

/// `event = "token"`, and `when = { "$.type" = "a" }` or a list of values for each path.
fn when(fields: &Fields<'_>) -> Result<When, SourceError> {
    let event = fields.get("event");
    let event = event.map(|item| not_empty(&item).map(str::to_owned));
    let mut json = Vec::new();
    if let Some(item) = fields.get("when") {
        for entry in item.entries()? {
            let path = Path::parse(entry.name).map_err(|error| {
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
    let unless = match fields.get("unless") {
        Some(item) => match item.value() {
            DeValue::Array(_) => item
                .items()?
                .iter()
                .map(event_path)
                .collect::<Result<_, _>>()?,
            _ => vec![event_path(&item)?],
        },
        None => Vec::new(),
    };
    let plain = match fields.get("plain") {
        Some(item) => flag(&item)?,
        None => false,
    };
    Ok(When {
        event: event.transpose()?,
        json,
        unless,
        plain,
    })
}

/// A value, or a list of values of which each will do.
fn values(item: &Item<'_>) -> Result<Vec<Value>, SourceError> {
    match item.value() {
        DeValue::Array(_) => item.items()?.iter().map(scalar).collect(),
        _ => Ok(vec![scalar(item)?]),
    }
}

fn flag(item: &Item<'_>) -> Result<bool, SourceError> {
    match item.value() {
        DeValue::Boolean(flag) => Ok(*flag),
        _ => Err(item.wrong_type("a boolean")),
    }
}

pub(super) fn one_of<T: Clone>(
    item: &Item<'_>,
    words: &[(&'static str, T)],
) -> Result<T, SourceError> {
    let word = item.text()?;
    let known = || words.iter().map(|(name, _)| *name);
    let found = words.iter().find(|(name, _)| *name == word);
    found.map(|(_, value)| value.clone()).ok_or_else(|| {
        let help = match nearest(word, known()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("use one of {}", listed(known())),
        };
        item.error(format!("unknown {} `{word}`", item.name))
            .help(help)
    })
}
