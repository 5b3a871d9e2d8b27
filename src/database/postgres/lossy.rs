//! Decodes texts that may not be valid UTF-8. If a database has the encoding SQL_ASCII, its server sends the stored
//! bytes without conversion.

use sqlx::error::BoxDynError;
use sqlx::postgres::{PgHasArrayType, PgRow, PgTypeInfo, PgValueRef};
use sqlx::{ColumnIndex, Postgres, Row};

/// A text in which invalid UTF-8 is replaced by U+FFFD.
pub(super) struct Lossy(pub(super) String);

impl sqlx::Type<Postgres> for Lossy {
    fn type_info() -> PgTypeInfo {
        <String as sqlx::Type<Postgres>>::type_info()
    }

    fn compatible(ty: &PgTypeInfo) -> bool {
        <String as sqlx::Type<Postgres>>::compatible(ty)
    }
}

impl PgHasArrayType for Lossy {
    fn array_type_info() -> PgTypeInfo {
        <String as PgHasArrayType>::array_type_info()
    }

    fn array_compatible(ty: &PgTypeInfo) -> bool {
        <String as PgHasArrayType>::array_compatible(ty)
    }
}

impl<'r> sqlx::Decode<'r, Postgres> for Lossy {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        Ok(Lossy(String::from_utf8_lossy(value.as_bytes()?).into_owned()))
    }
}

/// Returns the text in a column of a row.
///
/// # Errors
///
/// If the value is NULL, or the row has no such column of a text type.
pub(super) fn text(row: &PgRow, column: impl ColumnIndex<PgRow>) -> Result<String, sqlx::Error> {
    row.try_get::<Lossy, _>(column).map(|text| text.0)
}

/// Returns the elements of a text array in a column of a row. Elements that are NULL are left out.
///
/// # Errors
///
/// If the value is NULL, or the row has no such column of a text array type.
pub(super) fn texts(row: &PgRow, column: impl ColumnIndex<PgRow>) -> Result<Vec<String>, sqlx::Error> {
    let texts: Vec<Option<Lossy>> = row.try_get(column)?;
    Ok(texts.into_iter().flatten().map(|text| text.0).collect())
}
