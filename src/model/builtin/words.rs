//! The English words of questions that mean something on every schema: cues, comparisons, superlatives, fillers.
//!
//! The lexicon reads the names of tables, columns and values.

/// Aggregate functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Sum,
    Avg,
    Min,
    Max,
}

impl Function {
    pub fn sql(self) -> &'static str {
        match self {
            Self::Sum => "SUM",
            Self::Avg => "AVG",
            Self::Min => "MIN",
            Self::Max => "MAX",
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Sum => "total",
            Self::Avg => "average",
            Self::Min => "minimum",
            Self::Max => "maximum",
        }
    }
}

/// Comparison of a column with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Eq,
    Gt,
    Ge,
    Lt,
    Le,
    Contains,
    StartsWith,
    EndsWith,
}

impl Op {
    pub fn sql(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Contains | Self::StartsWith | Self::EndsWith => "LIKE",
        }
    }
}

/// The quality that an adjective describes. It picks a column by the stems of column names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quality {
    Price,
    Age,
    Recency,
    Height,
    Length,
    Weight,
    Speed,
    Rating,
    People,
}

impl Quality {
    /// Stems of column names that hold the quality, the better ones first.
    pub fn stems(self) -> &'static [&'static str] {
        match self {
            Self::Price => &["price", "cost", "fee", "charg", "amount"],
            Self::Age => &["age"],
            Self::Recency => &[],
            Self::Height => &["height", "elev"],
            Self::Length => &["length", "durat", "distanc", "minut", "runtim"],
            Self::Weight => &["weight"],
            Self::Speed => &["speed"],
            Self::Rating => &["rate", "score", "star", "grade"],
            Self::People => &["popul"],
        }
    }
}

/// A word or phrase with a meaning of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cue {
    /// "how many", "number of".
    Count,
    Agg(Function),
    /// "most", "highest": descending; "fewest", "lowest": ascending. The next words name what is compared.
    Most {
        desc: bool,
    },
    /// "oldest", "most expensive": names its column by itself.
    Superlative {
        desc: bool,
        quality: Quality,
    },
    /// "top", "bottom", "best".
    Top {
        desc: bool,
    },
    /// "per", "for each".
    Each,
    By,
    OrderBy,
    Direction {
        desc: bool,
    },
    Distinct,
    Compare(Op),
    /// "older than": the quality picks the column.
    CompareQuality(Op, Quality),
    /// "or more", after the number.
    OrBeyond(Op),
    Between,
    Before,
    After,
    Since,
    OrLater,
    OrEarlier,
    And,
    Or,
    /// "is", "equal to", "named".
    Is,
    Which,
    List,
    /// "with", "in", "of".
    Prep,
    /// "revenue".
    Revenue,
    /// "spent the most".
    Spend,
    Verb,
    /// "who", "that", "whose".
    Relative,
    /// "going by": the next words decide between two readings.
    GoingBy,
    Stop,
    /// A form that the engine does not read: the question is handed back.
    Beyond,
}

/// Maximum words of a cue.
pub(super) const LONGEST: usize = 5;

