//! More kinds of questions that were once answered wrongly or not at all.

use time::macros::date;

use super::tests::table;
use super::{Verdict, read};
use crate::database::catalog::{Column, Snapshot, Synonym};
use crate::dialect::Dialect;

pub(super) fn reads_of(snapshot: &Snapshot, question: &str, expected: &str) {
    match read(question, snapshot, Dialect::Postgresql, date!(2026 - 07 - 15)) {
        Verdict::Sure(reading) => assert_eq!(reading.sql, expected, "{question}"),
        other => panic!("{question}: {other:?}"),
    }
}

pub(super) fn doubts(snapshot: &Snapshot, question: &str) {
    let verdict = read(question, snapshot, Dialect::Postgresql, date!(2026 - 07 - 15));
    assert!(!matches!(verdict, Verdict::Sure(_)), "{question}: {verdict:?}");
}

/// A ferry line without declared keys.
fn ferries() -> Snapshot {
    let mut tables = vec![
        table("harbours", &["id integer", "name text", "city text = Kiel|Oslo", "opened date"], &[]),
        table(
            "crossings",
            &[
                "id integer",
                "from_harbour_id integer",
                "to_harbour_id integer",
                "vessel_id integer",
                "sailed date",
                "planned date",
                "reported date",
                "seats_sold integer",
                "seats_free integer",
            ],
            &[],
        ),
        table("vessels", &["id integer", "name text", "built integer", "length_m integer"], &[]),
        table("cargo_type", &["id integer", "cargo_name text", "fee numeric"], &[]),
        table("loads", &["id integer", "vessel_id integer", "cargo_type_id integer", "weight_kg integer"], &[]),
    ];
    for table in &mut tables {
        table.primary_key.clear();
    }
    Snapshot::of(tables)
}

#[test]
fn keys_are_guessed_where_none_are_declared() {
    let ferries = ferries();
    let reads = |question: &str, expected: &str| reads_of(&ferries, question, expected);
    reads(
        "Which vessels have no crossings?",
        "SELECT v.name FROM vessels v WHERE NOT EXISTS (SELECT 1 FROM crossings c WHERE v.id = c.vessel_id)",
    );
    reads(
        "List the sailed date of each crossing and the name of its vessel",
        "SELECT c.sailed, v.name FROM crossings c JOIN vessels v ON v.id = c.vessel_id",
    );
    // Two keys lead to harbours.
    doubts(&ferries, "Number of crossings per harbour");
}

#[test]
fn rows_are_counted_by_the_date_that_a_verb_names() {
    let ferries = ferries();
    let reads = |question: &str, expected: &str| reads_of(&ferries, question, expected);
    reads(
        "crossings sailed per month in 2024",
        "SELECT to_char(sailed, 'YYYY-MM') AS month, COUNT(*) AS number_of_crossings FROM crossings WHERE sailed >= \
         '2024-01-01' AND sailed < '2025-01-01' GROUP BY to_char(sailed, 'YYYY-MM') ORDER BY month",
    );
    reads(
        "harbours opened per year, from 2021 on",
        "SELECT to_char(opened, 'YYYY') AS year, COUNT(*) AS number_of_harbours FROM harbours WHERE opened >= \
         '2021-01-01' GROUP BY to_char(opened, 'YYYY') ORDER BY year",
    );
}

#[test]
fn two_columns_of_a_row_are_compared() {
    let ferries = ferries();
    let reads = |question: &str, expected: &str| reads_of(&ferries, question, expected);
    reads(
        "How many crossings sailed after the planned date?",
        "SELECT COUNT(*) AS number_of_crossings FROM crossings WHERE sailed > planned",
    );
    reads(
        "How many crossings have seats sold below the seats free?",
        "SELECT COUNT(*) AS number_of_crossings FROM crossings WHERE seats_sold < seats_free",
    );
    doubts(&ferries, "How many crossings have seats sold above the fee?");
}

