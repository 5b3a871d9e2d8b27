//! Checks on answers: numbers are in the result, an empty result is questioned, values are spelt as they are stored,
//! and a conversation is visible to its own user only. Through Bedrock's wire format.

use serde_json::{Value, json};

use crate::support::Home;
use crate::support::bedrock::{Answer, Bedrock, answers, runs, uses};

fn home(bedrock: &Bedrock) -> Home {
    bedrock.home(Home::new("honest"))
}

fn ask(script: Vec<Answer>) -> (Value, Bedrock, Home) {
    let bedrock = Bedrock::start(script);
    let home = home(&bedrock);
    let reply = home.serve().call("ask_database", json!({"question": "How many customers do we have?"}));
    (reply, bedrock, home)
}

/// Status and text of the last tool result in a request.
fn result(bedrock: &Bedrock, request: usize) -> (String, String) {
    let body = &bedrock.requests()[request].body;
    let result = &body["messages"].as_array().unwrap().last().unwrap()["content"][0]["toolResult"];
    (result["status"].as_str().unwrap().to_owned(), result["content"][0]["text"].as_str().unwrap().to_owned())
}

#[test]
fn a_number_that_stands_nowhere_is_questioned_and_then_withheld() {
    let count = "SELECT count(*) AS n FROM customers";
    let (reply, bedrock, _) = ask(vec![runs(count), answers("There are 999."), answers("There are 400.")]);
    assert_eq!((&reply["status"], &reply["summary"]), (&json!("success"), &json!("There are 400.")), "{reply}");
    let (status, text) = result(&bedrock, 2);
    assert!(status == "error" && text.contains("are not in the result: 999"), "{text}");
    let (reply, ..) = ask(vec![runs(count), answers("There are 999."), answers("It is 998, truly.")]);
    assert_eq!((&reply["status"], &reply["summary"]), (&json!("success"), &json!("1 row.")), "{reply}");
    assert!(reply["warnings"][0].as_str().unwrap().contains("998"), "{reply}");
    assert_eq!(reply["rows"], json!([[400]]));
}

#[test]
fn a_result_of_nothing_is_questioned_once_with_the_spelling_that_is_stored() {
    let of =
        |city: &str| runs(&format!("SELECT count(*) AS n FROM customers WHERE city = '{city}' HAVING count(*) > 0"));
    let (reply, bedrock, _) = ask(vec![of("Zurich"), of("Zürich"), answers("There are 25.")]);
    assert_eq!(reply["rows"], json!([[25]]), "{reply}");
    let (status, text) = result(&bedrock, 1);
    assert!(status == "success" && text.contains("'Zurich' is not stored; customers.city holds 'Zürich'"), "{text}");
    // An empty result is accepted when the model runs the same statement again.
    let (reply, bedrock, _) = ask(vec![of("Nowhere"), of("Nowhere"), answers("There are none.")]);
    assert_eq!((&reply["row_count"], &reply["summary"]), (&json!(0), &json!("There are none.")));
    assert!(!result(&bedrock, 2).1.contains("holds no value"), "only once");
}

#[test]
fn values_of_a_column_come_by_the_road_of_any_statement() {
    let sample = |table: &str, column: &str| uses("sample_values", json!({"table": table, "column": column}));
    let count = || runs("SELECT count(*) AS n FROM customers");
    let (reply, bedrock, home) = ask(vec![
        sample("customers", "city"),
        sample("customers", "cty"),
        sample("custmers", "city"),
        count(),
        answers("400."),
    ]);
    assert_eq!(reply["status"], "success", "{reply}");
    assert!(result(&bedrock, 1).1.contains("Zürich"));
    assert!(result(&bedrock, 2).1.contains(">\ncity\n<"), "{:?}", result(&bedrock, 2));
    assert!(result(&bedrock, 3).1.contains(">\ncustomers\n<"));
    let records = home.records();
    assert!(
        records
            .iter()
            .any(|record| record["sql"] == "SELECT city, count(*) AS n FROM customers WHERE city IS NOT NULL GROUP BY city ORDER BY n DESC, city LIMIT 21")
    );
    // Values that must not be sent are not sent, and masked values stay masked.
    for (setting, expected) in [
        ("[model]\nsend_values = false\n", "not sent"),
        ("[model]\nsend_rows = false\n", "not sent"),
        ("[sources.main]\nmask = [\"customers.city\"]\n", "***"),
    ] {
        let bedrock = Bedrock::start(vec![sample("customers", "city"), count(), answers("400.")]);
        let home = self::home(&bedrock);
        let config = home.scratch.path("tudb.toml");
        std::fs::write(&config, setting).unwrap();
        let home = home.set("TUDB_CONFIG", config.display());
        home.serve().call("ask_database", json!({"question": "How many customers?"}));
        let (_, text) = result(&bedrock, 1);
        assert!(!text.contains("Zürich"), "{setting}: {text}");
        assert!(text.contains(expected) || text.contains("column_masked"), "{setting}: {text}");
    }
}

