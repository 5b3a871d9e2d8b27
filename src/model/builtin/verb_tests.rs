//! Verbs and determiners: what they say of dates, of shown columns and of groups.

use super::more_kinds_tests::{doubts, reads_of};
use super::tests::table;
use crate::database::catalog::Snapshot;

/// Moorings of a marina: boats of owners lie at piers, and are surveyed.
fn marina() -> Snapshot {
    let mut tables = vec![
        table("piers", &["pier_id integer", "pier_name text", "depth_m numeric", "harbour text"], &[]),
        table("owners", &["owner_id integer", "owner_name text", "login text", "created_at timestamp"], &[]),
        table(
            "boats",
            &[
                "boat_id integer",
                "boat_name text = Heron|Tern",
                "owner_id integer",
                "pier_id integer",
                "grade text = good|poor",
                "marked integer",
                "launched_year integer",
                "berth_number integer",
            ],
            &[("owner_id", "owners", "owner_id"), ("pier_id", "piers", "pier_id")],
        ),
        table(
            "surveys",
            &["survey_id integer", "boat_id integer", "survey_date date", "fee numeric"],
            &[("boat_id", "boats", "boat_id")],
        ),
    ];
    for (table, key) in tables.iter_mut().zip(["pier_id", "owner_id", "boat_id", "survey_id"]) {
        table.primary_key = vec![key.to_owned()];
    }
    Snapshot::of(tables)
}

#[test]
fn a_date_of_another_event_is_doubted() {
    let marina = marina();
    let created = "SELECT owner_name FROM owners WHERE created_at >= '2026-06-01' AND created_at < '2026-07-01'";
    for question in ["Which owners registered last month?", "Which owners joined last month?"] {
        reads_of(&marina, question, created);
    }
    for question in [
        "Which owners logged in last month?",
        "Which owners applied last month?",
        "Which owners logged in?",
        "When was boat 9 last surveyed?",
    ] {
        doubts(&marina, question);
    }
}

#[test]
fn a_number_of_another_kind_is_no_number_of_the_row() {
    let marina = marina();
    doubts(&marina, "What is the telephone number of the boat Heron?");
    reads_of(
        &marina,
        "What is the berth number of the boat Heron?",
        "SELECT berth_number FROM boats WHERE boat_name = 'Heron'",
    );
}

#[test]
fn people_are_the_rows_of_a_table_of_that_name() {
    let tables = || vec![table("customers", &["id integer", "name text"], &[]), table("orders", &["id integer"], &[])];
    reads_of(&Snapshot::of(tables()), "how many people", "SELECT COUNT(*) AS number_of_customers FROM customers");
    let mut with_people = tables();
    with_people.push(table("people", &["id integer", "name text"], &[]));
    reads_of(&Snapshot::of(with_people), "how many people", "SELECT COUNT(*) AS number_of_people FROM people");
}

#[test]
fn a_verb_before_a_value_shows_nothing() {
    let marina = marina();
    let good = "SELECT boat_name FROM boats WHERE grade = 'good'";
    for question in ["Names of boats rated good", "What are the names of the boats graded good?"] {
        reads_of(&marina, question, good);
    }
}

#[test]
fn every_and_each_after_list_are_determiners() {
    let marina = marina();
    reads_of(&marina, "List every pier.", "SELECT pier_name FROM piers");
    reads_of(&marina, "Show each pier with its depth.", "SELECT pier_name, depth_m FROM piers");
    let joined = "SELECT b.boat_name, p.pier_name FROM boats b JOIN piers p ON p.pier_id = b.pier_id";
    for question in ["List every boat with its pier.", "List boats with their pier.", "List every boat and its pier."] {
        reads_of(&marina, question, joined);
    }
    let few = "(SELECT COUNT(*) FROM boats b2 WHERE p.pier_id = b2.pier_id) >= 2";
    reads_of(
        &marina,
        "Show every pier that has at least two boats together with its average berth number.",
        &format!(
            "SELECT p.pier_name, (SELECT AVG(b.berth_number) FROM boats b WHERE p.pier_id = b.pier_id) AS average_berth_number \
             FROM piers p WHERE {few}"
        ),
    );
}

#[test]
fn groups_that_have_rows_leave_the_others_out() {
    let marina = marina();
    let counted = "SELECT p.pier_name, (SELECT COUNT(*) FROM boats b WHERE p.pier_id = b.pier_id) AS number_of_boats FROM piers p \
                   WHERE EXISTS (SELECT 1 FROM boats b2 WHERE p.pier_id = b2.pier_id)";
    for question in [
        "For each pier that has boats, give the pier name and the number of boats.",
        "For every pier with boats, show the pier name and the number of boats.",
    ] {
        reads_of(&marina, question, counted);
    }
}

#[test]
fn every_key_of_an_order_counts() {
    let marina = marina();
    let sorted = "SELECT boat_name FROM boats ORDER BY grade, boat_name";
    for end in ["ordered by grade and then by name", "ordered by grade, then by name", "sorted by grade and name"] {
        reads_of(&marina, &format!("Show the name of every boat, {end}."), sorted);
    }
}
