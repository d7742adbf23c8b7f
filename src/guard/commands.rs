//! The commands that run when an application starts or is deployed. Those in its code are in `spawned`.

use super::language::Language;
use super::roles::Role;
use super::source_file::SourceFile;
use regex::Regex;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// One line of a start script, a Dockerfile, a compose file, or a script of package.json; or a call in code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The index of its file.
    pub file: usize,
    /// Where its text starts in the file.
    pub at: usize,
    /// The text, with quotes, commas and square brackets as blanks: an argument list in JSON
    /// reads as a command line.
    pub text: String,
    /// It runs on developers' machines only (`npm run dev`).
    pub development: bool,
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is constant")
}

static SCRIPT: LazyLock<Regex> =
    LazyLock::new(|| regex(r#""((?:[^"\\]|\\.)*)"\s*:\s*"((?:[^"\\]|\\.)*)""#));
static START: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?x)^(pre|post)?(start|serve|build|install|deploy|release)$
        | ^(start|serve|deploy|release|docker|railway|render|heroku|vercel|fly)[:\-][\w:\-]+$
        | ^(heroku-(pre|post)build|gcp-build|vercel-build|now-build|railway-build)$",
    )
});
static DEVELOPMENT: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(^|[:\-])(pre|post)?(dev|develop|development|local|watch)\b"));
static RUNS: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"\b(?:npm|pnpm|yarn|bun)\s+(?:run(?:-script)?\s+)?([\w:.\-]+)|\b(?:npm-run-all|run-s|run-p)\s+([\w:.\-]+)",
    )
});

/// One script of a package.json.
struct Script {
    name: String,
    command: Command,
}

/// Collects the commands, and promotes the scripts that they run to start-up files.
pub fn collect(files: &mut [SourceFile]) -> Vec<Command> {
    let mut commands = Vec::new();
    // A start script names a further script, which names a further one.
    loop {
        commands.clear();
        let mut scripts = Vec::new();
        for (index, file) in files.iter().enumerate() {
            if file.role != Role::Startup {
                continue;
            }
            match file.language {
                Language::Json if file.name() == "package.json" => {
                    scripts.extend(package_scripts(index, file));
                }
                Language::Hash | Language::Yaml | Language::Json => {
                    commands.extend(lines(index, file));
                }
                _ => {}
            }
        }
        follow(&mut commands, scripts);
        if !promote(files, &commands) {
            return commands;
        }
    }
}

/// The lines of a script, with continued lines joined.
fn lines(index: usize, file: &SourceFile) -> Vec<Command> {
    let joined = file.code().replace("\\\n", "  ");
    let mut at = 0;
    let mut out = Vec::new();
    for line in joined.split_inclusive('\n') {
        if !line.trim().is_empty() {
            out.push(Command {
                file: index,
                at,
                text: plain(line.trim_end()),
                development: is_development(&file.relative),
            });
        }
        at += line.len();
    }
    out
}

fn is_development(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    let parts: BTreeSet<_> = name.split(['.', '-', '_']).collect();
    ["dev", "develop", "development", "local", "override"]
        .iter()
        .any(|word| parts.contains(word))
}

/// Quotes, commas and square brackets as blanks; the length stays.
pub(super) fn plain(text: &str) -> String {
    text.replace(['"', '\'', ',', '[', ']', '`'], " ")
}

fn package_scripts(index: usize, file: &SourceFile) -> Vec<Script> {
    let Some(start) = file.text.find("\"scripts\"") else {
        return Vec::new();
    };
    let end = file.text[start..]
        .find('}')
        .map_or(file.text.len(), |len| start + len);
    SCRIPT
        .captures_iter(&file.text[start..end])
        .map(|found| {
            let command = found.get(2).expect("the pattern has two groups");
            Script {
                name: found[1].to_owned(),
                command: Command {
                    file: index,
                    at: start + command.start(),
                    text: plain(&command.as_str().replace('\\', " ")),
                    development: false,
                },
            }
        })
        .collect()
}

