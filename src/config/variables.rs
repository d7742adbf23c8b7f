//! Environment variables that look like settings and are none.

use super::SETTINGS;
use crate::text::nearest;

/// How the names of chatctl's variables begin.
const PREFIX: &str = "CHATCTL_";
/// Variables that are no settings: the pager, and the tests' own.
const OTHERS: [&str; 3] = ["CHATCTL_PAGER", "CHATCTL_BLESS", "CHATCTL_SIGNALS"];
/// How the names of the tests' own begin.
const OF_TESTS: &str = "CHATCTL_TEST_";

/// A warning for each variable that begins like a setting's and is none: a misspelt demand would be a pass.
/// `named`: what the command line and the file say, where `env:NAME` names the user's own variables.
pub fn unknown_variables(names: impl Iterator<Item = String>, named: &str) -> Vec<String> {
    let mut unknown: Vec<_> = names.filter(|name| is_unknown(name, named)).collect();
    unknown.sort();
    unknown.iter().map(|name| warning(name)).collect()
}

fn is_unknown(name: &str, named: &str) -> bool {
    let mut known = SETTINGS.iter().map(|setting| setting.env).chain(OTHERS);
    name.starts_with(PREFIX)
        && !name.starts_with(OF_TESTS)
        && !known.any(|known| known == name)
        && !named.contains(&format!("env:{name}"))
}

fn warning(name: &str) -> String {
    let what = name.trim_start_matches(PREFIX);
    let own = |setting: &'static super::Setting| setting.env.strip_prefix(PREFIX);
    if what == "DATABASE_URL" {
        return format!(
            "the environment variable {name} has no effect: the store is set by DATABASE_URL"
        );
    }
    match nearest(what, SETTINGS.iter().filter_map(own)) {
        Some(meant) => {
            format!("the environment variable {name} has no effect: did you mean {PREFIX}{meant}?")
        }
        None => format!(
            "the environment variable {name} has no effect: `chatctl config` lists the settings"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::unknown_variables;

    #[test]
    fn a_misspelt_variable_is_named_with_the_one_that_was_meant() {
        let names = [
            "PATH",
            "CHATCTL_REQUIRE",
            "CHATCTL_REQIRE",
            "CHATCTL_DATABASE_URL",
            "CHATCTL_KEY",
            "CHATCTL_PAGER",
            "CHATCTL_TEST_TRIALS",
            "CHATCTL_QX",
        ];
        let names = names.map(str::to_owned).into_iter();
        let warnings = unknown_variables(names, "chatctl audit snapshot --key env:CHATCTL_KEY");
        let ends = [
            "CHATCTL_DATABASE_URL has no effect: the store is set by DATABASE_URL",
            "CHATCTL_QX has no effect: `chatctl config` lists the settings",
            "CHATCTL_REQIRE has no effect: did you mean CHATCTL_REQUIRE?",
        ];
        assert_eq!(warnings.len(), ends.len(), "{warnings:?}");
        for (warning, end) in warnings.iter().zip(ends) {
            assert!(warning.ends_with(end), "{warning}");
        }
    }
}
