//! Kinds of questions that were once answered wrongly: one schema, and the statement that each question means.

use time::macros::date;

use super::tests::table;
use super::{Verdict, read};
use crate::database::catalog::{Snapshot, TableKind};
use crate::dialect::Dialect;

/// A rental of cars.
fn rental() -> Snapshot {
    let mut hires = table(
        "hires",
        &[
            "id integer",
            "car_id integer",
            "driver_id integer",
            "hired_on date",
            "returned_on date",
            "price numeric",
            "state text = open|closed|void",
            "channel text = web|phone",
            "paid boolean",
        ],
        &[("car_id", "cars", "id"), ("driver_id", "drivers", "id")],
    );
    let mut cars = table(
        "cars",
        &[
            "id integer",
            "plate text",
            "kind text = van|truck|taxi",
            "daily_rate numeric",
            "price numeric",
            "garage_id integer",
        ],
        &[("garage_id", "garages", "id")],
    );
    for (table, names) in [(&mut hires, ["returned_on", "price"]), (&mut cars, ["kind", "daily_rate"])] {
        for column in table.columns.iter_mut().filter(|column| names.contains(&column.name.as_str())) {
            column.nullable = true;
        }
    }
    let mut open_hires = table("open_hires", &["id integer", "paid_by text = cash|card"], &[]);
    open_hires.kind = TableKind::View;
    open_hires.primary_key.clear();
    Snapshot::of(vec![
        cars,
        table(
            "drivers",
            &[
                "id integer",
                "first_name text",
                "last_name text",
                "country text = Spain|France|Peru",
                "phone text = 0123|0456",
            ],
            &[],
        ),
        table("garages", &["id integer", "name text", "city text = Lyon|Lima", "opened date", "spaces integer"], &[]),
        hires,
        table(
            "mechanics",
            &[
                "id integer",
                "name text",
                "trade text = welder|painter",
                "garage_id integer",
                "on_break boolean",
                "insured text = yes|no",
                "bonus boolean",
            ],
            &[("garage_id", "garages", "id")],
        ),
        open_hires,
    ])
}

fn answer(question: &str) -> Verdict {
    read(question, &rental(), Dialect::Sqlite, date!(2026 - 11 - 22))
}

#[track_caller]
fn reads(question: &str, expected: &str) {
    reads_of(&rental(), question, expected);
}

#[track_caller]
fn reads_of(schema: &Snapshot, question: &str, expected: &str) {
    match read(question, schema, Dialect::Sqlite, date!(2026 - 11 - 22)) {
        Verdict::Sure(reading) => assert_eq!(reading.sql, expected, "{question}"),
        other => panic!("{question}: {other:?}"),
    }
}

#[track_caller]
fn hands_back(question: &str) {
    let verdict = answer(question);
    assert!(!matches!(verdict, Verdict::Sure(_)), "{question}: {verdict:?}");
}

#[test]
fn a_value_in_the_plural_is_rows_with_that_value() {
    reads(
        "How many welders are there?",
        "SELECT COUNT(*) AS number_of_mechanics FROM mechanics WHERE trade = 'welder'",
    );
    reads("painters on break", "SELECT name FROM mechanics WHERE trade = 'painter' AND on_break = TRUE");
    reads(
        "cheapest van in Lyon",
        "SELECT c.plate FROM cars c JOIN garages g ON g.id = c.garage_id WHERE c.kind = 'van' AND g.city = 'Lyon' ORDER BY c.price LIMIT 1",
    );
    reads(
        "How many vans does each garage have?",
        "SELECT g.name, (SELECT COUNT(*) FROM cars c WHERE g.id = c.garage_id AND c.kind = 'van') AS number_of_cars FROM garages g",
    );
    reads("names of welders", "SELECT name FROM mechanics WHERE trade = 'welder'");
}

#[test]
fn a_denial_holds_for_all_its_values() {
    reads(
        "drivers not from Spain or Peru",
        "SELECT first_name, last_name FROM drivers WHERE country NOT IN ('Spain', 'Peru')",
    );
    reads("hires that are not open or void", "SELECT id FROM hires WHERE state NOT IN ('open', 'void')");
    reads(
        "mechanics neither welder nor painter",
        "SELECT name FROM mechanics WHERE trade <> 'welder' AND trade <> 'painter'",
    );
}

