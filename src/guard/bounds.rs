//! Bounds on a statement. The bounds on its tokens are checked here, before any step whose time or memory grows faster
//! than the length of the text. The bounds on copies, tables and comparisons are checked in [`super::walk`], or here
//! for a text that the parser cannot read.

use std::collections::HashMap;

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::lexer::{Kind, lexemes};
use super::{Rejection, walk};
use crate::dialect::Dialect;
use crate::limits::Limits;
use crate::quoting;

/// Checks the bounds on tokens: their number, the CTEs, the runs and the nesting.
///
/// # Errors
///
/// [`Rejection::TooManyTokens`], [`Rejection::ManyCtes`] or [`Rejection::TooDeep`], with the bound.
pub(super) fn check(tokens: &[TokenWithSpan], limits: &Limits) -> Result<(), Rejection> {
    let meaningful = tokens.iter().filter(|token| !is_blank(token));
    if meaningful.count() > limits.max_sql_tokens {
        return Err(Rejection::TooManyTokens { limit: limits.max_sql_tokens });
    }
    if definitions(tokens) > MAX_CTES {
        return Err(Rejection::ManyCtes { limit: MAX_CTES });
    }
    let bounds = [
        (longest_run(tokens), MAX_RUN),
        (nesting(tokens), MAX_COSTLY_NESTING),
        (tokens.iter().filter(|token| is_pattern(token)).count(), MAX_PATTERNS),
    ];
    match bounds.into_iter().find(|(found, limit)| found > limit) {
        Some((_, limit)) => Err(Rejection::TooDeep { limit }),
        None => Ok(()),
    }
}

/// Checks a text that the parser's lexer cannot split. Such texts are rare, so all parentheses and brackets count as
/// costly, and each of them counts as a CTE.
///
/// # Errors
///
/// [`Rejection::TooDeep`] with [`MAX_COSTLY_NESTING`], also for more than [`MAX_CTES`] parentheses.
pub(super) fn check_unread(sql: &str, dialect: Dialect) -> Result<(), Rejection> {
    let (mut open, mut deepest, mut all) = (0_usize, 0_usize, 0_usize);
    for lexeme in lexemes(sql, dialect).unwrap_or_default() {
        match lexeme.kind {
            Kind::Mark(b'(' | b'[') => {
                open += 1;
                all += 1;
                deepest = deepest.max(open);
            }
            Kind::Mark(b')' | b']') => open = open.saturating_sub(1),
            _ => {}
        }
    }
    if deepest > MAX_COSTLY_NESTING || all > MAX_CTES {
        return Err(Rejection::TooDeep { limit: MAX_COSTLY_NESTING });
    }
    Ok(())
}

