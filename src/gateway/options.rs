//! What one read may take, from the source's limits and the call's wishes, and on whose behalf it runs.

use crate::config::SourceConfig;
use crate::database::result_set::{Budget, Format};
use crate::database::{Identity, ReadOptions};
use crate::error::{Code, ToolError};
use crate::limits::Limits;

use super::Caller;

/// The rows a call may have.
///
/// # Errors
///
/// `invalid_argument`, naming the bound.
pub fn wanted_rows(wanted: Option<u64>, limits: &Limits) -> Result<u64, ToolError> {
    let ceiling = limits.max_rows_ceiling;
    match wanted {
        None => Ok(limits.max_rows),
        Some(rows) if (1..=ceiling).contains(&rows) => Ok(rows),
        Some(_) => Err(ToolError::invalid(format!("max_rows must be from 1 to {ceiling}"))),
    }
}

/// The user that statements run for, where the source has a rule about users.
///
/// # Errors
///
/// `user_required` without a user's id, `invalid_argument` for one that cannot be one.
pub fn user(source: &SourceConfig, user_id: Option<&str>) -> Result<Option<Identity>, ToolError> {
    // Where there is no rule, the id stands in the record.
    if user_id.is_some_and(|id| id.contains('\0') || id.len() > source.limits.max_text_bytes) {
        let limit = source.limits.max_text_bytes;
        return Err(ToolError::invalid(format!("user_id may have {limit} bytes and no NUL")));
    }
    let Some(rule) = &source.user else { return Ok(None) };
    match user_id.filter(|id| !id.is_empty()) {
        None => Err(ToolError::new(Code::UserRequired, format!("source {} is read on behalf of a user", source.name))
            .hint("Call again with user_id.")),
        Some(id) => Ok(Some(Identity { role: rule.role.clone(), claims: Some(rule.claims_of(id)) })),
    }
}

pub(super) fn read_options(
    caller: &Caller,
    source: &SourceConfig,
    format: Format,
    max_rows: u64,
    reserved_bytes: usize,
) -> ReadOptions {
    let limits = &source.limits;
    ReadOptions {
        format,
        budget: Budget {
            max_rows,
            max_reply_bytes: limits.max_reply_bytes,
            max_cell_bytes: limits.max_cell_bytes,
            reserved_bytes,
        },
        max_rows_ceiling: limits.max_rows_ceiling,
        timeout: limits.statement_timeout(),
        deadline: caller.deadline,
        cancel: caller.cancel.clone(),
        // The catalog is read as any of the users would see it.
        identity: source.user.as_ref().map(|rule| Identity { role: rule.role.clone(), claims: None }),
        stage: caller.stage.clone(),
    }
}

pub(super) fn plain_options(caller: &Caller, source: &SourceConfig) -> ReadOptions {
    read_options(caller, source, Format::Json, source.limits.max_rows, 0)
}
