//! Mistakes in session files: what is said, and where.

use chatctl::stream::session::{Outside, parse};

const REQUEST: &str = "[request]\nrequest = \"POST /chat\"\nbody = \"{user}\"\n";
const TURN: &str = "[[turn]]\nuser = \"Hi\"\nanswer = \"Hello\"\n";

/// One case: the text, `line:column: message`, and the help.
type Case<'a> = (&'a str, &'a str, &'a str);

/// Tries every case with what a session must have besides.
fn check(cases: &[Case<'_>]) {
    let outside = Outside {
        profiles: &["plain", "openai-chat"],
        read: &|_| Err("No such file".to_owned()),
        env: &|_| None,
    };
    for (text, message, help) in cases {
        let mut whole = (*text).to_owned();
        let has = |section: &str| text.contains(section);
        if !has("[request]") && !has("[[request]]") && !text.trim().is_empty() {
            whole.push('\n');
            whole.push_str(REQUEST);
        }
        if !has("turn") && !text.trim().is_empty() {
            whole.push('\n');
            whole.push_str(TURN);
        }
        let error = parse("chats/x.toml", &whole, &outside).expect_err(text);
        assert_eq!(
            error.to_string(),
            format!("chats/x.toml:{message}"),
            "\n{whole}"
        );
        assert_eq!(
            error.help.as_deref().unwrap_or_default(),
            *help,
            "\n{whole}"
        );
    }
}

#[test]
fn sections() {
    check(&[
        (
            "",
            "1:1: the session is empty",
            "it needs at least a [request] and one [[turn]]",
        ),
        (
            "\n",
            "1:1: the session is empty",
            "it needs at least a [request] and one [[turn]]",
        ),
        (
            "a = ",
            "1:5: string values must be quoted, expected literal string",
            "",
        ),
        ("name = \"a\"\nname = \"b\"", "2:1: duplicate key", ""),
        (
            "nme = \"a\"",
            "1:1: unknown key `nme` in the session",
            "did you mean `name`?",
        ),
        (
            "temperature = 1",
            "1:1: unknown key `temperature` in the session",
            "its keys are `name`, `profile`, `headers`, `login`, `setup`, `request`, `stream`, `messages`, `stop`, `resume`, `regenerate`, `edit`, `approval`, `tool_error`, `turn`, `history`, `final`, `logs`, `limits`",
        ),
        (
            "[[turns]]",
            "1:3: unknown key `turns` in the session",
            "did you mean `turn`?",
        ),
        (
            "name = 1",
            "1:8: `name` must be a string, not an integer",
            "",
        ),
        ("\u{feff}name = \" \"", "1:8: `name` is empty", ""),
        (
            "profile = \"openai\"",
            "1:11: unknown profile `openai`",
            "the profiles are `plain`, `openai-chat`",
        ),
        (
            "profile = \"opnai-chat\"",
            "1:11: unknown profile `opnai-chat`",
            "did you mean `openai-chat`?",
        ),
        (
            "[[turn]]\nuser = \"Hi\"\nanswer = \"a\"\n[[request]]",
            "4:1: `request` must be a table, not an array",
            "write `[request]` once, with single brackets",
        ),
        (
            "[turn]\nuser = \"Hi\"",
            "1:1: `turn` must be an array of tables, not a table",
            "write `[[turn]]`, with double brackets",
        ),
        (
            "turn = []",
            "1:1: the session has no [[turn]]",
            "add a [[turn]] with `user`, and `cassette` or `answer`",
        ),
        (
            "[[turn]]\nuser = \"[request]\"",
            "1:1: the session has no `request`",
            "add a [request] section: how a turn is sent",
        ),
    ]);
}

#[test]
fn unknown_keys() {
    check(&[
        (
            "[login]\nbearr = 1",
            "2:1: unknown key `bearr` in [login]",
            "did you mean `bearer`?",
        ),
        (
            "[[setup]]\n\n  jsn = 1",
            "3:3: unknown key `jsn` in [[setup]]",
            "did you mean `json`?",
        ),
        (
            "[request]\nqery = 1",
            "2:1: unknown key `qery` in [request]",
            "did you mean `query`?",
        ),
        (
            "[[turn]]\nuser = \"ü\"\ncassete = \"a\"",
            "3:1: unknown key `cassete` in [[turn]]",
            "did you mean `cassette`?",
        ),
        (
            "[[turn]]\nuser = \"ü\"; # no comma\n",
            "2:11: unexpected key or value, expected newline, `#`",
            "",
        ),
        (
            "[[turn]]\nuser = \"ü\"\nanswer = \"a\"\nexpect = { anser = \"a\" }",
            "4:12: unknown key `anser` in `expect`",
            "did you mean `answer`?",
        ),
        (
            "[history]\nmesages = 1",
            "2:1: unknown key `mesages` in [history]",
            "did you mean `messages`?",
        ),
        (
            "[final]\ndat = 1",
            "2:1: unknown key `dat` in [final]",
            "did you mean `data`?",
        ),
        (
            "[final]\njson = { path = \"$\", equal = 1 }",
            "2:22: unknown key `equal` in `json` of [final]",
            "did you mean `equals`?",
        ),
        (
            "[logs]\nforbidden = []",
            "2:1: unknown key `forbidden` in [logs]",
            "its keys are `forbid`",
        ),
    ]);
}

#[test]
fn requests() {
    check(&[
        (
            "[[setup]]\nstatus = 201",
            "1:1: [[setup]] has no `request`",
            "add `request = \"POST /…\"`",
        ),
        (
            "[[setup]]\nrequest = \"/chat\"",
            "2:11: `/chat` is not a method and a path",
            "write a method and a path: `POST /chat`",
        ),
        (
            "[[setup]]\nrequest = \"post /chat\"",
            "2:12: `post` is not a known method",
            "did you mean `POST`?",
        ),
        (
            "[[setup]]\nrequest = \"FETCH /chat\"",
            "2:12: `FETCH` is not a known method",
            "use GET, POST, PUT, PATCH or DELETE, or WS for a WebSocket",
        ),
        (
            "[[setup]]\nrequest = \"POST chat\"",
            "2:17: the path `chat` does not start with `/`",
            "a path starts at the root of the server",
        ),
        (
            "[[setup]]\nrequest = \"POST http://h/chat\"",
            "2:17: the path `http://h/chat` does not start with `/`",
            "leave the host out: --server names it",
        ),
        (
            "[request]\nrequest = \"GET /chat\"\njson = { m = \"{user}\" }",
            "3:1: a GET request has no body, but `json` is given",
            "use `query`, or another method",
        ),
        (
            "[request]\nrequest = \"POST /chat\"\nform = { m = \"{user}\" }\njson = { m = \"{user}\" }",
            "4:1: [request] has both `form` and `json`",
            "keep one of the two",
        ),
        (
            "[request]\nrequest = \"POST /chat\"\njson = { m = \"Hi\" }",
            "1:1: [request] never uses `{user}`: the server would not see the message",
            "for example: json = { message = \"{user}\" }; where the client sends the history: \"{messages}\"",
        ),
        (
            "[request]\nrequest = \"POST /chat\"\nbody = \"x {messages}\"",
            "1:1: `{messages}` is a list: it can only be a whole value of `json`",
            "for example: json = { messages = \"{messages}\" }",
        ),
        (
            "[request]\nrequest = \"POST /chat\"\njson = { m = [\"x {messages}\"] }",
            "1:1: `{messages}` is a list: it can only be a whole value of `json`",
            "for example: json = { messages = \"{messages}\" }",
        ),
        (
            "[request]\nrequest = \"POST /chat\"\njson = { m = \"{messages}\" }\n[messages]\nuser = { content = \"x\" }",
            "5:8: `user` of [messages] never uses `{text}`",
            "for example: user = { role = \"user\", content = \"{text}\" }",
        ),
        (
            "[messages]\nuser = \"{text}\"",
            "1:2: [messages] declares the form of `{messages}`, but [request] never uses it",
            "for example: json = { messages = \"{messages}\" }",
        ),
        (
            "[[setup]]\nrequest = \"GET /\"\nstatus = 2001",
            "3:10: `2001` is not an HTTP status",
            "",
        ),
        (
            "[[setup]]\nrequest = \"GET /\"\nquery = { a = [1] }",
            "3:15: `a` must be a string, a number or a boolean, not an array",
            "",
        ),
        (
            "[[setup]]\nrequest = \"GET /\"\nheaders = { \"a b\" = \"c\" }",
            "3:21: `a b` is not a header name",
            "",
        ),
        (
            "[[setup]]\nrequest = \"POST /\"\njson = { a = inf }",
            "3:14: JSON has no number `inf`",
            "",
        ),
        (
            "headers = { authorization = \"Bearer env:TOKN\" }",
            "1:29: the environment has no `TOKN`",
            "set it: export TOKN=…",
        ),
        (
            "[login]\nrequest = \"POST /login\"\njson = { password = \"file:pw\" }",
            "3:21: the secret `pw` cannot be read: No such file",
            "the path is relative to the session file",
        ),
    ]);
}

#[test]
fn names() {
    let setup = "[[setup]]\nrequest = \"POST /c\"\ncapture = { conversation_id = \"$.id\" }\n";
    let unknown = format!(
        "{setup}[request]\nrequest = \"POST /chat\"\njson = {{ m = \"{{user}}\", c = [\"é {{conversation}}\"] }}"
    );
    let early = format!(
        "{}[[setup]]\nrequest = \"GET /c/{{later}}\"",
        setup.replace("conversation_id", "now")
    );
    let twice = format!("{setup}{setup}");
    check(&[
        (
            &unknown,
            "6:32: unknown name `{conversation}`",
            "did you mean `{conversation_id}`? known here: `{user}`, `{messages}`, `{turn}`, `{idempotency_key}`, `{run}`, `{uuid}`, `{nanoid}`, `{conversation_id}`",
        ),
        (
            &early,
            "5:19: unknown name `{later}`",
            "known here: `{run}`, `{uuid}`, `{nanoid}`, `{now}`; `capture` in [login] or an earlier [[setup]] makes more",
        ),
        (
            "[history]\nrequest = \"GET /c?m={user}\"",
            "2:21: unknown name `{user}`",
            "known here: `{run}`, `{uuid}`, `{nanoid}`; `capture` in [login] or an earlier [[setup]] makes more",
        ),
        (
            &twice,
            "6:13: `conversation_id` is captured twice",
            "give one of the two another name",
        ),
        (
            "[[setup]]\nrequest = \"GET /\"\ncapture = { user = \"$\" }",
            "3:13: `user` is built in and cannot be captured",
            "",
        ),
        (
            "[[setup]]\nrequest = \"GET /\"\ncapture = { my-id = \"$\" }",
            "3:13: `my-id` is not a valid name for a capture",
            "use letters, digits and `_`",
        ),
        (
            "[request]\nrequest = \"POST /\"\nbody = '{\"m\": \"{user}\"}'",
            "3:9: `{\"m\": \"{user}` holds no name",
            "write `{{` and `}}` for literal braces",
        ),
        (
            "[request]\nrequest = \"POST /\"\nbody = \"{user} }\"",
            "3:16: a lone `}`",
            "write `{{` and `}}` for literal braces",
        ),
    ]);
}

#[test]
fn paths_and_patterns() {
    let path_help = "a path looks like `$.id`, `$.data.id` or `$[0].id` (RFC 9535)";
    check(&[
        (
            "[[setup]]\nrequest = \"GET /\"\ncapture = { id = \"$.id[\" }",
            "3:23: `$.id[` is not a JSONPath: parser error",
            path_help,
        ),
        (
            "[history]\nrequest = \"GET /c\"\nmessages = \"messages[*]\"",
            "3:13: `messages[*]` is not a JSONPath: parser error",
            "a path starts with `$`, which is the whole answer: `$.id` (RFC 9535)",
        ),
        (
            "[[setup]]\nrequest = \"GET /\"\ncapture = { id = \"headers:Location\" }",
            "3:18: unknown source `headers:`",
            "use a JSONPath such as `$.id`, `header:NAME` or `cookie:NAME`",
        ),
        (
            "[final]\ndata = \"a\"\nevent = \"b\"",
            "3:1: [final] has both `data` and `event`",
            "keep one of the two",
        ),
        (
            "[final]",
            "1:1: [final] says nothing",
            "add one of `data`, `json`, `event`, `end`",
        ),
        (
            "[final]\nend = \"stream\"",
            "2:7: `stream` is not an end of a stream",
            "write `end = \"body\"`",
        ),
        (
            "[logs]\nforbid = [\"HARD RESET\", \"(a\"]",
            "2:25: `(a` is not a regular expression: unclosed group",
            "write `\\\\` before a character that is meant literally, or use '…' quotes",
        ),
        (
            "[logs]\nforbid = \"HARD RESET\"",
            "2:10: `forbid` must be an array, not a string",
            "",
        ),
        (
            "[logs]\nforbid = [\"\"]",
            "2:11: an empty expression in `forbid` matches every line",
            "",
        ),
    ]);
}

#[test]
fn turns() {
    check(&[
        (
            "[[turn]]\nanswer = \"a\"",
            "1:1: [[turn]] has no `user`",
            "add `user = \"…\"`: what the user says",
        ),
        (
            "[[turn]]\nuser = \"\"\nanswer = \"a\"",
            "2:8: `user` is empty",
            "",
        ),
        (
            "[[turn]]\nuser = \"a\"",
            "1:1: [[turn]] has neither `cassette` nor `answer`",
            "add `cassette = \"….sse\"`, or `answer = \"…\"` to have one made",
        ),
        (
            "[[turn]]\nuser = \"a\"\nanswer = \"a\"\ncassette = \"good.sse\"",
            "4:1: [[turn]] has both `answer` and `cassette`",
            "keep one of the two",
        ),
    ]);
}

/// Whoever has declared the end of a stream need not write it a second time for the format.
#[test]
fn a_profile_without_an_end_has_that_of_its_session() {
    let outside = Outside {
        profiles: &[],
        read: &|_| Err("No such file".to_owned()),
        env: &|_| None,
    };
    let profile = "[profile]\ntext = \"$.a\"\n";
    let of = |more: &str| {
        let session = parse(
            "x.toml",
            &format!("{REQUEST}{TURN}{profile}{more}"),
            &outside,
        );
        session.map(|session| session.declared.unwrap().final_marker.to_string())
    };
    assert_eq!(of("[final]\ndata = \"END\"\n").unwrap(), "END");
    let both = "final = { data = \"OWN\" }\n[final]\ndata = \"END\"\n";
    assert_eq!(of(both).unwrap(), "OWN");
    assert!(
        of("")
            .unwrap_err()
            .to_string()
            .ends_with("[profile] has no `final`")
    );
}