/// Checks [`MAX_COPIES`] for a text that the parser cannot read. It assumes that each SELECT uses a column of another
/// query as often as its most frequent name, and multiplies these numbers. Returns the number of comparisons.
///
/// # Errors
///
/// [`Rejection::ManyCopies`] with the bound. [`Rejection::TooDeep`] for more than [`MAX_OPEN`] queries inside each
/// other. The rejections of [`UnreadJoins::judge`].
pub(super) fn check_copies(sql: &str, dialect: Dialect) -> Result<u64, Rejection> {
    // These bounds are not needed for SQLite, whose memory is limited.
    if dialect == Dialect::Sqlite {
        return Ok(0);
    }
    /// A SELECT, VALUES or TABLE that has not ended yet. `names` counts each name in it and in the queries inside it.
    struct Open {
        depth: usize,
        names: HashMap<String, u64>,
        /// Number of `*` that stand for all columns.
        stars: u64,
        /// Lexemes of its select list.
        listed: u64,
        /// True until the select list ends.
        in_list: bool,
        /// 1, plus the further copies that the server makes of the operands of BETWEEN and IN, and of the row before
        /// `.*`.
        operands: u64,
    }
    impl Open {
        fn uses(&self) -> u64 {
            (self.names.values().copied().max().unwrap_or(1) + self.stars).saturating_mul(self.operands)
        }
    }
    let lexemes = lexemes(sql, dialect).unwrap_or_default();
    let lexemes: Vec<_> = lexemes.into_iter().filter(|lexeme| lexeme.kind != Kind::Comment).collect();
    let written_at = |at: usize| lexemes.get(at).and_then(|lexeme| sql.get(lexeme.range.clone())).unwrap_or_default();
    let (mut copies, mut depth, mut open) = (1_u64, 0_usize, Vec::<Open>::new());
    // Lexemes of the longest select list that another SELECT may use.
    let mut largest = 1;
    let mut joins = UnreadJoins::default();
    // Depths of the lists after IN that are open.
    let mut lists: Vec<usize> = Vec::new();
    for (at, lexeme) in lexemes.iter().enumerate() {
        let written = written_at(at);
        let beside = |by: isize| at.checked_add_signed(by).map_or("", written_at);
        joins.read(&beside, depth);
        if let Some(select) = open.last_mut().filter(|select| select.in_list) {
            let before = written_at(at.saturating_sub(1));
            select.stars +=
                u64::from(written == "*" && (before.eq_ignore_ascii_case("select") || matches!(before, "," | ".")));
            select.in_list = select.depth != depth
                || !written.eq_ignore_ascii_case("from")
                || before.eq_ignore_ascii_case("distinct");
            select.listed += u64::from(select.in_list);
        }
        // `o.*` uses all columns of `o`, and `(row).*` copies the row for each of its columns.
        let is_qualifier = written_at(at + 1) == "." && written_at(at + 2) != "*";
        if written == ")" && written_at(at + 1) == "." && written_at(at + 2) == "*" {
            open.last_mut().into_iter().for_each(|select| select.operands += 19);
        }
        let name = match lexeme.kind {
            Kind::Mark(b'(') => {
                depth += 1;
                let is_list = at > 0 && written_at(at - 1).eq_ignore_ascii_case("in");
                lists.extend(is_list.then_some(depth));
                continue;
            }
            Kind::Mark(b',') if lists.last() == Some(&depth) => {
                open.last_mut().into_iter().for_each(|select| select.operands += 1);
                continue;
            }
            Kind::Mark(b')') => {
                lists.pop_if(|list| *list == depth);
                depth = depth.saturating_sub(1);
                for closed in open.extract_if(.., |select| select.depth > depth) {
                    copies = copies.saturating_mul(closed.uses());
                    largest = largest.max(closed.listed);
                }
                continue;
            }
            Kind::Word => walk::fold(dialect, written, false),
            Kind::Quoted => walk::fold(dialect, written.trim_matches('"'), true),
            _ => continue,
        };
        // After a dot, a keyword is a name.
        let follows_dot = at > 0 && written_at(at - 1) == ".";
        let is_keyword = lexeme.kind == Kind::Word && !follows_dot;
        if is_keyword && ["select", "values", "table"].contains(&name.as_str()) {
            // After UNION, the query before it has ended.
            for closed in open.extract_if(.., |select| select.depth >= depth) {
                copies = copies.saturating_mul(closed.uses());
                largest = largest.max(if closed.depth > 0 { closed.listed } else { 1 });
            }
            open.push(Open { depth, names: HashMap::new(), stars: 0, listed: 0, in_list: true, operands: 1 });
            if open.len() > MAX_OPEN {
                return Err(Rejection::TooDeep { limit: MAX_OPEN });
            }
        } else if is_keyword && name == "between" {
            // BETWEEN SYMMETRIC makes four copies of its operand.
            open.last_mut().into_iter().for_each(|select| select.operands += 3);
        } else if !is_qualifier && (!is_keyword || !quoting::is_reserved(dialect, &name)) {
            open.iter_mut().for_each(|select| *select.names.entry(name.clone()).or_default() += 1);
        }
    }
    let copies = open.iter().fold(copies, |copies, select| copies.saturating_mul(select.uses()));
    joins.judge()?;
    if copies.saturating_mul(largest) > MAX_COPIES {
        return Err(Rejection::ManyCopies { limit: MAX_COPIES });
    }
    Ok(joins.comparisons.saturating_add(joins.natural.saturating_mul(WIDE_ROW)))
}

