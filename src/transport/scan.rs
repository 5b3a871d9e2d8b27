//! Scans a line's bytes before the line is parsed: counts its JSON values, and finds the request's id. A few bytes of
//! JSON become an object of a hundred bytes in memory, so a limit on a line's length does not bound its memory.

use rmcp::model::RequestId;

/// Where the scan stands in the outermost object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Key,
    Value,
}

/// Scans a line in parts. It accepts any bytes, and keeps only a few of them, whatever the line's length is.
pub(super) struct Scan {
    max_id_bytes: usize,
    depth: usize,
    in_string: bool,
    is_escaped: bool,
    place: Place,
    /// The last key that was read in the outermost object, with its quotes, truncated.
    key: Vec<u8>,
    /// The JSON of the request's id, truncated one byte after the limit.
    id: Vec<u8>,
    /// The number of arrays, objects and commas. It is at least half the number of values.
    pub(super) values: usize,
}

const ID: &[u8] = b"\"id\"";

impl Scan {
    pub(super) fn new(max_id_bytes: usize) -> Self {
        Scan {
            max_id_bytes,
            depth: 0,
            in_string: false,
            is_escaped: false,
            place: Place::Key,
            key: Vec::new(),
            id: Vec::new(),
            values: 0,
        }
    }

    /// The scan of a whole line.
    pub(super) fn of(line: &[u8], max_id_bytes: usize) -> Self {
        let mut scan = Scan::new(max_id_bytes);
        scan.read(line);
        scan
    }

    pub(super) fn read(&mut self, part: &[u8]) {
        part.iter().for_each(|byte| self.take(*byte));
    }

    fn take(&mut self, byte: u8) {
        if self.in_string {
            let was_escaped = std::mem::take(&mut self.is_escaped);
            match byte {
                _ if was_escaped => {}
                b'\\' => self.is_escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => {
                    self.depth += 1;
                    self.values += 1;
                    return;
                }
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    return;
                }
                b',' => {
                    self.values += 1;
                    if self.depth == 1 {
                        self.place = Place::Key;
                        self.key.clear();
                    }
                    return;
                }
                b':' if self.depth == 1 => {
                    self.place = Place::Value;
                    return;
                }
                b' ' | b'\t' | b'\r' => return,
                _ => {}
            }
        }
        if self.depth == 1 {
            match self.place {
                Place::Key if self.key.len() <= ID.len() => self.key.push(byte),
                Place::Value if self.key == ID && self.id.len() <= self.max_id_bytes => self.id.push(byte),
                Place::Key | Place::Value => {}
            }
        }
    }

    pub(super) fn id_is_long(&self) -> bool {
        self.id.len() > self.max_id_bytes
    }

    /// The id, when there is one and it is within its limit.
    pub(super) fn id(&self) -> Option<RequestId> {
        if self.id_is_long() { None } else { serde_json::from_slice(&self.id).ok() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(line: &str) -> Option<RequestId> {
        let whole = Scan::of(line.as_bytes(), 20).id();
        let mut parts = Scan::new(20);
        line.as_bytes().chunks(1).for_each(|part| parts.read(part));
        assert_eq!(whole, parts.id(), "{line}");
        whole
    }

    #[test]
    fn the_id_is_found_wherever_it_stands() {
        let text = |text: &str| Some(RequestId::String(text.into()));
        assert_eq!(id(r#"{"id":7,"method":"ping"}"#), Some(RequestId::Number(7)));
        assert_eq!(id("{ \"method\" : \"id\", \"id\" :\t-7 }"), Some(RequestId::Number(-7)));
        assert_eq!(id(r#"{"params":{"id":1,"x":[{"id":2}]},"id":"a, \"b\"}"}"#), text("a, \"b\"}"));
        assert_eq!(id(r#"{"a":"\\","id":"b"}"#), text("b"));
        assert_eq!(id(r#"{"id":"aaaaaaaaaaaaaaaaaa"}"#), text("aaaaaaaaaaaaaaaaaa"));
        for none in [
            r#"{"params":{"id":1}}"#,
            r#"{"a":"\",\"id\":7"}"#,
            r#"{"id":{"id":1}}"#,
            r#"{"id":1.5}"#,
            r#"{"id":null}"#,
            r#"{"idx":1}"#,
            r#"["id",1]"#,
            r#""id":7"#,
            "}}}{,:",
            "",
        ] {
            assert_eq!(id(none), None, "{none}");
        }
    }

    #[test]
    fn a_long_id_is_told_and_not_kept() {
        let line = format!(r#"{{"id":"{}","{}":1}}"#, "y".repeat(1_000_000), "k".repeat(1_000_000));
        let scan = Scan::of(line.as_bytes(), 20);
        assert!(scan.id_is_long());
        assert_eq!((scan.id(), scan.id.len()), (None, 21));
        assert!(scan.key.len() <= ID.len() + 1);
    }

    #[test]
    fn values_are_counted_outside_of_texts() {
        let values = |line: &str| Scan::of(line.as_bytes(), 20).values;
        assert_eq!(values(r#"{"a":"[[[,,,","b":1}"#), 2);
        assert_eq!(values(&format!("[{}0]", "0,".repeat(999))), 1_000);
        assert_eq!(values(&"[".repeat(500)), 500);
    }
}
