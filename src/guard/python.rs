//! A tolerant reading of Python: logical lines, imports, classes, functions.
//!
//! It goes by lines and indentation, which is how people and formatters write Python. What it
//! does not understand it passes over.

use super::blank::Blanked;
use super::functions::Function;
use regex::Regex;
use std::ops::Range;
use std::sync::LazyLock;

/// What a module says at its surface.
#[derive(Debug, Clone, Default)]
pub struct Module {
    /// Every import, also those inside functions.
    pub imports: Vec<Import>,
    /// Every class.
    pub classes: Vec<Class>,
    /// Names that are assigned at module level, with the right side: `Base = declarative_base()`.
    pub assignments: Vec<(String, String)>,
    /// Modules are loaded by name at run time (`importlib`, `pkgutil`), which nobody can follow.
    pub dynamic: bool,
}

/// `import a.b` or `from a.b import c, d`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// `a.b`, without the dots of a relative import.
    pub module: String,
    /// The number of leading dots.
    pub level: usize,
    /// The imported names with the names they get here; empty for `import a.b`.
    pub names: Vec<(String, String)>,
    /// The name of `import a.b as c`.
    pub alias: Option<String>,
    /// Where it is.
    pub at: usize,
    /// It is in a function, and runs only when that runs.
    pub in_function: bool,
    /// It is under `if TYPE_CHECKING` and never runs.
    pub typing_only: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    pub name: String,
    /// The base classes as written: `SQLModel`, `db.Model`.
    pub bases: Vec<String>,
    /// Keywords of the head: `("table", "True")`.
    pub keywords: Vec<(String, String)>,
    /// Where its head is.
    pub at: usize,
    /// Its text.
    pub body: Range<usize>,
}

/// A line after brackets and backslashes are joined.
#[derive(Debug, Clone)]
pub struct Line {
    /// From the first character that is not a blank to the end.
    pub span: Range<usize>,
    /// Columns of blanks before it.
    pub indent: usize,
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is constant")
}

static IMPORT: LazyLock<Regex> =
    LazyLock::new(|| regex(r"^import\s+([\w.]+)(?:\s+as\s+(\w+))?(.*)$"));
static FROM: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?s)^from\s+(\.*)\s*([\w.]*)\s+import\s+(.*)$"));
static CLASS: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(?s)^class\s+(\w+)\s*(?:\[[^\]]*\])?\s*(?:\((.*)\))?\s*:"));
static DEF: LazyLock<Regex> = LazyLock::new(|| regex(r"^(?:async\s+)?def\s+(\w+)"));
static ASSIGN: LazyLock<Regex> = LazyLock::new(|| regex(r"(?s)^(\w+)\s*(?::[^=]+)?=([^=].*)$"));
static DYNAMIC: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"\b(import_module|__import__|iter_modules|walk_packages|exec_module|autodiscover\w*)\s*\(",
    )
});

/// Joins the lines of a text without comments and strings.
pub fn lines(bare: &str) -> Vec<Line> {
    let mut out: Vec<Line> = Vec::new();
    let mut depth = 0_i32;
    let mut continued = false;
    let mut at = 0;
    for raw in bare.split_inclusive('\n') {
        let text = raw.trim_end();
        let blanks = text.len() - text.trim_start().len();
        let span = at + blanks..at + text.len();
        at += raw.len();
        if text.trim().is_empty() {
            continue;
        }
        // A line that starts a statement in the first column closes brackets that were misread.
        let statement = blanks == 0
            && ["def ", "class ", "from ", "import ", "@"]
                .iter()
                .any(|word| text.starts_with(word));
        if statement {
            depth = 0;
        }
        match out.last_mut() {
            Some(last) if depth > 0 || continued => last.span.end = span.end,
            _ => out.push(Line {
                indent: indent(&text[..blanks]),
                span,
            }),
        }
        for byte in text.bytes() {
            match byte {
                b'(' | b'[' | b'{' => depth += 1,
                b')' | b']' | b'}' => depth = (depth - 1).max(0),
                _ => {}
            }
        }
        continued = text.ends_with('\\');
    }
    out
}

fn indent(blanks: &str) -> usize {
    blanks.bytes().map(|b| if b == b'\t' { 8 } else { 1 }).sum()
}

pub fn read(text: &Blanked) -> Module {
    let lines = lines(&text.bare);
    let mut module = Module {
        dynamic: DYNAMIC.is_match(&text.bare),
        ..Module::default()
    };
    // The indentation of an `if TYPE_CHECKING:` that is open.
    let mut typing: Option<usize> = None;
    // The indentation of the outermost `def` that is open.
    let mut function: Option<usize> = None;
    for (index, line) in lines.iter().enumerate() {
        let code = &text.bare[line.span.clone()];
        if typing.is_some_and(|indent| line.indent <= indent) {
            typing = None;
        }
        if function.is_some_and(|indent| line.indent <= indent) {
            function = None;
        }
        if function.is_none() && DEF.is_match(code) {
            function = Some(line.indent);
        }
        if code.starts_with("if ") && code.contains("TYPE_CHECKING") && !code.contains("not ") {
            typing = Some(line.indent);
        }
        for mut import in imports(code) {
            import.at = line.span.start;
            import.in_function = function.is_some();
            import.typing_only = typing.is_some();
            module.imports.push(import);
        }
        if let Some(found) = CLASS.captures(code) {
            let (bases, keywords) = arguments(found.get(2).map_or("", |head| head.as_str()));
            module.classes.push(Class {
                name: found[1].to_owned(),
                bases,
                keywords,
                at: line.span.start,
                body: block(&lines, index),
            });
        }
        if line.indent == 0
            && let Some(found) = ASSIGN.captures(code)
        {
            let right = found[2].trim().to_owned();
            module.assignments.push((found[1].to_owned(), right));
        }
    }
    module
}