#[test]
fn groups_are_those_of_the_column_that_is_named() {
    reads(
        "Which city has the most hires?",
        "SELECT g.city FROM hires h JOIN cars c ON c.id = h.car_id JOIN garages g ON g.id = c.garage_id GROUP BY g.city ORDER BY COUNT(*) DESC LIMIT 1",
    );
    reads(
        "Which kind has the most cars?",
        "SELECT kind FROM cars WHERE kind IS NOT NULL GROUP BY kind ORDER BY COUNT(*) DESC LIMIT 1",
    );
    reads(
        "number of hires per car kind",
        "SELECT c.kind, COUNT(*) AS number_of_hires FROM hires h JOIN cars c ON c.id = h.car_id GROUP BY c.kind",
    );
    reads(
        "average price of hires per country",
        "SELECT d.country, AVG(h.price) AS average_price FROM hires h JOIN drivers d ON d.id = h.driver_id GROUP BY d.country",
    );
    reads(
        "total price of hires per garage without void hires",
        "SELECT g.name, (SELECT SUM(h.price) FROM cars c JOIN hires h ON c.id = h.car_id WHERE g.id = c.garage_id AND h.state <> 'void') AS total_price FROM garages g",
    );
}

#[test]
fn rows_that_several_rows_lead_to_count_once() {
    reads(
        "number of drivers per car",
        "SELECT c.plate, (SELECT COUNT(DISTINCT d.id) FROM hires h JOIN drivers d ON d.id = h.driver_id WHERE c.id = h.car_id) AS number_of_drivers FROM cars c",
    );
    reads(
        "cars with more than 2 drivers",
        "SELECT c.plate FROM cars c WHERE (SELECT COUNT(DISTINCT d.id) FROM hires h JOIN drivers d ON d.id = h.driver_id WHERE c.id = h.car_id) > 2",
    );
    reads(
        "How many hires does each driver have?",
        "SELECT d.first_name, d.last_name, (SELECT COUNT(*) FROM hires h WHERE d.id = h.driver_id) AS number_of_hires FROM drivers d",
    );
}

#[test]
fn a_date_column_after_a_noun_is_a_condition() {
    reads("garages opened in 1995", "SELECT name FROM garages WHERE opened >= '1995-01-01' AND opened < '1996-01-01'");
    reads(
        "hires returned in May 2026",
        "SELECT id FROM hires WHERE returned_on >= '2026-05-01' AND returned_on < '2026-06-01'",
    );
    reads("hires not returned", "SELECT id FROM hires WHERE returned_on IS NULL");
    reads(
        "How many hires were returned?",
        "SELECT COUNT(*) AS number_of_hires FROM hires WHERE returned_on IS NOT NULL",
    );
    reads(
        "returned on in 2026",
        "SELECT returned_on FROM hires WHERE returned_on >= '2026-01-01' AND returned_on < '2027-01-01'",
    );
}

#[test]
fn the_best_month_is_a_group() {
    reads(
        "Which month had the most hires?",
        "SELECT substr(hired_on, 1, 7) AS month FROM hires GROUP BY substr(hired_on, 1, 7) ORDER BY COUNT(*) DESC LIMIT 1",
    );
}

#[test]
fn a_value_wins_over_a_column_of_another_table() {
    reads("phone hires", "SELECT id FROM hires WHERE channel = 'phone'");
    reads("hires by phone or web", "SELECT id FROM hires WHERE channel IN ('phone', 'web')");
    reads("phone of drivers from Peru", "SELECT phone FROM drivers WHERE country = 'Peru'");
}

#[test]
fn first_and_last_name_are_the_name() {
    reads("names of drivers from Spain", "SELECT first_name, last_name FROM drivers WHERE country = 'Spain'");
    reads(
        "name of the driver with the most hires",
        "SELECT d.first_name, d.last_name FROM drivers d ORDER BY (SELECT COUNT(*) FROM hires h WHERE d.id = h.driver_id) DESC LIMIT 1",
    );
}

#[test]
fn what_is_not_sure_is_handed_back() {
    for question in [
        "purple cars",
        "How many uninsured mechanics are there?",
        "highest hire",
        "garages with the worst hires",
        "total price",
        "Which city has the most spaces?",
        "How many hires are on break?",
        "drivers from the United States",
        "What are the different places that have drivers?",
    ] {
        hands_back(question);
    }
}

