//! One object that a name of a statement can mean, and whether it is harmless.

use super::catalog_check::Vouched;
use super::look_up::tells_of_path;
use crate::database::DatabaseError;
use crate::dialect::Dialect;
use crate::guard::{extensions, functions, relations};

/// How a name leads to a finding. The serialized names are the values of the first column of the look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Reach {
    Mark,
    /// A function that the statement calls by a name without a schema.
    Function,
    #[serde(rename = "function of a schema")]
    FunctionOfSchema,
    /// A function that the statement can call as `value.name`.
    #[serde(rename = "function of a row")]
    FunctionOfRow,
    /// A function that runs in an expression of a view, a domain, a virtual generated column or a partition key. On a source
    /// with rules, also in a policy, an index or statistics of another user's table.
    #[serde(rename = "function inside")]
    FunctionInside,
    #[serde(rename = "operator inside")]
    OperatorInside,
    Operator,
    /// A user's operator with the name of a built-in operator or of another owner's operator.
    Lookalike,
    #[serde(rename = "operator class")]
    OperatorClass,
    Cast,
    Relation,
    #[serde(rename = "relation inside")]
    RelationInside,
    #[serde(rename = "foreign table")]
    ForeignTable,
    /// A view or a table whose definition or policy locks rows (FOR UPDATE), on a source with rules.
    #[serde(rename = "locks rows")]
    LocksRows,
    Type,
    /// A domain that the statement can make values of, and whose owner is not in `TRUSTED`. The owner can add a check at any
    /// time, and the server runs it when it makes a value.
    Domain,
    /// Such a domain as the type of a column. [`Forms`](crate::guard::forms::Forms) tells whether the statement can make
    /// values of it.
    #[serde(rename = "domain of a column")]
    DomainOfColumn,
    /// Such a domain inside an array, a row or a range of a column.
    #[serde(rename = "domain inside")]
    DomainInside,
    /// A row type that the statement or a view makes values of, and whose owner is not in `TRUSTED`. The owner can add an
    /// attribute at any time, whose type is a domain.
    #[serde(rename = "row type")]
    RowType,
    /// Such a row type as the type of a column.
    #[serde(rename = "row type of a column")]
    RowTypeOfColumn,
    /// Such a row type that a word without a schema names, if the statement runs under the caller's path.
    #[serde(rename = "row type by path")]
    RowTypeByPath,
    /// An enum or a range that is written as JSON, and whose owner is not in `TRUSTED`. The owner can make a cast to JSON at
    /// any time, and the server then calls it.
    #[serde(rename = "type in json")]
    TypeInJson,
    /// A type that the statement may convert to another one.
    #[serde(rename = "converted type")]
    ConvertedType,
    /// What the called functions can make of their arguments: flags in `identity`.
    Forms,
    /// A schema with too many operators or functions to check, or a domain whose check is too long.
    Crowded,
    /// The schema of a relation that the statement writes without a schema.
    Found,
    /// The statement depends on `search_path`: it reads a column of a type such as `regclass` (also inside a view), a
    /// table with policies, or an index with a user's function.
    #[serde(rename = "shown by path")]
    ShownByPath,
    /// The statement has values of types of other users.
    #[serde(rename = "foreign types")]
    ForeignTypes,
}

/// One row of the look-up. Most rows describe one object that a name can mean.
pub(super) struct Finding {
    pub(super) what: Reach,
    /// Schema and name of the object that the name means.
    pub(super) chosen: (String, String),
    /// Schema and name of the function that runs if the server chooses that object. An aggregate runs several
    /// functions, and each of these functions is a finding.
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) identity: String,
    pub(super) extension: Option<String>,
    pub(super) volatility: String,
    pub(super) language: String,
    /// In the row of [`Reach::Mark`], whether somebody who is not trusted can create objects in a schema of the path.
    pub(super) takes_internals: bool,
    /// Schema of the chosen operator, or the crowded schema. `None` for other findings.
    pub(super) operator_schema: Option<String>,
    /// True if functions of several owners have the chosen name. In the row of [`Reach::Mark`], whether somebody who is not
    /// trusted can create objects in a schema of a function that the statement writes with its schema.
    pub(super) is_shared: bool,
    /// True if a user made the chosen object. In the row of [`Reach::Mark`], the value of [`REPLACEABLE`].
    pub(super) is_users: bool,
}

/// Parses a value of the first column of the look-up.
pub(super) fn reach(what: &str) -> Result<Reach, DatabaseError> {
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, StrDeserializer};
    let what: StrDeserializer<'_, Error> = what.into_deserializer();
    serde::Deserialize::deserialize(what)
        .map_err(|error| DatabaseError::Connection(sqlx::Error::Decode(error.to_string().into())))
}