/// The functions of a module, in order.
pub fn functions(text: &Blanked) -> Vec<Function> {
    let lines = lines(&text.bare);
    let mut out = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some(found) = DEF.captures(&text.bare[line.span.clone()]) else {
            continue;
        };
        let decorators: Vec<&str> = lines[..index]
            .iter()
            .rev()
            .map(|line| &text.code[line.span.clone()])
            .take_while(|line| line.starts_with('@'))
            .collect();
        out.push(Function {
            name: found[1].to_owned(),
            head: line.span.clone(),
            body: block(&lines, index),
            marks: decorators.join("\n"),
        });
    }
    out
}

/// The conditions that are around a place, the innermost first, up to the function's head.
pub fn conditions(text: &Blanked, lines: &[Line], at: usize) -> Vec<String> {
    let Some(context) = lines.iter().rposition(|line| line.span.start <= at) else {
        return Vec::new();
    };
    let mut out = Vec::new();
    let mut indent = lines[context].indent;
    // `if RESET: drop_all()` on one line.
    let own = &text.code[lines[context].span.clone()];
    if own.starts_with("if ") {
        out.push(own.trim_end_matches(':').to_owned());
    }
    for line in lines[..context].iter().rev() {
        if line.indent >= indent {
            continue;
        }
        indent = line.indent;
        let code = &text.code[line.span.clone()];
        if DEF.is_match(code) {
            break;
        }
        let condition = ["if ", "elif ", "else:", "match ", "case ", "except"]
            .iter()
            .any(|word| code.starts_with(word));
        if condition && !code.contains("__name__") {
            let code: Vec<_> = code.split_whitespace().collect();
            out.push(code.join(" ").trim_end_matches(':').to_owned());
        }
    }
    out
}

/// The lines that belong to the head at `index`: all that follow and stand further in.
fn block(lines: &[Line], index: usize) -> Range<usize> {
    let head = &lines[index];
    let end = lines[index + 1..]
        .iter()
        .take_while(|line| line.indent > head.indent)
        .last()
        .map_or(head.span.end, |line| line.span.end);
    head.span.end..end
}

fn imports(code: &str) -> Vec<Import> {
    let plain = |module: &str, alias: Option<&str>| Import {
        module: module.to_owned(),
        level: 0,
        names: Vec::new(),
        alias: alias.map(str::to_owned),
        at: 0,
        in_function: false,
        typing_only: false,
    };
    if let Some(found) = FROM.captures(code) {
        let names = found[3]
            .trim_matches(|c: char| c == '(' || c == ')' || c.is_whitespace())
            .split(',')
            .filter_map(|name| {
                let mut words = name.trim_matches(['(', ')', '\\']).split_whitespace();
                let name = words.next()?;
                let alias = words.last().unwrap_or(name);
                Some((name.to_owned(), alias.to_owned()))
            })
            .collect();
        return vec![Import {
            level: found[1].len(),
            names,
            ..plain(&found[2], None)
        }];
    }
    let Some(found) = IMPORT.captures(code) else {
        return Vec::new();
    };
    let mut out = vec![plain(&found[1], found.get(2).map(|alias| alias.as_str()))];
    for more in found[3].split(',').skip(1) {
        let mut words = more.split_whitespace();
        if let Some(name) = words.next() {
            out.push(plain(name, words.nth(1)));
        }
    }
    out
}

/// The arguments of a class head: names, and `key=value` pairs.
fn arguments(head: &str) -> (Vec<String>, Vec<(String, String)>) {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for c in head.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().expect("it starts with one part").push(c);
    }
    let mut bases = Vec::new();
    let mut keywords = Vec::new();
    for part in parts {
        match part.split_once('=') {
            Some((key, value)) => keywords.push((key.trim().to_owned(), value.trim().to_owned())),
            None if part.trim().is_empty() => {}
            // `Base[int]` is a `Base`.
            None => bases.push(part.split('[').next().unwrap_or_default().trim().to_owned()),
        }
    }
    (bases, keywords)
}

#[cfg(test)]
mod tests {
    use super::super::blank::blank;
    use super::super::language::Language;
    use super::{conditions, functions, lines, read};

    const TEXT: &str = "\
from typing import TYPE_CHECKING
from . import base as b, other
if TYPE_CHECKING:
    from a.b import C
import x.y as z, w

@app.on_event(\"startup\")
async def start(
    a: int,
):
    from .models import (
        User,  # one
        Task as T,
    )
    if a:
        go()

class Task(Base[int], Mixin, table=True):
    x = 1

Base = declarative_base()
";

    #[test]
    fn imports_classes_and_functions_are_read() {
        let text = blank(TEXT, Language::Python);
        let module = read(&text);
        let names: Vec<_> = module.imports.iter().map(|i| i.module.as_str()).collect();
        assert_eq!(names, ["typing", "", "a.b", "x.y", "w", "models"]);
        assert_eq!(module.imports[1].names[0].1, "b");
        assert!(module.imports[2].typing_only);
        assert_eq!(module.imports[3].alias.as_deref(), Some("z"));
        assert_eq!(module.imports[5].names[1], ("Task".into(), "T".into()));
        assert!(module.imports[5].in_function);
        assert_eq!(module.classes[0].bases, ["Base", "Mixin"]);
        assert_eq!(module.classes[0].keywords[0].0, "table");
        assert_eq!(module.assignments[0].0, "Base");

        let found = functions(&text);
        assert_eq!(found.len(), 1);
        assert!(found[0].marks.contains("startup"));
        let at = TEXT.find("go()").unwrap();
        assert!(found[0].body.contains(&at));
        assert_eq!(conditions(&text, &lines(&text.bare), at), ["if a"]);
    }
}
