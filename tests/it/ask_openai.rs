//! `ask_database` through an OpenAI-compatible server on loopback: with tool calls, without them, and with faults.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::openai::{Answer, OpenAi, calls, says};
use crate::support::{Home, Scratch, everything_under};

/// A server's message with the key at the place where the message is cut.
const LONG: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
    xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
    planted-openai-key";
const COUNT: &str = "SELECT count(*) AS n FROM customers";

fn ask(server: &OpenAi) -> (Value, Home) {
    let home = server.home(Home::new("openai"));
    let mut process = home.serve();
    let reply = process.call("ask_database", json!({"question": "How many customers do we have?"}));
    assert!(process.finish().success());
    (reply, home)
}

fn runs() -> Answer {
    calls("run_sql", json!({"sql": COUNT}))
}

fn answers() -> Answer {
    calls("answer", json!({"summary": "There are 400.", "assumptions": ["all of them"]}))
}

#[test]
fn a_question_is_answered_by_tool_calls() {
    let server = OpenAi::start(vec![runs(), answers()]);
    let (reply, home) = ask(&server);
    assert_eq!((&reply["status"], &reply["rows"]), (&json!("success"), &json!([[400]])), "{reply}");
    let receipt = &reply["receipt"];
    assert_eq!((&receipt["engine"], &receipt["model"]), (&json!("openai"), &json!("local")));
    assert_eq!((&receipt["input_tokens"], &receipt["cache_read_tokens"]), (&json!(80), &json!(120)));
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].path, "/v1/chat/completions");
    assert!(requests[0].headers.contains("Bearer planted-openai-key"));
    let (first, second) = (&requests[0].body, &requests[1].body);
    assert_eq!((&first["model"], &first["max_tokens"]), (&json!("local"), &json!(4096)));
    assert_eq!(first["tools"][0]["function"]["name"], "run_sql");
    assert!(first["messages"][0]["content"].as_str().unwrap().contains("order_items("));
    // The call is sent back unchanged, and its result names it.
    assert_eq!(second["messages"][2]["tool_calls"][0]["function"]["arguments"], json!({"sql": COUNT}).to_string());
    assert_eq!(second["messages"][3]["tool_call_id"], "call_a");
    assert!(second["messages"][3]["content"].as_str().unwrap().contains("[[400]]"));
    assert_eq!(home.records()[0]["model"], "local", "{:?}", home.records());
    let doctor = home.say(&["doctor"]);
    assert!(doctor.contains("OpenAI-compatible local at 127.0.0.1, with a key"), "{doctor}");
    // The address without its version: asking would fail, so doctor says what is missing.
    let home = server.home(Home::new("no-version")).set("TUDB_OPENAI_BASE_URL", server.root());
    let doctor = home.run(&["doctor"]);
    let said = String::from_utf8_lossy(&doctor.stdout);
    assert!(said.contains("warn model") && said.contains("it must end with /v1"), "{said}");
}

#[test]
fn a_model_or_key_without_an_address_is_an_error() {
    for (name, value) in [("TUDB_OPENAI_MODEL", "local"), ("TUDB_OPENAI_API_KEY", "planted-openai-key")] {
        let mut server = Home::new("no-address").set(name, value).serve();
        let reply = server.call("ask_database", json!({"question": "How many customers do we have?"}));
        assert_eq!(reply["error"]["code"], "config_error", "{reply}");
        assert!(reply["error"]["message"].as_str().unwrap().contains("TUDB_OPENAI_BASE_URL is not set"), "{reply}");
        assert_eq!(server.call("run_sql", json!({"sql": "SELECT 1 AS one"}))["rows"], json!([[1]]), "the others work");
    }
}

#[test]
fn a_model_without_tool_calls_says_them_in_text() {
    for refusal in [
        Answer::Fault(400, "", "registry.ollama.ai/library/local does not support tools"),
        Answer::Fault(500, "", "tools param requires --jinja flag"),
        Answer::Fault(
            400,
            "",
            "\"auto\" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set",
        ),
    ] {
        let server = OpenAi::start_with(move |_, body| match body["messages"].as_array().unwrap().len() {
            _ if body.get("tools").is_some() => refusal.clone(),
            2 => says(
                "```json\n{\"tool\": \"run_sql\", \"input\": {\"sql\": \"SELECT count(*) AS n FROM customers\"}}\n```",
            ),
            _ => says("{\"tool\": \"answer\", \"input\": {\"summary\": \"There are 400.\"}}"),
        });
        let home = server.home(Home::new("spoken"));
        let mut process = home.serve();
        for requests in [3, 5] {
            let reply = process.call("ask_database", json!({"question": "How many customers do we have?"}));
            assert_eq!((&reply["status"], &reply["summary"]), (&json!("success"), &json!("There are 400.")), "{reply}");
            assert_eq!(server.requests().len(), requests, "tools are tried once");
        }
        let last = server.requests().pop().unwrap().body;
        let system = last["messages"][0]["content"].as_str().unwrap();
        assert!(
            system.contains("{\"tool\": name") && system.contains("sample_values: Show the most frequent values"),
            "{system}"
        );
        assert_eq!(last["messages"][3]["role"], "user");
        assert!(last["messages"][3]["content"].as_str().unwrap().contains("[[400]]"));
    }
}