/// True for a number or a string. `far` is the lexeme on its other side: in `1 + a` the number is no value by itself.
fn is_literal(lexeme: &str, far: &str) -> bool {
    let is_value = lexeme.starts_with(|c: char| c.is_ascii_digit() || c == '\'');
    is_value && !far.starts_with(|c: char| OPERATOR.contains(c) || c == ':')
}

/// True if a literal follows, such as `5`, `DATE '2026-01-01'` or `current_date`.
fn follows_literal<'a>(beside: &dyn Fn(isize) -> &'a str) -> bool {
    let next = beside(1);
    let is_one = |words: &[&str]| words.iter().any(|word| next.eq_ignore_ascii_case(word));
    if is_one(&["date", "timestamp", "timestamptz", "time", "interval"]) {
        return is_literal(beside(2), beside(3));
    }
    is_literal(next, beside(2))
        || is_one(&["current_date", "current_timestamp"])
            && !is_indexed(beside(2))
            && !beside(2).starts_with(['+', '-'])
}

/// The characters of operators.
const OPERATOR: &str = "<>=~!@#%^&|*?-+/";

/// True for an operator by which the planner may search an index, such as `<` or `&&`. `=` is counted elsewhere.
fn is_indexed(written: &str) -> bool {
    let is_operator = !written.is_empty() && written.chars().all(|c| OPERATOR.contains(c));
    let has_order = written.bytes().any(|byte| b"<>~@&".contains(&byte));
    is_operator && has_order && !matches!(written, "->" | "->>" | "#>" | "#>>" | "&" | "~")
}

/// The joins of a text that the parser cannot read, as far as its words tell.
#[derive(Default)]
struct UnreadJoins {
    /// Number of tables after FROM and JOIN.
    tables: u64,
    /// Number of NATURAL.
    natural: u64,
    /// Number of `=`, `<>` and IN, of names in USING, and of `.*`, which counts as [`WIDE_ROW`].
    comparisons: u64,
    /// Number of other operators of comparison that have no literal beside them, and of BETWEEN, which counts as two.
    ordered: u64,
    /// Depths of the queries that are open.
    selects: Vec<usize>,
    /// Depths of the FROM clauses that are open.
    from: Vec<usize>,
    /// Number of commas in each open parenthesis, and in the one that was closed last.
    commas: Vec<u64>,
    listed: u64,
    /// Depth of an open list after USING.
    using: Option<usize>,
    /// True right after USING.
    follows_using: bool,
}