#[test]
fn a_sentence_after_the_question_names_what_is_shown() {
    let ferries = ferries();
    let reads = |question: &str, expected: &str| reads_of(&ferries, question, expected);
    let counted = "(SELECT COUNT(*) FROM crossings c WHERE v.id = c.vessel_id)";
    reads(
        "Which vessels have more than 3 crossings? Name and number of crossings.",
        &format!(
            "SELECT v.name, {counted} AS number_of_crossings FROM vessels v WHERE {} > 3",
            counted.replace("crossings c ", "crossings c2 ").replace("c.vessel_id", "c2.vessel_id")
        ),
    );
}

#[test]
fn orders_follow_what_they_name() {
    let ferries = ferries();
    let reads = |question: &str, expected: &str| reads_of(&ferries, question, expected);
    reads(
        "List the names of vessels in descending order of vessel length.",
        "SELECT name FROM vessels ORDER BY length_m DESC",
    );
    reads(
        "List the cities of harbours in descending order of the number of harbours",
        "SELECT city FROM harbours GROUP BY city ORDER BY COUNT(*) DESC",
    );
}

#[test]
fn table_names_lose_words_that_say_nothing() {
    let ferries = ferries();
    let reads = |question: &str, expected: &str| reads_of(&ferries, question, expected);
    reads("How many cargos are there?", "SELECT COUNT(*) AS number_of_cargo_type FROM cargo_type");
}

#[test]
fn what_else_a_question_asks_for_is_shown_or_doubted() {
    let ferries = ferries();
    let reads = |question: &str, expected: &str| reads_of(&ferries, question, expected);
    reads(
        "Which harbour is the newest, and when was it opened?",
        "SELECT name, opened FROM harbours ORDER BY opened DESC LIMIT 1",
    );
    reads("Which three harbours are the newest?", "SELECT name FROM harbours ORDER BY opened DESC LIMIT 3");
    for question in [
        "List all vessels, and who built them?",
        "How many different kinds of vessels are there?",
        "Is Kiel a city or a town?",
        "Which harbours have had least two crossings?",
        "What are the crossings about?",
        "Which vessel is the longest, and is it new or old?",
    ] {
        doubts(&ferries, question);
    }
}

#[test]
fn what_was_sold_is_counted_by_the_sales() {
    let yard = Snapshot::of(vec![
        table("boats", &["id integer", "name text", "is_damaged text = Y|N", "built integer"], &[]),
        table(
            "sales",
            &["id integer", "boat_id integer", "sale_price numeric", "sale_date date"],
            &[("boat_id", "boats", "id")],
        ),
    ]);
    let reads = |question: &str, expected: &str| reads_of(&yard, question, expected);
    reads(
        "How many boats did we sell in 2024?",
        "SELECT COUNT(*) AS number_of_sales FROM sales WHERE sale_date >= '2024-01-01' AND sale_date < '2025-01-01'",
    );
    reads("Which boats were damaged?", "SELECT name FROM boats WHERE is_damaged = 'Y'");
    reads(
        "How many sales took place in 2024?",
        "SELECT COUNT(*) AS number_of_sales FROM sales WHERE sale_date >= '2024-01-01' AND sale_date < '2025-01-01'",
    );
}

#[test]
fn a_verb_may_repeat_who_does_it() {
    let opera = Snapshot::of(vec![
        table("singers", &["id integer", "name text"], &[]),
        table("concerts", &["id integer", "title text"], &[]),
        table(
            "singers_in_concerts",
            &["id integer", "singer_id integer", "concert_id integer"],
            &[("singer_id", "singers", "id"), ("concert_id", "concerts", "id")],
        ),
    ]);
    reads_of(
        &opera,
        "List the singers who never sang in a concert",
        "SELECT s.name FROM singers s WHERE NOT EXISTS (SELECT 1 FROM singers_in_concerts sic JOIN concerts c ON c.id = \
         sic.concert_id WHERE s.id = sic.singer_id)",
    );
}

