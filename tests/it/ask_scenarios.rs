//! What a model may reply and a service may do, one scenario each: outcome, model calls, requests, tokens and audit
//! records, through the real AWS SDK. `tests/run -- ask_scenarios --nocapture` prints the table.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::bedrock::{Answer, Bedrock, answers, runs, uses};
use crate::support::{Home, Server};

/// One question and its expected outcome.
struct Scenario {
    name: &'static str,
    script: Vec<Answer>,
    /// Arguments besides the question.
    arguments: Value,
    config: &'static str,
    env: Vec<(&'static str, &'static str)>,
    /// Status, or the error's code.
    outcome: &'static str,
    /// Model calls in the receipt.
    calls: u64,
    /// Requests that the service received.
    requests: usize,
    /// Audit records of the question and its statements.
    records: usize,
    /// Text that the reply has to contain.
    holds: &'static str,
}

/// A scenario with as many requests as model `calls`, and `records` in the trail.
fn scenario(name: &'static str, script: Vec<Answer>, outcome: &'static str, calls: u64, records: usize) -> Scenario {
    Scenario {
        name,
        script,
        arguments: json!({}),
        config: "",
        env: Vec::new(),
        outcome,
        calls,
        requests: usize::try_from(calls).unwrap(),
        records,
        holds: "",
    }
}

impl Scenario {
    fn requests(mut self, requests: usize) -> Self {
        self.requests = requests;
        self
    }

    fn holds(mut self, part: &'static str) -> Self {
        self.holds = part;
        self
    }

    fn config(mut self, config: &'static str) -> Self {
        self.config = config;
        self
    }

    fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.env.push((name, value));
        self
    }

    fn with(mut self, arguments: Value) -> Self {
        self.arguments = arguments;
        self
    }
}

const COUNT: &str = "SELECT count(*) AS n FROM customers";

fn count() -> Answer {
    runs(COUNT)
}

fn done() -> Answer {
    answers("There are 400.")
}

fn turn(content: Value, stop: &'static str) -> Answer {
    Answer::Turn { content, stop }
}

fn text(words: &str) -> Answer {
    turn(json!([{"text": words}]), "end_turn")
}

/// A turn of several tool uses.
fn several(tools: &[(&str, Value)]) -> Answer {
    let uses = tools.iter().enumerate();
    let content = uses.map(
        |(place, (name, input))| json!({"toolUse": {"toolUseId": format!("t{place}"), "name": name, "input": input}}),
    );
    turn(content.collect(), "tool_use")
}

fn fault(status: u16, kind: &'static str, message: &'static str) -> Answer {
    Answer::Fault { status, kind, message }
}

fn cut() -> Answer {
    turn(
        json!([{"toolUse": {"toolUseId": "t", "name": "run_sql", "input": {"sql": "DELETE FROM customers"}}}]),
        "max_tokens",
    )
}

fn clarifies(choices: usize) -> Answer {
    let choices: Vec<Value> =
        (0..choices).map(|n| json!({"label": format!("{n}"), "reading": format!("Reading {n} of it")})).collect();
    uses("clarify", json!({"question": "Which one?", "choices": choices}))
}

