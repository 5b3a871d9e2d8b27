//! Sets and removes one entry of a configuration file, and keeps the rest of its text: other entries, comments, layout.

use std::collections::BTreeMap;
use std::str::FromStr;

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstRootNode};
use serde_json::Value;
use toml_edit::{DocumentMut, Item, Table};
use yaml_edit::{Document, YamlValue};

/// The format of a configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// JSON, with comments and trailing commas where the file has them.
    Json,
    Toml,
    Yaml,
}

/// Returns `text` with the entry `name` of `section` set to `entry`, or removed when `entry` is `None`. An empty text
/// is a file without entries.
///
/// # Errors
///
/// One sentence that says why the text cannot be changed, with the place of the mistake if there is one.
pub(super) fn edit(
    format: Format,
    text: &str,
    section: &str,
    name: &str,
    entry: Option<&Value>,
) -> Result<String, String> {
    match format {
        Format::Json => json(text, section, name, entry),
        Format::Toml => toml(text, section, name, entry),
        Format::Yaml => yaml(text, section, name, entry),
    }
}

fn json(text: &str, section: &str, name: &str, entry: Option<&Value>) -> Result<String, String> {
    // What editors accept: comments and trailing commas, but nothing else beside JSON.
    let options = ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let (mark, body) = text.strip_prefix('\u{feff}').map_or(("", text), |body| ("\u{feff}", body));
    let root = CstRootNode::parse(body, &options).map_err(|error| format!("it is not JSON: {error}"))?;
    let object = root.object_value_or_create().ok_or("its JSON is not an object")?;
    if let Some(entry) = entry {
        let entries =
            object.object_value_or_create(section).ok_or_else(|| format!("its `{section}` is not an object"))?;
        match entries.get(name) {
            Some(old) => old.set_value(json_value(entry)),
            None => _ = entries.append(name, json_value(entry)),
        }
    } else if let Some(old) = object.object_value(section).and_then(|entries| entries.get(name)) {
        old.remove();
    } else {
        return Ok(text.to_owned());
    }
    let edited = root.to_string();
    let end = if text.is_empty() && !edited.ends_with('\n') { "\n" } else { "" };
    Ok(format!("{mark}{edited}{end}"))
}

fn json_value(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(bool) => CstInputValue::Bool(*bool),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(values) => CstInputValue::Array(values.iter().map(json_value).collect()),
        Value::Object(fields) => {
            CstInputValue::Object(fields.iter().map(|(name, value)| (name.clone(), json_value(value))).collect())
        }
    }
}

fn toml(text: &str, section: &str, name: &str, entry: Option<&Value>) -> Result<String, String> {
    let mut document =
        text.parse::<DocumentMut>().map_err(|error| format!("it is not TOML: {}", error.to_string().trim()))?;
    if let Some(entry) = entry {
        let mut made = Table::new();
        for (key, value) in entry.as_object().into_iter().flatten() {
            let is_empty = value.as_object().is_some_and(serde_json::Map::is_empty);
            if let (Some(value), false) = (toml_value(value), is_empty) {
                made.insert(key, Item::Value(value));
            }
        }
        let mut empty = Table::new();
        empty.set_implicit(true);
        let entries = document
            .entry(section)
            .or_insert(Item::Table(empty))
            .as_table_like_mut()
            .ok_or_else(|| format!("its `{section}` is not a table"))?;
        entries.insert(name, Item::Table(made));
    } else if let Some(entries) = document.get_mut(section).and_then(Item::as_table_like_mut) {
        entries.remove(name);
    }
    Ok(document.to_string())
}

fn toml_value(value: &Value) -> Option<toml_edit::Value> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(bool) => (*bool).into(),
        Value::Number(number) => number.as_i64()?.into(),
        Value::String(text) => text.as_str().into(),
        Value::Array(values) => toml_edit::Value::Array(values.iter().filter_map(toml_value).collect()),
        Value::Object(fields) => toml_edit::Value::InlineTable(
            fields.iter().filter_map(|(name, value)| Some((name.as_str(), toml_value(value)?))).collect(),
        ),
    })
}

fn yaml(text: &str, section: &str, name: &str, entry: Option<&Value>) -> Result<String, String> {
    let is_empty = text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
    if is_empty {
        let Some(entry) = entry else { return Ok(text.to_owned()) };
        let document = Document::new_mapping();
        document.set(section, BTreeMap::from([(name.to_owned(), yaml_value(entry))]));
        return Ok(format!("{text}{}\n", document.to_string().trim_end()));
    }
    let document = Document::from_str(text).map_err(|error| format!("it is not YAML: {error}"))?;
    let mapping = document.as_mapping().ok_or("its YAML is not a mapping")?;
    match (entry, mapping.get_mapping(section)) {
        (Some(entry), Some(entries)) => entries.set(name, yaml_value(entry)),
        (Some(_), None) if mapping.contains_key(section) => return Err(format!("its `{section}` is not a mapping")),
        (Some(entry), None) => mapping.set(section, BTreeMap::from([(name.to_owned(), yaml_value(entry))])),
        (None, Some(entries)) => _ = entries.remove(name),
        (None, None) => {}
    }
    let edited = document.to_string();
    // The library edits the text in place. A mistake of it must not reach a file. Only a section in braces is one line.
    let is_kept = |line: &&str| !line.trim().is_empty() && !line.starts_with(&format!("{section}: {{"));
    let mut lines = edited.lines();
    let is_new = entry.is_some() && !text.contains(&format!("{name}:"));
    if is_new && !text.lines().filter(is_kept).all(|line| lines.any(|other| other == line)) {
        return Err("the entry cannot be added without changing other lines".to_owned());
    }
    Document::from_str(&edited).map_err(|error| format!("the edited text is not YAML: {error}"))?;
    Ok(edited)
}

