//! The sessions inside the program: for a server that has the paths of the usual tutorial.

use super::session::{Outside, Session, parse};
use crate::stop::Stop;

const PLAIN: &str = include_str!("../../fixtures/sessions/shipped/plain.toml");
const OPENAI_CHAT: &str = include_str!("../../fixtures/sessions/shipped/openai-chat.toml");

/// The shipped session of a profile.
pub fn session(profile: &str) -> Result<Session, Stop> {
    let (file, text) = match profile {
        "plain" => ("shipped/plain.toml", PLAIN),
        "openai-chat" => ("shipped/openai-chat.toml", OPENAI_CHAT),
        other => {
            return Err(
                Stop::usage(format!("no session is shipped for profile `{other}`"))
                    .hint("name a session file; docs/sessions.md shows how to write one"),
            );
        }
    };
    let outside = Outside {
        profiles: &[],
        read: &|name| Err(format!("a shipped session has no file `{name}`")),
        env: &|_| None,
    };
    Ok(Session {
        shipped: true,
        ..parse(file, text, &outside)?
    })
}

#[cfg(test)]
mod tests {
    use crate::stream::profiles;

    #[test]
    fn every_profile_has_a_session() {
        for profile in profiles::ALL {
            let session = super::session(profile.name).expect("it is shipped");
            assert_eq!(session.profile.as_deref(), Some(profile.name));
        }
    }
}