/// Returns the cue of these words (lower case, joined by spaces).
pub(super) fn cue(words: &str) -> Option<Cue> {
    use Cue::*;
    use Quality::*;
    Some(match words {
        "how many" | "number of" | "total number of" | "count of" | "count" | "the number of" | "total count of"
        | "how many different" | "counts of" => Count,
        "average" | "mean" | "avg" | "averaged" => Agg(Function::Avg),
        "total" | "sum" | "sum of" | "total of" | "sum up" | "totals" | "overall" | "combined" | "how much" => {
            Agg(Function::Sum)
        }
        "minimum" | "min" => Agg(Function::Min),
        "maximum" | "max" => Agg(Function::Max),
        "most" | "highest" | "largest" | "greatest" | "biggest" | "most number of" | "largest number of"
        | "highest number of" | "greatest number of" | "maximum number of" | "largest amount of" => Most { desc: true },
        "fewest" | "lowest" | "least" | "smallest" | "fewest number of" | "least number of" | "lowest number of"
        | "smallest number of" | "minimum number of" => Most { desc: false },
        "most expensive" | "priciest" | "costliest" | "dearest" | "highest priced" | "most costly" => {
            Superlative { desc: true, quality: Price }
        }
        "cheapest" | "least expensive" | "lowest priced" => Superlative { desc: false, quality: Price },
        "oldest" | "eldest" => Superlative { desc: true, quality: Age },
        "youngest" => Superlative { desc: false, quality: Age },
        "newest" | "latest" | "most recent" | "most recently" => Superlative { desc: true, quality: Recency },
        "earliest" | "least recent" => Superlative { desc: false, quality: Recency },
        "tallest" => Superlative { desc: true, quality: Height },
        "longest" => Superlative { desc: true, quality: Length },
        "shortest" => Superlative { desc: false, quality: Length },
        "heaviest" => Superlative { desc: true, quality: Weight },
        "lightest" => Superlative { desc: false, quality: Weight },
        "fastest" => Superlative { desc: true, quality: Speed },
        "slowest" => Superlative { desc: false, quality: Speed },
        "highest rated" | "best rated" | "top rated" => Superlative { desc: true, quality: Rating },
        "lowest rated" | "worst rated" => Superlative { desc: false, quality: Rating },
        "most populous" | "most populated" => Superlative { desc: true, quality: People },
        "least populous" | "least populated" => Superlative { desc: false, quality: People },
        "top" | "best" | "most popular" | "leading" | "best selling" | "top selling" => Top { desc: true },
        "bottom" | "worst" | "least popular" => Top { desc: false },
        "per" | "each" | "every" | "for each" | "for every" | "in each" | "of each" | "from each" | "by each"
        | "at each" | "on each" | "to each" | "with each" | "grouped by" | "group by" | "broken down by"
        | "split by" | "in every" | "of every" | "across" | "for each different" | "each different"
        | "for different" | "by different" | "across different" | "grouped per" | "per each" | "breakdown by" => Each,
        "by" => By,
        "ordered by"
        | "order by"
        | "sorted by"
        | "sort by"
        | "in order of"
        | "in the order of"
        | "ordered alphabetically by"
        | "sorted in order of"
        | "ranked by"
        | "rank by"
        | "order them by"
        | "sort them by"
        | "sorted according to" => OrderBy,
        "descending"
        | "desc"
        | "in descending order"
        | "descending order"
        | "descendingly"
        | "from highest to lowest"
        | "from most to least"
        | "from largest to smallest"
        | "highest first"
        | "largest first"
        | "in decreasing order"
        | "decreasing"
        | "newest first"
        | "latest first"
        | "most recent first"
        | "from high to low"
        | "most expensive first" => Direction { desc: true },
        "ascending"
        | "asc"
        | "in ascending order"
        | "ascending order"
        | "in increasing order"
        | "from lowest to highest"
        | "from least to most"
        | "from smallest to largest"
        | "lowest first"
        | "smallest first"
        | "increasing"
        | "alphabetically"
        | "in alphabetical order"
        | "oldest first"
        | "earliest first"
        | "alphabetical order"
        | "from low to high"
        | "cheapest first" => Direction { desc: false },
        "distinct" | "different" | "unique" => Distinct,
        "more than" | "greater than" | "over" | "above" | "higher than" | "larger than" | "bigger than"
        | "exceeding" | "exceeds" | "exceed" | "is above" | "is over" | "greater" => Compare(Op::Gt),
        "at least"
        | "no less than"
        | "not less than"
        | "no fewer than"
        | "greater than or equal to"
        | "a minimum of" => Compare(Op::Ge),
        "less than" | "fewer than" | "under" | "below" | "lower than" | "smaller than" | "is below" | "is under" => {
            Compare(Op::Lt)
        }
        "at most" | "no more than" | "not more than" | "up to" | "less than or equal to" | "a maximum of" => {
            Compare(Op::Le)
        }
        "equal to" | "equals" | "exactly" | "is equal to" | "equal" => Compare(Op::Eq),
        "older than" => CompareQuality(Op::Gt, Age),
        "younger than" => CompareQuality(Op::Lt, Age),
        "cheaper than" | "costing less than" | "cost less than" | "costs less than" | "priced under"
        | "priced below" => CompareQuality(Op::Lt, Price),
        "more expensive than"
        | "costing more than"
        | "cost more than"
        | "costs more than"
        | "costlier than"
        | "priced over"
        | "priced above" => CompareQuality(Op::Gt, Price),
        "heavier than" => CompareQuality(Op::Gt, Weight),
        "lighter than" => CompareQuality(Op::Lt, Weight),
        "taller than" => CompareQuality(Op::Gt, Height),
        "longer than" => CompareQuality(Op::Gt, Length),
        "shorter than" => CompareQuality(Op::Lt, Length),
        "or more" | "or higher" | "or above" | "or greater" | "and above" | "and more" | "or over" | "and over"
        | "and higher" => OrBeyond(Op::Ge),
        "or less" | "or fewer" | "or lower" | "or below" | "and below" | "or under" => OrBeyond(Op::Le),
        "contains"
        | "contain"
        | "containing"
        | "contains the substring"
        | "contain the substring"
        | "contains the word"
        | "contain the word"
        | "containing the word"
        | "containing the substring"
        | "includes the word"
        | "like" => Compare(Op::Contains),
        "starts with" | "start with" | "starting with" | "begins with" | "beginning with" | "begin with" => {
            Compare(Op::StartsWith)
        }
        "ends with" | "end with" | "ending with" | "ending in" | "ends in" => Compare(Op::EndsWith),
        "between" => Between,
        "before" | "prior to" | "earlier than" => Before,
        "after" | "later than" => After,
        "since" | "starting from" => Since,
        "or after" | "or later" | "and later" | "and after" | "onwards" => OrLater,
        "or before" | "or earlier" | "and earlier" | "and before" => OrEarlier,
        "and" | "as well as" | "along with" | "together with" | "and also" | "plus" | "and their" | "and its" => And,
        "or" => Or,
        "is" | "named" | "called" | "equalling" | "whose name is" | "with the name" | "with name" | "titled" => Is,
        "which" | "who" | "whom" | "what" => Which,
        "list" | "show" | "give" | "find" | "return" | "display" | "tell" | "see" | "fetch" | "retrieve" | "print"
        | "enumerate" | "name" | "report" | "provide" | "select" | "output" => List,
        "with" | "in" | "of" | "for" | "from" | "on" | "at" | "to" | "within" | "among" | "during" | "through"
        | "via" | "into" | "inside" | "out of" | "under the" | "corresponding to" => Prep,
        "revenue" | "revenues" | "turnover" | "sales" | "sales revenue" | "sales amount" | "total sales amount"
        | "sales volume" | "gross revenue" | "earnings" | "sales value" => Revenue,
        "spent" | "spend" | "spending" => Spend,
        "have" | "has" | "had" | "having" | "own" | "owns" | "owned" | "owning" | "do" | "does" | "did" | "done"
        | "made" | "make" | "makes" | "live" | "lives" | "living" | "lived" | "located" | "based" | "come"
        | "comes" | "came" | "placed" | "place" | "belong" | "belongs" | "belonging" | "perform" | "performed"
        | "performs" | "performing" | "happened" | "happen" | "occurred" | "occur" | "occurring" | "took place"
        | "take place" | "taken place" | "held" | "exist" | "exists" | "there are" | "operated" | "conducted"
        | "participated" | "participate" | "attended" | "contained" | "registered" | "recorded" | "stored"
        | "listed" | "across all" | "over all" | "given" | "got" | "received" | "came from" | "stay" | "reside"
        | "resides" | "residing" | "made by" | "appear" | "appears" | "work" | "works" | "working" | "bought"
        | "buy" | "sold" | "sell" | "purchased" | "used" | "earned" | "generated" | "brought" | "brought in"
        | "paid" | "issued" | "brings" | "bring" | "wrote" | "write" | "writes" | "written" | "gave" | "get"
        | "gets" | "contributed" | "contributes" => Verb,
        "that" | "whose" | "where" | "when" => Relative,
        "going by" => GoingBy,
        "the"
        | "a"
        | "an"
        | "all"
        | "any"
        | "some"
        | "me"
        | "us"
        | "we"
        | "i"
        | "you"
        | "please"
        | "can"
        | "could"
        | "would"
        | "will"
        | "are"
        | "was"
        | "were"
        | "be"
        | "been"
        | "there"
        | "here"
        | "our"
        | "my"
        | "your"
        | "their"
        | "his"
        | "her"
        | "its"
        | "hers"
        | "or her"
        | "his or her"
        | "want"
        | "know"
        | "like to"
        | "i'd like"
        | "do we have"
        | "we have"
        | "in the database"
        | "currently"
        | "now"
        | "also"
        | "have we"
        | "value"
        | "values"
        | "list of"
        | "the list of"
        | "full list of"
        | "details of"
        | "information about"
        | "information on"
        | "info on"
        | "everything about"
        | "details about"
        | "details for"
        | "someone"
        | "so far"
        | "the month of"
        | "in total"
        | "altogether"
        | "various"
        | "what is"
        | "what are"
        | "who are"
        | "who is"
        | "what was"
        | "what were"
        | "who was"
        | "who were"
        | "which are"
        | "that are"
        | "that were"
        | "that is"
        | "that was"
        | "which were"
        | "which is"
        | "the name of the table"
        | "the substring"
        | "the word"
        | "respective"
        | "entire"
        | "these"
        | "those"
        | "hello"
        | "hi"
        | "hey"
        | "thanks"
        | "thank you"
        | "just"
        | "corresponding"
        | "associated"
        | "matching"
        | "the total of the"
        | "what's"
        | "there in total"
        | "the following"
        | "records of"
        | "records"
        | "entries"
        | "rows"
        | "let"
        | "ever" => Stop,
        "not" | "no" | "never" | "without" | "except" | "excluding" | "exclude" | "neither" | "nor" | "none"
        | "both" | "percent" | "percentage" | "ratio" | "share" | "proportion" | "trend" | "trends" | "why" | "how"
        | "correlation" | "growth" | "compare" | "compared" | "comparison" | "difference" | "versus" | "vs"
        | "than" | "only" | "either" | "other" | "another" | "same" | "median" | "consecutive" | "cumulative"
        | "running" | "forecast" | "predict" | "if" | "don't" | "didn't" | "doesn't" | "cannot" | "one of" | "he"
        | "she" | "it" | "them" | "they" | "this" | "previous" | "again" | "instead" | "increase" | "decrease"
        | "change" | "changed" | "rate of" | "least one" | "at least one" | "then" | "but" | "although"
        | "least once" | "twice" | "more" | "fewer" | "less" | "per capita" | "delete" | "drop" | "insert"
        | "update" | "create" | "alter" | "mode" | "variance" | "deviation" | "second" | "third" | "second most"
        | "nth" | "missing" | "null" | "empty" | "unknown" | "lacking" | "lack" | "until" | "ago" => Beyond,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cues_fit_the_longest() {
        assert_eq!(cue("how many"), Some(Cue::Count));
        assert_eq!(cue("without"), Some(Cue::Beyond));
        assert_eq!(cue("zebra"), None);
    }
}
