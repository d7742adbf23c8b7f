//! Other requests to a provider: its models, embeddings, a count of tokens.

use super::providers::{MODEL, is_base, is_route};
use crate::model::Call;
use axum::http::Method;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

/// Such a request, and a valid answer that says nothing.
pub(super) struct SideCall {
    method: Method,
    /// How the path ends.
    route: &'static str,
    pub(super) call: Call,
    pub(super) answer: fn(&Value, u64) -> Value,
}

/// The dimensions of an embedding, where the request does not say.
const DIMENSIONS: u64 = 1536;
/// The largest number of dimensions that is served, and the most texts in one request.
const AT_MOST: usize = 4096;

/// What OpenAI's moderation looks for.
const CATEGORIES: &[&str] = &[
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
];

static ALL: &[SideCall] = &[
    SideCall {
        method: Method::GET,
        route: "/models",
        call: Call::Models,
        answer: |_, now| models(now),
    },
    SideCall {
        method: Method::GET,
        route: "/api/tags",
        call: Call::Models,
        answer: |_, now| models(now),
    },
    SideCall {
        method: Method::GET,
        route: "/api/version",
        call: Call::Models,
        answer: |_, _| json!({"version": "0.12.0"}),
    },
    SideCall {
        method: Method::POST,
        route: "/api/show",
        call: Call::Models,
        answer: |_, _| json!({"details": details(), "model_info": {}, "capabilities": ["completion"]}),
    },
    SideCall {
        method: Method::POST,
        route: "/embeddings",
        call: Call::Embeddings,
        answer: |body, _| openai_embeddings(body),
    },
    SideCall {
        method: Method::POST,
        route: "/api/embed",
        call: Call::Embeddings,
        answer: |body, _| {
            json!({
                "model": MODEL,
                "embeddings": vec![vector(body); texts(&body["input"])],
                "total_duration": 1, "load_duration": 1, "prompt_eval_count": 1,
            })
        },
    },
    SideCall {
        method: Method::POST,
        route: "/api/embeddings",
        call: Call::Embeddings,
        answer: |body, _| json!({"embedding": vector(body)}),
    },
    SideCall {
        method: Method::POST,
        route: "/moderations",
        call: Call::Models,
        answer: |body, _| moderations(body),
    },
    SideCall {
        method: Method::POST,
        route: ":embedContent",
        call: Call::Embeddings,
        answer: |body, _| json!({"embedding": {"values": vector(body)}}),
    },
    SideCall {
        method: Method::POST,
        route: ":batchEmbedContents",
        call: Call::Embeddings,
        answer: |body, _| {
            let requests = body["requests"]
                .as_array()
                .into_iter()
                .flatten()
                .take(AT_MOST);
            let values = requests.map(|request| json!({"values": vector(request)}));
            json!({"embeddings": values.collect::<Vec<_>>()})
        },
    },
    SideCall {
        method: Method::POST,
        route: ":countTokens",
        call: Call::Models,
        answer: |_, _| json!({"totalTokens": 1}),
    },
    SideCall {
        method: Method::POST,
        route: "/messages/count_tokens",
        call: Call::Models,
        answer: |_, _| json!({"input_tokens": 1}),
    },
];

static ONE_MODEL: SideCall = SideCall {
    method: Method::GET,
    route: "/models/",
    call: Call::Models,
    answer: |_, now| model(now),
};

pub(super) fn at(method: &Method, path: &str) -> Option<&'static SideCall> {
    let fits =
        |side_call: &&SideCall| side_call.method == *method && is_route(path, side_call.route);
    let one = || {
        let names_one = path.contains(ONE_MODEL.route) && is_base(path);
        (*method == Method::GET && names_one).then_some(&ONE_MODEL)
    };
    ALL.iter().find(fits).or_else(one)
}

/// A model, in the words of every provider at once: a client reads the fields that it knows.
fn model(now: u64) -> Value {
    json!({
        "id": MODEL, "object": "model", "created": now, "owned_by": "chatctl",
        "type": "model", "display_name": MODEL, "created_at": "2026-01-01T00:00:00Z",
        "name": format!("models/{MODEL}"), "model": MODEL,
        "supportedGenerationMethods": ["generateContent", "embedContent"],
        "modified_at": "2026-01-01T00:00:00Z", "size": 1, "digest": "chatctl", "details": details(),
    })
}

