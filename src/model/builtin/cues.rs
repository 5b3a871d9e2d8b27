//! The English phrases of `words.txt`, and the synonyms of WordNet (`wordnet.txt`).

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::text::{Stems, Token, TokenKind};
use super::windows::{Unit, unit};

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
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
    Contains,
    Starts,
    Ends,
}

impl Op {
    pub fn sql(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Ne => "<>",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Contains | Self::Starts | Self::Ends => "LIKE",
        }
    }

    /// The operator of the opposite.
    pub fn negated(self) -> Option<Self> {
        Some(match self {
            Self::Eq => Self::Ne,
            Self::Ne => Self::Eq,
            Self::Gt => Self::Le,
            Self::Ge => Self::Lt,
            Self::Lt => Self::Ge,
            Self::Le => Self::Gt,
            Self::Contains | Self::Starts | Self::Ends => return None,
        })
    }
}

/// The meaning of a phrase. A list of words names the columns that the phrase can mean. A minus sign, as in `-birth`,
/// reverses the order of the column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cue {
    Open,
    Skip,
    /// True for a count of different values.
    Count(bool),
    Agg(Function),
    /// A superlative of a measure that the question names. True for the highest.
    Sup(bool),
    /// The value that occurs most, or least, often.
    Common(bool),
    /// A superlative whose measure the adjective tells.
    By(bool, Vec<String>),
    Op(Op),
    OpBy(Op, Vec<String>),
    /// After a number: "4 or more".
    OrOp(Op),
    Between,
    Sort,
    /// A direction of a sort. True for descending.
    Dir(bool),
    DirBy(bool, Vec<String>),
    Per,
    Not,
    Distinct,
    Have,
    Be,
    Of,
    In,
    By_,
    That,
    Their,
    And,
    Or,
    Both,
    Named,
    After,
    Before,
    Since,
    Until,
    Who,
    When,
    Where,
    Time,
    Revenue,
    Bucket(Unit),
    // These three are not questions about the data.
    /// Asks which tables there are, or what can be asked.
    Tables,
    Greeting,
    /// An order to change data.
    Change,
    /// Asks for one row for each period, such as "over time".
    Trend,
    /// Stands before the name of a date column: "going by the paid date".
    Dated,
    /// The share of rows for which something is true.
    Share,
    /// "All details": every column of a row.
    Row,
    /// Asks for something that the built-in answerer writes no statement for.
    Refuse,
}

/// Longest phrase, in words.
const LONGEST: usize = 6;

struct Phrases {
    cues: HashMap<String, Vec<Cue>>,
    /// Words that tell which of two keys to the same table is meant: the role, and its words.
    roles: Vec<(&'static str, Vec<&'static str>)>,
    demonyms: Vec<(&'static str, &'static str)>,
    /// Values of a column of sexes, and the words for them.
    sexes: Vec<(Vec<&'static str>, Vec<&'static str>)>,
    /// Stems of verbs that only say that two things belong together.
    links: HashSet<String>,
}

static PHRASES: LazyLock<Phrases> = LazyLock::new(|| {
    let mut all = Phrases {
        cues: HashMap::new(),
        roles: Vec::new(),
        demonyms: Vec::new(),
        sexes: Vec::new(),
        links: HashSet::new(),
    };
    let stems = Stems::new();
    for line in include_str!("words.txt").lines().filter(|line| !line.starts_with('#')) {
        let Some((head, phrases)) = line.split_once(": ") else { continue };
        let mut head = head.split(' ');
        let kind = head.next().unwrap_or_default();
        let arguments: Vec<&'static str> = head.collect();
        let phrases = phrases.split(',').map(str::trim);
        match kind {
            "role" => all.roles.push((arguments.first().copied().unwrap_or_default(), phrases.collect())),
            "sex" => all.sexes.push((arguments, phrases.collect())),
            "link" => all.links.extend(phrases.map(|verb| stems.of(verb))),
            "demonym" => all.demonyms.extend(phrases.filter_map(|pair| pair.split_once(" = "))),
            _ => {
                let Some(cue) = cue(kind, &arguments) else { continue };
                for phrase in phrases {
                    all.cues.entry(phrase.to_owned()).or_default().push(cue.clone());
                    if matches!(cue, Cue::By(..) | Cue::Common(_)) {
                        all.cues.entry(format!("the {phrase}")).or_default().push(cue.clone());
                    }
                }
            }
        }
    }
    all
});

