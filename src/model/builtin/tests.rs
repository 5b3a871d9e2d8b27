//! The engine as its callers see it: questions in, verdicts out, on small schemas made for the purpose.

use time::macros::date;

use super::{Found, Shape, Verdict, read};
use crate::database::catalog::{Column, ForeignKey, Snapshot, TableDescription, TableKind};
use crate::dialect::Dialect;

/// A table from `name: type [= value|value]` columns and `column -> table.column` keys; the first column is the key.
pub(super) fn table(name: &str, columns: &[&str], keys: &[(&str, &str, &str)]) -> TableDescription {
    let columns: Vec<Column> = columns
        .iter()
        .map(|line| {
            let (head, values) = line.split_once(" = ").unwrap_or((line, ""));
            let (name, type_name) = head.rsplit_once(' ').unwrap();
            let values = values.split('|').filter(|value| !value.is_empty()).map(str::to_owned).collect();
            Column { nullable: false, values, ..Column::new(name.into(), type_name.into()) }
        })
        .collect();
    let foreign_keys = keys
        .iter()
        .map(|(column, parent, key)| ForeignKey {
            columns: vec![(*column).into()],
            references: (*parent).into(),
            referenced_columns: vec![(*key).into()],
            ..ForeignKey::default()
        })
        .collect();
    TableDescription {
        primary_key: vec![columns[0].name.clone()],
        columns,
        foreign_keys,
        ..TableDescription::new(name.into(), TableKind::Table)
    }
}

pub(super) fn shop(prefix: &str) -> Snapshot {
    let name = |bare: &str| format!("{prefix}{bare}");
    let (customers, products, orders) = (name("customers"), name("products"), name("orders"));
    let mut items = table(
        &name("order_items"),
        &["order_id integer", "product_id integer", "quantity integer", "unit_price numeric", "discount numeric"],
        &[("order_id", &orders, "id"), ("product_id", &products, "id")],
    );
    items.primary_key.push("product_id".into());
    let mut totals = table(&name("order_totals"), &["order_id integer", "ordered_at text", "revenue numeric"], &[]);
    totals.kind = TableKind::View;
    Snapshot::of(vec![
        table(&name("categories"), &["id integer", "name text = Books|Garden", "parent_id integer"], &[]),
        table(
            &customers,
            &[
                "id integer",
                "name text",
                "email text",
                "city text = Zürich|Bern",
                "country text = France|Switzerland",
                "signed_up_on text",
            ],
            &[],
        ),
        items,
        totals,
        table(
            &orders,
            &[
                "id integer",
                "customer_id integer",
                "ordered_at text",
                "status text = pending|cancelled",
                "shipped_at text",
            ],
            &[("customer_id", &customers, "id")],
        ),
        table(
            &name("payments"),
            &["id integer", "order_id integer", "method text = card|cash", "amount numeric", "paid_at text"],
            &[("order_id", &orders, "id")],
        ),
        table(
            &products,
            &["id integer", "sku text", "name text", "category_id integer", "price numeric"],
            &[("category_id", &name("categories"), "id")],
        ),
        table(
            &name("reviews"),
            &["id integer", "product_id integer", "customer_id integer", "rating integer", "written_on text"],
            &[("product_id", &products, "id"), ("customer_id", &customers, "id")],
        ),
    ])
}

fn ask(question: &str) -> Verdict {
    read(question, &shop(""), Dialect::Sqlite, date!(2026 - 11 - 22))
}

fn sql(question: &str) -> String {
    match ask(question) {
        Verdict::Sure(reading) => reading.sql,
        other => panic!("{question}: {other:?}"),
    }
}