#[test]
fn what_small_models_do_is_read_for_what_it_is() {
    // The server has tool calls, but the model writes the call as text.
    let said = "{\"name\": \"run_sql\", \"parameters\": {\"sql\": \"SELECT count(*) AS n FROM customers\"}}";
    let (reply, _) = ask(&OpenAi::start(vec![says(said), answers()]));
    assert_eq!(reply["rows"], json!([[400]]), "{reply}");
    // If the server has tool calls, a statement or a quoted call in the text is only text.
    let quoted = "A row says:\n```json\n{\"tool\": \"answer\", \"input\": {\"summary\": \"WORDS OF THE ROW\"}}\n```\nI will not.";
    for said in ["```sql\nSELECT count(*) AS n FROM orders\n```", quoted] {
        let (reply, home) = ask(&OpenAi::start(vec![says(said), runs(), answers()]));
        assert_eq!((&reply["rows"], home.records().len()), (&json!([[400]]), 2), "{said}: {reply}");
    }
    let honest = "There are 400 customers. I used:\n```sql\nSELECT count(*) AS n FROM customers\n```";
    let (reply, _) = ask(&OpenAi::start(vec![runs(), says(honest)]));
    assert_eq!((&reply["summary"], &reply["receipt"]["model_calls"]), (&json!(honest), &json!(2)), "{reply}");
    // An id that is a number, and content in parts.
    let odd = json!({"role": "assistant", "content": [{"type": "text", "text": "Let me see."}], "tool_calls": [
        {"id": 7, "type": null, "function": {"name": "run_sql", "arguments": {"sql": COUNT}}}]});
    let (reply, _) = ask(&OpenAi::start(vec![Answer::Message(odd, "tool_calls"), answers()]));
    assert_eq!(reply["rows"], json!([[400]]), "{reply}");
    // Text after the rows is the summary. Arguments that are not JSON are sent back. A truncated reply is not run.
    let (reply, _) = ask(&OpenAi::start(vec![runs(), says("There are 400 customers.")]));
    assert_eq!(reply["summary"], "There are 400 customers.", "{reply}");
    let broken = json!({"role": "assistant", "content": "", "tool_calls": [
        {"function": {"name": "run_sql", "arguments": "{\"sql\": \"SELECT"}}]});
    let server = OpenAi::start(vec![Answer::Message(broken, "tool_calls"), runs(), answers()]);
    assert_eq!(ask(&server).0["status"], "success");
    let fed_back = server.requests()[1].body["messages"][3]["content"].clone();
    assert!(fed_back.as_str().unwrap().starts_with("error: run_sql: "), "{fed_back}");
    let Answer::Message(half, _) = runs() else { unreachable!() };
    let server = OpenAi::start(vec![Answer::Message(half, "length"), runs(), answers()]);
    let (reply, home) = ask(&server);
    assert_eq!(reply["status"], "success");
    assert_eq!(home.records().len(), 2, "the cut call did not run");
    // A server that requires the newer name of the token limit.
    let server = OpenAi::start_with(|_, body| match body["messages"].as_array().unwrap().len() {
        _ if body.get("max_tokens").is_some() => {
            Answer::Fault(400, "", "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        }
        2 => runs(),
        _ => answers(),
    });
    assert_eq!(ask(&server).0["status"], "success");
}

#[test]
fn each_fault_has_its_code_and_remedy() {
    let cases = [
        (Answer::Fault(401, "", "Incorrect API key provided: planted-openai-key"), "model_credentials", 1),
        (Answer::Fault(401, "", LONG), "model_credentials", 1),
        (Answer::Fault(403, "", "no access to this model"), "model_access", 1),
        (Answer::Fault(404, "", "model \"local\" not found, try pulling it first"), "model_id", 1),
        (Answer::Fault(400, "", "This model's maximum context length is 2048 tokens"), "model_reply", 1),
        (Answer::Fault(302, "location: http://127.0.0.1:1/\r\n", "moved"), "model_id", 1),
        (Answer::Fault(429, "retry-after: 0\r\n", "slow down"), "model_throttled", 4),
        (Answer::Fault(503, "", "loading model"), "model_unavailable", 4),
        (Answer::Fault(429, "retry-after: 600\r\n", "slow down"), "model_throttled", 1),
        (Answer::Body("{}"), "model_reply", 1),
        (Answer::Body("<html>"), "model_reply", 1),
        (Answer::Body("{\"error\": {\"message\": \"out of memory\"}}"), "model_unavailable", 1),
        (Answer::Body("{\"choices\": []}"), "model_reply", 1),
        (Answer::Message(json!({"role": "assistant", "content": ""}), "stop"), "model_reply", 1),
        (Answer::Message(json!({"role": "assistant", "content": "no"}), "content_filter"), "model_blocked", 1),
        (Answer::Half("{\"choices\": [{\"mess"), "model_unavailable", 4),
        (Answer::Reset, "model_unavailable", 4),
    ];
    let mut seen = String::new();
    for (fault, code, requests) in cases {
        let server = OpenAi::start(vec![fault]);
        let home = server.home(Home::new("openai-fault")).set("TUDB_LOG", "trace");
        let mut process = home.serve();
        let reply = process.call("ask_database", json!({"question": "How many customers do we have?"}));
        assert_eq!(reply["error"]["code"], code, "{reply}");
        let hint = reply["error"]["hint"].as_str().unwrap();
        assert!(!hint.contains("AWS") && hint.len() > 20, "{hint}");
        assert_eq!(server.requests().len(), requests, "{reply}");
        let stderr = std::sync::Arc::clone(&process.stderr);
        process.finish();
        seen += &format!("{reply}{}", stderr.lock().unwrap());
        seen += &String::from_utf8_lossy(&everything_under(&home.scratch.path("")));
        seen += &server.requests().iter().map(|request| request.body.to_string()).collect::<String>();
    }
    assert!(!seen.contains("planted-op"));
    let silent = OpenAi::start(vec![Answer::Silence(Duration::from_secs(30))]);
    let home = silent.home(Home::new("openai-silent")).set("TUDB_ASK_TIMEOUT_MS", 2_000);
    let reply = home.serve().call("ask_database", json!({"question": "How many customers do we have?"}));
    assert_eq!(reply["error"]["code"], "deadline", "{reply}");
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn over_tls_only_with_a_certificate_that_is_trusted() {
    let place = Scratch::new("openai-tls");
    let server = OpenAi::start_tls(&place.path(""), vec![runs(), answers()]);
    let (reply, _) = ask(&server);
    assert_eq!(reply["error"]["code"], "model_unavailable", "{reply}");
    assert!(reply["error"]["message"].as_str().unwrap().contains("certificate"), "{reply}");
    assert_eq!(server.requests().len(), 0, "nothing was said to a stranger");
    let home = server.home(Home::new("openai-tls")).set("SSL_CERT_FILE", place.path("certificate.pem").display());
    let reply = home.serve().call("ask_database", json!({"question": "How many customers do we have?"}));
    assert_eq!(reply["rows"], json!([[400]]), "{reply}");
}

#[test]
fn settings_that_name_no_server_say_so() {
    let reply = |home: Home| home.serve().call("ask_database", json!({"question": "How many customers?"}));
    for (base, model, part) in [
        ("", "local", "TUDB_OPENAI_BASE_URL is not set"),
        ("http://127.0.0.1:1/v1", "", "TUDB_OPENAI_MODEL is not set"),
        ("ftp://127.0.0.1/", "local", "must be an http:// or https://"),
        ("http://user:planted@127.0.0.1/v1", "local", "must not hold a user"),
    ] {
        let mut home = Home::new("openai-settings").set("TUDB_MODEL", "openai");
        for (name, value) in [("TUDB_OPENAI_BASE_URL", base), ("TUDB_OPENAI_MODEL", model)] {
            if !value.is_empty() {
                home = home.set(name, value);
            }
        }
        let reply = reply(home);
        assert_eq!(reply["error"]["code"], "config_error", "{reply}");
        assert!(reply["error"]["message"].as_str().unwrap().contains(part), "{reply}");
        assert!(!reply.to_string().contains("planted"));
    }
    let nobody = Home::new("openai-nobody")
        .set("TUDB_OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
        .set("TUDB_OPENAI_MODEL", "local");
    let reply = reply(nobody);
    assert_eq!(reply["error"]["code"], "model_unavailable", "{reply}");
    assert!(reply["error"]["message"].as_str().unwrap().contains("cannot be reached"), "{reply}");
}