fn cue(kind: &str, arguments: &[&str]) -> Option<Cue> {
    let first = arguments.first().copied().unwrap_or_default();
    let rest = || arguments.iter().skip(1).map(|word| (*word).to_owned()).collect();
    let op = || {
        Some(match first {
            ">" => Op::Gt,
            "<" => Op::Lt,
            ">=" => Op::Ge,
            "<=" => Op::Le,
            "=" => Op::Eq,
            "<>" => Op::Ne,
            _ => return None,
        })
    };
    Some(match kind {
        "open" => Cue::Open,
        "skip" => Cue::Skip,
        "count" => Cue::Count(first == "distinct"),
        "agg" => Cue::Agg(match first {
            "avg" => Function::Avg,
            "sum" => Function::Sum,
            "max" => Function::Max,
            _ => Function::Min,
        }),
        "sup" => Cue::Sup(first == "desc"),
        "common" => Cue::Common(first == "desc"),
        "by" if first == "desc" || first == "asc" => Cue::By(first == "desc", rest()),
        "by" => Cue::By_,
        "op" => Cue::Op(op()?),
        "orop" => Cue::OrOp(op()?),
        "opby" => Cue::OpBy(op()?, rest()),
        "between" => Cue::Between,
        "sort" => Cue::Sort,
        "dir" => Cue::Dir(first == "desc"),
        "dirby" => Cue::DirBy(first == "desc", rest()),
        "per" => Cue::Per,
        "not" => Cue::Not,
        "distinct" => Cue::Distinct,
        "have" => Cue::Have,
        "be" => Cue::Be,
        "of" => Cue::Of,
        "in" => Cue::In,
        "that" => Cue::That,
        "their" => Cue::Their,
        "and" => Cue::And,
        "or" => Cue::Or,
        "both" => Cue::Both,
        "named" => Cue::Named,
        "like" => Cue::Op(Op::Contains),
        "starts" => Cue::Op(Op::Starts),
        "ends" => Cue::Op(Op::Ends),
        "after" => Cue::After,
        "before" => Cue::Before,
        "since" => Cue::Since,
        "until" => Cue::Until,
        "who" => Cue::Who,
        "when" => Cue::When,
        "where" => Cue::Where,
        "time" => Cue::Time,
        "revenue" => Cue::Revenue,
        "bucket" => Cue::Bucket(unit(first)?),
        "tables" => Cue::Tables,
        "greeting" => Cue::Greeting,
        "change" => Cue::Change,
        "trend" => Cue::Trend,
        "dated" => Cue::Dated,
        "share" => Cue::Share,
        "row" => Cue::Row,
        "refuse" => Cue::Refuse,
        _ => return None,
    })
}

/// Returns the longest phrase at a place: its meanings, and its number of tokens.
pub(super) fn cue_at(tokens: &[Token], at: usize) -> Option<(Vec<Cue>, usize)> {
    let words = tokens.get(at..).unwrap_or_default();
    let is_word = |token: &Token| matches!(token.kind, TokenKind::Word | TokenKind::Possessive | TokenKind::Sign);
    let usable = words.iter().take(LONGEST).take_while(|token| is_word(token)).count();
    (1..=usable).rev().find_map(|length| {
        let phrase = words.iter().take(length).map(|token| token.low.as_str()).collect::<Vec<_>>().join(" ");
        PHRASES.cues.get(phrase.as_str()).map(|cues| (cues.clone(), length))
    })
}

/// Returns the roles that a word can tell, such as `from` for "departing".
pub(super) fn roles(word: &str) -> impl Iterator<Item = &'static str> + use<'_> {
    PHRASES.roles.iter().filter(move |(_, words)| words.contains(&word)).map(|(role, _)| *role)
}

