//! The context file: its text reaches the model, verified queries win, and errors name the line.

use serde_json::{Value, json};

use crate::support::Home;
use crate::support::bedrock::{Bedrock, answers, runs};

const FILE: &str = "instructions = \"Amounts are in francs.\"
[[tables]]
name = \"customers\"
description = \"who has an account\"
synonyms = [\"clients\"]
[tables.columns.city]
description = \"where the parcels go\"
[[tables]]
name = \"reviews\"
hidden = true
[[metrics]]
name = \"turnover\"
sql = \"sum(quantity * unit_price)\"
[[joins]]
on = \"orders.customer_id = customers.id\"
[[queries]]
question = \"How many clients live in {city}?\"
sql = \"SELECT count(*) AS n FROM customers WHERE city = {city}\"
parameters = { city = \"text\" }
[[queries]]
question = \"How many clients are there at all?\"
sql = \"SELECT count(*) AS clients FROM customers\"
";

fn home(bedrock: Option<&Bedrock>, file: &str) -> Home {
    let home = Home::new("context");
    let path = home.scratch.path("context.toml");
    std::fs::write(&path, file).unwrap();
    let home = home.set("TUDB_CONTEXT", path.display());
    match bedrock {
        Some(bedrock) => bedrock.home(home),
        None => home,
    }
}

#[test]
fn a_verified_query_wins_and_the_model_hears_the_rest() {
    let bedrock = Bedrock::start(vec![runs("SELECT count(*) AS n FROM orders"), answers("There are many.")]);
    let home = home(Some(&bedrock), FILE);
    let mut server = home.serve();
    let reply = server.call("ask_database", json!({"question": "how many clients live in Zürich"}));
    assert_eq!((&reply["status"], &reply["rows"]), (&json!("success"), &json!([[25]])), "{reply}");
    assert_eq!((&reply["receipt"]["engine"], &reply["receipt"]["model_calls"]), (&json!("verified"), &Value::Null));
    assert_eq!(reply["sql"], "SELECT count(*) AS n FROM customers WHERE city = 'Zürich'");
    assert!(reply["explanation"].as_str().unwrap().contains("How many clients live in {city}?"));
    // A parameter is always a value, never SQL.
    let reply = server.call("ask_database", json!({"question": "How many clients live in x' OR '1'='1?"}));
    assert_eq!((&reply["status"], &reply["rows"]), (&json!("success"), &json!([[0]])), "{reply}");
    assert_eq!(bedrock.requests().len(), 0);

    let reply = server.call("ask_database", json!({"question": "How many orders do the clients of Zürich have?"}));
    assert_eq!(reply["receipt"]["engine"], "bedrock", "{reply}");
    let body = &bedrock.requests()[0].body;
    let schema = body["system"][1]["text"].as_str().unwrap();
    for word in [
        "Amounts are in francs.",
        "metric turnover = sum(quantity * unit_price)",
        "join orders.customer_id = customers.id",
        "who has an account; also called clients",
        "where the parcels go",
    ] {
        assert!(schema.contains(word), "{word}: {schema}");
    }
    assert!(!schema.contains("reviews("), "{schema}");
    let asked = body["messages"][0]["content"][0]["text"].as_str().unwrap();
    assert!(asked.contains("Verified statements of like questions:\n- How many clients live in {city}?"), "{asked}");
    let records = home.records();
    assert!(records.iter().any(|record| record["engine"] == "verified"));
    // Verified queries answer without a model too, and a word from the file is found.
    let plain = self::home(None, FILE);
    let reply = plain.serve().call("ask_database", json!({"question": "How many clients are there at all?"}));
    assert_eq!((&reply["receipt"]["engine"], &reply["rows"]), (&json!("verified"), &json!([[400]])), "{reply}");
    let spelt = self::home(
        None,
        "[[queries]]\nquestion = \"Customers of {town}?\"\nsql = \"SELECT count(*) FROM customers WHERE city = {town}\"\nparameters = { town = \"text\" }\n",
    );
    let reply = spelt.serve().call("ask_database", json!({"question": "customers of zürich"}));
    assert_eq!(reply["rows"], json!([[25]]), "{reply}");
    let seen: Value = serde_json::from_str(&plain.say(&["context", "our clients", "--json"])).unwrap();
    assert_eq!(seen["tables"][0]["name"], "customers");
}

#[test]
fn a_wrong_file_says_where_and_what_no_longer_fits_is_told() {
    let broken = home(None, "instructions = \"x\"\n[[tables]]\nnam = \"customers\"\n");
    let error = broken.serve().call("list_tables", json!({}))["error"].clone();
    assert_eq!(error["code"], "config_error");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("context.toml, line 3") && message.contains("unknown field `nam`"), "{message}");
    let old = home(
        None,
        "[[tables]]\nname = \"clients\"\n[[tables]]\nname = \"customers\"\n[tables.columns.town]\nsynonyms = [\"place\"]\n",
    );
    let said = old.say(&["doctor"]);
    assert!(
        said.contains("warn context file for main: there is no table clients; customers has no column town"),
        "{said}"
    );
    // A verified query that no longer works is reported. It is planned with made-up values and not run.
    let stale = home(
        None,
        "[[queries]]\nquestion = \"Customers of {town}?\"\nsql = \"SELECT count(*) FROM customers WHERE town = {town}\"\nparameters = { town = \"text\" }\n\
         [[queries]]\nquestion = \"Orders since {day}?\"\nsql = \"SELECT count(*) FROM orders WHERE ordered_at > {day}\"\nparameters = { day = \"date\" }\n\
         [[queries]]\nquestion = \"Clean up\"\nsql = \"DELETE FROM orders\"\n",
    );
    let said = stale.say(&["doctor"]);
    assert!(
        said.contains("the verified query \"Customers of {town}?\" fails: sql_error: no such column: town"),
        "{said}"
    );
    assert!(said.contains("\"Clean up\" fails: write_refused") && !said.contains("Orders since"), "{said}");
    // A draft can be used as a context file unchanged.
    let draft = Home::new("context").say(&["context", "init"]);
    assert!(draft.contains("name = \"order_items\"") && draft.contains("columns.\"quantity\".description"), "{draft}");
    let drafted = home(None, &draft);
    assert!(!drafted.say(&["doctor"]).contains("context file"));
    assert_eq!(
        drafted.serve().call("ask_database", json!({"question": "How many customers are there?"}))["rows"],
        json!([[400]])
    );
}
