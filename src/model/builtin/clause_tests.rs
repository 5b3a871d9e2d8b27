//! Questions with a clause that has one meaning as a whole, and with words for a state.

use time::macros::date;

use super::more_kinds_tests::{doubts, reads_of};
use super::tests::table;
use super::{Verdict, read};
use crate::database::catalog::Snapshot;
use crate::dialect::Dialect;

/// A help desk: tickets of clients, payments, and opening hours.
fn help_desk() -> Snapshot {
    let mut tables = vec![
        table("clients", &["client_id integer", "client_name text", "city text = Zürich|Bern", "deleted_at date"], &[]),
        table("staff", &["staff_id integer", "last_name text", "job text = Technician|Dispatcher"], &[]),
        table(
            "tickets",
            &[
                "ticket_id integer",
                "client_id integer",
                "staff_id integer",
                "state text = open|closed",
                "opened_at date",
                "closed_at date",
            ],
            &[("client_id", "clients", "client_id"), ("staff_id", "staff", "staff_id")],
        ),
        table(
            "payments",
            &["payment_id integer", "client_id integer", "state text = failed|paid", "paid_on date", "amount numeric"],
            &[("client_id", "clients", "client_id")],
        ),
        table("hours", &["service text", "saturday integer = 0|1"], &[]),
    ];
    for (table, key) in tables.iter_mut().zip(["client_id", "staff_id", "ticket_id", "payment_id"]) {
        table.primary_key = vec![key.to_owned()];
        for column in &mut table.columns {
            column.nullable = matches!(column.name.as_str(), "deleted_at" | "closed_at" | "paid_on" | "staff_id");
        }
    }
    Snapshot::of(tables)
}

#[test]
fn groups_without_rows_are_shown_when_the_question_asks_for_them() {
    let desk = help_desk();
    let counts = "SELECT c.client_name, (SELECT COUNT(*) FROM tickets t WHERE c.client_id = t.client_id) AS number_of_tickets FROM clients c";
    for clause in ["including clients without tickets", "include those with no tickets", "even those with no tickets"] {
        reads_of(&desk, &format!("How many tickets does each client have, {clause}?"), counts);
    }
    // A condition, and no word about empty groups.
    let verdict =
        read("How many clients include tickets without staff?", &desk, Dialect::Postgresql, date!(2026 - 07 - 15));
    if let Verdict::Sure(reading) = verdict {
        assert!(reading.sql.contains("EXISTS"), "{}", reading.sql);
    }
    // The time would be lost.
    doubts(&desk, "How many tickets does each client have, including clients without tickets opened in 2025?");
    reads_of(
        &desk,
        "For each client, how many tickets are there, for clients that have tickets?",
        &format!("{counts} WHERE EXISTS (SELECT 1 FROM tickets t2 WHERE c.client_id = t2.client_id)"),
    );
}

#[test]
fn a_participle_tells_rows_apart() {
    let desk = help_desk();
    let reads = |question: &str, expected: &str| reads_of(&desk, question, expected);
    let deleted = "SELECT client_name FROM clients WHERE deleted_at IS NOT NULL";
    reads("deleted clients", deleted);
    reads("clients whose deleted_at is set", deleted);
    reads("clients who have been deleted (deleted_at is set)", deleted);
    reads("clients whose deleted_at is missing", "SELECT client_name FROM clients WHERE deleted_at IS NULL");
    reads("clients not yet deleted", "SELECT client_name FROM clients WHERE deleted_at IS NULL");
    reads(
        "How many deleted clients are there?",
        "SELECT COUNT(*) AS number_of_clients FROM clients WHERE deleted_at IS NOT NULL",
    );
    reads(
        "deleted clients per city",
        "SELECT city, COUNT(*) AS number_of_clients FROM clients WHERE deleted_at IS NOT NULL GROUP BY city",
    );
    reads("oldest open ticket", "SELECT ticket_id FROM tickets WHERE state = 'open' ORDER BY opened_at LIMIT 1");
    reads("How many open tickets are there?", "SELECT COUNT(*) AS number_of_tickets FROM tickets WHERE state = 'open'");
    // No column and no value says so.
    doubts(&desk, "Which tickets have been paid?");
    // A failed payment may have no `paid_on`.
    doubts(&desk, "How many failed payments were there in 2025?");
    // Tickets of nobody, or of somebody else.
    doubts(&desk, "tickets without a technician");
}

#[test]
fn a_flag_a_measure_and_a_plain_spelling_are_understood() {
    let desk = help_desk();
    reads_of(&desk, "Which services run on Saturday?", "SELECT service FROM hours WHERE saturday = 1");
    reads_of(
        &desk,
        "What is the most expensive payment by amount?",
        "SELECT payment_id FROM payments ORDER BY amount DESC LIMIT 1",
    );
    reads_of(&desk, "clients in Zurich", "SELECT client_name FROM clients WHERE city = 'Zürich'");
    reads_of(&desk, "list the payments by amount", "SELECT payment_id FROM payments ORDER BY amount");
    reads_of(&desk, "payments by state", "SELECT state, COUNT(*) AS number_of_payments FROM payments GROUP BY state");
    // Clients have no such number.
    doubts(&desk, "the 3 highest rated clients");
    doubts(&desk, "What is the average total amount of payments?");
    doubts(&desk, "Which clients have tickets in state open but not in state closed?");
}