fn yaml_value(value: &Value) -> YamlValue {
    match value {
        Value::Null => YamlValue::from(""),
        Value::Bool(bool) => YamlValue::from(*bool),
        Value::Number(number) => YamlValue::from(number.as_i64().unwrap_or_default()),
        Value::String(text) => YamlValue::from(text.as_str()),
        Value::Array(values) => YamlValue::Sequence(values.iter().map(yaml_value).collect()),
        Value::Object(fields) => {
            YamlValue::Mapping(fields.iter().map(|(name, value)| (name.clone(), yaml_value(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry() -> Value {
        json!({"command": "/usr/bin/tudb", "args": ["serve"], "env": {"TUDB_DATABASE_URL": "postgres://a@b/c?x=1#y"}})
    }

    fn set(format: Format, text: &str) -> String {
        edit(format, text, "servers", "tudb", Some(&entry())).unwrap()
    }

    fn removed(format: Format, text: &str) -> String {
        edit(format, text, "servers", "tudb", None).unwrap()
    }

    #[test]
    fn json_keeps_comments_order_and_other_entries() {
        let text = "// mine\n{\n  \"theme\": \"dark\", // keep\n  \"servers\": {\n    \"other\": {\"command\": \"x\"}, /* y */\n  },\n}\n";
        let edited = set(Format::Json, text);
        for part in ["// mine", "\"dark\", // keep", "/* y */", "\"other\": {\"command\": \"x\"}", "/usr/bin/tudb"] {
            assert!(edited.contains(part), "{part}: {edited}");
        }
        assert_eq!(set(Format::Json, &edited), edited);
        assert!(!removed(Format::Json, &edited).contains("/usr/bin/tudb"));
        let made: Value = serde_json::from_str(&set(Format::Json, "")).unwrap();
        assert_eq!(made, json!({"servers": {"tudb": entry()}}));
        for bare in ["{}", "{\"servers\": {}}", "{\"a\": [1, 2]}", "\u{feff}{\r\n\t\"a\": 1\r\n}\r\n"] {
            let edited = set(Format::Json, bare);
            let value: Value = serde_json::from_str(edited.trim_start_matches('\u{feff}')).unwrap();
            assert_eq!(value["servers"]["tudb"], entry(), "{edited}");
        }
        for broken in ["{", "[1]", "{\"servers\": 3}", "{\"a\": 1} x", "{'a': 1}"] {
            assert!(edit(Format::Json, broken, "servers", "tudb", Some(&entry())).is_err(), "{broken}");
        }
    }

    #[test]
    fn toml_keeps_comments_order_and_other_entries() {
        let text = "# mine\nmodel = \"m\" # keep\n\n[servers.other]\ncommand = \"x\"\n\n[profile]\na = 1\n";
        let edited = set(Format::Toml, text);
        for part in
            ["# mine\nmodel = \"m\" # keep", "[servers.other]\ncommand = \"x\"", "[servers.tudb]\n", "[profile]"]
        {
            assert!(edited.contains(part), "{part}: {edited}");
        }
        assert_eq!(set(Format::Toml, &edited), edited);
        assert_eq!(removed(Format::Toml, &edited), text);
        for text in ["", "servers = {}\n", "[servers]\n"] {
            let value: toml::Value = toml::from_str(&set(Format::Toml, text)).unwrap();
            assert_eq!(value["servers"]["tudb"]["env"]["TUDB_DATABASE_URL"].as_str(), Some("postgres://a@b/c?x=1#y"));
        }
        for broken in ["a = ", "servers = 3\n"] {
            assert!(edit(Format::Toml, broken, "servers", "tudb", Some(&entry())).is_err(), "{broken}");
        }
    }

    #[test]
    fn yaml_keeps_comments_order_and_other_entries() {
        let text =
            "# mine\nversion: 1.2.1 # keep\nservers:\n  other:\n    command: x\n    args:\n      - -y\n\ncache: true\n";
        let edited = set(Format::Yaml, text);
        for part in [
            "# mine\nversion: 1.2.1 # keep",
            "  other:\n    command: x\n    args:\n      - -y\n",
            "  tudb:\n",
            "cache: true",
        ] {
            assert!(edited.contains(part), "{part}: {edited}");
        }
        let read = |text: &str| {
            let document = Document::from_str(text).unwrap();
            let tudb = document.get_mapping("servers").unwrap().get_mapping("tudb").unwrap();
            let url = tudb.get_mapping("env").unwrap().get("TUDB_DATABASE_URL").unwrap();
            (tudb.get("command").unwrap().to_string(), url.to_string().trim_matches(['"', '\'']).to_owned())
        };
        let expected = ("/usr/bin/tudb".to_owned(), "postgres://a@b/c?x=1#y".to_owned());
        assert_eq!(read(&edited), expected);
        assert_eq!(read(&set(Format::Yaml, &edited)), expected);
        assert!(!removed(Format::Yaml, &edited).contains("tudb"));
        for text in ["", "# only a comment\n", "a: 1\n", "servers:\n  b:\n    c: d\n", "a: 1\nservers: {}\n"] {
            assert_eq!(read(&set(Format::Yaml, text)), expected, "{text:?}: {}", set(Format::Yaml, text));
        }
        for broken in ["- a\n", "servers: 3\n"] {
            assert!(edit(Format::Yaml, broken, "servers", "tudb", Some(&entry())).is_err(), "{broken}");
        }
    }
}
