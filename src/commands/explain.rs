//! `chatctl explain`: what a finding means.

use super::Done;
use crate::cli_error::CliError;
use crate::explain;
use crate::gateway::faults;
use crate::gateway::faults::Fault;
use crate::lint::squawk;

/// Explain a finding: what it means, what causes it and how to fix it; or what a provider fault does
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The code of a finding, or the name of a provider fault [default: list all codes]
    code: Option<String>,
}

/// Runs it.
pub fn run(args: &Args) -> anyhow::Result<Done> {
    let Some(code) = &args.code else {
        let width = explain::ALL
            .iter()
            .map(|page| page.code.len())
            .max()
            .unwrap_or(0);
        let list = explain::ALL
            .iter()
            .map(|page| format!("{:width$}  {}\n", page.code, page.summary()));
        return Ok(Done::Text(list.collect()));
    };
    if let Some(rule) = code.strip_prefix("squawk/") {
        return of_squawk(code, rule);
    }
    match (explain::page(code), faults::named(code)) {
        (Some(page), _) => Ok(Done::Text(page.text.to_owned())),
        (None, Some(fault)) => Ok(Done::Text(of_fault(fault))),
        (None, None) => {
            let near = explain::nearest(code);
            let hint = near.map_or_else(
                || "`chatctl explain` lists all codes".to_owned(),
                |near| format!("did you mean `chatctl explain {near}`?"),
            );
            Err(CliError::usage(format!("no finding has the code `{code}`"))
                .hint(hint)
                .into())
        }
    }
}

/// As wide as a page.
const WIDTH: usize = 80;

/// The page of a provider fault, from its row.
fn of_fault(fault: &Fault) -> String {
    let name = fault.name;
    let mut what = fault.what.to_owned();
    what[..1].make_ascii_uppercase();
    let parts = [
        format!("{what}."),
        String::new(),
        "## What it breaks".to_owned(),
        filled(fault.breaks),
        String::new(),
        "## How to play it".to_owned(),
        format!("    chatctl verify-stream --provider-fault {name} ..."),
        String::new(),
        filled(
            "`+` combines several faults. Either the store has what the provider sent, or the \
             user sees an error. docs/provider-faults.md has the table, and the findings.",
        ),
        String::new(),
    ];
    parts.join("\n")
}

/// A text in lines that fit a page.
fn filled(text: &str) -> String {
    let mut filled = String::new();
    let mut width = 0;
    for word in text.split_whitespace() {
        let wide = word.chars().count();
        if width > 0 {
            let fits = width + 1 + wide <= WIDTH;
            filled.push(if fits { ' ' } else { '\n' });
            width = if fits { width + 1 } else { 0 };
        }
        filled.push_str(word);
        width += wide;
    }
    filled
}

/// The page of the family, and where squawk itself explains the rule.
fn of_squawk(code: &str, rule: &str) -> anyhow::Result<Done> {
    let page = explain::page(squawk::FAMILY).filter(|_| squawk::is_code(code));
    match page {
        Some(page) => Ok(Done::Text(format!(
            "{}\nThe page of this rule: https://squawkhq.com/docs/{rule}\n",
            page.text
        ))),
        None => Err(CliError::usage(format!("no finding has the code `{code}`"))
            .hint("https://squawkhq.com/docs/rules lists the rules of squawk")
            .into()),
    }
}