#[test]
fn answers_simple_questions() {
    for (question, expected) in [
        (
            "How many customers are there in Zürich?",
            "SELECT COUNT(*) AS number_of_customers FROM customers WHERE city = 'Zürich'",
        ),
        (
            "How many French customers are there?",
            "SELECT COUNT(*) AS number_of_customers FROM customers WHERE country = 'France'",
        ),
        (
            "How many cancelled orders do we have?",
            "SELECT COUNT(*) AS number_of_orders FROM orders WHERE status = 'cancelled'",
        ),
        (
            "Show the names and emails of customers in Bern or Zürich",
            "SELECT name, email FROM customers WHERE city IN ('Bern', 'Zürich')",
        ),
        ("most expensive product", "SELECT name FROM products ORDER BY price DESC LIMIT 1"),
        ("Which product has the highest price?", "SELECT name FROM products ORDER BY price DESC LIMIT 1"),
        (
            "names of products with a price over 50 sorted by price descending",
            "SELECT name FROM products WHERE price > 50 ORDER BY price DESC",
        ),
        ("number of payments by method", "SELECT method, COUNT(*) AS number_of_payments FROM payments GROUP BY method"),
        ("What are the different countries?", "SELECT DISTINCT country FROM customers"),
        ("How many different cities are there?", "SELECT COUNT(DISTINCT city) AS number_of_city FROM customers"),
        (
            "average, minimum and maximum price of products",
            "SELECT AVG(price) AS average_price, MIN(price) AS minimum_price, MAX(price) AS maximum_price FROM products",
        ),
    ] {
        assert_eq!(sql(question), expected, "{question}");
    }
}

#[test]
fn what_is_below_goes_into_sub_queries() {
    for (question, expected) in [
        (
            "average rating per category",
            "SELECT c.name, (SELECT AVG(r.rating) FROM products p JOIN reviews r ON p.id = r.product_id \
             WHERE c.id = p.category_id) AS average_rating FROM categories c",
        ),
        (
            "names of customers who ordered last month",
            "SELECT c.name FROM customers c WHERE EXISTS (SELECT 1 FROM orders o WHERE c.id = o.customer_id \
             AND o.ordered_at >= '2026-10-01' AND o.ordered_at < '2026-11-01')",
        ),
        (
            "customers who ordered in 2026",
            "SELECT c.name FROM customers c WHERE EXISTS (SELECT 1 FROM orders o WHERE c.id = o.customer_id \
             AND o.ordered_at >= '2026-01-01' AND o.ordered_at < '2027-01-01')",
        ),
        (
            "names of customers with at least 5 orders",
            "SELECT c.name FROM customers c WHERE (SELECT COUNT(*) FROM orders o WHERE c.id = o.customer_id) >= 5",
        ),
        (
            "names of customers with at least 5 orders last month",
            "SELECT c.name FROM customers c WHERE (SELECT COUNT(*) FROM orders o WHERE c.id = o.customer_id \
             AND o.ordered_at >= '2026-10-01' AND o.ordered_at < '2026-11-01') >= 5",
        ),
        (
            "list customers and their number of orders",
            "SELECT c.name, (SELECT COUNT(*) FROM orders o WHERE c.id = o.customer_id) AS number_of_orders FROM customers c",
        ),
        (
            "which customers bought Garden products?",
            "SELECT c.name FROM customers c WHERE EXISTS (SELECT 1 FROM orders o JOIN order_items oi ON o.id = oi.order_id \
             JOIN products p ON p.id = oi.product_id JOIN categories c2 ON c2.id = p.category_id \
             WHERE c.id = o.customer_id AND c2.name = 'Garden')",
        ),
    ] {
        assert_eq!(sql(question), expected, "{question}");
    }
    // Those who bought it, or those who reviewed it?
    assert!(matches!(ask("number of products per customer"), Verdict::Unsure { .. }));
}

#[test]
fn ranks_by_revenue_of_the_time() {
    let question = "Show me the top 5 products by revenue last month";
    let verdict = read(question, &shop("public."), Dialect::Postgresql, date!(2026 - 11 - 22));
    let Verdict::Sure(reading) = verdict else { panic!("{verdict:?}") };
    assert_eq!(
        reading.sql,
        "SELECT p.name, (SELECT SUM(oi.quantity * oi.unit_price) FROM public.order_items oi \
         JOIN public.orders o ON o.id = oi.order_id WHERE p.id = oi.product_id AND o.ordered_at >= '2026-10-01' \
         AND o.ordered_at < '2026-11-01') AS revenue FROM public.products p ORDER BY revenue DESC NULLS LAST LIMIT 5"
    );
    assert_eq!(reading.shape, Shape::Ranked);
    let all = reading.assumptions.join("; ");
    for part in [
        "quantity x unit_price of public.order_items",
        "discounts not subtracted",
        "public.orders of every status",
        "orders.ordered_at",
    ] {
        assert!(all.contains(part), "{all}");
    }
}

