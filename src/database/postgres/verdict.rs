//! Decides from the findings of the look-up whether a statement may run.

use std::collections::{BTreeMap, BTreeSet};

use super::catalog_check::{Reached, Vouched};
use super::finding::{Finding, Reach};
use crate::database::DatabaseError;
use crate::guard::Names;
use crate::guard::forms::Forms;

/// The result for a statement that may run.
#[derive(Debug, Default)]
pub(super) struct Harmless {
    /// Names of built-in functions for which the server could choose a user's function. The text has to write them as
    /// `pg_catalog.name`.
    pub(super) shadowed: BTreeSet<String>,
    /// True if another user can replace a relation or a type that the statement reads, after the check and before the
    /// statement runs.
    pub(super) is_replaceable: bool,
    /// True if the statement makes or reads values of types whose owners are not in `TRUSTED`.
    pub(super) has_foreign_types: bool,
    /// True if the statement may mean something else without the schemas of users in its path.
    pub(super) needs_path: bool,
    /// True if somebody who is not trusted can create objects in a schema of the path.
    pub(super) is_path_open: bool,
    /// True if somebody who is not trusted can create objects in a schema that is written before a function.
    pub(super) is_function_open: bool,
    /// Relations that the statement names without a schema. The value is the schema that contains the relation.
    pub(super) relations: BTreeMap<String, String>,
}

/// Why a statement is refused.
pub(super) struct Refusal {
    pub(super) error: DatabaseError,
    /// Schemas of the path that a second check may leave out. A schema is not listed if the server may choose a
    /// harmless function or operator of that schema.
    pub(super) schemas: BTreeSet<String>,
    /// Name of the refused object. If a function is not found, the server reports `value.name` as a missing column. An
    /// error about a column is replaced by this refusal only if the error contains this name.
    pub(super) name: Option<String>,
    /// True if the look-up did not see every object that the statement can reach. Then the server may choose a harmless
    /// object of these schemas that the look-up did not see.
    pub(super) is_partial: bool,
}

impl From<DatabaseError> for Refusal {
    fn from(error: DatabaseError) -> Self {
        Refusal { error, schemas: BTreeSet::new(), name: None, is_partial: false }
    }
}

/// Returns a refusal after which a second check may leave out all schemas of users. The cause may be in any of these
/// schemas.
pub(super) fn without_users(error: DatabaseError, schemas: &[String]) -> Refusal {
    let schemas = schemas.iter().filter(|schema| *schema != "pg_catalog").cloned().collect();
    Refusal { error, schemas, name: None, is_partial: false }
}

/// Judges the findings of a look-up. The parameters are those of [`vouch`](super::catalog_check::vouch).
///
/// # Errors
///
/// As [`vouch`](super::catalog_check::vouch).
pub(super) fn verdict(
    reached: Reached,
    names: &Names,
    schemas: &[String],
    vouched: &Vouched,
    forms: &Forms,
    keeps_path: bool,
) -> Result<Harmless, Box<Refusal>> {
    let Reached { mut findings, relations, mut needs_path, has_foreign_types } = reached;
    let mark = take_mark(&mut findings, &vouched.mark).map_err(Refusal::from)?;
    let is_partial = findings.iter().any(|finding| finding.what == Reach::Crowded);
    let functions: Vec<Finding> = findings.extract_if(.., |finding| finding.what == Reach::Forms).collect();
    let functions = functions.first().map_or("", |finding| finding.identity.as_str());
    findings.retain(|finding| can_form(finding.what, forms, functions, &names.operators));
    let by_path: Vec<Finding> = findings.extract_if(.., |finding| finding.what == Reach::RowTypeByPath).collect();
    let called: Vec<Finding> = findings.extract_if(.., |finding| finding.what == Reach::Function).collect();
    needs_path |= findings.iter().any(Finding::may_depend_on_path);
    let operators: Vec<Finding> = findings.extract_if(.., |finding| finding.operator_schema.is_some()).collect();
    let called_by_path: BTreeSet<String> =
        called.iter().filter(|finding| finding.may_depend_on_path()).map(|finding| finding.chosen.1.clone()).collect();

    let others = findings.into_iter().map(|finding| (finding.chosen.1.clone(), finding.judge(vouched)));
    let refused = others.filter_map(|(name, judged)| Some((judged.err()?, name))).next();
    let mut calls = judge_calls(called, names, vouched);
    let refused = refused.or(calls.refused.take());
    let mut refused_operator = None;
    for finding in operators {
        let schema = finding.operator_schema.clone();
        match finding.judge(vouched) {
            Ok(()) => calls.schemas.extend(schema),
            Err(error) => drop(refused_operator.get_or_insert(error)),
        }
    }

    // Without the schema of a harmless operator (of `citext`, for example) the server would choose another operator
    // with another result. So these schemas are not left out.
    let may_leave_out = |schema: &&String| !calls.schemas.contains(*schema);
    if let Some((error, name)) = refused {
        let users = schemas.iter().filter(|schema| *schema != "pg_catalog").filter(may_leave_out);
        return Err(Box::new(Refusal { error, schemas: users.cloned().collect(), name: Some(name), is_partial }));
    }
    needs_path |= called_by_path.iter().any(|name| !calls.shadowed.contains(name));
    if needs_path || keeps_path {
        for finding in by_path {
            finding.judge(vouched).map_err(|error| {
                let mut refusal = without_users(error, schemas);
                refusal.schemas.retain(|schema| may_leave_out(&schema));
                refusal.is_partial = is_partial;
                refusal
            })?;
        }
    }
    if let Some(error) = refused_operator {
        let schemas = schemas.iter().filter(may_leave_out).cloned().collect();
        return Err(Box::new(Refusal { error, schemas, name: None, is_partial }));
    }
    Ok(Harmless {
        shadowed: calls.shadowed,
        is_replaceable: mark.is_users,
        has_foreign_types,
        needs_path,
        is_path_open: mark.takes_internals,
        is_function_open: mark.is_shared,
        relations,
    })
}