#[test]
fn without_rows_no_tool_gives_the_model_a_value() {
    let city = "SELECT city FROM customers ORDER BY id";
    let script = || {
        vec![
            uses("sample_values", json!({"table": "customers", "column": "city"})),
            uses("describe_table", json!({"table": "customers"})),
            uses("search_schema", json!({"words": "city of customers"})),
            runs(city),
            runs("SELECT count(*) AS n FROM customers WHERE city = 'Zurich' HAVING count(*) > 0"),
            answers("400."),
        ]
    };
    let sent = |setting: &str| {
        let bedrock = Bedrock::start(script());
        let home = self::home(&bedrock);
        let config = home.scratch.path("tudb.toml");
        std::fs::write(&config, setting).unwrap();
        let home = home.set("TUDB_CONFIG", config.display());
        home.serve().call("ask_database", json!({"question": "Where do customers live?"}));
        let bodies: Vec<String> = bedrock.requests().iter().map(|request| request.body.to_string()).collect();
        assert!(bodies.len() > 4, "{} requests", bodies.len());
        bodies.concat()
    };
    let mut server = Home::new("cities").serve();
    let rows = server.call("run_sql", json!({"sql": "SELECT DISTINCT city FROM customers"}))["rows"].clone();
    let known = rows.as_array().unwrap().iter().filter_map(|row| row[0].as_str());
    let cities: Vec<String> = known.map(str::to_owned).collect();
    let with_rows = sent("");
    assert!(cities.len() > 3 && cities.iter().any(|city| with_rows.contains(city)), "{cities:?}");
    for setting in ["send_rows = false", "send_rows = false\nsend_values = true"] {
        let sent = sent(&format!("[model]\n{setting}\n"));
        for city in &cities {
            assert!(!sent.contains(city), "{setting}: {city}");
        }
    }
}

#[test]
fn a_conversation_goes_on_for_its_own_user_alone() {
    let bedrock = Bedrock::start_with(|_, body| {
        if body["messages"].as_array().unwrap().len() == 1 {
            runs("SELECT count(*) AS n FROM customers")
        } else {
            answers("400.")
        }
    });
    let home = home(&bedrock);
    let mut server = home.serve();
    let mut ask = |question: &str, user: Option<&str>, session: Option<&str>| {
        let before = bedrock.requests().len();
        let reply = server.call(
            "ask_database",
            json!({"question": question, "user_id": user.unwrap_or("ann"), "session_id": session.unwrap_or("")}),
        );
        assert_eq!(reply["status"], "success", "{reply}");
        let requests = bedrock.requests();
        let body = &requests[before].body;
        (body["messages"][0]["content"][0]["text"].as_str().unwrap().to_owned(), body["system"].to_string())
    };
    let (first, prefix) = ask("How many customers?", None, Some("s1"));
    assert!(!first.contains("Asked before"));
    let (second, prefix_then) = ask("And by city?", None, Some("s1"));
    assert!(second.contains("- How many customers?\n  SELECT count(*) AS n FROM customers"), "{second}");
    assert_eq!(prefix, prefix_then, "what is cached stays the same");
    for (user, session) in [(Some("bob"), Some("s1")), (None, Some("s2")), (None, None)] {
        assert!(!ask("And by city?", user, session).0.contains("Asked before"), "{user:?} {session:?}");
    }
}

