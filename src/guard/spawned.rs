//! The commands that code gives to a shell, to another process, or to a tool's own dispatcher.

use super::commands::{Command, plain};
use super::roles::Role;
use super::source_file::SourceFile;
use regex::Regex;
use std::sync::LazyLock;

/// A call's arguments are at most so long; what follows is of a text without a closing bracket.
const LONGEST: usize = 2000;

static RUNS: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"(?x)
        (?:\b(?: exec(?:File)?(?:Sync|Async)? | execa(?:Sync|Command|CommandSync)? | spawn(?:Sync)?
            | (?:subprocess\.)?(?:run|call|check_call|check_output|Popen)
            | create_subprocess_(?:exec|shell) | os\.(?:system|popen) | system | popen
            | shell_exec | passthru | proc_open | exec\.Command | ProcessBuilder | Process\.Start
            | Artisan::call | Artisan::queue | Rake::Task )
        \s*[(\[] | \B\$\x60)";
    Regex::new(pattern).expect("the pattern is constant")
});

/// The commands of all files with code, wherever it runs.
pub fn collect(files: &[SourceFile]) -> Vec<Command> {
    let files = files.iter().enumerate();
    let code = files.filter(|(_, file)| {
        file.language.is_code() && !matches!(file.role, Role::Test | Role::Migration)
    });
    code.flat_map(|(index, file)| of(index, file)).collect()
}

fn of(index: usize, file: &SourceFile) -> Vec<Command> {
    let found = RUNS.find_iter(file.bare());
    let command = |call: regex::Match<'_>| Command {
        file: index,
        at: call.start(),
        text: plain(&file.code()[call.start()..end(file.bare(), call.end())]).replace('\n', " "),
        development: false,
    };
    found.map(command).collect()
}

/// Where the arguments of a call end; `open` is behind its bracket or backtick.
fn end(bare: &str, open: usize) -> usize {
    let is_template = bare[..open].ends_with('`');
    let mut depth = 1;
    let rest = bare[open..]
        .char_indices()
        .take_while(|(at, _)| *at < LONGEST);
    let mut last = open;
    for (at, char) in rest {
        match char {
            '`' if is_template => depth = 0,
            '(' | '[' if !is_template => depth += 1,
            ')' | ']' if !is_template => depth -= 1,
            _ => {}
        }
        last = open + at + char.len_utf8();
        if depth == 0 {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::super::source_file::SourceFile;
    use super::collect;

    fn commands(path: &str, text: &str) -> Vec<String> {
        let file = SourceFile::new(path.into(), path.into(), text.into()).unwrap();
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        collect(&[file]).iter().map(|it| words(&it.text)).collect()
    }

    #[test]
    fn arguments_of_calls_read_as_command_lines() {
        for (path, text, wanted) in [
            (
                "app.ts",
                "execSync(\"npx prisma migrate reset --force\", { cwd: f(x) }); g();",
                "execSync( npx prisma migrate reset --force { cwd: f(x) })",
            ),
            (
                "app.ts",
                "await $`npx prisma db push`; g();",
                "$ npx prisma db push",
            ),
            (
                "app.py",
                "subprocess.run(\n    [\"alembic\", \"downgrade\", \"base\"],\n    check=True)\ng()",
                "subprocess.run( alembic downgrade base check=True)",
            ),
            (
                "a.php",
                "<?php Artisan::call('migrate:fresh', [1]);",
                "Artisan::call( migrate:fresh 1 )",
            ),
            (
                "a.rb",
                "Rake::Task[\"db:reset\"].invoke",
                "Rake::Task db:reset",
            ),
        ] {
            assert_eq!(commands(path, text), [wanted], "{text}");
        }
    }

    #[test]
    fn texts_comments_and_tests_run_nothing() {
        for (path, text) in [
            (
                "app.py",
                "# subprocess.run(['alembic'])\nx = 'os.system(1)'\nprint('run')",
            ),
            (
                "app.ts",
                "log(`npx prisma migrate reset`); const cost = `$${n}`;",
            ),
            ("tests/conftest.py", "os.system('alembic downgrade base')"),
            ("migrations/env.py", "os.system('alembic downgrade base')"),
        ] {
            assert!(commands(path, text).is_empty(), "{text}");
        }
    }
}