/// A category may be under another one. What is below it is not counted, and the reply says so.
#[test]
fn rows_under_other_rows_are_left_out_aloud() {
    let mut tables = vec![
        table(
            "groups",
            &["group_id integer", "group_name text = Kitchen|Pans", "parent_id integer"],
            &[("parent_id", "groups", "group_id")],
        ),
        table(
            "goods",
            &["good_id integer", "good_name text", "group_id integer"],
            &[("group_id", "groups", "group_id")],
        ),
    ];
    for (table, key) in tables.iter_mut().zip(["group_id", "good_id"]) {
        table.primary_key = vec![key.to_owned()];
    }
    let goods = Snapshot::of(tables);
    for (question, is_said) in [
        ("How many goods are in Kitchen?", true),
        ("number of goods per group", true),
        ("How many goods are there?", false),
    ] {
        let verdict = read(question, &goods, Dialect::Postgresql, date!(2026 - 07 - 15));
        let Verdict::Sure(reading) = verdict else { panic!("{question}: {verdict:?}") };
        let said = reading.assumptions.iter().any(|one| one == "groups alone, without those under them");
        assert_eq!(said, is_said, "{question}: {reading:?}");
    }
}

/// A stage: actors live in towns and play in plays; costumes are bought and mended.
fn stage() -> Snapshot {
    let mut tables = vec![
        table("plays", &["id integer", "title text = Hamlet|Medea", "budget numeric"], &[]),
        table(
            "characters",
            &["id integer", "name text = Hamlet|Jason", "play_id integer"],
            &[("play_id", "plays", "id")],
        ),
        table(
            "actors",
            &["id integer", "name text", "shoe_size integer", "height_cm integer", "birth_year integer"],
            &[],
        ),
        table("troupes", &["troupe_id integer", "troupe_name text", "seat_cap integer"], &[]),
        table("tours", &["id integer", "troupe_id integer"], &[("troupe_id", "troupes", "troupe_id")]),
        table(
            "costumes",
            &["id integer", "name text", "purchase_cost numeric", "actor_id integer"],
            &[("actor_id", "actors", "id")],
        ),
        table(
            "repairs",
            &["id integer", "costume_id integer", "cost numeric", "outcome text = Done|Failed", "town text = Kotka"],
            &[("costume_id", "costumes", "id")],
        ),
        table("workshops", &["id integer", "actor_id integer", "village text = Ulm"], &[("actor_id", "actors", "id")]),
    ];
    for table in &mut tables {
        table.primary_key = table.columns.iter().take(1).map(|column| column.name.clone()).collect();
    }
    Snapshot::of(tables)
}

#[test]
fn names_of_rows_without_others_are_of_the_rows_that_are_asked_for() {
    let stage = stage();
    let without = "SELECT t.troupe_name FROM troupes t WHERE NOT EXISTS (SELECT 1 FROM tours t2 WHERE t.troupe_id = t2.troupe_id)";
    for question in ["Names of troupes without a tour", "Give the names of the troupes that do not have any tours."] {
        reads_of(&stage, question, without);
    }
    reads_of(
        &stage,
        "Which troupe has the largest seat capacity?",
        "SELECT troupe_name FROM troupes ORDER BY seat_cap DESC LIMIT 1",
    );
    reads_of(&stage, "actors born after 1990", "SELECT name FROM actors WHERE birth_year >= 1991");
}

#[test]
fn a_column_that_is_shown_and_named_again_is_one_column() {
    let desk = help_desk();
    let question = "Show the city and the number of clients for cities with more than 10 clients";
    let sql = "SELECT city, COUNT(*) AS number_of_clients FROM clients GROUP BY city HAVING COUNT(*) > 10";
    reads_of(&desk, question, sql);
    let Verdict::Sure(reading) = read(question, &desk, Dialect::Postgresql, date!(2026 - 07 - 15)) else { return };
    assert_eq!(reading.read_as, "city, number of rows of clients; for each city with number of rows > 10");
}

#[test]
fn words_that_leave_rows_out_are_doubted() {
    let stage = stage();
    for question in [
        "Which costumes have only had repairs with the outcome Done?",
        "Which costumes only have repairs with the outcome Done?",
        "Which costumes cost more than the average of their own actor?",
        "Which repairs cost more than 100 in total?",
        // Costumes have a cost of their own.
        "Which costumes cost more than 100?",
        // A workshop is no home.
        "Which actor lives in Ulm?",
        // A character and a play.
        "Names of the characters of Hamlet",
        "Which stay had the largest budget?",
        "Who won in Kotka?",
    ] {
        doubts(&stage, question);
    }
    let reads = |question: &str, expected: &str| reads_of(&stage, question, expected);
    reads(
        "How many characters are there in the play Hamlet?",
        "SELECT COUNT(*) AS number_of_characters FROM characters c JOIN plays p ON p.id = c.play_id WHERE p.title = 'Hamlet'",
    );
    reads("Show only the names of the actors", "SELECT name FROM actors");
    reads("How many costumes are there in total?", "SELECT COUNT(*) AS number_of_costumes FROM costumes");
    reads("Which costumes have a purchase cost over 100?", "SELECT name FROM costumes WHERE purchase_cost > 100");
    reads("Who is the shortest actor?", "SELECT name FROM actors ORDER BY height_cm LIMIT 1");
    reads("Titles of plays with a budget over 100 in all", "SELECT title FROM plays WHERE budget > 100");
}