#[test]
fn words_between_a_group_and_its_rows_are_understood() {
    let films = Snapshot::of(vec![
        table(
            "films",
            &[
                "id integer",
                "title text",
                "genre text = drama|comedy",
                "directed_by text",
                "opened_year integer",
                "screens integer",
            ],
            &[],
        ),
        table(
            "showings",
            &["id integer", "film_id integer", "closed_on date", "seats integer"],
            &[("film_id", "films", "id")],
        ),
    ]);
    let reads = |question: &str, expected: &str| reads_of(&films, question, expected);
    reads(
        "Show the genre shared by the most films",
        "SELECT genre FROM films GROUP BY genre ORDER BY COUNT(*) DESC LIMIT 1",
    );
    let grouped = "SELECT genre, COUNT(*) AS number_of_films FROM films GROUP BY genre";
    reads("Show each genre and the corresponding number of films in that genre", grouped);
    reads(
        "Show different genres and the number of films in descending order",
        &format!("{grouped} ORDER BY number_of_films DESC"),
    );
    reads("Show the title and director of all films", "SELECT title, directed_by FROM films");
    reads("Show the title of films opened in 2011 or later", "SELECT title FROM films WHERE opened_year >= 2011");
    reads(
        "titles of films with screens above 50 or below 5",
        "SELECT title FROM films WHERE (screens > 50 OR screens < 5)",
    );
    reads(
        "What are the maximum and minimum number of screens among all films?",
        "SELECT MAX(screens) AS maximum_screens, MIN(screens) AS minimum_screens FROM films",
    );
    reads(
        "Which films have closed more than 3 showings?",
        "SELECT f.title FROM films f WHERE (SELECT COUNT(*) FROM showings s WHERE f.id = s.film_id) > 3",
    );
    reads(
        "How many films were opened after 2013 or before 2008?",
        "SELECT COUNT(*) AS number_of_films FROM films WHERE (opened_year >= 2014 OR opened_year < 2008)",
    );
    for question in [
        "Show the titles of films that have showings, and the number of showings for each",
        "Show where films are",
        "titles of films that have a total number of seats over 2000",
    ] {
        doubts(&films, question);
    }
}

#[test]
fn who_asks_for_people() {
    let clubs = Snapshot::of(vec![
        table("coaches", &["id integer", "name text"], &[]),
        table("clubs", &["id integer", "name text", "founder text"], &[]),
        table(
            "coach_club",
            &["coach_id integer", "club_id integer"],
            &[("coach_id", "coaches", "id"), ("club_id", "clubs", "id")],
        ),
    ]);
    doubts(&clubs, "Who made the most clubs?");
    reads_of(
        &clubs,
        "Which coach has the most clubs?",
        "SELECT c.name FROM coaches c ORDER BY (SELECT COUNT(DISTINCT c2.id) FROM coach_club cc JOIN clubs c2 ON c2.id = cc.club_id WHERE c.id = cc.coach_id) DESC LIMIT 1",
    );
    let mut males = table("people", &["id integer", "name text", "age integer"], &[]);
    males.columns.push(Column::new("is_male".into(), "text".into()));
    let weddings = Snapshot::of(vec![
        males,
        table(
            "weddings",
            &["id integer", "male_id integer", "female_id integer"],
            &[("male_id", "people", "id"), ("female_id", "people", "id")],
        ),
    ]);
    doubts(&weddings, "How many female people are older than 30?");
}

/// A parcel service.
fn parcels() -> Snapshot {
    Snapshot::of(vec![
        table(
            "couriers",
            &["courier_id integer", "name text = Ann|Bob", "sex text = F|M", "age integer", "town text"],
            &[],
        ),
        table(
            "parcels",
            &[
                "parcel_id integer",
                "courier_id integer",
                "state text = Sent|Lost",
                "booked date",
                "paint text = red|blue",
                "damage_millions numeric",
            ],
            &[("courier_id", "couriers", "courier_id")],
        ),
        table(
            "shipments",
            &["shipment_id integer", "parcel_id integer", "sent_date date", "sending_type text"],
            &[("parcel_id", "parcels", "parcel_id")],
        ),
    ])
}

#[test]
fn a_word_that_fits_another_row_is_handed_back() {
    let parcels = parcels();
    // The date of sending is that of a shipment.
    doubts(&parcels, "Which parcels were sent after 2024-03-01?");
    // Most parcels of that paint, or most shipments.
    doubts(&parcels, "What is the most popular paint?");
    doubts(&parcels, "For each kind of parcel, how many shipments are there?");
    doubts(&parcels, "Show the name of couriers for most of the parcels");
    doubts(&parcels, "In which town and village does Ann live?");
}