/// True for the stem of a verb that only says that two things belong together.
pub(super) fn is_link(stem: &str) -> bool {
    PHRASES.links.contains(stem)
}

/// Returns the values that a word such as "women" can have in a column of sexes.
pub(super) fn sexes(word: &str) -> impl Iterator<Item = &'static str> + use<'_> {
    PHRASES.sexes.iter().filter(move |(_, words)| words.contains(&word)).flat_map(|(values, _)| values.iter().copied())
}

/// Returns the countries of an adjective such as "French".
pub(super) fn countries(adjective: &str) -> impl Iterator<Item = &'static str> + use<'_> {
    PHRASES.demonyms.iter().filter(move |(known, _)| *known == adjective).map(|(_, country)| *country)
}

/// The nouns of WordNet in sets. All nouns of a set (WordNet's term is synset) have the same meaning.
struct WordNet {
    /// The nouns of each set: the stems of their words, joined by blanks.
    nouns: Vec<Vec<String>>,
    /// For each set, the sets with a more specific meaning (hyponyms).
    special: HashMap<usize, Vec<usize>>,
    /// For each set, the set with a more general meaning (hypernym).
    general: Vec<Option<usize>>,
    /// The key contains the stems of a noun's words. The value contains the noun's sets, each with the rank of that sense:
    /// 1 for the most usual sense.
    senses: HashMap<String, Vec<(usize, usize)>>,
}

static WORDNET: LazyLock<WordNet> = LazyLock::new(|| {
    let stems = Stems::new();
    let mut net = WordNet { nouns: Vec::new(), special: HashMap::new(), general: Vec::new(), senses: HashMap::new() };
    for line in include_str!("wordnet.txt").lines().filter(|line| !line.starts_with('#')) {
        let (nouns, general) =
            line.split_once(' ').map_or((line, None), |(nouns, general)| (nouns, general.parse().ok()));
        let mut stems_of_set = Vec::new();
        for noun in nouns.split(',') {
            let (noun, rank) = noun.split_once(':').map_or((noun, 1), |(noun, rank)| (noun, rank.parse().unwrap_or(9)));
            let stem = noun.split('_').map(|word| stems.of(word)).collect::<Vec<_>>().join(" ");
            // Stemming makes some unrelated nouns equal: "animation" and "animal" have the same stem. So nouns whose stem
            // is much shorter are left out.
            let is_derived = noun.len() > stem.len() + 3 || noun.ends_with("ing") || noun.ends_with("ity");
            if is_derived && !noun.contains('_') {
                continue;
            }
            net.senses.entry(stem.clone()).or_default().push((net.general.len(), rank));
            stems_of_set.push(stem);
        }
        if let Some(above) = general {
            net.special.entry(above).or_default().push(net.general.len());
        }
        net.general.push(general);
        net.nouns.push(stems_of_set);
    }
    // Sets that are no part of WordNet: words that stand for each other in the tables of a business.
    for line in include_str!("words.txt").lines().filter_map(|line| line.strip_prefix("same: ")) {
        let set = net.general.len();
        let stem = |noun: &str| noun.split(' ').map(|word| stems.of(word)).collect::<Vec<_>>().join(" ");
        let nouns: Vec<String> = line.split(", ").map(stem).collect();
        nouns.iter().for_each(|noun| net.senses.entry(noun.clone()).or_default().push((set, 1)));
        net.general.push(None);
        net.nouns.push(nouns);
    }
    net
});

/// Highest sum of the ranks of two senses that are compared. Each step to a more general noun lowers it by 1.
const RAREST: usize = 6;

/// Maximum number of steps from a noun to a more general one.
const STEPS: usize = 3;

/// The sets of a noun, each with the rank of this sense.
pub(super) type Senses = &'static [(usize, usize)];

/// Returns the senses of a noun, whose words are stems, joined by blanks.
pub(super) fn senses(noun: &str) -> Option<Senses> {
    WORDNET.senses.get(noun).map(Vec::as_slice)
}

