//! The snapshot as the engine uses it: what a column contains, and which columns stand for a row.
//!
//! Positions (`t`, `c`) come from the snapshot. A position out of range behaves like an empty table.

use std::sync::LazyLock;

use super::text::name_words;
use crate::database::catalog::{Column, Snapshot, Synonym, TableDescription, TableKind};

static NO_TABLE: LazyLock<TableDescription> = LazyLock::new(|| TableDescription::new(String::new(), TableKind::Table));

static NO_COLUMN: LazyLock<Column> = LazyLock::new(|| Column::new(String::new(), "".into()));

/// A column: the position of its table, and its position in the table.
pub(super) type At = (usize, usize);

/// What a column can be computed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Number,
    /// Text whose known values are all numbers: needs a cast.
    NumberAsText,
    Date,
    /// Dates kept as text, as SQLite does.
    DateAsText,
    Bool,
    Text,
    Other,
}

#[derive(Clone, Copy)]
pub(super) struct Schema<'a> {
    tables: &'a [TableDescription],
    /// The guessed primary keys; empty if the database declares keys.
    keys: &'a [Vec<String>],
    synonyms: &'a [Synonym],
}

impl<'a> Schema<'a> {
    pub fn new(snapshot: &'a Snapshot) -> Self {
        Self { tables: &snapshot.tables, keys: &[], synonyms: &snapshot.synonyms }
    }

    /// `keys` are those of [`super::keys::guessed`]. They are kept apart, because a copy of the snapshot would take its memory
    /// twice.
    pub fn with_keys(snapshot: &'a Snapshot, keys: &'a [Vec<String>]) -> Self {
        Self { tables: &snapshot.tables, keys, synonyms: &snapshot.synonyms }
    }

