//! Clarifying questions inside a call: the user is asked if the client supports that in its era, and a call works
//! without.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::bedrock::{Answer, Bedrock, answers, runs, uses};
use crate::support::{Home, PATIENCE, Server, content, output_of, tool_path};

const READINGS: [&str; 2] = ["Top products by order date", "Top products by payment date"];

/// A model that asks for a clarification unless a reading was chosen, and then answers with that reading's statement.
fn model() -> Bedrock {
    Bedrock::start_with(|_, body| {
        let messages = body["messages"].as_array().unwrap();
        let asked = messages[0]["content"][0]["text"].as_str().unwrap();
        match messages.len() {
            1 if asked.contains("chose: Top products by payment") => runs("SELECT 'payment' AS by"),
            1 if asked.contains("chose:") => runs("SELECT 'order' AS by"),
            1 => asks_back(),
            _ => answers("Done."),
        }
    })
}

fn asks_back() -> Answer {
    let choices: Vec<Value> = READINGS.iter().map(|reading| json!({"label": "x", "reading": reading})).collect();
    uses("clarify", json!({"question": "By which date?", "choices": choices}))
}

fn question() -> Value {
    json!({"name": "ask_database", "arguments": {"question": "Top products"}})
}

/// A server whose client announces `capabilities`, in the era with a handshake.
fn legacy(home: &Home, capabilities: Value) -> Server {
    let mut server = Server::start_silent(home.command());
    let hello = json!({"protocolVersion": "2025-06-18", "capabilities": capabilities, "clientInfo": {"name": "h", "version": "1"}});
    server.request("initialize", hello);
    server.notify("notifications/initialized", json!({}));
    server
}

/// Receives the request that asks the user.
fn asked(server: &mut Server) -> Value {
    let request = server.receive(PATIENCE).unwrap();
    assert_eq!(request["method"], "elicitation/create", "{request}");
    assert_eq!(request["params"]["message"], "By which date?");
    assert_eq!(request["params"]["requestedSchema"]["properties"]["reading"]["enum"], json!(READINGS));
    request
}

#[test]
fn the_user_chooses_while_the_call_waits() {
    let bedrock = model();
    let home = bedrock.home(Home::new("elicit"));
    let mut server = legacy(&home, json!({"elicitation": {}}));
    let accept = |reading: &str| json!({"result": {"action": "accept", "content": {"reading": reading}}});
    let cases = [
        (accept(READINGS[1]), Some("payment")),
        (accept(READINGS[0]), Some("order")),
        // Any other answer is no choice. The clarification is then the call's result, as without elicitation.
        (accept("Delete everything"), None),
        (json!({"result": {"action": "accept"}}), None),
        (json!({"result": {"action": "decline"}}), None),
        (json!({"result": {"action": "cancel"}}), None),
        (json!({"error": {"code": -32601, "message": "no"}}), None),
    ];
    for (answer, chosen) in cases {
        let id = server.send("tools/call", question());
        let request = asked(&mut server);
        let mut line = json!({"jsonrpc": "2.0", "id": request["id"]});
        line.as_object_mut().unwrap().extend(answer.as_object().unwrap().clone());
        server.send_line(&line.to_string());
        let reply = content(&server.answer(id));
        match chosen {
            Some(by) => assert_eq!(reply["rows"], json!([[by]]), "{answer}: {reply}"),
            None => {
                assert_eq!(reply["status"], "clarification_needed", "{answer}: {reply}");
                assert_eq!(reply["choices"][1]["reading"], READINGS[1]);
            }
        }
    }
    assert!(server.finish().success());
    let records = home.records();
    let questions = records.iter().filter(|record| record.get("question").is_some()).count();
    assert_eq!(questions, 9, "each asking is recorded, the chosen reading as one of its own");
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_real_client_shows_the_question_in_every_mode() {
    let bedrock = model();
    let home = bedrock.home(Home::new("elicit-client"));
    let own = home.command();
    let text = output_of(
        Command::new(tool_path("TEST_CLIENTS").join("python-mcp/bin/python"))
            .arg(format!("{}/tests/clients/elicitation.py", env!("CARGO_MANIFEST_DIR")))
            .args([env!("CARGO_BIN_EXE_tudb"), "Top products", READINGS[1]])
            .envs(own.get_envs().filter_map(|(name, value)| Some((name, value?)))),
    );
    let seen: Value = serde_json::from_str(&text).unwrap();
    for mode in ["legacy", "auto", "2026-07-28"] {
        assert_eq!(seen[mode]["shown"], json!(["By which date?"]), "{mode}: {seen}");
        assert_eq!(seen[mode]["answer"]["rows"], json!([["payment"]]), "{mode}: {seen}");
    }
}

#[test]
fn a_user_who_does_not_answer_holds_nothing_up() {
    let bedrock = model();
    let home = bedrock.home(Home::new("elicit-silent"));
    let config = home.scratch.path("tudb.toml");
    std::fs::write(&config, "[limits]\nanswer_timeout_ms = 300\n").unwrap();
    let home = home.set("TUDB_CONFIG", config.display());
    let mut server = legacy(&home, json!({"elicitation": {"form": {}}}));
    let id = server.send("tools/call", question());
    asked(&mut server);
    assert_eq!(content(&server.answer(id))["status"], "clarification_needed");
    // A client that supports no form is not asked.
    for capabilities in [json!({}), json!({"elicitation": {"url": {}}})] {
        let mut server = legacy(&home, capabilities);
        assert_eq!(server.call("ask_database", json!({"question": "Top products"}))["status"], "clarification_needed");
    }
}

#[test]
fn in_the_era_without_a_handshake_the_call_comes_again_with_the_answer() {
    let bedrock = model();
    let home = bedrock.home(Home::new("elicit-modern"));
    let mut server = Server::start_silent(home.command());
    let call = |capabilities: Value, responses: Option<Value>| {
        let mut params = question();
        params["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": capabilities,
            "io.modelcontextprotocol/clientInfo": {"name": "h", "version": "1"}});
        if let Some(responses) = responses {
            params["inputResponses"] = responses;
        }
        params
    };
    let offered = || json!({"elicitation": {"form": {}}});
    let result = server.request("tools/call", call(offered(), None));
    assert_eq!(result["resultType"], "input_required", "{result}");
    let request = &result["inputRequests"]["reading"];
    assert_eq!(
        (&request["method"], &request["params"]["message"]),
        (&json!("elicitation/create"), &json!("By which date?"))
    );
    assert_eq!(request["params"]["requestedSchema"]["properties"]["reading"]["enum"], json!(READINGS));
    let answer = json!({"reading": {"action": "accept", "content": {"reading": READINGS[1]}}});
    let id = server.send("tools/call", call(offered(), Some(answer)));
    assert_eq!(content(&server.answer(id))["rows"], json!([["payment"]]));
    // If the answer is a refusal or nonsense, the clarification is a plain result, and the user is not asked twice.
    for answer in [json!({"reading": {"action": "decline"}}), json!({"reading": 7})] {
        let id = server.send("tools/call", call(offered(), Some(answer)));
        assert_eq!(content(&server.answer(id))["status"], "clarification_needed");
    }
    let id = server.send("tools/call", call(json!({}), None));
    assert_eq!(content(&server.answer(id))["status"], "clarification_needed");
}
