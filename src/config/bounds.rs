//! Settings that are limits, and the permitted range of each.

use serde::Deserialize;

use super::file::Keys;
use super::*;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitKeys {
    max_calls: Option<u64>,
    max_queued_calls: Option<u64>,
    max_model_calls: Option<u64>,
    answer_timeout_ms: Option<u64>,
    schema_budget_tokens: Option<u64>,
    max_snapshot_bytes: Option<u64>,
    max_asks_per_minute: Option<u64>,
    max_question_tokens: Option<u64>,
    max_process_tokens: Option<u64>,
    max_question_cost: Option<f64>,
    max_process_cost: Option<f64>,
}

/// Default limit of questions per minute. It stops a runaway client, and no person reaches it.
const ASKS_PER_MINUTE: usize = 120;

impl Keys {
    pub(super) fn limits(&self, place: &str) -> Result<Limits, ConfigError> {
        let mut limits = Limits::default();
        let bounded = |key: &str, value: Option<u64>, least: u64, most: u64, into: &mut u64| match value {
            None => Ok(()),
            Some(value) if (least..=most).contains(&value) => {
                *into = value;
                Ok(())
            }
            Some(_) => Err(ConfigError::BadValue {
                key: key.into(),
                place: format!("environment or {place}"),
                problem: format!("must be from {least} to {most}"),
            }),
        };
        let narrow = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        bounded("max_rows_ceiling", self.max_rows_ceiling, 1, 1_000_000, &mut limits.max_rows_ceiling)?;
        bounded("max_rows", self.max_rows, 1, limits.max_rows_ceiling, &mut limits.max_rows)?;
        limits.max_rows = limits.max_rows.min(limits.max_rows_ceiling);
        let mut reply = limits.max_reply_bytes as u64;
        bounded("max_reply_bytes", self.max_reply_bytes, 1_000, 1 << 30, &mut reply)?;
        limits.max_reply_bytes = narrow(reply);
        let mut cell = limits.max_cell_bytes as u64;
        bounded("max_cell_bytes", self.max_cell_bytes, 10, 1 << 28, &mut cell)?;
        limits.max_cell_bytes = narrow(cell);
        bounded("statement_timeout_ms", self.statement_timeout_ms, 1, 86_400_000, &mut limits.statement_timeout_ms)?;
        bounded("ask_timeout_ms", self.ask_timeout_ms, 1, 86_400_000, &mut limits.ask_timeout_ms)?;
        bounded(
            "limits.answer_timeout_ms",
            self.limits.answer_timeout_ms,
            1,
            86_400_000,
            &mut limits.answer_timeout_ms,
        )?;
        let mut calls = limits.max_calls as u64;
        bounded("limits.max_calls", self.limits.max_calls, 1, 1_000, &mut calls)?;
        limits.max_calls = narrow(calls);
        let mut queued = limits.max_queued_calls as u64;
        bounded("limits.max_queued_calls", self.limits.max_queued_calls, 0, 100_000, &mut queued)?;
        limits.max_queued_calls = narrow(queued);
        let mut model_calls = u64::from(limits.max_model_calls);
        bounded("limits.max_model_calls", self.limits.max_model_calls, 1, 6, &mut model_calls)?;
        limits.max_model_calls = u32::try_from(model_calls).unwrap_or(6);
        let mut budget = limits.schema_budget_tokens as u64;
        bounded("limits.schema_budget_tokens", self.limits.schema_budget_tokens, 500, 200_000, &mut budget)?;
        limits.schema_budget_tokens = narrow(budget);
        let mut snapshot = limits.max_snapshot_bytes as u64;
        bounded("limits.max_snapshot_bytes", self.limits.max_snapshot_bytes, 50_000, 1 << 32, &mut snapshot)?;
        limits.max_snapshot_bytes = narrow(snapshot);
        Ok(limits)
    }

    pub(super) fn spending(&self, place: &str) -> Result<SpendingLimits, ConfigError> {
        let keys = &self.limits;
        let bad = |key: &str| ConfigError::BadValue {
            key: format!("limits.{key}"),
            place: format!("environment or {place}"),
            problem: "must be more than 0".into(),
        };
        for (key, value) in [
            ("max_asks_per_minute", keys.max_asks_per_minute),
            ("max_question_tokens", keys.max_question_tokens),
            ("max_process_tokens", keys.max_process_tokens),
        ] {
            if value == Some(0) {
                return Err(bad(key));
            }
        }
        for (key, value) in [("max_question_cost", keys.max_question_cost), ("max_process_cost", keys.max_process_cost)]
        {
            if value.is_some_and(|value| !value.is_finite() || value <= 0.0) {
                return Err(bad(key));
            }
            if value.is_some() && self.prices.is_empty() {
                return Err(ConfigError::BadValue {
                    key: format!("limits.{key}"),
                    place: place.into(),
                    problem: "needs a [prices] table with the model's price".into(),
                });
            }
        }
        Ok(SpendingLimits {
            asks_per_minute: keys
                .max_asks_per_minute
                .map_or(ASKS_PER_MINUTE, |most| usize::try_from(most).unwrap_or(usize::MAX)),
            question_tokens: keys.max_question_tokens,
            process_tokens: keys.max_process_tokens,
            question_cost: keys.max_question_cost,
            process_cost: keys.max_process_cost,
        })
    }
}
