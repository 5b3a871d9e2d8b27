//! How a question ends.

use super::*;
use crate::ask::answer::NOT_SURE;
use crate::ask::sentence;
use crate::model::builtin;

/// The summary of a result that the model did not put into words.
fn rows_in_words(rows: &ResultSet) -> String {
    sentence(&rows.count_in_words())
}

impl Question<'_> {
    pub(super) fn success(&self, mut progress: Progress, mut answer: Answer) -> Outcome {
        let Some(in_words) = progress.found.as_ref().map(|(_, rows, _)| rows_in_words(rows)) else {
            return Outcome::Failed(ToolError::internal());
        };
        let said = [&answer.summary, &answer.explanation].into_iter().chain(&answer.assumptions);
        if self.repeats_rules(said.map(String::as_str)) {
            progress.warnings.push("the model's words are withheld: they repeat its rules".into());
            answer = Answer { summary: in_words.clone(), ..Answer::default() };
        }
        let foreign = self.foreign_numbers(&progress, &answer);
        if !foreign.is_empty() {
            progress.warnings.push(format!(
                "a part or all of the model's summary is withheld: it states numbers that are not in the result ({})",
                foreign.join(", ")
            ));
            let kept = self.explained_sentences(&progress, &answer).filter(|kept| !kept.is_empty());
            answer.summary = kept.unwrap_or(in_words);
        }
        let Some((sql, rows, tables)) = progress.found.take() else {
            return Outcome::Failed(ToolError::internal());
        };
        if let Some(zone) = &self.time_zone
            && checks::cuts_moments_into_days(&sql, self.snapshot, &tables)
        {
            answer.assumptions.push(format!("days begin at midnight in the time zone {zone}"));
        }
        if !self.gateway.config().model.send_rows && !matches!(self.model, Model::Builtin) {
            // The model has not seen the rows, so it cannot summarise them.
            answer.summary = rows_in_words(&rows);
        }
        let warnings = std::mem::take(&mut progress.warnings);
        Outcome::Success(Box::new(Success { sql, rows, tables, answer, warnings }))
    }

    /// The outcome at the deadline: the last rows found, otherwise an error.
    pub(super) fn out_of_time(&self, mut progress: Progress) -> Outcome {
        match &progress.found {
            Some((_, rows, _)) => {
                progress.warnings.push("deadline".into());
                let rows = rows_in_words(rows);
                let summary = format!("{rows} The time was over before they were put into words.");
                self.success(progress, Answer { summary, ..Answer::default() })
            }
            None => self.failed(&ModelError::Deadline),
        }
    }

    /// The outcome at a spending limit, or when the model fails: the last rows found, otherwise the error.
    pub(super) fn ended(&self, mut progress: Progress, error: ToolError) -> Outcome {
        match &progress.found {
            Some((_, rows, _)) => {
                progress.warnings.push(error.message);
                let summary = rows_in_words(rows);
                self.success(progress, Answer { summary, ..Answer::default() })
            }
            None => Outcome::Failed(error),
        }
    }

    /// The outcome when all model calls or corrections are used up.
    pub(super) fn exhausted(&self, mut progress: Progress) -> Outcome {
        if let Some((_, rows, _)) = &progress.found {
            progress.warnings.push("the model did not finish within the permitted calls and corrections".into());
            let summary = rows_in_words(rows);
            return self.success(progress, Answer { summary, ..Answer::default() });
        }
        match progress.refused {
            Some((sql, error)) if error.code.is_refusal() => Outcome::Blocked { sql, error },
            Some((_, error)) if error.code == Code::Deadline || Instant::now() >= self.deadline => {
                self.failed(&ModelError::Deadline)
            }
            Some((_, error)) => Outcome::Failed(error),
            None => self.failed(&ModelError::Reply("no answer came within the permitted calls and corrections".into())),
        }
    }

    /// Hands the question back. `doubts` say what the built-in answerer did not understand.
    pub(super) fn hand_back(&self, sql: Option<String>, doubts: Vec<String>) -> Outcome {
        let limits = &self.source.limits;
        let (schema, tables) = schema_context::telling(
            self.snapshot,
            self.index,
            self.reading(),
            (HAND_BACK_TOKENS.min(limits.ranked_schema_tokens), HAND_BACK_TABLES),
        );
        let not_sure = || match doubts.as_slice() {
            [] => NOT_SURE.to_owned(),
            doubts => format!("{NOT_SURE} Not understood: {}.", doubts.join("; ")),
        };
        let hand_back = HandBack {
            message: builtin::remark(self.reading(), self.snapshot).unwrap_or_else(not_sure),
            dialect: self.dialect.name(),
            schema,
            values: schema_context::matched_values(self.snapshot, self.index, self.reading(), HAND_BACK_VALUES),
            joins: schema_context::joins(self.snapshot, &tables),
            guessed_joins: builtin::guessed_joins(self.snapshot, &tables),
            tables,
            // A draft with several doubts, or with a doubt that is not about a word, usually answers another question.
            draft: sql
                .filter(|_| matches!(doubts.as_slice(), [] | [_]) && doubts.iter().all(|doubt| is_small(doubt)))
                .map(|sql| Draft { sql, doubts }),
            next: "Call run_sql with one statement.",
        };
        Outcome::HandBack(Box::new(hand_back.within(limits.max_reply_bytes.saturating_sub(RECEIPT_BYTES))))
    }
}

/// True for a doubt about a word. Of the drafts with such a doubt, two of five are right, and of other drafts hardly any.
fn is_small(doubt: &str) -> bool {
    doubt.starts_with("the word")
}
