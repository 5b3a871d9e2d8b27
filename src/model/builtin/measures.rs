//! Finds the columns with amounts of money, and the tables of sales.

use super::frame::{Frame, Item};
use super::link::{Mention, WHOLE};
use super::schema::{At, Schema};
use super::text::name_words;

fn has(schema: Schema, at: At, words: &[&str]) -> bool {
    name_words(&schema.column(at).name).iter().any(|word| words.contains(&word.as_str()))
}

/// Quantity times price, when the table has one of each.
pub(super) fn product(schema: Schema, t: usize) -> Option<(At, At)> {
    let numbers: Vec<At> =
        schema.columns(t).map(|(at, _)| at).filter(|at| schema.is_number(*at) && !schema.is_key(*at)).collect();
    let pick = |words: &[&str]| {
        let mut hits = numbers.iter().filter(|at| has(schema, **at, words));
        hits.next().copied().filter(|_| hits.next().is_none())
    };
    let quantity = pick(&["quantity", "qty"])?;
    let price = numbers
        .iter()
        .find(|at| matches!(schema.column(**at).name.to_lowercase().as_str(), "unit_price" | "unitprice" | "price"));
    let price = price.copied().or_else(|| pick(&["price"]))?;
    // A table without a foreign key lists stock and prices, not sales.
    let sale = !schema.table(t).foreign_keys.is_empty();
    (sale && quantity != price).then_some((quantity, price))
}

/// The column of the table with an amount of money. `None` if several fit equally.
pub(super) fn amount(schema: Schema, t: usize) -> Option<At> {
    let numbers: Vec<At> =
        schema.columns(t).map(|(at, _)| at).filter(|at| schema.is_number(*at) && !schema.is_key(*at)).collect();
    for words in [&["revenue", "turnover"][..], &["amount", "total"][..], &["price", "paid", "fee"][..]] {
        let mut hits = numbers.iter().filter(|at| {
            let low = &schema.column(**at).name;
            has(schema, **at, words)
                && !has(schema, **at, &["tax", "discount", "count", "cost", "shipping", "list", "unit", "purchase"])
                && !low.is_empty()
        });
        if let Some(first) = hits.next() {
            return hits.next().is_none().then_some(*first);
        }
    }
    None
}

/// What one row of the table earns: the column of its amount, or its quantity and its price.
pub(super) fn earning(schema: Schema, t: usize) -> Option<(At, Option<At>)> {
    match product(schema, t) {
        Some((quantity, price)) => Some((quantity, Some(price))),
        None => amount(schema, t).map(|at| (at, None)),
    }
}

/// The tables whose rows are sales: those with a quantity and a price. If there are none: the tables with one amount, first
/// those named for sales, then those named for payments.
pub(super) fn sales(schema: Schema) -> Vec<usize> {
    let base = (0..schema.tables().len()).filter(|t| !schema.is_view(*t));
    let (products, rest): (Vec<usize>, Vec<usize>) = base.partition(|t| product(schema, *t).is_some());
    if !products.is_empty() {
        return products;
    }
    // A table without a foreign key is a price list. It is left out if another table has a foreign key.
    let refers = |t: &usize| !schema.table(*t).foreign_keys.is_empty();
    let rest: Vec<usize> = if rest.iter().any(refers) { rest.into_iter().filter(refers).collect() } else { rest };
    let sales: Vec<usize> = rest.iter().copied().filter(|t| amount(schema, *t).is_some()).collect();
    for tier in [SALES, PAYMENTS] {
        let named: Vec<usize> = sales.iter().copied().filter(|t| is_named(schema, *t, tier)).collect();
        if !named.is_empty() {
            return named;
        }
    }
    // A table with only a price lists things, not sales.
    let is_price = |t: &usize| amount(schema, *t).is_some_and(|at| has(schema, at, &["price"]));
    sales.into_iter().filter(|t| !is_price(t)).collect()
}

/// "How many cars did we sell": each row of sales is one car, if sales have no quantity. So the sales are counted, which have
/// the date and the price.
pub(super) fn count_sales(frame: &mut Frame, schema: Schema) {
    let is_sold = frame.verbs.iter().any(|verb| verb == "sell") && frame.entities.len() == 1;
    let [sales] = sales(schema)[..] else { return };
    if !is_sold || product(schema, sales).is_some() {
        return;
    }
    let refers = |t: usize| schema.table(sales).foreign_keys.iter().any(|key| key.references == schema.table(t).name);
    for item in &mut frame.items {
        if let Item::Count(counted, false) = item
            && let Some((t, _)) = counted.best_table().filter(|(_, fit)| *fit > 0.8)
            && !schema.is_of_people(t)
            && refers(t)
        {
            *counted = Mention { text: counted.text.clone(), tables: vec![(sales, WHOLE)], ..Mention::default() };
        }
    }
}

const SALES: &[&str] = &["sale", "sales", "order", "orders", "invoice", "invoices", "purchase", "purchases"];
const PAYMENTS: &[&str] = &["payment", "payments", "transaction", "transactions", "booking", "bookings"];

fn is_named(schema: Schema, t: usize, words: &[&str]) -> bool {
    name_words(schema.bare(t)).iter().any(|word| words.contains(&word.as_str()))
}