fn usual() -> Vec<Scenario> {
    let search = || uses("search_schema", json!({"words": "people who buy"}));
    let describe = || uses("describe_table", json!({"table": "customers"}));
    let sample = || uses("sample_values", json!({"table": "customers", "column": "city"}));
    vec![
        scenario("easy", vec![count(), done()], "success", 2, 2).holds("\"rows\":[[400]]"),
        scenario("rows, then words without a tool", vec![count(), text("There are 400.")], "success", 2, 2),
        scenario("searches, then runs", vec![search(), count(), done()], "success", 3, 2),
        scenario("describes, then runs", vec![describe(), count(), done()], "success", 3, 3),
        scenario("samples, then runs", vec![sample(), count(), done()], "success", 3, 3),
        scenario(
            "three tools at once",
            vec![
                several(&[
                    ("describe_table", json!({"table": "orders"})),
                    ("search_schema", json!({"words": "x"})),
                    ("run_sql", json!({"sql": COUNT})),
                ]),
                done(),
            ],
            "success",
            2,
            3,
        ),
        scenario(
            "two statements at once",
            vec![several(&[("run_sql", json!({"sql": "SELECT 1"})), ("run_sql", json!({"sql": COUNT}))]), done()],
            "success",
            2,
            3,
        )
        .holds("[[400]]"),
        scenario(
            "runs and answers in one turn",
            vec![several(&[("run_sql", json!({"sql": COUNT})), ("answer", json!({"summary": "There are 400."}))])],
            "success",
            1,
            2,
        ),
        scenario("explains, then runs", vec![runs("EXPLAIN SELECT * FROM orders"), count(), done()], "success", 3, 3),
        scenario(
            "words beside the tool",
            vec![
                turn(
                    json!([{"text": "Let me see."}, {"toolUse": {"toolUseId": "t", "name": "run_sql", "input": {"sql": COUNT}}}]),
                    "tool_use",
                ),
                done(),
            ],
            "success",
            2,
            2,
        ),
        scenario(
            "no such data",
            vec![uses("cannot_answer", json!({"missing": "weather is not stored"}))],
            "unanswerable",
            1,
            1,
        )
        .holds("weather is not stored"),
        scenario(
            "no such data after looking",
            vec![search(), uses("cannot_answer", json!({"missing": "weather"}))],
            "unanswerable",
            2,
            1,
        ),
        scenario("asks back", vec![clarifies(2)], "clarification_needed", 1, 1).holds("Reading 1 of it"),
        scenario("the chosen reading", vec![count(), done()], "success", 2, 2)
            .with(json!({"choice": "How many customers in all?"})),
        scenario("a verified query", vec![done()], "success", 0, 2).config("VERIFIED").holds("\"engine\":\"verified\""),
        scenario(
            "fewer rows than there are",
            vec![runs("SELECT id FROM customers ORDER BY id"), answers("A list.")],
            "success",
            2,
            2,
        )
        .with(json!({"max_rows": 3}))
        .holds("\"truncated\":true"),
        scenario("rows not sent", vec![count(), answers("There are 999.")], "success", 2, 2)
            .config("[model]\nsend_rows = false\n")
            .holds("\"summary\":\"1 row.\""),
        scenario("values not sent", vec![sample(), count(), done()], "success", 3, 2)
            .config("[model]\nsend_values = false\n"),
        scenario("a question of nothing", vec![done()], "invalid_argument", 0, 1).with(json!({"question": "  "})),
        scenario("a row limit of nothing", vec![done()], "invalid_argument", 0, 1).with(json!({"max_rows": 0})),
        scenario("no such source", vec![done()], "unknown_source", 0, 1).with(json!({"source": "elsewhere"})),
    ]
}

