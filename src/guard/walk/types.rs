//! The part of the walk that reads types. Pure.

use sqlparser::ast::*;

use super::{Walk, Walked, object_type_refusal};
use crate::guard::Rejection;

impl Walk<'_> {
    /// Walks a type name, for example in a cast or in the columns of an alias. A conversion of a text runs the type's
    /// input function and the checks of a domain. So the name is recorded, and the engine looks it up in the catalog.
    /// Types that look up objects by name are refused, except for harmless ones.
    pub(super) fn data_type(&mut self, data_type: &DataType) -> Walked {
        use DataType::*;
        match data_type {
            Custom(name, _) => {
                if let Some(bare) = self.parts(name)?.pop() {
                    object_type_refusal(&bare)?;
                    self.cast_types.insert(bare.clone());
                    self.types.insert(bare);
                }
                Ok(())
            }
            Array(
                ArrayElemTypeDef::AngleBracket(inner)
                | ArrayElemTypeDef::SquareBracket(inner, _)
                | ArrayElemTypeDef::Parenthesis(inner)
                | ArrayElemTypeDef::Qualified(inner, _),
            ) => self.data_type(inner),
            Character(..)
            | Char(..)
            | CharacterVarying(..)
            | CharVarying(..)
            | Varchar(..)
            | Nvarchar(..)
            | Uuid
            | CharacterLargeObject(..)
            | CharLargeObject(..)
            | Clob(..)
            | Binary(..)
            | Varbinary(..)
            | Blob(..)
            | TinyBlob
            | MediumBlob
            | LongBlob
            | Bytes(..)
            | Numeric(..)
            | Decimal(..)
            | DecimalUnsigned(..)
            | BigNumeric(..)
            | BigDecimal(..)
            | Dec(..)
            | DecUnsigned(..)
            | Float(..)
            | FloatUnsigned(..)
            | TinyInt(..)
            | TinyIntUnsigned(..)
            | UTinyInt
            | Int2(..)
            | Int2Unsigned(..)
            | SmallInt(..)
            | SmallIntUnsigned(..)
            | USmallInt
            | MediumInt(..)
            | MediumIntUnsigned(..)
            | Int(..)
            | Int4(..)
            | Int8(..)
            | Int16
            | Int32
            | Int64
            | Int128
            | Int256
            | Integer(..)
            | IntUnsigned(..)
            | Int4Unsigned(..)
            | IntegerUnsigned(..)
            | HugeInt
            | UHugeInt
            | UInt8
            | UInt16
            | UInt32
            | UInt64
            | UInt128
            | UInt256
            | BigInt(..)
            | BigIntUnsigned(..)
            | UBigInt
            | Int8Unsigned(..)
            | Signed
            | SignedInteger
            | Unsigned
            | UnsignedInteger
            | Float4
            | Float32
            | Float64
            | Real
            | RealUnsigned
            | Float8
            | Double(..)
            | DoubleUnsigned(..)
            | DoublePrecision
            | DoublePrecisionUnsigned
            | Bool
            | Boolean
            | Date
            | Date32
            | Time(..)
            | Datetime(..)
            | Datetime64(..)
            | Timestamp(..)
            | TimestampNtz(..)
            | Interval { .. }
            | JSON
            | JSONB
            | Regclass
            | Text
            | TinyText
            | MediumText
            | LongText
            | String(..)
            | FixedString(..)
            | Bytea
            | Bit(..)
            | BitVarying(..)
            | VarBit(..)
            | GeometricType(..)
            | TsVector
            | TsQuery => {
                // A type keyword of another dialect may be the name of a user's type in this database. The first word of the
                // keyword is that name.
                let words = data_type.to_string().to_lowercase();
                let word = words.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
                self.cast_types.insert(word.to_owned());
                self.types.insert(word.to_owned());
                Ok(())
            }
            Array(ArrayElemTypeDef::None)
            | Table(_)
            | NamedTable { .. }
            | Map(..)
            | Tuple(_)
            | Nested(_)
            | Enum(..)
            | Set(_)
            | Struct(..)
            | Union(_)
            | Nullable(_)
            | LowCardinality(_)
            | Unspecified
            | Trigger
            | AnyType => Err(Rejection::clause("a type of another SQL dialect")),
        }
    }
}