impl Finding {
    pub(super) fn judge(self, vouched: &Vouched) -> Result<(), DatabaseError> {
        let allowed = vouched.functions.as_slice();
        let system =
            matches!(self.schema.as_str(), "pg_catalog" | "information_schema") || self.schema.starts_with("pg_toast");
        let extension = self.extension.as_deref();
        let harmless = match self.what {
            Reach::ForeignTable
            | Reach::LocksRows
            | Reach::Crowded
            | Reach::Found
            | Reach::ShownByPath
            | Reach::ForeignTypes
            | Reach::Forms => false,
            // The check does not find out which columns a view selects.
            Reach::RelationInside if relations::has_closed_columns(&self.schema, &self.name) => false,
            Reach::Relation | Reach::RelationInside => {
                relations::refusal(Dialect::Postgresql, Some(&self.schema), &self.name).is_none()
            }
            // Only a superuser can create a base type. The input function of an extension's base type belongs to the
            // extension.
            Reach::Type => extension.is_some(),
            Reach::Lookalike => self.is_allowed(allowed),
            _ if self.is_changeable_type() => self.is_allowed(allowed),
            // Functions of operators inside views, domains and other expression trees. When such a tree was created,
            // the server fixed which operators it uses. Functions of built-in operators only compute.
            Reach::OperatorInside if system => self.volatility != "v",
            _ if system => functions::is_harmless_builtin(&self.name, self.volatility == "i", self.takes_internals),
            // The code of a built-in under another name. Every range type has such functions.
            _ if self.language == "alias" && !self.takes_internals => true,
            _ => match extension {
                Some(extension) => {
                    let is_volatile = self.volatility == "v";
                    extensions::permits(extension, &self.name, is_volatile, &self.language)
                        || self.is_part_of_values()
                        || vouched.extensions.iter().any(|name| name == extension) && !is_volatile
                        || self.is_allowed(allowed)
                }
                None => self.is_allowed(allowed),
            },
        };
        if harmless { Ok(()) } else { Err(self.refusal(allowed)) }
    }

    /// Returns the error of a refused finding.
    pub(super) fn refusal(self, allowed: &[String]) -> DatabaseError {
        let system =
            matches!(self.schema.as_str(), "pg_catalog" | "information_schema") || self.schema.starts_with("pg_toast");
        let extension = self.extension.as_deref();
        let listed = allowed.contains(&self.chosen_name());
        let shared = listed && self.is_shared;
        DatabaseError::NotVouched {
            is_relation: matches!(
                self.what,
                Reach::Relation | Reach::RelationInside | Reach::ForeignTable | Reach::LocksRows
            ),
            reason: match self.what {
                Reach::Crowded => "has more operators, functions of a name, or conditions than TUDB checks",
                Reach::ForeignTable => "is on another server, and the source's allow_foreign_tables is false",
                Reach::LocksRows => "locks the rows that it reads, which a read-only transaction may not do",
                Reach::Relation | Reach::RelationInside => "can show secrets, other sessions or files of the server",
                Reach::Domain | Reach::DomainOfColumn | Reach::DomainInside => {
                    "is a domain whose owner can change its checks at any time, and that owner is neither a superuser nor the owner of \
                     the database"
                }
                Reach::RowType | Reach::RowTypeOfColumn | Reach::RowTypeByPath => {
                    "is a row type whose owner can add domains to it at any time, and that owner is neither a superuser nor the owner \
                     of the database"
                }
                Reach::TypeInJson => {
                    "is a type that the statement writes as JSON, whose owner can make a cast for it at any time, and that owner is \
                     neither a superuser nor the owner of the database"
                }
                Reach::ConvertedType => {
                    "is a type that the statement compares or converts, whose owner can make a cast for it at any time, and that \
                     owner is neither a superuser nor the owner of the database"
                }
                Reach::Type => "is a type whose input function is a user's",
                _ if shared => "is in allow_functions, but functions of several owners bear its name",
                _ if listed => "is in allow_functions, but is declared VOLATILE: it may change data",
                Reach::Cast => "is run by a cast between these types",
                Reach::Operator | Reach::Lookalike => "is run by an operator of this name",
                Reach::OperatorClass => "is run by comparisons of its type",
                Reach::FunctionInside | Reach::OperatorInside => {
                    "is run inside a view, a domain, a policy or an index of the statement, and is not known to be harmless"
                }
                _ if system => "is not on the list of functions known to be harmless",
                _ if extension.is_some() => "belongs to an extension that is not known to only compute",
                _ => "is a function of this database's users that could be called here",
            },
            hint: match self.what {
                Reach::Relation | Reach::RelationInside | Reach::ForeignTable | Reach::LocksRows | Reach::Type => {
                    "`list_tables` shows what may be read.".to_owned()
                }
                Reach::Crowded => "Its administrator can take the schema out of the role's search_path.".to_owned(),
                _ if shared => format!("Its administrator can list {:?} in allow_functions instead.", self.identity),
                _ if listed => "Declare it STABLE or IMMUTABLE if it only reads.".to_owned(),
                _ if system => "Use another built-in function.".to_owned(),
                _ if extension.is_some() => format!(
                    "Its administrator can list \"{}\" in the source's allow_extensions, or \"{}\" in its allow_functions.",
                    extension.unwrap_or_default(),
                    self.chosen_name()
                ),
                _ => format!("Its administrator can list {} in the source's allow_functions.", self.entry()),
            },
            name: self.identity,
        }
    }

