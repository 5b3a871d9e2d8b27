//! Converts JSON to the AWS SDK's document type and back. Every value can be converted.

use aws_smithy_types::{Document, Number};
use serde_json::Value;

pub(super) fn from_json(value: &Value) -> Document {
    match value {
        Value::Null => Document::Null,
        Value::Bool(value) => Document::Bool(*value),
        Value::Number(number) => Document::Number(if let Some(positive) = number.as_u64() {
            Number::PosInt(positive)
        } else if let Some(negative) = number.as_i64() {
            Number::NegInt(negative)
        } else {
            Number::Float(number.as_f64().unwrap_or(0.0))
        }),
        Value::String(text) => Document::String(text.clone()),
        Value::Array(items) => Document::Array(items.iter().map(from_json).collect()),
        Value::Object(fields) => {
            Document::Object(fields.iter().map(|(name, value)| (name.clone(), from_json(value))).collect())
        }
    }
}

pub(super) fn to_json(document: &Document) -> Value {
    match document {
        Document::Null => Value::Null,
        Document::Bool(value) => Value::Bool(*value),
        Document::Number(Number::PosInt(number)) => Value::from(*number),
        Document::Number(Number::NegInt(number)) => Value::from(*number),
        Document::Number(Number::Float(number)) => Value::from(*number),
        Document::String(text) => Value::String(text.clone()),
        Document::Array(items) => Value::Array(items.iter().map(to_json).collect()),
        Document::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), to_json(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_survives_both_ways() {
        let value = serde_json::json!({"a": [1, -2, 1.5, null, true, "x"], "b": {}});
        assert_eq!(to_json(&from_json(&value)), value);
    }
}