/// Names in two columns, a birth date in one word, a cost beside a price, a row that refers to one of its own table.
fn label() -> Snapshot {
    let mut artists = table(
        "artists",
        &["id integer", "stage_name text", "real_name text", "country text = Sweden|Peru", "mentor_id integer"],
        &[("mentor_id", "artists", "id")],
    );
    artists.columns[4].nullable = true;
    Snapshot::of(vec![
        artists,
        table("customers", &["id integer", "fname text", "lname text", "birthdate date", "signup_date date"], &[]),
        table(
            "products",
            &["id integer", "title text", "cost numeric", "unit_price numeric", "discontinued integer"],
            &[],
        ),
    ])
}

#[test]
fn names_ages_and_prices_are_found_under_other_names() {
    for (question, expected) in [
        ("artists from Sweden", "SELECT stage_name FROM artists WHERE country = 'Sweden'"),
        ("youngest customer", "SELECT fname, lname FROM customers ORDER BY birthdate DESC LIMIT 1"),
        ("average price of products", "SELECT AVG(unit_price) AS average_unit_price FROM products"),
    ] {
        match read(question, &label(), Dialect::Sqlite, date!(2026 - 11 - 22)) {
            Verdict::Sure(reading) => assert_eq!(reading.sql, expected, "{question}"),
            other => panic!("{question}: {other:?}"),
        }
    }
    for question in
        ["Which products are discontinued?", "Who is the mentor of an artist?", "Which product has the most units?"]
    {
        let verdict = read(question, &label(), Dialect::Sqlite, date!(2026 - 11 - 22));
        assert!(!matches!(verdict, Verdict::Sure(_)), "{question}: {verdict:?}");
    }
}

#[test]
fn a_share_is_that_of_what_follows_the_verb() {
    reads(
        "What percentage of the hires in 2026 were void?",
        "SELECT 100.0 * COUNT(CASE WHEN state = 'void' THEN 1 END) / NULLIF(COUNT(*), 0) AS percentage FROM hires WHERE hired_on >= '2026-01-01' AND hired_on < '2027-01-01'",
    );
    reads(
        "What percentage of drivers have no hires?",
        "SELECT 100.0 * COUNT(CASE WHEN NOT EXISTS (SELECT 1 FROM hires h WHERE d.id = h.driver_id) THEN 1 END) / NULLIF(COUNT(*), 0) AS percentage FROM drivers d",
    );
    hands_back("What percentage of void hires?");
}

#[test]
fn what_only_names_the_column_of_a_value_is_not_shown() {
    reads("plates of cars of the kind van", "SELECT plate FROM cars WHERE kind = 'van'");
    reads("Show the names of garages with 40 spaces", "SELECT name FROM garages WHERE spaces = 40");
}

#[test]
fn a_number_before_the_rows_is_how_many_of_a_superlative() {
    reads(
        "Show the plate of the 3 cars with the highest daily rate",
        "SELECT plate FROM cars WHERE daily_rate IS NOT NULL ORDER BY daily_rate DESC LIMIT 3",
    );
    hands_back("Show the 3 cars");
}

#[test]
fn a_superlative_counts_the_rows_with_a_value() {
    reads(
        "Which driver had the most void hires in 2026?",
        "SELECT d.first_name, d.last_name FROM drivers d ORDER BY (SELECT COUNT(*) FROM hires h WHERE d.id = h.driver_id AND h.state = 'void' AND h.hired_on >= '2026-01-01' AND h.hired_on < '2027-01-01') DESC LIMIT 1",
    );
}

#[test]
fn a_value_that_is_missing_is_a_condition() {
    reads("How many cars have no daily rate?", "SELECT COUNT(*) AS number_of_cars FROM cars WHERE daily_rate IS NULL");
    reads("cars without a daily rate", "SELECT plate FROM cars WHERE daily_rate IS NULL");
}

#[test]
fn a_more_special_noun_is_not_all_rows() {
    // WordNet: a convertible is a car.
    hands_back("How many convertibles are there?");
}

#[test]
fn a_name_of_a_column_may_begin_with_an_ordinal() {
    reads("Show the first name of each driver", "SELECT first_name FROM drivers");
    reads("the last names of drivers from Peru", "SELECT last_name FROM drivers WHERE country = 'Peru'");
}