    /// True if the server calls this function of an extension for a cast, an operator or an operator class, and the
    /// function is IMMUTABLE and written in C. Such a function only makes, compares or converts values: by declaring it
    /// IMMUTABLE, its author promises that the result depends on the arguments alone. A function that the statement
    /// calls by name needs [`extensions::permits`] or the configuration.
    fn is_part_of_values(&self) -> bool {
        let is_called_for_values = matches!(
            self.what,
            Reach::Cast | Reach::Operator | Reach::OperatorInside | Reach::OperatorClass | Reach::Lookalike
        );
        is_called_for_values && self.volatility == "i" && matches!(self.language.as_str(), "c" | "internal")
    }

    /// True if the object is found by the path, or may look up names itself when it runs. Built-in functions that do so are
    /// known by name ([`super::look_up`]); a view of the catalog may call them.
    pub(super) fn may_depend_on_path(&self) -> bool {
        let is_built_in = |schema: &str| schema == "pg_catalog" && self.operator_schema.is_none();
        matches!(self.what, Reach::Relation | Reach::RelationInside)
            || !is_built_in(&self.chosen.0)
            || tells_of_path(&self.chosen.1)
            || !is_built_in(&self.schema)
    }

    /// True for a type that its owner can change while the statement runs.
    fn is_changeable_type(&self) -> bool {
        matches!(
            self.what,
            Reach::Domain
                | Reach::DomainOfColumn
                | Reach::DomainInside
                | Reach::RowType
                | Reach::RowTypeOfColumn
                | Reach::RowTypeByPath
                | Reach::TypeInJson
                | Reach::ConvertedType
        )
    }

    pub(super) fn chosen_name(&self) -> String {
        format!("{}.{}", self.chosen.0, self.chosen.1)
    }

    /// The entry of `allow_functions` that allows the function, in double quotes. The look-up puts words before the schema
    /// if a name alone does not allow it. Then the entry needs the argument types.
    fn entry(&self) -> String {
        let needs_types = ["user in ", "beside the type in "].iter().any(|words| self.chosen.0.starts_with(words));
        format!("\"{}\"", if needs_types { self.identity.clone() } else { self.chosen_name() })
    }

    /// True if the function is not volatile and the configuration lists it. An entry without argument types does not
    /// count if functions of several owners have the name.
    pub(super) fn is_allowed(&self, allowed: &[String]) -> bool {
        // An entry is plain text. So a name that contains `.`, `(` or `)` could match the entry of another function.
        let is_plain = |part: &str| !part.contains(['.', '(', ')']);
        let by_name = allowed.contains(&self.chosen_name()) && !self.is_shared;
        self.volatility != "v"
            && is_plain(&self.chosen.0)
            && is_plain(&self.chosen.1)
            && (by_name || allowed.contains(&self.identity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_names_the_entry_that_allows_the_function() {
        let of = |schema: &str| Finding {
            what: Reach::Function,
            chosen: (schema.into(), "money2".into()),
            schema: "public".into(),
            name: "money2".into(),
            identity: "public.money2(integer)".into(),
            extension: None,
            volatility: "s".into(),
            language: "sql".into(),
            takes_internals: false,
            operator_schema: None,
            is_shared: false,
            is_users: true,
        };
        for (schema, entry) in [("public", "public.money2"), ("beside the type in public", "public.money2(integer)")] {
            let DatabaseError::NotVouched { hint, .. } = of(schema).refusal(&[]) else { panic!("another error") };
            assert!(hint.contains(&format!("list \"{entry}\" in")), "{hint}");
            assert!(of(schema).is_allowed(&[entry.into()]), "{entry}");
        }
    }
}
