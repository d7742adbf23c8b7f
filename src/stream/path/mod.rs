//! A JSONPath that is followed for each event of a stream.
//!
//! The library builds a list of nodes at each step. Most paths of profiles have a simple form, which
//! is read once into steps; these are followed without a list. Any other form goes to the library,
//! and a test compares both on generated documents.

mod syntax;

use super::json::{Document, Json, Names};
use serde_json::{Number, Value};
use serde_json_path::{JsonPath, ParseError};
use std::fmt;
use std::ops::ControlFlow::{self, Break, Continue};

/// A path (RFC 9535).
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    library: JsonPath,
    /// None for a form that only the library knows.
    steps: Option<Vec<Step>>,
    /// Without these names in a document it selects nothing.
    needs: Names,
}

/// A segment of a path.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    /// The field of this name.
    Name(String),
    /// The item at this place; from the end where it is negative.
    Index(i64),
    /// Every item, or every field.
    All,
    /// What these select, one after the other.
    Each(Vec<Step>),
    /// Items or fields for which this holds.
    Where(Test),
    /// What the step selects in the value, and in every value below it.
    Below(Box<Step>),
}

/// The condition of a filter.
#[derive(Debug, Clone, PartialEq)]
enum Test {
    All(Vec<Test>),
    Any(Vec<Test>),
    Not(Box<Test>),
    /// The query selects something.
    Exists(Query),
    /// Both sides are the same, or both are nothing.
    Equal(Operand, Operand),
}

#[derive(Debug, Clone, PartialEq)]
struct Query {
    start: Start,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// `$`
    Root,
    /// `@`
    Current,
}

#[derive(Debug, Clone, PartialEq)]
enum Operand {
    Literal(Value),
    /// Selects at most one value.
    Query(Query),
}

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// If it is no JSONPath.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let library = JsonPath::parse(text)?;
        let steps = syntax::steps(text);
        Ok(Self {
            library,
            needs: needs(steps.as_deref().unwrap_or_default()),
            steps,
        })
    }

    /// Gives each value that it selects to `each`, until that breaks off.
    fn each(&self, document: &Document<'_>, each: &mut dyn FnMut(&Json<'_>) -> ControlFlow<()>) {
        if !document.may_have(self.needs) {
            return;
        }
        if let Some(steps) = &self.steps {
            let root = document.root();
            let _ = follow(steps, root, root, each);
            return;
        }
        for found in self.library.query(document.value()) {
            if each(&Json::of(found)).is_break() {
                return;
            }
        }
    }

    /// Whether it selects a value for which this holds.
    pub fn any(&self, document: &Document<'_>, mut holds: impl FnMut(&Json<'_>) -> bool) -> bool {
        let mut found = false;
        self.each(document, &mut |json| {
            found = holds(json);
            if found { Break(()) } else { Continue(()) }
        });
        found
    }

    /// Whether it selects nothing.
    pub fn is_empty(&self, document: &Document<'_>) -> bool {
        !self.any(document, |_| true)
    }

    /// Gives each value that it selects to `each`.
    pub fn for_each(&self, document: &Document<'_>, mut each: impl FnMut(&Json<'_>)) {
        self.each(document, &mut |json| {
            each(json);
            Continue(())
        });
    }

    /// The first value that it selects, as a text; there is none in `null`.
    pub fn first_said(&self, document: &Document<'_>) -> Option<String> {
        let mut first = None;
        self.any(document, |json| {
            first = json.said();
            true
        });
        first
    }

    /// The integer that it selects, if it selects only that.
    pub fn integer(&self, document: &Document<'_>) -> Option<i64> {
        let (mut integer, mut count) = (None, 0);
        self.for_each(document, |json| {
            integer = json.as_i64();
            count += 1;
        });
        integer.filter(|_| count == 1)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.library.fmt(f)
    }
}

/// Gives what the steps select to `each`: the values of a step one after the other, each followed to
/// its end, which is the library's order too.
fn follow<'j>(
    steps: &[Step],
    mut json: &'j Json<'j>,
    root: &'j Json<'j>,
    each: &mut dyn FnMut(&'j Json<'j>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    for (place, step) in steps.iter().enumerate() {
        if step.is_singular() {
            match one(step, json) {
                Some(found) => json = found,
                None => return Continue(()),
            }
        } else {
            let rest = &steps[place + 1..];
            return select(step, json, root, &mut |found| {
                follow(rest, found, root, each)
            });
        }
    }
    each(json)
}

fn select<'j>(
    step: &Step,
    json: &'j Json<'j>,
    root: &'j Json<'j>,
    each: &mut dyn FnMut(&'j Json<'j>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    match step {
        Step::Name(_) | Step::Index(_) => one(step, json).map_or(Continue(()), each),
        Step::All => children(json, each),
        Step::Each(steps) => {
            for step in steps {
                select(step, json, root, each)?;
            }
            Continue(())
        }
        Step::Where(test) => children(json, &mut |child| {
            if test.holds(child, root) {
                each(child)
            } else {
                Continue(())
            }
        }),
        Step::Below(inner) => {
            select(inner, json, root, each)?;
            children(json, &mut |child| select(step, child, root, each))
        }
    }
}

