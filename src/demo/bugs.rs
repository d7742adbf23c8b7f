//! The bugs that the demo server can have.

/// When and what the server saves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Save {
    /// Before the final marker; a failed save ends the stream with an error.
    Before,
    /// After the final marker, in the generator that a hang-up cancels: the incident.
    After,
    /// In a task that nobody waits for.
    InBackground,
    /// Not at all.
    Never,
    /// Before the final marker, without the last piece.
    Truncated,
    /// Before the final marker, which comes also when the save fails.
    Swallowed,
}

/// A row of the table.
#[derive(Debug)]
pub struct Bug {
    /// What `demo --bug` takes.
    pub name: &'static str,
    /// What is wrong, in a few words.
    pub what: &'static str,
    /// What the server does.
    pub save: Save,
}

const fn bug(name: &'static str, what: &'static str, save: Save) -> Bug {
    Bug { name, what, save }
}

/// Every bug.
pub static ALL: &[Bug] = &[
    bug(
        "saved-after-done",
        "saves after `[DONE]`, in the generator (the incident)",
        Save::After,
    ),
    bug(
        "saved-in-background",
        "saves in a task that nobody waits for",
        Save::InBackground,
    ),
    bug("never-saved", "does not save", Save::Never),
    bug("truncated", "saves without the last piece", Save::Truncated),
    bug(
        "swallowed",
        "sends `[DONE]` also when the save fails",
        Save::Swallowed,
    ),
];

pub fn named(name: &str) -> Option<&'static Bug> {
    ALL.iter().find(|bug| bug.name == name)
}