#[test]
fn verbs_pick_the_date() {
    assert!(sql("How many orders were shipped last month?").contains("shipped_at >= '2026-10-01'"));
    assert!(sql("How many orders were placed last month?").contains("ordered_at >= '2026-10-01'"));
    assert!(
        sql("number of orders per status this year")
            .contains("ordered_at >= '2026-01-01' AND ordered_at < '2027-01-01'")
    );
}

#[test]
fn every_choice_is_sure() {
    for question in ["best customers", "top 3 products", "Who are our best customers?"] {
        let verdict = ask(question);
        let Verdict::Ambiguous { choices, .. } = verdict else { panic!("{question}: {verdict:?}") };
        assert!((2..=4).contains(&choices.len()));
        for choice in choices {
            assert!(matches!(ask(&choice.reading), Verdict::Sure(_)), "{}", choice.reading);
        }
    }
}

/// The conditions of the question stay in its choices.
#[test]
fn choices_keep_the_rest_of_the_question() {
    for (question, ends) in [
        ("best customers in Bern", "LIMIT 10"),
        ("Who are our top 3 customers in Bern?", "LIMIT 3"),
        ("the three best customers in Bern", "LIMIT 3"),
        ("Who is the best customer in Bern?", "LIMIT 1"),
    ] {
        let verdict = ask(question);
        let Verdict::Ambiguous { choices, .. } = verdict else { panic!("{question}: {verdict:?}") };
        for choice in choices {
            let sql = sql(&choice.reading);
            assert!(sql.contains("city = 'Bern'") && sql.ends_with(ends), "{question}: {}: {sql}", choice.reading);
        }
    }
    // Of many ratings, the average or the highest.
    let verdict = ask("Which product has the highest rating?");
    let Verdict::Ambiguous { choices, .. } = verdict else { panic!("{verdict:?}") };
    let statements: Vec<String> = choices.iter().map(|choice| sql(&choice.reading)).collect();
    let by = |function: &str| {
        format!(
            "SELECT p.name FROM products p ORDER BY (SELECT {function}(r.rating) FROM reviews r WHERE p.id = r.product_id) DESC LIMIT 1"
        )
    };
    assert_eq!(statements, [by("AVG"), by("MAX")]);
    assert!(!matches!(ask("Which product has the highest rating in Bern?"), Verdict::Ambiguous { .. }));
    let verdict = ask("which category sells best");
    assert!(matches!(verdict, Verdict::Ambiguous { .. }), "{verdict:?}");
}