/// Takes the row with this process's mark out of the findings.
///
/// # Errors
///
/// [`DatabaseError::Sql`] if not exactly one row has the mark. Then another statement answered the look-up.
fn take_mark(findings: &mut Vec<Finding>, mark: &str) -> Result<Finding, DatabaseError> {
    let is_mark = |finding: &mut Finding| finding.what == Reach::Mark && finding.identity == mark;
    let mut marks: Vec<Finding> = findings.extract_if(.., is_mark).collect();
    match (marks.pop(), marks.is_empty()) {
        (Some(mark), true) => Ok(mark),
        _ => Err(DatabaseError::Sql {
            message: "the look-up of names was answered by another statement".into(),
            hint: None,
            sqlstate: Some("26000".into()),
            position: None,
            in_function: false,
        }),
    }
}

/// The functions that a statement calls by a name without a schema.
struct Calls {
    /// As [`Harmless::shadowed`].
    shadowed: BTreeSet<String>,
    /// Schemas with a harmless function that has the name of a built-in, and schemas with a harmless operator. A second
    /// check must not leave out these schemas, because the server would then choose another function or operator.
    schemas: BTreeSet<String>,
    /// The first refusal, and the name of the function.
    refused: Option<(DatabaseError, String)>,
}

fn judge_calls(called: Vec<Finding>, names: &Names, vouched: &Vouched) -> Calls {
    let is_built_in = |finding: &&Finding| finding.chosen.0 == "pg_catalog";
    let built_in: BTreeSet<String> =
        called.iter().filter(is_built_in).map(|finding| finding.chosen.1.clone()).collect();
    // Names of a built-in that an extension's function, or a function listed in the configuration, has too. The server may
    // choose either of them. So calls of these names cannot be written with `pg_catalog`.
    let overloaded: BTreeSet<String> = called
        .iter()
        .filter(|finding| !is_built_in(finding) && built_in.contains(&finding.chosen.1))
        .filter(|finding| {
            let is_listed = vouched.functions.contains(&finding.chosen_name());
            !finding.is_users || is_listed || finding.is_allowed(&vouched.functions)
        })
        .map(|finding| finding.chosen.1.clone())
        .collect();
    let of_users = called.iter().filter(|finding| overloaded.contains(&finding.chosen.1) && !is_built_in(finding));
    let schemas = of_users.map(|finding| finding.chosen.0.clone()).collect();
    let mut calls = Calls { shadowed: BTreeSet::new(), schemas, refused: None };
    for finding in called {
        let (schema, name) = finding.chosen.clone();
        let has_namesake = schema != "pg_catalog" && built_in.contains(&name);
        // A user's function must not replace the built-in, even if it is harmless. Only the configuration can allow it.
        let judged = if has_namesake && finding.is_users && !finding.is_allowed(&vouched.functions) {
            Err(finding.refusal(&vouched.functions))
        } else {
            finding.judge(vouched)
        };
        match judged {
            Err(_) if has_namesake && names.can_be_qualified(&name) && !overloaded.contains(&name) => {
                calls.shadowed.insert(name);
            }
            Err(error) => drop(calls.refused.get_or_insert((error, name))),
            Ok(()) if has_namesake => drop(calls.schemas.insert(schema)),
            Ok(()) => {}
        }
    }
    calls
}

/// False if the finding is the type of a column, and the statement cannot make values of that type. Otherwise true.
/// `functions` is the identity of the finding [`Reach::Forms`].
fn can_form(what: Reach, forms: &Forms, functions: &str, operators: &[String]) -> bool {
    let has = |flag: &str| forms.called.is_none() || functions.split(',').any(|known| known == flag);
    let has_several = has("several");
    let rows = forms.rows || has("rows");
    // Such a clause converts arrays of different types to one type.
    let unifies_arrays = forms.unifies && (forms.arrays > 0 || forms.writes_arrays || has("others"));
    let fills_rows = has("fills") || operators.iter().any(|name| name == "#=");
    match what {
        Reach::DomainOfColumn => {
            let arrays = forms.arrays.saturating_add(usize::from(has("array")));
            arrays > 0 && (forms.structured || forms.unifies || has_several)
                || arrays > 1
                || forms.literals && has_several
                || rows && forms.structured
                || fills_rows
        }
        Reach::DomainInside => {
            // These operators have an array or a range on one side and an element on the other.
            let has_operator = operators.iter().any(|name| matches!(name.as_str(), "||" | "@>" | "<@"));
            let unifies = unifies_arrays || forms.arrays > 0 || has_several;
            forms.structured || unifies || fills_rows || forms.literals && has_operator
        }
        Reach::RowTypeOfColumn => forms.structured || fills_rows,
        _ => true,
    }
}