#[test]
fn a_list_of_columns_belongs_to_the_table_after_it() {
    let reads = |question: &str, expected: &str| reads_of(&parcels(), question, expected);
    reads(
        "List the id and state of parcels of the courier named \"Ann\"",
        "SELECT p.parcel_id, p.state FROM parcels p JOIN couriers c ON c.courier_id = p.courier_id WHERE c.name = 'Ann'",
    );
    reads("List the dates of parcels", "SELECT booked FROM parcels");
    reads(
        "How many couriers live in each town?",
        "SELECT town, COUNT(*) AS number_of_couriers FROM couriers GROUP BY town",
    );
    reads("Which couriers are under age 30?", "SELECT name FROM couriers WHERE age < 30");
    reads("What is the state of parcel 7?", "SELECT state FROM parcels WHERE parcel_id = 7");
    reads("How many female couriers are there?", "SELECT COUNT(*) AS number_of_couriers FROM couriers WHERE sex = 'F'");
    reads("Who is the youngest?", "SELECT name FROM couriers ORDER BY age LIMIT 1");
    reads(
        "Which parcels have a damage of more than 3 million?",
        "SELECT parcel_id FROM parcels WHERE damage_millions > 3",
    );
    reads(
        "What is the id of the courier with the most parcels?",
        "SELECT c.courier_id FROM couriers c ORDER BY (SELECT COUNT(*) FROM parcels p WHERE c.courier_id = p.courier_id) \
         DESC LIMIT 1",
    );
}

/// Other names of the context file are names, whatever else the words may mean.
#[test]
fn synonyms_of_the_context_file_name_tables_and_columns() {
    let mut snapshot = parcels();
    let table = snapshot.tables.iter().position(|table| table.name == "parcels").unwrap();
    let column = snapshot.tables[table].columns.iter().position(|column| column.name == "state");
    let synonym = |name: &str, column| Synonym { name: name.to_owned(), table, column };
    snapshot.synonyms = vec![synonym("expenses", None), synonym("sent goods", None), synonym("condition", column)];
    let count = "SELECT COUNT(*) AS number_of_parcels FROM parcels";
    reads_of(&snapshot, "How many expenses are there?", count);
    reads_of(&snapshot, "How many sent goods are there?", count);
    reads_of(&snapshot, "What is the condition of parcel 7?", "SELECT state FROM parcels WHERE parcel_id = 7");
    doubts(&parcels(), "How many expenses are there?");
}

/// What one spends is not what one earns, and a state is no filler.
#[test]
fn what_the_data_does_not_say_is_handed_back() {
    let parcels = parcels();
    doubts(&parcels, "How much did we spend on parcels?");
    doubts(&parcels, "What is the margin of each parcel?");
    doubts(&parcels, "How many open parcels are there?");
    doubts(&parcels, "How many parcels are paid?");
    doubts(&parcels, "Which courier made the most damage?");
    // The day begins after the article.
    let expected =
        "SELECT COUNT(*) AS number_of_parcels FROM parcels WHERE booked >= '2026-07-08' AND booked < '2026-07-16'";
    reads_of(&parcels, "How many parcels were booked in the last 7 days?", expected);
}

/// Tables as older designs have them: names of people with a prefix, and link tables that hold the thing itself.
#[test]
fn the_columns_that_stand_for_a_row_have_many_names() {
    let guests = table("guests", &["guest_id integer", "guest_first_name text", "guest_last_name text"], &[]);
    let stays = table("stays", &["stay_id integer", "guest_id integer"], &[("guest_id", "guests", "guest_id")]);
    let customers = table("customers", &["customer_id integer", "customer_details text"], &[]);
    let mut tracks = table("instruments", &["song_id integer", "player_id integer", "instrument text"], &[]);
    tracks.primary_key = tracks.columns.iter().map(|column| column.name.clone()).collect();
    let snapshot = Snapshot::of(vec![customers, guests, tracks, stays]);
    let reads = |question: &str, expected: &str| reads_of(&snapshot, question, expected);
    reads(
        "Return the first names and last names of all guests",
        "SELECT guest_first_name, guest_last_name FROM guests",
    );
    reads("List all customers", "SELECT customer_details FROM customers");
    reads("What are all the instruments used?", "SELECT DISTINCT instrument FROM instruments");
}