#[test]
fn names_may_be_abbreviated() {
    let school = Snapshot::of(vec![
        table(
            "stu",
            &["stu_id integer", "stu_nm text", "crs_cd text", "gr_pt numeric", "enr_dt date"],
            &[("crs_cd", "crs", "crs_cd")],
        ),
        table("crs", &["crs_cd text", "crs_nm text", "hrs_qty integer"], &[]),
    ]);
    let reads = |question: &str, expected: &str| reads_of(&school, question, expected);
    reads("names of the students", "SELECT stu_nm FROM stu");
    reads("average grade point of students", "SELECT AVG(gr_pt) AS average_gr_pt FROM stu");
    reads(
        "How many students are in each course?",
        "SELECT c.crs_nm, (SELECT COUNT(*) FROM stu s WHERE c.crs_cd = s.crs_cd) AS number_of_stu FROM crs c",
    );
}

#[test]
fn tables_with_a_prefix_and_names_in_one_word_are_known() {
    let events = Snapshot::of(vec![
        table("tbl_venues", &["venue_id integer", "vname text", "city text = Leeds|York", "capacity integer"], &[]),
        table("t_sponsors", &["sponsor_id integer", "company text = Acme|Bolt|Cato", "contact text"], &[]),
        table(
            "t_shows",
            &["show_id integer", "show_dt date", "venue_id integer", "show_title text"],
            &[("venue_id", "tbl_venues", "venue_id")],
        ),
    ]);
    let reads = |question: &str, expected: &str| reads_of(&events, question, expected);
    reads("Which venues have a capacity over 2000?", "SELECT vname FROM tbl_venues WHERE capacity > 2000");
    reads("list the sponsors", "SELECT company FROM t_sponsors");
    reads(
        "How many shows did we have in each month of 2024?",
        "SELECT substr(show_dt, 1, 7) AS month, COUNT(*) AS number_of_shows FROM t_shows WHERE show_dt >= '2024-01-01' AND show_dt < '2025-01-01' GROUP BY substr(show_dt, 1, 7) ORDER BY month",
    );
}

#[test]
fn a_thing_that_says_yes_or_no_may_be_had() {
    reads(
        "How many mechanics get a bonus?",
        "SELECT COUNT(*) AS number_of_mechanics FROM mechanics WHERE bonus = TRUE",
    );
    reads("mechanics with a bonus", "SELECT name FROM mechanics WHERE bonus = TRUE");
    reads(
        "How many new garages were opened in 2025?",
        "SELECT COUNT(*) AS number_of_garages FROM garages WHERE opened >= '2025-01-01' AND opened < '2026-01-01'",
    );
}

/// A port, with names as older programs give them.
fn port() -> Snapshot {
    let mut calls = table(
        "port_call",
        &[
            "call_no integer",
            "vessel_no integer",
            "arrived_on date",
            "departed_on date",
            "status text = open|closed",
            "tons_qty integer",
            "dues_eur numeric",
            "pilot_flg integer = 0|1",
        ],
        &[("vessel_no", "vessel", "vessel_no")],
    );
    for column in calls.columns.iter_mut().filter(|column| column.name == "departed_on") {
        column.nullable = true;
    }
    Snapshot::of(vec![
        calls,
        table(
            "vessel",
            &[
                "vessel_no integer",
                "vessel_name text",
                "home_country text = Spain|Norway",
                "max_draft_m numeric",
                "built integer",
            ],
            &[],
        ),
        table(
            "inspection_visit",
            &["visit_id integer", "call_no integer", "visit_date date", "score integer", "remark_text text"],
            &[("call_no", "port_call", "call_no")],
        ),
        table(
            "pilot",
            &["pilot_id integer", "first_name text", "last_name text", "hired_on date", "licensed boolean"],
            &[],
        ),
    ])
}

#[test]
fn the_last_word_of_a_tables_name_says_what_its_rows_are() {
    let reads = |question: &str, expected: &str| reads_of(&port(), question, expected);
    reads("port calls per status", "SELECT status, COUNT(*) AS number_of_port_call FROM port_call GROUP BY status");
    reads(
        "How many visits were there in 2025?",
        "SELECT COUNT(*) AS number_of_inspection_visit FROM inspection_visit WHERE visit_date >= '2025-01-01' AND visit_date < '2026-01-01'",
    );
    reads("How many ships are there?", "SELECT COUNT(*) AS number_of_vessel FROM vessel");
    reads(
        "average visit score of the vessels from Norway",
        "SELECT AVG(iv.score) AS average_score FROM inspection_visit iv JOIN port_call pc ON pc.call_no = iv.call_no JOIN vessel v ON v.vessel_no = pc.vessel_no WHERE v.home_country = 'Norway'",
    );
}

