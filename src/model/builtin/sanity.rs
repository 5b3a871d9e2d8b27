//! Finds queries that run and cannot be what was asked: their result would be the same whatever the rows are.

use super::schema::{At, Schema};
use super::sql::{Condition, Expr, Select};
use super::words::Op;

/// Returns why a query makes no sense.
pub(super) fn nonsense(select: &Select, schema: Schema) -> Option<&'static str> {
    let counts_rows = select.columns.iter().map(|(expr, _)| expr).chain(select.order.iter().map(|(expr, _)| expr));
    if counts_rows.clone().any(|expr| *expr == Expr::Count)
        && select.group.iter().any(|key| is_one_row(key, select, schema))
    {
        return Some("each group would be one row");
    }
    let fixed = |at: At| {
        select
            .conditions
            .iter()
            .any(|condition| matches!(condition, Condition::Compare(Expr::Column(of), Op::Eq, _) if *of == at))
    };
    if counts_rows.clone().any(|expr| matches!(expr, Expr::CountDistinct(at) if fixed(*at))) {
        return Some("the values of a column with one value would be counted");
    }
    None
}

/// Whether a group key is the primary key of the table whose rows are counted.
fn is_one_row(key: &Expr, select: &Select, schema: Schema) -> bool {
    let Expr::Column(at) = key else { return false };
    let keys = &schema.table(at.0).primary_key;
    at.0 == select.root && matches!(keys.as_slice(), [only] if *only == schema.column(*at).name)
}