/// A key is that of the table after "of", and a denial is about all rows below.
#[test]
fn keys_and_denials_are_those_of_the_rows_that_are_named() {
    let reads = |question: &str, expected: &str| reads_of(&parcels(), question, expected);
    reads("What are the ids of the couriers with age over 30?", "SELECT courier_id FROM couriers WHERE age > 30");
    reads(
        "What is the average age of couriers that never had damage millions more than 3?",
        "SELECT AVG(c.age) AS average_age FROM couriers c WHERE NOT EXISTS (SELECT 1 FROM parcels p WHERE c.courier_id = \
         p.courier_id AND p.damage_millions > 3)",
    );
    doubts(&parcels(), "What information is there on couriers from Bern?");
}

/// Words that the finished statement explains.
#[test]
fn where_how_much_and_the_number_are_explained_by_what_is_shown() {
    let shop = super::tests::shop("");
    let reads = |question: &str, expected: &str| reads_of(&shop, question, expected);
    reads_of(&parcels(), "Where is the town of Ann?", "SELECT town FROM couriers WHERE name = 'Ann'");
    reads("What is the highest amount of the payments?", "SELECT MAX(amount) AS maximum_amount FROM payments");
    reads(
        "What is the average rating of each product category?",
        "SELECT c.name, (SELECT AVG(r.rating) FROM products p JOIN reviews r ON p.id = r.product_id WHERE c.id = \
         p.category_id) AS average_rating FROM categories c",
    );
    doubts(&shop, "How much did customers in Bern pay?");
}

/// Objects that are not named, denials about one row, and makers.
#[test]
fn an_unnamed_object_and_a_maker_are_asked_about() {
    let stage = Snapshot::of(vec![
        table("plays", &["id integer", "title text = Hamlet|Faust", "author text"], &[]),
        table("critics", &["id integer", "name text = Ann Miller|Bob Stone"], &[]),
        table(
            "reviews",
            &["id integer", "play_id integer", "critic_id integer", "stars integer"],
            &[("play_id", "plays", "id"), ("critic_id", "critics", "id")],
        ),
    ]);
    for question in [
        "Who wrote Hamlet?",
        "Which plays did Ann Miller not review?",
        "Which plays has Bob Stone never reviewed?",
        "What did Ann Miller write?",
        "What do the critics produce, and what are their names?",
    ] {
        doubts(&stage, question);
    }
    reads_of(
        &stage,
        "Which critics have reviewed Hamlet?",
        "SELECT c.name FROM critics c WHERE EXISTS (SELECT 1 FROM reviews r JOIN plays p ON p.id = r.play_id WHERE c.id = \
         r.critic_id AND p.title = 'Hamlet')",
    );
    reads_of(
        &stage,
        "List the titles of plays in descending lexicographical order",
        "SELECT title FROM plays ORDER BY title DESC",
    );
}

/// A class belongs to the department of its course, and not to the one that its teacher heads.
#[test]
fn what_belongs_to_a_row_comes_before_what_two_rows_share() {
    let college = Snapshot::of(vec![
        table("departments", &["id integer", "name text", "head_id integer"], &[("head_id", "teachers", "id")]),
        table(
            "courses",
            &["id integer", "title text", "department_id integer"],
            &[("department_id", "departments", "id")],
        ),
        table(
            "classes",
            &["id integer", "course_id integer", "teacher_id integer", "room text"],
            &[("course_id", "courses", "id"), ("teacher_id", "teachers", "id")],
        ),
        table("teachers", &["id integer", "TCH_FNAME text", "TCH_LNAME text"], &[]),
    ]);
    reads_of(
        &college,
        "Find the number of classes in each department",
        "SELECT d.name, (SELECT COUNT(*) FROM courses c JOIN classes c2 ON c.id = c2.course_id WHERE d.id = c.department_id) AS \
         number_of_classes FROM departments d",
    );
    reads_of(&college, "List the teachers", "SELECT \"TCH_FNAME\", \"TCH_LNAME\" FROM teachers");
}