#[test]
fn units_and_amounts_at_the_end_of_a_name_may_be_left_out() {
    let reads = |question: &str, expected: &str| reads_of(&port(), question, expected);
    reads(
        "List name and max draft of the vessels above 12 m, highest first",
        "SELECT vessel_name, max_draft_m FROM vessel WHERE max_draft_m > 12 ORDER BY max_draft_m DESC",
    );
    reads("calls with dues over 3 thousand", "SELECT call_no FROM port_call WHERE dues_eur > 3000");
    reads("How many tons does a call have on average?", "SELECT AVG(tons_qty) AS average_tons_quantity FROM port_call");
    reads(
        "Show status and dues of calls with dues between 100 and 200",
        "SELECT status, dues_eur FROM port_call WHERE dues_eur >= 100 AND dues_eur <= 200",
    );
    reads(
        "How many calls had higher dues than the average call?",
        "SELECT COUNT(*) AS number_of_port_call FROM port_call WHERE dues_eur > (SELECT AVG(dues_eur) FROM port_call)",
    );
}

#[test]
fn a_superlative_may_have_a_number_a_condition_and_its_measure() {
    let reads = |question: &str, expected: &str| reads_of(&port(), question, expected);
    reads(
        "top 3 open calls by dues",
        "SELECT call_no FROM port_call WHERE status = 'open' ORDER BY dues_eur DESC LIMIT 3",
    );
    reads(
        "Which vessel has the highest max draft, and what is it?",
        "SELECT vessel_name, max_draft_m FROM vessel ORDER BY max_draft_m DESC LIMIT 1",
    );
    reads(
        "Which vessel has the most calls, and how many?",
        "SELECT v.vessel_name, (SELECT COUNT(*) FROM port_call pc WHERE v.vessel_no = pc.vessel_no) AS number FROM vessel v ORDER BY number DESC LIMIT 1",
    );
    reads(
        "Give me the two vessels with the most calls: name and number of calls.",
        "SELECT v.vessel_name, (SELECT COUNT(*) FROM port_call pc WHERE v.vessel_no = pc.vessel_no) AS number_of_port_call FROM vessel v ORDER BY number_of_port_call DESC LIMIT 2",
    );
}

#[test]
fn a_date_of_the_rows_wins_over_a_value_of_other_rows() {
    let reads = |question: &str, expected: &str| reads_of(&port(), question, expected);
    reads(
        "What percentage of calls has departed?",
        "SELECT 100.0 * COUNT(CASE WHEN departed_on IS NOT NULL THEN 1 END) / NULLIF(COUNT(*), 0) AS percentage FROM port_call",
    );
    reads(
        "How many visits were there of vessels from Spain in 2025?",
        "SELECT COUNT(*) AS number_of_inspection_visit FROM inspection_visit iv JOIN port_call pc ON pc.call_no = iv.call_no JOIN vessel v ON v.vessel_no = pc.vessel_no WHERE v.home_country = 'Spain' AND iv.visit_date >= '2025-01-01' AND iv.visit_date < '2026-01-01'",
    );
    reads(
        "Show first and last name of the pilots who are not licensed",
        "SELECT first_name, last_name FROM pilot WHERE licensed = FALSE",
    );
}

#[test]
fn what_is_not_understood_is_handed_back() {
    for question in [
        "Which calls are still waiting?",
        "What are the properties of Spain called?",
        "Average score per vessel with more than 60 scores",
        "How many calls with a pilot are there?",
        "How many calls that started in 2025 are there?",
        "How many athletes are there?",
    ] {
        let verdict = read(question, &port(), Dialect::Sqlite, date!(2026 - 11 - 22));
        assert!(!matches!(verdict, Verdict::Sure(_)), "{question}: {verdict:?}");
    }
}

