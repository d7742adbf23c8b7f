//! `chatctl explain`: what a finding means.

use super::Done;
use crate::cli_error::CliError;
use crate::explain;
use crate::lint::squawk;

/// Explain a finding: what it means, what causes it and how to fix it
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The code of a finding [default: list all codes]
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
    match explain::page(code) {
        Some(page) => Ok(Done::Text(page.text.to_owned())),
        None => {
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
