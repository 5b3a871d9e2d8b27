//! What is asked of the model about its own answer. Nothing of it concerns the built-in answerer.

use super::*;
use crate::database::advice;

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
        let near = if may_tell { advice::near_values(sql, self.snapshot) } else { Vec::new() };
        // Zero is a valid answer, unless a literal differs from a stored value in its spelling.
        (is_nothing || !near.is_empty()).then(|| prompt::suspicious(&near))
    }

    /// The question to the model about a tie that the LIMIT of its statement hides. The probe is one more statement, with
    /// a record of its own. If it fails, there is no question.
    pub(super) async fn hidden_tie(&self, sql: &str, rows: &ResultSet) -> Option<(u64, Option<String>)> {
        let probe = ties::probe(sql, self.dialect).filter(|probe| probe.limit == rows.row_count)?;
        let request = RunSql {
            sql: probe.sql.clone(),
            max_rows: Some((probe.limit + 1).min(self.source.limits.max_rows_ceiling)),
            user_id: self.request.user_id.clone(),
            source: Some(self.source.name.clone()),
            ..RunSql::default()
        };
        let read = self.gateway.run_sql(&self.caller, &request, 0).await.ok()?;
        let Ran::Rows(found) = &read.value else { return None };
        let (json, row_count) = (found.rows_json(), found.row_count);
        let cells: Vec<Value> = serde_json::from_str(&json).unwrap_or_default();
        let tie = probe.tie(&cells).map(ToString::to_string);
        read.close(Some(row_count), json.len());
        let shown = tie.map(|value| self.gateway.config().model.send_rows.then_some(value))?;
        Some((probe.limit, shown))
    }

    /// Numbers of the model's summary that neither the results nor the question, the statement, the assumptions or today's
    /// date explain.
    pub(super) fn foreign_numbers(&self, progress: &Progress, answer: &Answer) -> Vec<String> {
        self.with_sources(progress, answer, |sources| numbers::foreign(&answer.summary, sources)).unwrap_or_default()
    }

    /// The sentences of the model's summary without foreign numbers.
    pub(super) fn explained_sentences(&self, progress: &Progress, answer: &Answer) -> Option<String> {
        self.with_sources(progress, answer, |sources| numbers::explained_sentences(&answer.summary, sources))
    }

    /// Calls `judge` with what the summary may state numbers from. `None` if its numbers are not judged.
    fn with_sources<T>(
        &self,
        progress: &Progress,
        answer: &Answer,
        judge: impl FnOnce(&numbers::Sources<'_>) -> T,
    ) -> Option<T> {
        if !self.model.is_language_model() || !self.gateway.config().model.send_rows {
            return None;
        }
        let (sql, rows, _) = progress.found.as_ref()?;
        let cells: Vec<Value> = serde_json::from_str(&rows.rows_json()).unwrap_or_default();
        let today = self.today.to_string();
        let mut texts = vec![self.request.question.as_str(), self.reading(), sql, &today];
        texts.extend(answer.assumptions.iter().map(String::as_str));
        let sources = numbers::Sources {
            rows: &cells,
            row_count: rows.row_count,
            total: rows.total,
            is_complete: !rows.has_more_rows(),
            texts: &texts,
            earlier: &progress.earlier_numbers,
        };
        Some(judge(&sources))
    }
}
