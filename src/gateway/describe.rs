//! `describe_table`: the descriptions of the tables that a call names, and samples of their rows.

use std::collections::HashMap;
use std::time::Instant;

use serde_json::{Map, Value};

use super::options::plain_options;
use super::reads::{Describe, Described};
use super::{Caller, DescribeTable, Gateway, MAX_TARGET_CHARACTERS, Ran, Read, RunSql};
use crate::audit::EntryStart;
use crate::config::SourceConfig;
use crate::database::catalog::TableDescription;
use crate::database::sampling;
use crate::error::ToolError;
use crate::quoting::printable;

impl Gateway {
    /// Describes the tables of a request: one name, or several separated by commas.
    ///
    /// # Errors
    ///
    /// `unknown_table` with the nearest names, `ambiguous_table` with the matches, and the errors of
    /// [`Gateway::list_tables`]. If a request has several names, the error of an
    /// unknown or ambiguous name takes the place of its description.
    pub async fn describe_table(
        &self,
        caller: &Caller,
        request: &DescribeTable,
    ) -> Result<Read<Vec<Described>>, ToolError> {
        let target = Some(printable(&request.table).take(MAX_TARGET_CHARACTERS).collect());
        let start = EntryStart { target, ..self.start(caller, "describe_table") };
        let names = table_names(&request.table);
        let options = |source: &SourceConfig| {
            let table = &request.table;
            if names.is_empty() || table.contains('\0') || table.len() > source.limits.max_text_bytes {
                return Err(ToolError::invalid("table must be a name, or several separated by commas"));
            }
            if names.len() > MAX_DESCRIBED {
                return Err(ToolError::invalid(format!(
                    "table names {} tables; at most {MAX_DESCRIBED} are allowed",
                    names.len()
                )));
            }
            Ok(plain_options(caller, source))
        };
        let reading = Describe { list: &request.table, names: &names };
        self.read(caller, start, request.source.as_deref(), reading, options).await
    }

    /// Runs the statements that sample a table which `describe_table` shows. Their records carry the id of `described`.
    /// `None` if the table has no column whose values may be shown.
    ///
    /// # Errors
    ///
    /// As [`Gateway::run_sql`]. `user_required` for a source that is read on behalf of users.
    pub async fn sample(
        &self,
        caller: &Caller,
        described: &Read<Vec<Described>>,
        table: &TableDescription,
        deadline: Instant,
    ) -> Result<Option<(HashMap<usize, Map<String, Value>>, u64)>, ToolError> {
        let Some(sampling) = sampling::statements(table) else { return Ok(None) };
        let earliest = caller.deadline.map_or(deadline, |earlier| earlier.min(deadline));
        let caller =
            Caller { deadline: Some(earliest), question_id: Some(described.id().to_owned()), ..caller.clone() };
        let mut results = Vec::new();
        for (sql, max_rows) in [(Some(&sampling.counts), 1), (sampling.rows.as_ref(), sampling::EXAMPLE_ROWS)] {
            let Some(sql) = sql else { continue };
            let max_rows = Some(max_rows.min(self.config.limits.max_rows_ceiling));
            let request =
                RunSql { sql: sql.clone(), max_rows, source: Some(described.source.clone()), ..RunSql::default() };
            let read = self.run_sql_of("describe_table", &caller, &request, 0).await?;
            let Ran::Rows(rows) = &read.value else { return Ok(None) };
            let (json, row_count) = (rows.rows_json(), rows.row_count);
            results.push(serde_json::from_str::<Vec<Value>>(&json).unwrap_or_default());
            read.close(Some(row_count), json.len());
        }
        let rows = results.get(1).map_or(&[][..], Vec::as_slice);
        Ok(Some(sampling.read(table, results.first().map_or(&[][..], Vec::as_slice), rows)))
    }
}

/// Maximum number of tables that one call describes.
const MAX_DESCRIBED: usize = 20;

/// Splits a list of table names at its commas. A comma inside quotes is part of a name. Without names the result is empty.
fn table_names(list: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut quote = None;
    for character in list.chars() {
        match (quote, character) {
            (None, ',') => {
                names.push(String::new());
                continue;
            }
            (None, '"' | '`') => quote = Some(character),
            (None, '[') => quote = Some(']'),
            (Some(end), other) if end == other => quote = None,
            _ => {}
        }
        if let Some(name) = names.last_mut() {
            name.push(character);
        }
    }
    let names = names.into_iter().map(|name| name.trim().to_owned());
    names.filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_at_commas_outside_quotes() {
        assert_eq!(table_names("orders"), ["orders"]);
        assert_eq!(table_names(" a, public.\"b,c\" ,, `d,e`,[f,g] "), ["a", "public.\"b,c\"", "`d,e`", "[f,g]"]);
        assert_eq!(table_names("\"a\"\"b,c\",d"), ["\"a\"\"b,c\"", "d"]);
        assert_eq!(table_names(" , "), Vec::<String>::new());
    }
}
