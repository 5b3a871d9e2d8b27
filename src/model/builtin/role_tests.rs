//! Questions in which a direction, a verb or a short key tells what is meant.

use super::more_kinds_tests::{doubts, reads_of};
use super::tests::table;
use crate::database::catalog::Snapshot;

/// An airline whose tables have short keys, and a help desk with two keys to one table.
fn airline() -> Snapshot {
    let aircraft = table("aircraft", &["aid integer", "name text", "distance integer"], &[]);
    let flight = table(
        "flight",
        &[
            "flno integer",
            "origin text = Oslo|Kiel",
            "destination text = Kiel|Oslo|Riga",
            "price numeric",
            "aid integer",
            "used_kg integer",
        ],
        &[("aid", "aircraft", "aid")],
    );
    let mut tables = vec![
        aircraft,
        flight,
        table("agents", &["agent_id integer", "AG_FNAME text = Ann|Ben", "AG_LNAME text = Lee|Orr"], &[]),
        table(
            "faults",
            &[
                "fault_id integer",
                "fault_note text",
                "date_fault_reported date",
                "closed_by_agent_id integer",
                "reported_by_agent_id integer",
            ],
            &[("closed_by_agent_id", "agents", "agent_id"), ("reported_by_agent_id", "agents", "agent_id")],
        ),
    ];
    for (table, key) in tables.iter_mut().zip(["aid", "flno", "agent_id", "fault_id"]) {
        table.primary_key = vec![key.to_owned()];
    }
    Snapshot::of(tables)
}

#[test]
fn short_keys_and_names_are_known() {
    let airline = airline();
    let reads = |question: &str, expected: &str| reads_of(&airline, question, expected);
    reads("Show the id and name of all aircraft", "SELECT aid, name FROM aircraft");
    reads("What is the price of the flight with number 99?", "SELECT price FROM flight WHERE flno = 99");
    reads("first names of agents", "SELECT \"AG_FNAME\" FROM agents");
    reads("all details of the aircraft", "SELECT aid, name, distance FROM aircraft");
    // A count, or the numbers themselves.
    doubts(&airline, "What are the numbers of all flights?");
}

#[test]
fn a_direction_tells_the_column() {
    let airline = airline();
    let reads = |question: &str, expected: &str| reads_of(&airline, question, expected);
    reads(
        "average price of flights from Oslo to Kiel",
        "SELECT AVG(price) AS average_price FROM flight WHERE origin = 'Oslo' AND destination = 'Kiel'",
    );
    reads("flights to Oslo", "SELECT flno FROM flight WHERE destination = 'Oslo'");
    // No flight is known to start there.
    doubts(&airline, "flights from Riga");
}

#[test]
fn a_verb_tells_the_key() {
    let airline = airline();
    let reads = |question: &str, expected: &str| reads_of(&airline, question, expected);
    reads(
        "faults reported by Lee",
        "SELECT f.fault_note FROM faults f JOIN agents a ON a.agent_id = f.reported_by_agent_id WHERE a.\"AG_LNAME\" = 'Lee'",
    );
    reads(
        "faults closed by the agent named Orr",
        "SELECT f.fault_note FROM faults f JOIN agents a ON a.agent_id = f.closed_by_agent_id WHERE a.\"AG_LNAME\" = 'Orr'",
    );
    doubts(&airline, "faults of Orr");
}

#[test]
fn a_number_stands_before_a_superlative() {
    let airline = airline();
    let reads = |question: &str, expected: &str| reads_of(&airline, question, expected);
    let longest = "SELECT name FROM aircraft ORDER BY distance DESC LIMIT 3";
    reads("names of aircraft with the three highest distances", longest);
    reads("names of aircraft with top three highest distances", longest);
    reads(
        "top 2 aircraft with the most flights",
        "SELECT a.name FROM aircraft a ORDER BY (SELECT COUNT(*) FROM flight f WHERE a.aid = f.aid) DESC LIMIT 2",
    );
    reads(
        "aircraft that are not used by any flight",
        "SELECT a.name FROM aircraft a WHERE NOT EXISTS (SELECT 1 FROM flight f WHERE a.aid = f.aid)",
    );
    reads(
        "aircraft with two flights or more",
        "SELECT a.name FROM aircraft a WHERE (SELECT COUNT(*) FROM flight f WHERE a.aid = f.aid) >= 2",
    );
    reads("order all aircraft names by distance", "SELECT name FROM aircraft ORDER BY distance");
}

