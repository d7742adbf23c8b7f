//! The stage of a session: what is known about the server while its cases run.

use super::learnt::Learnt;
use super::live::RowToRecheck;
use super::reading::{Reading, UnknownEnd};
use super::times::Times;
use super::{Options, World};
use crate::clock;
use crate::clock::Tick;
use crate::gateway::providers::Provider;
use crate::report::{Case, Finding, Report, Verdict};
use crate::store::{ColumnMatch, Links, Mapping};
use crate::stream::body::Framing;
use crate::stream::judge;
use crate::stream::judge::tool_calls_differ::Habit;
use crate::stream::judge::{Drafts, MarkerBasis, Observed};
use crate::stream::kept::Ending;
use crate::stream::marker::FinalMarker;
use crate::stream::own_words::OwnWords;
use crate::stream::profiles::Profile;
use crate::stream::session::{Follows, Request, Session};
use std::collections::BTreeMap;
use std::time::Duration;

/// As many late saves as the slowest one that was seen are waited for.
const TIMES_THE_LAG: u32 = 3;

/// One session under way.
pub struct Stage<'a> {
    pub(super) world: &'a mut World,
    pub(super) session: &'a Session,
    pub(super) profile: &'static Profile,
    pub(super) marker: FinalMarker,
    /// Whose word the marker is.
    pub(super) marker_basis: MarkerBasis,
    /// How a response ended in which nobody saw the marker.
    pub(super) unknown_end: Option<UnknownEnd>,
    /// Why the history was not read, where the session says wrongly how to.
    pub(super) misread: Option<String>,
    /// Whether the profile reads the answer's text.
    pub(super) reading: Reading,
    /// What the server shows with each answer of the first turn.
    pub(super) own_words: OwnWords,
    pub(super) options: &'a Options,
    pub(super) rng: fastrand::Rng,
    /// Known from the first chat on.
    pub(super) mapping: Option<Mapping>,
    /// Where else than in the table of messages the answer of the first chat was.
    pub(super) copied_to: Vec<ColumnMatch>,
    /// The table that puts messages into conversations, where theirs does not; known after calibration.
    pub(super) links: Vec<Links>,
    /// What the status column says of a finished answer; known after calibration.
    pub(super) finished: Option<Option<String>>,
    /// Conversation keys of the store, and the key that the server gave out for each.
    pub(super) keys: BTreeMap<String, String>,
    /// Rows that are checked again at the end.
    pub(super) kept: Vec<RowToRecheck>,
    /// What the store says of whole answers.
    pub(super) endings: Vec<Ending>,
    /// Whether the store keeps answers as they are said.
    pub(super) is_verbatim: bool,
    /// What the chats without a gate showed of every message; nothing before their end.
    pub(super) learnt: Learnt,
    /// What a new conversation has before anything is said in it.
    pub(super) preface: Vec<String>,
    /// What tells parts of an answer from the whole one.
    pub(super) drafts: Drafts,
    /// What they kept of the tools of each turn, by its number.
    pub(super) tools: BTreeMap<usize, Habit>,
    /// Whether all answers in the history of the first chat have a role that is known for an assistant's.
    pub(super) names_assistant: bool,
    /// Codes of what was wrong in them.
    pub(super) wrong_codes: Vec<&'static str>,
    /// The same of a next turn, which stayed so for all of the time that a late save gets.
    pub(super) stays_wrong: Vec<&'static str>,
    /// The provider that the server asks; known from the first chat on.
    pub(super) provider: Option<&'static Provider>,
    /// Whether it asks its provider for a stream; known from the first chat on.
    pub(super) asks_for_streams: bool,
    /// How long the slowest turn took from the request to the end of the response.
    pub(super) slowest_turn: Duration,
    /// When the session began.
    pub(super) began: Tick,
    /// How long things took.
    pub(super) times: Times,
    /// Which profile an answer showed whose final marker nobody saw.
    pub(super) detected: Option<Finding>,
    /// For each trial whether nothing came before the answer's end, and then several pieces.
    pub(super) buffered: Vec<bool>,
    /// Whether there is a history, and the session reads it rightly.
    pub(super) reloads_at_final: bool,
    /// Whether a chat went while a newer one stayed.
    pub(super) empties_chats: bool,
    /// Whether the history is one chat for all conversations.
    pub(super) shares_history: bool,
    /// Whether it showed an answer whose row was not complete: then it may be kept in another place.
    pub(super) is_elsewhere: bool,
}

