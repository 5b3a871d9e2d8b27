//! Enforces the limits of `ask_database`: questions per minute, and tokens and cost per question and per process.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::answer::Receipt;
use crate::config::{Price, SpendingLimits};
use crate::error::{Code, ToolError};
use crate::model::Usage;

/// The limits, and what the process has used so far.
#[derive(Debug)]
pub(super) struct Spending {
    limits: SpendingLimits,
    /// Price of the configured model. Without a price, money is not counted.
    price: Option<Price>,
    state: Mutex<State>,
}

/// What the process has used so far.
#[derive(Debug, Default)]
struct State {
    /// Times of the questions within the last minute. `admit` removes older times.
    asked: VecDeque<Instant>,
    tokens: u64,
    cost: f64,
}

impl Spending {
    pub(super) fn new(limits: SpendingLimits, price: Option<Price>) -> Self {
        Spending { limits, price, state: Mutex::default() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn price(&self) -> Option<Price> {
        self.price
    }

    /// Counts a question against the limit of questions per minute.
    ///
    /// # Errors
    ///
    /// `rate_limited`, with the seconds to wait in the hint.
    pub(super) fn admit(&self) -> Result<(), ToolError> {
        const WINDOW: Duration = Duration::from_secs(60);
        let most = self.limits.asks_per_minute;
        let mut state = self.state();
        while state.asked.front().is_some_and(|at| at.elapsed() >= WINDOW) {
            state.asked.pop_front();
        }
        if state.asked.len() >= most {
            let wait = state.asked.front().map_or(0, |at| WINDOW.saturating_sub(at.elapsed()).as_secs() + 1);
            return Err(ToolError::new(Code::RateLimited, format!("more than {most} questions in a minute"))
                .hint(format!("Ask again in {wait} s; limits.max_asks_per_minute sets the limit.")));
        }
        state.asked.push_back(Instant::now());
        Ok(())
    }

    /// Adds the token usage of one model turn.
    pub(super) fn add(&self, usage: Usage) {
        let mut state = self.state();
        state.tokens = state.tokens.saturating_add(usage.tokens());
        state.cost += self.price.map_or(0.0, |price| usage.cost(&price));
    }

    /// Checks that the model may be called again for this question.
    ///
    /// # Errors
    ///
    /// `rate_limited` if a limit is reached. The message names the limit.
    pub(super) fn check(&self, receipt: &Receipt) -> Result<(), ToolError> {
        let question = receipt.usage.tokens();
        let cost = self.price.map_or(0.0, |price| receipt.usage.cost(&price));
        let state = self.state();
        let over = |name: &str, what: String| {
            Err(ToolError::new(Code::RateLimited, format!("{what}; limits.{name} is reached"))
                .hint(format!("Raise limits.{name}, or ask for less; the other four tools work.")))
        };
        match &self.limits {
            limits if limits.question_tokens.is_some_and(|most| question >= most) => {
                over("max_question_tokens", format!("the question has used {question} tokens"))
            }
            limits if limits.process_tokens.is_some_and(|most| state.tokens >= most) => {
                over("max_process_tokens", format!("this process has used {} tokens", state.tokens))
            }
            limits if limits.question_cost.is_some_and(|most| cost >= most) => {
                over("max_question_cost", format!("the question has cost {cost:.4}"))
            }
            limits if limits.process_cost.is_some_and(|most| state.cost >= most) => {
                over("max_process_cost", format!("this process has spent {:.4}", state.cost))
            }
            _ => Ok(()),
        }
    }
}
