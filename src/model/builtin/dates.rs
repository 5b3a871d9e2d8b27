//! Picks the date column that a time applies to.
//!
//! The column that records the event itself wins: `ordered_at` of orders before `shipped_at`.

use super::graph::Graph;
use super::schema::{At, Schema};
use super::text::name_words;

/// Scores how likely a date column says when its row was created.
fn score(schema: Schema, at: At, stem: &impl Fn(&str) -> String) -> i32 {
    let words = name_words(&schema.column(at).name);
    let own: Vec<String> = name_words(schema.bare(at.0)).iter().map(|word| stem(word)).collect();
    let mut score = 0;
    for word in &words {
        score += match word.as_str() {
            "created" | "occurred" | "placed" | "issued" | "booked" | "sold" | "ordered" | "paid" | "purchased"
            | "written" | "posted" | "registered" | "signed" | "joined" | "hired" | "recorded" | "started"
            | "start" | "opened" | "submitted" => 2,
            "shipped" | "discontinued" | "delivered" | "updated" | "modified" | "deleted" | "cancelled"
            | "canceled" | "closed" | "due" | "expires" | "expiry" | "ended" | "end" | "birth" | "birthday"
            | "returned" | "terminated" | "termination" | "required" | "approved" | "last" | "finished"
            | "completed" | "expected" | "refunded" | "arrival" | "crtd" | "valid" => -3,
            _ => 0,
        };
        if own.contains(&stem(word)) {
            score += 3;
        }
    }
    if words.iter().all(|word| matches!(word.as_str(), "date" | "datetime" | "timestamp" | "day" | "at" | "on")) {
        score += 3;
    }
    score
}

/// The date columns of one table with the best score: several if their scores are equal.
fn best_of(schema: Schema, t: usize, years: bool, stem: &impl Fn(&str) -> String) -> Vec<At> {
    let dated: Vec<At> =
        schema.columns(t).filter(|(at, column)| !column.masked && schema.is_date(*at)).map(|(at, _)| at).collect();
    let plain = || schema.columns(t).map(|(at, _)| at).filter(|at| years && schema.is_year(*at)).collect();
    if dated.is_empty() {
        return plain();
    }
    let top = dated.iter().map(|at| score(schema, *at, stem)).max().unwrap_or(0);
    // The time at which a row ended or changed is not the date of the row, even if the table has no other date column.
    if top < 0 {
        return plain();
    }
    dated.into_iter().filter(|at| score(schema, *at, stem) == top).collect()
}

/// The date columns for the rows of a table: its own, or else those of a table that it refers to and that shares a word of
/// its name.
pub(super) fn of_rows(
    schema: Schema,
    graph: &Graph,
    rows: usize,
    years: bool,
    stem: impl Fn(&str) -> String,
) -> Vec<At> {
    let own = best_of(schema, rows, years, &stem);
    if !own.is_empty() {
        return own;
    }
    // A number such as `started_at` (seconds since 1970) is the date of the rows, but it cannot be compared with a day here.
    // So no other date is used.
    let is_moment =
        |name: &str| matches!(name_words(name).last().map(String::as_str), Some("at" | "on" | "time" | "timestamp"));
    if schema.columns(rows).any(|(at, column)| schema.is_number(at) && is_moment(&column.name)) {
        return Vec::new();
    }
    // `order_items` have the date of their order. Repairs do not have the purchase date of their machine.
    let words = |t: usize| name_words(schema.bare(t)).iter().map(|word| stem(word)).collect::<Vec<_>>();
    let own_words = words(rows);
    let is_whole = |t: usize| words(t).iter().any(|word| own_words.contains(word));
    let mut near: Vec<(usize, usize)> = (0..schema.tables().len())
        .filter(|t| is_whole(*t))
        .filter_map(|t| {
            let paths = graph.paths(rows, t);
            let path = paths.first().filter(|path| path.len() <= 2 && path.iter().all(|step| step.is_up))?;
            (!path.is_empty()).then_some((path.len(), t))
        })
        .collect();
    near.sort_unstable();
    for depth in 1..=2 {
        let level = near.iter().filter(|(d, _)| *d == depth);
        let dated: Vec<At> = level.flat_map(|(_, t)| best_of(schema, *t, years, &stem)).collect();
        if !dated.is_empty() {
            return dated;
        }
    }
    Vec::new()
}