#[test]
fn superlatives_of_aggregates_and_verbs() {
    let of = "FROM reviews r WHERE p.id = r.product_id)";
    for (question, expected) in [
        (
            "Which product has the highest average rating?",
            format!("SELECT p.name FROM products p ORDER BY (SELECT AVG(r.rating) {of} DESC LIMIT 1"),
        ),
        (
            "top 5 products by average rating",
            format!("SELECT p.name FROM products p ORDER BY (SELECT AVG(r.rating) {of} DESC LIMIT 5"),
        ),
        (
            "Which product has the lowest average rating?",
            format!(
                "SELECT p.name FROM products p WHERE (SELECT AVG(r.rating) {of} IS NOT NULL ORDER BY (SELECT AVG(r2.rating) FROM reviews r2 WHERE p.id = r2.product_id) LIMIT 1"
            ),
        ),
        (
            "Which method has the highest average amount?",
            "SELECT method FROM payments GROUP BY method ORDER BY AVG(amount) DESC LIMIT 1".to_owned(),
        ),
        (
            "which payment method is used most",
            "SELECT method FROM payments GROUP BY method ORDER BY COUNT(*) DESC LIMIT 1".to_owned(),
        ),
        (
            "most used payment method",
            "SELECT method FROM payments GROUP BY method ORDER BY COUNT(*) DESC LIMIT 1".to_owned(),
        ),
        ("the three cheapest products", "SELECT name FROM products ORDER BY price LIMIT 3".to_owned()),
        (
            "customers who ordered more than 20 times",
            "SELECT c.name FROM customers c WHERE (SELECT COUNT(*) FROM orders o WHERE c.id = o.customer_id) > 20"
                .to_owned(),
        ),
        ("price of Grinder No. 3", "SELECT price FROM products WHERE name = 'Grinder No. 3'".to_owned()),
    ] {
        let found = [Found { at: (6, 2), value: "Grinder No. 3".to_owned(), phrase: "grinder no. 3".to_owned() }];
        let verdict = super::read_with(question, (&shop(""), &found), Dialect::Sqlite, date!(2026 - 11 - 22));
        let Verdict::Sure(reading) = verdict else { panic!("{question}: {verdict:?}") };
        assert_eq!(reading.sql, expected, "{question}");
    }
}

#[test]
fn equal_dates_are_a_choice() {
    let kennel = Snapshot::of(vec![table("dogs", &["id integer", "name text", "date_in date", "date_out date"], &[])]);
    let ask = |question: &str| read(question, &kennel, Dialect::Postgresql, date!(2026 - 11 - 22));
    let verdict = ask("How many dogs last month?");
    let Verdict::Ambiguous { choices, .. } = verdict else { panic!("{verdict:?}") };
    assert_eq!(choices.iter().map(|choice| choice.label.as_str()).collect::<Vec<_>>(), ["date in", "date out"]);
    let Verdict::Sure(reading) = ask(&choices[1].reading) else { panic!() };
    assert!(reading.sql.contains("date_out >= '2026-10-01'"), "{}", reading.sql);
}

#[test]
fn a_denial_is_about_rows_of_another_table() {
    let sql = sql("products without reviews");
    assert!(
        sql.ends_with("FROM products p WHERE NOT EXISTS (SELECT 1 FROM reviews r WHERE p.id = r.product_id)"),
        "{sql}"
    );
    for question in [
        "Which customers have not ordered?",
        "customers who never ordered",
        "customers with no orders",
        "which customers haven't ordered anything yet",
        "customers that haven’t placed an order",
        "customers who didn't order",
    ] {
        let sql = self::sql(question);
        assert!(sql.ends_with("NOT EXISTS (SELECT 1 FROM orders o WHERE c.id = o.customer_id)"), "{question}: {sql}");
    }
    // No table is called after the verb: that of the sales is meant.
    for question in ["which products were never sold", "products that have not been sold", "products we never sold"] {
        let sql = self::sql(question);
        assert!(
            sql.ends_with("NOT EXISTS (SELECT 1 FROM order_items oi WHERE p.id = oi.product_id)"),
            "{question}: {sql}"
        );
    }
    let sql = self::sql("products without reviews of Bern");
    assert!(
        sql.contains("NOT EXISTS (SELECT 1 FROM reviews r JOIN customers c") && sql.contains("c.city = 'Bern'"),
        "{sql}"
    );
}

#[test]
fn abstains() {
    for question in [
        "How many unicorns are there?",
        "orders that are not shipped",
        "top 3 products by revenue in each category",
        "How many products are available?",
        "Why did sales drop last month?",
        "What percentage of orders?",
        "What is the salary of each customer?",
        "What about those in Bern?",
        "sales trend",
        "How many customers have a newsletter?",
        "List the phone numbers of customers",
        "Compare sales this year and last year",
        "number of products per customer",
        "Delete all customers",
        "What is the most expensive product in each category?",
        "the weather in Zürich",
        "How many Swiss products were sold?",
        "How many products were sold?",
        "How many products are made in Switzerland?",
        "show customers or products",
        "second most expensive product",
        "How many items were sold last month?",
        "products out of price",
        // A month is no amount, though both are measures to WordNet.
        "best month in 2026",
        "average revenue per order",
        "Which product has the highest average price?",
    ] {
        assert!(matches!(ask(question), Verdict::Unsure { .. }), "{question}: {:?}", ask(question));
    }
}