fn faults_of_the_model() -> Vec<Scenario> {
    let wrong = |input: Value| vec![uses("run_sql", input), count(), done()];
    vec![
        scenario("an unknown tool", vec![uses("drop_table", json!({"table": "orders"})), count(), done()], "success", 3, 2),
        scenario("the built-in answerer's own tool", vec![uses("hand_back", json!({})), count(), done()], "success", 3, 2),
        scenario("a wrong type", wrong(json!({"sql": 1})), "success", 3, 2),
        scenario("a missing argument", wrong(json!({})), "success", 3, 2),
        scenario("no object at all", wrong(json!("SELECT 1")), "success", 3, 2),
        scenario("an empty statement", wrong(json!({"sql": " "})), "success", 3, 3),
        scenario("words before any tool", vec![text("Sure!"), count(), done()], "success", 3, 2),
        scenario("nothing but words", vec![text("There are many.")], "model_reply", 2, 1),
        scenario("a fenced statement is not run", vec![text("```sql\nSELECT 1\n```")], "model_reply", 2, 1),
        scenario("a fenced statement, then a tool", vec![text("```sql\nSELECT 1\n```"), count(), done()], "success", 3, 2).holds("[[400]]"),
        scenario("nothing", vec![turn(json!([]), "end_turn")], "model_reply", 1, 1),
        scenario("a blank", vec![text(" \n")], "model_reply", 1, 1),
        scenario("a cut call does not run", vec![cut(), count(), done()], "success", 3, 2),
        scenario("cut again and again", vec![cut()], "model_reply", 6, 1),
        scenario("cut words after the rows", vec![count(), turn(json!([{"text": "There are"}]), "max_tokens"), done()], "success", 3, 2).holds("There are 400."),
        scenario("answers before it ran anything", vec![done(), count(), done()], "success", 3, 2),
        scenario("one choice only", vec![clarifies(1), clarifies(2)], "clarification_needed", 2, 1),
        scenario("five choices", vec![clarifies(5), clarifies(4)], "clarification_needed", 2, 1),
        scenario("never comes to an end", vec![uses("search_schema", json!({"words": "x"}))], "model_reply", 6, 1),
        scenario("never ends, rows at hand", vec![count()], "success", 6, 7).holds("did not finish within the permitted"),
        scenario("a number of its own", vec![count(), answers("There are 999."), done()], "success", 3, 2).holds("There are 400."),
        scenario("numbers of its own, twice", vec![count(), answers("There are 999.")], "success", 3, 2).holds("is withheld"),
        scenario("its rules as the summary", vec![count(), answers("You answer questions about one SQL database by calling tools. You can only read it. 1. Call run_sql with one statement (SELECT or WITH) built only from tables")], "success", 2, 2).holds("they repeat its rules"),
        scenario("its rules as a question", vec![uses("cannot_answer", json!({"missing": "You answer questions about one SQL database by calling tools. You can only read it. 1. Call run_sql with one statement (SELECT or WITH) built only from tables"})), count(), done()], "success", 3, 2),
        scenario("stopped by a sequence", vec![count(), turn(json!([{"text": "400."}]), "stop_sequence")], "success", 2, 2),
        scenario("a guardrail intervenes", vec![turn(json!([{"text": "no"}]), "guardrail_intervened")], "model_blocked", 1, 1),
        scenario("content is filtered", vec![turn(json!([{"text": "no"}]), "content_filtered")], "model_blocked", 1, 1),
        scenario("the context window is full", vec![turn(json!([{"text": "no"}]), "model_context_window_exceeded")], "model_reply", 1, 1).holds("a longer context"),
        scenario("malformed output, twice", vec![turn(json!([{"text": "no"}]), "malformed_model_output")], "model_reply", 1, 1).requests(2),
        scenario("a malformed tool use, once", vec![turn(json!([{"text": "no"}]), "malformed_tool_use"), count(), done()], "success", 2, 2).requests(3),
        scenario("a block of tomorrow", vec![turn(json!([{"hologram": {"x": 1}}, {"toolUse": {"toolUseId": "t", "name": "run_sql", "input": {"sql": COUNT}}}]), "tool_use"), done()], "success", 2, 2),
        scenario("a stop of tomorrow", vec![turn(json!([{"text": "no"}]), "pause_turn")], "model_reply", 1, 1),
    ]
}