/// Players and contracts share a team, and nothing else.
#[test]
fn rows_that_share_a_parent_are_not_joined() {
    let players = table("players", &["id integer", "name text", "team_id integer"], &[("team_id", "teams", "id")]);
    let contracts = table(
        "contracts",
        &["id integer", "college text = UCLA|Yale", "team_id integer", "age integer"],
        &[("team_id", "teams", "id")],
    );
    let sports = Snapshot::of(vec![table("teams", &["id integer", "city text"], &[]), players, contracts]);
    doubts(&sports, "Who are the players from UCLA?");
    doubts(&sports, "What are the colleges of the players?");
    reads_of(
        &sports,
        "contracts of UCLA with age either 20 or 30",
        "SELECT id FROM contracts WHERE college = 'UCLA' AND age IN (20, 30)",
    );
}

/// Gymnasts are people, and cities belong to counties.
#[test]
fn what_is_asked_of_another_row_is_handed_back() {
    let mut gymnasts = table("gymnasts", &["gymnast_id integer", "points numeric"], &[("gymnast_id", "people", "id")]);
    gymnasts.primary_key = vec!["gymnast_id".to_owned()];
    let sports = Snapshot::of(vec![
        table("people", &["id integer", "name text", "age integer", "hometown text = Miami|Oslo"], &[]),
        gymnasts,
        table("counties", &["id integer", "name text = Kent|Essex", "officers integer"], &[]),
        table(
            "cities",
            &[
                "id integer",
                "name text",
                "county_id integer",
                "kind text = Public|Private",
                "price numeric",
                "white numeric",
            ],
            &[("county_id", "counties", "id")],
        ),
    ]);
    let reads = |question: &str, expected: &str| reads_of(&sports, question, expected);
    reads(
        "average age of all gymnasts",
        "SELECT AVG(p.age) AS average_age FROM gymnasts g JOIN people p ON p.id = g.gymnast_id",
    );
    reads(
        "Which hometowns are shared by at least two gymnasts?",
        "SELECT p.hometown FROM gymnasts g JOIN people p ON p.id = g.gymnast_id GROUP BY p.hometown HAVING COUNT(*) >= 2",
    );
    reads("public cities", "SELECT name FROM cities WHERE kind = 'Public'");
    reads(
        "names of cities sorted by price decreasing and name ascending",
        "SELECT name FROM cities ORDER BY price DESC, name",
    );
    for question in [
        "cities in the county with the most officers",
        "What are the five whitest cities?",
        "What costs more than 200?",
        "Who won?",
    ] {
        doubts(&sports, question);
    }
}

/// A bike workshop, as a newcomer made it.
fn workshop() -> Snapshot {
    let mut repairs = table(
        "repairs",
        &["id integer", "bike_id integer", "mechanic_id integer", "status text = open|done", "dropped_off_on date"],
        &[("bike_id", "bikes", "id"), ("mechanic_id", "mechanics", "id")],
    );
    repairs.columns.iter_mut().filter(|column| column.name == "mechanic_id").for_each(|column| column.nullable = true);
    Snapshot::of(vec![
        table("mechanics", &["id integer", "name text = Lea Frei|Tom Lang"], &[]),
        table("bikes", &["id integer", "brand text = Trek|Giant", "kind text = city|road", "owner text"], &[]),
        repairs,
        table(
            "parts_used",
            &["id integer", "repair_id integer", "part text = tyre|chain", "quantity integer"],
            &[("repair_id", "repairs", "id")],
        ),
    ])
}

