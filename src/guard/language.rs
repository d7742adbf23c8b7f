//! The language of a file, by its name.

/// A language, or a family whose comments and strings look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    Python,
    /// JavaScript and TypeScript in all their endings.
    JavaScript,
    /// Ruby, also rake files.
    Ruby,
    /// Java, Kotlin, Groovy, Scala.
    Jvm,
    Go,
    Rust,
    Php,
    /// C#.
    CSharp,
    /// SQL of any dialect.
    Sql,
    /// Shell scripts, Dockerfiles, Procfiles, environment and properties files, TOML, INI.
    Hash,
    Yaml,
    Json,
    Xml,
}

impl Language {
    /// The language of a file; none when it is of no interest (prose, pictures, style sheets).
    pub fn of(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
        if name.ends_with(".min.js") || name.ends_with(".d.ts") || name.ends_with(".lock") {
            return None;
        }
        let hash = ["dockerfile", "containerfile", "procfile", ".env"];
        if hash.iter().any(|start| name.starts_with(start)) {
            return Some(Self::Hash);
        }
        if name == "rakefile" || name == "config.ru" {
            return Some(Self::Ruby);
        }
        let Some((_, ending)) = name.rsplit_once('.') else {
            // Start scripts of Heroku, Rails and Docker have no ending: bin/docker-entrypoint.
            return path
                .split('/')
                .rev()
                .nth(1)
                .is_some_and(|folder| folder == "bin")
                .then_some(Self::Hash);
        };
        Some(match ending {
            "py" => Self::Python,
            "js" | "cjs" | "mjs" | "jsx" | "ts" | "cts" | "mts" | "tsx" => Self::JavaScript,
            "rb" | "rake" => Self::Ruby,
            "java" | "kt" | "kts" | "groovy" | "scala" => Self::Jvm,
            "go" => Self::Go,
            "rs" => Self::Rust,
            "php" => Self::Php,
            "cs" => Self::CSharp,
            "sql" => Self::Sql,
            "sh" | "bash" | "zsh" | "env" | "properties" | "toml" | "ini" | "cfg" | "conf"
            | "dockerfile" => Self::Hash,
            "yml" | "yaml" => Self::Yaml,
            "json" | "json5" | "jsonc" => Self::Json,
            "xml" => Self::Xml,
            _ => return None,
        })
    }

    /// Languages in which an application is written, as against its configuration.
    pub fn is_code(self) -> bool {
        self < Self::Sql
    }
}

#[cfg(test)]
mod tests {
    use super::Language;

    #[test]
    fn a_name_shows_the_language() {
        assert_eq!(Language::of("a/database.py"), Some(Language::Python));
        assert_eq!(Language::of("Dockerfile.prod"), Some(Language::Hash));
        assert_eq!(Language::of("bin/docker-entrypoint"), Some(Language::Hash));
        assert_eq!(Language::of("README.md"), None);
        assert_eq!(Language::of("a/types.d.ts"), None);
        assert_eq!(Language::of("LICENSE"), None);
    }
}