#[test]
fn doubts_name_the_unexplained_words() {
    let Verdict::Unsure { draft: Some(draft) } = ask("How many grumpy customers are there in Bern?") else { panic!() };
    assert_eq!(draft.sql, "SELECT COUNT(*) AS number_of_customers FROM customers WHERE city = 'Bern'");
    assert!(draft.doubts.iter().any(|doubt| doubt.contains("grumpy")));
}

#[test]
fn quotes_what_needs_quotes() {
    let odd = Snapshot::of(vec![table("public.Order", &["id integer", "Full Name text", "select text"], &[])]);
    let Verdict::Sure(reading) = read("list the full name of orders", &odd, Dialect::Postgresql, date!(2026 - 11 - 22))
    else {
        panic!()
    };
    assert_eq!(reading.sql, "SELECT \"Full Name\" FROM public.\"Order\"");
    let Verdict::Unsure { draft: Some(draft) } = ask("customers whose city is \"O'Hara\"") else { panic!() };
    assert!(draft.sql.ends_with("WHERE city = 'O''Hara'"), "{}", draft.sql);
}

#[test]
fn survives_any_text() {
    let long = "customers ".repeat(400);
    let words = [
        "",
        " ",
        "?",
        "how",
        "how many",
        "number of",
        "top",
        "top 5",
        "by",
        "between 1 and",
        "between",
        "more than",
        "or",
        "'",
        "\"",
        "of",
        "customers or",
        "price",
        "price between 1 and",
        "'s",
        "customers's",
        "the most",
        "is",
        "order by",
        "most",
        "most number of",
        "per",
        "5",
        "99999999999999999999",
        "-1",
        "in",
        "in 2014 or",
        "🦀",
        "नमस्ते",
        "before",
        "or later",
        "going by",
        "average",
        "total",
        "spent",
        long.as_str(),
    ];
    let snapshots = [Snapshot::default(), shop(""), Snapshot::of(vec![table("t", &["x "], &[])])];
    for snapshot in &snapshots {
        for one in words {
            for two in words {
                for dialect in [Dialect::Sqlite, Dialect::Postgresql] {
                    let _ = read(&format!("{one} {two} customers"), snapshot, dialect, date!(2026 - 11 - 22));
                    let _ = read(&format!("{two} {one}"), snapshot, dialect, date!(2026 - 11 - 22));
                }
            }
        }
    }
}

#[test]
fn a_thousand_tables_are_read_alike() {
    let mut snapshot = shop("");
    for n in 0..1_000 {
        let columns: Vec<String> = (0..12)
            .map(|c| {
                format!(
                    "field_{c}_{n} text = {}",
                    (0..30).map(|v| format!("value {v} {n}")).collect::<Vec<_>>().join("|")
                )
            })
            .collect();
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        snapshot.tables.push(table(&format!("archive_{n}"), &columns, &[]));
    }
    let question = "Show me the top 5 products by revenue last month";
    // `benches/` measures the time.
    let verdict = read(question, &snapshot, Dialect::Sqlite, date!(2026 - 11 - 22));
    assert_eq!(verdict, ask(question));
}

/// Boats of harbours. The label of a boat has the name of its table, and a word of a table's name is also a verb.
fn harbours() -> Snapshot {
    Snapshot::of(vec![
        table("harbours", &["id integer", "name text", "depth numeric"], &[]),
        table(
            "boat",
            &[
                "uid integer",
                "Boat text",
                "harbour_id integer",
                "If_first_boat text = F|T",
                "length numeric",
                "built_by text = Ann Lee|Bo Ek",
            ],
            &[("harbour_id", "harbours", "id")],
        ),
        table("price_list", &["id integer", "boat_id integer", "price numeric"], &[("boat_id", "boat", "uid")]),
    ])
}

