//! Functions and collations that TUDB adds to a connection. The functions are those of SQLite's own extensions that
//! this build of SQLite leaves out. The collations are stand-ins for collations that only another program defines.
//!
//! The mathematical functions follow <https://sqlite.org/lang_mathfunc.html>, and the percentiles follow
//! <https://sqlite.org/percentile.html>. TUDB registers them itself instead of setting flags of the C compiler, so that
//! every build of the crate has them.

#![allow(unsafe_code)]

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ffi::{CStr, c_char, c_int, c_void};

use libsqlite3_sys as ffi;

/// Stand-ins for the collations of other programs.
#[derive(Default)]
pub(super) struct StandIns {
    /// Names of collations in the schema, in lower case. Only these collations get a stand-in, so a name that a
    /// statement misspells is an error.
    pub allowed: RefCell<BTreeSet<String>>,
    /// Names of the collations for which a stand-in was registered, as SQLite spelt them.
    pub used: RefCell<Vec<String>>,
}

/// How a mathematical function is computed. A result that is not a number (NaN) becomes NULL.
enum Math {
    /// Returns an integer argument unchanged.
    Rounding(fn(f64) -> f64),
    Unary(fn(f64) -> f64),
    Binary(fn(f64, f64) -> f64),
    /// NULL if the argument is not above 0.
    Logarithm(fn(f64) -> f64),
    /// `log(B, X)`. NULL unless B is above 1 and X is above 0.
    LogarithmOfBase,
    Pi,
}

const MATH: &[(&CStr, Math)] = &[
    (c"acos", Math::Unary(f64::acos)),
    (c"acosh", Math::Unary(acosh)),
    (c"asin", Math::Unary(f64::asin)),
    (c"asinh", Math::Unary(asinh)),
    (c"atan", Math::Unary(f64::atan)),
    (c"atan2", Math::Binary(f64::atan2)),
    (c"atanh", Math::Unary(f64::atanh)),
    (c"ceil", Math::Rounding(f64::ceil)),
    (c"ceiling", Math::Rounding(f64::ceil)),
    (c"cos", Math::Unary(f64::cos)),
    (c"cosh", Math::Unary(f64::cosh)),
    (c"degrees", Math::Unary(|x| x * (180.0 / std::f64::consts::PI))),
    (c"exp", Math::Unary(f64::exp)),
    (c"floor", Math::Rounding(f64::floor)),
    (c"ln", Math::Logarithm(f64::ln)),
    (c"log", Math::Logarithm(f64::log10)),
    (c"log", Math::LogarithmOfBase),
    (c"log10", Math::Logarithm(f64::log10)),
    (c"log2", Math::Logarithm(f64::log2)),
    (c"mod", Math::Binary(|x, y| x % y)),
    (c"pi", Math::Pi),
    (c"pow", Math::Binary(f64::powf)),
    (c"power", Math::Binary(f64::powf)),
    (c"radians", Math::Unary(|x| x * (std::f64::consts::PI / 180.0))),
    (c"sin", Math::Unary(f64::sin)),
    (c"sinh", Math::Unary(f64::sinh)),
    (c"sqrt", Math::Unary(f64::sqrt)),
    (c"tan", Math::Unary(f64::tan)),
    (c"tanh", Math::Unary(f64::tanh)),
    (c"trunc", Math::Rounding(f64::trunc)),
];

/// Above this number the square in Rust's formulas would overflow, so `asinh` and `acosh` are computed as ln(2x).
const LARGE: f64 = 1e150;

fn asinh(x: f64) -> f64 {
    if x.abs() > LARGE { (x.abs().ln() + std::f64::consts::LN_2).copysign(x) } else { x.asinh() }
}

fn acosh(x: f64) -> f64 {
    if x > LARGE { x.ln() + std::f64::consts::LN_2 } else { x.acosh() }
}

impl Math {
    fn arguments(&self) -> c_int {
        match self {
            Math::Pi => 0,
            Math::Rounding(_) | Math::Unary(_) | Math::Logarithm(_) => 1,
            Math::Binary(_) | Math::LogarithmOfBase => 2,
        }
    }
}

/// A percentile function.
#[derive(Clone, Copy)]
struct Percentile {
    name: &'static CStr,
    /// Maximum of the second argument; `None` for the median, which has no second argument.
    whole: Option<f64>,
    /// True if the result is always one of the values. False if it is interpolated between two values.
    is_discrete: bool,
}

