//! Every command that a page, the README, the documentation or a hint gives is one that chatctl takes.

use crate::common::root;
use chatctl::cli::Cli;
use clap::{CommandFactory as _, Parser as _};
use std::fs;
use std::path::{Path, PathBuf};

/// The files of these endings in a folder, or the file itself.
fn files(path: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            files(&entry.unwrap().path(), ending, found);
        }
    } else if path.extension().is_some_and(|its| its == ending) {
        found.push(path.to_owned());
    }
}

/// What is between backticks, and in literals, after `chatctl `.
fn named(text: &str) -> Vec<String> {
    let text = text.replace("\\\"", "'");
    let mut found = Vec::new();
    for (at, _) in text.match_indices("`chatctl ") {
        let rest = &text[at + 1..];
        let end = rest.find('`').unwrap_or(rest.len());
        found.push(rest[..end].split_whitespace().collect::<Vec<_>>().join(" "));
    }
    found
}

/// The lines of code that begin with `chatctl `, with those that go on from them.
fn typed(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_fenced = false;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        is_fenced ^= line.starts_with("```");
        let is_code = is_fenced || line.starts_with("    ");
        let line = line.trim_start().trim_start_matches("$ ");
        if !is_code || !line.starts_with("chatctl ") {
            continue;
        }
        let mut whole = line.to_owned();
        while let Some(begun) = whole.strip_suffix('\\') {
            whole = format!("{begun} {}", lines.next().unwrap_or_default().trim());
        }
        found.push(whole);
    }
    found
}

/// Walks down the sub-commands, and looks for each flag.
fn check(command: &str) -> Result<(), String> {
    let mut root = Cli::command();
    root.build();
    let mut at = &root;
    let mut is_descending = true;
    for word in command.split_whitespace().skip(1) {
        if word == "--" || word == "|" || word == "#" {
            break;
        }
        let word = word.trim_end_matches([',', '.', ':', ';', ')', '\'']);
        if let Some(flag) = word.strip_prefix("--") {
            let name = flag.split('=').next().unwrap_or_default();
            let known = at.get_arguments().any(|argument| {
                argument
                    .get_long_and_visible_aliases()
                    .is_some_and(|longs| longs.contains(&name))
            });
            if !known {
                return Err(format!("`{}` has no --{name}", at.get_name()));
            }
            continue;
        }
        if !is_descending || word.starts_with('-') {
            continue;
        }
        // `show|search` are several.
        for word in word.split('|') {
            match at.find_subcommand(word) {
                Some(next) => at = next,
                None if at.has_subcommands()
                    && word.chars().all(|c| c.is_ascii_lowercase() || c == '-') =>
                {
                    return Err(format!("`{}` has no command `{word}`", at.get_name()));
                }
                None => is_descending = false,
            }
            if command.contains('|') {
                is_descending = false;
                break;
            }
        }
    }
    Ok(())
}

/// Parses a line of a shell up to where the shell's own part begins.
fn parse(line: &str) -> Result<(), String> {
    let words = shlex::split(line).ok_or("its quotes are not closed")?;
    let own = |word: &String| !["|", ">", ">>", "<", "&&", "||", "#", ";"].contains(&word.as_str());
    let words: Vec<_> = words.into_iter().take_while(own).collect();
    Cli::try_parse_from(words)
        .map(drop)
        .or_else(|error| match error.exit_code() {
            0 => Ok(()),
            _ => Err(error.to_string()),
        })
}

#[test]
fn every_command_that_is_advised_is_taken() {
    let mut pages = vec![root().join("README.md")];
    files(&root().join("docs"), "md", &mut pages);
    files(&root().join("src/explain"), "md", &mut pages);
    let mut sources = Vec::new();
    files(&root().join("src"), "rs", &mut sources);
    let mut wrong = Vec::new();
    let (mut parsed, mut looked_at) = (0, 0);
    for path in pages.iter().chain(&sources) {
        let text = fs::read_to_string(path).unwrap();
        let mut tell = |command: &str, why: String| {
            wrong.push(format!("{}: {command}: {why}", path.display()));
        };
        for command in named(&text) {
            looked_at += 1;
            if let Err(why) = check(&command) {
                tell(&command, why);
            }
        }
        if path.extension().is_some_and(|ending| ending == "md") {
            for line in typed(&text) {
                parsed += 1;
                if let Err(why) = parse(&line) {
                    tell(&line, why);
                }
            }
        }
    }
    assert!(parsed > 20 && looked_at > 50, "{parsed}, {looked_at}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
