//! A bounded number of places (calls, KiB of bodies, streams). One holder, such as an API key, has a bound of its own, so
//! it cannot take all places.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
pub struct Places {
    all: usize,
    most_of_one: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_holder: HashMap<String, usize>,
}

impl Places {
    /// Creates `all` places. A holder can take at most half of them, or `most_at_once` if that is more.
    pub fn new(all: usize, most_at_once: usize) -> Arc<Self> {
        Arc::new(Places { all, most_of_one: (all / 2).max(most_at_once), taken: Mutex::default() })
    }

    /// Takes places until the result is dropped. `None` if too few are free, or if the holder would have too many.
    /// `holder` is `None` for a caller without a name. Such a caller has no bound of its own.
    pub fn take(self: &Arc<Self>, holder: Option<&str>, number: usize) -> Option<TakenPlaces> {
        let mut place = TakenPlaces { places: Arc::clone(self), holder: holder.map(str::to_owned), number: 0 };
        place.grow(number).then_some(place)
    }

    /// Number of taken places.
    pub fn number(&self) -> usize {
        self.taken().total
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Taken places. They are free again when the value is dropped.
#[derive(Debug)]
pub struct TakenPlaces {
    places: Arc<Places>,
    holder: Option<String>,
    number: usize,
}

impl TakenPlaces {
    pub fn number(&self) -> usize {
        self.number
    }

    /// Takes `more` places in addition. False if too few are free. Then the value stays as it was.
    pub fn grow(&mut self, more: usize) -> bool {
        let mut taken = self.places.taken();
        if taken.total.saturating_add(more) > self.places.all {
            return false;
        }
        if let Some(holder) = &self.holder {
            let own = taken.by_holder.get(holder).copied().unwrap_or(0).saturating_add(more);
            if own > self.places.most_of_one {
                return false;
            }
            taken.by_holder.insert(holder.clone(), own);
        }
        taken.total += more;
        drop(taken);
        self.number += more;
        true
    }
}

impl Drop for TakenPlaces {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.total = taken.total.saturating_sub(self.number);
        let Some(holder) = &self.holder else { return };
        let left = taken.by_holder.get(holder).copied().unwrap_or(0).saturating_sub(self.number);
        if left == 0 {
            taken.by_holder.remove(holder);
        } else {
            taken.by_holder.insert(holder.clone(), left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_leaves_half_to_others() {
        let places = Places::new(10, 1);
        let held: Vec<TakenPlaces> = (0..5).map(|_| places.take(Some("a"), 1).unwrap()).collect();
        assert!(places.take(Some("a"), 1).is_none());
        let mut other = places.take(Some("b"), 3).unwrap();
        assert!(!other.grow(3) && other.grow(2) && other.number() == 5);
        assert!(places.take(None, 1).is_none());
        drop(held);
        assert!(places.take(None, 5).is_some() && places.take(Some("a"), 5).is_some());
        assert_eq!(places.taken().by_holder.len(), 1);
        drop(other);
        assert!(places.take(None, 10).is_some());
    }

    #[test]
    fn the_largest_single_request_fits() {
        let places = Places::new(10, 8);
        assert!(places.take(Some("a"), 8).is_some() && places.take(Some("a"), 9).is_none());
    }
}
