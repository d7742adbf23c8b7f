//! Wire profiles: the meaning of the lines and events of a stream. One file per profile.

mod declared;
mod openai_chat;
mod plain;

use crate::model::{Frame, Line};
use crate::stream::body::Framing;
use crate::stream::declared::Declared;
use crate::stream::marker::FinalMarker;
use crate::stream::session::parse_profile;
use std::sync::{Arc, LazyLock};

/// What a frame means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEvent {
    /// The message of the answer that the next text belongs to.
    Message(String),
    /// A piece of the answer.
    Text(String),
    /// All of the answer up to here.
    TextSoFar(String),
    /// The whole of a part of the answer, in the place of its pieces.
    TextWhole(String),
    /// The whole text, where none came in another way up to the end.
    TextFallback(String),
    /// What the model thinks, which is not part of the answer.
    Reasoning(String),
    /// A piece of a tool call; pieces with the same index belong together.
    ToolCall {
        /// Which call of the turn.
        index: u64,
        /// Its name; on the first piece only.
        name: Option<String>,
        /// A piece of its arguments.
        arguments: String,
    },
    /// The text is complete (`finish_reason`), for this reason.
    TextComplete(String),
    /// The server says that the turn failed.
    Failed(String),
    /// Token counts.
    Usage,
    /// The final marker.
    Final,
    /// Nothing that matters here.
    Ignored,
    /// The frame breaks the profile's grammar.
    Broken(String),
    /// Its number does not follow that of the frame before: some may have been left out.
    Gap(String),
}

/// Reads the frames of one response. No I/O and no clock: a frame has its time.
pub trait Reader: Send + Sync {
    /// What a dispatched event means.
    fn frame(&mut self, frame: &Frame) -> Vec<StreamEvent>;

    /// Whether a line is the final marker already, though its block has not ended:
    /// browsers that split by lines act on it.
    fn is_final(&self, line: &Line) -> bool;
}

/// A row of the table.
#[derive(Debug)]
pub struct Profile {
    /// What `--profile` takes.
    pub name: &'static str,
    /// What it is, in one line.
    pub what: &'static str,
    wire: Wire,
}

/// The name of a profile that no user declared and none ships.
const FOUND: &str = "found";

/// How a profile reads a response.
#[derive(Debug)]
enum Wire {
    /// By code of its own.
    Code(Code),
    /// By a file inside the program, which is parsed when it is first asked.
    Shipped(&'static LazyLock<Arc<Declared>>),
    /// By what a session declares.
    Own(Arc<Declared>),
}

#[derive(Debug, Clone, Copy)]
struct Code {
    /// Its final marker, unless the session declares another.
    marker: fn() -> FinalMarker,
    /// A reader of one response.
    start: fn(FinalMarker) -> Box<dyn Reader>,
}

impl Profile {
    /// A profile that a session declares.
    pub fn own(declared: Declared) -> Self {
        Self {
            name: "declared",
            what: "as the session declares it",
            wire: Wire::Own(Arc::new(declared)),
        }
    }

    /// A profile for events that have the text at a place that many servers use.
    pub fn found(declared: Declared) -> Self {
        Self {
            name: FOUND,
            what: "as the first response shows it",
            wire: Wire::Own(Arc::new(declared)),
        }
    }

    /// Whether it is one of those.
    pub fn is_found(&self) -> bool {
        self.name == FOUND
    }

    /// Whether it takes for text whatever has no other form, so that text alone does not show it.
    pub fn takes_any_text(&self) -> bool {
        let declared = self.declared();
        declared.is_some_and(|declared| declared.takes_any_text())
    }

    /// How a body is cut into events.
    pub fn framing(&self) -> Framing {
        self.declared()
            .map_or(Framing::Sse, |declared| declared.framing.clone())
    }

    /// The final marker, unless the session declares another.
    pub fn marker(&self) -> FinalMarker {
        match &self.wire {
            Wire::Code(code) => (code.marker)(),
            Wire::Shipped(_) | Wire::Own(_) => self
                .declared()
                .map_or(FinalMarker::End, |declared| declared.final_marker.clone()),
        }
    }

    /// Whether the final marker ends one response of the model, of which a turn may have several.
    pub fn ends_rounds(&self) -> bool {
        self.declared().is_some_and(|declared| declared.rounds)
    }

    /// What to do where answers are saved after the final marker.
    pub fn help(&self) -> Option<String> {
        self.declared()?.help.clone()
    }

    /// A reader of one response.
    pub fn start(&self, marker: FinalMarker) -> Box<dyn Reader> {
        match (&self.wire, self.declared()) {
            (Wire::Code(code), _) => (code.start)(marker),
            (_, Some(declared)) => Box::new(declared::Declaration::new(declared, marker)),
            (Wire::Shipped(_) | Wire::Own(_), None) => {
                unreachable!("these are declared")
            }
        }
    }