#[test]
fn rows_are_counted_for_each_row_or_value_that_is_named() {
    let workshop = workshop();
    let reads = |question: &str, expected: &str| reads_of(&workshop, question, expected);
    let each = "SELECT m.name, (SELECT COUNT(*) FROM repairs r WHERE m.id = r.mechanic_id) AS number_of_repairs FROM \
                mechanics m";
    for question in ["repairs per mechanic", "repairs by mechanic", "repairs for each mechanic"] {
        reads(question, each);
    }
    let brands = "SELECT b.brand FROM repairs r JOIN bikes b ON b.id = r.bike_id GROUP BY b.brand";
    reads("Which brand has the most repairs?", &format!("{brands} ORDER BY COUNT(*) DESC LIMIT 1"));
    reads("brands with more than 100 repairs", &format!("{brands} HAVING COUNT(*) > 100"));
    reads(
        "Which kind of bike needs the most repairs?",
        &format!("{brands} ORDER BY COUNT(*) DESC LIMIT 1").replace("brand", "kind"),
    );
    reads(
        "Which brands have open repairs?",
        "SELECT DISTINCT b.brand FROM repairs r JOIN bikes b ON b.id = r.bike_id WHERE r.status = 'open'",
    );
    reads("repairs without a mechanic", "SELECT id FROM repairs WHERE mechanic_id IS NULL");
    reads("the two most used parts", "SELECT part FROM parts_used GROUP BY part ORDER BY COUNT(*) DESC LIMIT 2");
    for question in [
        "How many brands have more than 100 repairs?",
        // Rows or pieces, and a verb or a status.
        "How many tyres were used?",
        "How many repairs has Lea Frei done?",
    ] {
        doubts(&workshop, question);
    }
}

/// Shops, the people who work there, and the languages of their towns.
fn chain() -> Snapshot {
    let mut staff = table(
        "employees",
        &["employee_id integer", "name text = Ann|Bob", "age integer", "city text", "rank text", "mentor integer"],
        &[("mentor", "managers", "manager_id")],
    );
    staff.columns.iter_mut().filter(|column| column.name == "mentor").for_each(|column| column.nullable = true);
    let mut works = table(
        "works_at",
        &["employee_id integer", "shop_id integer", "shift text = early|late"],
        &[("employee_id", "employees", "employee_id"), ("shop_id", "shops", "shop_id")],
    );
    works.primary_key = vec!["employee_id".to_owned(), "shop_id".to_owned()];
    let mut spoken = table(
        "spoken",
        &["shop_id integer", "language text = Dutch|English|Chinese"],
        &[("shop_id", "shops", "shop_id")],
    );
    spoken.primary_key = vec!["shop_id".to_owned(), "language".to_owned()];
    let mut tables = vec![
        staff,
        table("managers", &["manager_id integer", "first_name text", "last_name text"], &[]),
        table(
            "shops",
            &[
                "shop_id integer",
                "name text",
                "location text = Kotka|Oulu",
                "manager_name text",
                "country text = Netherlands|China",
            ],
            &[],
        ),
        works,
        spoken,
    ];
    for (table, key) in tables.iter_mut().zip(["employee_id", "manager_id", "shop_id"]) {
        table.primary_key = vec![key.to_owned()];
    }
    Snapshot::of(tables)
}

#[test]
fn a_limit_of_people_is_their_age_and_a_key_shows_who_is_meant() {
    let chain = chain();
    let reads = |question: &str, expected: &str| reads_of(&chain, question, expected);
    reads(
        "How many employees under 30 are there?",
        "SELECT COUNT(*) AS number_of_employees FROM employees WHERE age < 30",
    );
    reads(
        "How many employees are under thirty?",
        "SELECT COUNT(*) AS number_of_employees FROM employees WHERE age < 30",
    );
    doubts(&chain, "How many employees are under thirty-five?");
    reads("employees with an id under 30", "SELECT name FROM employees WHERE employee_id < 30");
    reads("What ranks do we have for employees?", "SELECT DISTINCT rank FROM employees");
    reads(
        "What is the mentor of Ann?",
        "SELECT m.first_name, m.last_name FROM employees e JOIN managers m ON m.manager_id = e.mentor WHERE e.name = 'Ann'",
    );
    reads("mentors of the employees", "SELECT mentor FROM employees");
    // The row of the shop in Kotka names its manager, and nothing says what the employee 7 does.
    for question in ["Who runs the shop in Kotka?", "What does employee 7 study?", "How many shops under 30 are there?"]
    {
        doubts(&chain, question);
    }
}

#[test]
fn a_stored_word_is_no_country_and_alternatives_stay_alternatives() {
    let chain = chain();
    let reads = |question: &str, expected: &str| reads_of(&chain, question, expected);
    reads(
        "shops where Dutch is spoken",
        "SELECT s.name FROM shops s WHERE EXISTS (SELECT 1 FROM spoken s2 WHERE s.shop_id = s2.shop_id AND s2.language = 'Dutch')",
    );
    // One of two conditions must not become both.
    doubts(&chain, "employees who either work at a shop or are older than 20");
    // A denial for one language of a shop, or for all of them.
    doubts(&chain, "shop ids where the language is not English");
}

