//! Reads the usual forms of a path into steps. A form that is not read here is the library's.

use super::{Operand, Query, Start, Step, Test};
use serde_json::{Number, Value};

/// The steps of a path that the library has accepted; none for a form that only the library knows:
/// slices, functions, comparisons by order, names and texts with escapes.
pub(super) fn steps(path: &str) -> Option<Vec<Step>> {
    let mut reader = Reader {
        rest: path.strip_prefix('$')?,
    };
    let steps = reader.steps()?;
    reader.rest.is_empty().then_some(steps)
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn takes(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// What comes up to the first character for which this does not hold.
    fn while_is(&mut self, holds: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !holds(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// Segments, up to anything else.
    fn steps(&mut self) -> Option<Vec<Step>> {
        let mut steps = Vec::new();
        loop {
            if self.takes("..") {
                let inner = if self.takes("[") {
                    self.bracket()?
                } else {
                    self.dotted()?
                };
                steps.push(Step::Below(Box::new(inner)));
            } else if self.takes(".") {
                steps.push(self.dotted()?);
            } else if self.takes("[") {
                steps.push(self.bracket()?);
            } else {
                return Some(steps);
            }
        }
    }

    fn dotted(&mut self) -> Option<Step> {
        if self.takes("*") {
            return Some(Step::All);
        }
        let name = self.while_is(|c| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii());
        (!name.is_empty()).then(|| Step::Name(name.to_owned()))
    }

    /// What follows `[`, with the `]`.
    fn bracket(&mut self) -> Option<Step> {
        let mut steps = Vec::new();
        loop {
            self.blanks();
            steps.push(self.selector()?);
            self.blanks();
            if self.takes("]") {
                break;
            }
            if !self.takes(",") {
                return None;
            }
        }
        match steps.len() {
            1 => steps.pop(),
            _ => Some(Step::Each(steps)),
        }
    }

    fn selector(&mut self) -> Option<Step> {
        if self.takes("*") {
            return Some(Step::All);
        }
        if self.takes("?") {
            self.blanks();
            return self.any_of().map(Step::Where);
        }
        if let Some(name) = self.quoted() {
            return Some(Step::Name(name));
        }
        let digits = self.while_is(|c| c.is_ascii_digit() || c == '-');
        digits.parse().ok().map(Step::Index)
    }

    /// A text in quotes, without escapes.
    fn quoted(&mut self) -> Option<String> {
        let quote = self.rest.chars().next().filter(|c| "'\"".contains(*c))?;
        let (text, rest) = self.rest[1..].split_once(quote)?;
        if text.contains('\\') {
            return None;
        }
        self.rest = rest;
        Some(text.to_owned())
    }

    fn any_of(&mut self) -> Option<Test> {
        let mut tests = vec![self.all_of()?];
        self.blanks();
        while self.takes("||") {
            self.blanks();
            tests.push(self.all_of()?);
            self.blanks();
        }
        single_or(tests, Test::Any)
    }

    fn all_of(&mut self) -> Option<Test> {
        let mut tests = vec![self.basic()?];
        self.blanks();
        while self.takes("&&") {
            self.blanks();
            tests.push(self.basic()?);
            self.blanks();
        }
        single_or(tests, Test::All)
    }

    fn basic(&mut self) -> Option<Test> {
        if self.takes("!") {
            self.blanks();
            // `!` binds a query or what is in parentheses, never a comparison.
            let test = if self.rest.starts_with('(') {
                self.basic()?
            } else {
                Test::Exists(self.query()?)
            };
            return Some(Test::Not(Box::new(test)));
        }
        if self.takes("(") {
            self.blanks();
            let test = self.any_of()?;
            self.blanks();
            return self.takes(")").then_some(test);
        }
        let left = self.operand()?;
        self.blanks();
        if self.takes("==") {
            self.blanks();
            return Some(Test::Equal(left, self.operand()?));
        }
        if self.takes("!=") {
            self.blanks();
            let equal = Test::Equal(left, self.operand()?);
            return Some(Test::Not(Box::new(equal)));
        }
        match left {
            Operand::Query(query) => Some(Test::Exists(query)),
            Operand::Literal(_) => None,
        }
    }

    fn operand(&mut self) -> Option<Operand> {
        if self.rest.starts_with(['$', '@']) {
            return self.query().map(Operand::Query);
        }
        if let Some(text) = self.quoted() {
            return Some(Operand::Literal(text.into()));
        }
        let word = self.while_is(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        let value = match word {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" => Value::Null,
            number => Value::Number(number.parse::<Number>().ok()?),
        };
        Some(Operand::Literal(value))
    }

    fn query(&mut self) -> Option<Query> {
        let start = if self.takes("$") {
            Start::Root
        } else if self.takes("@") {
            Start::Current
        } else {
            return None;
        };
        let steps = self.steps()?;
        Some(Query { start, steps })
    }
}

fn single_or(mut tests: Vec<Test>, join: fn(Vec<Test>) -> Test) -> Option<Test> {
    match tests.len() {
        1 => tests.pop(),
        _ => Some(join(tests)),
    }
}
