//! What is said where a version may not be settled as asked.

use crate::cli_error::CliError;
use crate::migrate::journal::Standing;
use crate::migrate::plan;
use crate::migrate::plan::State;
use crate::migrate::source::{Migration, Version};

/// Refuses to run again what is applied already.
pub(super) fn would_run_twice(
    version: &Version,
    standing: Option<Standing>,
) -> Result<(), CliError> {
    let Some(standing) = standing else {
        return Ok(());
    };
    let done = standing.done.len() as u64;
    let what = match (done, standing.in_flight) {
        (0, None) => return Ok(()),
        (0, Some((number, _))) => format!(
            "statement {number} of `{version}` was running when chatctl stopped, and may be applied: `--as \
                retry` would run it again"
        ),
        (1, _) => {
            format!("1 statement of `{version}` is applied: `--as retry` would run it again")
        }
        (done, _) => format!(
            "{done} statements of `{version}` are applied: `--as retry` would run them again"
        ),
    };
    Err(CliError::refused(what).hint(format!(
        "resume it: `chatctl migrate`; or undo the applied part by hand, then: `chatctl migrate resolve \
            {version} --as retry --force`"
    )))
}

pub(super) fn skips(to: &Version, skipped: &[&Migration]) -> CliError {
    let (first, last) = (&skipped[0].version, &skipped[skipped.len() - 1].version);
    let list = plan::listed(skipped.iter().map(|file| &file.version));
    CliError::refused(format!(
        "`baseline {to}` would record files as applied that were not run here: {list}"
    ))
    .hint(format!(
        "run them: `chatctl migrate up --to {last}`; or, if the changes were made by hand, record one version \
            after the other as applied: `chatctl migrate baseline {first}`"
    ))
}

pub(super) fn not_missing(version: &Version, state: Option<State>) -> CliError {
    let is = state.map_or("not applied", State::name);
    let stop = CliError::refused(match state {
        Some(State::Dirty) => format!(
            "version `{version}` is {is}, and only an applied one can be removed from the history"
        ),
        _ => format!("version `{version}` is {is}, and its file is not missing"),
    });
    match state {
        Some(State::Newer) => stop.hint("use the release that contains its file"),
        _ => stop.hint("`chatctl migrate status` shows every version"),
    }
}