impl<'a> Stage<'a> {
    /// Before its first chat.
    pub fn new(
        world: &'a mut World,
        session: &'a Session,
        profile: &'static Profile,
        options: &'a Options,
    ) -> Self {
        Self {
            world,
            session,
            profile,
            marker: session
                .final_marker
                .clone()
                .unwrap_or_else(|| profile.marker()),
            marker_basis: if session.detects && session.final_marker.is_none() {
                MarkerBasis::Assumed
            } else {
                MarkerBasis::Declared
            },
            unknown_end: None,
            misread: None,
            reading: Reading::Unknown,
            own_words: OwnWords::default(),
            options,
            rng: fastrand::Rng::with_seed(options.seed),
            mapping: None,
            copied_to: Vec::new(),
            links: Vec::new(),
            finished: None,
            keys: BTreeMap::new(),
            kept: Vec::new(),
            endings: Vec::new(),
            is_verbatim: true,
            learnt: Learnt::default(),
            preface: Vec::new(),
            drafts: Drafts::default(),
            tools: BTreeMap::new(),
            names_assistant: false,
            wrong_codes: Vec::new(),
            stays_wrong: Vec::new(),
            provider: None,
            asks_for_streams: true,
            slowest_turn: Duration::ZERO,
            began: clock::now(),
            times: Times::default(),
            detected: None,
            buffered: Vec::new(),
            reloads_at_final: session.history.is_some(),
            shares_history: false,
            empties_chats: false,
            is_elsewhere: false,
        }
    }

    /// An empty account of what this session left behind.
    pub fn observed(&self) -> Observed {
        Observed {
            session: self.session.name.clone(),
            marker: self.marker.to_string(),
            final_marker: Some(self.marker.clone()),
            marker_basis: self.marker_basis,
            profile: self.profile.name,
            framing: match &self.session.stream {
                // Each state of the answer is a JSON text.
                Some(follow) if matches!(follow.how, Follows::Polls(_)) => Framing::Ndjson,
                Some(_) | None => self.framing(&self.session.request),
            },
            table: self
                .mapping
                .as_ref()
                .map(|mapping| mapping.table().to_owned()),
            shares_history: self.shares_history,
            preface: self.preface.clone(),
            drafts: self.drafts.clone(),
            ..Observed::default()
        }
    }

    /// Whether a case of the suites `full` and `sweep` is one to play.
    pub(super) fn plays(&self, name: &str) -> bool {
        let wanted = &self.options.cases;
        let is_wanted = wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()));
        is_wanted && self.is_chosen(name)
    }

    /// Whether a case is one of those that are named, and of this share.
    pub(super) fn is_chosen(&self, name: &str) -> bool {
        self.options.choice.holds(&self.session.name, name)
    }

    /// How the answer to a turn that is sent by this request is cut into events.
    pub(super) fn framing(&self, sends: &Request) -> Framing {
        let framing = self.profile.framing();
        match self.session.carries(sends).handshake {
            Some(_) => framing.over_a_socket(),
            None => framing,
        }
    }

    /// How long a save may be late that took so long before.
    pub(super) fn late_by(&self, lag: Duration) -> Duration {
        self.options.settle.max(lag * TIMES_THE_LAG)
    }

    /// Says what is being done.
    pub fn doing(&self, what: &str) {
        self.world
            .progress
            .doing(format!("{}/{what}", self.session.name));
    }

    /// Says what is to be known of the run.
    pub fn note(&self, what: &str) {
        self.world.progress.note(what);
    }

    /// A case of this session that was never begun.
    pub(super) fn skip_proof(&self, why: &str, report: &mut Report) {
        report.cases.push(Case {
            name: format!("{}/order", self.session.name),
            session: self.session.name.clone(),
            fault: "none".into(),
            client: "read-to-end".into(),
            verdict: Verdict::Inconclusive,
            reason: format!("no order to prove: {why}"),
            took: clock::now() - self.began,
            timeline: Default::default(),
            metrics: BTreeMap::new(),
        });
    }

    /// Adds what the server's output said that it must not say.
    pub fn look_at_log(&self, report: &mut Report) {
        let mut observed = self.observed();
        let patterns = self.session.logs.forbid.iter().chain(&self.options.forbid);
        let mut lines = self.world.output_since(Tick::ZERO);
        lines.retain(|line| !self.world.provoked.covers(line));
        for pattern in patterns {
            let line = lines.iter().find(|line| pattern.is_match(&line.text));
            observed
                .forbidden
                .extend(line.map(|line| (pattern.to_string(), line.to_string())));
        }
        for finding in judge::findings(&observed) {
            report.add(finding);
        }
    }
}
