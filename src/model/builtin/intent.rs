//! What a question asks, before it is resolved against keys and types: the parser's output.

use super::schema::At;
use super::windows::{Unit, Window};
use super::words::{Function, Op, Quality};

/// A column named in the question: the columns it may be, and the table that the words bind it to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ColumnRef {
    pub text: String,
    pub candidates: Vec<(At, u8)>,
    pub bound: Option<usize>,
}

/// The target of an aggregate.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Target {
    Column(ColumnRef),
    /// Rows of a table.
    Rows(usize),
    /// The different values of a column.
    Different(ColumnRef),
    /// Quantity times price, or the only amount.
    Revenue,
    /// The only amount of a table: "total payments".
    AmountOf(usize),
}

/// A value to show: a function of a target. `None` counts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Measure {
    pub function: Option<Function>,
    pub target: Target,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Key {
    Table(usize),
    Column(ColumnRef),
    Unit(Unit),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum RankBy {
    Measure(Measure),
    Column(ColumnRef),
    Quality(Quality),
    /// "top customers": the question does not say by what.
    Unstated,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rank {
    pub by: RankBy,
    pub desc: bool,
    pub limit: Option<u32>,
    /// "top", "best": several rows when the noun is a plural.
    pub top: bool,
}

/// A value as the question gives it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Given {
    Number(f64),
    Text(String),
    True,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Filter {
    /// A stored value: the columns that contain it, with its spelling there.
    Stored(Vec<(At, String)>),
    Compare {
        column: ColumnRef,
        op: Op,
        values: Vec<Given>,
    },
    /// Both ends included.
    Within {
        column: ColumnRef,
        low: f64,
        high: f64,
    },
    Quality {
        quality: Quality,
        op: Op,
        value: f64,
    },
    /// A name in capitals after "in" or "from" that no known value matches.
    Place(String),
    /// The display column of a table.
    Named {
        table: Option<usize>,
        name: String,
    },
}

#[derive(Clone, Debug, Default)]
pub(super) struct Intent {
    pub which: bool,
    pub list: bool,
    pub distinct: bool,
    /// Every table the words name, in order, without repeats.
    pub tables: Vec<usize>,
    /// Every table that is listed, counted or ranked for itself (not a key, not a target), in order.
    pub entities: Vec<usize>,
    pub project: Vec<ColumnRef>,
    pub measures: Vec<Measure>,
    pub keys: Vec<Key>,
    pub rank: Option<Rank>,
    pub order: Option<(RankBy, bool)>,
    pub filters: Vec<Filter>,
    /// Tables named in the plural.
    pub text_plural: Vec<usize>,
    /// Conditions on the number of rows of another table.
    pub having: Vec<(usize, Op, f64)>,
    pub window: Option<Window>,
    /// The date column that the words pick: "shipped last month".
    pub date: Option<ColumnRef>,
    /// The column that "going by" picked.
    pub going_by: Option<ColumnRef>,
    /// Verbs of the question: "paid" binds a value to payments.
    pub verbs: Vec<String>,
    /// "which cities" asks for the different ones.
    pub which_column: bool,
    /// Whether a ranking is asked for within each group.
    pub is_ranked_in_groups: bool,
    /// The word that denies a condition: "customers who never ordered". It has to become a condition.
    pub denied_by: Option<String>,
    /// Words or forms that the reading does not explain.
    pub doubts: Vec<String>,
    pub assumptions: Vec<String>,
    /// Whether a word was read as a table whose name only resembles it.
    pub has_loose_table: bool,
}
