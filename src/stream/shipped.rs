//! The shipped sessions, for a server with the paths of the usual tutorial.

use super::profiles::Profile;
use super::session::{Outside, Session, parse};
use crate::cli_error::CliError;

const TEXT: &str = include_str!("../../fixtures/sessions/shipped/plain.toml");

pub fn session(profile: &Profile) -> Result<Session, CliError> {
    let file = format!("shipped/{}.toml", profile.name);
    let text = TEXT.replace("\"plain\"", &format!("\"{}\"", profile.name));
    let outside = Outside {
        profiles: &[],
        read: &|name| Err(format!("a shipped session has no file `{name}`")),
        env: &|_| None,
    };
    Ok(Session {
        shipped: true,
        ..parse(&file, &text, &outside)?
    })
}

#[cfg(test)]
mod tests {
    use crate::stream::profiles;

    #[test]
    fn every_profile_has_a_session() {
        for profile in profiles::ALL {
            let session = super::session(profile).expect("it is shipped");
            assert_eq!(session.profile.as_deref(), Some(profile.name));
        }
    }
}