#[test]
fn a_query_that_cannot_be_meant_is_no_answer() {
    let ask = |question: &str| read(question, &harbours(), Dialect::Sqlite, date!(2026 - 11 - 22));
    let sure = |question: &str| match ask(question) {
        Verdict::Sure(reading) => reading.sql,
        other => panic!("{question}: {other:?}"),
    };
    assert_eq!(sure("How many harbours are listed?"), "SELECT COUNT(*) AS number_of_harbours FROM harbours");
    assert_eq!(sure("What is the average length of all boats?"), "SELECT AVG(length) AS average_length FROM boat");
    assert_eq!(sure("Which boat has length 12?"), "SELECT Boat FROM boat WHERE length = 12");
    for question in
        ["For each harbour, list its id and how many harbours it has", "What is the number of built by Ann Lee?"]
    {
        let verdict = ask(question);
        let counted = match &verdict {
            Verdict::Sure(reading) => {
                reading.sql.contains("COUNT(DISTINCT built_by)") || reading.sql.contains("GROUP BY id")
            }
            _ => false,
        };
        assert!(!counted, "{question}: {verdict:?}");
    }
}

#[test]
fn phrases_hold_what_the_schema_does_not_explain() {
    let today = date!(2026 - 11 - 22);
    let phrases = |question: &str| super::phrases(question, &shop(""), today);
    assert_eq!(phrases("How many customers are there in Bern?"), Vec::<String>::new());
    let some = phrases("price of the Burr Grinder");
    assert!(
        some.contains(&"burr grinder".to_owned()) && !some.iter().any(|phrase| phrase.starts_with("the ")),
        "{some:?}"
    );
    assert!(phrases("orders of 'O''Hara and Sons'").iter().any(|phrase| phrase.contains("sons")));
    assert_eq!(phrases(&"x ".repeat(5_000)), Vec::<String>::new());
    let found = [super::Found { at: (2, 1), value: "Burr Grinder No. 3".into(), phrase: "burr grinder".into() }];
    let shop = shop("");
    let name = shop.tables.iter().position(|table| table.name == "products").unwrap();
    let column = shop.tables[name].columns.iter().position(|column| column.name == "name").unwrap();
    let found = found.map(|one| super::Found { at: (name, column), ..one });
    let verdict = super::read_with("price of the Burr Grinder", (&shop, &found), Dialect::Sqlite, today);
    let Verdict::Sure(reading) = verdict else { panic!("{verdict:?}") };
    assert!(reading.sql.ends_with("WHERE name = 'Burr Grinder No. 3'"), "{}", reading.sql);
}

#[test]
fn what_says_yes_or_no_is_a_condition() {
    let library = Snapshot::of(vec![
        table("members", &["id integer", "name text", "joined_on date", "is_active boolean", "paid text = Y|N"], &[]),
        table("books", &["id integer", "title text", "genre text = crime|poetry", "published_year integer"], &[]),
    ]);
    let sql = |question: &str| match read(question, &library, Dialect::Sqlite, date!(2026 - 11 - 22)) {
        Verdict::Sure(reading) => reading.sql,
        other => panic!("{question}: {other:?}"),
    };
    let active = "SELECT COUNT(*) AS number_of_members FROM members WHERE is_active = TRUE";
    assert_eq!(sql("How many active members are there?"), active);
    assert_eq!(sql("How many members are active?"), active);
    assert_eq!(sql("names of members that are not active"), "SELECT name FROM members WHERE is_active = FALSE");
    assert_eq!(
        sql("How many members joined in 2026?"),
        "SELECT COUNT(*) AS number_of_members FROM members WHERE joined_on >= '2026-01-01' AND joined_on < '2027-01-01'"
    );
    // A stored value wins over another word for a column: an activity is a more general word for a crime.
    assert_eq!(
        sql("crime books published after 2010"),
        "SELECT title FROM books WHERE genre = 'crime' AND published_year >= 2011"
    );
}
