//! Checks the trail: every chain of every process, and what was removed from it.

use super::*;

/// The findings of `verify`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub events: u64,
    pub processes: u64,
    /// Events that retention removed, according to valid checkpoints.
    pub removed: u64,
    /// Whether a key is configured and every chain was made with it.
    pub keyed: bool,
    /// One sentence per fault: a changed, missing or reordered event, or a chain that cannot be checked.
    pub faults: Vec<String>,
    /// Ids of intents without an outcome.
    pub unfinished: Vec<String>,
}

/// The state of a verified chain, for the checks of the chains that name it.
#[derive(Debug, Default)]
struct ChainState {
    hash: String,
    /// Set only if its hash is correct.
    checkpoint: Option<Checkpoint>,
    /// Last sequence number and hash, as recorded in the `closing` row.
    end: Option<(i64, String)>,
    /// Whether the chain could be checked with the configured key.
    checked: bool,
    /// Events read while checking.
    visited: u64,
}

impl Trail {
    /// Recomputes every chain and compares it with the stored hashes.
    ///
    /// It detects a changed, removed, inserted or reordered event. It detects events removed from the end of a chain if
    /// the chain has a `closing` row or, in a file, if another process was registered since. In a file it also detects
    /// a process removed from between others. With a key, nobody without that key can rewrite a chain. Chains
    /// without a key are accepted if they began before `unkeyed_until` (RFC 3339, UTC).
    ///
    /// It cannot detect that the end of a chain was removed if no later process has recorded it. The same holds for the
    /// newest processes, and for a store that was replaced by an older copy of itself.
    ///
    /// # Errors
    ///
    /// sqlx's, when the store cannot be read.
    pub async fn verify(&mut self, unkeyed_until: Option<&str>) -> Result<Verdict, TrailError> {
        // Servers may write during the check, so it reads a snapshot.
        self.store.begin().await?;
        let verdict = self.verify_now(unkeyed_until).await;
        self.store.rollback().await?;
        verdict
    }