fn models(now: u64) -> Value {
    json!({
        "object": "list", "data": [model(now)], "models": [model(now)],
        "has_more": false, "first_id": MODEL, "last_id": MODEL,
    })
}

fn details() -> Value {
    json!({
        "parent_model": "", "format": "gguf", "family": "chatctl", "families": ["chatctl"],
        "parameter_size": "1B", "quantization_level": "Q4_0",
    })
}

/// How many texts are to be embedded: one, or as many as the list has. A list of numbers is one
/// text in tokens.
fn texts(input: &Value) -> usize {
    match input.as_array() {
        Some(items) if items.iter().any(|item| !item.is_number()) => items.len().min(AT_MOST),
        _ => 1,
    }
}

/// A vector of length 1: with zeros only, a cosine would be no number.
fn vector(body: &Value) -> Vec<f32> {
    let wanted = ["dimensions", "outputDimensionality"];
    let wanted = wanted.iter().find_map(|key| body[*key].as_u64());
    let length = usize::try_from(wanted.unwrap_or(DIMENSIONS)).unwrap_or(AT_MOST);
    let mut vector = vec![0.0; length.clamp(1, AT_MOST)];
    vector[0] = 1.0;
    vector
}

fn openai_embeddings(body: &Value) -> Value {
    let vector = vector(body);
    let embedding = if body["encoding_format"] == "base64" {
        let bytes: Vec<u8> = vector
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect();
        Value::from(BASE64_STANDARD.encode(bytes))
    } else {
        Value::from(vector)
    };
    let data = (0..texts(&body["input"]))
        .map(|index| json!({"object": "embedding", "index": index, "embedding": embedding}));
    json!({
        "object": "list", "data": data.collect::<Vec<_>>(), "model": MODEL,
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    })
}

/// Nothing in any of the texts is worth a word.
fn moderations(body: &Value) -> Value {
    let of_each = |value: Value| -> Map<String, Value> {
        let categories = CATEGORIES.iter();
        categories
            .map(|it| ((*it).to_owned(), value.clone()))
            .collect()
    };
    let result = json!({
        "flagged": false, "categories": of_each(false.into()),
        "category_scores": of_each(0.0.into()), "category_applied_input_types": of_each(json!(["text"])),
    });
    let results = vec![result; texts(&body["input"])];
    json!({"id": "modr-chatctl", "model": MODEL, "results": results})
}

#[cfg(test)]
mod tests {
    use super::{Method, at};
    use crate::gateway::providers;
    use serde_json::{Value, json};

    fn post(path: &str, body: &Value) -> Option<Value> {
        at(&Method::POST, path).map(|call| (call.answer)(body, 0))
    }

    #[test]
    fn each_text_is_answered_for() {
        let said = post("/v1/moderations", &json!({"input": ["a", "b"]})).unwrap();
        assert_eq!(said["results"].as_array().map(Vec::len), Some(2));
        assert_eq!(said["results"][1]["flagged"], false);
        let said = post("/v1/moderations", &json!({"input": "a"})).unwrap();
        assert_eq!(said["results"].as_array().map(Vec::len), Some(1));
        let of_ollama = post("/api/embeddings", &json!({"prompt": "a"})).unwrap();
        assert!(of_ollama["embedding"].is_array(), "{of_ollama}");
        let of_openai = post("/v1/embeddings", &json!({"input": "a"})).unwrap();
        assert!(of_openai["data"].is_array(), "{of_openai}");
    }

    #[test]
    fn a_base_is_one_that_a_client_adds() {
        let vertex = "/v1beta1/projects/p/locations/l/publishers/google/models/m";
        assert!(post(&format!("{vertex}:countTokens"), &Value::Null).is_some());
        let streams = format!("{vertex}:streamGenerateContent");
        assert_eq!(providers::at(&streams).map(|it| it.name), Some("gemini"));
        for bad in [
            "/x/v1/projects",
            "/x/moderations",
            "/projects:countTokens",
            "/y/api/embeddings",
        ] {
            assert!(post(bad, &Value::Null).is_none(), "{bad}");
        }
    }
}
