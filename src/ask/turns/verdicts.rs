//! What is asked of the model about its own answer. Nothing of it concerns the built-in answerer.

use super::*;

impl Question<'_> {
    /// Whether the model's words repeat its rules. Always `false` for the built-in answerer.
    pub(super) fn repeats_rules<'a>(&self, mut words: impl Iterator<Item = &'a str>) -> bool {
        let rules = prompt::system(self.dialect, self.gateway.config().model.send_rows);
        self.model.is_language_model() && words.any(|words| checks::repeats(words, &rules))
    }

    /// The question to the model about a result without values, if the result needs one.
    pub(super) fn doubt(&self, sql: &str, rows: &ResultSet) -> Option<String> {
        // Parsing many rows just to find NULL in all of them would be wasted work.
        if !self.model.is_language_model() || rows.row_count > FEW_ROWS {
            return None;
        }
        let cells: Vec<Value> = serde_json::from_str(&rows.rows_json()).unwrap_or_default();
        let is_nothing = checks::is_suspicious(&cells);
        if !is_nothing && !checks::is_zero(&cells) {
            return None;
        }
        let may_tell = self.gateway.config().model.send_values;
        let near = if may_tell { checks::near_values(sql, self.snapshot) } else { Vec::new() };
        // Zero is a valid answer, unless a literal differs from a stored value in its spelling.
        (is_nothing || !near.is_empty()).then(|| prompt::suspicious(&near))
    }

    /// Numbers of a summary that are neither in the result nor in the question, the statement or today's date.
    pub(super) fn foreign_numbers(
        &self,
        (sql, rows, _): &(String, ResultSet, Vec<String>),
        summary: &str,
    ) -> Vec<String> {
        if !self.model.is_language_model() || !self.gateway.config().model.send_rows {
            return Vec::new();
        }
        let cells: Vec<Value> = serde_json::from_str(&rows.rows_json()).unwrap_or_default();
        let today = self.today.to_string();
        checks::foreign_numbers(summary, &cells, rows.row_count, &[&self.request.question, self.reading(), sql, &today])
    }
}
