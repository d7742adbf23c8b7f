//! The table of settings: key, environment variable, default.

/// A row of the table of settings.
pub struct Setting {
    /// The key in `chatctl.toml`, and the flag's name.
    pub key: &'static str,
    /// The environment variable.
    pub env: &'static str,
    /// The default, when there is one.
    pub default: Option<&'static str>,
    /// What it is, in a few words.
    pub what: &'static str,
    /// What a value of it looks like in the file.
    pub(super) takes: Takes,
}

/// The values that a key of the file takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Text,
    /// A whole number, which may be in quotes.
    Number,
    /// One text, or a list of them.
    List,
    /// A text, or `[[start]]` entries.
    Command,
}

impl Setting {
    /// The same for values that are no text.
    const fn takes(self, takes: Takes) -> Self {
        Self { takes, ..self }
    }
}

const fn setting(
    key: &'static str,
    env: &'static str,
    default: Option<&'static str>,
    what: &'static str,
) -> Setting {
    Setting {
        key,
        env,
        default,
        what,
        takes: Takes::Text,
    }
}

/// Every setting that a file or the environment may give.
pub static SETTINGS: &[Setting] = &[
    setting(
        "database-url",
        "DATABASE_URL",
        None,
        "the store of the server under test",
    ),
    setting(
        "sessions",
        "CHATCTL_SESSIONS",
        None,
        "session files or folders, separated by `,`",
    )
    .takes(Takes::List),
    setting(
        "server",
        "CHATCTL_SERVER",
        None,
        "the URL of a server that is already running",
    ),
    setting(
        "start",
        "CHATCTL_START",
        None,
        "the command that starts the server",
    )
    .takes(Takes::Command),
    setting(
        "ready",
        "CHATCTL_READY",
        None,
        "the path, URL, port or output line by which the server counts as ready",
    ),
    setting(
        "ready-timeout",
        "CHATCTL_READY_TIMEOUT",
        Some("30s"),
        "how long the server may take to become ready",
    ),
    setting(
        "gateway",
        "CHATCTL_GATEWAY",
        None,
        "where chatctl plays the provider",
    ),
    setting(
        "profile",
        "CHATCTL_PROFILE",
        None,
        "the wire format for sessions that do not name one",
    ),
    setting(
        "origin",
        "CHATCTL_ORIGIN",
        None,
        "the origin of the page that chatctl imitates",
    ),
    setting(
        "suite",
        "CHATCTL_SUITE",
        Some("quick"),
        "which cases verify-stream runs",
    ),
    setting(
        "sweep-every",
        "CHATCTL_SWEEP_EVERY",
        None,
        "at which events of an answer the sweep interrupts it",
    )
    .takes(Takes::Number),
    setting(
        "concurrency",
        "CHATCTL_CONCURRENCY",
        None,
        "in how many conversations turns are sent at the same time",
    )
    .takes(Takes::Number),
    setting(
        "watch",
        "CHATCTL_WATCH",
        Some("1s"),
        "how long rows are watched after their turns",
    ),
    setting(
        "proof",
        "CHATCTL_PROOF",
        Some("auto"),
        "which checks verify-stream runs",
    ),
    setting(
        "require",
        "CHATCTL_REQUIRE",
        Some("held"),
        "which verdicts of verify-stream pass",
    ),
    setting(
        "fault",
        "CHATCTL_FAULT",
        None,
        "faults of the commit that carries the answer, separated by `,`",
    )
    .takes(Takes::List),
    setting(
        "provider-fault",
        "CHATCTL_PROVIDER_FAULT",
        None,
        "faults of the provider, separated by `,`",
    )
    .takes(Takes::List),
    setting("gate", "CHATCTL_GATE", None, "the gate to use"),
    setting(
        "database-listen",
        "CHATCTL_DATABASE_LISTEN",
        None,
        "where the server connects instead of its database",
    ),
    setting(
        "gate-control",
        "CHATCTL_GATE_CONTROL",
        None,
        "the control address of the `chatctl gate` that the server connects through",
    ),
    setting(
        "read-from",
        "CHATCTL_READ_FROM",
        None,
        "where verify-stream reads the store",
    ),
    setting(
        "trials",
        "CHATCTL_TRIALS",
        Some("5"),
        "how many trials must be decided",
    )
    .takes(Takes::Number),
    setting(
        "hold",
        "CHATCTL_HOLD",
        Some("auto"),
        "how long the gate stays closed",
    ),
    setting("max-hold", "CHATCTL_MAX_HOLD", None, "the longest hold"),
    setting(
        "settle",
        "CHATCTL_SETTLE",
        Some("2s"),
        "how long to wait for a late row",
    ),
    setting(
        "response-timeout",
        "CHATCTL_RESPONSE_TIMEOUT",
        Some("15s"),
        "how long a response may take",
    ),
    setting(
        "backup-dir",
        "CHATCTL_BACKUP_DIR",
        None,
        "where migrate puts backups",
    ),
    setting(
        "keep-backups",
        "CHATCTL_KEEP_BACKUPS",
        Some("5"),
        "how many backups of a database migrate keeps; 0 keeps all",
    )
    .takes(Takes::Number),
    setting(
        "format",
        "CHATCTL_FORMAT",
        Some("human"),
        "the output format",
    ),
];
