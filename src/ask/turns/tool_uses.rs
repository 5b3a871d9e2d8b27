//! Runs the tool calls of the model and makes their results.

use serde_json::json;

use super::*;
use crate::database::catalog::{Column, TableDescription};
use crate::database::value::cut;

impl Question<'_> {
    pub(super) async fn perform(&self, used: Use, progress: &mut Progress) -> Step {
        match used {
            Use::RunSql { sql } => Step::Result(self.run_sql(sql, progress).await),
            Use::DescribeTable { table } => {
                let source = Some(self.source.name.clone());
                let request = DescribeTable { table, source, ..DescribeTable::default() };
                Step::Result(match self.gateway.describe_table(&self.caller, &request).await {
                    Ok(read) => {
                        let may_tell = self.gateway.config().model.send_values;
                        let lines = read.value.iter().map(|(_, found)| match found {
                            Ok(table) => {
                                let mut table = table.clone();
                                table.leave_out_what_follows();
                                if !may_tell {
                                    table.columns.iter_mut().for_each(|column| column.values.clear());
                                }
                                serde_json::to_string(&table).unwrap_or_default()
                            }
                            Err(error) => error.to_json(),
                        });
                        let text = lines.collect::<Vec<_>>().join("\n");
                        let text = cut(&text, self.source.limits.max_reply_bytes).to_owned();
                        read.close(None, text.len());
                        Ok(prompt::fence(&text))
                    }
                    Err(error) => Err(prompt::fence(&error.to_json())),
                })
            }
            Use::SearchSchema { words } => {
                let send_values = self.gateway.config().model.send_values;
                let ranked = schema_context::ranked_tables(self.snapshot, self.index, &words, SEARCH_TABLES);
                let lines: Vec<String> = ranked
                    .iter()
                    .filter_map(|ranked| self.snapshot.tables.iter().find(|table| table.name == ranked.name))
                    .map(|table| schema_context::line(table, send_values))
                    .collect();
                Step::Result(Ok(prompt::fence(&lines.join("\n"))))
            }
            Use::SampleValues { table, columns } => Step::Result(self.sample_values(&table, &columns).await),
            Use::Clarify { question, choices } => {
                let readings = choices.iter().flat_map(|choice| [choice.label.as_str(), choice.reading.as_str()]);
                if self.repeats_rules(std::iter::once(question.as_str()).chain(readings)) {
                    return Step::Result(Err(prompt::REPEATS_RULES.into()));
                }
                Step::Finished(Box::new(Outcome::Clarification { message: question, choices }))
            }
            Use::CannotAnswer { missing } if self.repeats_rules([missing.as_str()].into_iter()) => {
                Step::Result(Err(prompt::REPEATS_RULES.into()))
            }
            Use::Answer(answer) => match &progress.found {
                Some(_) if !progress.doubted_numbers => match self.foreign_numbers(progress, &answer) {
                    foreign if foreign.is_empty() => {
                        Step::Finished(Box::new(self.success(std::mem::take(progress), answer)))
                    }
                    foreign => {
                        progress.doubted_numbers = true;
                        Step::Result(Err(prompt::foreign_numbers(&foreign)))
                    }
                },
                Some(_) => Step::Finished(Box::new(self.success(std::mem::take(progress), answer))),
                None => Step::Result(Err("answer: no statement has succeeded yet; call run_sql first".into())),
            },
            Use::CannotAnswer { missing } => {
                let missing = missing.trim().trim_end_matches('.').to_owned();
                Step::Finished(Box::new(Outcome::Unanswerable { missing, hint: None }))
            }
            Use::HandBack { sql, doubts } if matches!(self.model, Model::Builtin) => {
                Step::Finished(Box::new(self.hand_back(sql, doubts)))
            }
            Use::HandBack { .. } => Step::Result(Err("there is no tool \"hand_back\"".into())),
        }
    }

    /// Runs a proposed statement through the gateway and returns the tool result for the model.
    pub(super) async fn run_sql(&self, sql: String, progress: &mut Progress) -> Result<String, String> {
        let request = RunSql {
            sql: sql.clone(),
            max_rows: self.request.max_rows,
            format: None,
            user_id: self.request.user_id.clone(),
            source: Some(self.source.name.clone()),
        };
        match self.gateway.run_sql(&self.caller, &request, reserved_bytes(&sql)).await {
            Ok(read) => {
                let tables = read.tables.clone();
                match &read.value {
                    Ran::Rows(rows) => {
                        let mut shown = self.shown(rows);
                        if let Some(doubt) = self.doubt(&sql, rows).filter(|_| !progress.doubted_result) {
                            progress.doubted_result = true;
                            shown = format!("{shown}\n{doubt}");
                        }
                        let row_count = rows.row_count;
                        let bytes = rows.rows_json().len();
                        if let Ran::Rows(rows) = read.close(Some(row_count), bytes) {
                            if !progress.doubted_tie
                                && let Some((limit, value)) = self.hidden_tie(&sql, &rows).await
                            {
                                progress.doubted_tie = true;
                                if self.model.is_language_model() {
                                    shown = format!("{shown}\n{}", prompt::tied(limit, value.as_deref()));
                                } else {
                                    progress.warnings.push(prompt::tie_left_out(limit));
                                }
                            }
                            if let Some((_, before, _)) = progress.found.replace((sql, rows, tables)) {
                                let cells: Vec<Value> = serde_json::from_str(&before.rows_json()).unwrap_or_default();
                                progress.earlier_numbers.extend(numbers::of_rows(&cells));
                                progress.earlier_numbers.truncate(numbers::MOST_EARLIER);
                            }
                        }
                        Ok(shown)
                    }
                    Ran::Plan(plan) => {
                        let text = prompt::fence(&plan.summary.join("\n"));
                        read.close(None, text.len());
                        Ok(text)
                    }
                }
            }
            Err(error) => {
                progress.failures += 1;
                let mut told = error.clone();
                if !self.gateway.config().model.send_rows && error.code == Code::SqlError {
                    // Error messages of a database can contain stored values.
                    told.message = "the database refused the statement".into();
                }
                if !self.gateway.config().model.send_values && names_values(&told) {
                    told.hint = None;
                }
                progress.refused = Some((sql, error));
                let told = told.to_json();
                Err(if matches!(self.model, Model::Builtin) { told } else { prompt::fence(&told) })
            }
        }
    }

    /// Returns the tool result for a result set: its first rows within the limits for rows and bytes, in a fence. With
    /// `send_rows = false` an external model gets only the number of rows and the column names.
    pub(super) fn shown(&self, rows: &ResultSet) -> String {
        let limits = &self.source.limits;
        let columns: Vec<&str> = rows.columns.iter().map(|column| column.name.as_str()).collect();
        let is_numeric: Vec<bool> =
            rows.columns.iter().map(|column| column.type_name.as_deref() == Some("numeric")).collect();
        let counted = |rows_shown: &[Box<RawValue>]| {
            let mut shown = serde_json::json!({"columns": columns, "row_count": rows.row_count});
            if let Some(fields) = shown.as_object_mut() {
                if (rows_shown.len() as u64) < rows.row_count {
                    fields.insert("rows_shown".into(), rows_shown.len().into());
                }
                if let Some(total) = rows.total {
                    fields.insert("total_rows".into(), total.into());
                } else if rows.has_more_rows() {
                    fields.insert("more_rows_exist".into(), true.into());
                }
                let row = |row: &RawValue| match self.model {
                    // The templates of the built-in answerer repeat the cells as they are.
                    Model::Builtin => serde_json::from_str(row.get()).unwrap_or_default(),
                    _ => shorter(row, &is_numeric),
                };
                fields.insert("rows".into(), rows_shown.iter().map(|shown| row(shown)).collect());
            }
            shown.to_string()
        };
        // The built-in answerer runs in this process. Its templates need the rows.
        if !self.gateway.config().model.send_rows && !matches!(self.model, Model::Builtin) {
            let rows = rows.count_in_words();
            return format!("{rows} with columns {}", columns.join(", "));
        }
        let all: Vec<Box<RawValue>> = serde_json::from_str(&rows.rows_json()).unwrap_or_default();
        let mut bytes = 0;
        let shown = all
            .iter()
            .take(limits.model_rows)
            .take_while(|row| {
                bytes += row.get().len() + 1;
                bytes <= limits.model_result_bytes
            })
            .count();
        prompt::fence(&counted(all.get(..shown).unwrap_or_default()))
    }

    /// Returns the most frequent values of columns, with their numbers of rows. Each column is one statement that goes
    /// through the gateway like any other.
    pub(super) async fn sample_values(&self, table: &str, columns: &str) -> Result<String, String> {
        if !self.gateway.config().model.send_values {
            return Err("sample_values: stored values are not sent to the model".into());
        }
        let unknown = |what: String, near: Vec<&str>| format!("{what}; nearest:\n{}", prompt::fence(&near.join(", ")));
        let table = match named(self.snapshot.tables.iter().map(|table| (table, table.name.as_str())), table).as_slice()
        {
            [table] => *table,
            [] => {
                let names = self.snapshot.tables.iter().map(|table| table.name.as_str());
                return Err(unknown(format!("there is no table {table:?}"), nearest(table, names, 3)));
            }
            several => {
                let names = several.iter().map(|table| table.name.as_str()).collect();
                return Err(unknown(format!("{table:?} is the name of several tables"), names));
            }
        };
        let mut lines = Vec::new();
        for wanted in columns.split(',').map(str::trim).filter(|name| !name.is_empty()).take(SAMPLED_COLUMNS) {
            let Some(column) = named(table.columns.iter().map(|column| (column, column.name.as_str())), wanted).pop()
            else {
                let names = table.columns.iter().map(|column| column.name.as_str());
                return Err(unknown(format!("the table has no column {wanted:?}"), nearest(wanted, names, 3)));
            };
            lines.push(self.sampled(table, column).await?);
        }
        Ok(prompt::fence(cut(&lines.join("\n"), self.source.limits.model_result_bytes)))
    }

    /// One line about the values of a column: each with its number of rows, and whether these are all values.
    async fn sampled(&self, table: &TableDescription, column: &Column) -> Result<String, String> {
        let quoted = quoting::name(self.dialect, &column.name);
        let from = quoting::table(self.dialect, &table.name);
        // Of a large table only the first rows are read.
        let is_large = table.rows.is_none_or(|rows| rows > SAMPLED_ROWS);
        let rows = if is_large { format!("(SELECT {quoted} FROM {from} LIMIT {SAMPLED_ROWS}) AS part") } else { from };
        let request = RunSql {
            sql: format!(
                "SELECT {quoted}, count(*) AS n FROM {rows} WHERE {quoted} IS NOT NULL GROUP BY {quoted} ORDER BY n DESC, \
                 {quoted} LIMIT {}",
                SAMPLE + 1
            ),
            max_rows: Some(SAMPLE + 1),
            user_id: self.request.user_id.clone(),
            source: Some(self.source.name.clone()),
            ..RunSql::default()
        };
        let read = match self.gateway.run_sql(&self.caller, &request, 0).await {
            Ok(read) => read,
            Err(error) => return Err(prompt::fence(&error.to_json())),
        };
        let Ran::Rows(rows) = &read.value else { return Err("sample_values: no rows".into()) };
        let (json, row_count, is_cut) = (rows.rows_json(), rows.row_count, rows.is_truncated());
        let mut values: Vec<Value> = serde_json::from_str(&json).unwrap_or_default();
        read.close(Some(row_count), json.len());
        // Of a large table, values beyond the first rows are not known.
        let is_complete = row_count <= SAMPLE && !is_large && !is_cut;
        values.truncate(usize::try_from(SAMPLE).unwrap_or(usize::MAX));
        let name = format!("{}.{}", table.name, column.name);
        Ok(json!({"column": name, "values_and_rows": values, "complete": is_complete}).to_string())
    }
}