    /// Other names of tables and columns, from the context file.
    pub fn synonyms(&self) -> &'a [Synonym] {
        self.synonyms
    }

    /// The columns of the table's primary key, declared or guessed.
    pub fn primary_key(&self, t: usize) -> &'a [String] {
        self.keys.get(t).map_or(&self.table(t).primary_key, |key| key)
    }

    pub fn tables(&self) -> &'a [TableDescription] {
        self.tables
    }

    pub fn table(&self, t: usize) -> &'a TableDescription {
        self.tables.get(t).unwrap_or(&NO_TABLE)
    }

    pub fn column(&self, (t, c): At) -> &'a Column {
        self.table(t).columns.get(c).unwrap_or(&NO_COLUMN)
    }

    pub fn columns(&self, t: usize) -> impl Iterator<Item = (At, &'a Column)> + use<'a> {
        self.table(t).columns.iter().enumerate().map(move |(c, column)| ((t, c), column))
    }

    pub fn find(&self, t: usize, name: &str) -> Option<At> {
        self.table(t).columns.iter().position(|column| column.name.eq_ignore_ascii_case(name)).map(|c| (t, c))
    }

    /// The name without its schema, and without a prefix that says that it is a table.
    pub fn bare(&self, t: usize) -> &'a str {
        let name = &self.table(t).name;
        let bare = name.split_once('.').map_or(name.as_str(), |(_, bare)| bare);
        let prefix = ["tbl_", "tb_", "t_", "tbl"].iter().find(|prefix| {
            let rest = bare.get(prefix.len()..).unwrap_or_default();
            let begins = bare.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
            begins && rest.starts_with(if prefix.ends_with('_') { char::is_alphabetic } else { char::is_uppercase })
        });
        prefix.and_then(|prefix| bare.get(prefix.len()..)).unwrap_or(bare)
    }

    pub fn is_view(&self, t: usize) -> bool {
        matches!(self.table(t).kind, TableKind::View | TableKind::MaterializedView)
    }

    pub fn is_key(&self, at: At) -> bool {
        let table = self.table(at.0);
        let name = &self.column(at).name;
        self.primary_key(at.0).contains(name) || table.foreign_keys.iter().any(|key| key.columns.contains(name))
    }

    /// True for a column that refers to another table.
    pub fn is_foreign(&self, at: At) -> bool {
        let name = &self.column(at).name;
        self.table(at.0).foreign_keys.iter().any(|key| key.columns.contains(name))
    }

    /// True for a column that stands for a row but is only a part of the key, so that it repeats: `Instruments.Instrument`.
    pub fn repeats(&self, at: At) -> bool {
        self.primary_key(at.0).len() > 1 && self.is_key_of(at)
    }

    /// True for the only column of the table's own key.
    pub fn is_only_key(&self, at: At) -> bool {
        matches!(self.primary_key(at.0), [only] if *only == self.column(at).name)
    }

    /// True for a table whose rows only link rows of others: its key has several columns, or it has none and refers to
    /// several tables.
    pub fn is_link_table(&self, t: usize) -> bool {
        match self.primary_key(t) {
            [] => self.table(t).foreign_keys.len() > 1,
            key => key.len() > 1,
        }
    }

    /// True if the name of the table is a word for people.
    pub fn is_of_people(&self, t: usize) -> bool {
        let is_crew = |word: &str| matches!(word, "staff" | "personnel" | "crew");
        name_words(self.bare(t)).last().is_some_and(|word| is_crew(word) || super::cues::is_person(&singulars(word)))
    }

    /// The only table of people.
    pub fn only_people(&self) -> Option<usize> {
        let mut people = (0..self.tables().len()).filter(|t| !self.is_view(*t) && self.is_of_people(*t));
        people.next().filter(|_| people.next().is_none())
    }

    /// The name of a column in lower case.
    pub fn name_of(&self, at: At) -> String {
        self.column(at).name.to_lowercase()
    }

    /// True for a column of the table's own key.
    pub fn is_key_of(&self, at: At) -> bool {
        self.primary_key(at.0).contains(&self.column(at).name)
    }

    pub fn holds(&self, at: At) -> Holds {
        let column = self.column(at);
        let kind = column.type_name.to_lowercase();
        let words = name_words(&column.name);
        let has = |list: &[&str]| list.iter().any(|word| kind.contains(word));
        if has(&["bool"]) {
            return Holds::Bool;
        }
        let are_iso = || {
            column.values.iter().all(|value| value.get(..10).is_some_and(|day| super::text::iso_date(day).is_some()))
        };
        if has(&["date", "timestamp"]) {
            // In SQLite such a column can hold dates in any form. Its known values are those in another form.
            return if are_iso() { Holds::Date } else { Holds::Other };
        }
        if has(&["interval", "point", "json", "bytea", "blob", "time"]) {
            return Holds::Other;
        }
        if has(&["int", "num", "dec", "real", "double", "float", "money", "serial"]) {
            return Holds::Number;
        }
        // A computed column of a view has no type in SQLite.
        let is_amount =
            |word: &String| matches!(word.as_str(), "total" | "amount" | "price" | "revenue" | "quantity" | "cost");
        if kind.is_empty() && column.values.is_empty() && self.is_view(at.0) && words.iter().any(is_amount) {
            return Holds::Number;
        }
        if has(&["char", "text", "clob", "enum", "string", "citext"]) || kind.is_empty() {
            let numbers =
                !column.values.is_empty() && column.values.iter().all(|value| value.trim().parse::<f64>().is_ok());
            if numbers {
                return Holds::NumberAsText;
            }
            let dated = words.iter().any(|word| matches!(word.as_str(), "date" | "datetime" | "timestamp"))
                || words.len() > 1 && words.last().is_some_and(|word| word == "at" || word == "on");
            return if dated && are_iso() { Holds::DateAsText } else { Holds::Text };
        }
        Holds::Text
    }

    /// The value that means yes, and the one that means no, in a column that says yes or no: a boolean, `is_active` with 0
    /// and 1, or a text with Y and N.
    pub fn answers(&self, at: At) -> Option<(&'static str, &'static str)> {
        let column = self.column(at);
        let words = name_words(&column.name);
        let begins = words.len() > 1 && words.first().is_some_and(|word| matches!(word.as_str(), "is" | "has"));
        let is_switch = column.type_name.to_lowercase().contains("int")
            && column.values.is_empty()
            && (begins || words.last().is_some_and(|word| word == "flag"));
        match self.holds(at) {
            Holds::Bool => Some(("TRUE", "FALSE")),
            _ if is_switch => Some(("1", "0")),
            _ => super::sql::truth(&column.values),
        }
    }

    pub fn is_number(&self, at: At) -> bool {
        matches!(self.holds(at), Holds::Number | Holds::NumberAsText)
    }

    pub fn is_date(&self, at: At) -> bool {
        matches!(self.holds(at), Holds::Date | Holds::DateAsText)
    }

    /// A column of plain years: `year`, `founded_year`, `Year_of_Work`.
    pub fn is_year(&self, at: At) -> bool {
        let words = name_words(&self.column(at).name);
        let named =
            words.iter().any(|word| word == "year") && !words.iter().any(|word| word == "years" || word == "old");
        named && !self.is_date(at) && !matches!(self.holds(at), Holds::Bool | Holds::Other)
    }

    /// The columns that stand for a row of the table. In this order: a column such as name, label or title (of no person); a text column
    /// with the name of the table; a description; first and last name; the first column whose name ends
    /// with name, title (of no job) or description; the first text column, if it has no known values, the key is no text and the
    /// table is no view; the primary key; the first text column of a table; the first column. Masked columns do not
    /// count.
    pub fn display(&self, t: usize) -> Vec<At> {
        let visible: Vec<(At, &Column)> = self.columns(t).filter(|(_, column)| !column.masked).collect();
        let own = singulars(self.bare(t));
        let called_so = |all: &[&str]| {
            all.iter().find_map(|wanted| {
                let hit = visible.iter().find(|(_, column)| {
                    let low = column.name.to_lowercase();
                    low == *wanted || low == format!("{own}_{wanted}") || low == format!("{own}{wanted}")
                });
                hit.map(|(at, _)| *at)
            })
        };
        let called =
            |names: &[&str]| visible.iter().find(|(_, column)| names.contains(&column.name.to_lowercase().as_str()));
        let first = called(&["first_name", "firstname", "fname", "given_name", "forename"]);
        let last = called(&["last_name", "lastname", "lname", "surname", "family_name"]);
        // The title of a person is a rank or a job.
        let is_person = first.is_some() && last.is_some();
        let own_names: &[&str] = if is_person { &["name"] } else { &["name", "title"] };
        if let Some(at) = called_so(own_names).or_else(|| called_so(&["label", "full_name", "fullname"])) {
            return vec![at];
        }
        // `airlines.Airline`.
        let same = visible.iter().find(|(at, column)| {
            self.holds(*at) == Holds::Text && !self.is_foreign(*at) && singulars(&column.name) == own
        });
        if let Some(at) = same.map(|(at, _)| *at).or_else(|| called_so(&["description", "details"])) {
            return vec![at];
        }
        if let (Some((first, _)), Some((last, _))) = (first, last) {
            return vec![*first, *last];
        }
        // `guest_first_name` and `guest_last_name`, `EMP_FNAME` and `EMP_LNAME`.
        let after = |suffix: &str| {
            visible
                .iter()
                .find_map(|(at, column)| Some((*at, column.name.to_lowercase().strip_suffix(suffix)?.to_owned())))
        };
        for (given, family) in [("_first_name", "_last_name"), ("_firstname", "_lastname"), ("_fname", "_lname")] {
            if let (Some((first, one)), Some((last, other))) = (after(given), after(family))
                && one == other
            {
                return vec![first, last];
            }
        }
        let ends = |suffix: &str| {
            let mut hits = visible.iter().filter(|(at, column)| {
                let words = name_words(&column.name);
                let is_job = words.first().is_some_and(|word| word == "job");
                !self.is_key(*at) && !is_job && words.last().is_some_and(|word| word == suffix)
            });
            hits.next().map(|(at, _)| *at)
        };
        // `vname` of venues; sponsors may have a `company` and no name.
        let is_text = |at: At| self.holds(at) == Holds::Text && !self.is_key(at);
        let joined = || {
            let mut hits = visible.iter().filter(|(at, column)| {
                let low = column.name.to_lowercase();
                is_text(*at) && low.ends_with("name") && !matches!(low.as_str(), "username" | "filename" | "hostname")
            });
            hits.next().map(|(at, _)| *at)
        };
        let firm = || called(&["company", "firm", "organization", "organisation"]).map(|(at, _)| *at);
        if let Some(at) =
            ends("name").or_else(|| ends("title")).or_else(joined).or_else(|| ends("description")).or_else(firm)
        {
            return vec![at];
        }
        let keys: Vec<At> = self.primary_key(t).iter().filter_map(|name| self.find(t, name)).collect();
        // `apartment_facilities(apartment_id, facility_code)`: what the row adds to the rows that it refers to.
        let own: Vec<At> =
            keys.iter().copied().filter(|at| !self.is_foreign(*at) && self.holds(*at) == Holds::Text).collect();
        if let ([only], true, false) = (own.as_slice(), keys.len() > 1, self.table(t).foreign_keys.is_empty()) {
            return vec![*only];
        }
        let key_text = keys.first().is_some_and(|at| self.holds(*at) == Holds::Text);
        let text = visible.iter().find(|(at, _)| self.holds(*at) == Holds::Text && !self.is_key(*at));
        match text {
            Some((at, column)) if !self.is_view(t) && !key_text && column.values.is_empty() => vec![*at],
            _ if !keys.is_empty() => keys,
            Some((at, _)) if !self.is_view(t) => vec![*at],
            Some(_) => visible.iter().take(1).map(|(at, _)| *at).collect(),
            None => visible.iter().take(1).map(|(at, _)| *at).collect(),
        }
    }
}