static PERCENTILES: [Percentile; 4] = [
    Percentile { name: c"median", whole: None, is_discrete: false },
    Percentile { name: c"percentile", whole: Some(100.0), is_discrete: false },
    Percentile { name: c"percentile_cont", whole: Some(1.0), is_discrete: false },
    Percentile { name: c"percentile_disc", whole: Some(1.0), is_discrete: true },
];

const FLAGS: c_int = ffi::SQLITE_UTF8 | ffi::SQLITE_DETERMINISTIC | ffi::SQLITE_INNOCUOUS;

/// Adds the functions to a connection. Also adds a stand-in for each unknown collation that `stand_ins` allows, when
/// SQLite asks for that collation.
///
/// # Safety
///
/// `db` is open, and `stand_ins` lives as long as `db`.
pub(super) unsafe fn add(db: *mut ffi::sqlite3, stand_ins: *const StandIns) {
    for (name, math) in MATH {
        let data = std::ptr::from_ref(math).cast_mut().cast::<c_void>();
        // SAFETY: the entry is a constant of the program; the callback takes what SQLite documents for `xFunc`.
        unsafe {
            ffi::sqlite3_create_function_v2(
                db,
                name.as_ptr(),
                math.arguments(),
                FLAGS,
                data,
                Some(compute),
                None,
                None,
                None,
            );
        }
    }
    for percentile in &PERCENTILES {
        let data = std::ptr::from_ref(percentile).cast_mut().cast::<c_void>();
        let arguments = if percentile.whole.is_some() { 2 } else { 1 };
        // SAFETY: the entry lives as long as the program; the callbacks take what SQLite documents for window
        // functions.
        unsafe {
            ffi::sqlite3_create_window_function(
                db,
                percentile.name.as_ptr(),
                arguments,
                FLAGS,
                data,
                Some(add_value),
                Some(finish),
                Some(current),
                Some(remove_value),
                None,
            );
        }
    }
    // SAFETY: `stand_ins` lives as long as `db`, as the caller promised; the callback uses it on this thread alone.
    unsafe { ffi::sqlite3_collation_needed(db, stand_ins.cast_mut().cast::<c_void>(), Some(stand_in)) };
}

/// Returns the argument as a number. `None` if the argument is neither a number nor a text in the form of a number.
unsafe fn number(argument: *mut ffi::sqlite3_value) -> Option<f64> {
    // SAFETY: SQLite passed the argument to the callback.
    unsafe {
        match ffi::sqlite3_value_numeric_type(argument) {
            ffi::SQLITE_INTEGER | ffi::SQLITE_FLOAT => Some(ffi::sqlite3_value_double(argument)),
            _ => None,
        }
    }
}

/// `xFunc` of the mathematical functions.
///
/// # Safety
///
/// Called by SQLite with as many arguments as [`Math::arguments`] says and with an entry of [`MATH`] as user data.
unsafe extern "C" fn compute(
    context: *mut ffi::sqlite3_context,
    count: c_int,
    arguments: *mut *mut ffi::sqlite3_value,
) {
    // SAFETY: SQLite's promise about its arguments.
    unsafe {
        let math = &*ffi::sqlite3_user_data(context).cast::<Math>();
        let argument = |index: usize| if index < count as usize { number(*arguments.add(index)) } else { None };
        let result = match math {
            Math::Pi => Some(std::f64::consts::PI),
            Math::Rounding(_) if ffi::sqlite3_value_numeric_type(*arguments) == ffi::SQLITE_INTEGER => {
                ffi::sqlite3_result_int64(context, ffi::sqlite3_value_int64(*arguments));
                return;
            }
            Math::Rounding(function) | Math::Unary(function) => argument(0).map(function),
            Math::Binary(function) => argument(0).zip(argument(1)).map(|(x, y)| function(x, y)),
            Math::Logarithm(function) => argument(0).filter(|x| *x > 0.0).map(function),
            Math::LogarithmOfBase => {
                let base = argument(0).filter(|x| *x > 0.0).map(f64::ln).filter(|base| *base > 0.0);
                base.zip(argument(1).filter(|x| *x > 0.0)).map(|(base, x)| x.ln() / base)
            }
        };
        match result {
            Some(value) => ffi::sqlite3_result_double(context, value),
            None => ffi::sqlite3_result_null(context),
        }
    }
}

/// The values that a percentile has collected. SQLite allocates their memory, so the memory limit of SQLite applies.
#[repr(C)]
struct Values {
    values: *mut f64,
    length: usize,
    capacity: usize,
    /// The second argument divided by its maximum, if `has_share` is true. 0.5 for the median.
    share: f64,
    has_share: bool,
}

