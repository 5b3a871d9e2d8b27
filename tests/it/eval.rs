//! Questions with known answers: `tudb eval` with a model that knows the gold statements, and the ranking of tables
//! without a model.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use crate::support::bedrock::{Bedrock, answers, runs};
use crate::support::postgres::server;
use crate::support::{Home, Scratch};

const QUESTIONS: &str = include_str!("../nl2sql/questions.jsonl");

fn path(name: &str) -> String {
    format!("{}/tests/nl2sql/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn questions() -> Vec<Value> {
    QUESTIONS.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Three databases of the question set, two on SQLite and one on PostgreSQL.
fn home() -> (Home, Scratch) {
    let postgres = server();
    let (database, url) = postgres.database("eval");
    postgres.script(&database, include_str!("../nl2sql/car_dealership.pg.sql"));
    let home = Home::new("eval");
    let copies = Scratch::new("eval");
    let mut config = format!(
        "max_reply_bytes = 4000000\n[prices.\"global.anthropic.claude-sonnet-4-6\"]\ninput = 3.0\noutput = 15.0\n\
         [sources.car_dealership]\nurl = \"{url}\"\n"
    );
    for name in ["concert_singer", "dog_kennels"] {
        let copy = copies.path(name);
        std::fs::copy(path(&format!("{name}.sqlite")), &copy).unwrap();
        config += &format!("[sources.{name}]\nurl = \"sqlite://{}\"\n", copy.display());
    }
    let file = home.scratch.path("tudb.toml");
    std::fs::write(&file, config).unwrap();
    (home.set("TUDB_CONFIG", file.display()), copies)
}

/// A model that knows the gold statement of each question. Its first try is `change` of that statement.
fn oracle(change: fn(&str) -> String) -> Bedrock {
    let gold: HashMap<String, String> = questions()
        .iter()
        .map(|item| (item["question"].as_str().unwrap().to_owned(), item["gold_sql"].as_str().unwrap().to_owned()))
        .collect();
    Bedrock::start_with(move |_, body| {
        let messages = body["messages"].as_array().unwrap();
        let asked = messages[0]["content"][0]["text"].as_str().unwrap();
        let sql = &gold[asked.split_once("Question: ").unwrap().1];
        // If there are several right statements, the first is used.
        let sql = sql.split(';').next().unwrap();
        match messages.len() {
            1 => runs(&change(sql)),
            _ if messages.last().unwrap()["content"][0]["toolResult"]["status"] == "error" => runs(sql),
            _ => answers("As asked."),
        }
    })
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn every_gold_statement_answers_its_question_on_both_engines() {
    let (home, _copies) = home();
    let bedrock = oracle(str::to_owned);
    let home = bedrock.home(home);
    let report: Value = serde_json::from_str(&home.say(&["eval", &path("questions.jsonl"), "--json"])).unwrap();
    assert_eq!(
        (&report["questions"], &report["counted"], &report["equal"]),
        (&json!(68), &json!(68), &json!(68)),
        "{report}"
    );
    // Two model calls per question: the statement, and the summary.
    assert_eq!((&report["model_calls"], &report["repairs"]), (&json!(136), &json!(0)));
    assert_eq!((&report["input_tokens"], &report["output_tokens"]), (&json!(13_600), &json!(2_720)));
    let cost = report["cost"].as_f64().unwrap();
    assert!((cost - (13_600.0 * 3.0 + 2_720.0 * 15.0) / 1e6).abs() < 1e-9, "{cost}");
    let earlier = home.scratch.path("report.json");
    std::fs::write(&earlier, report.to_string()).unwrap();

    // The same questions without a model. Answers that became wrong are named, and the exit code reports them.
    let (plain, _copies) = self::home();
    let arguments = ["eval", &path("questions.jsonl"), "--json", "--source", "concert_singer", "--against"];
    let output = plain.run(&[&arguments[..], &[&earlier.display().to_string()]].concat());
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let regressions = report["regressions"].as_array().unwrap().len() as u64;
    assert_eq!(report["questions"], 22);
    assert_eq!(regressions + report["equal"].as_u64().unwrap(), 22, "{report}");
    assert!(report["model_calls"] == 0 && report.get("cost").is_some_and(|cost| cost == 0.0));
    let words = plain.run(&["eval", &path("questions.jsonl"), "--source", "concert_singer", "--limit", "3"]);
    assert!(String::from_utf8_lossy(&words.stdout).contains("of 3 equal"));
}

/// Without a model: how many answers are right, and that hardly any answer is wrong.
#[test]
#[ignore = "needs servers or clients: tests/run"]
fn answers_without_a_model_are_right_or_handed_back() {
    let (home, _copies) = home();
    let (mut right, mut wrong) = (0, Vec::new());
    for source in ["concert_singer", "dog_kennels"] {
        let output = home.run(&["eval", &path("questions.jsonl"), "--json", "--source", source]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        for result in report["results"].as_array().unwrap() {
            match result["outcome"].as_str().unwrap() {
                "equal" => right += 1,
                "needs_sql" | "clarification_needed" => {}
                _ => wrong.push(result["question"].clone()),
            }
        }
    }
    let answered = right + wrong.len();
    assert!(right >= 20 && wrong.len() * 20 < answered, "{right} right, wrong: {wrong:?}");
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn a_wrong_column_is_mended_at_the_first_retry() {
    let (home, _copies) = home();
    // Makes the first table name of the statement one that does not exist.
    let bedrock = oracle(|sql| {
        let at = sql.to_lowercase().find("from ").unwrap() + 5;
        format!("{}no_such_{}", &sql[..at], sql[at..].trim_start())
    });
    let home = bedrock.home(home);
    let output = home.run(&["eval", &path("questions.jsonl"), "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["equal"], &report["repairs"]), (&json!(68), &json!(68)), "{report}");
}

/// Makes an error in a statement. `None` if the statement has no place for it.
type Spoil = fn(&str) -> Option<String>;

/// Removes the second letter of the word at `at`.
fn misspelt(sql: &str, at: usize) -> Option<String> {
    let length = sql[at..].find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(sql.len() - at);
    (length > 4).then(|| format!("{}{}{}", &sql[..at + 1], &sql[at + 2..at + length], &sql[at + length..]))
}

/// Position of the word after a keyword.
fn after(sql: &str, keyword: &str) -> Option<usize> {
    let at = sql.to_lowercase().find(keyword)? + keyword.len();
    Some(at + sql[at..].find(|c: char| c.is_alphanumeric())?)
}

fn spoil_table(sql: &str) -> Option<String> {
    misspelt(sql, after(sql, "from ")?)
}

/// Misspells the first column after WHERE, GROUP BY or ORDER BY, without its table.
fn spoil_column(sql: &str) -> Option<String> {
    let at = ["where ", "group by ", "order by "].iter().find_map(|keyword| after(sql, keyword))?;
    let word: String = sql[at..].chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == '.').collect();
    let is_column = !["count", "sum", "avg", "min", "max", "select", "exists", "not", "lower", "extract"]
        .contains(&word.to_lowercase().as_str());
    let at = at + word.find('.').map_or(0, |dot| dot + 1);
    is_column.then(|| misspelt(sql, at)).flatten()
}

/// Turns a compared number into a text.
fn spoil_type(sql: &str) -> Option<String> {
    sql.match_indices(['=', '>', '<']).find_map(|(place, _)| {
        let at = place + 1 + sql[place + 1..].find(|c: char| c != ' ')?;
        let length = sql[at..].find(|c: char| !c.is_ascii_digit()).unwrap_or(sql.len() - at);
        (length > 0).then(|| format!("{}CAST({} AS text){}", &sql[..at], &sql[at..at + length], &sql[at + length..]))
    })
}

/// Writes a stored value in other case.
fn spoil_value(sql: &str) -> Option<String> {
    sql.match_indices(['\'', '"']).step_by(2).find_map(|(place, quote)| {
        let at = place + 1;
        let value = &sql[at..at + sql[at..].find(quote)?];
        let other = if value.to_lowercase() == value { value.to_uppercase() } else { value.to_lowercase() };
        let is_word = value.chars().count() > 2 && value.starts_with(char::is_alphabetic);
        (is_word && sql[..place].trim_end().ends_with('=')).then(|| sql.replacen(value, &other, 1))
    })
}

/// Corrects the statement from the error text alone, as a reader without knowledge of the database would: with the
/// first name that is offered, the other type, or the stored value.
fn mended(sql: &str, told: &str) -> Option<String> {
    if let Some((before, after)) = told.split_once("' is not stored; ") {
        let wrong = before.rsplit('\'').next()?;
        let right = after.split_once("holds '")?.1.split('\'').next()?;
        let single = sql.replace(&format!("'{wrong}'"), &format!("'{right}'"));
        return Some(single.replace(&format!("\"{wrong}\""), &format!("'{right}'")));
    }
    let body: Value = serde_json::from_str(&told[told.find('{')?..=told.rfind('}')?]).ok()?;
    let (message, hint) = (body["error"]["message"].as_str()?, body["error"]["hint"].as_str()?);
    if message.starts_with("operator does not exist") {
        let (before, after) = sql.split_once("CAST(")?;
        return Some(format!("{before}{}", after.replacen(" AS text)", "", 1))).filter(|_| hint.contains("CAST"));
    }
    let name = message.split("such column: ").nth(1).or(message.split("such table: ").nth(1));
    let name = name.or_else(|| message.strip_prefix("column ")?.strip_suffix(" does not exist"));
    let name = name.or_else(|| message.strip_prefix("relation ")?.strip_suffix(" does not exist"))?;
    let wrong = name.trim_matches('"').rsplit('.').next()?;
    let right = hint.split_once("Did you mean ")?.1.split([' ', '?']).next()?;
    Some(sql.replacen(wrong, right, 1))
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn what_comes_back_is_enough_to_mend_a_statement_at_the_first_retry() {
    let gold: HashMap<String, (String, String)> = questions()
        .iter()
        .map(|item| {
            let text = |key: &str| item[key].as_str().unwrap().to_owned();
            (text("question"), (text("gold_sql").split(';').next().unwrap().to_owned(), text("db")))
        })
        .collect();
    let (mut all, mut all_mended) = (0, 0);
    let kinds: [(&str, Spoil); 4] =
        [("table", spoil_table), ("column", spoil_column), ("type", spoil_type), ("value", spoil_value)];
    for (kind, spoil) in kinds {
        let (home, _copies) = home();
        let file = home.scratch.path("questions.jsonl");
        let spoilt: Vec<Value> = questions()
            .into_iter()
            .filter(|item| spoil(&gold[item["question"].as_str().unwrap()].0).is_some())
            .collect();
        std::fs::write(&file, spoilt.iter().map(|item| format!("{item}\n")).collect::<String>()).unwrap();
        let known = gold.clone();
        let noticed = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
        let counted = std::sync::Arc::clone(&noticed);
        let bedrock = Bedrock::start_with(move |_, body| {
            let messages = body["messages"].as_array().unwrap();
            let asked = messages[0]["content"][0]["text"].as_str().unwrap();
            let first = spoil(&known[asked.split_once("Question: ").unwrap().1].0).unwrap();
            let told = || messages[2]["content"][0]["toolResult"]["content"][0]["text"].as_str().unwrap();
            match messages.len() {
                1 => runs(&first),
                // The model tries again after an error or a doubted result.
                3 if messages[2]["content"][0]["toolResult"]["status"] == "error"
                    || told().contains("holds no value") =>
                {
                    counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    runs(&mended(&first, told()).unwrap_or(first))
                }
                _ => answers("As asked."),
            }
        });
        let home = bedrock.home(home);
        let output = home.run(&["eval", &file.display().to_string(), "--json"]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let noticed = noticed.load(std::sync::atomic::Ordering::Relaxed);
        let counted = report["counted"].as_u64().unwrap();
        let equal = report["equal"].as_u64().unwrap();
        eprintln!(
            "{kind}: {} spoilt, {noticed} noticed by TUDB, {equal} of {counted} right after one retry",
            spoilt.len()
        );
        all += counted;
        all_mended += equal;
        for item in report["items"].as_array().into_iter().flatten().filter(|item| item["outcome"] != "equal") {
            eprintln!("  {} {}", item["question"], item["sql"]);
        }
    }
    eprintln!("{all_mended} of {all} mended");
    assert!(all > 60 && all_mended * 100 >= all * 90, "{all_mended} of {all}");
}

#[test]
fn a_file_that_cannot_be_evaluated_says_why() {
    let home = Home::new("eval");
    let file = home.scratch.path("questions.jsonl");
    for (text, word) in [
        ("", "holds no question"),
        ("{\"question\": \"x\"}\n", "line 1: missing field `sql`"),
        ("not JSON", "line 1"),
        ("{\"question\": \"x\", \"sql\": \"SELECT 1\", \"db\": \"elsewhere\"}", "no source \"elsewhere\""),
    ] {
        std::fs::write(&file, text).unwrap();
        let output = home.run(&["eval", &file.display().to_string()]);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(word), "{text}: {output:?}");
    }
    // A gold statement that fails is not counted, and a gold statement that writes never runs.
    std::fs::write(&file, "{\"question\": \"How many customers are there?\", \"sql\": \"DELETE FROM customers\"}\n")
        .unwrap();
    let report: Value = serde_json::from_str(&home.say(&["eval", &file.display().to_string(), "--json"])).unwrap();
    assert_eq!((&report["counted"], &report["outcomes"]["gold_failed"]), (&json!(0), &json!(1)));
}

/// The `known` tables that a gold statement reads.
fn gold_tables(sql: &str, known: &HashSet<String>) -> HashSet<String> {
    let words: Vec<String> =
        sql.to_lowercase().replace([',', '(', ')', ';'], " ").split_whitespace().map(str::to_owned).collect();
    let after = words.windows(2).filter(|pair| ["from", "join"].contains(&pair[0].as_str()));
    after.map(|pair| pair[1].clone()).filter(|name| known.contains(name)).collect()
}

#[test]
#[ignore = "needs servers or clients: tests/run"]
fn the_tables_of_a_question_are_ranked_first() {
    let postgres = server();
    let (database, url) = postgres.database("linking");
    for script in [
        include_str!("../nl2sql/car_dealership.pg.sql"),
        include_str!("../nl2sql/concert_singer.pg.sql"),
        include_str!("../nl2sql/dog_kennels.pg.sql"),
    ] {
        postgres.script_best_effort(&database, script);
    }
    // Nine hundred tables of other subjects, with words that also occur in questions.
    postgres.script(
        &database,
        "DO $$ DECLARE a text; b text; n int := 0; BEGIN
           FOREACH a IN ARRAY ARRAY['account', 'billing', 'campaign', 'delivery', 'employee', 'factory', 'grant', 'hotel', 'invoice', 'journal',
             'kitchen', 'ledger', 'machine', 'network', 'office', 'parcel', 'quality', 'region', 'supplier', 'tenant', 'utility', 'vendor',
             'warehouse', 'yard', 'zone', 'ticket', 'lesson', 'clinic', 'flight', 'museum'] LOOP
             EXECUTE format('CREATE SCHEMA %I', a || '_data');
             FOREACH b IN ARRAY ARRAY['name', 'type', 'history', 'status', 'owner', 'address', 'contact', 'event', 'item', 'note', 'plan', 'price',
               'rate', 'report', 'request', 'rule', 'schedule', 'score', 'session', 'summary', 'target', 'task', 'team', 'total', 'unit', 'usage',
               'user', 'value', 'version', 'visit'] LOOP
               EXECUTE format('CREATE TABLE %I.%I (id int PRIMARY KEY, %I text, name text, year int, date date, amount numeric, country text)',
                 a || '_data', a || '_' || b, b || '_code'); n := n + 1;
             END LOOP;
           END LOOP; END $$; ANALYZE;",
    );
    let tables = postgres.query(&database, "SELECT lower(relname) FROM pg_class WHERE relkind = 'r' AND oid >= 16384");
    let known: HashSet<String> = tables.lines().map(str::to_owned).collect();
    let home = Home::new("linking").set("TUDB_DATABASE_URL", url);
    let asked = questions();
    let (mut first_20, mut in_prompt, mut slowest) = (0, 0, 0);
    let mut missed = Vec::new();
    for item in &asked {
        let question = item["question"].as_str().unwrap();
        let seen: Value = serde_json::from_str(&home.say(&["context", question, "--json"])).unwrap();
        assert!(
            seen["all_tables"].as_u64().unwrap() > 900 && seen["prompt_tokens"].as_u64().unwrap() <= 4_000,
            "{seen}"
        );
        assert_eq!(seen["whole_schema"], false);
        let bare = |name: &str| name.rsplit('.').next().unwrap().to_lowercase();
        let ranked: HashSet<String> =
            seen["tables"].as_array().unwrap().iter().map(|table| bare(table["name"].as_str().unwrap())).collect();
        let shown: HashSet<String> =
            seen["text"].as_str().unwrap().lines().map(|line| bare(line.split('(').next().unwrap())).collect();
        let wanted = gold_tables(item["gold_sql"].as_str().unwrap(), &known);
        if wanted.is_subset(&ranked) {
            first_20 += 1;
        } else {
            missed.push(format!("{question} {wanted:?}"));
        }
        in_prompt += usize::from(wanted.is_subset(&shown));
        slowest = slowest.max(seen["ranked_us"].as_u64().unwrap());
    }
    // The same questions in words that the schema does not use.
    let (mut other_words, mut found) = (0, 0);
    for item in asked.iter().filter(|item| item["question_syn"].is_string()) {
        let seen: Value =
            serde_json::from_str(&home.say(&["context", item["question_syn"].as_str().unwrap(), "--json"])).unwrap();
        let bare = |name: &str| name.rsplit('.').next().unwrap().to_lowercase();
        let ranked: HashSet<String> =
            seen["tables"].as_array().unwrap().iter().map(|table| bare(table["name"].as_str().unwrap())).collect();
        other_words += 1;
        found += usize::from(gold_tables(item["gold_sql"].as_str().unwrap(), &known).is_subset(&ranked));
    }
    eprintln!("in other words: {found} of {other_words}");
    eprintln!(
        "all gold tables in the first 20 of {} tables: {first_20} of {}; in the prompt: {in_prompt}; slowest ranking {slowest} us",
        known.len(),
        asked.len()
    );
    for line in &missed {
        eprintln!("  missed: {line}");
    }
    assert!(first_20 * 100 >= asked.len() * 95, "{missed:#?}");
}
