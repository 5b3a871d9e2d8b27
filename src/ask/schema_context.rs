//! Chooses the tables and columns that the prompt shows: all of them if they fit the budget, otherwise the best for the
//! question. `index` ranks the tables. Pure.

use std::collections::HashSet;

use serde::Serialize;

use super::index::{self, Index};

use crate::database::catalog::{Snapshot, TableDescription};
use crate::database::value::cut;

/// The schema part of a prompt.
#[derive(Clone, Debug)]
pub struct SchemaContext {
    pub text: String,
    /// Whether every table is in `text`.
    pub whole: bool,
}

/// A table and its score for a question.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RankedTable {
    pub name: String,
    pub columns: Vec<String>,
    pub score: f64,
}

/// A stored value that the question contains; `column` is `table.column`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MatchedValue {
    pub column: String,
    pub value: String,
}

/// Characters per token, as an estimate.
const CHARACTERS_PER_TOKEN: f64 = 3.5;
/// Maximum number of columns of one table in a ranked schema. With a lower limit, fewer questions of public benchmarks were
/// answered.
const MOST_COLUMNS: usize = 20;
/// Maximum number of columns of one table in a hand-back, unless the whole schema is shown.
const TELLING_COLUMNS: usize = 12;
/// Minimum score of a table in a hand-back, as a share of the best table's score.
const LEAST_SHARE: f32 = 0.25;
/// In a prompt, a column with at most this many values shows all of them. In a hand-back, a column with more shows none.
const MOST_VALUES: usize = 12;
/// Number of values that a prompt shows of a column with more values.
const EXAMPLES: usize = 3;
/// Maximum number of values of a column in a hand-back.
const SHORT_VALUES: usize = 6;
/// Bytes of a comment that a prompt repeats.
const COMMENT_BYTES: usize = 300;

/// The estimated number of tokens of a text.
pub fn tokens(text: &str) -> usize {
    (text.chars().count() as f64 / CHARACTERS_PER_TOKEN).ceil() as usize
}

/// The schema text for the prompt, one table a line, in the snapshot's order.
///
/// The text has all tables if they fit `whole_budget`. Otherwise it has the best ranked tables that fit
/// `ranked_budget`, each with at most `MOST_COLUMNS` columns. If the best table alone exceeds the budget, its line is
/// cut. Budgets are in tokens.
pub fn build(
    snapshot: &Snapshot,
    index: &Index,
    question: &str,
    (whole_budget, ranked_budget): (usize, usize),
    send_values: bool,
) -> SchemaContext {
    // Stop at the first table that does not fit: a large schema need not be written out.
    let mut whole = String::new();
    let fits = snapshot.tables.iter().all(|table| {
        whole.push_str(&line(table, send_values));
        whole.push('\n');
        tokens(&whole) <= whole_budget
    });
    if fits {
        whole.pop();
        return SchemaContext { text: whole, whole: true };
    }
    let asked = index::stems(question);
    let hits = index.value_hits(question);
    let mut chosen: Vec<(usize, String)> = Vec::new();
    let mut used = 0;
    for (at, _) in ranked(snapshot, index, question) {
        let Some(table) = snapshot.tables.get(at) else { continue };
        let named: Vec<usize> = hits.iter().filter(|(t, _, _)| *t == at).map(|(_, column, _)| *column).collect();
        let best = index::best_columns(table, &asked, &named, MOST_COLUMNS);
        let line = cut_line(table, &best, send_values, Detail::Full);
        let cost = tokens(&line) + 1;
        if used + cost > ranked_budget {
            if chosen.is_empty() {
                let cut: String = line.chars().take((ranked_budget as f64 * CHARACTERS_PER_TOKEN) as usize).collect();
                chosen.push((at, cut));
            }
            if used * 10 > ranked_budget * 9 {
                break;
            }
            continue;
        }
        used += cost;
        chosen.push((at, line));
    }
    chosen.sort();
    let text = chosen.into_iter().map(|(_, line)| line).collect::<Vec<_>>().join("\n");
    SchemaContext { text, whole: false }
}

/// Returns the ranked tables. If no table matches the question, returns every table with the score 0.
fn ranked(snapshot: &Snapshot, index: &Index, question: &str) -> Vec<(usize, f32)> {
    let ranked = index.rank(question);
    if ranked.is_empty() { (0..snapshot.tables.len()).map(|at| (at, 0.0)).collect() } else { ranked }
}

