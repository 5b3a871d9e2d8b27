//! `ask_database` through Bedrock's wire format: the real AWS SDK against a local endpoint.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::Home;
use crate::support::bedrock::{Answer, Bedrock, answers, runs, uses};

fn home(bedrock: &Bedrock) -> Home {
    bedrock.home(Home::new("wire")).set("TUDB_LOG", "trace")
}

fn ask(home: &Home, question: &str) -> Value {
    let mut server = home.serve();
    let reply = server.call("ask_database", json!({"question": question}));
    assert!(server.finish().success());
    reply
}

#[test]
fn a_question_is_answered() {
    let bedrock =
        Bedrock::start(vec![runs("SELECT count(*) AS n FROM customers"), answers("There are 400 customers.")]);
    let home = home(&bedrock);
    let reply = ask(&home, "How many customers do we have?");
    assert_eq!(reply["status"], "success", "{reply}");
    assert_eq!((&reply["rows"], &reply["summary"]), (&json!([[400]]), &json!("There are 400 customers.")));
    let receipt = &reply["receipt"];
    assert_eq!((&receipt["engine"], &receipt["model_calls"]), (&json!("bedrock"), &json!(2)));
    assert_eq!((&receipt["input_tokens"], &receipt["output_tokens"]), (&json!(200), &json!(40)));
    assert_eq!(receipt["model"], "global.anthropic.claude-sonnet-4-6");

    let requests = bedrock.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].path, "/model/global.anthropic.claude-sonnet-4-6/converse");
    assert!(requests[0].headers.contains("AWS4-HMAC-SHA256"));
    let system = requests[0].body["system"].as_array().unwrap();
    assert!(system[1]["text"].as_str().unwrap().contains("order_items("));
    assert_eq!(system[2]["cachePoint"], json!({"type": "default", "ttl": "1h"}));
    // The first call ends the conversation mostly soon: only a loop marks it, and then for five minutes.
    assert!(!requests[0].body["messages"].to_string().contains("cachePoint"));
    let looped = requests[1].body["messages"][2]["content"].as_array().unwrap();
    assert_eq!(looped.last().unwrap()["cachePoint"], json!({"type": "default"}));
    let result = &requests[1].body["messages"][2]["content"][0]["toolResult"];
    assert_eq!(result["status"], "success");
    assert!(result["content"][0]["text"].as_str().unwrap().contains("[[400]]"));

    let records = home.records();
    assert_eq!(records.len(), 2);
    assert_eq!(records[0]["question"], "How many customers do we have?");
    assert_eq!(records[1]["question_id"], records[0]["id"]);
    assert_eq!((&records[0]["engine"], &records[0]["input_tokens"]), (&json!("bedrock"), &json!(200)));
}

#[test]
fn the_prefix_is_the_same_for_every_question() {
    let bedrock = Bedrock::start(vec![uses("cannot_answer", json!({"missing": "nothing"}))]);
    let home = home(&bedrock);
    let mut server = home.serve();
    for question in ["How many customers?", "Which product sells best?"] {
        server.call("ask_database", json!({"question": question}));
    }
    let requests = bedrock.requests();
    let prefix = |body: &Value| format!("{}{}", body["toolConfig"], body["system"]);
    assert_eq!(prefix(&requests[0].body), prefix(&requests[1].body));
    assert_ne!(requests[0].body["messages"], requests[1].body["messages"]);
}

#[test]
fn an_error_of_the_database_is_fed_back_and_repaired() {
    let bedrock = Bedrock::start(vec![
        runs("SELECT nme FROM customers"),
        runs("SELECT name FROM customers ORDER BY id LIMIT 1"),
        answers("One."),
    ]);
    let home = home(&bedrock);
    let reply = ask(&home, "The first customer's name?");
    assert_eq!(reply["status"], "success", "{reply}");
    let fed_back = bedrock.requests()[1].body["messages"][2]["content"][0]["toolResult"].clone();
    assert_eq!(fed_back["status"], "error");
    assert!(fed_back["content"][0]["text"].as_str().unwrap().contains("no such column: nme"), "{fed_back}");
    let outcomes: Vec<Value> = home.records().iter().map(|record| record["outcome"].clone()).collect();
    assert_eq!(outcomes, ["ok", "failed", "ok"]);
}

#[test]
fn a_question_back_reaches_the_user_and_a_choice_the_model() {
    let choices = json!([{"label": "by date", "reading": "Top products by order date"},
        {"label": "by payment", "reading": "Top products by payment date"}]);
    let bedrock = Bedrock::start(vec![
        uses("clarify", json!({"question": "Which date?", "choices": choices})),
        runs("SELECT 1"),
        answers("Done."),
    ]);
    let home = home(&bedrock);
    let mut server = home.serve();
    let reply = server.call("ask_database", json!({"question": "Top products"}));
    assert_eq!((&reply["status"], &reply["choices"]), (&json!("clarification_needed"), &choices));
    let reading = reply["choices"][1]["reading"].clone();
    let reply = server.call("ask_database", json!({"question": "Top products", "choice": reading}));
    assert_eq!(reply["status"], "success");
    let said = bedrock.requests()[1].body["messages"][0]["content"][0]["text"].clone();
    assert!(said.as_str().unwrap().contains("Top products by payment date"), "{said}");
}