#[test]
fn days_spans_of_months_and_years_are_times() {
    let reads = |question: &str, expected: &str| reads_of(&port(), question, expected);
    reads(
        "How many calls arrived between 1 March 2025 and 31 May 2025?",
        "SELECT COUNT(*) AS number_of_port_call FROM port_call WHERE arrived_on >= '2025-03-01' AND arrived_on < '2025-06-01'",
    );
    reads(
        "How many visits were there on March 3rd, 2025?",
        "SELECT COUNT(*) AS number_of_inspection_visit FROM inspection_visit WHERE visit_date >= '2025-03-03' AND visit_date < '2025-03-04'",
    );
    reads(
        "How many visits were there from June to August 2025?",
        "SELECT COUNT(*) AS number_of_inspection_visit FROM inspection_visit WHERE visit_date >= '2025-06-01' AND visit_date < '2025-09-01'",
    );
    // The last June is that of 2026.
    reads(
        "How many visits were there from June to August 2027?",
        "SELECT COUNT(*) AS number_of_inspection_visit FROM inspection_visit WHERE visit_date >= '2027-06-01' AND visit_date < '2027-09-01'",
    );
    reads("vessels built before 1980", "SELECT vessel_name FROM vessel WHERE built < 1980");
}

#[test]
fn rows_that_belong_to_a_row_are_counted_and_summed() {
    let reads = |question: &str, expected: &str| reads_of(&port(), question, expected);
    reads(
        "vessels with more than 2 open calls",
        "SELECT v.vessel_name FROM vessel v WHERE (SELECT COUNT(*) FROM port_call pc WHERE v.vessel_no = pc.vessel_no AND pc.status = 'open') > 2",
    );
    reads(
        "Vessels with more than 3 calls, with the count",
        "SELECT v.vessel_name, (SELECT COUNT(*) FROM port_call pc WHERE v.vessel_no = pc.vessel_no) AS number_of_port_call FROM vessel v WHERE (SELECT COUNT(*) FROM port_call pc2 WHERE v.vessel_no = pc2.vessel_no) > 3",
    );
    reads(
        "Which vessel has the most tons, and how many tons is that?",
        "SELECT v.vessel_name, (SELECT SUM(pc.tons_qty) FROM port_call pc WHERE v.vessel_no = pc.vessel_no) FROM vessel v ORDER BY (SELECT SUM(pc2.tons_qty) FROM port_call pc2 WHERE v.vessel_no = pc2.vessel_no) DESC LIMIT 1",
    );
    reads(
        "What share of calls in percent are open?",
        "SELECT 100.0 * COUNT(CASE WHEN status = 'open' THEN 1 END) / NULLIF(COUNT(*), 0) AS percentage FROM port_call",
    );
    reads(
        "total tons per status",
        "SELECT status, SUM(tons_qty) AS total_tons_quantity FROM port_call GROUP BY status",
    );
}

#[test]
fn the_key_of_a_table_says_what_its_rows_are() {
    let old = Snapshot::of(vec![
        table("CLMHDR", &["CLM_NO integer", "AGT_NO integer", "LOSS_AMT numeric"], &[("AGT_NO", "AGTMST", "AGT_NO")]),
        table("AGTMST", &["AGT_NO integer", "AGT_NM text", "CITY text = Oslo|Bergen"], &[]),
    ]);
    let reads = |question: &str, expected: &str| reads_of(&old, question, expected);
    reads("How many agents are there?", "SELECT COUNT(*) AS number_of_agtmst FROM AGTMST");
    reads("Which agents are in Oslo?", "SELECT AGT_NM FROM AGTMST WHERE CITY = 'Oslo'");
    reads(
        "agents with more than 3 claims",
        "SELECT a.AGT_NM FROM AGTMST a WHERE (SELECT COUNT(*) FROM CLMHDR c WHERE a.AGT_NO = c.AGT_NO) > 3",
    );
}

#[test]
fn people_units_and_the_value_of_rows_are_understood() {
    let mut totals = table("order_totals", &["order_id integer", "ordered_at date", "total "], &[]);
    totals.kind = TableKind::View;
    totals.primary_key.clear();
    let shop = Snapshot::of(vec![
        table("customers", &["id integer", "name text", "newsletter boolean"], &[]),
        table(
            "orders",
            &["id integer", "customer_id integer", "ordered_at date"],
            &[("customer_id", "customers", "id")],
        ),
        table(
            "order_items",
            &["id integer", "order_id integer", "quantity integer", "unit_price numeric"],
            &[("order_id", "orders", "id")],
        ),
        totals,
    ]);
    let reads = |question: &str, expected: &str| reads_of(&shop, question, expected);
    reads("What is the average order value?", "SELECT AVG(total) AS average_total FROM order_totals");
    reads(
        "How many people get the newsletter?",
        "SELECT COUNT(*) AS number_of_customers FROM customers WHERE newsletter = TRUE",
    );
    reads("How many units did we sell?", "SELECT SUM(quantity) AS number_of_quantity FROM order_items");
}