    fn declared(&self) -> Option<Arc<Declared>> {
        match &self.wire {
            Wire::Code(_) => None,
            Wire::Shipped(declared) => Some(Arc::clone(LazyLock::force(declared))),
            Wire::Own(declared) => Some(Arc::clone(declared)),
        }
    }
}

/// The row of a profile that is a file inside the program.
macro_rules! shipped {
    ($name:literal, $what:literal, $text:expr $(,)?) => {{
        static DECLARED: LazyLock<Arc<Declared>> = LazyLock::new(|| {
            let parsed = parse_profile($name, $text);
            Arc::new(parsed.expect("a test reads every shipped profile"))
        });
        Profile {
            name: $name,
            what: $what,
            wire: Wire::Shipped(&DECLARED),
        }
    }};
}

/// Every profile.
pub static ALL: &[Profile] = &[
    plain::PROFILE,
    openai_chat::PROFILE,
    shipped!(
        "text",
        "bare text without events; the end of the body is final",
        include_str!("shipped/text.toml"),
    ),
    shipped!(
        "openai-responses",
        "OpenAI Responses; `response.completed` and its like are final",
        include_str!("shipped/openai-responses.toml"),
    ),
    shipped!(
        "anthropic",
        "Anthropic Messages; `message_stop` is final",
        include_str!("shipped/anthropic.toml"),
    ),
    shipped!(
        "vercel-ui",
        "the AI SDK's UI message stream, versions 5 to 7; `data: [DONE]` is final",
        include_str!("shipped/vercel-ui.toml"),
    ),
    shipped!(
        "ag-ui",
        "AG-UI; `RUN_FINISHED` is final",
        include_str!("shipped/ag-ui.toml"),
    ),
    shipped!(
        "langgraph",
        "LangGraph's `messages`; the end of the body is final",
        include_str!("shipped/langgraph.toml"),
    ),
    shipped!(
        "langserve",
        "LangServe; `event: end` is final",
        include_str!("shipped/langserve.toml"),
    ),
    shipped!(
        "gemini",
        "Gemini's streamGenerateContent; the end of the body is final",
        include_str!("shipped/gemini.toml"),
    ),
    shipped!(
        "ollama",
        "Ollama, lines of JSON; `done` is final",
        include_str!("shipped/ollama.toml"),
    ),
    shipped!(
        "dify",
        "Dify; `message_end` is final",
        include_str!("shipped/dify.toml"),
    ),
    shipped!(
        "flowise",
        "Flowise; its event `end` is final",
        include_str!("shipped/flowise.toml"),
    ),
    shipped!(
        "anythingllm",
        "AnythingLLM; `finalizeResponseStream` is final",
        include_str!("shipped/anythingllm.toml"),
    ),
    shipped!(
        "vercel-data",
        "the AI SDK's data stream, versions 3 and 4; the end of the body is final",
        include_str!("shipped/vercel-data.toml"),
    ),
    shipped!(
        "adk",
        "Google ADK's `run_sse`; the end of the body is final",
        include_str!("shipped/adk.toml"),
    ),
    shipped!(
        "a2a",
        "A2A; a task that ended, or a message, is final",
        include_str!("shipped/a2a.toml"),
    ),
    shipped!(
        "mcp",
        "MCP's streamable HTTP; the response to the request is final",
        include_str!("shipped/mcp.toml"),
    ),
    shipped!(
        "librechat",
        "LibreChat; an event with `final` is final",
        include_str!("shipped/librechat.toml"),
    ),
    shipped!(
        "langflow",
        "Langflow; its event `end` is final",
        include_str!("shipped/langflow.toml"),
    ),
    shipped!(
        "ragflow",
        "RAGFlow; `\"data\": true` is final",
        include_str!("shipped/ragflow.toml"),
    ),
    shipped!(
        "ragflow-legacy",
        "RAGFlow up to 0.23, or with `legacy`: each answer is all so far; `\"data\": true` is final",
        include_str!("shipped/ragflow-legacy.toml"),
    ),
    shipped!(
        "agno",
        "Agno's AgentOS; `RunCompleted` is final",
        include_str!("shipped/agno.toml"),
    ),
    shipped!(
        "chat-ui",
        "Hugging Face's chat-ui; the end of the body is final",
        include_str!("shipped/chat-ui.toml"),
    ),
    shipped!(
        "onyx",
        "Onyx; the packet `stop` is final",
        include_str!("shipped/onyx.toml"),
    ),
    shipped!(
        "khoj",
        "Khoj; `end_response` is final",
        include_str!("shipped/khoj.toml"),
    ),
    shipped!(
        "open-webui",
        "Open WebUI over Socket.IO; `chat:completion` with `done` is final",
        include_str!("shipped/open-webui.toml"),
    ),
    shipped!(
        "chainlit",
        "Chainlit over Socket.IO; `task_end` is final",
        include_str!("shipped/chainlit.toml"),
    ),
];

pub fn named(name: &str) -> Option<&'static Profile> {
    ALL.iter().find(|profile| profile.name == name)
}