impl UnreadJoins {
    /// Counts a lexeme. `beside` returns the lexeme so many places after it. `depth` is the number of open parentheses.
    fn read<'a>(&mut self, beside: &dyn Fn(isize) -> &'a str, depth: usize) {
        let (before, written) = (beside(-1), beside(0));
        let is = |word: &str| written.eq_ignore_ascii_case(word);
        let follows_using = std::mem::replace(&mut self.follows_using, is("using"));
        if is("(") && follows_using {
            self.using = Some(depth + 1);
            self.comparisons += 1;
        }
        self.using = self.using.filter(|using| depth >= *using || is("("));
        let ends =
            ["where", "group", "order", "having", "limit", "union", "select", "window"].iter().any(|word| is(word));
        self.from.retain(|from| *from < depth || *from == depth && !ends);
        self.selects.retain(|select| *select <= depth);
        // Commas in the list before and after: `(a, b) = (c, d)` makes two comparisons.
        match written {
            "(" => self.commas.push(0),
            "," => self.commas.last_mut().into_iter().for_each(|commas| *commas += 1),
            ")" => self.listed = self.commas.pop().unwrap_or_default(),
            _ => {}
        }
        let width = if before == ")" && beside(1) == "(" { 1 + self.listed } else { 1 };
        let has_literal = is_literal(before, beside(-2)) || follows_literal(beside);
        match written {
            "=" | "<>" | "!=" | "*=" | "*<>" => self.comparisons += width,
            _ if !has_literal && is_indexed(written) => self.ordered += width,
            _ if is("between") => self.ordered += 2 - u64::from(follows_literal(beside)),
            // A row of all columns of a table may be compared.
            "*" if before == "." => self.comparisons += WIDE_ROW,
            "," if self.using == Some(depth) => self.comparisons += 1,
            "," if self.from.last() == Some(&depth) => self.tables += 1,
            _ if is("natural") => self.natural += 1,
            _ if is("join") => self.tables += 1,
            _ if is("in") => self.comparisons += 1,
            _ if is("select") => self.selects.push(depth),
            _ if is("from") && before.eq_ignore_ascii_case("distinct") => {}
            // In EXTRACT (year FROM day), FROM belongs to no query.
            _ if is("from") && self.selects.last() != Some(&depth) => {}
            _ if is("from") => {
                self.tables += 1;
                self.from.push(depth);
            }
            _ => {}
        }
    }

    /// # Errors
    ///
    /// [`Rejection::ManyTables`] with the bound, or [`Rejection::ManyComparisons`].
    fn judge(&self) -> Result<(), Rejection> {
        if self.tables > MAX_TABLES as u64 {
            return Err(Rejection::ManyTables { limit: MAX_TABLES });
        }
        // Any of the comparisons may be in a sub-query of a condition.
        let are_many = self.comparisons.saturating_mul(self.tables) > MAX_COMPARED
            || self.ordered.saturating_mul(self.tables) > MAX_ORDERED
            || self.comparisons > MAX_WITHIN;
        if self.natural > MAX_NATURAL || are_many {
            return Err(Rejection::ManyComparisons);
        }
        Ok(())
    }
}

/// True for white space and for a comment.
pub(super) fn is_blank(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::Whitespace(_))
}

pub(super) fn is_word(token: &TokenWithSpan, name: &str) -> bool {
    matches!(&token.token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(name))
}

/// Maximum nesting depth of costly forms. The time or the size of such a form at least doubles with each level:
/// - POSITION inside POSITION doubles the time of the parser.
/// - A row in a row doubles the quotes in its text. So do an array of rows, a quoted literal and JSON in JSON.
/// - The server copies the operand of each BETWEEN. It copies the operand of IN for each item that is no constant.
pub(super) const MAX_COSTLY_NESTING: usize = 8;

/// Words before a parenthesis, or before the bracket of an array, that count for [`MAX_COSTLY_NESTING`].
pub(super) const COSTLY: [&str; 16] = [
    "position",
    "row",
    "array",
    "array_fill",
    "format",
    "quote_literal",
    "quote_nullable",
    "quote_ident",
    "to_json",
    "to_jsonb",
    "row_to_json",
    "array_to_json",
    "json_build_array",
    "json_build_object",
    "jsonb_build_array",
    "jsonb_build_object",
];

/// Maximum copies of expressions, columns and literals that the planner may make when it moves sub-queries into the
/// queries around them. The planner of PostgreSQL 15 and 18 takes 500 to 1,000 bytes for each copy (measured).
pub(super) const MAX_COPIES: u64 = 100_000;

/// Maximum tables of one SELECT. The planner's time and memory grow with the square of their number. SQLite allows 64.
pub(super) const MAX_TABLES: usize = 200;

/// Maximum comparisons of columns in a statement, times the tables of its largest SELECT. At this bound the planner
/// takes up to 120 MB: 30 conditions on each of 25 tables, with an index on each column (measured on PostgreSQL 15 and
/// 18).
pub(super) const MAX_COMPARED: u64 = 20_000;

