//! The limits of one read, from the source's settings and the call's arguments, and the user on whose behalf the read
//! runs.

use crate::config::SourceConfig;
use crate::database::result_set::{Budget, Format};
use crate::database::{Identity, ReadOptions};
use crate::error::{Code, ToolError};
use crate::limits::Limits;

use super::Caller;

/// Returns the row limit of a call: the number that it asks for, or the source's default.
///
/// # Errors
///
/// `invalid_argument` with the allowed range.
pub fn wanted_rows(wanted: Option<u64>, limits: &Limits) -> Result<u64, ToolError> {
    let ceiling = limits.max_rows_ceiling;
    match wanted {
        None => Ok(limits.max_rows),
        Some(rows) if (1..=ceiling).contains(&rows) => Ok(rows),
        Some(_) => Err(ToolError::invalid(format!("max_rows must be from 1 to {ceiling}"))),
    }
}

/// Returns the user that statements run for. `None` if the source has no rule about users.
///
/// # Errors
///
/// `user_required` if the id is missing or empty, `invalid_argument` if it is too long or contains NUL.
pub fn user(source: &SourceConfig, user_id: Option<&str>) -> Result<Option<Identity>, ToolError> {
    // The id is checked even if the source has no rule about users, because the id is written to the record.
    if user_id.is_some_and(|id| id.contains('\0') || id.len() > source.limits.max_text_bytes) {
        let limit = source.limits.max_text_bytes;
        return Err(ToolError::invalid(format!("user_id must have at most {limit} bytes and no NUL")));
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
        // The catalog is read in the role of the users, without the claims of any one user.
        identity: source.user.as_ref().map(|rule| Identity { role: rule.role.clone(), claims: None }),
        stage: caller.stage.clone(),
    }
}

pub(super) fn plain_options(caller: &Caller, source: &SourceConfig) -> ReadOptions {
    read_options(caller, source, Format::Json, source.limits.max_rows, 0)
}