fn children<'j>(
    json: &'j Json<'j>,
    each: &mut dyn FnMut(&'j Json<'j>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    match json {
        Json::List(items) => items.iter().try_for_each(each),
        Json::Object(fields) => fields.iter().map(|(_, value)| value).try_for_each(each),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) => Continue(()),
    }
}

/// What a step selects that selects at most one value.
fn one<'j>(step: &Step, json: &'j Json<'j>) -> Option<&'j Json<'j>> {
    match step {
        Step::Name(name) => json.get(name),
        Step::Index(index) => {
            let items = json.items();
            let place = usize::try_from(index.unsigned_abs()).ok()?;
            let place = if *index < 0 {
                items.len().checked_sub(place)?
            } else {
                place
            };
            items.get(place)
        }
        Step::All | Step::Each(_) | Step::Where(_) | Step::Below(_) => None,
    }
}

/// The names without which steps select nothing.
fn needs(steps: &[Step]) -> Names {
    let all = steps.iter().map(Step::needs);
    all.fold(Names::default(), Names::and)
}

impl Step {
    fn needs(&self) -> Names {
        match self {
            Self::Name(name) => Names::of(name),
            Self::Index(_) | Self::All => Names::default(),
            Self::Each(steps) => {
                let all = steps.iter().map(Self::needs);
                all.reduce(Names::common).unwrap_or_default()
            }
            Self::Where(test) => test.needs(),
            Self::Below(step) => step.needs(),
        }
    }

    const fn is_singular(&self) -> bool {
        matches!(self, Self::Name(_) | Self::Index(_))
    }
}

impl Test {
    /// The names without which it holds for nothing.
    fn needs(&self) -> Names {
        match self {
            Self::All(tests) => {
                let all = tests.iter().map(Self::needs);
                all.fold(Names::default(), Names::and)
            }
            Self::Any(tests) => {
                let all = tests.iter().map(Self::needs);
                all.reduce(Names::common).unwrap_or_default()
            }
            Self::Exists(query) => needs(&query.steps),
            // What is not there differs from every literal.
            Self::Equal(Operand::Query(query), Operand::Literal(_))
            | Self::Equal(Operand::Literal(_), Operand::Query(query)) => needs(&query.steps),
            Self::Not(_) | Self::Equal(..) => Names::default(),
        }
    }

    fn holds<'j>(&self, json: &'j Json<'j>, root: &'j Json<'j>) -> bool {
        match self {
            Self::All(tests) => tests.iter().all(|test| test.holds(json, root)),
            Self::Any(tests) => tests.iter().any(|test| test.holds(json, root)),
            Self::Not(test) => !test.holds(json, root),
            Self::Exists(query) => query.first(json, root).is_some(),
            Self::Equal(left, right) => left.value(json, root).is_equal(right.value(json, root)),
        }
    }
}

impl Query {
    fn first<'j>(&self, json: &'j Json<'j>, root: &'j Json<'j>) -> Option<&'j Json<'j>> {
        let start = match self.start {
            Start::Root => root,
            Start::Current => json,
        };
        let mut first = None;
        let _ = follow(&self.steps, start, root, &mut |found| {
            first = Some(found);
            Break(())
        });
        first
    }
}

/// A side of a comparison.
#[derive(Clone, Copy)]
enum Side<'j> {
    Nothing,
    Null,
    Bool(bool),
    Number(&'j Number),
    Text(&'j str),
    /// A list or an object.
    Deep(&'j Json<'j>),
}

impl Operand {
    fn value<'j>(&'j self, json: &'j Json<'j>, root: &'j Json<'j>) -> Side<'j> {
        match self {
            Self::Literal(Value::Bool(flag)) => Side::Bool(*flag),
            Self::Literal(Value::Number(number)) => Side::Number(number),
            Self::Literal(Value::String(text)) => Side::Text(text),
            // No other literal is one of JSONPath.
            Self::Literal(Value::Null | Value::Array(_) | Value::Object(_)) => Side::Null,
            Self::Query(query) => match query.first(json, root) {
                None => Side::Nothing,
                Some(Json::Null) => Side::Null,
                Some(Json::Bool(flag)) => Side::Bool(*flag),
                Some(Json::Number(number)) => Side::Number(number),
                Some(Json::Text(text)) => Side::Text(text),
                Some(deep @ (Json::List(_) | Json::Object(_))) => Side::Deep(deep),
            },
        }
    }
}

impl Side<'_> {
    fn is_equal(self, other: Side<'_>) -> bool {
        match (self, other) {
            (Side::Nothing, Side::Nothing) | (Side::Null, Side::Null) => true,
            (Side::Bool(one), Side::Bool(other)) => one == other,
            (Side::Number(one), Side::Number(other)) => one.as_f64() == other.as_f64(),
            (Side::Text(one), Side::Text(other)) => one == other,
            (Side::Deep(one), Side::Deep(other)) => one == other,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