#[test]
fn a_write_is_blocked_and_never_runs() {
    let bedrock = Bedrock::start(vec![runs("DELETE FROM customers")]);
    let home = home(&bedrock);
    let reply = ask(&home, "Delete all customers");
    assert_eq!((&reply["status"], &reply["error"]["code"]), (&json!("blocked"), &json!("write_refused")), "{reply}");
    assert_eq!(reply["sql"], "DELETE FROM customers");
    assert_eq!(bedrock.requests().len(), 3, "two corrections");
    assert_eq!(home.records().iter().filter(|record| record["decision"] == "refused").count(), 4);
    assert_eq!(home.say(&["sql", "SELECT count(*) FROM customers", "--format", "csv"]).lines().nth(1), Some("400"));
}

#[test]
fn throttling_is_waited_out() {
    let throttled = Answer::Fault { status: 429, kind: "ThrottlingException", message: "Too many tokens, please wait" };
    let bedrock = Bedrock::start(vec![throttled.clone(), throttled, runs("SELECT 1"), answers("Done.")]);
    let reply = ask(&home(&bedrock), "Anything?");
    assert_eq!(reply["status"], "success", "{reply}");
    assert_eq!(bedrock.requests().len(), 4);
}

#[test]
fn each_fault_of_the_service_has_its_code_and_remedy() {
    let cases: &[(u16, &str, &str, &str)] = &[
        (403, "AccessDeniedException", "You don't have access to the model", "model_access"),
        (404, "ResourceNotFoundException", "This model version has reached the end of its life", "model_id"),
        (
            400,
            "ValidationException",
            "Retry with the ID or ARN of an inference profile that contains this model.",
            "model_id",
        ),
        (
            403,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
            "model_credentials",
        ),
        (403, "ExpiredTokenException", "The security token included in the request is expired", "model_credentials"),
    ];
    for (status, kind, message, code) in cases {
        let bedrock = Bedrock::start(vec![Answer::Fault { status: *status, kind, message }]);
        let reply = ask(&home(&bedrock), "Anything?");
        assert_eq!(reply["error"]["code"], *code, "{kind}: {reply}");
        assert!(reply["error"]["hint"].as_str().unwrap().len() > 20);
        assert_eq!(bedrock.requests().len(), 1, "{kind} is not tried again");
    }
    let bedrock = Bedrock::start(vec![Answer::Turn { content: json!([]), stop: "end_turn" }]);
    assert_eq!(ask(&home(&bedrock), "Anything?")["error"]["code"], "model_reply");
    let bedrock = Bedrock::start(vec![Answer::Turn { content: json!([{"text": "no"}]), stop: "guardrail_intervened" }]);
    assert_eq!(ask(&home(&bedrock), "Anything?")["error"]["code"], "model_blocked");
}

#[test]
fn without_credentials_the_error_says_what_to_set() {
    let home = Home::new("credentials").set("TUDB_MODEL", "bedrock").set("AWS_REGION", "eu-central-1");
    let reply = ask(&home, "How many customers?");
    assert_eq!(reply["error"]["code"], "model_credentials", "{reply}");
    for word in ["AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_BEARER_TOKEN_BEDROCK", "other four tools"] {
        assert!(reply["error"]["hint"].as_str().unwrap().contains(word));
    }
    let mut server = home.serve();
    assert_eq!(server.call("run_sql", json!({"sql": "SELECT 1"}))["rows"], json!([[1]]));
}

#[test]
fn a_model_that_never_stops_is_stopped() {
    let bedrock = Bedrock::start(vec![uses("search_schema", json!({"words": "orders"}))]);
    let reply = ask(&home(&bedrock), "Anything?");
    assert_eq!(reply["error"]["code"], "model_reply", "{reply}");
    assert_eq!(bedrock.requests().len(), 6);
}

#[test]
fn a_silent_model_ends_at_the_deadline_with_the_rows_at_hand() {
    let silence = Answer::Silence(Duration::from_secs(30));
    let bedrock = Bedrock::start(vec![silence.clone()]);
    let home_silent = home(&bedrock).set("TUDB_ASK_TIMEOUT_MS", 2_000);
    assert_eq!(ask(&home_silent, "Anything?")["error"]["code"], "deadline");

    let bedrock = Bedrock::start(vec![runs("SELECT 7 AS n"), silence]);
    let home = home(&bedrock).set("TUDB_ASK_TIMEOUT_MS", 2_000);
    let reply = ask(&home, "Anything?");
    assert_eq!((&reply["status"], &reply["warnings"]), (&json!("success"), &json!(["deadline"])), "{reply}");
    assert_eq!(reply["rows"], json!([[7]]));
}

#[test]
fn secrets_reach_no_sink() {
    let secret_fault =
        Answer::Fault { status: 403, kind: "UnrecognizedClientException", message: "The security token is invalid" };
    let bedrock = Bedrock::start(vec![runs("SELECT 1"), answers("Done."), secret_fault]);
    let home = home(&bedrock).set("TUDB_AUDIT_JSONL", "stderr");
    let mut server = home.serve();
    let mut seen = String::new();
    for question in ["One?", "Two?"] {
        seen.push_str(&server.call("ask_database", json!({"question": question})).to_string());
    }
    let stderr = std::sync::Arc::clone(&server.stderr);
    server.finish();
    seen.push_str(&stderr.lock().unwrap());
    seen.push_str(&String::from_utf8_lossy(&crate::support::everything_under(&home.scratch.path(""))));
    for request in bedrock.requests() {
        seen.push_str(&request.body.to_string());
    }
    for secret in ["AKIAPLANTEDKEY", "planted-aws-secret"] {
        assert!(!seen.contains(secret), "{secret}");
    }
}