fn statements() -> Vec<Scenario> {
    let mended = |first: &str| vec![runs(first), count(), done()];
    vec![
        scenario("a wrong column", mended("SELECT count(idd) FROM customers"), "success", 3, 3),
        scenario("a wrong table", mended("SELECT count(*) FROM custmers"), "success", 3, 3),
        scenario("a syntax error", mended("SELEC 1"), "success", 3, 3),
        scenario(
            "the other dialect's function",
            mended("SELECT date_trunc('month', ordered_at) FROM orders"),
            "success",
            3,
            3,
        ),
        scenario(
            "two mistakes",
            vec![runs("SELECT a FROM customers"), runs("SELECT b FROM customers"), count(), done()],
            "success",
            4,
            4,
        ),
        scenario("three mistakes", vec![runs("SELECT nothing FROM customers")], "sql_error", 3, 4),
        scenario("insists on a write", vec![runs("DELETE FROM customers")], "write_refused", 3, 4)
            .holds("\"status\":\"blocked\""),
        scenario("a write, then a question", mended("DELETE FROM customers"), "success", 3, 3),
        scenario("two statements in one", mended("SELECT 1; SELECT 2"), "success", 3, 3),
        scenario("insists on a file", vec![runs("SELECT load_extension('x')")], "function_refused", 3, 4),
        scenario("reads another database", vec![runs("ATTACH 'x.db' AS x")], "statement_refused", 3, 4),
        scenario("the catalog itself", mended("SELECT sql FROM sqlite_master"), "success", 3, 3),
        scenario("a denied column", mended("SELECT email FROM customers"), "success", 3, 3)
            .config("[sources.main]\ndeny = [\"customers.email\"]\n"),
        scenario("insists on a denied column", vec![runs("SELECT email FROM customers")], "column_denied", 3, 4)
            .config("[sources.main]\ndeny = [\"customers.email\"]\n"),
        scenario(
            "a masked column is masked",
            vec![runs("SELECT email FROM customers WHERE id = 1"), answers("One.")],
            "success",
            2,
            2,
        )
        .config("[sources.main]\nmask = [\"customers.email\"]\n")
        .holds("[[\"***\"]]"),
        scenario(
            "a misspelt value",
            vec![
                runs("SELECT name FROM customers WHERE city = 'Zurich'"),
                runs("SELECT count(*) AS n FROM customers WHERE city = 'Zürich'"),
                answers("There are 25."),
            ],
            "success",
            3,
            3,
        )
        .holds("[[25]]"),
        scenario(
            "a count that a misspelt value made zero",
            vec![
                runs("SELECT count(*) FROM customers WHERE city = 'Zurich'"),
                runs("SELECT count(*) FROM customers WHERE city = 'Zürich'"),
                answers("There are 25."),
            ],
            "success",
            3,
            3,
        )
        .holds("[[25]]"),
        scenario(
            "nothing, and it stands by it",
            vec![runs("SELECT name FROM customers WHERE city = 'Atlantis'"), answers("None.")],
            "success",
            2,
            2,
        )
        .holds("\"rows\":[]"),
        scenario(
            "NULL everywhere",
            vec![runs("SELECT max(discount) FROM order_items WHERE quantity > 10000"), answers("None.")],
            "success",
            2,
            2,
        )
        .holds("[[null]]"),
        scenario(
            "an endless statement",
            vec![
                runs("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"),
                count(),
                done(),
            ],
            "success",
            3,
            3,
        )
        .env("TUDB_STATEMENT_TIMEOUT_MS", "500"),
    ]
}