    async fn verify_now(&mut self, unkeyed_until: Option<&str>) -> Result<Verdict, TrailError> {
        let mut verdict = Verdict { keyed: self.seal.key_id().is_some(), ..Verdict::default() };
        let strangers = "SELECT DISTINCT CAST(t.process AS TEXT) FROM (SELECT process FROM {}event UNION SELECT process FROM {}closing
              UNION SELECT process FROM {}checkpoint) AS t
            WHERE NOT EXISTS (SELECT 1 FROM {}process AS p WHERE p.process = t.process) ORDER BY 1";
        for cells in self.store.rows(strangers, &[]).await? {
            verdict.faults.push(format!("process {} has records but no beginning", RowCells(cells.into_iter()).text()));
        }
        if let Reader::Sqlite(store) = &mut self.store {
            let found: String = sqlx::query_scalar(SCHEMA).fetch_one(&mut *store).await?;
            if schema_as_made().ok() != Some(found) {
                verdict.faults.push(SchemaFault::Changed.to_string());
            }
            // A value of another storage class compares and sorts differently from the text that it is read as.
            const ODD: &str = "SELECT count(*) FROM (
                SELECT 1 FROM event WHERE typeof(process) <> 'text' OR typeof(seq) <> 'integer' OR typeof(kind) <> 'text'
                  OR typeof(id) <> 'text' OR typeof(at) <> 'text' OR typeof(body) <> 'text' OR typeof(hash) <> 'text'
                UNION ALL SELECT 1 FROM process WHERE typeof(process) <> 'text' OR typeof(started_at) <> 'text'
                UNION ALL SELECT 1 FROM closing WHERE typeof(process) <> 'text' OR typeof(last_seq) <> 'integer'
                UNION ALL SELECT 1 FROM checkpoint WHERE typeof(process) <> 'text' OR typeof(seq) <> 'integer')";
            let odd: i64 = sqlx::query_scalar(ODD).fetch_one(store).await?;
            if odd > 0 {
                verdict
                    .faults
                    .push(format!("{odd} rows hold values of another kind than tudb writes: they were changed"));
                return Ok(verdict);
            }
        }
        let counts = "SELECT CAST(process AS TEXT), CAST(count(*) AS TEXT) FROM {}event GROUP BY process";
        let counted = |cells: Cells| {
            let mut cells = RowCells(cells.into_iter());
            (cells.text(), cells.number())
        };
        let counts: HashMap<String, i64> = self.store.rows(counts, &[]).await?.into_iter().map(counted).collect();
        let processes = self.processes().await?;
        let mut known: HashMap<String, ChainState> = HashMap::new();
        let (mut keyed_before, mut hashed_before) = (false, false);
        for process in &processes {
            let name = &process.process;
            verdict.processes += 1;
            let is_old = unkeyed_until.is_some_and(|until| process.started_at.as_str() < until) && !keyed_before;
            if process.key_id.is_none() && self.seal.key_id().is_some() && !is_old {
                verdict
                    .faults
                    .push(format!("process {name}: has no key (--unkeyed-until takes chains of before the key)"));
            }
            // In stores of the first schema version, chains begin without a hash. Later chains have one.
            if process.hash.is_none() && (process.key_id.is_some() || hashed_before) {
                verdict.faults.push(format!("process {name}: its beginning has no hash"));
            }
            keyed_before |= process.key_id.is_some();
            hashed_before |= process.hash.is_some();
            let found = self.verify_process(process, unkeyed_until, &mut verdict).await?;
            let all = counts.get(name).copied().unwrap_or(0);
            if found.checked && u64::try_from(all) != Ok(found.visited) {
                let visited = found.visited;
                verdict
                    .faults
                    .push(format!("process {name}: {all} events stand in the store, {visited} of them in its chain"));
            }
            known.insert(name.clone(), found);
        }
        let is_file = matches!(self.store, Reader::Sqlite(_));
        let mut before: Option<&Beginning> = None;
        for process in &processes {
            let links: Vec<&str> =
                process.previous.as_deref().map(|list| list.split(", ").collect()).unwrap_or_default();
            let named = links.first().and_then(|link| link.split(' ').next());
            if is_file && process.hash.is_some() && named != before.map(|before| before.process.as_str()) {
                verdict.faults.push(format!("process {}: another one stood before it", process.process));
            }
            for link in links {
                let missing = self.missing_link(&known, link).await?;
                verdict.faults.extend(missing.map(|what| format!("{what}, as process {} saw it", process.process)));
            }
            before = Some(process);
        }
        let unfinished = "SELECT CAST(id AS TEXT) FROM {}record WHERE outcome = 'unfinished' ORDER BY id";
        for cells in self.store.rows(unfinished, &[]).await? {
            verdict.unfinished.push(RowCells(cells.into_iter()).text());
        }
        Ok(verdict)
    }

    /// The processes in the order of their registration.
    async fn processes(&mut self) -> Result<Vec<Beginning>, TrailError> {
        let order = match self.store {
            Reader::Sqlite(_) => "rowid",
            Reader::Postgres(_) => "registered",
        };
        let query = format!(
            "SELECT CAST(process AS TEXT), started_at, version, key_id, previous, hash FROM {{}}process ORDER BY {order}"
        );
        let beginning = |cells: Cells| {
            let mut cells = RowCells(cells.into_iter());
            Beginning {
                process: cells.text(),
                started_at: cells.text(),
                version: cells.text(),
                key_id: cells.optional(),
                previous: cells.optional(),
                hash: cells.optional(),
            }
        };
        Ok(self.store.rows(&query, &[]).await?.into_iter().map(beginning).collect())
    }

    async fn verify_process(
        &mut self,
        process: &Beginning,
        unkeyed_until: Option<&str>,
        verdict: &mut Verdict,
    ) -> Result<ChainState, TrailError> {
        let name = process.process.as_str();
        let mut known = ChainState { hash: process.hash.clone().unwrap_or_default(), ..ChainState::default() };
        let seal = if process.key_id.is_some() { self.seal.clone() } else { Seal::default() };
        let end = format!("SELECT at, CAST(last_seq AS TEXT), head, hash FROM {{}}closing WHERE {}", self.own());
        let end = self.store.rows(&end, &[Some(name)]).await?.into_iter().next().map(|cells| {
            let mut cells = RowCells(cells.into_iter());
            (cells.text(), cells.number(), cells.text(), cells.optional())
        });
        known.end = end.as_ref().map(|(_, last, head, _)| (*last, head.clone()));
        if process.key_id != seal.key_id() {
            verdict.keyed = false;
            let what = if self.seal.key_id().is_some() {
                "its key is not the one of audit.key_file"
            } else {
                "it has a key and audit.key_file is not set"
            };
            verdict.faults.push(format!("process {name}: {what}, so it cannot be checked"));
            return Ok(known);
        }
        known.checked = true;
        verdict.keyed &= process.key_id.is_some();
        if process.hash.as_ref().is_some_and(|hash| *hash != process.expected(&seal)) {
            verdict.faults.push(format!("process {name}: its beginning was changed"));
        }
        let mut head = known.hash.clone();
        let mut seq = 0;
        if let Some(checkpoint) = self.checkpoint(name).await? {
            // A checkpoint uses the key configured when records were removed. The chain may be older than that key.
            let own = if checkpoint.key_id.is_some() { self.seal.clone() } else { Seal::default() };
            let is_old = unkeyed_until.is_some_and(|until| checkpoint.at.as_str() < until) && process.key_id.is_none();
            let lacks_key = checkpoint.key_id.is_none() && self.seal.key_id().is_some() && !is_old;
            if checkpoint.hash != checkpoint.expected(&own, name) || checkpoint.key_id != own.key_id() || lacks_key {
                verdict.faults.push(format!("process {name}: its checkpoint was changed, or made without the key"));
            } else {
                verdict.removed += u64::try_from(checkpoint.removed).unwrap_or(0);
                (head, seq) = (checkpoint.head.clone(), checkpoint.seq);
                known.checkpoint = Some(checkpoint);
            }
        }
        loop {
            let events = self.events(name, seq).await?;
            let count = events.len();
            for event in events {
                known.visited += 1;
                if event.seq != seq + 1 {
                    verdict.faults.push(format!(
                        "process {name}: event {} is missing (record {} follows)",
                        seq + 1,
                        event.id
                    ));
                } else if event.expected(&seal, &head, name) != event.hash {
                    verdict.faults.push(format!(
                        "process {name}: event {} ({} of record {}) was changed",
                        event.seq, event.kind, event.id
                    ));
                }
                seq = event.seq;
                head = event.hash;
            }
            if count < PAGE {
                break;
            }
        }
        verdict.events += known.visited;
        if let Some((at, last, end, hash)) = end {
            let expected = process.hash.as_ref().map(|_| closing(&seal, name, &at, last, &end));
            if last != seq || end != head {
                verdict.faults.push(format!("process {name}: ended with event {last}, but the chain ends with {seq}"));
            } else if hash != expected {
                verdict.faults.push(format!("process {name}: its end was changed"));
            }
        }
        Ok(known)
    }

    /// Compares a chain with a link that a later process recorded, `PROCESS SEQ HASH [closed]`. Returns the fault
    /// found.
    async fn missing_link(
        &mut self,
        known: &HashMap<String, ChainState>,
        link: &str,
    ) -> Result<Option<String>, TrailError> {
        let mut parts = link.split(' ');
        let mut part = || parts.next().unwrap_or_default();
        let (name, seq, hash, end) = (part(), part(), part(), part());
        let Some(process) = known.get(name) else { return Ok(Some(format!("process {name} is missing"))) };
        let at: i64 = seq.parse().unwrap_or_default();
        if end == "closed" && process.end.as_ref().is_none_or(|(last, head)| *last != at || head != hash) {
            return Ok(Some(format!("process {name}: its end is missing or another")));
        }
        let found = match &process.checkpoint {
            _ if at == 0 => Some(process.hash.clone()),
            Some(checkpoint) if checkpoint.seq > at => return Ok(None),
            Some(checkpoint) if checkpoint.seq == at => Some(checkpoint.head.clone()),
            _ => {
                let query = format!("SELECT hash FROM {{}}event WHERE {} AND seq = CAST($2 AS BIGINT)", self.own());
                let rows = self.store.rows(&query, &[Some(name), Some(seq)]).await?;
                rows.into_iter().next().map(|cells| RowCells(cells.into_iter()).text())
            }
        };
        Ok((found.as_deref() != Some(hash)).then(|| format!("process {name}: event {seq} is missing or was changed")))
    }

    async fn checkpoint(&mut self, process: &str) -> Result<Option<Checkpoint>, TrailError> {
        let query = format!(
            "SELECT CAST(seq AS TEXT), head, at, CAST(removed AS TEXT), key_id, hash FROM {{}}checkpoint WHERE {}",
            self.own()
        );
        let rows = self.store.rows(&query, &[Some(process)]).await?;
        Ok(rows.into_iter().next().map(|cells| {
            let mut cells = RowCells(cells.into_iter());
            Checkpoint {
                seq: cells.number(),
                head: cells.text(),
                at: cells.text(),
                removed: cells.number(),
                key_id: cells.optional(),
                hash: cells.text(),
            }
        }))
    }
}
