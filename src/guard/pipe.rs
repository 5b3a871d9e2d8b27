//! Sends an approved statement to the TUDB process that runs it.
//!
//! Only the guard can build an [`ApprovedSql`]. A statement for SQLite is approved in the server and runs in a child
//! process of the same binary. The child's standard input is a pipe that only the server can write to. So a statement
//! read from the pipe was approved before, and is not parsed again. The two functions are only for the two ends of this
//! pipe.

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::{ApprovedSql, Names};

#[derive(Serialize, Deserialize)]
struct Crossing<'a> {
    text: std::borrow::Cow<'a, str>,
    explain: bool,
    names: std::borrow::Cow<'a, Names>,
}

impl ApprovedSql {
    /// The statement and its names, as JSON for the pipe.
    ///
    /// # Errors
    ///
    /// None occur with these types.
    pub(crate) fn to_pipe(&self) -> Result<Box<RawValue>, serde_json::Error> {
        use std::borrow::Cow::Borrowed;
        to_raw_value(&Crossing { text: Borrowed(&self.text), explain: self.explain, names: Borrowed(&self.names) })
    }

    /// Reads the output of [`ApprovedSql::to_pipe`].
    ///
    /// # Errors
    ///
    /// The text is not the output of [`ApprovedSql::to_pipe`].
    pub(crate) fn from_pipe(sent: &RawValue) -> Result<Self, serde_json::Error> {
        let sent: Crossing<'static> = serde_json::from_str(sent.get())?;
        Ok(ApprovedSql {
            text: sent.text.into_owned(),
            explain: sent.explain,
            has_parameters: false,
            names: sent.names.into_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::dialect::Dialect;
    use crate::guard::{ApprovedSql, approve};
    use crate::limits::Limits;

    #[test]
    fn a_statement_comes_out_as_it_went_in() {
        for sql in [
            "SELECT 1",
            "WITH c AS (SELECT u.*, email AS e FROM users u JOIN t USING (id)) SELECT lower(e), \"né\" FROM c ORDER BY 1",
            "EXPLAIN SELECT name, * FROM users WHERE a->>'b' = 'x''y'\n -- end",
        ] {
            let approved = approve(sql, Dialect::Sqlite, &Limits::default()).unwrap();
            assert_eq!(ApprovedSql::from_pipe(&approved.to_pipe().unwrap()).unwrap(), approved);
        }
        let other = serde_json::value::to_raw_value(&"SELECT 1").unwrap();
        assert!(ApprovedSql::from_pipe(&other).is_err());
    }
}