/// Maximum conditions that compare columns by another operator than `=`, times the tables of the largest SELECT. With an
/// index on each column, 588 take up to 120 MB, 1,120 take 300 MB and 2,240 take 1 GB, whatever the planner's settings
/// are (measured on PostgreSQL 15 and 18).
pub(super) const MAX_ORDERED: u64 = 600;

/// Maximum comparisons in the conditions of outer joins, beyond [`USUAL_KEY`] of each join, times the tables of the largest
/// SELECT. 2,240 comparisons times tables take up to 260 MB, and 4,480 take 1 GB (eight tables with an index on each
/// column; PostgreSQL 15 and 18).
pub(super) const MAX_OUTER: u64 = 2_000;

/// Number of columns of a usual key.
pub(super) const USUAL_KEY: u64 = 3;

/// Number of comparisons by which an outer join usually finds a period: its beginning and its end. 80 outer joins with two
/// such comparisons take less than 50 MB. 40 inner joins take 400 MB, because the planner tries their orders.
pub(super) const USUAL_RANGE: u64 = 2;

/// Maximum comparisons in the sub-queries of the conditions of one SELECT (EXISTS, IN). The planner's memory grows with
/// the square of their number: 240 comparisons of indexed columns take 92 MB, and 480 take 347 MB.
pub(super) const MAX_WITHIN: u64 = 250;

/// Maximum expressions that one SELECT makes equal to each other. In PostgreSQL 15 the planner's time grows with the
/// fourth power of their number: 33 expressions take 3 s, and 50 take 15 s. Meanwhile the planner does not react to a
/// cancel. PostgreSQL 18 takes 0.1 s for either number.
pub(super) const MAX_EQUAL: u64 = 40;

/// Number of comparisons up to which the planner keeps its usual settings. 35 comparisons between eight tables take up
/// to 52 MB, and 32 comparisons with one table take up to 90 MB.
pub(super) const MANY_COMPARISONS: u64 = 30;

/// Number of columns that `t.*` counts as in a comparison, and the most comparisons that a NATURAL JOIN counts as.
pub(super) const WIDE_ROW: u64 = 100;

/// Number of comparisons that NATURAL counts as, if a SELECT has only two tables. For two tables the planner has no
/// order of joins to search.
pub(super) const NATURAL_PAIR: u64 = 20;

/// Maximum number of NATURAL in a text that the parser cannot read.
const MAX_NATURAL: u64 = 4;

/// Maximum depth of queries inside each other, in a text that the parser cannot read.
const MAX_OPEN: usize = 50;

/// Maximum number of dots in one name, and of repetitions of one word in a row. Both readers (the parser and the second
/// reader) go back from each part over all earlier parts.
const MAX_RUN: usize = 60;

/// Maximum number of the operators of [`is_pattern`]. In the dialect of SQLite, the parser copies all that stands before
/// such an operator, so its time grows with the square of their number: 3,600 take 4 s.
const MAX_PATTERNS: usize = 300;

/// True for an operator whose left side the parser copies.
fn is_pattern(token: &TokenWithSpan) -> bool {
    ["glob", "match", "regexp"].iter().any(|word| is_word(token, word))
}

/// Maximum number of CTEs. Every `AS (` and every `MATERIALIZED (` counts as one CTE. The planner of PostgreSQL
/// descends into a chain of CTEs, and does not react to a cancel meanwhile.
const MAX_CTES: usize = 100;

/// How often AS or MATERIALIZED stands directly before a parenthesis.
fn definitions(tokens: &[TokenWithSpan]) -> usize {
    let meaningful: Vec<_> = tokens.iter().filter(|token| !is_blank(token)).collect();
    let opens = |pair: &&[&TokenWithSpan]| match pair {
        [word, open] => open.token == Token::LParen && (is_word(word, "as") || is_word(word, "materialized")),
        _ => false,
    };
    meaningful.windows(2).filter(opens).count()
}