/// A campus is called by the column `campus`, and yearly numbers stand in rows of their own.
#[test]
fn a_row_is_called_by_its_own_column_and_stored_numbers_are_summed() {
    let mut campuses = table("campuses", &["id integer", "campus text = North|South", "county text = Kern|Marin"], &[]);
    campuses.primary_key = vec!["id".to_owned()];
    let of_campus = [("campus_id", "campuses", "id")];
    let mut awarded = table("degrees", &["campus_id integer", "year integer", "degrees integer"], &of_campus);
    awarded.primary_key = vec!["campus_id".to_owned(), "year".to_owned()];
    let disciplines = table("disciplines", &["id integer", "campus_id integer", "students integer"], &of_campus);
    let games = table(
        "games",
        &[
            "id integer",
            "town text = Perth|Oslo",
            "winner_name text",
            "loser_name text",
            "winner_rank integer",
            "game_num integer",
        ],
        &[],
    );
    let codes = table("state_codes", &["area_code integer", "state text = NY|NJ"], &[]);
    let mut schools = Snapshot::of(vec![campuses, awarded, disciplines, games, codes]);
    if let Some(codes) = schools.tables.iter_mut().find(|table| table.name == "state_codes") {
        codes.primary_key = vec!["area_code".to_owned()];
    }
    let reads = |question: &str, expected: &str| reads_of(&schools, question, expected);
    reads("Which campuses are in Kern?", "SELECT campus FROM campuses WHERE county = 'Kern'");
    reads(
        "How many degrees were awarded at North in 2004?",
        "SELECT SUM(d.degrees) AS number_of_degrees FROM degrees d JOIN campuses c ON c.id = d.campus_id WHERE c.campus = 'North' AND d.year = 2004",
    );
    reads("average winner rank in all games", "SELECT AVG(winner_rank) AS average_winner_rank FROM games");
    for question in [
        "Who won games in Perth?",
        "Which states have more than 2 area codes?",
        "What is the name of discipline 9?",
        "Which campus has the most degrees?",
    ] {
        doubts(&schools, question);
    }
}

/// The columns that stand for a person, and words that fit only a column of another table.
#[test]
fn a_person_is_called_by_name_and_words_of_other_things_are_doubted() {
    let mut staff = table(
        "staff",
        &[
            "id integer",
            "title text = Agent|Chief",
            "last_name text = Lee|Orr",
            "first_name text = Ann|Ben",
            "birth_date date",
        ],
        &[],
    );
    staff.primary_key = vec!["id".to_owned()];
    let mut branch = table("branch", &["branch_id integer", "bname text", "state text = Ohio|Utah"], &[]);
    branch.primary_key = vec!["branch_id".to_owned()];
    let mut client = table(
        "client",
        &[
            "client_id integer",
            "client_name text",
            "state text = Ohio|Utah",
            "country text = USA|Peru",
            "branch_id integer",
        ],
        &[("branch_id", "branch", "branch_id")],
    );
    client.primary_key = vec!["client_id".to_owned()];
    let mut film =
        table("film", &["film_id integer", "title text = Argo|Rush", "rental_rate numeric", "rating text = G|PG"], &[]);
    film.primary_key = vec!["film_id".to_owned()];
    let flight = table("flight", &["id integer", "pilot text = Sorlie|Kahn", "payment_date date"], &[]);
    let all = Snapshot::of(vec![staff, branch, client, film, flight]);
    let reads = |question: &str, expected: &str| reads_of(&all, question, expected);
    reads("Who is the oldest of the staff?", "SELECT first_name, last_name FROM staff ORDER BY birth_date LIMIT 1");
    reads("names of clients in Utah", "SELECT client_name FROM client WHERE state = 'Utah'");
    reads("What is the rental rate of Argo?", "SELECT rental_rate FROM film WHERE title = 'Argo'");
    for question in [
        "branch names in Utah",
        "What was the destination of Sorlie's flight?",
        "What salary does Sorlie have?",
        "Which film has the highest rental rate? And what is the rate?",
        "number of clients from the US",
        "How many stars does Argo have?",
    ] {
        doubts(&all, question);
    }
}