fn faults_of_the_service() -> Vec<Scenario> {
    let once = |answer: Answer| vec![answer, count(), done()];
    let throttled = || fault(429, "ThrottlingException", "Too many tokens, please wait");
    vec![
        scenario("throttled twice", vec![throttled(), throttled(), count(), done()], "success", 2, 2).requests(4),
        scenario("throttled until the end", vec![throttled()], "model_throttled", 1, 1).requests(5),
        scenario("a timeout of the model, once", once(fault(408, "ModelTimeoutException", "slow")), "success", 2, 2)
            .requests(3),
        scenario(
            "a timeout of the model, twice",
            vec![fault(408, "ModelTimeoutException", "slow")],
            "model_unavailable",
            1,
            1,
        )
        .requests(2),
        scenario("an error of the model, once", once(fault(424, "ModelErrorException", "failed")), "success", 2, 2)
            .requests(3),
        scenario(
            "an error of the model, twice",
            vec![fault(424, "ModelErrorException", "failed")],
            "model_unavailable",
            1,
            1,
        )
        .requests(2),
        scenario("an internal error", once(fault(500, "InternalServerException", "oops")), "success", 2, 2).requests(3),
        scenario("unavailable for a moment", once(fault(503, "ServiceUnavailableException", "busy")), "success", 2, 2)
            .requests(3),
        scenario("not ready yet", once(fault(429, "ModelNotReadyException", "loading")), "success", 2, 2).requests(3),
        scenario("over the quota", vec![fault(400, "ServiceQuotaExceededException", "quota")], "model_throttled", 1, 1),
        scenario("the connection is reset, once", once(Answer::Reset), "success", 2, 2).requests(3),
        scenario("half an answer, once", once(Answer::Half("{\"output\": {\"mess")), "success", 2, 2).requests(3),
        scenario("an answer that is no JSON", vec![Answer::Body("<html>")], "model_unavailable", 1, 1),
        scenario("an answer of nothing", vec![Answer::Body("{}")], "model_reply", 1, 1),
        scenario("silence", vec![Answer::Silence(Duration::from_secs(20))], "deadline", 1, 1)
            .env("TUDB_ASK_TIMEOUT_MS", "4000"),
        scenario("silence after the rows", vec![count(), Answer::Silence(Duration::from_secs(20))], "success", 2, 2)
            .env("TUDB_ASK_TIMEOUT_MS", "5000")
            .holds("\"warnings\":[\"deadline\"]"),
        scenario("throttled after the rows", vec![count(), throttled()], "success", 2, 2)
            .requests(6)
            .holds("\"warnings\":[\"the model"),
        scenario("no JSON after the rows", vec![count(), Answer::Body("<html>")], "success", 2, 2)
            .holds("\"warnings\":[\"the model"),
        scenario(
            "no access to the model",
            vec![fault(403, "AccessDeniedException", "no access")],
            "model_access",
            1,
            1,
        ),
        scenario(
            "the end of the model's life",
            vec![fault(404, "ResourceNotFoundException", "This model version has reached the end of its life")],
            "model_id",
            1,
            1,
        ),
        scenario(
            "a wrong region or id",
            vec![fault(400, "ValidationException", "The provided model identifier is invalid.")],
            "model_id",
            1,
            1,
        ),
        scenario(
            "no on-demand use",
            vec![fault(
                400,
                "ValidationException",
                "Retry with the ID or ARN of an inference profile that contains this model.",
            )],
            "model_id",
            1,
            1,
        ),
        scenario(
            "a request that is too long",
            vec![fault(400, "ValidationException", "Input is too long for requested model.")],
            "model_reply",
            1,
            1,
        )
        .holds("lower limits.schema_budget_tokens"),
        scenario(
            "a model without tools",
            vec![fault(400, "ValidationException", "This model doesn't support tool use.")],
            "model_id",
            1,
            1,
        )
        .holds("a model that can call tools"),
        scenario(
            "a parameter that the model does not take",
            vec![fault(
                400,
                "ValidationException",
                "The maximum tokens you requested exceeds the model limit of 2048.",
            )],
            "model_unavailable",
            1,
            1,
        )
        .holds("refused the request: The maximum tokens"),
        scenario(
            "a model without a cache",
            once(fault(400, "ValidationException", "You invoked an unsupported model for prompt caching.")),
            "success",
            2,
            2,
        )
        .requests(3),
        scenario(
            "an invalid token",
            vec![fault(403, "UnrecognizedClientException", "The security token is invalid")],
            "model_credentials",
            1,
            1,
        ),
        scenario("an expired token", vec![fault(403, "ExpiredTokenException", "expired")], "model_credentials", 1, 1),
        scenario(
            "a wrong signature",
            vec![fault(403, "InvalidSignatureException", "signature")],
            "model_credentials",
            1,
            1,
        ),
        scenario("no credentials", vec![done()], "model_credentials", 1, 1)
            .requests(0)
            .env("AWS_ACCESS_KEY_ID", "")
            .env("AWS_SECRET_ACCESS_KEY", ""),
        scenario("no region", vec![done()], "model_credentials", 1, 1)
            .requests(0)
            .env("AWS_REGION", "")
            .holds("no region is set\",\"hint\":\"Set AWS_REGION"),
        scenario("tokens for one call only", vec![count(), done()], "success", 1, 2)
            .config("[limits]\nmax_question_tokens = 100\n")
            .holds("max_question_tokens"),
        scenario(
            "two calls only",
            vec![uses("search_schema", json!({"words": "x"})), count(), done()],
            "success",
            2,
            2,
        )
        .config("[limits]\nmax_model_calls = 2\n")
        .holds("[[400]]"),
    ]
}