/// Returns the percentile function that a callback is about, and its values. `None` if there is not enough memory.
///
/// # Safety
///
/// Called in a callback of a function of [`PERCENTILES`].
unsafe fn state<'a>(context: *mut ffi::sqlite3_context) -> Option<(&'a Percentile, &'a mut Values)> {
    let bytes = c_int::try_from(size_of::<Values>()).unwrap_or(0);
    // SAFETY: the user data is an entry of a constant. A new aggregate context of SQLite is all zeros, which is a valid
    // `Values` without values.
    unsafe {
        let percentile = &*ffi::sqlite3_user_data(context).cast::<Percentile>();
        let values = ffi::sqlite3_aggregate_context(context, bytes).cast::<Values>();
        values.as_mut().map(|values| (percentile, values))
    }
}

unsafe fn fail(context: *mut ffi::sqlite3_context, percentile: &Percentile, problem: &str) {
    let message = format!("{}: {problem}", percentile.name.to_string_lossy());
    let length = c_int::try_from(message.len()).unwrap_or(0);
    // SAFETY: SQLite copies the text.
    unsafe { ffi::sqlite3_result_error(context, message.as_ptr().cast::<c_char>(), length) };
}

/// `xStep`: a row enters the group or the window.
///
/// # Safety
///
/// Called by SQLite.
unsafe extern "C" fn add_value(
    context: *mut ffi::sqlite3_context,
    _count: c_int,
    arguments: *mut *mut ffi::sqlite3_value,
) {
    // SAFETY: SQLite passes as many arguments as were registered; only this context uses the array of values.
    unsafe {
        let Some((percentile, state)) = state(context) else {
            return ffi::sqlite3_result_error_nomem(context);
        };
        if let Some(whole) = percentile.whole {
            let share =
                number(*arguments.add(1)).map(|share| share / whole).filter(|share| (0.0..=1.0).contains(share));
            let Some(share) = share else {
                return fail(context, percentile, &format!("the second argument has to be between 0 and {whole}"));
            };
            if state.has_share && (state.share - share).abs() > 0.001 {
                return fail(context, percentile, "the second argument has to be the same for all rows");
            }
            if !state.has_share {
                (state.share, state.has_share) = (share, true);
            }
        } else {
            state.share = 0.5;
        }
        let value = match ffi::sqlite3_value_type(*arguments) {
            ffi::SQLITE_NULL => return,
            ffi::SQLITE_INTEGER | ffi::SQLITE_FLOAT => ffi::sqlite3_value_double(*arguments),
            _ => return fail(context, percentile, "the first argument has to be a number"),
        };
        if !value.is_finite() {
            return fail(context, percentile, "the first argument is infinite");
        }
        if state.length == state.capacity {
            let capacity = (state.capacity * 2).max(64);
            let bytes = (capacity * size_of::<f64>()) as u64;
            let grown = ffi::sqlite3_realloc64(state.values.cast::<c_void>(), bytes).cast::<f64>();
            if grown.is_null() {
                return ffi::sqlite3_result_error_nomem(context);
            }
            (state.values, state.capacity) = (grown, capacity);
        }
        state.values.add(state.length).write(value);
        state.length += 1;
    }
}

/// `xInverse`: the row leaves the window.
///
/// # Safety
///
/// Called by SQLite.
unsafe extern "C" fn remove_value(
    context: *mut ffi::sqlite3_context,
    _count: c_int,
    arguments: *mut *mut ffi::sqlite3_value,
) {
    // SAFETY: as for `add_value`.
    unsafe {
        let Some((_, state)) = state(context) else { return };
        if ffi::sqlite3_value_type(*arguments) == ffi::SQLITE_NULL {
            return;
        }
        let value = ffi::sqlite3_value_double(*arguments);
        let values = state.values();
        if let Some(at) = values.iter().position(|known| *known == value) {
            let last = values.len() - 1;
            values.swap(at, last);
            state.length = last;
        }
    }
}

/// `xValue`: the result so far.
///
/// # Safety
///
/// Called by SQLite.
unsafe extern "C" fn current(context: *mut ffi::sqlite3_context) {
    // SAFETY: as for `add_value`.
    unsafe {
        let Some((percentile, state)) = state(context) else {
            return ffi::sqlite3_result_error_nomem(context);
        };
        let share = state.share;
        match percentile.of(state.values(), share) {
            Some(value) => ffi::sqlite3_result_double(context, value),
            None => ffi::sqlite3_result_null(context),
        }
    }
}

