//! The part of the walk below a query's clauses: expressions, function calls and operators. Pure.

use sqlparser::ast::*;

use super::{Walk, Walked, regclass_refusal};
use crate::dialect::Dialect;
use crate::guard::columns::{ColumnName, Wildcard};
use crate::guard::functions::{self, Judgement};
use crate::guard::{Rejection, settings};

impl Walk<'_> {
    pub(super) fn function_name(&mut self, name: &ObjectName) -> Walked {
        let parts = self.parts(name)?;
        let (schema, bare) = match (self.dialect, parts.as_slice()) {
            (_, [bare]) => (None, bare),
            (Dialect::Postgresql, [schema, bare]) => (Some(schema.as_str()), bare),
            (dialect, parts) => return Err(Rejection::function(dialect, &parts.join("."))),
        };
        // In a pooled session, another client may have created functions in such a schema.
        if schema.is_some_and(|schema| schema.starts_with("pg_") && schema != "pg_catalog") {
            return Err(Rejection::function(self.dialect, &parts.join(".")));
        }
        match (schema, functions::judge(self.dialect, bare)) {
            (None | Some("pg_catalog"), Judgement::Refused) => return Err(Rejection::function(self.dialect, bare)),
            (Some("pg_catalog"), Judgement::Harmless) => {}
            (None, Judgement::Harmless) => {
                self.functions.insert(bare.clone());
            }
            (_, Judgement::Harmless | Judgement::Unknown | Judgement::Refused) => {
                self.unknown.insert((schema.map(str::to_owned), bare.clone()));
            }
        }
        // PostgreSQL reads `name(x)` as a cast if there is a type and no function of that name.
        self.types.insert(bare.clone());
        Ok(())
    }

    /// Whether the function is `current_setting`, for a setting that the guard also allows in SHOW.
    fn shows_setting(&self, name: &ObjectName, args: &FunctionArguments) -> Result<bool, Rejection> {
        let parts = self.parts(name)?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let is_named = matches!(parts.as_slice(), ["current_setting"] | ["pg_catalog", "current_setting"]);
        let FunctionArguments::List(list) = args else { return Ok(false) };
        let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value)))) = list.args.first() else {
            return Ok(false);
        };
        let is_listed = matches!(&value.value, Value::SingleQuotedString(text) if settings::is_harmless(text));
        Ok(self.dialect == Dialect::Postgresql && is_named && is_listed)
    }

    /// Whether the name is that of a built-in function of PostgreSQL that takes a value of any type, array type or
    /// range type without converting it, and returns a number, a boolean or JSON. No other built-in of the same name
    /// takes text.
    fn takes_any(&self, name: &ObjectName) -> bool {
        let known = [
            "array_length",
            "array_lower",
            "array_ndims",
            "array_upper",
            "cardinality",
            "count",
            "isempty",
            "json_agg",
            "jsonb_agg",
            "num_nonnulls",
            "num_nulls",
            "row_to_json",
            "to_json",
            "to_jsonb",
        ];
        let parts = self.parts(name).unwrap_or_default();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        matches!(parts.as_slice(), [bare] | ["pg_catalog", bare] if known.contains(bare))
    }

    pub(super) fn function(&mut self, function: &Function) -> Walked {
        let Function { name, uses_odbc_syntax, parameters, args, within_group, filter, null_treatment: _, over } =
            function;
        if *uses_odbc_syntax || !matches!(parameters, FunctionArguments::None) {
            return Err(Rejection::clause("a function call of another SQL dialect"));
        }
        if !self.shows_setting(name, args)? {
            self.function_name(name)?;
        }
        match args {
            FunctionArguments::None => {}
            FunctionArguments::Subquery(query) => self.query(query)?,
            FunctionArguments::List(FunctionArgumentList { duplicate_treatment: _, args, clauses }) => {
                let takes_any = self.takes_any(name);
                for arg in args {
                    match arg {
                        FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)) if takes_any => self.alone(arg)?,
                        arg => self.args(std::slice::from_ref(arg))?,
                    }
                }
                for clause in clauses {
                    match clause {
                        FunctionArgumentClause::IgnoreOrRespectNulls(_)
                        | FunctionArgumentClause::Separator(_)
                        | FunctionArgumentClause::JsonNullClause(_) => {}
                        FunctionArgumentClause::JsonReturningClause(returning) => {
                            self.data_type(&returning.data_type)?;
                        }
                        FunctionArgumentClause::Where(expr) | FunctionArgumentClause::Limit(expr) => self.expr(expr)?,
                        FunctionArgumentClause::OrderBy(list) => self.order(list)?,
                        FunctionArgumentClause::OnOverflow(ListAggOnOverflow::Error) => {}
                        FunctionArgumentClause::OnOverflow(ListAggOnOverflow::Truncate { filler, with_count: _ }) => {
                            self.maybe(filler.as_deref())?;
                        }
                        FunctionArgumentClause::Having(HavingBound(_, expr)) => self.expr(expr)?,
                    }
                }
            }
        }
        // An aggregate with WITHIN GROUP may return a value that it sorts. So its columns are not recorded in `alone`.
        let alone = self.uses.alone.len();
        self.order(within_group)?;
        self.uses.alone.truncate(alone);
        self.maybe(filter.as_deref())?;
        match over {
            None => Ok(()),
            Some(WindowType::NamedWindow(name)) => {
                self.understand(name);
                Ok(())
            }
            Some(WindowType::WindowSpec(spec)) => self.window(spec),
        }
    }

    pub(super) fn args(&mut self, args: &[FunctionArg]) -> Walked {
        use FunctionArgOperator::{Assignment, RightArrow};
        for arg in args {
            let value = match arg {
                // With any other operator, the name may be a column.
                FunctionArg::Named { name, arg, operator: RightArrow | Assignment } => {
                    self.understand(name);
                    arg
                }
                FunctionArg::ExprNamed { name: Expr::Identifier(name), arg, operator: RightArrow | Assignment }
                    if self.dialect == Dialect::Postgresql =>
                {
                    self.understand(name);
                    arg
                }
                FunctionArg::Named { name: _, arg, operator: _ } | FunctionArg::Unnamed(arg) => arg,
                FunctionArg::ExprNamed { name, arg, operator: _ } => {
                    self.expr(name)?;
                    arg
                }
            };
            match value {
                FunctionArgExpr::Expr(expr) => self.expr(expr)?,
                FunctionArgExpr::QualifiedWildcard(name) => {
                    self.understand_name(name);
                    let of = self.parts(name)?.pop();
                    self.sizes.row_of(of.as_deref().unwrap_or_default());
                    self.uses.wildcards.push(Wildcard { of, from: None, place: None });
                }
                FunctionArgExpr::Wildcard => {}
                FunctionArgExpr::WildcardWithOptions(options) => self.wildcard(options)?,
            }
        }
        Ok(())
    }

    pub(super) fn window(&mut self, spec: &WindowSpec) -> Walked {
        let WindowSpec { window_name, partition_by, order_by, window_frame } = spec;
        if let Some(name) = window_name {
            self.understand(name);
        }
        partition_by.iter().try_for_each(|expr| self.alone(expr))?;
        self.order(order_by)?;
        if let Some(WindowFrame { units: _, start_bound, end_bound }) = window_frame {
            for bound in std::iter::once(start_bound).chain(end_bound) {
                match bound {
                    WindowFrameBound::CurrentRow => {}
                    WindowFrameBound::Preceding(expr) | WindowFrameBound::Following(expr) => {
                        self.maybe(expr.as_deref())?;
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn order(&mut self, list: &[OrderByExpr]) -> Walked {
        for OrderByExpr { expr, options: _, with_fill } in list {
            if with_fill.is_some() {
                return Err(Rejection::clause("WITH FILL"));
            }
            self.alone(expr)?;
        }
        Ok(())
    }

    /// Walks an expression whose value is compared only with values of its own type. If the expression is a column,
    /// records it in `alone`.
    pub(super) fn alone(&mut self, expr: &Expr) -> Walked {
        let before = self.uses.uses.len();
        self.expr(expr)?;
        let is_column = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
        if is_column && self.uses.uses.len() == before + 1 {
            self.uses.alone.extend(self.uses.uses.last().cloned());
        }
        Ok(())
    }

    pub(super) fn exprs(&mut self, list: &[Expr]) -> Walked {
        list.iter().try_for_each(|expr| self.expr(expr))
    }

    pub(super) fn maybe(&mut self, expr: Option<&Expr>) -> Walked {
        expr.map_or(Ok(()), |expr| self.expr(expr))
    }

    pub(super) fn expr(&mut self, expr: &Expr) -> Walked {
        self.sizes.weigh(1);
        match expr {
            Expr::Value(ValueWithSpan { value: Value::Placeholder(_), span: _ }) => Err(Rejection::placeholder()),
            Expr::CompoundIdentifier(parts) => {
                self.use_parts(parts);
                parts.iter().for_each(|part| self.understand(part));
                if let Some(last) = parts.last() {
                    let field = self.fold(last);
                    self.fields.insert(field);
                    let table = parts.len().checked_sub(2).and_then(|at| parts.get(at)).map(|part| self.fold(part));
                    self.uses.uses.push(ColumnName { table, column: self.fold(last) });
                    // `alias.column.field`: the column may be any part except the last.
                    for pair in parts.windows(2).take(parts.len().saturating_sub(2)) {
                        if let [table, column] = pair {
                            let (table, column) = (self.fold(table), self.fold(column));
                            self.uses.uses.push(ColumnName { table: Some(table), column });
                        }
                    }
                }
                Ok(())
            }
            Expr::Identifier(name) => {
                self.understand(name);
                let column = self.fold(name);
                self.sizes.used(None, &column);
                self.uses.uses.push(ColumnName { table: None, column });
                Ok(())
            }
            Expr::Value(value) => {
                self.weigh_value(&value.value);
                Ok(())
            }
            Expr::Wildcard(_) => Ok(()),
            Expr::QualifiedWildcard(name, _) => {
                self.understand_name(name);
                let of = self.parts(name)?.pop();
                self.sizes.row_of(of.as_deref().unwrap_or_default());
                self.uses.wildcards.push(Wildcard { of, from: None, place: None });
                Ok(())
            }
            Expr::CompoundFieldAccess { root, access_chain } => {
                self.expr(root)?;
                for access in access_chain {
                    match access {
                        AccessExpr::Subscript(Subscript::Index { index }) => self.expr(index)?,
                        AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, stride }) => {
                            self.maybe(lower_bound.as_ref())?;
                            self.maybe(upper_bound.as_ref())?;
                            self.maybe(stride.as_ref())?;
                        }
                        AccessExpr::Dot(field) => self.field(field)?,
                    }
                }
                Ok(())
            }
            Expr::JsonAccess { value, path } => {
                self.expr(value)?;
                for element in &path.path {
                    match element {
                        JsonPathElem::Dot { key: _, quoted: _ } => {}
                        JsonPathElem::Bracket { key } | JsonPathElem::ColonBracket { key } => self.expr(key)?,
                    }
                }
                Ok(())
            }
            Expr::IsNull(inner) | Expr::IsNotNull(inner) => self.alone(inner),
            Expr::IsFalse(inner)
            | Expr::IsNotFalse(inner)
            | Expr::IsTrue(inner)
            | Expr::IsNotTrue(inner)
            | Expr::IsUnknown(inner)
            | Expr::IsNotUnknown(inner)
            | Expr::IsJson { expr: inner, kind: _, unique_keys: _, negated: _ }
            | Expr::IsNormalized { expr: inner, form: _, negated: _ }
            | Expr::Extract { field: _, syntax: _, expr: inner }
            | Expr::Ceil { expr: inner, field: _ }
            | Expr::Floor { expr: inner, field: _ }
            | Expr::Nested(inner)
            | Expr::Prefixed { prefix: _, value: inner }
            | Expr::Named { expr: inner, name: _ } => self.expr(inner),
            Expr::Collate { expr: inner, collation } => {
                self.understand_name(collation);
                self.expr(inner)
            }
            Expr::UnaryOp { op, expr } => {
                unary(op)?;
                self.sizes.denied(expr);
                self.expr(expr)
            }
            Expr::BinaryOp { left, op, right } => {
                binary(op)?;
                match op {
                    BinaryOperator::Or => [left, right].iter().for_each(|part| self.sizes.alternative(part)),
                    // `(a AND b) = false` is planned as `NOT a OR NOT b`.
                    BinaryOperator::Eq | BinaryOperator::NotEq => {
                        [left, right].iter().for_each(|part| self.sizes.denied(part));
                    }
                    _ => {}
                }
                match compares(op) {
                    // `NOT a <> b` is planned as `a = b`.
                    Some(true) => self.sizes.compared_with(left, right, true),
                    Some(false) => self.sizes.ordered_with(left, right),
                    None => {}
                }
                self.expr(left)?;
                self.expr(right)
            }
            Expr::AnyOp { left, compare_op, right, is_some: _ } | Expr::AllOp { left, compare_op, right } => {
                binary(compare_op)?;
                self.expr(left)?;
                let before = self.sizes.all_tables;
                self.expr(right)?;
                match right.as_ref() {
                    Expr::Array(array) => array.elem.iter().for_each(|item| self.sizes.ordered_with(left, item)),
                    Expr::Subquery(_) => {
                        self.sizes.compared_with_query(left);
                        self.compared();
                        self.sizes.semi_join(1, self.sizes.all_tables - before)?;
                    }
                    other => self.sizes.ordered_with(left, other),
                }
                Ok(())
            }
            Expr::IsDistinctFrom(left, right)
            | Expr::IsNotDistinctFrom(left, right)
            | Expr::InUnnest { expr: left, array_expr: right, negated: _ }
            | Expr::AtTimeZone { timestamp: left, time_zone: right }
            | Expr::Position { expr: left, r#in: right }
            | Expr::RLike { negated: _, expr: left, pattern: right, regexp: _ } => {
                self.expr(left)?;
                self.expr(right)
            }
            Expr::InList { expr, list, negated: _ } => {
                list.iter().for_each(|item| self.sizes.compared_with(expr, item, list.len() == 1));
                if list.len() > 1 {
                    list.iter().for_each(|item| self.sizes.ordered_with(expr, item));
                }
                let computed = list.iter().filter(|item| !matches!(item, Expr::Value(_))).count();
                self.copied(expr, computed.max(1))?;
                self.exprs(list)
            }
            Expr::InSubquery { expr, subquery, negated: _ } => {
                self.expr(expr)?;
                let before = self.sizes.all_tables;
                self.query(subquery)?;
                self.sizes.compared_with_query(expr);
                self.compared();
                self.sizes.semi_join(1, self.sizes.all_tables - before)
            }
            Expr::Between { expr, negated: _, low, high } => {
                // BETWEEN SYMMETRIC makes four copies of the operand. The parser may read SYMMETRIC as a function call
                // in `low`, so four copies are assumed for every BETWEEN.
                [low, high].iter().for_each(|bound| self.sizes.ordered_with(expr, bound));
                self.copied(expr, 4)?;
                self.copied(low, 2)?;
                self.copied(high, 2)
            }
            Expr::Like { negated: _, any: _, expr, pattern, escape_char }
            | Expr::ILike { negated: _, any: _, expr, pattern, escape_char }
            | Expr::SimilarTo { negated: _, expr, pattern, escape_char } => {
                self.expr(expr)?;
                self.expr(pattern)?;
                self.maybe(escape_char.as_deref())
            }
            Expr::Cast { kind: _, expr, data_type, format: _ } => {
                self.expr(expr)?;
                if let (DataType::Regclass, Expr::Value(text)) = (data_type, expr.as_ref())
                    && let Some(text) = text.value.clone().into_string()
                {
                    regclass_refusal(&text)?;
                }
                self.data_type(data_type)
            }
            Expr::TypedString(TypedString { data_type, value, uses_odbc_syntax: _ }) => {
                if let (DataType::Regclass, Some(text)) = (data_type, value.value.clone().into_string()) {
                    regclass_refusal(&text)?;
                }
                self.data_type(data_type)
            }
            Expr::Substring { expr, substring_from, substring_for, special: _, shorthand: _ } => {
                self.expr(expr)?;
                self.maybe(substring_from.as_deref())?;
                self.maybe(substring_for.as_deref())
            }
            Expr::Trim { trim_where: _, trim_what, expr, trim_characters } => {
                self.expr(expr)?;
                self.maybe(trim_what.as_deref())?;
                trim_characters.iter().try_for_each(|list| self.exprs(list))
            }
            Expr::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                self.expr(expr)?;
                self.expr(overlay_what)?;
                self.expr(overlay_from)?;
                self.maybe(overlay_for.as_deref())
            }
            Expr::Function(function) => self.measured_call(function),
            Expr::Case { case_token: _, end_token: _, operand, conditions, else_result } => {
                self.maybe(operand.as_deref())?;
                for CaseWhen { condition, result } in conditions {
                    self.expr(condition)?;
                    self.expr(result)?;
                }
                self.maybe(else_result.as_deref())
            }
            Expr::Exists { subquery, negated: _ } => {
                let before = self.sizes.all_tables;
                self.query(subquery)?;
                self.sizes.semi_join(0, self.sizes.all_tables - before)
            }
            Expr::Subquery(subquery) => self.query(subquery),
            Expr::GroupingSets(sets) | Expr::Cube(sets) | Expr::Rollup(sets) => {
                let (elements, columns) = (sets.len(), sets.iter().map(Vec::len).sum());
                let count = match expr {
                    Expr::Cube(_) => 1 << elements.min(40),
                    Expr::Rollup(_) => elements + 1,
                    _ => elements,
                };
                self.sizes.sets(count, columns);
                sets.iter().try_for_each(|set| self.exprs(set))
            }
            Expr::Tuple(list) => self.costly(true, |walk| walk.exprs(list)),
            Expr::Array(Array { elem, named: _ }) => self.costly(true, |walk| walk.exprs(elem)),
            Expr::Interval(Interval {
                value,
                leading_field: _,
                leading_precision: _,
                last_field: _,
                fractional_seconds_precision: _,
            }) => self.expr(value),
            Expr::Convert { .. }
            | Expr::Struct { .. }
            | Expr::Dictionary(_)
            | Expr::Map(_)
            | Expr::OuterJoin(_)
            | Expr::Prior(_)
            | Expr::Lambda(_)
            | Expr::MemberOf(_) => Err(Rejection::clause("an expression of another SQL dialect")),
            Expr::MatchAgainst { .. } => Err(Rejection::clause("MATCH .. AGAINST")),
        }
    }

    /// `(expression).name`: PostgreSQL calls the function `name` if no field has that name.
    pub(super) fn field(&mut self, field: &Expr) -> Walked {
        match field {
            Expr::Identifier(name) => {
                self.understand(name);
                let name = self.fold(name);
                self.uses.uses.push(ColumnName { table: None, column: name.clone() });
                match functions::judge(self.dialect, &name) {
                    Judgement::Harmless => self.functions.insert(name),
                    Judgement::Unknown => self.unknown.insert((None, name)),
                    Judgement::Refused => return Err(Rejection::function_by_dot(&name)),
                };
                Ok(())
            }
            Expr::Function(function) => self.function(function),
            // `(row).*` means all fields.
            Expr::Wildcard(_) => Ok(()),
            _ => Err(Rejection::clause("this field access")),
        }
    }
}

fn unary(op: &UnaryOperator) -> Walked {
    match op {
        UnaryOperator::AtDashAt
        | UnaryOperator::BangNot
        | UnaryOperator::BitwiseNot
        | UnaryOperator::DoubleAt
        | UnaryOperator::Hash
        | UnaryOperator::Plus
        | UnaryOperator::Minus
        | UnaryOperator::Not
        | UnaryOperator::PGAbs
        | UnaryOperator::PGCubeRoot
        | UnaryOperator::PGPostfixFactorial
        | UnaryOperator::PGPrefixFactorial
        | UnaryOperator::PGSquareRoot
        | UnaryOperator::QuestionDash
        | UnaryOperator::QuestionPipe => Ok(()),
    }
}

/// True for an operator such as `=`, false for another operator that an index may know (`<`, `&&`), and `None` for an
/// operator that computes.
pub(super) fn compares(op: &BinaryOperator) -> Option<bool> {
    use BinaryOperator::*;
    let name = match op {
        Eq | NotEq => return Some(true),
        Plus | Minus | Multiply | Divide | Modulo | StringConcat | And | Or | Xor | BitwiseOr | BitwiseAnd
        | BitwiseXor | DuckIntegerDivide | MyIntegerDivide | PGBitwiseXor | PGExp | Arrow | LongArrow | HashArrow
        | HashLongArrow | HashMinus | Assignment => return None,
        Custom(name) => name.as_str(),
        PGCustomBinaryOperator(parts) => parts.last().map_or("", String::as_str),
        _ => return Some(false),
    };
    match name {
        // The last two compare records byte by byte.
        "=" | "<>" | "!=" | "*=" | "*<>" => Some(true),
        "+" | "-" | "*" | "/" | "%" | "||" | "|" | "&" | "#" | "^" | "->" | "->>" | "#>" | "#>>" | "#-" => None,
        _ => Some(false),
    }
}

fn binary(op: &BinaryOperator) -> Walked {
    use BinaryOperator::*;
    match op {
        Plus | Minus | Multiply | Divide | Modulo | StringConcat | Gt | Lt | GtEq | LtEq | Spaceship | Eq | NotEq
        | And | Or | Xor | BitwiseOr | BitwiseAnd | BitwiseXor | DuckIntegerDivide | MyIntegerDivide | Match
        | Regexp | Glob | Custom(_) | PGBitwiseXor | PGBitwiseShiftLeft | PGBitwiseShiftRight | PGExp | PGOverlap
        | PGRegexMatch | PGRegexIMatch | PGRegexNotMatch | PGRegexNotIMatch | PGLikeMatch | PGILikeMatch
        | PGNotLikeMatch | PGNotILikeMatch | PGStartsWith | Arrow | LongArrow | HashArrow | HashLongArrow | AtAt
        | AtArrow | ArrowAt | HashMinus | AtQuestion | Question | QuestionAnd | QuestionPipe | Overlaps
        | DoubleHash | LtDashGt | AndLt | AndGt | LtLtPipe | PipeGtGt | AndLtPipe | PipeAndGt | LtCaret | GtCaret
        | QuestionHash | QuestionDash | QuestionDashPipe | QuestionDoublePipe | At | TildeEq => Ok(()),
        PGCustomBinaryOperator(parts) => match parts.as_slice() {
            [_] => Ok(()),
            [schema, _] if schema == "pg_catalog" => Ok(()),
            _ => Err(Rejection::foreign_operator(parts.join("."))),
        },
        Assignment => Err(Rejection::clause("an assignment")),
    }
}