/// Takes in the scripts of package.json that run at start, and those which these run.
fn follow(commands: &mut Vec<Command>, scripts: Vec<Script>) {
    let mut waiting = scripts;
    for script in &mut waiting {
        script.command.development = DEVELOPMENT.is_match(&script.name);
    }
    loop {
        let called: Vec<(String, bool)> = commands
            .iter()
            .flat_map(|command| {
                RUNS.captures_iter(&command.text).filter_map(|found| {
                    let name = found.get(1).or_else(|| found.get(2))?;
                    Some((name.as_str().to_owned(), command.development))
                })
            })
            .collect();
        let (taken, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|script| {
            START.is_match(&script.name)
                || (script.command.development && !script.name.contains("db"))
                || called.iter().any(|(name, _)| is_called(name, &script.name))
        });
        waiting = rest;
        if taken.is_empty() {
            return;
        }
        for mut script in taken {
            let calls: Vec<_> = called
                .iter()
                .filter(|(name, _)| is_called(name, &script.name))
                .collect();
            let started = START.is_match(&script.name) && !script.command.development;
            script.command.development = !started
                && (script.command.development
                    || (!calls.is_empty() && calls.iter().all(|(_, dev)| *dev)));
            commands.push(script.command);
        }
    }
}

/// `npm run start` also runs `prestart` and `poststart`.
fn is_called(called: &str, script: &str) -> bool {
    let hook = script
        .strip_prefix("pre")
        .or_else(|| script.strip_prefix("post"));
    called == script || hook == Some(called)
}

/// Makes start-up files of the scripts that a command names; true when there was one.
fn promote(files: &mut [SourceFile], commands: &[Command]) -> bool {
    let mut promoted = false;
    for file in files.iter_mut() {
        let shell = file.language == Language::Hash && file.role != Role::Config;
        let script = file.role == Role::Seed || (file.role == Role::Application && shell);
        if script && commands.iter().any(|command| names(&command.text, file)) {
            file.role = Role::Startup;
            promoted = true;
        }
    }
    promoted
}

/// Whether a command runs that file.
pub fn names(command: &str, file: &SourceFile) -> bool {
    let word = |word: &str| {
        command.match_indices(word).any(|(at, _)| {
            let before = command[..at].chars().next_back();
            let after = command[at + word.len()..].chars().next();
            let inside =
                |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '-');
            !inside(before)
                && !inside(after)
                && !command.trim_start().starts_with("COPY")
                && !command.trim_start().starts_with("ADD")
        })
    };
    let stem = file
        .name()
        .rsplit_once('.')
        .map_or(file.name(), |(stem, _)| stem);
    let dotted = file.relative.trim_end_matches(".py").replace('/', ".");
    let module = command.contains("-m ") && word(&dotted);
    let managed = file.relative.contains("management/commands/")
        && command.contains("manage.py")
        && word(stem);
    let seeded = (command.contains("db:seed") && file.relative.contains("db/seeds"))
        || (command.contains("prisma db seed") && file.relative.contains("prisma/seed"));
    (file.name() != "__init__.py" && word(file.name())) || module || managed || seeded
}

#[cfg(test)]
mod tests {
    use super::super::source_file::SourceFile;
    use super::collect;

    fn commands(files: &[(&str, &str)]) -> Vec<(String, bool)> {
        let mut files: Vec<_> = files
            .iter()
            .map(|(path, text)| {
                SourceFile::new((*path).into(), (*path).into(), (*text).into()).unwrap()
            })
            .collect();
        collect(&mut files)
            .into_iter()
            .map(|command| (command.text.trim().to_owned(), command.development))
            .collect()
    }

    #[test]
    fn only_scripts_that_a_start_reaches_are_commands() {
        let package = r#"{"scripts": {"start": "npm run push && node .", "push": "a", "db:reset": "b", "dev": "c"}}"#;
        let found = commands(&[("package.json", package)]);
        let wanted = [("npm run push && node .", false), ("c", true), ("a", false)];
        let wanted: Vec<_> = wanted.iter().map(|(a, b)| ((*a).to_owned(), *b)).collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_script_that_is_started_is_read_and_others_are_not() {
        let found = commands(&[
            ("Dockerfile", "# c\nCMD [\"sh\", \"tools/up.sh\"]\n"),
            ("tools/up.sh", "one \\\n  two\n"),
            ("tools/down.sh", "three\n"),
        ]);
        assert_eq!(found.len(), 2);
        assert!(found[1].0.starts_with("one") && found[1].0.ends_with("two"));
    }
}