/// `xFinal`: returns the result and frees the memory of the values.
///
/// # Safety
///
/// Called by SQLite.
unsafe extern "C" fn finish(context: *mut ffi::sqlite3_context) {
    // SAFETY: as for `add_value`; nothing uses the values afterwards.
    unsafe {
        current(context);
        if let Some((_, state)) = state(context) {
            ffi::sqlite3_free(state.values.cast::<c_void>());
            (state.values, state.length, state.capacity) = (std::ptr::null_mut(), 0, 0);
        }
    }
}

impl Values {
    fn values(&mut self) -> &mut [f64] {
        if self.values.is_null() {
            return &mut [];
        }
        // SAFETY: `add_value` has written `length` values.
        unsafe { std::slice::from_raw_parts_mut(self.values, self.length) }
    }
}

impl Percentile {
    /// Returns the percentile of the values for a share from 0 to 1. `None` if there are no values.
    fn of(&self, values: &mut [f64], share: f64) -> Option<f64> {
        values.sort_unstable_by(f64::total_cmp);
        let place = share * values.len().checked_sub(1)? as f64;
        let (lower, upper) = (*values.get(place as usize)?, values.get(place as usize + 1).copied());
        match upper {
            Some(upper) if !self.is_discrete && place.fract() > 0.0 => Some(lower + (upper - lower) * place.fract()),
            _ => Some(lower),
        }
    }
}

/// The callback that SQLite calls for a collation that it does not know.
///
/// # Safety
///
/// Called by SQLite with the address that [`add`] gave.
unsafe extern "C" fn stand_in(stand_ins: *mut c_void, db: *mut ffi::sqlite3, _encoding: c_int, name: *const c_char) {
    // SAFETY: `stand_ins` is alive, as the caller of `add` promised; `name` is valid until this function returns.
    unsafe {
        let text = CStr::from_ptr(name).to_string_lossy().into_owned();
        let stand_ins = &*stand_ins.cast::<StandIns>();
        if !stand_ins.allowed.try_borrow().is_ok_and(|allowed| allowed.contains(&text.to_lowercase())) {
            return;
        }
        // Entity Framework keeps decimals as texts and compares their values.
        let compare = if text.eq_ignore_ascii_case("EF_DECIMAL") { compare_decimals } else { compare_caselessly };
        ffi::sqlite3_create_collation_v2(db, name, ffi::SQLITE_UTF8, std::ptr::null_mut(), Some(compare), None);
        if let Ok(mut used) = stand_ins.used.try_borrow_mut() {
            used.push(text);
        }
    }
}

/// # Safety
///
/// Each pointer is a text of SQLite with the given length in bytes, or null.
unsafe fn both<'a>(length: c_int, text: *const c_void, other_length: c_int, other: *const c_void) -> [&'a [u8]; 2] {
    // SAFETY: the caller's promise. SQLite may pass a null pointer for an empty text.
    [(length, text), (other_length, other)].map(|(length, text)| match usize::try_from(length) {
        Ok(length) if !text.is_null() => unsafe { std::slice::from_raw_parts(text.cast::<u8>(), length) },
        _ => &[],
    })
}

/// Returns the characters of a chunk in lower case. Its bytes that are not UTF-8 become one replacement character.
fn folded(chunk: std::str::Utf8Chunk<'_>) -> impl Iterator<Item = char> {
    let broken = (!chunk.invalid().is_empty()).then_some(char::REPLACEMENT_CHARACTER);
    chunk.valid().chars().flat_map(char::to_lowercase).chain(broken)
}

unsafe extern "C" fn compare_caselessly(
    _data: *mut c_void,
    length: c_int,
    text: *const c_void,
    other_length: c_int,
    other: *const c_void,
) -> c_int {
    // SAFETY: SQLite's promise about a collation's arguments.
    let [text, other] = unsafe { both(length, text, other_length, other) };
    // The texts are compared character by character, so that no copy of a long text is made.
    let by_fold = text.utf8_chunks().flat_map(folded).cmp(other.utf8_chunks().flat_map(folded));
    by_fold as c_int
}

unsafe extern "C" fn compare_decimals(
    _data: *mut c_void,
    length: c_int,
    text: *const c_void,
    other_length: c_int,
    other: *const c_void,
) -> c_int {
    // SAFETY: SQLite's promise about a collation's arguments.
    let [text, other] = unsafe { both(length, text, other_length, other) };
    let number = |text: &[u8]| std::str::from_utf8(text).ok().and_then(|text| text.trim().parse::<f64>().ok());
    let by_value = match (number(text), number(other)) {
        (Some(value), Some(other)) => value.total_cmp(&other),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => text.cmp(other),
    };
    by_value as c_int
}