#[test]
fn a_model_that_says_or_asks_too_much_is_bounded() {
    // A summary of very many numbers is cut before its numbers are checked.
    let words = (1_000..120_000).map(|number| number.to_string()).collect::<Vec<_>>().join(" ");
    let script = vec![runs("SELECT count(*) AS n FROM customers"), answers(&words)];
    let bedrock = Bedrock::start(script);
    let home = home(&bedrock).set("TUDB_ASK_TIMEOUT_MS", 20_000);
    let reply = home.serve().call("ask_database", json!({"question": "How many customers do we have?"}));
    assert_eq!((&reply["status"], &reply["summary"]), (&json!("success"), &json!("1 row.")));
    assert!(reply.to_string().len() < 5_000, "{} bytes", reply.to_string().len());
    for (tool, input) in [
        ("cannot_answer", json!({"missing": words})),
        (
            "clarify",
            json!({"question": words, "choices": [{"label": "a", "reading": "b"}, {"label": "c", "reading": "d"}]}),
        ),
        ("run_sql", json!({"sql": format!("DELETE FROM customers -- {words}")})),
    ] {
        let (reply, ..) = ask(vec![uses(tool, input)]);
        assert!(reply.to_string().len() < 40_000, "{tool}: {} bytes", reply.to_string().len());
    }
    // Of very many tool uses in one turn, only a few run.
    let content = (0..200).map(
        |place| json!({"toolUse": {"toolUseId": format!("t{place}"), "name": "run_sql", "input": {"sql": "SELECT 1"}}}),
    );
    let many = Answer::Turn { content: content.collect(), stop: "tool_use" };
    let (reply, _, home) = ask(vec![many, answers("1.")]);
    assert_eq!((&reply["status"], home.records().len()), (&json!("success"), 9), "{reply}");
    let content = (0..50).map(|place| json!({"toolUse": {"toolUseId": format!("t{place}"), "name": "run_sql", "input": {"sql": "DELETE FROM orders"}}}));
    let (reply, _, home) = ask(vec![Answer::Turn { content: content.collect(), stop: "tool_use" }]);
    assert_eq!((&reply["status"], home.records().len()), (&json!("blocked"), 4), "{reply}");
}

#[test]
fn cost_stays_inside_its_limits() {
    let limited = |limits: &str, questions: usize| -> Vec<Value> {
        let bedrock = Bedrock::start_with(|_, body| {
            if body["messages"].as_array().unwrap().len() == 1 {
                runs("SELECT count(*) AS n FROM customers")
            } else {
                answers("400.")
            }
        });
        let home = home(&bedrock);
        let config = home.scratch.path("tudb.toml");
        let prices = "[prices.\"global.anthropic.claude-sonnet-4-6\"]\ninput = 1000\noutput = 1000\n";
        std::fs::write(&config, format!("[limits]\n{limits}\n{prices}")).unwrap();
        let home = home.set("TUDB_CONFIG", config.display());
        let mut server = home.serve();
        (0..questions).map(|_| server.call("ask_database", json!({"question": "How many customers?"}))).collect()
    };
    let statuses = |replies: &[Value]| -> Vec<String> {
        let word = |reply: &Value| reply["error"]["code"].as_str().or(reply["status"].as_str()).unwrap().to_owned();
        replies.iter().map(word).collect()
    };
    let replies = limited("max_asks_per_minute = 2", 3);
    assert_eq!(statuses(&replies), ["success", "success", "rate_limited"]);
    assert!(replies[2]["error"]["hint"].as_str().unwrap().starts_with("Ask again in "), "{}", replies[2]);
    // A turn takes 120 tokens. Over the limit, an answer that has its rows is sent without a summary.
    let replies = limited("max_question_tokens = 100", 1);
    assert_eq!((&replies[0]["status"], &replies[0]["rows"]), (&json!("success"), &json!([[400]])));
    assert!(replies[0]["warnings"][0].as_str().unwrap().contains("max_question_tokens"), "{}", replies[0]);
    assert_eq!(statuses(&limited("max_process_tokens = 240", 2)), ["success", "rate_limited"]);
    assert_eq!(statuses(&limited("max_process_cost = 0.2", 2)), ["success", "rate_limited"]);
    let replies = limited("max_question_cost = 0.1", 1);
    assert!(replies[0]["warnings"][0].as_str().unwrap().contains("max_question_cost"), "{}", replies[0]);
}