/// The table's name, its last word in the singular by the simplest rules.
pub(super) fn singulars(bare: &str) -> String {
    let low = bare.to_lowercase();
    if let Some(stem) = low.strip_suffix("ies") {
        return format!("{stem}y");
    }
    for suffix in ["sses", "xes", "ches", "shes"] {
        if low.ends_with(suffix) {
            return low.strip_suffix("es").map(str::to_owned).unwrap_or(low);
        }
    }
    if low.ends_with("ss") || low.ends_with("us") {
        return low;
    }
    // "campuses", and not "houses" or "clauses".
    if low.len() > 5 && low.ends_with("uses") && !low.ends_with("ouses") && !low.ends_with("auses") {
        return low.strip_suffix("es").map(str::to_owned).unwrap_or(low);
    }
    low.strip_suffix('s').map(str::to_owned).unwrap_or(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_singulars() {
        for (many, one) in [
            ("categories", "category"),
            ("orders", "order"),
            ("boxes", "box"),
            ("status", "status"),
            ("dog", "dog"),
            ("campuses", "campus"),
            ("houses", "house"),
        ] {
            assert_eq!(singulars(many), one);
        }
    }

    #[test]
    fn out_of_range_is_empty() {
        let snapshot = Snapshot::default();
        let schema = Schema::new(&snapshot);
        assert_eq!(schema.column((7, 7)).name, "");
        assert!(schema.display(3).is_empty());
    }
}