fn run(scenario: &Scenario, number: usize) -> (Value, usize, usize) {
    let bedrock = Bedrock::start(scenario.script.clone());
    let mut home = bedrock.home(Home::new("scenario"));
    let config = home.scratch.path("tudb.toml");
    let context = home.scratch.path("context.toml");
    if scenario.config == "VERIFIED" {
        let text = format!("[[queries]]\nquestion = \"How many customers do we have?\"\nsql = \"{COUNT}\"\n");
        std::fs::write(&context, text).unwrap();
        home = home.set("TUDB_CONTEXT", context.display());
    } else if !scenario.config.is_empty() {
        std::fs::write(&config, scenario.config).unwrap();
        home = home.set("TUDB_CONFIG", config.display());
    }
    for (name, value) in &scenario.env {
        home = home.set(name, value);
    }
    let mut arguments = json!({"question": "How many customers do we have?"});
    arguments.as_object_mut().unwrap().extend(scenario.arguments.as_object().unwrap().clone());
    let mut server: Server = home.serve();
    let reply = server.call("ask_database", arguments);
    assert!(server.finish().success(), "{number} {}", scenario.name);
    let asked = home.records().iter().filter(|record| record["tool"] == "ask_database").count();
    let all = home.records().len();
    assert!(asked >= 1 && all >= asked);
    (reply, bedrock.requests().len(), all)
}

/// Runs the scenarios on several threads, because most of their time is waiting. Prints one line each.
fn table(scenarios: Vec<Scenario>) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let lines = std::sync::Mutex::new(vec![String::new(); scenarios.len()]);
    let wrong = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some(scenario) = scenarios.get(number) else { return };
                    let (reply, requests, records) = run(scenario, number);
                    let outcome = reply["error"]["code"].as_str().or(reply["status"].as_str()).unwrap();
                    let receipt = &reply["receipt"];
                    let number_of = |name: &str| receipt[name].as_u64().unwrap_or(0);
                    let calls = number_of("model_calls");
                    lines.lock().unwrap()[number] = format!(
                        "{:<45} {outcome:<22} {calls:>5} {requests:>8} {:>6} {:>6} {records:>7} {:>7}",
                        scenario.name,
                        number_of("input_tokens"),
                        number_of("output_tokens"),
                        number_of("elapsed_ms")
                    );
                    // The tokens of every turn that was received are counted, and no others.
                    let is_right = (outcome, calls, requests, records)
                        == (scenario.outcome, scenario.calls, scenario.requests, scenario.records)
                        && reply.to_string().contains(scenario.holds)
                        && number_of("input_tokens") == 5 * number_of("output_tokens")
                        && number_of("input_tokens") <= 100 * requests as u64;
                    let has_remedy = reply.get("error").is_none_or(|error| {
                        error["hint"].as_str().is_some_and(|hint| hint.len() > 10)
                            || error["code"] == "invalid_argument"
                    });
                    if !is_right || !has_remedy {
                        wrong.lock().unwrap().push(format!(
                            "{}: {calls} calls, {requests} requests, {records} records: {reply}",
                            scenario.name
                        ));
                    }
                }
            });
        }
    });
    eprintln!(
        "{:<45} {:<22} {:>5} {:>8} {:>6} {:>6} {:>7} {:>7}",
        "scenario", "outcome", "calls", "requests", "input", "output", "records", "ms"
    );
    for line in lines.into_inner().unwrap() {
        eprintln!("{line}");
    }
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_asked_every_day() {
    table(usual());
}

#[test]
fn what_a_model_does_wrong() {
    table(faults_of_the_model());
}

#[test]
fn what_a_statement_meets() {
    table(statements());
}

#[test]
fn what_the_service_does() {
    table(faults_of_the_service());
}