/// The snapshot with its best tables only, for the built-in answerer: at most so many tables, with so many columns together.
pub fn narrowed(snapshot: &Snapshot, index: &Index, question: &str, (tables, columns): (usize, usize)) -> Snapshot {
    let mut left = columns;
    let mut best: Vec<usize> = Vec::new();
    for (at, _) in ranked(snapshot, index, question) {
        let count = snapshot.tables.get(at).map_or(0, |table| table.columns.len());
        if best.len() < tables && count <= left {
            left -= count;
            best.push(at);
        }
    }
    best.sort_unstable();
    Snapshot::of(best.into_iter().filter_map(|at| snapshot.tables.get(at).cloned()).collect())
}

/// The best tables for a question, at most `most`. Tables with score zero are listed only if every table has score
/// zero.
pub fn ranked_tables(snapshot: &Snapshot, index: &Index, question: &str, most: usize) -> Vec<RankedTable> {
    ranked(snapshot, index, question)
        .into_iter()
        .take(most)
        .filter_map(|(at, score)| {
            let table = snapshot.tables.get(at)?;
            Some(RankedTable {
                name: table.name.clone(),
                columns: table.columns.iter().map(|column| column.name.clone()).collect(),
                score: (f64::from(score) * 100.0).round() / 100.0,
            })
        })
        .collect()
}

/// At most `most` stored values that the question contains.
pub fn matched_values(snapshot: &Snapshot, index: &Index, question: &str, most: usize) -> Vec<MatchedValue> {
    let hits = index.value_hits(question).into_iter();
    hits.filter_map(|(t, c, v)| {
        let table = snapshot.tables.get(t)?;
        let column = table.columns.get(c)?;
        let value = column.values.get(v)?.clone();
        let (name, column) = (table.spelt_table(&table.name), table.spelt_column(&column.name));
        Some(MatchedValue { column: format!("{name}.{column}"), value })
    })
    .take(most)
    .collect()
}

/// The lines of the tables that matter for a question, and the names of these tables, for a client that writes the
/// statement itself. A small schema is shown whole. Otherwise `most_tokens` limits the lines;
/// the first line is always shown.
pub fn telling(
    snapshot: &Snapshot,
    index: &Index,
    question: &str,
    (most_tokens, most_tables): (usize, usize),
) -> (String, Vec<String>) {
    let short = |table: &TableDescription| {
        let all: Vec<usize> = (0..table.columns.len()).collect();
        cut_line(table, &all, true, Detail::Short)
    };
    let whole: Vec<String> = snapshot.tables.iter().take(most_tables + 1).map(short).collect();
    let all: Vec<(usize, f32)> = (0..snapshot.tables.len()).map(|at| (at, 1.0)).collect();
    // A schema of up to 1.5 times `most_tokens` is shown whole. The client then needs no call of another tool.
    let is_small = whole.len() <= most_tables && tokens(&whole.join("\n")) <= most_tokens * 3 / 2;
    let ranked = if is_small { all } else { ranked(snapshot, index, question) };
    let best = ranked.first().map_or(0.0, |(_, score)| *score);
    let asked = index::stems(question);
    let hits = index.value_hits(question);
    let mut chosen: Vec<(usize, String)> = Vec::new();
    let mut used = 0;
    for (at, score) in ranked.into_iter().take(most_tables) {
        let Some(table) = snapshot.tables.get(at).filter(|_| score >= best * LEAST_SHARE) else { continue };
        let named: Vec<usize> = hits.iter().filter(|(t, _, _)| *t == at).map(|(_, column, _)| *column).collect();
        let most = if is_small { usize::MAX } else { TELLING_COLUMNS };
        let line = cut_line(table, &index::best_columns(table, &asked, &named, most), true, Detail::Short);
        used += tokens(&line) + 1;
        if used > most_tokens && !is_small && !chosen.is_empty() {
            break;
        }
        chosen.push((at, line));
    }
    chosen.sort();
    let names = chosen.iter().filter_map(|(at, _)| Some(snapshot.tables.get(*at)?.name.clone())).collect();
    let mut lines: Vec<String> = chosen.into_iter().map(|(_, line)| line).collect();
    let left = snapshot.tables.len() - lines.len();
    if left > 0 {
        lines.push(format!("({left} more tables: see list_tables)"));
    }
    (lines.join("\n"), names)
}

