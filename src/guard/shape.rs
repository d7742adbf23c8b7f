//! The structure of a file, whatever its language.

use super::blank::Blanked;
use super::functions::{Block, Function, around, braces, one_line, ruby};
use super::language::Language;
use super::python;
use super::python::Line;

/// How a file is built: read once, asked often.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    /// Python's logical lines.
    lines: Vec<Line>,
    /// What is in braces.
    blocks: Vec<Block>,
    /// Every function, outer before inner.
    pub functions: Vec<Function>,
}

impl Shape {
    /// Reads the functions and the blocks of a file.
    pub fn of(text: &Blanked, language: Language) -> Self {
        let python = language == Language::Python;
        let braces_matter = language.is_code() && !python && language != Language::Ruby;
        let mut shape = Self {
            functions: functions(text, language),
            ..Self::default()
        };
        if python {
            shape.lines = python::lines(&text.bare);
        }
        if braces_matter {
            shape.blocks = braces(text);
        }
        shape
    }

    /// The conditions under which a place runs inside its function, the innermost first.
    pub fn conditions(&self, text: &Blanked, language: Language, at: usize) -> Vec<String> {
        match language {
            Language::Python => python::conditions(text, &self.lines, at),
            _ if language.is_code() => {
                let mut out = one_line(text, at);
                out.extend(around(text, &self.blocks, at));
                out
            }
            _ => Vec::new(),
        }
    }
}

/// Every function of a file, outer before inner.
fn functions(text: &Blanked, language: Language) -> Vec<Function> {
    match language {
        Language::Python => python::functions(text),
        Language::Ruby => ruby(text),
        _ if language.is_code() => braces(text)
            .into_iter()
            .filter_map(|block| block.function(text))
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::blank::blank;
    use super::super::language::Language;
    use super::{Shape, functions};

    fn names(text: &str, language: Language) -> Vec<String> {
        let read = blank(text, language);
        functions(&read, language)
            .into_iter()
            .map(|function| function.name)
            .collect()
    }

    #[test]
    fn functions_of_many_languages_are_named() {
        let js = "async function a() {}\nconst b = async (x) => { if (x) { y() } }\n\
            class C { async d(x: number): Promise<void> { } async \"d-e\"(b = {}) { } }\napp.listen(1, async () => { e(); })\n";
        assert_eq!(
            names(js, Language::JavaScript),
            ["a", "b", "d", "\"   \"", "&app.listen"]
        );
        let go = "func main() {\n\tx := T{a: 1}\n}\nfunc (s *Store) Open(p string) error {\n}\n";
        assert_eq!(names(go, Language::Go), ["main", "Open"]);
        let rust = "pub async fn init(pool: &Pool) -> Result<(), E> {\n}\n";
        assert_eq!(names(rust, Language::Rust), ["init"]);
        let java = "class A {\n  @PostConstruct\n  public void init() throws E {\n  }\n}\n";
        assert_eq!(names(java, Language::Jvm), ["init"]);
        let ruby = "def a\n  b if c\nend\n";
        assert_eq!(names(ruby, Language::Ruby), ["a"]);
    }

    #[test]
    fn conditions_are_seen() {
        let text = "function a() {\n  if (env.RESET) {\n    drop();\n  }\n  if (x) go();\n}\n";
        let read = blank(text, Language::JavaScript);
        let shape = Shape::of(&read, Language::JavaScript);
        let conditions = |at| shape.conditions(&read, Language::JavaScript, at);
        let at = text.find("drop").unwrap();
        assert_eq!(conditions(at), ["if (env.RESET)"]);
        let at = text.find("go()").unwrap();
        assert_eq!(conditions(at), ["if (x)"]);
    }
}