/// Highest rank of a sense that [`related`] uses. Rarer senses are left out.
const RELATED_RANK: usize = 2;

/// See [`super::related_nouns`].
pub(super) fn related(stem: &str) -> Vec<(&'static str, f32)> {
    let mut found = Vec::new();
    let usual = senses(stem).unwrap_or_default().iter().filter(|(_, rank)| *rank <= RELATED_RANK);
    for (set, rank) in usual {
        let mut add = |set: usize, closeness: f32| {
            let nouns = WORDNET.nouns.get(set).into_iter().flatten();
            found.extend(nouns.filter(|noun| *noun != stem).map(|noun| (noun.as_str(), closeness / *rank as f32)));
        };
        add(*set, 1.0);
        if let Some(above) = WORDNET.general.get(*set).copied().flatten() {
            add(above, 0.5);
        }
        WORDNET.special.get(set).into_iter().flatten().for_each(|below| add(*below, 0.3));
    }
    found
}

/// Number of steps between two nouns. It is 0 for the same meaning, and up to [`STEPS`] if one noun is more general than
/// the other. `None` if there is no such path between them.
pub(super) fn distance(one: Senses, other: Senses) -> Option<usize> {
    steps_up(one, other).into_iter().chain(steps_up(other, one)).min()
}

/// Steps from a noun up to a more general one. `None` if the other noun is not more general.
pub(super) fn steps_up(from: Senses, to: Senses) -> Option<usize> {
    let far = |(set, rank): &(usize, usize)| {
        let mut at = Some(*set);
        (0..=STEPS).find(|step| {
            let is_near = |(other, other_rank): &(usize, usize)| {
                // The more steps there are, the more usual both senses have to be.
                Some(*other) == at && rank + other_rank <= RAREST.saturating_sub(*step)
            };
            let hit = to.iter().any(is_near);
            if !hit {
                at = at.and_then(|set| WORDNET.general.get(set).copied().flatten());
            }
            hit
        })
    };
    from.iter().filter_map(far).min()
}

/// True if the most usual sense of a noun in the singular is a person, such as "customer". Stems are not used here,
/// because "reviewer" and "review" have the same stem.
pub(super) fn is_person(noun: &str) -> bool {
    PEOPLE.contains(noun)
}

/// Maximum number of steps from a noun for a person up to "person".
const STEPS_TO_PERSON: usize = 12;

static PEOPLE: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let mut first_senses: HashMap<&'static str, usize> = HashMap::new();
    for (set, line) in include_str!("wordnet.txt").lines().filter(|line| !line.starts_with('#')).enumerate() {
        line.split([' ', ',']).for_each(|noun| _ = first_senses.entry(noun).or_insert(set));
    }
    let Some(person) = first_senses.get("person").copied() else { return HashSet::new() };
    let above = |set: &usize| WORDNET.general.get(*set).copied().flatten();
    let is_person = |set: usize| std::iter::successors(Some(set), above).take(STEPS_TO_PERSON).any(|at| at == person);
    first_senses.into_iter().filter(|(_, set)| is_person(*set)).map(|(noun, _)| noun).collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wordnet_knows_other_words() {
        assert!(is_person("customer") && is_person("student") && !is_person("review") && !is_person("airport"));
        for (one, other, expected) in [
            ("nation", "countri", Some(0)),
            ("aerodrom", "airport", Some(0)),
            ("given name", "first name", Some(0)),
            ("undergradu", "student", Some(2)),
            ("dog", "airport", None),
            ("xyz", "airport", None),
        ] {
            let found = senses(one).zip(senses(other)).and_then(|(one, other)| distance(one, other));
            assert_eq!(found, expected, "{one} {other}");
        }
    }

    #[test]
    fn every_line_of_phrases_is_read() {
        let lines = include_str!("words.txt").lines().filter(|line| !line.starts_with('#')).count();
        assert!(lines > 50 && PHRASES.cues.len() > 400 && PHRASES.demonyms.len() > 20 && PHRASES.roles.len() == 2);
    }
}