/// Join conditions between the named tables, from their foreign keys.
pub fn joins(snapshot: &Snapshot, tables: &[String]) -> Vec<String> {
    let named: HashSet<&str> = tables.iter().map(String::as_str).collect();
    snapshot
        .tables
        .iter()
        .filter(|table| named.contains(table.name.as_str()))
        .flat_map(|table| table.foreign_keys.iter().map(move |key| (table, key)))
        .filter(|(_, key)| named.contains(key.references.as_str()))
        .map(|(table, key)| {
            let pairs = key.columns.iter().zip(&key.referenced_columns);
            pairs
                .enumerate()
                .map(|(at, (own, other))| {
                    let sign = if key.period && at + 1 == key.columns.len() { "&&" } else { "=" };
                    let (this, that) = (table.spelt_table(&table.name), table.spelt_table(&key.references));
                    format!("{this}.{} {sign} {that}.{}", table.spelt_column(own), table.spelt_column(other))
                })
                .collect::<Vec<_>>()
                .join(" AND ")
        })
        .filter(|condition| !condition.is_empty())
        .collect()
}

/// One table as one line: `name(column type pk, column type -> other.column {a|b}, ..) -- comment`.
pub fn line(table: &TableDescription, send_values: bool) -> String {
    let all: Vec<usize> = (0..table.columns.len()).collect();
    cut_line(table, &all, send_values, Detail::Full)
}

/// What a line says of a column beside its name and type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Detail {
    /// Keys, values and comments.
    Full,
    /// The primary key and a few values. The hand-back lists the joins in a field of its own.
    Short,
}

/// The table's line with the chosen columns only, and the number of columns left out.
fn cut_line(table: &TableDescription, chosen: &[usize], send_values: bool, detail: Detail) -> String {
    let is_full = detail == Detail::Full;
    let most_values = if is_full { MOST_VALUES } else { SHORT_VALUES };
    let columns = chosen.iter().filter_map(|at| table.columns.get(*at));
    let mut columns: Vec<String> = columns
        .map(|column| {
            // A quoted type name is case-sensitive, so it is not converted to lower case.
            let type_name = &column.type_name;
            let type_name = if type_name.contains('"') { type_name.to_string() } else { type_name.to_lowercase() };
            // A column of a view on SQLite may have no type.
            let mut text = format!("{} {type_name}", table.spelt_column(&column.name)).trim_end().to_owned();
            if table.primary_key.contains(&column.name) {
                text.push_str(" pk");
            }
            for key in table.foreign_keys.iter().filter(|_| is_full) {
                if let Some(at) = key.columns.iter().position(|name| *name == column.name) {
                    let other = key.referenced_columns.get(at).map_or("", String::as_str);
                    let sign = if key.period && at + 1 == key.columns.len() { "overlaps" } else { "->" };
                    let other = table.spelt_column(other);
                    text.push_str(&format!(" {sign} {}.{other}", table.spelt_table(&key.references)));
                }
            }
            if send_values && !column.values.is_empty() && (is_full || column.values.len() <= MOST_VALUES) {
                let most = if column.values.len() <= MOST_VALUES { most_values } else { EXAMPLES };
                let shown = column.values.get(..most).unwrap_or(&column.values);
                let more = if column.has_all_values && shown.len() == column.values.len() { "" } else { "|.." };
                text.push_str(&format!(" {{{}{more}}}", shown.join("|")));
            }
            if let Some(comment) = column.comment.as_deref().filter(|_| is_full) {
                text.push_str(&format!(" /* {} */", cut_at_word(comment, COMMENT_BYTES).replace("*/", "")));
            }
            text
        })
        .collect();
    let more = table.columns.len().saturating_sub(columns.len());
    if more > 0 {
        columns.push(format!(".. {more} more, see describe_table"));
    }
    let mut line = format!("{}({})", table.spelt_table(&table.name), columns.join(", "));
    if let Some(comment) = table.comment.as_deref().filter(|_| is_full) {
        line.push_str(&format!(" -- {}", cut_at_word(comment, COMMENT_BYTES)));
    }
    line.replace('\n', " ")
}