/// The largest number of dots in one name, or of repetitions of the same word in a row.
fn longest_run(tokens: &[TokenWithSpan]) -> usize {
    let meaningful = tokens.iter().filter(|token| !is_blank(token));
    let (mut longest, mut dots, mut same) = (0, 0, 0);
    let mut before: Option<&Token> = None;
    for token in meaningful.map(|token| &token.token) {
        match token {
            Token::Period => dots += 1,
            Token::Word(_) if before == Some(&Token::Period) => {}
            _ => dots = 0,
        }
        let repeats = match (before, token) {
            (Some(Token::Word(before)), Token::Word(word)) => before.value.eq_ignore_ascii_case(&word.value),
            _ => false,
        };
        same = if repeats { same + 1 } else { 0 };
        longest = longest.max(dots).max(same);
        before = Some(token);
    }
    longest
}

/// See [`COSTLY`]. A function may be written in quotes.
fn is_costly_word(token: &TokenWithSpan) -> bool {
    matches!(&token.token, Token::Word(word) if COSTLY.iter().any(|costly| word.value.eq_ignore_ascii_case(costly)))
}

/// True for a word after which a parenthesis holds arguments or a list: a name, or a keyword such as IN.
fn takes_list(token: &TokenWithSpan) -> bool {
    match &token.token {
        Token::Word(word) if word.quote_style.is_none() => {
            let low = word.value.to_lowercase();
            matches!(low.as_str(), "in" | "values" | "using" | "on" | "left" | "right" | "group")
                || !quoting::is_reserved(Dialect::Postgresql, &low)
        }
        Token::Word(_) => true,
        _ => false,
    }
}

/// The deepest nesting of costly parentheses and brackets. A parenthesis is costly if it follows a word of [`COSTLY`],
/// if it directly contains BETWEEN or IN, or if it is a row. A row is a parenthesis that directly contains a comma,
/// that begins no query, and that follows no word of [`takes_list`]. A bracket is costly in the first two cases.
fn nesting(tokens: &[TokenWithSpan]) -> usize {
    /// A parenthesis or bracket that is open.
    struct Open {
        /// The deepest nesting of costly parentheses and brackets inside it so far.
        inside: usize,
        is_costly: bool,
        /// True if a comma would make it a row, which is costly.
        may_be_row: bool,
    }
    let mut open: Vec<Open> = Vec::new();
    let mut deepest = 0_usize;
    let mut before: Option<&TokenWithSpan> = None;
    for token in tokens.iter().filter(|token| !is_blank(token)) {
        let begins_query = ["select", "with", "values", "table"].iter().any(|word| is_word(token, word));
        let is_first = before.is_some_and(|before| before.token == Token::LParen);
        if let Some(innermost) = open.last_mut() {
            innermost.may_be_row &= !(begins_query && is_first);
            innermost.is_costly |= is_word(token, "between") || is_word(token, "in");
        }
        match token.token {
            Token::LParen | Token::LBracket => {
                let is_costly = before.is_some_and(is_costly_word);
                let follows_name = before.is_some_and(takes_list);
                let is_paren = token.token == Token::LParen;
                open.push(Open { inside: 0, is_costly, may_be_row: is_paren && !follows_name });
            }
            Token::Comma => {
                if let Some(innermost) = open.last_mut() {
                    innermost.is_costly |= innermost.may_be_row;
                }
            }
            Token::RParen | Token::RBracket => {
                let Some(closed) = open.pop() else { continue };
                let depth = closed.inside + usize::from(closed.is_costly);
                deepest = deepest.max(depth);
                if let Some(around) = open.last_mut() {
                    around.inside = around.inside.max(depth);
                }
            }
            _ => {}
        }
        before = Some(token);
    }
    // Parentheses that are not closed count too, because the parser reads them before it finds the error.
    let unclosed = open.iter().rev().fold(0, |depth, open| open.inside.max(depth) + usize::from(open.is_costly));
    deepest.max(unclosed)
}
