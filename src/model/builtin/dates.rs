//! Picks the date column that a time window applies to.
//!
//! The column that records the event itself wins: `ordered_at` of orders before `shipped_at`.

use super::graph::Graph;
use super::schema::{At, Schema};
use super::text::{Stems, name_words};

/// Scores how likely a date column says when its row was created.
fn score(schema: Schema, at: At, stems: &Stems) -> i32 {
    let words = name_words(&schema.column(at).name);
    let own: Vec<String> = name_words(schema.bare(at.0)).iter().map(|word| stems.of(word)).collect();
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
        if own.contains(&stems.of(word)) {
            score += 3;
        }
    }
    if words.iter().all(|word| matches!(word.as_str(), "date" | "datetime" | "timestamp" | "day" | "at" | "on")) {
        score += 3;
    }
    score
}

/// The date columns of the table with the best score. There are several if none is better.
pub(super) fn best_of(schema: Schema, t: usize, stems: &Stems, years: bool) -> Vec<At> {
    let dated: Vec<At> =
        schema.columns(t).filter(|(at, column)| !column.masked && schema.is_date(*at)).map(|(at, _)| at).collect();
    if dated.is_empty() && years {
        return schema.columns(t).map(|(at, _)| at).filter(|at| schema.is_year(*at)).collect();
    }
    let top = dated.iter().map(|at| score(schema, *at, stems)).max().unwrap_or(0);
    // A column that says when the row ended or changed does not date it, even if there is no other.
    if top < 0 {
        let plain = schema.columns(t).map(|(at, _)| at).filter(|at| years && schema.is_year(*at));
        return plain.collect();
    }
    dated.into_iter().filter(|at| score(schema, *at, stems) == top).collect()
}

/// The date columns for rows of `fact`: its own, else those of the nearest table it refers to. The question lists or
/// groups by the tables in `shown` for themselves, so their dates score less.
pub(super) fn of_fact(
    schema: Schema,
    graph: &Graph,
    fact: usize,
    shown: &[usize],
    stems: &Stems,
    years: bool,
) -> Vec<At> {
    let own = best_of(schema, fact, stems, years);
    if !own.is_empty() {
        return own;
    }
    let mut near: Vec<(usize, usize)> = graph.reach(fact).into_iter().map(|(t, depth)| (depth, t)).collect();
    near.sort_unstable();
    let worth = |at: At| score(schema, at, stems) - if shown.contains(&at.0) { 2 } else { 0 };
    for depth in 1..=2 {
        let level = near.iter().filter(|(d, _)| *d == depth);
        let dated: Vec<At> = level.flat_map(|(_, t)| best_of(schema, *t, stems, years)).collect();
        let top = dated.iter().map(|at| worth(*at)).max().unwrap_or(0);
        let best: Vec<At> = dated.into_iter().filter(|at| worth(*at) == top).collect();
        if !best.is_empty() {
            return best;
        }
    }
    Vec::new()
}