/// The beginning of a text, cut after a word.
fn cut_at_word(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let kept = cut(text, most);
    let words = kept.rfind(char::is_whitespace).and_then(|at| kept.get(..at)).unwrap_or(kept);
    format!("{}…", words.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::catalog::{Column, ForeignKey, TableKind};

    fn table(name: &str, columns: &[&str], references: Option<&str>) -> TableDescription {
        let column = |name: &&str| Column {
            values: if *name == "city" { vec!["Zürich".into(), "Bern".into()] } else { vec![] },
            ..Column::new((*name).into(), "TEXT".into())
        };
        TableDescription {
            columns: columns.iter().map(column).collect(),
            primary_key: vec!["id".into()],
            foreign_keys: references
                .map(|other| ForeignKey {
                    columns: vec![format!("{other}_id")],
                    references: other.into(),
                    referenced_columns: vec!["id".into()],
                    ..ForeignKey::default()
                })
                .into_iter()
                .collect(),
            ..TableDescription::new(name.into(), TableKind::Table)
        }
    }

    fn snapshot() -> Snapshot {
        Snapshot::of(vec![
            table("audit", &["id", "line"], None),
            table("customer", &["id", "name", "city"], None),
            table("order_line", &["id", "customer_id", "unitPrice"], Some("customer")),
        ])
    }

    fn index() -> Index {
        Index::new(&snapshot())
    }

    #[test]
    fn a_wide_table_keeps_its_keys_and_what_is_asked_for() {
        let names: Vec<String> = (0..60).map(|n| format!("field_{n}")).chain(["net_weight".into()]).collect();
        let mut columns: Vec<&str> = names.iter().map(String::as_str).collect();
        columns.insert(0, "id");
        let wide = Snapshot::of(vec![table("parcels", &columns, None), table("other", &columns, None)]);
        let context = build(&wide, &Index::new(&wide), "weight of parcels", (5, 200), true);
        assert!(context.text.starts_with("parcels(id text pk, field_0"), "{}", context.text);
        assert!(context.text.contains("net_weight") && context.text.contains(".. 42 more"), "{}", context.text);
    }

    #[test]
    fn wide_tables_leave_room_for_the_others() {
        let wide: Vec<String> = (0..60).map(|n| format!("order_{n}")).collect();
        let wide: Vec<&str> = wide.iter().map(String::as_str).collect();
        let tables = ["order_a", "order_b", "order_c"].map(|name| table(name, &wide, None));
        let all = Snapshot::of(tables.into_iter().chain([table("orders", &["id", "total"], None)]).collect());
        let names = |most| -> Vec<String> {
            let kept = narrowed(&all, &Index::new(&all), "orders", most);
            kept.tables.iter().map(|table| table.name.to_string()).collect()
        };
        assert_eq!(names((200, 100)).len(), 2);
        assert!(names((200, 100)).contains(&"orders".to_owned()), "{:?}", names((200, 100)));
        assert_eq!(names((1, 1_000)).len(), 1);
    }

    #[test]
    fn a_column_without_a_type_is_its_name() {
        let mut view = table("totals", &["id", "total", "items"], None);
        view.columns[1].type_name = "".into();
        assert_eq!(line(&view, true), "totals(id text pk, total, items text)");
    }

    #[test]
    fn a_long_comment_ends_with_a_whole_word() {
        assert_eq!(cut_at_word("two words", 9), "two words");
        assert_eq!(cut_at_word("two words", 8), "two…");
        assert_eq!(cut_at_word("unbroken", 4), "unbr…");
    }

    #[test]
    fn words_are_found_in_other_forms_and_values_as_a_whole() {
        let index = index();
        assert_eq!(index.rank("ordering"), index.rank("orders"));
        assert_eq!(index.rank("nothing of the kind"), []);
        assert_eq!(index.value_hits("from zürich to Bern"), [(1, 2, 0), (1, 2, 1)]);
        assert_eq!(index.value_hits("Zürichberg"), []);
    }

    #[test]
    fn a_small_schema_is_whole_and_stable() {
        let context = build(&snapshot(), &index(), "anything", (1_000, 100), true);
        assert!(context.whole);
        assert_eq!(context.text, build(&snapshot(), &index(), "something else", (1_000, 100), true).text);
        assert!(context.text.contains("customer_id text -> customer.id"));
        assert!(context.text.contains("city text {Zürich|Bern}"));
        assert!(!build(&snapshot(), &index(), "x", (1_000, 100), false).text.contains("Bern"));
        let mut many = snapshot();
        many.tables[1].columns[1].values = (0..40).map(|n| format!("name {n}")).collect();
        let context = build(&many, &Index::new(&many), "x", (1_000, 100), true);
        assert!(context.text.contains("name text {name 0|name 1|name 2|..}"), "{}", context.text);
    }

    #[test]
    fn a_large_one_is_ranked_with_its_neighbours() {
        let ranked = ranked_tables(&snapshot(), &index(), "prices of order lines for customers in Zürich", 3);
        let names: Vec<&str> = ranked.iter().map(|table| table.name.as_str()).collect();
        assert_eq!(names, ["order_line", "customer", "audit"]);
        let context = build(&snapshot(), &index(), "prices of customers in Zürich", (5, 40), true);
        assert!(!context.whole && context.text.contains("customer(") && !context.text.contains("audit("));
        let names: Vec<String> = ranked.iter().map(|table| table.name.clone()).collect();
        assert_eq!(joins(&snapshot(), &names), ["order_line.customer_id = customer.id"]);
        let values = matched_values(&snapshot(), &index(), "who lives in zürich?", 5);
        assert_eq!(values, [MatchedValue { column: "customer.city".into(), value: "Zürich".into() }]);
    }
}