/// The items that a name means: the one with this very name, otherwise those with this name in another case or without
/// the schema.
pub(in crate::ask) fn named<'a, T>(items: impl Iterator<Item = (&'a T, &'a str)>, wanted: &str) -> Vec<&'a T> {
    let plain = |name: &str| name.replace('"', "").to_lowercase();
    let (bare, mut close) = (plain(wanted.trim()), Vec::new());
    for (item, name) in items {
        if name == wanted {
            return vec![item];
        }
        let name = plain(name);
        if name == bare || name.rsplit_once('.').is_some_and(|(_, table)| table == bare) {
            close.push(item);
        }
    }
    close
}

/// Whether the hint of an error contains stored values: the labels of an enum.
fn names_values(error: &ToolError) -> bool {
    error.sqlstate.as_deref() == Some("22P02")
}

/// A row as the model reads it: the zeros at the end of exact decimals cost tokens and say nothing. In a text, such as a version,
/// they do.
fn shorter(row: &RawValue, is_numeric: &[bool]) -> Value {
    let mut row: Value = serde_json::from_str(row.get()).unwrap_or_default();
    for (cell, is_numeric) in row.as_array_mut().into_iter().flatten().zip(is_numeric) {
        if let Value::String(text) = cell
            && *is_numeric
            && is_decimal(text)
            && let Some((whole, part)) = text.split_once('.')
        {
            let part = part.trim_end_matches('0');
            *cell = if part.is_empty() { whole.into() } else { format!("{whole}.{part}").into() };
        }
    }
    row
}

/// Whether a text is an exact decimal such as `-12.500`.
fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.split_once('.').is_some_and(|(whole, part)| is_digits(whole) && is_digits(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_lose_their_last_zeros() {
        let row =
            RawValue::from_string(r#"["12.500","3.000","-0.10","1.20.0","1e5.0",7,null,"v1.0"]"#.to_owned()).unwrap();
        assert_eq!(
            shorter(&row, &[true, true, true, true, true, true, true, true]).to_string(),
            r#"["12.5","3","-0.1","1.20.0","1e5.0",7,null,"v1.0"]"#
        );
    }
}
